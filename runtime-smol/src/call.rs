//! The driver of one call: one task that owns the machine, its media sockets and its Realtime sockets.
//!
//! It answers four questions and no others: which inputs are ready, what time it is, how an action is performed,
//! how to sleep until a deadline. What a message says is the machine's business.

use ari_bridge_core::call::{
    Action, Actions, Call, Input, IoFault, LinkState, Next, Outcome, Start, StopReason,
};
use ari_bridge_core::id::{CallId, LegId, LinkId, RequestId, ToolId};
use ari_bridge_core::rtp::MAX_DATAGRAM_BYTES;
use ari_bridge_core::settings::{MediaPlan, Transport};
use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::clock::{Alarm, Clock};
use crate::leg::{Datagram, Leg};
use crate::link::{Link, LinkEvent};
use crate::mailbox::{Mailbox, Post};
use crate::ready::Source;
use crate::record::Recording;
use crate::requests::{Reply, Request};
use crate::shared::Shared;
use crate::switchboard::Notice;
use crate::terms::Terms;
use crate::tool::{ToolAnswer, ToolCall};

/// How many turns a call takes before other calls get theirs. In a turn each source gives one input at most.
const TURNS_PER_WAKE_UP: usize = 64;

/// What the switchboard and the request threads tell a call.
pub(crate) enum Letter {
    /// An ARI event.
    Event(Vec<u8>),
    /// The answer to a request.
    Reply(RequestId, Reply),
    /// What came of a function that the model called.
    Tool(ToolId, Reply),
    /// Events flow, or not.
    AriLink(LinkState),
    /// The call must end.
    Stop(StopReason),
}

/// What performing an action brought about at once; the machine hears of it in its next step.
enum Echo {
    MediaUp(LegId, SocketAddr),
    MediaDown(LegId, IoFault),
    AriLink(LinkState),
}

/// The machine with what every step needs.
struct Machine {
    call: Call,
    clock: Clock,
    out: Actions,
    next: Next,
}

impl Machine {
    fn step(&mut self, input: Input<'_>) {
        self.out.clear();
        let now = self.clock.tick();
        self.next = self.call.step(now, input, &mut self.out);
    }

    fn is_due(&self) -> bool {
        self.next.deadline.is_some_and(|(at, _)| self.clock.is_due(at))
    }
}

/// A call and its sockets. Dropping it closes them and gives the ports back.
pub(crate) struct Driver {
    id: CallId,
    shared: Arc<Shared>,
    terms: Arc<Terms>,
    switchboard: Post<Notice>,
    post: Post<Letter>,
    mailbox: Mailbox<Letter>,
    /// What the switchboard has told last of the event socket. A call begins while it is open.
    events_flow: bool,
    machine: Machine,
    recording: Recording,
    alarm: Alarm,
    legs: Vec<Leg>,
    links: Vec<Link>,
    echoes: VecDeque<Echo>,
    media_source: Source,
    link_source: Source,
    datagram: Datagram,
    outcome: Option<Outcome>,
}

impl Driver {
    /// Makes the call. Its first actions are performed at the first poll.
    pub(crate) fn new(
        shared: Arc<Shared>,
        terms: Arc<Terms>,
        start: Start<'_>,
        switchboard: Post<Notice>,
        post: Post<Letter>,
        mailbox: Mailbox<Letter>,
    ) -> Self {
        let (mut clock, mut out) = (Clock::start(), Actions::new());
        let (call, next) = Call::new(&terms.call, start, clock.tick(), &mut out);
        Self {
            id: start.ids.call,
            recording: Recording::new(&shared, &start),
            shared,
            terms,
            switchboard,
            post,
            mailbox,
            events_flow: true,
            machine: Machine { call, clock, out, next },
            alarm: Alarm::new(),
            legs: Vec::new(),
            links: Vec::new(),
            echoes: VecDeque::new(),
            media_source: Source::new(),
            link_source: Source::new(),
            datagram: Box::new([0; MAX_DATAGRAM_BYTES + 1]),
            outcome: None,
        }
    }

    /// Runs the call to its end.
    pub(crate) async fn run(mut self) -> Outcome {
        self.perform();
        smol::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// One wake-up: every input that is ready, then the timer, then sleep.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            let exhausted = self.take_inputs(cx);
            if self.outcome.is_none() && self.machine.is_due() {
                self.machine.step(Input::Timer);
                self.perform();
            }
            if let Some(outcome) = self.outcome {
                return Poll::Ready(outcome);
            }
            if exhausted || self.machine.is_due() || !self.echoes.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let deadline = self.machine.next.deadline.map(|(at, _)| at);
            if self.alarm.poll(cx, &self.machine.clock, deadline).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Takes one input of each source in turn until none has any, or until the turns are used up, which is the
    /// answer. A source that had nothing is not asked again in this wake-up: it will wake the task.
    fn take_inputs(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut mail, mut legs, mut links) = (true, self.media_source.take(cx), self.link_source.take(cx));
        for _ in 0..TURNS_PER_WAKE_UP {
            self.take_echoes();
            mail = mail && self.take_letter(cx);
            legs = legs && self.take_datagrams();
            links = links && self.take_link_events();
            if self.outcome.is_some() || !(mail || legs || links || !self.echoes.is_empty()) {
                return false;
            }
        }
        if legs {
            self.media_source.wake();
        }
        if links {
            self.link_source.wake();
        }
        true
    }

    fn take_echoes(&mut self) {
        while let Some(echo) = self.echoes.pop_front() {
            self.machine.step(match echo {
                Echo::MediaUp(leg, local) => Input::MediaUp { leg, local },
                Echo::MediaDown(leg, fault) => Input::MediaDown { leg, fault },
                Echo::AriLink(state) => Input::AriLink(state),
            });
            self.perform();
        }
    }

    fn take_letter(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(letter) = self.mailbox.poll_next(cx) else {
            // Lost events are what a gap in the event socket is, and the machine knows what to do about that.
            if self.mailbox.take_overflow() {
                tracing::warn!("more ARI events wait for this call than it may hold; some were dropped");
                self.echoes.push_back(Echo::AriLink(LinkState::Down));
                if self.events_flow {
                    self.echoes.push_back(Echo::AriLink(LinkState::Up));
                }
            }
            return false;
        };
        self.machine.step(match &letter {
            Letter::Event(event) => Input::Ari(event),
            Letter::Reply(id, Ok((status, body))) => Input::AriReply { id: *id, status: *status, body },
            Letter::Reply(id, Err(fault)) => Input::AriFailed { id: *id, fault: *fault },
            Letter::Tool(id, Ok((status, body))) => Input::ToolReply { id: *id, status: *status, body },
            Letter::Tool(id, Err(fault)) => Input::ToolFailed { id: *id, fault: *fault },
            Letter::AriLink(state) => {
                self.events_flow = *state == LinkState::Up;
                Input::AriLink(*state)
            }
            Letter::Stop(reason) => Input::Stop(*reason),
        });
        self.perform();
        true
    }

    fn take_datagrams(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.legs.len() {
            // An action may have closed a leg meanwhile.
            let Some(leg) = self.legs.get(index) else { break };
            let (id, received) =
                (leg.id, leg.poll_receive(&mut self.media_source.context(), &mut self.datagram));
            match received {
                Poll::Pending => continue,
                Poll::Ready(Ok((len, from))) => {
                    let bytes = self.datagram.get(..len).unwrap_or_default();
                    self.machine.step(Input::Media { leg: id, from, bytes });
                }
                Poll::Ready(Err(fault)) => {
                    self.legs.retain(|leg| leg.id != id);
                    self.machine.step(Input::MediaDown { leg: id, fault });
                }
            }
            any = true;
            self.perform();
        }
        any
    }

    fn take_link_events(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.links.len() {
            let Some(link) = self.links.get_mut(index) else { break };
            let id = link.id;
            match link.poll_event(&mut self.link_source.context()) {
                Poll::Pending => continue,
                Poll::Ready(LinkEvent::Alive) => self.machine.step(Input::RealtimePong { link: id }),
                Poll::Ready(LinkEvent::Up) => self.machine.step(Input::RealtimeUp { link: id }),
                Poll::Ready(LinkEvent::Message(bytes)) => {
                    self.machine.step(Input::Realtime { link: id, bytes: &bytes })
                }
                Poll::Ready(LinkEvent::Down(down)) => {
                    self.links.retain(|link| link.id != id);
                    self.machine.step(Input::RealtimeDown {
                        link: id,
                        http_status: down.http_status,
                        retry_after: down.retry_after,
                        code: down.code,
                        reason: &down.reason,
                        fault: down.fault,
                    });
                }
            }
            any = true;
            self.perform();
        }
        any
    }

    /// Performs the actions of the last step.
    fn perform(&mut self) {
        // The buffer goes aside for a moment, so that the sockets can be changed while it is read.
        let out = mem::take(&mut self.machine.out);
        let now = self.machine.clock.last();
        for action in out.iter() {
            match action {
                Action::Ari { id, method, path, body, timeout } => {
                    let post = self.post.clone();
                    self.shared.requests.submit(Request {
                        method,
                        url: self.shared.fixed.ari.rest_url(out.text(path)),
                        body: out.bytes(body).to_vec(),
                        timeout,
                        deliver: Box::new(move |reply| post.send(Letter::Reply(id, reply))),
                    });
                }
                Action::OpenMedia { leg, plan } => self.open_media(leg, plan),
                Action::SendMedia { leg, to, bytes } => {
                    if let Some(leg) = self.legs.iter().find(|l| l.id == leg) {
                        leg.send(to, out.bytes(bytes));
                    }
                }
                Action::CloseMedia { leg } => self.legs.retain(|l| l.id != leg),
                Action::OpenRealtime { link, safety_identifier } => {
                    let target = self.terms.realtime_for(out.text(safety_identifier));
                    self.links.push(Link::open(link, target));
                    self.link_source.wake();
                }
                Action::SendRealtime { link, bytes } => {
                    if let Some(link) = self.links.iter_mut().find(|l| l.id == link)
                        && link.send(&mut self.link_source.context(), out.bytes(bytes))
                    {
                        self.link_source.wake();
                    }
                }
                Action::PingRealtime { link } => {
                    if let Some(link) = self.links.iter_mut().find(|l| l.id == link)
                        && link.ping(&mut self.link_source.context())
                    {
                        self.link_source.wake();
                    }
                }
                Action::CloseRealtime { link, code } => self.close_realtime(link, code),
                Action::Tool { id, asks, name, arguments, timeout } => {
                    let call = ToolCall {
                        call: self.id,
                        asks,
                        name: out.text(name).to_owned(),
                        arguments: out.text(arguments).to_owned(),
                        timeout,
                    };
                    self.shared.call_tool(call, ToolAnswer::new(self.post.clone(), id));
                }
                Action::Record(record) => {
                    self.recording.record(now, &record, &out);
                    self.shared.record(self.id, &record, &out);
                }
                Action::Tell(news) => self.switchboard.send(Notice::CallTold(self.id, news)),
                Action::Observe(observation) => {
                    self.recording.observe(now, &observation);
                    self.shared.observe(Some(self.id), &observation);
                }
                Action::Finish(outcome) => {
                    self.recording.finish(&outcome);
                    self.outcome = Some(outcome);
                }
            }
        }
        self.machine.out = out;
    }

    fn open_media(&mut self, leg: LegId, plan: MediaPlan) {
        let Transport::Rtp = plan.transport;
        self.media_source.wake();
        self.echoes.push_back(match self.shared.bind_media(leg) {
            Ok((socket, local)) => {
                self.legs.push(socket);
                Echo::MediaUp(leg, local)
            }
            Err(fault) => Echo::MediaDown(leg, fault),
        });
    }

    fn close_realtime(&mut self, link: LinkId, code: u16) {
        if let Some(index) = self.links.iter().position(|l| l.id == link)
            && let Some(socket) = self.links.swap_remove(index).into_socket()
        {
            self.shared.spawn(async move { socket.close(code, "").await });
        }
    }
}

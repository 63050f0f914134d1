//! The driver of one call: one task that owns the machine, its media sockets and its Realtime sockets.
//!
//! It answers four questions and no others: which inputs are ready, what time it is, how an action is performed,
//! how to sleep until a deadline. What a message says is the machine's business.

use ari_bridge_core::call::{Input, IoFault, Outcome};
use ari_bridge_core::id::{LegId, LinkId};
use ari_bridge_host::call::{Desk, Errand, Inbox, Machine, Opening};
use ari_bridge_host::link::{Link, LinkEvent};
use ari_bridge_host::media::{Datagram, datagram};
use smol::Timer;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use crate::alarm::Alarm;
use crate::leg::Leg;
use crate::net;
use crate::ready::Source;
use crate::tasks::Tasks;

/// How many turns a call takes before other calls get theirs. In a turn each source gives one input at most.
const TURNS_PER_WAKE_UP: usize = 64;

/// What performing an action brought about at once; the machine hears of it in its next step.
type Echo = (LegId, Result<SocketAddr, IoFault>);

/// A call and its sockets. Dropping it closes them and gives the ports back.
pub(crate) struct Driver {
    machine: Machine,
    inbox: Inbox,
    desk: Desk,
    tasks: Tasks,
    alarm: Alarm,
    legs: Vec<Leg>,
    links: Vec<Link>,
    echoes: VecDeque<Echo>,
    media_source: Source,
    link_source: Source,
    datagram: Datagram,
}

impl Driver {
    /// Makes the call. Its first actions are performed at the first poll.
    pub(crate) fn new(opening: Opening, tasks: Tasks) -> Self {
        let (machine, inbox, desk) = opening.begin();
        Self {
            machine,
            inbox,
            desk,
            tasks,
            alarm: Alarm::new(),
            legs: Vec::new(),
            links: Vec::new(),
            echoes: VecDeque::new(),
            media_source: Source::new(),
            link_source: Source::new(),
            datagram: datagram(),
        }
    }

    /// Runs the call to its end.
    pub(crate) async fn run(mut self) -> Outcome {
        self.perform();
        smol::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// One wake-up: every input that is ready, then the timer, then sleep.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut has_looked_again = false;
        loop {
            let exhausted = self.take_inputs(cx);
            if self.desk.outcome().is_none() && !exhausted && self.machine.is_due() {
                if self.machine.is_overdue() && !has_looked_again {
                    // The reactor, too, may have stood still: the sockets themselves are asked.
                    self.media_source.wake();
                    self.link_source.wake();
                    has_looked_again = true;
                    continue;
                }
                self.step(Input::Timer);
            }
            if let Some(outcome) = self.desk.outcome() {
                return Poll::Ready(outcome);
            }
            if exhausted || self.machine.is_due() || !self.echoes.is_empty() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let deadline = self.machine.deadline();
            if self.alarm.poll(cx, self.machine.clock(), deadline).is_pending() {
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
            if self.desk.outcome().is_some() || !(mail || legs || links || !self.echoes.is_empty()) {
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
        while let Some((leg, bound)) = self.echoes.pop_front() {
            self.step(match bound {
                Ok(local) => Input::MediaUp { leg, local },
                Err(fault) => Input::MediaDown { leg, fault },
            });
        }
    }

    fn take_letter(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(letter) = self.inbox.poll_next(cx) else { return false };
        self.step(letter.input());
        true
    }

    fn take_datagrams(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.legs.len() {
            // An action may have closed a leg meanwhile.
            let Some(socket) = self.legs.get(index) else { break };
            let leg = socket.id;
            match socket.poll_receive(&mut self.media_source.context(), &mut self.datagram) {
                Poll::Pending => continue,
                Poll::Ready(Ok((len, from))) => {
                    let bytes = self.datagram.get(..len).unwrap_or_default();
                    self.machine.step(Input::Media { leg, from, bytes });
                }
                Poll::Ready(Err(fault)) => {
                    self.legs.retain(|socket| socket.id != leg);
                    self.machine.step(Input::MediaDown { leg, fault });
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
            let Some(socket) = self.links.get_mut(index) else { break };
            let link = socket.id;
            let Poll::Ready(event) = socket.poll_event(&mut self.link_source.context()) else { continue };
            if matches!(event, LinkEvent::Down(_)) {
                self.links.retain(|socket| socket.id != link);
            }
            any = true;
            self.step(event.of_realtime(link));
        }
        any
    }

    fn step(&mut self, input: Input<'_>) {
        self.machine.step(input);
        self.perform();
    }

    /// Performs the actions of the last step.
    fn perform(&mut self) {
        let (now, out) = self.machine.take_actions();
        for action in out.iter() {
            if let Some(errand) = self.desk.perform(now, action, &out) {
                self.run_errand(errand);
            }
        }
        self.machine.return_actions(out);
    }

    fn run_errand(&mut self, errand: Errand<'_>) {
        match errand {
            Errand::OpenMedia { leg, bound } => {
                let opened = bound.and_then(|bound| Leg::new(leg, bound)).map(|socket| {
                    let local = socket.local;
                    self.legs.push(socket);
                    local
                });
                self.media_source.wake();
                self.echoes.push_back((leg, opened));
            }
            Errand::SendMedia { leg, to, bytes } => {
                if let Some(leg) = self.legs.iter().find(|socket| socket.id == leg) {
                    leg.send(to, bytes);
                }
            }
            Errand::CloseMedia { leg } => self.legs.retain(|socket| socket.id != leg),
            Errand::OpenRealtime { link, target } => {
                self.links.push(Link::open(link, net::open(target)));
                self.link_source.wake();
            }
            Errand::SendRealtime { link, text } => self.on_link(link, |link, cx| link.send(cx, text)),
            Errand::PingRealtime { link } => self.on_link(link, Link::ping),
            Errand::CloseRealtime { link, code } => {
                if let Some(index) = self.links.iter().position(|socket| socket.id == link)
                    && let Some(socket) = self.links.swap_remove(index).into_socket()
                {
                    self.tasks.spawn(net::close(socket, code));
                }
            }
            Errand::Later { after, act } => self.tasks.spawn(async move {
                Timer::after(after).await;
                act();
            }),
        }
    }

    /// Does something on a link, and sees to it that the link is polled if that is due.
    fn on_link(&mut self, link: LinkId, act: impl FnOnce(&mut Link, &mut Context<'_>) -> bool) {
        if let Some(socket) = self.links.iter_mut().find(|socket| socket.id == link)
            && act(socket, &mut self.link_source.context())
        {
            self.link_source.wake();
        }
    }
}

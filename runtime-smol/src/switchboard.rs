//! The driver of the switchboard: one task that owns the event socket of ARI and knows where every call's
//! mailbox is. It never waits for a call, because Asterisk cuts off a client that reads slowly; for the same reason it
//! has a thread of its own, on which no call can keep it waiting.

use ari_bridge_core::call::{Entry, LinkState, Method, News, Origin, Outcome, Start, StopReason};
use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce, LinkId, RequestId};
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard::{Action, Actions, Input, Next, Switchboard};
use smol::future::FutureExt;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tracing::Instrument;

use crate::call;
use crate::clock::{Alarm, Clock, utc};
use crate::link::{Link, LinkEvent};
use crate::mailbox::{Mailbox, Post, mailbox};
use crate::notify::{Pulse, Supervisor};
use crate::ready::Source;
use crate::requests::{Reply, Request};
use crate::shared::Shared;

/// How many turns the switchboard takes before the calls get theirs.
const TURNS_PER_WAKE_UP: usize = 64;

/// How long the end of a process takes at the most beside [`SwitchboardSettings::drain`]: goodbyes, and what the
/// calls leave to remove.
const END: Duration = Duration::from_secs(30);

/// What the calls, the request threads and the operator tell the switchboard.
#[derive(Debug)]
pub(crate) enum Notice {
    Reply(RequestId, Reply),
    CallTold(CallId, News),
    CallFinished(CallId, Outcome),
    CallPanicked(CallId),
    Settings(Box<SwitchboardSettings>),
    Drain,
    StopNow,
}

/// The switchboard and what it drives.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    post: Post<Notice>,
    mailbox: Mailbox<Notice>,
    machine: Switchboard,
    clock: Clock,
    out: Actions,
    next: Next,
    alarm: Alarm,
    events: Option<Link>,
    event_source: Source,
    /// How long calls may go on when the process is to stop.
    drain: Duration,
    pulse: Option<Pulse>,
    calls: BTreeMap<CallId, Post<call::Letter>>,
    finished: bool,
}

impl Driver {
    /// Makes the switchboard, and says so to whoever supervises the process.
    pub(crate) fn new(
        shared: Arc<Shared>,
        post: Post<Notice>,
        mailbox: Mailbox<Notice>,
        supervisor: Option<Arc<Supervisor>>,
    ) -> Self {
        let (mut clock, mut out) = (Clock::start(), Actions::new());
        let nonce = InstanceNonce::new((random() >> 32) as u32);
        let settings = &shared.fixed.switchboard;
        let drain = settings.drain;
        let (machine, next) = Switchboard::new(settings, nonce, random(), utc(), clock.tick(), &mut out);
        tracing::info!("this run names what it makes on Asterisk {nonce}-…");
        Self {
            shared,
            post,
            mailbox,
            machine,
            clock,
            out,
            next,
            alarm: Alarm::new(),
            events: None,
            event_source: Source::new(),
            drain,
            pulse: supervisor.map(Pulse::new),
            calls: BTreeMap::new(),
            finished: false,
        }
    }

    /// Runs until the switchboard is drained.
    pub(crate) async fn run(mut self) {
        self.perform();
        smol::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let exhausted = self.take_inputs(cx);
            if !self.finished && self.is_due() {
                self.step(Input::Timer);
            }
            if self.finished {
                return Poll::Ready(());
            }
            if let Some(pulse) = &mut self.pulse {
                pulse.poll(cx, &self.shared, self.calls.len());
            }
            if exhausted || self.is_due() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let deadline = self.next.deadline.map(|(at, _)| at);
            if self.alarm.poll(cx, &self.clock, deadline).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn is_due(&self) -> bool {
        self.next.deadline.is_some_and(|(at, _)| self.clock.is_due(at))
    }

    /// As in a call: one input of each source in turn; the answer is whether the turns are used up.
    fn take_inputs(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut events, mut notices) = (self.event_source.take(cx), true);
        for _ in 0..TURNS_PER_WAKE_UP {
            events = events && self.take_event();
            notices = notices && self.take_notice(cx);
            if self.finished || !(events || notices) {
                return false;
            }
        }
        if events {
            self.event_source.wake();
        }
        true
    }

    fn take_event(&mut self) -> bool {
        let Some(events) = &mut self.events else { return false };
        let Poll::Ready(event) = events.poll_event(&mut self.event_source.context()) else { return false };
        match event {
            LinkEvent::Alive => self.step(Input::AriPong),
            LinkEvent::Up => self.step(Input::AriUp),
            LinkEvent::Message(bytes) => self.step(Input::Ari(&bytes)),
            LinkEvent::Down(down) => {
                self.events = None;
                self.step(Input::AriDown { http_status: down.http_status, fault: down.fault });
            }
        }
        true
    }

    fn take_notice(&mut self, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(notice) = self.mailbox.poll_next(cx) else { return false };
        match notice {
            Notice::Reply(id, Ok((status, body))) => self.step(Input::AriReply { id, status, body: &body }),
            Notice::Reply(id, Err(fault)) => self.step(Input::AriFailed { id, fault }),
            Notice::CallTold(call, news) => self.step(Input::CallTold { call, news }),
            Notice::CallFinished(call, outcome) => {
                self.calls.remove(&call);
                self.step(Input::CallFinished { call, outcome });
            }
            Notice::CallPanicked(call) => {
                self.calls.remove(&call);
                self.step(Input::CallPanicked { call });
            }
            Notice::Settings(settings) => {
                self.drain = settings.drain;
                self.step(Input::Settings(&settings));
            }
            Notice::Drain => {
                self.stopping(self.drain + END);
                self.step(Input::Drain);
            }
            Notice::StopNow => {
                self.stopping(END);
                self.step(Input::StopNow);
            }
        }
        true
    }

    /// The admin listener and the supervisor hear of the end first.
    fn stopping(&self, within: Duration) {
        self.shared.stopping();
        if let Some(pulse) = &self.pulse {
            pulse.supervisor.stopping(within);
        }
    }

    fn step(&mut self, input: Input<'_>) {
        self.out.clear();
        let now = self.clock.tick();
        self.next = self.machine.step(now, input, &mut self.out);
        self.perform();
    }

    fn perform(&mut self) {
        let out = mem::take(&mut self.out);
        for action in out.iter() {
            match action {
                Action::OpenAri => {
                    self.events = Some(Link::open(LinkId(0), self.shared.events()));
                    self.event_source.wake();
                }
                Action::Ari { id, method, path, timeout } => {
                    self.request(id, method, out.text(path), timeout)
                }
                Action::PingAri => {
                    if let Some(events) = &mut self.events
                        && events.ping(&mut self.event_source.context())
                    {
                        self.event_source.wake();
                    }
                }
                Action::CloseAri => self.events = None,
                Action::StartCall { call, ids, seed, entry, about, caller } => {
                    let about = out.bytes(about).to_vec();
                    self.start_call(call, ids, seed, out.text(caller), (entry, about));
                }
                Action::ToCall { call, event } => {
                    if let Some(post) = self.calls.get(&call) {
                        let event = out.bytes(event);
                        post.offer(call::Letter::Event(event.to_vec()), event.len());
                    }
                }
                Action::ToAll(state) => self.tell_all(state),
                Action::StopCall { call, reason } => self.stop_call(call, reason),
                Action::Observe(observation) => self.shared.observe(None, &observation),
                Action::Finish => self.finished = true,
            }
        }
        self.out = out;
    }

    fn request(&self, id: RequestId, method: Method, path: &str, timeout: Duration) {
        let post = self.post.clone();
        self.shared.requests.submit(Request {
            method,
            url: self.shared.fixed.ari.rest_url(path),
            body: Vec::new(),
            timeout,
            deliver: Box::new(move |reply| post.send(Notice::Reply(id, reply))),
        });
    }

    fn tell_all(&self, state: LinkState) {
        for post in self.calls.values() {
            post.send(call::Letter::AriLink(state));
        }
    }

    fn stop_call(&self, call: CallId, reason: StopReason) {
        if let Some(post) = self.calls.get(&call) {
            post.send(call::Letter::Stop(reason));
        }
    }

    /// Gives a call a task of its own. If it panics, it alone ends, and the switchboard cleans up after it.
    fn start_call(
        &mut self,
        call: CallId,
        ids: IdPrefix,
        seed: u64,
        caller: &str,
        (entry, about): (Entry, Vec<u8>),
    ) {
        let (post, letters) = mailbox();
        self.calls.insert(call, post.clone());
        let (shared, home) = (self.shared.clone(), self.post.clone());
        let terms = self.shared.terms();
        let caller_tag = terms.caller_tag(caller);
        let switchboard = self.post.clone();
        let run = async move {
            let start = Start {
                ids,
                seed,
                utc: utc(),
                caller_tag,
                media: terms.media,
                origin: Origin::new(entry, &about),
            };
            call::Driver::new(shared, terms, start, switchboard, post, letters).run().await
        };
        let contained = async move {
            home.send(match AssertUnwindSafe(run).catch_unwind().await {
                Ok(outcome) => Notice::CallFinished(call, outcome),
                Err(_) => Notice::CallPanicked(call),
            });
        };
        let span = tracing::info_span!("call", id = %ids);
        self.shared.spawn(contained.instrument(span));
    }
}

/// 64 bits of the system's randomness: the standard library keys its hash maps with it.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

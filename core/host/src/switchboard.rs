//! The switchboard, but for the event socket and its timers.

use ari_bridge_core::call::{LinkState, News, Outcome};
use ari_bridge_core::capture::SwitchboardStart;
use ari_bridge_core::id::{CallId, InstanceNonce, RequestId};
use ari_bridge_core::record::Captured;
use ari_bridge_core::settings::SwitchboardSettings;
use ari_bridge_core::switchboard::{Action, Actions, Input, Switchboard};
use ari_bridge_core::time::Instant;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use crate::call::{Letter, Opening};
use crate::clock::utc;
use crate::mailbox::{Post, mailbox};
use crate::notify::{Pulse, Supervisor};
use crate::recorder::{Tape, Verdict};
use crate::requests::{Reply, Request};
use crate::shared::Shared;
use crate::socket::Target;

/// How long the end of a process takes at the most beside [`SwitchboardSettings::drain`]: goodbyes, and what the
/// calls leave to remove.
const END: Duration = Duration::from_secs(30);

/// What the calls, the request threads and the operator tell the switchboard.
#[derive(Debug)]
pub enum Notice {
    /// The answer to a request.
    Reply(RequestId, Reply),
    /// A call is under way and has news.
    CallTold(CallId, News),
    /// A call is over.
    CallFinished(CallId, Outcome),
    /// A call ended by a fault of our own.
    CallPanicked(CallId),
    /// The operator has changed the settings.
    Settings(Box<SwitchboardSettings>),
    /// Take no new calls.
    Drain,
    /// And end those under way.
    StopNow,
}

impl Notice {
    /// What the machine is told.
    #[must_use]
    pub fn input(&self) -> Input<'_> {
        match self {
            Self::Reply(id, Ok((status, body))) => Input::AriReply { id: *id, status: *status, body },
            Self::Reply(id, Err(fault)) => Input::AriFailed { id: *id, fault: *fault },
            Self::CallTold(call, news) => Input::CallTold { call: *call, news: *news },
            Self::CallFinished(call, outcome) => Input::CallFinished { call: *call, outcome: *outcome },
            Self::CallPanicked(call) => Input::CallPanicked { call: *call },
            Self::Settings(settings) => Input::Settings(settings),
            Self::Drain => Input::Drain,
            Self::StopNow => Input::StopNow,
        }
    }
}

/// The switchboard's machine.
pub type Machine = crate::machine::Machine<Switchboard>;

/// Makes it, with a name for this run of the bridge, and what is to learn how it ends.
pub(crate) fn begin(shared: &Arc<Shared>) -> (Machine, Option<Verdict>) {
    let nonce = InstanceNonce::new((random() >> 32) as u32);
    tracing::info!("this run names what it makes on Asterisk {nonce}-…");
    let start = SwitchboardStart { nonce, seed: random(), utc: utc() };
    let tape = shared.recorder.tape(Captured::Switchboard(nonce), start.utc, None);
    let verdict = tape.as_ref().map(Tape::verdict);
    (Machine::begin(&shared.fixed.switchboard, start, shared, None, tape), verdict)
}

/// What is left of an action for who has sockets and tasks.
#[derive(Debug)]
pub enum Errand {
    /// Open the event socket.
    OpenAri(Arc<Target>),
    /// Send a ping on it.
    PingAri,
    /// Drop it.
    CloseAri,
    /// Give this call a task of its own ([`Opening::task`]).
    StartCall(Box<Opening>),
}

/// Where the actions of the switchboard are performed that take no socket. It knows where every call's mailbox is, and
/// never waits for a call, because Asterisk cuts off a client that reads slowly.
#[derive(Debug)]
pub struct Desk {
    shared: Arc<Shared>,
    post: Post<Notice>,
    /// How long calls may go on when the process is to stop.
    drain: Duration,
    pulse: Option<Pulse>,
    calls: BTreeMap<CallId, Post<Letter>>,
    /// Of the capture, if there is one.
    verdict: Option<Verdict>,
    is_finished: bool,
}

impl Desk {
    pub(crate) fn new(
        shared: Arc<Shared>,
        post: Post<Notice>,
        supervisor: Option<Arc<Supervisor>>,
        verdict: Option<Verdict>,
    ) -> Self {
        let drain = shared.fixed.switchboard.drain;
        let pulse = supervisor.map(Pulse::new);
        Self { shared, post, drain, pulse, calls: BTreeMap::new(), verdict, is_finished: false }
    }

    /// Whether the switchboard is drained.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Looks at a notice before the machine does: the admin listener and the supervisor hear of the end first.
    pub fn note(&mut self, notice: &Notice) {
        match notice {
            Notice::CallFinished(call, _) | Notice::CallPanicked(call) => {
                self.calls.remove(call);
            }
            Notice::Settings(settings) => self.drain = settings.drain,
            Notice::Drain => self.stopping(self.drain + END),
            Notice::StopNow => self.stopping(END),
            Notice::Reply(..) | Notice::CallTold(..) => {}
        }
    }

    fn stopping(&self, within: Duration) {
        self.shared.stopping();
        if let Some(pulse) = &self.pulse {
            pulse.supervisor.stopping(within);
        }
    }

    /// When the supervisor is to be told something, if there is one.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.pulse.as_ref().map(Pulse::deadline)
    }

    /// Tells the supervisor what is due. What it returns is to be run on the threads of the calls, so that they, too,
    /// are known to be alive.
    #[must_use]
    pub fn beat(&mut self, now: Instant) -> Option<impl Future<Output = ()> + Send + use<>> {
        let pulse = self.pulse.as_mut()?;
        let is_due = pulse.beat(now, &self.shared, self.calls.len());
        let supervisor = is_due.then(|| pulse.supervisor.clone())?;
        Some(async move { supervisor.alive() })
    }

    /// Performs an action whose bytes lie in `out`.
    #[must_use]
    pub fn perform(&mut self, action: Action, out: &Actions) -> Option<Errand> {
        match action {
            Action::OpenAri => return Some(Errand::OpenAri(self.shared.events())),
            Action::PingAri => return Some(Errand::PingAri),
            Action::CloseAri => return Some(Errand::CloseAri),
            Action::Ari { id, method, path, timeout } => {
                let post = self.post.clone();
                self.shared.requests.submit(Request {
                    method,
                    url: self.shared.fixed.ari.rest_url(out.text(path)),
                    body: Vec::new(),
                    timeout,
                    deliver: Box::new(move |reply| post.send(Notice::Reply(id, reply))),
                });
            }
            Action::StartCall { call, ids, seed, entry, about, caller } => {
                let (post, letters) = mailbox();
                self.calls.insert(call, post.clone());
                let terms = self.shared.terms();
                return Some(Errand::StartCall(Box::new(Opening {
                    shared: self.shared.clone(),
                    caller_tag: terms.caller_tag(out.text(caller)),
                    terms,
                    ids,
                    seed,
                    entry,
                    about: out.bytes(about).to_vec(),
                    switchboard: self.post.clone(),
                    post,
                    letters,
                })));
            }
            Action::ToCall { call, event } => {
                if let Some(post) = self.calls.get(&call) {
                    let event = out.bytes(event);
                    post.offer(Letter::Event(event.to_vec()), event.len());
                }
            }
            Action::ToAll(state) => self.tell_all(state),
            Action::StopCall { call, reason } => {
                if let Some(post) = self.calls.get(&call) {
                    post.send(Letter::Stop(reason));
                }
            }
            Action::Observe(observation) => self.shared.observe(None, &observation),
            Action::Finish => {
                self.is_finished = true;
                if let Some(verdict) = &self.verdict {
                    verdict.drained();
                }
            }
        }
        None
    }

    fn tell_all(&self, state: LinkState) {
        for post in self.calls.values() {
            post.send(Letter::AriLink(state));
        }
    }
}

/// 64 bits of the system's randomness: the standard library keys its hash maps with it.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

//! A call, but for its sockets and its timers.

use ari_bridge_core::call::{
    Action, Actions, Call, Entry, Input, IoFault, LinkState, Origin, Outcome, Start, StopReason,
};
use ari_bridge_core::id::{CallId, IdPrefix, LegId, LinkId, RequestId, ToolId};
use ari_bridge_core::record::Captured;
use ari_bridge_core::settings::Transport;
use ari_bridge_core::time::Instant;
use futures_lite::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tracing::Instrument;

use crate::clock::utc;
use crate::mailbox::{Mailbox, Post};
use crate::media::Bound;
use crate::record::Recording;
use crate::recorder::{Tape, Verdict};
use crate::requests::{Reply, Request};
use crate::shared::Shared;
use crate::socket::Target;
use crate::switchboard::Notice;
use crate::terms::Terms;
use crate::tool::{ToolAnswer, ToolCall};

/// What the switchboard and the request threads tell a call.
#[derive(Debug)]
pub enum Letter {
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

impl Letter {
    /// What the machine is told.
    #[must_use]
    pub fn input(&self) -> Input<'_> {
        match self {
            Self::Event(event) => Input::Ari(event),
            Self::Reply(id, Ok((status, body))) => Input::AriReply { id: *id, status: *status, body },
            Self::Reply(id, Err(fault)) => Input::AriFailed { id: *id, fault: *fault },
            Self::Tool(id, Ok((status, body))) => Input::ToolReply { id: *id, status: *status, body },
            Self::Tool(id, Err(fault)) => Input::ToolFailed { id: *id, fault: *fault },
            Self::AriLink(state) => Input::AriLink(*state),
            Self::Stop(reason) => Input::Stop(*reason),
        }
    }
}

/// The letters of a call.
#[derive(Debug)]
pub struct Inbox {
    mailbox: Mailbox<Letter>,
    /// What was told last of the event socket. A call begins while it is open.
    events_flow: bool,
    /// Whether the end of a gap in the events is still to be told.
    owes_up: bool,
}

impl Inbox {
    const fn new(mailbox: Mailbox<Letter>) -> Self {
        Self { mailbox, events_flow: true, owes_up: false }
    }

    /// The next letter.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Letter> {
        if std::mem::take(&mut self.owes_up) {
            return Poll::Ready(Letter::AriLink(LinkState::Up));
        }
        let next = self.mailbox.poll_next(cx);
        match &next {
            Poll::Ready(Letter::AriLink(state)) => self.events_flow = *state == LinkState::Up,
            // Lost events are what a gap in the event socket is, and the machine knows what to do about that.
            Poll::Pending if self.mailbox.take_overflow() => {
                tracing::warn!("more ARI events wait for this call than it may hold; some were dropped");
                self.owes_up = self.events_flow;
                return Poll::Ready(Letter::AriLink(LinkState::Down));
            }
            Poll::Ready(_) | Poll::Pending => {}
        }
        next
    }
}

/// A call that is to be begun: everything that it takes.
pub struct Opening {
    pub(crate) shared: Arc<Shared>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) ids: IdPrefix,
    pub(crate) seed: u64,
    pub(crate) caller_tag: Option<[u8; 32]>,
    pub(crate) entry: Entry,
    /// What [`Origin`] holds.
    pub(crate) about: Vec<u8>,
    pub(crate) switchboard: Post<Notice>,
    pub(crate) post: Post<Letter>,
    pub(crate) letters: Mailbox<Letter>,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opening").field("ids", &self.ids).finish_non_exhaustive()
    }
}

impl Opening {
    /// Makes the call. Its first actions are with the machine.
    #[must_use]
    pub fn begin(self) -> (Machine, Inbox, Desk) {
        let start = Start {
            ids: self.ids,
            seed: self.seed,
            utc: utc(),
            caller_tag: self.caller_tag,
            media: self.terms.media,
            origin: Origin::new(self.entry, &self.about),
        };
        let model = Some(self.terms.call.session.audio_format);
        let tape = self.shared.recorder.tape(Captured::Call(self.ids), start.utc, model);
        let verdict = tape.as_ref().map(Tape::verdict);
        let machine = Machine::begin(&self.terms.call, start, &self.shared, Some(self.ids.call), tape);
        let desk = Desk {
            id: self.ids.call,
            recording: Recording::new(&self.shared, &start),
            shared: self.shared,
            terms: self.terms,
            switchboard: self.switchboard,
            post: self.post,
            verdict,
            outcome: None,
        };
        (machine, Inbox::new(self.letters), desk)
    }

    /// The task of the call, in which `run` makes its driver and drives it to the end. If that panics the call alone
    /// ends, and the switchboard cleans up after it.
    pub fn task<F>(self, run: impl FnOnce(Self) -> F) -> impl Future<Output = ()>
    where
        F: Future<Output = Outcome>,
    {
        let (call, home) = (self.ids.call, self.switchboard.clone());
        let span = tracing::info_span!("call", id = %self.ids);
        let contained = async move {
            let run = AssertUnwindSafe(async move { run(self).await }).catch_unwind();
            home.send(match run.await {
                Ok(outcome) => Notice::CallFinished(call, outcome),
                Err(_) => Notice::CallPanicked(call),
            });
        };
        contained.instrument(span)
    }
}

/// The machine of a call.
pub type Machine = crate::machine::Machine<Call>;

/// What is left of an action for who has sockets and timers.
pub enum Errand<'a> {
    /// Take this media socket, and tell the machine of it.
    OpenMedia {
        /// Its name.
        leg: LegId,
        /// The socket, or why there is none.
        bound: Result<Bound, IoFault>,
    },
    /// Send a datagram, now or not at all: when the system has no room, a frame that waits would only be late.
    SendMedia {
        /// From which socket.
        leg: LegId,
        /// To whom.
        to: std::net::SocketAddr,
        /// The datagram.
        bytes: &'a [u8],
    },
    /// Close a media socket.
    CloseMedia {
        /// Which.
        leg: LegId,
    },
    /// Open a WebSocket.
    OpenRealtime {
        /// Its name.
        link: LinkId,
        /// Where.
        target: Arc<Target>,
    },
    /// Send a text message.
    SendRealtime {
        /// On which link.
        link: LinkId,
        /// The message.
        text: &'a [u8],
    },
    /// Send a ping.
    PingRealtime {
        /// On which link.
        link: LinkId,
    },
    /// Close a link, in the background.
    CloseRealtime {
        /// Which.
        link: LinkId,
        /// With what code.
        code: u16,
    },
    /// Do this later, in the background.
    Later {
        /// How much later.
        after: Duration,
        /// What.
        act: Box<dyn FnOnce() + Send>,
    },
}

/// Where the actions of a call are performed that take neither a socket nor a timer.
pub struct Desk {
    id: CallId,
    shared: Arc<Shared>,
    terms: Arc<Terms>,
    switchboard: Post<Notice>,
    post: Post<Letter>,
    recording: Recording,
    /// Of the capture, if there is one.
    verdict: Option<Verdict>,
    outcome: Option<Outcome>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Desk {
    /// How the call went, once it is over.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Performs an action of the step at `now`, whose bytes lie in `out`.
    #[must_use]
    pub fn perform<'a>(&mut self, now: Instant, action: Action, out: &'a Actions) -> Option<Errand<'a>> {
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
            Action::OpenMedia { leg, plan } => {
                let Transport::Rtp = plan.transport;
                return Some(Errand::OpenMedia { leg, bound: self.shared.bind_media() });
            }
            Action::SendMedia { leg, to, bytes } => {
                return Some(Errand::SendMedia { leg, to, bytes: out.bytes(bytes) });
            }
            Action::CloseMedia { leg } => return Some(Errand::CloseMedia { leg }),
            Action::OpenRealtime { link, safety_identifier } => {
                let target = self.terms.realtime_for(out.text(safety_identifier));
                return Some(Errand::OpenRealtime { link, target });
            }
            Action::SendRealtime { link, bytes } => {
                return Some(Errand::SendRealtime { link, text: out.bytes(bytes) });
            }
            Action::PingRealtime { link } => return Some(Errand::PingRealtime { link }),
            Action::CloseRealtime { link, code } => return Some(Errand::CloseRealtime { link, code }),
            Action::Tool { id, asks, name, arguments, timeout } => {
                let (name, arguments) = (out.text(name).to_owned(), out.text(arguments).to_owned());
                let call = ToolCall { call: self.id, asks, name, arguments, timeout };
                let answer = ToolAnswer::new(self.post.clone(), id);
                let late = Errand::Later { after: timeout, act: Box::new(answer.late()) };
                self.shared.call_tool(call, answer);
                return Some(late);
            }
            Action::Record(record) => {
                self.recording.record(now, &record, out);
                self.shared.record(self.id, &record, out);
            }
            Action::Tell(news) => self.switchboard.send(Notice::CallTold(self.id, news)),
            Action::Observe(observation) => {
                self.recording.observe(now, &observation);
                self.shared.observe(Some(self.id), &observation);
            }
            Action::Finish(outcome) => {
                self.recording.finish(&outcome);
                if let Some(verdict) = &self.verdict {
                    verdict.call(&outcome);
                }
                self.outcome = Some(outcome);
            }
        }
        None
    }
}

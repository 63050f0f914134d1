//! What goes into the switchboard and what comes out of it.

use crate::call::{Entry, IoFault, LinkState, Method, News, Outcome, StopReason};
use crate::id::{CallId, IdPrefix, RequestId};
use crate::observe::Observation;
use crate::settings::SwitchboardSettings;
use crate::time::{Duration, Instant};

pub use crate::actions::Span;

/// The output buffer of the switchboard.
pub type Actions = crate::actions::Actions<Action>;

impl Actions {
    /// Adds [`Action::Observe`].
    pub(crate) fn observe(&mut self, observation: Observation) {
        self.push(Action::Observe(observation));
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The event socket is open.
    AriUp,
    /// It could not be opened, or ended.
    AriDown {
        /// The HTTP status, if the upgrade was refused.
        http_status: Option<u16>,
        /// What broke, if something did.
        fault: Option<IoFault>,
    },
    /// An event came.
    Ari(&'a [u8]),
    /// A sign of life came on the event socket that is no event: the answer to [`Action::PingAri`], or a ping of
    /// Asterisk's own.
    AriPong,
    /// The reply to [`Action::Ari`], whatever its status.
    AriReply {
        /// The request.
        id: RequestId,
        /// The HTTP status.
        status: u16,
        /// The body.
        body: &'a [u8],
    },
    /// No reply came.
    AriFailed {
        /// The request.
        id: RequestId,
        /// Why.
        fault: IoFault,
    },
    /// A call has given its [`crate::call::Action::Tell`].
    CallTold {
        /// Which.
        call: CallId,
        /// What.
        news: News,
    },
    /// A call has given its [`crate::call::Action::Finish`].
    CallFinished {
        /// Which.
        call: CallId,
        /// How it went.
        outcome: Outcome,
    },
    /// The task of a call panicked.
    CallPanicked {
        /// Which.
        call: CallId,
    },
    /// The process is to stop: no new calls, and those under way may go on for
    /// [`SwitchboardSettings::drain`].
    Drain,
    /// The process is to stop now: calls end at once, and what they made is removed.
    StopNow,
    /// The operator has changed the settings. They hold for new calls; the application's name stays.
    Settings(&'a SwitchboardSettings),
    /// Every input that was ready has been given, and the deadline may have passed.
    Timer,
}

/// What the driver is to do.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Action {
    /// Open the event socket (`GET /ari/events?app=…`), now; the answer is `AriUp` or `AriDown`.
    OpenAri,
    /// Send a WebSocket ping (RFC 6455 §5.5.2) on the event socket. Never a pong that was not asked for: some versions
    /// of Asterisk die of it.
    PingAri,
    /// Drop the event socket, whatever its state. Nothing more is told of it: no `AriDown` follows.
    CloseAri,
    /// Send a request to ARI.
    Ari {
        /// Comes back with the reply.
        id: RequestId,
        /// The HTTP method.
        method: Method,
        /// The path below `/ari`, with its query.
        path: Span,
        /// How long to wait for the reply.
        timeout: Duration,
    },
    /// Make a call.
    StartCall {
        /// The call.
        call: CallId,
        /// How what it makes on Asterisk is named.
        ids: IdPrefix,
        /// Its seed.
        seed: u64,
        /// How it came about.
        entry: Entry,
        /// What [`crate::call::Origin`] holds: the event or the channel, as it came.
        about: Span,
        /// The caller's number, for [`crate::call::Start::caller_tag`]; empty if it is withheld.
        caller: Span,
    },
    /// Hand this event to a call.
    ToCall {
        /// Which.
        call: CallId,
        /// The event, as it came.
        event: Span,
    },
    /// Tell every call.
    ToAll(LinkState),
    /// End a call.
    StopCall {
        /// Which.
        call: CallId,
        /// Why.
        reason: StopReason,
    },
    /// Tell whoever watches: logs, metrics.
    Observe(Observation),
    /// Drained: no call is left and no request is open, or there is no more time for them. The last action, once.
    Finish,
}

/// When to come back at the latest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[must_use = "the deadline is the only one there is"]
pub struct Next {
    /// The next deadline and its reason; it lies in the future or a `Timer` settles it.
    pub deadline: Option<(Instant, Wake)>,
    /// Whether the machine is done: [`Action::Finish`] has been given.
    pub finished: bool,
}

/// The reason of a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Wake {
    /// The event socket is to be opened again.
    Reconnect,
    /// A clean-up request is to be repeated.
    CleanUp,
    /// The event socket has been silent: it is pinged, or given up.
    Ping,
    /// Asterisk is to be asked again what there is.
    Resync,
    /// The time that calls have to end is over.
    Drain,
}

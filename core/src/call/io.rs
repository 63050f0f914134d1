//! What goes into a call and what comes out of it.

use crate::ari::Event;
use crate::id::{IdPrefix, LegId, LinkId, RequestId, ToolId};
pub use crate::observe::TurnLatency;
use crate::observe::{BadInput, Observation, Once};
use crate::settings::MediaPlan;
use crate::time::{Duration, Instant, UtcNanos};
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};

pub use crate::actions::Span;
pub use crate::ari::Method;
pub use crate::fault::IoFault;
pub use crate::outcome::{EndReason, Outcome, StopReason};
pub use crate::wake::Wake;

/// The output buffer of a call.
pub type Actions = crate::actions::Actions<Action>;

impl Actions {
    /// Adds [`Action::Observe`].
    pub(crate) fn observe(&mut self, observation: Observation) {
        self.push(Action::Observe(observation));
    }

    /// Counts something that could not be read, and tells of the first of its kind.
    pub(crate) fn observe_bad(&mut self, what: BadInput, told: &mut Once) {
        told.bad_input(what).for_each(|observation| self.observe(observation));
    }
}

/// All that is ambient about a call. It enters here, once, so that the same `Start` and the same inputs give
/// the same call again.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// How what the call makes on Asterisk is named.
    pub ids: IdPrefix,
    /// Where SSRC, first sequence number and the like come from.
    pub seed: u64,
    /// The wall clock, for people only.
    pub utc: UtcNanos,
    /// A keyed hash of the caller, made outside, so that no secret is in a capture.
    pub caller_tag: Option<[u8; 32]>,
    /// How the media is to be carried.
    pub media: MediaPlan,
    /// How the call came about.
    pub origin: Origin<'a>,
}

/// How a call came about.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A channel entered the application.
    Arrived {
        /// The `StasisStart` event, as it came.
        event: &'a [u8],
    },
    /// A channel was found in the application whose call an earlier run of the bridge, or an earlier connection to
    /// Asterisk, has lost: the caller still waits.
    Adopted {
        /// What `GET /channels/{id}` shows of it.
        channel: &'a [u8],
    },
}

/// Which [`Origin`] a call has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// [`Origin::Arrived`].
    Arrived,
    /// [`Origin::Adopted`].
    Adopted,
}

impl<'a> Origin<'a> {
    /// The origin of this kind that these bytes tell of.
    #[must_use]
    pub const fn new(entry: Entry, bytes: &'a [u8]) -> Self {
        match entry {
            Entry::Arrived => Self::Arrived { event: bytes },
            Entry::Adopted => Self::Adopted { channel: bytes },
        }
    }

    /// Of which kind it is.
    #[must_use]
    pub const fn entry(&self) -> Entry {
        match self {
            Self::Arrived { .. } => Entry::Arrived,
            Self::Adopted { .. } => Entry::Adopted,
        }
    }

    /// The event by which the caller entered the application, or one that says the same; `None` if it cannot be read.
    #[must_use]
    pub fn event(&self) -> Option<Event<'a>> {
        match self {
            Self::Arrived { event } => Event::parse(event),
            Self::Adopted { channel } => Event::of_channel(channel),
        }
    }
}

/// What happened. Bytes are raw, so that a replay goes through the parsers too.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// An ARI event that concerns this call.
    Ari(&'a [u8]),
    /// The reply to [`Action::Ari`], whatever its status.
    AriReply {
        /// The request.
        id: RequestId,
        /// The HTTP status.
        status: u16,
        /// The body, at most [`crate::ari::MAX_REPLY_BYTES`].
        body: &'a [u8],
    },
    /// No reply came: the fate of the request is unknown.
    AriFailed {
        /// The request.
        id: RequestId,
        /// Why.
        fault: IoFault,
    },
    /// The event socket went away or came back. Events in between are lost.
    AriLink(LinkState),
    /// A media socket is bound.
    MediaUp {
        /// Which.
        leg: LegId,
        /// Where.
        local: SocketAddr,
    },
    /// A datagram came.
    Media {
        /// On which socket.
        leg: LegId,
        /// From whom.
        from: SocketAddr,
        /// The whole datagram, or its first [`crate::rtp::MAX_DATAGRAM_BYTES`] + 1 bytes if it is longer.
        bytes: &'a [u8],
    },
    /// A media socket could not be opened, or broke.
    MediaDown {
        /// Which.
        leg: LegId,
        /// Why.
        fault: IoFault,
    },
    /// A Realtime socket is open: the upgrade succeeded.
    RealtimeUp {
        /// Which.
        link: LinkId,
    },
    /// A text message came.
    Realtime {
        /// On which socket.
        link: LinkId,
        /// The message.
        bytes: &'a [u8],
    },
    /// A sign of life came on a Realtime socket that is no message: the answer to [`Action::PingRealtime`], or a ping
    /// of the server's own.
    RealtimePong {
        /// Which.
        link: LinkId,
    },
    /// A Realtime socket could not be opened, or ended.
    RealtimeDown {
        /// Which.
        link: LinkId,
        /// The HTTP status, if the upgrade was answered with something else than 101.
        http_status: Option<u16>,
        /// The `Retry-After` of that answer.
        retry_after: Option<Duration>,
        /// The close code, if the server closed with one.
        code: Option<u16>,
        /// The close reason, or the first bytes of the body of a refused upgrade.
        reason: &'a [u8],
        /// What broke, if neither of them ended it.
        fault: Option<IoFault>,
    },
    /// What came of [`Action::Tool`].
    ToolReply {
        /// Which.
        id: ToolId,
        /// An HTTP status: 200 to 299 means that it was done, or that the call is approved.
        status: u16,
        /// What the model is told; mostly JSON.
        body: &'a [u8],
    },
    /// Nothing came of it.
    ToolFailed {
        /// Which.
        id: ToolId,
        /// Why.
        fault: IoFault,
    },
    /// Every input that was ready has been given, and the deadline may have passed.
    Timer,
    /// The call must end.
    Stop(StopReason),
}

/// Whether ARI events flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum LinkState {
    /// They flow.
    Up,
    /// They do not.
    Down,
}

/// What the driver is to do. Actions of one step are performed in their order.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Action {
    /// Send a request to ARI. Requests may be answered in any order; the machine sends one that depends on
    /// another only after the other's reply.
    Ari {
        /// Comes back with the reply.
        id: RequestId,
        /// The HTTP method.
        method: Method,
        /// The path below `/ari`, with its query: `/channels/…?…`.
        path: Span,
        /// A JSON body, or nothing.
        body: Span,
        /// How long to wait for the reply.
        timeout: Duration,
    },
    /// Bind a media socket.
    OpenMedia {
        /// The name of the leg.
        leg: LegId,
        /// What kind.
        plan: MediaPlan,
    },
    /// Send one datagram from the leg's socket, now.
    SendMedia {
        /// The leg.
        leg: LegId,
        /// To whom.
        to: SocketAddr,
        /// The datagram.
        bytes: Span,
    },
    /// Close a media socket, if it is open, and give its port back. Nothing more is told of it.
    CloseMedia {
        /// The leg.
        leg: LegId,
    },
    /// Open a Realtime socket; the driver knows URL, headers and key.
    OpenRealtime {
        /// The name of the link.
        link: LinkId,
        /// The value of the header `OpenAI-Safety-Identifier`, or nothing: who calls, as a pseudonym.
        safety_identifier: Span,
    },
    /// Send one text message.
    SendRealtime {
        /// The link.
        link: LinkId,
        /// The message.
        bytes: Span,
    },
    /// Send a WebSocket ping (RFC 6455 §5.5.2), if the socket is open.
    PingRealtime {
        /// The link.
        link: LinkId,
    },
    /// Close a Realtime socket. Nothing more is told of it: no `RealtimeDown` follows.
    CloseRealtime {
        /// The link.
        link: LinkId,
        /// The close code.
        code: u16,
    },
    /// Perform a function that the model called, and answer with `ToolReply` or `ToolFailed`.
    Tool {
        /// Comes back with the answer.
        id: ToolId,
        /// What is asked.
        asks: ToolAsk,
        /// The name of the function; for an approval, the MCP server's label, a slash, and the tool's name.
        name: Span,
        /// A JSON object, as the model wrote it: untrusted input. It fits the function's schema.
        arguments: Span,
        /// How long to wait for the answer.
        timeout: Duration,
    },
    /// What was said and heard, for the record of the conversation. Unlike an observation it carries what
    /// people said, and goes only where the operator wants it.
    Record(Record),
    /// Tell the switchboard ([`crate::switchboard::Input::CallTold`]).
    Tell(News),
    /// Tell whoever watches: logs, metrics.
    Observe(Observation),
    /// The call is over and nothing of it is left to wait for. The last action, once.
    Finish(Outcome),
}

/// What the switchboard learns of a call that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum News {
    /// A Realtime session stands.
    RealtimeIsWell,
    /// The Realtime side has failed the call, which ends for it.
    RealtimeFails,
    /// So much was spent, in billionths of a US dollar.
    Spent(u64),
}

/// What a model wants of the program around the bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ToolAsk {
    /// That it performs a function.
    Function,
    /// That it allows the Realtime server to call a tool of an MCP server.
    Approval,
}

/// A line of the record of a conversation.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Record {
    /// What the caller said in a turn, if the server writes it down.
    CallerSaid {
        /// The item that the turn became.
        item_id: Span,
        /// The words.
        text: Span,
    },
    /// What the caller keyed in.
    CallerKeyed {
        /// The keys.
        keys: Span,
    },
    /// The model called a function.
    Called {
        /// The call, by the name that the model gave it.
        call_id: Span,
        /// Which; what a model made up stands here too.
        name: Span,
        /// With what.
        arguments: Span,
    },
    /// What the model was told in return.
    Returned {
        /// The call.
        call_id: Span,
        /// The function.
        name: Span,
        /// The answer.
        output: Span,
    },
    /// An answer to a turn of the caller is being heard: who answers what, and how long it took.
    Answered {
        /// The item that the caller's turn became.
        caller_item: Span,
        /// The response.
        response_id: Span,
        /// The first item of it that is heard.
        agent_item: Span,
        /// The times.
        latency: TurnLatency,
    },
    /// The agent said something, and this is what was heard of it. It comes once for each part of an item, when
    /// nothing more of it will be heard.
    AgentSaid {
        /// The item.
        item_id: Span,
        /// The part of it.
        content_index: u32,
        /// What was said in the part that was heard, up to the last whole word.
        text: Span,
        /// All that the agent said in it, as far as it has come.
        said: Span,
        /// How much of it was heard, in milliseconds.
        heard_ms: u64,
        /// How much of it was received, in milliseconds. More than was heard means that it was cut off.
        received_ms: u64,
    },
}

/// When to come back at the latest, and why. The driver sleeps until then or until an input is ready, gives
/// every ready input, and then, if the deadline has passed, [`Input::Timer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[must_use = "the deadline is the only one there is"]
pub struct Next {
    /// The next deadline. It lies in the future, or it is a peer's time-out that a `Timer` settles.
    pub deadline: Option<(Instant, Wake)>,
    /// Whether the machine is done: [`Action::Finish`] has been given.
    pub finished: bool,
}

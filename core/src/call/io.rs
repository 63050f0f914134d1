//! What goes into a call and what comes out of it.

use crate::id::{IdPrefix, LegId, LinkId, RequestId};
use crate::observe::Observation;
use crate::settings::MediaPlan;
use crate::time::{Duration, Instant, UtcNanos};
use core::fmt;
use core::net::SocketAddr;

pub use crate::actions::Span;

/// The output buffer of a call.
pub type Actions = crate::actions::Actions<Action>;

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
    /// Every input that was ready has been given, and the deadline may have passed.
    Timer,
    /// The call must end.
    Stop(StopReason),
}

/// Whether ARI events flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkState {
    /// They flow.
    Up,
    /// They do not.
    Down,
}

/// Why something between us and a peer failed, as far as a decision needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoFault {
    /// The name could not be resolved.
    Resolve,
    /// Nobody listens there.
    Refused,
    /// It took too long.
    TimedOut,
    /// The connection broke.
    Reset,
    /// TLS was not agreed: certificate, name or version.
    Tls,
    /// The peer does not speak the protocol.
    Protocol,
    /// Our queue to the peer is full: it does not read fast enough.
    Backlog,
    /// No port in the range is free.
    NoPort,
    /// Anything else that the system reports.
    Other,
}

/// Why the driver ends a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StopReason {
    /// The process is going away.
    Shutdown,
}

/// What the driver is to do. Actions of one step are performed in their order.
#[derive(Clone, Copy, Debug)]
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
    /// Close a media socket and give its port back.
    CloseMedia {
        /// The leg.
        leg: LegId,
    },
    /// Open a Realtime socket; the driver knows URL, headers and key.
    OpenRealtime {
        /// The name of the link.
        link: LinkId,
    },
    /// Send one text message.
    SendRealtime {
        /// The link.
        link: LinkId,
        /// The message.
        bytes: Span,
    },
    /// Close a Realtime socket.
    CloseRealtime {
        /// The link.
        link: LinkId,
        /// The close code.
        code: u16,
    },
    /// Tell whoever watches: logs, metrics.
    Observe(Observation),
    /// The call is over and nothing of it is left to wait for. The last action, once.
    Finish(Outcome),
}

/// An HTTP method that ARI uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
    /// DELETE
    Delete,
}

impl Method {
    /// As it stands in a request line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// When to come back at the latest, and why. The driver sleeps until then or until an input is ready, gives
/// every ready input, and then, if the deadline has passed, [`Input::Timer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the deadline is the only one there is"]
pub struct Next {
    /// The next deadline. It lies in the future, or it is a peer's time-out that a `Timer` settles.
    pub deadline: Option<(Instant, Wake)>,
    /// Whether the machine is done: [`Action::Finish`] has been given.
    pub finished: bool,
}

/// The reason of a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wake {
    /// Pacing: the next frame for the caller is due.
    Playout,
    /// Pacing: the model is due audio, and the caller has sent none.
    UplinkSilence,
    /// Pacing: a packet that others overtook has been waited for long enough.
    JitterRelease,
    /// Peer: the set-up takes too long.
    AnswerWithin,
    /// Peer: the call has lasted as long as it may.
    MaxCall,
    /// Peer: the goodbye takes too long.
    Goodbye,
    /// Peer: a clean-up request is to be repeated.
    CleanUp,
}

impl Wake {
    /// Whether the deadline paces media. Pacing fires before the input of a step, time-outs of peers only on
    /// [`Input::Timer`].
    #[must_use]
    pub const fn is_pacing(self) -> bool {
        matches!(self, Self::Playout | Self::UplinkSilence | Self::JitterRelease)
    }
}

/// How a call went.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Outcome {
    /// Why it ended.
    pub ended: EndReason,
    /// Whether the caller was answered.
    pub answered: bool,
    /// From `StasisStart` until the end was decided.
    pub duration: Duration,
    /// Whether something may have been left on Asterisk: a clean-up was given up.
    pub left_behind: bool,
}

/// Why a call ended. The first cause counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndReason {
    /// The caller hung up, or Asterisk took the channel away.
    CallerHungUp,
    /// The longest allowed time was reached.
    MaxDuration,
    /// The process is stopping.
    Shutdown,
    /// The set-up took longer than the caller is kept ringing.
    NotReadyInTime,
    /// Asterisk refused or lost something that the call needs.
    AriFault,
    /// No media socket could be had, or it broke.
    MediaFault,
    /// The Realtime side refused us: key, model, credit.
    RealtimeRefused,
    /// The Realtime side could not be reached, or broke off.
    RealtimeLost,
}

impl EndReason {
    /// The value of the label `status` in the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::CallerHungUp => "caller_hung_up",
            Self::MaxDuration => "max_duration",
            Self::Shutdown => "shutdown",
            Self::NotReadyInTime => "not_ready_in_time",
            Self::AriFault => "ari_fault",
            Self::MediaFault => "media_fault",
            Self::RealtimeRefused => "realtime_refused",
            Self::RealtimeLost => "realtime_lost",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CallerHungUp => "the caller hung up",
            Self::MaxDuration => "the longest allowed time was reached",
            Self::Shutdown => "the bridge is stopping",
            Self::NotReadyInTime => "the set-up took too long",
            Self::AriFault => "Asterisk refused or lost something that the call needs",
            Self::MediaFault => "no media socket could be had",
            Self::RealtimeRefused => "the Realtime side refused the session",
            Self::RealtimeLost => "the Realtime side could not be reached or broke off",
        })
    }
}

impl fmt::Display for IoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "the name could not be resolved",
            Self::Refused => "nobody listens there",
            Self::TimedOut => "no answer in time",
            Self::Reset => "the connection broke",
            Self::Tls => "TLS was not agreed (certificate, name or version)",
            Self::Protocol => "the peer does not speak the protocol",
            Self::Backlog => "the peer does not read fast enough",
            Self::NoPort => "no port in the range is free",
            Self::Other => "the system reported an error",
        })
    }
}

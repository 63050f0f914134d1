//! What the machines tell whoever watches.
//!
//! An observation never carries what a caller or a model said, nor a number, so that logs and metrics made
//! from them are safe to keep.

mod guard;
mod label;
mod recovery;
mod refusal;
mod tools;
mod upkeep;
mod usage;

pub use guard::Guard;
pub use label::Label;
pub use recovery::Recovery;
pub use refusal::Refusal;
pub use tools::{McpEvent, ToolFault, TurnLatency};
pub use upkeep::Upkeep;
pub use usage::{Usage, UsageKind};

use crate::fault::IoFault;
use crate::format::ModelFormat;
use crate::outcome::{EndReason, Outcome};
use crate::time::Duration;
use core::fmt;

/// How loud a line in the log is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Counted, not logged: it happens many times a second.
    Count,
    /// For who looks closely.
    Debug,
    /// The course of a call.
    Info,
    /// Something is not as it should be, and was dealt with.
    Warn,
    /// A call or the service suffers, and somebody must act.
    Error,
}

/// Why a received datagram was not used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum RtpDrop {
    /// It is not RTP, too short, or too long.
    Malformed,
    /// It comes from an address that was not told.
    Stranger,
    /// It has a payload type that the call did not agree to.
    PayloadType,
    /// It came twice.
    Duplicate,
    /// It came after its turn.
    Late,
    /// Nobody listens yet: the caller is not answered or the session is not ready.
    Early,
    /// The caller has put us on hold: what Asterisk sends meanwhile is music.
    Held,
    /// More audio came than there was time for.
    Flood,
}

impl RtpDrop {
    /// The value of the label `reason` in the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Stranger => "stranger",
            Self::PayloadType => "payload_type",
            Self::Duplicate => "duplicate",
            Self::Late => "late",
            Self::Early => "early",
            Self::Held => "held",
            Self::Flood => "flood",
        }
    }
}

/// What a peer sent that could not be read and was ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum BadInput {
    /// An event of ARI that is not one.
    AriEvent,
    /// The event that began the call.
    StasisStart,
    /// A message of the Realtime server that is not an event.
    RealtimeEvent,
    /// Audio of the Realtime server that is not base64.
    AudioDelta,
}

impl BadInput {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AriEvent, Self::StasisStart, Self::RealtimeEvent, Self::AudioDelta];

    /// The value of the label `what` in the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::AriEvent => "ari_event",
            Self::StasisStart => "stasis_start",
            Self::RealtimeEvent => "realtime_event",
            Self::AudioDelta => "audio_delta",
        }
    }
}

/// Which of the kinds of a thing that may happen many times a second were told already: a line in the log for
/// the first, the metrics for the rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Once(u32);

impl Once {
    /// Whether this is the first of its kind; `kind` is below 32.
    pub const fn is_first(&mut self, kind: u32) -> bool {
        let bit = 1 << (kind % u32::BITS);
        let is_first = self.0 & bit == 0;
        self.0 |= bit;
        is_first
    }

    /// What there is to tell of something that could not be read.
    pub fn bad_input(&mut self, what: BadInput) -> impl Iterator<Item = Observation> + use<> {
        let began = self.is_first(what as u32).then_some(Observation::BadInputBegan(what));
        began.into_iter().chain([Observation::BadInput(what)])
    }
}

/// What a machine tells. `Display` is the line in the log, [`Observation::severity`] its level.
#[derive(Clone, Copy, PartialEq, Debug, Hash)]
pub enum Observation {
    /// A call was taken on.
    CallStarted,
    /// The media path stands: Asterisk told its address.
    MediaReady {
        /// Since the start of the call.
        after: Duration,
    },
    /// The Realtime session has confirmed its settings.
    SessionReady {
        /// Since the start of the call.
        after: Duration,
    },
    /// The caller is answered.
    Answered {
        /// Since the start of the call.
        after: Duration,
    },
    /// A packet from Asterisk was used.
    RtpIn,
    /// A packet was sent to Asterisk.
    RtpOut,
    /// A datagram was not used.
    RtpDropped(RtpDrop),
    /// The first datagram of a kind that is not used; later ones are only counted.
    RtpDropBegan(RtpDrop),
    /// Packets of the caller come with another SSRC than before: from another sender, or from one that has begun anew.
    SsrcChanged,
    /// Packets of the caller never came.
    RtpLost {
        /// How many.
        packets: u32,
    },
    /// Audio of the caller was missing, and what stands in for it was made up.
    Concealed {
        /// How much, in milliseconds.
        millis: u32,
    },
    /// The playout was so late that slots of the 20 ms grid were skipped.
    PlayoutLate {
        /// How many.
        slots: u32,
    },
    /// The server heard the caller begin to speak.
    SpeechStarted,
    /// The server heard the caller stop.
    SpeechStopped,
    /// The first audio of an answer left for the caller.
    FirstAudio(TurnLatency),
    /// The caller spoke while the agent was speaking; what was queued is gone.
    BargeIn {
        /// How much of the agent's item was really sent, in milliseconds.
        heard_ms: u64,
        /// How much was thrown away, in milliseconds.
        dropped_ms: u64,
    },
    /// A response came to its end.
    ResponseDone {
        /// `completed`, `cancelled`, `failed` or `incomplete`.
        status: Label,
        /// The reason or error code that came with it.
        detail: Label,
    },
    /// What a response has used up.
    Used {
        /// Tokens by kind.
        usage: Usage,
        /// What that costs, in billionths of a US dollar, if the prices are known.
        cost: Option<u64>,
    },
    /// The conversation is kept going.
    Recovery(Recovery),
    /// A guard of the switchboard has something to tell.
    Guard(Guard),
    /// The switchboard keeps the house.
    Upkeep(Upkeep),
    /// More of the agent's audio is queued than a call may hold; the newest was dropped.
    PlayoutFull {
        /// How much was dropped, in milliseconds.
        dropped_ms: u64,
    },
    /// The first audio of the call that was dropped so; what is dropped later is only counted.
    PlayoutFullBegan,
    /// The server reported an error and keeps the session.
    RealtimeError {
        /// Its code, or its type if it has none.
        code: Label,
        /// The field that it complains of.
        param: Label,
    },
    /// The Realtime socket ended or could not be opened.
    RealtimeDown {
        /// The code in the close reason.
        code: Label,
        /// The close code.
        close: Option<u16>,
        /// The HTTP status of a refused upgrade.
        http_status: Option<u16>,
        /// What broke.
        fault: Option<IoFault>,
    },
    /// Something could not be read and was ignored.
    BadInput(BadInput),
    /// The first of its kind in the call; later ones are only counted.
    BadInputBegan(BadInput),
    /// The server does not speak the format that was asked for; PCM is spoken instead.
    FormatRefused {
        /// The format.
        format: ModelFormat,
    },
    /// What the server took for a caller was the agent's own voice.
    EchoIgnored,
    /// The caller has keyed something in.
    KeyedIn {
        /// How many keys.
        keys: usize,
    },
    /// A key that acts by itself was pressed.
    HotKey,
    /// The model calls a function.
    ToolCalled {
        /// Which.
        name: Label,
    },
    /// It was performed.
    ToolDone {
        /// Which.
        name: Label,
        /// How long it took.
        after: Duration,
    },
    /// The program around the bridge could not perform it; the model is told.
    ToolFailed {
        /// Which.
        name: Label,
        /// The status, if there was an answer.
        status: Option<u16>,
        /// What broke, if there was none.
        fault: Option<IoFault>,
    },
    /// It was not even tried; the model is told.
    ToolRefused {
        /// Why.
        why: ToolFault,
    },
    /// The caller spoke on before the agent could end or transfer the call, which goes on.
    StaysOnTheLine,
    /// Something became of an MCP server's tools.
    Mcp(McpEvent),
    /// What the caller said could not be written down.
    TranscriptFailed {
        /// Why.
        code: Label,
    },
    /// The caller has said nothing for long, and is asked.
    CallerIdle,
    /// The caller put the call on hold, or came back.
    Held {
        /// Whether it is on hold now.
        is_held: bool,
    },
    /// A request to ARI was refused.
    AriRefused {
        /// Which.
        what: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// A request to ARI got no reply.
    AriNoReply {
        /// Which.
        what: &'static str,
        /// Why.
        fault: IoFault,
    },
    /// No media socket, or it broke.
    MediaDown {
        /// Why.
        fault: IoFault,
    },
    /// The end of the call was decided.
    Ending(EndReason),
    /// Something on Asterisk could not be removed and is left to the next sweep.
    LeftBehind,
    /// The call is over.
    CallEnded(Outcome),
    /// ARI events flow.
    AriUp,
    /// They do not.
    AriDown {
        /// The HTTP status, if the upgrade was refused.
        http_status: Option<u16>,
        /// What broke.
        fault: Option<IoFault>,
        /// When it is tried again.
        retry_in: Duration,
    },
    /// Another bridge took our application name.
    AppReplaced,
    /// A call was not taken on and goes on in the dialplan.
    CallRefused(Refusal),
    /// A channel entered the application that is neither a caller nor ours.
    NotACaller,
    /// Something of ours that no call owns was found and is being removed.
    Orphan,
    /// The task of a call panicked; what it made is being removed.
    CallPanicked,
}

impl Observation {
    /// How loud the line in the log is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::RtpIn
            | Self::RtpOut
            | Self::RtpDropped(_)
            | Self::BadInput(_)
            | Self::Concealed { .. }
            | Self::Used { .. }
            | Self::PlayoutFull { .. } => Severity::Count,
            Self::Recovery(recovery) => recovery.severity(),
            Self::Guard(guard) => guard.severity(),
            Self::Upkeep(upkeep) => upkeep.severity(),
            Self::RtpLost { .. }
            | Self::SsrcChanged
            | Self::PlayoutLate { .. }
            | Self::SpeechStarted
            | Self::SpeechStopped => Severity::Debug,
            Self::RtpDropBegan(RtpDrop::Late | RtpDrop::Duplicate | RtpDrop::Early | RtpDrop::Held) => {
                Severity::Debug
            }
            Self::CallStarted
            | Self::MediaReady { .. }
            | Self::SessionReady { .. }
            | Self::Answered { .. }
            | Self::FirstAudio(_)
            | Self::BargeIn { .. }
            | Self::EchoIgnored
            | Self::KeyedIn { .. }
            | Self::HotKey
            | Self::ToolCalled { .. }
            | Self::ToolDone { .. }
            | Self::StaysOnTheLine
            | Self::CallerIdle
            | Self::Mcp(McpEvent::Listed | McpEvent::Called | McpEvent::Answered)
            | Self::Held { .. }
            | Self::Ending(
                EndReason::CallerHungUp
                | EndReason::AgentHungUp
                | EndReason::Transferred
                | EndReason::CallerIdle
                | EndReason::MaxDuration
                | EndReason::Shutdown,
            )
            | Self::CallEnded(_)
            | Self::AriUp
            | Self::NotACaller => Severity::Info,
            Self::ResponseDone { status, .. } => {
                if matches!(status.as_str(), "failed" | "incomplete") {
                    Severity::Warn
                } else {
                    Severity::Info
                }
            }
            Self::RtpDropBegan(_)
            | Self::PlayoutFullBegan
            | Self::RealtimeError { .. }
            | Self::BadInputBegan(_)
            | Self::ToolFailed { .. }
            | Self::ToolRefused { .. }
            | Self::TranscriptFailed { .. }
            | Self::Mcp(McpEvent::ListFailed | McpEvent::CallFailed)
            | Self::FormatRefused { .. }
            | Self::AriRefused { .. }
            | Self::AriNoReply { .. }
            | Self::CallRefused(_)
            | Self::Orphan => Severity::Warn,
            Self::RealtimeDown { .. }
            | Self::MediaDown { .. }
            | Self::Ending(_)
            | Self::LeftBehind
            | Self::AriDown { .. }
            | Self::AppReplaced
            | Self::CallPanicked => Severity::Error,
        }
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::CallStarted => f.write_str("call started"),
            Self::MediaReady { after } => write!(f, "media path ready after {} ms", after.as_millis()),
            Self::SessionReady { after } => write!(f, "Realtime session ready after {} ms", after.as_millis()),
            Self::Answered { after } => write!(f, "answered after {} ms", after.as_millis()),
            Self::RtpIn => f.write_str("packet in"),
            Self::RtpOut => f.write_str("packet out"),
            Self::RtpDropped(why) => write!(f, "packet dropped: {}", why.label()),
            Self::RtpDropBegan(why) => {
                write!(f, "packets are dropped: {}; further ones are counted in the metrics only", why.label())
            }
            Self::SsrcChanged => f.write_str("the caller's packets come with another SSRC"),
            Self::RtpLost { packets } => write!(f, "{packets} packets of the caller were lost"),
            Self::Concealed { millis } => write!(f, "{millis} ms of the caller made up"),
            Self::PlayoutLate { slots } => write!(f, "playout late: {slots} slots of 20 ms skipped"),
            Self::SpeechStarted => f.write_str("caller speaks"),
            Self::SpeechStopped => f.write_str("caller pauses"),
            Self::FirstAudio(TurnLatency { created, first_delta, first_packet }) => {
                write!(f, "first audio of the answer after {} ms (", first_packet.as_millis())?;
                if let Some(created) = created {
                    write!(f, "begun after {}, ", created.as_millis())?;
                }
                write!(f, "here after {})", first_delta.as_millis())
            }
            Self::BargeIn { heard_ms, dropped_ms } => {
                write!(f, "barge-in: {heard_ms} ms of the agent's turn were heard, {dropped_ms} ms dropped")
            }
            Self::ResponseDone { status, detail } if detail.as_str().is_empty() => write!(f, "response {status}"),
            Self::ResponseDone { status, detail } => write!(f, "response {status}: {detail}"),
            Self::Used { .. } => f.write_str("tokens used"),
            Self::Recovery(recovery) => recovery.fmt(f),
            Self::Guard(guard) => guard.fmt(f),
            Self::Upkeep(upkeep) => upkeep.fmt(f),
            Self::PlayoutFull { dropped_ms } => write!(f, "{dropped_ms} ms of the agent's audio dropped"),
            Self::PlayoutFullBegan => f.write_str(
                "more of the agent's audio is waiting than a call may hold; its end is dropped, as the metrics count",
            ),
            Self::RealtimeError { code, param } if param.as_str().is_empty() => {
                write!(f, "the Realtime server reports an error: {code}")
            }
            Self::RealtimeError { code, param } => {
                write!(f, "the Realtime server reports an error: {code} (at {param})")
            }
            Self::RealtimeDown { code, close, http_status, fault } => {
                f.write_str("Realtime link down:")?;
                if let Some(status) = http_status {
                    write!(f, " the upgrade was answered with HTTP {status}")?;
                }
                if let Some(close) = close {
                    write!(f, " closed with {close}")?;
                }
                if !code.as_str().is_empty() {
                    write!(f, " {code}")?;
                    f.write_str(remedy(code.as_str()))?;
                }
                if let Some(fault) = fault {
                    write!(f, " {fault}")?;
                }
                Ok(())
            }
            Self::BadInput(what) => write!(f, "unreadable: {}", what.label()),
            Self::BadInputBegan(what) => {
                let peer = match what {
                    BadInput::AriEvent | BadInput::StasisStart => "ARI",
                    BadInput::RealtimeEvent | BadInput::AudioDelta => "the Realtime server",
                };
                let what = what.label();
                write!(f, "{peer} sent something unreadable ({what}); it is ignored, and so are further ones")
            }
            Self::FormatRefused { format } => {
                write!(f, "the Realtime server does not confirm {}; audio goes as PCM", format.media_type())
            }
            Self::EchoIgnored => f.write_str("the agent's own voice was taken for a caller's; ignored"),
            Self::KeyedIn { keys } => write!(f, "the caller keyed in {keys} keys"),
            Self::HotKey => f.write_str("the caller pressed a key that acts by itself"),
            Self::ToolCalled { name } => write!(f, "the model calls {name}"),
            Self::ToolDone { name, after } => write!(f, "{name} done after {} ms", after.as_millis()),
            Self::ToolFailed { name, status: Some(status), .. } => write!(f, "{name} failed with {status}"),
            Self::ToolFailed { name, fault: Some(fault), .. } => write!(f, "{name} failed: {fault}"),
            Self::ToolFailed { name, .. } => write!(f, "{name} failed"),
            Self::ToolRefused { why } => write!(f, "a function that the model called was refused: {why}"),
            Self::StaysOnTheLine => f.write_str("the caller spoke on, so the call is neither ended nor transferred"),
            Self::Mcp(event) => f.write_str(event.what()),
            Self::TranscriptFailed { code } => write!(f, "what the caller said could not be written down: {code}"),
            Self::CallerIdle => f.write_str("the caller has said nothing for long and is asked"),
            Self::Held { is_held: true } => f.write_str("the caller put the call on hold"),
            Self::Held { is_held: false } => f.write_str("the caller took the call off hold"),
            Self::AriRefused { what, status } => write!(f, "Asterisk refused to {what}: HTTP {status}"),
            Self::AriNoReply { what, fault } => write!(f, "Asterisk did not answer the request to {what}: {fault}"),
            Self::MediaDown { fault: IoFault::NoPort } => {
                f.write_str("no media port: every port of RTP_PORT_START..RTP_PORT_END is in use; widen the range")
            }
            Self::MediaDown { fault } => write!(f, "media socket down: {fault}"),
            Self::Ending(reason) => write!(f, "call ends: {reason}"),
            Self::LeftBehind => f.write_str("something of this call may be left on Asterisk: the clean-up was given up"),
            Self::CallEnded(o) => write!(
                f,
                "call ended after {}.{:03} s ({}, {})",
                o.duration.as_secs(),
                o.duration.subsec_millis(),
                if o.answered { "answered" } else { "not answered" },
                o.ended
            ),
            Self::AriUp => f.write_str("ARI connected"),
            Self::AriDown { http_status, fault, retry_in } => {
                f.write_str("ARI not connected:")?;
                match http_status {
                    Some(401) => f.write_str(" HTTP 401; check ARI_USER and ARI_PASSWORD against ari.conf")?,
                    Some(status) => write!(f, " the upgrade was answered with HTTP {status}")?,
                    None => {}
                }
                if let Some(fault) = fault {
                    write!(f, " {fault}")?;
                }
                write!(f, "; next try in {} ms", retry_in.as_millis())
            }
            Self::AppReplaced => f.write_str(
                "another client took our ARI application name; calls go to it now. Stop it, or set another ARI_APP",
            ),
            Self::CallRefused(why) => why.fmt(f),
            Self::NotACaller => f.write_str("a channel that is not a caller entered the application; ignored"),
            Self::Orphan => f.write_str("found something of ours on Asterisk that no call owns; removing it"),
            Self::CallPanicked => f.write_str("a call was ended by a fault of the bridge; its traces are being removed"),
        }
    }
}

/// What an operator can do about an error code that ends a session.
pub(crate) fn remedy(code: &str) -> &'static str {
    match code.rsplit('.').next().unwrap_or(code) {
        "invalid_api_key" => "; check OPENAI_API_KEY",
        "model_not_found" => "; check OPENAI_MODEL, models are shut down from time to time",
        "insufficient_quota" | "billing_hard_limit_reached" => "; the account has no credit",
        "account_deactivated" => "; the account is deactivated",
        "beta_api_shape_disabled" => "; the URL or a header asks for the beta interface, which was shut down",
        _ => "",
    }
}

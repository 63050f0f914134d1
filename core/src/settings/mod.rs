//! What an operator decides, as values that the machines read. `config` makes them from text.
//!
//! Nothing secret is in here: keys and passwords stay with the driver, so that settings can be shown, logged
//! and written into a capture. What a capture has no field for is as by default; a field that is unknown here is refused,
//! because a replay without it would be another call.

mod recovery;
mod session;

pub use recovery::*;
pub use session::*;

use crate::format::MediaFormat;
use crate::time::Duration;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a call is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Transport {
    /// RTP over UDP to a UnicastRTP channel.
    Rtp,
}

/// How a media path is to be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaPlan {
    /// By which means.
    pub transport: Transport,
    /// In which format.
    pub format: MediaFormat,
}

/// Whose packets are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RtpSource {
    /// Only those from the address that Asterisk told, and before it told one, nobody's.
    #[default]
    Strict,
    /// Those from whoever sent the first good one after the caller was answered; answers go there too, and nobody else is
    /// listened to for the rest of the call. For NAT and containers. A packet that comes before Asterisk has told an
    /// address is nobody's here too: it is a late one of an earlier call on that port.
    Learn,
}

/// Whether the caller can interrupt the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BargeIn {
    /// At the first sound that the server takes for speech.
    #[default]
    On,
    /// When the bridge, too, hears somebody as loud as the caller for a moment. What it does not hear so is
    /// taken for the agent's own echo, and is not answered.
    Guarded,
    /// Not at all: what the caller says is answered when the agent has ended.
    Off,
}

impl BargeIn {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 3] = [Self::On, Self::Guarded, Self::Off];

    /// The name in `BARGE_IN`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Guarded => "guarded",
            Self::Off => "off",
        }
    }
}

/// What a call needs to know.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallSettings {
    /// The name under which the bridge is registered with Asterisk.
    pub ari_app: String,
    /// The host that Asterisk is told to send media to; `None` means the address that the socket is bound to.
    pub advertise_host: Option<String>,
    /// Whose packets are taken.
    pub rtp_source: RtpSource,
    /// The factor by which the caller's voice is made louder for the model.
    pub volume_boost: f64,
    /// Whether the agent's echo is taken out of what the caller's line sends.
    pub echo_canceller: bool,
    /// How much of the agent's audio is awaited before it is begun.
    pub cushion: Duration,
    /// Whether the caller can interrupt the agent.
    pub barge_in: BargeIn,
    /// How long the caller may ring before the call falls back into the dialplan unanswered.
    pub answer_within: Duration,
    /// How long a call may last.
    pub max_call: Duration,
    /// After how long a silence an idle caller is asked whether somebody is there, and after how long another one
    /// the agent says goodbye and the call ends; `None` means that a caller may be silent for ever.
    pub idle: Option<Duration>,
    /// Whether the model may end the call (the function `hang_up`).
    pub hang_up: bool,
    /// Where the model may send the caller (the function `transfer`); without any it cannot.
    pub transfers: Vec<Transfer>,
    /// How long a function of the program around the bridge may take.
    pub tool_timeout: Duration,
    /// The keys of the telephone.
    pub keys: Keys,
    /// How the conversation outlives a Realtime session.
    pub recovery: Recovery,
    /// What follows when the caller has spoken and nothing happens.
    pub dead_air: DeadAir,
    /// What follows when an answer has failed and failed again.
    pub failed_answer: FailedAnswer,
    /// Where a caller goes with whom no conversation is possible.
    pub fallback: Fallback,
    /// The sounds of the bridge's own. They are audio, and not part of what serde makes of settings: a capture has them
    /// beside it.
    #[serde(skip)]
    pub prompts: Arc<Prompts>,
    /// What the model costs, if that is known.
    pub prices: Option<Prices>,
    /// What the model is told.
    pub session: SessionSettings,
}

/// What becomes of the keys that a caller presses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// How long a pause ends an entry that no `#` has ended.
    pub pause: Duration,
    /// Keys that act by themselves if an entry begins with them, and where each leads: an index into
    /// [`CallSettings::transfers`].
    pub hot: Vec<(char, usize)>,
}

/// A place in the dialplan where the model may send the caller. The model knows its name only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// What the model calls it.
    pub name: String,
    /// The context.
    pub context: String,
    /// The extension in it.
    pub extension: String,
    /// The priority in that.
    pub priority: u32,
}

/// What the switchboard needs to know.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchboardSettings {
    /// The name under which the bridge is registered with Asterisk.
    pub ari_app: String,
    /// How many calls are served at once, if not as many as there are ports; a further one goes on in the dialplan.
    pub max_calls: Option<usize>,
    /// How many media ports there are. A call takes one, and gives it back some time after its end.
    pub ports: usize,
    /// Whether callers who wait in the application while no call is theirs are taken on, or else go on in the
    /// dialplan: those of an earlier run of the bridge, and those who came while the event socket was away.
    pub adopt: bool,
    /// How long calls may go on when the process is to stop.
    pub drain: Duration,
    /// Where a caller goes who is not taken on.
    pub fallback: Fallback,
    /// When a Realtime side that fails for every call is left in peace; `None` means never.
    pub breaker: Option<Breaker>,
    /// What the calls of a day (UTC) may cost, in billionths of a US dollar.
    pub max_cost_per_day: Option<u64>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { pause: Duration::from_millis(3000), hot: Vec::new() }
    }
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            ari_app: "voice-agent".to_owned(),
            advertise_host: None,
            rtp_source: RtpSource::Strict,
            volume_boost: 2.5,
            echo_canceller: false,
            cushion: Duration::from_millis(40),
            barge_in: BargeIn::On,
            answer_within: Duration::from_millis(3000),
            max_call: Duration::from_secs(3600),
            idle: None,
            hang_up: true,
            transfers: Vec::new(),
            tool_timeout: Duration::from_secs(10),
            keys: Keys::default(),
            recovery: Recovery::default(),
            dead_air: DeadAir::default(),
            failed_answer: FailedAnswer::Prompt,
            fallback: Fallback::default(),
            prompts: Arc::default(),
            prices: None,
            session: SessionSettings::default(),
        }
    }
}

impl Default for SwitchboardSettings {
    fn default() -> Self {
        Self {
            ari_app: "voice-agent".to_owned(),
            max_calls: None,
            ports: 101,
            adopt: true,
            drain: Duration::from_secs(60),
            fallback: Fallback::default(),
            breaker: Some(Breaker::default()),
            max_cost_per_day: None,
        }
    }
}

impl Default for MediaPlan {
    fn default() -> Self {
        Self { transport: Transport::Rtp, format: MediaFormat::Slin16 }
    }
}

//! What an operator decides, as values that the machines read. `config` makes them from text.
//!
//! Nothing secret is in here: keys and passwords stay with the driver, so that settings can be shown, logged
//! and written into a capture.

use crate::format::{MediaFormat, ModelFormat};
use crate::time::Duration;

/// How a call is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// RTP over UDP to a UnicastRTP channel.
    Rtp,
}

/// How a media path is to be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaPlan {
    /// By which means.
    pub transport: Transport,
    /// In which format.
    pub format: MediaFormat,
}

/// Whose packets are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RtpSource {
    /// Only those from the address that Asterisk told.
    #[default]
    Strict,
    /// Those from whoever sent the first good one; answers go there too. For NAT and containers.
    Learn,
}

/// Whether the caller can interrupt the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
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
#[derive(Clone, PartialEq, Debug)]
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
    /// What the model is told.
    pub session: SessionSettings,
}

/// The `session.update` of a call.
#[derive(Clone, PartialEq, Debug)]
pub struct SessionSettings {
    /// The format of the audio both ways. A server that does not confirm it is spoken to in PCM.
    pub audio_format: ModelFormat,
    /// The voice that the model speaks with.
    pub voice: String,
    /// The system prompt.
    pub instructions: Option<String>,
    /// What the agent says first; without it the caller speaks first.
    pub greeting: Option<String>,
    /// The server's voice detection.
    pub vad: VadSettings,
}

/// Server voice detection (`turn_detection.type = "server_vad"`). Every field is always sent, because the
/// server's own defaults differ from its documentation (`silence_duration_ms` is 200, not 500).
#[derive(Clone, PartialEq, Debug)]
pub struct VadSettings {
    /// From 0 (everything is speech) to 1.
    pub threshold: f64,
    /// How much audio before the detected start belongs to the turn, in milliseconds.
    pub prefix_padding_ms: u32,
    /// How much silence ends a turn, in milliseconds.
    pub silence_duration_ms: u32,
    /// Whether the server stops its answer by itself when the caller speaks. If not, the bridge asks it to.
    /// Counts only while the caller can interrupt at the first sound ([`BargeIn::On`]).
    pub interrupt_response: bool,
}

/// What the switchboard needs to know.
#[derive(Clone, PartialEq, Debug)]
pub struct SwitchboardSettings {
    /// The name under which the bridge is registered with Asterisk.
    pub ari_app: String,
    /// How many calls are served at once; a further one goes on in the dialplan.
    pub max_calls: usize,
}

impl Default for VadSettings {
    fn default() -> Self {
        Self { threshold: 0.35, prefix_padding_ms: 300, silence_duration_ms: 500, interrupt_response: true }
    }
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            audio_format: ModelFormat::Pcm24,
            voice: "shimmer".to_owned(),
            instructions: None,
            greeting: None,
            vad: VadSettings::default(),
        }
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
            session: SessionSettings::default(),
        }
    }
}

impl Default for SwitchboardSettings {
    fn default() -> Self {
        Self { ari_app: "voice-agent".to_owned(), max_calls: 101 }
    }
}

impl Default for MediaPlan {
    fn default() -> Self {
        Self { transport: Transport::Rtp, format: MediaFormat::Slin16 }
    }
}

//! The audio formats in which Asterisk and the bridge talk, and how they look on the wire.

use core::fmt;
use serde::{Deserialize, Serialize};

/// How long the audio of one packet that the bridge sends lasts, in milliseconds (RFC 3551 §4.2 default).
pub const PTIME_MS: u64 = 20;

/// The format of an ExternalMedia channel, under the name that Asterisk gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MediaFormat {
    /// L16, 16 kHz, big-endian, from Asterisk; **G.722 back**. Asterisk sends slin16 on payload type 118 and
    /// silently drops what comes back on 118, because dynamic payload types are never registered for a
    /// UnicastRTP channel (measured on 22.10.1). G.722 on payload type 9 is static, wideband, and heard.
    #[default]
    Slin16,
    /// G.722 both ways.
    G722,
    /// G.711 µ-law both ways.
    Ulaw,
    /// G.711 A-law both ways.
    Alaw,
}

impl MediaFormat {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 4] = [Self::Slin16, Self::G722, Self::Ulaw, Self::Alaw];

    /// The name in `format=` of `POST /channels/externalMedia`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slin16 => "slin16",
            Self::G722 => "g722",
            Self::Ulaw => "ulaw",
            Self::Alaw => "alaw",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What Asterisk sends.
    #[must_use]
    pub const fn from_asterisk(self) -> Encoding {
        match self {
            Self::Slin16 => Encoding::L16Wideband,
            Self::G722 => Encoding::G722,
            Self::Ulaw => Encoding::Pcmu,
            Self::Alaw => Encoding::Pcma,
        }
    }

    /// What the bridge sends.
    #[must_use]
    pub const fn to_asterisk(self) -> Encoding {
        match self {
            Self::Slin16 | Self::G722 => Encoding::G722,
            Self::Ulaw => Encoding::Pcmu,
            Self::Alaw => Encoding::Pcma,
        }
    }
}

impl fmt::Display for MediaFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How audio is encoded in an RTP payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Encoding {
    /// ITU-T G.711 µ-law, payload type 0 (RFC 3551 §4.5.14).
    Pcmu,
    /// ITU-T G.711 A-law, payload type 8 (RFC 3551 §4.5.14).
    Pcma,
    /// ITU-T G.722 at 64 kbit/s, payload type 9. The RTP clock runs at 8000 Hz although the audio is sampled
    /// at 16 kHz (RFC 3551 §4.5.2, a historic error that everyone keeps).
    G722,
    /// Linear 16 bits, big-endian, 16 kHz mono; payload type 118 at Asterisk.
    L16Wideband,
}

impl Encoding {
    /// The RTP payload type that Asterisk uses for it without SDP.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::L16Wideband => 118,
        }
    }

    /// Audio samples per second.
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::G722 | Self::L16Wideband => 16_000,
        }
    }

    /// RTP timestamp units per second.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 8_000,
            Self::L16Wideband => 16_000,
        }
    }

    /// Audio samples in a packet of [`PTIME_MS`].
    #[must_use]
    pub const fn frame_samples(self) -> usize {
        (self.sample_rate() as u64 * PTIME_MS / 1000) as usize
    }

    /// RTP timestamp units in a packet of [`PTIME_MS`].
    #[must_use]
    pub const fn frame_ticks(self) -> u32 {
        (self.clock_rate() as u64 * PTIME_MS / 1000) as u32
    }

    /// Payload bytes in a packet of [`PTIME_MS`].
    #[must_use]
    pub const fn frame_bytes(self) -> usize {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 160,
            Self::L16Wideband => 640,
        }
    }
}

/// How audio is written in a message to or from the model (`audio.input.format`, `audio.output.format`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelFormat {
    /// `audio/pcm`: 16 bits, little-endian, mono, 24 kHz, the only rate that the API knows.
    #[default]
    Pcm24,
    /// `audio/pcmu`: ITU-T G.711 µ-law, 8 kHz.
    Pcmu,
    /// `audio/pcma`: ITU-T G.711 A-law, 8 kHz.
    Pcma,
    /// As [`ModelFormat::Pcm24`] at 16 kHz: what some servers hear, and none speaks. It cannot be asked for; the
    /// dialect brings it along.
    Pcm16,
}

impl ModelFormat {
    /// All that can be asked for, for help texts and tests.
    pub const ALL: [Self; 3] = [Self::Pcm24, Self::Pcmu, Self::Pcma];

    /// The name in `OPENAI_AUDIO_FORMAT`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcm24 => "pcm24",
            Self::Pcm16 => "pcm16",
            Self::Pcmu => "pcmu",
            Self::Pcma => "pcma",
        }
    }

    /// The `type` of the format in the Realtime API.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Pcm24 | Self::Pcm16 => "audio/pcm",
            Self::Pcmu => "audio/pcmu",
            Self::Pcma => "audio/pcma",
        }
    }

    /// Its name in the API's former beta, and in servers that are like it.
    #[must_use]
    pub const fn beta_name(self) -> &'static str {
        match self {
            Self::Pcm24 | Self::Pcm16 => "pcm16",
            Self::Pcmu => "g711_ulaw",
            Self::Pcma => "g711_alaw",
        }
    }

    /// Audio samples per second.
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        match self {
            Self::Pcm24 => MODEL_RATE,
            Self::Pcm16 => 16_000,
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// Bytes of one sample.
    #[must_use]
    pub const fn sample_bytes(self) -> usize {
        match self {
            Self::Pcm24 | Self::Pcm16 => 2,
            Self::Pcmu | Self::Pcma => 1,
        }
    }

    /// Bytes of [`PTIME_MS`].
    #[must_use]
    pub const fn frame_bytes(self) -> usize {
        (self.sample_rate() as u64 * PTIME_MS / 1000) as usize * self.sample_bytes()
    }

    /// The encoding on the line whose payload is written byte for byte alike; `None` where there is none.
    #[must_use]
    pub const fn same_on_the_line(self) -> Option<Encoding> {
        match self {
            Self::Pcm24 | Self::Pcm16 => None,
            Self::Pcmu => Some(Encoding::Pcmu),
            Self::Pcma => Some(Encoding::Pcma),
        }
    }
}

/// The Realtime API's PCM: 24 kHz, little-endian, mono, 16 bits.
pub const MODEL_RATE: u32 = 24_000;

/// Samples of the model's audio in [`PTIME_MS`].
pub const MODEL_FRAME_SAMPLES: usize = (MODEL_RATE as u64 * PTIME_MS / 1000) as usize;

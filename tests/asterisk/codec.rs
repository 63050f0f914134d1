//! What is on the wire, made and read by ffmpeg: the bridge's own codecs are what is being tested.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use ari_bridge_tests::measure::RATE;

use crate::process::Outcome;

/// The codecs that a caller may speak. In all three, one byte is one tick of the RTP clock and 20 ms are
/// 160 bytes (RFC 3551 §4.5.2 for the clock of G.722, which runs at half its sample rate).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Codec {
    Pcmu,
    Pcma,
    G722,
}

/// Ticks of the RTP clock, and bytes, per second.
pub(crate) const TICKS: usize = 8000;

/// Samples at [`RATE`] per tick of the RTP clock.
pub(crate) const SAMPLES_PER_TICK: usize = RATE / TICKS;

impl Codec {
    pub(crate) const ALL: [Self; 3] = [Self::Pcmu, Self::Pcma, Self::G722];

    /// The name in an SDP.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
        }
    }

    pub(crate) const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
        }
    }

    const fn ffmpeg_format(self) -> &'static str {
        match self {
            Self::Pcmu => "mulaw",
            Self::Pcma => "alaw",
            Self::G722 => "g722",
        }
    }

    const fn sample_rate(self) -> &'static str {
        match self {
            Self::Pcmu | Self::Pcma => "8000",
            Self::G722 => "16000",
        }
    }

    /// Payload bytes of samples at [`RATE`].
    pub(crate) fn encode(self, samples: &[i16]) -> Outcome<Vec<u8>> {
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let input = ["-f", "s16le", "-ar", "16000", "-ac", "1"];
        ffmpeg(&input, &["-ar", self.sample_rate(), "-f", self.ffmpeg_format()], &bytes)
    }

    /// Samples at [`RATE`] of payload bytes, always [`SAMPLES_PER_TICK`] per byte.
    pub(crate) fn decode(self, payload: &[u8]) -> Outcome<Vec<i16>> {
        let rate = match self {
            Self::G722 => &["-f", "g722"][..],
            Self::Pcmu => &["-f", "mulaw", "-ar", "8000"],
            Self::Pcma => &["-f", "alaw", "-ar", "8000"],
        };
        let bytes = ffmpeg(rate, &["-ar", "16000", "-ac", "1", "-f", "s16le"], payload)?;
        let mut samples: Vec<i16> =
            bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        samples.resize(payload.len() * SAMPLES_PER_TICK, 0);
        Ok(samples)
    }
}

/// Bytes in, bytes out.
fn ffmpeg(input: &[&str], output: &[&str], bytes: &[u8]) -> Outcome<Vec<u8>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(input)
        .args(["-i", "pipe:0"])
        .args(output)
        .arg("pipe:1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("ffmpeg does not start (Debian package ffmpeg): {e}"))?;
    let mut stdin = child.stdin.take().ok_or("ffmpeg has no standard input")?;
    let result = thread::scope(|scope| {
        // Written beside the reading: both pipes may fill up.
        scope.spawn(move || stdin.write_all(bytes));
        child.wait_with_output()
    });
    let result = result.map_err(|e| format!("ffmpeg: {e}"))?;
    if !result.status.success() {
        return Err(format!("ffmpeg: {}", String::from_utf8_lossy(&result.stderr).trim()));
    }
    Ok(result.stdout)
}

//! WAV files (RIFF, IBM and Microsoft 1991; `WAVE_FORMAT_EXTENSIBLE`, Microsoft 2001): what people's programs
//! write is read as mono of 16 bits, and just that is written.

use crate::{g711, pcm};
use core::fmt;

/// The lowest and the highest sample rate that is read, in Hz.
pub const RATES: core::ops::RangeInclusive<u32> = 4_000..=192_000;

/// From here on the length of the audio is no length: who writes into a pipe cannot come back to fill it in, and
/// leaves 0xFFFFFFFF (ffmpeg) or 0x7FFFF000 and what is near it (sox, espeak).
const OPEN_ENDED: usize = 0x7FFF_0000;

/// Full scale, in units of a sample of 16 bits.
const FULL_SCALE: f64 = 32_768.0;

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const ULAW: u16 = 7;
/// The tag stands in the sub-format, at the front of this.
const EXTENSIBLE: u16 = 0xFFFE;
const SUB_FORMAT: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];

/// Mono audio out of a WAV file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wav {
    /// Samples per second.
    pub rate: u32,
    /// The samples.
    pub samples: Vec<i16>,
}

/// Why a file cannot be read. `Display` is a sentence about "it", the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WavFault {
    /// It does not begin as a WAV file does.
    NotWav,
    /// It ends in the middle of something.
    Truncated,
    /// It says nowhere in front of the audio how that is to be read.
    NoFormat,
    /// Its samples are of a kind that is not read.
    Format {
        /// The format tag; that of the sub-format if there is a known one.
        tag: u16,
        /// Bits of a sample.
        bits: u16,
    },
    /// What it says about its samples contradicts itself.
    Layout {
        /// How many channels it has.
        channels: u16,
        /// Bits of a sample.
        bits: u16,
        /// Bytes of one sample of each channel.
        block: u16,
    },
    /// Its sample rate, in Hz, lies outside of [`RATES`].
    Rate(u32),
    /// It has no audio.
    NoAudio,
    /// It lasts longer than was asked for.
    TooLong {
        /// How long it lasts, in milliseconds.
        millis: u64,
        /// How long it might, in seconds.
        longest: u32,
    },
}

impl fmt::Display for WavFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWav => f.write_str("it is not a WAV file"),
            Self::Truncated => f.write_str("it is cut off"),
            Self::NoFormat => f.write_str("it does not say how its audio is to be read"),
            Self::Format { tag, bits } => write!(
                f,
                "its audio is of format {tag:#06x} with {bits} bits; it must be PCM of 8, 16, 24 or 32 bits, float of 32, \
                 µ-law or A-law"
            ),
            Self::Layout { channels, bits, block } => write!(
                f,
                "it says that {channels} channels of {bits} bits take {block} bytes, which cannot be"
            ),
            Self::Rate(rate) => write!(
                f,
                "it has {rate} samples per second; it must have {} to {}",
                RATES.start(),
                RATES.end()
            ),
            Self::NoAudio => f.write_str("it has no audio"),
            Self::TooLong { millis, longest } => {
                write!(f, "it lasts {}.{:03} seconds; it may last {longest}", millis / 1000, millis % 1000)
            }
        }
    }
}

impl core::error::Error for WavFault {}

/// Reads a WAV file: PCM of 8 (unsigned), 16, 24 or 32 bits, float of 32 bits, µ-law or A-law, at any of
/// [`RATES`]. Channels are mixed down to their mean, samples rounded to 16 bits; float that goes beyond full scale
/// is made quieter as a whole, so that nothing is clipped. Chunks that are not known are skipped.
///
/// # Errors
///
/// What is wrong with the file; [`WavFault::TooLong`] if it lasts more than `longest` seconds, which is found out
/// before anything is decoded.
pub fn read(file: &[u8], longest: u32) -> Result<Wav, WavFault> {
    let (format, data) = parts(file)?;
    let frames = data.len() / format.block();
    if frames == 0 {
        return Err(WavFault::NoAudio);
    }
    let (frames, rate) = (frames as u64, u64::from(format.rate));
    if frames > rate.saturating_mul(longest.into()) {
        // Rounded up, so that what is too long never seems to be just right.
        return Err(WavFault::TooLong { millis: (frames * 1000).div_ceil(rate), longest });
    }
    Ok(Wav { rate: format.rate, samples: format.decode(data) })
}

/// The format, and the bytes of the audio.
fn parts(file: &[u8]) -> Result<(Format, &[u8]), WavFault> {
    let body = file.strip_prefix(b"RIFF").and_then(|rest| rest.get(4..)?.strip_prefix(b"WAVE"));
    let mut rest = body.ok_or(WavFault::NotWav)?;
    let mut format = None;
    while !rest.is_empty() {
        let (id, tail) = rest.split_first_chunk::<4>().ok_or(WavFault::Truncated)?;
        let (len, tail) = tail.split_first_chunk::<4>().ok_or(WavFault::Truncated)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| WavFault::Truncated)?;
        let whole = tail.get(..len).ok_or(WavFault::Truncated);
        match id {
            b"fmt " => format = Some(Format::read(whole?)?),
            b"data" => {
                let data = if len >= OPEN_ENDED { whole.unwrap_or(tail) } else { whole? };
                return Ok((format.ok_or(WavFault::NoFormat)?, data));
            }
            _ => {}
        }
        // Chunks are aligned to even offsets.
        rest = len.checked_add(len % 2).and_then(|len| tail.get(len..)).ok_or(WavFault::Truncated)?;
    }
    Err(WavFault::NoAudio)
}

/// What a sample is.
#[derive(Clone, Copy)]
enum Coding {
    Pcm8,
    Pcm16,
    Pcm24,
    Pcm32,
    Float32,
    Ulaw,
    Alaw,
}

/// What the format chunk says.
struct Format {
    coding: Coding,
    /// One or more.
    channels: u16,
    /// One of [`RATES`].
    rate: u32,
}

impl Coding {
    const fn bytes(self) -> usize {
        match self {
            Self::Pcm8 | Self::Ulaw | Self::Alaw => 1,
            Self::Pcm16 => 2,
            Self::Pcm24 => 3,
            Self::Pcm32 | Self::Float32 => 4,
        }
    }
}

impl Format {
    fn read(chunk: &[u8]) -> Result<Self, WavFault> {
        let (fixed, extension) = chunk.split_first_chunk::<16>().ok_or(WavFault::Truncated)?;
        let [t0, t1, c0, c1, r0, r1, r2, r3, _, _, _, _, a0, a1, b0, b1] = *fixed;
        let (tag, channels) = (u16::from_le_bytes([t0, t1]), u16::from_le_bytes([c0, c1]));
        let (rate, bits) = (u32::from_le_bytes([r0, r1, r2, r3]), u16::from_le_bytes([b0, b1]));
        let block = u16::from_le_bytes([a0, a1]);
        let tag = if tag == EXTENSIBLE { sub_format(extension).unwrap_or(tag) } else { tag };
        let coding = match (tag, bits) {
            (PCM, 8) => Coding::Pcm8,
            (PCM, 16) => Coding::Pcm16,
            (PCM, 24) => Coding::Pcm24,
            (PCM, 32) => Coding::Pcm32,
            (FLOAT, 32) => Coding::Float32,
            (ULAW, 8) => Coding::Ulaw,
            (ALAW, 8) => Coding::Alaw,
            _ => return Err(WavFault::Format { tag, bits }),
        };
        let format = Self { coding, channels, rate };
        if channels == 0 || usize::from(block) != format.block() {
            return Err(WavFault::Layout { channels, bits, block });
        }
        if RATES.contains(&rate) { Ok(format) } else { Err(WavFault::Rate(rate)) }
    }

    /// The bytes of one sample of each channel; one or more.
    fn block(&self) -> usize {
        self.coding.bytes() * usize::from(self.channels.max(1))
    }

    /// The samples of all channels, mixed. What is left at the end of less than one of each is left out.
    fn decode(&self, data: &[u8]) -> Vec<i16> {
        // The tables have an entry for each byte.
        let law =
            |table: &[i16; 256], code: u8| f64::from(table.get(usize::from(code)).copied().unwrap_or(0));
        let mut mixed = match self.coding {
            Coding::Pcm8 => self.mix(data, |[a]| (f64::from(a) - 128.0) * 256.0),
            Coding::Pcm16 => self.mix(data, |bytes| f64::from(i16::from_le_bytes(bytes))),
            Coding::Pcm24 => self.mix(data, |[a, b, c]| upper_half(i32::from_le_bytes([0, a, b, c]))),
            Coding::Pcm32 => self.mix(data, |bytes| upper_half(i32::from_le_bytes(bytes))),
            Coding::Float32 => self.mix(data, |bytes| finite(f32::from_le_bytes(bytes)) * FULL_SCALE),
            Coding::Ulaw => self.mix(data, |[code]| law(&g711::ULAW, code)),
            Coding::Alaw => self.mix(data, |[code]| law(&g711::ALAW, code)),
        };
        let peak = mixed.iter().fold(0.0, |peak: f64, sample| peak.max(sample.abs()));
        if peak > FULL_SCALE {
            mixed.iter_mut().for_each(|sample| *sample *= f64::from(i16::MAX) / peak);
        }
        mixed.into_iter().map(pcm::round).collect()
    }

    fn mix<const N: usize>(&self, data: &[u8], sample: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let channels = usize::from(self.channels.max(1));
        let mean =
            |frame: &[[u8; N]]| frame.iter().map(|bytes| sample(*bytes)).sum::<f64>() / channels as f64;
        data.as_chunks().0.chunks_exact(channels).map(mean).collect()
    }
}

/// The format tag in the extension of a format chunk, which begins with its own length, the valid bits and the
/// mask of the channels.
fn sub_format(extension: &[u8]) -> Option<u16> {
    let (tag, rest) = extension.get(8..24)?.split_first_chunk()?;
    (rest == SUB_FORMAT).then_some(u16::from_le_bytes(*tag))
}

/// A sample of 32 bits in units of one of 16.
fn upper_half(sample: i32) -> f64 {
    f64::from(sample) / 65_536.0
}

/// What is not a number is silence.
fn finite(sample: f32) -> f64 {
    if sample.is_finite() { f64::from(sample) } else { 0.0 }
}

/// Makes a WAV file of 16-bit mono PCM.
#[must_use]
pub fn write(rate: u32, samples: &[i16]) -> Vec<u8> {
    let data = u32::try_from(samples.len().saturating_mul(2)).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&data.saturating_add(36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&rate.saturating_mul(2).to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data");
    file.extend_from_slice(&data.to_le_bytes());
    pcm::to_le_bytes(samples, &mut file);
    file
}

#[cfg(test)]
mod tests;

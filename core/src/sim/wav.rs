//! Just enough of WAV (RIFF, IBM and Microsoft 1991) for 16-bit mono PCM.

use crate::pcm;

/// Mono audio out of a WAV file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wav {
    /// Samples per second.
    pub rate: u32,
    /// The samples.
    pub samples: Vec<i16>,
}

/// Reads a WAV file of 16-bit mono PCM; `None` for anything else. Chunks that it does not know it skips.
#[must_use]
pub fn read(file: &[u8]) -> Option<Wav> {
    let mut rest = file.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WAVE")?;
    let mut rate = None;
    loop {
        let (id, tail) = rest.split_first_chunk::<4>()?;
        let (len, tail) = tail.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        match id {
            b"fmt " => rate = Some(mono_rate(tail.get(..len)?)?),
            b"data" => {
                let mut samples = Vec::with_capacity(len / 2);
                pcm::from_le_bytes(tail.get(..len)?, &mut samples);
                return Some(Wav { rate: rate?, samples });
            }
            _ => {}
        }
        // Chunks are aligned to even offsets.
        rest = tail.get(len.checked_add(len % 2)?..)?;
    }
}

/// The sample rate of a format chunk that says PCM (1), one channel, 16 bits.
fn mono_rate(fmt: &[u8]) -> Option<u32> {
    let (head, tail) = fmt.split_first_chunk::<8>()?;
    let [1, 0, 1, 0, a, b, c, d] = *head else { return None };
    (tail.get(6..8)? == [16, 0]).then_some(u32::from_le_bytes([a, b, c, d]))
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
mod tests {
    use super::*;

    #[test]
    fn the_recording_of_the_caller_is_there() {
        let wav = read(super::super::CALLER_WAV).unwrap();
        assert_eq!(wav.rate, 16_000);
        assert!((3.0..5.0).contains(&(wav.samples.len() as f64 / 16_000.0)));
        let square: f64 = wav.samples.iter().map(|s| f64::from(*s).powi(2)).sum();
        let dbfs = 10.0 * (square / wav.samples.len() as f64 / 32768f64.powi(2)).log10();
        assert!((-21.0..-19.0).contains(&dbfs), "{dbfs} dBFS");
    }

    #[test]
    fn a_file_reads_back_and_no_truncation_panics() {
        let file = write(8_000, &[1, -2, 3]);
        assert_eq!(read(&file), Some(Wav { rate: 8_000, samples: vec![1, -2, 3] }));
        for cut in 0..file.len() {
            assert_eq!(read(&file[..cut]), None, "cut at {cut}");
        }
        let mut stereo = file;
        stereo[22] = 2;
        assert_eq!(read(&stereo), None);
    }
}

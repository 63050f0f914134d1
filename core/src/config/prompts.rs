//! The operator's prompts: WAV files to what a caller can hear. The runtime reads the files.

use crate::pcm::Gain;
use crate::resample::Resampler;
use crate::settings::{MAX_PROMPT_SECONDS, PROMPT_RATE, Prompt};
use crate::wav::{self, WavFault};
use core::fmt;

/// The largest file, in bytes: [`MAX_PROMPT_SECONDS`] of stereo in 32 bits at 192 kHz, and what stands around it.
pub const MAX_PROMPT_FILE_BYTES: usize = 16 << 20;

/// Where the loudest sample comes to lie if resampling would lift it over full scale: a little below that,
/// because it is measured more coarsely than it is made.
const PEAK: f64 = 32_700.0;

/// How much quieter a prompt is resampled to find its peak. No filter that passes a band as it is lifts a peak by
/// as much as this.
const HEADROOM: f64 = 8.0;

/// Where the operator's prompts lie; a prompt without a file is the built-in one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PromptFiles {
    /// That of [`Prompt::Moment`].
    pub moment: Option<String>,
    /// That of [`Prompt::Sorry`].
    pub sorry: Option<String>,
    /// That of [`Prompt::Goodbye`].
    pub goodbye: Option<String>,
    /// That of [`Prompt::Comfort`].
    pub comfort: Option<String>,
}

impl PromptFiles {
    /// The path of a prompt's file, if it has one.
    #[must_use]
    pub fn get(&self, prompt: Prompt) -> Option<&str> {
        let path = match prompt {
            Prompt::Moment => &self.moment,
            Prompt::Sorry => &self.sorry,
            Prompt::Goodbye => &self.goodbye,
            Prompt::Comfort => &self.comfort,
        };
        path.as_deref()
    }

    /// The prompts that have a file, and its path.
    pub fn iter(&self) -> impl Iterator<Item = (Prompt, &str)> {
        Prompt::ALL.into_iter().filter_map(|prompt| Some((prompt, self.get(prompt)?)))
    }
}

/// The variable that names a prompt's file.
#[must_use]
pub const fn prompt_variable(prompt: Prompt) -> &'static str {
    match prompt {
        Prompt::Moment => "PROMPT_MOMENT",
        Prompt::Sorry => "PROMPT_SORRY",
        Prompt::Goodbye => "PROMPT_GOODBYE",
        Prompt::Comfort => "PROMPT_COMFORT",
    }
}

/// Why the file of a prompt cannot be used. `Display` is one line that names the variable and the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PromptFault {
    /// Which prompt.
    pub prompt: Prompt,
    /// Its file.
    pub path: String,
    /// What is wrong.
    pub why: PromptFaultKind,
}

/// What is wrong with the file of a prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PromptFaultKind {
    /// It has more than [`MAX_PROMPT_FILE_BYTES`].
    Large,
    /// It is no WAV file that can be read, or lasts longer than [`MAX_PROMPT_SECONDS`].
    Wav(WavFault),
}

impl PromptFault {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self.why {
            PromptFaultKind::Large | PromptFaultKind::Wav(WavFault::TooLong { .. }) => format!(
                "shorten it: sox {} prompt.wav channels 1 rate 24k trim 0 {MAX_PROMPT_SECONDS}",
                self.path
            ),
            PromptFaultKind::Wav(_) => {
                format!("make a WAV file of it: sox {} -b 16 prompt.wav channels 1 rate 24k", self.path)
            }
        }
    }
}

impl fmt::Display for PromptFaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Large => write!(f, "it has more than {} MiB", MAX_PROMPT_FILE_BYTES >> 20),
            Self::Wav(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for PromptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prompt, path, why } = self;
        write!(f, "{}: {path} cannot be used: {why}; {}", prompt_variable(*prompt), self.remedy())
    }
}

impl core::error::Error for PromptFault {}

/// What a prompt's WAV file sounds like: mono at [`PROMPT_RATE`], from its first sample to its last. It is as loud
/// as it was, unless its peaks would be clipped.
///
/// # Errors
///
/// What is wrong with `file`; `path` is repeated in it.
pub fn decode_prompt(prompt: Prompt, path: &str, file: &[u8]) -> Result<Vec<i16>, PromptFault> {
    let fault = |why| PromptFault { prompt, path: path.to_owned(), why };
    if file.len() > MAX_PROMPT_FILE_BYTES {
        return Err(fault(PromptFaultKind::Large));
    }
    let mut wav = wav::read(file, MAX_PROMPT_SECONDS).map_err(|why| fault(PromptFaultKind::Wav(why)))?;
    if wav.rate != PROMPT_RATE {
        let peak = resampled_peak(&wav.samples, wav.rate);
        if peak > PEAK {
            Gain::new(PEAK / peak).apply(&mut wav.samples);
        }
    }
    Ok(resampled(&wav.samples, wav.rate))
}

/// How far the samples would reach at [`PROMPT_RATE`] if there were no full scale. Between two samples a loud
/// sound lies higher than they do.
fn resampled_peak(samples: &[i16], rate: u32) -> f64 {
    let mut quiet = samples.to_vec();
    Gain::new(1.0 / HEADROOM).apply(&mut quiet);
    let peak = resampled(&quiet, rate).into_iter().map(i16::unsigned_abs).max();
    f64::from(peak.unwrap_or(0)) * HEADROOM
}

/// The samples at [`PROMPT_RATE`], without the delay that the filter puts in front of them.
fn resampled(samples: &[i16], rate: u32) -> Vec<i16> {
    let (mut resampler, mut out) = (Resampler::new(rate, PROMPT_RATE), Vec::new());
    resampler.process(samples, &mut out);
    resampler.flush(&mut out);
    // What comes out is exactly as long as the sound and the delay.
    let wanted = (samples.len() as u64 * u64::from(PROMPT_RATE)).div_ceil(rate.into());
    let delay = out.len().saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX));
    out.split_off(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the slowest that is read to the fastest, those that divide nothing among them.
    const RATES: [u32; 12] =
        [4_000, 7_919, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000, 192_000];

    fn tone(hz: f64, peak: f64, rate: u32, seconds: f64) -> Vec<i16> {
        let step = core::f64::consts::TAU * hz / f64::from(rate);
        let samples = (seconds * f64::from(rate)).round() as usize;
        (0..samples).map(|n| crate::pcm::round(peak * (n as f64 * step).cos())).collect()
    }

    fn decode(rate: u32, samples: &[i16]) -> Result<Vec<i16>, PromptFault> {
        decode_prompt(Prompt::Sorry, "/etc/sorry.wav", &wav::write(rate, samples))
    }

    /// Level and phase, in samples, of the tone of 440 Hz in a quarter of a second, and the level of all else.
    fn heard(samples: &[i16]) -> (f64, f64, f64) {
        let step = core::f64::consts::TAU * 440.0 / f64::from(PROMPT_RATE);
        let range = 3_000..9_000;
        let (mut cosine, mut sine, mut power) = (0.0, 0.0, 0.0);
        for n in range.clone() {
            let (sample, (sin, cos)) = (f64::from(samples[n]), (n as f64 * step).sin_cos());
            (cosine, sine, power) = (cosine + sample * cos, sine + sample * sin, power + sample * sample);
        }
        let half = range.len() as f64 / 2.0;
        let (cosine, sine) = (cosine / half, sine / half);
        let rest = power / half / 2.0 - (cosine.powi(2) + sine.powi(2)) / 2.0;
        (cosine.hypot(sine), sine.atan2(cosine) / step, rest.max(0.0).sqrt())
    }

    #[test]
    fn a_prompt_sounds_as_it_did_from_its_first_sample_to_its_last() {
        for rate in RATES {
            let tone = tone(440.0, 12_000.0, rate, 0.5);
            let prompt = decode(rate, &tone).unwrap();
            assert_eq!(prompt.len(), (tone.len() * 24_000).div_ceil(rate as usize), "{rate} Hz");
            let (level, late, rest) = heard(&prompt);
            // Where a block has an odd number of samples, its middle lies between two of them.
            assert!((level - 12_000.0).abs() < 12.0 && late.abs() < 2.0, "{rate} Hz: {level}, {late}");
            // 70 dB below it.
            assert!(rest < 2.7, "{rate} Hz: {rest}");
            let rms = |part: &[i16]| {
                (part.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / part.len() as f64).sqrt()
            };
            for end in [&prompt[..109], &prompt[prompt.len() - 109..]] {
                let level = rms(end) * core::f64::consts::SQRT_2;
                assert!((10_000.0..14_000.0).contains(&level), "{rate} Hz: {level} at an end");
            }
        }
    }

    #[test]
    fn the_loudest_prompt_is_not_clipped() {
        for rate in RATES.into_iter().filter(|rate| *rate != PROMPT_RATE) {
            let square: Vec<i16> =
                (0..rate).map(|n| if n * 2 * 250 / rate % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
            let prompt = decode(rate, &square).unwrap();
            let peak = prompt.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
            assert!((32_000..32_767).contains(&peak), "{rate} Hz: {peak}");
        }
        let loud = [i16::MAX, i16::MIN].repeat(100);
        assert_eq!(decode(PROMPT_RATE, &loud), Ok(loud), "nothing is to be done");
    }

    #[test]
    fn ten_seconds_are_taken_and_a_sample_more_is_not() {
        assert_eq!(decode(8_000, &[0; 80_000]).unwrap().len(), 240_000);
        assert_eq!(
            decode(8_000, &[0; 80_001]).unwrap_err().to_string(),
            "PROMPT_SORRY: /etc/sorry.wav cannot be used: it lasts 10.001 seconds; it may last 10; shorten it: sox \
             /etc/sorry.wav prompt.wav channels 1 rate 24k trim 0 10"
        );
    }

    #[test]
    fn what_is_no_sound_is_refused_with_variable_file_and_remedy() {
        let fault = decode_prompt(Prompt::Comfort, "hum.mp3", b"ID3").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "PROMPT_COMFORT: hum.mp3 cannot be used: it is not a WAV file; make a WAV file of it: sox hum.mp3 -b 16 \
             prompt.wav channels 1 rate 24k"
        );
        let large = decode_prompt(Prompt::Moment, "a.wav", &vec![0; MAX_PROMPT_FILE_BYTES + 1]).unwrap_err();
        assert!(large.to_string().contains("more than 16 MiB; shorten it"), "{large}");
    }

    #[test]
    fn every_prompt_has_a_file_of_its_own() {
        let files = PromptFiles {
            moment: Some("moment".to_owned()),
            sorry: Some("sorry".to_owned()),
            goodbye: None,
            comfort: Some("comfort".to_owned()),
        };
        let named: Vec<_> = files.iter().collect();
        assert!(named.iter().all(|(prompt, path)| prompt.name() == *path));
        assert_eq!(named.len(), 3);
        for prompt in Prompt::ALL {
            assert_eq!(prompt_variable(prompt), format!("PROMPT_{}", prompt.name().to_ascii_uppercase()));
        }
    }
}

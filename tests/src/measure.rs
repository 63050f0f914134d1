//! How much of what was said was heard.
//!
//! All audio here is 16-bit mono at [`RATE`].

/// Samples per second of everything that is measured.
pub const RATE: usize = 16_000;

/// The coarse search looks at every so many samples, each the mean of that many: 2000 Hz, which keeps the
/// strongest part of a voice (below 1 kHz) and makes the search 64 times cheaper.
const COARSE: usize = 8;

/// How many peaks of the coarse search are looked at closely. A voice repeats itself with its pitch, so that the
/// highest coarse peak may be one period off.
const CANDIDATES: usize = 6;

/// Half the length of the interpolation filter, in samples.
const SINC_HALF: isize = 24;

/// Lags are found to a fraction of this many parts of a sample.
const LAG_PARTS: i32 = 8;

/// Where and how well an utterance was found.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Match {
    /// How much later it was heard than it was said, in samples; a fraction because two resamplers in a row need
    /// not delay by whole samples.
    pub lag: f64,
    /// The normalised cross-correlation over the whole utterance at that one lag, from -1 to 1. It does not
    /// depend on loudness. Audio that slips by a single sample halfway through cannot reach a high value.
    pub correlation: f64,
}

impl Match {
    /// The lag in milliseconds.
    #[must_use]
    pub fn lag_ms(self) -> f64 {
        self.lag * 1000.0 / RATE as f64
    }
}

/// Finds `said` in `heard`: the one lag at which the whole of `said` correlates best. `heard` is silent
/// where it ends.
#[must_use]
pub fn find(heard: &[i16], said: &[i16]) -> Match {
    let heard = centred(heard);
    let said = centred(said);
    let coarse = |signal: &[f32]| -> Vec<f32> {
        signal.chunks(COARSE).map(|chunk| chunk.iter().sum::<f32>() / COARSE as f32).collect()
    };
    let coarse_heard = Heard::new(coarse(&heard));
    let coarse_said = coarse(&said);
    let coarse_energy = energy(&coarse_said);
    let mut peaks: Vec<(f64, usize)> = (0..coarse_heard.samples.len())
        .map(|lag| (coarse_heard.correlation(&coarse_said, coarse_energy, lag as isize), lag))
        .collect();
    peaks.sort_by(|a, b| b.0.total_cmp(&a.0));

    let heard = Heard::new(heard);
    let said_energy = energy(&said);
    let mut best = Match::default();
    for (_, lag) in peaks.into_iter().take(CANDIDATES) {
        let around = (lag * COARSE) as isize;
        for lag in around - COARSE as isize..=around + COARSE as isize {
            let correlation = heard.correlation(&said, said_energy, lag);
            if correlation > best.correlation {
                best = Match { lag: lag as f64, correlation };
            }
        }
    }
    refine(&heard.samples, &said, best)
}

/// A signal in which utterances are looked for.
struct Heard {
    samples: Vec<f32>,
    /// The energy of the first n samples, so that the energy of any part is one subtraction.
    energy_before: Vec<f64>,
}

impl Heard {
    fn new(samples: Vec<f32>) -> Self {
        let mut sum = 0.0;
        let sums = samples.iter().map(|s| {
            sum += f64::from(*s).powi(2);
            sum
        });
        let energy_before = [0.0].into_iter().chain(sums).collect();
        Self { samples, energy_before }
    }

    /// The normalised cross-correlation of `said`, of that energy, with what lies `lag` samples in.
    fn correlation(&self, said: &[f32], said_energy: f64, lag: isize) -> f64 {
        let skip = usize::try_from(-lag).unwrap_or(0).min(said.len());
        let start = usize::try_from(lag).unwrap_or(0).min(self.samples.len());
        let end = (start + said.len() - skip).min(self.samples.len());
        let cross: f32 = self.samples[start..end].iter().zip(&said[skip..]).map(|(h, s)| h * s).sum();
        let heard_energy = self.energy_before[end] - self.energy_before[start];
        let scale = (heard_energy * said_energy).sqrt();
        // Below one unit of energy in all there is nothing but rounding.
        if scale > 1.0 { f64::from(cross) / scale } else { 0.0 }
    }
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum()
}

/// Moves a match by fractions of a sample. Half a sample is nothing to a vowel and a quarter of a period to a
/// consonant at 8 kHz.
fn refine(heard: &[f32], said: &[f32], whole: Match) -> Match {
    let mut best = whole;
    let from = whole.lag as isize;
    for part in -LAG_PARTS / 2..=LAG_PARTS / 2 {
        let fraction = f64::from(part) / f64::from(LAG_PARTS);
        let shifted: Vec<f32> =
            (0..said.len() as isize).map(|n| interpolate(heard, n + from, fraction)).collect();
        let correlation = Heard::new(shifted).correlation(said, energy(said), 0);
        if correlation > best.correlation {
            best = Match { lag: whole.lag + fraction, correlation };
        }
    }
    best
}

/// The value of a signal at `position + fraction`, by a Hann-windowed sinc.
fn interpolate(signal: &[f32], position: isize, fraction: f64) -> f32 {
    use std::f64::consts::PI;
    let sample = |at: isize| usize::try_from(at).ok().and_then(|at| signal.get(at)).copied().unwrap_or(0.0);
    if fraction == 0.0 {
        return sample(position);
    }
    // sin(pi (k - fraction)) has the same magnitude for every k, so one sine serves the whole filter.
    let sine = (PI * fraction).sin();
    let mut sum = 0.0;
    for k in -SINC_HALF..=SINC_HALF {
        let x = k as f64 - fraction;
        let sign = if k % 2 == 0 { -1.0 } else { 1.0 };
        let window = 0.5 + 0.5 * (PI * x / (SINC_HALF as f64 + 1.0)).cos();
        sum += f64::from(sample(position + k)) * sign * sine / (PI * x) * window;
    }
    sum as f32
}

/// The samples around their mean: a constant offset is no sound.
fn centred(samples: &[i16]) -> Vec<f32> {
    let mean = samples.iter().map(|s| f64::from(*s)).sum::<f64>() / samples.len().max(1) as f64;
    samples.iter().map(|s| (f64::from(*s) - mean) as f32).collect()
}

/// The part of `heard` that belongs to the utterance `said` found at `found`.
#[must_use]
pub fn section<'a>(heard: &'a [i16], said: &[i16], found: Match) -> &'a [i16] {
    let start = (found.lag.max(0.0) as usize).min(heard.len());
    let end = (start + said.len()).min(heard.len());
    &heard[start..end]
}

/// The level of a signal in dB below a full-scale square wave; -120 for digital silence.
#[must_use]
pub fn level_dbfs(samples: &[i16]) -> f64 {
    let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64;
    (10.0 * (power / 32768.0_f64.powi(2)).log10()).max(-120.0)
}

/// The level of what lies above `hertz`, in dBFS, through a linear-phase filter (255 taps, Blackman window:
/// 75 dB down from 350 Hz below the corner on).
#[must_use]
pub fn level_above_dbfs(samples: &[i16], hertz: f64) -> f64 {
    use std::f64::consts::PI;
    const HALF: isize = 127;
    // The corner of a windowed sinc is where it is 6 dB down; half the transition lies on each side.
    let cutoff = (hertz - 175.0) / RATE as f64;
    let taps: Vec<f64> = (-HALF..=HALF)
        .map(|k| {
            let phase = PI * k as f64 / HALF as f64;
            let window = 0.42 + 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos();
            let low =
                if k == 0 { 2.0 * cutoff } else { (2.0 * PI * cutoff * k as f64).sin() / (PI * k as f64) };
            let delta = f64::from(u8::from(k == 0));
            delta - low * window
        })
        .collect();
    let filtered: Vec<i16> = samples
        .windows(taps.len())
        .map(|window| window.iter().zip(&taps).map(|(s, t)| f64::from(*s) * t).sum::<f64>() as i16)
        .collect();
    level_dbfs(&filtered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech;

    /// `said`, heard `lag` samples later at half the loudness, in a second and a half of silence.
    fn echo(said: &[i16], lag: usize) -> Vec<i16> {
        let mut heard = vec![0; lag];
        heard.extend(said.iter().map(|s| s / 2));
        heard.resize(said.len() + lag + RATE / 2, 0);
        heard
    }

    #[test]
    fn an_utterance_is_found_where_it_is_and_loudness_does_not_matter() {
        let said = speech::utterance(1, 1.0);
        for lag in [0, 1, 777, 12_345] {
            let found = find(&echo(&said, lag), &said);
            assert!(found.correlation > 0.999, "{found:?}");
            assert!((found.lag - lag as f64).abs() < 0.01, "{found:?} is not {lag}");
        }
    }

    #[test]
    fn another_voice_is_not_taken_for_this_one() {
        let said = speech::utterance(1, 1.5);
        for other in 2..6 {
            let found = find(&echo(&speech::utterance(other, 1.5), 500), &said);
            assert!(found.correlation < 0.5, "voice {other}: {found:?}");
        }
        assert!(find(&[0; 8000], &said).correlation < 0.1, "silence is nobody's voice");
        assert!(find(&[], &said).correlation < 0.1, "nor is nothing");
    }

    #[test]
    fn one_lost_packet_is_forgiven_and_a_slip_in_the_middle_is_not() {
        let said = speech::utterance(3, 2.0);
        let mut lost = echo(&said, 1000);
        lost[9000..9320].fill(0);
        assert!(find(&lost, &said).correlation > 0.95);
        // 5 ms vanish halfway: every sample is there, but not at one lag.
        let mut slipped = echo(&said, 1000);
        slipped.drain(17_000..17_080);
        assert!(find(&slipped, &said).correlation < 0.8);
    }

    #[test]
    fn a_delay_by_half_a_sample_is_a_delay_and_not_a_difference() {
        let said = speech::utterance(4, 1.0);
        let smooth = centred(&said);
        let heard: Vec<i16> =
            (0..said.len() as isize + 400).map(|n| interpolate(&smooth, n - 200, 0.5) as i16).collect();
        let found = find(&heard, &said);
        assert!(found.correlation > 0.99, "{found:?}");
        assert!((found.lag - 199.5).abs() < 0.2, "{found:?}");
    }

    #[test]
    fn the_level_above_a_frequency_leaves_out_what_lies_below() {
        let tone = |hertz: f64| -> Vec<i16> {
            (0..RATE)
                .map(|n| {
                    (8000.0 * (2.0 * std::f64::consts::PI * hertz * n as f64 / RATE as f64).sin()) as i16
                })
                .collect()
        };
        let whole = level_dbfs(&tone(6000.0));
        assert!((level_above_dbfs(&tone(6000.0), 4200.0) - whole).abs() < 0.3);
        assert!(level_above_dbfs(&tone(3400.0), 4200.0) < whole - 60.0);
    }

    #[test]
    fn a_voice_has_sound_above_the_telephone_band() {
        for voice in 0..10 {
            let said = speech::utterance(voice, 2.0);
            let (all, high) = (level_dbfs(&said), level_above_dbfs(&said, 4200.0));
            assert!((-26.0..-14.0).contains(&all), "voice {voice}: {all:.1} dBFS");
            assert!(high > all - 20.0, "voice {voice}: {high:.1} dBFS of {all:.1} above 4.2 kHz");
        }
    }
}

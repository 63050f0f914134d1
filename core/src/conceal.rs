//! Stands in for audio that is missing: the last pitch period goes on, fades, and gives way to what comes then.
//!
//! The idea is that of ITU-T G.711 Appendix I, but nothing is held back for it. There, every sample leaves
//! 3.75 ms late so that the start of a loss can still be blended; here, audio that came is gone at once, and
//! the step where the made-up part begins is carried by an offset that dies away inside that part.
//!
//! Only integers, and `+ - * /` and `sqrt` on `f64`, which IEEE 754 rounds alike on every machine: a replay
//! gives the same samples.

/// The shortest stretch that is repeated, in milliseconds. A voice with a shorter period is repeated by a
/// multiple of it.
const SHORTEST_MS: usize = 5;

/// The longest stretch that is repeated, in milliseconds: the period of 62.5 Hz. What has no period is repeated
/// by about this much, since a short piece of noise in a circle sounds like a tone.
const LONGEST_MS: usize = 16;

/// How much of the latest audio is compared with what lies a period before it, in milliseconds. On voices whose
/// pitch glides, 10 ms were found to fit what follows better than 20.
const TEMPLATE_MS: usize = 10;

/// What is remembered of the audio, in milliseconds: two of the longest periods, in which the template one
/// longest period back has room too.
const HISTORY_MS: usize = 2 * LONGEST_MS;

/// The rate at which the period is looked for at first, in Hz.
const COARSE_HZ: usize = 4_000;

/// Samples of the history at that rate.
const COARSE_SAMPLES: usize = HISTORY_MS * COARSE_HZ / 1000;

/// The shortest lag at that rate, in samples.
const COARSE_SHORTEST: usize = SHORTEST_MS * COARSE_HZ / 1000;

/// How many lags are looked at at that rate.
const COARSE_LAGS: usize = (LONGEST_MS - SHORTEST_MS) * COARSE_HZ / 1000 + 1;

/// The share of the best score with which a place is looked at in every sample.
const GOOD: f64 = 0.8;

/// For how long audio that comes back is blended in, in milliseconds.
pub const BLEND_MS: usize = 5;

/// Parts of a second over which the offset at the start dies away: 2.5 ms.
const OFFSET_PER_SECOND: usize = 400;

/// The square of the correlation below which audio is taken to have no period.
const PERIODIC: f64 = 0.25;

/// How stand-in audio goes silent: at full level until `full_ms` after its start, then on a straight line to
/// zero at `silent_ms`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fade {
    /// For how long the level is kept, in milliseconds.
    pub full_ms: u32,
    /// From when on there is silence, in milliseconds.
    pub silent_ms: u32,
}

impl Fade {
    /// For audio that should be there and is not, as in G.711 Appendix I.
    pub const LOSS: Self = Self { full_ms: 10, silent_ms: 60 };
    /// For audio that ends without having been brought to an end, because no more came or the caller cut in:
    /// long enough not to click, too short to be heard as more of the word.
    pub const QUICK: Self = Self { full_ms: 0, silent_ms: 5 };
}

/// Waveform substitution for one stream of mono audio, without delay and without look-ahead.
///
/// All audio of the stream passes through [`Concealer::hear`], and where some is missing
/// [`Concealer::conceal`] makes it up. The memory is fixed, and a call works in proportion to its samples, plus
/// one bounded search for the period where concealment begins.
#[derive(Debug)]
pub struct Concealer {
    samples_per_ms: usize,
    /// In samples, like all that follows.
    full: usize,
    silent: usize,
    blend: usize,
    /// The latest that went out, heard or made up.
    history: Vec<i16>,
    coarse: [i16; COARSE_SAMPLES],
    /// What is repeated.
    cycle: Vec<i16>,
    /// The step at the start of the made-up part, by which its first samples are shifted.
    offset: i32,
    /// How loud the made-up part may be.
    peak: i32,
    /// Since the start of the made-up part.
    at: usize,
    /// Whether the last that went out was made up.
    is_missing: bool,
    /// How much of what is heard next will be blended with what would have been made up.
    blend_left: usize,
}

impl Concealer {
    /// A concealer without history for audio at `sample_rate_hz`, a multiple of 4000. It allocates all
    /// that it ever needs.
    #[must_use]
    pub fn new(sample_rate_hz: u32, fade: Fade) -> Self {
        let rate = sample_rate_hz as usize;
        let samples_per_ms = (rate / 1000).max(1);
        Self {
            samples_per_ms,
            full: fade.full_ms as usize * samples_per_ms,
            silent: fade.silent_ms as usize * samples_per_ms,
            blend: BLEND_MS * samples_per_ms,
            history: vec![0; HISTORY_MS * samples_per_ms],
            coarse: [0; COARSE_SAMPLES],
            cycle: Vec::with_capacity(LONGEST_MS * samples_per_ms),
            offset: 0,
            peak: 0,
            at: 0,
            is_missing: false,
            blend_left: 0,
        }
    }

    /// Takes audio that came. After concealment its first 5 ms are crossfaded, in place, with what concealment
    /// would have gone on with; that is a fade-in if it had fallen silent.
    pub fn hear(&mut self, samples: &mut [i16]) {
        if samples.is_empty() {
            return;
        }
        let whole = self.blend + 1;
        for sample in samples.iter_mut().take(self.blend_left) {
            let heard = whole - self.blend_left;
            *sample = mix(self.next_made_up(), *sample, heard, whole);
            self.blend_left -= 1;
        }
        self.is_missing = false;
        self.remember(samples);
    }

    /// Appends so many samples of stand-in audio to `out`; they are exact zeros once the fade has ended.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        if samples == 0 {
            return;
        }
        self.join();
        let start = out.len();
        for _ in 0..samples.min(self.silent.saturating_sub(self.at)) {
            let sample = self.next_made_up();
            out.push(sample);
        }
        out.resize(start + samples, 0);
        self.remember(out.get(start..).unwrap_or_default());
    }

    /// Another stream begins here: the first of it is blended with what would have gone on of this one.
    pub fn join(&mut self) {
        if !core::mem::replace(&mut self.is_missing, true) {
            self.begin();
        }
        self.blend_left = self.blend;
    }

    /// Whether the next [`Concealer::hear`] changes its samples.
    #[must_use]
    pub const fn is_concealing(&self) -> bool {
        self.blend_left > 0
    }

    /// Forgets the history: what is heard next stays as it is, and what is made up before that is zeros.
    pub fn reset(&mut self) {
        self.history.fill(0);
        self.is_missing = false;
        self.blend_left = 0;
    }

    /// Decides what is repeated from here on.
    fn begin(&mut self) {
        let period = self.period();
        let (last, before) = (latest(&self.history, 0, period), latest(&self.history, period, period));
        // So that the end of the stretch runs into its start, its last quarter turns into what was heard before
        // its start, brought down to its level: silence after speech must not bring the speech back.
        let (of_last, of_before) = (energy(last) as f64, energy(before) as f64);
        let level = if of_before > of_last { (of_last / of_before).sqrt() } else { 1.0 };
        let overlap = period / 4;
        self.cycle.clear();
        self.cycle.extend(last.iter().zip(before).enumerate().map(|(n, (&last, &before))| {
            let share = (n + 1 + overlap).saturating_sub(period);
            mix(last, (f64::from(before) * level) as i16, share, overlap + 1)
        }));
        let [first, end] = [before, last].map(|part| i32::from(part.last().copied().unwrap_or(0)));
        self.offset = end - first;
        let loudest = last.iter().chain(before).map(|sample| sample.saturating_abs()).max();
        self.peak = i32::from(loudest.unwrap_or(0));
        self.at = 0;
    }

    /// The next sample of the made-up part, as far as it fits the level of what was heard.
    fn next_made_up(&mut self) -> i16 {
        let at = self.at;
        self.at += 1;
        if at >= self.silent {
            return 0;
        }
        let repeated = self.cycle.get(at % self.cycle.len().max(1)).copied().unwrap_or(0);
        let dying = self.samples_per_ms * 1000 / OFFSET_PER_SECOND;
        let offset = self.offset as i64 * dying.saturating_sub(at) as i64 / (dying + 1) as i64;
        let sample = (i32::from(repeated) + offset as i32).clamp(-self.peak, self.peak);
        let (left, fading) = (self.silent - at, self.silent.saturating_sub(self.full).max(1));
        (i64::from(sample) * left.min(fading) as i64 / fading as i64) as i16
    }

    fn remember(&mut self, samples: &[i16]) {
        let kept = latest(samples, 0, samples.len().min(self.history.len()));
        self.history.copy_within(kept.len().., 0);
        let from = self.history.len() - kept.len();
        self.history.get_mut(from..).unwrap_or_default().copy_from_slice(kept);
    }

    /// How far back the audio resembles itself the most, in samples: looked for at [`COARSE_HZ`], and then
    /// around each good place in every sample. Of a short period a multiple may fit the samples better.
    fn period(&mut self) -> usize {
        let step = (self.history.len() / COARSE_SAMPLES).max(1);
        for (mean, part) in self.coarse.iter_mut().zip(self.history.chunks_exact(step)) {
            *mean = (part.iter().map(|&s| i32::from(s)).sum::<i32>() / step as i32) as i16;
        }
        let mut scores = [0.0; COARSE_LAGS];
        for (score, lag) in scores.iter_mut().zip(COARSE_SHORTEST..) {
            *score = likeness(&self.coarse, TEMPLATE_MS * COARSE_HZ / 1000, lag);
        }
        let enough = scores.iter().fold(PERIODIC, |best, &score| best.max(GOOD * score));
        let (shortest, longest) = (SHORTEST_MS * self.samples_per_ms, LONGEST_MS * self.samples_per_ms);
        let mut best = (longest, f64::MIN);
        for (n, (&score, lag)) in scores.iter().zip(COARSE_SHORTEST..).enumerate() {
            let beside = [n.checked_sub(1), Some(n + 1)].map(|n| n.and_then(|n| scores.get(n).copied()));
            if score < enough || beside.into_iter().flatten().any(|other| other > score) {
                continue;
            }
            for lag in (step * (lag - 1)).max(shortest)..=(step * (lag + 1)).min(longest) {
                let score = likeness(&self.history, TEMPLATE_MS * self.samples_per_ms, lag);
                if score > best.1 {
                    best = (lag, score);
                }
            }
        }
        best.0
    }
}

/// How much the latest `template` samples resemble those that lie `lag` before them: the square of their
/// normalised cross-correlation, negative if they are opposed. Silence resembles nothing.
fn likeness(samples: &[i16], template: usize, lag: usize) -> f64 {
    let (recent, earlier) = (latest(samples, 0, template), latest(samples, lag, template));
    let product = recent.iter().zip(earlier).map(|(&a, &b)| i64::from(a) * i64::from(b)).sum::<i64>() as f64;
    product * product.abs() / (energy(recent) as f64 * energy(earlier) as f64).max(1.0)
}

/// `length` samples, of which the last lies `back` before the end.
fn latest(samples: &[i16], back: usize, length: usize) -> &[i16] {
    let end = samples.len().saturating_sub(back);
    samples.get(end.saturating_sub(length)..end).unwrap_or_default()
}

fn energy(samples: &[i16]) -> i64 {
    samples.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum()
}

/// `share` of `whole` parts of `to`, the rest of `from`.
fn mix(from: i16, to: i16, share: usize, whole: usize) -> i16 {
    let (share, whole) = (share as i64, whole.max(1) as i64);
    ((i64::from(from) * (whole - share) + i64::from(to) * share) / whole) as i16
}

#[cfg(test)]
mod tests;

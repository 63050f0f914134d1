//! Whether it is the caller who is heard while the agent speaks, or only the agent's echo.
//!
//! A server's voice detection takes a clear echo for a voice. The caller's own level is known from when the
//! agent was silent, so what is much quieter than that is not the caller. Levels are mean squares of blocks of
//! 10 ms, in integers, and decisions are comparisons of them.

/// How long a block is, in milliseconds.
const BLOCK_MS: u32 = 10;

/// A voice is looked for in stretches of so many milliseconds.
pub const WINDOW_MS: u32 = 240;

/// How far [`VoiceMeter::confirms`] can look back, in milliseconds.
pub const MEMORY_MS: u32 = u128::BITS * BLOCK_MS;

/// How much of the window must be loud to be a voice, in milliseconds: longer than a click or a knock.
pub const VOICE_MS: u32 = 120;

/// For how long after the agent's last word nothing is learned and an echo is reckoned with, in milliseconds: the
/// way to the caller and back, over a mobile network at its worst.
pub const ECHO_MS: u32 = 300;

/// The mean square of -40 dBFS, where 0 dBFS is that of a square wave of full scale: what is quieter is never
/// taken for the caller.
const LOUD: u64 = FULL_SCALE / 10_000;

/// The mean square of -45 dBFS: what is quieter is not counted among the caller's words.
const AUDIBLE: u64 = FULL_SCALE * 10 / 316_228;

const FULL_SCALE: u64 = 1 << 30;

/// How far below the caller's level a voice may be, as a ratio of mean squares: 10 dB.
const BELOW_CALLER: u64 = 10;

/// The learned level rises by one part in so many with a louder block, and falls by one part in three times as
/// many with a quieter one. So it settles where one block in four is louder, within a second of speech.
const RISE: u64 = 8;
const FALL: u64 = 3 * RISE;

/// A block that is quieter than the caller's level by this ratio of mean squares, 18 dB, is no word of the
/// caller, and moves the level as much more slowly.
const FAR_BELOW: u64 = 64;

/// Measures the caller's audio as it was received.
#[derive(Clone, Debug)]
pub struct VoiceMeter {
    block_samples: u32,
    /// Of the block that is not full yet.
    sum: u64,
    samples: u32,
    /// Bit n: the block n blocks ago was loud.
    loud: u128,
    /// The mean square of the caller's louder blocks; 0 before the first.
    caller: u64,
    /// Blocks since the agent spoke.
    since_agent: u32,
}

impl VoiceMeter {
    /// A meter for audio at `sample_rate_hz`, a multiple of 100.
    #[must_use]
    pub const fn new(sample_rate_hz: u32) -> Self {
        let block_samples = sample_rate_hz / (1000 / BLOCK_MS);
        let block_samples = if block_samples == 0 { 1 } else { block_samples };
        Self { block_samples, sum: 0, samples: 0, loud: 0, caller: 0, since_agent: ECHO_MS / BLOCK_MS }
    }

    /// Takes audio of the caller; `agent_is_speaking` says whether the caller hears the agent meanwhile.
    pub fn hear(&mut self, samples: &[i16], agent_is_speaking: bool) {
        for &sample in samples {
            self.sum += u64::from(sample.unsigned_abs()).pow(2);
            self.samples += 1;
            if self.samples == self.block_samples {
                let mean = self.sum / u64::from(self.block_samples);
                (self.sum, self.samples) = (0, 0);
                self.block(mean, agent_is_speaking);
            }
        }
    }

    /// Whether a voice was heard at any time in the last `past_ms`, of which at most [`MEMORY_MS`] are remembered:
    /// [`VOICE_MS`] were loud of [`WINDOW_MS`] that end there. Its work is bounded by what is remembered.
    #[must_use]
    pub fn confirms(&self, past_ms: u32) -> bool {
        const WINDOW: u128 = (1 << (WINDOW_MS / BLOCK_MS)) - 1;
        let is_voice = |ago: u32| (self.loud >> ago & WINDOW).count_ones() * BLOCK_MS >= VOICE_MS;
        (0..=past_ms / BLOCK_MS).take_while(|&ago| ago < u128::BITS).any(is_voice)
    }

    fn block(&mut self, mean: u64, agent_is_speaking: bool) {
        self.since_agent = if agent_is_speaking { 0 } else { self.since_agent.saturating_add(1) };
        let may_be_echo = self.since_agent <= ECHO_MS / BLOCK_MS;
        let threshold = if may_be_echo { LOUD.max(self.caller / BELOW_CALLER) } else { LOUD };
        self.loud = self.loud << 1 | u128::from(mean > threshold);
        if may_be_echo || mean <= AUDIBLE {
            return;
        }
        self.caller = match self.caller {
            0 => mean,
            level if mean > level => level + level / RISE,
            // The noise between the words tells little about how loud the words are.
            level if mean < level / FAR_BELOW => level - level / (FAR_BELOW * FALL),
            level => level - level / FALL,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const RATE: u32 = 16_000;

    /// Syllables of 150 ms with gaps of 50 ms, of noise whose level swells and falls over 12 dB.
    fn speech(dbfs: f64, ms: usize) -> Vec<i16> {
        let mut rng = Rng::new(5);
        let peak = 32_768.0 * 10f64.powf(dbfs / 20.0) * 3f64.sqrt();
        let level = |n: usize| match n / 16 % 200 {
            t @ 0..150 => peak * (0.25 + 0.75 * (t as f64 / 150.0 * core::f64::consts::PI).sin()),
            _ => 0.0,
        };
        (0..16 * ms).map(|n| (level(n) * f64::from(rng.next_u16() as i16) / 32_768.0) as i16).collect()
    }

    fn who_knows_the_caller(dbfs: f64) -> VoiceMeter {
        let mut meter = VoiceMeter::new(RATE);
        meter.hear(&speech(dbfs, 5_000), false);
        // Then the caller listens, with the noise of a car at -44 dBFS.
        let mut rng = Rng::new(6);
        let noise: Vec<i16> = (0..16_000).map(|_| rng.below(716) as i16 - 358).collect();
        meter.hear(&noise, false);
        meter.hear(&vec![0; 16 * 500], false);
        meter
    }

    /// After how many milliseconds of this audio, over the agent, a voice is confirmed.
    fn confirmed_after(meter: &mut VoiceMeter, audio: &[i16]) -> Option<usize> {
        audio
            .chunks(160)
            .position(|block| {
                meter.hear(block, true);
                meter.confirms(0)
            })
            .map(|blocks| 10 * (blocks + 1))
    }

    #[test]
    fn a_caller_who_speaks_over_the_agent_is_heard_within_a_syllable() {
        for dbfs in [-12.0, -20.0, -30.0] {
            let mut meter = who_knows_the_caller(dbfs);
            let after = confirmed_after(&mut meter, &speech(dbfs, 2_000)).expect("the caller");
            assert!(after <= 150, "{after} ms at {dbfs} dBFS");
        }
    }

    #[test]
    fn a_caller_over_the_echo_is_heard_too() {
        let mut meter = who_knows_the_caller(-20.0);
        assert_eq!(confirmed_after(&mut meter, &speech(-40.0, 2_000)), None);
        let both: Vec<i16> = speech(-20.0, 2_000)
            .iter()
            .zip(speech(-40.0, 2_100)[1600..].iter())
            .map(|(a, b)| a + b)
            .collect();
        let after = confirmed_after(&mut meter, &both).expect("the caller");
        assert!(after <= 150, "{after} ms");
    }

    #[test]
    fn an_echo_well_below_the_caller_is_not_the_caller() {
        for dbfs in [-12.0, -20.0] {
            let mut meter = who_knows_the_caller(dbfs);
            assert_eq!(confirmed_after(&mut meter, &speech(dbfs - 20.0, 10_000)), None, "{dbfs} dBFS");
        }
    }

    #[test]
    fn before_the_caller_was_heard_what_is_above_40_dbfs_counts() {
        assert!(confirmed_after(&mut VoiceMeter::new(RATE), &speech(-30.0, 1_000)).is_some());
        assert_eq!(confirmed_after(&mut VoiceMeter::new(RATE), &speech(-46.0, 10_000)), None);
    }

    #[test]
    fn a_click_is_not_a_voice() {
        let mut meter = who_knows_the_caller(-20.0);
        let mut audio = vec![0; 16 * 1000];
        for second in audio.chunks_mut(16 * 240) {
            second[..16 * 20].fill(30_000);
        }
        assert_eq!(confirmed_after(&mut meter, &audio), None);
        assert!(!meter.confirms(MEMORY_MS), "nor are many of them");
    }

    #[test]
    fn the_agent_s_echo_is_not_learned_as_the_caller() {
        let mut meter = who_knows_the_caller(-12.0);
        let before = meter.caller;
        meter.hear(&speech(-32.0, 20_000), true);
        meter.hear(&speech(-32.0, 300), false);
        assert_eq!(meter.caller, before);
        assert!(!meter.confirms(0), "nor is what still comes of it taken for the caller");
    }

    #[test]
    fn a_voice_is_remembered_for_as_long_as_is_asked_for() {
        let mut meter = VoiceMeter::new(8_000);
        meter.hear(&[8_000; 80 * 12], true);
        assert!(meter.confirms(0));
        meter.hear(&[0; 80 * 62], true);
        let confirmed = [0, 480, 490, 500, MEMORY_MS, u32::MAX].map(|past| meter.confirms(past));
        assert_eq!(confirmed, [false, false, false, true, true, true]);
        meter.hear(&[0; 80 * 120], true);
        assert!(!meter.confirms(u32::MAX));
    }

    #[test]
    fn the_loudest_audio_does_not_overflow() {
        let mut meter = VoiceMeter::new(RATE);
        meter.hear(&vec![i16::MIN; 160_000], false);
        assert!(meter.confirms(0) && meter.caller > 1 << 29);
    }
}

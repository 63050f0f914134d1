//! What was played to the caller, kept until the caller's audio of the same time is there.

use std::collections::VecDeque;

/// How far the caller's audio may come ahead of its time before it finds nothing to be compared with, in
/// milliseconds. Each of them makes the echo's delay shorter, and that must not fall below zero: a gateway
/// nearby, in whose packets 20 ms wait each way, has little to spare. On a line with more jitter the level
/// rises by itself.
const CUSHION_MS: usize = 5;

/// How much may lie unused, in milliseconds: less than the shortest delay of an echo, and enough that the delay
/// does not change with every breath of jitter.
const UNUSED_MS: usize = 20;

/// How much is kept for audio of the caller that is still to come, in milliseconds: more than a pause lasts
/// before the uplink fills it.
const MOST_MS: usize = 500;

/// For how long more than is needed must have waited, in milliseconds, before it is dropped.
const WATCH_MS: usize = 2000;

/// The samples that were played, in step with those that come from the caller.
///
/// The echo follows the playout by the clock, while the uplink makes its own time: it fills pauses after the
/// fact, too much when packets were only late, and gives up what is lost for too long. So it is not samples
/// that are counted but the level of this queue that is kept: it never falls below empty, and what lies at its
/// bottom unused for [`WATCH_MS`] is taken out. Jitter moves the level to and fro and changes nothing. What
/// shifts one stream for good shifts the echo's delay by as much at first, and is mended here: at once if the
/// playout would be missing, and soon if the echo would come before the playout that it is of.
#[derive(Debug)]
pub(super) struct Reference {
    waiting: VecDeque<i16>,
    samples_per_ms: usize,
    /// The lowest level of this watch, and how many samples have been taken in it.
    lowest: usize,
    watched: usize,
}

impl Reference {
    pub(super) fn new(rate_hz: u32) -> Self {
        let samples_per_ms = rate_hz as usize / 1000;
        let mut waiting = VecDeque::with_capacity(2 * MOST_MS * samples_per_ms);
        waiting.resize(CUSHION_MS * samples_per_ms, 0);
        Self { waiting, samples_per_ms, lowest: usize::MAX, watched: 0 }
    }

    pub(super) fn push(&mut self, samples: &[i16]) {
        let kept = samples.len().min(MOST_MS * self.samples_per_ms);
        self.waiting.extend(samples.iter().skip(samples.len() - kept));
        self.bound();
    }

    pub(super) fn push_silence(&mut self, samples: usize) {
        let kept = samples.min(MOST_MS * self.samples_per_ms);
        self.waiting.resize(self.waiting.len() + kept, 0);
        self.bound();
    }

    /// Appends so many samples; silence where they are not there.
    pub(super) fn take(&mut self, samples: usize, out: &mut Vec<i16>) {
        let there = samples.min(self.waiting.len());
        out.extend(self.waiting.drain(..there));
        out.resize(out.len() + samples - there, 0);
        self.watch(samples);
    }

    fn watch(&mut self, taken: usize) {
        self.lowest = self.lowest.min(self.waiting.len());
        self.watched += taken;
        if self.watched < WATCH_MS * self.samples_per_ms {
            return;
        }
        let cushion = CUSHION_MS * self.samples_per_ms;
        if self.lowest > UNUSED_MS * self.samples_per_ms {
            self.waiting.drain(..self.lowest - cushion);
        }
        (self.lowest, self.watched) = (usize::MAX, 0);
    }

    /// Where nobody took anything for so long, the caller's audio of that time does not come any more.
    fn bound(&mut self) {
        if self.waiting.len() > MOST_MS * self.samples_per_ms {
            self.waiting.drain(..self.waiting.len() - CUSHION_MS * self.samples_per_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: usize = 160;

    fn taken(reference: &mut Reference, samples: usize) -> Vec<i16> {
        let mut out = Vec::new();
        reference.take(samples, &mut out);
        out
    }

    /// Frame n is full of n, from 1.
    fn play(reference: &mut Reference, frames: core::ops::Range<i16>) {
        frames.for_each(|n| reference.push(&[n; FRAME]));
    }

    /// Plays and takes frame by frame; gives the last that was taken.
    fn in_step(reference: &mut Reference, frames: core::ops::Range<i16>) -> i16 {
        frames.fold(0, |_, n| {
            reference.push(&[n; FRAME]);
            taken(reference, FRAME)[0]
        })
    }

    #[test]
    fn audio_that_comes_a_little_early_finds_silence_and_then_its_own_time() {
        let mut reference = Reference::new(8_000);
        assert_eq!(taken(&mut reference, CUSHION_MS * 8), [0; CUSHION_MS * 8]);
        play(&mut reference, 1..3);
        assert_eq!(taken(&mut reference, 2 * FRAME), [[1; FRAME], [2; FRAME]].concat());
    }

    #[test]
    fn jitter_moves_the_level_once_and_then_nothing_more() {
        let mut reference = Reference::new(8_000);
        let heard: Vec<i16> = (0..200)
            .flat_map(|n: i16| {
                // Every second frame of the caller comes a frame early.
                let early = if n % 2 == 0 { taken(&mut reference, 2 * FRAME) } else { Vec::new() };
                reference.push(&[n; FRAME]);
                early
            })
            .collect();
        let steps = heard.windows(2).filter(|pair| pair[1] != pair[0] && pair[1] != pair[0] + 1).count();
        assert_eq!((steps, heard.iter().skip(2000).filter(|&&n| n == 0).count()), (0, 0));
    }

    #[test]
    fn a_pause_of_the_uplink_that_is_filled_later_moves_nothing() {
        let mut reference = Reference::new(8_000);
        assert_eq!(in_step(&mut reference, 1..50), 48);
        play(&mut reference, 50..65);
        let pause = taken(&mut reference, 15 * FRAME);
        assert_eq!((pause[0], pause[15 * FRAME - 1]), (49, 64));
        assert_eq!(in_step(&mut reference, 65..500), 498);
    }

    #[test]
    fn what_the_uplink_has_too_much_is_compared_with_silence_and_forgotten() {
        let mut reference = Reference::new(8_000);
        in_step(&mut reference, 1..50);
        assert_eq!(taken(&mut reference, 15 * FRAME)[FRAME..], [0; 14 * FRAME]);
        assert_eq!(in_step(&mut reference, 50..60), 59);
    }

    #[test]
    fn what_the_uplink_lost_is_dropped_within_two_watches() {
        let mut reference = Reference::new(8_000);
        in_step(&mut reference, 1..50);
        play(&mut reference, 50..60);
        assert_eq!(in_step(&mut reference, 60..61), 49);
        assert_eq!(in_step(&mut reference, 61..260), 258);
    }

    #[test]
    fn a_call_that_nobody_listens_to_is_not_kept() {
        let mut reference = Reference::new(8_000);
        play(&mut reference, 1..1000);
        assert!(reference.waiting.len() <= MOST_MS * 8, "{}", reference.waiting.len());
        reference.push_silence(usize::MAX);
        reference.push(&[7; 100_000]);
        assert!(reference.waiting.len() <= MOST_MS * 8, "{}", reference.waiting.len());
        assert_eq!(taken(&mut reference, CUSHION_MS * 8), [7; CUSHION_MS * 8]);
    }
}

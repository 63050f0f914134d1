//! How a caller's voice is cut into packets, and what a bad network makes of them on their way to Asterisk.

use std::time::Duration;

use ari_bridge_core::rng::Rng;

use crate::codec::TICKS;

/// How long a packet lasts unless the SDP says otherwise, in milliseconds (RFC 3551 §4.2).
pub(crate) const PTIME_MS: usize = 20;

/// So many packets at the beginning and at the end pass unharmed: what is lost before the first packet that comes
/// through, or after the last, cannot be counted by who receives.
const SPARED: usize = 20;

/// One in so many packets is delayed by a network that lets packets overtake each other.
const DELAYED_ONE_IN: u32 = 10;

/// A packet of the caller, before its header is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    /// When it is sent, counted from the beginning of the speech.
    pub(crate) due: Duration,
    /// Its place among the frames of the speech.
    pub(crate) number: usize,
    /// Where it begins, in ticks of the RTP clock from the beginning of the speech.
    pub(crate) ticks: usize,
    pub(crate) kind: Kind,
    pub(crate) payload: Vec<u8>,
}

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Voice,
    /// A key that is held down, or was let go of.
    Key {
        /// The first packet of this key.
        is_first: bool,
    },
}

/// Cuts payload bytes into packets of so many milliseconds. What does not fill a packet is left out.
pub(crate) fn cut(payload: &[u8], ptime_ms: usize) -> Vec<Frame> {
    let bytes = ptime_ms * TICKS / 1000;
    let frame = |(number, payload): (usize, &[u8])| Frame {
        due: Duration::from_millis((number * ptime_ms) as u64),
        number,
        ticks: number * bytes,
        kind: Kind::Voice,
        payload: payload.to_vec(),
    };
    payload.chunks_exact(bytes).enumerate().map(frame).collect()
}

/// What happens between the caller and Asterisk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Network {
    /// So many of a hundred packets are lost, each independently of the others.
    Loses { percent: u32 },
    /// So many of a hundred packets are lost, in bursts of so many on average (Gilbert's model of 1960 with two
    /// states, in one of which everything is lost).
    LosesInBursts { percent: u32, mean_burst: u32 },
    /// One in ten packets is overtaken by up to so many others, and so many of a hundred come twice.
    Disorders { by: u32, twice_percent: u32 },
}

/// What a network did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Toll {
    pub(crate) packets: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
}

impl Network {
    /// What comes out of the network, in the order in which it does. Equal seeds do equal harm.
    pub(crate) fn carry(self, seed: u64, frames: Vec<Frame>) -> (Vec<Frame>, Toll) {
        let mut rng = Rng::new(seed);
        let mut toll = Toll { packets: frames.len(), ..Toll::default() };
        let last_harmed = frames.len().saturating_sub(SPARED);
        let mut in_burst = false;
        let mut out = Vec::with_capacity(frames.len());
        for mut frame in frames {
            let spared = !(SPARED..last_harmed).contains(&frame.number);
            match self {
                Self::Loses { percent } => {
                    let is_lost = rng.below(100) < percent;
                    if is_lost && !spared {
                        toll.lost += 1;
                        continue;
                    }
                }
                Self::LosesInBursts { percent, mean_burst } => {
                    // A burst ends with the probability 1 / mean; it begins so often that the share is right.
                    let begins = rng.below(mean_burst * (100 - percent)) < percent;
                    let goes_on = rng.below(mean_burst) != 0;
                    in_burst = if in_burst { goes_on } else { begins };
                    if in_burst && !spared {
                        toll.lost += 1;
                        continue;
                    }
                }
                Self::Disorders { by, twice_percent } => {
                    let (delayed, late_by) = (rng.below(DELAYED_ONE_IN) == 0, 1 + rng.below(by));
                    let twice = rng.below(100) < twice_percent;
                    if twice && !spared {
                        toll.doubled += 1;
                        out.push(frame.clone());
                    }
                    if delayed && !spared {
                        // The half puts it behind the packet that it waits for, not beside it.
                        let packet = Duration::from_millis((frame.payload.len() * 1000 / TICKS) as u64);
                        frame.due += packet * late_by + packet / 2;
                    }
                }
            }
            out.push(frame);
        }
        // A stable sort: what is due at the same time stays in order.
        out.sort_by_key(|frame| frame.due);
        (out, toll)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PACKETS: usize = 20_000;

    fn silence() -> Vec<Frame> {
        cut(&vec![0xFF; PACKETS * 160], PTIME_MS)
    }

    #[test]
    fn packets_last_as_long_as_was_asked_for() {
        for (ptime_ms, bytes) in [(10, 80), (20, 160), (30, 240), (60, 480)] {
            let frames = cut(&[0; 1000], ptime_ms);
            assert_eq!(frames.len(), 1000 / bytes, "what does not fill a packet is left out");
            let second = &frames[1];
            assert_eq!((second.payload.len(), second.ticks), (bytes, bytes));
            assert_eq!(second.due, Duration::from_millis(ptime_ms as u64));
        }
    }

    #[test]
    fn as_much_is_lost_as_was_asked_for_and_in_bursts_as_long() {
        for (network, share, burst) in [
            (Network::Loses { percent: 5 }, 0.05, 1.05),
            (Network::LosesInBursts { percent: 10, mean_burst: 3 }, 0.10, 3.0),
        ] {
            let (frames, toll) = network.carry(1, silence());
            assert_eq!(frames.len(), PACKETS - toll.lost);
            let lost = toll.lost as f64 / PACKETS as f64;
            let gaps = frames.windows(2).filter(|pair| pair[1].number > pair[0].number + 1).count();
            let mean = toll.lost as f64 / gaps as f64;
            assert!((lost / share - 1.0).abs() < 0.15, "{network:?} loses {lost}");
            assert!((mean / burst - 1.0).abs() < 0.15, "{network:?} loses {mean} in a row");
            assert_eq!((frames[SPARED - 1].number, frames.last().unwrap().number), (SPARED - 1, PACKETS - 1));
        }
    }

    #[test]
    fn packets_are_overtaken_by_no_more_than_was_asked_for_and_none_is_lost() {
        let (frames, toll) = Network::Disorders { by: 3, twice_percent: 5 }.carry(1, silence());
        assert_eq!((frames.len(), toll.lost), (PACKETS + toll.doubled, 0));
        assert!((0.04..0.06).contains(&(toll.doubled as f64 / PACKETS as f64)), "{toll:?}");
        let overtakers = |at: usize| {
            let before = frames[at.saturating_sub(20)..at].iter().map(|frame| frame.number);
            before.filter(|number| *number > frames[at].number).collect::<BTreeSet<_>>().len()
        };
        assert_eq!((0..frames.len()).map(overtakers).max(), Some(3));
        let numbers: BTreeSet<_> = frames.iter().map(|frame| frame.number).collect();
        assert_eq!(numbers.len(), PACKETS);
    }

    #[test]
    fn equal_seeds_do_equal_harm() {
        let network = Network::LosesInBursts { percent: 10, mean_burst: 3 };
        assert_eq!(network.carry(7, silence()), network.carry(7, silence()));
        assert_ne!(network.carry(7, silence()), network.carry(8, silence()));
    }
}

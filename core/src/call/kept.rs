//! The caller's audio of the last while: what the session was given of it, and what waits for a session.
//!
//! When a session breaks off in the middle of a turn, the next one is given that turn from its beginning. So what was
//! given is kept for a while, and what cannot be given is kept as long.

use std::collections::VecDeque;

/// How much is kept, in milliseconds. It bounds the memory of a call: 960 kB where the model hears PCM of 24 kHz,
/// 160 kB in G.711.
pub(super) const MOST_MS: u64 = 20_000;

/// How much of what was kept is given at once, in milliseconds, so that a step stays small. There are fifty steps in
/// a second, so a model catches up twenty times faster than the caller spoke.
const AT_ONCE_MS: u64 = 400;

#[derive(Debug, Default)]
pub(super) struct Kept {
    ring: VecDeque<u8>,
    /// How much of it was given, in bytes from its begin.
    given: usize,
    bytes_per_ms: usize,
    most: usize,
    /// How much was never given and is lost, in bytes.
    lost: usize,
    /// What is given next, in one piece.
    piece: Vec<u8>,
}

impl Kept {
    /// Keeps audio of so many bytes a millisecond, for so long at most.
    pub(super) fn begin(&mut self, bytes_per_ms: usize, most_ms: u64) {
        if self.bytes_per_ms == 0 {
            self.bytes_per_ms = bytes_per_ms.max(1);
            self.most = most_ms as usize * self.bytes_per_ms;
            // Room for the longest piece beside it, so that nothing is allocated while somebody speaks.
            self.ring.reserve_exact(self.most + AT_ONCE_MS as usize * self.bytes_per_ms);
        }
    }

    /// Takes audio. Returns whether it may be given just as it is, because nothing older waits; it counts as given then.
    pub(super) fn take(&mut self, audio: &[u8], has_session: bool) -> bool {
        let nothing_waits = self.given == self.ring.len();
        self.ring.extend(audio);
        if has_session && nothing_waits {
            self.given = self.ring.len();
        }
        let excess = self.ring.len().saturating_sub(self.most);
        self.ring.drain(..excess);
        self.lost += excess.saturating_sub(self.given);
        self.given = self.given.saturating_sub(excess);
        has_session && nothing_waits
    }

    /// The next piece of what waits; it counts as given.
    pub(super) fn next_piece(&mut self) -> Option<&[u8]> {
        let end = self.ring.len().min(self.given + AT_ONCE_MS as usize * self.bytes_per_ms);
        if end == self.given {
            return None;
        }
        self.piece.clear();
        self.piece.extend(self.ring.range(self.given..end));
        self.given = end;
        Some(&self.piece)
    }

    /// Whether something waits.
    pub(super) fn waits(&self) -> bool {
        self.given < self.ring.len()
    }

    /// The last so many milliseconds that were given are to be given again, as far as they are kept.
    pub(super) fn rewind(&mut self, millis: u64) {
        let bytes = usize::try_from(millis).unwrap_or(usize::MAX).saturating_mul(self.bytes_per_ms);
        self.given = self.given.saturating_sub(bytes);
    }

    /// How far back what was given can be given again, in milliseconds.
    pub(super) fn reaches_back_ms(&self) -> u64 {
        (self.given / self.bytes_per_ms.max(1)) as u64
    }

    /// How much waits, in milliseconds.
    pub(super) fn waiting_ms(&self) -> u64 {
        (self.ring.len().saturating_sub(self.given) / self.bytes_per_ms.max(1)) as u64
    }

    /// How much was lost since this was asked last, in milliseconds.
    pub(super) fn take_lost_ms(&mut self) -> u64 {
        (core::mem::take(&mut self.lost) / self.bytes_per_ms.max(1)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A byte a millisecond, ten seconds at most.
    fn kept() -> Kept {
        let mut kept = Kept::default();
        kept.begin(1, 10_000);
        kept
    }

    fn pieces(kept: &mut Kept) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = kept.next_piece() {
            assert!(piece.len() <= 400);
            all.extend_from_slice(piece);
        }
        all
    }

    #[test]
    fn what_a_session_takes_goes_straight_on() {
        let mut kept = kept();
        assert!(kept.take(&[1; 20], true));
        assert!(!kept.waits());
        assert_eq!(kept.next_piece(), None);
    }

    #[test]
    fn what_comes_without_a_session_is_given_to_the_next_one_in_its_order() {
        let mut kept = kept();
        assert!(kept.take(&[1; 20], true));
        assert!(!kept.take(&[2; 500], false));
        assert!(!kept.take(&[3; 20], true), "something older waits");
        assert_eq!(kept.waiting_ms(), 520);
        let given = pieces(&mut kept);
        assert_eq!(given, [vec![2; 500], vec![3; 20]].concat());
        assert!(kept.take(&[4; 20], true));
        assert_eq!(kept.take_lost_ms(), 0);
    }

    #[test]
    fn a_turn_that_was_given_is_given_again_from_its_beginning() {
        let mut kept = kept();
        kept.take(&[1; 300], true);
        kept.take(&[2; 200], true);
        kept.rewind(200);
        assert_eq!(pieces(&mut kept), [2; 200]);
        kept.rewind(u64::MAX);
        assert_eq!(kept.waiting_ms(), 500);
    }

    #[test]
    fn what_is_too_old_is_lost_and_told_once() {
        let mut kept = kept();
        kept.take(&[1; 9_000], true);
        kept.take(&[2; 11_500], false);
        assert_eq!(kept.take_lost_ms(), 1_500);
        assert_eq!(kept.take_lost_ms(), 0);
        assert_eq!(pieces(&mut kept), [2; 10_000]);
    }
}

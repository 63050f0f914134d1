//! The digest of what a machine did.

use crate::actions::Actions;
use core::hash::{Hash, Hasher};
use twox_hash::XxHash64;

/// The seed of the digest: none.
const SEED: u64 = 0;

/// A running digest of the actions of a machine: XXH64 (Collet; the specification is in doc/xxhash_spec.md of
/// Cyan4973/xxHash) of what `Hash` gives of them, of their bytes, and of the deadline that came with them.
///
/// The hashing that `derive` makes follows the order of the fields and of the variants, so an action that is new or moved
/// gives another digest: it compares what one version of the program does with what the same version did. A test holds
/// it to a number, so that nothing else changes it unseen.
#[derive(Clone, Debug)]
pub(crate) struct Digest(XxHash64);

impl Digest {
    /// Of nothing.
    pub(crate) fn new() -> Self {
        Self(XxHash64::with_seed(SEED))
    }

    /// Takes in what a step gave.
    pub(crate) fn take<A: Hash>(&mut self, out: &Actions<A>, next: impl Hash) {
        let mut hasher = Portable { hash: &mut self.0, held: [0; HELD_BYTES], len: 0 };
        out.hash(&mut hasher);
        next.hash(&mut hasher);
        hasher.flush();
    }

    /// The digest of all so far.
    pub(crate) fn value(&self) -> u64 {
        self.0.finish()
    }
}

/// How many bytes of numbers are gathered before the hash is given them.
const HELD_BYTES: usize = 128;

/// Makes numbers the same bytes on every machine: little-endian, and 64 bits where the width is the machine's. Actions are
/// mostly small numbers, and the hash takes many bytes as fast as few, so they are gathered.
struct Portable<'a> {
    hash: &'a mut XxHash64,
    held: [u8; HELD_BYTES],
    len: usize,
}

impl Portable<'_> {
    fn flush(&mut self) {
        let len = core::mem::take(&mut self.len);
        self.hash.write(self.held.get(..len).unwrap_or_default());
    }

    #[inline]
    fn hold<const N: usize>(&mut self, bytes: [u8; N]) {
        if self.len + N > HELD_BYTES {
            self.flush();
        }
        if let Some(place) = self.held.get_mut(self.len..self.len + N) {
            place.copy_from_slice(&bytes);
            self.len += N;
        }
    }
}

impl Hasher for Portable<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.flush();
        self.hash.write(bytes);
    }

    fn write_u8(&mut self, number: u8) {
        self.hold([number]);
    }

    fn write_u16(&mut self, number: u16) {
        self.hold(number.to_le_bytes());
    }

    fn write_u32(&mut self, number: u32) {
        self.hold(number.to_le_bytes());
    }

    fn write_u64(&mut self, number: u64) {
        self.hold(number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.hold(number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as i64 as u64);
    }

    fn finish(&self) -> u64 {
        self.hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{self, Action, Next, Wake};
    use crate::id::{LegId, LinkId};
    use crate::observe::{Label, Observation, Usage, UsageKind};
    use crate::time::Instant;

    /// A bit of everything: spans, addresses of both kinds, labels, arrays, options, text.
    fn some_actions() -> call::Actions {
        let mut out = call::Actions::new();
        let mut usage = Usage::default();
        usage.add(UsageKind::AudioOut, 300);
        for to in ["192.0.2.1:4000", "[2001:db8::1]:4000"] {
            let bytes = out.put(to.as_bytes());
            out.push(Action::SendMedia { leg: LegId(1), to: to.parse().unwrap(), bytes });
        }
        out.push(Action::CloseRealtime { link: LinkId(2), code: 1000 });
        out.push(Action::Observe(Observation::Used { usage, cost: Some(17) }));
        out.push(Action::Observe(Observation::AriRefused { what: "answer", status: 404 }));
        out.push(Action::Observe(Observation::ToolCalled { name: Label::new("look_up") }));
        out
    }

    const NEXT: Next = Next { deadline: Some((Instant::from_millis(20), Wake::Playout)), finished: false };

    #[test]
    fn the_digest_of_the_same_actions_is_the_same_in_every_process() {
        let mut digest = Digest::new();
        assert_eq!(digest.value(), 0xEF46_DB37_51D8_E999, "XXH64 of nothing, as published");
        digest.take(&some_actions(), NEXT);
        // Where this changes and no action did, older captures cannot be compared any more: raise `FORMAT`.
        assert_eq!(digest.value(), 0xED2C_0399_68BF_EFB0, "{:#x}", digest.value());
    }

    #[test]
    fn a_byte_an_action_or_a_deadline_changes_it() {
        let value = |out: &call::Actions, next| {
            let mut digest = Digest::new();
            digest.take(out, next);
            digest.value()
        };
        let same = value(&some_actions(), NEXT);
        assert_eq!(same, value(&some_actions(), NEXT));
        let mut other_bytes = some_actions();
        other_bytes.put(b"x");
        let mut other_action = some_actions();
        other_action.push(Action::Observe(Observation::RtpIn));
        assert_ne!(same, value(&other_bytes, NEXT));
        assert_ne!(same, value(&other_action, NEXT));
        assert_ne!(same, value(&some_actions(), Next { finished: true, ..NEXT }));
    }
}

//! Asterisk with its callers, and a Realtime server, as sans-I/O machines.
//!
//! They serve `ari-bridge demo`, the tests over real sockets and the simulator in virtual time. Their manners are
//! those of the core: time is told, the caller lends the buffer, what a peer can grow is bounded, the deadline
//! is returned, and nothing is random but what a seed decides. What they do is what a real Asterisk 22.10.1
//! was measured to do, and what the GA Realtime interface documents.
//!
//! They are stand-ins, not the real things: what a bridge never asks for, they refuse with 404 or an `error`.

pub mod asterisk;
pub mod caller;
pub mod realtime;
#[cfg(test)]
mod tests;

use crate::time::Instant;

/// What the simulated caller says: 4.6 s of synthetic speech in a WAV file, 16 kHz mono. [`crate::wav::read`] reads it.
pub const CALLER_WAV: &[u8] = include_bytes!("../../assets/caller.wav");

/// When to come back at the latest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the deadline is the only one there is"]
pub struct Next {
    /// The next deadline, in the future; `None` if nothing happens until something arrives.
    pub deadline: Option<Instant>,
}

impl Next {
    /// The earliest of these, but never `now` or before: a driver cannot spin.
    fn earliest(now: Instant, due: impl IntoIterator<Item = Option<Instant>>) -> Self {
        let soon = Instant::from_nanos(now.as_nanos().saturating_add(1));
        Self { deadline: due.into_iter().flatten().min().map(|at| at.max(soon)) }
    }
}

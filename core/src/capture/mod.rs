//! Captures: what a machine saw, so that it can be made to live through it again.
//!
//! A capture is the list of `(now, Input)` that a [`Call`](crate::call::Call) or a
//! [`Switchboard`](crate::switchboard::Switchboard) was given, with all that is ambient about it and its settings at the
//! head, and a running digest of what it did. [`replay()`](crate::replay::replay) steps a fresh machine through it; the
//! same program does the same, bit for bit, in any process. [`Log`] writes one while a machine runs, [`read`] reads it.
//!
//! Secrets are not in it, because settings hold none and keys stay with the driver. What people said is: a capture is as
//! personal as a recording of the call.
//!
//! # Format
//!
//! Numbers are varints (LEB128, at most 64 bits) and a *block* is a length and so many bytes, unless said otherwise.
//!
//! ```text
//! head    magic 89 61 72 69 62 0D 0A 1A, format, machine (a byte: 1 call, 2 switchboard),
//!         version of the program (a block of UTF-8), from format 2 on a note (a block of JSON), now in nanoseconds,
//!         start (a block of JSON), settings (a block of JSON),
//!         and for a call: the event or channel that it began with (a block), and four prompts in the order of
//!         `Prompt::ALL`: 0 for the built-in one, or the number of samples + 1 and the samples (16 bits, little-endian)
//! records an input:  its kind (a byte), nanoseconds since the one before, and what belongs to the kind
//!         an answer: FD, what the step before it gave, without audio and counts (a block of UTF-8, a line for each action;
//!                    from format 2 on; where it is missing there was nothing)
//!         a digest:  FE, eight bytes, little-endian: of all actions so far
//!         an end:    FF, why (a byte: 0 whole, 1 cut, 2 crashed), the number of inputs, a digest as above
//! ```
//!
//! A log that is cut off anywhere is still a capture up to there. Numbers of kinds and codes are never used twice; what
//! changes the meaning of bytes raises [`FORMAT`].

mod call;
mod describe;
mod digest;
mod fault;
mod head;
mod log;
mod machine;
mod piece;
mod records;
mod switchboard;
mod window;
mod wire;

#[cfg(test)]
pub(crate) mod tests;

pub use fault::Fault;
pub use head::{Head, MAX_SETTINGS_BYTES, Note};
pub use log::Log;
pub use machine::{Kind, Machine};
pub use records::{Capture, End, LATEST, Record, Records, open, read};
pub use switchboard::SwitchboardStart;

pub(crate) use describe::{describe, is_plain, text};
pub(crate) use digest::Digest;
pub(crate) use piece::{Carried, Place};
pub(crate) use records::{Answer, Mark};

/// What a capture begins with: no text, and broken by whoever takes it for text.
pub const MAGIC: [u8; 8] = *b"\x89arib\r\n\x1a";

/// The format that is written, and the newest that is read.
pub const FORMAT: u64 = 2;

/// The format from which on captures have notes, and say what a machine gave.
pub(crate) const WITH_NOTES: u64 = 2;

/// The version of the program, as it stands in a capture. Another version may do something else on purpose.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// How much a log should hold before it is taken out, in bytes, where it is taken out piece by piece.
pub const PIECE_BYTES: usize = 64 * 1024;

/// The longest words for what one step gave, in bytes.
pub(crate) const MAX_GAVE_BYTES: usize = 64 * 1024;

/// The kind of the record that says what the last step gave.
const GAVE: u8 = 0xFD;

/// The kind of the record that holds a digest.
const DIGEST: u8 = 0xFE;

/// The kind of the last record.
const END: u8 = 0xFF;

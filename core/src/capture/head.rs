//! What a capture begins with.

use super::machine::{Kind, Machine};
use super::wire::{Bad, Cursor, Sink};
use super::{FORMAT, Fault, LATEST, MAGIC, PROGRAM};
use crate::time::Instant;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest settings, in bytes of JSON; instructions and functions are most of it. A call whose settings are longer
/// is not recorded.
pub const MAX_SETTINGS_BYTES: usize = 4 * 1024 * 1024;

/// The longest version of a program, in bytes.
const MAX_PROGRAM_BYTES: usize = 64;

/// How a machine began.
#[derive(Debug)]
pub struct Head<'a, M: Machine> {
    /// The version of the program that has written the capture.
    pub program: &'a str,
    /// When the machine was made.
    pub now: Instant,
    /// Its settings.
    pub settings: M::Settings,
    /// All that was ambient.
    pub start: M::Start<'a>,
}

/// Writes the head.
pub(super) fn write<M: Machine>(settings: &M::Settings, start: &M::Start<'_>, now: Instant, sink: &mut Sink) {
    sink.put(&MAGIC);
    sink.number(FORMAT);
    sink.byte(code_of(M::KIND));
    sink.block(PROGRAM.as_bytes(), MAX_PROGRAM_BYTES);
    sink.number(now.as_nanos());
    M::write_head(settings, start, sink);
}

/// Reads the head up to the machine, which says how the rest is to be read.
pub(super) fn read_kind(cursor: &mut Cursor<'_>) -> Result<Kind, Fault> {
    if cursor.take(MAGIC.len()).ok() != Some(&MAGIC) {
        return Err(Fault::NotACapture);
    }
    let mut rest = || {
        let format = cursor.number()?;
        Ok(if (1..=FORMAT).contains(&format) { Ok(cursor.byte()?) } else { Err(format) })
    };
    match rest().map_err(|bad| Fault::of_head(cursor.at(), bad))? {
        Ok(1) => Ok(Kind::Call),
        Ok(2) => Ok(Kind::Switchboard),
        Ok(_) => Err(Fault::Head { at: cursor.at(), what: "the machine is unknown" }),
        Err(0) => Err(Fault::NotACapture),
        Err(format) => Err(Fault::Newer { format }),
    }
}

/// Reads the rest of it.
pub(super) fn read<'a, M: Machine>(cursor: &mut Cursor<'a>) -> Result<Head<'a, M>, Fault> {
    let mut rest = || {
        let program = core::str::from_utf8(cursor.block(MAX_PROGRAM_BYTES)?)
            .map_err(|_| Bad::Wrong("the version of the program is not text"))?;
        let now = Instant::from_nanos(cursor.number()?);
        if now > LATEST {
            return Err(Bad::Wrong("it begins later than there is time"));
        }
        let (settings, start) = M::read_head(cursor)?;
        Ok(Head { program, now, settings, start })
    };
    rest().map_err(|bad| Fault::of_head(cursor.at(), bad))
}

const fn code_of(kind: Kind) -> u8 {
    match kind {
        Kind::Call => 1,
        Kind::Switchboard => 2,
    }
}

/// Writes a block of JSON.
pub(super) fn write_json(value: &impl Serialize, sink: &mut Sink) {
    // Settings have text for keys, and nothing else could fail.
    let json = serde_json::to_vec(value).unwrap_or_default();
    sink.block(&json, MAX_SETTINGS_BYTES);
}

/// Reads it.
pub(super) fn read_json<T: DeserializeOwned>(what: &'static str, cursor: &mut Cursor<'_>) -> Result<T, Bad> {
    let json = cursor.block(MAX_SETTINGS_BYTES)?;
    serde_json::from_slice(json).map_err(|error| Bad::Json { what, error: error.to_string() })
}

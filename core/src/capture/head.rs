//! What a capture begins with.

use super::describe::is_plain;
use super::machine::{Kind, Machine};
use super::wire::{Bad, Cursor, Sink};
use super::{FORMAT, Fault, LATEST, MAGIC, PROGRAM, WITH_NOTES};
use crate::time::Instant;
use core::fmt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest settings, in bytes of JSON; instructions and functions are most of it. A call whose settings are longer
/// is not recorded.
pub const MAX_SETTINGS_BYTES: usize = 4 * 1024 * 1024;

/// The longest version of a program, in bytes.
const MAX_PROGRAM_BYTES: usize = 64;

/// What a capture says of itself, beside what the machine was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// Whether what people said and who they are was taken out.
    #[serde(default)]
    pub is_scrubbed: bool,
    /// Until when the audio was blanked, if it was, in nanoseconds on the machine's clock: there was no room for it.
    #[serde(default)]
    pub blanked_until: Option<u64>,
}

/// How a machine began.
pub struct Head<M: Machine> {
    /// The format of the capture.
    pub format: u64,
    /// The version of the program that has written the capture.
    pub program: String,
    /// What the capture says of itself.
    pub note: Note,
    /// When the machine was made.
    pub now: Instant,
    /// Its settings.
    pub settings: M::Settings,
    held: M::Held,
}

impl<M: Machine> Head<M> {
    /// All that was ambient.
    #[must_use]
    pub fn start(&self) -> M::Start<'_> {
        M::start(&self.held)
    }
}

impl<M: Machine> fmt::Debug for Head<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("program", &self.program)
            .field("start", &self.start())
            .finish_non_exhaustive()
    }
}

/// Writes the head.
pub(super) fn write<M: Machine>(
    settings: &M::Settings,
    start: &M::Start<'_>,
    note: Note,
    now: Instant,
    sink: &mut Sink,
) {
    sink.put(&MAGIC);
    sink.number(FORMAT);
    sink.byte(code_of(M::KIND));
    sink.block(PROGRAM.as_bytes(), MAX_PROGRAM_BYTES);
    write_json(&note, sink);
    sink.number(now.as_nanos());
    M::write_head(settings, start, sink);
}

/// Reads the head up to the machine, which says how the rest is to be read. The first number is the format.
pub(super) fn read_kind(cursor: &mut Cursor<'_>) -> Result<Result<(u64, Kind), Fault>, Bad> {
    match cursor.take(MAGIC.len()) {
        Ok(magic) if *magic == MAGIC => {}
        Ok(_) => return Ok(Err(Fault::NotACapture)),
        Err(bad) => return Err(bad),
    }
    let format = cursor.number()?;
    if format > FORMAT {
        return Ok(Err(Fault::Newer { format }));
    }
    Ok(match (format, cursor.byte()?) {
        (0, _) => Err(Fault::NotACapture),
        (_, 1) => Ok((format, Kind::Call)),
        (_, 2) => Ok((format, Kind::Switchboard)),
        _ => Err(Fault::Head { at: cursor.at(), what: "the machine is unknown" }),
    })
}

/// Reads the rest of it.
pub(super) fn read<M: Machine>(format: u64, cursor: &mut Cursor<'_>) -> Result<Head<M>, Bad> {
    let program = core::str::from_utf8(cursor.block(MAX_PROGRAM_BYTES)?).ok();
    let program = program
        .filter(|program| program.chars().all(is_plain))
        .ok_or(Bad::Wrong("the version of the program is not text"))?
        .to_owned();
    let note = if format < WITH_NOTES { Note::default() } else { read_json("note", cursor)? };
    let now = Instant::from_nanos(cursor.number()?);
    if now > LATEST {
        return Err(Bad::Wrong("it begins later than there is time"));
    }
    let (settings, held) = M::read_head(cursor)?;
    Ok(Head { format, program, note, now, settings, held })
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
    serde_json::from_slice(json).map_err(|error| {
        // It may hold names out of the capture.
        let error = error.to_string().chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
        Bad::Json { what, error }
    })
}

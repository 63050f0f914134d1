//! Takes the audio out of the older part of a capture, so that the whole of a long call can be kept where the sound of
//! all of it cannot: it still replays, from its first step.
//!
//! [`blank_audio`] puts silence in the place of audio, where it lies. What a call does hardly hangs on how voices sound:
//! only whether the caller is loud counts, for [`BargeIn::Guarded`](crate::settings::BargeIn::Guarded) and for when a new
//! session takes the place of an old one. So [`renew`] lets a fresh machine live through what is left, writes down its
//! digests, and says whether it still does what was recorded.

use crate::actions::Actions;
use crate::capture::{
    self, Answer, Capture, Carried, Fault, Head, Log, Machine, Mark, PIECE_BYTES, Place, Records, WITH_NOTES,
    describe,
};
use crate::format::ModelFormat;
use crate::rtp::Packet;
use crate::time::Instant;
use core::fmt;
use std::io::{self, Read, Write};

/// Silence in G.711 (ITU-T G.711 tables 1 and 2: the codes of zero).
const PCMU_SILENCE: u8 = 0xFF;
const PCMA_SILENCE: u8 = 0xD5;

/// A code of G.722 that is silence when it goes on: a test looks for it.
const G722_SILENCE: u8 = 0xFC;

/// The messages that carry the agent's voice.
const VOICE: [&[u8]; 2] = [b"response.output_audio.delta\"", b"response.audio.delta\""];

/// Puts silence in the place of all audio in a piece of a capture of a call that begins at a record: of the caller's
/// packets, and of the model's messages, which are written in this format. All else stays, telephone events (RFC 4733)
/// and the words that were said among it. One pass; allocates nothing. What cannot be read ends it.
pub fn blank_audio(piece: &mut [u8], model: ModelFormat) {
    let mut place = Place::begin();
    while let Some(carried) = place.next(piece) {
        match carried {
            Carried::Datagram(range) => blank_datagram(piece.get_mut(range).unwrap_or_default()),
            Carried::Message(range) => blank_message(piece.get_mut(range).unwrap_or_default(), model),
            Carried::Other => {}
        }
    }
}

fn blank_datagram(datagram: &mut [u8]) {
    let read = Packet::parse(datagram);
    let Some((kind, range)) = read.map(|packet| (packet.payload_type, packet.payload_range(datagram))) else {
        return;
    };
    let silence = match kind {
        0 => PCMU_SILENCE,
        8 => PCMA_SILENCE,
        9 => G722_SILENCE,
        118 => 0,
        _ => return,
    };
    datagram.get_mut(range).unwrap_or_default().fill(silence);
}

fn blank_message(message: &mut [u8], model: ModelFormat) {
    let is_voice = value(message, b"\"type\"").and_then(|at| message.get(at..));
    if !is_voice.is_some_and(|kind| VOICE.iter().any(|voice| kind.starts_with(voice))) {
        return;
    }
    let Some(delta) = value(message, b"\"delta\"").and_then(|at| message.get_mut(at..)) else { return };
    let len = delta.iter().position(|byte| *byte == b'"').unwrap_or(delta.len());
    let padding = delta.iter().take(len).rev().take_while(|byte| **byte == b'=').count();
    let Some(base64) = delta.get_mut(..len - padding) else { return };
    let letters = base64.iter().filter(|byte| **byte != b'\\').count();
    // The last letter stands for fewer than six bits where the bytes do not come in threes.
    let (quad, [second, third]) = match model {
        ModelFormat::Pcm24 | ModelFormat::Pcm16 => (b"AAAA", [b'A', b'A']),
        ModelFormat::Pcmu => (b"////", [b'w', b'8']),
        ModelFormat::Pcma => (b"1dXV", [b'Q', b'U']),
    };
    let mut n = 0;
    let mut is_escaped = false;
    for slot in base64 {
        if *slot == b'\\' {
            is_escaped = true;
            continue;
        }
        // A letter with a backslash before it can be no other one.
        if !core::mem::take(&mut is_escaped) {
            *slot = match (letters % 4, n + 1 == letters) {
                (2, true) => second,
                (3, true) => third,
                _ => quad.get(n % 4).copied().unwrap_or(b'A'),
            };
        }
        n += 1;
    }
}

/// Where the string begins that is the value of this field, behind its quote.
fn value(message: &[u8], field: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at =
            from + message.get(from..)?.windows(field.len()).position(|bytes| bytes == field)? + field.len();
        let rest = message.get(at..)?;
        let spaces = rest.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == b':').count();
        // It may also be a value that is called like the field.
        if rest.get(spaces) == Some(&b'"') && rest.get(..spaces)?.contains(&b':') {
            return Some(at + spaces + 1);
        }
        from = at;
    }
}

/// What came of renewing a capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewed {
    /// How many inputs there are.
    pub steps: u64,
    /// How many steps do something else than what was recorded: those that audio decides, or where another version of
    /// the program has recorded it.
    pub changed: u64,
    /// The first of them.
    pub first: Option<Changed>,
}

/// A step that does something else than what was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// Which.
    pub step: u64,
    /// When.
    pub at: Instant,
    /// What was recorded, in words: a line for each action.
    pub was: String,
    /// What it does now.
    pub is: String,
}

/// Why a capture was not renewed.
#[derive(Debug)]
pub enum RenewFault {
    /// It cannot be read.
    Capture(Fault),
    /// The renewed one cannot be written.
    Write(io::Error),
}

impl fmt::Display for RenewFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture(fault) => fault.fmt(f),
            Self::Write(error) => write!(f, "the renewed capture cannot be written: {error}"),
        }
    }
}

impl core::error::Error for RenewFault {}

impl From<Fault> for RenewFault {
    fn from(fault: Fault) -> Self {
        Self::Capture(fault)
    }
}

/// Writes a capture again with the digests and the words of what a fresh machine does with its inputs, and says whether
/// that is what was recorded. `blanked_until` is noted in its head. Memory is that of the machine and of the longest
/// message.
///
/// # Errors
///
/// If it cannot be read, or the renewed one cannot be written.
pub fn renew(
    capture: impl Read,
    blanked_until: Option<Instant>,
    write: impl Write,
) -> Result<Renewed, RenewFault> {
    match capture::read(capture)? {
        Capture::Call(head, records) => run(head, records, blanked_until, write),
        Capture::Switchboard(head, records) => run(head, records, blanked_until, write),
    }
}

fn run<R: Read, M: Machine>(
    head: Head<M>,
    mut records: Records<R, M>,
    blanked_until: Option<Instant>,
    mut write: impl Write,
) -> Result<Renewed, RenewFault> {
    let mut note = head.note;
    note.blanked_until = blanked_until.map(Instant::as_nanos).or(note.blanked_until);
    let has_words = head.format >= WITH_NOTES;
    let mut out = Actions::new();
    let mut log = Log::<M>::new(&head.settings, &head.start(), note, head.now, usize::MAX);
    let (mut machine, _next) = log.make(&head.settings, head.start(), head.now, &mut out);
    let mut renewed = Renewed { steps: 0, changed: 0, first: None };
    let mut recorded = String::new();
    if records.answer(&mut recorded)? != Answer::Unknown && has_words {
        renewed.compare::<M>(head.now, &recorded, &out);
    }
    let end = loop {
        let (kind, now) = match records.mark()? {
            Mark::Input { kind, now } => (kind, now),
            Mark::Gave | Mark::Digest(_) => continue,
            Mark::End(end) => break end,
        };
        recorded.clear();
        let answer = records.answer(&mut recorded)?;
        let input = records.input(kind)?;
        renewed.steps += 1;
        if answer == Answer::Unknown {
            // The machine has not answered this one, and is not asked again.
            log.takes(now, &input);
            continue;
        }
        out.clear();
        let _next = log.step(&mut machine, now, input, &mut out);
        if has_words && answer != Answer::NoRoom {
            renewed.compare::<M>(now, &recorded, &out);
        }
        if log.bytes().len() >= PIECE_BYTES {
            write.write_all(&log.take()).map_err(RenewFault::Write)?;
        }
    };
    write.write_all(&log.end_as(end)).map_err(RenewFault::Write)?;
    write.flush().map_err(RenewFault::Write)?;
    Ok(renewed)
}

impl Renewed {
    fn compare<M: Machine>(&mut self, at: Instant, recorded: &str, out: &Actions<M::Action>) {
        let mut is = String::new();
        describe::<M>(out, &mut is);
        if is != recorded {
            self.changed += 1;
            let step = self.steps;
            self.first.get_or_insert_with(|| Changed { step, at, was: recorded.to_owned(), is });
        }
    }
}

#[cfg(test)]
mod tests;

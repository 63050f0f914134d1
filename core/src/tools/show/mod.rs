//! A capture as a log that people read, and as lines of JSON that programs do.
//!
//! Nothing is replayed for it: what a machine did stands in the capture in words, so that the log is of what happened, also
//! if this program would do something else, or if the machine crashed.

#[cfg(test)]
mod tests;

use super::Seen;
use super::input::Body;
use crate::call::Call;
use crate::capture::{Capture, End, Fault, Head, Record, Records, is_plain};
use crate::record::rfc3339;
use crate::switchboard::Switchboard;
use crate::time::Instant;
use core::fmt::{self, Write as _};
use serde::Serialize;
use std::io::{self, Read, Write};

/// How a capture is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Style {
    /// A line of JSON for each input instead of text.
    pub is_json: bool,
    /// Each packet, timer and piece of audio in a line of its own, and not only how many there were.
    pub each: bool,
    /// The messages in full.
    pub messages: bool,
}

/// Why a capture could not be shown to its end.
#[derive(Debug)]
pub enum ShowFault {
    /// It cannot be read on. What was read is shown.
    Capture(Fault),
    /// Nobody takes what is written.
    Write(io::Error),
}

impl From<Fault> for ShowFault {
    fn from(fault: Fault) -> Self {
        Self::Capture(fault)
    }
}

impl From<io::Error> for ShowFault {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl fmt::Display for ShowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture(fault) => fault.fmt(f),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ShowFault {}

/// Writes the whole of a capture, and says how it ends.
///
/// # Errors
///
/// If the capture cannot be read on, or `write` fails.
pub fn show<R: Read>(capture: Capture<R>, style: Style, write: &mut impl Write) -> Result<End, ShowFault> {
    match capture {
        Capture::Call(head, records) => {
            if !style.is_json {
                write.write_all(call_heading(&head).as_bytes())?;
            }
            records_of(head.now, records, style, write)
        }
        Capture::Switchboard(head, records) => {
            if !style.is_json {
                write.write_all(switchboard_heading(&head).as_bytes())?;
            }
            records_of(head.now, records, style, write)
        }
    }
}

/// What a capture of a call is of, in some lines.
#[must_use]
pub fn call_heading(head: &Head<Call>) -> String {
    let start = head.start();
    let (utc, format, ids) = (rfc3339(start.utc), start.media.format, start.ids);
    let entry = start.origin.entry();
    format!("call {ids} of {utc}, {format}, {entry:?}\n{}", written_by(head.format, &head.program, head.note))
}

/// What a capture of a switchboard is of, in some lines.
#[must_use]
pub fn switchboard_heading(head: &Head<Switchboard>) -> String {
    let start = head.start();
    format!(
        "switchboard {} of {}\n{}",
        start.nonce,
        rfc3339(start.utc),
        written_by(head.format, &head.program, head.note)
    )
}

fn written_by(format: u64, program: &str, note: crate::capture::Note) -> String {
    let mut line = format!("written by version {program} in format {format}");
    if note.is_scrubbed {
        line.push_str("; scrubbed");
    }
    if let Some(until) = note.blanked_until {
        let _ = write!(line, "; without its sound up to {}", at(Instant::from_nanos(until)));
    }
    line.push_str("\n\n");
    line
}

/// How a capture ends, in words.
#[must_use]
pub fn ending(end: End) -> String {
    match end {
        End::Whole { .. } => "the end; the capture is whole".to_owned(),
        End::Cut { .. } => "the capture was cut here: there was no room for more".to_owned(),
        End::Crashed { .. } => "the machine did not answer the last input: it crashed".to_owned(),
        End::Torn { at } => {
            format!("the capture breaks off at byte {at}: its end was never written, or is lost")
        }
    }
}

/// A moment, in seconds.
pub(super) fn at(now: Instant) -> String {
    let micros = now.as_nanos() / 1000;
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

fn records_of<R: Read, M: Seen>(
    begun: Instant,
    mut records: Records<R, M>,
    style: Style,
    write: &mut impl Write,
) -> Result<End, ShowFault> {
    let mut log = Log {
        style,
        step: 0,
        now: begun,
        many: Many::default(),
        held: Held::of_begin(begun, style),
        line: String::new(),
    };
    loop {
        let end = match records.next() {
            Ok(Record::Input { now, input }) => {
                log.input::<M>(now, &input, write)?;
                continue;
            }
            Ok(Record::Gave(words)) => {
                log.gave(words, write)?;
                continue;
            }
            Ok(Record::Digest(_)) => continue,
            Ok(Record::End(end)) => Ok(end),
            Err(fault) => Err(fault.into()),
        };
        log.ends(&end, write)?;
        return end;
    }
}

/// What is being shown.
struct Log {
    style: Style,
    step: u64,
    now: Instant,
    many: Many,
    held: Held,
    line: String,
}

/// An input that is not shown yet: whether it is depends on what the machine gave.
enum Held {
    No,
    /// One of many.
    Stream {
        name: &'static str,
        line: String,
    },
    /// One of its own.
    Line(String),
    /// Of JSON, without its end.
    Json(String),
}

impl Held {
    /// The making of the machine.
    fn of_begin(now: Instant, style: Style) -> Self {
        if style.is_json {
            Self::Json(format!(r#"{{"step":0,"seconds":{},"input":"made"}}"#, now.as_nanos() as f64 / 1e9))
        } else {
            Self::Line("made".to_owned())
        }
    }
}

/// How many came of what comes in streams, since something else was shown.
#[derive(Default)]
struct Many(Vec<(&'static str, u64)>);

impl Many {
    fn add(&mut self, name: &'static str) {
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += 1,
            None => self.0.push((name, 1)),
        }
    }
}

impl fmt::Display for Many {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (name, count)) in self.0.iter().enumerate() {
            write!(f, "{}{count} x {name}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// An input as a line of JSON.
#[derive(Serialize)]
struct JsonLine<'a> {
    step: u64,
    seconds: f64,
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Body<'a>>,
}

impl Log {
    fn input<M: Seen>(
        &mut self,
        now: Instant,
        input: &M::Input<'_>,
        write: &mut impl Write,
    ) -> Result<(), ShowFault> {
        self.flush("", write)?;
        (self.step, self.now) = (self.step + 1, now);
        self.line.clear();
        M::line(input, &mut self.line);
        let stream = M::stream(input).filter(|_| !self.style.each);
        let message =
            M::message(input).filter(|_| stream.is_none() && (self.style.messages || self.style.is_json));
        self.held = if self.style.is_json {
            let seconds = now.as_nanos() as f64 / 1e9;
            let line =
                JsonLine { step: self.step, seconds, input: &self.line, message: message.and_then(Body::of) };
            let line = serde_json::to_string(&line).map_err(io::Error::from)?;
            // A message stands there as it came. In JSON a line break stands between things only, and a line is a line.
            Held::Json(line.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect())
        } else if let Some(name) = stream {
            Held::Stream { name, line: self.line.clone() }
        } else {
            let mut line = self.line.clone();
            if let Some(message) = message {
                let _ = write!(line, "\n{:>20}", "");
                line.extend(
                    String::from_utf8_lossy(message).chars().map(|c| if is_plain(c) { c } else { ' ' }),
                );
            }
            Held::Line(line)
        };
        Ok(())
    }

    fn gave(&mut self, words: &str, write: &mut impl Write) -> Result<(), ShowFault> {
        self.flush(words, write)
    }

    /// Shows the input that is held, and what the machine gave.
    fn flush(&mut self, words: &str, write: &mut impl Write) -> Result<(), ShowFault> {
        match core::mem::replace(&mut self.held, Held::No) {
            Held::No => {}
            Held::Stream { name, .. } if words.is_empty() => self.many.add(name),
            Held::Stream { line, .. } | Held::Line(line) => self.lines(&line, words, write)?,
            Held::Json(line) => {
                let gave: Vec<_> = words.lines().collect();
                let open = line.strip_suffix('}').unwrap_or(&line);
                writeln!(
                    write,
                    "{open},\"gave\":{}}}",
                    serde_json::to_string(&gave).map_err(io::Error::from)?
                )?;
            }
        }
        Ok(())
    }

    fn lines(&mut self, line: &str, words: &str, write: &mut impl Write) -> Result<(), ShowFault> {
        self.streams(write)?;
        writeln!(write, "{:>12} {:>6}  {line}", at(self.now), self.step)?;
        for word in words.lines() {
            writeln!(write, "{:>19}  -> {word}", "")?;
        }
        Ok(())
    }

    fn streams(&mut self, write: &mut impl Write) -> Result<(), ShowFault> {
        let many = core::mem::take(&mut self.many);
        if many.0.is_empty() {
            return Ok(());
        }
        Ok(writeln!(write, "{:>19}  .. {many}", "")?)
    }

    fn ends(&mut self, end: &Result<End, ShowFault>, write: &mut impl Write) -> Result<(), ShowFault> {
        self.flush("", write)?;
        self.streams(write)?;
        let Ok(end) = end else { return Ok(()) };
        if self.style.is_json {
            return Ok(writeln!(
                write,
                "{{\"end\":{}}}",
                serde_json::to_string(&ending(*end)).map_err(io::Error::from)?
            )?);
        }
        Ok(writeln!(write, "{:>12}         {}", at(self.now), ending(*end))?)
    }
}

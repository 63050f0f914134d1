//! The part of a capture that is being read, however long the whole is.

use super::Fault;
use super::wire::{Bad, Cursor};
use std::io::Read;

/// How much is asked for at a time, in bytes.
const FILL_BYTES: usize = 64 * 1024;

/// A piece of what a reader gives. It holds the record that is being read and what was read beyond it, so its memory is
/// bounded by the longest record.
#[derive(Debug)]
pub(super) struct Window<R> {
    read: R,
    bytes: Vec<u8>,
    /// Where in `bytes` the record begins that is being read.
    begin: usize,
    /// How many bytes of the capture lie before `bytes`.
    before: usize,
    is_exhausted: bool,
    /// Why there is no more, if it is not that the capture ends.
    broken: Option<String>,
}

impl<R: Read> Window<R> {
    /// A window on the begin.
    pub(super) const fn new(read: R) -> Self {
        Self { read, bytes: Vec::new(), begin: 0, before: 0, is_exhausted: false, broken: None }
    }

    /// Where in the capture it begins, in bytes.
    pub(super) const fn at(&self) -> usize {
        self.before + self.begin
    }

    /// Reads what lies in it.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self.bytes.get(self.begin..).unwrap_or_default())
    }

    /// Moves on by so many bytes.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.begin = self.bytes.len().min(self.begin + bytes);
    }

    /// Reads so many bytes at least, if there are as many. Whether there are.
    pub(super) fn has(&mut self, bytes: usize) -> Result<bool, Fault> {
        while self.bytes.len() - self.begin < bytes {
            if !self.fill()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a part of the head, all of it, and moves on behind it.
    pub(super) fn head<T>(&mut self, read: impl Fn(&mut Cursor<'_>) -> Result<T, Bad>) -> Result<T, Fault> {
        loop {
            let mut cursor = self.cursor();
            match read(&mut cursor) {
                Ok(part) => {
                    let len = cursor.at();
                    self.advance(len);
                    return Ok(part);
                }
                Err(bad) => {
                    let at = self.at() + cursor.at();
                    if bad != Bad::Ends || !self.fill()? {
                        return Err(Fault::of_head(at, bad));
                    }
                }
            }
        }
    }

    /// Makes it longer, if there is more. Whether there was.
    pub(super) fn fill(&mut self) -> Result<bool, Fault> {
        if let Some(error) = self.broken.take() {
            return Err(Fault::Unreadable { at: self.before + self.bytes.len(), error });
        }
        if self.is_exhausted {
            return Ok(false);
        }
        self.bytes.drain(..self.begin);
        self.before += core::mem::take(&mut self.begin);
        let len = self.bytes.len();
        // As much again each time: a long record is not read in many short pieces.
        let more = len.max(FILL_BYTES);
        match self.read.by_ref().take(more as u64).read_to_end(&mut self.bytes) {
            Ok(read) => self.is_exhausted = read < more,
            // What was read before it broke comes first.
            Err(error) => (self.is_exhausted, self.broken) = (true, Some(error.to_string())),
        }
        if self.bytes.len() > len {
            Ok(true)
        } else {
            if self.broken.is_some() { self.fill() } else { Ok(false) }
        }
    }
}

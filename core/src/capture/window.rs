//! The part of a capture that is being read, however long the whole is.

use super::Fault;
use super::wire::{Bad, Cursor};
use std::io::{ErrorKind, Read};

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
}

impl<R: Read> Window<R> {
    /// A window on the begin.
    pub(super) const fn new(read: R) -> Self {
        Self { read, bytes: Vec::new(), begin: 0, before: 0, is_exhausted: false }
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
        if self.is_exhausted {
            return Ok(false);
        }
        self.bytes.drain(..self.begin);
        self.before += core::mem::take(&mut self.begin);
        let len = self.bytes.len();
        // As much again each time: a long record is not read in many short pieces. What a reader has at once is enough: a
        // capture may be read while it is being written.
        self.bytes.resize(len + len.max(FILL_BYTES), 0);
        let read = loop {
            match self.read.read(self.bytes.get_mut(len..).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(len + read.as_ref().map_or(0, |read| *read));
        match read {
            Ok(read) => {
                self.is_exhausted = read == 0;
                Ok(read > 0)
            }
            Err(error) => {
                self.is_exhausted = true;
                Err(Fault::Unreadable { at: self.before + len, error: error.to_string() })
            }
        }
    }
}

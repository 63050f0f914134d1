//! Whether a capture is scrubbed: whether scrubbing changes nothing.

use super::{ScrubFault, scrub};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};

/// Whether scrubbing this capture changes not a byte.
///
/// # Errors
///
/// As [`scrub`]. A capture that scrubbing would change in what the machine does is none that is scrubbed, and is no error.
pub fn is_scrubbed(mut capture: impl Read) -> Result<bool, ScrubFault> {
    // What was read and is not written yet: no more than the longest message.
    let ahead = RefCell::new(Ahead::default());
    let scrubbed = scrub(Tap { read: &mut capture, ahead: &ahead }, Held { ahead: &ahead });
    match scrubbed {
        Ok(_) => {
            // What stands behind the end is a fault, so all was read.
            let ahead = ahead.into_inner();
            Ok(!ahead.differs && ahead.bytes.is_empty())
        }
        Err(ScrubFault::Write(_) | ScrubFault::Changed { .. } | ScrubFault::Settings(_)) => Ok(false),
        Err(fault) => Err(fault),
    }
}

#[derive(Default)]
struct Ahead {
    bytes: VecDeque<u8>,
    differs: bool,
}

struct Tap<'a, R> {
    read: R,
    ahead: &'a RefCell<Ahead>,
}

impl<R: Read> Read for Tap<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.read.read(buffer)?;
        self.ahead.borrow_mut().bytes.extend(buffer.get(..len).unwrap_or_default());
        Ok(len)
    }
}

/// Holds what is written against what was read. The first difference ends it.
struct Held<'a> {
    ahead: &'a RefCell<Ahead>,
}

impl Write for Held<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut ahead = self.ahead.borrow_mut();
        let is_same =
            bytes.len() <= ahead.bytes.len() && ahead.bytes.drain(..bytes.len()).eq(bytes.iter().copied());
        if !is_same {
            ahead.differs = true;
            return Err(io::Error::other("it is another one"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

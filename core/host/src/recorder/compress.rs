//! Compressing a capture that is to be kept.

use std::fmt;
use std::io::{self, Write};
use zstd::Encoder;

/// The level of zstd: what is kept is written once, and not while a call goes on.
const LEVEL: i32 = 15;

/// A file of a capture, as [`open_file`](super::open_file) reads it: what is written into this is compressed.
pub struct Compressed<W: Write>(Encoder<'static, W>);

impl<W: Write> fmt::Debug for Compressed<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressed").finish_non_exhaustive()
    }
}

impl<W: Write> Compressed<W> {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// If there is no memory for it.
    pub fn new(write: W) -> io::Result<Self> {
        let mut encoder = Encoder::new(write, LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Self(encoder))
    }

    /// Writes the end, and gives back what it was written to.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Compressed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The bytes of a capture, compressed.
///
/// # Errors
///
/// If there is no memory for it.
pub fn compress(capture: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressed = Compressed::new(Vec::new())?;
    compressed.write_all(capture)?;
    compressed.finish()
}

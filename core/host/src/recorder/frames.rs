//! Pieces of a capture as zstd frames. One frame behind the other is a zstd stream, so that a piece is compressed once,
//! whether it goes to a file or stays in memory, and what is in a file is whole up to the last piece.

use std::io;
use zstd::bulk::{Compressor, Decompressor};

/// Fast: on what captures hold, higher levels gain little.
pub(super) const LEVEL: i32 = 1;

/// Compresses pieces, and gives them back. Its memory serves all captures.
pub(super) struct Packer {
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
}

/// A piece of a capture.
#[derive(Clone)]
pub(super) struct Frame {
    pub(super) packed: Vec<u8>,
    /// How long it is when it is not compressed.
    pub(super) plain_len: usize,
}

impl Packer {
    /// # Errors
    ///
    /// If there is no memory.
    pub(super) fn new() -> io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        // A file in which a bit has changed is to be noticed.
        compressor.include_checksum(true)?;
        Ok(Self { compressor, decompressor: Decompressor::new()? })
    }

    /// # Errors
    ///
    /// If there is no memory.
    pub(super) fn pack(&mut self, plain: &[u8]) -> io::Result<Frame> {
        let mut packed = self.compressor.compress(plain)?;
        packed.shrink_to_fit();
        Ok(Frame { packed, plain_len: plain.len() })
    }

    /// # Errors
    ///
    /// If there is no memory.
    pub(super) fn unpack(&mut self, frame: &Frame) -> io::Result<Vec<u8>> {
        self.decompressor.decompress(&frame.packed, frame.plain_len)
    }
}

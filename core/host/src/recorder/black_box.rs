//! The black box of a call: its capture in memory, in which there is always room for what happens now. The sound of the
//! oldest minutes goes first; what was done and said in words stays from the begin of the call on, so that the whole can
//! be replayed.

use ari_bridge_core::format::ModelFormat;
use ari_bridge_core::time::Instant;
use ari_bridge_core::tools::blank::{Renewed, blank_audio, renew};
use std::collections::VecDeque;
use std::io::{self, Read, Write};

use super::frames::{Frame, LEVEL, Packer};

/// How much is compressed at once, in bytes.
const FRAME_BYTES: usize = 64 * 1024;

/// Of how much the sound goes at once, in bytes.
const BLANK_BYTES: usize = 4 * FRAME_BYTES;

/// A capture in memory.
pub(super) struct BlackBox {
    /// How much memory it may take, in bytes.
    limit: usize,
    /// In which format the model speaks; without one, there is no audio to take out.
    model: Option<ModelFormat>,
    head: Frame,
    /// Without sound.
    silent: Vec<Frame>,
    /// As it was.
    sounding: VecDeque<Frame>,
    /// What is not compressed yet.
    last: Vec<u8>,
    /// Until when the last of `sounding` goes.
    times: VecDeque<Instant>,
    blanked_until: Option<Instant>,
    /// How much all of it takes.
    bytes: usize,
}

/// It does not fit, not even without sound.
#[derive(Debug)]
pub(super) struct TooLarge;

/// What is in a black box, to be written.
pub(super) struct Content {
    frames: Vec<Frame>,
    blanked_until: Option<Instant>,
}

impl BlackBox {
    pub(super) fn new(limit: usize, model: Option<ModelFormat>, head: Frame) -> Self {
        let bytes = head.packed.len();
        Self {
            limit,
            model,
            head,
            silent: Vec::new(),
            sounding: VecDeque::new(),
            last: Vec::new(),
            times: VecDeque::new(),
            blanked_until: None,
            bytes,
        }
    }

    /// Takes in a piece that ends at a record, at this time.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub(super) fn push(
        &mut self,
        until: Instant,
        piece: &[u8],
        packer: &mut Packer,
    ) -> io::Result<Result<(), TooLarge>> {
        self.last.extend_from_slice(piece);
        if self.last.len() >= FRAME_BYTES {
            let frame = packer.pack(&self.last)?;
            self.last.clear();
            self.last.shrink_to(2 * FRAME_BYTES);
            self.bytes += frame.packed.len();
            self.sounding.push_back(frame);
            self.times.push_back(until);
        }
        while self.bytes + self.last.capacity() > self.limit {
            if !self.blank(packer)? {
                return Ok(Err(TooLarge));
            }
        }
        Ok(Ok(()))
    }

    /// Takes the sound out of the oldest that has any. Whether there was some.
    fn blank(&mut self, packer: &mut Packer) -> io::Result<bool> {
        let Some(model) = self.model else { return Ok(false) };
        let mut plain = Vec::new();
        while plain.len() < BLANK_BYTES
            && let Some(frame) = self.sounding.pop_front()
        {
            self.bytes -= frame.packed.len();
            plain.extend(packer.unpack(&frame)?);
            self.blanked_until = self.times.pop_front();
        }
        if plain.is_empty() {
            return Ok(false);
        }
        blank_audio(&mut plain, model);
        let frame = packer.pack(&plain)?;
        self.bytes += frame.packed.len();
        self.silent.push(frame);
        Ok(true)
    }

    /// What is in it, to be written. It stays there.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub(super) fn content(&self, packer: &mut Packer) -> io::Result<Content> {
        let mut frames = vec![self.head.clone()];
        frames.extend(self.silent.iter().chain(&self.sounding).cloned());
        frames.push(packer.pack(&self.last)?);
        Ok(Content { frames, blanked_until: self.blanked_until })
    }
}

impl Content {
    /// Whether something was taken out, so that its digests are to be made anew.
    pub(super) const fn is_blanked(&self) -> bool {
        self.blanked_until.is_some()
    }

    /// The bytes of the file, one behind the other.
    pub(super) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(|frame| &*frame.packed)
    }

    /// The bytes of the file with new digests: a fresh machine lives through it, which takes a second or two for an hour.
    ///
    /// # Errors
    ///
    /// If it cannot be read, which would be a fault of ours, or there is no memory.
    pub(super) fn renewed(self) -> io::Result<Vec<u8>> {
        let until = self.blanked_until;
        let mut frames = self.frames.into_iter();
        let mut unpacked =
            Unpacked { next: || frames.next(), packer: Packer::new()?, plain: Vec::new(), taken: 0 };
        let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        let Renewed { changed, first, .. } =
            renew(&mut unpacked, until, &mut encoder).map_err(io::Error::other)?;
        if let Some(first) = first {
            tracing::warn!(
                "without the sound of its begin a call does something else in {changed} steps, from step {} on: its capture says \
                 that, and not what happened",
                first.step
            );
        }
        encoder.flush()?;
        encoder.finish()
    }
}

/// Reads frames one after the other.
struct Unpacked<F> {
    next: F,
    packer: Packer,
    plain: Vec<u8>,
    taken: usize,
}

impl<F: FnMut() -> Option<Frame>> Read for Unpacked<F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.plain.len() {
            let Some(frame) = (self.next)() else { return Ok(0) };
            (self.plain, self.taken) = (self.packer.unpack(&frame)?, 0);
        }
        let read = self.plain.get(self.taken..).unwrap_or_default().read(buf)?;
        self.taken += read;
        Ok(read)
    }
}

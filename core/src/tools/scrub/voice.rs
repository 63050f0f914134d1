//! The agent's voice, as pieces of base64 in messages.

use super::tone::{AGENT_SWINGS, Tones, Written};
use crate::downlink::BASE64;
use crate::format::ModelFormat;
use base64::Engine;

/// The voice, piece by piece.
#[derive(Debug)]
pub(super) struct AgentVoice {
    tones: Tones,
    sample_bytes: usize,
    /// Of which part of which item the last piece was.
    part: (Vec<u8>, u32),
    /// A sample was cut in two between the pieces.
    is_cut: bool,
    bytes: Vec<u8>,
}

impl AgentVoice {
    pub(super) fn new(format: ModelFormat) -> Self {
        Self {
            tones: Tones::new(Written::Model(format), AGENT_SWINGS),
            sample_bytes: format.sample_bytes(),
            part: (Vec::new(), 0),
            is_cut: false,
            bytes: Vec::new(),
        }
    }

    /// The next piece is of this part of an item.
    pub(super) fn is_of(&mut self, item_id: &[u8], content_index: u32) {
        if (self.part.0.as_slice(), self.part.1) != (item_id, content_index) {
            self.part = (item_id.to_vec(), content_index);
            self.is_cut = false;
        }
    }

    /// Appends tones in the place of a piece, as long. What is no base64 is none afterwards either.
    pub(super) fn replace(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.bytes.clear();
        if BASE64.decode_vec(piece, &mut self.bytes).is_err() {
            return out.extend(core::iter::repeat_n(b'!', piece.len()));
        }
        let cut = usize::from(self.is_cut).min(self.bytes.len());
        let (head, rest) = self.bytes.split_at_mut(cut);
        head.fill(0);
        let whole = rest.len() - rest.len() % self.sample_bytes;
        let (samples, tail) = rest.split_at_mut(whole);
        self.tones.replace(samples);
        tail.fill(0);
        self.is_cut = !tail.is_empty() || (self.is_cut && head.is_empty());
        let begin = out.len();
        out.extend_from_slice(piece);
        // Where the piece has its padding it stays.
        let padding = piece.iter().rev().take_while(|byte| **byte == b'=').count();
        let end = out.len() - padding;
        if let Some(slot) = out.get_mut(begin..end) {
            let _ = base64::engine::general_purpose::STANDARD_NO_PAD.encode_slice(&self.bytes, slot);
        }
    }
}

//! What the caller really heard of an item, counted on the packets and not asked of the bridge.
//!
//! Where the model and the line speak the same G.711, a frame leaves as the bytes that the model wrote. An agent that says
//! one byte for a whole item, and another one for each item, has thereby marked every packet with the item that is in it.

use ari_bridge_core::conceal::BLEND_MS;
use ari_bridge_core::format::MediaFormat;
use ari_bridge_core::realtime::{Dialect, ServerEvent};
use ari_bridge_core::settings::CallSettings;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::collections::BTreeSet;

/// Bytes of G.711 in a millisecond, and in a frame of 20 ms.
const BYTES_PER_MS: u64 = 8;
const FRAME_BYTES: u64 = 160;

/// How many bytes of a mark may be in fades of other sounds.
const FADES_BYTES: u64 = 40;

/// The shortest first delta that can mark an item, in letters of base64. What is shorter may be of one byte by chance.
const SHORTEST_MARK: usize = 108;

#[derive(Debug)]
struct Marked {
    item_id: String,
    code: u8,
    sent_bytes: u64,
    /// How often its sound began or went on after something else: each time the first 5 ms may be blended.
    begins: u64,
    /// How much of it had been sent when the caller cut in.
    cut_at: Option<u64>,
}

/// The items of a call that have a mark.
#[derive(Debug)]
pub(super) struct Ledger {
    is_passed_on: bool,
    items: Vec<Marked>,
    /// Which bytes are no marks any more.
    spoiled: [bool; 256],
    last_code: Option<u8>,
    recorded: BTreeSet<String>,
}

impl Ledger {
    pub(super) fn new(settings: &CallSettings, format: MediaFormat) -> Self {
        let same = settings.session.audio_format.same_on_the_line();
        Self {
            is_passed_on: same == Some(format.to_asterisk()),
            items: Vec::new(),
            spoiled: [false; 256],
            last_code: None,
            recorded: BTreeSet::new(),
        }
    }

    /// The model speaks another format after all.
    pub(super) fn is_not_passed_on(&mut self) {
        (self.is_passed_on, self.items) = (false, Vec::new());
    }

    pub(super) fn server_said(&mut self, message: &[u8]) {
        if !self.is_passed_on {
            return;
        }
        let Some(ServerEvent::AudioDelta { item_id, delta, .. }) = Dialect::OpenAi.read(message) else {
            return;
        };
        let Some((code, is_uniform, audio)) = audio_of(&delta) else { return };
        let known = self.items.iter().position(|item| item.item_id == *item_id);
        let is_marked = match known {
            Some(at) => is_uniform && self.items[at].code == code,
            None => {
                let is_new = !self.recorded.contains(&*item_id);
                is_new && is_uniform && delta.len() >= SHORTEST_MARK && !self.spoiled[usize::from(code)]
            }
        };
        match known {
            Some(_) if is_marked => {}
            // Whatever it says now has no owner any more.
            Some(at) => {
                let item = self.items.swap_remove(at);
                self.spoiled[usize::from(item.code)] = true;
                audio.iter().chain([&code]).for_each(|&byte| self.spoiled[usize::from(byte)] = true);
            }
            None if is_marked && self.items.iter().all(|item| item.code != code) => {
                let item_id = item_id.to_string();
                self.items.push(Marked { item_id, code, sent_bytes: 0, begins: 0, cut_at: None });
            }
            None => audio.iter().chain([&code]).for_each(|&byte| self.spoiled[usize::from(byte)] = true),
        }
        let spoiled = &self.spoiled;
        self.items.retain(|item| !spoiled[usize::from(item.code)]);
    }

    pub(super) fn is_sent(&mut self, payload: &[u8]) {
        if self.items.is_empty() {
            return;
        }
        let first = payload.first().copied();
        for item in &mut self.items {
            let bytes = payload.iter().filter(|&&byte| byte == item.code).count() as u64;
            if bytes > 0 && (self.last_code != Some(item.code) || first != Some(item.code)) {
                item.begins += 1;
            }
            item.sent_bytes += bytes;
            if let Some(cut_at) = item.cut_at {
                let after = item.sent_bytes - cut_at;
                // One frame may be its fade, and the fades of other sounds pass by.
                assert!(
                    after <= FRAME_BYTES + FADES_BYTES,
                    "{after} bytes of {} after it was cut off",
                    item.item_id
                );
            }
        }
        self.last_code = payload.last().copied();
    }

    /// The server is told how much of an item was heard.
    pub(super) fn is_truncated(&mut self, item_id: &str, heard_ms: u64) {
        self.is_told(item_id, heard_ms, "truncated");
        if let Some(item) = self.items.iter_mut().find(|item| item.item_id == item_id) {
            item.cut_at = Some(item.sent_bytes);
        }
    }

    /// Nothing more of an item will be heard. What comes all the same of one that was not cut off is counted no more.
    pub(super) fn is_recorded(&mut self, item_id: &str, heard_ms: u64) {
        self.is_told(item_id, heard_ms, "recorded");
        self.items.retain(|item| item.item_id != item_id || item.cut_at.is_some());
        self.recorded.insert(item_id.to_owned());
    }

    /// No more was heard than was sent, and no less; but for what was blended at a begin, and what was the fade at an end.
    fn is_told(&self, item_id: &str, heard_ms: u64, told: &str) {
        let Some(item) = self.items.iter().find(|item| item.item_id == item_id) else { return };
        let heard = heard_ms * BYTES_PER_MS;
        let blended = item.begins * BLEND_MS as u64 * BYTES_PER_MS;
        let faded = item.begins * FRAME_BYTES + BYTES_PER_MS;
        assert!(
            heard <= item.sent_bytes + blended && item.sent_bytes <= heard + faded,
            "{item_id} is {told} at {heard_ms} ms, and {} bytes of it were sent in {} pieces",
            item.sent_bytes,
            item.begins
        );
    }
}

/// The first byte of a delta, whether all are that one, and the bytes themselves where they are not. The base64 of one byte
/// over and over repeats itself every four letters, and that is seen without decoding minutes of it.
fn audio_of(delta: &str) -> Option<(u8, bool, Vec<u8>)> {
    let text = delta.as_bytes();
    let head = BASE64_STANDARD.decode(text.get(..4)?).ok()?;
    let &code = head.first()?;
    let body = text.len().saturating_sub(4);
    let repeats = body > 4 && text[4..body] == text[..body - 4];
    let is_same = |bytes: &[u8]| bytes.iter().all(|&byte| byte == code);
    let tail = BASE64_STANDARD.decode(text.get(body.next_multiple_of(4).min(text.len())..)?).ok()?;
    if repeats && is_same(&head) && is_same(&tail) {
        return Some((code, true, Vec::new()));
    }
    let audio = BASE64_STANDARD.decode(text).ok()?;
    Some((code, is_same(&audio), audio))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_over_and_over_is_seen_whatever_the_length() {
        for length in 1..300 {
            let mut audio = vec![7; length];
            let of = |audio: &[u8]| audio_of(&BASE64_STANDARD.encode(audio)).expect("base64");
            assert_eq!((of(&audio).0, of(&audio).1), (7, true), "{length}");
            for at in [0, length / 2, length - 1] {
                audio[at] = 8;
                assert_eq!(of(&audio).1, length == 1, "{length} {at}");
                audio[at] = 7;
            }
        }
    }
}

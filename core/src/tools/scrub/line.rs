//! The caller's voice, as datagrams.

use super::tone::{CALLER_SWINGS, Tones, Written};
use crate::format::Encoding;
use crate::rtp::{HEADER_BYTES, Packet};

/// What a key of a telephone event becomes (RFC 4733 §3.2): 5. The machines do not listen to it.
const KEY: u8 = 5;

/// The greatest key there (D).
const LAST_KEY: u8 = 15;

/// How long a telephone event is, in bytes.
const EVENT_BYTES: usize = 4;

/// What each encoding has for tones, and for each what it has heard.
#[derive(Debug)]
pub(super) struct CallerVoice([Tones; 4]);

impl CallerVoice {
    pub(super) fn new() -> Self {
        let all = [Encoding::Pcmu, Encoding::Pcma, Encoding::G722, Encoding::L16Wideband];
        Self(all.map(|encoding| Tones::new(Written::Line(encoding), CALLER_SWINGS)))
    }

    /// Puts tones in the place of the voice. What is no RTP is still none, and nothing of it is left but its first byte.
    pub(super) fn replace(&mut self, datagram: &mut [u8]) {
        let read = Packet::parse(datagram);
        let Some((kind, range)) = read.map(|packet| (packet.payload_type, packet.payload_range(datagram)))
        else {
            return self.blot_out(datagram);
        };
        // What stands in the extension of a header may tell how loud the voice is, and who speaks.
        let sources = datagram.first().map_or(0, |flags| usize::from(flags & 0x0F)) * 4;
        if let Some(extension) = datagram.get_mut(HEADER_BYTES + sources + 4..range.start) {
            extension.fill(0);
        }
        if let Some((_, padding)) = datagram.get_mut(range.end..).and_then(<[u8]>::split_last_mut) {
            padding.fill(0);
        }
        let Some(payload) = datagram.get_mut(range) else { return };
        let [pcmu, pcma, g722, l16] = &mut self.0;
        match kind {
            0 => pcmu.replace(payload),
            8 => pcma.replace(payload),
            9 => g722.replace(payload),
            118 => l16.replace(payload),
            _ if payload.len() == EVENT_BYTES => {
                payload.iter_mut().take(1).filter(|key| **key <= LAST_KEY).for_each(|key| *key = KEY);
            }
            _ => payload.fill(0),
        }
    }

    fn blot_out(&self, datagram: &mut [u8]) {
        // The lengths in it must not come to fit: either the least that they can say, or the most.
        for byte in [0x00, 0xFF] {
            datagram.iter_mut().skip(1).for_each(|slot| *slot = byte);
            if Packet::parse(datagram).is_none() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_becomes_another_one_and_its_length_stays() {
        let mut event = [0x80, 101, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 9, 0x8A, 0x03, 0x20];
        CallerVoice::new().replace(&mut event);
        assert_eq!(event[12..], [5, 0x8A, 0x03, 0x20]);
    }

    #[test]
    fn nothing_of_what_is_no_rtp_is_left() {
        let mut stun = *b"\x00\x01\x00\x08\x21\x12\xa4\x42twelve bytes and a name";
        CallerVoice::new().replace(&mut stun);
        assert!(stun[1..].iter().all(|byte| *byte == 0), "{stun:?}");
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_as_before_and_stays(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..400), is_rtp: bool,
        ) {
            if let Some(first) = bytes.first_mut().filter(|_| is_rtp) {
                *first = 0x80 | *first & 0x3F;
            }
            let shape = |bytes: &[u8]| {
                Packet::parse(bytes).map(|packet| (Packet { payload: &[], ..packet }.sequence, packet.payload_range(bytes)))
            };
            let mut voice = CallerVoice::new();
            let mut once = bytes.clone();
            voice.replace(&mut once);
            prop_assert_eq!(shape(&once), shape(&bytes));
            let mut twice = once.clone();
            voice.replace(&mut twice);
            prop_assert_eq!(once, twice);
        }
    }
}

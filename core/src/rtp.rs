//! The RTP header (RFC 3550 §5.1), read and written.

use core::ops::Range;

/// The longest datagram that is looked at, in bytes.
pub const MAX_DATAGRAM_BYTES: usize = 2048;

/// The header without CSRC list and extension, in bytes.
pub const HEADER_BYTES: usize = 12;

const VERSION: u8 = 2;

/// An RTP packet whose payload lies in somebody else's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// The marker bit. From Asterisk it is *not* the start of a talkspurt, so nothing is decided by it.
    pub marker: bool,
    /// The payload type, 7 bits.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in units of the payload's RTP clock.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
    /// The audio, without padding. May be empty.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram. `None` if it is not RTP version 2, longer than [`MAX_DATAGRAM_BYTES`], or if its
    /// lengths (CSRC list, extension, padding) do not fit into it.
    #[must_use]
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        if datagram.len() > MAX_DATAGRAM_BYTES {
            return None;
        }
        let (header, rest) = datagram.split_first_chunk::<HEADER_BYTES>()?;
        let &[flags, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = header;
        if flags >> 6 != VERSION {
            return None;
        }
        let csrc_bytes = usize::from(flags & 0x0F) * 4;
        let mut payload = rest.get(csrc_bytes..)?;
        if flags & 0x10 != 0 {
            let (&[_, _, words_high, words_low], rest) = payload.split_first_chunk::<4>()?;
            payload = rest.get(usize::from(u16::from_be_bytes([words_high, words_low])) * 4..)?;
        }
        if flags & 0x20 != 0 {
            // The padding counts its own length byte, so zero is as wrong as more than there is.
            let padding = usize::from(*payload.last()?);
            let kept = payload.len().checked_sub(padding).filter(|_| padding != 0)?;
            payload = payload.get(..kept)?;
        }
        Some(Self {
            marker: kind & 0x80 != 0,
            payload_type: kind & 0x7F,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            payload,
        })
    }

    /// Where in the datagram the payload of the packet lies that was read from it.
    pub(crate) fn payload_range(&self, datagram: &[u8]) -> Range<usize> {
        let begin = (self.payload.as_ptr() as usize).saturating_sub(datagram.as_ptr() as usize);
        begin..begin + self.payload.len()
    }

    /// Appends the packet to `out`: a header without CSRC list, extension and padding, then the payload.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION << 6);
        out.push((u8::from(self.marker) << 7) | (self.payload_type & 0x7F));
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(self.payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Asterisk 22 sends for slin16: no CSRC, no extension, payload type 118.
    const PLAIN: [u8; 14] = [0x80, 0xF6, 0x12, 0x34, 0, 0, 1, 0x40, 0xDE, 0xAD, 0xBE, 0xEF, 7, 9];

    fn with_flags(flags: u8, tail: &[u8]) -> Vec<u8> {
        let mut datagram = PLAIN[..HEADER_BYTES].to_vec();
        datagram[0] = flags;
        datagram.extend_from_slice(tail);
        datagram
    }

    #[test]
    fn a_packet_of_asterisk_is_read_and_written_back() {
        let packet = Packet::parse(&PLAIN).unwrap();
        assert!(packet.marker);
        assert_eq!((packet.payload_type, packet.sequence, packet.timestamp), (118, 0x1234, 320));
        assert_eq!((packet.ssrc, packet.payload), (0xDEAD_BEEF, &[7, 9][..]));
        let mut again = Vec::new();
        packet.write(&mut again);
        assert_eq!(again, PLAIN);
    }

    #[test]
    fn csrc_list_extension_and_padding_are_taken_off() {
        let csrc = with_flags(0x82, &[0, 0, 0, 1, 0, 0, 0, 2, 42]);
        assert_eq!(Packet::parse(&csrc).unwrap().payload, [42]);
        let extension = with_flags(0x90, &[0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 42]);
        assert_eq!(Packet::parse(&extension).unwrap().payload, [42]);
        let padding = with_flags(0xA0, &[42, 0, 0, 3]);
        assert_eq!(Packet::parse(&padding).unwrap().payload, [42]);
        let all = with_flags(0xB1, &[0, 0, 0, 1, 0, 0, 0, 0, 42, 43, 1]);
        assert_eq!(Packet::parse(&all).unwrap().payload, [42, 43]);
    }

    #[test]
    fn a_header_alone_is_a_packet_without_audio() {
        assert!(Packet::parse(&PLAIN[..12]).unwrap().payload.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let cases: [(&str, Vec<u8>); 9] = [
            ("empty", vec![]),
            ("eleven bytes", PLAIN[..11].to_vec()),
            ("version 1", with_flags(0x40, &[1])),
            ("a STUN request", with_flags(0x00, &[1])),
            ("CSRC list cut off", with_flags(0x81, &[0, 0, 0])),
            ("extension cut off", with_flags(0x90, &[0, 0, 0, 2, 1, 2, 3, 4])),
            ("padding of nothing", with_flags(0xA0, &[42, 0])),
            ("more padding than payload", with_flags(0xA0, &[42, 3])),
            ("too long", with_flags(0x80, &[0; MAX_DATAGRAM_BYTES - HEADER_BYTES + 1])),
        ];
        for (what, datagram) in cases {
            assert_eq!(Packet::parse(&datagram), None, "{what}");
        }
        assert!(Packet::parse(&with_flags(0x80, &[0; MAX_DATAGRAM_BYTES - HEADER_BYTES])).is_some());
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload.len() + HEADER_BYTES <= bytes.len());
            }
        }

        #[test]
        fn what_is_written_reads_back(
            marker: bool, payload_type in 0u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let packet = Packet { marker, payload_type, sequence, timestamp, ssrc, payload: &payload };
            let mut datagram = Vec::new();
            packet.write(&mut datagram);
            prop_assert_eq!(Packet::parse(&datagram), Some(packet));
        }
    }
}

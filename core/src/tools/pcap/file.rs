//! The blocks of a pcapng file (draft-ietf-opsawg-pcapng §4), little-endian.

use super::udp;
use crate::capture::PROGRAM;
use crate::time::{Instant, UtcNanos};
use core::net::SocketAddr;
use std::io::{self, Write};

/// The longest packet, in bytes: Wireshark opens no file with a longer one. A message is cut to it; its own length is told.
pub const MAX_PACKET_BYTES: usize = 262_144;

/// The longest comment, in bytes.
const MAX_COMMENT_BYTES: usize = 1024;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

/// By it a reader knows the order of bytes.
const ORDER: u32 = 0x1A2B_3C4D;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;

/// `if_tsresol`: times are in units of 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// Raw IP, version 4 or 6.
const LINKTYPE_RAW: u16 = 101;
/// Exported PDUs of Wireshark.
const LINKTYPE_UPPER_PDU: u16 = 252;

/// The tags of an exported PDU (Wireshark, `epan/exported_pdu.h`); their numbers and lengths are big-endian.
const TAG_END: u16 = 0;
const TAG_DISSECTOR_NAME: u16 = 12;
const TAG_COL_PROT_TEXT: u16 = 33;
const TAG_COL_INFO_TEXT: u16 = 36;

/// An interface, by its number in the file.
#[derive(Clone, Copy)]
enum Interface {
    Rtp = 0,
    Messages = 1,
}

/// Which way a packet went (`epb_flags`, bits 0 and 1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// To the bridge.
    In = 1,
    /// From the bridge.
    Out = 2,
}

/// A message, as it is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// Which way it went.
    pub(super) way: Way,
    /// The dissector.
    pub(super) dissector: &'a str,
    /// What stands in the column for the protocol.
    pub(super) protocol: &'a str,
    /// What it is, for people.
    pub(super) comment: &'a str,
    /// The message.
    pub(super) bytes: &'a [u8],
}

/// A pcapng file that is being written.
#[derive(Debug)]
pub struct Packets<W> {
    out: W,
    begun: UtcNanos,
    /// When the first step was, by the machine's clock.
    first: Option<Instant>,
    /// What the time is, in nanoseconds since the Unix epoch.
    now: u64,
    packet: Vec<u8>,
    block: Vec<u8>,
}

impl<W: Write> Packets<W> {
    /// A file that begins at that time.
    pub(super) fn new(out: W, begun: UtcNanos) -> io::Result<Self> {
        let mut file = Self { out, begun, first: None, now: begun.0, packet: Vec::new(), block: Vec::new() };
        // Version 1.0; the length of the section is not told.
        file.begin(SECTION_HEADER);
        file.block.extend_from_slice(&ORDER.to_le_bytes());
        file.block.extend_from_slice(&[1, 0, 0, 0]);
        file.block.extend_from_slice(&[0xFF; 8]);
        let program = format!("ari-bridge {PROGRAM}");
        option(&mut file.block, SHB_USERAPPL, program.as_bytes());
        file.end()?;
        for (name, link_type) in [("rtp", LINKTYPE_RAW), ("messages", LINKTYPE_UPPER_PDU)] {
            file.begin(INTERFACE);
            file.block.extend_from_slice(&link_type.to_le_bytes());
            file.block.extend_from_slice(&[0, 0]);
            file.block.extend_from_slice(&(MAX_PACKET_BYTES as u32).to_le_bytes());
            option(&mut file.block, IF_NAME, name.as_bytes());
            option(&mut file.block, IF_TSRESOL, &[NANOSECONDS]);
            file.end()?;
        }
        Ok(file)
    }

    /// The time of the packets from now on, by the machine's clock. The first that is told is that of the beginning.
    pub(super) fn set_now(&mut self, now: Instant) {
        let passed = now.since(*self.first.get_or_insert(now)).as_nanos();
        self.now = self.begun.0.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX));
    }

    /// Writes a datagram. Where the families of the two addresses differ, that is a driver's fault, and the second is
    /// shown as unspecified.
    pub(super) fn datagram(
        &mut self,
        way: Way,
        from: SocketAddr,
        to: SocketAddr,
        payload: &[u8],
    ) -> io::Result<()> {
        self.packet.clear();
        udp::write(from, to, payload, &mut self.packet);
        let len = self.packet.len();
        self.write(Interface::Rtp, way, None, len)
    }

    /// Writes a message.
    pub(super) fn message(&mut self, message: Message<'_>) -> io::Result<()> {
        let comment = message.comment;
        let comment = comment.get(..comment.floor_char_boundary(MAX_COMMENT_BYTES)).unwrap_or_default();
        self.packet.clear();
        for (kind, text) in [
            (TAG_DISSECTOR_NAME, message.dissector),
            (TAG_COL_PROT_TEXT, message.protocol),
            (TAG_COL_INFO_TEXT, comment),
        ] {
            tag(&mut self.packet, kind, text.as_bytes());
        }
        tag(&mut self.packet, TAG_END, &[]);
        let len = self.packet.len() + message.bytes.len();
        let room = MAX_PACKET_BYTES.saturating_sub(self.packet.len()).min(message.bytes.len());
        self.packet.extend_from_slice(message.bytes.get(..room).unwrap_or_default());
        self.write(Interface::Messages, message.way, Some(comment), len)
    }

    /// Writes the packet that is ready, of which there were so many bytes.
    fn write(&mut self, on: Interface, way: Way, comment: Option<&str>, len: usize) -> io::Result<()> {
        self.begin(ENHANCED_PACKET);
        let [high, low] = [(self.now >> 32) as u32, self.now as u32];
        for number in [on as u32, high, low, self.packet.len() as u32, len as u32] {
            self.block.extend_from_slice(&number.to_le_bytes());
        }
        self.block.extend_from_slice(&self.packet);
        pad(&mut self.block);
        if let Some(comment) = comment {
            option(&mut self.block, OPT_COMMENT, comment.as_bytes());
        }
        option(&mut self.block, EPB_FLAGS, &(way as u32).to_le_bytes());
        self.end()
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn begin(&mut self, kind: u32) {
        self.block.clear();
        self.block.extend_from_slice(&kind.to_le_bytes());
        // The length, which is known at the end.
        self.block.extend_from_slice(&[0; 4]);
    }

    /// Ends the options and the block, and writes it.
    fn end(&mut self) -> io::Result<()> {
        option(&mut self.block, OPT_END, &[]);
        let len = (self.block.len() as u32 + 4).to_le_bytes();
        if let Some(place) = self.block.get_mut(4..8) {
            place.copy_from_slice(&len);
        }
        self.block.extend_from_slice(&len);
        self.out.write_all(&self.block)
    }
}

fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    block.extend_from_slice(&code.to_le_bytes());
    block.extend_from_slice(&(value.len() as u16).to_le_bytes());
    block.extend_from_slice(value);
    pad(block);
}

/// A tag counts its padding.
fn tag(packet: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let len = value.len().next_multiple_of(4);
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&(len as u16).to_be_bytes());
    packet.extend_from_slice(value);
    packet.resize(packet.len() + len - value.len(), 0);
}

/// Everything in the file begins at a multiple of four bytes.
fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}

//! A capture as a packet capture, for Wireshark: pcapng (draft-ietf-opsawg-pcapng).
//!
//! The RTP of a call stands on one interface, as IP packets with the real addresses, ports and times. Messages stand on
//! another, as what Wireshark calls exported PDUs (`LINKTYPE_WIRESHARK_UPPER_PDU`, 252): each names its dissector, so that
//! a message is shown as a tree of JSON, and a comment says what it is. Before the first packet that goes to an address
//! stands a description of the stream by SDP (RFC 8866), so that Wireshark knows the payload types and plays the audio.
//! Nothing like it was ever sent: with an ExternalMedia channel both sides know the format from ARI.

mod call;
mod file;
mod message;
mod switchboard;
mod udp;

#[cfg(test)]
mod tests;

pub use call::CallTraffic;
pub use file::{MAX_PACKET_BYTES, Packets};

use crate::capture::Machine;
use crate::replay::Step;
use crate::time::UtcNanos;
use std::io::{self, Write};

/// A machine whose inputs and actions can be shown as packets.
pub trait Traffic: Machine {
    /// What has to be remembered from one step to the next.
    type Known;

    /// What is known at the beginning.
    fn known(settings: &Self::Settings, start: &Self::Start<'_>) -> Self::Known;

    /// What the time was when the machine was made.
    fn begun(start: &Self::Start<'_>) -> UtcNanos;

    /// Writes what the machine was made for.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to.
    fn write_start<W: Write>(start: &Self::Start<'_>, packets: &mut Packets<W>) -> io::Result<()>;

    /// Writes what came in a step and what was sent in it.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to.
    fn write_step<W: Write>(
        known: &mut Self::Known,
        step: &Step<'_, Self>,
        packets: &mut Packets<W>,
    ) -> io::Result<()>;
}

/// What writes the packets of a machine. It is shown every step, the first one included, in their order. It holds one
/// packet.
#[derive(Debug)]
pub struct Pcap<M: Traffic, W> {
    packets: Packets<W>,
    known: M::Known,
}

impl<M: Traffic, W: Write> Pcap<M, W> {
    /// For a machine that began like this; the file is written to `out`, in many small pieces.
    ///
    /// # Errors
    ///
    /// If it cannot be written to.
    pub fn new(settings: &M::Settings, start: &M::Start<'_>, out: W) -> io::Result<Self> {
        let mut packets = Packets::new(out, M::begun(start))?;
        M::write_start(start, &mut packets)?;
        Ok(Self { packets, known: M::known(settings, start) })
    }

    /// Takes a step.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to.
    pub fn step(&mut self, step: &Step<'_, M>) -> io::Result<()> {
        self.packets.set_now(step.now);
        M::write_step(&mut self.known, step, &mut self.packets)
    }

    /// Writes what is left, and gives the file back.
    ///
    /// # Errors
    ///
    /// If it cannot be written to.
    pub fn finish(self) -> io::Result<W> {
        self.packets.finish()
    }
}

//! Puts the packets of the caller back into their order.
//!
//! This is a reorder buffer, not a playout buffer: a packet that is in order comes out at once, and only a
//! hole in the sequence is waited for. The model takes audio as it comes, so nothing else needs holding.

use crate::observe::RtpDrop;
use crate::rtp::{MAX_DATAGRAM_BYTES, Packet};
use crate::time::{Duration, Instant};

/// How long the packets behind a hole are held for the missing one, in milliseconds.
pub const HOLD_MS: u64 = 40;

/// How many packets are held behind a hole; with as many the hole is given up at once. That is [`HOLD_MS`]
/// of packets of 10 ms four times over.
pub const MAX_HELD: usize = 16;

/// From here on a difference of sequence numbers is a restart of the sender, not loss, in packets.
pub const RESTART_PACKETS: u16 = 1000;

/// How far back a packet is known to be a duplicate rather than late, in packets.
const REMEMBERED: u64 = u64::BITS as u64;

/// The buffer. Its memory is fixed: [`MAX_HELD`] slots of [`MAX_DATAGRAM_BYTES`].
#[derive(Debug)]
pub struct JitterBuffer {
    slots: Vec<Slot>,
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Slot {
    /// None while the slot is free.
    held: Option<Held>,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    sequence: u64,
    arrived: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    /// The sequence number that is due, unwrapped: its low 16 bits are those on the wire.
    next: u64,
    /// Bit n: the packet `next - 1 - n` came out. A clear bit is a packet that was given up.
    delivered: u64,
    /// After a jump: the number that would prove it to be a restart (RFC 3550 A.1).
    restart: Option<u16>,
}

/// What comes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pop {
    /// The next packet; its payload is in the lent buffer.
    Packet,
    /// Packets that were waited for in vain. They come before the next packet.
    Lost {
        /// How many, below [`RESTART_PACKETS`].
        packets: u32,
    },
}

impl Stream {
    fn begin(packet: &Packet<'_>) -> Self {
        // Far enough above zero that no packet from before the first one is below it.
        let next = 1 << 32 | u64::from(packet.sequence);
        Self { ssrc: packet.ssrc, next, delivered: 0, restart: None }
    }

    fn advance(&mut self, by: u64, delivered: bool) {
        self.next = self.next.wrapping_add(by);
        self.delivered = if by < REMEMBERED { self.delivered << by } else { 0 };
        self.delivered |= u64::from(delivered);
    }

    fn was_delivered(&self, sequence: u64) -> bool {
        let age = self.next.wrapping_sub(1).wrapping_sub(sequence);
        age < REMEMBERED && self.delivered >> age & 1 == 1
    }
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl JitterBuffer {
    /// An empty buffer. The first packet decides where the sequence begins.
    #[must_use]
    pub fn new() -> Self {
        let slot = || Slot { held: None, payload: Vec::with_capacity(MAX_DATAGRAM_BYTES) };
        Self { slots: core::iter::repeat_with(slot).take(MAX_HELD).collect(), stream: None }
    }

    /// Takes a packet. Another SSRC begins a new stream at once. A jump of [`RESTART_PACKETS`] or more does so
    /// when a second packet follows the first in sequence; that first one is dropped as late. A new stream
    /// throws away what was held of the old one.
    ///
    /// # Errors
    ///
    /// `Duplicate` if the packet is here or was delivered, `Late` if its turn is over, or if [`MAX_HELD`]
    /// packets are waiting because nobody called [`JitterBuffer::pop`].
    pub fn push(&mut self, now: Instant, packet: &Packet<'_>) -> Result<(), RtpDrop> {
        let sequence = self.place(packet)?;
        if self.held().any(|held| held.sequence == sequence) {
            return Err(RtpDrop::Duplicate);
        }
        let free = self.slots.iter_mut().find(|slot| slot.held.is_none()).ok_or(RtpDrop::Late)?;
        free.held = Some(Held { sequence, arrived: now });
        free.payload.clear();
        free.payload.extend_from_slice(packet.payload.get(..MAX_DATAGRAM_BYTES).unwrap_or(packet.payload));
        Ok(())
    }

    /// Gives the next packet that is due: one in order at once, one behind a hole after [`HOLD_MS`]. Replaces
    /// what is in `payload` when it says [`Pop::Packet`]. To be called until `None`; it gives at most two
    /// answers for each packet held.
    pub fn pop(&mut self, now: Instant, payload: &mut Vec<u8>) -> Option<Pop> {
        let due = self.deadline().is_some_and(|deadline| deadline <= now);
        let stream = self.stream.as_mut()?;
        let first =
            self.slots.iter_mut().min_by_key(|slot| slot.held.map_or(u64::MAX, |held| held.sequence))?;
        let held = first.held?;
        let hole = held.sequence.saturating_sub(stream.next);
        if hole == 0 {
            payload.clear();
            payload.extend_from_slice(&first.payload);
            first.held = None;
            stream.advance(1, true);
            Some(Pop::Packet)
        } else if due {
            stream.advance(hole, false);
            Some(Pop::Lost { packets: u32::try_from(hole).unwrap_or(u32::MAX) })
        } else {
            None
        }
    }

    /// When [`JitterBuffer::pop`] next has something to give without a further packet: at once if one is in
    /// order, else when the hole before the held ones is given up. `None` while nothing is held.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let next = self.stream?.next;
        let since = self.held().map(|held| held.arrived).min()?;
        let waiting = self.held().all(|held| held.sequence != next) && self.held().count() < MAX_HELD;
        Some(if waiting { since + Duration::from_millis(HOLD_MS) } else { since })
    }

    fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.slots.iter().filter_map(|slot| slot.held)
    }

    /// The unwrapped sequence number of the packet, or why it is not wanted.
    fn place(&mut self, packet: &Packet<'_>) -> Result<u64, RtpDrop> {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == packet.ssrc) else {
            return Ok(self.restart(packet));
        };
        // The low half of the difference, read as signed, is the shorter way round (RFC 3550 A.1).
        let ahead = packet.sequence.wrapping_sub(stream.next as u16).cast_signed();
        if ahead.unsigned_abs() >= RESTART_PACKETS {
            if stream.restart == Some(packet.sequence) {
                return Ok(self.restart(packet));
            }
            stream.restart = Some(packet.sequence.wrapping_add(1));
            return Err(RtpDrop::Late);
        }
        stream.restart = None;
        let sequence = stream.next.wrapping_add_signed(i64::from(ahead));
        if ahead >= 0 {
            Ok(sequence)
        } else if stream.was_delivered(sequence) {
            Err(RtpDrop::Duplicate)
        } else {
            Err(RtpDrop::Late)
        }
    }

    fn restart(&mut self, packet: &Packet<'_>) -> u64 {
        let stream = Stream::begin(packet);
        self.stream = Some(stream);
        self.slots.iter_mut().for_each(|slot| slot.held = None);
        stream.next
    }
}

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
    ///
    /// A hole is given up only when `timer` says that every datagram that had arrived was pushed, or when
    /// nothing more can be held.
    pub fn pop(&mut self, now: Instant, timer: bool, payload: &mut Vec<u8>) -> Option<Pop> {
        let may_release = timer || self.held().count() >= MAX_HELD;
        let due = may_release && self.deadline().is_some_and(|deadline| deadline <= now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SSRC: u32 = 0xA57E;

    fn packet(sequence: u16, payload: &[u8]) -> Packet<'_> {
        Packet { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc: SSRC, payload }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// A buffer and what it says: "5" for a packet (its payload is its sequence number), "lost 2" for a hole.
    #[derive(Default)]
    struct Line(JitterBuffer);

    impl Line {
        fn push(&mut self, millis: u64, sequence: u16) -> Result<(), RtpDrop> {
            self.0.push(at(millis), &packet(sequence, &sequence.to_be_bytes()))
        }

        fn pop_all(&mut self, millis: u64) -> Vec<String> {
            let mut payload = Vec::new();
            let mut said = Vec::new();
            while let Some(pop) = self.0.pop(at(millis), true, &mut payload) {
                said.push(match pop {
                    Pop::Packet => u16::from_be_bytes(payload[..].try_into().unwrap()).to_string(),
                    Pop::Lost { packets } => format!("lost {packets}"),
                });
            }
            said
        }

        fn hear(&mut self, millis: u64, sequence: u16) -> Vec<String> {
            assert_eq!(self.push(millis, sequence), Ok(()), "packet {sequence}");
            self.pop_all(millis)
        }
    }

    #[test]
    fn on_a_clean_line_each_packet_comes_out_at_once() {
        let mut line = Line::default();
        for n in 0..200u16 {
            assert_eq!(
                line.hear(u64::from(n) * 20, 65_500u16.wrapping_add(n)),
                [65_500u16.wrapping_add(n).to_string()]
            );
            assert_eq!(line.0.deadline(), None);
        }
    }

    #[test]
    fn an_overtaken_packet_is_waited_for() {
        let mut line = Line::default();
        line.hear(0, 10);
        assert!(line.hear(20, 12).is_empty());
        assert_eq!(line.0.deadline(), Some(at(60)));
        assert!(line.pop_all(59).is_empty());
        assert_eq!(line.hear(59, 11), ["11", "12"]);
        assert_eq!(line.0.deadline(), None);
    }

    #[test]
    fn a_hole_is_given_up_after_the_hold_and_what_comes_then_is_late() {
        let mut line = Line::default();
        line.hear(0, 10);
        line.hear(20, 13);
        line.hear(40, 14);
        assert_eq!(line.pop_all(60), ["lost 2", "13", "14"]);
        assert_eq!(line.push(61, 12), Err(RtpDrop::Late));
        assert_eq!(line.push(61, 13), Err(RtpDrop::Duplicate));
        assert_eq!(line.hear(80, 15), ["15"]);
    }

    #[test]
    fn two_holes_are_waited_for_each_from_its_own_packets() {
        let mut line = Line::default();
        line.hear(0, 10);
        line.hear(20, 12);
        line.hear(50, 14);
        assert_eq!(line.pop_all(60), ["lost 1", "12"]);
        assert_eq!(line.0.deadline(), Some(at(90)));
        assert_eq!(line.pop_all(90), ["lost 1", "14"]);
    }

    #[test]
    fn a_packet_that_comes_twice_is_taken_once() {
        let mut line = Line::default();
        line.hear(0, 10);
        assert_eq!(line.push(1, 10), Err(RtpDrop::Duplicate));
        line.hear(20, 12);
        assert_eq!(line.push(21, 12), Err(RtpDrop::Duplicate));
    }

    #[test]
    fn the_sequence_wraps_with_a_hole_across_the_end() {
        let mut line = Line::default();
        line.hear(0, 65_534);
        assert!(line.hear(20, 0).is_empty());
        assert_eq!(line.hear(30, 65_535), ["65535", "0"]);
        assert_eq!(line.push(31, 65_534), Err(RtpDrop::Duplicate));
    }

    #[test]
    fn another_ssrc_is_another_stream() {
        let mut line = Line::default();
        line.hear(0, 10);
        line.hear(20, 12);
        let other = Packet { ssrc: 1, ..packet(40_000, &[0, 1]) };
        assert_eq!(line.0.push(at(25), &other), Ok(()));
        assert_eq!(line.pop_all(25), ["1"], "the held packet of the old stream is gone");
        assert_eq!(line.0.deadline(), None);
    }

    #[test]
    fn a_jump_is_believed_when_the_next_packet_confirms_it() {
        for jump in [RESTART_PACKETS + 1, 30_000, 0u16.wrapping_sub(RESTART_PACKETS + 3)] {
            let mut line = Line::default();
            line.hear(0, 10);
            let there = 11u16.wrapping_add(jump);
            assert_eq!(line.push(20, there), Err(RtpDrop::Late));
            assert_eq!(line.hear(25, 11), ["11"], "one stray packet changes nothing");
            let after = there.wrapping_add(1);
            assert_eq!(line.push(40, after), Err(RtpDrop::Late), "not in sequence: a good one came between");
            assert_eq!(line.hear(60, after.wrapping_add(1)), [after.wrapping_add(1).to_string()]);
        }
    }

    #[test]
    fn a_long_burst_of_loss_is_loss() {
        let mut line = Line::default();
        line.hear(0, 10);
        line.hear(20, 10 + RESTART_PACKETS);
        assert_eq!(line.pop_all(60), ["lost 999", "1010"]);
    }

    #[test]
    fn a_full_buffer_gives_the_hole_up_at_once() {
        let mut line = Line::default();
        line.hear(0, 10);
        for n in 0..MAX_HELD as u16 - 1 {
            assert!(line.hear(1, 12 + n).is_empty());
        }
        assert_eq!(line.hear(1, 40).len(), MAX_HELD, "one hole, and all but the one behind the second");
        assert_eq!(line.0.deadline(), Some(at(41)));
    }

    #[test]
    fn who_never_pops_is_told_and_costs_no_memory() {
        let mut line = Line::default();
        let refused = (0..100).filter(|&n| line.push(0, n) == Err(RtpDrop::Late)).count();
        assert_eq!(refused, 100 - MAX_HELD);
    }

    proptest! {
        /// Whatever order, loss and duplication: what comes out ascends, each packet at most once, and packets
        /// and losses together account for the whole range.
        #[test]
        fn what_comes_out_is_in_order_and_accounted_for(
            first: u16, order in proptest::collection::vec((0u16..300, 0u64..30), 1..300),
        ) {
            let mut line = Line::default();
            let mut now = 0;
            let mut expected = None;
            for (n, wait) in order {
                now += wait;
                let _ = line.push(now, first.wrapping_add(n));
                for said in line.pop_all(now) {
                    let next: u16 = expected.unwrap_or_else(|| said.parse().unwrap());
                    expected = Some(match said.strip_prefix("lost ") {
                        Some(lost) => next.wrapping_add(lost.parse::<u16>().unwrap()),
                        None => { prop_assert_eq!(said.parse::<u16>().unwrap(), next); next.wrapping_add(1) }
                    });
                }
                prop_assert!(line.0.deadline().is_none_or(|due| due > at(now)), "after popping, a deadline is ahead");
            }
        }
    }
}

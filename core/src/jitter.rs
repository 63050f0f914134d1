//! Puts the packets of the caller back into their order, and says how much time is missing between them.
//!
//! This is a reorder buffer, not a playout buffer: a packet that is in order comes out at once, and only a
//! hole is waited for. The model takes audio as it comes, so nothing else needs holding. How long a hole is
//! waited for follows the line: where packets overtake one another, as long as the overtaken ones take; where
//! they are only lost, hardly at all.

use crate::format::Encoding;
use crate::observe::RtpDrop;
use crate::rtp::{MAX_DATAGRAM_BYTES, Packet};
use crate::time::{Duration, Instant};

/// The longest that the packets behind a hole are held for the missing one, in milliseconds.
pub const MAX_HOLD_MS: u64 = 60;

/// How long they are held before anything is known about the line, in milliseconds.
pub const FIRST_HOLD_MS: u64 = 40;

/// How much longer than the latest overtaken packet took the next one is waited for, in milliseconds.
pub const HOLD_MARGIN_MS: u64 = 10;

/// With each hole that nothing came for, the hold shrinks by one part in so many.
const HOLD_DECAY: u32 = 8;

/// How long a packet whose timestamp jumped ahead waits for the next one, in milliseconds. After a stall
/// Asterisk advances the timestamp by the clock on the wall although no audio is missing, and then its backlog
/// follows at once (measured on 22.10.1). Where Asterisk numbers the packets itself (slin16), audio that was
/// lost before it looks the same, but then the next packet takes its time.
pub const JUMP_PROOF_MS: u64 = 10;

/// The longest jump of the timestamp that is taken for missing time, in milliseconds. A longer one, or one
/// backwards, says nothing.
pub const MAX_JUMP_MS: u64 = 5_000;

/// The longest packet that a timestamp is believed about, in milliseconds: a hole that would need longer ones
/// is measured in packets.
const LONGEST_PACKET_MS: u64 = 100;

/// After so many jumps in a row, the sender counts its timestamps in units of its own, and they are ignored
/// until one fits again.
const JUMPS_BELIEVED: u8 = 3;

/// After so many packets in a row with one timestamp, the sender's timestamps stand still.
const REPEATS_BELIEVED: u8 = 3;

/// How many packets are held behind a hole; with as many the hole is given up at once. That is [`MAX_HOLD_MS`]
/// of packets of 10 ms twice over.
pub const MAX_HELD: usize = 16;

/// From here on a difference of sequence numbers is a restart of the sender, not loss, in packets.
pub const RESTART_PACKETS: u16 = 1000;

/// How far back a packet is known to be a duplicate rather than late, in packets.
const REMEMBERED: u64 = u64::BITS as u64;

/// How far apart in number two packets may be that together prove a restart: a restarted sender's packets get
/// lost and overtake one another like anybody's.
const PROOF_PACKETS: u16 = 64;

/// After so many packets in a row that lie back in number and in time alike, they are no copies that strayed but
/// a sender that has gone back.
const STRAYS_BELIEVED: u8 = 8;

/// The buffer. Its memory is fixed: [`MAX_HELD`] slots of [`MAX_DATAGRAM_BYTES`].
#[derive(Debug)]
pub struct JitterBuffer {
    encoding: Encoding,
    slots: Vec<Slot>,
    stream: Option<Stream>,
    hold: Duration,
    /// The last hole that was given up: where it lay, and since when it was known.
    given_up: Option<(core::ops::Range<u64>, Instant)>,
    /// The stream before this one: what still comes of it is late, unless it comes twice in a row.
    left: Option<Left>,
    /// Whether any packet has come out.
    has_delivered: bool,
    /// The SSRC of the last stream, and whether it is another than that of the one before it.
    ssrc: Option<u32>,
    is_new_ssrc: bool,
    /// Packets that were held when their stream ended, since they were asked for last.
    discarded: u32,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    ssrc: u32,
    /// The last packet was of this stream.
    returns: bool,
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
    timestamp: u32,
    arrived: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    /// The sequence number that is due, unwrapped: its low 16 bits are those on the wire.
    next: u64,
    /// Bit n: the packet `next - 1 - n` came out. A clear bit is a packet that was given up.
    delivered: u64,
    /// After a jump: where it led. A second packet from there proves it to be a restart (RFC 3550 A.1).
    restart: Option<u16>,
    /// How many packets in a row lay far back in number and in time alike.
    strays: u8,
    /// The timestamp that is due; None where any will do: before the first packet, and after missing time.
    due: Option<u32>,
    /// Ticks of the last packet.
    ticks: u32,
    /// How many packets in a row came in sequence and ahead of the timestamp that was due.
    jumps: u8,
    /// The timestamp of the last packet that came out.
    last: Option<u32>,
    /// How many packets in a row had it once more.
    repeats: u8,
}

/// What comes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pop {
    /// The next packet; its payload is in the lent buffer.
    Packet {
        /// Whether it begins a stream anew after another: nothing that was known of that one holds for it.
        begins_anew: bool,
    },
    /// Time for which there is no audio, before the next packet.
    Missing {
        /// How many packets were waited for in vain, below [`RESTART_PACKETS`]. It is 0 if the timestamps jump
        /// and the sequence numbers do not.
        packets: u32,
        /// How long it is, in units of the RTP clock: by the timestamps where they can be believed, else by the
        /// packets and the length of the last one.
        ticks: u32,
    },
}

/// What the lowest of the held packets waits for.
#[derive(Clone, Copy, Debug)]
enum Front {
    /// Nothing.
    Due,
    /// The proof that its timestamp jumped without a loss.
    Jump { ticks: u32, until: Instant },
    /// The packets before it.
    Hole { packets: u64, ticks: u32, until: Instant },
}

impl Stream {
    fn begin(packet: &Packet<'_>, encoding: Encoding) -> Self {
        // Far enough above zero that no packet from before the first one is below it.
        let next = 1 << 32 | u64::from(packet.sequence);
        let ticks = encoding.frame_ticks();
        Self {
            ssrc: packet.ssrc,
            next,
            delivered: 0,
            restart: None,
            strays: 0,
            due: None,
            ticks,
            jumps: 0,
            last: None,
            repeats: 0,
        }
    }

    /// Whether a packet that is next in sequence is the last one once more, under a number of its own: that is
    /// how Asterisk passes on what came twice where it numbers the packets itself (slin16; measured on 22.10.1).
    /// A sender whose timestamps stand still is not silenced by it.
    fn is_repeat(&mut self, sequence: u64, timestamp: u32) -> bool {
        let is_last = sequence == self.next && self.due.is_some() && self.last == Some(timestamp);
        let is_repeat = is_last && self.repeats < REPEATS_BELIEVED;
        if is_repeat {
            self.repeats += 1;
        }
        is_repeat
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

    /// Whether a packet so far behind the next one in number lies as far behind it in time.
    fn is_stray(&self, behind: u16, timestamp: u32) -> bool {
        let expected = u32::from(behind).wrapping_mul(self.ticks);
        let off = self.due.map(|due| due.wrapping_sub(timestamp).wrapping_sub(expected).cast_signed());
        off.is_some_and(|off| off.unsigned_abs() <= 2 * self.ticks)
    }

    /// How far the timestamp is ahead of the one that is due, if it is and by at most `most` ticks.
    fn jump(&self, timestamp: u32, most: u64) -> Option<u32> {
        let ahead = timestamp.wrapping_sub(self.due?);
        (ahead > 0 && u64::from(ahead) <= most).then_some(ahead)
    }
}

impl JitterBuffer {
    /// An empty buffer for packets of `encoding`. The first packet decides where the sequence begins.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        let slot = || Slot { held: None, payload: Vec::with_capacity(MAX_DATAGRAM_BYTES) };
        Self {
            encoding,
            slots: core::iter::repeat_with(slot).take(MAX_HELD).collect(),
            stream: None,
            hold: Duration::from_millis(FIRST_HOLD_MS),
            given_up: None,
            left: None,
            has_delivered: false,
            ssrc: None,
            is_new_ssrc: false,
            discarded: 0,
        }
    }

    /// Takes a packet. Another SSRC begins a new stream at once, unless it is that of the stream before this one:
    /// then a second packet has to follow the first, which is dropped as late. So it is with a jump of
    /// [`RESTART_PACKETS`] or more, if the second packet comes from near the first. A new stream throws away what
    /// was held of the old one.
    ///
    /// # Errors
    ///
    /// `Duplicate` if the packet is here or was delivered, `Late` if its turn is over, or if [`MAX_HELD`]
    /// packets are waiting because nobody called [`JitterBuffer::pop`].
    pub fn push(&mut self, now: Instant, packet: &Packet<'_>) -> Result<(), RtpDrop> {
        let sequence = self.place(now, packet)?;
        if self.held().any(|held| held.sequence == sequence) {
            return Err(RtpDrop::Duplicate);
        }
        let free = self.slots.iter_mut().find(|slot| slot.held.is_none()).ok_or(RtpDrop::Late)?;
        free.held = Some(Held { sequence, timestamp: packet.timestamp, arrived: now });
        free.payload.clear();
        free.payload.extend_from_slice(packet.payload.get(..MAX_DATAGRAM_BYTES).unwrap_or(packet.payload));
        let overtook = self.held().filter(|held| held.sequence > sequence).map(|held| held.arrived).min();
        if let Some(since) = overtook {
            self.learn_lateness(now.since(since));
        }
        Ok(())
    }

    /// Gives the next packet that is due: one in order at once, one behind a hole after [`JitterBuffer::hold`],
    /// one whose timestamp jumped after [`JUMP_PROOF_MS`] or together with the next. Replaces what is in
    /// `payload` when it says [`Pop::Packet`]. To be called until `None`; it gives at most two answers for each
    /// packet held.
    ///
    /// Nothing is given up unless `timer` says that every datagram that had arrived was pushed, or nothing more
    /// can be held.
    pub fn pop(&mut self, now: Instant, timer: bool, payload: &mut Vec<u8>) -> Option<Pop> {
        let (held, front) = self.front()?;
        match front {
            Front::Due if self.drop_repeat(held) => self.pop(now, timer, payload),
            Front::Due => self.deliver(held, payload),
            Front::Jump { ticks, until } if timer && until <= now => {
                let stream = self.stream.as_mut()?;
                stream.due = None;
                stream.jumps = stream.jumps.saturating_add(1);
                Some(Pop::Missing { packets: 0, ticks })
            }
            Front::Hole { packets, ticks, until } if (timer || self.is_full()) && until <= now => {
                self.hold -= self.hold / HOLD_DECAY;
                let known_since = self.held().map(|held| held.arrived).min()?;
                let stream = self.stream.as_mut()?;
                self.given_up = Some((stream.next..held.sequence, known_since));
                stream.advance(packets, false);
                stream.due = None;
                Some(Pop::Missing { packets: u32::try_from(packets).unwrap_or(u32::MAX), ticks })
            }
            Front::Jump { .. } | Front::Hole { .. } => None,
        }
    }

    /// When [`JitterBuffer::pop`] next has something to give without a further packet: at once if one is in
    /// order, else when what is missing before the held ones is given up. `None` while nothing is held.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.front().map(|(held, front)| match front {
            Front::Due => held.arrived,
            Front::Jump { until, .. } | Front::Hole { until, .. } => until,
        })
    }

    /// How long a hole is waited for now, at most [`MAX_HOLD_MS`].
    #[must_use]
    pub const fn hold(&self) -> Duration {
        self.hold
    }

    /// Throws away what is held and begins anew with the next packet. What the line is like is not forgotten.
    pub fn reset(&mut self) {
        self.stream = None;
        self.given_up = None;
        self.left = None;
        self.discarded = self.discarded.saturating_add(self.held().count() as u32);
        self.slots.iter_mut().for_each(|slot| slot.held = None);
    }

    /// How many packets were thrown away because their stream ended before their turn, since this was asked last.
    pub fn take_discarded(&mut self) -> u32 {
        core::mem::take(&mut self.discarded)
    }

    /// Whether a stream has begun that has another SSRC than the one before it, since this was asked last.
    pub fn take_new_ssrc(&mut self) -> bool {
        core::mem::take(&mut self.is_new_ssrc)
    }

    fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.slots.iter().filter_map(|slot| slot.held)
    }

    fn is_full(&self) -> bool {
        self.held().count() >= MAX_HELD
    }

    fn ticks_of(&self, millis: u64) -> u64 {
        u64::from(self.encoding.clock_rate()) * millis / 1000
    }

    fn front(&self) -> Option<(Held, Front)> {
        let stream = self.stream.as_ref()?;
        let first = self.held().min_by_key(|held| held.sequence)?;
        let packets = first.sequence.saturating_sub(stream.next);
        // Numbers without time between them: packets that carried no audio, such as the digits of RFC 4733.
        let is_gapless = stream.due == Some(first.timestamp);
        if packets > 0 && !is_gapless {
            let most = self.ticks_of(MAX_JUMP_MS.min(packets * LONGEST_PACKET_MS));
            let by_time = stream.jump(first.timestamp, most).filter(|_| stream.jumps < JUMPS_BELIEVED);
            let ticks = by_time.unwrap_or((packets as u32).saturating_mul(stream.ticks));
            let since = self.held().map(|held| held.arrived).min()?;
            let until = if self.is_full() { since } else { since + self.hold };
            return Some((first, Front::Hole { packets, ticks, until }));
        }
        // The same packet once more under the next number proves nothing.
        let follows = |held: &Held| held.sequence == first.sequence + 1 && held.timestamp != first.timestamp;
        let is_followed = self.held().any(|held| follows(&held));
        let is_settled = is_followed || self.is_full() || stream.jumps >= JUMPS_BELIEVED;
        Some(match stream.jump(first.timestamp, self.ticks_of(MAX_JUMP_MS)) {
            Some(ticks) if !is_settled => {
                let until = first.arrived + Duration::from_millis(JUMP_PROOF_MS);
                (first, Front::Jump { ticks, until })
            }
            _ => (first, Front::Due),
        })
    }

    /// Throws a held packet away if it is the last one once more under a number of its own. As many packets can
    /// be thrown away as are held.
    fn drop_repeat(&mut self, held: Held) -> bool {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.last == Some(held.timestamp)) else {
            return false;
        };
        let is_repeat = stream.is_repeat(held.sequence, held.timestamp);
        if is_repeat {
            stream.advance(1, true);
            let same = |slot: &&mut Slot| slot.held.is_some_and(|other| other.sequence == held.sequence);
            self.slots.iter_mut().filter(same).for_each(|slot| slot.held = None);
        }
        is_repeat
    }

    fn deliver(&mut self, held: Held, payload: &mut Vec<u8>) -> Option<Pop> {
        let most = self.ticks_of(MAX_JUMP_MS);
        let is_it = |slot: &&mut Slot| slot.held.is_some_and(|other| other.sequence == held.sequence);
        let stream = self.stream.as_mut()?;
        let slot = self.slots.iter_mut().find(is_it)?;
        let begins_anew = stream.last.is_none() && self.has_delivered;
        self.has_delivered = true;
        if held.sequence > stream.next {
            stream.advance(held.sequence - stream.next, false);
        }
        payload.clear();
        payload.extend_from_slice(&slot.payload);
        slot.held = None;
        if stream.due.is_some() {
            let has_jumped = stream.jump(held.timestamp, most).is_some();
            stream.jumps = if has_jumped { stream.jumps.saturating_add(1) } else { 0 };
        }
        stream.ticks =
            self.encoding.frame_ticks() * payload.len() as u32 / self.encoding.frame_bytes() as u32;
        if stream.last != Some(held.timestamp) {
            stream.repeats = 0;
        }
        stream.last = Some(held.timestamp);
        stream.due = Some(held.timestamp.wrapping_add(stream.ticks));
        stream.advance(1, true);
        Some(Pop::Packet { begins_anew })
    }

    fn learn_lateness(&mut self, lateness: Duration) {
        let wanted = lateness.saturating_add(Duration::from_millis(HOLD_MARGIN_MS));
        self.hold = self.hold.max(wanted).min(Duration::from_millis(MAX_HOLD_MS));
    }

    /// The unwrapped sequence number of the packet, or why it is not wanted.
    fn place(&mut self, now: Instant, packet: &Packet<'_>) -> Result<u64, RtpDrop> {
        let next = self.stream.map(|stream| stream.next);
        let is_next_held = self.held().any(|held| Some(held.sequence) == next);
        let is_known = self.left.is_some_and(|left| left.ssrc == packet.ssrc);
        let returned_before =
            self.left.as_mut().is_some_and(|left| core::mem::replace(&mut left.returns, is_known));
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == packet.ssrc) else {
            // A straggler of the stream before this one must not end this one.
            if is_known && !returned_before {
                return Err(RtpDrop::Late);
            }
            return Ok(self.restart(packet));
        };
        // The low half of the difference, read as signed, is the shorter way round (RFC 3550 A.1).
        let ahead = packet.sequence.wrapping_sub(stream.next as u16).cast_signed();
        // So far back no packet is remembered any more, and none is that late.
        let is_far_back = ahead < -(REMEMBERED as i16);
        let is_jump = ahead.unsigned_abs() >= RESTART_PACKETS;
        if is_far_back && !is_jump && stream.is_stray(ahead.unsigned_abs(), packet.timestamp) {
            stream.strays = stream.strays.saturating_add(1);
            if stream.strays <= STRAYS_BELIEVED {
                return Err(RtpDrop::Late);
            }
        }
        if is_jump || is_far_back {
            let apart = |there: u16| packet.sequence.wrapping_sub(there).cast_signed().unsigned_abs();
            if stream.restart.is_some_and(|there| (1..PROOF_PACKETS).contains(&apart(there))) {
                return Ok(self.restart(packet));
            }
            stream.restart = Some(packet.sequence);
            return Err(RtpDrop::Late);
        }
        stream.strays = 0;
        stream.restart = None;
        let sequence = stream.next.wrapping_add_signed(i64::from(ahead));
        if ahead >= 0 {
            if !is_next_held && stream.is_repeat(sequence, packet.timestamp) {
                stream.advance(1, true);
                return Err(RtpDrop::Duplicate);
            }
            return Ok(sequence);
        }
        if stream.was_delivered(sequence) {
            return Err(RtpDrop::Duplicate);
        }
        if let Some((_, since)) = self.given_up.as_ref().filter(|(hole, _)| hole.contains(&sequence)) {
            self.learn_lateness(now.since(*since));
        }
        Err(RtpDrop::Late)
    }

    fn restart(&mut self, packet: &Packet<'_>) -> u64 {
        let left = self.stream.map(|stream| stream.ssrc).filter(|&ssrc| ssrc != packet.ssrc);
        self.reset();
        self.left = left.map(|ssrc| Left { ssrc, returns: false });
        let former = self.ssrc.replace(packet.ssrc);
        self.is_new_ssrc |= former.is_some_and(|former| former != packet.ssrc);
        let stream = Stream::begin(packet, self.encoding);
        self.stream = Some(stream);
        stream.next
    }
}

#[cfg(test)]
mod tests;

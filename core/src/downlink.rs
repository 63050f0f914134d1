//! From the model to the caller: base64 deltas in, one RTP packet each 20 ms out.
//!
//! Asterisk neither paces nor buffers what it is sent, so the pace is kept here, on a grid of 20 ms slots that
//! stands still from the moment the caller is answered. The RTP timestamp is that of the slot: it advances
//! over a gap and over a missed slot by itself. Resampling and encoding happen when a frame is sent, which
//! makes a barge-in cheap and leaves the ledger in the model's own samples.

use crate::codec::Encoder;
use crate::format::{Encoding, MODEL_FRAME_SAMPLES, MODEL_RATE, PTIME_MS};
use crate::pcm;
use crate::playout::{Playout, bounded};
use crate::resample::Resampler;
use crate::rng::Rng;
use crate::rtp::Packet;
use crate::time::{Duration, Instant};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

pub use crate::playout::{Interrupted, Pushed};

/// How much audio is awaited before a talkspurt begins, and how long it is awaited, in milliseconds. It keeps
/// a first delta of a few milliseconds from tearing the beginning of a word.
pub const CUSHION_MS: u64 = 40;

/// Base64 as the Realtime API writes it; servers that leave out the padding are understood as well.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const SLOT: Duration = Duration::from_millis(PTIME_MS);

/// Everything between a delta of the model and a datagram to Asterisk.
#[derive(Debug)]
pub struct Downlink {
    playout: Playout,
    resampler: Resampler,
    encoder: Encoder,
    rtp: Rtp,
    grid: Grid,
    talk: Talk,
    /// The odd last byte of a delta; the first half of a sample, if the next delta is of the same item.
    carry: Option<u8>,
    carry_of: (String, u32),
    bytes: Vec<u8>,
    samples: Vec<i16>,
    payload: Vec<u8>,
}

/// What does not change or counts on its own, of the RTP stream.
#[derive(Debug)]
struct Rtp {
    encoding: Encoding,
    ssrc: u32,
    next_sequence: u16,
    first_timestamp: u32,
}

/// The slots of 20 ms.
#[derive(Debug)]
struct Grid {
    /// The beginning of slot 0; `None` until the caller is answered.
    origin: Option<Instant>,
    /// The first slot in which nothing has been sent.
    next: u64,
}

/// Where the downlink is between silence and speech.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Talk {
    /// Nothing to send.
    Silent,
    /// Audio is queued; the talkspurt begins in the first slot after this instant.
    Beginning { after: Instant },
    /// A talkspurt: a frame in every slot.
    Talking,
    /// The queue is empty, and the resampler still holds the end of what was in it.
    Tail,
}

/// A packet that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// How many slots before this one should have had a packet and had none, because the poll came too late.
    pub skipped_slots: u32,
    /// Whether it is the first after silence; it bears the marker bit (RFC 3551 §4.1).
    pub first_of_talkspurt: bool,
}

impl Grid {
    /// The slot that `now` lies in.
    fn slot(&self, now: Instant) -> Option<u64> {
        let origin = self.origin.filter(|&origin| origin <= now)?;
        Some((now.since(origin).as_nanos() / SLOT.as_nanos()) as u64)
    }

    fn time_of(&self, slot: u64) -> Option<Instant> {
        Some(self.origin? + Duration::from_nanos(slot.saturating_mul(SLOT.as_nanos() as u64)))
    }

    /// The first slot that begins after `after` and has had no packet.
    fn first_after(&self, after: Instant) -> u64 {
        self.slot(after).map_or(0, |slot| slot + 1).max(self.next)
    }
}

impl Downlink {
    /// A downlink for what Asterisk takes. SSRC, first sequence number and first timestamp are from `rng`.
    #[must_use]
    pub fn new(to_asterisk: Encoding, rng: &mut Rng) -> Self {
        Self {
            playout: Playout::new(),
            resampler: Resampler::new(MODEL_RATE, to_asterisk.sample_rate()),
            encoder: Encoder::new(to_asterisk),
            rtp: Rtp {
                encoding: to_asterisk,
                ssrc: rng.next_u32(),
                next_sequence: rng.next_u16(),
                first_timestamp: rng.next_u32(),
            },
            grid: Grid { origin: None, next: 0 },
            talk: Talk::Silent,
            carry: None,
            carry_of: (String::new(), 0),
            bytes: Vec::new(),
            samples: Vec::new(),
            payload: Vec::with_capacity(to_asterisk.frame_bytes() + 1),
        }
    }

    /// Takes the `delta` of a `response.output_audio.delta`: base64 of 16-bit little-endian samples at
    /// [`MODEL_RATE`]. It may come before the start and waits then.
    pub fn push_base64(&mut self, now: Instant, item_id: &str, content_index: u32, delta: &[u8]) -> Pushed {
        if self.playout.is_muted(item_id) {
            return Pushed::Muted;
        }
        let carried = self.take_carry(item_id, content_index);
        self.bytes.clear();
        self.bytes.extend(carried);
        let start = self.bytes.len();
        self.bytes.resize(start + base64::decoded_len_estimate(delta.len()), 0);
        let decoded = BASE64.decode_slice(delta, self.bytes.get_mut(start..).unwrap_or_default());
        let Ok(decoded) = decoded else { return Pushed::BadBase64 };
        self.bytes.truncate(start + decoded);
        if self.bytes.len() % 2 == 1 {
            self.carry = self.bytes.pop();
        }
        self.samples.clear();
        pcm::from_le_bytes(&self.bytes, &mut self.samples);
        if self.samples.is_empty() {
            return Pushed::Queued;
        }
        let pushed = self.playout.push(item_id, content_index, &self.samples);
        self.audio_came(now);
        pushed
    }

    /// Notes that the audio of a part of an item is complete (`response.output_audio.done`), so that a short
    /// one is not held back for more.
    pub fn item_done(&mut self, now: Instant, item_id: &str, content_index: u32) {
        self.take_carry(item_id, content_index);
        self.playout.done(item_id, content_index);
        self.audio_came(now);
    }

    /// Notes that nothing more comes of any item (`response.done`).
    pub fn response_done(&mut self, now: Instant) {
        self.playout.all_done();
        self.audio_came(now);
    }

    /// The caller is answered: the grid of 20 ms slots begins here. A second start changes nothing.
    pub fn start(&mut self, now: Instant) {
        if self.grid.origin.is_none() {
            self.grid.origin = Some(now);
            if let Talk::Beginning { after } = &mut self.talk {
                *after = now.max(*after);
            }
        }
    }

    /// When the next packet is due: always the beginning of a slot, and after a poll in the future. `None`
    /// before the start and while there is nothing to send.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.talk {
            Talk::Silent => None,
            Talk::Beginning { after } => self.grid.time_of(self.grid.first_after(after)),
            Talk::Talking | Talk::Tail => self.grid.time_of(self.grid.next),
        }
    }

    /// Appends the packet that is due, if one is. At most one in a slot: who comes late by some slots gets one
    /// packet, for the slot that it is now, and the others are skipped.
    pub fn poll(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<Sent> {
        let due = match self.talk {
            Talk::Silent => return None,
            Talk::Beginning { after } => self.grid.first_after(after),
            Talk::Talking | Talk::Tail => self.grid.next,
        };
        let slot = self.grid.slot(now).filter(|&slot| slot >= due)?;
        let first_of_talkspurt = matches!(self.talk, Talk::Beginning { .. });
        self.make_frame();
        self.payload.clear();
        self.encoder.encode(&self.samples, &mut self.payload);
        self.rtp.write(first_of_talkspurt, slot, &self.payload, datagram);
        self.grid.next = slot + 1;
        let skipped_slots = u32::try_from(slot - due).unwrap_or(u32::MAX);
        Some(Sent { skipped_slots, first_of_talkspurt })
    }

    /// The caller speaks: drops what is queued and mutes the items that it belongs to. Gives what was cut off;
    /// `None` if all that the model made was played, and then nothing needs truncating. An item that ran dry
    /// while more of it is on its way counts as cut off.
    pub fn barge_in(&mut self) -> Option<Interrupted> {
        let playing = self.is_playing();
        // Also when nothing plays: the rest of an item that was outrun must not be heard later.
        let interrupted = self.playout.clear();
        self.resampler.reset();
        self.talk = Talk::Silent;
        self.carry = None;
        interrupted.filter(|cut| playing || !cut.is_complete)
    }

    /// Whether the caller hears something, or is about to.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.talk != Talk::Silent
    }

    /// How much audio waits to be sent, in milliseconds, rounded up.
    #[must_use]
    pub fn queued_ms(&self) -> u64 {
        self.playout.queued_ms()
    }

    /// Decides when the talkspurt begins, now that there is audio or that no more of it comes.
    fn audio_came(&mut self, now: Instant) {
        if self.playout.queued_samples() == 0 {
            return;
        }
        let enough = self.playout.queued_ms() >= CUSHION_MS || self.playout.is_complete();
        self.talk = match self.talk {
            Talk::Silent if enough => Talk::Beginning { after: now },
            Talk::Silent => Talk::Beginning { after: now + Duration::from_millis(CUSHION_MS) },
            Talk::Beginning { after } if enough => Talk::Beginning { after: now.min(after) },
            // Audio that comes while the tail is due joins on without a seam.
            Talk::Tail => Talk::Talking,
            same => same,
        };
    }

    /// Fills `samples` with the next 20 ms at the line's rate, and moves on when the audio ends.
    fn make_frame(&mut self) {
        self.samples.clear();
        let mut silence = MODEL_FRAME_SAMPLES;
        if self.talk == Talk::Tail {
            self.resampler.flush(&mut self.samples);
            self.talk = Talk::Silent;
        } else {
            let mut frame = [0; MODEL_FRAME_SAMPLES];
            silence -= self.playout.next_frame(&mut frame);
            self.resampler.process(&frame, &mut self.samples);
            self.talk = Talk::Talking;
        }
        self.samples.resize(self.rtp.encoding.frame_samples(), 0);
        if self.talk == Talk::Talking && self.playout.queued_samples() == 0 {
            // Silence at the end of the frame as long as the delay has pushed out all of the audio.
            let delay = self.resampler.delay().as_micros() as usize * MODEL_RATE as usize / 1_000_000;
            self.talk = if silence < delay { Talk::Tail } else { Talk::Silent };
            if self.talk == Talk::Silent {
                self.resampler.reset();
            }
        }
    }

    fn take_carry(&mut self, item_id: &str, content_index: u32) -> Option<u8> {
        let carry = self.carry.take();
        if self.carry_of.0 == bounded(item_id) && self.carry_of.1 == content_index {
            return carry;
        }
        self.carry_of.0.clear();
        self.carry_of.0.push_str(bounded(item_id));
        self.carry_of.1 = content_index;
        None
    }
}

impl Rtp {
    fn write(&mut self, marker: bool, slot: u64, payload: &[u8], datagram: &mut Vec<u8>) {
        // Both wrap: a slot number is only ever needed modulo 2^32 here.
        let ticks = (slot as u32).wrapping_mul(self.encoding.frame_ticks());
        let packet = Packet {
            marker,
            payload_type: self.encoding.payload_type(),
            sequence: self.next_sequence,
            timestamp: self.first_timestamp.wrapping_add(ticks),
            ssrc: self.ssrc,
            payload,
        };
        packet.write(datagram);
        self.next_sequence = self.next_sequence.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests;

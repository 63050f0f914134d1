//! From the model to the caller: base64 deltas in, one RTP packet each 20 ms out.
//!
//! Asterisk neither paces nor buffers what it is sent, so the pace is kept here, on a grid of 20 ms slots that
//! stands still from the moment the caller is answered. The RTP timestamp is that of the slot: it advances
//! over a gap and over a missed slot by itself. Resampling and encoding happen when a frame is sent, which
//! makes a barge-in cheap and leaves the ledger in the model's own samples.
//!
//! Where the model and the line speak the same G.711, a frame is sent as the bytes that the model wrote.

use crate::codec::{Decoder, Encoder};
use crate::conceal::{Concealer, Fade};
use crate::format::{Encoding, ModelFormat, PTIME_MS};
use crate::pcm;
use crate::playout::{Playout, bounded};
use crate::resample::Resampler;
use crate::rng::Rng;
use crate::rtp::Packet;
use crate::settings::PROMPT_RATE;
use crate::time::{Duration, Instant};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

pub use crate::playout::{Interrupted, Pushed, Said};

/// The largest buffers that are kept between two deltas, in bytes. A server may send minutes in one.
const KEPT_BYTES: usize = 256 * 1024;

/// Base64 as the Realtime API writes it; servers that leave out the padding are understood as well.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const SLOT: Duration = Duration::from_millis(PTIME_MS);

/// Everything between a delta of the model and a datagram to Asterisk.
#[derive(Debug)]
pub struct Downlink {
    model: ModelFormat,
    /// How much audio is awaited before a talkspurt begins, and how long it is awaited.
    cushion: Duration,
    playout: Playout,
    /// Of the model's G.711; `None` for its PCM.
    decoder: Option<Decoder>,
    concealer: Concealer,
    resampler: Resampler,
    encoder: Encoder,
    rtp: Rtp,
    grid: Grid,
    talk: Talk,
    /// The odd last byte of a delta; the first half of a sample, if the next delta is of the same item.
    carry: Option<u8>,
    carry_of: (String, u32),
    bytes: Vec<u8>,
    /// A frame as the model wrote it, at the model's rate, at the line's rate, and as it goes out.
    frame: Vec<u8>,
    model_samples: Vec<i16>,
    line_samples: Vec<i16>,
    payload: Vec<u8>,
    /// How many samples at the end of the last frame, at the model's rate, were fade and silence.
    silence: usize,
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
    /// The queue is empty. One more frame lets the audio fade out and brings the end that the resampler holds.
    Tail,
    /// The caller cut in. One more frame lets the audio fade out; what comes now is a talkspurt of its own.
    Cut,
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
    /// A downlink for what Asterisk takes, from a model that speaks PCM until
    /// [`Downlink::set_model_format`] says otherwise. A talkspurt begins when `cushion` is queued, or when as
    /// long was waited, so that uneven deltas do not tear the beginning of a word. SSRC, first sequence number
    /// and first timestamp are from `rng`.
    #[must_use]
    pub fn new(to_asterisk: Encoding, cushion: Duration, rng: &mut Rng) -> Self {
        let model = ModelFormat::default();
        Self {
            model,
            cushion,
            playout: Playout::new(model),
            decoder: None,
            concealer: Concealer::new(model.sample_rate(), Fade::QUICK),
            resampler: Resampler::new(model.sample_rate(), to_asterisk.sample_rate()),
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
            frame: Vec::new(),
            model_samples: Vec::new(),
            line_samples: Vec::new(),
            payload: Vec::with_capacity(to_asterisk.frame_bytes() + 1),
            silence: 0,
        }
    }

    /// The format in which the model speaks from now on. What is queued in another one is dropped.
    pub fn set_model_format(&mut self, model: ModelFormat) {
        if model == self.model {
            return;
        }
        self.model = model;
        self.playout = Playout::new(model);
        self.decoder = model.same_on_the_line().map(Decoder::new);
        self.concealer = Concealer::new(model.sample_rate(), Fade::QUICK);
        self.resampler = Resampler::new(model.sample_rate(), self.rtp.encoding.sample_rate());
        self.talk = Talk::Silent;
        self.carry = None;
    }

    /// Takes the `delta` of a `response.output_audio.delta`: base64 of audio in the model's format. It may
    /// come before the start and waits then.
    pub fn push_base64(&mut self, now: Instant, item_id: &str, content_index: u32, delta: &[u8]) -> Pushed {
        if self.playout.is_muted(item_id) {
            return Pushed::Muted;
        }
        if self.playout.make_room() && matches!(self.talk, Talk::Talking | Talk::Tail) {
            self.talk = Talk::Cut;
        }
        let carried = self.take_carry(item_id, content_index);
        self.bytes.clear();
        self.bytes.extend(carried);
        let start = self.bytes.len();
        self.bytes.resize(start + base64::decoded_len_estimate(delta.len()), 0);
        let decoded = BASE64.decode_slice(delta, self.bytes.get_mut(start..).unwrap_or_default());
        let Ok(decoded) = decoded else {
            // What cannot be read is taken to have been whole samples, so that what follows is not noise.
            self.carry = carried;
            self.give_back_bytes();
            return Pushed::BadBase64;
        };
        self.bytes.truncate(start + decoded);
        if !self.bytes.len().is_multiple_of(self.model.sample_bytes()) {
            self.carry = self.bytes.pop();
        }
        if self.bytes.is_empty() {
            return Pushed::Queued;
        }
        let pushed = self.playout.push(item_id, content_index, &self.bytes);
        self.give_back_bytes();
        self.audio_came(now);
        pushed
    }

    fn give_back_bytes(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
    }

    /// Queues a sound of the bridge's own, mono at [`PROMPT_RATE`]. One that `yields` ends when the agent speaks.
    /// Allocates.
    pub fn push_prompt(&mut self, now: Instant, samples: &[i16], yields: bool) {
        let mut bytes = Vec::new();
        match self.model.same_on_the_line() {
            None => pcm::to_le_bytes(samples, &mut bytes),
            Some(encoding) => {
                let (mut resampled, rate) = (Vec::new(), encoding.sample_rate());
                let mut resampler = Resampler::new(PROMPT_RATE, rate);
                resampler.process(samples, &mut resampled);
                // What the resampler still holds is pushed out by silence.
                let tail = resampler.delay() + SLOT;
                let silence = (tail.as_millis() as usize) * (PROMPT_RATE / 1000) as usize;
                resampler.process(&vec![0; silence], &mut resampled);
                Encoder::new(encoding).encode(&resampled, &mut bytes);
            }
        }
        self.playout.push_own(&bytes, yields);
        self.audio_came(now);
    }

    /// Whether the next frame is of a sound of the bridge's own.
    #[must_use]
    pub fn plays_prompt(&self) -> bool {
        self.playout.is_own_next()
    }

    /// The session is over: what has come of it is heard to its end; see [`Playout::session_ends`].
    pub fn session_ends(&mut self, now: Instant) {
        self.carry = None;
        self.playout.session_ends();
        self.audio_came(now);
    }

    /// Notes a piece of what the agent says (`response.output_audio_transcript.delta`).
    pub fn push_text(&mut self, item_id: &str, content_index: u32, text: &str) {
        self.playout.push_text(item_id, content_index, text);
    }

    /// Notes that no more text comes of a part of an item (`response.output_audio_transcript.done`).
    pub fn text_done(&mut self, item_id: &str, content_index: u32, text: &str) {
        self.playout.text_done(item_id, content_index, text);
    }

    /// Notes that the audio of a part of an item is complete (`response.output_audio.done`), so that a short
    /// one is not held back for more.
    pub fn item_done(&mut self, now: Instant, item_id: &str, content_index: u32) {
        if self.carry_of.0 == bounded(item_id) && self.carry_of.1 == content_index {
            self.carry = None;
        }
        self.playout.done(item_id, content_index);
        self.audio_came(now);
    }

    /// Notes that nothing more comes of any item (`response.done`).
    pub fn response_done(&mut self, now: Instant) {
        self.carry = None;
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
            Talk::Talking | Talk::Tail | Talk::Cut => self.grid.time_of(self.grid.next),
        }
    }

    /// Appends the packet that is due, if one is. At most one in a slot: who comes late by some slots gets one
    /// packet, for the slot that it is now, and the others are skipped.
    pub fn poll(&mut self, now: Instant, datagram: &mut Vec<u8>) -> Option<Sent> {
        let due = match self.talk {
            Talk::Silent => return None,
            Talk::Beginning { after } => self.grid.first_after(after),
            Talk::Talking | Talk::Tail | Talk::Cut => self.grid.next,
        };
        let slot = self.grid.slot(now).filter(|&slot| slot >= due)?;
        let first_of_talkspurt = matches!(self.talk, Talk::Beginning { .. });
        self.make_payload();
        self.move_on(now);
        self.rtp.write(first_of_talkspurt, slot, &self.payload, datagram);
        self.grid.next = slot + 1;
        let skipped_slots = u32::try_from(slot - due).unwrap_or(u32::MAX);
        Some(Sent { skipped_slots, first_of_talkspurt })
    }

    /// The caller speaks: drops what is queued and mutes the items that it belongs to. If a word was being
    /// said, the next frame is its fade, and there is no other. Gives what was cut off; `None` if all that the
    /// model made was played, and then nothing needs truncating. An item that ran dry while more of it is on
    /// its way counts as cut off.
    pub fn barge_in(&mut self) -> Option<Interrupted> {
        let drops = self.playout.queued_samples() > 0;
        // Also when nothing plays: the rest of an item that was outrun must not be heard later.
        let interrupted = self.playout.clear();
        self.talk = match self.talk {
            Talk::Talking | Talk::Tail | Talk::Cut => Talk::Cut,
            Talk::Silent | Talk::Beginning { .. } => Talk::Silent,
        };
        self.carry = None;
        let is_cut = |cut: &Interrupted| drops || cut.heard_ms < cut.received_ms || !cut.is_complete;
        interrupted.filter(|cut| is_cut(cut) || !cut.unheard.is_empty())
    }

    /// The slot of 20 ms that `now` lies in; `None` before the start.
    #[must_use]
    pub fn slot(&self, now: Instant) -> Option<u64> {
        self.grid.slot(now)
    }

    /// The audio of the packet that [`Downlink::poll`] made last, at the line's rate, as it went into the
    /// encoder.
    #[must_use]
    pub fn sent_samples(&self) -> &[i16] {
        if self.passes_through() { &self.model_samples } else { &self.line_samples }
    }

    /// Mutes an item of which nothing has come yet. Returns whether it was not muted before.
    pub fn mute(&mut self, item_id: &str) -> bool {
        self.playout.mute_item(item_id)
    }

    /// Gives each part of an item once, when all of it was heard that ever will be; see
    /// [`Playout::next_said`].
    pub fn next_said(&mut self, is_over: bool) -> Option<Said<'_>> {
        self.playout.next_said(is_over)
    }

    /// What was heard of a part of an item up to now; `None` if it is not known, or not any more.
    #[must_use]
    pub fn said(&self, item_id: &str, content_index: u32) -> Option<Said<'_>> {
        self.playout.said(item_id, content_index)
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
        let cushion = u128::from(self.playout.queued_ms()) >= self.cushion.as_millis();
        let enough = cushion || self.playout.is_complete();
        self.talk = match self.talk {
            Talk::Silent if enough => Talk::Beginning { after: now },
            Talk::Silent => Talk::Beginning { after: now + self.cushion },
            Talk::Beginning { after } if enough => Talk::Beginning { after: now.min(after) },
            // Audio that comes while the tail is due joins on without a seam.
            Talk::Tail => Talk::Talking,
            same => same,
        };
    }

    /// Makes the payload of the next 20 ms, and moves on when the audio ends.
    fn make_payload(&mut self) {
        self.payload.clear();
        self.frame.clear();
        let fades = self.talk == Talk::Cut;
        let whole = self.model.frame_bytes() / self.model.sample_bytes();
        let taken = if fades { 0 } else { self.playout.next_frame(&mut self.frame) };
        let blends = self.concealer.is_concealing();
        self.model_samples.clear();
        match &mut self.decoder {
            Some(decoder) => decoder.decode(&self.frame, &mut self.model_samples),
            None => pcm::from_le_bytes(&self.frame, &mut self.model_samples),
        }
        self.concealer.hear(&mut self.model_samples);
        self.concealer.conceal(whole - taken, &mut self.model_samples);
        if taken == whole && !blends && self.passes_through() {
            self.payload.extend_from_slice(&self.frame);
        } else {
            self.line_samples.clear();
            self.resampler.process(&self.model_samples, &mut self.line_samples);
            self.line_samples.resize(self.rtp.encoding.frame_samples(), 0);
            self.encoder.encode(&self.line_samples, &mut self.payload);
        }
        self.silence = whole - taken;
    }

    /// Where the talkspurt stands after a frame was made.
    fn move_on(&mut self, now: Instant) {
        let waiting = self.playout.queued_samples() > 0;
        // The fade, and as much behind it as pushes out all that the resampler holds.
        let end = Duration::from_millis(u64::from(Fade::QUICK.silent_ms)) + self.resampler.delay();
        let faded =
            self.silence as u128 * 1_000_000 >= end.as_micros() * u128::from(self.model.sample_rate());
        let (talk, is_cut) = match self.talk {
            Talk::Cut if waiting => (Talk::Beginning { after: now }, true),
            Talk::Cut => (Talk::Silent, true),
            _ if waiting => (Talk::Talking, false),
            Talk::Tail => (Talk::Silent, false),
            _ => (if faded { Talk::Silent } else { Talk::Tail }, false),
        };
        self.talk = talk;
        let is_over = !matches!(talk, Talk::Talking | Talk::Tail);
        if is_over {
            self.resampler.reset();
        }
        // A word that ran dry comes back softly; a new one begins as it is.
        if is_over && (is_cut || self.playout.is_complete()) {
            self.concealer.reset();
        }
    }

    /// Whether a frame goes out as the bytes that the model wrote.
    fn passes_through(&self) -> bool {
        self.model.same_on_the_line() == Some(self.rtp.encoding)
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

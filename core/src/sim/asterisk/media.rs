//! The media of a UnicastRTP channel: what chan_rtp of Asterisk 22.10.1 was measured to do on the wire.

use super::io::{Actions, Output};
use super::{EAR_RATE, FRAME_SAMPLES};
use crate::codec::{Decoder, Encoder};
use crate::format::{Encoding, MediaFormat, PTIME_MS};
use crate::pcm;
use crate::resample::Resampler;
use crate::rng::Rng;
use crate::rtp::Packet;
use crate::time::{Duration, Instant};
use core::cmp::Ordering;
use core::net::SocketAddr;
use std::collections::VecDeque;

/// 20 ms at the ear.
pub(super) type Frame = [i16; FRAME_SAMPLES];

/// How long one frame lasts.
pub(super) const PTIME: Duration = Duration::from_millis(PTIME_MS);
/// The highest payload type that Asterisk knows without SDP on receipt; from here on all is dropped silently.
const LAST_STATIC_PAYLOAD_TYPE: u8 = 34;
/// Strict RTP: so many packets in a row of a new source …
const LEARN_PACKETS: u32 = 4;
/// … over so much time, and it is taken for the true one.
const LEARN_TIME: Duration = Duration::from_millis(22);
/// Strict RTP: after so much time no other source is learned.
const LOCK_AFTER: Duration = Duration::from_secs(5);
/// The caller's telephone has a jitter buffer: it begins to play when so much is there, or has waited so long.
const EAR_PREBUFFER: Duration = Duration::from_millis(40);
/// What the telephone holds at most; older audio is thrown away, as after a burst.
const EAR_MAX_SAMPLES: usize = EAR_RATE as usize;

/// What happened to the packets of all UnicastRTP channels, the ended ones included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MediaStats {
    /// Sent to the application.
    pub sent: u64,
    /// Came from the application and were taken.
    pub taken: u64,
    /// Dropped without a word: payload type 35 or higher, 118 above all, or one that is not spoken here.
    pub dropped_payload_type: u64,
    /// Dropped by strict RTP: not from `external_host`.
    pub dropped_source: u64,
    /// Dropped: not RTP.
    pub dropped_not_rtp: u64,
}

/// Samples on their way to the ear, behind the jitter buffer of a telephone.
#[derive(Debug, Default)]
struct Ear {
    queue: VecDeque<i16>,
    waiting_since: Option<Instant>,
    playing: bool,
}

impl Ear {
    fn push(&mut self, now: Instant, samples: &[i16]) {
        self.waiting_since.get_or_insert(now);
        self.queue.extend(samples);
        let excess = self.queue.len().saturating_sub(EAR_MAX_SAMPLES);
        self.queue.drain(..excess);
    }

    fn frame(&mut self, now: Instant) -> Option<Frame> {
        let waited = self.waiting_since.is_some_and(|since| now.since(since) >= EAR_PREBUFFER);
        let enough = self.queue.len() >= 2 * FRAME_SAMPLES || waited;
        if self.queue.len() < FRAME_SAMPLES || !(self.playing || enough) {
            self.playing = false;
            return None;
        }
        self.playing = true;
        self.waiting_since = None;
        let mut frame = [0; FRAME_SAMPLES];
        frame.iter_mut().zip(self.queue.drain(..FRAME_SAMPLES)).for_each(|(to, from)| *to = from);
        Some(frame)
    }
}

/// Between the rate of an ear and that of a line.
#[derive(Debug)]
enum Rates {
    /// As it should sound.
    Fine(Box<Resampler>),
    /// By leaving out every second sample, or by giving each twice.
    Quick { from: u32, to: u32 },
}

impl Rates {
    fn new(is_quick: bool, from: u32, to: u32) -> Self {
        let is_easy = from == to || from == 2 * to || to == 2 * from;
        if is_quick && is_easy {
            Self::Quick { from, to }
        } else {
            Self::Fine(Box::new(Resampler::new(from, to)))
        }
    }

    fn process(&mut self, samples: &[i16], out: &mut Vec<i16>) {
        match self {
            Self::Fine(resampler) => resampler.process(samples, out),
            Self::Quick { from, to } => match (*from).cmp(to) {
                Ordering::Equal => out.extend_from_slice(samples),
                Ordering::Greater => out.extend(samples.iter().step_by(2)),
                Ordering::Less => out.extend(samples.iter().flat_map(|sample| [*sample; 2])),
            },
        }
    }
}

/// What a payload type means to Asterisk without SDP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Heard {
    Encoded(Encoding),
    /// Payload types 10 and 11: L16 big-endian, at 8 kHz in spite of RFC 3551.
    LinearNarrowband,
    /// Comfort noise (13, 19), and static types that are not spoken here: taken, and nothing is heard.
    Nothing,
}

impl Heard {
    const fn of(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Encoded(Encoding::Pcmu)),
            8 => Some(Self::Encoded(Encoding::Pcma)),
            9 => Some(Self::Encoded(Encoding::G722)),
            10 | 11 => Some(Self::LinearNarrowband),
            other if other <= LAST_STATIC_PAYLOAD_TYPE => Some(Self::Nothing),
            _ => None,
        }
    }

    const fn rate(self) -> u32 {
        match self {
            Self::Encoded(encoding) => encoding.sample_rate(),
            Self::LinearNarrowband | Self::Nothing => 8_000,
        }
    }
}

/// A source that strict RTP is getting to know.
#[derive(Debug)]
struct Learning {
    from: SocketAddr,
    since: Instant,
    packets: u32,
    sequence: u16,
}

/// One end of an RTP stream: what `UnicastRTP/host:port/c(format)` is.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) port: u16,
    remote: SocketAddr,
    encoding: Encoding,
    encoder: Encoder,
    to_wire: Rates,
    is_quick: bool,
    wire: Vec<i16>,
    payload: Vec<u8>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    sent_at: Option<Instant>,
    source: SocketAddr,
    source_since: Option<Instant>,
    learning: Option<Learning>,
    decoding: Option<(Heard, Decoder, Rates)>,
    decoded: Vec<i16>,
    at_ear: Vec<i16>,
    ear: Ear,
}

impl Endpoint {
    pub(super) fn new(
        port: u16,
        remote: SocketAddr,
        format: MediaFormat,
        is_quick: bool,
        rng: &mut Rng,
    ) -> Self {
        let encoding = format.from_asterisk();
        Self {
            port,
            remote,
            encoding,
            encoder: Encoder::new(encoding),
            to_wire: Rates::new(is_quick, EAR_RATE, encoding.sample_rate()),
            is_quick,
            wire: Vec::new(),
            payload: Vec::new(),
            ssrc: rng.next_u32(),
            sequence: rng.next_u16(),
            timestamp: 0,
            sent_at: None,
            source: remote,
            source_since: None,
            learning: None,
            decoding: None,
            decoded: Vec::new(),
            at_ear: Vec::new(),
            ear: Ear::default(),
        }
    }

    /// Sends a frame of the far side to `external_host`, whatever source packets come from: not symmetric.
    pub(super) fn send(&mut self, now: Instant, frame: &Frame, stats: &mut MediaStats, out: &mut Actions) {
        self.to_wire.process(frame, &mut self.wire);
        let samples = self.encoding.frame_samples();
        while let Some(ready) = self.wire.get(..samples) {
            self.payload.clear();
            self.encoder.encode(ready, &mut self.payload);
            self.wire.drain(..samples);
            // After a gap Asterisk advances the timestamp by the time that passed, and marks the packet.
            let gap = self.sent_at.map_or(Duration::ZERO, |at| now.since(at));
            let slots = (gap.as_millis() / u128::from(PTIME_MS)).clamp(1, u128::from(u16::MAX)) as u32;
            self.timestamp = self.timestamp.wrapping_add(self.encoding.frame_ticks().wrapping_mul(slots));
            self.sequence = self.sequence.wrapping_add(1);
            self.sent_at = Some(now);
            let packet = Packet {
                marker: slots > 2,
                payload_type: self.encoding.payload_type(),
                sequence: self.sequence,
                timestamp: self.timestamp,
                ssrc: self.ssrc,
                payload: &self.payload,
            };
            let bytes = out.write(|arena| packet.write(arena));
            // A client that gave port 0 gets a channel, and no packet ever.
            if self.remote.port() != 0 {
                stats.sent += 1;
                out.push(Output::SendRtp { from_port: self.port, to: self.remote, bytes });
            }
        }
    }

    /// Takes a datagram. Nothing is paced or reordered here: what comes goes on to the ear.
    pub(super) fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8], stats: &mut MediaStats) {
        let Some(packet) = Packet::parse(bytes) else {
            stats.dropped_not_rtp += 1;
            return;
        };
        if !self.is_from_source(now, from, packet.sequence) {
            stats.dropped_source += 1;
            return;
        }
        let Some(heard) = Heard::of(packet.payload_type) else {
            stats.dropped_payload_type += 1;
            return;
        };
        stats.taken += 1;
        if heard != Heard::Nothing {
            self.decode(now, heard, packet.payload);
        }
    }

    fn decode(&mut self, now: Instant, heard: Heard, payload: &[u8]) {
        if self.decoding.as_ref().is_none_or(|(current, ..)| *current != heard) {
            let encoding = match heard {
                Heard::Encoded(encoding) => encoding,
                Heard::LinearNarrowband | Heard::Nothing => Encoding::L16Wideband,
            };
            self.decoding =
                Some((heard, Decoder::new(encoding), Rates::new(self.is_quick, heard.rate(), EAR_RATE)));
        }
        let Some((_, decoder, rates)) = &mut self.decoding else { return };
        self.decoded.clear();
        self.at_ear.clear();
        match heard {
            Heard::Encoded(_) => decoder.decode(payload, &mut self.decoded),
            Heard::LinearNarrowband | Heard::Nothing => pcm::from_be_bytes(payload, &mut self.decoded),
        }
        rates.process(&self.decoded, &mut self.at_ear);
        self.ear.push(now, &self.at_ear);
    }

    /// Strict RTP (rtp.conf `strictrtp=yes`, the default).
    fn is_from_source(&mut self, now: Instant, from: SocketAddr, sequence: u16) -> bool {
        if from == self.source {
            self.source_since.get_or_insert(now);
            self.learning = None;
            return true;
        }
        if self.source_since.is_some_and(|since| now.since(since) >= LOCK_AFTER) {
            return false;
        }
        match &mut self.learning {
            Some(known) if known.from == from && known.sequence.wrapping_add(1) == sequence => {
                known.sequence = sequence;
                known.packets += 1;
                if known.packets > LEARN_PACKETS && now.since(known.since) >= LEARN_TIME {
                    self.source = from;
                    self.source_since = Some(now);
                    self.learning = None;
                    return true;
                }
            }
            learning => *learning = Some(Learning { from, since: now, packets: 1, sequence }),
        }
        false
    }

    /// What the far side hears in this slot; `None` where nothing came.
    pub(super) fn frame(&mut self, now: Instant) -> Option<Frame> {
        self.ear.frame(now)
    }
}

/// What a caller is saying.
#[derive(Debug, Default)]
pub(super) struct Mouth(VecDeque<i16>);

impl Mouth {
    /// The most that is kept, in samples: ten minutes.
    const MAX_SAMPLES: usize = EAR_RATE as usize * 600;

    pub(super) fn speak(&mut self, samples: &[i16]) {
        let room = Self::MAX_SAMPLES.saturating_sub(self.0.len());
        self.0.extend(samples.iter().take(room));
    }

    pub(super) fn is_silent(&self) -> bool {
        self.0.is_empty()
    }

    /// The next frame, its end filled with silence; `None` when all is said.
    pub(super) fn frame(&mut self) -> Option<Frame> {
        if self.0.is_empty() {
            return None;
        }
        let mut frame = [0; FRAME_SAMPLES];
        let len = self.0.len().min(FRAME_SAMPLES);
        frame.iter_mut().zip(self.0.drain(..len)).for_each(|(to, from)| *to = from);
        Some(frame)
    }
}

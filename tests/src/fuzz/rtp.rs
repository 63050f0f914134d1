//! What comes on a media socket.

use crate::choices::Choices;
use ari_bridge_core::codec::Decoder;
use ari_bridge_core::format::{Encoding, MediaFormat, ModelFormat};
use ari_bridge_core::jitter::{JitterBuffer, MAX_HELD, MAX_HOLD_MS, Pop, RESTART_PACKETS};
use ari_bridge_core::rtp::{HEADER_BYTES, MAX_DATAGRAM_BYTES, Packet};
use ari_bridge_core::time::{Duration, Instant};
use ari_bridge_core::uplink::{MAX_AHEAD_MS, MAX_BACKLOG_MS, MAX_FILL_MS, Uplink};
use std::collections::BTreeSet;

/// The longest pause between two packets, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 6_000;

/// Bytes as one datagram, and as a stream of them that a caller sends.
///
/// A packet reads back from what it is written as. The jitter buffer gives each packet once, never more than it may
/// hold, and asks for no time that has passed. The model is given no more audio than there was time for.
pub fn rtp(bytes: &[u8]) {
    datagram(bytes);
    let mut choices = Choices::new(bytes);
    let encoding = MediaFormat::ALL[choices.below(4)].from_asterisk();
    let model = ModelFormat::ALL[choices.below(3)];
    let mut buffer = Buffer::new(encoding);
    let mut line = Line::new(encoding, model);
    let mut packet = Sender { sequence: 0, timestamp: 0, ssrc: 1 };
    let mut now = Instant::START;
    while !choices.is_empty() {
        let pause = [0, 0, 1, 5, 20, 20, 20, 20, 20, 40, 90, 250, 1_000, LONGEST_PAUSE_MS];
        now = now + Duration::from_nanos(1) + Duration::from_millis(pause[choices.below(pause.len())]);
        let datagram = packet.next(encoding, &mut choices);
        let timer = !choices.one_in(4);
        buffer.takes(now, &datagram, timer);
        line.takes(now, &datagram, timer);
    }
    buffer.ends(now);
    line.ends(now);
}

/// One datagram, whatever it is.
fn datagram(bytes: &[u8]) {
    let Some(packet) = Packet::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_DATAGRAM_BYTES && packet.payload.len() + HEADER_BYTES <= bytes.len());
    let mut written = Vec::new();
    packet.write(&mut written);
    assert_eq!(Packet::parse(&written), Some(packet), "what is written does not read back");
    for format in MediaFormat::ALL {
        let (encoding, mut samples) = (format.from_asterisk(), Vec::new());
        let mut decoder = Decoder::new(encoding);
        decoder.decode(packet.payload, &mut samples);
        let expected = packet.payload.len() * encoding.frame_samples() / encoding.frame_bytes();
        assert_eq!(samples.len(), expected, "{encoding:?}");
    }
}

/// Who sends: mostly one packet after the other, and now and then anything.
struct Sender {
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
}

impl Sender {
    fn next(&mut self, encoding: Encoding, choices: &mut Choices<'_>) -> Vec<u8> {
        let ticks = encoding.frame_ticks();
        match choices.below(16) {
            0 => return choices.blob().to_vec(),
            1 => self.sequence = self.sequence.wrapping_add_signed(i16::from(choices.byte().cast_signed())),
            2 => self.sequence = self.sequence.wrapping_add(u16::from(choices.byte()) << 8),
            3 => self.timestamp = self.timestamp.wrapping_add(u32::from(choices.byte()) << choices.below(24)),
            4 => self.ssrc = u32::from(choices.byte() % 3),
            5 => {
                // One that was lost, or two.
                let lost = 1 + choices.below(2) as u16;
                self.sequence = self.sequence.wrapping_add(lost);
                self.timestamp = self.timestamp.wrapping_add(u32::from(lost) * ticks);
            }
            // The same once more.
            6 => {
                self.sequence = self.sequence.wrapping_sub(1);
                self.timestamp = self.timestamp.wrapping_sub(ticks);
            }
            _ => {}
        }
        let bytes = [encoding.frame_bytes(), encoding.frame_bytes(), encoding.frame_bytes() / 2, 1, 0, 2_000];
        let payload = vec![choices.byte(); bytes[choices.below(bytes.len())]];
        let packet = Packet {
            marker: false,
            payload_type: if choices.one_in(32) { choices.byte() & 0x7F } else { encoding.payload_type() },
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload: &payload,
        };
        let mut datagram = Vec::new();
        packet.write(&mut datagram);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(ticks);
        datagram
    }
}

/// The jitter buffer alone.
struct Buffer {
    jitter: JitterBuffer,
    payload: Vec<u8>,
    taken: usize,
    given: usize,
    payloads: BTreeSet<Vec<u8>>,
}

impl Buffer {
    fn new(encoding: Encoding) -> Self {
        let jitter = JitterBuffer::new(encoding);
        Self { jitter, payload: Vec::new(), taken: 0, given: 0, payloads: BTreeSet::new() }
    }

    fn takes(&mut self, now: Instant, datagram: &[u8], timer: bool) {
        if let Some(packet) = Packet::parse(datagram)
            && self.jitter.push(now, &packet).is_ok()
        {
            self.taken += 1;
            self.payloads.insert(packet.payload.to_vec());
        }
        self.empties(now, timer);
    }

    /// Takes out what is due.
    fn empties(&mut self, now: Instant, timer: bool) {
        let mut answers = 0;
        while let Some(pop) = self.jitter.pop(now, timer, &mut self.payload) {
            answers += 1;
            assert!(answers <= 2 * MAX_HELD, "{answers} answers at once");
            match pop {
                Pop::Packet { .. } => {
                    self.given += 1;
                    assert!(self.payloads.contains(&self.payload), "a payload that nobody has sent");
                }
                Pop::Missing { packets, ticks } => {
                    assert!(packets < u32::from(RESTART_PACKETS) && (packets > 0 || ticks > 0));
                }
            }
        }
        assert!(self.given <= self.taken, "{} packets came in, and {} out", self.taken, self.given);
        let hold = Duration::from_millis(MAX_HOLD_MS);
        assert!(self.jitter.hold() <= hold);
        if let Some(at) = self.jitter.deadline() {
            assert!(!timer || at > now, "a deadline in the past: {at} at {now}");
            assert!(at <= now + hold, "it wants to wait from {now} until {at}");
        }
    }

    /// Nothing more comes: what is held comes out in its time.
    fn ends(&mut self, mut now: Instant) {
        for _ in 0..=4 * MAX_HELD {
            let Some(at) = self.jitter.deadline() else { break };
            now = (now + Duration::from_nanos(1)).max(at);
            self.empties(now, true);
        }
        assert_eq!(self.jitter.deadline(), None, "packets stay in the buffer for ever");
    }
}

/// Everything between the datagrams and the model.
struct Line {
    uplink: Uplink,
    begun: Instant,
    audio: Vec<u8>,
    bytes_per_ms: u64,
    /// How much of a poll's audio can have come in packets, in bytes.
    most_at_once: usize,
    given_bytes: u64,
}

impl Line {
    fn new(encoding: Encoding, model: ModelFormat) -> Self {
        let mut uplink = Uplink::new(encoding, 1.0);
        uplink.start(Instant::START, model);
        let bytes_per_sample = if model == ModelFormat::Pcm24 { 2 } else { 1 };
        let bytes_per_ms = u64::from(model.sample_rate()) / 1000 * bytes_per_sample;
        // A datagram of the wrong length may last for longer than a frame, by as much as it is longer.
        let longest_ms = 20 * MAX_DATAGRAM_BYTES / encoding.frame_bytes() + 1;
        let most_ms = (MAX_HELD + 1) * longest_ms + 2 * MAX_FILL_MS as usize + 20;
        let most_at_once = most_ms * bytes_per_ms as usize;
        Self { uplink, begun: Instant::START, audio: Vec::new(), bytes_per_ms, most_at_once, given_bytes: 0 }
    }

    fn takes(&mut self, now: Instant, datagram: &[u8], timer: bool) {
        let _refused = self.uplink.receive(now, datagram);
        self.polls(now, timer);
    }

    fn polls(&mut self, now: Instant, timer: bool) {
        self.audio.clear();
        let report = self.uplink.poll(now, timer, &mut self.audio);
        assert!(self.audio.len() <= self.most_at_once, "{} bytes at once", self.audio.len());
        assert!(u64::from(report.concealed_ms) <= MAX_FILL_MS, "{report:?}");
        self.given_bytes += self.audio.len() as u64;
        let given_ms = self.given_bytes / self.bytes_per_ms;
        let passed_ms = now.since(self.begun).as_millis() as u64;
        let ahead_ms = MAX_BACKLOG_MS + MAX_AHEAD_MS + self.most_at_once as u64 / self.bytes_per_ms;
        assert!(given_ms <= passed_ms + ahead_ms, "{given_ms} ms of audio in {passed_ms} ms");
        let (at, wake) = self.uplink.deadline().expect("it was started");
        assert!(!timer || at > now, "{wake:?} in the past: {at} at {now}");
    }

    /// Nothing more comes: silence does, at the pace of the clock.
    fn ends(&mut self, mut now: Instant) {
        let before = self.given_bytes;
        let waited_from = now;
        for _ in 0..64 {
            let Some((at, _)) = self.uplink.deadline() else { break };
            now = (now + Duration::from_nanos(1)).max(at);
            self.polls(now, true);
        }
        let waited_ms = now.since(waited_from).as_millis() as u64;
        assert!(self.given_bytes > before, "no silence in {waited_ms} ms");
    }
}

//! The caller's end of the line: one UDP socket that speaks RTP on the beat and remembers what it hears.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use ari_bridge_tests::measure;

use crate::codec::{Codec, SAMPLES_PER_TICK, TICKS};
use crate::keys;
use crate::network::{Frame, Kind};
use crate::process::Outcome;

/// If what a timestamp says is this far from when the packet came, in ticks (200 ms), the listener starts
/// afresh at the time of arrival, as the jitter buffer of a telephone does.
const RESYNC_TICKS: i64 = 1600;

/// A packet that was heard.
struct Packet {
    arrived: Duration,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

/// All that came in on a line, and when speaking began. Times count from the opening of the line.
pub(crate) struct Recording {
    codec: Codec,
    packets: Vec<Packet>,
    /// When the line was opened.
    pub(crate) opened: Instant,
    /// Packets of other payload types: comfort noise as keepalive, RTCP that went astray.
    pub(crate) others: usize,
    /// When the first frame of each speech was sent.
    pub(crate) spoke_at: Vec<Duration>,
    /// How many packets were sent.
    pub(crate) sent: usize,
}

/// What one packet brought to the caller's ear.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Heard {
    /// When it came, counted from the opening of the line.
    pub(crate) arrived: Duration,
    /// How long it lasts, in milliseconds.
    pub(crate) ms: usize,
    pub(crate) level_dbfs: f64,
}

/// A line that is open.
pub(crate) struct Line {
    /// The port that an SDP is to offer.
    pub(crate) port: u16,
    orders: Sender<Order>,
    thread: JoinHandle<Recording>,
    // Asterisk sends RTCP one port above. Held, so that it does not reach another call's line.
    _rtcp: UdpSocket,
}

struct Order {
    to: SocketAddr,
    frames: Vec<Frame>,
}

/// A speech that is being sent.
struct Speaking {
    to: SocketAddr,
    frames: VecDeque<Frame>,
    start: Instant,
    first: First,
}

/// What the first packet of a speech is numbered with.
#[derive(Clone, Copy)]
struct First {
    sequence: usize,
    ticks: usize,
}

impl Line {
    /// Opens a line on a free pair of ports.
    pub(crate) fn open(codec: Codec) -> Outcome<Self> {
        let (rtp, rtcp) = (0..100).find_map(|_| even_pair()).ok_or("no free pair of UDP ports")?;
        let port = rtp.local_addr().map_err(|e| e.to_string())?.port();
        let (orders, inbox) = channel();
        let thread = spawn(move || run(&rtp, codec, Instant::now(), &inbox));
        Ok(Self { port, orders, thread, _rtcp: rtcp })
    }

    /// Sends these frames as RTP from now on, each when it is due, and then nothing any more. A second speech
    /// goes on in the same stream, behind a pause.
    pub(crate) fn speak(&self, to: SocketAddr, frames: Vec<Frame>) {
        let _ = self.orders.send(Order { to, frames });
    }

    /// Hangs up.
    pub(crate) fn close(self) -> Outcome<Recording> {
        drop(self.orders);
        self.thread.join().map_err(|_| "the thread of a line panicked".to_owned())
    }
}

/// An even port for RTP and the odd one above it for RTCP (RFC 3550 §11).
fn even_pair() -> Option<(UdpSocket, UdpSocket)> {
    let rtp = UdpSocket::bind("127.0.0.1:0").ok()?;
    let port = rtp.local_addr().ok()?.port();
    let rtcp = UdpSocket::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
    port.is_multiple_of(2).then_some((rtp, rtcp))
}

fn run(socket: &UdpSocket, codec: Codec, opened: Instant, orders: &Receiver<Order>) -> Recording {
    let mut recording =
        Recording { codec, packets: Vec::new(), opened, others: 0, spoke_at: Vec::new(), sent: 0 };
    let mut speech: Option<Speaking> = None;
    // The numbers on the wire begin somewhere, and where the next speech begins is known before it.
    let mut next_sequence = 1000;
    let mut buffer = [0; 2048];
    loop {
        match orders.try_recv() {
            Ok(Order { to, frames }) => {
                // The clock of the stream runs on while nothing is said.
                let ticks = 5000 + (opened.elapsed().as_secs_f64() * TICKS as f64) as usize;
                let first = First { sequence: next_sequence, ticks };
                next_sequence += frames.iter().map(|frame| frame.number + 1).max().unwrap_or(0);
                recording.spoke_at.push(opened.elapsed());
                speech = Some(Speaking { to, frames: frames.into(), start: Instant::now(), first });
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return recording,
        }
        let mut wait = Duration::from_millis(5);
        if let Some(Speaking { to, frames, start, first }) = &mut speech {
            let due = frames.front().map(|frame| *start + frame.due);
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            if let Some(left) = left.filter(|left| !left.is_zero()) {
                wait = wait.min(left);
            } else if let Some(frame) = frames.pop_front() {
                let _ = socket.send_to(&packet(codec, *first, &frame), *to);
                recording.sent += 1;
                continue;
            } else {
                speech = None;
            }
        }
        let _ = socket.set_read_timeout(Some(wait.max(Duration::from_micros(100))));
        match socket.recv_from(&mut buffer) {
            Ok((length, _)) => recording.take(opened.elapsed(), &buffer[..length]),
            // An ICMP "port unreachable" of an earlier packet comes up here too and means nothing.
            Err(error) if error.kind() != ErrorKind::InvalidInput => {}
            Err(_) => return recording,
        }
    }
}

/// An RTP packet (RFC 3550 §5.1) with the marker on the first of a speech, or of a key (RFC 4733 §2.5.1.1).
fn packet(codec: Codec, first: First, frame: &Frame) -> Vec<u8> {
    let sequence = (first.sequence + frame.number) as u16;
    let timestamp = (first.ticks + frame.ticks) as u32;
    let (is_marked, payload_type) = match frame.kind {
        Kind::Voice => (frame.number == 0, codec.payload_type()),
        Kind::Key { is_first } => (is_first, keys::PAYLOAD_TYPE),
    };
    let mut bytes = vec![0x80, u8::from(is_marked) << 7 | payload_type];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(0x5EED_CA11_u32.to_be_bytes());
    bytes.extend(&frame.payload);
    bytes
}

impl Recording {
    fn take(&mut self, arrived: Duration, bytes: &[u8]) {
        let header: Option<&[u8; 12]> = bytes.first_chunk();
        let Some(&[0x80, kind, s0, s1, t0, t1, t2, t3, x0, x1, x2, x3]) = header else {
            self.others += 1;
            return;
        };
        if kind & 0x7F != self.codec.payload_type() {
            self.others += 1;
            return;
        }
        self.packets.push(Packet {
            arrived,
            ssrc: u32::from_be_bytes([x0, x1, x2, x3]),
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            payload: bytes[12..].to_vec(),
        });
    }

    /// How many packets of the caller's codec came.
    pub(crate) fn count(&self) -> usize {
        self.packets.len()
    }

    /// How many sequence numbers are missing between the first packet and the last.
    pub(crate) fn lost(&self) -> usize {
        let step = |pair: &[Packet]| pair[1].sequence.wrapping_sub(pair[0].sequence).wrapping_sub(1);
        let same = self.packets.windows(2).filter(|pair| pair[0].ssrc == pair[1].ssrc);
        same.map(step).filter(|gap| *gap < 0x8000).map(usize::from).sum()
    }

    /// The packets one by one, in the order in which they came.
    pub(crate) fn heard(&self) -> Outcome<Vec<Heard>> {
        let payload: Vec<u8> =
            self.packets.iter().flat_map(|packet| packet.payload.iter().copied()).collect();
        let decoded = self.codec.decode(&payload)?;
        let mut from = 0;
        let heard = self.packets.iter().map(|packet| {
            let length = packet.payload.len() * SAMPLES_PER_TICK;
            let samples = &decoded[from..from + length];
            from += length;
            let ms = packet.payload.len() * 1000 / TICKS;
            Heard { arrived: packet.arrived, ms, level_dbfs: measure::level_dbfs(samples) }
        });
        Ok(heard.collect())
    }

    /// What the caller's ear heard, at 16 kHz, from the opening of the line on: packets in the order of their
    /// timestamps, silence where there was none.
    pub(crate) fn ear(&self) -> Outcome<Vec<i16>> {
        // In ticks of the RTP clock, each of which is one byte of payload.
        let mut timeline: BTreeMap<i64, &Packet> = BTreeMap::new();
        let mut last: Option<(&Packet, i64)> = None;
        for packet in &self.packets {
            let arrival = (packet.arrived.as_secs_f64() * TICKS as f64) as i64;
            let position = match last {
                Some((before, position)) if before.ssrc == packet.ssrc => {
                    let step = packet.timestamp.wrapping_sub(before.timestamp) as i32;
                    let told = position + i64::from(step);
                    if (told - arrival).abs() > RESYNC_TICKS { arrival } else { told }
                }
                _ => arrival,
            };
            timeline.entry(position).or_insert(packet);
            last = Some((packet, position));
        }
        // G.722 has a memory, so everything goes through one decoder, in order, and is laid out afterwards.
        let payload: Vec<u8> = timeline.values().flat_map(|packet| packet.payload.iter().copied()).collect();
        let decoded = self.codec.decode(&payload)?;
        let mut ear = Vec::new();
        let mut from = 0;
        for (position, packet) in &timeline {
            let start = usize::try_from(*position).unwrap_or(0) * SAMPLES_PER_TICK;
            let length = packet.payload.len() * SAMPLES_PER_TICK;
            if ear.len() < start + length {
                ear.resize(start + length, 0);
            }
            ear[start..start + length].copy_from_slice(&decoded[from..from + length]);
            from += length;
        }
        Ok(ear)
    }
}

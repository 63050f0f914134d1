//! One side of a call: packets in, as they came; samples out, each at its place.

use crate::codec::Decoder;
use crate::format::Encoding;
use crate::jitter::MAX_JUMP_MS;
use crate::rtp::Packet;
use crate::uplink::SILENCE_AFTER_MS;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// How far from its arrival a packet's timestamp may put it, in milliseconds, either way. What is further off says nothing
/// about time, and the packet lies where it came.
pub(super) const WINDOW_MS: u64 = MAX_JUMP_MS;

/// The most packets that are held: the window is twice [`WINDOW_MS`], in packets of 10 ms. Shorter ones are written
/// earlier.
pub(super) const MAX_HELD: usize = 1024;

/// After a pause, a timestamp is believed if it is so close to the arrival, in milliseconds. Clocks that drift, and a
/// sender whose timestamps run ahead, do not part from the clock of the capture for longer than from one pause to the next.
const DRIFT_MS: u64 = 40;

/// A side of a call.
#[derive(Debug)]
pub(super) struct Track {
    encoding: Encoding,
    decoder: Decoder,
    /// Whether a pause makes the decoder forget, as the call's own does.
    forgets: bool,
    /// The stream of the last packet, and the one before it: what still comes of that one has its place too.
    streams: [Option<Stream>; 2],
    /// By the place of their first sample.
    held: BTreeMap<u64, Held>,
    /// What was decoded last, and how much of it is given already.
    decoded: Vec<i16>,
    given: usize,
    /// The place of the next sample.
    at: u64,
    /// Whose packet was decoded last, and where it ended.
    last: Option<(u32, u64)>,
    heard: u64,
    left_out: u64,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    /// The newest timestamp, and its place.
    timestamp: u32,
    place: u64,
    /// Where the audio ends.
    end: u64,
}

#[derive(Debug)]
struct Held {
    ssrc: u32,
    payload: Vec<u8>,
}

impl Track {
    /// The side that is encoded like this.
    pub(super) fn new(encoding: Encoding, forgets: bool) -> Self {
        Self {
            encoding,
            decoder: Decoder::new(encoding),
            forgets,
            streams: [None; 2],
            held: BTreeMap::new(),
            decoded: Vec::new(),
            given: 0,
            at: 0,
            last: None,
            heard: 0,
            left_out: 0,
        }
    }

    /// How many packets are heard.
    pub(super) const fn heard(&self) -> u64 {
        self.heard
    }

    #[cfg(test)]
    pub(super) fn held_packets(&self) -> usize {
        self.held.len()
    }

    /// How many packets came twice or too late.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Where the audio ends.
    pub(super) fn end(&self) -> u64 {
        self.streams.iter().flatten().map(|stream| stream.end).max().unwrap_or(0)
    }

    /// Where the first of the held packets begins to be heard, if there are so many that it should be now.
    pub(super) fn crowded(&self) -> Option<u64> {
        let first = self.held.first_key_value().filter(|_| self.held.len() >= MAX_HELD);
        first.map(|(place, _)| place + 1)
    }

    /// Takes a packet that came at `now`, in samples. One that is no audio of this side is nothing.
    pub(super) fn take(&mut self, now: u64, packet: &Packet<'_>) {
        let samples = self.samples_in(packet.payload);
        if packet.payload_type != self.encoding.payload_type() || samples == 0 {
            return;
        }
        let place = self.place(now, packet, samples);
        match self.held.entry(place) {
            Entry::Vacant(free) if place >= self.at => {
                free.insert(Held { ssrc: packet.ssrc, payload: packet.payload.to_vec() });
            }
            Entry::Vacant(_) | Entry::Occupied(_) => self.left_out += 1,
        }
        if self.held.len() > MAX_HELD {
            self.held.pop_last();
            self.left_out += 1;
        }
    }

    /// Where the packet lies, and notes it.
    fn place(&mut self, now: u64, packet: &Packet<'_>, samples: u64) -> u64 {
        let [newest, former] = &self.streams;
        let is_of = |stream: &Option<Stream>| stream.is_some_and(|stream| stream.ssrc == packet.ssrc);
        let known = if is_of(newest) { *newest } else { former.filter(|_| is_of(former)) };
        let place = known.and_then(|stream| self.believed(now, packet.timestamp, stream));
        let mut stream = known.unwrap_or(Stream { ssrc: packet.ssrc, timestamp: 0, place: 0, end: 0 });
        // The newest timestamp is the one to count from, so that 32 bits are enough for a call of any length.
        if place.is_none_or(|place| place > stream.place) {
            (stream.timestamp, stream.place) = (packet.timestamp, place.unwrap_or(now));
        }
        let place = place.unwrap_or(now);
        stream.end = if known.is_some() { stream.end.max(place + samples) } else { place + samples };
        match &mut self.streams {
            [newest, _] if is_of(newest) => *newest = Some(stream),
            [_, former] if is_of(former) => *former = Some(stream),
            [newest, former] => (*newest, *former) = (Some(stream), *newest),
        }
        place
    }

    /// Where the timestamp puts a packet of this stream; `None` if it is not to be believed.
    fn believed(&self, now: u64, timestamp: u32, stream: Stream) -> Option<u64> {
        let ticks = i64::from(timestamp.wrapping_sub(stream.timestamp).cast_signed());
        let (rate, clock) = (self.encoding.sample_rate(), self.encoding.clock_rate());
        let place = stream.place.checked_add_signed(ticks * i64::from(rate / clock))?;
        let off = place.abs_diff(now);
        let is_after_pause = place >= stream.end + self.samples_of(SILENCE_AFTER_MS) && now >= stream.end;
        let most = if is_after_pause { DRIFT_MS } else { WINDOW_MS };
        (off <= self.samples_of(most)).then_some(place)
    }

    /// Appends the next so many samples; silence where nothing was held for them.
    pub(super) fn render(&mut self, samples: usize, out: &mut Vec<i16>) {
        let end = self.at + samples as u64;
        while self.at < end {
            let room = (end - self.at) as usize;
            let ready = self.decoded.get(self.given..).unwrap_or_default();
            let ready = ready.get(..room).unwrap_or(ready);
            if !ready.is_empty() {
                out.extend_from_slice(ready);
                self.given += ready.len();
                self.at += ready.len() as u64;
                continue;
            }
            let next = self.held.first_key_value().map(|(place, _)| *place).filter(|place| *place < end);
            let silence = next.unwrap_or(end).saturating_sub(self.at);
            out.resize(out.len() + silence as usize, 0);
            self.at += silence;
            if next.is_some()
                && let Some((place, held)) = self.held.pop_first()
            {
                self.decode(place, &held);
            }
        }
    }

    /// Decodes a packet that lies where the next sample is, or before it where two packets overlap.
    fn decode(&mut self, place: u64, held: &Held) {
        let pause = self.samples_of(SILENCE_AFTER_MS);
        let goes_on = |(ssrc, end): (u32, u64)| {
            ssrc == held.ssrc && !(self.forgets && place.saturating_sub(end) >= pause)
        };
        if !self.last.is_some_and(goes_on) {
            self.decoder.reset();
        }
        self.decoded.clear();
        self.decoder.decode(&held.payload, &mut self.decoded);
        self.given = (self.at.saturating_sub(place) as usize).min(self.decoded.len());
        self.last = Some((held.ssrc, place + self.decoded.len() as u64));
        self.heard += 1;
    }

    /// How many samples so many milliseconds have.
    const fn samples_of(&self, millis: u64) -> u64 {
        self.encoding.sample_rate() as u64 / 1000 * millis
    }

    /// How many samples this payload has.
    const fn samples_in(&self, payload: &[u8]) -> u64 {
        (payload.len() * self.encoding.frame_samples() / self.encoding.frame_bytes()) as u64
    }
}

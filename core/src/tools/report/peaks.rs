//! Waveforms: the least and the largest sample of each short stretch of time.

use super::millis;
use crate::codec::Decoder;
use crate::format::Encoding;
use crate::rtp::Packet;
use crate::time::{Duration, Instant};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// How long a stretch is at first.
const FIRST_STRETCH: Duration = Duration::from_millis(5);

/// The most stretches of a waveform. What is longer is drawn in stretches of twice the length: an hour in stretches of
/// 10 ms, and then it has a megabyte of base64.
const MAX_STRETCHES: usize = 400_000;

/// By how much a packet may come at another time than its timestamp says, before its sender is taken to have begun anew.
const MAX_SHIFT: Duration = Duration::from_millis(250);

/// One direction of the conversation, as it was on the line.
#[derive(Debug)]
pub(super) struct Voice {
    encoding: Encoding,
    decoder: Decoder,
    /// The last packet: from whom, its timestamp, and when its audio began.
    before: Option<(u32, u32, Instant)>,
    peaks: Peaks,
    samples: Vec<i16>,
}

/// A waveform as the script is given it.
#[derive(Serialize)]
pub(super) struct Wave<'a> {
    stretch_ms: f64,
    /// Base64 of two bytes for each stretch, least and largest sample, both as [`code`] has them.
    #[serde(serialize_with = "in_base64")]
    peaks: &'a [[i8; 2]],
}

impl Voice {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            decoder: Decoder::new(encoding),
            before: None,
            peaks: Peaks { stretch: FIRST_STRETCH, codes: Vec::new() },
            samples: Vec::new(),
        }
    }

    /// Takes a packet that came at `now`. It is drawn where its timestamp puts it, which the network has not shaken.
    pub(super) fn received(&mut self, now: Instant, packet: &Packet<'_>) {
        if !self.decode(packet) {
            return;
        }
        let arrived = now - self.length();
        let begin = self.expected(packet).map_or(arrived, |expected| {
            let is_near = expected.since(arrived).max(arrived.since(expected)) < MAX_SHIFT;
            // None comes before it was said, so that the quickest says best when that was.
            if is_near { expected.min(arrived) } else { arrived }
        });
        self.before = Some((packet.ssrc, packet.timestamp, begin));
        self.draw(begin);
    }

    /// Takes a packet that left at `now`.
    pub(super) fn sent(&mut self, now: Instant, packet: &Packet<'_>) {
        if self.decode(packet) {
            self.draw(now);
        }
    }

    pub(super) fn wave(&self) -> Wave<'_> {
        let stretch_ms = millis(Instant::START + self.peaks.stretch);
        Wave { stretch_ms, peaks: &self.peaks.codes }
    }

    /// Whether it is audio.
    fn decode(&mut self, packet: &Packet<'_>) -> bool {
        self.samples.clear();
        if packet.payload_type == self.encoding.payload_type() {
            self.decoder.decode(packet.payload, &mut self.samples);
        }
        !self.samples.is_empty()
    }

    fn length(&self) -> Duration {
        Duration::from_secs(self.samples.len() as u64) / self.encoding.sample_rate()
    }

    /// When the audio of a packet began, by the packet before it.
    fn expected(&self, packet: &Packet<'_>) -> Option<Instant> {
        let (_, timestamp, begin) = self.before.filter(|(ssrc, ..)| *ssrc == packet.ssrc)?;
        let ticks = packet.timestamp.wrapping_sub(timestamp).cast_signed();
        let distance = Duration::from_secs(ticks.unsigned_abs().into()) / self.encoding.clock_rate();
        // Far back there may be no time at all, so that nothing could be held against it.
        if ticks < 0 { (distance < MAX_SHIFT).then(|| begin - distance) } else { Some(begin + distance) }
    }

    fn draw(&mut self, begin: Instant) {
        self.peaks.draw(begin, &self.samples, self.encoding.sample_rate());
    }
}

/// The waveform of what was drawn. Where nothing was it is silence.
#[derive(Debug)]
struct Peaks {
    stretch: Duration,
    codes: Vec<[i8; 2]>,
}

impl Peaks {
    /// Draws samples that begin at `at`, over what is there.
    fn draw(&mut self, at: Instant, mut samples: &[i16], rate: u32) {
        let (mut at, nanos_each) = (at.as_nanos(), 1_000_000_000 / u64::from(rate));
        while !samples.is_empty() {
            let place = self.place(at);
            let left = (place as u64 + 1) * self.stretch_nanos() - at;
            let count = usize::try_from(left.div_ceil(nanos_each)).unwrap_or(usize::MAX).min(samples.len());
            let (now, later) = samples.split_at(count);
            let least = now.iter().copied().min().map_or(0, code);
            let largest = now.iter().copied().max().map_or(0, code);
            if let Some([low, high]) = self.codes.get_mut(place) {
                (*low, *high) = ((*low).min(least), (*high).max(largest));
            }
            samples = later;
            at += count as u64 * nanos_each;
        }
    }

    /// The stretch of this time, which is made if it is not there yet.
    fn place(&mut self, at: u64) -> usize {
        loop {
            let place = usize::try_from(at / self.stretch_nanos()).unwrap_or(usize::MAX);
            if place < MAX_STRETCHES {
                if place >= self.codes.len() {
                    self.codes.resize(place + 1, [0, 0]);
                }
                return place;
            }
            self.coarsen();
        }
    }

    /// Makes one of each two stretches.
    fn coarsen(&mut self) {
        self.stretch *= 2;
        let joined = |pair: &[[i8; 2]]| {
            pair.iter().fold([0, 0], |[low, high], peak| [low.min(peak[0]), high.max(peak[1])])
        };
        self.codes = self.codes.chunks(2).map(joined).collect();
    }

    fn stretch_nanos(&self) -> u64 {
        u64::try_from(self.stretch.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The root of a sample's share of full scale, in 127ths, with its sign: so a byte shows a whisper, too.
fn code(sample: i16) -> i8 {
    let share = f64::from(sample.unsigned_abs()) / 32_768.0;
    let root = (share.sqrt() * 127.0).round() as i8;
    if sample < 0 { -root } else { root }
}

fn in_base64<S: serde::Serializer>(peaks: &&[[i8; 2]], serializer: S) -> Result<S::Ok, S::Error> {
    let bytes: Vec<u8> = peaks.iter().flatten().map(|code| code.cast_unsigned()).collect();
    serializer.serialize_str(&STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Encoder;

    const RATE: u32 = 8000;

    fn peaks() -> Peaks {
        Peaks { stretch: FIRST_STRETCH, codes: Vec::new() }
    }

    /// A tone of 1000 Hz that reaches `peak`.
    fn tone(peak: i16, samples: usize) -> Vec<i16> {
        let round = [0.0, 0.5_f64.sqrt(), 1.0, 0.5_f64.sqrt(), 0.0, -0.5_f64.sqrt(), -1.0, -0.5_f64.sqrt()];
        round.iter().cycle().take(samples).map(|share| (share * f64::from(peak)) as i16).collect()
    }

    #[test]
    fn a_tone_has_its_peaks_where_it_sounds_and_nowhere_else() {
        let mut peaks = peaks();
        // Half of full scale, and a hundredth of it a second later: 100 ms each.
        peaks.draw(Instant::from_millis(50), &tone(16_384, 800), RATE);
        peaks.draw(Instant::from_millis(1050), &tone(328, 800), RATE);
        assert_eq!(peaks.codes.len(), 230);
        for (n, codes) in peaks.codes.iter().enumerate() {
            let expected = match n {
                10..30 => [-90, 90],
                210..230 => [-13, 13],
                _ => [0, 0],
            };
            assert_eq!(*codes, expected, "the stretch that begins at {} ms", n * 5);
        }
    }

    #[test]
    fn samples_that_begin_within_a_stretch_end_within_one() {
        let mut peaks = peaks();
        peaks.draw(Instant::from_nanos(2_499_999), &[1000; 40], RATE);
        peaks.draw(Instant::from_nanos(7_499_999), &[-1000; 1], RATE);
        let loud = code(1000);
        assert_eq!(peaks.codes, [[0, loud], [-loud, loud]]);
    }

    #[test]
    fn full_scale_fits_and_silence_is_nothing() {
        assert_eq!([i16::MIN, -1, 0, 1, i16::MAX].map(code), [-127, -1, 0, 1, 127]);
    }

    #[test]
    fn what_is_longer_is_drawn_more_coarsely_and_takes_no_more_memory() {
        let mut peaks = peaks();
        peaks.draw(Instant::from_millis(5), &[5000; 1], RATE);
        peaks.draw(Instant::from_millis(12), &[-300; 1], RATE);
        for hour in 1..100 {
            peaks.draw(Instant::from_millis(hour * 3_600_000), &[-7000; 1], RATE);
            assert!(peaks.codes.len() <= MAX_STRETCHES, "{hour} h: {}", peaks.codes.len());
        }
        assert_eq!(peaks.stretch, Duration::from_millis(5 << 8));
        assert_eq!(peaks.codes[0], [code(-300), code(5000)]);
        assert_eq!(peaks.codes.last(), Some(&[code(-7000), 0]));
        peaks.draw(Instant::from_nanos(u64::MAX / 2), &[1; 1], RATE);
        assert!(peaks.codes.len() <= MAX_STRETCHES);
    }

    /// What is drawn of packets of 20 ms: timestamp in ticks, arrival in milliseconds, and how loud each is.
    fn drawn(packets: &[(u32, u64, i16)]) -> Vec<[i8; 2]> {
        let mut voice = Voice::new(Encoding::Pcmu);
        for &(timestamp, at, level) in packets {
            let mut payload = Vec::new();
            Encoder::new(Encoding::Pcmu).encode(&[level; 160], &mut payload);
            let packet =
                Packet { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc: 7, payload: &payload };
            voice.received(Instant::from_millis(at), &packet);
        }
        voice.peaks.codes
    }

    #[test]
    fn packets_are_drawn_where_they_were_said_and_not_where_the_network_put_them() {
        let even = drawn(&[(0, 100, 8000), (160, 120, 8000), (320, 140, 8000)]);
        let shaken = drawn(&[(0, 100, 8000), (160, 155, 8000), (320, 156, 8000)]);
        assert_eq!(even, shaken);
        assert_eq!((even.len(), even[15][1], even[16][1]), (28, 0, even[27][1]));
        let first_is_late = drawn(&[(0, 115, 8000), (160, 120, 8000)]);
        assert_eq!(first_is_late.len(), 24, "the second tells when it was said");
    }

    #[test]
    fn a_sender_that_begins_anew_is_drawn_where_it_comes() {
        let anew = drawn(&[(0, 100, 8000), (8000, 120, 8000)]);
        assert_eq!(anew.len(), 24);
        let pause = drawn(&[(0, 100, 8000), (8000, 1100, 8000)]);
        assert_eq!((pause.len(), pause[100]), (220, [0, 0]), "what is not sent is silence");
        let backwards = drawn(&[(u32::MAX, 100, 8000), (4_000_000, 120, 8000), (159, 140, 8000)]);
        assert_eq!(backwards.len(), 28);
    }

    #[test]
    fn what_is_not_of_the_format_is_not_drawn() {
        let mut voice = Voice::new(Encoding::Pcmu);
        let other =
            Packet { marker: false, payload_type: 101, sequence: 0, timestamp: 0, ssrc: 0, payload: b"1" };
        voice.received(Instant::from_millis(40), &other);
        voice.sent(Instant::from_millis(40), &Packet { payload_type: 0, payload: b"", ..other });
        assert!(voice.peaks.codes.is_empty());
    }
}

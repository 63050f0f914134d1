//! Each packet is heard at its place, and nothing else is.

use super::*;
use crate::call::{Actions, Next};
use crate::capture::tests::start;
use crate::codec::Encoder;
use crate::format::{Encoding, MediaFormat};
use crate::id::LegId;
use crate::settings::MediaPlan;
use std::io::Cursor;

const SSRC: u32 = 7;

/// A file that is being written, and the clock.
struct Desk<'f> {
    stereo: Stereo<&'f mut Cursor<Vec<u8>>>,
    format: MediaFormat,
    encoder: Encoder,
    began: Instant,
    number: u64,
    now_us: u64,
}

/// What came out.
struct Heard {
    sound: Sound,
    left: Vec<i16>,
    right: Vec<i16>,
}

/// What is in the file when that has happened.
fn heard(format: MediaFormat, story: impl FnOnce(&mut Desk<'_>)) -> Heard {
    heard_with(format, &CallSettings::default(), story)
}

fn heard_with(format: MediaFormat, settings: &CallSettings, story: impl FnOnce(&mut Desk<'_>)) -> Heard {
    let start = Start { media: MediaPlan { format, ..MediaPlan::default() }, ..start() };
    let mut file = Cursor::new(Vec::new());
    let sound = {
        let stereo = Stereo::new(settings, &start, &mut file).unwrap();
        let encoder = Encoder::new(format.from_asterisk());
        let began = Instant::from_millis(3);
        let mut desk = Desk { stereo, format, encoder, began, number: 0, now_us: 0 };
        desk.step(None, |_| {});
        story(&mut desk);
        desk.stereo.finish().unwrap()
    };
    file.set_position(0);
    let mut reader = hound::WavReader::new(file).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.bits_per_sample, spec.sample_rate), (2, 16, sound.rate));
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    let (left, right) = samples.chunks(2).map(|frame| (frame[0], frame[1])).unzip();
    Heard { sound, left, right }
}

impl Desk<'_> {
    fn step(&mut self, input: Option<Input<'_>>, act: impl FnOnce(&mut Actions)) {
        let mut out = Actions::new();
        act(&mut out);
        let now = self.began + Duration::from_micros(self.now_us);
        let next = Next { deadline: None, finished: false };
        self.stereo
            .step(&Step { number: self.number, now, input, out: &out, next, given: "", recorded: None })
            .unwrap();
        self.number += 1;
    }

    /// A datagram comes at that time, and this is what the call says to it.
    fn comes(&mut self, at_ms: u64, datagram: &[u8], verdict: Observation) {
        self.now_us = self.now_us.max(at_ms * 1000) + 1;
        let from = "192.0.2.9:5000".parse().unwrap();
        let input = Input::Media { leg: LegId(1), from, bytes: datagram };
        self.step(Some(input), |out| out.observe(verdict));
    }

    /// An audio packet of 20 ms that is taken: all samples have one value.
    fn level(&mut self, at_ms: u64, sequence: u16, timestamp: u32, level: i16) {
        let datagram = self.packet(SSRC, sequence, timestamp, level);
        self.comes(at_ms, &datagram, Observation::RtpIn);
    }

    fn packet(&mut self, ssrc: u32, sequence: u16, timestamp: u32, level: i16) -> Vec<u8> {
        let encoding = self.format.from_asterisk();
        let mut payload = Vec::new();
        self.encoder.encode(&vec![level; encoding.frame_samples()], &mut payload);
        datagram(encoding, ssrc, sequence, timestamp, &payload)
    }

    fn sends(&mut self, at_ms: u64, datagram: &[u8]) {
        self.now_us = self.now_us.max(at_ms * 1000) + 1;
        let to = "192.0.2.9:5000".parse().unwrap();
        self.step(Some(Input::Timer), |out| {
            let bytes = out.put(datagram);
            out.push(Action::SendMedia { leg: LegId(1), to, bytes });
        });
    }

    fn step_at(&mut self, at_ms: u64, act: impl FnOnce(&mut Actions)) {
        self.now_us = self.now_us.max(at_ms * 1000) + 1;
        self.step(Some(Input::Timer), act);
    }

    fn waits_until(&mut self, at_ms: u64) {
        self.now_us = at_ms * 1000;
        self.step(Some(Input::Timer), |_| {});
    }
}

fn datagram(encoding: Encoding, ssrc: u32, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let payload_type = encoding.payload_type();
    let mut bytes = Vec::new();
    Packet { marker: false, payload_type, sequence, timestamp, ssrc, payload }.write(&mut bytes);
    bytes
}

impl Heard {
    /// The level of each 20 ms of the caller at 16 kHz, from `at_ms` on.
    fn levels(&self, at_ms: usize) -> Vec<i16> {
        self.left[at_ms * 16..].chunks(320).map(|frame| frame[0]).collect()
    }
}

const SLIN16: MediaFormat = MediaFormat::Slin16;

/// The clock moves by a microsecond with each step, which is none of a sample.
#[test]
fn both_sides_lie_on_the_clock_of_the_capture() {
    let heard = heard(SLIN16, |desk| {
        desk.level(1000, 9, 1_000_000, 100);
        let mut payload = Vec::new();
        Encoder::new(Encoding::G722).encode(&[1000; 320], &mut payload);
        desk.sends(2500, &datagram(Encoding::G722, 1, 1, 77, &payload));
        desk.waits_until(4000);
    });
    let first = |side: &[i16]| side.iter().position(|sample| sample.unsigned_abs() > 90).unwrap();
    assert_eq!(first(&heard.left), 16_000);
    assert!(heard.left[16_000..16_320].iter().all(|sample| *sample == 100));
    // A filter bank takes its time (G.722 delays by 22 samples).
    assert!((40_000..40_030).contains(&first(&heard.right)), "{}", first(&heard.right));
    assert_eq!((heard.left.len(), heard.right.len()), (64_000, 64_000));
    let Sound { rate, duration, caller_packets, agent_packets, left_out, is_cut } = heard.sound;
    assert_eq!((rate, duration), (16_000, Duration::from_secs(4)));
    assert_eq!((caller_packets, agent_packets, left_out, is_cut), (1, 1, 0, false));
}

#[test]
fn each_format_is_heard_at_its_rate() {
    for format in MediaFormat::ALL {
        let heard = heard(format, |desk| {
            for n in 0..10 {
                let ticks = format.from_asterisk().frame_ticks();
                desk.level(100 + u64::from(n) * 20, n, u32::from(n) * ticks, 8000);
            }
        });
        let rate = format.from_asterisk().sample_rate() as usize;
        assert_eq!((heard.left.len(), heard.sound.caller_packets), (rate * 3 / 10, 10), "{format}");
        assert!(heard.left[..rate / 10].iter().all(|sample| *sample == 0), "{format}");
        let middle = &heard.left[rate / 5..rate * 3 / 10];
        assert!(middle.iter().all(|sample| (7000..9000).contains(sample)), "{format}: {:?}", &middle[..20]);
    }
}

#[test]
fn a_lost_packet_leaves_silence_and_an_overtaken_one_comes_to_its_place() {
    let heard = heard(SLIN16, |desk| {
        // 3 is lost, 5 is overtaken by 6 and 7, 6 comes twice, 8 comes late but comes.
        for (at, n) in [(0, 0), (20, 1), (40, 2), (80, 4), (120, 6), (121, 6), (140, 7), (150, 5), (900, 8)] {
            desk.level(100 + at, n, 5000 + 320 * u32::from(n), 10 + n as i16);
        }
        desk.level(1100, 50, 5000 + 320 * 50, 60);
    });
    let levels = heard.levels(100);
    assert_eq!(levels[..11], [10, 11, 12, 0, 14, 15, 16, 17, 18, 0, 0]);
    assert_eq!(levels[50], 60, "{levels:?}");
    assert_eq!((heard.sound.caller_packets, heard.sound.left_out), (9, 1));
}

#[test]
fn jitter_of_the_network_moves_nothing() {
    let heard = heard(SLIN16, |desk| {
        for n in 0..100_u16 {
            desk.level(
                100 + 20 * u64::from(n) + [0, 7, 19, 3][usize::from(n) % 4],
                n,
                320 * u32::from(n),
                1 + n as i16,
            );
        }
    });
    assert_eq!(heard.levels(100)[..100], (1..=100).collect::<Vec<i16>>());
}

#[test]
fn a_jump_of_the_timestamp_or_another_stream_begins_where_it_comes() {
    let heard = heard(SLIN16, |desk| {
        desk.level(100, 0, 320, 1);
        // Ten minutes ahead, and a stream of another sender, whose first packet overtakes the last of the old one.
        desk.level(200, 1, 320 + 16_000 * 600, 2);
        let (new, old) = (desk.packet(99, 7, 123, 3), desk.packet(SSRC, 2, 640 + 16_000 * 600, 4));
        desk.comes(240, &new, Observation::RtpIn);
        desk.comes(241, &old, Observation::RtpIn);
        let new = desk.packet(99, 8, 123 + 320, 5);
        desk.comes(262, &new, Observation::RtpIn);
    });
    assert_eq!(heard.levels(100), [1, 0, 0, 0, 0, 2, 4, 3, 5]);
}

#[test]
fn a_timestamp_that_wraps_around_goes_on() {
    let heard = heard(SLIN16, |desk| {
        for n in 0..6_u16 {
            let timestamp = (u32::MAX - 700).wrapping_add(320 * u32::from(n));
            desk.level(20 * u64::from(n), 65_533_u16.wrapping_add(n), timestamp, 1 + n as i16);
        }
    });
    assert_eq!(heard.levels(0)[..6], [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_clock_that_drifts_is_set_right_in_the_next_pause() {
    let heard = heard(SLIN16, |desk| {
        // The sender's second has 1010 ms; after a minute it says nothing for a while.
        for n in 0..3000_u64 {
            desk.level(n * 202 / 10, n as u16, 320 * n as u32, 1);
        }
        desk.level(62_000, 3000, 320 * 3070, 2);
    });
    let first = heard.left.iter().position(|sample| *sample == 2).unwrap();
    assert_eq!(first, 62_000 * 16);
    assert_eq!(heard.left[..3000 * 320], vec![1; 3000 * 320], "until then the packets lie side by side");
}

#[test]
fn a_backlog_after_a_stall_keeps_every_word() {
    let heard = heard(SLIN16, |desk| {
        for n in 0..50_u16 {
            desk.level(100 + 20 * u64::from(n), n, 320 * u32::from(n), 1);
        }
        // Nothing for two seconds, and then all of it at once, by the sender's clock.
        for n in 50..150_u16 {
            desk.level(3080, n, 320 * u32::from(n), 2);
        }
        for n in 150..160_u16 {
            desk.level(100 + 20 * u64::from(n), n, 320 * u32::from(n), 3);
        }
    });
    let levels = heard.levels(100);
    assert_eq!(levels[..160], [vec![1; 50], vec![2; 100], vec![3; 10]].concat());
    assert_eq!(heard.sound.left_out, 0);
}

#[test]
fn only_what_the_call_takes_for_the_caller_is_heard() {
    let heard_if = |verdict: Option<Observation>| {
        let heard = heard(SLIN16, |desk| {
            let datagram = desk.packet(SSRC, 1, 1, 9);
            match verdict {
                Some(verdict) => desk.comes(100, &datagram, verdict),
                None => desk.waits_until(120),
            }
        });
        heard.left.contains(&9)
    };
    assert!(heard_if(Some(Observation::RtpIn)) && !heard_if(None));
    for why in [RtpDrop::Held, RtpDrop::Late] {
        assert!(heard_if(Some(Observation::RtpDropped(why))), "{why:?}");
    }
    for why in [RtpDrop::Stranger, RtpDrop::PayloadType, RtpDrop::Malformed, RtpDrop::Flood, RtpDrop::Early] {
        assert!(!heard_if(Some(Observation::RtpDropped(why))), "{why:?}");
    }
}

#[test]
fn what_the_caller_says_before_the_answer_is_heard_where_it_is_known_to_be_the_caller() {
    for (source, is_heard) in [(RtpSource::Strict, true), (RtpSource::Learn, false)] {
        let settings = CallSettings { rtp_source: source, ..CallSettings::default() };
        let heard = heard_with(SLIN16, &settings, |desk| {
            let early = Observation::RtpDropped(RtpDrop::Early);
            let [before, after] = [1, 2].map(|n| desk.packet(SSRC, n, 320 * u32::from(n), n as i16));
            desk.comes(100, &before, early);
            desk.step_at(110, |out| out.observe(Observation::MediaReady { after: Duration::ZERO }));
            desk.comes(120, &after, early);
        });
        assert!(!heard.left.contains(&1));
        assert_eq!(heard.left.contains(&2), is_heard, "{source:?}");
    }
}

#[test]
fn events_and_payloads_of_other_types_are_no_audio() {
    let heard = heard(SLIN16, |desk| {
        for payload_type in [101, 13, 0] {
            let mut event = desk.packet(SSRC, 1, 1, 9);
            event[1] = payload_type;
            desk.comes(100, &event, Observation::RtpIn);
        }
        desk.comes(130, b"no RTP", Observation::RtpIn);
        desk.waits_until(200);
    });
    assert_eq!(heard.left, vec![0; 3200]);
}

#[test]
fn a_flood_of_short_packets_is_written_earlier_instead_of_held() {
    let heard = heard(MediaFormat::Ulaw, |desk| {
        // Packets of a millisecond: more than the window is meant for.
        for n in 0..20_000_u32 {
            let bytes = datagram(Encoding::Pcmu, SSRC, n as u16, 8 * n, &[0; 8]);
            desk.comes(u64::from(n), &bytes, Observation::RtpIn);
            assert!(desk.stereo.caller.held_packets() <= track::MAX_HELD);
        }
    });
    assert_eq!((heard.sound.caller_packets, heard.sound.left_out), (20_000, 0));
    assert!(heard.left[..160_000].iter().all(|sample| *sample < -30_000));
}

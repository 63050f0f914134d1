//! The downlink as stories: an agent speaks, and the packets are looked at.

mod ledger;

use super::*;
use crate::codec::Decoder;
use crate::rng::Rng;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;

const CUSHION: Duration = Duration::from_millis(40);

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn delta(samples: &[i16]) -> String {
    let mut bytes = Vec::new();
    pcm::to_le_bytes(samples, &mut bytes);
    BASE64_STANDARD.encode(bytes)
}

/// What the caller's end sees of one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    at_ms: u64,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    skipped: u32,
}

/// An answered call in which the agent speaks; sequence and timestamp are told relative to the first ones.
struct Agent {
    downlink: Downlink,
    first: (u16, u32),
}

impl Agent {
    fn answered(encoding: Encoding, millis: u64) -> Self {
        let mut downlink = Downlink::new(encoding, CUSHION, &mut Rng::new(1));
        let first = (downlink.rtp.next_sequence, downlink.rtp.first_timestamp);
        downlink.start(at(millis));
        Self { downlink, first }
    }

    fn push(&mut self, millis: u64, item: &str, audio_ms: usize) -> Pushed {
        self.downlink.push_base64(at(millis), item, 0, delta(&vec![5000; audio_ms * 24]).as_bytes())
    }

    fn poll(&mut self, millis: u64) -> Option<Seen> {
        let mut datagram = Vec::new();
        let sent = self.downlink.poll(at(millis), &mut datagram);
        assert_eq!(sent.is_some(), !datagram.is_empty());
        let (sent, packet) = (sent?, Packet::parse(&datagram).unwrap());
        let encoding = self.downlink.rtp.encoding;
        assert_eq!(packet.payload.len(), encoding.frame_bytes());
        assert_eq!(packet.payload_type, encoding.payload_type());
        assert_eq!(packet.marker, sent.first_of_talkspurt);
        Some(Seen {
            at_ms: millis,
            marker: packet.marker,
            sequence: packet.sequence.wrapping_sub(self.first.0),
            timestamp: packet.timestamp.wrapping_sub(self.first.1),
            skipped: sent.skipped_slots,
        })
    }

    /// Comes back at every deadline, like a driver that is never late, until nothing is due.
    fn run(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        while let Some(due) = self.downlink.deadline() {
            seen.push(self.poll(due.as_millis()).expect("a packet at its deadline"));
            assert!(self.downlink.deadline().is_none_or(|next| next > due));
        }
        seen
    }
}

#[test]
fn a_talkspurt_is_one_packet_in_each_slot_with_exact_numbers() {
    let mut agent = Agent::answered(Encoding::G722, 1000);
    agent.push(1007, "a", 100);
    let seen = agent.run();
    assert_eq!(seen.len(), 6, "five frames, and one for the end of the last");
    for (n, packet) in seen.iter().enumerate() {
        let slot = n as u64 + 1;
        let (marker, timestamp) = (n == 0, slot as u32 * 160);
        assert_eq!(
            *packet,
            Seen { at_ms: 1000 + slot * 20, marker, sequence: n as u16, timestamp, skipped: 0 }
        );
    }
}

#[test]
fn over_a_gap_the_timestamp_follows_the_clock_and_the_marker_is_set() {
    let mut agent = Agent::answered(Encoding::Pcmu, 0);
    agent.push(1, "a", 40);
    assert_eq!(agent.run().last().unwrap().timestamp, 3 * 160);
    agent.push(10_001, "b", 40);
    let seen = agent.run();
    assert_eq!(seen[0], Seen { at_ms: 10_020, marker: true, sequence: 3, timestamp: 501 * 160, skipped: 0 });
    assert_eq!(seen[1], Seen { at_ms: 10_040, marker: false, sequence: 4, timestamp: 502 * 160, skipped: 0 });
}

#[test]
fn a_late_poll_sends_one_frame_and_skips_the_missed_slots() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.push(0, "a", 1000);
    assert_eq!(agent.poll(20).unwrap().timestamp, 160);
    let late = agent.poll(115).unwrap();
    assert_eq!((late.sequence, late.timestamp, late.skipped), (1, 5 * 160, 3));
    assert_eq!(agent.poll(115), None, "one packet in a slot");
    assert_eq!(agent.downlink.deadline(), Some(at(120)), "back on the grid");
    assert_eq!(agent.poll(120).unwrap().skipped, 0);
    assert_eq!(agent.downlink.queued_ms(), 1000 - 60);
}

#[test]
fn before_the_answer_audio_waits() {
    let mut downlink = Downlink::new(Encoding::G722, CUSHION, &mut Rng::new(1));
    let mut datagram = Vec::new();
    assert_eq!(downlink.push_base64(at(5), "a", 0, delta(&[1; 4800]).as_bytes()), Pushed::Queued);
    assert_eq!((downlink.deadline(), downlink.queued_ms()), (None, 200));
    assert_eq!(downlink.poll(at(500), &mut datagram), None);
    downlink.start(at(1000));
    assert_eq!(downlink.deadline(), Some(at(1020)));
}

#[test]
fn a_short_first_delta_waits_for_more_for_a_completed_item_or_for_40_ms() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.push(5, "a", 10);
    assert_eq!(agent.downlink.deadline(), Some(at(60)), "5 + 40 ms, and the next slot");
    let mut more = Agent::answered(Encoding::G722, 0);
    more.push(5, "a", 10);
    more.push(12, "a", 30);
    assert_eq!(more.downlink.deadline(), Some(at(20)), "40 ms are here");
    agent.downlink.item_done(at(25), "a", 0);
    assert_eq!(agent.downlink.deadline(), Some(at(40)), "nothing more comes");
    assert_eq!(agent.run().len(), 1, "10 ms of audio, its fade, and its tail, in the same frame");
}

#[test]
fn barge_in_silences_within_a_frame_and_tells_what_was_heard() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.push(0, "a", 1000);
    for slot in 1..=7 {
        agent.poll(slot * 20);
    }
    let cut = agent.downlink.barge_in().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.heard_ms, cut.received_ms, cut.dropped_ms), ("a", 140, 1000, 860));
    assert_eq!(agent.push(150, "a", 200), Pushed::Muted);
    assert_eq!(agent.run().len(), 1, "the fade");
    assert_eq!((agent.downlink.deadline(), agent.downlink.is_playing()), (None, false));
    assert_eq!(agent.downlink.barge_in(), None, "a second one finds nothing");
    // The next answer is a talkspurt of its own, and its packets go on in sequence.
    assert_eq!(agent.push(303, "b", 100), Pushed::Queued);
    let next = agent.run();
    assert_eq!(next[0], Seen { at_ms: 320, marker: true, sequence: 8, timestamp: 16 * 160, skipped: 0 });
}

#[test]
fn barge_in_in_a_lull_cuts_the_item_that_ran_dry_and_mutes_the_rest_of_it() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.push(0, "a", 40);
    agent.run();
    assert!(!agent.downlink.is_playing());
    let cut = agent.downlink.barge_in().unwrap();
    assert_eq!((cut.heard_ms, cut.received_ms, cut.dropped_ms, cut.is_complete), (40, 40, 0, false));
    assert_eq!(agent.push(500, "a", 40), Pushed::Muted);
}

#[test]
fn barge_in_after_an_answer_that_was_heard_to_its_end_cuts_nothing() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.push(0, "a", 40);
    agent.downlink.response_done(at(1));
    agent.run();
    assert_eq!(agent.downlink.barge_in(), None);
}

#[test]
fn the_end_of_the_audio_is_heard_and_no_more_than_that_is_sent() {
    // The fade and the resampler's delay, 5 ms each, fit behind 10 ms of audio, not behind 11.
    for (samples, packets) in [(10 * 24, 1), (11 * 24, 2), (20 * 24, 2), (30 * 24, 2), (31 * 24, 3)] {
        let mut agent = Agent::answered(Encoding::G722, 0);
        agent.downlink.push_base64(at(0), "a", 0, delta(&vec![9000; samples]).as_bytes());
        assert_eq!(agent.run().len(), packets, "{samples} samples");
    }
}

#[test]
fn a_talkspurt_begins_without_an_echo_of_what_was_before() {
    for cut_off in [true, false] {
        let mut agent = Agent::answered(Encoding::Pcmu, 0);
        agent.downlink.push_base64(at(0), "a", 0, delta(&[20_000; 1440 + 360]).as_bytes());
        if cut_off {
            (1..=3).for_each(|slot| assert!(agent.poll(slot * 20).is_some()));
            agent.downlink.barge_in().unwrap();
            agent.run();
        } else {
            agent.run();
        }
        agent.downlink.push_base64(at(200), "b", 0, delta(&[0; 960]).as_bytes());
        let mut datagram = Vec::new();
        agent.downlink.poll(at(220), &mut datagram).unwrap();
        let payload = Packet::parse(&datagram).unwrap().payload;
        assert!(payload.iter().all(|&code| code == 0xFF), "silence, after cut_off = {cut_off}");
    }
}

#[test]
fn a_sample_that_is_split_between_two_deltas_is_put_together() {
    let mut bytes = Vec::new();
    pcm::to_le_bytes(&[0x1234; 960], &mut bytes);
    let mut agent = Agent::answered(Encoding::G722, 0);
    for piece in [&bytes[..7], &bytes[7..8], &bytes[8..1001], &bytes[1001..]] {
        let pushed = agent.downlink.push_base64(at(0), "a", 0, BASE64_STANDARD.encode(piece).as_bytes());
        assert_eq!(pushed, Pushed::Queued);
    }
    let mut frame = Vec::new();
    assert_eq!(agent.downlink.playout.next_frame(&mut frame), 480);
    assert_eq!(agent.downlink.playout.next_frame(&mut frame), 480);
    assert_eq!(frame, bytes);
    frame.clear();
    // The half sample of one item is not joined to another.
    agent.downlink.push_base64(at(0), "a", 0, BASE64_STANDARD.encode([1, 2, 3]).as_bytes());
    agent.downlink.push_base64(at(0), "b", 0, BASE64_STANDARD.encode([4, 5]).as_bytes());
    agent.downlink.playout.next_frame(&mut frame);
    assert_eq!(frame, [1, 2, 4, 5]);
}

#[test]
fn what_is_not_base64_is_refused_and_missing_padding_is_not() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    assert_eq!(agent.downlink.push_base64(at(0), "a", 0, b"not base64!"), Pushed::BadBase64);
    assert_eq!(agent.downlink.push_base64(at(0), "a", 0, b""), Pushed::Queued);
    assert_eq!(agent.downlink.deadline(), None);
    assert_eq!(agent.downlink.push_base64(at(0), "a", 0, b"AQI"), Pushed::Queued);
    assert_eq!(agent.downlink.queued_ms(), 1);
}

#[test]
fn what_the_caller_hears_is_the_tone_that_the_model_made() {
    let tone = |rate: f64, n: usize| 9000.0 * (n as f64 * core::f64::consts::TAU * 1004.0 / rate).sin();
    let model: Vec<i16> = (0..24_000).map(|n| pcm::round(tone(24_000.0, n))).collect();
    for (encoding, decibels) in [(Encoding::G722, 30.0), (Encoding::Pcmu, 35.0), (Encoding::Pcma, 35.0)] {
        let mut agent = Agent::answered(encoding, 0);
        agent.downlink.push_base64(at(0), "a", 0, delta(&model).as_bytes());
        let (mut decoder, mut heard) = (Decoder::new(encoding), Vec::new());
        while let Some(due) = agent.downlink.deadline() {
            let mut datagram = Vec::new();
            agent.downlink.poll(due, &mut datagram).unwrap();
            decoder.decode(Packet::parse(&datagram).unwrap().payload, &mut heard);
        }
        // 5 ms for the resampler; G.722's two filter banks add 22 samples (ITU-T G.722 §2.5).
        let rate = encoding.sample_rate();
        let delay = rate as usize / 200 + if encoding == Encoding::G722 { 22 } else { 0 };
        let (mut signal, mut noise) = (0.0, 0.0);
        for n in rate as usize / 4..rate as usize * 3 / 4 {
            let wanted = tone(f64::from(rate), n);
            signal += wanted * wanted;
            noise += (wanted - f64::from(heard[n + delay])).powi(2);
        }
        let snr = 10.0 * (signal / noise).log10();
        assert!(snr > decibels, "{encoding:?}: {snr:.1} dB");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push { item: u8, samples: usize },
    Done { item: u8 },
    BargeIn,
    Poll,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..6, 0usize..4000).prop_map(|(item, samples)| Step::Push { item, samples }),
        1 => (0u8..6).prop_map(|item| Step::Done { item }),
        1 => Just(Step::BargeIn),
        6 => Just(Step::Poll),
    ]
}

proptest! {
    /// Whatever comes when: sequence +1, at most one packet in a slot, the timestamp is the slot's, the
    /// marker stands exactly after silence, and after a poll the deadline is ahead and on the grid.
    #[test]
    fn the_stream_is_exact_whatever_happens(
        seed: u64, start in 0u64..500, story in proptest::collection::vec((0u64..70, step()), 1..200),
    ) {
        let mut downlink = Downlink::new(Encoding::G722, CUSHION, &mut Rng::new(seed));
        let (mut now, mut datagram) = (start, Vec::new());
        let mut last: Option<(u16, u64)> = None;
        let first_timestamp = downlink.rtp.first_timestamp;
        downlink.start(at(start));
        for (wait, step) in story {
            now += wait;
            match step {
                Step::Push { item, samples } => {
                    downlink.push_base64(at(now), &item.to_string(), 0, delta(&vec![77; samples]).as_bytes());
                }
                Step::Done { item } => downlink.item_done(at(now), &item.to_string(), 0),
                Step::BargeIn => if let Some(cut) = downlink.barge_in() {
                    prop_assert!(cut.heard_ms <= cut.received_ms);
                    prop_assert_eq!(downlink.queued_ms(), 0);
                },
                Step::Poll => {}
            }
            let due = downlink.deadline().is_some_and(|due| due <= at(now));
            datagram.clear();
            let sent = downlink.poll(at(now), &mut datagram);
            prop_assert_eq!(sent.is_some(), due, "a packet exactly when one was due");
            if sent.is_some() {
                let (packet, slot) = (Packet::parse(&datagram).unwrap(), (now - start) / 20);
                prop_assert_eq!(packet.timestamp, first_timestamp.wrapping_add(slot as u32 * 160));
                if let Some((sequence, last_slot)) = last {
                    prop_assert_eq!(packet.sequence, sequence.wrapping_add(1));
                    prop_assert!(slot > last_slot);
                }
                last = Some((packet.sequence, slot));
            }
            if let Some(due) = downlink.deadline() {
                prop_assert!(due > at(now) && (due.as_millis() - start).is_multiple_of(20));
            }
            prop_assert_eq!(downlink.is_playing(), downlink.deadline().is_some());
        }
    }

    #[test]
    fn no_delta_whatsoever_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let mut downlink = Downlink::new(Encoding::Pcma, CUSHION, &mut Rng::new(0));
        downlink.push_base64(at(0), "a", 0, &bytes);
    }
}

/// The largest step from one sample to the next.
fn steepest(samples: &[i16]) -> u32 {
    samples.windows(2).map(|pair| pair[0].abs_diff(pair[1]).into()).max().unwrap_or(0)
}

/// What the caller hears of an agent that says a 200 Hz tone: every packet until nothing is due, decoded.
fn heard(agent: &mut Agent, decoder: &mut Decoder, until: u64) -> Vec<i16> {
    let mut heard = Vec::new();
    while let Some(due) = agent.downlink.deadline().filter(|due| due.as_millis() <= until) {
        let mut datagram = Vec::new();
        agent.downlink.poll(due, &mut datagram).unwrap();
        decoder.decode(Packet::parse(&datagram).unwrap().payload, &mut heard);
    }
    heard
}

fn tone(rate: f64, samples: usize) -> Vec<i16> {
    let step = core::f64::consts::TAU * 200.0 / rate;
    (0..samples).map(|n| pcm::round(16_000.0 * (n as f64 * step).sin())).collect()
}

#[test]
fn neither_the_end_nor_a_barge_in_nor_a_lull_clicks() {
    // The steepest step of the tone itself, and of what its fade may add to it.
    let bound = steepest(&tone(8000.0, 8000)) * 5 / 4;
    let tone = tone(24_000.0, 24 * 500);
    for story in ["end", "barge-in", "lull"] {
        let mut agent = Agent::answered(Encoding::Pcmu, 0);
        let mut decoder = Decoder::new(Encoding::Pcmu);
        // The end lies in the middle of a wave and of a frame: 133 ms.
        agent.downlink.push_base64(at(0), "a", 0, delta(&tone[..24 * 133]).as_bytes());
        let mut audio = heard(&mut agent, &mut decoder, if story == "barge-in" { 80 } else { 1000 });
        match story {
            "barge-in" => {
                agent.downlink.barge_in().unwrap();
                let fade = heard(&mut agent, &mut decoder, 1000);
                assert_eq!(fade.len(), 160, "one frame");
                assert!(fade[11 * 8..].iter().all(|sample| sample.unsigned_abs() < 16), "silent after 10 ms");
                audio.extend(fade);
            }
            "lull" => {
                agent.downlink.push_base64(at(1000), "a", 0, delta(&tone[24 * 133..24 * 300]).as_bytes());
                audio.extend(heard(&mut agent, &mut decoder, 2000));
            }
            _ => {}
        }
        let step = steepest(&audio);
        assert!(step <= bound, "{story}: a step of {step}, where the tone has {bound}");
    }
}

#[test]
fn where_model_and_line_speak_the_same_g711_not_a_bit_is_changed() {
    for (line, model) in [(Encoding::Pcmu, ModelFormat::Pcmu), (Encoding::Pcma, ModelFormat::Pcma)] {
        let mut agent = Agent::answered(line, 0);
        agent.downlink.set_model_format(model);
        // Every code, with both zeros of the law, in three frames.
        let audio: Vec<u8> = (0..=255).cycle().take(480).collect();
        agent.downlink.push_base64(at(0), "a", 0, BASE64_STANDARD.encode(&audio).as_bytes());
        let mut payloads = Vec::new();
        while let Some(due) = agent.downlink.deadline() {
            let mut datagram = Vec::new();
            agent.downlink.poll(due, &mut datagram).unwrap();
            payloads.push(Packet::parse(&datagram).unwrap().payload.to_vec());
        }
        assert_eq!(payloads[..3].concat(), audio);
        assert_eq!(payloads.len(), 4, "and a frame for its end");
        let silence = if line == Encoding::Pcmu { 0xFF } else { 0xD5 };
        assert_eq!(payloads[3][40..], [silence; 120]);
        agent.downlink.push_base64(at(1000), "b", 0, BASE64_STANDARD.encode(&audio).as_bytes());
        let cut = agent.downlink.barge_in().unwrap();
        assert_eq!((cut.received_ms, cut.dropped_ms), (60, 60));
    }
}

#[test]
fn g711_of_the_model_is_resampled_for_a_line_that_speaks_something_else() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.downlink.set_model_format(ModelFormat::Pcma);
    let mut codes = Vec::new();
    Encoder::new(Encoding::Pcma).encode(&tone(8000.0, 8 * 200), &mut codes);
    agent.downlink.push_base64(at(0), "a", 0, BASE64_STANDARD.encode(codes).as_bytes());
    let audio = heard(&mut agent, &mut Decoder::new(Encoding::G722), 1000);
    assert_eq!(audio.len(), 16 * 220);
    let loudest = audio.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!((14_000..18_000).contains(&loudest), "{loudest}");
}

#[test]
fn the_cushion_is_what_the_operator_says() {
    for (cushion_ms, due) in [(0, 20), (40, 60), (200, 220)] {
        let cushion = Duration::from_millis(cushion_ms);
        let mut downlink = Downlink::new(Encoding::Pcmu, cushion, &mut Rng::new(1));
        downlink.start(at(0));
        downlink.push_base64(at(5), "a", 0, delta(&[1; 24 * 10]).as_bytes());
        assert_eq!(downlink.deadline(), Some(at(due)), "{cushion_ms} ms");
    }
}

#[test]
fn an_answer_in_one_delta_of_minutes_is_taken_in_part_and_leaves_no_large_buffer_behind() {
    let mut agent = Agent::answered(Encoding::Pcmu, 0);
    let pushed = agent.downlink.push_base64(at(0), "a", 0, delta(&vec![1; 24 * 320_000]).as_bytes());
    assert_eq!(pushed, Pushed::Full { dropped_ms: 20_000 });
    assert!(agent.downlink.bytes.capacity() <= KEPT_BYTES);
    agent.poll(20);
    assert_eq!(agent.downlink.barge_in().unwrap().heard_ms, 20);
}

/// What is queued, in samples.
fn queued(agent: &mut Agent) -> Vec<i16> {
    let (mut bytes, mut samples) = (Vec::new(), Vec::new());
    while agent.downlink.playout.next_frame(&mut bytes) > 0 {}
    pcm::from_le_bytes(&bytes, &mut samples);
    samples
}

#[test]
fn a_delta_that_is_not_base64_between_two_halves_of_a_sample_makes_no_noise_of_the_rest() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    let mut bytes = Vec::new();
    pcm::to_le_bytes(&[0x0010; 960], &mut bytes);
    for half in [&bytes[..961], &bytes[961..]] {
        agent.downlink.push_base64(at(0), "a", 0, BASE64_STANDARD.encode(half).as_bytes());
        assert_eq!(agent.downlink.push_base64(at(0), "a", 0, b"!!!"), Pushed::BadBase64);
    }
    assert_eq!(queued(&mut agent), [0x0010; 960]);
}

#[test]
fn half_a_sample_waits_for_its_other_half_until_its_own_part_is_done() {
    for (done, whole) in [(("b", 0), true), (("a", 1), true), (("a", 0), false)] {
        let mut agent = Agent::answered(Encoding::G722, 0);
        agent.downlink.push_base64(at(0), "a", 0, BASE64_STANDARD.encode([1, 0, 2]).as_bytes());
        agent.downlink.item_done(at(1), done.0, done.1);
        agent.downlink.push_base64(at(2), "a", 0, BASE64_STANDARD.encode([0, 3]).as_bytes());
        assert_eq!(queued(&mut agent), if whole { [1, 2] } else { [1, 0x0300] }, "{done:?}");
    }
}

#[test]
fn half_a_sample_at_the_end_of_an_answer_without_a_name_is_not_the_beginning_of_the_next() {
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.downlink.push_base64(at(0), "", 0, BASE64_STANDARD.encode([0; 961]).as_bytes());
    agent.downlink.response_done(at(1));
    agent.run();
    agent.downlink.push_base64(at(5000), "", 0, delta(&[0x0010; 960]).as_bytes());
    assert_eq!(queued(&mut agent), [0x0010; 960]);
}

#[test]
fn a_large_delta_that_is_not_base64_leaves_no_large_buffer_behind() {
    let mut agent = Agent::answered(Encoding::Pcmu, 0);
    let text = BASE64_STANDARD.encode(vec![0; 10_000_000]) + "!";
    assert_eq!(agent.downlink.push_base64(at(0), "a", 0, text.as_bytes()), Pushed::BadBase64);
    assert!(agent.downlink.bytes.capacity() <= KEPT_BYTES);
}

#[test]
fn whatever_is_thrown_away_at_a_barge_in_is_told_and_nothing_else() {
    // A whole item that came while the fade of the one before was due.
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.push(0, "a", 1000);
    agent.poll(20);
    agent.downlink.barge_in().unwrap();
    agent.push(21, "b", 500);
    agent.downlink.response_done(at(22));
    let cut = agent.downlink.barge_in().unwrap();
    assert_eq!((cut.item_id.as_str(), cut.heard_ms, cut.dropped_ms), ("b", 0, 500));

    // An item whose end did not fit into the queue, after it was played to where it was cut.
    let mut agent = Agent::answered(Encoding::Pcmu, 0);
    agent.push(0, "a", 320_000);
    agent.downlink.response_done(at(1));
    agent.run();
    let cut = agent.downlink.barge_in().unwrap();
    assert_eq!((cut.heard_ms, cut.received_ms), (300_000, 320_000));

    // An item that was heard to its end, while its last frame fades.
    let mut agent = Agent::answered(Encoding::G722, 0);
    agent.push(0, "a", 40);
    agent.downlink.response_done(at(1));
    agent.poll(20);
    agent.poll(40);
    assert!(agent.downlink.is_playing());
    assert_eq!(agent.downlink.barge_in(), None);
}

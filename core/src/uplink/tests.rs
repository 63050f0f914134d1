//! Callers on good and bad lines, and what the model is given of them.

mod clock;
mod streams;

use super::*;
use crate::format::{MODEL_RATE, MediaFormat};
use proptest::prelude::*;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn datagram(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Packet { marker: false, payload_type, sequence, timestamp, ssrc: 7, payload }.write(&mut out);
    out
}

/// A slin16 caller who says a constant, so that audio and silence are told apart by eye; the model takes 24 kHz.
struct Caller {
    uplink: Uplink,
    out: Vec<i16>,
    concealed_ms: u32,
}

impl Caller {
    fn listening() -> Self {
        let mut uplink = Uplink::new(Encoding::L16Wideband, 1.0);
        uplink.start(at(0), ModelFormat::Pcm24);
        Self { uplink, out: Vec::new(), concealed_ms: 0 }
    }

    /// Feeds a packet of `ms`; gives how many milliseconds the model got, and what was lost.
    fn say(&mut self, millis: u64, sequence: u16, ms: usize) -> (usize, u32) {
        let timestamp = u32::from(sequence) * 16 * ms as u32;
        self.say_stamped(millis, sequence, timestamp, ms)
    }

    fn say_stamped(&mut self, millis: u64, sequence: u16, timestamp: u32, ms: usize) -> (usize, u32) {
        let payload: Vec<u8> = 1000i16.to_be_bytes().repeat(16 * ms);
        let datagram = datagram(118, sequence, timestamp, &payload);
        assert_eq!(self.uplink.receive(at(millis), &datagram), Ok(()));
        self.poll(millis)
    }

    fn poll(&mut self, millis: u64) -> (usize, u32) {
        let mut bytes = Vec::new();
        let poll = self.uplink.poll(at(millis), true, &mut bytes);
        self.out.clear();
        crate::pcm::from_le_bytes(&bytes, &mut self.out);
        self.concealed_ms = poll.concealed_ms;
        (self.out.len() / 24, poll.lost_packets)
    }

    fn silent(&self) -> bool {
        self.out.iter().all(|&sample| sample == 0)
    }

    fn largest_step(&self) -> u16 {
        self.out.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap_or(0)
    }
}

#[test]
fn packets_are_passed_on_at_once_whatever_their_size() {
    for ms in [10, 20, 30, 40, 60] {
        let mut caller = Caller::listening();
        for n in 0..50u16 {
            let sequence = 65_530u16.wrapping_add(n);
            assert_eq!(caller.say(u64::from(n) * ms, sequence, ms as usize), (ms as usize, 0));
        }
        assert_eq!(caller.out.last(), Some(&1000));
    }
}

#[test]
fn every_encoding_reaches_every_model_in_full_length_whatever_the_size_of_the_packets() {
    for encoding in MediaFormat::ALL.map(MediaFormat::from_asterisk) {
        for model in ModelFormat::ALL {
            for ms in [10, 20, 30, 40, 60, 100] {
                let payload = vec![0x55; encoding.frame_bytes() * ms / 20];
                let is_too_long = payload.len() + 12 > MAX_DATAGRAM_BYTES;
                assert_eq!(is_too_long, encoding == Encoding::L16Wideband && ms == 100);
                let mut uplink = Uplink::new(encoding, 1.0);
                uplink.start(at(0), model);
                for n in (0..5u16).take_while(|_| !is_too_long) {
                    let (ticks, now) =
                        (encoding.frame_ticks() * ms as u32 / 20, at(u64::from(n) * ms as u64));
                    let datagram = datagram(encoding.payload_type(), n, u32::from(n) * ticks, &payload);
                    assert_eq!(uplink.receive(now, &datagram), Ok(()));
                    let mut out = Vec::new();
                    assert_eq!(uplink.poll(now, false, &mut out), UplinkPoll::default());
                    assert_eq!(out.len(), model.frame_bytes() * ms / 20, "{encoding:?} {model:?} {ms} ms");
                }
            }
        }
    }
}

const LAWS: [(Encoding, ModelFormat); 2] =
    [(Encoding::Pcmu, ModelFormat::Pcmu), (Encoding::Pcma, ModelFormat::Pcma)];

#[test]
fn g711_is_passed_on_byte_for_byte_to_a_model_of_the_same_law() {
    let all: Vec<u8> = (0..=255).collect();
    for (law, model) in LAWS {
        let mut uplink = Uplink::new(law, 1.0);
        uplink.start(at(0), model);
        uplink.receive(at(0), &datagram(law.payload_type(), 1, 0, &all)).unwrap();
        let mut out = Vec::new();
        uplink.poll(at(0), true, &mut out);
        assert_eq!(out, all);
    }
}

#[test]
fn with_a_gain_each_code_of_the_law_becomes_the_louder_one() {
    for (law, model) in LAWS {
        let all: Vec<u8> = (0..=255).collect();
        let mut uplink = Uplink::new(law, 2.5);
        uplink.start(at(0), model);
        uplink.receive(at(0), &datagram(law.payload_type(), 1, 0, &all)).unwrap();
        let (mut codes, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
        uplink.poll(at(0), true, &mut codes);
        Decoder::new(law).decode(&all, &mut before);
        Decoder::new(law).decode(&codes, &mut after);
        Gain::new(2.5).apply(&mut before);
        for (wanted, got) in before.into_iter().zip(after) {
            let error = (i32::from(wanted) - i32::from(got)).abs();
            assert!(error <= i32::from(wanted).abs() / 25 + 17, "{wanted} as {got}");
        }
    }
}

#[test]
fn after_a_loss_only_the_first_five_milliseconds_of_g711_are_encoded_anew() {
    for (law, model) in LAWS {
        let mut uplink = Uplink::new(law, 1.0);
        uplink.start(at(0), model);
        let voice: Vec<u8> = (0..160).map(|n| if n % 50 < 25 { 0x20 } else { 0xA0 }).collect();
        let later: Vec<u8> = voice.iter().map(|code| code ^ 0x13).collect();
        let mut out = Vec::new();
        uplink.receive(at(0), &datagram(law.payload_type(), 1, 0, &voice)).unwrap();
        uplink.receive(at(40), &datagram(law.payload_type(), 3, 320, &later)).unwrap();
        uplink.receive(at(60), &datagram(law.payload_type(), 4, 480, &later)).unwrap();
        let poll = uplink.poll(at(80), true, &mut out);
        assert_eq!(poll, UplinkPoll { lost_packets: 1, concealed_ms: 20 });
        assert_eq!(out.len(), 4 * 160);
        assert_eq!(out[..160], voice);
        assert_eq!(out[160..200], voice[110..150], "the last period goes on");
        assert_ne!(out[320..360], later[..40]);
        assert_eq!(out[360..480], later[40..]);
        assert_eq!(out[480..], later);
    }
}

#[test]
fn before_the_model_listens_packets_are_early_and_nothing_is_due() {
    let mut uplink = Uplink::new(Encoding::Pcmu, 1.0);
    assert_eq!(uplink.receive(at(0), &datagram(0, 1, 0, &[1; 160])), Err(RtpDrop::Early));
    assert_eq!(uplink.deadline(), None);
    let mut out = Vec::new();
    assert_eq!(uplink.poll(at(500), true, &mut out), UplinkPoll::default());
    assert!(out.is_empty());
}

#[test]
fn a_second_start_changes_nothing() {
    let mut uplink = Uplink::new(Encoding::Pcmu, 1.0);
    uplink.start(at(0), ModelFormat::Pcmu);
    uplink.start(at(150), ModelFormat::Pcm24);
    let mut out = Vec::new();
    uplink.poll(at(200), true, &mut out);
    assert_eq!(out, [0xFF; 1600], "200 ms of µ-law silence");
}

#[test]
fn what_is_not_the_callers_audio_is_refused_with_its_reason() {
    let mut uplink = Uplink::new(Encoding::Pcmu, 1.0);
    for (datagram, reason) in [
        (vec![], RtpDrop::Malformed),
        (datagram(0, 1, 0, &[]), RtpDrop::Malformed),
        (datagram(0, 1, 0, &[1; MAX_DATAGRAM_BYTES]), RtpDrop::Malformed),
        (datagram(8, 1, 0, &[1; 160]), RtpDrop::PayloadType),
        (datagram(101, 1, 0, &[1; 4]), RtpDrop::PayloadType),
    ] {
        assert_eq!(uplink.receive(at(0), &datagram), Err(reason));
        uplink.start(at(0), ModelFormat::Pcm24);
    }
}

#[test]
fn half_a_sample_of_linear_audio_is_malformed() {
    let mut uplink = Uplink::new(Encoding::L16Wideband, 1.0);
    uplink.start(at(0), ModelFormat::Pcm24);
    assert_eq!(uplink.receive(at(0), &datagram(118, 1, 0, &[1; 639])), Err(RtpDrop::Malformed));
    assert_eq!(uplink.receive(at(0), &datagram(118, 1, 0, &[1; 640])), Ok(()));
}

#[test]
fn a_silent_caller_is_heard_as_silence_that_keeps_pace_with_the_clock() {
    let mut caller = Caller::listening();
    caller.say(100, 1, 20);
    assert_eq!(caller.uplink.deadline(), Some((at(300), Wake::UplinkSilence)));
    assert_eq!(caller.poll(299), (0, 0));
    assert_eq!(caller.poll(300), (200, 0));
    assert!(caller.largest_step() < 30, "the voice fades instead of breaking off: {}", caller.largest_step());
    assert_eq!(caller.concealed_ms, 0, "nothing was lost");
    let mut total = 200;
    while total < 2000 {
        let (due, wake) = caller.uplink.deadline().unwrap();
        assert_eq!((due, wake), (at(100 + total + 20), Wake::UplinkSilence));
        assert_eq!(caller.poll(due.as_millis()), (20, 0));
        assert!(caller.silent());
        total += 20;
    }
    // Speech goes on at once, fades in, and the pause is timed afresh.
    assert_eq!(caller.say(2110, 2, 20), (20, 0));
    assert!(caller.largest_step() < 30, "{}", caller.largest_step());
    assert_eq!(caller.uplink.deadline(), Some((at(2310), Wake::UplinkSilence)));
}

#[test]
fn a_stalled_machine_takes_what_lies_unread_before_it_believes_in_a_pause() {
    let mut caller = Caller::listening();
    caller.say(0, 1, 20);
    // The machine stands still for 300 ms and then finds fifteen packets, the first two in the wrong order.
    let payload: Vec<u8> = 1000i16.to_be_bytes().repeat(16 * 20);
    let mut heard = 0;
    for sequence in [3, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16] {
        let datagram = datagram(118, sequence, 320 * u32::from(sequence), &payload);
        caller.uplink.receive(at(300), &datagram).unwrap();
        let mut out = Vec::new();
        assert_eq!(caller.uplink.poll(at(300), false, &mut out), UplinkPoll::default());
        heard += out.len() / 48;
    }
    assert_eq!(heard, 300);
    assert_eq!(caller.poll(300), (0, 0), "and no silence");
}

#[test]
fn a_stalled_machine_does_not_catch_up_all_of_a_pause() {
    let mut caller = Caller::listening();
    caller.say(0, 1, 20);
    assert_eq!(caller.poll(10_000), (MAX_FILL_MS as usize, 0));
    assert_eq!(caller.uplink.deadline(), Some((at(10_020), Wake::UplinkSilence)));
}

#[test]
fn a_lost_packet_is_made_up_between_its_neighbours() {
    let mut caller = Caller::listening();
    caller.say(0, 1, 20);
    caller.say(20, 2, 20);
    assert_eq!(caller.say(60, 4, 20), (0, 0));
    assert_eq!(caller.uplink.deadline(), Some((at(100), Wake::JitterRelease)));
    assert_eq!(caller.say(80, 5, 20), (0, 0));
    assert_eq!(caller.poll(100), (60, 1));
    assert_eq!(caller.concealed_ms, 20);
    assert!(caller.out.iter().all(|sample| (790..=1_010).contains(sample)), "a fifth quieter at its end");
    assert_eq!(caller.out.last(), Some(&1000));
}

#[test]
fn what_is_missing_for_longer_falls_silent() {
    let mut caller = Caller::listening();
    caller.say(0, 1, 20);
    caller.say(200, 11, 20);
    assert_eq!(caller.poll(240), (200, 9));
    assert_eq!(caller.concealed_ms, 180);
    assert!(
        caller.out[24 * 75..24 * 180].iter().all(|sample| sample.abs() < 20),
        "but for the filter's ringing"
    );
}

#[test]
fn a_jump_of_the_timestamp_is_missing_time_unless_a_backlog_proves_it_a_stall() {
    let mut caller = Caller::listening();
    caller.say_stamped(0, 1, 0, 20);
    assert_eq!(caller.say_stamped(120, 2, 320 + 1_600, 20), (0, 0));
    assert_eq!(caller.uplink.deadline(), Some((at(130), Wake::JitterRelease)));
    assert_eq!(caller.poll(130), (100 + 20, 0));
    assert_eq!(caller.concealed_ms, 100);

    assert_eq!(caller.say_stamped(250, 3, 2 * 320 + 3_200, 20), (0, 0));
    assert_eq!(caller.say_stamped(251, 4, 3 * 320 + 3_200, 20), (40, 0));
    assert_eq!(caller.concealed_ms, 0);
}

#[test]
fn a_pause_that_was_filled_is_not_filled_again_when_the_timestamps_tell_of_it() {
    let mut caller = Caller::listening();
    caller.say_stamped(0, 1, 0, 20);
    assert_eq!(caller.poll(200), (200, 0));
    assert_eq!(caller.poll(220), (20, 0));
    // The caller was silent for 230 ms.
    assert_eq!(caller.say_stamped(250, 2, 320 + 16 * 230, 20), (0, 0));
    assert_eq!(caller.poll(260), (10 + 20, 0));
}

#[test]
fn an_outage_that_was_filled_with_silence_is_not_filled_twice() {
    let mut caller = Caller::listening();
    caller.say(0, 1, 20);
    assert_eq!(caller.poll(200), (200, 0));
    assert_eq!(caller.poll(220), (20, 0));
    // Twelve packets, 240 ms, were lost; 220 of them have been filled.
    assert_eq!(caller.say(235, 14, 20), (0, 0));
    assert_eq!(caller.poll(275), (20 + 20, 12));
    assert_eq!(caller.concealed_ms, 20);
}

#[test]
fn a_long_loss_is_counted_in_full_and_filled_in_part() {
    let mut caller = Caller::listening();
    caller.say(0, 1, 20);
    caller.say(20, 902, 20);
    assert_eq!(caller.poll(60), (MAX_FILL_MS as usize + 20, 900));
}

#[test]
fn on_hold_the_model_hears_steady_silence_instead_of_the_music() {
    let mut caller = Caller::listening();
    caller.say(0, 1, 20);
    caller.uplink.hold(at(30), true);
    let music = datagram(118, 2, 640, &[0x30; 640]);
    for step in 1..=50 {
        assert_eq!(caller.uplink.receive(at(30 + step * 20 - 5), &music), Err(RtpDrop::Held));
        assert_eq!(caller.uplink.deadline(), Some((at(30 + step * 20), Wake::UplinkSilence)));
        assert_eq!(caller.poll(30 + step * 20), (20, 0));
        assert!(caller.silent() || step < 5, "the caller's last word fades");
    }
    caller.uplink.hold(at(1_040), true);
    assert_eq!(caller.poll(1_050), (20, 0), "a second hold changes nothing");
    assert_eq!(caller.poll(9_000), (MAX_FILL_MS as usize, 0), "after a stall");
    caller.uplink.hold(at(9_005), false);
    assert_eq!(caller.poll(9_020), (20, 0), "silence goes on until the caller is there");
    // Wherever the numbers are now, the caller is heard at once and fades in.
    assert_eq!(caller.say_stamped(9_030, 500, 999_999, 20), (20, 0));
    assert!(caller.largest_step() < 30 && caller.out.last() > Some(&900));
    assert_eq!(caller.uplink.deadline(), Some((at(9_230), Wake::UplinkSilence)));
}

#[test]
fn a_hold_from_before_the_start_is_kept() {
    let mut uplink = Uplink::new(Encoding::Pcmu, 1.0);
    uplink.hold(at(0), true);
    uplink.start(at(10), ModelFormat::Pcm24);
    assert_eq!(uplink.deadline(), Some((at(30), Wake::UplinkSilence)));
    assert_eq!(uplink.receive(at(12), &datagram(0, 1, 0, &[1; 160])), Err(RtpDrop::Held));
}

#[test]
fn a_caller_over_the_agent_is_told_from_silence() {
    let mut caller = Caller::listening();
    caller.uplink.agent_speaks(true);
    for n in 0..10 {
        let before = caller.uplink.caller_was_loud(0);
        caller.say(20 * n, n as u16, 20);
        assert_eq!((before, caller.uplink.caller_was_loud(0)), (n >= 6, n >= 5), "packet {n}");
    }
    caller.poll(20 * 9 + 400);
    assert!(!caller.uplink.caller_was_loud(0), "made-up silence is silence");
}

#[test]
fn gain_is_on_the_callers_voice() {
    let mut uplink = Uplink::new(Encoding::L16Wideband, 2.5);
    uplink.start(at(0), ModelFormat::Pcm24);
    let payload: Vec<u8> = 1000i16.to_be_bytes().repeat(960);
    uplink.receive(at(0), &datagram(118, 1, 0, &payload)).unwrap();
    let mut out = Vec::new();
    uplink.poll(at(0), true, &mut out);
    assert_eq!(out.last_chunk(), Some(&2500i16.to_le_bytes()));
}

proptest! {
    #[test]
    fn any_datagrams_at_any_time_never_panic_and_leave_a_deadline_ahead(
        format in 0usize..4,
        model in 0usize..3,
        gain in prop::sample::select(vec![1.0, 2.5]),
        story in proptest::collection::vec(
            (0u64..200, 0u8..12, any::<u16>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..90)), 1..60,
        ),
    ) {
        let encoding = [Encoding::Pcmu, Encoding::Pcma, Encoding::G722, Encoding::L16Wideband][format];
        let model = ModelFormat::ALL[model];
        let mut uplink = Uplink::new(encoding, gain);
        let (mut now, mut out) = (0, Vec::new());
        uplink.start(at(0), model);
        for (wait, kind, sequence, stamp, bytes) in story {
            now += wait;
            let near = sequence % 40;
            let stamp = if kind < 4 { stamp } else { u32::from(near) * 80 + stamp % 160 };
            let bytes = if kind == 0 { bytes } else { datagram(encoding.payload_type(), near, stamp, &bytes) };
            if kind == 1 {
                uplink.hold(at(now), sequence % 3 == 0);
            }
            let _ = uplink.receive(at(now), &bytes);
            out.clear();
            let poll = uplink.poll(at(now), true, &mut out);
            let most = 2 * MAX_FILL_MS as usize + 16 * 100;
            prop_assert!(out.len() <= MODEL_RATE as usize / 500 * most, "bounded work");
            prop_assert!(u64::from(poll.concealed_ms) <= MAX_FILL_MS);
            prop_assert_eq!(out.len() % model.sample_bytes(), 0);
            prop_assert!(uplink.deadline().unwrap().0 > at(now));
        }
    }
}

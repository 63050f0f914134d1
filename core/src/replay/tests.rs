//! A replay does the same, or says where it does not; and nothing that calls itself a capture makes it panic.

use super::*;
use crate::call::{self, Call, Input, LinkState, StopReason};
use crate::capture::tests::inputs::{Parts, parts};
use crate::capture::tests::{Logged, start};
use crate::capture::{LATEST, Log, PROGRAM, SwitchboardStart, open};
use crate::id::{InstanceNonce, LegId};
use crate::settings::{CallSettings, SwitchboardSettings};
use crate::switchboard::{self, Switchboard};
use crate::time::UtcNanos;
use proptest::prelude::*;
use proptest::sample::Index;

const LIMIT: usize = 1 << 20;

/// A call that is set up, goes on for so many steps, and is told to stop.
fn some_capture(timers: usize) -> Vec<u8> {
    let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
    logged.some_steps(timers);
    logged.step(Input::Stop(StopReason::AsteriskRestarted));
    logged.log.finish()
}

#[test]
fn a_replay_is_what_was_recorded() {
    let capture = some_capture(200);
    let replayed = replay(&capture).unwrap();
    assert_eq!((replayed.machine, replayed.program.as_str()), (Kind::Call, PROGRAM));
    assert_eq!((replayed.steps, &replayed.difference), (205, &None));
    assert_eq!(replayed.input_bytes, br#"{"type":"session.created"}"#.len() as u64);
    assert_eq!(replayed.duration, Duration::from_millis(205));
    assert!(replayed.is_whole());
    assert_eq!(replayed, replay(&capture).unwrap(), "and always the same");
}

#[test]
fn a_player_shows_each_step() {
    let capture = some_capture(3);
    let Ok(Capture::Call(head, records)) = open(&capture) else { panic!("it is of a call") };
    let mut player = Player::new(head, records);
    assert!(player.machine().is_none() && player.head().now == Instant::from_millis(7));
    let mut seen = Vec::new();
    while let Some(step) = player.step().unwrap() {
        assert_eq!(step.input.is_none(), step.number == 0);
        assert_eq!(step.recorded, Some(step.given), "step {}", step.number);
        seen.push((step.number, step.now.as_millis(), !step.out.is_empty()));
    }
    assert_eq!(seen.len(), 9);
    assert_eq!((seen[0], seen[6]), ((0, 7, true), (6, 13, false)));
    assert!(seen[8].2, "it is told to stop");
    assert!(player.step().unwrap().is_none(), "the end is the end");
}

/// A call that is told something at each step, which cannot be read at these.
fn told_badly_at(bad: &[usize]) -> Vec<u8> {
    let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
    logged.some_steps(0);
    for n in 5..200 {
        let event: &[u8] = if bad.contains(&n) { br#"{"type":"x"]"# } else { br#"{"type":"x"}"# };
        logged.step(Input::Ari(event));
    }
    logged.log.finish()
}

/// The same, but that the last of what could not be read can.
fn mended(mut capture: Vec<u8>) -> Vec<u8> {
    let place = capture.windows(2).rposition(|two| two == b"\"]").unwrap();
    capture[place + 1] = b'}';
    capture
}

#[test]
fn a_difference_without_words_is_found_within_the_steps_between_two_digests() {
    // Of messages that cannot be read the first is told of, and the others are only counted.
    let never = told_badly_at(&[5]);
    for (step, from_step, to_step) in
        [(6, 1, 64), (64, 1, 64), (65, 65, 128), (150, 129, 192), (195, 193, 199)]
    {
        let capture = told_badly_at(&[5, step]);
        assert_eq!(capture.len(), never.len());
        let difference = replay(&mended(capture)).unwrap().difference.unwrap();
        assert_eq!((difference.from_step, difference.to_step), (from_step, to_step), "{step}");
        assert_eq!((difference.at, difference.words), (Instant::from_millis(7 + to_step), None));
    }
}

#[test]
fn a_difference_with_words_is_found_where_it_is_with_both() {
    for step in [5, 64, 65, 198] {
        let difference = replay(&mended(told_badly_at(&[step]))).unwrap().difference.unwrap();
        let (at, step) = (Instant::from_millis(7 + step as u64), step as u64);
        assert_eq!((difference.from_step, difference.to_step, difference.at), (step, step, at));
        let words = difference.words.unwrap();
        assert_eq!(
            words.recorded,
            "observe: ARI sent something unreadable (ari_event); it is ignored, and so are further ones\n"
        );
        assert_eq!(words.replayed, "");
    }
}

#[test]
fn what_has_no_end_is_replayed_up_to_where_it_breaks_off() {
    let capture = some_capture(200);
    let whole = replay(&capture).unwrap();
    let mut steps = None;
    for end in (0..capture.len()).rev().step_by(5) {
        match replay(&capture[..end]) {
            Ok(replayed) => {
                let End::Torn { at } = replayed.end else { panic!("{replayed:?}") };
                assert!(at <= end && end - at < 600, "the record that is not whole begins at {at} of {end}");
                assert!(replayed.difference.is_none() && replayed.steps <= steps.unwrap_or(whole.steps));
                steps = Some(replayed.steps);
            }
            Err(fault) => assert!(matches!(fault, Fault::Head { .. } | Fault::NotACapture), "{end}: {fault}"),
        }
    }
    assert_eq!(steps, Some(0), "the head alone is a call that was given nothing");
}

#[test]
fn what_a_crash_has_left_is_compared_up_to_the_input_that_it_came_by() {
    // The log of a machine that never answered its last input.
    let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
    logged.some_steps(0);
    let Logged { mut log, now, .. } = logged;
    let before = log.bytes().len();
    let later = now + Duration::from_millis(1);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        // Any machine does, as long as it panics: one that was at `later` before.
        let mut out = call::Actions::new();
        let (mut call, _next) = Call::new(&CallSettings::default(), start(), later, &mut out);
        let _next = log.step(&mut call, later, Input::AriLink(LinkState::Down), &mut out);
    }));
    assert!(panicked.is_err() && log.bytes().len() > before);
    let replayed = replay(&log.finish()).unwrap();
    assert!(matches!(replayed.end, End::Crashed { .. }), "{replayed:?}");
    assert_eq!((replayed.steps, replayed.difference), (5, None), "it does not any more");
}

#[test]
fn what_a_terminal_would_obey_is_not_text_in_a_capture() {
    for words in ["\u{1b}[2J", "a\rb", "\u{9b}31m", "\u{202e}evitalid"] {
        let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
        let mut capture = logged.log.take();
        capture.extend([0xFD, words.len() as u8]);
        capture.extend(words.as_bytes());
        let fault = replay(&capture).unwrap_err().to_string();
        assert!(fault.ends_with("cannot be: what was given is not text"), "{fault}");
    }
}

#[test]
fn time_that_stands_still_or_runs_out_is_refused() {
    let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
    logged.some_steps(0);
    let head = logged.log.take();
    let timer = 14;
    let mut still = head.clone();
    still.extend([timer, 0]);
    let fault = replay(&still).unwrap_err().to_string();
    assert!(fault.ends_with("cannot be: time does not move forward"), "{fault}");
    for later in [LATEST.as_nanos(), u64::MAX] {
        let mut late = head.clone();
        late.push(timer);
        let mut rest = later;
        while rest >= 0x80 {
            late.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        late.push(rest as u8);
        let fault = replay(&late).unwrap_err().to_string();
        assert!(fault.ends_with("cannot be: it is later than there is time"), "{fault}");
    }
}

#[test]
fn a_length_beyond_what_a_driver_gives_is_refused_before_anything_is_read() {
    let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
    let mut capture = logged.log.take();
    logged.step(Input::Media { leg: LegId(1), from: "192.0.2.1:4000".parse().unwrap(), bytes: &[1; 200] });
    capture.extend(logged.log.take());
    let place = capture.windows(200).rposition(|bytes| bytes == [1; 200]).unwrap() - 2;
    assert_eq!(capture[place..place + 3], [0xC8, 0x01, 1]);
    capture[place + 1] = 0x7F;
    let fault = replay(&capture).unwrap_err().to_string();
    assert!(fault.ends_with("cannot be: something is longer than it can be"), "{fault}");
}

/// A call that is given whatever; what it does with that is not looked at.
fn call_of(all: &[Parts]) -> Vec<u8> {
    let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
    logged.some_steps(3);
    let mut out = call::Actions::new();
    for parts in all {
        logged.now = logged.now + parts.later();
        out.clear();
        let _next = logged.log.step(&mut logged.call, logged.now, parts.to_call(), &mut out);
    }
    logged.log.finish()
}

fn switchboard_of(all: &[Parts]) -> Vec<u8> {
    let (mut out, mut now) = (switchboard::Actions::new(), Instant::START);
    let other = SwitchboardSettings { ports: 1, max_cost_per_day: Some(0), ..SwitchboardSettings::default() };
    let start = SwitchboardStart { nonce: InstanceNonce::new(7), seed: 8, utc: UtcNanos(u64::MAX) };
    let settings = SwitchboardSettings::default();
    let (mut log, mut switchboard, _next) = Log::<Switchboard>::begin(&settings, start, now, LIMIT, &mut out);
    for parts in all {
        now = now + parts.later();
        out.clear();
        let _next = log.step(&mut switchboard, now, parts.to_switchboard(&other), &mut out);
    }
    log.finish()
}

proptest! {
    #[test]
    fn whatever_a_machine_is_given_it_does_the_same_again(
        all in proptest::collection::vec(parts(), 0..200),
    ) {
        for capture in [call_of(&all), switchboard_of(&all)] {
            let replayed = replay(&capture).unwrap();
            prop_assert_eq!(&replayed.difference, &None);
            prop_assert!(replayed.is_whole());
        }
    }

    #[test]
    fn a_capture_with_bits_that_fell_over_is_replayed_or_refused(
        all in proptest::collection::vec(parts(), 0..20),
        flips in proptest::collection::vec((any::<Index>(), 0..8), 1..6),
        cut in proptest::option::of(any::<Index>()),
    ) {
        for mut capture in [call_of(&all), switchboard_of(&all)] {
            for (place, bit) in &flips {
                let len = capture.len();
                capture[place.index(len)] ^= 1_u8 << bit;
            }
            let len = cut.map_or(capture.len(), |cut| cut.index(capture.len()));
            match replay(&capture[..len]) {
                Ok(replayed) => prop_assert!(replayed.steps <= len as u64),
                Err(fault) => prop_assert!(!fault.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn a_head_with_anything_behind_it_is_replayed_or_refused(
        anything in proptest::collection::vec(any::<u8>(), 0..400),
        small in proptest::collection::vec(0_u8..17, 0..400),
    ) {
        for rest in [&anything, &small] {
            for mut capture in [call_of(&[]), switchboard_of(&[])] {
                capture.truncate(capture.len() - 11);
                capture.extend(rest);
                let _ = replay(&capture);
            }
            let _ = replay(rest);
        }
    }
}

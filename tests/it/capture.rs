//! Calls are recorded and replayed: the same again, and a difference where something was changed.
//!
//! Beside these, every call of every other scene is replayed when it is over (`ari_bridge_tests::taped`).

use crate::stories::{SECOND, answered};
use ari_bridge_core::call::{self, Action, Call, EndReason, IoFault};
use ari_bridge_core::capture::{Capture, End, Log, Record, open};
use ari_bridge_core::format::{MediaFormat, ModelFormat};
use ari_bridge_core::observe::Observation;
use ari_bridge_core::replay::{Player, Replayed, replay};
use ari_bridge_core::settings::{
    BargeIn, CallSettings, DeadAir, DeadAirStep, Keys, MediaPlan, Prices, ServerVad, SessionSettings,
    Transfer, TurnDetection,
};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::switchboard;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;
use ari_bridge_tests::taped::Shelf;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::OnceLock;

/// A stage whose captures are kept, and where.
fn kept(stage: Stage) -> (Stage, Shelf) {
    let shelf = Shelf::default();
    (Stage { shelf: Some(shelf.clone()), ..stage }, shelf)
}

/// The captures of the calls, in the order of their ends, and then those of the switchboards.
fn captures(scene: Scene, shelf: &Shelf) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    drop(scene);
    shelf.take().into_iter().partition(|capture| matches!(open(capture), Ok(Capture::Call(..))))
}

fn stage_of(format: MediaFormat) -> Stage {
    let session = SessionSettings {
        greeting: Some("Good day.".into()),
        audio_format: if format == MediaFormat::Ulaw { ModelFormat::Pcmu } else { ModelFormat::Pcm24 },
        ..SessionSettings::default()
    };
    let call = CallSettings { session, volume_boost: 1.0, ..CallSettings::default() };
    Stage { call, media: MediaPlan { format, ..MediaPlan::default() }, ..Stage::default() }
}

/// A caller who speaks twice, is answered, interrupts the second answer, and hangs up.
fn conversation(format: MediaFormat) -> Vec<u8> {
    let (stage, shelf) = kept(stage_of(format));
    let mut scene = answered(stage, &utterance(1, 2.0));
    scene.run_for(2 * SECOND);
    scene.speak(1);
    scene.run_for(6 * SECOND);
    scene.speak(1);
    scene.run_for(4 * SECOND);
    scene.say(1, &utterance(1, 1.0));
    scene.run_for(4 * SECOND);
    scene.hang_up(1);
    scene.run_until("the call is over", 5 * SECOND, |scene| scene.calls() == 0);
    captures(scene, &shelf).0.remove(0)
}

/// Everything that a call tells in a replay.
fn observations(capture: &[u8]) -> Vec<Observation> {
    let Ok(Capture::Call(head, records)) = open(capture) else { panic!("it is of a call") };
    let (mut player, mut told) = (Player::new(head, records), Vec::new());
    while let Some(step) = player.step().expect("a good capture") {
        told.extend(step.out.iter().filter_map(|action| match action {
            Action::Observe(observation) => Some(observation),
            _ => None,
        }));
    }
    told
}

/// A call that is given the same again, with a log of so many bytes.
fn logged_again(capture: &[u8], limit: usize) -> Vec<u8> {
    lived_with(capture, limit, |_| {})
}

/// The same with other settings.
fn lived_with(capture: &[u8], limit: usize, change: impl Fn(&mut CallSettings)) -> Vec<u8> {
    let Ok(Capture::Call(mut head, mut records)) = open(capture) else { panic!("it is of a call") };
    change(&mut head.settings);
    let mut out = call::Actions::new();
    let (mut log, mut call, _next) =
        Log::<Call>::begin(&head.settings, head.start(), head.now, limit, &mut out);
    loop {
        match records.next().expect("a good capture") {
            Record::Input { now, input } => {
                out.clear();
                let _next = log.step(&mut call, now, input, &mut out);
            }
            Record::Gave(_) | Record::Digest(_) => {}
            Record::End(_) => return log.finish(),
        }
    }
}

fn assert_whole_and_the_same(replayed: &Replayed) {
    assert!(replayed.is_whole() && replayed.difference.is_none(), "{replayed:?}");
}

#[test]
fn a_conversation_with_barge_in_is_replayed_with_all_that_it_told() {
    let capture = conversation(MediaFormat::Slin16);
    let replayed = replay(&capture).expect("a good capture");
    assert_whole_and_the_same(&replayed);
    let outcome = replayed.outcome.expect("the call is over");
    assert_eq!((outcome.ended, outcome.answered), (EndReason::CallerHungUp, true));
    assert!(replayed.duration > 15 * SECOND && replayed.steps > 800, "{replayed:?}");
    let told = observations(&capture);
    assert!(told.iter().any(|o| matches!(o, Observation::BargeIn { .. })), "the caller did not interrupt");
    assert!(told.contains(&Observation::CallEnded(outcome)));
}

#[test]
fn a_call_that_loses_its_server_is_replayed() {
    let (stage, shelf) = kept(stage_of(MediaFormat::Ulaw));
    let mut scene = answered(stage, &utterance(1, 1.0));
    scene.speak(1);
    scene.run_for(SECOND / 2);
    scene.cut_realtime(IoFault::Reset);
    scene.run_for(8 * SECOND);
    scene.hang_up(1);
    scene.run_until("the call is over", 5 * SECOND, |scene| scene.calls() == 0);
    let (calls, _) = captures(scene, &shelf);
    assert_whole_and_the_same(&replay(&calls[0]).expect("a good capture"));
    let told = observations(&calls[0]);
    assert!(told.iter().any(|o| matches!(o, Observation::RealtimeDown { .. })), "no link was lost");
}

#[test]
fn a_switchboard_and_its_calls_are_replayed_one_by_one() {
    let (stage, shelf) = kept(Stage { max_calls: 2, ..stage_of(MediaFormat::G722) });
    let mut scene = Scene::new(stage);
    (1..=3).for_each(|caller| scene.dial(caller, &utterance(caller, 1.0)));
    scene.run_until("two are answered", 2 * SECOND, |scene| {
        (1..=3).filter(|caller| scene.state(*caller) == Some(CallerState::Answered)).count() == 2
    });
    (1..=2).for_each(|caller| scene.speak(caller));
    scene.run_for(4 * SECOND);
    scene.hang_up(1);
    scene.run_for(SECOND);
    scene.drain();
    scene.run_until("all is over", 120 * SECOND, |scene| scene.drained);
    let (calls, switchboards) = captures(scene, &shelf);
    assert_eq!((calls.len(), switchboards.len()), (2, 1));
    for capture in calls.iter().chain(&switchboards) {
        assert_whole_and_the_same(&replay(capture).expect("a good capture"));
    }
    let Ok(Capture::Switchboard(head, records)) = open(&switchboards[0]) else { unreachable!() };
    let (mut player, mut started, mut refused) = (Player::new(head, records), 0, 0);
    while let Some(step) = player.step().expect("a good capture") {
        for action in step.out.iter() {
            started += usize::from(matches!(action, switchboard::Action::StartCall { .. }));
            let told = matches!(action, switchboard::Action::Observe(Observation::CallRefused(_)));
            refused += usize::from(told);
        }
    }
    assert_eq!((started, refused), (2, 1));
}

#[test]
fn what_is_logged_of_the_same_call_is_the_same_bytes() {
    let capture = conversation(MediaFormat::Ulaw);
    assert!(logged_again(&capture, capture.len() + 8) == capture, "the log of a replay is another one");
}

#[test]
fn a_log_that_was_full_is_replayed_up_to_there() {
    let capture = conversation(MediaFormat::Slin16);
    let whole = replay(&capture).expect("a good capture");
    for share in [4, 3, 2] {
        let cut = logged_again(&capture, capture.len() / share);
        assert!(cut.len() <= capture.len() / share);
        let replayed = replay(&cut).expect("a good capture");
        assert!(matches!(replayed.end, End::Cut { .. }) && replayed.difference.is_none(), "{replayed:?}");
        assert!(replayed.steps > 100 && replayed.steps < whole.steps && replayed.outcome.is_none());
    }
}

#[test]
fn a_changed_byte_of_the_callers_voice_is_found_where_it_is() {
    let capture = conversation(MediaFormat::Ulaw);
    let Ok(Capture::Call(head, records)) = open(&capture) else { panic!("it is of a call") };
    let mut player = Player::new(head, records);
    // A packet from the middle of the call, where it is heard.
    let (mut changed_at, mut packet) = (0, Vec::new());
    while let Some(step) = player.step().expect("a good capture") {
        if let Some(call::Input::Media { bytes, .. }) = step.input
            && step.now.as_millis() > 6_000
        {
            (changed_at, packet) = (step.number, bytes.to_vec());
            break;
        }
    }
    let place = capture.windows(packet.len()).position(|bytes| bytes == packet).expect("the packet");
    let mut changed = capture;
    changed[place + 100] ^= 0x40;
    let difference = replay(&changed).expect("a good capture").difference.expect("a difference");
    // The jitter buffer holds a packet for some steps before it is heard.
    assert!(
        changed_at <= difference.to_step && difference.from_step <= changed_at + 64,
        "{changed_at}: {difference:?}"
    );
    assert!(difference.from_step > 1, "what came before is the same");
}

#[test]
fn a_call_with_other_settings_differs() {
    let capture = conversation(MediaFormat::Slin16);
    for (from, to) in [("\"volume_boost\":1.0", "\"volume_boost\":2.0"), ("\"Good day.\"", "\"Good dax.\"")] {
        let place =
            capture.windows(from.len()).position(|bytes| bytes == from.as_bytes()).expect("the setting");
        let mut changed = capture.clone();
        changed[place..place + to.len()].copy_from_slice(to.as_bytes());
        let replayed = replay(&changed).expect("a good capture");
        assert!(replayed.difference.is_some(), "{to} changes nothing: {replayed:?}");
        assert_eq!(replayed.steps, replay(&capture).expect("a good capture").steps);
    }
}

#[test]
fn a_capture_is_hardly_larger_than_what_came_in() {
    for format in MediaFormat::ALL {
        let capture = conversation(format);
        let inputs = replay(&capture).expect("a good capture").input_bytes;
        let ratio = capture.len() as f64 / inputs as f64;
        assert!((1.0..=1.1).contains(&ratio), "{format}: {} bytes for {inputs}: {ratio}", capture.len());
    }
}

/// A capture may come from anywhere, and its settings need not be any that `config` would let pass.
#[test]
fn settings_that_no_operator_could_have_are_replayed_without_a_panic() {
    let capture = conversation(MediaFormat::Slin16);
    let changes: [fn(&mut CallSettings); 8] = [
        |settings| {
            settings.volume_boost = f64::MAX;
            settings.cushion = Duration::MAX;
        },
        |settings| {
            settings.volume_boost = -1e300;
            settings.echo_canceller = true;
            settings.max_call = Duration::ZERO;
        },
        |settings| {
            (settings.answer_within, settings.max_call) = (Duration::MAX, Duration::MAX);
            settings.idle = Some(Duration::MAX);
            settings.tool_timeout = Duration::MAX;
            settings.keys = Keys { pause: Duration::MAX, hot: vec![('0', usize::MAX), ('é', 0)] };
        },
        |settings| {
            settings.idle = Some(Duration::ZERO);
            settings.answer_within = Duration::ZERO;
            settings.keys.pause = Duration::ZERO;
        },
        |settings| {
            settings.recovery.retry_for = Duration::MAX;
            settings.recovery.history_tokens = u32::MAX;
            settings.dead_air = DeadAir { after: Some(Duration::ZERO), steps: Vec::new() };
        },
        |settings| {
            settings.dead_air = DeadAir { after: Some(Duration::MAX), steps: DeadAirStep::ALL.repeat(9) }
        },
        |settings| {
            let most = u32::MAX;
            settings.session.turn_detection = TurnDetection::Server(ServerVad {
                threshold: f64::MAX,
                prefix_padding_ms: most,
                silence_duration_ms: most,
                idle_timeout_ms: Some(most),
            });
            settings.barge_in = BargeIn::Guarded;
            settings.session.speed = Some(f64::MIN_POSITIVE);
        },
        |settings| {
            let most = u64::MAX;
            settings.prices = Some(Prices {
                text_in: most,
                text_cached: most,
                text_out: most,
                audio_in: most,
                audio_cached: most,
                audio_out: most,
            });
            let name = "n".repeat(100_000);
            settings.transfers =
                vec![Transfer { name, context: String::new(), extension: String::new(), priority: 0 }];
        },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let lived = lived_with(&capture, 2 * capture.len(), change);
        let replayed = replay(&lived).unwrap_or_else(|fault| panic!("change {n}: {fault}"));
        assert!(replayed.is_whole() && replayed.difference.is_none(), "change {n}: {replayed:?}");
    }
}

/// One conversation for all that is done to it.
fn one_conversation() -> &'static [u8] {
    static ONE: OnceLock<Vec<u8>> = OnceLock::new();
    ONE.get_or_init(|| conversation(MediaFormat::Ulaw))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A step of time that has become hours, a message that is another, a packet that never was.
    #[test]
    fn a_conversation_that_was_tampered_with_is_replayed_or_refused(
        flips in vec((any::<Index>(), 0..8), 1..8),
        cuts in vec((any::<Index>(), 0_usize..40), 0..3),
    ) {
        let mut capture = one_conversation().to_vec();
        for (place, bit) in flips {
            let place = place.index(capture.len());
            capture[place] ^= 1_u8 << bit;
        }
        for (place, len) in cuts {
            let begin = place.index(capture.len());
            capture.drain(begin..(begin + len).min(capture.len()));
        }
        match replay(&capture) {
            Ok(replayed) => prop_assert!(replayed.steps < capture.len() as u64),
            Err(fault) => prop_assert!(!fault.to_string().is_empty()),
        }
    }
}

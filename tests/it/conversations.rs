//! Calls from the first ring to the last request, between the stand-ins and in virtual time: what the
//! real-Asterisk suite shows with sockets and in real time, told in milliseconds.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::format::MediaFormat;
use ari_bridge_core::observe::{Observation, Recovery, RtpDrop};
use ari_bridge_core::resample::Resampler;
use ari_bridge_core::settings::{CallSettings, MediaPlan, Prompt, RtpSource, SessionSettings};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;
use std::net::SocketAddr;

const SECOND: Duration = Duration::from_secs(1);

/// Lets `caller` ring until it is answered.
fn answered(scene: &mut Scene, caller: u64, speech: &[i16]) {
    scene.dial(caller, speech);
    scene.run_until("answered", SECOND, |scene| scene.state(caller) == Some(CallerState::Answered));
}

fn assert_nothing_is_left(scene: &mut Scene) {
    scene.run_until("all calls are over", 10 * SECOND, |scene| scene.calls() == 0);
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (0, 0), "left on Asterisk");
    assert!(scene.outcomes.iter().all(|outcome| !outcome.left_behind));
}

fn stage(format: MediaFormat) -> Stage {
    Stage { media: MediaPlan { format, ..MediaPlan::default() }, ..Stage::default() }
}

/// A voice as a telephone of 8 kHz gives it.
fn telephone_band(speech: &[i16]) -> Vec<i16> {
    let (mut narrow, mut back) = (Vec::new(), Vec::new());
    Resampler::new(16_000, 8_000).process(speech, &mut narrow);
    Resampler::new(8_000, 16_000).process(&narrow, &mut back);
    back
}

#[test]
fn what_the_caller_says_comes_back_sample_by_sample_in_every_format() {
    for format in MediaFormat::ALL {
        let wideband = matches!(format, MediaFormat::Slin16 | MediaFormat::G722);
        let said = if wideband { utterance(1, 2.5) } else { telephone_band(&utterance(1, 2.5)) };
        let mut scene = Scene::new(stage(format));
        answered(&mut scene, 1, &said);
        scene.run_for(SECOND / 2);
        scene.speak(1);
        scene.run_for(8 * SECOND);
        let found = measure::find(scene.heard(1), &said);
        assert!(found.correlation > 0.9, "{format}: {found:?}");
        if wideband {
            let heard = measure::section(scene.heard(1), &said, found);
            let (high_in, high_out) =
                (measure::level_above_dbfs(&said, 4200.0), measure::level_above_dbfs(heard, 4200.0));
            assert!(
                (high_in - high_out).abs() < 3.0,
                "{format}: {high_in} dBFS above 4 kHz in, {high_out} out"
            );
        }
        scene.hang_up(1);
        assert_nothing_is_left(&mut scene);
        assert_eq!(scene.outcomes[0].ended, EndReason::CallerHungUp);
    }
}

#[test]
fn ten_callers_at_once_each_hear_their_own_words() {
    let mut scene = Scene::new(Stage::default());
    let said: Vec<_> = (0..10).map(|voice| utterance(voice, 2.0)).collect();
    for (caller, speech) in (0..).zip(&said) {
        scene.dial(caller, speech);
    }
    scene.run_until("all are answered", 2 * SECOND, |scene| {
        (0..10).all(|caller| scene.state(caller) == Some(CallerState::Answered))
    });
    (0..10).for_each(|caller| scene.speak(caller));
    scene.run_for(6 * SECOND);
    for (caller, own) in (0..10).zip(&said) {
        let other = &said[(caller as usize + 1) % 10];
        let (own, other) =
            (measure::find(scene.heard(caller), own), measure::find(scene.heard(caller), other));
        assert!(own.correlation > 0.9 && other.correlation < 0.5, "caller {caller}: {own:?}, {other:?}");
    }
    (0..10).for_each(|caller| scene.hang_up(caller));
    assert_nothing_is_left(&mut scene);
}

#[test]
fn a_silent_caller_keeps_the_session_fed_and_is_answered_after_all() {
    let said = utterance(3, 2.0);
    let mut scene = Scene::new(Stage::default());
    answered(&mut scene, 1, &said);
    let before = scene.audio_sent;
    scene.run_for(30 * SECOND);
    let sent = (scene.audio_sent - before).as_millis();
    assert!((29_780..=30_000).contains(&sent), "{sent} ms of audio in 30 s of silence");
    scene.speak(1);
    scene.run_for(6 * SECOND);
    let found = measure::find(scene.heard(1), &said);
    assert!(found.correlation > 0.9, "{found:?}");
}

#[test]
fn the_caller_is_answered_only_when_media_and_session_are_ready() {
    let mut scene = Scene::new(Stage::default());
    answered(&mut scene, 1, &[]);
    let when =
        |what: fn(&Observation) -> bool| scene.observations.iter().position(|(_, o)| what(o)).expect("seen");
    let answered = when(|o| matches!(o, Observation::Answered { .. }));
    assert!(when(|o| matches!(o, Observation::MediaReady { .. })) < answered);
    assert!(when(|o| matches!(o, Observation::SessionReady { .. })) < answered);
}

#[test]
fn an_agent_with_a_greeting_speaks_first() {
    let greeting: Vec<i16> = utterance(5, 2.0);
    // The stand-in speaks at the model's rate; the same samples then last two thirds of the time.
    let session = SessionSettings { greeting: Some("Good day.".into()), ..SessionSettings::default() };
    let call = CallSettings { session, volume_boost: 1.0, ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, greeting: Some(greeting), ..Stage::default() });
    answered(&mut scene, 1, &[]);
    scene.run_for(3 * SECOND);
    assert!(measure::level_dbfs(scene.heard(1)) > -40.0, "the greeting was heard");
    assert!(
        scene
            .client_events
            .iter()
            .any(|event| event.contains("response.create") && event.contains("Good day."))
    );
}

#[test]
fn a_caller_who_interrupts_silences_the_agent_and_the_server_is_told_what_was_heard() {
    let mut scene = Scene::new(Stage::default());
    let said = utterance(6, 4.0);
    answered(&mut scene, 1, &said);
    scene.speak(1);
    // The agent says four seconds back; the caller breaks in two seconds later.
    scene.run_until("the agent speaks", 8 * SECOND, |s| s.saw(|o| matches!(o, Observation::FirstAudio(_))));
    scene.run_for(2 * SECOND);
    scene.speak(1);
    scene.run_until("barge-in", 2 * SECOND, |s| s.saw(|o| matches!(o, Observation::BargeIn { .. })));
    let cut = scene.observations.iter().find_map(|(_, o)| match o {
        Observation::BargeIn { heard_ms, dropped_ms } => Some((*heard_ms, *dropped_ms)),
        _ => None,
    });
    let (heard_ms, dropped_ms) = cut.expect("it was seen");
    assert!(
        (1500..4000).contains(&heard_ms) && dropped_ms > 0,
        "heard {heard_ms} ms, dropped {dropped_ms} ms"
    );
    let truncations: Vec<_> =
        scene.client_events.iter().filter(|event| event.contains("item.truncate")).collect();
    assert_eq!(truncations.len(), 1, "{truncations:?}");
    assert!(truncations[0].contains(&format!(r#""audio_end_ms":{heard_ms}"#)), "{}", truncations[0]);
    scene.run_for(SECOND);
    assert!(
        !scene.saw(|o| matches!(o, Observation::RealtimeError { .. })),
        "the server accepts the truncation"
    );
}

#[test]
fn at_the_longest_time_the_agent_says_goodbye_and_then_the_call_ends() {
    let call = CallSettings { max_call: 20 * SECOND, ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, ..Stage::default() });
    answered(&mut scene, 1, &[]);
    scene.run_for(25 * SECOND);
    assert_nothing_is_left(&mut scene);
    let outcome = scene.outcomes[0];
    assert_eq!(outcome.ended, EndReason::MaxDuration);
    assert!(
        (15..20).contains(&outcome.duration.as_secs()),
        "the goodbye falls before the limit: {outcome:?}"
    );
    assert_eq!(scene.state(1), Some(CallerState::Gone));
    assert!(measure::level_dbfs(scene.heard(1)) > -60.0, "the goodbye was heard");
}

#[test]
fn with_the_defaults_the_goodbye_is_said_before_the_session_ends_by_itself() {
    let call = CallSettings { volume_boost: 1.0, ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, ..Stage::default() });
    answered(&mut scene, 1, &[]);
    scene.run_for(3610 * SECOND);
    assert_eq!((scene.outcomes[0].ended, scene.state(1)), (EndReason::MaxDuration, Some(CallerState::Gone)));
    assert!(scene.outcomes[0].duration < 3600 * SECOND);
    assert_nothing_is_left(&mut scene);
}

#[test]
fn a_process_that_is_told_to_stop_ends_its_calls_takes_no_new_one_and_is_done() {
    let mut scene = Scene::new(Stage::default());
    answered(&mut scene, 1, &[]);
    scene.drain();
    scene.run_for(59 * SECOND);
    assert_eq!((scene.state(1), scene.drained), (Some(CallerState::Answered), false));
    scene.run_for(20 * SECOND);
    assert_eq!((scene.state(1), scene.drained), (Some(CallerState::InDialplan), true));
    assert_eq!(scene.asterisk.continued_with(1, "ARI_BRIDGE_STATUS"), Some("shutdown"));
    scene.hang_up(1);
    assert_nothing_is_left(&mut scene);
}

#[test]
fn a_call_beyond_the_limit_goes_on_in_the_dialplan_unanswered() {
    let mut scene = Scene::new(Stage { max_calls: 1, ..Stage::default() });
    answered(&mut scene, 1, &[]);
    scene.dial(2, &[]);
    scene.run_for(SECOND);
    assert_eq!(scene.state(2), Some(CallerState::InDialplan));
    assert_eq!(scene.state(1), Some(CallerState::Answered));
}

#[test]
fn calls_go_on_while_the_event_socket_is_away() {
    let said = utterance(8, 2.0);
    let mut scene = Scene::new(Stage::default());
    answered(&mut scene, 1, &said);
    scene.cut_event_socket();
    scene.speak(1);
    scene.run_for(6 * SECOND);
    assert!(measure::find(scene.heard(1), &said).correlation > 0.9);
    assert!(scene.observations.iter().filter(|(_, o)| *o == Observation::AriUp).count() == 2, "it came back");
    scene.hang_up(1);
    assert_nothing_is_left(&mut scene);
}

#[test]
fn a_hangup_that_nobody_told_is_noticed_when_the_event_socket_is_back() {
    let mut scene = Scene::new(Stage::default());
    answered(&mut scene, 1, &[]);
    scene.cut_event_socket();
    scene.hang_up(1);
    scene.run_for(3 * SECOND);
    assert_nothing_is_left(&mut scene);
}

#[test]
fn with_learn_the_first_sender_of_audio_is_taken_and_answered_until_the_told_address_speaks() {
    let call = CallSettings { rtp_source: RtpSource::Learn, volume_boost: 1.0, ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, ..Stage::default() });
    answered(&mut scene, 1, &utterance(9, 2.0));
    // Asterisk lies behind a NAT: it told 127.0.0.1, and its packets come from elsewhere.
    let nat = SocketAddr::from(([198, 51, 100, 7], 4321));
    let frame: Vec<u8> = [0x80, 118, 0, 1, 0, 0, 1, 0x40, 0, 0, 0, 9].into_iter().chain([0; 640]).collect();
    scene.forge_datagram(nat, &[0x80; 11]);
    scene.run_for(SECOND / 50);
    scene.forge_datagram(nat, &frame);
    scene.run_for(SECOND / 50);
    let answer = |scene: &mut Scene, item: &str| {
        let of = format!(r#""item_id":"{item}","content_index":0"#);
        let delta = format!(r#"{{"type":"response.output_audio.delta",{of},"delta":"AAAA"}}"#);
        scene.forge_message(delta.as_bytes());
        let done = format!(r#"{{"type":"response.output_audio.done",{of}}}"#);
        scene.forge_message(done.as_bytes());
        scene.run_for(SECOND / 10);
        *scene.media_sent_to.last().expect("a packet")
    };
    assert_eq!(answer(&mut scene, "i"), nat, "answers go where the audio comes from");
    let other = SocketAddr::from(([203, 0, 113, 6], 666));
    scene.forge_datagram(other, &frame);
    assert_eq!(answer(&mut scene, "j"), nat, "nobody else is learned after that");
    // It was no NAT, but somebody whose packets were there first: Asterisk's own come from where it told.
    scene.speak(1);
    scene.run_for(SECOND);
    let told = answer(&mut scene, "k");
    assert!(told != nat && told.ip().is_loopback(), "{told}");
    let strangers = Observation::RtpDropped(RtpDrop::Stranger);
    let strange = |scene: &Scene| scene.observations.iter().filter(|(_, o)| *o == strangers).count();
    let before = strange(&scene);
    scene.forge_datagram(nat, &frame);
    scene.run_for(SECOND / 50);
    assert_eq!(strange(&scene), before + 1, "and then no other is taken");
}

#[test]
fn with_learn_nobody_who_comes_after_the_caller_is_listened_to_is_answered() {
    let call =
        CallSettings { rtp_source: RtpSource::Learn, max_call: 20 * SECOND, ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, ..Stage::default() });
    answered(&mut scene, 1, &[]);
    // The caller never says a word, and the goodbye begins.
    scene.run_until("the goodbye", 25 * SECOND, |scene| {
        scene.client_events.iter().any(|event| event.contains("response.create"))
    });
    let stranger = SocketAddr::from(([203, 0, 113, 6], 666));
    scene.forge_datagram(stranger, b"x");
    scene.run_until("the end", 20 * SECOND, |scene| !scene.outcomes.is_empty());
    assert!(scene.media_sent_to.len() > 20, "the goodbye is said");
    assert!(!scene.media_sent_to.contains(&stranger), "and nobody else hears it");
}

#[test]
fn an_answer_that_fails_is_asked_for_again_but_not_for_ever() {
    use ari_bridge_core::sim::realtime::{Answer, Script, Speech, two_tones};
    for barge_in in ari_bridge_core::settings::BargeIn::ALL {
        for (failures, is_answered) in [(1, true), (9, false)] {
            let failure = Answer::Failure { code: "rate_limit_exceeded".into() };
            let speech = Speech { samples: two_tones(), rate: 24_000, transcript: "At last.".into() };
            let answers = vec![failure; failures].into_iter().chain([Answer::Speech(speech)]);
            let call = CallSettings { barge_in, ..CallSettings::default() };
            let agent = Some(Box::new(Script::new(answers)) as Box<_>);
            let mut scene = Scene::new(Stage { call, agent, ..Stage::default() });
            scene.dial(1, &utterance(1, 1.0));
            scene.run_for(Duration::from_secs(1));
            scene.speak(1);
            scene.run_for(Duration::from_secs(30));
            let is_said = scene.said.iter().any(|said| said.text == "At last.");
            assert_eq!(is_said, is_answered, "{barge_in:?}, {failures} failures");
            let failed = scene.observations.iter().filter(
                |(_, o)| matches!(o, Observation::ResponseDone { status, .. } if status.as_str() == "failed"),
            );
            assert_eq!(failed.count(), failures.min(2), "{barge_in:?}");
            let sorry = |o: &Observation| *o == Observation::Recovery(Recovery::Prompt(Prompt::Sorry));
            assert_eq!(scene.saw(sorry), !is_answered, "{barge_in:?}: who is not answered hears so");
        }
    }
}

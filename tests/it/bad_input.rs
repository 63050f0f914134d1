//! What peers do wrong, each with its name: one clear line, the call ends cleanly or goes on, and nothing is
//! left on Asterisk.

use ari_bridge_core::call::{EndReason, IoFault};
use ari_bridge_core::observe::{BadInput, Observation, RtpDrop};
use ari_bridge_core::settings::CallSettings;
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Attempt, Scene, Stage};
use ari_bridge_tests::speech::utterance;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const SECOND: Duration = Duration::from_secs(1);

fn talking(stage: Stage, speech: &[i16]) -> Scene {
    let mut scene = Scene::new(stage);
    scene.dial(1, speech);
    scene.run_until("answered", SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    scene
}

/// The call is over, the caller is in the dialplan, unanswered, and nothing of ours is left.
fn assert_given_back(scene: &mut Scene, reason: EndReason) {
    scene.run_until("the call is over", 10 * SECOND, |scene| scene.outcomes.len() == 1);
    assert_eq!((scene.outcomes[0].ended, scene.outcomes[0].answered), (reason, false));
    scene.run_for(SECOND);
    assert_eq!(scene.state(1), Some(CallerState::InDialplan));
    // The caller's own channel is the dialplan's now.
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (1, 0), "left on Asterisk");
    assert!(!scene.outcomes[0].left_behind);
}

/// The lines in the log that say this.
fn lines(scene: &Scene, what: &str) -> usize {
    scene.observations.iter().filter(|(_, observation)| observation.to_string().contains(what)).count()
}

#[test]
fn wrong_ari_password() {
    let mut scene = Scene::new(Stage { password: "wrong".into(), ..Stage::default() });
    scene.run_for(60 * SECOND);
    let wait = |observation: &Observation| match observation {
        Observation::AriDown { http_status: Some(401), retry_in, .. } => Some(*retry_in),
        _ => None,
    };
    let waits: Vec<_> = scene.observations.iter().filter_map(|(_, observation)| wait(observation)).collect();
    assert!(waits.len() >= 6, "it is tried again: {waits:?}");
    assert!(
        waits[4] > 4 * waits[0] && waits.iter().all(|wait| *wait <= 15 * SECOND),
        "with a growing delay: {waits:?}"
    );
    assert!(lines(&scene, "check ARI_USER and ARI_PASSWORD") == waits.len());
    assert!(!scene.drained);
}

#[test]
fn ari_absent_at_start() {
    let mut scene = Scene::new(Stage { no_asterisk: true, ..Stage::default() });
    scene.run_for(30 * SECOND);
    assert!(lines(&scene, "ARI not connected: nobody listens there; next try in") >= 5);
    scene.asterisk_comes_up();
    scene.run_until("connected", 15 * SECOND, |scene| scene.saw(|o| *o == Observation::AriUp));
    scene.dial(1, &[]);
    scene.run_until("answered", SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
}

#[test]
fn wrong_realtime_key() {
    let mut scene = Scene::new(Stage { api_key: "wrong".into(), ..Stage::default() });
    scene.dial(1, &[]);
    assert_given_back(&mut scene, EndReason::RealtimeRefused);
    assert_eq!(lines(&scene, "closed with 3000 invalid_api_key; check OPENAI_API_KEY"), 1);
}

#[test]
fn wrong_realtime_model() {
    let mut scene =
        Scene::new(Stage { model: "gpt-4o-mini-realtime-preview-2024-12-17".into(), ..Stage::default() });
    scene.dial(1, &[]);
    assert_given_back(&mut scene, EndReason::RealtimeRefused);
    assert_eq!(lines(&scene, "closed with 4004 model_not_found; check OPENAI_MODEL"), 1);
}

#[test]
fn no_realtime_server() {
    let mut scene = Scene::new(Stage { realtime: || Attempt::Refused(IoFault::Refused), ..Stage::default() });
    scene.dial(1, &[]);
    assert_given_back(&mut scene, EndReason::RealtimeLost);
    // It is tried again for as long as the caller may be kept ringing.
    assert!(
        (3..=6).contains(&lines(&scene, "Realtime link down: nobody listens there")),
        "{:?}",
        scene.told()
    );
}

#[test]
fn no_media_port() {
    let mut scene = Scene::new(Stage { no_ports: true, ..Stage::default() });
    scene.dial(1, &[]);
    assert_given_back(&mut scene, EndReason::MediaFault);
    assert_eq!(lines(&scene, "no media port"), 1);
}

#[test]
fn malformed_ari_json() {
    let mut scene = talking(Stage::default(), &[]);
    for event in [
        &b""[..],
        b"{",
        b"null",
        b"[1]",
        b"\xff\xfe\x00",
        br#"{"type":3}"#,
        br#"{"type":"StasisStart"}"#,
        br#"{"type":"StasisStart","channel":{}}"#,
        br#"{"type":"ChannelDestroyed","channel":"x"}"#,
    ] {
        scene.forge_event(event);
    }
    // It can be read, and names nobody's channel.
    scene.forge_event(br#"{"type":"StasisEnd","channel":{"id":7}}"#);
    scene.run_for(SECOND);
    let unread = |o: &Observation| matches!(o, Observation::BadInput(BadInput::AriEvent));
    assert_eq!(scene.observations.iter().filter(|(_, o)| unread(o)).count(), 7);
    assert_eq!((scene.state(1), scene.calls()), (Some(CallerState::Answered), 1), "the call goes on");
}

#[test]
fn malformed_realtime_json() {
    let mut scene = talking(Stage::default(), &[]);
    for message in [
        &b""[..],
        b"{",
        b"null",
        b"\xff",
        br#"{"type":3}"#,
        br#"{"type":"response.output_audio.delta","item_id":"x","delta":"!!!"}"#,
        br#"[{"type":"response.done"}]"#,
    ] {
        scene.forge_message(message);
    }
    // What is new and what is of another kind than expected costs no event.
    scene.forge_message(br#"{"type":"new.in.2030","delta":null,"content_index":null}"#);
    scene.forge_message(br#"{"type":"new.in.2031","delta":{"x":1},"response":"text","item_id":["x"]}"#);
    scene.run_for(SECOND);
    let unread =
        |o: &Observation| matches!(o, Observation::BadInput(BadInput::RealtimeEvent | BadInput::AudioDelta));
    assert_eq!(scene.observations.iter().filter(|(_, o)| unread(o)).count(), 7);
    assert_eq!((scene.state(1), scene.calls()), (Some(CallerState::Answered), 1), "the call goes on");
}

#[test]
fn audio_that_is_not_base64_or_comes_in_crumbs_or_all_at_once() {
    let mut scene = talking(Stage::default(), &[]);
    let delta = |item: &str, audio: &[u8]| {
        let audio = BASE64_STANDARD.encode(audio);
        format!(
            r#"{{"type":"response.output_audio.delta","item_id":"{item}","content_index":0,"delta":"{audio}"}}"#
        )
    };
    for n in 0..50 {
        let bad = format!(r#"{{"type":"response.output_audio.delta","item_id":"bad{n}","delta":"?"}}"#);
        scene.forge_message(bad.as_bytes());
    }
    scene.run_for(SECOND / 10);
    assert_eq!(lines(&scene, "sent something unreadable (audio_delta)"), 1, "fifty of them, one line");
    assert!(scene.datagrams.is_empty(), "and no noise");
    // 100 ms of a constant, one byte at a time: half a sample in each delta.
    for byte in 5000i16.to_le_bytes().repeat(2400) {
        scene.forge_message(delta("crumbs", &[byte]).as_bytes());
    }
    scene.run_for(SECOND);
    let heard = scene.heard(1);
    let loudest = heard.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or_default();
    assert!((4900..5600).contains(&loudest), "put together it is what it was: {loudest}");
    // Nearly four minutes in one message of 14 MB, and as much again: more than a call may hold.
    let minutes = delta("minutes", &vec![0x11; 10_500_000]);
    scene.forge_message(minutes.as_bytes());
    scene.forge_message(minutes.as_bytes());
    scene.forge_message(delta("minutes", &[0; 480]).as_bytes());
    scene.run_for(SECOND / 100);
    assert_eq!(lines(&scene, "more of the agent's audio is waiting than a call may hold"), 1);
    let dropped: u64 = scene.observations.iter().map(|(_, o)| dropped_ms(o)).sum();
    assert!((137_400..137_700).contains(&dropped), "{dropped} ms of 2 × 218750 + 10 dropped");
    scene.run_for(SECOND);
    scene.forge_message(br#"{"type":"input_audio_buffer.speech_started","item_id":"u"}"#);
    scene.run_for(SECOND / 10);
    let truncated = scene.client_events.last().expect("a truncation");
    assert!(truncated.contains("conversation.item.truncate") && truncated.contains("minutes"), "{truncated}");
}

#[test]
fn one_delta_of_20_mb_is_played_as_far_as_a_call_may_hold() {
    let mut scene = talking(Stage::default(), &[]);
    let audio = BASE64_STANDARD.encode(vec![0x11; 15_000_000]);
    let delta = format!(
        r#"{{"type":"response.output_audio.delta","item_id":"all","content_index":0,"delta":"{audio}"}}"#
    );
    assert!(delta.len() > 20_000_000);
    scene.forge_message(delta.as_bytes());
    scene.run_for(SECOND);
    assert_eq!(lines(&scene, "more of the agent's audio is waiting than a call may hold"), 1);
    let dropped: u64 = scene.observations.iter().map(|(_, o)| dropped_ms(o)).sum();
    assert!((12_400..12_600).contains(&dropped), "{dropped} ms of 312500 dropped");
    assert_eq!((scene.calls(), scene.datagrams.len() > 40), (1, true), "and it is heard");
}

fn dropped_ms(observation: &Observation) -> u64 {
    if let Observation::PlayoutFull { dropped_ms } = observation { *dropped_ms } else { 0 }
}

#[test]
fn rtp_in_every_shape_that_the_standard_knows_and_some_that_it_does_not() {
    let mut scene = talking(Stage::default(), &[]);
    let peer = ([127, 0, 0, 1], 20_000).into();
    let audio = 3000i16.to_be_bytes().repeat(320);
    let datagram = |first: u8, kind: u8, sequence: u8, middle: &[u8], end: &[u8]| {
        let [t2, t3] = (u16::from(sequence) * 320).to_be_bytes();
        let header = [first, kind, 0, sequence, 0, 0, t2, t3, 1, 2, 3, 4];
        [&header[..], middle, &audio, end].concat()
    };
    let before = scene.model_audio.len();
    for good in [
        datagram(0x80, 118, 1, &[], &[]),
        datagram(0x82, 118, 2, &[7; 8], &[]),
        datagram(0x90, 118 | 0x80, 3, &[0xBE, 0xDE, 0, 1, 9, 9, 9, 9], &[]),
        datagram(0xA0, 118, 4, &[], &[0, 0, 3]),
        datagram(0xB1, 118, 5, &[1, 1, 1, 1, 0, 0, 0, 0], &[1]),
    ] {
        scene.forge_datagram(peer, &good);
    }
    scene.run_for(SECOND / 100);
    let taken = (scene.model_audio.len() - before) / 48;
    assert_eq!(taken, 100, "CSRCs, an extension, padding, and all of them: 5 × 20 ms");
    assert!(!scene.saw(|o| matches!(o, Observation::RtpDropped(_))));
    for bad in [
        datagram(0x40, 118, 6, &[], &[]),
        datagram(0xA0, 118, 7, &[], &[0]),
        datagram(0x80, 118, 9, &[], &[5]),
        datagram(0x90, 118, 10, &[0, 0, 255, 255], &[]),
        vec![0x8F, 118, 0, 11, 0, 0, 0, 0, 1, 2, 3, 4],
    ] {
        scene.forge_datagram(peer, &bad);
    }
    scene.forge_datagram(peer, &datagram(0x80, 101, 12, &[], &[]));
    scene.run_for(SECOND / 100);
    let dropped = |why| scene.observations.iter().filter(|(_, o)| *o == Observation::RtpDropped(why)).count();
    assert_eq!((dropped(RtpDrop::Malformed), dropped(RtpDrop::PayloadType)), (5, 1));
    assert_eq!(lines(&scene, "packets are dropped: malformed"), 1);
}

#[test]
fn an_rtp_datagram_of_0_or_11_or_9000_bytes() {
    let said = utterance(1, 2.0);
    let mut scene = talking(Stage::default(), &said);
    scene.speak(1);
    scene.run_for(SECOND);
    let peer = ([127, 0, 0, 1], 20_000).into();
    for datagram in [vec![], vec![0x80; 11], vec![0x80; 9_000], vec![0; 172]] {
        scene.forge_datagram(peer, &datagram);
    }
    scene.run_for(6 * SECOND);
    let dropped = Observation::RtpDropped(RtpDrop::Malformed);
    assert_eq!(scene.observations.iter().filter(|(_, o)| *o == dropped).count(), 4);
    assert_eq!(lines(&scene, "packets are dropped: malformed"), 1, "one line, however many come");
    assert!(measure::find(scene.heard(1), &said).correlation > 0.9, "and the call is not disturbed");
}

#[test]
fn rtp_from_a_stranger() {
    let said = utterance(2, 2.0);
    let mut scene = talking(Stage::default(), &said);
    scene.speak(1);
    let mut noise = vec![0x80, 118, 0x12, 0x34, 0, 0, 0, 0, 1, 2, 3, 4];
    noise.extend((0..640).map(|n| (n * 37 % 251) as u8));
    for _ in 0..100 {
        scene.forge_datagram(([192, 0, 2, 66], 4000).into(), &noise);
        scene.run_for(SECOND / 50);
    }
    scene.run_for(5 * SECOND);
    let dropped = Observation::RtpDropped(RtpDrop::Stranger);
    assert_eq!(scene.observations.iter().filter(|(_, o)| *o == dropped).count(), 100);
    assert_eq!(lines(&scene, "packets are dropped: stranger"), 1);
    assert!(measure::find(scene.heard(1), &said).correlation > 0.9, "and nothing of it is heard");
}

#[test]
fn a_stasis_start_for_a_channel_that_is_already_gone() {
    let mut scene = Scene::new(Stage::default());
    scene.forge_event(
        br#"{"type":"StasisStart","args":["1","2"],"channel":{"id":"gone.1","name":"PJSIP/x-1","state":"Ring"},
           "application":"voice-agent"}"#,
    );
    scene.run_until("the call is over", 10 * SECOND, |scene| scene.outcomes.len() == 1);
    assert_eq!(scene.outcomes[0].ended, EndReason::AriFault);
    assert!(!scene.outcomes[0].left_behind);
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (0, 0));
    assert_eq!(lines(&scene, "Asterisk refused to bridge the caller: HTTP 400"), 1);
}

#[test]
fn a_caller_who_hangs_up_in_the_middle_of_the_set_up() {
    for after in [0, 1, 2, 3, 4, 5, 6, 8, 10] {
        let mut scene = Scene::new(Stage::default());
        scene.dial(1, &[]);
        scene.run_for(Duration::from_micros(after * 500));
        scene.hang_up(1);
        scene.run_until("the call is over", 10 * SECOND, |scene| scene.outcomes.len() == 1);
        assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (0, 0), "after {after}");
    }
}

#[test]
fn requests_that_asterisk_refuses_half_way() {
    for (request, status) in [
        ("POST /channels/externalMedia", 500),
        ("POST /channels/externalMedia", 400),
        ("POST /bridges", 500),
        ("POST /bridges/*/addChannel", 422),
        ("POST /channels/*/answer", 412),
    ] {
        let mut scene = Scene::new(Stage::default());
        scene.asterisk.faults.refuse_next(request, status);
        scene.dial(1, &[]);
        assert_given_back(&mut scene, EndReason::AriFault);
        assert_eq!(lines(&scene, &format!("HTTP {status}")), 1, "{request}");
    }
}

#[test]
fn a_session_that_is_never_confirmed_gives_the_caller_back_unanswered() {
    let call = CallSettings { answer_within: Duration::from_millis(600), ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, realtime: || Attempt::Silent, ..Stage::default() });
    scene.dial(1, &[]);
    assert_given_back(&mut scene, EndReason::NotReadyInTime);
    assert_eq!(scene.outcomes[0].duration.as_millis(), 600);
}

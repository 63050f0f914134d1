//! What peers do wrong, each with its name: one clear line, the call ends cleanly or goes on, and nothing is
//! left on Asterisk.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::observe::{Observation, Peer, RtpDrop};
use ari_bridge_core::settings::CallSettings;
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;

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
    let mut scene = Scene::new(Stage { no_realtime: true, ..Stage::default() });
    scene.dial(1, &[]);
    assert_given_back(&mut scene, EndReason::RealtimeLost);
    assert_eq!(lines(&scene, "Realtime link down: nobody listens there"), 1);
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
        br#"{"type":"StasisEnd","channel":{"id":7}}"#,
    ] {
        scene.forge_event(event);
    }
    scene.run_for(SECOND);
    let unread = |o: &Observation| matches!(o, Observation::BadInput { peer: Peer::Ari, .. });
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
        br#"{"type":"response.output_audio.delta","item_id":["x"],"delta":"AAAA"}"#,
    ] {
        scene.forge_message(message);
    }
    scene.forge_message(br#"{"type":"new.in.2030","delta":null,"content_index":null}"#);
    scene.run_for(SECOND);
    let unread = |o: &Observation| matches!(o, Observation::BadInput { peer: Peer::Realtime, .. });
    assert_eq!(scene.observations.iter().filter(|(_, o)| unread(o)).count(), 7);
    assert_eq!((scene.state(1), scene.calls()), (Some(CallerState::Answered), 1), "the call goes on");
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
    let mut scene = Scene::new(Stage { call, mute_realtime: true, ..Stage::default() });
    scene.dial(1, &[]);
    assert_given_back(&mut scene, EndReason::NotReadyInTime);
    assert_eq!(scene.outcomes[0].duration.as_millis(), 600);
}

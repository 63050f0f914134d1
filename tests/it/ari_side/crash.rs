//! `kill -9` of the bridge, and what the next one makes of what it left.

use super::*;
use ari_bridge_core::observe::Refusal;

/// The bridge crashes, and so much later another one starts.
fn crash(scene: &mut Scene, after: Duration) {
    scene.bridge_crashes();
    scene.run_for(after);
    scene.bridge_starts();
}

/// Nothing is on Asterisk but what these calls need.
fn assert_only_these_are_there(scene: &Scene, calls: usize) {
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (2 * calls, calls));
}

#[test]
fn after_a_crash_amid_ten_calls_each_caller_hears_the_agent_again_within_three_seconds() {
    let mut scene = talking(greeting(), 1..=10);
    scene.run_for(4 * SECOND);
    scene.bridge_crashes();
    scene.run_for(SECOND);
    assert!((1..=10).all(|caller| scene.silence(caller) >= SECOND), "it is silent now");
    scene.bridge_starts();
    scene.run_until("all hear the agent", 3 * SECOND, |scene| {
        (1..=10).all(|caller| scene.silence(caller) < SECOND / 4)
    });
    assert!((1..=10).all(|caller| scene.state(caller) == Some(CallerState::Answered)));
    assert_eq!(scene.calls(), 10);
    scene.run_for(3 * SECOND);
    assert_talk(&mut scene, 1..=10);
    assert_only_these_are_there(&scene, 10);
    assert!(scene.client_events.iter().any(|event| event.contains("There I am again.")));
    (1..=10).for_each(|caller| scene.hang_up(caller));
    assert_nothing_is_left(&mut scene, 0);
    assert_no_create_was_sent_twice(&scene);
}

#[test]
fn a_crash_at_any_moment_of_a_set_up_or_an_end_leaves_nothing_and_nobody_in_silence() {
    for step in 0..24 {
        for ends in [false, true] {
            let mut scene = Scene::new(greeting());
            scene.dial(1, &words(1));
            if ends {
                scene.run_for(3 * SECOND);
                scene.hang_up(1);
            }
            scene.run_for(Duration::from_micros(250 * step));
            crash(&mut scene, SECOND / 5);
            scene.run_for(3 * SECOND);
            match scene.state(1) {
                Some(CallerState::Answered) => {
                    assert_eq!(scene.calls(), 1, "{:#?}", scene.told());
                    assert_talk(&mut scene, [1]);
                    assert_only_these_are_there(&scene, 1);
                    scene.hang_up(1);
                    assert_nothing_is_left(&mut scene, 0);
                }
                Some(CallerState::InDialplan) => assert_nothing_is_left(&mut scene, 1),
                Some(CallerState::Gone) if ends => assert_nothing_is_left(&mut scene, 0),
                other => panic!("{other:?} after {step} steps, ends {ends}: {:#?}", scene.told()),
            }
        }
    }
}

#[test]
fn callers_who_wait_go_on_in_the_dialplan_where_the_operator_wants_it_so() {
    let mut scene = talking(Stage { adopt: false, ..Stage::default() }, 1..=4);
    crash(&mut scene, SECOND / 2);
    scene.run_until("all are in the dialplan", 3 * SECOND, |scene| {
        (1..=4).all(|caller| scene.state(caller) == Some(CallerState::InDialplan))
    });
    (1..=4).for_each(|caller| assert_eq!(fallback(&scene, caller), Some("refused_not_adopted")));
    assert!(scene.saw(|o| *o == Observation::CallRefused(Refusal::NotAdopted)));
    assert_nothing_is_left(&mut scene, 4);
    scene.dial(5, &words(5));
    scene.run_until("answered", SECOND, |scene| scene.state(5) == Some(CallerState::Answered));
}

#[test]
fn what_cannot_be_served_any_more_after_a_crash_is_in_the_fallback() {
    let mut scene = talking(Stage { ports: 3, ..Stage::default() }, 1..=3);
    scene.realtime_becomes(|| ari_bridge_tests::scene::Attempt::http(401));
    crash(&mut scene, SECOND / 2);
    scene.run_until("all are in the dialplan", 3 * SECOND, |scene| {
        (1..=3).all(|caller| scene.state(caller) == Some(CallerState::InDialplan))
    });
    assert_nothing_is_left(&mut scene, 3);
}

#[test]
fn callers_who_hung_up_while_there_was_no_bridge_leave_nothing() {
    let mut scene = talking(Stage::default(), 1..=3);
    scene.bridge_crashes();
    (1..=3).for_each(|caller| scene.hang_up(caller));
    scene.run_for(SECOND);
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (3, 3), "media channels");
    scene.bridge_starts();
    scene.run_for(3 * SECOND);
    assert_nothing_is_left(&mut scene, 0);
}

#[test]
fn stray_media_channels_and_empty_bridges_go_and_those_of_others_stay() {
    const MEDIA: &str = "/channels/externalMedia?external_host=127.0.0.1:9&format=ulaw";
    let mut scene = Scene::new(Stage::default());
    scene.bridge_crashes();
    scene.run_for(SECOND / 10);
    // The media channel must find somebody who listens.
    scene.another_client_registers();
    for request in [
        // Of an earlier run.
        format!("{MEDIA}&app=voice-agent&channelId=arib0badcafe-3-1"),
        "/bridges?type=mixing&bridgeId=arib0badcafe-3-2&name=voice-agent".to_owned(),
        "/bridges/arib0badcafe-3-2/addChannel?channel=arib0badcafe-3-1".to_owned(),
        "/bridges?type=mixing&bridgeId=arib0badcafe-4-2&name=voice-agent".to_owned(),
        // Of a bridge with another application, and of somebody else.
        "/bridges?type=mixing&bridgeId=arib0decade0-1-2&name=other-agent".to_owned(),
        "/bridges?type=mixing&bridgeId=conference&name=voice-agent".to_owned(),
        format!("{MEDIA}&app=voice-agent&channelId=somebodys"),
    ] {
        let (status, body) = scene.ask_asterisk("POST", &request);
        assert!((200..300).contains(&status), "{status} {request} {body}");
    }
    scene.bridge_starts();
    scene.run_for(3 * SECOND);
    let ids = |list: serde_json::Value| -> Vec<String> {
        let list = list.as_array().cloned().unwrap_or_default();
        list.iter().filter_map(|thing| Some(thing["id"].as_str()?.to_owned())).collect()
    };
    assert_eq!(ids(scene.ask_asterisk("GET", "/channels").1), ["somebodys"]);
    assert_eq!(ids(scene.ask_asterisk("GET", "/bridges").1), ["arib0decade0-1-2", "conference"]);
    assert_eq!(scene.calls(), 0);
}

#[test]
fn a_crash_of_the_bridge_and_a_restart_of_asterisk_at_once() {
    let mut scene = talking(Stage::default(), 1..=3);
    scene.bridge_crashes();
    scene.asterisk_restarts(SECOND);
    scene.bridge_starts();
    scene.run_for(3 * SECOND);
    assert_nothing_is_left(&mut scene, 0);
    scene.dial(4, &words(4));
    scene.run_until("answered", SECOND, |scene| scene.state(4) == Some(CallerState::Answered));
}

#[test]
fn two_crashes_in_a_row() {
    let mut scene = talking(greeting(), 1..=3);
    for wait in [20, 400] {
        crash(&mut scene, SECOND / 10);
        scene.run_for(Duration::from_millis(wait));
    }
    crash(&mut scene, SECOND / 10);
    scene.run_until("all hear the agent", 3 * SECOND, |scene| {
        scene.calls() == 3 && (1..=3).all(|caller| scene.silence(caller) < SECOND / 4)
    });
    scene.run_for(3 * SECOND);
    assert_talk(&mut scene, 1..=3);
    assert_only_these_are_there(&scene, 3);
}

//! The event socket breaks, falls silent, is taken away.

use super::*;
use ari_bridge_core::call::EndReason;
use ari_bridge_core::sim::asterisk::{CallerState, Fault};

#[test]
fn an_event_socket_that_is_half_open_is_found_within_ten_seconds_and_replaced() {
    for wait in [0, 1300, 2700, 3900] {
        let mut scene = talking(Stage::default(), 1..=1);
        scene.run_for(Duration::from_millis(wait));
        scene.event_socket_goes_half_open();
        scene.run_until("it is found and replaced", 10 * SECOND, |scene| connections(scene) == 2);
        assert!(saw_upkeep(&scene, |upkeep| *upkeep == Upkeep::LinkSilent));
        scene.hang_up(1);
        assert_nothing_is_left(&mut scene, 0);
    }
}

#[test]
fn an_event_socket_on_which_nothing_happens_for_an_hour_is_kept() {
    let mut scene = Scene::new(Stage::default());
    scene.run_for(3600 * SECOND);
    assert_eq!(connections(&scene), 1, "{:#?}", scene.told());
    scene.dial(1, &words(1));
    scene.run_until("answered", SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    assert_talk(&mut scene, [1]);
}

#[test]
fn a_caller_who_came_while_the_event_socket_was_half_open_is_talked_to() {
    let mut scene = Scene::new(greeting());
    scene.event_socket_goes_half_open();
    scene.dial(1, &words(1));
    scene.run_until("answered", 12 * SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    assert!(saw_upkeep(&scene, |upkeep| *upkeep == Upkeep::Adopted));
    scene.run_for(2 * SECOND);
    assert_talk(&mut scene, [1]);
}

#[test]
fn three_calls_talk_on_while_the_event_socket_is_away_for_thirty_seconds() {
    let mut scene = talking(Stage::default(), 1..=3);
    scene.event_socket_goes_away(30 * SECOND);
    for _ in 0..4 {
        assert_talk(&mut scene, 1..=3);
    }
    assert_eq!(connections(&scene), 1);
    scene.run_until("it is back", 12 * SECOND, |scene| connections(scene) == 2);
    assert_talk(&mut scene, 1..=3);
    assert!(scene.outcomes.is_empty(), "{:?}", scene.outcomes);
    assert!(saw_upkeep(&scene, |upkeep| matches!(
        upkeep,
        Upkeep::Resynced { kept: 3, callers: 0, orphans: 0 }
    )));
    (1..=3).for_each(|caller| scene.hang_up(caller));
    assert_nothing_is_left(&mut scene, 0);
    assert_no_create_was_sent_twice(&scene);
}

#[test]
fn three_calls_talk_on_while_nothing_gets_through_to_ari() {
    let mut scene = talking(Stage::default(), 1..=3);
    scene.ari_goes_away(30 * SECOND);
    for _ in 0..4 {
        assert_talk(&mut scene, 1..=3);
    }
    scene.run_until("it is back", 18 * SECOND, |scene| connections(scene) == 2);
    assert_talk(&mut scene, 1..=3);
    assert!(scene.outcomes.is_empty(), "{:?}", scene.outcomes);
}

#[test]
fn a_caller_who_hangs_up_while_nobody_tells_is_noticed_afterwards() {
    let mut scene = talking(Stage::default(), 1..=2);
    scene.event_socket_goes_away(5 * SECOND);
    scene.hang_up(1);
    scene.run_for(4 * SECOND);
    assert_eq!(scene.calls(), 2);
    scene.run_until("it is noticed", 8 * SECOND, |scene| scene.calls() == 1);
    assert_eq!(scene.outcomes[0].ended, EndReason::CallerHungUp);
    assert_talk(&mut scene, [2]);
    scene.hang_up(2);
    assert_nothing_is_left(&mut scene, 0);
}

#[test]
fn a_caller_who_left_for_the_dialplan_while_nobody_told_is_let_go_of() {
    let mut scene = talking(Stage::default(), 1..=1);
    let channel = scene.ask_asterisk("GET", "/applications/voice-agent").1["channel_ids"].clone();
    let channel = channel.as_array().expect("ids").iter().filter_map(|id| id.as_str());
    let channel = channel.clone().find(|id| !id.starts_with("arib")).expect("the caller").to_owned();
    scene.event_socket_goes_away(2 * SECOND);
    assert_eq!(scene.ask_asterisk("POST", &format!("/channels/{channel}/continue")).0, 204);
    assert_nothing_is_left(&mut scene, 1);
    assert_eq!(scene.state(1), Some(CallerState::InDialplan));
    assert_eq!(requests(&scene, &format!("DELETE /channels/{channel}")), 0, "it is not ours any more");
}

#[test]
fn a_media_channel_that_vanished_while_nobody_told_ends_the_call_and_not_in_silence() {
    let mut scene = talking(Stage::default(), 1..=1);
    let ids = scene.ask_asterisk("GET", "/applications/voice-agent").1["channel_ids"].clone();
    let media = ids.as_array().expect("ids").iter().filter_map(|id| id.as_str());
    let media = media.clone().find(|id| id.starts_with("arib")).expect("ours").to_owned();
    scene.event_socket_goes_away(SECOND);
    assert_eq!(scene.ask_asterisk("DELETE", &format!("/channels/{media}")).0, 204);
    assert_nothing_is_left(&mut scene, 1);
    assert_eq!(fallback(&scene, 1), Some("ari_fault"));
}

#[test]
fn a_call_whose_set_up_falls_into_the_gap_is_made_or_given_up_and_nothing_is_made_twice() {
    // In steps of half a flight, through the whole set-up.
    for step in 0..24 {
        for both in [false, true] {
            let mut scene = Scene::new(Stage::default());
            scene.dial(1, &words(1));
            scene.run_for(Duration::from_micros(250 * step));
            if both {
                scene.ari_goes_away(2 * SECOND);
            } else {
                scene.event_socket_goes_away(2 * SECOND);
            }
            scene.run_for(8 * SECOND);
            let context = format!("after {step} steps, both {both}: {:#?}", scene.told());
            match scene.state(1) {
                Some(CallerState::Answered) => {
                    assert_eq!(scene.calls(), 1, "{context}");
                    assert_talk(&mut scene, [1]);
                    scene.hang_up(1);
                    assert_nothing_is_left(&mut scene, 0);
                }
                Some(CallerState::InDialplan) => assert_nothing_is_left(&mut scene, 1),
                other => panic!("{other:?} {context}"),
            }
            if !scene.requested.is_empty() && step > 2 {
                assert_no_create_was_sent_twice(&scene);
            }
        }
    }
}

#[test]
fn requests_whose_answers_are_lost_are_repeated_but_no_create_is() {
    for lost in [Fault::LoseReply, Fault::LoseRequest] {
        let mut scene = Scene::new(Stage::default());
        scene.dial(1, &words(1));
        scene.asterisk.faults.every = Some(lost);
        scene.run_for(7 * SECOND);
        scene.asterisk.faults.every = None;
        scene.run_until("the call is over", 60 * SECOND, |scene| scene.outcomes.len() == 1);
        assert_nothing_is_left(&mut scene, 1);
        assert_eq!(scene.state(1), Some(CallerState::InDialplan), "{lost:?}");
        assert_no_create_was_sent_twice(&scene);
    }
}

#[test]
fn the_name_of_the_application_that_another_client_takes_is_not_fought_for() {
    let mut scene = talking(Stage::default(), 1..=2);
    scene.another_client_registers();
    scene.run_for(60 * SECOND);
    assert!(scene.saw(|observation| *observation == Observation::AppReplaced));
    assert_eq!(connections(&scene), 1, "it is not taken back");
    assert_talk(&mut scene, 1..=2);
    scene.dial(3, &words(3));
    scene.run_for(2 * SECOND);
    assert_eq!((scene.calls(), scene.state(3)), (2, Some(CallerState::Ringing)), "it is the other one's");
    assert_eq!(requests(&scene, "DELETE"), 0, "and nothing is swept");
    scene.stop_now();
    scene.run_until("the process is done", 6 * SECOND, |scene| scene.drained);
}

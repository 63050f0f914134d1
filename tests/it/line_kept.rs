//! A line that is kept although Asterisk does not tell what happens, or answers nothing but errors; and one that is let
//! go in peace when the process stops.

use ari_bridge_core::call::{EndReason, StopReason};
use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::settings::{CallSettings, Fallback, Prompt, SessionSettings};
use ari_bridge_core::sim::asterisk::{Actions, CallerState, EventFlow, Faults};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::scene::{Scene, Stage};

const STATUS: &str = "ARI_BRIDGE_STATUS";

fn answered(fallback: Fallback) -> Scene {
    let session = SessionSettings { greeting: Some("Good day.".into()), ..SessionSettings::default() };
    let call = CallSettings { fallback, session, ..CallSettings::default() };
    let mut scene = Scene::new(Stage { call, ..Stage::default() });
    scene.dial(1, &[]);
    scene.run_until("the caller is answered", Duration::from_secs(3), |scene| {
        scene.state(1) == Some(CallerState::Answered)
    });
    scene
}

fn prompts(scene: &Scene, prompt: Prompt) -> usize {
    let prompt = Observation::Recovery(Recovery::Prompt(prompt));
    scene.observations.iter().filter(|(_, observation)| *observation == prompt).count()
}

/// How long it took from now until no call is left.
fn ends(scene: &mut Scene, limit: Duration) -> Duration {
    let mut passed = Duration::ZERO;
    while scene.calls() > 0 {
        assert!(passed < limit, "not over within {limit:?}: {:#?}", scene.told());
        scene.run_for(Duration::from_millis(10));
        passed += Duration::from_millis(10);
    }
    passed
}

fn nothing_is_left(scene: &Scene, callers: usize) {
    let left = (scene.asterisk.channel_count(), scene.asterisk.bridge_count());
    assert_eq!(left, (callers, 0), "{:#?}", scene.told());
    assert!(scene.outcomes.iter().all(|outcome| !outcome.left_behind));
}

fn set_event_flow(scene: &mut Scene, flow: EventFlow) {
    scene.asterisk.set_event_flow(flow, &mut Actions::new());
}

#[test]
fn a_caller_who_hangs_up_while_events_are_away_becomes_no_ghost() {
    let mut scene = answered(Fallback::default());
    scene.events_stay_away();
    scene.run_for(Duration::from_secs(12));
    assert_eq!(scene.calls(), 1, "{:#?}", scene.told());
    scene.hang_up(1);
    let after = ends(&mut scene, Duration::from_secs(6));
    assert!(after <= Duration::from_secs(6), "{after:?}");
    assert_eq!(scene.outcomes[0].ended, EndReason::CallerHungUp);
    nothing_is_left(&scene, 0);
}

#[test]
fn a_call_of_which_nothing_is_told_for_minutes_goes_on_and_ends_as_any_other() {
    let mut scene = answered(Fallback::default());
    scene.events_stay_away();
    scene.run_for(Duration::from_secs(150));
    assert_eq!(scene.calls(), 1, "{:#?}", scene.told());
    scene.asterisk_comes_up();
    scene.run_for(Duration::from_secs(12));
    assert_eq!(scene.calls(), 1, "{:#?}", scene.told());
    scene.hang_up(1);
    ends(&mut scene, Duration::from_millis(200));
    nothing_is_left(&scene, 0);
}

#[test]
fn a_set_up_whose_events_are_lost_is_finished_all_the_same() {
    for comes_back in [true, false] {
        let mut scene = Scene::new(Stage::default());
        scene.dial(1, &[]);
        scene.run_until("the call begins", Duration::from_millis(10), |scene| scene.calls() == 1);
        set_event_flow(&mut scene, EventFlow::Drop);
        if comes_back {
            scene.cut_event_socket();
        } else {
            scene.events_stay_away();
        }
        scene.run_for(Duration::from_secs(3));
        assert_eq!(scene.state(1), Some(CallerState::Answered), "{comes_back} {:#?}", scene.told());
    }
}

#[test]
fn when_the_process_stops_a_caller_hears_so_and_goes_on_in_the_dialplan() {
    let mut scene = answered(Fallback::default());
    scene.run_for(Duration::from_millis(500));
    scene.stop_calls(StopReason::Shutdown);
    let after = ends(&mut scene, Duration::from_secs(20));
    assert_eq!((prompts(&scene, Prompt::Moment), prompts(&scene, Prompt::Goodbye)), (1, 0));
    assert_eq!(scene.state(1), Some(CallerState::InDialplan), "after {after:?}: {:#?}", scene.told());
    assert_eq!(scene.asterisk.continued_with(1, STATUS), Some("shutdown"));
    assert_eq!(scene.outcomes[0].ended, EndReason::Shutdown);
    nothing_is_left(&scene, 1);
}

#[test]
fn where_nobody_goes_on_the_agent_says_goodbye_in_its_own_words() {
    let mut scene = answered(Fallback::HangUp);
    scene.run_for(Duration::from_millis(500));
    scene.stop_calls(StopReason::Shutdown);
    ends(&mut scene, Duration::from_secs(20));
    let asked = scene.sent("response.create");
    let words =
        asked.last().expect("it is asked for")["response"]["instructions"].as_str().unwrap_or_default();
    assert!(words.contains("maintenance"), "{words}");
    assert_eq!(prompts(&scene, Prompt::Goodbye), 0, "{:#?}", scene.told());
    assert!(scene.said.iter().filter(|said| said.heard_ms > 0).count() >= 2, "{:?}", scene.said);
    assert_eq!(scene.asterisk.hung_up_for(1), Some("normal"));
    assert_eq!(scene.outcomes[0].ended, EndReason::Shutdown);
    nothing_is_left(&scene, 0);
}

#[test]
fn without_a_session_the_bridge_says_goodbye_itself() {
    let mut scene = answered(Fallback::HangUp);
    scene.realtime_becomes(|| ari_bridge_tests::scene::Attempt::Hang);
    scene.cut_realtime(ari_bridge_core::call::IoFault::Reset);
    scene.run_for(Duration::from_millis(500));
    scene.stop_calls(StopReason::Shutdown);
    ends(&mut scene, Duration::from_secs(20));
    assert_eq!(prompts(&scene, Prompt::Goodbye), 1, "{:#?}", scene.told());
    assert_eq!(scene.outcomes[0].ended, EndReason::Shutdown);
    nothing_is_left(&scene, 0);
}

/// Every request to Asterisk is answered with 500 for five seconds.
fn asterisk_is_ill(scene: &mut Scene) {
    for _ in 0..1_000 {
        scene.asterisk.faults.refuse_next("*", 500);
    }
    scene.run_for(Duration::from_secs(5));
    scene.asterisk.faults = Faults::default();
}

#[test]
fn an_asterisk_that_refuses_everything_for_five_seconds_costs_a_caller_no_more_than_the_agent() {
    // While the call is set up: before anything is made, and when something is.
    for millis in [0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20] {
        let mut scene = Scene::new(Stage::default());
        scene.dial(1, &[]);
        scene.run_for(Duration::from_millis(millis));
        asterisk_is_ill(&mut scene);
        scene.run_for(Duration::from_secs(10));
        if scene.state(1) == Some(CallerState::Answered) {
            // All was made before.
            scene.hang_up(1);
            ends(&mut scene, Duration::from_secs(1));
            nothing_is_left(&scene, 0);
        } else {
            assert_eq!(scene.state(1), Some(CallerState::InDialplan), "{millis} {:#?}", scene.told());
            assert_eq!(scene.outcomes.len(), 1);
            nothing_is_left(&scene, 1);
        }
    }
}

#[test]
fn nor_does_it_keep_a_call_from_being_cleaned_up_behind() {
    let mut scene = answered(Fallback::default());
    scene.stop_calls(StopReason::AtOnce);
    asterisk_is_ill(&mut scene);
    assert_eq!(scene.calls(), 1, "it is not over yet");
    ends(&mut scene, Duration::from_secs(10));
    assert_eq!(scene.state(1), Some(CallerState::InDialplan), "{:#?}", scene.told());
    nothing_is_left(&scene, 1);
}

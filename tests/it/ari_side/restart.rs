//! Asterisk is stopped and started in mid-call.

use super::*;
use ari_bridge_core::call::EndReason;

#[test]
fn calls_end_within_seconds_of_a_restart_of_asterisk_and_the_next_one_works() {
    for away in [0, 100, 3000, 20_000] {
        let mut scene = talking(Stage::default(), 1..=3);
        scene.asterisk_restarts(Duration::from_millis(away));
        scene.run_until("asterisk is back", 8 * SECOND, |scene| connections(scene) == 2);
        scene.run_until("the calls are over", 3 * SECOND, |scene| scene.calls() == 0);
        // Whichever is known first: that the caller's channel is not there, or that all of them are not.
        assert!(
            scene.outcomes.iter().all(|outcome| {
                matches!(outcome.ended, EndReason::AsteriskRestarted | EndReason::CallerHungUp)
                    && !outcome.left_behind
            }),
            "away for {away} ms: {:?}",
            scene.outcomes
        );
        assert!(saw_upkeep(&scene, |upkeep| matches!(upkeep, Upkeep::AsteriskRestarted { .. })));
        assert!(scene.links_open().is_empty());
        assert_nothing_is_left(&mut scene, 0);
        scene.dial(4, &words(4));
        scene.run_until("answered", SECOND, |scene| scene.state(4) == Some(CallerState::Answered));
        scene.run_for(SECOND);
        assert_talk(&mut scene, [4]);
        assert_no_create_was_sent_twice(&scene);
    }
}

#[test]
fn a_restart_in_the_middle_of_a_set_up_leaves_nothing_and_nobody() {
    for step in 0..24 {
        let mut scene = Scene::new(Stage::default());
        scene.dial(1, &[]);
        scene.run_for(Duration::from_micros(250 * step));
        scene.asterisk_restarts(SECOND);
        assert_eq!(scene.state(1), Some(CallerState::Gone));
        scene.run_for(SECOND);
        scene.dial(2, &[]);
        scene.run_until("answered", SECOND, |scene| scene.state(2) == Some(CallerState::Answered));
        scene.hang_up(2);
        // A create of the first one may come to be executed for half a minute.
        assert_nothing_is_left(&mut scene, 0);
    }
}

#[test]
fn a_caller_who_comes_right_after_the_restart_is_not_taken_for_one_of_before() {
    let mut scene = talking(Stage::default(), 1..=1);
    scene.asterisk_restarts(SECOND);
    scene.run_until("asterisk is back", 8 * SECOND, |scene| connections(scene) == 2);
    scene.dial(2, &words(2));
    scene.run_until("answered", SECOND, |scene| scene.state(2) == Some(CallerState::Answered));
    scene.run_for(2 * SECOND);
    assert_talk(&mut scene, [2]);
    assert_eq!(scene.calls(), 1);
}

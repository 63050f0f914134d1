//! The process is told to stop, once and once more.

use super::*;
use ari_bridge_core::call::EndReason;

fn stage() -> Stage {
    Stage { drain: 20 * SECOND, ..Stage::default() }
}

#[test]
fn calls_go_on_while_the_process_waits_to_stop_and_new_callers_go_on_in_the_dialplan() {
    let mut scene = talking(stage(), 1..=3);
    scene.drain();
    scene.run_for(SECOND);
    scene.dial(4, &[]);
    scene.run_for(SECOND / 10);
    assert_eq!(fallback(&scene, 4), Some("refused_stopping"));
    assert!(saw_upkeep(&scene, |upkeep| matches!(upkeep, Upkeep::Draining { calls: 3, .. })));
    assert_talk(&mut scene, 1..=3);
    assert!(!scene.drained);
    (1..=3).for_each(|caller| scene.hang_up(caller));
    scene.run_until("it stops with its last call", SECOND, |scene| scene.drained);
    assert!(scene.outcomes.iter().all(|outcome| outcome.ended == EndReason::CallerHungUp));
    assert_nothing_is_left(&mut scene, 1);
}

#[test]
fn at_the_end_of_that_time_the_agent_says_goodbye_and_the_calls_end() {
    let mut scene = talking(stage(), 1..=3);
    scene.drain();
    scene.run_for(19 * SECOND);
    assert!((1..=3).all(|caller| scene.silence(caller) > 10 * SECOND));
    assert_eq!(scene.calls(), 3);
    scene.run_until("it stops", 27 * SECOND, |scene| scene.drained);
    assert!(saw_upkeep(&scene, |upkeep| *upkeep == Upkeep::DrainOver { calls: 3 }));
    for caller in 1..=3 {
        assert!(scene.silence(caller) < 5 * SECOND, "caller {caller} heard no goodbye: {:#?}", scene.told());
        assert_eq!(fallback(&scene, caller), Some("shutdown"));
    }
    assert!(scene.outcomes.iter().all(|outcome| outcome.ended == EndReason::Shutdown));
    assert!(!saw_upkeep(&scene, |upkeep| matches!(upkeep, Upkeep::GaveUp { .. })));
    assert_nothing_is_left(&mut scene, 3);
}

#[test]
fn told_a_second_time_the_process_ends_at_once_and_leaves_nothing() {
    for drains in [true, false] {
        let mut scene = talking(stage(), 1..=3);
        if drains {
            scene.drain();
            scene.run_for(SECOND);
        }
        scene.stop_now();
        scene.run_until("it stops", SECOND, |scene| scene.drained);
        assert_eq!(scene.outcomes.len(), 3);
        let in_dialplan = (1..=3).filter(|n| scene.state(*n) == Some(CallerState::InDialplan)).count();
        assert_nothing_is_left(&mut scene, in_dialplan);
        assert!((1..=3).all(|caller| scene.state(caller) != Some(CallerState::Answered)));
    }
}

#[test]
fn an_asterisk_that_does_not_answer_does_not_keep_the_process() {
    for now in [true, false] {
        let mut scene = talking(stage(), 1..=2);
        scene.ari_goes_away(600 * SECOND);
        if now {
            scene.stop_now();
            scene.run_until("it stops", 7 * SECOND, |scene| scene.drained);
        } else {
            scene.drain();
            scene.run_until("it stops", 50 * SECOND, |scene| scene.drained);
        }
        assert!(saw_upkeep(&scene, |upkeep| matches!(upkeep, Upkeep::GaveUp { .. })), "{:#?}", scene.told());
        // The next one finds what is left.
        scene.run_for(560 * SECOND);
        scene.hang_up(1);
        scene.hang_up(2);
        scene.run_for(40 * SECOND);
        scene.bridge_starts();
        scene.run_for(5 * SECOND);
        assert_nothing_is_left(&mut scene, 0);
    }
}

#[test]
fn callers_who_are_found_while_the_process_waits_to_stop_are_not_taken_on() {
    let mut scene = talking(stage(), 1..=1);
    scene.event_socket_goes_half_open();
    scene.dial(2, &[]);
    scene.drain();
    scene.run_for(12 * SECOND);
    assert_eq!(fallback(&scene, 2), Some("refused_stopping"), "{:#?}", scene.told());
    assert_eq!(scene.calls(), 1);
}

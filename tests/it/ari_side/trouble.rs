//! Asterisk answers with errors, late, or in another order.

use super::*;
use ari_bridge_core::sim::asterisk::Fault;

/// For five seconds every request is refused.
fn refused_for_five_seconds(scene: &mut Scene) {
    scene.asterisk.faults.every = Some(Fault::Refuse(500));
    scene.run_for(5 * SECOND);
    scene.asterisk.faults.every = None;
}

#[test]
fn errors_from_everything_in_a_set_up_send_the_caller_on_and_leave_nothing() {
    for step in 0..24 {
        let mut scene = Scene::new(Stage::default());
        scene.dial(1, &words(1));
        scene.run_for(Duration::from_micros(250 * step));
        refused_for_five_seconds(&mut scene);
        scene.run_for(5 * SECOND);
        match scene.state(1) {
            Some(CallerState::Answered) => {
                assert_talk(&mut scene, [1]);
                scene.hang_up(1);
                assert_nothing_is_left(&mut scene, 0);
            }
            Some(CallerState::InDialplan) => assert_nothing_is_left(&mut scene, 1),
            other => panic!("{other:?} after {step} steps: {:#?}", scene.told()),
        }
        assert_no_create_was_sent_twice(&scene);
    }
}

#[test]
fn errors_from_everything_in_a_conversation_are_not_noticed() {
    let mut scene = talking(Stage::default(), 1..=2);
    scene.asterisk.faults.every = Some(Fault::Refuse(500));
    assert_talk(&mut scene, 1..=2);
    scene.cut_event_socket();
    assert_talk(&mut scene, 1..=2);
    assert!(saw_upkeep(&scene, |upkeep| matches!(upkeep, Upkeep::ResyncAgain { status: Some(500), .. })));
    scene.asterisk.faults.every = None;
    scene.run_until("it is settled", 35 * SECOND, |scene| {
        saw_upkeep(scene, |upkeep| matches!(upkeep, Upkeep::Resynced { kept: 2, .. }))
    });
    assert_talk(&mut scene, 1..=2);
    (1..=2).for_each(|caller| scene.hang_up(caller));
    assert_nothing_is_left(&mut scene, 0);
}

#[test]
fn errors_from_everything_at_the_end_only_delay_it() {
    let mut scene = talking(Stage::default(), 1..=2);
    scene.hang_up(1);
    refused_for_five_seconds(&mut scene);
    scene.run_until("the call is over", 10 * SECOND, |scene| scene.outcomes.len() == 1);
    assert!(!scene.outcomes[0].left_behind);
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (2, 1));
    assert_talk(&mut scene, [2]);
}

#[test]
fn a_delete_that_overtakes_its_create_is_made_up_for() {
    for create in ["POST /channels/externalMedia", "POST /bridges"] {
        let mut scene = Scene::new(Stage::default());
        scene.asterisk.faults.next(create, Fault::HoldRequest);
        scene.dial(1, &[]);
        scene.run_for(SECOND / 10);
        scene.hang_up(1);
        // The create is given up, and what may come of it is deleted before it is there.
        scene.run_for(7 * SECOND);
        scene.release_asterisk();
        scene.run_until("the call is over", 40 * SECOND, |scene| scene.calls() == 0);
        assert_nothing_is_left(&mut scene, 0);
        assert!(!scene.outcomes[0].left_behind, "{create}");
    }
}

#[test]
fn a_create_that_is_executed_after_the_crash_of_who_sent_it_is_removed() {
    for (create, wait) in
        [("POST /channels/externalMedia", 1), ("POST /channels/externalMedia", 20), ("POST /bridges", 1)]
    {
        let mut scene = Scene::new(greeting());
        scene.asterisk.faults.next(create, Fault::HoldRequest);
        scene.dial(1, &words(1));
        scene.run_for(SECOND / 10);
        scene.bridge_crashes();
        scene.run_for(SECOND / 10);
        scene.bridge_starts();
        scene.run_for(SECOND / 2);
        scene.run_for(wait * SECOND);
        scene.release_asterisk();
        scene.run_for(5 * SECOND);
        assert_eq!(scene.state(1), Some(CallerState::Answered), "{:#?}", scene.told());
        assert_talk(&mut scene, [1]);
        scene.hang_up(1);
        // A bridge that appears without a word is found when it is asked again what there is.
        scene.cut_event_socket();
        scene.run_for(5 * SECOND);
        assert_nothing_is_left(&mut scene, 0);
    }
}

//! Channels that come into the application by other ways than the dialplan.

use super::*;
use ari_bridge_core::call::EndReason;

#[test]
fn who_takes_the_callers_place_in_an_attended_transfer_is_talked_to() {
    for gap in [false, true] {
        let mut scene = talking(Stage::default(), 1..=1);
        scene.transfers(1, 2, &words(2));
        scene.run_for(SECOND);
        assert_eq!((scene.calls(), scene.state(1)), (1, Some(CallerState::Gone)));
        assert_talk(&mut scene, [2]);
        if gap {
            scene.event_socket_goes_away(SECOND);
            scene.run_for(5 * SECOND);
            assert_eq!(scene.calls(), 1, "{:#?}", scene.told());
            assert_talk(&mut scene, [2]);
        }
        scene.hang_up(2);
        assert_nothing_is_left(&mut scene, 0);
        assert_eq!(scene.outcomes[0].ended, EndReason::CallerHungUp);
    }
}

#[test]
fn who_took_the_callers_place_while_nobody_told_is_taken_on() {
    let mut scene = talking(Stage::default(), 1..=1);
    scene.event_socket_goes_away(2 * SECOND);
    scene.transfers(1, 2, &words(2));
    scene.run_for(8 * SECOND);
    assert_eq!((scene.calls(), scene.state(2)), (1, Some(CallerState::Answered)), "{:#?}", scene.told());
    assert_talk(&mut scene, [2]);
    scene.hang_up(2);
    assert_nothing_is_left(&mut scene, 0);
}

#[test]
fn whom_another_client_has_called_into_our_application_is_talked_to() {
    let mut scene = Scene::new(greeting());
    scene.another_client_calls(1, &words(1));
    scene.run_for(4 * SECOND);
    assert_eq!(scene.calls(), 1);
    assert_talk(&mut scene, [1]);
    scene.hang_up(1);
    assert_nothing_is_left(&mut scene, 0);
    assert_eq!(scene.outcomes[0].ended, EndReason::CallerHungUp);
}

#[test]
fn whom_another_client_has_called_and_who_went_on_in_the_dialplan_is_not_taken_on_again() {
    let mut scene = Scene::new(Stage { max_calls: 1, ..Stage::default() });
    scene.dial(1, &words(1));
    scene.another_client_calls(2, &[]);
    scene.run_for(2 * SECOND);
    assert_eq!(fallback(&scene, 2), Some("refused_too_many_calls"));
    // The application is still subscribed to its channel.
    scene.cut_event_socket();
    scene.hang_up(1);
    scene.run_for(5 * SECOND);
    assert_eq!((connections(&scene), scene.state(2)), (2, Some(CallerState::InDialplan)));
    assert_eq!(scene.calls(), 0, "{:#?}", scene.told());
    scene.hang_up(2);
    assert_nothing_is_left(&mut scene, 0);
}

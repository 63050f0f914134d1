//! Who is not taken on, and when somebody can be again.

use super::*;
use ari_bridge_core::observe::Refusal;

fn was_answered(scene: &Scene) -> usize {
    scene.observations.iter().filter(|(_, o)| matches!(o, Observation::Answered { .. })).count()
}

#[test]
fn of_five_callers_on_two_ports_two_are_served_and_three_go_on_unanswered() {
    let mut scene = talking(Stage { ports: 2, ..Stage::default() }, 1..=2);
    for caller in 3..=5 {
        scene.dial(caller, &[]);
        scene.run_for(SECOND / 20);
        assert_eq!(fallback(&scene, caller), Some("refused_no_port"));
    }
    let refused = |o: &Observation| *o == Observation::CallRefused(Refusal::NoPort);
    assert_eq!(scene.observations.iter().filter(|(_, o)| refused(o)).count(), 3);
    assert_eq!((was_answered(&scene), scene.calls()), (2, 2));
    assert_talk(&mut scene, 1..=2);
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (7, 2));
}

#[test]
fn a_port_can_be_had_again_when_it_has_rested_and_not_before() {
    let mut scene = talking(Stage { ports: 1, ..Stage::default() }, 1..=1);
    scene.hang_up(1);
    scene.run_until("the call is over", SECOND, |scene| scene.calls() == 0);
    scene.dial(2, &[]);
    scene.run_for(SECOND / 10);
    assert_eq!(fallback(&scene, 2), Some("refused_no_port"));
    let mut caller = 2;
    let mut waited = 0;
    while scene.calls() == 0 {
        scene.run_for(SECOND);
        (caller, waited) = (caller + 1, waited + 1);
        scene.dial(caller, &words(caller));
        scene.run_for(SECOND / 10);
        assert!(waited <= 60, "never again");
        assert!(!scene.saw(|o| o.to_string().contains("no media port could")), "{:#?}", scene.told());
    }
    scene.run_until("answered", SECOND, |scene| scene.state(caller) == Some(CallerState::Answered));
    scene.run_for(SECOND);
    assert_talk(&mut scene, [caller]);
}

#[test]
fn callers_who_wait_beyond_what_the_ports_or_the_limit_allow_go_on_after_a_crash() {
    for (ports, max_calls, status) in [(2, 10, "refused_no_port"), (101, 2, "refused_too_many_calls")] {
        let mut scene = Scene::new(Stage { ports, max_calls, ..Stage::default() });
        // Nobody tells the bridge of them.
        scene.event_socket_goes_half_open();
        (1..=5).for_each(|caller| scene.dial(caller, &words(caller)));
        scene.run_for(12 * SECOND);
        let state = |caller| scene.state(caller);
        let served = (1..=5).filter(|caller| state(*caller) == Some(CallerState::Answered)).count();
        let refused = (1..=5).filter(|caller| fallback(&scene, *caller) == Some(status)).count();
        assert_eq!((served, refused), (2, 3), "{:#?}", scene.told());
    }
}

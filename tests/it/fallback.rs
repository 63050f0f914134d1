//! Where a caller goes with whom no conversation is possible, and what the dialplan is told of it.

use ari_bridge_core::call::EndReason;
use ari_bridge_core::observe::{Guard, Observation, Refusal};
use ari_bridge_core::settings::{CallSettings, Fallback, Place};
use ari_bridge_core::sim::asterisk::{CallerState, EventFlow, Fault};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::scene::{Scene, Stage};

const STATUS: &str = "ARI_BRIDGE_STATUS";

/// Until a caller who is refused has gone on: a few messages there and back.
const AT_ONCE: Duration = Duration::from_millis(10);

/// The Realtime server does not know the bridge's key.
fn wrong_key(fallback: Fallback) -> Scene {
    let call = CallSettings { fallback, ..CallSettings::default() };
    Scene::new(Stage { api_key: "sk-unknown".into(), call, ..Stage::default() })
}

fn saw_guard(scene: &Scene, guard: Guard) -> usize {
    let guard = Observation::Guard(guard);
    scene.observations.iter().filter(|(_, observation)| *observation == guard).count()
}

fn was_answered(scene: &Scene) -> bool {
    scene.saw(|observation| matches!(observation, Observation::Answered { .. }))
}

#[test]
fn a_refused_key_sends_the_caller_on_unanswered_and_the_dialplan_knows_why() {
    let place = Place { context: Some("agent-fallback".into()), extension: Some("s".into()), priority: None };
    for (fallback, at) in
        [(Fallback::default(), "inbound,100,2"), (Fallback::Dialplan(place), "agent-fallback,s,1")]
    {
        let mut scene = wrong_key(fallback);
        scene.dial(1, &[]);
        scene.run_for(Duration::from_millis(500));
        assert_eq!(scene.state(1), Some(CallerState::InDialplan), "{:#?}", scene.told());
        assert!(!was_answered(&scene));
        assert_eq!(scene.asterisk.continued_at(1), Some(at));
        assert_eq!(scene.asterisk.continued_with(1, STATUS), Some("realtime_refused"));
        assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (1, 0));
    }
}

#[test]
fn where_nobody_goes_on_a_caller_who_was_not_answered_hears_congestion() {
    let mut scene = wrong_key(Fallback::HangUp);
    scene.dial(1, &[]);
    scene.run_for(Duration::from_millis(500));
    assert_eq!(scene.state(1), Some(CallerState::Gone));
    assert_eq!(scene.asterisk.hung_up_for(1), Some("congestion"));
    assert_eq!(scene.asterisk.continued_at(1), None);
    assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (0, 0));
}

#[test]
fn a_realtime_side_that_fails_for_every_call_is_left_in_peace_and_tried_by_one_call_at_a_time() {
    let mut scene = wrong_key(Fallback::default());
    let goes_on = |scene: &mut Scene, caller: u64| {
        scene.dial(caller, &[]);
        scene.run_until("the caller goes on", Duration::from_secs(2), |scene| {
            scene.state(caller) == Some(CallerState::InDialplan)
        });
        scene.asterisk.continued_with(caller, STATUS).map(str::to_owned)
    };
    for caller in 1..=3 {
        assert_eq!(saw_guard(&scene, Guard::BreakerOpened { calls: 3 }), 0);
        assert_eq!(goes_on(&mut scene, caller).as_deref(), Some("realtime_refused"));
        scene.run_for(Duration::from_millis(100));
    }
    assert_eq!(saw_guard(&scene, Guard::BreakerOpened { calls: 3 }), 1);

    let calls = scene.outcomes.len();
    scene.dial(4, &[]);
    scene.run_for(AT_ONCE);
    assert_eq!(scene.state(4), Some(CallerState::InDialplan), "before anybody answers");
    assert_eq!(scene.asterisk.continued_with(4, STATUS), Some("refused_realtime_down"));
    assert!(scene.saw(|observation| *observation == Observation::CallRefused(Refusal::RealtimeDown)));
    assert_eq!((scene.outcomes.len(), scene.calls()), (calls, 0), "no call was made of it");

    scene.run_for(Duration::from_secs(15));
    scene.dial(5, &[]);
    scene.dial(6, &[]);
    scene.run_for(Duration::from_millis(500));
    let status = |caller| scene.asterisk.continued_with(caller, STATUS);
    assert_eq!((status(5), status(6)), (Some("realtime_refused"), Some("refused_realtime_down")));
    assert_eq!(saw_guard(&scene, Guard::BreakerProbe), 1);
    assert_eq!(goes_on(&mut scene, 7).as_deref(), Some("refused_realtime_down"), "a new wait has begun");
    assert_eq!(saw_guard(&scene, Guard::BreakerOpened { calls: 3 }), 1);
    assert!(!was_answered(&scene));
}

#[test]
fn one_caller_too_many_is_told_of_as_such() {
    let mut scene = Scene::new(Stage { max_calls: 1, ..Stage::default() });
    scene.dial(1, &[]);
    scene.dial(2, &[]);
    scene.run_for(AT_ONCE);
    assert_eq!(scene.asterisk.continued_with(2, STATUS), Some("refused_too_many_calls"));
}

#[test]
fn a_dialplan_that_cannot_be_told_gets_the_caller_all_the_same() {
    let mut scene = wrong_key(Fallback::default());
    scene.asterisk.faults.next("POST /channels/*/variable", Fault::Refuse(500));
    scene.dial(1, &[]);
    scene.run_for(Duration::from_millis(500));
    assert_eq!(scene.state(1), Some(CallerState::InDialplan));
    assert_eq!(scene.asterisk.continued_with(1, STATUS), None);
    assert_eq!(scene.outcomes.len(), 1);
}

#[test]
fn a_caller_who_hangs_up_while_the_dialplan_is_told_leaves_nothing() {
    for flow in [EventFlow::Flow, EventFlow::Drop] {
        let mut scene = wrong_key(Fallback::default());
        scene.asterisk.faults.reply_delay = Duration::from_millis(300);
        scene.dial(1, &[]);
        let is_ending =
            |scene: &Scene| scene.saw(|observation| matches!(observation, Observation::Ending(_)));
        scene.run_until("the end is decided", Duration::from_millis(200), is_ending);
        let mut out = ari_bridge_core::sim::asterisk::Actions::new();
        scene.asterisk.set_event_flow(flow, &mut out);
        scene.hang_up(1);
        scene.run_for(Duration::from_secs(3));
        assert_eq!(scene.outcomes.len(), 1, "{:#?}", scene.told());
        assert_eq!(scene.outcomes[0].ended, EndReason::RealtimeRefused);
        assert_eq!(scene.asterisk.continued_at(1), None);
        assert_eq!((scene.asterisk.channel_count(), scene.asterisk.bridge_count()), (0, 0));
    }
}

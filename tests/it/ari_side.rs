//! The ARI side loses no call: what Asterisk and the connections to it do to calls, and what the bridge does about it.

mod admission;
mod crash;
mod drain;
mod link;
mod newcomers;
mod orders;
mod restart;
mod trouble;

use ari_bridge_core::observe::{Observation, Upkeep};
use ari_bridge_core::settings::{CallSettings, SessionSettings};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

const SECOND: Duration = Duration::from_secs(1);

/// The channel variable that tells the dialplan why a caller comes back.
const STATUS: &str = "ARI_BRIDGE_STATUS";

/// What each caller has to say.
fn words(caller: u64) -> Vec<i16> {
    utterance(caller, 1.5)
}

/// An agent that greets who arrives and whom it finds.
fn greeting() -> Stage {
    let session = SessionSettings {
        greeting: Some("Good day.".into()),
        adopted_greeting: Some("There I am again.".into()),
        ..SessionSettings::default()
    };
    let call = CallSettings { session, volume_boost: 1.0, ..CallSettings::default() };
    Stage { call, ..Stage::default() }
}

/// So many callers are answered.
fn talking(stage: Stage, callers: RangeInclusive<u64>) -> Scene {
    let mut scene = Scene::new(stage);
    callers.clone().for_each(|caller| scene.dial(caller, &words(caller)));
    scene.run_until("all are answered", 2 * SECOND, |scene| {
        callers.clone().all(|caller| scene.state(caller) == Some(CallerState::Answered))
    });
    scene.run_for(SECOND);
    scene
}

/// Each of them speaks, and hears its own words back from the agent: it takes six seconds.
fn assert_talk(scene: &mut Scene, callers: impl IntoIterator<Item = u64>) {
    let before: Vec<_> = callers.into_iter().map(|caller| (caller, scene.heard(caller).len())).collect();
    before.iter().for_each(|(caller, _)| scene.speak(*caller));
    scene.run_for(6 * SECOND);
    for (caller, from) in before {
        let found = measure::find(&scene.heard(caller)[from..], &words(caller));
        assert!(found.correlation > 0.9, "caller {caller}: {found:?}; {:#?}", scene.told());
    }
}

/// All calls are over, also those that wait for a create whose fate is not known, and on Asterisk there is nothing but
/// so many callers in the dialplan.
fn assert_nothing_is_left(scene: &mut Scene, in_dialplan: usize) {
    scene.run_until("all calls are over", 40 * SECOND, |scene| scene.calls() == 0);
    scene.run_for(SECOND);
    let left = (scene.asterisk.channel_count(), scene.asterisk.bridge_count());
    assert_eq!(left, (in_dialplan, 0), "left on Asterisk; {:#?}", scene.told());
}

/// Nothing was made twice: a name is used once in the life of Asterisk.
fn assert_no_create_was_sent_twice(scene: &Scene) {
    let mut made = BTreeSet::new();
    for (_, request) in &scene.requested {
        let name = request
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("channelId=").or_else(|| part.strip_prefix("bridgeId=")));
        if let Some(name) = name {
            assert!(made.insert(name.to_owned()), "{request}");
        }
    }
    assert!(!made.is_empty());
}

/// How many requests of the bridge begin so.
fn requests(scene: &Scene, beginning: &str) -> usize {
    scene.requested.iter().filter(|(_, request)| request.starts_with(beginning)).count()
}

fn saw_upkeep(scene: &Scene, what: impl Fn(&Upkeep) -> bool) -> bool {
    scene.saw(|observation| matches!(observation, Observation::Upkeep(upkeep) if what(upkeep)))
}

/// How often the event socket was opened.
fn connections(scene: &Scene) -> usize {
    scene.observations.iter().filter(|(_, observation)| *observation == Observation::AriUp).count()
}

/// When each caller was sent on, and why.
fn fallback(scene: &Scene, caller: u64) -> Option<&str> {
    (scene.state(caller) == Some(CallerState::InDialplan))
        .then(|| scene.asterisk.continued_with(caller, STATUS))
        .flatten()
}

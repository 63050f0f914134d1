//! How stories about conversations begin, and what is asked about them in the end.

use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::settings::DeadAirStep;
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Somebody who is going to say `said` is answered within a second.
pub(crate) fn answered(stage: Stage, said: &[i16]) -> Scene {
    answered_within(SECOND, stage, said)
}

/// The same with a server that takes longer.
pub(crate) fn answered_within(limit: Duration, stage: Stage, said: &[i16]) -> Scene {
    let mut scene = Scene::new(stage);
    scene.dial(1, said);
    scene.run_until("answered", limit, |scene| scene.state(1) == Some(CallerState::Answered));
    scene.run_for(SECOND / 5);
    scene
}

/// The caller is answered and says something for a second.
pub(crate) fn asked(stage: Stage) -> Scene {
    let mut scene = answered(stage, &utterance(1, 1.0));
    scene.speak(1);
    scene
}

/// What was done to keep the conversation going.
pub(crate) fn recoveries(scene: &Scene) -> Vec<Recovery> {
    let told = scene.observations.iter();
    told.filter_map(|(_, o)| if let Observation::Recovery(told) = o { Some(*told) } else { None }).collect()
}

/// What was done about dead air.
pub(crate) fn steps(scene: &Scene) -> Vec<DeadAirStep> {
    let told = recoveries(scene).into_iter();
    told.filter_map(|told| if let Recovery::DeadAir { step } = told { Some(step) } else { None }).collect()
}

/// What was heard of the agents' words.
pub(crate) fn heard(scene: &Scene) -> Vec<&str> {
    scene.said.iter().map(|said| said.text.as_str()).collect()
}

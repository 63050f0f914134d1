//! Every call and every switchboard of a story lives once more, in the core alone and without its runtime: the log of
//! what it was given is replayed, and it does the same again.

use ari_bridge_core::actions::Actions;
use ari_bridge_core::capture::{Capture, Kind, Machine, open};
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::Observation;
use ari_bridge_core::replay::{Player, replay};
use ari_bridge_core::{call, switchboard};

use crate::trace::Told;

/// How much of a log is kept. A call of a story lasts for seconds, and the largest part of it is the agent's audio.
pub(crate) const LOG_BYTES: usize = 64 << 20;

/// The log of a call, or of the switchboard.
pub(crate) type Log = (Option<CallId>, Vec<u8>);

/// Replays them. `told` is what was told while they were written, in which a call that has panicked did not get to its end.
pub(crate) fn live_again(logs: &[Log], told: &[Told]) {
    for (call, log) in logs {
        let whose = call.map_or("the switchboard".to_owned(), |call| format!("call {call}"));
        let replayed = replay(log).unwrap_or_else(|fault| panic!("{whose}: {fault}"));
        assert!(replayed.is_whole() && replayed.difference.is_none(), "{whose}: {replayed:?}");
        let kind = if call.is_some() { Kind::Call } else { Kind::Switchboard };
        assert_eq!(replayed.machine, kind, "{whose}");

        let told: Vec<_> = told.iter().filter(|(of, _)| of == call).map(|(_, told)| *told).collect();
        let outcome = told
            .iter()
            .find_map(|told| if let Observation::CallEnded(outcome) = told { Some(*outcome) } else { None });
        assert_eq!(replayed.outcome, outcome, "{whose}");
        let again = observations(log);
        let is_cut_short = call.is_some() && outcome.is_none();
        let again = if is_cut_short { &again[..told.len()] } else { &again[..] };
        // They may be many thousands.
        let other = told.iter().zip(again).position(|(told, again)| told != again);
        assert!(
            other.is_none() && told.len() == again.len(),
            "{whose}: {} were told, {} are told again; number {other:?} is another",
            told.len(),
            again.len()
        );
    }
}

/// Everything that a machine tells while it lives through its log.
fn observations(log: &[u8]) -> Vec<Observation> {
    match open(log).unwrap() {
        Capture::Call(head, records) => played(Player::new(head, records), |action| match action {
            call::Action::Observe(observation) => Some(observation),
            _ => None,
        }),
        Capture::Switchboard(head, records) => played(Player::new(head, records), |action| match action {
            switchboard::Action::Observe(observation) => Some(observation),
            _ => None,
        }),
    }
}

fn played<M: Machine>(
    mut player: Player<&[u8], M>,
    observation: impl Fn(M::Action) -> Option<Observation>,
) -> Vec<Observation> {
    let mut told = Vec::new();
    let mut tell = |out: &Actions<M::Action>| told.extend(out.iter().filter_map(&observation));
    while let Some(step) = player.step().unwrap() {
        tell(step.out);
    }
    told
}

//! The end of all faults in a scene, and what is to be seen then.

use super::{Agents, Attempt, Party, Performance, Scene};
use ari_bridge_core::call::Action;
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::settings::Prompt;
use ari_bridge_core::sim::realtime::{self as server, Agent};
use ari_bridge_core::time::{Duration, Instant};

/// How long before the longest allowed time a call may begin to say goodbye.
const BEFORE_THE_END: Duration = Duration::from_secs(12);

impl Party {
    /// Takes note of what is seen of its course.
    pub(super) fn sees(&mut self, action: Action) {
        match action {
            Action::Observe(Observation::Ending(_)) => self.is_ending = true,
            Action::Observe(Observation::Answered { .. }) => self.is_answered = true,
            Action::Observe(Observation::ToolCalled { .. })
            | Action::Observe(Observation::Recovery(Recovery::Prompt(Prompt::Goodbye | Prompt::Moment))) => {
                self.may_leave = true;
            }
            _ => {}
        }
    }
}

impl Scene {
    /// From now on these speak behind the links for which nobody else is planned.
    pub fn agents_are(&mut self, make: impl FnMut() -> Box<dyn Agent> + 'static) {
        self.agents = Some(Box::new(make) as Agents);
    }

    /// What comes of functions from now on.
    pub fn functions_become(&mut self, functions: Vec<Performance>) {
        self.stage.functions = functions;
    }

    /// Whether no media port is free from now on.
    pub fn ports_are_gone(&mut self, are_gone: bool) {
        self.stage.no_ports = are_gone;
    }

    /// From now on somebody else has so many media ports, the lowest ones.
    pub fn ports_are_others(&mut self, count: u16) {
        self.ports_of_others = count;
    }

    /// All that a test has made go wrong is over: the network carries everything, servers serve, clocks run.
    pub fn faults_end(&mut self) {
        self.run_for(self.weather.stalled_until.since(self.now));
        self.weather_clears();
        self.ports_are_gone(false);
        self.ports_are_others(0);
        self.asterisk_comes_up();
        self.another_client_leaves();
        self.stage.attempts.clear();
        self.realtime_fails(&server::Fault::Over);
        self.realtime_becomes(|| Attempt::Serve);
        self.realtime_speaks();
    }

    /// Whether the bridge runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.switchboard.is_some()
    }

    /// How long calls may go on when the bridge is told to stop.
    #[must_use]
    pub fn drain_time(&self) -> Duration {
        self.stage.drain
    }

    /// How many requests the bridge waits for.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.waits_for.open()
    }

    /// The calls whose end is not decided.
    #[must_use]
    pub fn calls_going_on(&self) -> Vec<CallId> {
        let going_on = self.parties.iter().filter(|(_, party)| !party.is_ending);
        going_on.map(|(call, _)| *call).collect()
    }

    /// Those of them whose caller is answered and whose session stands, and that have no reason to leave.
    #[must_use]
    pub fn standing(&self) -> Vec<CallId> {
        let (max_call, idle) = (self.stage.call.max_call, self.stage.call.idle);
        let stands = |call: &CallId| {
            let party = &self.parties[call];
            let may_leave =
                party.may_leave || idle.is_some() || self.now.since(party.began) + BEFORE_THE_END > max_call;
            party.is_answered && party.oracle.links().is_one_ready() && !may_leave
        };
        self.calls_going_on().into_iter().filter(stands).collect()
    }

    /// Whether the server was given something of the caller's audio within this time; `None` if the call is ending or over.
    #[must_use]
    pub fn flows(&self, call: CallId, within: Duration) -> Option<bool> {
        let party = self.parties.get(&call).filter(|party| !party.is_ending)?;
        let gave = party.gave_audio.unwrap_or(Instant::START);
        Some(self.now.since(gave) <= within)
    }
}

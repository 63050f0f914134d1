//! When the faults stop: what must be well again, by when, and what must be gone at the end.

use super::{Life, speeches};
use ari_bridge_core::id::CallId;
use ari_bridge_core::metrics::Metrics;
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::{Duration, Instant};

/// How long what was under way may still need.
const SETTLES_WITHIN: Duration = Duration::from_millis(250);

/// When media must flow again where a session stands.
const FLOWS_WITHIN: Duration = Duration::from_millis(500);

/// When it must flow everywhere, or the call must have ended.
const RECOVERS_WITHIN: Duration = Duration::from_secs(10);

/// How much longer it may take where the end is decided, and the caller hears what was said to its end, and a last sound.
const PARTS_WITHIN: Duration = Duration::from_secs(22);

/// How long it may take at most from a caller's words to an answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// How long a bridge that was told to stop may take for it, beyond what it lets calls end in.
const STOPS_WITHIN: Duration = Duration::from_secs(60);

/// How long it may take until nothing is left of calls whose callers have hung up: longer than a request may yet be carried
/// out on Asterisk that has lost it, and a sweep that comes after it.
const CLEARS_WITHIN: Duration = Duration::from_secs(120);

/// What nobody may read in what the bridge tells: who calls, and what was said.
const PRIVATE: [&str; 4] = ["4930123456", "4930654321", "what I said", "told to say"];

impl Life<'_> {
    /// The faults stop.
    pub(super) fn recovers(&mut self) {
        self.tells("the faults stop");
        self.mind.come_to_reason();
        self.scene.faults_end();
        if self.drains {
            self.stops();
            self.scene.bridge_starts();
        }
        if self.is_replaced {
            // The bridge does not take its name back from who took it: whoever stops the other one restarts the bridge.
            self.scene.bridge_crashes();
            self.scene.bridge_starts();
        }
        // What was under way when they stopped has arrived.
        self.scene.run_for(SETTLES_WITHIN);
        let since = self.scene.now();
        let standing = self.scene.standing();
        self.scene.run_for(FLOWS_WITHIN);
        for call in standing {
            let flows = self.scene.flows(call, FLOWS_WITHIN);
            assert!(flows.unwrap_or(true), "media of call {call} does not flow though its session stands");
        }
        self.scene.run_for(RECOVERS_WITHIN - FLOWS_WITHIN);
        let stuck = |call: &CallId, life: &Self| life.scene.flows(*call, FLOWS_WITHIN) == Some(false);
        let mut stuck_calls = self.scene.calls_going_on();
        stuck_calls.retain(|call| stuck(call, self));
        if !stuck_calls.is_empty() {
            self.scene.run_for(PARTS_WITHIN);
            stuck_calls.retain(|call| stuck(call, self));
            assert_eq!(stuck_calls, [], "long after the faults these calls neither flow nor end");
        }
        self.everybody_is_answered(since);
    }

    /// Who is still on the line says something, and hears something.
    fn everybody_is_answered(&mut self, since: Instant) {
        let waits = |life: &Self, caller: u64| {
            matches!(life.scene.state(caller), Some(CallerState::Answered | CallerState::Ringing))
        };
        let waiting: Vec<u64> = (1..=self.callers).filter(|caller| waits(self, *caller)).collect();
        self.tells(format_args!("callers {waiting:?} speak"));
        for caller in &waiting {
            self.scene.say(*caller, &speeches()[1]);
        }
        let spoke_at = self.scene.now();
        let by = spoke_at + ANSWERS_WITHIN;
        for caller in waiting {
            while waits(self, caller) && self.scene.silence(caller) > self.scene.now().since(spoke_at) {
                assert!(
                    self.scene.now() < by,
                    "caller {caller} is {:?} and hears nothing, {:?} after the faults",
                    self.scene.state(caller),
                    self.scene.now().since(since)
                );
                self.scene.run_for(Duration::from_millis(100));
            }
        }
    }

    /// The bridge is told to stop, and does.
    fn stops(&mut self) {
        let by = self.scene.now() + self.scene.drain_time() + STOPS_WITHIN;
        while self.scene.is_running() {
            assert!(
                self.scene.now() < by,
                "the bridge does not stop; requests {:?}",
                self.scene.open_requests()
            );
            self.scene.run_for(Duration::from_millis(100));
        }
    }

    /// All hang up, the bridge stops, and nothing is left.
    pub(super) fn ends(&mut self) {
        self.tells("all hang up");
        (1..=self.callers).for_each(|caller| self.scene.hang_up(caller));
        let by = self.scene.now() + CLEARS_WITHIN;
        while self.scene.calls() > 0 || self.scene.asterisk.ids().next().is_some() {
            let left: Vec<_> = self.scene.asterisk.ids().collect();
            assert!(
                self.scene.now() < by,
                "{} calls are not over, and {left:?} are left on Asterisk",
                self.scene.calls()
            );
            self.scene.run_for(Duration::from_millis(100));
        }
        self.tells("the bridge is told to stop");
        self.scene.drain();
        self.stops();
        assert_eq!(self.scene.links_open(), [], "Realtime links are left open");
        assert_eq!(self.scene.open_requests(), 0, "requests are left on their way");
        let metrics = Metrics::new();
        for (_, observation) in &self.scene.observations {
            metrics.observe(observation);
            let told = format!("{observation} {observation:?}");
            let private = PRIVATE.iter().find(|word| told.contains(*word));
            assert_eq!(private, None, "the log says {told}");
        }
        let told = metrics.encode();
        let private = PRIVATE.iter().find(|word| told.contains(*word));
        assert_eq!(private, None, "the metrics say it");
    }
}

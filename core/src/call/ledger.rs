//! Who answered what, and how long it took: from the end of the caller's turn to the begin of the answer, its first
//! audio, and its first packet.

use crate::observe::TurnLatency;
use crate::playout::bounded;
use crate::time::Instant;

/// The turn that is being answered. Turns that are answered in part only, because the caller spoke on, are not told.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    stopped_at: Option<Instant>,
    created_at: Option<Instant>,
    first_delta_at: Option<Instant>,
    caller_item: String,
    response: String,
    agent_item: String,
}

impl Ledger {
    /// The server said that the caller has stopped. If the agent is still heard then, what is heard next is not
    /// the answer to this.
    pub(super) fn caller_stopped(&mut self, now: Instant, item_id: &str, agent_is_heard: bool) {
        self.forget();
        if !agent_is_heard {
            self.stopped_at = Some(now);
            bounded(item_id).clone_into(&mut self.caller_item);
        }
    }

    /// The caller did not stop, or did not speak.
    pub(super) fn forget(&mut self) {
        (self.stopped_at, self.created_at, self.first_delta_at) = (None, None, None);
    }

    /// An answer begins.
    pub(super) fn created(&mut self, now: Instant) {
        if self.stopped_at.is_some() {
            self.created_at.get_or_insert(now);
        }
    }

    /// Audio of an answer has come.
    pub(super) fn delta(&mut self, now: Instant, response_id: &str, item_id: &str) {
        if self.stopped_at.is_some() && self.first_delta_at.is_none() {
            self.first_delta_at = Some(now);
            bounded(response_id).clone_into(&mut self.response);
            bounded(item_id).clone_into(&mut self.agent_item);
        }
    }

    /// A packet leaves for the caller. What there is to tell, if it is the first of an answer.
    pub(super) fn packet(&mut self, now: Instant) -> Option<TurnLatency> {
        let (stopped, delta) = (self.stopped_at?, self.first_delta_at?);
        let latency = TurnLatency {
            created: self.created_at.map(|at| at.since(stopped)),
            first_delta: delta.since(stopped),
            first_packet: now.since(stopped),
        };
        self.forget();
        Some(latency)
    }

    /// The caller's item, the response, and its first item that is heard.
    pub(super) fn names(&self) -> [&str; 3] {
        [&self.caller_item, &self.response, &self.agent_item]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn the_stages_of_an_answer_are_counted_from_the_end_of_the_turn() {
        let mut ledger = Ledger::default();
        ledger.caller_stopped(at(1000), "u", false);
        assert_eq!(ledger.packet(at(1010)), None, "no audio of it has come");
        ledger.created(at(1300));
        ledger.delta(at(1500), "r", "i");
        ledger.delta(at(1600), "r", "j");
        let latency = ledger.packet(at(1520)).unwrap();
        assert_eq!(
            latency,
            TurnLatency {
                created: Some(Duration::from_millis(300)),
                first_delta: Duration::from_millis(500),
                first_packet: Duration::from_millis(520),
            }
        );
        assert_eq!(ledger.names(), ["u", "r", "i"]);
        assert_eq!(ledger.packet(at(1540)), None, "once");
    }

    #[test]
    fn what_is_still_heard_of_an_earlier_answer_is_not_the_answer() {
        let mut ledger = Ledger::default();
        ledger.caller_stopped(at(1000), "u", true);
        ledger.delta(at(1010), "r", "i");
        assert_eq!(ledger.packet(at(1020)), None);
    }
}

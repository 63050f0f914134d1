//! The circuit breaker: when the Realtime side has failed for several calls in a row, new ones do not try it.
//!
//! Nobody is to be answered by an agent that is not there, and nobody is to wait until that has shown itself once
//! more. So an open breaker sends callers on before they are answered, but for one at a time who tries whether the
//! Realtime side is well again.

use crate::call::News;
use crate::id::CallId;
use crate::observe::Guard;
use crate::settings::Breaker;
use crate::time::Instant;
use std::collections::BTreeSet;

/// What becomes of a new call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It is taken on.
    Taken,
    /// It is taken on, and tries whether the Realtime side is well again.
    Probe,
    /// It is not.
    Refused,
}

/// Where it stands. It needs no timer: the wait is looked at when a call comes.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    /// Without any it never opens.
    settings: Option<Breaker>,
    /// For how many calls in a row the Realtime side has failed.
    failures: u32,
    /// Those of them that are still under way: each counts once.
    failed: BTreeSet<CallId>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Closed,
    Open {
        /// When the Realtime side failed last.
        since: Instant,
        /// The call that tries it.
        probe: Option<CallId>,
    },
}

impl CircuitBreaker {
    pub(super) const fn new(settings: Option<Breaker>) -> Self {
        Self { settings, failures: 0, failed: BTreeSet::new(), state: State::Closed }
    }

    /// The operator has changed the settings. A breaker that is taken away is closed.
    pub(super) fn settings_are(&mut self, settings: Option<Breaker>) {
        self.settings = settings;
        if settings.is_none() {
            self.state = State::Closed;
        }
    }

    /// Whether `call` may be taken on. If so, it must be: it may be the one that tries.
    pub(super) fn admit(&mut self, now: Instant, call: CallId) -> Admission {
        match (&mut self.state, self.settings) {
            (State::Open { since, probe: probe @ None }, Some(Breaker { wait, .. }))
                if now.since(*since) >= wait =>
            {
                *probe = Some(call);
                Admission::Probe
            }
            (State::Open { .. }, Some(_)) => Admission::Refused,
            (State::Closed, _) | (_, None) => Admission::Taken,
        }
    }

    /// A call that is under way has told this; what there is to tell of it.
    pub(super) fn told(&mut self, now: Instant, call: CallId, news: News) -> Option<Guard> {
        match news {
            News::RealtimeIsWell => {
                self.failures = 0;
                let was = core::mem::replace(&mut self.state, State::Closed);
                (was != State::Closed).then_some(Guard::BreakerClosed)
            }
            News::RealtimeFails if self.failed.insert(call) => self.failed(now, call),
            News::RealtimeFails | News::Spent(_) => None,
        }
    }

    fn failed(&mut self, now: Instant, call: CallId) -> Option<Guard> {
        self.failures = self.failures.saturating_add(1);
        match &mut self.state {
            State::Open { since, probe } => {
                *since = now;
                *probe = probe.filter(|probe| *probe != call);
                None
            }
            State::Closed if self.settings.is_some_and(|breaker| self.failures >= breaker.calls) => {
                self.state = State::Open { since: now, probe: None };
                Some(Guard::BreakerOpened { calls: self.failures })
            }
            State::Closed => None,
        }
    }

    /// A call is over, whatever it has told. One that was to try and never learned anything makes room for the next.
    pub(super) fn ended(&mut self, call: CallId) {
        self.failed.remove(&call);
        if let State::Open { probe, .. } = &mut self.state {
            *probe = probe.filter(|probe| *probe != call);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    const T0: Instant = Instant::from_millis(1000);
    const WAIT: Duration = Duration::from_secs(15);

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new(Some(Breaker { calls: 3, wait: WAIT }))
    }

    /// Calls 1 to 3 have failed at `T0`, and are over.
    fn open() -> CircuitBreaker {
        let mut breaker = breaker();
        let told = [1, 2, 3].map(|call| fails(&mut breaker, T0, call));
        assert_eq!(told, [None, None, Some(Guard::BreakerOpened { calls: 3 })]);
        breaker
    }

    /// A call for which the Realtime side fails, and which is over then.
    fn fails(breaker: &mut CircuitBreaker, now: Instant, call: u64) -> Option<Guard> {
        let told = breaker.told(now, CallId(call), News::RealtimeFails);
        breaker.ended(CallId(call));
        told
    }

    fn is_well(breaker: &mut CircuitBreaker, call: u64) -> Option<Guard> {
        breaker.told(T0, CallId(call), News::RealtimeIsWell)
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_a_session_between_them_does_not() {
        let mut breaker = breaker();
        fails(&mut breaker, T0, 1);
        fails(&mut breaker, T0, 2);
        assert_eq!(is_well(&mut breaker, 3), None, "it was never open");
        fails(&mut breaker, T0, 4);
        fails(&mut breaker, T0, 5);
        assert_eq!(breaker.admit(T0, CallId(6)), Admission::Taken);
        assert_eq!(fails(&mut breaker, T0, 6), Some(Guard::BreakerOpened { calls: 3 }));
        assert_eq!(breaker.admit(T0, CallId(7)), Admission::Refused);
    }

    #[test]
    fn a_call_that_says_twice_that_it_failed_counts_once() {
        let mut breaker = breaker();
        for _ in 0..9 {
            assert_eq!(breaker.told(T0, CallId(1), News::RealtimeFails), None);
        }
        assert_eq!(breaker.admit(T0, CallId(2)), Admission::Taken);
    }

    #[test]
    fn after_the_wait_one_call_at_a_time_tries() {
        let mut breaker = open();
        assert_eq!(breaker.admit(T0 + WAIT - Duration::from_nanos(1), CallId(4)), Admission::Refused);
        assert_eq!(breaker.admit(T0 + WAIT, CallId(4)), Admission::Probe);
        assert_eq!(
            breaker.admit(T0 + WAIT * 9, CallId(5)),
            Admission::Refused,
            "the first one is still trying"
        );
        assert_eq!(is_well(&mut breaker, 4), Some(Guard::BreakerClosed));
        assert_eq!(breaker.admit(T0 + WAIT * 9, CallId(5)), Admission::Taken);
        assert_eq!(is_well(&mut breaker, 5), None, "closed is closed");
    }

    #[test]
    fn a_probe_that_fails_begins_a_new_wait_and_no_new_opening() {
        let mut breaker = open();
        let later = T0 + WAIT * 2;
        assert_eq!(breaker.admit(later, CallId(4)), Admission::Probe);
        assert_eq!(breaker.told(later, CallId(4), News::RealtimeFails), None);
        assert_eq!(breaker.admit(later + WAIT / 2, CallId(5)), Admission::Refused);
        assert_eq!(breaker.admit(later + WAIT, CallId(6)), Admission::Probe);
        breaker.ended(CallId(4));
        assert_eq!(
            breaker.admit(later + WAIT * 2, CallId(7)),
            Admission::Refused,
            "another's end is no news"
        );
    }

    #[test]
    fn a_probe_whose_caller_hangs_up_makes_room_for_the_next_at_once() {
        let mut breaker = open();
        assert_eq!(breaker.admit(T0 + WAIT, CallId(4)), Admission::Probe);
        breaker.ended(CallId(4));
        assert_eq!(breaker.admit(T0 + WAIT, CallId(5)), Admission::Probe);
    }

    #[test]
    fn a_call_that_was_under_way_may_close_it_and_one_that_fails_later_prolongs_the_wait() {
        let mut breaker = open();
        assert_eq!(fails(&mut breaker, T0 + WAIT / 2, 9), None);
        assert_eq!(breaker.admit(T0 + WAIT, CallId(10)), Admission::Refused);
        assert_eq!(is_well(&mut breaker, 11), Some(Guard::BreakerClosed));
        assert_eq!(breaker.admit(T0 + WAIT, CallId(12)), Admission::Taken);
        assert_eq!(fails(&mut breaker, T0 + WAIT, 12), None, "it counts from the beginning");
    }

    #[test]
    fn without_settings_it_never_opens() {
        let mut breaker = CircuitBreaker::new(None);
        for call in 1..100 {
            assert_eq!(fails(&mut breaker, T0, call), None);
        }
        assert_eq!(breaker.admit(T0, CallId(100)), Admission::Taken);
        assert_eq!(breaker.told(T0, CallId(100), News::Spent(1)), None);
    }

    #[test]
    fn a_breaker_that_is_taken_away_lets_everybody_in_and_one_that_is_set_goes_on_counting() {
        let mut breaker = open();
        breaker.settings_are(None);
        assert_eq!(breaker.admit(T0, CallId(9)), Admission::Taken);
        breaker.settings_are(Some(Breaker { calls: 3, wait: WAIT }));
        assert_eq!(breaker.admit(T0, CallId(10)), Admission::Taken);
        assert_eq!(fails(&mut breaker, T0, 10), Some(Guard::BreakerOpened { calls: 4 }));
    }
}

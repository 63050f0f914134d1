//! A caller who waits: how long, and what is heard meanwhile.

use crate::settings::{self, DeadAirStep, Prompt};
use crate::time::{Duration, Instant};

/// How long there may be no session before the caller hears that something goes on.
const WITHOUT_SESSION: Duration = Duration::from_millis(1500);

/// The silence between two sounds that something goes on.
const BETWEEN_SOUNDS: Duration = Duration::from_millis(2500);

/// The caller has spoken and nothing happens: one step each time that it has lasted too long.
#[derive(Debug)]
pub(super) struct DeadAir {
    settings: settings::DeadAir,
    /// Since when nothing has happened, or since the last step.
    since: Option<Instant>,
    steps: usize,
}

impl DeadAir {
    pub(super) fn new(settings: &settings::DeadAir) -> Self {
        Self { settings: settings.clone(), since: None, steps: 0 }
    }

    /// Notes whether the caller waits for an answer, and whether the agent is heard. A caller who speaks once more,
    /// because nobody has answered, begins to wait anew, but does not go back to the first step.
    pub(super) fn note(&mut self, now: Instant, caller_waits: bool, agent_is_heard: bool) {
        if agent_is_heard {
            self.steps = 0;
        }
        if caller_waits {
            self.since.get_or_insert(now);
        } else {
            self.since = None;
        }
    }

    /// When the next step is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.since? + self.settings.after?)
    }

    /// The step that is due. Where functions are under way, whose results are answered, nothing more is done than to let
    /// the caller hear so.
    pub(super) fn time_out(&mut self, now: Instant, functions_are_busy: bool) -> Option<DeadAirStep> {
        self.deadline().filter(|at| *at <= now)?;
        self.since = Some(now);
        if functions_are_busy {
            return Some(DeadAirStep::Filler);
        }
        let step = self.settings.steps.get(self.steps).or(self.settings.steps.last()).copied();
        self.steps += 1;
        step
    }
}

/// The sounds that a waiting caller hears.
#[derive(Debug, Default)]
pub(super) struct Filler {
    /// When the next sound is due.
    at: Option<Instant>,
    moment_was_heard: bool,
    /// The first is due because there is no session, and not because an answer is overdue.
    for_session: bool,
}

impl Filler {
    /// Notes whether the call has a session.
    pub(super) fn note_session(&mut self, now: Instant, has_session: bool) {
        if has_session && self.for_session {
            *self = Self::default();
        } else if !has_session && self.at.is_none() {
            (self.at, self.for_session) = (Some(now + WITHOUT_SESSION), true);
        }
    }

    /// The caller is to hear now that something goes on.
    pub(super) fn begin(&mut self, now: Instant) {
        self.at.get_or_insert(now);
    }

    /// The waiting is over: the agent is heard, or the caller speaks.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// When the next sound is due.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// The sound that is due. While something is heard none is: then it is waited for the silence behind that.
    pub(super) fn time_out(&mut self, now: Instant, something_is_heard: bool) -> Option<Prompt> {
        self.at.filter(|at| *at <= now)?;
        self.at = Some(now + BETWEEN_SOUNDS);
        if something_is_heard {
            return None;
        }
        let is_first = !core::mem::replace(&mut self.moment_was_heard, true);
        Some(if is_first { Prompt::Moment } else { Prompt::Comfort })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn dead_air_goes_from_step_to_step_and_begins_anew_when_something_happens() {
        let mut dead_air = DeadAir::new(&settings::DeadAir::default());
        dead_air.note(at(0), true, false);
        assert_eq!(dead_air.time_out(at(4_999), false), None);
        for (n, step) in DeadAirStep::ALL.into_iter().chain([DeadAirStep::Fallback]).enumerate() {
            let now = at(5_000 * (n as u64 + 1));
            dead_air.note(now, true, false);
            assert_eq!(dead_air.time_out(now, false), Some(step));
        }
        dead_air.note(at(25_100), false, false);
        assert_eq!(dead_air.deadline(), None);
        dead_air.note(at(26_000), true, false);
        assert_eq!(
            dead_air.time_out(at(31_000), false),
            Some(DeadAirStep::Fallback),
            "nobody has answered yet"
        );
        dead_air.note(at(32_000), false, true);
        dead_air.note(at(33_000), true, false);
        assert_eq!(dead_air.time_out(at(38_000), false), Some(DeadAirStep::Filler));
    }

    #[test]
    fn a_function_that_takes_long_is_waited_for_and_the_caller_hears_so() {
        let mut dead_air = DeadAir::new(&settings::DeadAir::default());
        dead_air.note(at(0), true, false);
        for n in 1..4 {
            assert_eq!(dead_air.time_out(at(5_000 * n), true), Some(DeadAirStep::Filler));
        }
        assert_eq!(
            dead_air.time_out(at(20_000), false),
            Some(DeadAirStep::Filler),
            "the first step of its own"
        );
        assert_eq!(dead_air.time_out(at(25_000), false), Some(DeadAirStep::Ask));
    }

    #[test]
    fn who_waits_for_a_session_hears_one_moment_and_then_that_something_goes_on() {
        let mut filler = Filler::default();
        filler.note_session(at(1_000), false);
        assert_eq!(filler.time_out(at(2_499), false), None);
        assert_eq!(filler.time_out(at(2_500), false), Some(Prompt::Moment));
        assert_eq!(filler.time_out(at(5_000), true), None, "something is heard");
        assert_eq!(filler.time_out(at(7_500), false), Some(Prompt::Comfort));
        assert_eq!(filler.time_out(at(10_000), false), Some(Prompt::Comfort));
        filler.note_session(at(10_100), true);
        assert_eq!(filler.deadline(), None);
    }

    #[test]
    fn a_session_that_is_back_soon_is_not_spoken_about() {
        let mut filler = Filler::default();
        filler.note_session(at(1_000), false);
        filler.note_session(at(2_000), true);
        assert_eq!(filler.time_out(at(60_000), false), None);
    }
}

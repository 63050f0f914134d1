//! A caller who says nothing: asked once, and then said goodbye to.

use crate::time::{Duration, Instant};

/// What is to be done about a caller who says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Patience {
    /// Whether somebody is there is to be asked.
    Ask,
    /// Nobody is.
    Over,
}

#[derive(Debug)]
pub(super) struct Idle {
    after: Option<Duration>,
    /// Since when nothing has happened; `None` while something does.
    since: Option<Instant>,
    was_asked: bool,
}

impl Idle {
    pub(super) const fn new(after: Option<Duration>) -> Self {
        Self { after, since: None, was_asked: false }
    }

    /// Notes whether anything is going on: somebody speaks, or an answer is being made.
    pub(super) fn note(&mut self, now: Instant, is_busy: bool) {
        if is_busy {
            self.since = None;
        } else {
            self.since.get_or_insert(now);
        }
    }

    /// The caller has said something, or has pressed a key.
    pub(super) fn caller_is_there(&mut self) {
        self.since = None;
        self.was_asked = false;
    }

    /// When the patience ends.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.since? + self.after?)
    }

    /// What is due. It is due once.
    pub(super) fn time_out(&mut self, now: Instant) -> Option<Patience> {
        self.deadline().filter(|at| *at <= now)?;
        self.since = None;
        let was_asked = core::mem::replace(&mut self.was_asked, true);
        Some(if was_asked { Patience::Over } else { Patience::Ask })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_caller_is_asked_once_and_then_it_is_over() {
        let second = |n: u64| Instant::from_millis(n * 1000);
        let mut idle = Idle::new(Some(Duration::from_secs(10)));
        idle.note(second(1), true);
        assert_eq!(idle.deadline(), None);
        idle.note(second(2), false);
        assert_eq!(idle.time_out(second(11)), None);
        assert_eq!(idle.time_out(second(12)), Some(Patience::Ask));
        // The agent asks until second 15.
        idle.note(second(15), true);
        idle.note(second(16), false);
        assert_eq!(idle.time_out(second(26)), Some(Patience::Over));
    }

    #[test]
    fn a_word_begins_it_all_anew() {
        let second = |n: u64| Instant::from_millis(n * 1000);
        let mut idle = Idle::new(Some(Duration::from_secs(10)));
        idle.note(second(0), false);
        assert_eq!(idle.time_out(second(10)), Some(Patience::Ask));
        idle.caller_is_there();
        idle.note(second(20), false);
        assert_eq!(idle.time_out(second(30)), Some(Patience::Ask));
    }

    #[test]
    fn without_a_limit_there_is_no_deadline() {
        let mut idle = Idle::new(None);
        idle.note(Instant::START, false);
        assert_eq!(idle.deadline(), None);
    }
}

//! The event socket: opened again when it breaks, pinged when it is silent, left alone when somebody else has taken
//! the application.

use super::io::Wake;
use crate::rng::Rng;
use crate::time::{Duration, Instant, growing};

/// The wait before the event socket is opened again; it doubles with each failure.
const FIRST_RECONNECT: Duration = Duration::from_millis(250);

/// The longest such wait: a caller whose call went with a restarted Asterisk should not wait much longer than that.
const LAST_RECONNECT: Duration = Duration::from_secs(5);

/// A socket that breaks sooner than this counts as one that could not be opened.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// After how long a silence Asterisk is pinged: it does not ping by itself, and events may be rare.
const PING_AFTER: Duration = Duration::from_secs(4);

/// How long its answer is waited for. With [`PING_AFTER`] a dead socket is known after 8 s, and some milliseconds.
const PONG_WITHIN: Duration = Duration::from_secs(4);

/// The state of the socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    state: State,
    /// So many attempts or sockets in a row have failed.
    failures: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Opening,
    Up {
        since: Instant,
        heard_at: Instant,
        pinged_at: Option<Instant>,
    },
    /// To be opened again then.
    Down {
        retry_at: Instant,
    },
    /// Another client has the application. Taking it back would begin a fight, so that is left to the operator.
    Replaced,
}

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Open,
    Ping,
    /// No answer to the ping.
    GiveUp,
}

impl Link {
    /// One that is being opened for the first time.
    pub(super) const fn opening() -> Self {
        Self { state: State::Opening, failures: 0 }
    }

    /// It is open.
    pub(super) const fn opened(&mut self, now: Instant) {
        self.state = State::Up { since: now, heard_at: now, pinged_at: None };
    }

    /// Something came.
    pub(super) const fn heard(&mut self, now: Instant) {
        if let State::Up { heard_at, pinged_at, .. } = &mut self.state {
            *heard_at = now;
            *pinged_at = None;
        }
    }

    /// Whether it is open.
    pub(super) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// It ended, or could not be opened: when it is opened again, from now. `None` if nobody waits for it.
    pub(super) fn lost(&mut self, now: Instant, rng: &mut Rng) -> Option<Duration> {
        match self.state {
            State::Replaced => return None,
            State::Up { since, .. } if now.since(since) >= STABLE_AFTER => self.failures = 0,
            State::Up { .. } | State::Opening | State::Down { .. } => {}
        }
        // With jitter, so that many bridges do not come back at the same moment.
        let retry_in = rng.jittered(growing(FIRST_RECONNECT, self.failures, LAST_RECONNECT));
        self.failures = self.failures.saturating_add(1);
        self.state = State::Down { retry_at: now + retry_in };
        Some(retry_in)
    }

    /// Another client has taken the application. Whether that is news.
    pub(super) fn replaced(&mut self) -> bool {
        core::mem::replace(&mut self.state, State::Replaced) != State::Replaced
    }

    /// What is due now, if anything. Asked on a timer only.
    pub(super) fn time_out(&mut self, now: Instant) -> Option<Due> {
        let (at, _) = self.deadline().filter(|(at, _)| *at <= now)?;
        match &mut self.state {
            State::Down { .. } => {
                self.state = State::Opening;
                Some(Due::Open)
            }
            State::Up { pinged_at: Some(_), .. } => Some(Due::GiveUp),
            State::Up { pinged_at, .. } => {
                // A machine that was late with the ping gives Asterisk all of its time all the same.
                *pinged_at = Some(now.max(at));
                Some(Due::Ping)
            }
            State::Opening | State::Replaced => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<(Instant, Wake)> {
        match self.state {
            State::Opening | State::Replaced => None,
            State::Down { retry_at } => Some((retry_at, Wake::Reconnect)),
            State::Up { pinged_at: Some(at), .. } => Some((at + PONG_WITHIN, Wake::Ping)),
            State::Up { heard_at, .. } => Some((heard_at + PING_AFTER, Wake::Ping)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Instant = Instant::from_millis(1_000);

    fn up() -> Link {
        let mut link = Link::opening();
        link.opened(T0);
        link
    }

    #[test]
    fn a_socket_that_answers_stays_and_one_that_does_not_is_given_up_within_ten_seconds() {
        let mut link = up();
        let (ping_at, _) = link.deadline().unwrap();
        assert_eq!(link.time_out(ping_at), Some(Due::Ping));
        assert_eq!(link.time_out(ping_at), None);
        link.heard(ping_at + Duration::from_millis(1));
        let (again, _) = link.deadline().unwrap();
        assert_eq!(link.time_out(again), Some(Due::Ping), "the answer has begun the wait anew");
        let (over, _) = link.deadline().unwrap();
        assert_eq!(link.time_out(over), Some(Due::GiveUp));
        assert!(over.since(ping_at + Duration::from_millis(1)) < Duration::from_secs(10));
    }

    #[test]
    fn a_machine_that_stood_still_pings_before_it_condemns() {
        let mut link = up();
        let late = T0 + Duration::from_secs(60);
        assert_eq!(link.time_out(late), Some(Due::Ping));
        assert_eq!(link.time_out(late + Duration::from_secs(1)), None);
    }

    #[test]
    fn waits_grow_to_some_seconds_and_begin_anew_after_a_socket_that_stood() {
        let (mut link, mut rng, mut now) = (Link::opening(), Rng::new(1), T0);
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = link.lost(now, &mut rng).unwrap();
            waits.push(wait.as_millis());
            now = now + wait;
            assert_eq!(link.time_out(now), Some(Due::Open));
        }
        assert!(waits[0] <= 250 && waits[7] >= 2_500 && waits.iter().all(|wait| *wait <= 5_000), "{waits:?}");
        link.opened(now);
        now = now + Duration::from_secs(1);
        assert!(link.lost(now, &mut rng).unwrap() >= Duration::from_millis(2_500), "it did not stand");
        now = now + Duration::from_secs(5);
        link.opened(now);
        now = now + STABLE_AFTER;
        assert!(link.lost(now, &mut rng).unwrap() <= FIRST_RECONNECT);
    }

    #[test]
    fn what_somebody_else_has_taken_is_not_taken_back() {
        let (mut link, mut rng) = (up(), Rng::new(1));
        assert!(link.replaced() && !link.replaced());
        assert_eq!((link.lost(T0, &mut rng), link.deadline()), (None, None));
    }

    #[test]
    fn a_socket_that_ended_is_not_up_and_is_opened_again_when_its_wait_is_over() {
        let mut link = up();
        assert!(link.is_up());
        let wait = link.lost(T0, &mut Rng::new(1)).unwrap();
        assert!(!link.is_up());
        assert_eq!(link.deadline().unwrap().0, T0 + wait);
    }
}

//! Something on Asterisk that we hold and have to let go of: a channel, a bridge, a caller.
//!
//! A create can be executed after we gave up waiting for its reply, and a DELETE can overtake it: of 60 media
//! channels whose POST was abandoned, 27 survived the DELETE that followed at once, each answered with 404
//! (measured on 22.10.1). So while the fate of a create is unknown, a 404 proves nothing, and the DELETE is
//! sent again when the channel shows itself, or after [`CREATE_UNKNOWN_FOR`].

use crate::fault::IoFault;
use crate::time::{Duration, Instant};

/// How long a create that got no reply may still be executed. Asterisk's own time limit for a request is
/// `session_inactivity`, 30 s by default.
pub(crate) const CREATE_UNKNOWN_FOR: Duration = Duration::from_secs(30);

/// The wait before a failed request is repeated; it doubles with each try.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// How often letting go is tried before it is left to the next sweep: about a minute in all.
const MAX_TRIES: u8 = 7;

/// The state of one such thing. At most one request to let it go is in flight at any time.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    create: Create,
    there: There,
    released: bool,
    in_flight: bool,
    /// When the last request to let it go was sent: its 404 tells of no later moment, however late it comes.
    asked_at: Instant,
    /// It showed itself while a request to let it go was in flight, so that one's 404 proves nothing.
    seen_since: bool,
    retry_at: Option<Instant>,
    tries: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Create {
    /// Not asked for, or answered: its fate is known.
    Known,
    /// Asked for, no reply yet.
    InFlight,
    /// Asked for, and no reply will come. It may be executed until then.
    Unknown { until: Instant },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum There {
    No,
    Maybe,
    Yes,
    /// Given up on.
    Abandoned,
}

impl Holding {
    /// Nothing yet.
    pub(crate) const fn nothing() -> Self {
        Self {
            create: Create::Known,
            there: There::No,
            released: false,
            in_flight: false,
            asked_at: Instant::START,
            seen_since: false,
            retry_at: None,
            tries: 0,
        }
    }

    /// Something that is there without our having made it: a caller.
    pub(crate) const fn present() -> Self {
        Self { there: There::Yes, ..Self::nothing() }
    }

    /// Something that an earlier owner may have asked for, to be let go of.
    pub(crate) fn left_by_another(now: Instant) -> Self {
        let create = Create::Unknown { until: now + CREATE_UNKNOWN_FOR };
        Self { create, there: There::Maybe, released: true, ..Self::nothing() }
    }

    /// Whether its create has not been asked for.
    pub(crate) fn is_untouched(&self) -> bool {
        self.there == There::No && self.create == Create::Known && !self.released
    }

    /// Whether it is known to be there.
    pub(crate) fn is_there(&self) -> bool {
        self.there == There::Yes
    }

    /// The create was sent.
    pub(crate) const fn create_sent(&mut self) {
        self.create = Create::InFlight;
        self.there = There::Maybe;
    }

    /// The create was answered. 409 on a name of ours means that it is there.
    pub(crate) fn create_replied(&mut self, status: u16) {
        let fate_was_open = self.there == There::Maybe;
        self.create = Create::Known;
        self.retry_at = None;
        if fate_was_open {
            // A 5xx comes from half-way through: one DELETE settles whether something was made.
            self.there = if matches!(status, 200..=299 | 409 | 500..=599) { There::Yes } else { There::No };
        }
    }

    /// The create will not be answered. Unless it never left us, it may still be executed.
    pub(crate) fn create_failed(&mut self, now: Instant, fault: IoFault) {
        if !fault.is_before_sending() {
            self.create = Create::Unknown { until: now + CREATE_UNKNOWN_FOR };
            return;
        }
        self.create = Create::Known;
        if self.there == There::Maybe {
            self.there = There::No;
        }
    }

    /// An event shows that it is there, whatever was believed before.
    pub(crate) fn seen(&mut self) {
        if self.there != There::Yes {
            self.there = There::Yes;
            self.create = if self.create == Create::InFlight { Create::InFlight } else { Create::Known };
            self.retry_at = None;
        }
        self.seen_since = self.in_flight;
    }

    /// It has come anew: what was tried in vain before says nothing of this time.
    pub(crate) fn came_anew(&mut self) {
        self.seen();
        self.tries = 0;
        self.retry_at = None;
    }

    /// An event shows that it is gone.
    pub(crate) const fn gone(&mut self) {
        self.there = There::No;
        self.retry_at = None;
    }

    /// Another Asterisk runs than the one that had it, so it is gone; but a create whose fate is not known may have come
    /// to the new one. Of what was asked of the old one no reply is waited for any more, but for that.
    pub(crate) const fn lost(&mut self) {
        (self.in_flight, self.seen_since) = (false, false);
        match self.create {
            Create::Known => self.gone(),
            Create::InFlight | Create::Unknown { .. } => {
                self.there = There::Maybe;
                self.retry_at = None;
            }
        }
    }

    /// It is not needed any more.
    pub(crate) const fn release(&mut self) {
        self.released = true;
    }

    /// Whether the request to let it go is to be sent now. `timer` says that due time-outs may fire.
    pub(crate) fn poll(&mut self, now: Instant, timer: bool) -> bool {
        if self.retry_at.is_some_and(|at| timer && at <= now) {
            self.retry_at = None;
        }
        let known_enough = match self.there {
            There::Yes => true,
            There::Maybe => self.create != Create::InFlight,
            There::No | There::Abandoned => false,
        };
        let send = self.released && !self.in_flight && self.retry_at.is_none() && known_enough;
        if send {
            self.in_flight = true;
            self.asked_at = now;
        }
        send
    }

    /// The request to let it go was answered.
    pub(crate) fn let_go_replied(&mut self, status: u16, now: Instant) {
        self.in_flight = false;
        let seen_since = core::mem::take(&mut self.seen_since);
        match (status, self.create) {
            // It has shown itself since we asked: what the answer speaks of was before that.
            (200..=299 | 404 | 409, _) if seen_since => {}
            (200..=299, _) => self.gone(),
            // It was not there when we asked, and may still come.
            (404, Create::Unknown { until }) if self.there == There::Maybe && self.asked_at < until => {
                self.retry_at = Some(until).filter(|&until| now < until);
            }
            // 409: a channel that is not in our application any more is not ours to let go.
            (404 | 409, _) => self.gone(),
            _ => self.try_again(now),
        }
    }

    /// The request to let it go got no reply.
    pub(crate) fn let_go_failed(&mut self, now: Instant) {
        self.in_flight = false;
        self.seen_since = false;
        self.try_again(now);
    }

    fn try_again(&mut self, now: Instant) {
        self.tries = self.tries.saturating_add(1);
        if self.there == There::No {
            return;
        }
        if self.tries >= MAX_TRIES {
            self.there = There::Abandoned;
            self.retry_at = None;
        } else {
            self.retry_at = Some(now + FIRST_RETRY * (1 << (self.tries - 1)));
        }
    }

    /// When to poll again at the latest.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.released && !self.in_flight)
    }

    /// Whether nothing is left to do: it was never there, is gone, or was given up on.
    pub(crate) fn is_settled(&self) -> bool {
        !self.in_flight
            && matches!(self.there, There::No | There::Abandoned)
            && self.create != Create::InFlight
    }

    /// Whether letting it go has failed so far, so that nothing else should wait for it.
    pub(crate) fn is_stuck(&self) -> bool {
        self.tries > 0
    }

    /// Whether it was given up on and may still be there.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.there == There::Abandoned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Instant = Instant::from_millis(1000);

    fn asked_for() -> Holding {
        let mut holding = Holding::nothing();
        holding.create_sent();
        holding
    }

    #[test]
    fn what_was_never_asked_for_needs_no_delete() {
        let mut holding = Holding::nothing();
        holding.release();
        assert!(!holding.poll(T0, true) && holding.is_settled());
    }

    #[test]
    fn a_delete_waits_for_the_reply_to_the_create() {
        let mut holding = asked_for();
        holding.release();
        assert!(!holding.poll(T0, true) && !holding.is_settled());
        holding.create_replied(200);
        assert!(holding.poll(T0, false));
        assert!(!holding.poll(T0, true), "never two in flight");
        holding.let_go_replied(204, T0);
        assert!(holding.is_settled());
    }

    #[test]
    fn a_404_proves_nothing_while_the_create_may_still_be_executed() {
        let mut holding = asked_for();
        holding.create_failed(T0, IoFault::TimedOut);
        holding.release();
        assert!(holding.poll(T0, false));
        holding.let_go_replied(404, T0);
        assert!(!holding.is_settled());
        let again = holding.deadline().unwrap();
        assert_eq!(again, T0 + CREATE_UNKNOWN_FOR);
        assert!(!holding.poll(again, false), "a peer's time-out fires on Timer only");
        assert!(holding.poll(again, true));
        holding.let_go_replied(404, again);
        assert!(holding.is_settled());
    }

    #[test]
    fn a_create_that_never_left_us_is_not_waited_for() {
        let mut holding = asked_for();
        holding.create_failed(T0, IoFault::Refused);
        holding.release();
        assert!(!holding.poll(T0, true) && holding.is_settled());
    }

    #[test]
    fn a_404_that_comes_late_still_tells_of_the_moment_at_which_it_was_asked() {
        let mut holding = asked_for();
        holding.create_failed(T0, IoFault::TimedOut);
        holding.release();
        assert!(holding.poll(T0, false));
        let late = T0 + CREATE_UNKNOWN_FOR + Duration::from_secs(1);
        holding.let_go_replied(404, late);
        assert!(holding.poll(late, false), "what was made in between is still there");
        holding.let_go_replied(404, late);
        assert!(holding.is_settled());
    }

    #[test]
    fn a_channel_that_shows_itself_late_is_deleted_at_once() {
        let mut holding = asked_for();
        holding.create_failed(T0, IoFault::TimedOut);
        holding.release();
        assert!(holding.poll(T0, false));
        holding.let_go_replied(404, T0);
        holding.seen();
        assert!(holding.poll(T0, false));
    }

    #[test]
    fn a_channel_that_shows_itself_while_its_delete_is_under_way_is_deleted_again() {
        let mut holding = asked_for();
        holding.create_failed(T0, IoFault::TimedOut);
        holding.release();
        assert!(holding.poll(T0, false));
        holding.seen();
        holding.let_go_replied(404, T0);
        assert!(holding.poll(T0, false));
        holding.let_go_replied(404, T0);
        assert!(holding.is_settled());
    }

    #[test]
    fn what_shows_itself_after_it_was_believed_gone_is_let_go_again() {
        let mut holding = asked_for();
        holding.create_replied(504);
        holding.release();
        assert!(holding.poll(T0, false));
        holding.let_go_replied(404, T0);
        assert!(holding.is_settled());
        holding.seen();
        assert!(holding.poll(T0, false), "a proxy answered for a create that was executed after all");
    }

    #[test]
    fn a_caller_who_is_back_before_the_reply_is_sent_on_again() {
        let mut caller = Holding::present();
        caller.release();
        assert!(caller.poll(T0, false));
        caller.seen();
        caller.let_go_replied(204, T0);
        assert!(caller.poll(T0, false));
        caller.let_go_replied(204, T0);
        assert!(caller.is_settled());
    }

    #[test]
    fn what_a_former_asterisk_had_is_gone_whatever_was_asked_of_it() {
        let mut bridge = asked_for();
        bridge.create_replied(200);
        bridge.release();
        assert!(bridge.poll(T0, false));
        bridge.lost();
        assert!(bridge.is_settled() && !bridge.poll(T0, true), "no reply is waited for");
        for mut holding in [Holding::nothing(), Holding::present()] {
            holding.release();
            holding.lost();
            assert!(holding.is_settled() && !holding.poll(T0, true));
        }
    }

    #[test]
    fn a_create_that_a_new_asterisk_may_have_got_is_not_forgotten() {
        let mut holding = asked_for();
        holding.release();
        holding.lost();
        assert!(!holding.is_settled() && !holding.poll(T0, true), "its reply is waited for");
        let mut refused = holding.clone();
        refused.create_replied(503);
        assert!(refused.poll(T0, false), "it was executed, or it was not");
        holding.create_failed(T0, IoFault::TimedOut);
        assert!(holding.poll(T0, false));
        holding.let_go_replied(404, T0);
        let again = holding.deadline().unwrap();
        assert_eq!(again, T0 + CREATE_UNKNOWN_FOR);
        holding.lost();
        assert!(holding.poll(T0, false), "this Asterisk is another one still");
        holding.let_go_replied(204, T0);
        assert!(holding.is_settled());
    }

    #[test]
    fn a_channel_that_showed_itself_before_its_create_was_answered_may_be_there_again() {
        let mut holding = asked_for();
        holding.seen();
        holding.lost();
        holding.release();
        assert!(!holding.is_settled() && !holding.poll(T0, true));
        holding.create_replied(400);
        assert!(holding.is_settled());
    }

    #[test]
    fn a_refused_create_leaves_nothing_and_a_conflict_leaves_ours() {
        for (status, to_delete) in [(400, false), (404, false), (409, true), (500, true)] {
            let mut holding = asked_for();
            holding.create_replied(status);
            holding.release();
            assert_eq!(holding.poll(T0, false), to_delete, "{status}");
        }
    }

    #[test]
    fn each_wait_for_a_delete_that_failed_is_twice_the_one_before() {
        let mut holding = Holding::present();
        holding.release();
        assert!(!holding.is_stuck());
        let mut now = T0;
        for n in 0..u32::from(MAX_TRIES) - 1 {
            assert!(holding.poll(now, true));
            assert_eq!(holding.deadline(), None, "its answer is waited for");
            holding.let_go_failed(now);
            assert!(holding.is_stuck());
            let again = now + Duration::from_millis(500 << n);
            assert_eq!(holding.deadline(), Some(again), "try {n}");
            now = again;
        }
    }

    #[test]
    fn a_404_in_the_moment_from_which_nothing_can_come_any_more_is_followed_at_once() {
        let mut holding = asked_for();
        holding.create_failed(T0, IoFault::TimedOut);
        holding.release();
        assert!(holding.poll(T0, false));
        holding.let_go_replied(404, T0 + CREATE_UNKNOWN_FOR);
        assert!(holding.poll(T0 + CREATE_UNKNOWN_FOR, false));
    }

    #[test]
    fn what_an_earlier_owner_may_have_asked_for_is_asked_after_until_it_cannot_come_any_more() {
        let mut holding = Holding::left_by_another(T0);
        assert!(!holding.is_settled() && holding.poll(T0, false));
        holding.let_go_replied(404, T0);
        assert!(!holding.is_settled());
        assert_eq!(holding.deadline(), Some(T0 + CREATE_UNKNOWN_FOR));
    }

    #[test]
    fn what_has_come_anew_is_tried_as_if_it_had_never_failed() {
        let mut holding = Holding::present();
        holding.release();
        assert!(holding.poll(T0, false));
        holding.let_go_failed(T0);
        assert!(holding.is_stuck() && !holding.poll(T0, false));
        holding.came_anew();
        assert!(!holding.is_stuck() && holding.poll(T0, false));
    }

    #[test]
    fn a_delete_that_fails_again_and_again_is_given_up_in_bounded_time() {
        let mut holding = Holding::present();
        holding.release();
        let mut now = T0;
        let mut sent = 0;
        while !holding.is_settled() {
            if holding.poll(now, true) {
                sent += 1;
                holding.let_go_failed(now);
            }
            now = holding.deadline().unwrap_or(now);
        }
        assert!(holding.is_abandoned());
        assert_eq!(sent, MAX_TRIES);
        assert!(now.since(T0) < Duration::from_secs(60));
    }
}

//! Whether the caller and the media channel are still there, while nobody tells.
//!
//! Events that come while the event socket is away are lost, and neither a caller who hangs up then nor a media channel
//! that is taken away is told of again. REST works without the socket, so the call looks: once when events flow again,
//! and every [`LOOK_EVERY`] as long as they do not. Everything else of the call goes on meanwhile.

use super::request::Purpose;
use super::{Actions, EndReason, Line};
use crate::ari;
use crate::call::io::LinkState;
use crate::time::{Duration, Instant};

/// How often the call looks while events are away.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The same for the media channel while the set-up waits for it to enter the application: a caller rings.
const LOOK_SOON: Duration = Duration::from_millis(250);

/// The wait before it is looked again where a look has shown nothing although events flow.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// With no event, no packet and no answer to a look for so long, Asterisk is gone for good.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// When to look, and what was known when it was looked last.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Since when events have been away.
    away_since: Option<Instant>,
    /// When a look has last shown something.
    seen_at: Option<Instant>,
    caller: Look,
    media: Look,
    /// The caller's channel is another one than that which was looked at.
    is_another: bool,
    /// The media channel was known to be there when it was looked at.
    media_was_there: bool,
    /// It had entered the application.
    media_was_in: bool,
    /// That looks fail was told of this gap.
    is_told: bool,
    /// Nothing is looked at any more.
    is_over: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Look {
    /// When the next one is due.
    at: Option<Instant>,
    /// Events were lost again while one was under way.
    again: bool,
}

impl Watch {
    /// The caller's channel has changed; `is_looking` says whether the former one is being looked at.
    pub(super) const fn caller_is_another(&mut self, is_looking: bool) {
        self.is_another = is_looking;
    }

    /// The call is over: nothing is looked at any more.
    pub(super) const fn stop(&mut self) {
        self.is_over = true;
    }

    pub(super) const fn is_over(&self) -> bool {
        self.is_over
    }

    /// When Asterisk is given up, if a packet came last then.
    fn gone_at(&self, heard_at: Option<Instant>) -> Option<Instant> {
        let away_since = self.away_since?;
        let last = [self.seen_at, heard_at].into_iter().flatten().fold(away_since, Instant::max);
        Some(last + GONE_AFTER)
    }
}

impl Line {
    /// Events flow again, or do not any more.
    pub(in crate::call) fn link(&mut self, now: Instant, state: LinkState, out: &mut Actions) {
        // Whether the call is still on hold cannot be asked, and a caller who is back must be heard.
        self.is_held = false;
        match state {
            LinkState::Up => {
                self.watch.away_since = None;
                self.look_at_caller(out);
                self.look_at_media(now, out);
            }
            LinkState::Down if self.watch.away_since.is_none() => {
                (self.watch.away_since, self.watch.is_told) = (Some(now), false);
                self.watch.caller.at = Some(now + LOOK_EVERY);
                self.watch.media.at = Some(now + self.media_wait());
            }
            LinkState::Down => {}
        }
    }

    /// Looks again, if that is due. An error means that Asterisk is gone for good; `heard_at` is when a packet came last.
    pub(in crate::call) fn look_again(
        &mut self,
        now: Instant,
        heard_at: Option<Instant>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        if self.watch.gone_at(heard_at).is_some_and(|at| at <= now) {
            return Err(EndReason::AriFault);
        }
        let is_due = |look: Look| look.at.is_some_and(|at| at <= now);
        if is_due(self.watch.caller) {
            self.look_at_caller(out);
        }
        if is_due(self.watch.media) {
            self.look_at_media(now, out);
        }
        Ok(())
    }

    /// When [`Line::look_again`] is due.
    pub(in crate::call) fn look_deadline(&self, heard_at: Option<Instant>) -> Option<Instant> {
        let watch = &self.watch;
        [watch.caller.at, watch.media.at, watch.gone_at(heard_at)].into_iter().flatten().min()
    }

    fn look_at_caller(&mut self, out: &mut Actions) {
        let is_looking = self.is_pending(Purpose::Look);
        self.watch.caller = Look { at: None, again: is_looking };
        if !is_looking && !self.watch.is_over {
            self.send(Purpose::Look, out);
        }
    }

    fn look_at_media(&mut self, now: Instant, out: &mut Actions) {
        let is_looking = self.is_pending(Purpose::LookAtMedia);
        self.watch.media = Look { at: None, again: is_looking };
        if self.media.is_untouched() {
            // It was not asked for yet, and will be.
            self.watch.media.at = self.next_look(now, true, LOOK_EVERY);
        } else if !is_looking && !self.watch.is_over {
            (self.watch.media_was_there, self.watch.media_was_in) =
                (self.media.is_there(), self.media_in_stasis);
            self.send(Purpose::LookAtMedia, out);
        }
    }

    /// The media channel was made: where nobody tells that it has entered the application, that is looked for.
    pub(super) fn look_for_media_soon(&mut self, now: Instant) {
        if self.watch.away_since.is_some() {
            self.watch.media.at = Some(now + self.media_wait());
        }
    }

    fn media_wait(&self) -> Duration {
        if self.media_replied && !self.media_in_stasis { LOOK_SOON } else { LOOK_EVERY }
    }

    /// When to look next, behind a look that has shown something or has not.
    fn next_look(&self, now: Instant, has_shown: bool, every: Duration) -> Option<Instant> {
        match (self.watch.away_since, has_shown) {
            (Some(_), true) => Some(now + every),
            (Some(_), false) => Some(now + LOOK_EVERY),
            (None, true) => None,
            (None, false) => Some(now + LOOK_AGAIN_AFTER),
        }
    }

    /// Whether it is told that this request has failed: of looks once in a gap.
    pub(super) const fn is_told_of(&mut self, purpose: Purpose) -> bool {
        !purpose.looks() || !core::mem::replace(&mut self.watch.is_told, true)
    }

    /// What a look at the caller has shown: status and body, or no answer.
    pub(super) fn looked_at_caller(
        &mut self,
        now: Instant,
        reply: Option<(u16, &[u8])>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        if core::mem::take(&mut self.watch.is_another) {
            self.look_at_caller(out);
            return Ok(());
        }
        let has_shown = matches!(reply, Some((200..=299, _)));
        let has_left = match reply {
            Some((404, _)) => true,
            Some((200..=299, body)) => ari::is_shown_in(body, &self.app) == Some(false),
            _ => false,
        };
        if has_left {
            self.caller.gone();
            return Err(EndReason::CallerHungUp);
        }
        self.note_look(now, has_shown);
        if has_shown && self.watch.caller.again {
            self.look_at_caller(out);
        } else {
            self.watch.caller.at = self.next_look(now, has_shown, LOOK_EVERY);
        }
        Ok(())
    }

    /// What a look at the media channel has shown.
    pub(super) fn looked_at_media(
        &mut self,
        now: Instant,
        reply: Option<(u16, &[u8])>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        let mut has_shown = true;
        match reply {
            // The clean-up asks once more.
            Some((404, _)) if self.watch.media_was_there => {
                if self.watch.away_since.is_some() {
                    // Somebody else has removed it who has the application now, and the caller with it: another
                    // bridge that has adopted him, or this one as soon as it is connected again.
                    self.caller.gone();
                }
                return Err(EndReason::AriFault);
            }
            // Its create may still be executed, and then an event says so.
            Some((404, _)) => {}
            Some((200..=299, body)) => match ari::is_shown_in(body, &self.app) {
                Some(true) if !self.media_in_stasis => {
                    self.media_in_stasis = true;
                    self.media.seen();
                }
                Some(false) if self.watch.media_was_in => return Err(EndReason::AriFault),
                // It is where it should be, or has yet to enter the application.
                Some(_) | None => {}
            },
            _ => has_shown = false,
        }
        self.note_look(now, has_shown);
        if has_shown && self.watch.media.again {
            self.look_at_media(now, out);
        } else {
            self.watch.media.at = self.next_look(now, has_shown, self.media_wait());
        }
        Ok(())
    }

    fn note_look(&mut self, now: Instant, has_shown: bool) {
        if has_shown {
            self.watch.seen_at = Some(now);
            self.watch.is_told &= self.watch.away_since.is_some();
        }
    }
}

#[cfg(test)]
mod tests;

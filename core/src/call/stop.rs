//! The driver ends the call: the process is going away, or Asterisk is.

use super::talk::GOODBYE_WITHIN;
use super::{Actions, Call, EndReason, Instant, StopReason};
use crate::settings::{Fallback, Prompt};
use crate::time::Duration;

/// How long a caller may be told goodbye when the process is going away, until the end is decided: the agent's own words,
/// and where they do not come, the sound in their place. Of a longer sound the end is not heard.
const GO_WITHIN: Duration = Duration::from_secs(20);

impl Call {
    /// The driver ends the call.
    pub(super) fn stop(
        &mut self,
        now: Instant,
        reason: StopReason,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        match reason {
            StopReason::Shutdown => self.shut_down(now, out),
            StopReason::AtOnce => self.stop_at_once(now, out),
            StopReason::AsteriskRestarted => {
                self.line.asterisk_restarted();
                return Err(EndReason::AsteriskRestarted);
            }
            StopReason::CallerLeft => {
                self.line.caller_left();
                return Err(EndReason::CallerHungUp);
            }
        }
        Ok(())
    }

    /// The process is going away. Who was answered is not cut off: the caller hears so and goes on in the dialplan, or is
    /// told goodbye and hung up.
    fn shut_down(&mut self, now: Instant, out: &mut Actions) {
        if self.ending.is_some() {
            return;
        }
        self.go_by.get_or_insert(now + GO_WITHIN);
        if self.parting.is_some() || self.talk.is_saying_goodbye() {
            return;
        }
        if let Some(leaving) = self.tools.leaving() {
            return self.leave(leaving, now, out);
        }
        if !self.is_up() {
            return self.end(EndReason::Shutdown, now, out);
        }
        self.voice.interrupt(&mut self.talk, out);
        match self.settings.fallback {
            Fallback::HangUp if self.answered.is_some() && self.talk.is_ready() => {
                let by = self.call_limit().min(now + GOODBYE_WITHIN);
                self.talk.say_goodbye(EndReason::Shutdown, by, out);
            }
            Fallback::HangUp => self.part(EndReason::Shutdown, Prompt::Goodbye, now, out),
            Fallback::Dialplan(_) => self.part(EndReason::Shutdown, Prompt::Moment, now, out),
        }
    }

    /// The process is gone in a moment. A call that was about to end ends as it was about to.
    fn stop_at_once(&mut self, now: Instant, out: &mut Actions) {
        if let Some(leaving) = self.tools.leaving().filter(|_| self.ending.is_none()) {
            return self.leave(leaving, now, out);
        }
        let parting = self.parting.map(|parting| parting.reason);
        let goodbye = self.talk.goodbye_deadline().map(|(_, reason)| reason);
        self.end(parting.or(goodbye).unwrap_or(EndReason::Shutdown), now, out);
    }
}

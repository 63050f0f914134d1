//! How a call outlives its Realtime side: sessions that change, callers who wait, and the last sound when nothing more
//! can be done.

use super::talk::{Down, Turnover};
use super::{Action, Actions, Call, EndReason, Instant, News};
use crate::observe::{self, Observation};
use crate::realtime::{ServerEvent, Verdict};
use crate::settings::{DeadAirStep, FailedAnswer, Fallback, MAX_PROMPT_SECONDS, Prompt};
use crate::time::Duration;

/// So many turns in a row whose answers have failed, and the call is given up.
const MAX_TURNS_GIVEN_UP: u8 = 3;

/// How long it is waited for the media path before the last sound, where a caller who was answered by the dialplan has
/// not been heard yet.
const MEDIA_WITHIN: Duration = Duration::from_millis(1_000);

/// The end is decided, and the caller hears a last sound of the bridge's own before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parting {
    pub(super) reason: EndReason,
    /// The sound, until it is begun.
    sound: Option<Prompt>,
    /// By when it must have been heard.
    pub(super) by: Instant,
}

impl Call {
    /// A Realtime link has ended.
    pub(super) fn realtime_down(
        &mut self,
        now: Instant,
        link: crate::id::LinkId,
        down: Down<'_>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        if self.is_leaving_realtime() {
            return Ok(());
        }
        let turnover = self.talk.down(now, link, down, out)?;
        self.session_changed(now, turnover, out);
        Ok(())
    }

    /// Whether nothing of the Realtime side matters any more.
    pub(super) const fn is_leaving_realtime(&self) -> bool {
        self.ending.is_some() || self.parting.is_some()
    }

    /// The coming session's server has said something.
    pub(super) fn coming_message(
        &mut self,
        now: Instant,
        event: &ServerEvent<'_>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        let brief = self.tools.brief(&self.settings.session);
        self.talk.coming_message(now, event, brief, out)
    }

    /// Gives the live session up for another one.
    pub(super) fn change_session(
        &mut self,
        now: Instant,
        verdict: Verdict,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        let turnover = self.talk.give_up_session(now, verdict, out)?;
        self.session_changed(now, turnover, out);
        Ok(())
    }

    /// Tells the other parts that sessions have changed.
    pub(super) fn session_changed(&mut self, now: Instant, turnover: Turnover, out: &mut Actions) {
        match turnover {
            Turnover::None | Turnover::Next => {}
            Turnover::First => {
                self.voice.model_speaks(self.talk.speaks());
                out.observe(Observation::SessionReady { after: now.since(self.started) });
            }
            Turnover::Lost | Turnover::Renewed => {
                self.voice.session_ends(now);
                self.tools.session_ends();
            }
        }
    }

    /// What is due about sessions, failed answers and waiting callers.
    pub(super) fn recovery_time_out(&mut self, now: Instant, out: &mut Actions) -> Result<(), EndReason> {
        if self.parting.is_some() {
            return Ok(());
        }
        let turnover = self.talk.session_time_out(now, &self.settings.session, out)?;
        self.session_changed(now, turnover, out);
        let is_busy = self.tools.is_busy() || !self.talk.is_ready();
        if let Some(step) = self.dead_air.time_out(now, is_busy) {
            out.observe(Observation::Recovery(observe::Recovery::DeadAir { step }));
            match step {
                DeadAirStep::Filler => self.filler.begin(now),
                DeadAirStep::Ask => self.talk.ask_again(out),
                DeadAirStep::Reconnect if self.settings.recovery.retry_for.is_zero() => {}
                DeadAirStep::Reconnect => self.change_session(now, Verdict::Retry, out)?,
                DeadAirStep::Fallback => return Err(EndReason::DeadAir),
            }
        }
        let something_is_heard = self.voice.is_playing();
        if let Some(prompt) = self.filler.time_out(now, something_is_heard) {
            self.voice.prompt(now, prompt, &self.settings.prompts, out);
        }
        Ok(())
    }

    /// Notes who waits for what.
    pub(super) fn note_waiting(&mut self, now: Instant) {
        let agent_is_heard = self.voice.agent_is_heard();
        let is_over = self.talk.is_saying_goodbye() || self.tools.leaving().is_some() || self.line.is_held();
        let is_waited_for = self.talk.is_waited_for() && !agent_is_heard && !is_over;
        let has_session = self.talk.is_ready();
        self.dead_air.note(now, is_waited_for, agent_is_heard);
        if is_over || agent_is_heard || (has_session && !is_waited_for) {
            self.filler.end();
        }
        if !agent_is_heard {
            self.filler.note_session(now, has_session || is_over);
        }
    }

    /// An answer has failed for good.
    pub(super) fn answer_given_up(&mut self, now: Instant, out: &mut Actions) -> Result<(), EndReason> {
        let is_too_much = self.talk.turns_given_up() >= MAX_TURNS_GIVEN_UP;
        if is_too_much || self.settings.failed_answer == FailedAnswer::Fallback {
            return Err(EndReason::AnswersFailed);
        }
        if self.answered.is_some() {
            self.voice.prompt(now, Prompt::Sorry, &self.settings.prompts, out);
        }
        Ok(())
    }

    /// The call cannot go on. A caller who was answered hears so first, where that is not by the agent's own words;
    /// and one who was about to leave goes where it was to go.
    pub(super) fn give_up(&mut self, reason: EndReason, now: Instant, out: &mut Actions) {
        if let Some(parting) = self.parting {
            return self.end(parting.reason, now, out);
        }
        if self.ending.is_some() {
            return;
        }
        if let Some(leaving) = self.tools.leaving().filter(|_| reason.is_of_realtime()) {
            return self.leave(leaving, now, out);
        }
        // A call that is being ended ends for that, whatever keeps the agent from saying so.
        let goodbye = self.talk.goodbye_deadline().filter(|_| reason.is_of_realtime());
        let reason = goodbye.map_or(reason, |(_, why)| why);
        let goodbye_is_missing = self.talk.is_saying_goodbye() && !self.talk.goodbye_is_heard();
        let is_goodbye =
            matches!(reason, EndReason::MaxDuration | EndReason::CallerIdle | EndReason::Shutdown);
        let is_heard_of = match reason {
            _ if is_goodbye => goodbye_is_missing,
            EndReason::NotReadyInTime => true,
            reason => reason.is_of_realtime(),
        };
        if !is_heard_of || !self.is_up() {
            return self.end(reason, now, out);
        }
        let goes_on = !is_goodbye && matches!(self.settings.fallback, Fallback::Dialplan(_));
        let sound = if goes_on { Prompt::Moment } else { Prompt::Goodbye };
        self.part(reason, sound, now, out);
    }

    /// Decides the end; the caller hears this sound before it.
    pub(super) fn part(&mut self, reason: EndReason, sound: Prompt, now: Instant, out: &mut Actions) {
        self.talk.close(out);
        self.voice.turn_deaf();
        self.parting = Some(Parting { reason, sound: Some(sound), by: now + MEDIA_WITHIN });
    }

    /// The last sound is begun as soon as it can be heard, and its end is the call's.
    pub(super) fn go_on_parting(&mut self, parting: Parting, now: Instant, out: &mut Actions) {
        let format = self.talk.hears();
        if !self.voice.runs() && self.line.is_bridged() {
            self.voice.start(now, format);
        }
        if let Some(sound) = parting.sound.filter(|_| self.voice.runs()) {
            self.voice.prompt(now, sound, &self.settings.prompts, out);
            let by = now + Duration::from_secs(u64::from(MAX_PROMPT_SECONDS)) + MEDIA_WITHIN;
            let by = self.go_by.map_or(by, |go_by| go_by.min(by));
            self.parting = Some(Parting { sound: None, by, ..parting });
        } else if parting.sound.is_none() && !self.voice.is_playing() {
            self.end(parting.reason, now, out);
        }
        self.voice.record(false, &mut self.talk, out);
    }

    /// Tells the switchboard if the call ends because of the Realtime side.
    pub(super) fn tell_of_end(&self, reason: EndReason, out: &mut Actions) {
        let had_no_session = reason == EndReason::NotReadyInTime && !self.talk.had_session();
        if reason.is_of_realtime() || had_no_session {
            out.push(Action::Tell(News::RealtimeFails));
        }
    }
}

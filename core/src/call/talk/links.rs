//! Sessions that come and go under a conversation.
//!
//! The conversation takes place in one session, the live one. Another may be coming: the first of the call, the next
//! one after a loss, or the one that takes over before the live one has lasted as long as its server allows. It is
//! told what was said so far, and goes live when it knows.

use super::{Brief, Talk};
use crate::call::io::{Action, Actions, EndReason, IoFault, News};
use crate::call::session::{Session, Stage};
use crate::format::ModelFormat;
use crate::id::LinkId;
use crate::observe::{self, Label, Observation};
use crate::realtime::{
    ClientEvent, Dialect, ServerEvent, Verdict, close_code, is_fatal, is_passing, verdict,
};
use crate::settings::{Resume, SessionSettings};
use crate::time::{Duration, Instant};
use std::io::Write;

/// Of a session that broke off, what the server was given last may never have come there: so much of it at most is
/// given again, in milliseconds.
const MAY_BE_LOST_MS: u64 = 1_000;

/// The same for a server that was found to be gone.
const MAY_BE_LONG_LOST_MS: u64 = 10_000;

/// A session that is lost sooner than this counts as one that could not be had: a server that takes every session and
/// ends it at once is not tried for ever.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// At a renewal in a pause, so much of the silence is given to the next session too, in milliseconds: somebody may have
/// begun to speak of whom the old one has not told yet.
const OVERLAP_MS: u64 = 500;

/// What the caller said before the server took it for speech, in milliseconds, is given again too.
const BEFORE_SPEECH_MS: u64 = 300;

/// How a link has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::call) struct Down<'a> {
    pub(in crate::call) http_status: Option<u16>,
    pub(in crate::call) retry_after: Option<Duration>,
    pub(in crate::call) close: Option<u16>,
    pub(in crate::call) reason: &'a [u8],
    pub(in crate::call) fault: Option<IoFault>,
}

/// What a change of sessions asks of the rest of the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::call) enum Turnover {
    /// Nothing has changed.
    None,
    /// The session is over, and there is no other yet.
    Lost,
    /// The first session of the call stands.
    First,
    /// The next one does, after the last was lost.
    Next,
    /// The next one has taken the place of the one before it.
    Renewed,
}

/// Writes an event to a link, after giving it its number.
pub(super) fn write(
    dialect: Dialect,
    link: LinkId,
    event: ClientEvent<'_>,
    events_sent: &mut u32,
    out: &mut Actions,
) {
    *events_sent = events_sent.wrapping_add(1);
    let number = *events_sent;
    let bytes = out.write(|arena| dialect.write(event, number, arena));
    out.push(Action::SendRealtime { link, bytes });
}

impl Talk {
    /// Opens a session.
    pub(in crate::call) fn open(&mut self, now: Instant, settings: &SessionSettings, out: &mut Actions) {
        self.last_link = self.last_link.wrapping_add(1);
        let link = LinkId(self.last_link);
        let format = self.agreed.unwrap_or(settings.audio_format);
        self.coming = Some(Session::open(link, format, now));
        let tag = self.tag;
        let safety_identifier = out.write(|arena| {
            for byte in tag.into_iter().flatten() {
                // Writing to a Vec cannot fail.
                let _ = write!(arena, "{byte:02x}");
            }
        });
        out.push(Action::OpenRealtime { link, safety_identifier });
    }

    /// Whether something comes of this link: it is the live one, or the coming.
    pub(in crate::call) fn has_link(&self, link: LinkId) -> bool {
        self.is_live(link) || self.is_coming(link)
    }

    fn is_live(&self, link: LinkId) -> bool {
        self.live.as_ref().is_some_and(|live| live.link == link)
    }

    fn is_coming(&self, link: LinkId) -> bool {
        self.coming.as_ref().is_some_and(|coming| coming.link == link)
    }

    /// A sign of life came on this link, a message or less. Whether it is the live one, whose messages are the
    /// conversation.
    pub(in crate::call) fn is_heard(&mut self, now: Instant, link: LinkId, is_message: bool) -> bool {
        let given_ms = self.given_ms();
        let is_live = self.is_live(link);
        if let Some(live) = self.live.as_mut().filter(|_| is_live && is_message) {
            live.has_spoken(given_ms);
        }
        let both = [&mut self.live, &mut self.coming];
        if let Some(session) = both.into_iter().flatten().find(|session| session.link == link) {
            session.is_heard(now, given_ms);
        }
        is_live
    }

    /// A server that says nothing although somebody speaks is asked something that every server answers: to take
    /// its settings once more.
    pub(in crate::call) fn ask_silent_server(&mut self, now: Instant, brief: Brief<'_>, out: &mut Actions) {
        let Some(live) = self.live.as_mut().filter(|_| self.goodbye.is_none()) else { return };
        if live.is_to_be_asked(now) {
            let (link, format) = (live.link, live.format);
            self.update(link, format, brief, out);
        }
    }

    /// The socket is open.
    pub(in crate::call) fn is_open(&mut self, link: LinkId, brief: Brief<'_>, out: &mut Actions) {
        if self.is_coming(link) && self.dialect.client_begins() {
            self.begin(brief, out);
        }
    }

    /// Sends the settings, once.
    fn begin(&mut self, brief: Brief<'_>, out: &mut Actions) {
        if let Some(coming) = self.coming.as_mut().filter(|coming| coming.stage == Stage::Opening) {
            coming.stage = Stage::Updating;
            let (link, format) = (coming.link, coming.format);
            self.update(link, format, brief, out);
        }
    }

    fn update(&mut self, link: LinkId, format: ModelFormat, brief: Brief<'_>, out: &mut Actions) {
        let (Brief { settings, tools }, turns) = (brief, self.turns.of_the_server());
        let event = ClientEvent::SessionUpdate { settings, tools, format, turns };
        write(self.dialect, link, event, &mut self.events_sent, out);
    }

    /// The server does not speak the line's own format, so it is spoken to in the one that every server knows.
    fn fall_back_to_pcm(&mut self, brief: Brief<'_>, out: &mut Actions) {
        if let Some(coming) = &mut self.coming {
            out.observe(Observation::FormatRefused { format: coming.format });
            coming.format = ModelFormat::Pcm24;
            let (link, format) = (coming.link, coming.format);
            self.update(link, format, brief, out);
        }
    }

    /// The coming session's server has said something.
    ///
    /// # Errors
    ///
    /// Why there will be no session.
    pub(in crate::call) fn coming_message(
        &mut self,
        now: Instant,
        event: &ServerEvent<'_>,
        brief: Brief<'_>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        match event {
            ServerEvent::SessionCreated { expires_at } => {
                let (dialect, start) = (self.dialect, self.start);
                // A second greeting that tells no end does not put it off.
                let is_news = |coming: &&mut Session| coming.life.is_none() || expires_at.is_some();
                if let Some(coming) = self.coming.as_mut().filter(is_news) {
                    coming.stands(dialect, *expires_at, now, start);
                }
                self.begin(brief, out);
                Ok(())
            }
            ServerEvent::SessionUpdated { format } => self.confirmed(now, *format, brief, out),
            ServerEvent::Error { code, param, .. } => {
                out.observe(Observation::RealtimeError { code: Label::new(code), param: Label::new(param) });
                self.coming_error(now, code, brief, out)
            }
            _ => Ok(()),
        }
    }

    fn confirmed(
        &mut self,
        now: Instant,
        format: Option<ModelFormat>,
        brief: Brief<'_>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        let Some(coming) = self.coming.as_mut().filter(|coming| coming.stage == Stage::Updating) else {
            return Ok(());
        };
        // PCM needs no confirmation: every server speaks it, and not every one shows its format.
        if coming.format == ModelFormat::Pcm24 || format == Some(coming.format) {
            coming.stage = Stage::Ready;
            return Ok(());
        }
        if self.agreed.is_none() {
            self.fall_back_to_pcm(brief, out);
            return Ok(());
        }
        // The call is in full swing, and cannot change its format.
        self.coming_failed(now, Verdict::Retry, None, out)
    }

    /// Before a session stands, an error is the answer to our settings: they are lost whole, and no confirmation
    /// will come.
    fn coming_error(
        &mut self,
        now: Instant,
        code: &str,
        brief: Brief<'_>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        let Some(coming) = &self.coming else { return Ok(()) };
        let may_be_the_format = coming.format != ModelFormat::Pcm24 && self.agreed.is_none();
        match coming.stage {
            _ if is_fatal(code) => self.coming_failed(now, Verdict::Fatal, None, out),
            // What it was told of the conversation it may not like; it knows the rest.
            Stage::Ready => Ok(()),
            _ if is_passing(code) => self.coming_failed(now, Verdict::Retry, None, out),
            Stage::Updating if may_be_the_format => {
                self.fall_back_to_pcm(brief, out);
                Ok(())
            }
            // A server of the same kind has taken the same settings in this call.
            _ if self.agreed.is_some() => self.coming_failed(now, Verdict::Retry, None, out),
            Stage::Opening | Stage::Updating => self.coming_failed(now, Verdict::Fatal, None, out),
        }
    }

    /// There will be no such session: another one is tried, or the call has to do without.
    fn coming_failed(
        &mut self,
        now: Instant,
        verdict: Verdict,
        retry_after: Option<Duration>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        if let Some(coming) = self.coming.take() {
            out.push(Action::CloseRealtime { link: coming.link, code: 1000 });
        }
        self.try_again(now, verdict, retry_after, out)
    }

    /// Plans the next attempt.
    ///
    /// # Errors
    ///
    /// Why there is none, where the call has no session.
    fn try_again(
        &mut self,
        now: Instant,
        verdict: Verdict,
        retry_after: Option<Duration>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        let has_session = self.live.is_some();
        if verdict == Verdict::Fatal && !has_session {
            return Err(EndReason::RealtimeRefused);
        }
        let wait = self.retry.plan(now, retry_after);
        if !has_session && self.gives_up_at().is_none_or(|at| now + wait > at) {
            return Err(EndReason::RealtimeLost);
        }
        out.observe(Observation::Recovery(observe::Recovery::Retry { attempt: self.retry.attempts(), wait }));
        Ok(())
    }

    /// When there has been no session for too long; `None` if none may be missing at all.
    fn gives_up_at(&self) -> Option<Instant> {
        let budget = self.recovery.retry_for;
        (!budget.is_zero()).then(|| self.trouble_since.unwrap_or(Instant::START) + budget)
    }

    /// A link has ended.
    ///
    /// # Errors
    ///
    /// Why the call cannot go on.
    pub(in crate::call) fn down(
        &mut self,
        now: Instant,
        link: LinkId,
        down: Down<'_>,
        out: &mut Actions,
    ) -> Result<Turnover, EndReason> {
        let Down { http_status, retry_after, close, reason, fault } = down;
        let code = close_code(reason);
        out.observe(Observation::RealtimeDown { code, close, http_status, fault });
        let verdict = verdict(code.as_str(), close, http_status);
        if self.is_coming(link) {
            self.coming = None;
            return self.try_again(now, verdict, retry_after, out).map(|()| Turnover::None);
        }
        let may_be_lost_ms = match fault {
            Some(IoFault::TimedOut | IoFault::Backlog) => MAY_BE_LONG_LOST_MS,
            _ => MAY_BE_LOST_MS,
        };
        self.lost(now, verdict, may_be_lost_ms, out)
    }

    /// Gives the live session up, because it is of no use any more.
    ///
    /// # Errors
    ///
    /// Why the call cannot go on.
    pub(in crate::call) fn give_up_session(
        &mut self,
        now: Instant,
        verdict: Verdict,
        out: &mut Actions,
    ) -> Result<Turnover, EndReason> {
        let Some(live) = &self.live else { return Ok(Turnover::None) };
        out.push(Action::CloseRealtime { link: live.link, code: 1000 });
        self.lost(now, verdict, MAY_BE_LONG_LOST_MS, out)
    }

    /// The live session is gone.
    fn lost(
        &mut self,
        now: Instant,
        verdict: Verdict,
        may_be_lost_ms: u64,
        out: &mut Actions,
    ) -> Result<Turnover, EndReason> {
        let has_lasted = self.live.as_ref().is_some_and(|live| now >= live.live_since + STABLE_AFTER);
        self.leave(may_be_lost_ms);
        self.lost_at = Some(now);
        if has_lasted {
            self.retry.reset();
            self.trouble_since = None;
        }
        self.trouble_since.get_or_insert(now);
        if let Some(goodbye) = &mut self.goodbye {
            // What has come of it is heard to its end.
            goodbye.is_said = true;
            return Ok(Turnover::Lost);
        }
        if verdict == Verdict::Fatal {
            return Err(EndReason::RealtimeRefused);
        }
        if self.coming.is_none() {
            self.try_again(now, verdict, None, out)?;
        }
        Ok(Turnover::Lost)
    }

    /// Takes the conversation out of the live session: what is under way in it will not be completed there.
    fn leave(&mut self, may_be_lost_ms: u64) {
        let given_ms = self.given_ms();
        let Some(live) = self.live.take() else { return };
        self.base_ms = given_ms;
        let speech = self.speech_ms.take().filter(|_| !self.turns.may_be_echo());
        // What is not kept any more cannot be given again, and is told in words.
        let is_kept = |from: &u64| given_ms.saturating_sub(*from) <= self.kept.reaches_back_ms();
        let unanswered = self.unanswered_ms.or(speech).filter(is_kept);
        let uncertain = live.has_heard_ms(given_ms, may_be_lost_ms);
        let again = unanswered.map_or(uncertain, |from| uncertain.min(from.saturating_sub(BEFORE_SPEECH_MS)));
        self.kept.rewind(given_ms.saturating_sub(again));
        self.answers.session_ends(self.recovery.resume != Resume::Off && unanswered.is_none());
        self.is_waited_for |= self.answers.is_busy();
        if unanswered.is_some() {
            // The next session hears the caller's last words themselves.
            self.history.give_turns_again(self.unanswered.unwrap_or(u64::MAX));
            self.answers.forget_turns();
        }
        self.history.has_session(false);
        (self.unanswered_ms, self.unanswered, self.answers_turn) = (None, None, false);
        self.turns.session_ends();
    }

    /// Tells the coming session what was said so far, and lets it go live when it knows and the time has come. `is_pause`
    /// says whether nobody speaks and nothing is under way.
    pub(in crate::call) fn turn_over(&mut self, now: Instant, is_pause: bool, out: &mut Actions) -> Turnover {
        if self.coming.as_ref().is_none_or(|coming| !coming.is_ready()) {
            return Turnover::None;
        }
        let must_leave =
            self.live.as_ref().and_then(|live| live.life).is_some_and(|life| life.leave_at <= now)
                && !self.answers.is_being_made();
        let goes_live = self.live.is_none() || is_pause || must_leave;
        // A turn that has no answer yet may still be given to the next session itself.
        let settled = self.unanswered.filter(|_| self.live.is_some()).unwrap_or(u64::MAX);
        if self.live.is_some() && goes_live && !self.coming_has_news(settled) {
            let link = self.live.as_ref().map_or(LinkId(0), |live| live.link);
            self.leave(OVERLAP_MS);
            out.push(Action::CloseRealtime { link, code: 1000 });
            self.tell_coming(u64::MAX, out);
            return self.go_live(now, Turnover::Renewed, out);
        }
        self.tell_coming(settled, out);
        if self.live.is_some() || self.coming_has_news(u64::MAX) {
            return Turnover::None;
        }
        let which = if self.agreed.is_none() { Turnover::First } else { Turnover::Next };
        self.go_live(now, which, out)
    }

    fn coming_has_news(&self, before: u64) -> bool {
        self.coming.as_ref().is_some_and(|coming| coming.has_news(&self.history, before))
    }

    fn tell_coming(&mut self, before: u64, out: &mut Actions) {
        let (dialect, events_sent) = (self.dialect, &mut self.events_sent);
        if let Some(coming) = &mut self.coming {
            coming.tell(&self.history, before, |link, event| {
                write(dialect, link, event, events_sent, out);
            });
        }
    }

    fn go_live(&mut self, now: Instant, which: Turnover, out: &mut Actions) -> Turnover {
        let Some(mut coming) = self.coming.take() else { return Turnover::None };
        coming.live_since = now;
        coming.is_heard(now, self.base_ms);
        coming.has_spoken(self.base_ms);
        self.agreed.get_or_insert(coming.format);
        let items = coming.items;
        self.live = Some(coming);
        if which == Turnover::Renewed {
            self.retry.reset();
        }
        let told = match which {
            Turnover::Next => {
                let after = now.since(self.lost_at.unwrap_or(now));
                Some(observe::Recovery::Resumed { after, items })
            }
            Turnover::Renewed => Some(observe::Recovery::Renewed { items }),
            Turnover::None | Turnover::Lost | Turnover::First => None,
        };
        self.lost_at = None;
        if let Some(told) = told {
            out.observe(Observation::Recovery(told));
        }
        self.history.has_session(true);
        self.tell_lost(out);
        let millis = self.kept.waiting_ms();
        if millis > 0 {
            self.kept_until_ms = Some(self.base_ms + millis);
        }
        // The silence before a renewal is not worth a word.
        if millis > OVERLAP_MS {
            out.observe(Observation::Recovery(observe::Recovery::Delivered { millis }));
        }
        out.push(Action::Tell(News::RealtimeIsWell));
        which
    }

    /// Gives the session the next piece of what waits for it.
    pub(in crate::call) fn catch_up(&mut self, out: &mut Actions) {
        let Some(live) = &mut self.live else { return };
        if let Some(piece) = self.kept.next_piece() {
            let bytes = out.write(|arena| self.dialect.write_append(piece, arena));
            out.push(Action::SendRealtime { link: live.link, bytes });
            live.given = live.given.saturating_add(piece.len() as u64);
        }
    }

    /// Whether there is no session because one could not be had.
    pub(in crate::call) const fn has_failed(&self) -> bool {
        self.live.is_none() && self.retry.attempts() > 0
    }

    /// When something is to be done about the sessions, after the last step.
    pub(in crate::call) fn session_deadline(&self, last: Instant) -> Option<Instant> {
        if self.is_closed {
            return None;
        }
        let live = self.live.as_ref();
        let life = live.and_then(|live| live.life);
        let coming = self.coming.as_ref();
        let renewal = life
            .map(|life| life.renew_at)
            .filter(|_| coming.is_none() && self.retry.at().is_none() && self.goodbye.is_none());
        // It is left when its answer is complete, for which nothing has to wake anybody.
        let leave =
            life.map(|life| life.leave_at).filter(|at| coming.is_some_and(Session::is_ready) && *at > last);
        let lost =
            self.gives_up_at().filter(|_| live.is_none() && self.agreed.is_some() && self.goodbye.is_none());
        let silence = live.map(Session::silence_deadline);
        [coming.and_then(Session::ready_by), self.retry.at(), renewal, leave, lost, silence]
            .into_iter()
            .flatten()
            .min()
    }

    /// What is due about the sessions is done.
    ///
    /// # Errors
    ///
    /// Why the call cannot go on.
    pub(in crate::call) fn session_time_out(
        &mut self,
        now: Instant,
        settings: &SessionSettings,
        out: &mut Actions,
    ) -> Result<Turnover, EndReason> {
        if self.coming.as_ref().and_then(Session::ready_by).is_some_and(|by| by <= now) {
            self.tell_timed_out(out);
            self.coming_failed(now, Verdict::Retry, None, out)?;
        }
        let is_lost = self.live.is_none() && self.agreed.is_some() && self.goodbye.is_none();
        if is_lost && self.gives_up_at().is_none_or(|at| at <= now) {
            return Err(EndReason::RealtimeLost);
        }
        if self.retry.due(now).is_some() {
            self.open(now, settings, out);
        }
        let Some(live) = &mut self.live else { return Ok(Turnover::None) };
        if live.is_dead(now) {
            self.tell_timed_out(out);
            return self.give_up_session(now, Verdict::Retry, out);
        }
        if live.is_to_be_pinged(now) {
            out.push(Action::PingRealtime { link: live.link });
        }
        let is_due = live.life.filter(|life| life.renew_at <= now && self.goodbye.is_none());
        if let (Some(life), None, None) = (is_due, &self.coming, self.retry.at()) {
            let left = life.ends_at.since(now);
            out.observe(Observation::Recovery(observe::Recovery::Expires { left }));
            self.open(now, settings, out);
        }
        Ok(Turnover::None)
    }

    fn tell_timed_out(&self, out: &mut Actions) {
        let (code, fault) = (Label::new(""), Some(IoFault::TimedOut));
        out.observe(Observation::RealtimeDown { code, close: None, http_status: None, fault });
    }

    /// Tells how much of the caller no session will hear: in one line, whatever the length of the outage.
    fn tell_lost(&mut self, out: &mut Actions) {
        let millis = self.kept.take_lost_ms();
        if millis > 0 {
            out.observe(Observation::Recovery(observe::Recovery::Dropped { millis }));
        }
    }

    /// Closes all sockets.
    pub(in crate::call) fn close(&mut self, out: &mut Actions) {
        self.is_closed = true;
        self.tell_lost(out);
        for session in [self.live.take(), self.coming.take()].into_iter().flatten() {
            out.push(Action::CloseRealtime { link: session.link, code: 1000 });
        }
        self.retry.reset();
    }
}

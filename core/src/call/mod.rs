//! One call, from `StasisStart` to the last request answered.
//!
//! [`Call`] joins three parts that do not know each other: the *line* (ARI: set-up, answer, clean-up), the
//! *voice* (RTP and audio) and the *talk* (the Realtime session). Each input goes to the part that it
//! concerns; what one part learns and another needs passes through here.

mod io;
pub(crate) mod line;
mod talk;
mod turns;
mod voice;

pub use io::*;

use crate::ari::Event;
use crate::id::{LegId, LinkId};
use crate::observe::{BadInput, Label, Observation, Once};
use crate::rng::Rng;
use crate::settings::CallSettings;
use crate::time::Instant;
use line::{Farewell, Line};
use talk::{GOODBYE_WITHIN, Heard, Talk};
use voice::Voice;

/// The most actions that one step gives. A step answers one input: at most one frame each way, a handful of
/// requests and what is to be told about them.
pub const MAX_ACTIONS_PER_STEP: usize = 32;

/// One call.
#[derive(Debug)]
pub struct Call {
    settings: CallSettings,
    started: Instant,
    last: Instant,
    line: Line,
    voice: Voice,
    talk: Talk,
    answered: Option<Instant>,
    ending: Option<Ending>,
    bad_told: Once,
    finished: bool,
}

#[derive(Clone, Copy, Debug)]
struct Ending {
    reason: EndReason,
    at: Instant,
}

impl Call {
    /// Takes a call on: a media socket and a Realtime socket are asked for, and the bridge is being made.
    pub fn new(settings: &CallSettings, start: Start<'_>, now: Instant, out: &mut Actions) -> (Self, Next) {
        let Origin::Arrived { event } = start.origin;
        let event = Event::parse(event);
        let caller = event.as_ref().and_then(|event| event.channel.as_ref());
        let mut rng = Rng::new(start.seed);
        let (leg, link) = (LegId(1), LinkId(1));
        let mut call = Self {
            started: now,
            last: now,
            line: Line::new(&settings.ari_app, start.media.format, start.ids, caller),
            voice: Voice::new(leg, start.media, settings, &mut rng),
            talk: Talk::new(link, &settings.session, settings.barge_in),
            answered: None,
            ending: None,
            bad_told: Once::default(),
            finished: false,
            settings: settings.clone(),
        };
        out.observe(Observation::CallStarted);
        out.push(Action::OpenMedia { leg, plan: start.media });
        out.push(Action::OpenRealtime { link });
        if caller.is_none() {
            out.observe_bad(BadInput::StasisStart, &mut call.bad_told);
            call.end(EndReason::AriFault, now, out);
        }
        call.go_on(now, false, out);
        let next = call.next();
        (call, next)
    }

    /// Takes one input at `now` and gives the actions that follow from it.
    ///
    /// Work per step is bounded: at most one frame each way and [`MAX_ACTIONS_PER_STEP`] actions. After
    /// [`Action::Finish`] every input is ignored.
    ///
    /// # Panics
    ///
    /// If `now` is not later than at the last step: time only moves forward, and a driver that breaks this is
    /// at fault.
    pub fn step(&mut self, now: Instant, input: Input<'_>, out: &mut Actions) -> Next {
        assert!(now > self.last, "time only moves forward: {now} does not follow {}", self.last);
        self.last = now;
        if !self.finished {
            self.voice.play(now, out);
            self.voice.mind_the_echo(now);
            let is_timer = matches!(input, Input::Timer);
            if let Err(reason) = self.take(now, input, out) {
                self.end(reason, now, out);
            }
            self.voice.feed_model(now, is_timer, &mut self.talk, out);
            self.go_on(now, is_timer, out);
        }
        self.next()
    }

    /// Hands an input to the part that it concerns. An error says why the call cannot go on.
    fn take(&mut self, now: Instant, input: Input<'_>, out: &mut Actions) -> Result<(), EndReason> {
        match input {
            Input::Ari(bytes) => match Event::parse(bytes) {
                Some(event) => {
                    self.line.event(&event)?;
                    self.voice.hold(now, self.line.is_held(), out);
                }
                None => out.observe_bad(BadInput::AriEvent, &mut self.bad_told),
            },
            Input::AriReply { id, status, body } => self.line.reply(now, id, status, body, out)?,
            Input::AriFailed { id, fault } => self.line.no_reply(now, id, fault, out)?,
            Input::AriLink(LinkState::Up) if self.ending.is_none() => {
                self.line.look(out);
                self.voice.hold(now, self.line.is_held(), out);
            }
            Input::AriLink(_) => {}
            Input::MediaUp { leg, local } if leg == self.voice.leg() => {
                let host = self.settings.advertise_host.clone().unwrap_or_else(|| local.ip().to_string());
                self.line.media_is_up(host, local.port());
            }
            Input::Media { leg, from, bytes } if leg == self.voice.leg() => {
                self.voice.datagram(now, from, bytes, out);
            }
            Input::MediaDown { leg, fault } if leg == self.voice.leg() => {
                out.observe(Observation::MediaDown { fault });
                return Err(EndReason::MediaFault);
            }
            Input::MediaUp { .. } | Input::Media { .. } | Input::MediaDown { .. } => {}
            Input::Realtime { link, bytes } if link == self.talk.link() => {
                return self.message(now, bytes, out);
            }
            Input::RealtimeDown { link, http_status, code, reason, fault, .. }
                if link == self.talk.link() =>
            {
                return self.realtime_down(http_status, code, reason, fault, out);
            }
            Input::RealtimeUp { .. } | Input::Realtime { .. } | Input::RealtimeDown { .. } => {}
            Input::Timer => return self.time_out(now, out),
            Input::Stop(StopReason::Shutdown) => return Err(EndReason::Shutdown),
            Input::Stop(StopReason::CallerLeft) => {
                self.line.caller_left();
                return Err(EndReason::CallerHungUp);
            }
        }
        Ok(())
    }

    fn message(&mut self, now: Instant, bytes: &[u8], out: &mut Actions) -> Result<(), EndReason> {
        if self.ending.is_some() {
            return Ok(());
        }
        let event = self.settings.session.dialect.read(bytes);
        match self.talk.message(&event, &self.settings.session, out) {
            Heard::Nothing => {}
            Heard::SessionReady => {
                self.voice.model_speaks(self.talk.format());
                out.observe(Observation::SessionReady { after: now.since(self.started) });
            }
            // The goodbye is said to the end, whatever the caller still says.
            Heard::SpeechStarted { .. } if self.talk.is_saying_goodbye() => {}
            Heard::SpeechStarted { audio_start_ms } => {
                if self.talk.speech_begins(self.voice.is_playing(), audio_start_ms) {
                    self.talk.cancel_answer(out);
                    self.voice.interrupt(&mut self.talk, out);
                }
            }
            Heard::Echo => self.voice.caller_did_not_speak(),
            Heard::Unwanted { item_id } => {
                if self.voice.is_news_unwanted(item_id) {
                    self.talk.take_back(item_id, out);
                }
            }
            Heard::SpeechStopped => self.voice.caller_stopped(now),
            Heard::Audio { item_id, content_index, delta } => {
                self.voice.agent_speaks(now, item_id, content_index, delta, out);
            }
            Heard::AudioDone { item_id, content_index } => {
                self.voice.agent_is_done(now, item_id, content_index)
            }
            Heard::Text { item_id, content_index, delta } => {
                self.voice.agent_says(item_id, content_index, delta);
            }
            Heard::TextDone { item_id, content_index, transcript } => {
                self.voice.agent_said(item_id, content_index, transcript);
            }
            Heard::ResponseDone => self.voice.response_is_done(now),
            Heard::End(reason) => return Err(reason),
        }
        Ok(())
    }

    fn realtime_down(
        &mut self,
        http_status: Option<u16>,
        close: Option<u16>,
        reason: &[u8],
        fault: Option<IoFault>,
        out: &mut Actions,
    ) -> Result<(), EndReason> {
        let saying_goodbye = self.talk.is_saying_goodbye();
        let why = self.talk.down(http_status, close, reason);
        if self.ending.is_none() {
            let code = Label::new(crate::realtime::close_code(reason));
            out.observe(Observation::RealtimeDown { code, close, http_status, fault });
        }
        // A session may live no longer than the call may last; its end is then the end that was coming.
        Err(if saying_goodbye { EndReason::MaxDuration } else { why })
    }

    /// Time-outs of peers, which fire on [`Input::Timer`] only.
    fn time_out(&mut self, now: Instant, out: &mut Actions) -> Result<(), EndReason> {
        if self.ending.is_some() {
            return Ok(());
        }
        self.line.look_again(now, out);
        match self.time_limit() {
            Some((at, _)) if at > now => Ok(()),
            Some((_, Wake::AnswerWithin)) => Err(EndReason::NotReadyInTime),
            Some((_, Wake::MaxCall)) if self.answered.is_some() && now < self.call_limit() => {
                self.voice.interrupt(&mut self.talk, out);
                self.talk.say_goodbye(self.call_limit(), out);
                Ok(())
            }
            Some(_) => Err(EndReason::MaxDuration),
            None => Ok(()),
        }
    }

    /// When the call must be over.
    fn call_limit(&self) -> Instant {
        self.started + self.settings.max_call
    }

    /// The time limit that the call is under.
    fn time_limit(&self) -> Option<(Instant, Wake)> {
        let answer_by = (self.started + self.settings.answer_within, Wake::AnswerWithin);
        // The goodbye is said before the limit, so that the call lasts no longer than it may.
        let goodbye_takes = GOODBYE_WITHIN.min(self.settings.max_call / 4);
        let end_by = (self.call_limit() - goodbye_takes, Wake::MaxCall);
        match (self.ending, self.answered, self.talk.goodbye_deadline()) {
            (Some(_), _, _) => None,
            (None, _, Some(at)) => Some((at, Wake::Goodbye)),
            (None, Some(_), None) => Some(end_by),
            (None, None, None) => Some(answer_by.min(end_by)),
        }
    }

    /// Decides the end. The first cause counts.
    fn end(&mut self, reason: EndReason, now: Instant, out: &mut Actions) {
        if self.ending.is_none() {
            self.ending = Some(Ending { reason, at: now });
            out.observe(Observation::Ending(reason));
            self.voice.stop(out);
            self.talk.close(out);
        }
    }

    /// Does whatever can be done now, on the way in or on the way out.
    fn go_on(&mut self, now: Instant, timer: bool, out: &mut Actions) {
        if self.ending.is_none() {
            self.go_on_with_call(now, out);
        }
        if let Some(ending) = self.ending {
            self.go_on_with_ending(ending, now, timer, out);
        }
    }

    fn go_on_with_call(&mut self, now: Instant, out: &mut Actions) {
        self.line.set_up(self.talk.is_ready(), out);
        if let Some(address) = self.line.media_address()
            && self.voice.told(address)
        {
            out.observe(Observation::MediaReady { after: now.since(self.started) });
        }
        if self.answered.is_none() && self.line.is_answered() {
            self.answered = Some(now);
            out.observe(Observation::Answered { after: now.since(self.started) });
            self.voice.start(now, self.talk.format());
            self.talk.greet(&self.settings.session, out);
        }
        self.voice.weigh(&mut self.talk, out);
        self.voice.record(false, out);
        self.talk.go_on(self.voice.is_playing(), out);
        if self.talk.is_saying_goodbye() && self.talk.go_on_with_goodbye(self.voice.is_playing(), out) {
            self.end(EndReason::MaxDuration, now, out);
        }
    }

    fn go_on_with_ending(&mut self, ending: Ending, now: Instant, timer: bool, out: &mut Actions) {
        self.voice.record(true, out);
        let all_gone = self.line.let_go(self.farewell(ending.reason), now, timer, out);
        if self.line.media_is_gone() {
            self.voice.close(out);
        }
        if all_gone {
            let left_behind = self.line.left_behind();
            if left_behind {
                out.observe(Observation::LeftBehind);
            }
            let outcome = Outcome {
                ended: ending.reason,
                answered: self.answered.is_some(),
                duration: ending.at.since(self.started),
                left_behind,
            };
            out.observe(Observation::CallEnded(outcome));
            out.push(Action::Finish(outcome));
            self.finished = true;
        }
    }

    /// A caller who was promised nothing yet, or whose agent is lost, is better off in the dialplan.
    fn farewell(&self, reason: EndReason) -> Farewell {
        match reason {
            EndReason::CallerHungUp => Farewell::HangUp,
            EndReason::MaxDuration | EndReason::Shutdown if self.answered.is_some() => Farewell::HangUp,
            EndReason::MaxDuration
            | EndReason::Shutdown
            | EndReason::NotReadyInTime
            | EndReason::AriFault
            | EndReason::MediaFault
            | EndReason::RealtimeRefused
            | EndReason::RealtimeLost => Farewell::Continue,
        }
    }

    fn next(&self) -> Next {
        if self.finished {
            return Next { deadline: None, finished: true };
        }
        let [uplink, playout] = self.voice.deadlines(&self.talk);
        let clean_up = self.ending.and_then(|_| self.line.deadline()).map(|at| (at, Wake::CleanUp));
        let look = self.line.look_deadline().filter(|_| self.ending.is_none()).map(|at| (at, Wake::Look));
        let deadline = [uplink, playout, self.time_limit(), look, clean_up].into_iter().flatten().min();
        debug_assert!(
            deadline.is_none_or(|(at, wake)| at > self.last || !wake.is_pacing()),
            "a pacing deadline lies in the past: {deadline:?} at {}",
            self.last
        );
        Next { deadline, finished: false }
    }
}

//! One call, from `StasisStart` to the last request answered.
//!
//! [`Call`] joins parts that do not know each other: the *line* (ARI: set-up, answer, clean-up), the *voice* (RTP
//! and audio), the *talk* (the Realtime session), the *tools* (what the model calls) and the *keys* (what the caller
//! presses). Each input goes to the part that it concerns; what one part learns and another needs passes through here.

mod answers;
mod hear;
mod history;
mod idle;
mod io;
mod kept;
mod keys;
mod ledger;
pub(crate) mod line;
mod patience;
mod recovery;
mod retry;
mod session;
mod stop;
mod talk;
mod tools;
mod turns;
mod voice;

pub use io::*;
pub(crate) use tools::{HANG_UP, TRANSFER};

use crate::ari::{Event, EventKind};
use crate::id::LegId;
use crate::observe::{BadInput, Observation, Once};
use crate::rng::Rng;
use crate::settings::{CallSettings, Fallback};
use crate::time::Instant;
use idle::{Idle, Patience};
use keys::{Keys, Press};
use line::{Farewell, Line};
use patience::{DeadAir, Filler};
use recovery::Parting;
use talk::{Down, GOODBYE_WITHIN, Moment, Talk};
use tools::{Leaving, Tools};
use voice::Voice;

/// The most actions that one step gives. A step answers one input: at most one frame each way, a handful of
/// requests and what is to be told about them.
pub const MAX_ACTIONS_PER_STEP: usize = 48;

/// One call.
#[derive(Debug)]
pub struct Call {
    settings: CallSettings,
    started: Instant,
    last: Instant,
    line: Line,
    voice: Voice,
    talk: Talk,
    tools: Tools,
    keys: Keys,
    idle: Idle,
    dead_air: DeadAir,
    filler: Filler,
    answered: Option<Instant>,
    parting: Option<Parting>,
    ending: Option<Ending>,
    /// The caller was found waiting for a call that is lost.
    is_adopted: bool,
    /// The process is going away: by then the end is decided, whatever is still being said.
    go_by: Option<Instant>,
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
        let event = start.origin.event();
        let caller = event.as_ref().and_then(|event| event.channel.as_ref());
        let mut rng = Rng::new(start.seed);
        let leg = LegId(1);
        let mut call = Self {
            started: now,
            last: now,
            line: Line::new(&settings.ari_app, start.media.format, start.ids, caller),
            voice: Voice::new(leg, start.media, settings, &mut rng),
            talk: Talk::new(settings, rng, start.utc, start.caller_tag),
            tools: Tools::new(settings),
            keys: Keys::new(&settings.keys),
            idle: Idle::new(settings.idle),
            dead_air: DeadAir::new(&settings.dead_air),
            filler: Filler::default(),
            answered: None,
            parting: None,
            ending: None,
            is_adopted: start.origin.entry() == Entry::Adopted,
            go_by: None,
            bad_told: Once::default(),
            finished: false,
            settings: settings.clone(),
        };
        out.observe(Observation::CallStarted);
        out.push(Action::OpenMedia { leg, plan: start.media });
        call.talk.open(now, &settings.session, out);
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
                self.give_up(reason, now, out);
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
                    if event.kind == EventKind::ChannelDtmfReceived
                        && self.line.is_caller(event.channel.as_ref())
                    {
                        return self.key(now, &event.digit, out);
                    }
                }
                None => out.observe_bad(BadInput::AriEvent, &mut self.bad_told),
            },
            Input::AriReply { id, status, body } => self.line.reply(now, id, status, body, out)?,
            Input::AriFailed { id, fault } => self.line.no_reply(now, id, fault, out)?,
            Input::AriLink(state) if self.ending.is_none() => {
                self.line.link(now, state, out);
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
            Input::Realtime { link, bytes } if self.talk.has_link(link) => {
                return self.message(now, link, bytes, out);
            }
            Input::RealtimePong { link } if self.talk.has_link(link) => {
                self.talk.is_heard(now, link, false);
            }
            Input::RealtimeDown { link, http_status, retry_after, code: close, reason, fault }
                if self.talk.has_link(link) =>
            {
                let down = Down { http_status, retry_after, close, reason, fault };
                return self.realtime_down(now, link, down, out);
            }
            Input::RealtimeUp { link } if self.talk.has_link(link) => {
                if !self.is_leaving_realtime() {
                    let brief = self.tools.brief(&self.settings.session);
                    self.talk.is_open(link, brief, out);
                }
            }
            Input::RealtimeUp { .. }
            | Input::Realtime { .. }
            | Input::RealtimePong { .. }
            | Input::RealtimeDown { .. } => {}
            Input::ToolReply { .. } | Input::ToolFailed { .. } if self.is_leaving_realtime() => {}
            Input::ToolReply { id, status, body } => {
                self.tools.reply(now, id, status, body, &mut self.talk, out);
            }
            Input::ToolFailed { id, fault } => self.tools.failed(id, fault, &mut self.talk, out),
            Input::Timer => return self.time_out(now, out),
            Input::Stop(reason) => return self.stop(now, reason, out),
        }
        Ok(())
    }

    /// Time-outs of peers, which fire on [`Input::Timer`] only.
    fn time_out(&mut self, now: Instant, out: &mut Actions) -> Result<(), EndReason> {
        if self.ending.is_some() {
            return Ok(());
        }
        self.line.look_again(now, self.voice.heard_at(), out)?;
        self.keys.time_out(now);
        self.recovery_time_out(now, out)?;
        match self.idle.time_out(now).filter(|_| self.parting.is_none()) {
            Some(Patience::Ask) => {
                out.observe(Observation::CallerIdle);
                self.talk.ask_idle();
            }
            Some(Patience::Over) => {
                let by = self.call_limit().min(now + GOODBYE_WITHIN);
                self.talk.say_goodbye(EndReason::CallerIdle, by, out);
            }
            None => {}
        }
        match self.time_limit() {
            Some((at, _)) if at > now => Ok(()),
            Some((_, Wake::AnswerWithin)) if self.talk.has_failed() => Err(EndReason::RealtimeLost),
            Some((_, Wake::AnswerWithin)) => Err(EndReason::NotReadyInTime),
            Some((_, Wake::Parting)) => Err(EndReason::MaxDuration),
            Some((_, Wake::MaxCall)) if self.answered.is_some() && now < self.call_limit() => {
                self.voice.interrupt(&mut self.talk, out);
                self.talk.say_goodbye(EndReason::MaxDuration, self.call_limit(), out);
                Ok(())
            }
            Some(_) => Err(self.talk.goodbye_deadline().map_or(EndReason::MaxDuration, |(_, reason)| reason)),
            None => Ok(()),
        }
    }

    /// Whether the caller was answered, by us or by the dialplan before.
    fn is_up(&self) -> bool {
        self.answered.is_some() || self.line.caller_is_up()
    }

    /// Whether the caller is keying something in: a key that comes now begins nothing.
    pub(crate) const fn is_keying(&self) -> bool {
        self.keys.are_coming()
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
        if let (None, Some(parting)) = (self.ending, self.parting) {
            return Some((parting.by, Wake::Parting));
        }
        match (self.ending, self.answered, self.talk.goodbye_deadline()) {
            (Some(_), _, _) => None,
            (None, _, Some((at, _))) => Some((at, Wake::Goodbye)),
            (None, Some(_), None) => Some(end_by),
            (None, None, None) => Some(answer_by.min(end_by)),
        }
    }

    /// Decides the end. The first cause counts.
    fn end(&mut self, reason: EndReason, now: Instant, out: &mut Actions) {
        if self.ending.is_none() {
            self.ending = Some(Ending { reason, at: now });
            out.observe(Observation::Ending(reason));
            self.tell_of_end(reason, out);
            self.voice.stop(&mut self.talk, out);
            self.talk.close(out);
        }
    }

    /// Whether nobody speaks and nothing is under way.
    fn is_pause(&self) -> bool {
        !self.voice.is_playing()
            && !self.voice.caller_was_loud()
            && !self.talk.is_busy()
            && !self.talk.is_in_a_turn()
            && !self.tools.is_busy()
            && !self.keys.is_busy()
    }

    /// Does whatever can be done now, on the way in or on the way out.
    fn go_on(&mut self, now: Instant, timer: bool, out: &mut Actions) {
        if self.ending.is_none() {
            self.go_on_with_call(now, out);
        }
        if let (None, Some(parting)) = (self.ending, self.parting) {
            self.go_on_parting(parting, now, out);
        }
        if let Some(ending) = self.ending {
            self.go_on_with_ending(ending, now, timer, out);
        }
    }

    fn go_on_with_call(&mut self, now: Instant, out: &mut Actions) {
        let is_pause = self.is_pause();
        let turnover = self.talk.turn_over(now, is_pause, out);
        self.session_changed(now, turnover, out);
        self.line.set_up(self.talk.is_ready(), out);
        if let Some(address) = self.line.media_address()
            && self.voice.told(address)
        {
            out.observe(Observation::MediaReady { after: now.since(self.started) });
        }
        if self.parting.is_some() {
            return;
        }
        if self.answered.is_none() && self.line.is_answered() {
            self.answered = Some(now);
            out.observe(Observation::Answered { after: now.since(self.started) });
            self.voice.start(now, self.talk.hears());
            self.talk.greet(&self.settings.session, self.is_adopted);
        }
        if self.answered.is_none() {
            return;
        }
        if self.voice.weigh(&mut self.talk) {
            self.interrupt(false, out);
        }
        self.voice.record(false, &mut self.talk, out);
        self.talk.catch_up(out);
        let brief = self.tools.brief(&self.settings.session);
        self.talk.ask_silent_server(now, brief, out);
        // One in a step: several wait only where the caller has keyed them in while speaking.
        // What was said before them comes first, also where it is heard once more.
        let keys =
            if self.talk.is_catching_up() { None } else { self.keys.take(self.talk.caller_speaks_since()) };
        if let Some(keys) = keys {
            out.observe(Observation::KeyedIn { keys: keys.len() });
            let record = Record::CallerKeyed { keys: out.put(keys.as_bytes()) };
            out.push(Action::Record(record));
            self.talk.keyed_in(&keys, out);
        }
        if !self.talk.is_saying_goodbye() {
            self.tools.go_on(now, &mut self.talk, out);
        }
        self.talk.give_up_on_lost();
        let agent_is_heard = self.voice.is_playing();
        match self.tools.leaving() {
            // Nothing more is asked for; what is being said is heard to its end.
            Some(leaving) if !agent_is_heard && !self.talk.is_answering() => self.leave(leaving, now, out),
            Some(_) => {}
            None => {
                let session = &self.settings.session;
                let moment = Moment {
                    agent_is_heard,
                    keys_come: self.keys.are_coming(),
                    results_are_due: self.tools.is_busy(),
                    now,
                };
                self.talk.go_on(session, moment, out);
            }
        }
        if let Some(reason) = self.talk.has_said_goodbye(agent_is_heard) {
            self.give_up(reason, now, out);
        }
        self.note_waiting(now);
        let is_busy = agent_is_heard
            || !self.talk.is_ready()
            || self.talk.is_busy()
            || self.talk.is_saying_goodbye()
            || self.tools.is_busy()
            || self.tools.leaving().is_some()
            || self.keys.is_busy()
            || self.line.is_held();
        self.idle.note(now, is_busy);
    }

    /// The caller has interrupted the agent; `by_key` says that the server cannot know.
    fn interrupt(&mut self, by_key: bool, out: &mut Actions) {
        if by_key {
            self.talk.cancel_what_is_under_way(out);
        } else {
            self.talk.cancel_answer(out);
        }
        self.voice.interrupt(&mut self.talk, out);
        self.tools.stay(&mut self.talk, out);
    }

    /// A key of the caller's. One that acts by itself needs no model, and no session either.
    fn key(&mut self, now: Instant, digit: &str, out: &mut Actions) -> Result<(), EndReason> {
        if self.answered.is_none() || self.ending.is_some() {
            return Ok(());
        }
        self.idle.caller_is_there();
        match self.keys.press(now, digit, self.talk.given_ms()) {
            Press::Hot(place) => {
                out.observe(Observation::HotKey);
                self.leave(Leaving::Transfer(place), now, out);
            }
            Press::Key if self.voice.is_playing() && self.talk.can_be_interrupted() => {
                self.interrupt(true, out);
            }
            Press::Key | Press::None => {}
        }
        Ok(())
    }

    /// Ends the call as the model or a key wants it.
    fn leave(&mut self, leaving: Leaving, now: Instant, out: &mut Actions) {
        let place = match leaving {
            Leaving::HangUp => return self.end(EndReason::AgentHungUp, now, out),
            Leaving::Transfer(place) => self.settings.transfers.get(place).cloned(),
        };
        if let Some(place) = place {
            self.line.send_to(place);
            self.end(EndReason::Transferred, now, out);
        }
    }

    fn go_on_with_ending(&mut self, ending: Ending, now: Instant, timer: bool, out: &mut Actions) {
        self.voice.record(true, &mut self.talk, out);
        let farewell = farewell(&self.settings.fallback, self.is_up(), ending.reason);
        let all_gone = self.line.let_go(farewell, now, timer, out);
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

    fn next(&self) -> Next {
        if self.finished {
            return Next { deadline: None, finished: true };
        }
        let [uplink, playout] = self.voice.deadlines(&self.talk);
        let clean_up = self.ending.and_then(|_| self.line.deadline()).map(|at| (at, Wake::CleanUp));
        let look = self
            .line
            .look_deadline(self.voice.heard_at())
            .filter(|_| self.ending.is_none())
            .map(|at| (at, Wake::Look));
        let goes_on = self.ending.is_none() && self.parting.is_none();
        let keys = self.keys.deadline().filter(|_| goes_on).map(|at| (at, Wake::Keys));
        let idle = self.idle.deadline().filter(|_| goes_on).map(|at| (at, Wake::Idle));
        let session = self.talk.session_deadline(self.last).filter(|_| goes_on).map(|at| (at, Wake::Session));
        let again = self.talk.again_at().filter(|at| goes_on && *at > self.last).map(|at| (at, Wake::Again));
        let dead_air = self.dead_air.deadline().filter(|_| goes_on).map(|at| (at, Wake::DeadAir));
        let filler = self.filler.deadline().filter(|_| goes_on).map(|at| (at, Wake::Filler));
        let waiting = [session, again, dead_air, filler];
        let all = [uplink, playout, self.time_limit(), look, clean_up, keys, idle];
        let deadline = all.into_iter().chain(waiting).flatten().min();
        debug_assert!(
            deadline.is_none_or(|(at, wake)| at > self.last || !wake.is_pacing()),
            "a pacing deadline lies in the past: {deadline:?} at {}",
            self.last
        );
        Next { deadline, finished: false }
    }
}

/// A caller who was promised nothing yet, or whose agent is lost, is better off where the operator says.
fn farewell(fallback: &Fallback, is_answered: bool, reason: EndReason) -> Farewell<'_> {
    let status = reason.label();
    match (reason, fallback) {
        (EndReason::CallerHungUp | EndReason::AgentHungUp, _) => Farewell::HangUp,
        (EndReason::MaxDuration | EndReason::CallerIdle, _) if is_answered => Farewell::HangUp,
        (EndReason::Transferred, _) => Farewell::Continue { status, to: None },
        (_, Fallback::Dialplan(place)) => Farewell::Continue { status, to: Some(place) },
        (_, Fallback::HangUp) if is_answered => Farewell::HangUp,
        (_, Fallback::HangUp) => Farewell::Refuse,
    }
}

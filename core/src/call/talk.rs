//! The Realtime side of a call: the conversation, whatever session it takes place in, the agent's answers, and the
//! goodbye.

mod hearing;
mod links;
mod words;

pub(super) use hearing::Heard;
pub(super) use links::{Down, Turnover};

use super::answers::{Answers, Circumstances, Debt, Failed, Purpose};
use super::history::{Entry, History, shortened};
use super::io::{Action, Actions, EndReason};
use super::kept::{Kept, MOST_MS};
use super::retry::Retry;
use super::session::Session;
use super::turns::CallerTurns;
use crate::downlink::Interrupted;
use crate::format::{ModelFormat, PTIME_MS};
use crate::observe::{self, Observation};
use crate::playout::MAX_ITEM_ID_BYTES;
use crate::realtime::{ClientEvent, Dialect};
use crate::rng::Rng;
use crate::settings::{CallSettings, Recovery, SessionSettings, Tool};
use crate::time::{Duration, Instant, UtcNanos};

/// After what was kept has been given, the session's account of it is waited for, for so much of the audio that follows,
/// in milliseconds.
const CATCHES_UP_MS: u64 = 1_000;

/// How long the goodbye may take, from its request until its last sample was sent. It begins so long before
/// the longest allowed time is reached, or a quarter of that time if this is less.
pub(super) const GOODBYE_WITHIN: Duration = Duration::from_secs(12);

/// Whether the server would know an item by this name: it has one, and it was not shortened here.
fn is_whole_name(item_id: &str) -> bool {
    // A name is shortened between two letters, which may be 3 bytes earlier.
    !item_id.is_empty() && item_id.len() < MAX_ITEM_ID_BYTES - 3
}

/// What goes on in the call while an answer may be due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) agent_is_heard: bool,
    /// The caller is keying something in.
    pub(super) keys_come: bool,
    /// Functions are under way, whose results are answered together.
    pub(super) results_are_due: bool,
    pub(super) now: Instant,
}

/// The last words, and why they are said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Goodbye {
    reason: EndReason,
    by: Instant,
    /// The server has cut them off once: the caller was still speaking when they began.
    was_cut: bool,
    /// All of it has come that will.
    is_said: bool,
    /// Something of it has come.
    is_heard: bool,
}

/// What a session is told at its beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brief<'a> {
    pub(super) settings: &'a SessionSettings,
    /// All that the model can call.
    pub(super) tools: &'a [Tool],
}

#[derive(Debug)]
pub(super) struct Talk {
    dialect: Dialect,
    recovery: Recovery,
    /// What the time was when the call began.
    start: UtcNanos,
    /// Who calls, as a pseudonym.
    tag: Option<[u8; 32]>,
    /// The session in which the conversation takes place.
    live: Option<Session>,
    /// The one that is to take its place, or the first.
    coming: Option<Session>,
    last_link: u32,
    retry: Retry,
    /// Since when there has been no session.
    lost_at: Option<Instant>,
    /// Since when no session has lasted.
    trouble_since: Option<Instant>,
    is_closed: bool,
    /// The format in which the first session has agreed to speak. All others have to.
    agreed: Option<ModelFormat>,
    history: History,
    kept: Kept,
    /// The caller has been speaking, or has spoken, since so much of the caller's audio, in milliseconds, and nothing of
    /// an answer to it has come.
    unanswered_ms: Option<u64>,
    /// The number of its first turn in the history.
    unanswered: Option<u64>,
    /// How much of an answer to it has come, in base64.
    answer_bytes: usize,
    /// Up to there, on the same clock, the session was given what had been kept for it.
    kept_until_ms: Option<u64>,
    /// When the speech began that is being heard, or was and has not become an item, on the same clock.
    speech_ms: Option<u64>,
    /// The answer that is being made began when the caller had spoken, so it is one to that.
    answers_turn: bool,
    /// The caller has said or done something, and nothing is heard of an answer to it.
    is_waited_for: bool,
    /// How many turns in a row have had no answer because it failed.
    turns_given_up: u8,
    /// How long nothing may be asked for, if the server has said so since.
    reset: Option<Duration>,
    turns: CallerTurns,
    answers: Answers,
    /// How much of the caller's audio the sessions before this one were given, in milliseconds.
    base_ms: u64,
    events_sent: u32,
    goodbye: Option<Goodbye>,
}

impl Talk {
    pub(super) fn new(settings: &CallSettings, rng: Rng, start: UtcNanos, tag: Option<[u8; 32]>) -> Self {
        Self {
            dialect: settings.session.dialect,
            recovery: settings.recovery,
            start,
            tag,
            live: None,
            coming: None,
            last_link: 0,
            retry: Retry::new(rng),
            lost_at: None,
            trouble_since: None,
            is_closed: false,
            agreed: None,
            history: History::new(settings.recovery.history_tokens),
            kept: Kept::default(),
            unanswered_ms: None,
            unanswered: None,
            answer_bytes: 0,
            kept_until_ms: None,
            speech_ms: None,
            answers_turn: false,
            is_waited_for: false,
            turns_given_up: 0,
            reset: None,
            turns: CallerTurns::new(settings.barge_in, &settings.session),
            answers: Answers::default(),
            base_ms: 0,
            events_sent: 0,
            goodbye: None,
        }
    }

    /// Whether there is a session.
    pub(super) const fn is_ready(&self) -> bool {
        self.live.is_some()
    }

    /// Whether there is a session, or was.
    pub(super) const fn had_session(&self) -> bool {
        self.agreed.is_some()
    }

    /// The format in which the agent speaks, once the first session is ready.
    pub(super) fn speaks(&self) -> ModelFormat {
        self.agreed.unwrap_or_default()
    }

    /// The format in which the server hears the caller, once the first session is ready.
    pub(super) fn hears(&self) -> ModelFormat {
        self.dialect.hears(self.speaks())
    }

    /// Takes so much of the caller's audio: it is given to the server, or kept for the next one. `is_voice` says whether
    /// it is as loud as a voice.
    pub(super) fn take_audio(&mut self, audio: &[u8], is_voice: bool, out: &mut Actions) {
        let frame_bytes = self.hears().frame_bytes();
        let most_ms = if self.recovery.retry_for.is_zero() { 0 } else { MOST_MS };
        self.kept.begin(frame_bytes / PTIME_MS as usize, most_ms);
        if self.kept.take(audio, self.live.is_some()) {
            self.give(audio, out);
        }
        if let Some(live) = self.live.as_mut().filter(|_| is_voice) {
            live.was_given_voice(audio.len() as u64 * PTIME_MS / frame_bytes.max(1) as u64);
        }
    }

    fn give(&mut self, audio: &[u8], out: &mut Actions) {
        let Some(live) = &mut self.live else { return };
        let bytes = out.write(|arena| self.dialect.write_append(audio, arena));
        out.push(Action::SendRealtime { link: live.link, bytes });
        live.given = live.given.saturating_add(audio.len() as u64);
    }

    /// How much of the caller's audio the server was given, and those before it, in milliseconds.
    pub(super) fn given_ms(&self) -> u64 {
        let hears = self.hears();
        self.base_ms + self.live.as_ref().map_or(0, |live| live.given_ms(hears))
    }

    /// Whether the end is being said, and the caller is not listened to any more.
    pub(super) const fn is_saying_goodbye(&self) -> bool {
        self.goodbye.is_some()
    }

    /// The server could not do what event `number` wanted, if it says which; `for_another` says whether that was
    /// because it is making another answer. What becomes of an answer that will not be made.
    fn refused(
        &mut self,
        now: Instant,
        number: Option<u32>,
        for_another: bool,
        out: &mut Actions,
    ) -> Option<Failed> {
        let refused = self.answers.refused(number, for_another, self.given_ms())?;
        if refused != Purpose::Goodbye {
            return if for_another { None } else { self.failed(now, Some(refused), out) };
        }
        if for_another {
            self.answers.want(Purpose::Goodbye);
            self.answers.mute();
            self.send(ClientEvent::ResponseCancel, out);
        } else if let Some(goodbye) = &mut self.goodbye {
            // It will not be said.
            goodbye.is_said = true;
        }
        None
    }

    /// An answer has failed that was made for this reason: it is asked for once more, or given up.
    fn failed(&mut self, now: Instant, purpose: Option<Purpose>, out: &mut Actions) -> Option<Failed> {
        let failed = self.answers.failed(purpose, self.events_sent, now, self.reset.take());
        let told = match failed {
            Failed::Again { wait } => observe::Recovery::AnswerAgain { wait },
            Failed::GivenUp => {
                self.turns_given_up = self.turns_given_up.saturating_add(1);
                self.turn_is_settled();
                observe::Recovery::AnswerGivenUp
            }
        };
        out.observe(Observation::Recovery(told));
        Some(failed)
    }

    /// How many turns in a row have had no answer because it failed.
    pub(super) const fn turns_given_up(&self) -> u8 {
        self.turns_given_up
    }

    /// Whether the caller waits for an answer: something was said or done, and nothing of an answer to it has come.
    pub(super) fn is_waited_for(&self) -> bool {
        self.is_waited_for && self.caller_speaks_since().is_none()
    }

    /// Whether what was kept of the caller's audio is being given, or has just been, so that the session does not hear
    /// what the caller says now.
    pub(super) fn is_catching_up(&self) -> bool {
        let is_heard_out = |until: u64| self.given_ms() >= until + CATCHES_UP_MS;
        self.live.is_none() || self.kept.waits() || !self.kept_until_ms.is_none_or(is_heard_out)
    }

    /// Whether a turn of the caller is being heard, or was and has had no answer.
    pub(super) fn is_in_a_turn(&self) -> bool {
        self.unanswered_ms.is_some() || self.speech_ms.is_some() || self.kept.waits()
    }

    /// Asks once more for an answer, whatever became of the last request.
    pub(super) fn ask_again(&mut self, out: &mut Actions) {
        self.cancel_what_is_under_way(out);
        self.answers.mute();
        self.answers.start_over();
        self.answers.owe(Debt::Turn, self.events_sent, true);
    }

    /// When an answer that has failed may be asked for again.
    pub(super) const fn again_at(&self) -> Option<Instant> {
        self.answers.again_at()
    }

    /// Takes an item back of which nothing was heard.
    pub(super) fn take_back(&mut self, item_id: &str, out: &mut Actions) {
        if is_whole_name(item_id) {
            self.send(ClientEvent::Delete { item_id }, out);
        }
    }

    /// Somebody began to speak. Returns whether the agent is interrupted at once.
    pub(super) fn speech_begins(&mut self, agent_is_heard: bool, audio_start_ms: Option<u64>) -> bool {
        let given_ms = self.given_ms();
        let told_ms = audio_start_ms.map(|start| start.saturating_add(self.base_ms));
        let began = told_ms.unwrap_or(given_ms).clamp(given_ms.saturating_sub(MOST_MS), given_ms);
        self.speech_ms = Some(began);
        let interrupts = self.turns.begin(agent_is_heard, told_ms, given_ms);
        if self.kept_until_ms.is_some_and(|until| began < until) {
            // What is heard now is not what was heard when this was said.
            self.turns.trust();
        }
        if !self.turns.may_be_echo() {
            self.caller_speaks();
        }
        interrupts
    }

    /// It is the caller who speaks.
    fn caller_speaks(&mut self) {
        self.is_waited_for = false;
        self.answers.speech_begins();
    }

    /// The caller's turn has become an item.
    fn turn_is_complete(&mut self, item_id: &str) {
        // Of a turn that nobody told the beginning of, the end is known.
        let began = self.speech_ms.take().unwrap_or_else(|| self.given_ms());
        self.caller_speaks();
        self.unanswered_ms.get_or_insert(began);
        self.unanswered.get_or_insert(self.history.end());
        self.answer_bytes = 0;
        self.is_waited_for = true;
        let item_id = crate::playout::bounded(item_id).to_owned();
        self.history.push(Entry::Caller { item_id, text: None });
    }

    /// What the caller said in a turn is written down.
    pub(super) fn caller_said(&mut self, item_id: &str, words: &str) {
        self.history.caller_said(item_id, words);
    }

    /// So much of an answer has come, in base64, that is heard. A second of it is an answer; with less than that nobody
    /// knows what it was to be.
    fn turn_is_answered_by(&mut self, bytes: usize) {
        if self.answers_turn || !self.answers.is_being_made() {
            self.is_waited_for = false;
            self.answer_bytes = self.answer_bytes.saturating_add(bytes);
            let frames = 1000 / PTIME_MS as usize;
            if self.answer_bytes >= self.speaks().frame_bytes() * frames / 3 * 4 {
                self.turn_is_settled();
            }
        }
    }

    /// The answer to the caller's turn is complete, or calls a function, or will not come.
    fn turn_is_settled(&mut self) {
        (self.unanswered_ms, self.unanswered) = (None, None);
        self.is_waited_for = false;
    }

    /// This was heard of what the agent said in a session, or in a former one, as the words of which it is now known
    /// what was heard.
    pub(super) fn agent_said(&mut self, text: &str, is_former: bool, out: &mut Actions) {
        if !text.is_empty() {
            self.remember(Entry::Agent(text.to_owned()), !is_former, out);
        }
    }

    /// Remembers something, and tells the session if it does not know it. The number of the event that told it, or of
    /// the last one.
    fn remember(&mut self, entry: Entry, is_known: bool, out: &mut Actions) -> u32 {
        if let Some(live) = self.live.as_mut().filter(|_| !is_known) {
            let (dialect, events_sent) = (self.dialect, &mut self.events_sent);
            live.tell_one(&entry, |link, event, _| links::write(dialect, link, event, events_sent, out));
        }
        self.history.push(entry);
        self.events_sent
    }

    /// Looks again at a turn of which it is in doubt whether it is the caller's; `was_loud` says whether the bridge
    /// itself heard a caller in the last so many milliseconds. Returns whether the agent is interrupted now.
    pub(super) fn weigh(&mut self, agent_is_heard: bool, was_loud: impl FnOnce(u32) -> bool) -> bool {
        // What waits was not said now.
        if self.live.is_none() || self.kept.waits() {
            return false;
        }
        let was_in_doubt = self.turns.may_be_echo();
        let interrupts = self.turns.weigh(agent_is_heard, was_loud, self.given_ms());
        if was_in_doubt && !self.turns.may_be_echo() {
            self.caller_speaks();
        }
        interrupts
    }

    /// Since when the caller has been speaking, in milliseconds of the audio that the server was given.
    pub(super) fn caller_speaks_since(&self) -> Option<u64> {
        self.turns.speaks_since(self.given_ms())
    }

    /// Whether the caller speaks, or an answer is being made, asked for or owed.
    pub(super) fn is_busy(&self) -> bool {
        self.answers.is_busy() || self.caller_speaks_since().is_some()
    }

    /// Whether an answer is being made or asked for.
    pub(super) const fn is_answering(&self) -> bool {
        self.answers.is_under_way()
    }

    /// Whether nothing of this answer is to be heard.
    pub(super) fn is_muted(&self, response_id: &str) -> bool {
        self.answers.is_muted(response_id)
    }

    /// Gives up on an answer of which nothing was heard for too long.
    pub(super) fn give_up_on_lost(&mut self) {
        self.answers.give_up_on_lost(self.given_ms());
    }

    /// Asks for the answer that is due, if one is.
    pub(super) fn go_on(&mut self, settings: &SessionSettings, moment: Moment, out: &mut Actions) {
        let now_ms = self.given_ms();
        let circumstances = Circumstances {
            caller_is_busy: moment.keys_come
                || self.turns.speaks_since(now_ms).is_some()
                || self.is_catching_up(),
            agent_is_heard: moment.agent_is_heard,
            waits_for_agent: moment.agent_is_heard && self.turns.wait_for_the_agent(),
            results_are_due: moment.results_are_due,
            now: moment.now,
        };
        if self.live.is_none() {
            return;
        }
        let Some(purpose) = self.answers.next(circumstances) else { return };
        // Behind a goodbye nothing else is said.
        if self.is_saying_goodbye() && purpose != Purpose::Goodbye {
            return;
        }
        let instructions = self.instructions(purpose, settings);
        let event = ClientEvent::ResponseCreate { instructions: instructions.as_deref() };
        let number = self.send(event, out);
        self.answers.is_asked(purpose, number, now_ms);
    }

    /// The agent speaks first, if it was given something to say, and to a caller who is taken on again in any case.
    pub(super) fn greet(&mut self, settings: &SessionSettings, is_adopted: bool) {
        if is_adopted || settings.greeting.is_some() {
            self.answers.want(if is_adopted { Purpose::GreetAgain } else { Purpose::Greeting });
            self.is_waited_for = true;
        }
    }

    /// The agent asks whether the caller is still there.
    pub(super) fn ask_idle(&mut self) {
        self.answers.want(Purpose::AskIdle);
    }

    /// Puts what the caller has keyed in into the conversation; it is answered.
    pub(super) fn keyed_in(&mut self, keys: &str, out: &mut Actions) {
        let text = format!("(The caller has keyed in on the telephone: {keys})");
        let is_session = self.live.is_some();
        let number = self.remember(Entry::Told(text), false, out);
        self.is_waited_for = true;
        self.answers.owe(Debt::Keys, number, !is_session);
    }

    /// The model has called a function.
    pub(super) fn called(&mut self, [call_id, name, arguments]: [&str; 3]) {
        let [call_id, name, arguments] = [call_id, name, arguments].map(str::to_owned);
        if let Some(live) = &mut self.live {
            live.knows_call(&call_id);
        }
        self.answers.calls();
        self.turn_is_settled();
        self.history.push(Entry::Called { call_id, name, arguments });
    }

    /// Tells what came of a function, which is answered.
    pub(super) fn returned(&mut self, [call_id, name, output]: [&str; 3], out: &mut Actions) {
        let knows = self.live.as_ref().is_some_and(|live| live.has_call(call_id));
        if knows {
            // The one that has called it gets all of it.
            self.send(ClientEvent::FunctionOutput { call_id, output }, out);
        }
        let [call_id, name, output] = [call_id, name, shortened(output)].map(str::to_owned);
        let number = self.remember(Entry::Returned { call_id, name, output }, knows, out);
        self.is_waited_for = true;
        self.answers.owe(Debt::Result, number, self.live.is_none());
    }

    /// Tells whether a tool may be called. If it may not, that is answered.
    pub(super) fn approve(&mut self, request_id: &str, approve: bool, out: &mut Actions) {
        let number = self.send(ClientEvent::McpApproval { request_id, approve }, out);
        if !approve {
            self.answers.owe(Debt::Result, number, false);
        }
    }

    /// Nothing that still comes of the answer that is being made is to be heard, nor what was to go on with another.
    pub(super) fn mute_answer(&mut self) {
        self.answers.speech_begins();
        self.answers.mute();
    }

    /// The caller has interrupted the answer that is being made. A server that does not stop by itself is
    /// asked to; one that does would complain. What was asked for and has not begun comes to the server behind the
    /// caller's first word, and no server stops it by itself.
    pub(super) fn cancel_answer(&mut self, out: &mut Actions) {
        if !self.turns.of_the_server().interrupt_response || self.answers.is_awaited() {
            self.cancel_what_is_under_way(out);
        }
    }

    /// The same for what the server cannot know of: a key.
    pub(super) fn cancel_what_is_under_way(&mut self, out: &mut Actions) {
        if self.answers.is_under_way() {
            // The answer that has only been asked for is not known by name yet.
            self.answers.mute_asked();
            self.send(ClientEvent::ResponseCancel, out);
        }
    }

    /// Whether the caller can interrupt the agent.
    pub(super) fn can_be_interrupted(&self) -> bool {
        !self.is_saying_goodbye() && !self.turns.wait_for_the_agent()
    }

    /// Tells the server how much of its items was heard.
    pub(super) fn interrupted(&mut self, cut: &Interrupted, out: &mut Actions) {
        let (item_id, content_index) = (cut.item_id.as_str(), cut.content_index);
        if cut.is_former {
            // The server of today knows nothing of it.
        } else if cut.heard_ms == 0 {
            self.take_back(item_id, out);
        } else if self.dialect.truncates()
            && is_whole_name(item_id)
            && (cut.heard_ms < cut.received_ms || !cut.is_complete)
        {
            self.send(ClientEvent::Truncate { item_id, content_index, audio_end_ms: cut.heard_ms }, out);
        }
        for item_id in &cut.unheard {
            self.take_back(item_id, out);
        }
    }

    /// Begins the end of the call, which is said by then at the latest.
    pub(super) fn say_goodbye(&mut self, reason: EndReason, by: Instant, out: &mut Actions) {
        self.goodbye = Some(Goodbye { reason, by, was_cut: false, is_said: false, is_heard: false });
        self.answers.want(Purpose::Goodbye);
        self.cancel_what_is_under_way(out);
        if let (None, Some(goodbye)) = (&self.live, &mut self.goodbye) {
            // Nobody is there to say it.
            goodbye.is_said = true;
        }
    }

    /// Whether something of the goodbye has come.
    pub(super) fn goodbye_is_heard(&self) -> bool {
        self.goodbye.is_some_and(|goodbye| goodbye.is_heard)
    }

    /// Why the call ends, if the goodbye was said to its last sample.
    pub(super) fn has_said_goodbye(&self, is_playing: bool) -> Option<EndReason> {
        self.goodbye.filter(|goodbye| goodbye.is_said && !is_playing).map(|goodbye| goodbye.reason)
    }

    /// When the goodbye has taken too long, and why it is said.
    pub(super) fn goodbye_deadline(&self) -> Option<(Instant, EndReason)> {
        self.goodbye.map(|goodbye| (goodbye.by, goodbye.reason))
    }

    /// Sends an event, and gives its number.
    fn send(&mut self, event: ClientEvent<'_>, out: &mut Actions) -> u32 {
        match &self.live {
            Some(live) => links::write(self.dialect, live.link, event, &mut self.events_sent, out),
            None => self.events_sent = self.events_sent.wrapping_add(1),
        }
        self.events_sent
    }
}

#[cfg(test)]
mod tests;

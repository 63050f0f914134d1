//! The Realtime side of a call: the session, the agent's answers, and the goodbye.

mod hearing;

pub(super) use hearing::Heard;

use super::answers::{Answers, Circumstances, Debt, Purpose};
use super::io::{Action, Actions, EndReason};
use super::turns::CallerTurns;
use crate::downlink::Interrupted;
use crate::format::{ModelFormat, PTIME_MS};
use crate::id::LinkId;
use crate::observe::{Observation, Once};
use crate::playout::MAX_ITEM_ID_BYTES;
use crate::realtime::{ClientEvent, Dialect, close_code, is_refusal};
use crate::settings::{BargeIn, SessionSettings, Tool};
use crate::time::{Duration, Instant};
use std::borrow::Cow;

/// How long the goodbye may take, from its request until its last sample was sent. It begins so long before
/// the longest allowed time is reached, or a quarter of that time if this is less.
pub(super) const GOODBYE_WITHIN: Duration = Duration::from_secs(12);

/// What the agent is told when the longest allowed time is reached.
const TIME_IS_UP: &str = "The longest time that this call may last has been reached. In the language of the \
                          conversation, tell the caller so in one short sentence and say goodbye. Ask nothing.";

/// What the agent is told when the caller has said nothing for long.
const ASK_IDLE: &str = "The caller has said nothing for a while. In the language of the conversation, ask in one \
                        short sentence whether somebody is still there.";

/// What the agent is told when the caller has said nothing to that either.
const NOBODY_THERE: &str = "The caller does not answer. In the language of the conversation, say in one short \
                            sentence that you are ending the call, and say goodbye. Ask nothing.";

/// Whether the server would know an item by this name: it has one, and it was not shortened here.
fn is_whole_name(item_id: &str) -> bool {
    // A name is shortened between two letters, which may be 3 bytes earlier.
    !item_id.is_empty() && item_id.len() < MAX_ITEM_ID_BYTES - 3
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Session {
    /// The socket is being opened, or the server has not said its first word.
    Opening,
    /// Our settings are sent.
    Updating,
    Ready,
    Closed,
}

/// What goes on in the call while an answer may be due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) agent_is_heard: bool,
    /// The caller is keying something in.
    pub(super) keys_come: bool,
    /// Functions are under way, whose results are answered together.
    pub(super) results_are_due: bool,
}

/// The last words, and why they are said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Goodbye {
    reason: EndReason,
    by: Instant,
    /// The server has cut them off once: the caller was still speaking when they began.
    was_cut: bool,
    /// All of it has come.
    is_said: bool,
}

#[derive(Debug)]
pub(super) struct Talk {
    link: LinkId,
    dialect: Dialect,
    session: Session,
    /// The format in which the agent speaks: asked for, or agreed.
    format: ModelFormat,
    turns: CallerTurns,
    answers: Answers,
    /// How much of the caller's audio the server was given, in bytes.
    given: u64,
    events_sent: u32,
    goodbye: Option<Goodbye>,
    told: Once,
}

impl Talk {
    pub(super) fn new(link: LinkId, settings: &SessionSettings, barge_in: BargeIn) -> Self {
        Self {
            link,
            dialect: settings.dialect,
            session: Session::Opening,
            format: settings.audio_format,
            turns: CallerTurns::new(barge_in, settings),
            answers: Answers::default(),
            given: 0,
            events_sent: 0,
            goodbye: None,
            told: Once::default(),
        }
    }

    pub(super) const fn link(&self) -> LinkId {
        self.link
    }

    pub(super) fn is_ready(&self) -> bool {
        self.session == Session::Ready
    }

    /// The format in which the agent speaks, once the session is ready.
    pub(super) const fn speaks(&self) -> ModelFormat {
        self.format
    }

    /// The format in which the server hears the caller, once the session is ready.
    pub(super) const fn hears(&self) -> ModelFormat {
        self.dialect.hears(self.format)
    }

    /// Gives the server so much of the caller's audio.
    pub(super) fn give(&mut self, audio: &[u8], out: &mut Actions) {
        let bytes = out.write(|arena| self.dialect.write_append(audio, arena));
        out.push(Action::SendRealtime { link: self.link, bytes });
        self.given = self.given.saturating_add(audio.len() as u64);
    }

    /// How much of the caller's audio the server was given, in milliseconds.
    pub(super) fn given_ms(&self) -> u64 {
        self.given * PTIME_MS / self.hears().frame_bytes().max(1) as u64
    }

    /// Whether the end is being said, and the caller is not listened to any more.
    pub(super) const fn is_saying_goodbye(&self) -> bool {
        self.goodbye.is_some()
    }

    /// The socket is open.
    pub(super) fn is_open(&mut self, settings: &SessionSettings, tools: &[Tool], out: &mut Actions) {
        if self.dialect.client_begins() {
            self.begin(settings, tools, out);
        }
    }

    /// Sends the settings, once.
    fn begin(&mut self, settings: &SessionSettings, tools: &[Tool], out: &mut Actions) {
        if self.session == Session::Opening {
            self.session = Session::Updating;
            self.update(settings, tools, out);
        }
    }

    fn update(&mut self, settings: &SessionSettings, tools: &[Tool], out: &mut Actions) {
        let (format, turns) = (self.format, self.turns.of_the_server());
        self.send(ClientEvent::SessionUpdate { settings, tools, format, turns }, out);
    }

    /// The server does not speak the line's own format, so it is spoken to in the one that every server knows.
    fn fall_back_to_pcm(&mut self, settings: &SessionSettings, tools: &[Tool], out: &mut Actions) {
        out.observe(Observation::FormatRefused { format: self.format });
        self.format = ModelFormat::Pcm24;
        self.update(settings, tools, out);
    }

    /// The server could not do what event `number` wanted, if it says which; `for_another` says whether that was
    /// because it is making another answer.
    fn refused(&mut self, number: Option<u32>, for_another: bool, out: &mut Actions) {
        let refused = self.answers.refused(number, for_another, self.given_ms());
        if refused != Some(Purpose::Goodbye) {
            return;
        }
        if for_another {
            self.answers.want(Purpose::Goodbye);
            self.answers.mute();
            self.send(ClientEvent::ResponseCancel, out);
        } else if let Some(goodbye) = &mut self.goodbye {
            // It will not be said.
            goodbye.is_said = true;
        }
    }

    /// Takes an item back of which nothing was heard.
    pub(super) fn take_back(&mut self, item_id: &str, out: &mut Actions) {
        if is_whole_name(item_id) {
            self.send(ClientEvent::Delete { item_id }, out);
        }
    }

    /// Somebody began to speak. Returns whether the agent is interrupted at once.
    pub(super) fn speech_begins(&mut self, agent_is_heard: bool, audio_start_ms: Option<u64>) -> bool {
        self.turns.begin(agent_is_heard, audio_start_ms, self.given_ms())
    }

    /// Looks again at a turn of which it is in doubt whether it is the caller's; `was_loud` says whether the bridge
    /// itself heard a caller in the last so many milliseconds. Returns whether the agent is interrupted now.
    pub(super) fn weigh(&mut self, agent_is_heard: bool, was_loud: impl FnOnce(u32) -> bool) -> bool {
        self.turns.weigh(agent_is_heard, was_loud, self.given_ms())
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
            caller_is_busy: moment.keys_come || self.turns.speaks_since(now_ms).is_some(),
            waits_for_agent: moment.agent_is_heard && self.turns.wait_for_the_agent(),
            results_are_due: moment.results_are_due,
        };
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

    /// What the agent is told for one answer.
    fn instructions(&self, purpose: Purpose, settings: &SessionSettings) -> Option<Cow<'static, str>> {
        let is_idle = self.goodbye.is_some_and(|goodbye| goodbye.reason == EndReason::CallerIdle);
        match purpose {
            Purpose::Answer => None,
            Purpose::AskIdle => Some(ASK_IDLE.into()),
            Purpose::Goodbye => Some(if is_idle { NOBODY_THERE } else { TIME_IS_UP }.into()),
            Purpose::Greeting => {
                let words = settings.greeting.as_deref().unwrap_or_default();
                Some(format!("Begin the call. Say exactly this and nothing else: {words}").into())
            }
        }
    }

    /// The socket is gone. Says why the call ends.
    pub(super) fn down(&mut self, http_status: Option<u16>, code: Option<u16>, reason: &[u8]) -> EndReason {
        self.session = Session::Closed;
        if is_refusal(close_code(reason), code, http_status) {
            EndReason::RealtimeRefused
        } else {
            EndReason::RealtimeLost
        }
    }

    /// The agent speaks first, if it was given something to say.
    pub(super) fn greet(&mut self, settings: &SessionSettings) {
        if settings.greeting.is_some() {
            self.answers.want(Purpose::Greeting);
        }
    }

    /// The agent asks whether the caller is still there.
    pub(super) fn ask_idle(&mut self) {
        self.answers.want(Purpose::AskIdle);
    }

    /// Puts what the caller has keyed in into the conversation; it is answered.
    pub(super) fn keyed_in(&mut self, keys: &str, out: &mut Actions) {
        let text = format!("(The caller has keyed in on the telephone: {keys})");
        self.answer(ClientEvent::UserText { text: &text }, Some(Debt::Keys), out);
    }

    /// Puts something into the conversation, which is answered if it is owed.
    pub(super) fn answer(&mut self, event: ClientEvent<'_>, owed: Option<Debt>, out: &mut Actions) {
        let number = self.send(event, out);
        if let Some(debt) = owed {
            self.answers.owe(debt, number, false);
        }
    }

    /// Nothing that still comes of the answer that is being made is to be heard.
    pub(super) fn mute_answer(&mut self) {
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
        if cut.heard_ms == 0 {
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
        self.goodbye = Some(Goodbye { reason, by, was_cut: false, is_said: false });
        self.answers.want(Purpose::Goodbye);
        self.cancel_what_is_under_way(out);
    }

    /// Why the call ends, if the goodbye was said to its last sample.
    pub(super) fn has_said_goodbye(&self, is_playing: bool) -> Option<EndReason> {
        self.goodbye.filter(|goodbye| goodbye.is_said && !is_playing).map(|goodbye| goodbye.reason)
    }

    /// When the goodbye has taken too long, and why it is said.
    pub(super) fn goodbye_deadline(&self) -> Option<(Instant, EndReason)> {
        self.goodbye.map(|goodbye| (goodbye.by, goodbye.reason))
    }

    /// Closes the socket, if it is not closed.
    pub(super) fn close(&mut self, out: &mut Actions) {
        if self.session != Session::Closed {
            self.session = Session::Closed;
            out.push(Action::CloseRealtime { link: self.link, code: 1000 });
        }
    }

    /// Sends an event, and gives its number.
    fn send(&mut self, event: ClientEvent<'_>, out: &mut Actions) -> u32 {
        self.events_sent = self.events_sent.wrapping_add(1);
        let number = self.events_sent;
        if self.session != Session::Closed {
            let bytes = out.write(|arena| self.dialect.write(event, number, arena));
            out.push(Action::SendRealtime { link: self.link, bytes });
        }
        number
    }
}

#[cfg(test)]
mod tests;

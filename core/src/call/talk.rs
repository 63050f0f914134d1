//! The Realtime side of a call: the session, the agent's answers, and the goodbye.

use super::io::{Action, Actions, EndReason};
use super::turns::{CallerTurns, Verdict};
use crate::downlink::Interrupted;
use crate::format::{ModelFormat, PTIME_MS};
use crate::id::LinkId;
use crate::observe::{BadInput, Label, Observation, Once};
use crate::playout::MAX_ITEM_ID_BYTES;
use crate::realtime::{ClientEvent, ServerEvent, close_code, is_refusal};
use crate::settings::{BargeIn, Dialect, SessionSettings};
use crate::time::{Duration, Instant};

/// How long the goodbye may take, from its request until its last sample was sent. It begins so long before
/// the longest allowed time is reached, or a quarter of that time if this is less.
pub(super) const GOODBYE_WITHIN: Duration = Duration::from_secs(12);

/// The longest response id that is told from others, in bytes; OpenAI's have about 30.
const MAX_RESPONSE_ID_BYTES: usize = 128;

/// The codes of the error that says that a response was asked for while another one was being made: OpenAI's, and
/// that of servers of the same kind.
const ALREADY_ANSWERING: [&str; 2] = ["conversation_already_has_active_response", "response_already_active"];

/// An answer of which nothing was heard for so much of the caller's audio, in milliseconds, is taken to have ended
/// without a word: what waits for it must not wait for ever.
const LOST_ANSWER_MS: u64 = 10_000;

/// What the agent is told when the longest allowed time is reached.
const GOODBYE: &str = "The longest time that this call may last has been reached. In the language of the conversation, \
                       tell the caller so in one short sentence and say goodbye. Ask nothing.";

/// Whether the server would know an item by this name: it has one, and it was not shortened here.
fn is_whole_name(item_id: &str) -> bool {
    // A name is shortened between two letters, which may be 3 bytes earlier.
    !item_id.is_empty() && item_id.len() < MAX_ITEM_ID_BYTES - 3
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Session {
    /// The socket is being opened, or the server has not said `session.created`.
    Opening,
    /// Our settings are sent.
    Updating,
    Ready,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goodbye {
    No,
    /// Another answer has to end first.
    Wanted,
    /// The agent is saying it.
    Asked,
    /// All of it has come.
    Said,
}

/// What a message asks of the rest of the call.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    Nothing,
    SessionReady,
    SpeechStarted {
        audio_start_ms: Option<u64>,
    },
    SpeechStopped,
    /// What was taken for a turn of the caller was the agent's echo.
    Echo,
    /// A piece of an answer that is not to be heard.
    Unwanted {
        item_id: &'a str,
    },
    Audio {
        item_id: &'a str,
        content_index: u32,
        delta: &'a str,
    },
    AudioDone {
        item_id: &'a str,
        content_index: u32,
    },
    Text {
        item_id: &'a str,
        content_index: u32,
        delta: &'a str,
    },
    TextDone {
        item_id: &'a str,
        content_index: u32,
        transcript: &'a str,
    },
    ResponseDone,
    End(EndReason),
}

#[derive(Debug)]
pub(super) struct Talk {
    link: LinkId,
    session: Session,
    /// The format of the audio that is asked for, or agreed.
    format: ModelFormat,
    turns: CallerTurns,
    /// How much of the caller's audio the server was given, in bytes.
    given: u64,
    events_sent: u32,
    is_answering: bool,
    /// How much audio the server had been given when something of that answer came last, in milliseconds.
    answer_seen_ms: u64,
    /// The answer that is being made, or was made last, if the server names its answers.
    response: String,
    /// The answer that the caller cut off: nothing that still comes of it is to be heard.
    muted_response: String,
    /// The next answer that begins was cut off before it did.
    mutes_next: bool,
    goodbye: Goodbye,
    goodbye_by: Instant,
    told: Once,
}

impl Talk {
    pub(super) fn new(link: LinkId, settings: &SessionSettings, barge_in: BargeIn) -> Self {
        Self {
            link,
            session: Session::Opening,
            format: settings.audio_format,
            turns: CallerTurns::new(barge_in, settings),
            given: 0,
            events_sent: 0,
            is_answering: false,
            answer_seen_ms: 0,
            response: String::new(),
            muted_response: String::new(),
            mutes_next: false,
            goodbye: Goodbye::No,
            goodbye_by: Instant::START,
            told: Once::default(),
        }
    }

    pub(super) const fn link(&self) -> LinkId {
        self.link
    }

    pub(super) fn is_ready(&self) -> bool {
        self.session == Session::Ready
    }

    /// The format of the audio both ways, once the session is ready.
    pub(super) const fn format(&self) -> ModelFormat {
        self.format
    }

    /// The server was given so much of the caller's audio, in bytes.
    pub(super) fn given(&mut self, bytes: usize) {
        self.given = self.given.saturating_add(bytes as u64);
    }

    fn given_ms(&self) -> u64 {
        self.given * PTIME_MS / self.format.frame_bytes().max(1) as u64
    }

    /// Whether the end is being said, and the caller is not listened to any more.
    pub(super) fn is_saying_goodbye(&self) -> bool {
        self.goodbye != Goodbye::No
    }

    /// Reads a message and does what concerns the session alone.
    pub(super) fn message<'a>(
        &mut self,
        event: &'a Option<ServerEvent<'a>>,
        settings: &SessionSettings,
        out: &mut Actions,
    ) -> Heard<'a> {
        let Some(event) = event else {
            out.observe_bad(BadInput::RealtimeEvent, &mut self.told);
            return Heard::Nothing;
        };
        match event {
            ServerEvent::SessionCreated if self.session == Session::Opening => {
                self.session = Session::Updating;
                self.update(settings, out);
            }
            ServerEvent::SessionUpdated { format } if self.session == Session::Updating => {
                // PCM needs no confirmation: every server speaks it, and not every one shows its format.
                if self.format != ModelFormat::Pcm24 && *format != Some(self.format) {
                    self.fall_back_to_pcm(settings, out);
                } else {
                    self.session = Session::Ready;
                    return Heard::SessionReady;
                }
            }
            ServerEvent::SpeechStarted { audio_start_ms } => {
                out.observe(Observation::SpeechStarted);
                return Heard::SpeechStarted { audio_start_ms: *audio_start_ms };
            }
            ServerEvent::SpeechStopped { item_id, audio_end_ms } => {
                self.turns.stop(item_id, *audio_end_ms, self.given_ms());
                out.observe(Observation::SpeechStopped);
                return Heard::SpeechStopped;
            }
            ServerEvent::Committed { item_id } => {
                if self.turns.commit(item_id) == Verdict::Echo {
                    out.observe(Observation::EchoIgnored);
                    self.take_back(item_id, out);
                    return Heard::Echo;
                }
            }
            ServerEvent::ResponseCreated { response_id, .. } => {
                self.is_answering = true;
                self.answer_is_seen();
                self.turns.answer_begins();
                self.answers(response_id);
                if core::mem::take(&mut self.mutes_next) {
                    self.mute_answer();
                }
            }
            ServerEvent::AudioDelta { response_id, item_id, .. } if self.is_muted(response_id) => {
                return Heard::Unwanted { item_id };
            }
            ServerEvent::TranscriptDelta { response_id, .. } if self.is_muted(response_id) => {}
            ServerEvent::TranscriptDelta { item_id, content_index, delta, .. } => {
                return Heard::Text { item_id, content_index: *content_index, delta };
            }
            ServerEvent::TranscriptDone { item_id, content_index, transcript } => {
                return Heard::TextDone { item_id, content_index: *content_index, transcript };
            }
            ServerEvent::AudioDelta { response_id, item_id, content_index, delta } => {
                self.answers(response_id);
                self.answer_is_seen();
                return Heard::Audio { item_id, content_index: *content_index, delta };
            }
            ServerEvent::AudioDone { item_id, content_index } => {
                return Heard::AudioDone { item_id, content_index: *content_index };
            }
            ServerEvent::ResponseDone { status, detail, .. } => {
                self.is_answering = false;
                // What was to be muted may have ended without a word of its beginning.
                self.mutes_next = false;
                self.turns.answer_begins();
                if self.goodbye == Goodbye::Asked {
                    self.goodbye = Goodbye::Said;
                }
                out.observe(Observation::ResponseDone {
                    status: Label::new(status),
                    detail: Label::new(detail),
                });
                // No credit, a key that was withdrawn: every further answer would fail like this one.
                if &**status == "failed" && is_refusal(detail, None, None) {
                    return Heard::End(EndReason::RealtimeRefused);
                }
                return Heard::ResponseDone;
            }
            ServerEvent::Error { code, param, .. } => {
                out.observe(Observation::RealtimeError { code: Label::new(code), param: Label::new(param) });
                // Before the session stands, an error is the answer to our settings: they are lost whole, and
                // no confirmation will come.
                match self.session {
                    Session::Updating if self.format != ModelFormat::Pcm24 => {
                        self.fall_back_to_pcm(settings, out);
                    }
                    Session::Opening | Session::Updating => return Heard::End(EndReason::RealtimeRefused),
                    Session::Ready | Session::Closed => {
                        self.refused(ALREADY_ANSWERING.contains(&&**code), out)
                    }
                }
            }
            _ => {}
        }
        Heard::Nothing
    }

    fn update(&mut self, settings: &SessionSettings, out: &mut Actions) {
        let turns = self.turns.of_the_server();
        self.send(ClientEvent::SessionUpdate { settings, tools: &[], format: self.format, turns }, out);
    }

    /// The server does not speak the line's own format, so it is spoken to in the one that every server knows.
    fn fall_back_to_pcm(&mut self, settings: &SessionSettings, out: &mut Actions) {
        out.observe(Observation::FormatRefused { format: self.format });
        self.format = ModelFormat::Pcm24;
        self.update(settings, out);
    }

    /// Something that was asked for could not be done: if that is because the server is making another answer,
    /// ours comes behind that one.
    fn refused(&mut self, for_another: bool, out: &mut Actions) {
        if for_another {
            self.is_answering = true;
            self.answer_is_seen();
        }
        // What was to be muted does not begin; the answer behind it is to be heard.
        self.mutes_next = false;
        if for_another && self.goodbye == Goodbye::Asked {
            self.goodbye = Goodbye::Wanted;
            self.mute_answer();
            self.send(ClientEvent::ResponseCancel, out);
        } else {
            self.turns.refused(for_another);
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

    /// Asks for the answer to a turn that the server does not answer by itself.
    pub(super) fn go_on(&mut self, agent_is_heard: bool, out: &mut Actions) {
        let given_ms = self.given_ms();
        self.is_answering &= given_ms.saturating_sub(self.answer_seen_ms) <= LOST_ANSWER_MS;
        if !self.is_saying_goodbye() && self.turns.ask(self.is_answering, agent_is_heard, given_ms) {
            self.ask(None, out);
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
    pub(super) fn greet(&mut self, settings: &SessionSettings, out: &mut Actions) {
        if let Some(greeting) = &settings.greeting {
            let instructions = format!("Begin the call. Say exactly this and nothing else: {greeting}");
            self.turns.asked_otherwise();
            self.ask(Some(&instructions), out);
        }
    }

    /// Nothing that still comes of the answer that is being made is to be heard.
    pub(super) fn mute_answer(&mut self) {
        self.muted_response.clone_from(&self.response);
    }

    /// The caller has interrupted the answer that is being made. A server that does not stop by itself is
    /// asked to; one that does would complain.
    pub(super) fn cancel_answer(&mut self, out: &mut Actions) {
        if !self.turns.of_the_server().interrupt_response {
            self.cancel_what_is_under_way(out);
        }
    }

    fn cancel_what_is_under_way(&mut self, out: &mut Actions) {
        if self.is_answering || self.turns.is_asked() {
            // The answer that has only been asked for is not known by name yet.
            self.mutes_next = !self.is_answering;
            self.send(ClientEvent::ResponseCancel, out);
        }
    }

    /// Asks for an answer, which is to be heard.
    fn ask(&mut self, instructions: Option<&str>, out: &mut Actions) {
        self.mutes_next = false;
        self.send(ClientEvent::ResponseCreate { instructions }, out);
    }

    /// Tells the server how much of its items was heard.
    pub(super) fn interrupted(&mut self, cut: &Interrupted, out: &mut Actions) {
        let (item_id, content_index) = (cut.item_id.as_str(), cut.content_index);
        if cut.heard_ms == 0 {
            self.take_back(item_id, out);
        } else if is_whole_name(item_id) && (cut.heard_ms < cut.received_ms || !cut.is_complete) {
            self.send(ClientEvent::Truncate { item_id, content_index, audio_end_ms: cut.heard_ms }, out);
        }
        for item_id in &cut.unheard {
            self.take_back(item_id, out);
        }
    }

    /// Begins the end of a call that has lasted as long as it may.
    pub(super) fn say_goodbye(&mut self, by: Instant, out: &mut Actions) {
        self.goodbye = Goodbye::Wanted;
        self.goodbye_by = by;
        self.cancel_what_is_under_way(out);
    }

    /// Asks for the goodbye as soon as it can be asked for. Returns whether it was said to its last sample.
    pub(super) fn go_on_with_goodbye(&mut self, is_playing: bool, out: &mut Actions) -> bool {
        // What was asked for before has to end first, also what has not begun: its end is not the goodbye's.
        if self.goodbye == Goodbye::Wanted && !self.is_answering && !self.turns.is_asked() {
            self.goodbye = Goodbye::Asked;
            self.ask(Some(GOODBYE), out);
        }
        self.goodbye == Goodbye::Said && !is_playing
    }

    /// When the goodbye has taken too long.
    pub(super) fn goodbye_deadline(&self) -> Option<Instant> {
        self.is_saying_goodbye().then_some(self.goodbye_by)
    }

    /// Closes the socket, if it is not closed.
    pub(super) fn close(&mut self, out: &mut Actions) {
        if self.session != Session::Closed {
            self.session = Session::Closed;
            out.push(Action::CloseRealtime { link: self.link, code: 1000 });
        }
    }

    /// Something came of the answer that is being made.
    fn answer_is_seen(&mut self) {
        self.answer_seen_ms = self.given_ms();
    }

    /// Remembers which answer is being made. Allocates only when an id is longer than any before.
    fn answers(&mut self, response_id: &str) {
        let is_new = response_id.len() <= MAX_RESPONSE_ID_BYTES && self.response != response_id;
        if is_new && !response_id.is_empty() {
            self.response.clear();
            self.response.push_str(response_id);
        }
    }

    fn is_muted(&self, response_id: &str) -> bool {
        !response_id.is_empty() && self.muted_response == response_id
    }

    fn send(&mut self, event: ClientEvent<'_>, out: &mut Actions) {
        if self.session == Session::Closed {
            return;
        }
        self.events_sent = self.events_sent.wrapping_add(1);
        let number = self.events_sent;
        let bytes = out.write(|arena| Dialect::OpenAi.write(event, number, arena));
        out.push(Action::SendRealtime { link: self.link, bytes });
    }
}

#[cfg(test)]
mod tests;

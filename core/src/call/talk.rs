//! The Realtime side of a call: the session, the agent's answers, and the goodbye.

use super::io::{Action, Actions, EndReason};
use crate::downlink::Interrupted;
use crate::id::LinkId;
use crate::observe::{Label, Observation, Peer};
use crate::realtime::{ClientEvent, ServerEvent, close_code, is_refusal};
use crate::settings::SessionSettings;
use crate::time::{Duration, Instant};

/// How long the goodbye may take, from its request until its last sample was sent. It begins so long before
/// the longest allowed time is reached, or a quarter of that time if this is less.
pub(super) const GOODBYE_WITHIN: Duration = Duration::from_secs(12);

/// The longest response id that is told from others, in bytes; OpenAI's have about 30.
const MAX_RESPONSE_ID_BYTES: usize = 128;

/// What the agent is told when the longest allowed time is reached.
const GOODBYE: &str = "The longest time that this call may last has been reached. In the language of the conversation, \
                       tell the caller so in one short sentence and say goodbye. Ask nothing.";

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
    SpeechStarted,
    SpeechStopped,
    Audio { item_id: &'a str, content_index: u32, delta: &'a str },
    AudioDone { item_id: &'a str, content_index: u32 },
    ResponseDone,
    End(EndReason),
}

#[derive(Debug)]
pub(super) struct Talk {
    link: LinkId,
    session: Session,
    events_sent: u32,
    is_answering: bool,
    /// The answer that is being made, or was made last, if the server names its answers.
    response: String,
    /// The answer that the caller cut off: nothing that still comes of it is to be heard.
    muted_response: String,
    goodbye: Goodbye,
    goodbye_by: Instant,
}

impl Talk {
    pub(super) fn new(link: LinkId) -> Self {
        Self {
            link,
            session: Session::Opening,
            events_sent: 0,
            is_answering: false,
            response: String::new(),
            muted_response: String::new(),
            goodbye: Goodbye::No,
            goodbye_by: Instant::START,
        }
    }

    pub(super) const fn link(&self) -> LinkId {
        self.link
    }

    pub(super) fn is_ready(&self) -> bool {
        self.session == Session::Ready
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
            out.observe(Observation::BadInput { peer: Peer::Realtime, what: Label::new("event") });
            return Heard::Nothing;
        };
        match event {
            ServerEvent::SessionCreated if self.session == Session::Opening => {
                self.session = Session::Updating;
                self.send(ClientEvent::SessionUpdate(settings), out);
            }
            ServerEvent::SessionUpdated if self.session == Session::Updating => {
                self.session = Session::Ready;
                return Heard::SessionReady;
            }
            ServerEvent::SpeechStarted => {
                out.observe(Observation::SpeechStarted);
                return Heard::SpeechStarted;
            }
            ServerEvent::SpeechStopped => {
                out.observe(Observation::SpeechStopped);
                return Heard::SpeechStopped;
            }
            ServerEvent::ResponseCreated { response_id } => {
                self.is_answering = true;
                self.answers(response_id);
            }
            ServerEvent::AudioDelta { response_id, .. } if self.is_muted(response_id) => {}
            ServerEvent::AudioDelta { response_id, item_id, content_index, delta } => {
                self.answers(response_id);
                return Heard::Audio { item_id, content_index: *content_index, delta };
            }
            ServerEvent::AudioDone { item_id, content_index } => {
                return Heard::AudioDone { item_id, content_index: *content_index };
            }
            ServerEvent::ResponseDone { status, detail } => {
                self.is_answering = false;
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
            ServerEvent::Error { code, param } => {
                out.observe(Observation::RealtimeError { code: Label::new(code), param: Label::new(param) });
                // Before the session stands, an error is the answer to our settings: they are lost whole, and
                // no confirmation will come.
                if matches!(self.session, Session::Opening | Session::Updating) {
                    return Heard::End(EndReason::RealtimeRefused);
                }
            }
            ServerEvent::SessionCreated | ServerEvent::SessionUpdated | ServerEvent::Other => {}
        }
        Heard::Nothing
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
            self.send(ClientEvent::ResponseCreate { instructions: &instructions }, out);
        }
    }

    /// Nothing that still comes of the answer that is being made is to be heard.
    pub(super) fn mute_answer(&mut self) {
        self.muted_response.clone_from(&self.response);
    }

    /// Tells the server how much of its items was heard.
    pub(super) fn interrupted(&mut self, cut: &Interrupted, out: &mut Actions) {
        let (item_id, content_index) = (cut.item_id.as_str(), cut.content_index);
        if cut.heard_ms == 0 {
            self.send(ClientEvent::Delete { item_id }, out);
        } else if cut.heard_ms < cut.received_ms || !cut.is_complete {
            self.send(ClientEvent::Truncate { item_id, content_index, audio_end_ms: cut.heard_ms }, out);
        }
        for item_id in &cut.unheard {
            self.send(ClientEvent::Delete { item_id }, out);
        }
    }

    /// Begins the end of a call that has lasted as long as it may.
    pub(super) fn say_goodbye(&mut self, by: Instant, out: &mut Actions) {
        self.goodbye = Goodbye::Wanted;
        self.goodbye_by = by;
        if self.is_answering {
            self.send(ClientEvent::ResponseCancel, out);
        }
    }

    /// Asks for the goodbye as soon as it can be asked for. Returns whether it was said to its last sample.
    pub(super) fn go_on_with_goodbye(&mut self, is_playing: bool, out: &mut Actions) -> bool {
        if self.goodbye == Goodbye::Wanted && !self.is_answering {
            self.goodbye = Goodbye::Asked;
            self.send(ClientEvent::ResponseCreate { instructions: GOODBYE }, out);
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
        let bytes = out.write(|arena| event.write(number, arena));
        out.push(Action::SendRealtime { link: self.link, bytes });
    }
}

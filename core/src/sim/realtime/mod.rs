//! A stand-in for the Realtime server: one machine per WebSocket, in the GA interface or in a dialect of it.
//!
//! It is strict where the real one is strict: an unknown field loses the whole `session.update`, a truncation
//! past what was sent is an error, a second response is refused while one is active. Left out: text output, images
//! and semantic detection (energy stands in for it). An [`Agent`] decides what is answered and what is called.
//!
//! The machine itself knows the GA interface only; what a dialect calls otherwise is translated on its way in and
//! on its way out.

mod agent;
mod call;
mod conversation;
mod dialect;
mod faults;
mod listener;
mod mcp;
mod response;
mod schema;
mod session;
mod shape;
mod speech;
#[cfg(test)]
mod tests;
mod usage;
mod words;

pub use agent::{Agent, Answer, FunctionCall, McpCall, Parrot, Prompt, Script, Speech, two_tones};
pub use faults::Fault;
pub use schema::{check_client_event, check_client_message};
pub use words::in_words;

use super::Next;
use crate::actions::Span;
use crate::codec::Decoder;
use crate::http;
use crate::settings::Dialect;
use crate::time::{Duration, Instant, UtcNanos};
use conversation::{Item, Told};
use listener::Listener;
use mcp::Mcp;
use response::Responding;
use serde_json::{Map, Value, json};
use session::Session;
use shape::Refusal;
use std::collections::VecDeque;
use usage::Tokens;

/// The output buffer of the stand-in.
pub type Actions = crate::actions::Actions<Output>;

/// The most base64 in one `input_audio_buffer.append`, in bytes.
pub const MAX_APPEND_BYTES: usize = 15 * 1024 * 1024;

/// How the stand-in is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How the server wants to be spoken to.
    pub dialect: Dialect,
    /// The key that is let in. Any other is closed on with 3000 `invalid_request_error.invalid_api_key`.
    pub key: String,
    /// A key of an account without credit: closed on with 1013 `insufficient_quota.insufficient_quota`.
    pub key_without_credit: String,
    /// The models that there are. Any other is closed on with 4004 `invalid_request_error.model_not_found`.
    pub models: Vec<String>,
    /// How many times faster than real time audio is sent.
    pub speed: u32,
    /// How long the agent thinks before its first audio.
    pub latency: Duration,
    /// How long a session lasts before it is closed on with 1001.
    pub session_limit: Duration,
    /// The wall clock at the start of the machine.
    pub utc: UtcNanos,
    /// What the ids begin with, so that those of two sockets differ.
    pub seed: u64,
    /// What happens when G.711 is asked for.
    pub g711: G711,
}

/// How a server takes the request to speak G.711.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum G711 {
    /// It speaks it, like OpenAI's.
    #[default]
    Spoken,
    /// It goes on in PCM and shows so in `session.updated`.
    Ignored,
    /// It refuses the whole update.
    Refused,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dialect: Dialect::OpenAi,
            key: "sk-sim".into(),
            key_without_credit: "sk-sim-no-credit".into(),
            models: ["gpt-realtime-2.1-mini", "gpt-realtime-2.1", "gpt-realtime-2"].map(str::to_owned).into(),
            speed: 4,
            latency: Duration::from_millis(100),
            session_limit: Duration::from_secs(3600),
            utc: UtcNanos(1_795_000_000_000_000_000),
            seed: 1,
            g711: G711::Spoken,
        }
    }
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The upgrade was made. It always succeeds: a bad key is told by a close code, as the real one does.
    Opened {
        /// Path and query.
        target: &'a str,
        /// The `Authorization` header.
        authorization: Option<&'a str>,
        /// The `api-key` header, as Azure has it.
        api_key: Option<&'a str>,
        /// Whether there is an `OpenAI-Beta` header.
        beta: bool,
    },
    /// A text message came.
    Message(&'a [u8]),
    /// Something goes wrong.
    Fault(&'a Fault),
    /// The deadline has passed.
    Timer,
}

/// What the driver is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send a text message.
    Send(Span),
    /// Close the socket. The last output.
    Close {
        /// The close code.
        code: u16,
        /// The reason.
        reason: Span,
    },
}

/// The stand-in: one socket, one session.
#[derive(Debug)]
pub struct Realtime {
    settings: Settings,
    agent: Box<dyn Agent>,
    now: Instant,
    /// `None` before the socket is open and after it was closed: then nothing is answered.
    session: Option<Session>,
    expires: Instant,
    ids: u64,
    listener: Listener,
    decoder: Option<Decoder>,
    /// The item that the current speech of the caller will be.
    hearing: Option<String>,
    /// The last committed turn, until it is answered.
    unanswered: Option<Vec<i16>>,
    /// What the client has put into the conversation, until it is answered.
    told: Told,
    mcp: Mcp,
    items: Vec<Item>,
    responding: Option<Responding>,
    /// When the caller will have been silent for too long.
    idle_at: Option<Instant>,
    has_spoken: bool,
    /// What went in with the last response.
    last_input: Tokens,
    /// What is answered instead of what the agent would answer.
    next_answers: VecDeque<Answer>,
    is_silent: bool,
}

impl Realtime {
    /// A server behind which this agent speaks.
    #[must_use]
    pub fn new(settings: Settings, agent: Box<dyn Agent>) -> Self {
        let listener = Listener::new(dialect::pcm_rate(settings.dialect));
        Self {
            settings,
            agent,
            now: Instant::START,
            session: None,
            expires: Instant::START,
            ids: 0,
            listener,
            decoder: None,
            hearing: None,
            unanswered: None,
            told: Told::default(),
            mcp: Mcp::default(),
            items: Vec::new(),
            responding: None,
            idle_at: None,
            has_spoken: false,
            last_input: Tokens::default(),
            next_answers: VecDeque::new(),
            is_silent: false,
        }
    }

    /// Takes one input. What is due by `now` is sent first, at most eight deltas (1.6 s of audio).
    pub fn step(&mut self, now: Instant, input: Input<'_>, out: &mut Actions) -> Next {
        self.now = now;
        self.speak(out);
        match input {
            Input::Opened { target, authorization, api_key, beta } => {
                self.opened(target, authorization, api_key, beta, out);
            }
            Input::Message(bytes) if self.session.is_some() => self.message(bytes, out),
            Input::Fault(fault) => self.fail(fault, out),
            Input::Message(_) | Input::Timer => {}
        }
        self.wake(out);
        if self.session.is_some() && self.expires <= now {
            self.expire(out);
        }
        let expiry = self.session.is_some().then_some(self.expires);
        Next::earliest(now, [expiry, self.idle_at, self.responding.as_ref().map(Responding::due)])
    }

    /// The conversation so far: its items in their order, in words.
    #[must_use]
    pub fn conversation(&self) -> Vec<String> {
        self.items.iter().map(|item| in_words(&item.json)).collect()
    }

    fn opened(
        &mut self,
        target: &str,
        auth: Option<&str>,
        api_key: Option<&str>,
        beta: bool,
        out: &mut Actions,
    ) {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let model = http::query_pairs(query).find(|(name, _)| name == "model").map(|(_, model)| model);
        let model = model.unwrap_or_default().into_owned();
        let bearer = auth.and_then(|value| value.strip_prefix("Bearer "));
        let (key, is_ga) = match self.settings.dialect {
            Dialect::OpenAi => (bearer, true),
            Dialect::Azure => (api_key, true),
            Dialect::Xai | Dialect::Beta | Dialect::Qwen => (bearer, false),
        };
        let key = key.unwrap_or_default();
        if beta && is_ga {
            let text =
                "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API.";
            self.error(&Refusal::new("beta_api_shape_disabled", text, None), &Value::Null, out);
            self.close(4000, "invalid_request_error.beta_api_shape_disabled", out);
        } else if key == self.settings.key_without_credit {
            self.close(1013, "insufficient_quota.insufficient_quota", out);
        } else if key != self.settings.key {
            self.close(3000, "invalid_request_error.invalid_api_key", out);
        } else if !self.settings.models.contains(&model) {
            self.close(4004, "invalid_request_error.model_not_found", out);
        } else {
            self.expires = self.now + self.settings.session_limit;
            let expires_at = self.settings.utc.0.saturating_add(self.expires.as_nanos()) / 1_000_000_000;
            let pcm_rate = dialect::pcm_rate(self.settings.dialect);
            let session = Session::new(&self.id("sess"), &model, expires_at, pcm_rate);
            self.emit(json!({ "type": "session.created", "session": session.json() }), out);
            self.session = Some(session);
            let conversation = json!({ "id": self.conversation_id(), "object": "realtime.conversation" });
            self.emit(json!({ "type": "conversation.created", "conversation": conversation }), out);
        }
    }

    fn close(&mut self, code: u16, reason: &str, out: &mut Actions) {
        self.session = None;
        self.responding = None;
        self.idle_at = None;
        if self.is_silent {
            return;
        }
        let reason = out.put(reason.as_bytes());
        out.push(Output::Close { code, reason });
    }

    /// The next id of this kind.
    fn id(&mut self, kind: &str) -> String {
        self.ids += 1;
        format!("{kind}_{:x}n{:06}", self.settings.seed, self.ids)
    }

    fn conversation_id(&self) -> String {
        format!("conv_{:x}", self.settings.seed)
    }

    /// Sends an event in the client's dialect, after giving it its id.
    fn emit(&mut self, event: Value, out: &mut Actions) {
        let Value::Object(event) = event else { return };
        let Some(mut event) = dialect::event_out(self.settings.dialect, event) else { return };
        event.insert("event_id".into(), self.id("event").into());
        if self.is_silent {
            return;
        }
        let text = out.format(format_args!("{}", Value::from(event)));
        out.push(Output::Send(text));
    }

    /// Sends an `error`; `cause` is the client's `event_id`, if it gave one.
    fn error(&mut self, refusal: &Refusal, cause: &Value, out: &mut Actions) {
        let error = json!({
            "type": "invalid_request_error",
            "code": refusal.code,
            "message": refusal.message,
            "param": refusal.param,
            "event_id": cause.as_str(),
        });
        self.emit(json!({ "type": "error", "error": error }), out);
    }

    fn message(&mut self, bytes: &[u8], out: &mut Actions) {
        let event: Map<String, Value> = match serde_json::from_slice(bytes) {
            Ok(Value::Object(event)) => event,
            Ok(_) | Err(_) => {
                let text = "The message is not a JSON object.";
                self.error(&Refusal::new("invalid_event", text, None), &Value::Null, out);
                return;
            }
        };
        if let Err(refusal) = self.client_event(&event, out) {
            self.error(&refusal, event.get("event_id").unwrap_or(&Value::Null), out);
        }
    }

    fn client_event(&mut self, event: &Map<String, Value>, out: &mut Actions) -> Result<(), Refusal> {
        let dialect = self.settings.dialect;
        let kind = schema::check_event(dialect, event)?;
        let field = |name: &str| event.get(name).unwrap_or(&Value::Null);
        match kind {
            "session.update" => self.update_session(&dialect::session_in(dialect, field("session")), out),
            "input_audio_buffer.append" => self.append(field("audio").as_str().unwrap_or_default(), out),
            "input_audio_buffer.commit" => self.commit_by_client(out),
            "input_audio_buffer.clear" => {
                let _ = self.listener.take_all();
                self.hearing = None;
                self.emit(json!({ "type": "input_audio_buffer.cleared" }), out);
                Ok(())
            }
            "response.create" => self.create_response(field("response"), out),
            "response.cancel" => self.cancel_by_client(field("response_id").as_str(), out),
            "conversation.item.create" => {
                let item = dialect::item_in(dialect, field("item"));
                self.create_item(&item, field("previous_item_id").as_str(), out)
            }
            "conversation.item.truncate" => self.truncate(event, out),
            "conversation.item.delete" => {
                self.delete_item(field("item_id").as_str().unwrap_or_default(), out)
            }
            _ => self.retrieve_item(field("item_id").as_str().unwrap_or_default(), out),
        }
    }

    fn update_session(&mut self, update: &Value, out: &mut Actions) -> Result<(), Refusal> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let hears = |session: &Session| (session.input_encoding(), session.input_rate());
        let before = hears(session);
        session.update(&session::as_far_as_spoken(update, self.settings.g711)?, self.has_spoken)?;
        let (encoding, rate) = hears(session);
        let event = json!({ "type": "session.updated", "session": session.json() });
        if (encoding, rate) != before {
            self.listener = Listener::new(rate);
            self.decoder = encoding.map(Decoder::new);
        }
        self.emit(event, out);
        self.list_tools(out);
        Ok(())
    }
}

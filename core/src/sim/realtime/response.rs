//! A response: its parts, one after the other, each in pieces over time.

use super::agent::{Answer, McpCall, Prompt, Speech};
use super::call::Call;
use super::conversation::Item;
use super::faults::End;
use super::mcp::{ToolCall, approval_request};
use super::session::Session;
use super::shape::Refusal;
use super::speech::Voice;
use super::usage::{Output, Tokens, text_tokens, usage};
use super::words::in_words;
use super::{Actions, Realtime};
use crate::format::MODEL_RATE;
use crate::time::{Duration, Instant};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

/// The most pieces in one step; a late driver gets the rest in the next.
pub(super) const MAX_PIECES_PER_STEP: usize = 8;
/// How long it takes from one part of a response to the next.
const BETWEEN_PARTS: Duration = Duration::from_millis(20);

/// The active response.
#[derive(Debug)]
pub(super) struct Responding {
    pub(super) id: String,
    metadata: Value,
    /// What went in, and how much of it was known.
    input: (Tokens, Tokens),
    output_so_far: Output,
    end: End,
    /// The items that are complete.
    output: Vec<Value>,
    /// The one that is being made.
    part: Option<Part>,
    /// Those that follow.
    waiting: VecDeque<Kind>,
    /// When its audio began, or will.
    begun: Instant,
    due: Instant,
}

impl Responding {
    /// When the next piece is due.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }
}

/// An item that is being made.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) place: Place,
    kind: Kind,
}

/// Where it stands.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) response_id: String,
    pub(super) item_id: String,
    previous_item_id: Option<String>,
    pub(super) output_index: usize,
}

/// What it is.
#[derive(Debug)]
pub(super) enum Kind {
    Voice(Voice),
    Call(Call),
    ToolCall(ToolCall),
    /// The question whether a tool may be called.
    Approval(McpCall),
}

impl Kind {
    fn item(&self, item_id: &str, status: &str) -> Value {
        match self {
            Self::Voice(voice) => voice.item(item_id, status),
            Self::Call(call) => call.item(item_id, status),
            Self::ToolCall(tool) => tool.item(item_id),
            Self::Approval(call) => approval_request(call, item_id),
        }
    }
}

impl Realtime {
    /// `response.create`.
    pub(super) fn create_response(&mut self, params: &Value, out: &mut Actions) -> Result<(), Refusal> {
        let instructions = params.get("instructions").and_then(Value::as_str);
        self.respond(instructions, params.get("metadata").unwrap_or(&Value::Null), out)
    }

    /// Lets the agent answer the last turn and what the client has told, or say something unasked.
    pub(super) fn respond(
        &mut self,
        instructions: Option<&str>,
        metadata: &Value,
        out: &mut Actions,
    ) -> Result<(), Refusal> {
        if let Some(responding) = &self.responding {
            let text = format!(
                "Conversation already has an active response in progress: {}. Wait until the response is \
                 finished before creating a new one.",
                responding.id
            );
            return Err(Refusal::new("conversation_already_has_active_response", text, None));
        }
        let approved: VecDeque<Kind> = self.mcp.approved.drain(..).map(Kind::ToolCall).collect();
        if !approved.is_empty() {
            let responding = self.begin(approved, metadata, End::completed(), None, out);
            self.go_on(responding, out);
            return Ok(());
        }
        let (turn, told) = (self.unanswered.take(), std::mem::take(&mut self.told));
        let heard_rate = self.listener.rate();
        let heard = turn.as_deref().map(|samples| (samples, heard_rate));
        let prompt = match heard {
            _ if instructions.is_some() => Prompt::Create { instructions },
            turn if !told.is_empty() => Prompt::Items { outputs: &told.outputs, texts: &told.texts, turn },
            Some((samples, rate)) => Prompt::Turn { samples, rate },
            None => Prompt::Create { instructions },
        };
        let answer = match self.next_answers.pop_front() {
            Some(answer) => answer,
            None => {
                self.agent.read(&self.items.iter().map(|item| in_words(&item.json)).collect::<Vec<_>>());
                self.agent.answer(prompt)
            }
        };
        if answer.says_nothing() {
            // The turn is still to be answered, should somebody ask for it.
            (self.unanswered, self.told) = (turn, told);
        }
        if answer == Answer::Nothing {
            return Ok(());
        }
        let limit = if let Answer::RateLimited { reset } = &answer { Some(*reset) } else { None };
        let (waiting, end) = self.parts(answer);
        let responding = self.begin(waiting, metadata, end, limit, out);
        self.go_on(responding, out);
        Ok(())
    }

    /// What a response is made of, and how it ends behind that.
    fn parts(&mut self, answer: Answer) -> (VecDeque<Kind>, End) {
        let failed = |code: &str| End::failed("server_error", code, "The response failed.");
        let end = match &answer {
            Answer::Failure { code } | Answer::Broken { code, .. } => failed(code),
            Answer::RateLimited { reset } => End::rate_limited(*reset),
            Answer::Incomplete { reason, .. } => End::incomplete(reason),
            Answer::Speech(_) | Answer::Calls { .. } | Answer::Mcp(_) | Answer::Nothing => End::completed(),
        };
        let parts = match answer {
            Answer::Failure { .. } | Answer::RateLimited { .. } | Answer::Nothing => VecDeque::new(),
            Answer::Incomplete { speech, .. } => {
                speech.into_iter().map(|speech| self.voice(speech)).collect()
            }
            Answer::Speech(speech) | Answer::Broken { speech, .. } => [self.voice(speech)].into(),
            Answer::Calls { speech, calls } => {
                let speech = speech.map(|speech| self.voice(speech));
                let calls = calls.into_iter().map(|call| Kind::Call(Call::new(call, self.id("call"))));
                speech.into_iter().chain(calls).collect()
            }
            Answer::Mcp(call) if self.asks_first(&call) => [Kind::Approval(call)].into(),
            Answer::Mcp(call) => [Kind::ToolCall(ToolCall::new(call, None))].into(),
        };
        (parts, end)
    }

    /// Tells that a response begins which has these parts.
    fn begin(
        &mut self,
        waiting: VecDeque<Kind>,
        metadata: &Value,
        end: End,
        limit: Option<Duration>,
        out: &mut Actions,
    ) -> Responding {
        self.idle_at = None;
        let begun = self.now + self.settings.latency;
        let responding = Responding {
            id: self.id("resp"),
            metadata: metadata.clone(),
            input: self.input_tokens(),
            output_so_far: Output::default(),
            end,
            output: Vec::new(),
            part: None,
            waiting,
            begun,
            due: begun,
        };
        let created = self.response(&responding, "in_progress", Value::Null, Value::Null);
        self.emit(json!({ "type": "response.created", "response": created }), out);
        self.tell_limits(limit, out);
        responding
    }

    fn voice(&self, speech: Speech) -> Kind {
        let encoding = self.session.as_ref().and_then(Session::output_encoding);
        let rate = self.session.as_ref().map_or(MODEL_RATE, Session::output_rate);
        Kind::Voice(Voice::new(speech, encoding, rate))
    }

    /// Begins the next part, or ends the response if there is none.
    fn go_on(&mut self, mut responding: Responding, out: &mut Actions) {
        let Some(kind) = responding.waiting.pop_front() else {
            let End { status, details } = core::mem::replace(&mut responding.end, End::completed());
            return self.end_response(&responding, status, details, out);
        };
        let mut place = Place {
            response_id: responding.id.clone(),
            item_id: self.id("item"),
            previous_item_id: None,
            output_index: responding.output.len(),
        };
        let item = kind.item(&place.item_id, "in_progress");
        let model_audio_ms = matches!(kind, Kind::Voice(_)).then_some(0);
        place.previous_item_id = self.remember(Item { model_audio_ms, ..Item::new(&place.item_id, &item) });
        self.emit_item(&place, "response.output_item.added", &item, out);
        let previous = &place.previous_item_id;
        self.emit(
            json!({ "type": "conversation.item.added", "previous_item_id": previous, "item": item }),
            out,
        );
        if let Kind::Voice(_) = kind {
            self.begin_voice(&place, out);
        }
        responding.part = Some(Part { place, kind });
        self.responding = Some(responding);
    }

    /// Sends the pieces that are due, and with the last one the end of the response.
    pub(super) fn speak(&mut self, out: &mut Actions) {
        for _ in 0..MAX_PIECES_PER_STEP {
            let Some(mut responding) = self.responding.take_if(|responding| responding.due <= self.now)
            else {
                return;
            };
            let pause = match &mut responding.part {
                Some(Part { place, kind: Kind::Voice(voice) }) => self.send_voice(place, voice, out),
                Some(Part { place, kind: Kind::Call(call) }) => self.send_call(place, call, out),
                Some(Part { place, kind: Kind::ToolCall(tool) }) => self.send_tool_call(place, tool, out),
                Some(Part { kind: Kind::Approval(_), .. }) | None => None,
            };
            if let Some(pause) = pause {
                responding.due = responding.due + pause;
                self.responding = Some(responding);
            } else {
                // What is cut short is so at the end of its last part.
                let is_last = responding.waiting.is_empty();
                let status =
                    if is_last && responding.end.status != "completed" { "incomplete" } else { "completed" };
                self.end_part(&mut responding, status, out);
                responding.due = responding.due + BETWEEN_PARTS;
                self.go_on(responding, out);
            }
        }
    }

    /// Ends the part that is being made, be it complete or not.
    fn end_part(&mut self, responding: &mut Responding, status: &str, out: &mut Actions) {
        let Some(Part { place, kind }) = responding.part.take() else { return };
        match &kind {
            Kind::Voice(voice) => {
                responding.output_so_far.spoken_ms += voice.sent_ms();
                self.end_voice(&place, voice, out);
            }
            Kind::Call(call) => self.end_call(&place, call, out),
            Kind::ToolCall(tool) => self.end_tool_call(&place, tool, out),
            Kind::Approval(call) => self.ask(&place.item_id, call.clone()),
        }
        let item = kind.item(&place.item_id, status);
        responding.output_so_far.text_tokens += text_tokens(&in_words(&item));
        if let Some(remembered) = self.item_mut(&place.item_id) {
            remembered.json = item.clone();
        }
        self.emit_item(&place, "response.output_item.done", &item, out);
        let previous = &place.previous_item_id;
        self.emit(
            json!({ "type": "conversation.item.done", "previous_item_id": previous, "item": item }),
            out,
        );
        responding.output.push(item);
    }

    fn end_response(&mut self, responding: &Responding, status: &str, details: Value, out: &mut Actions) {
        let usage = usage(responding.input, responding.output_so_far);
        let response = self.response(responding, status, details, usage);
        self.emit(json!({ "type": "response.done", "response": response }), out);
        // The caller has so much time from when the audio has been played, as far as a server can know.
        let played = responding.begun + Duration::from_millis(responding.output_so_far.spoken_ms);
        let timeout = self.session.as_ref().and_then(Session::idle_timeout_ms);
        self.idle_at = timeout.map(|timeout| self.now.max(played) + Duration::from_millis(timeout));
    }

    /// `response.cancel`.
    pub(super) fn cancel_by_client(&mut self, id: Option<&str>, out: &mut Actions) -> Result<(), Refusal> {
        let active =
            self.responding.as_ref().is_some_and(|responding| id.is_none_or(|id| id == responding.id));
        if !active {
            let text = "Cancellation failed: no active response found";
            return Err(Refusal::new("response_cancel_not_active", text, None));
        }
        self.interrupt("client_cancelled", out);
        Ok(())
    }

    /// Ends the active response, if there is one.
    pub(super) fn interrupt(&mut self, reason: &str, out: &mut Actions) {
        if let Some(mut responding) = self.responding.take() {
            self.end_part(&mut responding, "incomplete", out);
            let details = json!({ "type": "cancelled", "reason": reason });
            self.end_response(&responding, "cancelled", details, out);
        }
    }

    fn emit_item(&mut self, place: &Place, kind: &str, item: &Value, out: &mut Actions) {
        self.emit(
            json!({
                "type": kind, "response_id": place.response_id, "output_index": place.output_index, "item": item,
            }),
            out,
        );
    }

    /// An event about what is in an item.
    pub(super) fn emit_part(&mut self, place: &Place, kind: &str, fields: Value, out: &mut Actions) {
        let mut event = Map::new();
        event.insert("type".into(), kind.into());
        event.insert("response_id".into(), place.response_id.as_str().into());
        event.insert("item_id".into(), place.item_id.as_str().into());
        event.insert("output_index".into(), place.output_index.into());
        if let Value::Object(fields) = fields {
            event.extend(fields);
        }
        self.emit(event.into(), out);
    }

    fn response(&self, responding: &Responding, status: &str, details: Value, usage: Value) -> Value {
        json!({
            "id": responding.id,
            "object": "realtime.response",
            "status": status,
            "status_details": details,
            "output": responding.output,
            "conversation_id": self.conversation_id(),
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": self.session.as_ref().map(Session::response_audio),
            "metadata": responding.metadata,
            "usage": usage,
        })
    }
}

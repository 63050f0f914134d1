//! The conversation's items, and the turns that become items.

use super::listener::Noticed;
use super::shape::{Refusal, echo};
use super::{Actions, MAX_APPEND_BYTES, Realtime};
use crate::pcm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// How many items are remembered; the oldest go first.
const MAX_ITEMS: usize = 2000;
/// The least audio that a client may commit, in milliseconds.
const MIN_COMMIT_MS: u64 = 100;

/// An item as the server remembers it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) json: Value,
    /// How much audio of the model it has, in milliseconds; `None` if it is not of the model.
    pub(super) model_audio_ms: Option<u64>,
    /// How much audio of the caller it has, in milliseconds; `None` if it was not heard.
    pub(super) caller_audio_ms: Option<u64>,
}

impl Item {
    /// An item without audio.
    pub(super) fn new(id: &str, json: &Value) -> Self {
        Self { id: id.to_owned(), json: json.clone(), model_audio_ms: None, caller_audio_ms: None }
    }
}

/// What the client has put into the conversation since the last response.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What came of function calls: their ids and outputs.
    pub(super) outputs: Vec<(String, String)>,
    /// What the user wrote.
    pub(super) texts: Vec<String>,
}

impl Told {
    pub(super) fn is_empty(&self) -> bool {
        self.outputs.is_empty() && self.texts.is_empty()
    }

    fn note(&mut self, item: &Value) {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        match text("type").as_str() {
            "function_call_output" => self.outputs.push((text("call_id"), text("output"))),
            "message" if text("role") == "user" => {
                let parts = item.get("content").and_then(Value::as_array);
                let texts = parts.into_iter().flatten().filter_map(|part| part.get("text")?.as_str());
                self.texts.extend(texts.map(str::to_owned));
            }
            _ => {}
        }
    }
}

impl Realtime {
    /// Adds an item at the end and gives the id of the one before it.
    pub(super) fn remember(&mut self, item: Item) -> Option<String> {
        let previous = self.items.last().map(|item| item.id.clone());
        if self.items.len() >= MAX_ITEMS {
            self.items.remove(0);
        }
        self.items.push(item);
        previous
    }

    pub(super) fn item_mut(&mut self, id: &str) -> Option<&mut Item> {
        self.items.iter_mut().rev().find(|item| item.id == id)
    }

    /// `input_audio_buffer.append`: 16 bits little-endian at 24 kHz, or G.711 at 8 kHz.
    pub(super) fn append(&mut self, audio: &str, out: &mut Actions) -> Result<(), Refusal> {
        let bad = |text: &str| Err(Refusal::new("invalid_value", text, Some("audio")));
        if audio.len() > MAX_APPEND_BYTES {
            return bad("Invalid 'audio'. At most 15 MiB are taken at once.");
        }
        let Ok(bytes) = STANDARD.decode(audio) else {
            return bad("Invalid 'audio'. Expected base64-encoded audio bytes.");
        };
        let mut samples = Vec::with_capacity(bytes.len());
        match &mut self.decoder {
            Some(decoder) => decoder.decode(&bytes, &mut samples),
            None if bytes.len() % 2 != 0 => return bad("Invalid 'audio'. Half a sample at its end."),
            None => pcm::from_le_bytes(&bytes, &mut samples),
        }
        self.listener.append(&samples);
        self.listen(out);
        Ok(())
    }

    /// Looks for the beginning and the end of speech in what has come.
    fn listen(&mut self, out: &mut Actions) {
        let vad = self.session.as_ref().and_then(super::Session::vad);
        while let Some(noticed) = self.listener.notice(vad.as_ref()) {
            match noticed {
                Noticed::Started { audio_start_ms } => {
                    let item_id = self.id("item");
                    self.hearing = Some(item_id.clone());
                    let event = json!({
                        "type": "input_audio_buffer.speech_started",
                        "audio_start_ms": audio_start_ms,
                        "item_id": item_id,
                    });
                    self.emit(event, out);
                    if vad.is_some_and(|vad| vad.interrupt_response) {
                        self.interrupt("turn_detected", out);
                    }
                    self.idle_at = None;
                }
                Noticed::Stopped { audio_end_ms } => {
                    let item_id = self.hearing.clone().unwrap_or_default();
                    let event = json!({
                        "type": "input_audio_buffer.speech_stopped",
                        "audio_end_ms": audio_end_ms,
                        "item_id": item_id,
                    });
                    self.emit(event, out);
                    let turn = self.listener.take();
                    self.commit(turn, out);
                    if vad.is_some_and(|vad| vad.create_response) {
                        // Refused only while another response is active; then the turn stays unanswered.
                        let _ = self.respond(None, &Value::Null, out);
                    }
                }
            }
        }
    }

    /// Speaks to a caller that has been silent for too long: the silence becomes a turn, of which the agent need
    /// not know.
    pub(super) fn wake(&mut self, out: &mut Actions) {
        let due = self.idle_at.take_if(|at| *at <= self.now).is_some();
        let timeout = self.session.as_ref().and_then(super::Session::idle_timeout_ms);
        let Some(timeout) = timeout.filter(|_| due && self.responding.is_none()) else { return };
        let (item_id, end) = (self.id("item"), self.listener.position_ms());
        self.hearing = Some(item_id.clone());
        let event = json!({
            "type": "input_audio_buffer.timeout_triggered",
            "audio_start_ms": end.saturating_sub(timeout),
            "audio_end_ms": end,
            "item_id": item_id,
        });
        self.emit(event, out);
        let silence = self.listener.take_all();
        self.commit(silence, out);
        self.unanswered = None;
        // It can only be refused while another response is active.
        let _ = self.respond(None, &Value::Null, out);
    }

    /// `input_audio_buffer.commit`.
    pub(super) fn commit_by_client(&mut self, out: &mut Actions) -> Result<(), Refusal> {
        let buffered = self.listener.buffered_ms();
        if buffered < MIN_COMMIT_MS {
            let text = format!(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but \
                 buffer only has {buffered}.00ms of audio."
            );
            return Err(Refusal::new("input_audio_buffer_commit_empty", text, None));
        }
        let turn = self.listener.take_all();
        self.commit(turn, out);
        Ok(())
    }

    /// Makes an item of a turn.
    fn commit(&mut self, turn: Vec<i16>, out: &mut Actions) {
        let item_id = self.hearing.take().unwrap_or_else(|| self.id("item"));
        let item = json!({
            "id": item_id, "object": "realtime.item", "type": "message", "role": "user", "status": "completed",
            "content": [{ "type": "input_audio", "transcript": null }],
        });
        let rate = self.listener.rate();
        let seconds = turn.len() as f64 / f64::from(rate);
        let transcribes = self.session.as_ref().is_some_and(super::Session::transcribes);
        let transcript = transcribes.then(|| {
            let transcript = self.agent.write_down(&turn, rate);
            transcript.unwrap_or_else(|| "(The stand-in hears, but does not understand.)".to_owned())
        });
        let heard_ms = turn.len() as u64 * 1000 / u64::from(rate);
        self.unanswered = Some(turn);
        let mut remembered = Item::new(&item_id, &item);
        remembered.caller_audio_ms = Some(heard_ms);
        // Whoever reads the conversation later, reads this.
        if let Some(place) = remembered.json.pointer_mut("/content/0/transcript") {
            *place = transcript.as_deref().into();
        }
        let previous = self.remember(remembered);
        let event = json!({
            "type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": previous,
        });
        self.emit(event, out);
        self.added_and_done(&item, previous.as_deref(), out);
        if let Some(transcript) = transcript {
            let event = json!({
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": item_id,
                "content_index": 0,
                "transcript": transcript,
                "usage": { "type": "duration", "seconds": seconds },
            });
            self.emit(event, out);
        }
    }

    pub(super) fn added_and_done(&mut self, item: &Value, previous: Option<&str>, out: &mut Actions) {
        for kind in ["conversation.item.added", "conversation.item.done"] {
            self.emit(json!({ "type": kind, "item": item, "previous_item_id": previous }), out);
        }
    }

    /// `conversation.item.create`.
    pub(super) fn create_item(
        &mut self,
        item: &Value,
        after: Option<&str>,
        out: &mut Actions,
    ) -> Result<(), Refusal> {
        self.check_call_id(item)?;
        let at = match after {
            None => self.items.len(),
            Some("root") => 0,
            Some(after) => match self.items.iter().position(|item| item.id == after) {
                Some(at) => at + 1,
                None => return Err(not_found(after, "previous_item_id")),
            },
        };
        let id = match item.get("id").and_then(Value::as_str) {
            Some(id) if self.item_mut(id).is_some() => {
                let text = format!("Item with id '{id}' already exists.");
                return Err(Refusal::new("invalid_value", text, Some("item.id")));
            }
            Some(id) => id.to_owned(),
            None => self.id("item"),
        };
        let mut item = item.as_object().cloned().unwrap_or_default();
        item.insert("id".into(), id.as_str().into());
        if item.get("type").is_some_and(|kind| kind == "function_call") && !item.contains_key("call_id") {
            item.insert("call_id".into(), self.id("call").into());
        }
        // What concerns servers of tools has neither.
        if item.get("type").and_then(Value::as_str).is_some_and(|kind| !kind.starts_with("mcp_")) {
            item.insert("object".into(), "realtime.item".into());
            item.insert("status".into(), "completed".into());
        }
        let item = Value::Object(item);
        let previous = at.checked_sub(1).and_then(|at| self.items.get(at)).map(|item| item.id.clone());
        if self.items.len() >= MAX_ITEMS || self.told.outputs.len() + self.told.texts.len() >= MAX_ITEMS {
            return Err(Refusal::new("invalid_value", "Too many items.", Some("item")));
        }
        self.note_approval(&item)?;
        self.told.note(&item);
        self.items.insert(at, Item::new(&id, &item));
        self.added_and_done(&item, previous.as_deref(), out);
        if self.mcp.may_call() {
            // Refused only while another response is active; then the tool is called with the next one.
            let _ = self.respond(None, &Value::Null, out);
        }
        Ok(())
    }

    /// What came of a call can only be told of one that the conversation knows.
    fn check_call_id(&self, item: &Value) -> Result<(), Refusal> {
        let is = |item: &Value, kind: &str| item.get("type").is_some_and(|known| known == kind);
        let call_id = item.get("call_id");
        let called = |known: &Item| is(&known.json, "function_call") && known.json.get("call_id") == call_id;
        if !is(item, "function_call_output") || self.items.iter().any(called) {
            return Ok(());
        }
        let call_id = echo(call_id.and_then(Value::as_str).unwrap_or_default());
        let text = format!("Tool call ID '{call_id}' not found in conversation.");
        Err(Refusal::new("invalid_tool_call_id", text, None))
    }

    /// `conversation.item.truncate`: never past the audio that was sent.
    pub(super) fn truncate(&mut self, event: &Map<String, Value>, out: &mut Actions) -> Result<(), Refusal> {
        let id = event.get("item_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let content_index = event.get("content_index").and_then(Value::as_u64).unwrap_or_default();
        let audio_end = event.get("audio_end_ms").and_then(Value::as_u64).unwrap_or_default();
        let Some(item) = self.item_mut(&id) else { return Err(not_found(&id, "item_id")) };
        let Some(audio_ms) = item.model_audio_ms else {
            let text = "Only model output audio messages can be truncated";
            return Err(Refusal::new("unsupported_content_type", text, None));
        };
        if content_index != 0 {
            let text = format!("Invalid value for 'content_index': {content_index}.");
            return Err(Refusal::new("invalid_value", text, Some("content_index")));
        }
        if audio_end > audio_ms {
            let text = format!("Audio content of {audio_ms}ms is already shorter than {audio_end}ms");
            return Err(Refusal::new("invalid_value", text, None));
        }
        item.model_audio_ms = Some(audio_end);
        // What was not heard must not be read either.
        if let Some(part) = item.json.pointer_mut("/content/0").and_then(Value::as_object_mut) {
            part.remove("transcript");
        }
        let event = json!({
            "type": "conversation.item.truncated", "item_id": id, "content_index": 0, "audio_end_ms": audio_end,
        });
        self.emit(event, out);
        Ok(())
    }

    /// `conversation.item.delete`.
    pub(super) fn delete_item(&mut self, id: &str, out: &mut Actions) -> Result<(), Refusal> {
        let at = self.items.iter().position(|item| item.id == id).ok_or_else(|| not_found(id, "item_id"))?;
        self.items.remove(at);
        self.emit(json!({ "type": "conversation.item.deleted", "item_id": id }), out);
        Ok(())
    }

    /// `conversation.item.retrieve`; the audio itself is not kept.
    pub(super) fn retrieve_item(&mut self, id: &str, out: &mut Actions) -> Result<(), Refusal> {
        let item = self.item_mut(id).map(|item| item.json.clone()).ok_or_else(|| not_found(id, "item_id"))?;
        self.emit(json!({ "type": "conversation.item.retrieved", "item": item }), out);
        Ok(())
    }
}

fn not_found(id: &str, param: &str) -> Refusal {
    Refusal::new("item_not_found", format!("Item with item_id not found: {}", echo(id)), Some(param))
}

//! Sessions as a client sees them, in virtual time. Every event that comes is held against what its type needs.

use super::*;
use crate::format::MODEL_FRAME_SAMPLES;
use crate::pcm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

mod calls;
mod dialects;
mod faults;
mod items;
mod mcp;

/// What each event must have, beside `type` and `event_id`: `s`tring, `i`nteger, `o`bject, `a`rray.
const REQUIRED: &[(&str, &str)] = &[
    ("session.created", "session:o"),
    ("session.updated", "session:o"),
    ("conversation.created", "conversation:o"),
    ("conversation.item.added", "item:o"),
    ("conversation.item.done", "item:o"),
    ("conversation.item.deleted", "item_id:s"),
    ("conversation.item.retrieved", "item:o"),
    ("conversation.item.truncated", "audio_end_ms:i content_index:i item_id:s"),
    (
        "conversation.item.input_audio_transcription.completed",
        "content_index:i item_id:s transcript:s usage:o",
    ),
    ("error", "error:o"),
    ("input_audio_buffer.cleared", ""),
    ("input_audio_buffer.committed", "item_id:s"),
    ("input_audio_buffer.speech_started", "audio_start_ms:i item_id:s"),
    ("input_audio_buffer.timeout_triggered", "audio_end_ms:i audio_start_ms:i item_id:s"),
    ("input_audio_buffer.speech_stopped", "audio_end_ms:i item_id:s"),
    ("rate_limits.updated", "rate_limits:a"),
    ("response.created", "response:o"),
    ("response.done", "response:o"),
    ("response.function_call_arguments.delta", "call_id:s delta:s item_id:s output_index:i response_id:s"),
    (
        "response.function_call_arguments.done",
        "arguments:s call_id:s item_id:s name:s output_index:i response_id:s",
    ),
    ("mcp_list_tools.in_progress", "item_id:s"),
    ("mcp_list_tools.completed", "item_id:s"),
    ("response.mcp_call_arguments.delta", "delta:s item_id:s output_index:i response_id:s"),
    ("response.mcp_call_arguments.done", "arguments:s item_id:s output_index:i response_id:s"),
    ("response.mcp_call.in_progress", "item_id:s output_index:i"),
    ("response.mcp_call.completed", "item_id:s output_index:i"),
    ("response.mcp_call.failed", "item_id:s output_index:i"),
    ("response.output_item.added", "item:o output_index:i response_id:s"),
    ("response.output_item.done", "item:o output_index:i response_id:s"),
    ("response.content_part.added", "content_index:i item_id:s output_index:i part:o response_id:s"),
    ("response.content_part.done", "content_index:i item_id:s output_index:i part:o response_id:s"),
    ("response.output_audio.delta", "content_index:i delta:s item_id:s output_index:i response_id:s"),
    ("response.output_audio.done", "content_index:i item_id:s output_index:i response_id:s"),
    (
        "response.output_audio_transcript.delta",
        "content_index:i delta:s item_id:s output_index:i response_id:s",
    ),
    (
        "response.output_audio_transcript.done",
        "content_index:i item_id:s output_index:i response_id:s transcript:s",
    ),
];

fn check(event: &Value) {
    let kind = event["type"].as_str().unwrap();
    let (_, fields) = REQUIRED.iter().find(|(known, _)| *known == kind).unwrap_or_else(|| panic!("{event}"));
    for field in fields.split(' ').chain(["event_id:s"]).filter(|field| !field.is_empty()) {
        let (name, shape) = field.split_once(':').unwrap();
        let value = &event[name];
        let fits = match shape {
            "s" => value.is_string(),
            "i" => value.is_u64(),
            "o" => value.is_object(),
            _ => value.is_array(),
        };
        assert!(fits, "{name} of {event}");
    }
    for item in [&event["item"], &event["response"]["output"][0]].into_iter().filter(|item| item.is_object())
    {
        let needs: &[&str] = match item["type"].as_str().unwrap() {
            "message" => &["role", "content"],
            "function_call" => &["call_id", "name", "arguments", "status"],
            "function_call_output" => &["call_id", "output"],
            "mcp_list_tools" => &["server_label", "tools"],
            "mcp_call" | "mcp_approval_request" => &["id", "server_label", "name", "arguments"],
            "mcp_approval_response" => &["id", "approval_request_id", "approve"],
            other => panic!("{other}"),
        };
        assert!(needs.iter().all(|name| !item[name].is_null()), "{item}");
    }
    if kind == "error" {
        assert!(event["error"]["type"].is_string() && event["error"]["message"].is_string(), "{event}");
    }
}

/// A client.
struct Client {
    server: Realtime,
    now: Instant,
    next: Option<Instant>,
    out: Actions,
    events: Vec<Value>,
    closed: Option<(u16, String)>,
}

impl Client {
    fn connect(settings: Settings, agent: Box<dyn Agent>, key: &str, model: &str, beta: bool) -> Self {
        let mut client = Self {
            server: Realtime::new(settings, agent),
            now: Instant::START,
            next: None,
            out: Actions::new(),
            events: Vec::new(),
            closed: None,
        };
        let (target, authorization) = (format!("/v1/realtime?model={model}"), format!("Bearer {key}"));
        let authorization = Some(authorization.as_str());
        client.put(Input::Opened { target: &target, authorization, api_key: None, beta });
        client
    }

    fn open(agent: impl Agent + 'static) -> Self {
        let mut client =
            Self::connect(Settings::default(), Box::new(agent), "sk-sim", "gpt-realtime-2.1-mini", false);
        assert_eq!(client.told(), ["session.created", "conversation.created"]);
        client.send(json!({ "type": "session.update", "session": {
            "type": "realtime", "output_modalities": ["audio"], "instructions": "Repeat.",
            "audio": {
                "input": {
                    "format": { "type": "audio/pcm", "rate": 24000 },
                    "turn_detection": {
                        "type": "server_vad", "threshold": 0.35, "prefix_padding_ms": 300,
                        "silence_duration_ms": 500, "create_response": true, "interrupt_response": true,
                    },
                },
                "output": { "format": { "type": "audio/pcm", "rate": 24000 }, "voice": "marin" },
            },
        }}));
        assert_eq!(client.told(), ["session.updated"]);
        client
    }

    fn put(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_micros(10);
        self.out.clear();
        self.next = self.server.step(self.now, input, &mut self.out).deadline;
        assert!(self.next.is_none_or(|at| at > self.now), "a driver must not spin");
        for output in self.out.iter() {
            assert!(self.closed.is_none(), "a close is the last output");
            match output {
                Output::Send(text) => {
                    let event: Value = serde_json::from_str(self.out.text(text)).unwrap();
                    check(&event);
                    self.events.push(event);
                }
                Output::Close { code, reason } => {
                    self.closed = Some((code, self.out.text(reason).to_owned()))
                }
            }
        }
    }

    fn send(&mut self, event: Value) {
        self.put(Input::Message(event.to_string().as_bytes()));
    }

    /// Appends audio in pieces of 20 ms, in real time.
    fn say(&mut self, samples: &[i16]) {
        for frame in samples.chunks(MODEL_FRAME_SAMPLES) {
            self.append(frame);
            self.run(20);
        }
    }

    fn append(&mut self, samples: &[i16]) {
        let mut bytes = Vec::new();
        pcm::to_le_bytes(samples, &mut bytes);
        self.send(json!({ "type": "input_audio_buffer.append", "audio": STANDARD.encode(bytes) }));
    }

    fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.next.filter(|at| *at <= end) {
            self.now = self.now.max(at - Duration::from_micros(10));
            self.put(Input::Timer);
        }
        self.now = self.now.max(end);
    }

    fn told(&mut self) -> Vec<String> {
        self.events.drain(..).map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    fn first(&self, kind: &str) -> &Value {
        self.events.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind}"))
    }

    /// All audio of the deltas.
    fn spoken(&self) -> Vec<i16> {
        let mut samples = Vec::new();
        for event in self.events.iter().filter(|event| event["type"] == "response.output_audio.delta") {
            pcm::from_le_bytes(&STANDARD.decode(event["delta"].as_str().unwrap()).unwrap(), &mut samples);
        }
        samples
    }

    fn error(&mut self, event: Value) -> (String, String) {
        self.events.clear();
        self.send(event);
        let error = &self.first("error")["error"];
        (error["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
    }
}

/// Speech-like: loud, and no two milliseconds alike.
fn speech(millis: usize) -> Vec<i16> {
    (0..millis * 24).map(|n| ((n * 37 % 16_001) as i16) - 8_000).collect()
}

fn silence(millis: usize) -> Vec<i16> {
    vec![0; millis * 24]
}

#[test]
fn a_parrot_repeats_the_turn_to_the_sample() {
    let mut client = Client::open(Parrot::new());
    let audio = [silence(700), speech(1200), silence(1000)].concat();
    client.say(&audio);
    client.run(5000);
    let start = client.first("input_audio_buffer.speech_started")["audio_start_ms"].as_u64().unwrap();
    let end = client.first("input_audio_buffer.speech_stopped")["audio_end_ms"].as_u64().unwrap();
    assert_eq!((start, end), (400, 2400), "padding before, the silence that ended it after");
    assert_eq!(client.spoken(), audio[400 * 24..2400 * 24]);
    let usage = &client.first("response.done")["response"]["usage"];
    let audio = |side: &str| usage[format!("{side}_token_details")]["audio_tokens"].as_u64();
    assert_eq!((audio("input"), audio("output")), (Some(20), Some(40)));
    let mut told = client.told();
    told.dedup();
    assert_eq!(
        told,
        [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
    );
}

#[test]
fn audio_comes_faster_than_it_lasts_but_not_at_once() {
    let mut client = Client::open(Parrot::new());
    client.send(json!({ "type": "response.create", "response": { "instructions": "Greet." } }));
    assert!(client.spoken().is_empty(), "the agent thinks first");
    client.run(101);
    assert_eq!(client.spoken().len(), 200 * 24);
    client.run(100);
    assert_eq!(client.spoken().len(), 600 * 24, "four times as fast");
    client.run(400);
    assert_eq!(client.spoken(), two_tones());
    assert_eq!(client.events.last().unwrap()["response"]["status"], "completed");
}

#[test]
fn who_interrupts_is_listened_to() {
    let mut client = Client::open(Parrot::new());
    client.send(json!({ "type": "response.create" }));
    client.run(151);
    client.events.clear();
    client.append(&[speech(200), silence(20)].concat());
    assert_eq!(
        client.told(),
        [
            "input_audio_buffer.speech_started",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
    );
    client.run(1000);
    assert_eq!(client.told(), Vec::<String>::new(), "no delta comes late");
}

#[test]
fn an_interrupted_response_says_why_and_can_be_truncated_to_what_was_sent() {
    let mut client = Client::open(Parrot::new());
    client.send(json!({ "type": "response.create", "response": { "metadata": { "n": "1" } } }));
    client.run(151);
    let item = client.first("response.output_item.added")["item"]["id"].clone();
    let (code, message) = client.error(json!({ "type": "response.create" }));
    assert_eq!(code, "conversation_already_has_active_response");
    assert!(message.contains("Wait until the response is finished before creating a new one."));
    client.events.clear();
    client.send(json!({ "type": "response.cancel" }));
    let response = &client.first("response.done")["response"];
    assert_eq!(response["status_details"], json!({ "type": "cancelled", "reason": "client_cancelled" }));
    assert_eq!(
        (&response["output"][0]["status"], &response["metadata"]["n"]),
        (&"incomplete".into(), &"1".into())
    );

    let truncate = |ms: Value| json!({ "type": "conversation.item.truncate", "item_id": item, "content_index": 0, "audio_end_ms": ms });
    assert_eq!(
        client.error(truncate(401.into())),
        ("invalid_value".into(), "Audio content of 400ms is already shorter than 401ms".into())
    );
    assert_eq!(client.error(truncate(12.5.into())).0, "invalid_type");
    client.events.clear();
    client.send(truncate(180.into()));
    assert_eq!(client.first("conversation.item.truncated")["audio_end_ms"], 180);
    assert_eq!(client.error(truncate(181.into())).0, "invalid_value", "it is shorter now");
    client.events.clear();
    client.send(json!({ "type": "conversation.item.retrieve", "item_id": item }));
    assert!(client.first("conversation.item.retrieved")["item"]["content"][0].get("transcript").is_none());
}

#[test]
fn what_makes_no_sense_is_an_error_and_the_session_stays() {
    let mut client = Client::open(Parrot::new());
    for (event, code) in [
        (json!([]), "invalid_event"),
        (json!({ "no": "type" }), "missing_required_parameter"),
        (json!({ "type": "transcription_session.update" }), "invalid_value"),
        (json!({ "type": "response.create", "extra": 1 }), "unknown_parameter"),
        (json!({ "type": "response.create", "response": { "modalities": ["audio"] } }), "unknown_parameter"),
        (json!({ "type": "response.cancel" }), "response_cancel_not_active"),
        (json!({ "type": "input_audio_buffer.append" }), "missing_required_parameter"),
        (json!({ "type": "input_audio_buffer.append", "audio": "?" }), "invalid_value"),
        (json!({ "type": "input_audio_buffer.append", "audio": "AAAA" }), "invalid_value"),
        (json!({ "type": "input_audio_buffer.commit" }), "input_audio_buffer_commit_empty"),
        (json!({ "type": "conversation.item.delete", "item_id": "x" }), "item_not_found"),
        (
            json!({ "type": "conversation.item.create", "item": { "type": "message", "role": "user" } }),
            "missing_required_parameter",
        ),
        (
            json!({ "type": "conversation.item.create", "item": {
                "type": "message", "role": "user", "content": [{ "type": "text", "text": "beta" }]
            }}),
            "invalid_value",
        ),
    ] {
        assert_eq!(client.error(event.clone()).0, code, "{event}");
    }
    client.events.clear();
    client.send(json!({ "type": "input_audio_buffer.clear", "event_id": "mine", "x": 1 }));
    assert_eq!(client.first("error")["error"]["event_id"], "mine");
    client.put(Input::Message(b"\xFF\x00"));
    assert!(client.closed.is_none());
}

#[test]
fn items_are_made_shown_and_taken_away() {
    let mut client = Client::open(Parrot::new());
    client.send(json!({ "type": "conversation.item.create", "item": {
        "type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "mine"
    }}));
    client.send(json!({ "type": "conversation.item.create", "previous_item_id": "root", "item": {
        "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "Hello." }]
    }}));
    assert_eq!(client.events[2]["previous_item_id"], Value::Null);
    client.send(json!({ "type": "conversation.item.delete", "item_id": "mine" }));
    client.send(json!({ "type": "input_audio_buffer.clear" }));
    assert_eq!(client.told()[4..], ["conversation.item.deleted", "input_audio_buffer.cleared"]);
    let user = json!({ "type": "conversation.item.truncate", "item_id": "mine", "content_index": 0, "audio_end_ms": 1 });
    assert_eq!(client.error(user).0, "item_not_found");
}

#[test]
fn turns_can_be_made_by_hand_and_in_g711() {
    let mut client = Client::open(Parrot::new());
    client.send(json!({ "type": "session.update", "session": { "type": "realtime", "audio": {
        "input": {
            "turn_detection": null, "format": { "type": "audio/pcmu" },
            "transcription": { "model": "gpt-realtime-whisper" },
        },
        "output": { "format": { "type": "audio/pcmu" } },
    }}}));
    let payload: Vec<u8> = (0..8000u32).map(|n| (n * 7 % 255) as u8).filter(|b| *b != 0x7F).collect();
    client.send(json!({ "type": "input_audio_buffer.append", "audio": STANDARD.encode(&payload) }));
    client.send(json!({ "type": "input_audio_buffer.commit" }));
    client.send(json!({ "type": "response.create" }));
    client.run(3000);
    assert_eq!(client.first("conversation.item.input_audio_transcription.completed")["content_index"], 0);
    let deltas = client.events.iter().filter(|event| event["type"] == "response.output_audio.delta");
    let spoken: Vec<u8> =
        deltas.flat_map(|event| STANDARD.decode(event["delta"].as_str().unwrap()).unwrap()).collect();
    assert_eq!(spoken, payload, "byte for byte");
}

#[test]
fn a_failed_response_is_done_and_says_so() {
    let answer = Answer::Failure { code: "rate_limit_exceeded".into() };
    let mut client = Client::open(Script::new([answer]));
    client.send(json!({ "type": "response.create" }));
    let response = &client.first("response.done")["response"];
    assert_eq!(response["status"], "failed");
    assert_eq!(response["status_details"]["error"]["code"], "rate_limit_exceeded");
}

#[test]
fn who_is_not_let_in_is_told_by_the_close() {
    for (key, model, beta, code, reason) in [
        ("sk-wrong", "gpt-realtime-2.1-mini", false, 3000, "invalid_request_error.invalid_api_key"),
        ("sk-sim", "gpt-4o-realtime-preview", false, 4004, "invalid_request_error.model_not_found"),
        ("sk-sim-no-credit", "gpt-realtime-2.1-mini", false, 1013, "insufficient_quota.insufficient_quota"),
        ("sk-sim", "gpt-realtime-2.1-mini", true, 4000, "invalid_request_error.beta_api_shape_disabled"),
    ] {
        let mut client = Client::connect(Settings::default(), Box::new(Parrot::new()), key, model, beta);
        assert_eq!(client.closed.clone(), Some((code, reason.to_owned())));
        assert_eq!(client.told(), if beta { vec!["error"] } else { vec![] });
        client.send(json!({ "type": "response.create" }));
        assert!(client.events.is_empty() && client.next.is_none(), "after the close nothing is said");
    }
}

#[test]
fn a_session_ends_after_an_hour() {
    let mut client = Client::open(Parrot::new());
    client.run(3_600_000);
    assert_eq!(client.first("error")["error"]["code"], "session_expired");
    assert_eq!(client.closed.as_ref().map(|(code, _)| *code), Some(1001));
}

#[test]
fn a_late_driver_gets_the_audio_in_portions() {
    let samples = speech(60_000);
    let answer =
        Answer::Speech(Speech { samples: samples.clone(), rate: 24_000, transcript: "Long.".into() });
    let mut client = Client::open(Script::new([answer]));
    client.send(json!({ "type": "response.create" }));
    client.events.clear();
    client.now = client.now + Duration::from_secs(100);
    client.put(Input::Timer);
    assert_eq!(client.spoken().len(), response::MAX_PIECES_PER_STEP * 200 * 24);
    client.run(10);
    assert_eq!(client.spoken(), samples);
}

#[test]
fn a_caller_who_says_nothing_is_spoken_to() {
    let mut client = Client::open(Parrot::new());
    client.send(json!({ "type": "session.update", "session": { "type": "realtime", "audio": { "input": {
        "turn_detection": { "type": "server_vad", "idle_timeout_ms": 5000 },
    }}}}));
    client.say(&silence(6000));
    client.send(json!({ "type": "response.create" }));
    client.say(&silence(2000));
    client.events.clear();
    // The tones begin after 100 ms and last for 1200.
    client.say(&silence(4200));
    assert_eq!(client.told(), Vec::<String>::new());
    client.say(&silence(200));
    let timeout = client.first("input_audio_buffer.timeout_triggered");
    let span = |name: &str| timeout[name].as_u64().unwrap();
    assert_eq!(span("audio_end_ms") - span("audio_start_ms"), 5000);
    assert_eq!(client.first("input_audio_buffer.committed")["item_id"], timeout["item_id"]);
    client.say(&silence(1000));
    assert_eq!(client.spoken(), two_tones());
    client.say(&[silence(3000), speech(2000), silence(300)].concat());
    client.run(4000);
    let timeouts = client.told().iter().filter(|kind| kind.ends_with("timeout_triggered")).count();
    assert_eq!(timeouts, 1, "who speaks is not spoken to");
}

//! The stand-in in other dialects: what the bridge writes goes in, and what comes out has the names of the dialect.

use super::*;
use crate::format::ModelFormat;
use crate::realtime::{ClientEvent, ServerEvent, Turns};
use crate::settings::{Function, SessionSettings, Tool, Transcription};

/// A client of a server in this dialect that writes as the bridge does. What comes is not held against the GA
/// interface.
struct Foreign {
    server: Realtime,
    dialect: Dialect,
    now: Instant,
    events: Vec<Value>,
    closed: Option<u16>,
}

impl Foreign {
    fn connect(dialect: Dialect, authorization: Option<&str>, api_key: Option<&str>, beta: bool) -> Self {
        let settings = Settings { dialect, models: vec!["m".into()], ..Settings::default() };
        let server = Realtime::new(settings, Box::new(Parrot::new()));
        let mut client = Self { server, dialect, now: Instant::START, events: Vec::new(), closed: None };
        client.put(Input::Opened { target: "/v1/realtime?model=m", authorization, api_key, beta });
        client
    }

    fn open(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Azure => Self::connect(dialect, None, Some("sk-sim"), false),
            _ => Self::connect(dialect, Some("Bearer sk-sim"), None, dialect == Dialect::Beta),
        }
    }

    fn put(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_millis(20);
        let mut out = Actions::new();
        let _ = self.server.step(self.now, input, &mut out);
        for output in out.iter() {
            match output {
                Output::Send(text) => {
                    let text = out.text(text);
                    let read = self.dialect.read(text.as_bytes());
                    assert!(!matches!(read, None | Some(ServerEvent::Unknown)), "{text}");
                    self.events.push(serde_json::from_str(text).unwrap());
                }
                Output::Close { code, .. } => self.closed = Some(code),
            }
        }
    }

    fn write(&mut self, event: ClientEvent<'_>) {
        let mut out = Vec::new();
        self.dialect.write(event, 1, &mut out);
        self.put(Input::Message(&out));
    }

    fn update(&mut self, format: ModelFormat) {
        let settings = SessionSettings {
            dialect: self.dialect,
            speed: Some(1.25),
            instructions: Some("Be brief.".into()),
            transcription: Some(Transcription { model: "t".into(), language: None, prompt: None }),
            ..SessionSettings::default()
        };
        let tools = [Tool::Function(Function {
            name: "opening_hours".into(),
            description: "When the shop is open".into(),
            parameters: json!({ "type": "object", "properties": {} }),
        })];
        let turns = Turns { create_response: true, interrupt_response: true };
        self.write(ClientEvent::SessionUpdate { settings: &settings, tools: &tools, format, turns });
    }

    /// Appends audio in pieces of 20 ms.
    fn say(&mut self, samples: &[i16], rate: usize) {
        for piece in samples.chunks(rate / 50) {
            let (mut bytes, mut out) = (Vec::new(), Vec::new());
            pcm::to_le_bytes(piece, &mut bytes);
            self.dialect.write_append(&bytes, &mut out);
            self.put(Input::Message(&out));
        }
    }

    fn run(&mut self, millis: u64) {
        (0..millis / 20).for_each(|_| self.put(Input::Timer));
    }

    fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> = self.events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        kinds.dedup();
        kinds
    }

    fn first(&self, kind: &str) -> &Value {
        self.events.iter().find(|event| event["type"] == kind).unwrap_or_else(|| panic!("no {kind}"))
    }
}

#[test]
fn the_beta_has_a_flat_session_and_its_own_names() {
    let mut client = Foreign::open(Dialect::Beta);
    assert_eq!(client.first("session.created")["session"]["input_audio_format"], "pcm16");
    client.update(ModelFormat::Pcmu);
    let session = client.first("session.updated")["session"].clone();
    for (name, value) in [
        ("input_audio_format", json!("g711_ulaw")),
        ("output_audio_format", json!("g711_ulaw")),
        ("voice", json!("shimmer")),
        ("speed", json!(1.25)),
        ("instructions", json!("Be brief.")),
        ("modalities", json!(["text", "audio"])),
        ("input_audio_transcription", json!({ "model": "t" })),
        ("audio", Value::Null),
        ("type", Value::Null),
    ] {
        assert_eq!(session[name], value, "{name}");
    }
    assert_eq!(session["turn_detection"]["threshold"], 0.35);
    client.events.clear();
    client.write(ClientEvent::UserText { text: "*" });
    client.write(ClientEvent::ResponseCreate { instructions: Some("Greet.") });
    client.run(2000);
    assert_eq!(
        client.kinds(),
        [
            "conversation.item.created",
            "response.created",
            "rate_limits.updated",
            "response.output_item.added",
            "conversation.item.created",
            "response.content_part.added",
            "response.audio_transcript.delta",
            "response.audio.delta",
            "response.audio.done",
            "response.audio_transcript.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]
    );
    let response = &client.first("response.done")["response"];
    assert_eq!(response["metadata"]["ari_bridge"], "1");
    assert_eq!(response["output"][0]["content"][0]["type"], "audio");
    assert_eq!((&response["modalities"], &response["voice"]), (&json!(["text", "audio"]), &json!("shimmer")));
    assert!(response.get("audio").is_none() && response.get("output_modalities").is_none());
    // A field that is refused is refused by the name that the client knows it by.
    client.put(Input::Message(br#"{"type":"session.update","session":{"voice":"ash"}}"#));
    let error = &client.first("error")["error"];
    assert_eq!((&error["code"], &error["param"]), (&json!("cannot_update_voice"), &json!("session.voice")));
}

#[test]
fn qwen_hears_at_16_khz_and_speaks_at_24() {
    let mut client = Foreign::open(Dialect::Qwen);
    client.update(ModelFormat::Pcm24);
    let session = &client.first("session.updated")["session"];
    assert_eq!(
        (&session["input_audio_format"], &session["output_audio_format"]),
        (&json!("pcm"), &json!("pcm"))
    );
    assert_eq!(session["tools"][0]["name"], "opening_hours");
    let loud: Vec<i16> = (0..16 * 1200).map(|n| ((n * 37 % 16_001) as i16) - 8_000).collect();
    client.say(&[vec![0; 16 * 700], loud, vec![0; 16 * 1000]].concat(), 16_000);
    client.run(3000);
    assert_eq!(client.first("input_audio_buffer.speech_started")["audio_start_ms"], 400);
    assert_eq!(client.first("input_audio_buffer.speech_stopped")["audio_end_ms"], 2400);
    let deltas = client.events.iter().filter(|event| event["type"] == "response.audio.delta");
    let bytes: usize =
        deltas.map(|event| STANDARD.decode(event["delta"].as_str().unwrap()).unwrap().len()).sum();
    let end = 10 * 48; // The resampler gives out what it holds at the end.
    assert!((2000 * 48..2000 * 48 + end).contains(&bytes), "2 s, as they were heard: {bytes}");
}

#[test]
fn xai_begins_with_the_conversation_and_cannot_truncate() {
    let mut client = Foreign::open(Dialect::Xai);
    assert_eq!(client.kinds(), ["conversation.created"]);
    client.update(ModelFormat::Pcmu);
    let session = &client.first("session.updated")["session"];
    assert_eq!(
        (&session["voice"], &session["turn_detection"]["type"]),
        (&json!("shimmer"), &json!("server_vad"))
    );
    assert_eq!(session["audio"]["output"], json!({ "format": { "type": "audio/pcmu" }, "speed": 1.0 }));
    client.put(Input::Message(br#"{"type":"response.create","response":{"metadata":{"n":"1"}}}"#));
    client.run(2000);
    assert!(client.first("response.done")["response"].get("metadata").is_none());
    assert!(client.kinds().contains(&"response.output_audio.delta"));
    client.write(ClientEvent::Truncate { item_id: "i", content_index: 0, audio_end_ms: 1 });
    assert_eq!(client.first("error")["error"]["param"], "type");
}

#[test]
fn azures_key_has_a_header_of_its_own() {
    let (bearer, key) = (Some("Bearer sk-sim"), Some("sk-sim"));
    for (dialect, authorization, api_key, is_let_in) in [
        (Dialect::Azure, None, key, true),
        (Dialect::Azure, bearer, None, false),
        (Dialect::OpenAi, None, key, false),
        (Dialect::OpenAi, bearer, None, true),
    ] {
        let client = Foreign::connect(dialect, authorization, api_key, false);
        assert_eq!(client.closed, (!is_let_in).then_some(3000));
    }
    assert_eq!(Foreign::connect(Dialect::Azure, None, key, true).closed, Some(4000));
    let mut client = Foreign::open(Dialect::Azure);
    client.update(ModelFormat::Pcma);
    assert_eq!(client.first("session.updated")["session"]["audio"]["input"]["format"]["type"], "audio/pcma");
}

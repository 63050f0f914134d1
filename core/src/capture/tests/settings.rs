//! Settings are read as they were written, field by field and bit by bit.

use crate::call::{Call, Entry, Origin};
use crate::capture::{Capture, Log, open};
use crate::format::ModelFormat;
use crate::settings::*;
use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Every field is another than by default; without `..`, so that the compiler misses a new field.
fn call_settings() -> CallSettings {
    let mut prompts = Prompts::default();
    prompts.set(Prompt::Sorry, &[1, -2, i16::MIN, i16::MAX]);
    prompts.set(Prompt::Comfort, &[]);
    CallSettings {
        ari_app: "Ansage \u{1F4DE} \"\\\n".to_owned(),
        advertise_host: Some("192.0.2.9".to_owned()),
        rtp_source: RtpSource::Learn,
        // The nearest number to a tenth, and to a third, have no short decimal form.
        volume_boost: 0.1 + 0.2,
        echo_canceller: true,
        cushion: Duration::from_nanos(41_000_001),
        barge_in: BargeIn::Guarded,
        answer_within: Duration::from_millis(3001),
        max_call: Duration::MAX,
        idle: Some(Duration::from_secs(10)),
        hang_up: false,
        transfers: vec![Transfer {
            name: "operator".to_owned(),
            context: "c".to_owned(),
            extension: "e".to_owned(),
            priority: 2,
        }],
        tool_timeout: Duration::ZERO,
        keys: Keys { pause: Duration::from_millis(1), hot: vec![('0', 0), ('*', 7)] },
        recovery: Recovery { retry_for: Duration::ZERO, resume: Resume::Off, history_tokens: 1 },
        dead_air: DeadAir { after: None, steps: vec![DeadAirStep::Fallback, DeadAirStep::Ask] },
        failed_answer: FailedAnswer::Fallback,
        fallback: Fallback::Dialplan(Place {
            context: Some("c".to_owned()),
            extension: Some("e".to_owned()),
            priority: Some(3),
        }),
        prompts: Arc::new(prompts),
        prices: Some(Prices {
            text_in: 1,
            text_cached: 2,
            text_out: 3,
            audio_in: 4,
            audio_cached: 5,
            audio_out: u64::MAX,
        }),
        session: session_settings(),
    }
}

fn session_settings() -> SessionSettings {
    SessionSettings {
        dialect: Dialect::Qwen,
        audio_format: ModelFormat::Pcma,
        voice: "marin".to_owned(),
        speed: Some(1.0 / 3.0),
        instructions: Some("Be kind.".to_owned()),
        greeting: Some("Hello".to_owned()),
        adopted_greeting: Some("Again".to_owned()),
        turn_detection: TurnDetection::Server(ServerVad {
            threshold: 0.1 + 0.7,
            prefix_padding_ms: 1,
            silence_duration_ms: 2,
            idle_timeout_ms: Some(5000),
        }),
        interrupt_response: false,
        noise_reduction: Some(NoiseReduction::FarField),
        transcription: Some(Transcription {
            model: "w".to_owned(),
            language: Some("de".to_owned()),
            prompt: Some("names".to_owned()),
        }),
        tools: vec![
            Tool::Function(Function {
                name: "f".to_owned(),
                description: "d".to_owned(),
                parameters: serde_json::json!({
                    "type": "object",
                    "properties": { "z": { "maximum": 0.1 + 0.2 }, "a": { "const": u64::MAX } },
                }),
            }),
            Tool::Mcp(McpServer {
                label: "l".to_owned(),
                url: "https://mcp.example/".to_owned(),
                description: Some("d".to_owned()),
                allowed_tools: Some(vec!["t".to_owned()]),
                approval: Approval::Always,
            }),
        ],
        tool_choice: ToolChoice::Function("f".to_owned()),
        parallel_tool_calls: Some(false),
        max_output_tokens: Some(MaxOutputTokens::Tokens(7)),
        truncation: Some(Truncation::Retention { ratio: 0.7, post_instructions_tokens: Some(9) }),
        reasoning_effort: Some(ReasoningEffort::ExtraHigh),
        tracing: Some(Tracing::Named { workflow: "w".to_owned(), group: Some("g".to_owned()) }),
    }
}

fn switchboard_settings() -> SwitchboardSettings {
    SwitchboardSettings {
        ari_app: "other".to_owned(),
        max_calls: Some(7),
        ports: 9,
        adopt: false,
        drain: Duration::from_millis(1),
        fallback: Fallback::HangUp,
        breaker: Some(Breaker { calls: 9, wait: Duration::from_nanos(1) }),
        max_cost_per_day: Some(u64::MAX),
    }
}

/// The fields that are the same in both, by their paths.
fn same_fields(path: &str, one: &Value, other: &Value, same: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for (name, value) in one {
                let other = other.get(name).unwrap_or(&Value::Null);
                same_fields(&format!("{path}.{name}"), value, other, same);
            }
        }
        _ if one == other => same.push(path.to_owned()),
        _ => {}
    }
}

fn assert_another<T: Serialize + Default>(settings: &T) {
    let json = |settings: &T| serde_json::to_value(settings).unwrap();
    let mut same = Vec::new();
    same_fields("", &json(settings), &json(&T::default()), &mut same);
    // Half a second of something is also a whole number of seconds, and the other way round.
    same.retain(|path| !path.ends_with(".secs") && !path.ends_with(".nanos"));
    assert!(same.is_empty(), "as by default, and so not seen to be written: {same:?}");
}

/// What a capture that begins with these settings says of them.
fn read_back(settings: &CallSettings) -> CallSettings {
    let mut out = crate::call::Actions::new();
    let (log, ..) = Log::<Call>::begin(settings, super::start(), Instant::START, 8 << 20, &mut out);
    let bytes = log.finish();
    let Ok(Capture::Call(head, _)) = open(&bytes) else { panic!("it is of a call") };
    head.settings
}

fn through_json<T: Serialize + for<'de> Deserialize<'de>>(value: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(value).unwrap()).unwrap()
}

#[test]
fn the_settings_of_a_call_are_read_as_they_were() {
    let settings = call_settings();
    assert_another(&settings);
    let read = read_back(&settings);
    assert_eq!(read, settings);
    assert_eq!(read.volume_boost.to_bits(), settings.volume_boost.to_bits());
    assert_eq!(format!("{read:?}"), format!("{settings:?}"), "whatever is not compared");
    assert_eq!(read_back(&CallSettings::default()), CallSettings::default());
}

#[test]
fn the_settings_of_a_switchboard_are_read_as_they_were() {
    let settings = switchboard_settings();
    assert_another(&settings);
    assert_eq!(through_json(&settings), settings);
    let never = SwitchboardSettings { breaker: None, max_calls: None, ..SwitchboardSettings::default() };
    assert_eq!(through_json(&never), never);
}

#[test]
fn every_way_to_decide_something_is_read_as_it_was() {
    let mut settings = CallSettings::default();
    let mut same = |change: &dyn Fn(&mut CallSettings)| {
        change(&mut settings);
        assert_eq!(through_json(&settings), settings);
    };
    BargeIn::ALL.iter().for_each(|way| same(&|settings| settings.barge_in = *way));
    Resume::ALL.iter().for_each(|way| same(&|settings| settings.recovery.resume = *way));
    FailedAnswer::ALL.iter().for_each(|way| same(&|settings| settings.failed_answer = *way));
    DeadAirStep::ALL.iter().for_each(|way| same(&|settings| settings.dead_air.steps.push(*way)));
    Dialect::ALL.iter().for_each(|way| same(&|settings| settings.session.dialect = *way));
    NoiseReduction::ALL
        .iter()
        .for_each(|way| same(&|settings| settings.session.noise_reduction = Some(*way)));
    ReasoningEffort::ALL
        .iter()
        .for_each(|way| same(&|settings| settings.session.reasoning_effort = Some(*way)));
    for format in ModelFormat::ALL.into_iter().chain([ModelFormat::Pcm16]) {
        same(&|settings| settings.session.audio_format = format);
    }
    for eagerness in Eagerness::ALL {
        same(&|settings| settings.session.turn_detection = TurnDetection::Semantic { eagerness });
    }
    for choice in [ToolChoice::Auto, ToolChoice::None, ToolChoice::Required] {
        same(&|settings| settings.session.tool_choice = choice.clone());
    }
    for truncation in [Truncation::Auto, Truncation::Disabled] {
        same(&|settings| settings.session.truncation = Some(truncation));
    }
    same(&|settings| settings.session.max_output_tokens = Some(MaxOutputTokens::Unlimited));
    same(&|settings| settings.session.tracing = Some(Tracing::Auto));
    same(&|settings| settings.fallback = Fallback::HangUp);
    for format in crate::format::MediaFormat::ALL {
        let plan = MediaPlan { transport: Transport::Rtp, format };
        assert_eq!(through_json(&plan), plan);
    }
    for entry in [Entry::Arrived, Entry::Adopted] {
        assert_eq!(through_json(&entry), entry);
    }
}

#[test]
fn a_field_that_a_capture_does_not_have_is_as_by_default() {
    let older: CallSettings = serde_json::from_str(r#"{"hang_up":false,"session":{"voice":"ash"}}"#).unwrap();
    let session = SessionSettings { voice: "ash".to_owned(), ..SessionSettings::default() };
    assert_eq!(older, CallSettings { hang_up: false, session, ..CallSettings::default() });
}

#[test]
fn how_a_call_was_adopted_is_read_as_it_was() {
    let start =
        crate::call::Start { origin: Origin::Adopted { channel: b"{}" }, caller_tag: None, ..super::start() };
    let mut out = crate::call::Actions::new();
    let (log, ..) = Log::<Call>::begin(&CallSettings::default(), start, Instant::START, 1 << 20, &mut out);
    let bytes = log.finish();
    let Ok(Capture::Call(head, _)) = open(&bytes) else { panic!("it is of a call") };
    assert_eq!(format!("{:?}", head.start()), format!("{start:?}"));
}

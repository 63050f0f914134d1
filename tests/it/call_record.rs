//! The record of a call, from stories in virtual time, held against its JSON Schema.

use ari_bridge_core::call::{Actions, EndReason, Origin, Outcome, Record};
use ari_bridge_core::fault::IoFault;
use ari_bridge_core::format::MediaFormat;
use ari_bridge_core::id::{CallId, IdPrefix, InstanceNonce};
use ari_bridge_core::observe::{Label, Observation, Recovery, RtpDrop, ToolFault, Usage, UsageKind};
use ari_bridge_core::record::{CallRecord, Recorder, Texts};
use ari_bridge_core::settings::{
    CallSettings, DeadAirStep, Function, MediaPlan, Prompt, SessionSettings, Tool, Transcription,
};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::sim::realtime::{self, Agent, Answer, FunctionCall, Speech, two_tones};
use ari_bridge_core::time::{Duration, Instant, UtcNanos};
use ari_bridge_tests::json_schema;
use ari_bridge_tests::scene::{Line, Performance, Scene, Stage};
use ari_bridge_tests::speech::utterance;
use serde_json::{Value, json};
use std::sync::LazyLock;

const SECOND: Duration = Duration::from_secs(1);
const ID: IdPrefix = IdPrefix { nonce: InstanceNonce::new(0x5ce0e), call: CallId(1) };
const START: &str = r#"{"type":"StasisStart","args":["+4930123456","100"],
    "channel":{"id":"1","name":"PJSIP/trunk-1","state":"Ring","caller":{"number":"+4930123456"}}}"#;

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../core/call-record.schema.json")).expect("JSON"));

/// The record and its line as JSON, both held against the schema.
fn checked(record: &CallRecord) -> [Value; 2] {
    [record.file(), record.line()].map(|text| {
        let value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json_schema::check(&SCHEMA, &value), Ok(()), "{text}");
        value
    })
}

fn recorder() -> Recorder {
    Recorder::new(
        ID,
        UtcNanos(1_795_346_951_573_000_000),
        &Origin::Arrived { event: START.as_bytes() },
        Texts::Kept,
    )
}

fn outcome(ended: EndReason) -> Outcome {
    Outcome { ended, answered: true, duration: Duration::from_secs(60), left_behind: false }
}

/// Shows a recorder all that a scene of one call told.
fn recorded(scene: &Scene) -> CallRecord {
    let mut recorder = recorder();
    let (mut said, mut observations) = (scene.said.iter(), scene.observations.iter().peekable());
    for (at, line) in &scene.record {
        // A call is recorded before it is observed what becomes of it; its answer behind that.
        let is_behind = matches!(line, Line::Returned(..));
        let before = |when: Instant| when < *at || (is_behind && when == *at);
        while let Some((when, observation)) = observations.next_if(|(when, _)| before(*when)) {
            recorder.observe(*when, observation);
        }
        let mut out = Actions::new();
        let mut put = |text: &str| out.put(text.as_bytes());
        let record = match line {
            Line::Caller(text) => Record::CallerSaid { item_id: put(""), text: put(text) },
            Line::Keys(keys) => Record::CallerKeyed { keys: put(keys) },
            Line::Called(name, arguments) => {
                Record::Called { call_id: put(name), name: put(name), arguments: put(arguments) }
            }
            Line::Returned(name, output) => {
                Record::Returned { call_id: put(name), name: put(name), output: put(output) }
            }
            Line::Answered(caller, response, agent, latency) => Record::Answered {
                caller_item: put(caller),
                response_id: put(response),
                agent_item: put(agent),
                latency: *latency,
            },
            Line::Agent(text) => {
                let said = said.next().expect("what was said beside what was heard");
                Record::AgentSaid {
                    item_id: put(&said.item_id),
                    content_index: 0,
                    text: put(text),
                    said: put(&said.said),
                    heard_ms: said.heard_ms,
                    received_ms: said.received_ms,
                }
            }
        };
        recorder.record(*at, &record, &out);
    }
    observations.for_each(|(when, observation)| recorder.observe(*when, observation));
    recorder.finish(&scene.outcomes[0])
}

/// An agent that looks something up, and then says what it has found.
#[derive(Debug)]
struct Clerk {
    has_looked: bool,
}

impl Agent for Clerk {
    fn answer(&mut self, _: realtime::Prompt<'_>) -> Answer {
        if !std::mem::replace(&mut self.has_looked, true) {
            let look_up = FunctionCall { name: "look_up".into(), arguments: r#"{"what":"hours"}"#.into() };
            return Answer::Calls { speech: None, calls: vec![look_up] };
        }
        let transcript = "We are open from nine to five, and on Sundays from ten to noon.".into();
        Answer::Speech(Speech { samples: two_tones().repeat(3), rate: 24_000, transcript })
    }

    fn write_down(&mut self, _: &[i16], _: u32) -> Option<String> {
        Some("When are you open?".into())
    }
}

fn stage() -> Stage {
    let look_up = Function {
        name: "look_up".into(),
        description: "Looks something up".into(),
        parameters: json!({ "type": "object" }),
    };
    let session = SessionSettings {
        tools: vec![Tool::Function(look_up)],
        transcription: Some(Transcription { model: "whisper-1".into(), language: None, prompt: None }),
        ..SessionSettings::default()
    };
    let found = Performance {
        name: "look_up",
        after: Duration::from_millis(300),
        reply: Ok((200, r#"{"open":"nine to five"}"#)),
    };
    Stage {
        call: CallSettings { session, volume_boost: 1.0, ..CallSettings::default() },
        media: MediaPlan { format: MediaFormat::G722, ..MediaPlan::default() },
        agent: Some(Box::new(Clerk { has_looked: false })),
        functions: vec![found],
        ..Stage::default()
    }
}

#[test]
fn a_conversation_is_told_in_its_order_with_what_was_heard_of_it() {
    let mut scene = Scene::new(stage());
    scene.dial(1, &utterance(1, 1.0));
    scene.run_until("answered", SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    scene.run_for(SECOND / 5);
    scene.speak(1);
    scene.run_until("the agent speaks", 8 * SECOND, |scene| {
        scene.saw(|o| matches!(o, Observation::FirstAudio(_)) || matches!(o, Observation::ToolDone { .. }))
    });
    scene.run_for(2 * SECOND);
    // Into the agent's words.
    scene.press(1, "4711#");
    scene.run_for(8 * SECOND);
    scene.hang_up(1);
    scene.run_until("the end", 8 * SECOND, |scene| !scene.outcomes.is_empty());

    let [record, line] = checked(&recorded(&scene));
    let told: Vec<_> = record["turns"].as_array().expect("turns").iter().collect();
    let whos: Vec<_> = told.iter().map(|turn| turn["who"].as_str().expect("who")).collect();
    assert_eq!(whos, ["caller", "tool", "agent", "keys", "agent"], "{record:#}");
    assert_eq!((&told[1]["name"], &told[1]["result"]), (&json!("look_up"), &json!("done")));
    assert!((300..320).contains(&told[1]["duration_ms"].as_u64().expect("a duration")), "{}", told[1]);
    assert!(told[2]["interrupted"] == true && told[4]["interrupted"] == false, "{record:#}");
    assert!(told[2]["chars"].as_u64() < told[2]["said_chars"].as_u64(), "{}", told[2]);
    assert_eq!(told[3]["keys"], "4711");
    assert_eq!((&record["outcome"]["reason"], &record["barge_ins"]), (&json!("caller_hung_up"), &json!(1)));
    assert_eq!(
        record["counts"],
        json!({ "caller_turns": 1, "agent_turns": 2, "key_entries": 1, "tool_calls": 1 })
    );
    for private in ["open", "hours", "nine", "4711", "4930"] {
        assert!(!line.to_string().contains(private), "{private} in {line}");
    }
}

/// Records of many shapes: what can be there, and what need not be.
fn shapes() -> Vec<CallRecord> {
    let label = Label::new;
    let mut usage = Usage::default();
    UsageKind::ALL.into_iter().for_each(|kind| usage.add(kind, 7));
    let wait = Duration::from_millis(10);
    let mut observations = vec![
        Observation::SessionReady { after: wait },
        Observation::Answered { after: wait },
        Observation::SpeechStopped,
        Observation::BargeIn { heard_ms: 1, dropped_ms: 2 },
        Observation::Used { usage, cost: Some(1_234_567) },
        Observation::RtpDropped(RtpDrop::Late),
        Observation::RtpLost { packets: 2 },
        Observation::Concealed { millis: 20 },
        Observation::PlayoutLate { slots: 1 },
        Observation::PlayoutFull { dropped_ms: 20 },
        Observation::RealtimeError { code: label("rate_limit_exceeded"), param: label("") },
        Observation::RealtimeError { code: label(""), param: label("") },
        Observation::RealtimeDown {
            code: label("session_expired"),
            close: Some(1001),
            http_status: None,
            fault: None,
        },
        Observation::RealtimeDown { code: label(""), close: None, http_status: Some(503), fault: None },
        Observation::ResponseDone { status: label("failed"), detail: label("server_error") },
        Observation::TranscriptFailed { code: label("x") },
        Observation::AriRefused { what: "answer the caller", status: 404 },
        Observation::AriNoReply { what: "answer the caller", fault: IoFault::TimedOut },
        Observation::MediaDown { fault: IoFault::NoPort },
        Observation::Recovery(Recovery::Resumed { after: wait, items: 3 }),
        Observation::Recovery(Recovery::Renewed { items: 3 }),
        Observation::ToolRefused { why: ToolFault::Unknown },
    ];
    observations.extend(DeadAirStep::ALL.map(|step| Observation::Recovery(Recovery::DeadAir { step })));
    observations.extend(Prompt::ALL.map(|prompt| Observation::Recovery(Recovery::Prompt(prompt))));
    let mut eventful = recorder();
    let mut out = Actions::new();
    let text = out.put("äöü \"quoted\"\n".as_bytes());
    let latency = ari_bridge_core::observe::TurnLatency::default();
    let records = [
        Record::CallerSaid { item_id: text, text },
        Record::CallerKeyed { keys: text },
        Record::Called { call_id: text, name: text, arguments: text },
        Record::Returned { call_id: text, name: text, output: text },
        Record::Called { call_id: text, name: text, arguments: text },
        Record::Answered { caller_item: text, response_id: text, agent_item: text, latency },
        Record::AgentSaid { item_id: text, content_index: 0, text, said: text, heard_ms: 5, received_ms: 5 },
    ];
    for (n, record) in (0..).zip(&records) {
        eventful.record(Instant::from_millis(n), record, &out);
    }
    for (n, observation) in (0..).zip(&observations) {
        eventful.observe(Instant::from_millis(n), observation);
    }
    let nobody = Recorder::new(ID, UtcNanos(0), &Origin::Arrived { event: b"not an event" }, Texts::Counted);
    let mut shapes = vec![eventful.finish(&outcome(EndReason::CallerHungUp)), nobody.panicked()];
    shapes.extend(EndReason::ALL.map(|reason| recorder().finish(&outcome(reason))));
    shapes
}

#[test]
fn records_of_every_shape_are_as_the_schema_says() {
    for shape in shapes() {
        checked(&shape);
    }
}

#[test]
fn a_record_that_is_broken_is_not() {
    let [good, _] = checked(&shapes()[0]);
    type Break = fn(&mut Value);
    let breaks: [(&str, Break); 14] = [
        ("another version", |record| record["version"] = json!(2)),
        ("a field more", |record| record["more"] = json!(1)),
        ("a field more within", |record| record["media"]["more"] = json!(1)),
        ("a field less", |record| drop(record.as_object_mut().expect("an object").remove("turns"))),
        ("a field less within", |record| {
            drop(record["usage"].as_object_mut().expect("one").remove("text_in"))
        }),
        ("null for what is not there", |record| record["from"] = Value::Null),
        ("a number for a text", |record| record["call_id"] = json!(17)),
        ("a text for a number", |record| record["duration_ms"] = json!("60000")),
        ("a fraction of a count", |record| record["barge_ins"] = json!(1.5)),
        ("less than nothing", |record| record["barge_ins"] = json!(-1)),
        ("a time that is none", |record| record["ended_utc"] = json!("2026-11-22 11:29")),
        ("a reason that is none", |record| record["outcome"]["reason"] = json!("bored")),
        ("a turn of nobody", |record| record["turns"][0]["who"] = json!("somebody")),
        ("a turn with another's field", |record| record["turns"][0]["count"] = json!(1)),
    ];
    for (what, break_it) in breaks {
        let mut record = good.clone();
        break_it(&mut record);
        assert!(json_schema::check(&SCHEMA, &record).is_err(), "{what} passes");
    }
}

//! What stands in a record, and what never stands in a line of the log.

use super::*;
use crate::call::{EndReason, Origin, Span};
use crate::fault::IoFault;
use crate::id::{CallId, InstanceNonce};
use crate::observe::{Label, Observation, Recovery, RtpDrop, ToolFault};
use crate::settings::{DeadAirStep, Prompt};
use proptest::prelude::*;
use serde_json::{Value, json};

const ID: IdPrefix = IdPrefix { nonce: InstanceNonce::new(0xBEEF), call: CallId(17) };
/// 2026-11-22T11:29:11.573Z
const BEGUN: UtcNanos = UtcNanos(1_795_346_951_573_000_000);
const START: &str = r#"{"type":"StasisStart","args":["4930123456","4940765432"],
    "channel":{"id":"1795346951.0","name":"PJSIP/trunk-00000001","state":"Ring","caller":{"number":"+4930123456"}}}"#;

/// A call that is being recorded.
struct Tape {
    recorder: Recorder,
    out: Actions,
}

impl Tape {
    fn new() -> Self {
        Self::of(START, Texts::Kept)
    }

    fn of(event: &str, texts: Texts) -> Self {
        Self {
            recorder: Recorder::new(ID, BEGUN, &Origin::Arrived { event: event.as_bytes() }, texts),
            out: Actions::new(),
        }
    }

    fn observe(&mut self, at_ms: u64, observation: Observation) {
        self.recorder.observe(Instant::from_millis(at_ms), &observation);
    }

    fn recover(&mut self, recovery: Recovery) {
        self.observe(1000, Observation::Recovery(recovery));
    }

    fn record<const N: usize>(
        &mut self,
        at_ms: u64,
        texts: [&str; N],
        record: impl FnOnce([Span; N]) -> Record,
    ) {
        self.out.clear();
        let spans = texts.map(|text| self.out.put(text.as_bytes()));
        self.recorder.record(Instant::from_millis(at_ms), &record(spans), &self.out);
    }

    fn caller(&mut self, at_ms: u64, item: &str, text: &str) {
        self.record(at_ms, [item, text], |[item_id, text]| Record::CallerSaid { item_id, text });
    }

    fn keys(&mut self, at_ms: u64, keys: &str) {
        self.record(at_ms, [keys], |[keys]| Record::CallerKeyed { keys });
    }

    /// A call that is named after its function.
    fn called(&mut self, at_ms: u64, name: &str, arguments: &str) {
        self.called_as(name, at_ms, name, arguments);
    }

    fn called_as(&mut self, call_id: &str, at_ms: u64, name: &str, arguments: &str) {
        self.record(at_ms, [call_id, name, arguments], |[call_id, name, arguments]| Record::Called {
            call_id,
            name,
            arguments,
        });
    }

    fn returned(&mut self, at_ms: u64, name: &str, output: &str) {
        self.returned_to(name, at_ms, name, output);
    }

    fn returned_to(&mut self, call_id: &str, at_ms: u64, name: &str, output: &str) {
        self.record(at_ms, [call_id, name, output], |[call_id, name, output]| Record::Returned {
            call_id,
            name,
            output,
        });
    }

    /// The item begins to be heard, 800 ms after the turn ended.
    fn answers(&mut self, at_ms: u64, caller_item: &str, agent_item: &str) {
        let latency = TurnLatency {
            created: Some(Duration::from_millis(250)),
            first_delta: Duration::from_millis(700),
            first_packet: Duration::from_millis(800),
        };
        self.record(at_ms, [caller_item, "resp_1", agent_item], |[caller_item, response_id, agent_item]| {
            Record::Answered { caller_item, response_id, agent_item, latency }
        });
    }

    fn agent(&mut self, at_ms: u64, item: &str, [text, said]: [&str; 2], heard_ms: u64, received_ms: u64) {
        self.record(at_ms, [item, text, said], |[item_id, text, said]| Record::AgentSaid {
            item_id,
            content_index: 0,
            text,
            said,
            heard_ms,
            received_ms,
        });
    }

    fn finish(self) -> CallRecord {
        self.recorder.finish(&Outcome {
            ended: EndReason::CallerHungUp,
            answered: true,
            duration: Duration::from_millis(61_500),
            left_behind: false,
        })
    }
}

fn value(record: &CallRecord) -> Value {
    serde_json::from_str(&record.file()).unwrap()
}

/// The turns as JSON.
fn turns(tape: Tape) -> Value {
    value(&tape.finish())["turns"].take()
}

/// A call with something of everything in it.
fn eventful() -> Tape {
    let mut tape = Tape::new();
    tape.observe(300, Observation::SessionReady { after: Duration::from_millis(300) });
    tape.observe(500, Observation::Answered { after: Duration::from_millis(500) });
    tape.agent(2500, "item_0", ["Good morning.", "Good morning."], 1200, 1200);
    tape.observe(5000, Observation::SpeechStopped);
    tape.answers(5800, "item_1", "item_2");
    tape.caller(5900, "item_1", "When are you open?");
    tape.called(6000, "look_up", r#"{"what":"hours"}"#);
    tape.observe(6000, Observation::ToolCalled { name: Label::new("look_up") });
    tape.observe(
        6400,
        Observation::ToolDone { name: Label::new("look_up"), after: Duration::from_millis(400) },
    );
    tape.returned(6400, "look_up", r#"{"open":"nine to five"}"#);
    tape.keys(7000, "1203 #");
    tape.observe(7800, Observation::BargeIn { heard_ms: 2000, dropped_ms: 3000 });
    tape.agent(7800, "item_2", ["We are open from", "We are open from nine to five."], 2000, 5000);
    tape
}

#[test]
fn the_turns_stand_in_the_order_in_which_they_happened() {
    assert_eq!(
        turns(eventful()),
        json!([
            { "who": "agent", "at_ms": 1300, "text": "Good morning.", "chars": 13, "heard_ms": 1200,
                "received_ms": 1200, "interrupted": false },
            { "who": "caller", "at_ms": 5000, "text": "When are you open?", "chars": 18 },
            { "who": "agent", "at_ms": 5800, "text": "We are open from", "chars": 16,
                "said": "We are open from nine to five.", "said_chars": 30, "heard_ms": 2000, "received_ms": 5000,
                "interrupted": true, "latency": { "begun_ms": 250, "first_audio_ms": 700, "heard_ms": 800 } },
            { "who": "tool", "at_ms": 6000, "name": "look_up", "arguments": "{\"what\":\"hours\"}",
                "arguments_chars": 16, "output": "{\"open\":\"nine to five\"}", "output_chars": 23,
                "duration_ms": 400, "result": "done" },
            { "who": "keys", "at_ms": 7000, "keys": "1203 #", "count": 5 },
        ])
    );
}

#[test]
fn times_ends_and_sums_are_told() {
    let record = value(&eventful().finish());
    for (field, expected) in [
        ("version", json!(1)),
        ("masked", json!(false)),
        ("truncated", json!(false)),
        ("call_id", json!("arib0000beef-17")),
        ("from", json!("+4930123456")),
        ("to", json!("4940765432")),
        ("adopted", json!(false)),
        ("begun_utc", json!("2026-11-22T11:29:11.573Z")),
        ("answered_utc", json!("2026-11-22T11:29:12.073Z")),
        ("ended_utc", json!("2026-11-22T11:30:13.073Z")),
        ("duration_ms", json!(61_500)),
        ("outcome", json!({ "reason": "caller_hung_up", "answered": true, "left_behind": false })),
        ("counts", json!({ "caller_turns": 1, "agent_turns": 2, "key_entries": 1, "tool_calls": 1 })),
        ("latency", json!({ "count": 1, "median_ms": 800, "p95_ms": 800, "max_ms": 800 })),
        ("barge_ins", json!(1)),
    ] {
        assert_eq!(record[field], expected, "{field}");
    }
    assert_eq!(record.get("cost_usd"), None, "nobody knows the prices");
}

#[test]
fn a_caller_who_was_taken_on_again_is_recorded_as_such_with_the_numbers_that_the_channel_shows() {
    let channel = br#"{"id":"1.2","state":"Up","caller":{"number":"+4930123456"},
        "dialplan":{"app_name":"Stasis","app_data":"voice-agent,4930123456,4940765432"}}"#;
    let origin = Origin::Adopted { channel };
    let outcome = Outcome {
        ended: EndReason::CallerHungUp,
        answered: true,
        duration: Duration::ZERO,
        left_behind: false,
    };
    let record = value(&Recorder::new(ID, BEGUN, &origin, Texts::Kept).finish(&outcome));
    assert_eq!(record["adopted"], json!(true));
    assert_eq!((&record["from"], &record["to"]), (&json!("+4930123456"), &json!("4940765432")));
}

#[test]
fn the_line_tells_how_it_was_and_nothing_of_what_was_said() {
    let line = eventful().finish().line();
    assert!(!line.contains('\n'));
    for private in ["morning", "open", "hours", "nine", "1203", "4930", "3456", "7654"] {
        assert!(!line.contains(private), "{private} in {line}");
    }
    let masked: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&masked["from"], &masked["to"], &masked["masked"]),
        (&json!("…56"), &json!("…32"), &json!(true))
    );
    assert_eq!(
        masked["turns"],
        json!([
            { "who": "agent", "at_ms": 1300, "chars": 13, "heard_ms": 1200, "received_ms": 1200, "interrupted": false },
            { "who": "caller", "at_ms": 5000, "chars": 18 },
            { "who": "agent", "at_ms": 5800, "chars": 16, "said_chars": 30, "heard_ms": 2000, "received_ms": 5000,
                "interrupted": true, "latency": { "begun_ms": 250, "first_audio_ms": 700, "heard_ms": 800 } },
            { "who": "tool", "at_ms": 6000, "name": "look_up", "arguments_chars": 16, "output_chars": 23,
                "duration_ms": 400, "result": "done" },
            { "who": "keys", "at_ms": 7000, "count": 5 },
        ])
    );
}

#[test]
fn texts_that_nobody_wants_are_not_kept_and_the_line_is_the_same() {
    let mut tape = Tape::of(START, Texts::Counted);
    tape.caller(1000, "item_1", "my secret");
    tape.agent(3000, "item_2", ["a", "a secret"], 100, 500);
    tape.keys(4000, "1234");
    assert_eq!(tape.recorder.room, MAX_TEXTS_BYTES);
    assert!(!format!("{:?}", tape.recorder.record.turns).contains("secret"));
    let mut kept = Tape::new();
    kept.caller(1000, "item_1", "my secret");
    kept.agent(3000, "item_2", ["a", "a secret"], 100, 500);
    kept.keys(4000, "1234");
    assert_eq!(tape.finish().line(), kept.finish().line());
}

#[test]
fn a_turn_that_nobody_has_answered_ended_when_the_caller_last_stopped() {
    let mut tape = Tape::new();
    tape.caller(900, "item_1", "before the server said that anybody had stopped");
    tape.observe(2000, Observation::SpeechStopped);
    tape.caller(2700, "item_2", "spoken into the agent's words");
    let turns = turns(tape);
    assert_eq!((&turns[0]["at_ms"], &turns[1]["at_ms"]), (&json!(900), &json!(2000)));
}

#[test]
fn the_wait_stands_at_what_was_heard_first_of_the_answer() {
    let mut tape = Tape::new();
    tape.answers(5000, "item_1", "item_2");
    tape.agent(6000, "item_2", ["One", "One"], 1000, 1000);
    tape.agent(7000, "item_2", ["two", "two"], 900, 900);
    tape.agent(8000, "item_3", ["three", "three"], 900, 900);
    let turns = turns(tape);
    assert_eq!(turns[0]["latency"]["heard_ms"], json!(800));
    assert_eq!((&turns[1]["latency"], &turns[2]["latency"]), (&Value::Null, &Value::Null));
    assert_eq!(turns[1]["at_ms"], json!(6100));
}

#[test]
fn an_echo_is_no_turn_of_the_caller() {
    let mut tape = Tape::new();
    tape.observe(1000, Observation::SpeechStopped);
    tape.observe(2000, Observation::SpeechStopped);
    tape.observe(2000, Observation::EchoIgnored);
    assert_eq!(tape.finish().counts.caller_turns, 1);
}

#[test]
fn of_two_calls_of_one_function_each_gets_its_own_answer_whichever_comes_first() {
    let mut tape = Tape::new();
    let name = Label::new("price");
    for (call_id, arguments) in [("c1", r#"{"of":"bread"}"#), ("c2", r#"{"of":"milk"}"#)] {
        tape.called_as(call_id, 1000, "price", arguments);
        tape.observe(1000, Observation::ToolCalled { name });
    }
    for (call_id, output) in [("c2", "1"), ("c1", "3")] {
        tape.observe(1500, Observation::ToolDone { name, after: Duration::from_millis(500) });
        tape.returned_to(call_id, 1500, "price", output);
    }
    let turns = turns(tape);
    let told = |turn: &Value| (turn["arguments"].clone(), turn["output"].clone());
    let turns: Vec<_> = turns.as_array().unwrap().iter().map(told).collect();
    assert_eq!(turns, [(r#"{"of":"bread"}"#.into(), "3".into()), (r#"{"of":"milk"}"#.into(), "1".into())]);
}

#[test]
fn each_function_gets_its_own_answer_and_says_what_became_of_it() {
    let mut tape = Tape::new();
    let name = Label::new;
    for (at, function) in [(1000, "book"), (1001, "look_up"), (1002, "cancel")] {
        tape.called(at, function, "{}");
        tape.observe(at, Observation::ToolCalled { name: name(function) });
    }
    tape.observe(1500, Observation::ToolDone { name: name("look_up"), after: Duration::from_millis(499) });
    tape.returned(1500, "look_up", "five");
    tape.observe(1600, Observation::ToolFailed { name: name("book"), status: Some(503), fault: None });
    tape.returned(1600, "book", "an error");
    tape.called(2000, "hang_up", "{}");
    tape.observe(2000, Observation::ToolCalled { name: name("hang_up") });
    tape.observe(2500, Observation::StaysOnTheLine);
    tape.returned(2500, "hang_up", "the caller spoke on");
    let told: Vec<_> = turns(tape)
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| {
            [&turn["name"], &turn["result"], &turn["output"], &turn["duration_ms"]]
                .map(Value::to_string)
                .join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            r#""book" "failed" "an error" 600"#,
            r#""look_up" "done" "five" 499"#,
            r#""cancel" "called" null null"#,
            r#""hang_up" "refused" "the caller spoke on" 500"#,
        ]
    );
}

#[test]
fn a_function_that_the_model_made_up_is_named_in_the_file_and_not_in_the_line() {
    let mut tape = Tape::new();
    for (n, (function, why)) in [
        ("tell_+4930123456", ToolFault::Unknown),
        ("tell_4930123456", ToolFault::TooLong),
        ("look_up", ToolFault::DoesNotFit),
    ]
    .into_iter()
    .enumerate()
    {
        let at = 1000 + n as u64;
        tape.called(at, function, "{}");
        tape.observe(at, Observation::ToolRefused { why });
        tape.returned(at, function, "an error");
    }
    // One of which nothing more was told, and a tool of an MCP server that is none of ours.
    tape.called(1100, "4930123456", "{}");
    tape.observe(1100, Observation::ToolCalled { name: Label::new("server") });
    let record = tape.finish();
    let names = |record: &Value| {
        let turns = record["turns"].as_array().unwrap().iter();
        turns.map(|turn| turn["name"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&value(&record)), "tell_+4930123456 tell_4930123456 look_up 4930123456");
    let line = record.line();
    assert_eq!(names(&serde_json::from_str(&line).unwrap()), "- - look_up -");
    assert!(!line.contains("30123456"), "{line}");
}

#[test]
fn who_calls_and_who_is_called_stand_in_the_first_event() {
    for (event, from, to) in [
        (START, Some("+4930123456"), Some("4940765432")),
        (r#"{"type":"StasisStart","args":["100","200"],"channel":{"id":"1"}}"#, Some("100"), Some("200")),
        (r#"{"type":"StasisStart","args":["","200"],"channel":{"id":"1"}}"#, None, Some("200")),
        (r#"{"type":"StasisStart","args":[],"channel":{"id":"1"}}"#, None, None),
        ("not an event", None, None),
    ] {
        let record = Tape::of(event, Texts::Kept).finish();
        assert_eq!((record.from.as_deref(), record.to.as_deref()), (from, to), "{event}");
    }
}

#[test]
fn what_was_done_to_keep_the_conversation_going_is_counted() {
    let mut tape = Tape::new();
    tape.observe(300, Observation::SessionReady { after: Duration::ZERO });
    let wait = Duration::ZERO;
    for recovery in [
        Recovery::Retry { attempt: 1, wait },
        Recovery::Retry { attempt: 2, wait },
        Recovery::Resumed { after: Duration::from_millis(2300), items: 4 },
        Recovery::Resumed { after: Duration::from_millis(900), items: 5 },
        Recovery::Expires { left: Duration::from_secs(60) },
        Recovery::Renewed { items: 6 },
        Recovery::Delivered { millis: 1500 },
        Recovery::Dropped { millis: 200 },
        Recovery::AnswerAgain { wait },
        Recovery::AnswerGivenUp,
        Recovery::DeadAir { step: DeadAirStep::Filler },
        Recovery::DeadAir { step: DeadAirStep::Ask },
        Recovery::DeadAir { step: DeadAirStep::Ask },
        Recovery::Prompt(Prompt::Moment),
        Recovery::Prompt(Prompt::Comfort),
        Recovery::Prompt(Prompt::Comfort),
    ] {
        tape.recover(recovery);
    }
    let record = value(&tape.finish());
    for (field, expected) in [
        (
            "sessions",
            json!({ "count": 4, "reconnects": 2, "renewals": 1, "attempts": 2, "longest_gap_ms": 2300,
                "delivered_ms": 1500, "lost_ms": 200 }),
        ),
        ("failed_answers", json!({ "failed": 0, "asked_again": 1, "given_up": 1 })),
        ("dead_air", json!({ "filler": 1, "ask": 2, "reconnect": 0, "fallback": 0 })),
        ("prompts", json!({ "moment": 1, "sorry": 0, "goodbye": 0, "comfort": 2 })),
    ] {
        assert_eq!(record[field], expected, "{field}");
    }
}

#[test]
fn what_went_wrong_is_told_with_its_codes() {
    let mut tape = Tape::new();
    let label = Label::new;
    for (at, observation) in [
        (1, Observation::RealtimeError { code: label("rate_limit_exceeded"), param: label("") }),
        (
            2,
            Observation::RealtimeDown {
                code: label(""),
                close: Some(1006),
                http_status: None,
                fault: Some(IoFault::Reset),
            },
        ),
        (3, Observation::ResponseDone { status: label("completed"), detail: label("") }),
        (4, Observation::ResponseDone { status: label("failed"), detail: label("server_error") }),
        (5, Observation::AriRefused { what: "answer the caller", status: 404 }),
    ] {
        tape.observe(at, observation);
    }
    let record = value(&tape.finish());
    assert_eq!(
        record["faults"],
        json!([
            { "at_ms": 1, "what": "realtime_error", "code": "rate_limit_exceeded" },
            { "at_ms": 2, "what": "realtime_down", "close_code": 1006, "io": "reset" },
            { "at_ms": 4, "what": "answer_failed", "code": "server_error" },
            { "at_ms": 5, "what": "ari_refused", "http_status": 404 },
        ])
    );
    assert_eq!(record["failed_answers"]["failed"], json!(1));
}

#[test]
fn packets_that_were_lost_are_told_and_those_before_the_answer_are_none_of_them() {
    let mut tape = Tape::new();
    for observation in [
        Observation::RtpIn,
        Observation::RtpOut,
        Observation::RtpDropped(RtpDrop::Early),
        Observation::RtpDropped(RtpDrop::Held),
        Observation::RtpDropped(RtpDrop::Late),
        Observation::RtpLost { packets: 3 },
        Observation::Concealed { millis: 60 },
        Observation::PlayoutLate { slots: 2 },
        Observation::PlayoutFull { dropped_ms: 40 },
    ] {
        tape.observe(1, observation);
    }
    let media =
        Media { lost_packets: 3, dropped_packets: 1, concealed_ms: 60, late_slots: 2, dropped_ms: 40 };
    assert_eq!(tape.finish().media, media);
}

#[test]
fn tokens_are_added_up_and_dollars_are_exact_to_the_sixth_digit() {
    let mut tape = Tape::new();
    let mut usage = Usage::default();
    usage.add(UsageKind::AudioOut, 70);
    tape.observe(1, Observation::Used { usage, cost: Some(1_234_567) });
    tape.observe(2, Observation::Used { usage, cost: Some(30_000_000) });
    let record = tape.finish();
    assert_eq!(record.usage, Tokens { audio_out: 140, ..Tokens::default() });
    assert!(record.file().contains("\"cost_usd\": 0.031235,"), "{}", record.file());
    for (billionths, written) in [
        (0, "0.0"),
        (499, "0.0"),
        (500, "0.000001"),
        (100_000_000, "0.1"),
        (300_000_000, "0.3"),
        (123_456_789_000, "123.456789"),
        (999_999_999_999_999_000, "999999999.999999"),
    ] {
        assert_eq!(json!(dollars(billionths)).to_string().replace("1e-6", "0.000001"), written);
    }
}

#[test]
fn waits_are_summed_up_by_rank() {
    let summed = |waits: &[u64]| summary(waits).map(|s| (s.count, s.median_ms, s.p95_ms, s.max_ms));
    assert_eq!(summed(&[]), None);
    assert_eq!(summed(&[700]), Some((1, 700, 700, 700)));
    assert_eq!(summed(&[1, 2, 3, 4]), Some((4, 2, 4, 4)));
    assert_eq!(summed(&(1..=100).collect::<Vec<_>>()), Some((100, 50, 95, 100)));
}

#[test]
fn a_call_that_panicked_has_a_record_up_to_its_last_word() {
    let mut tape = Tape::new();
    tape.observe(500, Observation::Answered { after: Duration::from_millis(500) });
    tape.caller(4000, "item_1", "hello");
    let record = tape.recorder.panicked();
    assert_eq!(
        (record.outcome.reason, record.outcome.answered, record.duration_ms),
        ("panicked", true, 4000)
    );
    assert_eq!(record.ended_utc, "2026-11-22T11:29:15.573Z");
}

#[test]
fn a_call_that_never_ends_is_bounded_and_says_so() {
    let mut tape = Tape::new();
    let long = "äöü ".repeat(10_000);
    for n in 0..5_000 {
        tape.caller(n, "item", &long);
        tape.answers(n, &format!("item_{n}"), "item");
        tape.called(n, &long, &long);
        tape.observe(
            n,
            Observation::RealtimeError { code: Label::new(&"x".repeat(99)), param: Label::new("") },
        );
    }
    let Recorder { room, answers, tools, latencies_ms, .. } = &tape.recorder;
    assert!(
        *room < MAX_TEXT_BYTES && answers.len() <= MAX_ANSWERS && latencies_ms.len() <= MAX_TURNS,
        "{tools:?}"
    );
    let record = tape.finish();
    assert!(record.truncated && record.turns.len() == MAX_TURNS && record.file().len() < 3 * MAX_TEXTS_BYTES);
    assert_eq!((record.counts.tool_calls, record.faults.len()), (5_000, 32));
    let Turn::Caller { text: Some(text), chars, .. } = &record.turns[0] else {
        panic!("{:?}", record.turns[0])
    };
    assert!(text.len() <= MAX_TEXT_BYTES && *chars == 40_000, "{} bytes of {chars}", text.len());
    let line = record.line();
    assert!(line.len() <= MAX_LINE_BYTES && line.contains("\"truncated\":true"), "{}", line.len());
}

#[test]
fn only_the_line_of_a_long_call_leaves_turns_out() {
    let mut tape = Tape::new();
    (0..400).for_each(|n| tape.caller(n * 1000, "item", "yes"));
    let record = tape.finish();
    assert!(!record.truncated && record.turns.len() == 400);
    let line: Value = serde_json::from_str(&record.line()).unwrap();
    let kept = line["turns"].as_array().unwrap().len();
    assert!((200..400).contains(&kept) && line["truncated"] == json!(true), "{kept} turns");
}

proptest! {
    /// Whatever is said, keyed in, passed or answered, in whatever order: the line has nothing of it.
    #[test]
    fn a_line_never_has_a_private_word(
        lines in proptest::collection::vec((0u8..7, 0u64..100_000, "[a-z \"\\\\ä\n]{0,20}"), 0..40),
    ) {
        let mut tape = Tape::new();
        for (kind, at, text) in lines {
            let private = format!("{text}PRIVATE{text}");
            match kind {
                0 => tape.caller(at, &private, &private),
                1 => tape.keys(at, &private),
                2 => tape.called(at, &private, &private),
                3 => tape.returned(at, &private, &private),
                4 => tape.answers(at, &private, &private),
                5 => tape.observe(at, Observation::ToolRefused { why: ToolFault::Unknown }),
                _ => tape.agent(at, &private, [&private, &private], at, at),
            }
        }
        let record = tape.finish();
        prop_assert!(record.turns.is_sorted_by_key(Turn::at_ms));
        let line = record.line();
        prop_assert!(!line.contains("PRIVATE") && !line.contains('\n'), "{}", line);
    }
}

//! What a call leaves in writing: a file of its own, and one line in the log without the caller's number.

use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::Observation;
use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime;
use ari_bridge_host::standin::{CallerSeen, parrot, serve_asterisk, serve_realtime};
use ari_bridge_host::{Builder, Runtime, Watch};
use ari_bridge_tests::json_schema;
use ari_bridge_tests::process::{PATIENCE, usual};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use crate::line::{CALLER, LOOK_EVERY, Line, SOUND_RMS, Setting, is_completed, was};
use crate::program::{AROUND, READY, scratch, start_with};
use crate::trace::Trace;

crate::stories![
    a_call_leaves_a_file_that_is_its_owner_s_alone,
    the_log_has_one_masked_line_for_each_call_and_no_number,
];

/// The members of an object, and those of its objects, without their values.
fn members(value: &Value, path: &str, into: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        into.push(format!("{path}{name}"));
        members(value, &format!("{path}{name}."), into);
    }
}

fn a_call_leaves_a_file_that_is_its_owner_s_alone(on: &'static Runtime) -> Trace {
    let dir = scratch(on, "records");
    let directory = dir.path("").to_str().unwrap().to_owned();
    let set = [("OPENAI_TRANSCRIPTION_MODEL", "whisper-1"), ("CALL_RECORD_DIR", &*directory)];
    let mut line = Line::with(on, Setting::set(&set));
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.asterisk.speak(CALLER, &Caller::recorded().speech()[..16_000]);
    line.until(is_completed);
    let loud = |seen: &CallerSeen| seen.ear.loud_frames(SOUND_RMS) >= 25;
    assert!(line.asterisk.wait(CALLER, PATIENCE, loud), "nothing was heard: {:#?}", line.lines());
    let mut trace = line.ends().trace;

    let files: Vec<_> = fs::read_dir(dir.path("")).unwrap().map(Result::unwrap).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let name = file.file_name().into_string().unwrap();
    assert!(name.contains("Z-arib") && name.ends_with("-1.json") && !name.contains("4930"), "{name}");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let record: Value = serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap();
    let schema = serde_json::from_str(include_str!("../../core/call-record.schema.json")).unwrap();
    assert_eq!(json_schema::check(&schema, &record), Ok(()), "{record:#}");
    assert_eq!((&record["from"], &record["to"]), (&json!("+4930123456"), &json!("100")));
    assert!(record["outcome"]["answered"] == true && record["answered_utc"].is_string(), "{record:#}");
    let whos: Vec<_> = record["turns"].as_array().unwrap().iter().map(|turn| &turn["who"]).collect();
    assert!(whos.contains(&&json!("caller")) && whos.contains(&&json!("agent")), "{record:#}");
    assert!(record["latency"]["count"].as_u64() >= Some(1), "{record:#}");
    let mut names = Vec::new();
    members(&record, "", &mut names);
    trace.put("record", names);
    trace.note("outcome", &record["outcome"]);
    trace
}

/// Panics when the second call is answered.
struct Clumsy;

impl Watch for Clumsy {
    fn observe(&self, call: Option<CallId>, observation: &Observation) {
        let is_answered = matches!(observation, Observation::Answered { .. });
        assert!(!(is_answered && call == Some(CallId(2))), "a fault that the test makes");
    }
}

/// A program with the bridge inside, which logs at the level that the README tells people to look closely with.
pub(crate) fn around(runtime: &'static Runtime) -> ExitCode {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let ended = Builder::new(runtime).watch(Arc::new(Clumsy)).run();
    ended.map_or_else(|fault| panic!("{fault}"), |()| ExitCode::SUCCESS)
}

fn the_log_has_one_masked_line_for_each_call_and_no_number(on: &'static Runtime) -> Trace {
    let asterisk = serve_asterisk(Settings::default()).unwrap();
    let server = serve_realtime(realtime::Settings::default(), parrot).unwrap();
    let (usual, key) = (usual(&asterisk.url(), &server.url()), realtime::Settings::default().key);
    let mut set: Vec<_> = usual.iter().map(|(name, value)| (*name, &**value)).collect();
    set.extend([("OPENAI_API_KEY", &*key), ("OPENAI_TRANSCRIPTION_MODEL", "whisper-1"), AROUND]);
    let mut bridge = start_with(on, &[], &set);
    bridge.logs(READY);
    asterisk.dial(1, "+4930123456", "+4940765432");
    assert!(asterisk.wait(1, PATIENCE, was(CallerState::Answered)), "{}", bridge.log());
    asterisk.speak(1, &Caller::recorded().speech()[..16_000]);
    let loud = |seen: &CallerSeen| seen.ear.loud_frames(SOUND_RMS) >= 25;
    assert!(asterisk.wait(1, PATIENCE, loud), "nothing was heard: {}", bridge.log());
    asterisk.hang_up(1);
    bridge.logs("ari_bridge::call_record");
    asterisk.dial(2, "+4930123457", "+4940765432");
    bridge.logs("a call was ended by a fault of the bridge");
    let is_record = |line: &&str| line.contains("ari_bridge::call_record");
    let give_up = Instant::now() + PATIENCE;
    while bridge.log().lines().filter(is_record).count() < 2 && Instant::now() < give_up {
        std::thread::sleep(LOOK_EVERY);
    }
    // Not drained: for 30 s a create of the dead call may still take effect, and the bridge would wait for that.
    let log = bridge.log();
    let lines: Vec<_> = log.lines().filter(is_record).collect();
    let [ended, panicked] = &lines[..] else { panic!("{log}") };
    for (line, what) in [
        (ended, r#"{"version":1,"masked":true,"truncated":false,"call_id":"arib"#),
        (ended, r#""from":"…56","to":"…32","#),
        (ended, r#""outcome":{"reason":"caller_hung_up","answered":true,"left_behind":false}"#),
        (ended, r#"{"who":"caller","at_ms":"#),
        (ended, r#"{"who":"agent","at_ms":"#),
        (panicked, r#""from":"…57""#),
        (panicked, r#""outcome":{"reason":"panicked","answered":true,"left_behind":false}"#),
    ] {
        assert!(line.contains(what), "{what} in {line}");
    }
    for private in ["3012345", "4076543", "stand-in", "What you said"] {
        let seen: Vec<_> = log.lines().filter(|line| line.contains(private)).collect();
        assert!(seen.is_empty(), "{private} in {seen:?}");
    }
    let mut trace = Trace::default();
    for line in lines {
        let record: Value = serde_json::from_str(&line[line.find(r#"{"version""#).unwrap()..]).unwrap();
        let mut names = Vec::new();
        members(&record, "", &mut names);
        trace.put("record", names);
        trace.note("outcomes", &record["outcome"]);
    }
    trace.put("complaints", bridge.complaints());
    trace
}

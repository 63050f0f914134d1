//! The bridge and the program around it: functions, faults, what keeps it from starting.

use ari_bridge_core::call::IoFault;
use ari_bridge_core::config::{Config, RecordConfig};
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::{Observation, Recovery};
use ari_bridge_core::settings::{Function, Tool};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::sim::realtime::{Agent, Answer, FunctionCall, Prompt};
use ari_bridge_host::{Options, RunError, Runtime, ToolAnswer, ToolCall, Watch};
use ari_bridge_tests::speech::utterance;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::line::{CALLER, Line, Setting, config, is_completed};
use crate::trace::Trace;

crate::stories![
    functions_of_the_model_are_performed_by_the_program_around_the_bridge,
    a_call_that_panics_ends_alone_and_is_cleaned_up_after,
    a_bridge_that_stood_still_does_not_blame_the_model,
    a_prompt_without_its_file_is_said_by_check_and_keeps_the_service_from_starting,
    what_the_machine_refuses_is_told_at_start,
];

/// Looks things up, and keeps what it was asked.
#[derive(Default)]
struct Clerk {
    asked: Mutex<Vec<ToolCall>>,
}

impl Watch for Clerk {
    fn tool(&self, tool: ToolCall, answer: ToolAnswer) {
        let mut asked = self.asked.lock().unwrap();
        asked.push(tool);
        match asked.len() {
            // Elsewhere, as one should.
            1 => drop(std::thread::spawn(move || answer.done(r#"{"open":"nine to five"}"#))),
            2 => answer.refused(403),
            3 => drop(answer),
            // Never.
            _ => std::mem::forget(answer),
        }
    }
}

/// Calls `look_up` so many times, whenever it is to answer, and speaks to nobody.
#[derive(Debug)]
struct Asks(usize);

impl Agent for Asks {
    fn answer(&mut self, _: Prompt<'_>) -> Answer {
        if self.0 == 0 {
            return Answer::Nothing;
        }
        self.0 -= 1;
        let call = FunctionCall { name: "look_up".into(), arguments: "{}".into() };
        Answer::Calls { speech: None, calls: vec![call] }
    }
}

fn with_look_up(config: &mut Config) {
    config.call.session.tools.push(Tool::Function(Function {
        name: "look_up".into(),
        description: "When we are open".into(),
        parameters: r#"{"type":"object"}"#.parse().unwrap(),
    }));
}

fn functions_of_the_model_are_performed_by_the_program_around_the_bridge(on: &'static Runtime) -> Trace {
    let clerk = Arc::new(Clerk::default());
    let set = [
        ("OPENAI_GREETING", "Hello."),
        ("TOOL_TIMEOUT_MS", "500"),
        ("SAFETY_IDENTIFIER_KEY", "a secret of the operator's"),
    ];
    let agent = || Box::new(Asks(4)) as Box<dyn Agent>;
    let setting = Setting { set: &set, watch: clerk.clone(), change: with_look_up, ..Setting::agent(agent) };
    let mut line = Line::with(on, setting);
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::ToolDone { .. }));
    line.until(|o| matches!(o, Observation::ToolFailed { status: Some(403), .. }));
    line.until(|o| matches!(o, Observation::ToolFailed { fault: Some(IoFault::Other), .. }));
    line.until(|o| matches!(o, Observation::ToolFailed { fault: Some(IoFault::TimedOut), .. }));
    let ended = line.ends();
    let seen = &ended.realtime;
    let outputs: Vec<_> = seen.messages.iter().filter(|m| m.contains("function_call_output")).collect();
    assert!(outputs[0].contains("nine to five") && outputs[1].contains("403"), "{outputs:?}");
    let asked: Vec<_> = clerk.asked.lock().unwrap().iter().map(|asked| asked.name.clone()).collect();
    assert_eq!(asked, ["look_up"; 4]);
    // The caller is known by a pseudonym: 256 bits in hexadecimal digits, and no number.
    let [Some(identifier)] = &seen.safety_identifiers[..] else { panic!("{:?}", seen.safety_identifiers) };
    assert!(identifier.len() == 64 && !identifier.contains("4930123456"), "{identifier}");
    let mut trace = ended.trace;
    trace.note("pseudonym", identifier);
    trace.note("outputs", outputs.len());
    trace
}

/// Panics as soon as a call has begun.
struct Clumsy;

impl Watch for Clumsy {
    fn observe(&self, _: Option<CallId>, observation: &Observation) {
        assert!(!matches!(observation, Observation::CallStarted), "a fault that the test makes");
    }
}

fn a_call_that_panics_ends_alone_and_is_cleaned_up_after(on: &'static Runtime) -> Trace {
    let mut line = Line::with(on, Setting { watch: Arc::new(Clumsy), ..Setting::default() });
    for caller in [CALLER, CALLER + 1] {
        line.calls(caller);
        line.until(|o| matches!(o, Observation::CallPanicked));
        line.until_caller(caller, CallerState::InDialplan);
    }
    // Not drained: for 30 s a create of the dead call may still take effect, and the service would wait for that.
    line.left()
}

/// Stands in the way of everything for a while when the caller has first spoken: all of the answer comes meanwhile.
struct Stall {
    is_over: AtomicBool,
}

impl Watch for Stall {
    fn observe(&self, _: Option<CallId>, observation: &Observation) {
        if matches!(observation, Observation::SpeechStopped) && !self.is_over.swap(true, Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(4));
        }
    }
}

fn a_bridge_that_stood_still_does_not_blame_the_model(on: &'static Runtime) -> Trace {
    let set = [("WORKER_THREADS", "1"), ("DEAD_AIR_MS", "1000")];
    let watch = Arc::new(Stall { is_over: AtomicBool::new(false) });
    let mut line = Line::with(on, Setting { watch, ..Setting::set(&set) });
    line.calls(CALLER);
    line.until(|o| matches!(o, Observation::Answered { .. }));
    line.asterisk.speak(CALLER, &utterance(61, 1.0));
    line.until(is_completed);
    let blamed = line.past().any(|o| matches!(o, Observation::Recovery(Recovery::DeadAir { .. })));
    assert!(!blamed, "the answer lay unread: {:#?}", line.lines());
    // How much of what the caller sent meanwhile was lost, and whether the next timer was late too, is the moment's.
    line.ends().trace.but_for(&["call", "metrics", "realtime"])
}

fn a_prompt_without_its_file_is_said_by_check_and_keeps_the_service_from_starting(
    on: &'static Runtime,
) -> Trace {
    let settings =
        config("http://127.0.0.1:1", "ws://127.0.0.1:1", &[("PROMPT_GOODBYE", "/nowhere/bye.wav")]);
    let report = ari_bridge_host::check(on, &settings).unwrap().to_string();
    let line = report.lines().find(|line| line.contains("PROMPT_")).unwrap();
    assert!(line.starts_with("FAIL  PROMPT_GOODBYE: /nowhere/bye.wav cannot be read: "), "{line}");
    let error = (on.start)(settings, Options::default()).unwrap_err().to_string();
    assert!(error.starts_with("PROMPT_GOODBYE: cannot read /nowhere/bye.wav: "), "{error}");
    let mut trace = Trace::default();
    trace.put("check", without_ports(&report));
    trace.put("start", [error]);
    trace
}

/// The lines but for that of the media ports, which other stories use meanwhile.
fn without_ports(report: &str) -> Vec<String> {
    report.lines().filter(|line| !line.contains("UDP ports")).map(str::to_owned).collect()
}

fn what_the_machine_refuses_is_told_at_start(on: &'static Runtime) -> Trace {
    let usual = || config("http://127.0.0.1:1", "ws://127.0.0.1:1", &[]);
    let refused = |config| (on.start)(config, Options::default()).unwrap_err();
    let record = RecordConfig { dir: Some("/nowhere/at/all".into()), days: 30 };
    let directory = refused(Config { record, ..usual() });
    assert!(matches!(directory, RunError::RecordDir(..)), "{directory:?}");
    let told = directory.to_string();
    assert!(told.starts_with("CALL_RECORD_DIR: no file can be written in /nowhere/at/all: "), "{told}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = refused(Config { admin_bind: address, ..usual() });
    assert!(matches!(port, RunError::Admin(..)), "{port:?}");
    let mut trace = Trace::default();
    trace.put("told", [told, port.to_string().replace(&address.to_string(), "ADDRESS")]);
    trace
}

//! The service against the stand-ins, over real sockets.

use ari_bridge_core::call::{EndReason, IoFault, Outcome};
use ari_bridge_core::config::Config;
use ari_bridge_core::id::CallId;
use ari_bridge_core::observe::{Observation, Recovery, Upkeep};
use ari_bridge_core::settings::{Function, Tool};
use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime;
use ari_bridge_host::standin::{
    Answered, AsteriskServer, CallerSeen, RealtimeServer, parrot, serve_asterisk, serve_realtime,
};
use ari_bridge_smol::{Options, RUNTIME, Service, ToolAnswer, ToolCall, Watch, start};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);

/// An address where nobody listens.
const NOBODY: &str = "ws://127.0.0.1:1/v1/realtime";

/// Settings for this Asterisk; `set` are variables that differ from the default.
fn config(ari_url: &str, set: &[(&str, &str)]) -> Config {
    let standin = Settings::default();
    let usual = [
        ("OPENAI_API_KEY", "sk-test"),
        ("OPENAI_REALTIME_URL", NOBODY),
        ("ARI_URL", ari_url),
        ("ARI_USER", &standin.user),
        ("ARI_PASSWORD", &standin.password),
        ("ARI_APP", &standin.app),
        ("ADMIN_BIND", "127.0.0.1:0"),
        ("DRAIN_SECONDS", "0"),
    ];
    Config::from_variables(usual.iter().chain(set).copied()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A service, and what it tells.
fn service(ari_url: &str, set: &[(&str, &str)]) -> (Service, Receiver<Observation>) {
    watched(config(ari_url, set), |_| {})
}

/// A service that does this at each observation, before it is told.
fn watched(
    config: Config,
    act: impl Fn(&Observation) + Send + Sync + 'static,
) -> (Service, Receiver<Observation>) {
    let (tell, told) = channel();
    let watch = Arc::new(Watcher { tell: Mutex::new(tell), act });
    (start(config, Options::watched(watch)).unwrap(), told)
}

/// Looks things up, and tells what it was asked.
struct Clerk {
    tell: Mutex<Sender<Observation>>,
    asked: Mutex<Vec<ToolCall>>,
}

impl Watch for Clerk {
    fn observe(&self, _call: Option<CallId>, observation: &Observation) {
        let _ = self.tell.lock().unwrap().send(*observation);
    }

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

/// Calls `look_up` whenever it is to answer, and speaks to nobody.
#[derive(Debug)]
struct Asks;

impl realtime::Agent for Asks {
    fn answer(&mut self, _: realtime::Prompt<'_>) -> realtime::Answer {
        let call = realtime::FunctionCall { name: "look_up".into(), arguments: "{}".into() };
        realtime::Answer::Calls { speech: None, calls: vec![call] }
    }
}

struct Watcher<F> {
    tell: Mutex<Sender<Observation>>,
    act: F,
}

impl<F: Fn(&Observation) + Send + Sync> Watch for Watcher<F> {
    fn observe(&self, _call: Option<CallId>, observation: &Observation) {
        let _ = self.tell.lock().unwrap().send(*observation);
        (self.act)(observation);
    }
}

/// Waits for an observation that `wanted` takes.
fn wait_for(told: &Receiver<Observation>, wanted: impl Fn(&Observation) -> bool) -> Observation {
    loop {
        let observation = told.recv_timeout(PATIENCE).expect("the observation never came");
        if wanted(&observation) {
            return observation;
        }
    }
}

fn asterisk() -> AsteriskServer {
    serve_asterisk(Settings::default()).unwrap()
}

fn realtime() -> RealtimeServer {
    serve_realtime(realtime::Settings::default(), parrot).unwrap()
}

/// A service between these two, connected, and a caller who has been answered.
fn answered(asterisk: &AsteriskServer, realtime: &RealtimeServer) -> (Service, Receiver<Observation>) {
    let (url, key) = (realtime.url(), realtime::Settings::default().key);
    let (service, told) =
        service(&asterisk.url(), &[("OPENAI_REALTIME_URL", &url), ("OPENAI_API_KEY", &key)]);
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    asterisk.dial(1, "+4930123456", "100");
    wait_for(&told, |o| matches!(o, Observation::Answered { .. }));
    (service, told)
}

fn outcome(told: &Receiver<Observation>) -> Outcome {
    match wait_for(told, |o| matches!(o, Observation::CallEnded(_))) {
        Observation::CallEnded(outcome) => outcome,
        _ => unreachable!(),
    }
}

fn was(state: CallerState) -> impl Fn(&CallerSeen) -> bool {
    move |seen| seen.states.iter().any(|(_, seen)| *seen == state)
}

fn get(service: &Service, path: &str) -> String {
    let mut stream = TcpStream::connect(service.admin_addr()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_caller_who_speaks_is_answered_in_words_and_leaves_nothing_behind() {
    let (asterisk, realtime) = (asterisk(), realtime());
    let (service, told) = answered(&asterisk, &realtime);
    let speech = Caller::recorded().speech()[..16_000].to_vec();
    asterisk.speak(1, &speech);
    assert!(asterisk.wait(1, PATIENCE, |seen| seen.ear.loud_frames(300) >= 25), "nothing was heard");
    asterisk.hang_up(1);
    let outcome = outcome(&told);
    assert!(
        outcome.answered && !outcome.left_behind && outcome.ended == EndReason::CallerHungUp,
        "{outcome:?}"
    );
    assert_eq!(asterisk.objects(), (0, 0));
    service.drain();
    service.join().unwrap();
    let seen = realtime.seen();
    assert!(seen.opened == 1 && seen.appends > 50, "{seen:?}");
    assert_eq!(seen.closed, [Some(1000)]);
}

#[test]
fn an_account_without_credit_sends_the_caller_on_into_the_dialplan() {
    let (asterisk, realtime) = (asterisk(), realtime());
    let (service, told) = answered(&asterisk, &realtime);
    realtime.close_all(1013, "insufficient_quota.insufficient_quota");
    let down = wait_for(&told, |o| matches!(o, Observation::RealtimeDown { .. }));
    assert!(down.to_string().contains("no credit"), "{down}");
    assert_eq!(outcome(&told).ended, EndReason::RealtimeRefused);
    assert!(asterisk.wait(1, PATIENCE, was(CallerState::InDialplan)));
    service.drain();
    service.join().unwrap();
}

#[test]
fn a_service_that_is_stopped_ends_its_calls_first() {
    let (asterisk, realtime) = (asterisk(), realtime());
    let (service, told) = answered(&asterisk, &realtime);
    service.drain();
    assert_eq!(outcome(&told).ended, EndReason::Shutdown);
    // Where FALLBACK says.
    assert!(asterisk.wait(1, PATIENCE, was(CallerState::InDialplan)), "{:?}", asterisk.seen(1).states);
    service.join().unwrap();
    assert_eq!(asterisk.objects().1, 0, "no bridge is left");
}

#[test]
fn an_upgrade_that_is_refused_is_told_with_its_status() {
    let (asterisk, realtime) = (asterisk(), realtime());
    realtime.answer(Answered::refused(403));
    let (service, told) = service(&asterisk.url(), &[("OPENAI_REALTIME_URL", &realtime.url())]);
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    asterisk.dial(1, "+4930123456", "100");
    let down = wait_for(&told, |o| matches!(o, Observation::RealtimeDown { .. }));
    assert!(matches!(down, Observation::RealtimeDown { http_status: Some(403), .. }), "{down:?}");
    assert_eq!(outcome(&told).ended, EndReason::RealtimeRefused);
    service.drain();
    service.join().unwrap();
}

#[test]
fn without_a_realtime_server_the_caller_goes_on_in_the_dialplan_and_nothing_is_left_behind() {
    let asterisk = asterisk();
    let (service, told) = service(&asterisk.url(), &[]);
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    asterisk.dial(1, "+4930123456", "100");
    assert!(asterisk.wait(1, PATIENCE, was(CallerState::InDialplan)), "{:?}", asterisk.seen(1).states);
    let outcome = outcome(&told);
    assert!(!outcome.answered && !outcome.left_behind);
    assert_eq!(asterisk.objects().1, 0, "no bridge is left");
    service.drain();
    service.join().unwrap();
}

#[test]
fn the_admin_listener_tells_whether_calls_can_be_taken() {
    let asterisk = asterisk();
    let (service, told) = service(&asterisk.url(), &[]);
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    assert!(get(&service, "/readyz").starts_with("HTTP/1.1 200"), "{}", get(&service, "/readyz"));
    assert!(get(&service, "/metrics").contains("ari_bridge_ari_connected 1"));
    assert!(get(&service, "/elsewhere").starts_with("HTTP/1.1 404"));
    drop(asterisk);
    wait_for(&told, |o| matches!(o, Observation::AriDown { .. }));
    assert!(get(&service, "/readyz").starts_with("HTTP/1.1 503"));
    service.drain();
    service.join().unwrap();
}

#[test]
fn an_event_socket_that_breaks_is_opened_again() {
    let asterisk = asterisk();
    let (service, told) = service(&asterisk.url(), &[]);
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    asterisk.with(|machine, _, out| machine.close_sockets(out));
    wait_for(&told, |o| matches!(o, Observation::AriDown { .. }));
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    service.drain();
    service.join().unwrap();
}

#[test]
fn a_wrong_password_is_told_with_the_status() {
    let asterisk = asterisk();
    let (service, told) = service(&asterisk.url(), &[("ARI_PASSWORD", "wrong")]);
    let down = wait_for(&told, |o| matches!(o, Observation::AriDown { .. }));
    assert!(matches!(down, Observation::AriDown { http_status: Some(401), .. }), "{down:?}");
    service.drain();
    service.join().unwrap();
}

#[test]
fn a_password_that_was_put_right_is_used_for_the_next_event_socket_and_its_requests() {
    let asterisk = asterisk();
    let (service, told) = service(&asterisk.url(), &[("ARI_PASSWORD", "wrong")]);
    wait_for(&told, |o| matches!(o, Observation::AriDown { http_status: Some(401), .. }));
    service.reload(config(&asterisk.url(), &[])).unwrap();
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    wait_for(&told, |o| matches!(o, Observation::Upkeep(Upkeep::Resynced { .. })));
    service.drain();
    service.join().unwrap();
}

#[test]
fn other_settings_hold_for_new_calls_and_a_running_one_keeps_its_own() {
    let (asterisk, realtime) = (asterisk(), realtime());
    let (service, told) = answered(&asterisk, &realtime);
    let nowhere = [("OPENAI_REALTIME_URL", NOBODY), ("FALLBACK_CONTEXT", "closed"), ("MAX_CALLS", "2")];
    service.reload(config(&asterisk.url(), &nowhere)).unwrap();
    // The session is lost, and the next one is found where the first was.
    realtime.break_all();
    wait_for(&told, |o| matches!(o, Observation::Recovery(Recovery::Resumed { .. })));
    asterisk.dial(2, "+4930123457", "100");
    assert!(asterisk.wait(2, PATIENCE, was(CallerState::InDialplan)), "{:?}", asterisk.seen(2).states);
    let broken = config(&asterisk.url(), &[("PROMPT_SORRY", "/nowhere/sorry.wav")]);
    assert!(service.reload(broken).unwrap_err().to_string().starts_with("PROMPT_SORRY: cannot read"));
    assert_eq!(realtime.seen().opened, 2);
    asterisk.hang_up(1);
    service.drain();
    service.join().unwrap();
}

#[test]
fn calls_under_way_go_on_after_a_drain_until_they_are_to_stop_now() {
    let (asterisk, realtime) = (asterisk(), realtime());
    let (url, key) = (realtime.url(), realtime::Settings::default().key);
    let set = [("OPENAI_REALTIME_URL", &*url), ("OPENAI_API_KEY", &key), ("DRAIN_SECONDS", "600")];
    let (service, told) = service(&asterisk.url(), &set);
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    asterisk.dial(1, "+4930123456", "100");
    wait_for(&told, |o| matches!(o, Observation::Answered { .. }));
    service.drain();
    wait_for(&told, |o| matches!(o, Observation::Upkeep(Upkeep::Draining { calls: 1, .. })));
    assert!(get(&service, "/readyz").starts_with("HTTP/1.1 503"));
    asterisk.dial(2, "+4930123457", "100");
    assert!(asterisk.wait(2, PATIENCE, was(CallerState::InDialplan)), "{:?}", asterisk.seen(2).states);
    assert!(!was(CallerState::Gone)(&asterisk.seen(1)), "the first one talks on");
    service.stop_now();
    wait_for(&told, |o| matches!(o, Observation::CallEnded(_)));
    service.join().unwrap();
    assert_eq!(asterisk.objects().1, 0, "no bridge is left");
}

#[test]
fn functions_of_the_model_are_performed_by_the_program_around_the_bridge() {
    let asterisk = asterisk();
    let settings = realtime::Settings { key: "sk-test".into(), ..realtime::Settings::default() };
    let server = serve_realtime(settings, || Box::new(Asks)).unwrap();
    let set = [
        ("OPENAI_REALTIME_URL", &*server.url()),
        ("OPENAI_GREETING", "Hello."),
        ("TOOL_TIMEOUT_MS", "500"),
        ("SAFETY_IDENTIFIER_KEY", "a secret of the operator's"),
    ];
    let mut config = config(&asterisk.url(), &set);
    config.call.session.tools.push(Tool::Function(Function {
        name: "look_up".into(),
        description: "When we are open".into(),
        parameters: r#"{"type":"object"}"#.parse().unwrap(),
    }));
    let (tell, told) = channel();
    let clerk = Arc::new(Clerk { tell: Mutex::new(tell), asked: Mutex::default() });
    let service = start(config, Options::watched(clerk.clone())).unwrap();
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    asterisk.dial(1, "+4930123456", "100");
    wait_for(&told, |o| matches!(o, Observation::ToolDone { .. }));
    wait_for(&told, |o| matches!(o, Observation::ToolFailed { status: Some(403), .. }));
    wait_for(&told, |o| matches!(o, Observation::ToolFailed { fault: Some(IoFault::Other), .. }));
    wait_for(&told, |o| matches!(o, Observation::ToolFailed { fault: Some(IoFault::TimedOut), .. }));
    let seen = server.seen();
    let outputs: Vec<_> = seen.messages.iter().filter(|m| m.contains("function_call_output")).collect();
    assert!(outputs[0].contains("nine to five") && outputs[1].contains("403"), "{outputs:?}");
    assert_eq!(clerk.asked.lock().unwrap()[0].name, "look_up");
    // The caller is known by a pseudonym: 256 bits in hexadecimal digits, and no number.
    let [Some(identifier)] = &seen.safety_identifiers[..] else { panic!("{:?}", seen.safety_identifiers) };
    assert!(identifier.len() == 64 && !identifier.contains("4930123456"), "{identifier}");
    service.drain();
    service.join().unwrap();
}

#[test]
fn a_call_that_panics_ends_alone_and_is_cleaned_up_after() {
    let asterisk = asterisk();
    let config = config(&asterisk.url(), &[]);
    let (service, told) = watched(config, |observation| {
        assert!(!matches!(observation, Observation::CallStarted), "a fault that the test makes");
    });
    wait_for(&told, |o| matches!(o, Observation::AriUp));
    for caller in [1, 2] {
        asterisk.dial(caller, "+4930123456", "100");
        wait_for(&told, |o| matches!(o, Observation::CallPanicked));
        assert!(asterisk.wait(caller, PATIENCE, was(CallerState::InDialplan)));
    }
    // Not drained: for 30 s a create of the dead call may still take effect, and the service would wait for that.
    drop(service);
}

#[test]
fn a_prompt_without_its_file_is_said_by_check_and_keeps_the_service_from_starting() {
    let settings = config("http://127.0.0.1:1", &[("PROMPT_GOODBYE", "/nowhere/bye.wav")]);
    let report = ari_bridge_host::check(&RUNTIME, &settings).unwrap().to_string();
    let line = report.lines().find(|line| line.contains("PROMPT_")).unwrap();
    assert!(line.starts_with("FAIL  PROMPT_GOODBYE: /nowhere/bye.wav cannot be read: "), "{line}");
    let error = start(settings, Options::default()).unwrap_err().to_string();
    assert!(error.starts_with("PROMPT_GOODBYE: cannot read /nowhere/bye.wav: "), "{error}");
}

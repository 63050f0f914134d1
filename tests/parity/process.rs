//! The program as its operator and its supervisor have it: signals, files of keys, notifications, exit codes.

use ari_bridge_core::sim::asterisk::{CallerState, Fault, Settings};
use ari_bridge_core::sim::realtime;
use ari_bridge_host::Runtime;
use ari_bridge_host::standin::{AsteriskServer, RealtimeServer, parrot, serve_asterisk, serve_realtime};
use ari_bridge_tests::process::{Bridge, PATIENCE, Scratch, Supervisor};
use std::net::TcpListener;
use std::path::PathBuf;

use crate::line::{CALLER, get, was};
use crate::program::{READY, says, scratch, start};
use crate::trace::Trace;

crate::stories![
    the_supervisor_hears_of_the_whole_life_of_the_process,
    a_new_key_in_its_file_is_used_after_sighup_and_settings_that_cannot_be_change_nothing,
    the_first_sigterm_lets_the_call_end_by_itself_and_the_process_ends_with_it,
    the_second_sigterm_ends_the_call,
    the_third_sigterm_ends_the_process_although_something_is_left,
    a_wrong_key_sends_callers_on_into_the_dialplan_and_the_process_goes_on,
    settings_that_cannot_be_are_told_all_at_once_and_the_exit_code_is_2,
    what_the_machine_refuses_makes_the_exit_code_1,
    check_exits_with_0_if_all_is_well_with_1_if_not_and_with_2_if_it_cannot_ask,
    help_and_version_are_told_alike,
];

/// The stand-ins, and settings for them in a file.
struct Stage {
    asterisk: AsteriskServer,
    realtime: RealtimeServer,
    scratch: Scratch,
}

impl Stage {
    fn new(on: &Runtime, name: &str) -> Self {
        Self {
            asterisk: serve_asterisk(Settings::default()).unwrap(),
            realtime: serve_realtime(realtime::Settings::default(), parrot).unwrap(),
            scratch: scratch(on, name),
        }
    }

    /// Writes the settings, with `set` behind those that are usual.
    fn settings(&self, set: &[(&str, &str)]) -> PathBuf {
        self.scratch.settings(&self.asterisk.url(), &self.realtime.url(), set)
    }

    /// The same with the right key.
    fn good_settings(&self) -> PathBuf {
        self.settings(&[("OPENAI_API_KEY", &realtime::Settings::default().key)])
    }

    /// A bridge with good settings, and a caller who has been answered.
    fn answered(&self, on: &Runtime) -> Bridge {
        let mut bridge = start(on, &self.good_settings(), &[]);
        bridge.logs(READY);
        self.calls(CALLER);
        self.until(CALLER, CallerState::Answered, &mut bridge);
        bridge
    }

    fn calls(&self, caller: u64) {
        self.asterisk.dial(caller, "+4930123456", "100");
    }

    /// Waits until a caller was in this state.
    fn until(&self, caller: u64, state: CallerState, bridge: &mut Bridge) {
        let was = self.asterisk.wait(caller, PATIENCE, was(state));
        assert!(was, "not {state:?}: {:?}; {}", self.asterisk.seen(caller).states, bridge.log());
    }

    /// Waits for the end of the process: what these callers went through, and what is left.
    fn ends(self, mut bridge: Bridge, callers: &[u64]) -> Trace {
        let (mut trace, status) = (Trace::default(), bridge.ends());
        trace.note("exit code", status.code());
        // Some may be in the dialplan.
        callers.iter().for_each(|caller| self.asterisk.hang_up(*caller));
        callers.iter().for_each(|caller| trace.callers(&self.asterisk, *caller));
        trace.note("channels and bridges that are left", self.asterisk.objects());
        trace.put("complaints", bridge.complaints());
        trace
    }
}

fn the_supervisor_hears_of_the_whole_life_of_the_process(on: &'static Runtime) -> Trace {
    let stage = Stage::new(on, "supervised");
    let env = stage.settings(&[("DRAIN_SECONDS", "7")]);
    let path = stage.scratch.path("notify");
    let supervisor = Supervisor::listen(&path);
    let set = [
        ("OPENAI_API_KEY", "sk-test"),
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "400000"),
    ];
    let bridge = start(on, &env, &set);
    supervisor.hears("READY=1");
    supervisor.hears("STATUS=connected to Asterisk; calls: 0");
    for _ in 0..3 {
        supervisor.hears("WATCHDOG=1");
    }
    bridge.signal("HUP");
    let reloading = supervisor.hears("RELOADING=1\nMONOTONIC_USEC=");
    assert!(reloading.rsplit('=').next().unwrap().parse::<u64>().unwrap() > 0);
    supervisor.hears("READY=1");
    bridge.signal("TERM");
    assert_eq!(supervisor.hears("STOPPING=1"), "STOPPING=1\nEXTEND_TIMEOUT_USEC=37000000");
    let trace = stage.ends(bridge, &[]);
    trace.says("exit code", "Some(0)")
}

fn a_new_key_in_its_file_is_used_after_sighup_and_settings_that_cannot_be_change_nothing(
    on: &'static Runtime,
) -> Trace {
    let stage = Stage::new(on, "keys");
    let key = stage.scratch.write("key", "sk-of-yesterday\n");
    let file = ("OPENAI_API_KEY_FILE", key.to_str().unwrap());
    let mut bridge = start(on, &stage.settings(&[file]), &[]);
    bridge.logs(READY);
    stage.calls(1);
    stage.until(1, CallerState::InDialplan, &mut bridge);

    stage.scratch.write("key", &format!("{}\n", realtime::Settings::default().key));
    bridge.signal("HUP");
    bridge.logs("settings read again; they hold for new calls");
    stage.calls(2);
    stage.until(2, CallerState::Answered, &mut bridge);

    stage.settings(&[file, ("OPENAI_SPEED", "fast"), ("ADOPT", "maybe")]);
    bridge.signal("HUP");
    bridge.logs("OPENAI_SPEED: \"fast\" cannot be");
    bridge.logs("ADOPT: \"maybe\" cannot be");
    bridge.logs("the old ones stay in force");
    stage.settings(&[file, ("RTP_PORT_END", "30200")]);
    bridge.signal("HUP");
    bridge.logs("not changed, because it takes a restart: RTP_PORT_END");
    bridge.logs("settings read again");
    stage.calls(3);
    stage.until(3, CallerState::Answered, &mut bridge);

    // Two calls are under way: the first signal lets them talk, the second ends them.
    bridge.signal("TERM");
    bridge.logs("stopping: no new calls; 2 under way may go on for 60 s");
    assert!(!was(CallerState::Gone)(&stage.asterisk.seen(2)), "{}", bridge.log());
    bridge.signal("TERM");
    bridge.ends();
    let log = bridge.log();
    assert!(!log.contains("sk-of-yesterday") && !log.contains(&realtime::Settings::default().key), "{log}");
    let trace = stage.ends(bridge, &[1, 2, 3]);
    trace.says("exit code", "Some(0)").says("channels and bridges that are left", "(0, 0)")
}

fn the_first_sigterm_lets_the_call_end_by_itself_and_the_process_ends_with_it(on: &'static Runtime) -> Trace {
    let stage = Stage::new(on, "drained");
    let mut bridge = stage.answered(on);
    bridge.signal("TERM");
    bridge.logs("stopping: no new calls; 1 under way may go on for 60 s");
    stage.calls(CALLER + 1);
    stage.until(CALLER + 1, CallerState::InDialplan, &mut bridge);
    stage.asterisk.hang_up(CALLER);
    bridge.logs("call ended");
    let trace = stage.ends(bridge, &[CALLER, CALLER + 1]);
    trace.says("exit code", "Some(0)").says("channels and bridges that are left", "(0, 0)")
}

fn the_second_sigterm_ends_the_call(on: &'static Runtime) -> Trace {
    let stage = Stage::new(on, "stopped");
    let mut bridge = stage.answered(on);
    bridge.signal("TERM");
    bridge.logs("stopping: no new calls; 1 under way may go on for 60 s");
    bridge.signal("TERM");
    bridge.logs("the bridge is stopping");
    stage.until(CALLER, CallerState::InDialplan, &mut bridge);
    let trace = stage.ends(bridge, &[CALLER]);
    trace.says("exit code", "Some(0)").says("channels and bridges that are left", "(0, 0)")
}

fn the_third_sigterm_ends_the_process_although_something_is_left(on: &'static Runtime) -> Trace {
    let stage = Stage::new(on, "killed");
    let mut bridge = stage.answered(on);
    // Asterisk does nothing any more of what it is asked.
    stage.asterisk.with(|machine, _, _| machine.faults.every = Some(Fault::LoseRequest));
    bridge.signal("TERM");
    bridge.logs("stopping: no new calls; 1 under way may go on for 60 s");
    bridge.signal("TERM");
    bridge.logs("the bridge is stopping");
    bridge.signal("TERM");
    bridge.logs("stopped at once: what is left of the calls stays on Asterisk");
    let status = bridge.ends();
    let (_, bridges) = stage.asterisk.objects();
    assert_eq!((status.code(), bridges), (Some(1), 1), "{}", bridge.log());
    let mut trace = Trace::default();
    trace.note("exit code", status.code());
    trace.put("complaints", bridge.complaints());
    trace
}

fn a_wrong_key_sends_callers_on_into_the_dialplan_and_the_process_goes_on(on: &'static Runtime) -> Trace {
    let stage = Stage::new(on, "wrong-key");
    // An address of loopback that nothing else here has ports on, so that the port is still free then.
    let admin = TcpListener::bind("127.0.0.77:0").unwrap().local_addr().unwrap();
    let bind = admin.to_string();
    let env = stage.settings(&[("OPENAI_API_KEY", "sk-of-somebody-else"), ("ADMIN_BIND", &bind)]);
    let mut bridge = start(on, &env, &[]);
    bridge.logs(READY);
    for caller in [1, 2] {
        stage.calls(caller);
        bridge.logs("check OPENAI_API_KEY");
        stage.until(caller, CallerState::InDialplan, &mut bridge);
        bridge.logs("call ended");
    }
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200"), "{}", bridge.log());
    let metrics = get(admin, "/metrics");
    assert!(metrics.contains("ari_bridge_calls_total{status=\"realtime_refused\"} 2"), "{metrics}");
    bridge.signal("TERM");
    let mut trace = stage.ends(bridge, &[1, 2]);
    trace.metrics(&metrics);
    trace.says("exit code", "Some(0)").says("channels and bridges that are left", "(0, 0)")
}

fn settings_that_cannot_be_are_told_all_at_once_and_the_exit_code_is_2(on: &'static Runtime) -> Trace {
    let mut trace = Trace::default();
    for command in [&["run"][..], &[], &["check"]] {
        let (code, said, complained) = says(on, command, &[("OPENAI_SPEED", "fast"), ("ADOPT", "maybe")]);
        assert_eq!((code, &*said), (Some(2), ""), "{complained}");
        for wrong in ["OPENAI_API_KEY", "OPENAI_SPEED: \"fast\" cannot be", "ADOPT: \"maybe\" cannot be"] {
            assert!(complained.contains(wrong), "{complained}");
        }
        trace.note("exit code", code);
        trace.put("complaints", complained.lines().map(str::to_owned));
    }
    let (code, _, complained) = says(on, &["--env-file", "/nowhere/env"], &[]);
    assert_eq!(code, Some(2), "{complained}");
    trace.put("complaints", [complained]);
    let (code, _, complained) = says(on, &["serve"], &[]);
    assert_eq!(code, Some(2), "{complained}");
    trace.put("complaints", [complained.replace(on.program, "PROGRAM")]);
    trace
}

fn what_the_machine_refuses_makes_the_exit_code_1(on: &'static Runtime) -> Trace {
    let stage = Stage::new(on, "refused");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let env = stage.settings(&[("OPENAI_API_KEY", "sk-test"), ("ADMIN_BIND", &address)]);
    let (code, _, complained) = says(on, &["--env-file", env.to_str().unwrap()], &[]);
    assert_eq!(code, Some(1), "{complained}");
    assert!(complained.contains("ADMIN_BIND: cannot listen on "), "{complained}");
    let mut trace = Trace::default();
    let complained = complained.lines().filter(|line| line.contains("ADMIN_BIND"));
    trace.put(
        "complaints",
        complained.map(|line| line.replace(&address, "ADDRESS").replacen(on.program, "PROGRAM", 1)),
    );
    trace
}

fn check_exits_with_0_if_all_is_well_with_1_if_not_and_with_2_if_it_cannot_ask(
    on: &'static Runtime,
) -> Trace {
    let stage = Stage::new(on, "check");
    // Ports that no other story has.
    let ports = [("RTP_PORT_START", "29000"), ("RTP_PORT_END", "29003"), ("RTP_BIND_HOST", "127.0.0.78")];
    let check = |set: &[(&str, &str)]| {
        let env = stage.settings(&[&ports, set].concat());
        says(on, &["check", "--env-file", env.to_str().unwrap()], &[])
    };
    let key = &*realtime::Settings::default().key;
    let good = check(&[("OPENAI_API_KEY", key)]);
    let wrong_key = check(&[("OPENAI_API_KEY", "sk-of-somebody-else")]);
    let wrong_password = check(&[("OPENAI_API_KEY", key), ("ARI_PASSWORD", "wrong")]);
    let no_key = check(&[]);
    // The name of the application is taken then.
    let mut bridge = start(on, &stage.good_settings(), &[]);
    bridge.logs(READY);
    let taken = check(&[("OPENAI_API_KEY", key)]);
    let mut trace = Trace::default();
    for ((code, said, complained), wanted, has) in [
        (good, 0, "ok    Realtime: session created"),
        (wrong_key, 1, "check OPENAI_API_KEY"),
        (wrong_password, 1, "check ARI_USER and ARI_PASSWORD"),
        (no_key, 2, ""),
        (taken, 1, "the name voice-agent is taken"),
    ] {
        assert!(code == Some(wanted) && said.contains(has), "{code:?}: {said}{complained}");
        trace.note("exit code", code);
        trace.put("said", said.replace(&stage.asterisk.url(), "ARI_URL").lines().map(str::to_owned));
        trace.put("complained", complained.lines().map(str::to_owned));
    }
    trace
}

fn help_and_version_are_told_alike(on: &'static Runtime) -> Trace {
    let mut trace = Trace::default();
    for asked in ["--help", "-h", "--version"] {
        let (code, said, complained) = says(on, &[asked], &[]);
        assert!(code == Some(0) && said.contains(on.program) && complained.is_empty(), "{said}{complained}");
        trace.put(asked, said.replace(on.program, "PROGRAM").lines().map(str::to_owned));
    }
    trace
}

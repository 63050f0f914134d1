//! What calls cost the process on each runtime: `cargo bench -p ari-bridge-tests --bench runtimes`.
//!
//! The bridge is a process of its own (this program once more); Asterisk and the Realtime server are the stand-ins, in
//! another. All callers talk all the time, and the agent says everything back: more than people do. Machines are shared
//! and noisy, so runs of the two take turns and the medians are compared.
//!
//! `-- --calls 80 --seconds 10 --rounds 5 --threads 1` says how many, how long, how often, and on how many threads;
//! `--capture all` (or `blackbox`) has them captured meanwhile.

use ari_bridge_core::call;
use ari_bridge_core::capture::{Capture, open};
use ari_bridge_core::config::Config;
use ari_bridge_core::id::CallId;
use ari_bridge_core::replay::Player;
use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime;
use ari_bridge_host::standin::{AsteriskServer, parrot, serve_asterisk, serve_realtime};
use ari_bridge_host::{Options, Runtime, Watch, cli};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const RUNTIMES: [&Runtime; 2] = [&ari_bridge_smol::RUNTIME, &ari_bridge_tokio::RUNTIME];

/// Names the runtime, if this process is the bridge.
const ROLE: &str = "BENCH_RUNTIME";

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a clock tick is on Linux, as far as /proc is concerned (proc(5), `_SC_CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// What is measured, and for how long.
#[derive(Clone, Copy, Debug)]
struct Plan {
    calls: u64,
    seconds: u64,
    rounds: usize,
    /// 0 means as many as there are cores.
    threads: u64,
    /// `CAPTURE`.
    capture: &'static str,
}

impl Plan {
    fn from_arguments() -> Self {
        let mut plan = Self { calls: 80, seconds: 10, rounds: 5, threads: 0, capture: "off" };
        let arguments: Vec<String> = std::env::args().collect();
        for pair in arguments.windows(2) {
            if pair[0] == "--capture" {
                plan.capture = if pair[1] == "all" { "all" } else { "blackbox" };
            }
            let Ok(number) = pair[1].parse() else { continue };
            match pair[0].as_str() {
                "--calls" => plan.calls = number,
                "--seconds" => plan.seconds = number,
                "--rounds" => plan.rounds = number as usize,
                "--threads" => plan.threads = number,
                _ => {}
            }
        }
        plan
    }
}

/// The settings of the bridge.
fn variables(ari_url: &str, realtime_url: &str, admin: &str) -> [(&'static str, String); 12] {
    let standin = Settings::default();
    [
        ("OPENAI_API_KEY", realtime::Settings::default().key),
        ("OPENAI_REALTIME_URL", realtime_url.to_owned()),
        ("ARI_URL", ari_url.to_owned()),
        ("ARI_USER", standin.user),
        ("ARI_PASSWORD", standin.password.to_string()),
        ("ARI_APP", standin.app),
        ("ADMIN_BIND", admin.to_owned()),
        ("ANSWER_WITHIN_MS", "20000".to_owned()),
        ("RTP_PORT_START", "34000".to_owned()),
        ("RTP_PORT_END", "34499".to_owned()),
        ("BARGE_IN", "off".to_owned()),
        ("DRAIN_SECONDS", "0".to_owned()),
    ]
}

/// The bridge. It is killed if it was not ended.
struct Bridge(Child);

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Bridge {
    fn start(runtime: &Runtime, ari_url: &str, realtime_url: &str, admin: &str, plan: Plan) -> Self {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program
            .env_clear()
            .env(ROLE, runtime.program)
            .env("RUST_LOG", "off")
            .stderr(Stdio::null())
            .stdout(Stdio::null());
        program.envs(variables(ari_url, realtime_url, admin));
        program.env("CAPTURE", plan.capture).env("CAPTURE_DIR", capture_dir());
        if plan.threads > 0 {
            program.env("WORKER_THREADS", plan.threads.to_string());
        }
        Self(program.spawn().unwrap())
    }

    fn proc(&self, what: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{what}", self.0.id())).unwrap()
    }

    /// Seconds of CPU so far, of all threads.
    fn cpu(&self) -> f64 {
        seconds(&self.proc("stat"))
    }

    /// Seconds of CPU so far, of the threads of captures.
    fn cpu_of_captures(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let of = |path: std::path::PathBuf| {
            let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
            let is_one = stat.contains("(ari-bridge-cap)") || stat.contains("(ari-bridge-box)");
            if is_one { seconds(&stat) } else { 0.0 }
        };
        tasks.map(|task| of(task.unwrap().path())).sum()
    }

    /// How often its threads gave up the processor by themselves so far.
    fn switches(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let of = |path: std::path::PathBuf| {
            let status = fs::read_to_string(path.join("status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|count| count.trim().parse::<f64>().ok()).unwrap_or(0.0)
        };
        tasks.map(|task| of(task.unwrap().path())).sum()
    }
}

/// The seconds of CPU in a `stat` of /proc.
fn seconds(stat: &str) -> f64 {
    // What is in brackets may hold anything; the fields are counted behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |n: usize| fields[n].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn capture_dir() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("ari-bridge-bench-captures-{}", std::process::id()))
}

fn metric(admin: &str, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(admin).ok()?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < give_up, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What one run has shown.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Milliseconds of CPU for a second of a call.
    cpu: f64,
    /// How many of them for writing captures.
    captures: f64,
    /// Context switches for a second of a call.
    switches: f64,
    /// Of all frames to callers, those that came a slot late or more, in millionths.
    late: f64,
}

fn run(runtime: &Runtime, plan: Plan) -> Run {
    let settings = Settings { rtp_ports: (0..plan.calls as u16).collect(), ..Settings::default() };
    let asterisk = serve_asterisk(settings).unwrap();
    let realtime = serve_realtime(realtime::Settings::default(), parrot).unwrap();
    let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let bridge = Bridge::start(runtime, &asterisk.url(), &realtime.url(), &admin, plan);
    until("the connection to Asterisk", || metric(&admin, "ari_bridge_ari_connected") == Some(1.0));
    let callers = 1..=plan.calls;
    for caller in callers.clone() {
        asterisk.dial(caller, "+4930123456", "100");
    }
    for caller in callers.clone() {
        let answered = asterisk.wait(caller, PATIENCE, |seen| {
            seen.states.iter().any(|(_, state)| *state == CallerState::Answered)
        });
        assert!(answered, "caller {caller}: {:?}", asterisk.seen(caller).states);
    }
    talk(&asterisk, plan);
    // Until everybody is in the middle of it.
    std::thread::sleep(Duration::from_secs(2));
    let (begun, cpu, switches) = (Instant::now(), bridge.cpu(), bridge.switches());
    let captures = bridge.cpu_of_captures();
    std::thread::sleep(Duration::from_secs(plan.seconds));
    let call_seconds = begun.elapsed().as_secs_f64() * plan.calls as f64;
    let (cpu, switches) = (bridge.cpu() - cpu, bridge.switches() - switches);
    let captures = bridge.cpu_of_captures() - captures;
    drop(fs::remove_dir_all(capture_dir()));
    let late = metric(&admin, "ari_bridge_playout_late_slots_total").unwrap_or(0.0);
    assert_eq!(metric(&admin, "ari_bridge_active_calls"), Some(plan.calls as f64));
    Run {
        cpu: cpu * 1000.0 / call_seconds,
        captures: captures * 1000.0 / call_seconds,
        switches: switches / call_seconds,
        late: late * 1e6 / (call_seconds * 50.0),
    }
}

/// Everybody says the same again and again, as long as is measured.
fn talk(asterisk: &AsteriskServer, plan: Plan) {
    let speech = Caller::recorded().speech().to_vec();
    let needed = (plan.seconds as usize + 4) * 16_000;
    let said: Vec<i16> = speech.iter().copied().cycle().take(needed).collect();
    for caller in 1..=plan.calls {
        asterisk.speak(caller, &said);
    }
}

/// Keeps the logs of calls.
#[derive(Default)]
struct Logs(Mutex<Vec<Vec<u8>>>);

impl Watch for Logs {
    fn log(&self, call: Option<CallId>, log: Vec<u8>) {
        if call.is_some() {
            self.0.lock().unwrap().push(log);
        }
    }
}

/// How much later than it was due the timer of a call rang, in milliseconds, over a call of some seconds. It stands in
/// the call's log: when the machine wanted to be woken, and when it was.
fn lateness(runtime: &Runtime, plan: Plan) -> Vec<f64> {
    let asterisk = serve_asterisk(Settings::default()).unwrap();
    let realtime = serve_realtime(realtime::Settings::default(), parrot).unwrap();
    let logs = Arc::new(Logs::default());
    let variables = variables(&asterisk.url(), &realtime.url(), "127.0.0.1:0");
    let config = Config::from_variables(variables).unwrap();
    let options = Options { log_bytes: Some(64 * 1024 * 1024), ..Options::watched(logs.clone()) };
    let service = (runtime.start)(config, options).unwrap();
    let admin = service.admin_addr().to_string();
    until("the connection to Asterisk", || metric(&admin, "ari_bridge_ari_connected") == Some(1.0));
    asterisk.dial(1, "+4930123456", "100");
    let is_there = asterisk
        .wait(1, PATIENCE, |seen| seen.states.iter().any(|(_, state)| *state == CallerState::Answered));
    assert!(is_there, "{:?}", asterisk.seen(1).states);
    talk(&asterisk, Plan { calls: 1, ..plan });
    std::thread::sleep(Duration::from_secs(plan.seconds));
    service.stop_now();
    service.join().unwrap();
    let logs = logs.0.lock().unwrap();
    let Ok(Capture::Call(head, records)) = open(&logs[0]) else { panic!("no log of a call") };
    let (mut player, mut due, mut late) = (Player::new(head, records), None, Vec::new());
    while let Some(step) = player.step().unwrap() {
        if let (Some(due), Some(call::Input::Timer)) = (due, step.input) {
            late.push(step.now.since(due).as_secs_f64() * 1000.0);
        }
        due = step.next.deadline.map(|(at, _)| at);
    }
    late.sort_by(f64::total_cmp);
    late
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(ROLE) {
        let runtime = RUNTIMES.into_iter().find(|runtime| runtime.program == role).unwrap();
        return ExitCode::from(cli::main_with(
            runtime,
            [role.into(), "--env-file".into(), "/dev/null".into()],
        ));
    }
    let plan = Plan::from_arguments();
    let threads = if plan.threads == 0 {
        "as many threads as cores".into()
    } else {
        format!("{} threads", plan.threads)
    };
    println!(
        "{} calls on {threads}, {} rounds of {} s; per second of a call:",
        plan.calls, plan.rounds, plan.seconds
    );
    let mut runs = RUNTIMES.map(|_| Vec::new());
    for _ in 0..plan.rounds {
        for (runtime, runs) in RUNTIMES.iter().zip(&mut runs) {
            runs.push(run(runtime, plan));
        }
    }
    for runtime in RUNTIMES {
        let late = lateness(runtime, plan);
        if late.is_empty() {
            println!("  {:<18} the agent has said nothing in so short a time", runtime.program);
            continue;
        }
        let part = |of: usize| late[(late.len() - 1) * of / 1000];
        println!(
            "  {:<18} {} timers of one call rang late by {:.2} ms (median), {:.2} ms (99 %), {:.2} ms (99.9 %)",
            runtime.program,
            late.len(),
            part(500),
            part(990),
            part(999)
        );
    }
    let medians = runs.map(|runs| {
        let of = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
        (of(|run| run.cpu), of(|run| run.captures), of(|run| run.switches), of(|run| run.late))
    });
    let least = medians.iter().map(|(cpu, ..)| *cpu).fold(f64::INFINITY, f64::min);
    for (runtime, (cpu, captures, switches, late)) in RUNTIMES.iter().zip(medians) {
        println!(
            "  {:<18} {cpu:6.2} ms of CPU ({:.2}), {captures:.3} of them to write captures, {switches:6.1} context switches; {late:.0} of a million frames late",
            runtime.program,
            cpu / least
        );
    }
    ExitCode::SUCCESS
}

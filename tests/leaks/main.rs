//! A thousand short calls leave the process as they found it: its memory, its file descriptors, its threads and its
//! tasks, on each runtime. It takes some minutes and is not run with the others:
//!
//! ```sh
//! cargo test --release -p ari-bridge-tests --test leaks -- --ignored --nocapture --test-threads 1
//! ```
//!
//! How much of its memory a process uses cannot be seen from outside: what was freed stays with the allocator, and a
//! leak of a kilobyte per call disappears in it for a thousand calls. So the bridge is this program once more, whose
//! allocator counts.
#![expect(unsafe_code, reason = "a global allocator that counts cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ari_bridge_core::config::Config;
use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime;
use ari_bridge_host::standin::{AsteriskServer, CallerSeen, parrot, serve_asterisk, serve_realtime};
use ari_bridge_host::{Options, Runtime};
use ari_bridge_tests::process::{Bridge, PATIENCE, Scratch};

/// How many calls fill the buffers and pools that stay.
const WARM_UP: usize = 50;
const CALLS: usize = 1000;
const AT_ONCE: usize = 16;

/// By how much the memory in use may have grown after [`CALLS`] calls, in bytes: 256 for each. Tables that have just
/// been doubled are in it, and buffers of connections that stay open; one of 64 KiB was seen.
const MAX_GROWTH: usize = 256 * CALLS;

/// How much of the caller is said, at 16 kHz.
const SAID: usize = 8_000;

/// Where the bridge finds its settings, and writes how many bytes it uses, if this process is the bridge.
const SETTINGS: &str = "LEAKS_SETTINGS";
const IN_USE: &str = "LEAKS_IN_USE";

/// How often it does.
const COUNT_EVERY: Duration = Duration::from_millis(100);

static BYTES_IN_USE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged; the counter is a number.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES_IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES_IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bridge, in a process of its own, until it is told to end.
fn serve(on: &Runtime, settings: &Path, in_use: PathBuf) {
    std::thread::spawn(move || {
        loop {
            // As a whole or not at all, for whoever reads it.
            let next = in_use.with_extension("next");
            std::fs::write(&next, BYTES_IN_USE.load(Ordering::Relaxed).to_string()).unwrap();
            std::fs::rename(&next, &in_use).unwrap();
            std::thread::sleep(COUNT_EVERY);
        }
    });
    let variables = dotenvy::from_path_iter(settings).unwrap().map(Result::unwrap);
    let config = Config::from_variables(variables).unwrap_or_else(|faults| panic!("{faults}"));
    let options = Options { is_supervised: true, ..Options::default() };
    (on.run)(config, options, Box::new(|| Err("they are not read again".to_owned()))).unwrap();
}

/// What the process holds at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Held {
    bytes: usize,
    descriptors: usize,
    threads: usize,
    tasks: usize,
}

impl Held {
    fn by(pid: u32, admin: &str, in_use: &Path) -> Self {
        let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
        Self {
            bytes: std::fs::read_to_string(in_use).unwrap().parse().unwrap(),
            descriptors: count("fd"),
            threads: count("task"),
            tasks: gauge(admin, "ari_bridge_tasks"),
        }
    }

    /// Waits until nothing is left of the calls but what stays: the one task is that which answers the question.
    fn in_quiet(pid: u32, admin: &str, in_use: &Path, like: Option<Self>) -> Self {
        let give_up = Instant::now() + 4 * PATIENCE;
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let held = Self::by(pid, admin, in_use);
            let is_quiet = gauge(admin, "ari_bridge_active_calls") == 0 && held.tasks == 1;
            let is_like = like.is_none_or(|like| like.descriptors == held.descriptors);
            if (is_quiet && is_like) || Instant::now() > give_up {
                return held;
            }
        }
    }
}

fn gauge(admin: &str, name: &str) -> usize {
    let mut stream = TcpStream::connect(admin).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {answer}")).parse().unwrap()
}

fn was(state: CallerState) -> impl Fn(&CallerSeen) -> bool {
    move |seen| seen.states.iter().any(|(_, seen)| *seen == state)
}

/// So many calls, [`AT_ONCE`] at a time: each is answered, speaks, hears something and hangs up.
fn calls(asterisk: &AsteriskServer, from: usize, count: usize) {
    let recorded = Caller::recorded();
    let speech = &recorded.speech()[..SAID];
    std::thread::scope(|scope| {
        for lane in 0..AT_ONCE {
            scope.spawn(move || {
                for caller in (from..from + count).skip(lane).step_by(AT_ONCE) {
                    let caller = caller as u64;
                    asterisk.dial(caller, "+4930123456", "100");
                    let answered = asterisk.wait(caller, PATIENCE, was(CallerState::Answered));
                    assert!(answered, "{caller}: {:?}", asterisk.seen(caller).states);
                    asterisk.speak(caller, speech);
                    let heard = asterisk.wait(caller, PATIENCE, |seen| seen.ear.loud_frames(300) >= 5);
                    assert!(heard, "{caller} heard nothing");
                    asterisk.hang_up(caller);
                }
            });
        }
    });
}

/// Holds what the process uses before a thousand calls against what it uses after them. `test` is the name of the test,
/// which the process runs to be the bridge.
fn a_thousand_short_calls_leave_the_process_as_it_was(test: &str, on: &Runtime) {
    if let (Some(settings), Some(in_use)) = (std::env::var_os(SETTINGS), std::env::var_os(IN_USE)) {
        return serve(on, settings.as_ref(), in_use.into());
    }
    let settings = Settings { rtp_ports: (0..64).collect(), ..Settings::default() };
    let (asterisk, scratch) = (serve_asterisk(settings).unwrap(), Scratch::new(&format!("leaks-{test}")));
    let realtime = serve_realtime(realtime::Settings::default(), parrot).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let admin = port.to_string();
    let key = realtime::Settings::default().key;
    let set = [
        ("OPENAI_API_KEY", &*key),
        ("ADMIN_BIND", &*admin),
        ("RTP_PORT_START", "34000"),
        ("RTP_PORT_END", "34199"),
    ];
    let env = scratch.settings(&asterisk.url(), &realtime.url(), &set);
    let in_use = scratch.path("in-use");
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--ignored", "--exact", test]);
    program.env_clear().env(SETTINGS, env).env(IN_USE, &in_use);
    let mut bridge = Bridge::spawn(program);
    let give_up = Instant::now() + PATIENCE;
    while TcpStream::connect(&admin).is_err() || gauge(&admin, "ari_bridge_ari_connected") == 0 {
        assert!(Instant::now() < give_up, "{}", bridge.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    calls(&asterisk, 1, WARM_UP);
    let before = Held::in_quiet(bridge.pid(), &admin, &in_use, None);
    let began = Instant::now();
    calls(&asterisk, 1 + WARM_UP, CALLS);
    let took = began.elapsed();
    let after = Held::in_quiet(bridge.pid(), &admin, &in_use, Some(before));
    println!(
        "before {CALLS} calls: {before:?}\nafter them:        {after:?}\nthey took {} s",
        took.as_secs()
    );
    let kept = |held: Held| (held.descriptors, held.threads, held.tasks);
    assert_eq!(kept(after), kept(before), "{}", bridge.log());
    let growth = after.bytes.saturating_sub(before.bytes);
    assert!(growth <= MAX_GROWTH, "the memory in use grew by {growth} bytes");
    assert_eq!(asterisk.objects(), (0, 0));
    bridge.signal("TERM");
    assert!(bridge.ends().success());
}

#[test]
#[ignore = "minutes; see the head of the file"]
fn on_smol() {
    a_thousand_short_calls_leave_the_process_as_it_was("on_smol", &ari_bridge_smol::RUNTIME);
}

#[test]
#[ignore = "minutes; see the head of the file"]
fn on_tokio() {
    a_thousand_short_calls_leave_the_process_as_it_was("on_tokio", &ari_bridge_tokio::RUNTIME);
}

//! A thousand short calls leave the process as they found it: its memory, its file descriptors, its threads and its
//! tasks. It takes some minutes and is not run with the others:
//!
//! ```sh
//! cargo test --release -p ari-bridge-smol --test leaks -- --ignored --nocapture
//! ```

#[expect(dead_code, reason = "each test binary uses a part of it")]
mod bridge;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_core::sim::caller::Caller;
use ari_bridge_core::sim::realtime;
use ari_bridge_smol::standin::{AsteriskServer, CallerSeen, parrot, serve_asterisk, serve_realtime};
use bridge::{Bridge, PATIENCE, Scratch};

/// How many calls fill the buffers and pools that stay.
const WARM_UP: usize = 50;
const CALLS: usize = 1000;
const AT_ONCE: usize = 16;

/// By how much the resident memory may have grown after [`CALLS`] calls, in KiB: 4 KiB for each would be a leak of a
/// call's smallest part, and the allocator's own ups and downs are below this.
const MAX_GROWTH_KIB: i64 = 4 * 1024;

/// How much of the caller is said, at 16 kHz.
const SAID: usize = 8_000;

/// What the process holds at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Held {
    resident_kib: i64,
    descriptors: usize,
    threads: usize,
    tasks: usize,
}

impl Held {
    fn by(pid: u32, admin: &str) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<i64>().unwrap()
        };
        Self {
            resident_kib: number("VmRSS:"),
            descriptors: std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            threads: usize::try_from(number("Threads:")).unwrap(),
            tasks: gauge(admin, "ari_bridge_tasks"),
        }
    }

    /// Waits until nothing is left of the calls but what stays: the one task is that which answers the question.
    fn in_quiet(pid: u32, admin: &str, like: Option<Self>) -> Self {
        let give_up = Instant::now() + 4 * PATIENCE;
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let held = Self::by(pid, admin);
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

#[test]
#[ignore = "minutes; see the head of the file"]
fn a_thousand_short_calls_leave_the_process_as_it_was() {
    let settings = Settings { rtp_ports: (0..64).collect(), ..Settings::default() };
    let (asterisk, scratch) = (serve_asterisk(settings).unwrap(), Scratch::new("leaks"));
    let realtime = serve_realtime(realtime::Settings::default(), parrot).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let admin = port.to_string();
    let set = [
        ("ADMIN_BIND", &*admin),
        ("ANSWER_WITHIN_MS", "20000"),
        ("RTP_PORT_START", "34000"),
        ("RTP_PORT_END", "34199"),
    ];
    let env = scratch.settings(&asterisk.url(), &realtime.url(), &set);
    let key = realtime::Settings::default().key;
    // One heap for all threads. Those that glibc gives to each take some three thousand calls until they are as full as
    // they get, which is 3 MiB after the first thousand, and 60 KiB more after the fourth.
    let environment = [("OPENAI_API_KEY", &*key), ("RUST_LOG", "warn"), ("MALLOC_ARENA_MAX", "1")];
    let mut bridge = Bridge::start(&env, &environment);
    let give_up = Instant::now() + PATIENCE;
    while TcpStream::connect(&admin).is_err() || gauge(&admin, "ari_bridge_ari_connected") == 0 {
        assert!(Instant::now() < give_up, "{}", bridge.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    calls(&asterisk, 1, WARM_UP);
    let before = Held::in_quiet(bridge.pid(), &admin, None);
    let began = Instant::now();
    calls(&asterisk, 1 + WARM_UP, CALLS);
    let took = began.elapsed();
    let after = Held::in_quiet(bridge.pid(), &admin, Some(before));
    println!(
        "before {CALLS} calls: {before:?}\nafter them:        {after:?}\nthey took {} s",
        took.as_secs()
    );
    let kept = |held: Held| (held.descriptors, held.threads, held.tasks);
    assert_eq!(kept(after), kept(before), "{}", bridge.log());
    let growth = after.resident_kib - before.resident_kib;
    assert!(growth <= MAX_GROWTH_KIB, "the resident memory grew by {growth} KiB");
    assert_eq!(asterisk.objects(), (0, 0));
    bridge.signal("TERM");
    assert!(bridge.ends().success());
}

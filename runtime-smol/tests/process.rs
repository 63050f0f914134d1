//! The program as its operator and its supervisor have it: signals, files of keys, notifications.

mod bridge;

use ari_bridge_core::sim::asterisk::{CallerState, Settings};
use ari_bridge_core::sim::realtime;
use ari_bridge_host::standin::{AsteriskServer, CallerSeen, parrot, serve_asterisk, serve_realtime};
use bridge::{Bridge, PATIENCE, Scratch, Supervisor};

fn asterisk() -> AsteriskServer {
    serve_asterisk(Settings::default()).unwrap()
}

fn was(state: CallerState) -> impl Fn(&CallerSeen) -> bool {
    move |seen| seen.states.iter().any(|(_, seen)| *seen == state)
}

#[test]
fn the_supervisor_hears_of_the_whole_life_of_the_process() {
    let (asterisk, scratch) = (asterisk(), Scratch::new("supervised"));
    let env = scratch.settings(&asterisk.url(), "ws://127.0.0.1:1", &[("DRAIN_SECONDS", "7")]);
    let path = scratch.path("notify");
    let supervisor = Supervisor::listen(&path);
    let set = [
        ("OPENAI_API_KEY", "sk-test"),
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "400000"),
    ];
    let mut bridge = Bridge::start(&env, &set);
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
    assert!(bridge.ends().success());
}

#[test]
fn a_new_key_in_its_file_is_used_after_sighup_and_settings_that_cannot_be_change_nothing() {
    let (asterisk, scratch) = (asterisk(), Scratch::new("keys"));
    let realtime = serve_realtime(realtime::Settings::default(), parrot).unwrap();
    let key = scratch.write("key", "sk-of-yesterday\n");
    let file = ("OPENAI_API_KEY_FILE", key.to_str().unwrap());
    let env = scratch.settings(&asterisk.url(), &realtime.url(), &[file]);
    let mut bridge = Bridge::start(&env, &[]);
    bridge.logs("ARI connected");
    asterisk.dial(1, "+4930123456", "100");
    assert!(asterisk.wait(1, PATIENCE, was(CallerState::InDialplan)), "{}", bridge.log());

    scratch.write("key", &format!("{}\n", realtime::Settings::default().key));
    bridge.signal("HUP");
    bridge.logs("settings read again; they hold for new calls");
    asterisk.dial(2, "+4930123457", "100");
    assert!(asterisk.wait(2, PATIENCE, was(CallerState::Answered)), "{}", bridge.log());

    scratch.settings(&asterisk.url(), &realtime.url(), &[file, ("OPENAI_SPEED", "fast"), ("ADOPT", "maybe")]);
    bridge.signal("HUP");
    bridge.logs("OPENAI_SPEED: \"fast\" cannot be");
    bridge.logs("ADOPT: \"maybe\" cannot be");
    bridge.logs("the old ones stay in force");
    scratch.settings(&asterisk.url(), &realtime.url(), &[file, ("RTP_PORT_END", "30200")]);
    bridge.signal("HUP");
    bridge.logs("not changed, because it takes a restart: RTP_PORT_END");
    bridge.logs("settings read again");
    asterisk.dial(3, "+4930123458", "100");
    assert!(asterisk.wait(3, PATIENCE, was(CallerState::Answered)), "{}", bridge.log());

    // Two calls are under way: the first signal lets them talk, the second ends them.
    bridge.signal("TERM");
    bridge.logs("stopping: no new calls; 2 under way may go on for 60 s");
    assert!(!was(CallerState::Gone)(&asterisk.seen(2)), "{}", bridge.log());
    bridge.signal("TERM");
    assert!(bridge.ends().success());
    assert_eq!(asterisk.objects().1, 0, "no bridge is left");
    let log = bridge.log();
    assert!(!log.contains("sk-of-yesterday") && !log.contains(&realtime::Settings::default().key), "{log}");
}

//! The bridge is told to stop while it has calls, and what many calls leave in it.

use std::net::UdpSocket;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::World;
use crate::bridge::{Bridge, Holds};
use crate::call::{Call, Script};
use crate::codec::Codec;
use crate::events::Watch;
use crate::fallback::{self, FALLBACK};
use crate::process::{Outcome, Process, free_udp_port, tail, until};
use crate::realtime::{Agent, start_realtime};
use crate::scenarios::{AGENT, CLEAN, RING, place, seconds};
use crate::talker::loud_after;

/// `DRAIN_SECONDS` of the first scenario.
const DRAIN: Duration = Duration::from_secs(4);

/// How soon a caller who is refused must be in the fallback.
const SOON: Duration = Duration::from_secs(2);

/// How long a goodbye may take, and a process that is to end at once.
const GOODBYE: Duration = Duration::from_secs(8);
const AT_ONCE: Duration = Duration::from_secs(5);

/// The least of a sound that is one.
const SOUND: Duration = Duration::from_millis(200);

/// Many calls: how many, how many at once, and how long each lasts, in milliseconds.
const CALLS: u32 = 200;
const AT_THE_SAME_TIME: u32 = 10;
const STAY_MS: u32 = 500;
const ALL_CALLS: Duration = Duration::from_secs(90);

/// How much more the bridge may have afterwards: kept connections to Asterisk, and memory that the allocator keeps.
const MORE_DESCRIPTORS: usize = 8;
const MORE_THREADS: usize = 2;
const MORE_KIB: u64 = 16 * 1024;

/// So many calls that have been answered.
fn calls(world: &World, scripts: &[Script]) -> Outcome<Vec<Call>> {
    let calls = scripts.iter().map(|script| place(world, AGENT, Codec::Pcmu, *script));
    let mut calls = calls.collect::<Outcome<Vec<_>>>()?;
    for call in &mut calls {
        call.answered(RING)?;
    }
    Ok(calls)
}

/// SIGTERM while four callers talk: a fifth is sent on, one hangs up, and when their time is over the others hear a
/// sound and go on in the dialplan.
pub(crate) fn drained(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let drain = DRAIN.as_secs().to_string();
    let variables = [&FALLBACK[..], &[("DRAIN_SECONDS", drain.as_str())]].concat();
    let mut bridge = Bridge::start_with(world, "slin16", &realtime, &variables)?;
    fallback::speaks(&world.pbx)?;
    let watch = Watch::start(&world.pbx)?;
    let scripts = [Script::WaitForBye, Script::WaitForBye, Script::WaitForBye, Script::HangUp];
    let mut calls = calls(world, &scripts)?;
    bridge.signal("TERM")?;
    let told = Instant::now();
    if !until(SOON, || bridge.is_ready(503)) {
        return Err(format!("ready although it stops\n{}", bridge.log_tail()));
    }
    let (_, why) = bridge.readiness().unwrap_or_default();
    let fifth = place(world, AGENT, Codec::Pcmu, Script::WaitForBye)?;
    let refused = fallback::all_arrive(&watch, 1, &["refused_stopping"], SOON)
        .map_err(|fault| format!("{fault}\n{}", bridge.log_tail()))?;
    let refused = refused.first().map(|arrived| (arrived.at - told, arrived.state.clone()));
    calls.pop().ok_or("nobody called")?.hang_up()?;
    let ended = "calls{status=\"caller_hung_up\"}";
    if !until(SOON, || bridge.count(ended) == Ok(1)) {
        return Err(format!("the caller who hung up is still there\n{}", bridge.log_tail()));
    }
    sleep((DRAIN - seconds(0.3)).saturating_sub(told.elapsed()));
    let still = bridge.gauge("active_calls")?;
    let over = Instant::now();
    let log = bridge.log_tail();
    bridge.ended(GOODBYE)?;
    let took = told.elapsed();
    let arrived = fallback::arrivals(&watch);
    let statuses: Vec<_> = arrived.iter().map(|arrived| arrived.status.as_str()).collect();
    let mut loud = Vec::new();
    for call in calls {
        loud.push(loud_after(&call.ended(CLEAN)?, over)?);
    }
    fifth.ended(CLEAN)?;
    let clean = world.pbx.nothing_left(CLEAN)?;
    let lines = format!(
        "/readyz: {}; the fifth {refused:.1?}; {still} calls were under way to the end; the bridge had ended after \
         {took:.1?}; in the fallback: {statuses:?}; of sound they heard {loud:.1?}; clean after {clean:.0?}",
        why.trim()
    );
    let heard = loud.iter().all(|loud| *loud >= SOUND);
    if heard && still == 3 && took >= DRAIN { Ok(lines) } else { Err(format!("{lines}\n{log}")) }
}

/// A second SIGTERM: nobody waits for the calls.
pub(crate) fn twice(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let mut bridge = Bridge::start(world, "slin16", &realtime)?;
    let calls = calls(world, &[Script::WaitForBye, Script::WaitForBye])?;
    bridge.signal("TERM")?;
    sleep(seconds(1.0));
    let still = bridge.gauge("active_calls")?;
    bridge.signal("TERM")?;
    let told = Instant::now();
    bridge.ended(AT_ONCE)?;
    let took = told.elapsed();
    let clean = world.pbx.nothing_left(CLEAN)?;
    for call in calls {
        call.ended(CLEAN)?;
    }
    let line = format!(
        "{still} calls went on, and the bridge ended {took:.1?} after the second; clean after {clean:.0?}"
    );
    if still == 2 { Ok(line) } else { Err(line) }
}

/// Many short calls: what the bridge has of the operating system, before and after.
pub(crate) fn leak(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start(world, "slin16", &realtime)?;
    // As many at once as there are going to be: connections and threads that are kept are there then.
    let took = short_calls(world, 2 * AT_THE_SAME_TIME)?;
    let before = settled(world, &bridge)?;
    let all = short_calls(world, CALLS)?;
    let after = settled(world, &bridge)?;
    let ended = bridge.count("calls{status=\"caller_hung_up\"}")?;
    bridge.stop()?;
    let lines =
        format!("{ended} calls in {took:.0?} and {all:.0?}; before {before:?}, afterwards {after:?}",);
    let is_same = after.descriptors <= before.descriptors + MORE_DESCRIPTORS
        && after.threads <= before.threads + MORE_THREADS
        && after.resident_kib <= before.resident_kib + MORE_KIB;
    if is_same && ended == u64::from(CALLS + 2 * AT_THE_SAME_TIME) { Ok(lines) } else { Err(lines) }
}

/// What the bridge has when its calls are over.
fn settled(world: &World, bridge: &Bridge) -> Outcome<Holds> {
    world.pbx.nothing_left(CLEAN)?;
    if !until(CLEAN, || bridge.gauge("active_calls") == Ok(0)) {
        return Err(format!("calls that do not end\n{}", bridge.log_tail()));
    }
    sleep(seconds(0.5));
    bridge.holds()
}

/// So many calls, one after the other and some at the same time; how long they took.
fn short_calls(world: &World, calls: u32) -> Outcome<Duration> {
    let begun = Instant::now();
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("asterisk/sipp/uac_short.xml");
    let (log, errors) = (world.file("short", "log"), world.file("short", "errors"));
    // Where the voices of the agent go, unheard.
    let ear = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let media = ear.local_addr().map_err(|e| e.to_string())?.port();
    let mut sipp = Process::start("SIPp", Path::new("sipp"), &log, |command| {
        command.arg("-sf").arg(&scenario).args(["-s", AGENT, "-i", "127.0.0.1", "-nostdin"]);
        command.arg("-trace_err").arg("-error_file").arg(&errors);
        for (name, value) in [
            ("-p", free_udp_port(0).unwrap_or_default().to_string()),
            ("-m", calls.to_string()),
            ("-l", AT_THE_SAME_TIME.to_string()),
            ("-r", (2 * AT_THE_SAME_TIME).to_string()),
            ("-d", STAY_MS.to_string()),
        ] {
            command.args([name, &value]);
        }
        let (codec, media) = (Codec::Pcmu, media.to_string());
        let payload_type = codec.payload_type().to_string();
        for (name, value) in [
            ("caller", "15550001111"),
            ("media", media.as_str()),
            ("codec", payload_type.as_str()),
            ("codecname", codec.name()),
            ("ptime", "20"),
        ] {
            command.args(["-key", name, value]);
        }
        command.arg(format!("127.0.0.1:{}", world.pbx.sip_port));
    })?;
    let status = sipp.wait(ALL_CALLS)?;
    if status.success() {
        return Ok(begun.elapsed());
    }
    Err(format!("{calls} calls did not go as scripted ({status})\n{}{}", tail(&errors, 12), tail(&log, 30)))
}

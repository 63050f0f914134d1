//! The scenarios, in the order in which they run.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use ari_bridge_tests::measure::{self, RATE};
use ari_bridge_tests::speech;
use serde_json::json;

use crate::bridge::Bridge;
use crate::call::{Call, Offer, Script};
use crate::codec::Codec;
use crate::line::Recording;
use crate::measuring::{Figures, HEARD, NOT_HEARD, Speech};
use crate::process::{Outcome, until};
use crate::realtime::{Agent, start_realtime};
use crate::{
    Scenario, World, admission, barge_in, crash, drain, facts, fallback, hold, keys, loss, office, outages,
    ptime, sessions, telephone,
};

/// All of them. The first five need no bridge: they show that the measuring can be believed, and what
/// Asterisk does.
pub(crate) const ALL: [(&str, Scenario); 38] = [
    ("echo: the measuring measures itself", echo),
    ("echo-local: so does the recording of a Local channel", echo_local),
    ("telephone: the telephone of the house is called and answers", telephone::telephone),
    ("keys: Asterisk hears the keys that a caller presses", keys::keys),
    ("facts: how Asterisk shows callers, media and bridges", facts::facts),
    ("formats: each format brings the caller's words back", formats),
    ("ptime: callers of 10, 30, 60 and 100 ms are understood", ptime::packet_times),
    ("loss: a bad network between the caller and Asterisk", loss::bad_networks),
    ("barge-in: the server is told what was heard", barge_in::truncation),
    ("hold: the caller holds, and is answered again afterwards", hold::hold),
    ("transfer: the agent puts a caller through to the telephone", office::transfer),
    ("keyed-in: keys reach the agent, and one of them the operator", office::keyed_in),
    ("caller-hangs-up: nothing stays", caller_hangs_up),
    ("agent-side-ends: SIGTERM ends the call, nothing stays", bridge_stops),
    ("time-limit: the agent says goodbye and hangs up", time_limit),
    ("session-lost: the conversation goes on in another session", sessions::session_lost),
    ("broken-session: where none is tried, the call goes on in the dialplan", sessions::broken_session),
    ("ten: ten callers hear themselves and nobody else", ten_calls),
    ("silence: a silent caller is still there", silent_caller),
    ("local: a caller that is no telephone", local_caller),
    ("pcap: a recorded voice is answered", recorded_voice),
    ("wrong-key: the call falls back into the dialplan", wrong_key),
    ("refused-key: a caller whom nobody answered is soon in the fallback", fallback::refused_key),
    ("refused-key-answered: and so is one whom the dialplan has answered", fallback::refused_key_answered),
    ("refused-key-hangup: one who is to go nowhere hears congestion", fallback::refused_key_hangs_up),
    ("ports: two ports, five callers, and none in silence", admission::ports),
    ("two-bridges: one takes the other's name, and one keeps to its own", admission::two_bridges),
    ("reload: another key without a restart", admission::reload),
    ("asterisk-restart: Asterisk is started again in the middle of a call", outages::asterisk_restarts),
    ("ari-cut: three callers talk on while ARI is away for half a minute", outages::ari_is_cut),
    ("ari-half-open: a connection that swallows everything is found out", outages::ari_is_half_open),
    ("overtaken: what is made after it was given up is removed", outages::overtaken),
    ("crash: ten callers whose bridge is killed talk to the next one", crash::adopted),
    ("crash-fallback: or are in the fallback, where none is to be adopted", crash::sent_on),
    ("drain: calls that do not end in time are ended with a word", drain::drained),
    ("drain-now: and at once when the operator asks twice", drain::twice),
    ("leak: two hundred short calls leave nothing", drain::leak),
    ("no-bridge: without a bridge it falls back too", no_bridge),
];

/// How long an utterance lasts, in seconds.
const UTTERANCE: f64 = 2.2;

/// How long a call may ring.
pub(crate) const RING: Duration = Duration::from_secs(6);

/// How long it may take until nothing is left of a call.
pub(crate) const CLEAN: Duration = Duration::from_secs(5);

/// Any number will do: the sample sends all of them to the agent.
pub(crate) const AGENT: &str = "5550100";

/// Long enough for the turn to be noticed and for the whole of it to be said back.
const PARROT_SECONDS: f64 = 0.3 + UTTERANCE + 1.0 + UTTERANCE + 0.8;

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn place(
    world: &World,
    extension: &str,
    offer: impl Into<Offer>,
    script: Script,
) -> Outcome<Call> {
    Call::place(&world.work, world.pbx.sip_port, extension, offer.into(), script)
}

/// Asterisk's own Echo(), in each codec: what is said comes back and is recognised; another voice is not.
fn echo(world: &World) -> Outcome<String> {
    let mut lines = Vec::new();
    for (voice, codec) in (1..).zip(Codec::ALL) {
        let said = Speech::new(codec, 0.2, &speech::utterance(voice, UTTERANCE), 0.3)?;
        let other = Speech::new(codec, 0.2, &speech::utterance(voice + 100, UTTERANCE), 0.3)?;
        let mut call = place(world, "echo", codec, Script::HangUp)?;
        call.answered(RING)?;
        call.speak(&said.payload)?;
        sleep(seconds(UTTERANCE + 0.8));
        let recording = call.hang_up()?;
        let figures = Figures::of(&said, &recording)?;
        figures.judge()?;
        let wrong = Figures::of(&other, &recording)?.found.correlation;
        if wrong >= NOT_HEARD {
            return Err(format!("{} a voice that never spoke was heard with {wrong:.3}", codec.name()));
        }
        lines.push(format!("{}: {figures}; another voice {wrong:.3}", codec.name()));
    }
    Ok(lines.join("\n"))
}

/// A caller that speaks a file into a Local channel and records what he hears, through Echo().
fn echo_local(world: &World) -> Outcome<String> {
    local(world, "echo", 1.0)
}

/// Each format that the bridge can have its media in, with a caller whose codec fits.
fn formats(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let mut lines = Vec::new();
    let pairs =
        [("slin16", Codec::G722), ("g722", Codec::G722), ("ulaw", Codec::Pcmu), ("alaw", Codec::Pcma)];
    for (voice, (format, codec)) in (11..).zip(pairs) {
        let bridge = Bridge::start(world, format, &realtime)?;
        let (figures, answered) = parrot(world, voice, codec)?;
        lines.push(format!("{format}, caller {}: answered after {answered:.0?}, {figures}", codec.name()));
        figures.judge().map_err(|fault| format!("{format}: {fault}"))?;
        world.pbx.nothing_left(CLEAN)?;
        bridge.stop()?;
    }
    Ok(lines.join("\n"))
}

/// One caller speaks and waits for his words to come back; how they did, and after how long he was answered.
fn parrot(world: &World, voice: u64, codec: Codec) -> Outcome<(Figures, Duration)> {
    let said = Speech::new(codec, 0.3, &speech::utterance(voice, UTTERANCE), 4.5)?;
    let mut call = place(world, AGENT, codec, Script::HangUp)?;
    let answered = call.answered(RING)?;
    call.speak(&said.payload)?;
    sleep(seconds(PARROT_SECONDS));
    Ok((Figures::of(&said, &call.hang_up()?)?, answered))
}

fn caller_hangs_up(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start(world, "slin16", &realtime)?;
    let mut lines = Vec::new();
    // In the quiet, and while the agent speaks.
    for (what, stay) in [("at once", 0.0), ("while the agent speaks", UTTERANCE + 1.8)] {
        let said = Speech::new(Codec::Pcmu, 0.0, &speech::utterance(21, UTTERANCE), 2.0)?;
        let mut call = place(world, AGENT, Codec::Pcmu, Script::HangUp)?;
        call.answered(RING)?;
        call.speak(&said.payload)?;
        sleep(seconds(stay));
        call.hang_up()?;
        lines.push(format!("{what}: clean after {:.0?}", world.pbx.nothing_left(CLEAN)?));
    }
    bridge.stop()?;
    Ok(lines.join("\n"))
}

/// The bridge is told to stop in the middle of a call: the caller gets a BYE.
fn bridge_stops(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start_with(world, "slin16", &realtime, &[("DRAIN_SECONDS", "0")])?;
    let said = Speech::new(Codec::G722, 0.0, &speech::utterance(31, UTTERANCE), 2.0)?;
    let mut call = place(world, AGENT, Codec::G722, Script::WaitForBye)?;
    call.answered(RING)?;
    call.speak(&said.payload)?;
    sleep(seconds(1.0));
    bridge.stop()?;
    call.ended(CLEAN)?;
    Ok(format!("clean after {:.0?}", world.pbx.nothing_left(CLEAN)?))
}

/// The longest allowed time is reached: the agent says goodbye, then the bridge hangs up.
fn time_limit(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start_with(world, "slin16", &realtime, &[("MAX_CALL_SECONDS", "10")])?;
    let mut call = place(world, AGENT, Codec::G722, Script::WaitForBye)?;
    call.answered(RING)?;
    let ear = call.ended(seconds(16.0))?.ear()?;
    let clean = world.pbx.nothing_left(CLEAN)?;
    bridge.stop()?;
    let loud = ear.chunks(RATE / 50).filter(|frame| measure::level_dbfs(frame) > -45.0).count();
    let figures = format!(
        "{:.1} s of goodbye in a call of {:.1} s, clean after {clean:.0?}",
        loud as f64 / 50.0,
        ear.len() as f64 / RATE as f64
    );
    if loud >= 10 { Ok(figures) } else { Err(figures) }
}

/// Ten calls at once, each with a voice of its own.
fn ten_calls(world: &World) -> Outcome<String> {
    const CALLS: u64 = 10;
    let codec = Codec::G722;
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start(world, "slin16", &realtime)?;
    let voice = |caller: u64| Speech::new(codec, 0.3, &speech::utterance(40 + caller, UTTERANCE), 4.5);
    let said = (0..CALLS).map(voice).collect::<Outcome<Vec<_>>>()?;
    let mut calls =
        (0..CALLS).map(|_| place(world, AGENT, codec, Script::HangUp)).collect::<Outcome<Vec<_>>>()?;
    for call in &mut calls {
        call.answered(RING)?;
    }
    for (call, said) in calls.iter().zip(&said) {
        call.speak(&said.payload)?;
    }
    sleep(seconds(PARROT_SECONDS + 0.5));
    let recordings = calls.into_iter().map(Call::hang_up).collect::<Outcome<Vec<Recording>>>()?;
    world.pbx.nothing_left(CLEAN)?;
    bridge.stop()?;

    let mut lines = Vec::new();
    for (caller, recording) in recordings.iter().enumerate() {
        let own = Figures::of(&said[caller], recording)?;
        let neighbour = &said[(caller + 1) % said.len()];
        let other = Figures::of(neighbour, recording)?.found.correlation;
        lines.push(format!("caller {caller}: {own}; his neighbour {other:.3}"));
        own.judge().map_err(|fault| format!("caller {caller}: {fault}"))?;
        if other >= NOT_HEARD {
            return Err(format!("caller {caller} hears his neighbour with {other:.3}"));
        }
    }
    Ok(lines.join("\n"))
}

/// A telephone with silence suppression sends nothing at all. The model must go on getting audio, or its voice
/// detection stands still, and the caller must be heard when he speaks at last.
fn silent_caller(world: &World) -> Outcome<String> {
    const SILENCE: f64 = 10.0;
    let codec = Codec::G722;
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start(world, "slin16", &realtime)?;
    let said = Speech::new(codec, 0.0, &speech::utterance(51, UTTERANCE), 0.0)?;
    let mut call = place(world, AGENT, codec, Script::HangUp)?;
    call.answered(RING)?;
    let before = realtime.appends();
    sleep(seconds(SILENCE));
    let appended = realtime.appends() - before;
    // However the bridge cuts it, less than two events a second is not a continuous stream.
    if appended < 20 {
        return Err(format!("only {appended} appends while the caller was silent for {SILENCE} s"));
    }
    call.speak(&said.payload)?;
    sleep(seconds(PARROT_SECONDS));
    let figures = Figures::of(&said, &call.hang_up()?)?;
    figures.judge()?;
    bridge.stop()?;
    Ok(format!("{appended} appends in {SILENCE} s of silence; then {figures}"))
}

/// A caller that is a Local channel, whose other half is the dialplan.
fn local_caller(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start(world, "slin16", &realtime)?;
    let figures = local(world, AGENT, UTTERANCE + 2.0)?;
    bridge.stop()?;
    Ok(figures)
}

/// Calls `extension` through `Local/…/n`; the dialplan of the caller's half speaks a file and records, by
/// MixMonitor in the receiving direction alone, what that half hears for so long after.
fn local(world: &World, extension: &str, listen_seconds: f64) -> Outcome<String> {
    let pbx = &world.pbx;
    let said = speech::utterance(61, UTTERANCE);
    let bytes: Vec<u8> = said.iter().flat_map(|s| s.to_le_bytes()).collect();
    let heard = pbx.host_path(&format!("heard-{extension}.sln16"));
    fs::write(pbx.host_path("said.sln16"), bytes).map_err(|e| format!("said.sln16: {e}"))?;
    let variables = json!({ "variables": {
        "SAID": pbx.inner_path("said"),
        "HEARD": pbx.inner_path(&format!("heard-{extension}.sln16")),
        "LISTEN": format!("{listen_seconds}"),
    }});
    let path = format!(
        "/channels?endpoint=Local/{extension}@from-trunk/n&context=caller&extension=speaks&priority=1\
         &formats=slin16&callerId=15550009999"
    );
    let (status, reply) = pbx.ari("POST", &path, Some(&variables))?;
    if status != 200 {
        return Err(format!("originate: {status} {reply}"));
    }
    if !until(RING, || heard.exists()) {
        return Err("the Local channel was not answered".to_owned());
    }
    let length = seconds(0.5 + UTTERANCE + listen_seconds) + CLEAN;
    pbx.nothing_left(length)?;
    let bytes = fs::read(&heard).map_err(|e| format!("{}: {e}", heard.display()))?;
    let ear: Vec<i16> = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let found = measure::find(&ear, &said);
    let part = measure::section(&ear, &said, found);
    let wideband = measure::level_above_dbfs(part, 4200.0) - measure::level_above_dbfs(&said, 4200.0);
    let figures = format!(
        "correlation {:.4}, {:.0} ms into a recording of {:.1} s, above 4.2 kHz {wideband:+.1} dB",
        found.correlation,
        found.lag_ms(),
        ear.len() as f64 / RATE as f64
    );
    if found.correlation > HEARD { Ok(figures) } else { Err(format!("not heard: {figures}")) }
}

/// SIPp's own recording, in packets of 30 ms: something is said in return.
fn recorded_voice(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start(world, "alaw", &realtime)?;
    // The recording lasts 7.1 s; SIPp goes on with its script as soon as it has begun to play it.
    let mut call = place(world, AGENT, Codec::Pcma, Script::Recorded { stay_ms: 12_000 })?;
    call.answered(RING)?;
    let ear = call.ended(Duration::from_secs(30))?.ear()?;
    bridge.stop()?;
    let loud = ear.chunks(RATE / 50).filter(|frame| measure::level_dbfs(frame) > -45.0).count();
    let figures =
        format!("{:.1} s of sound heard in {:.1} s", loud as f64 / 50.0, ear.len() as f64 / RATE as f64);
    if loud >= 50 { Ok(figures) } else { Err(figures) }
}

/// The model refuses the key: the caller has never been answered, and the sample's fallback ends the call.
fn wrong_key(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::WrongKey)?;
    let bridge = Bridge::start(world, "slin16", &realtime)?;
    let call = place(world, AGENT, Codec::Pcmu, Script::Refused)?;
    call.ended(Duration::from_secs(12))?;
    let clean = world.pbx.nothing_left(CLEAN)?;
    bridge.stop()?;
    Ok(format!("SIP 503 from the fallback, clean after {clean:.0?}"))
}

/// No bridge is connected: Stasis fails and the dialplan goes on.
fn no_bridge(world: &World) -> Outcome<String> {
    place(world, AGENT, Codec::Pcmu, Script::Refused)?.ended(Duration::from_secs(8))?;
    place(world, "+15550100", Codec::Pcmu, Script::Refused)?.ended(Duration::from_secs(8))?;
    Ok("SIP 503 from the fallback, with and without a plus".to_owned())
}

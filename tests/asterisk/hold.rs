//! The caller puts the agent on hold and takes the call back.
//!
//! Measured on Asterisk 22.10.1, with music on hold configured (class `default`), three times over: it sends
//! `ChannelHold` for the caller's channel, with `"musicclass":"default"`, and `ChannelUnhold` when the call is taken
//! back, and neither for the ExternalMedia channel. UnicastRTP starts no music on hold: from a caller who sends
//! nothing while he holds, not one packet comes over ExternalMedia, whether he offered `sendonly` or `inactive`. What
//! a `sendonly` caller does send - a PBX plays music of its own - is passed on as ever. What the agent says
//! meanwhile does not reach him; the sequence numbers of what he gets afterwards count it.
//!
//! `{"type":"ChannelHold","timestamp":"2026-11-23T23:55:21.867+0000","musicclass":"default","channel":{"id":
//! "1795478116.26","name":"PJSIP/trunk-0000000d","state":"Up","protocol_id":"call-14-1934@harness","caller":{"name":
//! "Caller","number":"15550000014"},"connected":{"name":"","number":""},"accountcode":"","dialplan":{"context":
//! "from-trunk","exten":"beside-1","priority":1,"app_name":"Stasis","app_data":"voice-agent-1,15550000014,beside-1"},
//! "creationtime":"2026-11-23T23:55:16.947+0000","language":"en"},"asterisk_id":"…","application":"harness"}`;
//! `ChannelUnhold` is the same without `musicclass`.

use std::thread::sleep;

use ari_bridge_tests::speech;

use crate::World;
use crate::bridge::{Bridge, extension};
use crate::call::{Call, Script};
use crate::codec::Codec;
use crate::events::Watch;
use crate::measuring::{Figures, Speech};
use crate::process::Outcome;
use crate::realtime::{Agent, RealtimeStandIn, Turn, start_realtime};
use crate::scenarios::{CLEAN, RING, place, seconds};

/// How long an utterance lasts, in seconds.
const UTTERANCE: f64 = 1.6;

/// Until an utterance, begun after a fifth of a second of silence, has been said back.
const SAID_BACK: f64 = 0.2 + UTTERANCE + 1.0 + UTTERANCE + 0.5;

/// How long a call is held, in seconds: time enough for music to become a turn.
const HELD: f64 = 3.5;

/// Whoever sends nothing is silence to the model, which gets at least this many events a second.
const APPENDS_PER_SECOND: f64 = 2.0;

struct Caller {
    format: &'static str,
    codec: Codec,
    direction: &'static str,
    plays_music: bool,
}

const CALLERS: [Caller; 3] = [
    Caller { format: "slin16", codec: Codec::G722, direction: "sendonly", plays_music: false },
    Caller { format: "ulaw", codec: Codec::Pcmu, direction: "inactive", plays_music: false },
    Caller { format: "slin16", codec: Codec::G722, direction: "sendonly", plays_music: true },
];

/// A call with a bridge and a model of its own, so that all counts are the call's.
struct Held {
    caller: Caller,
    realtime: RealtimeStandIn,
    bridge: Bridge,
    call: Call,
    before: Speech,
    music: Speech,
    after: Speech,
}

/// What came of the caller so far.
struct Counts {
    packets: u64,
    appends: u64,
    turns: usize,
}

/// Each caller is answered, holds, takes the call back, and is answered again.
pub(crate) fn hold(world: &World) -> Outcome<String> {
    let watch = Watch::start(&world.pbx)?;
    let mut calls = Vec::new();
    for (number, caller) in (1..).zip(CALLERS) {
        calls.push(Held::place(world, number, caller)?);
    }
    calls.iter().try_for_each(|held| held.call.speak(&held.before.payload))?;
    sleep(seconds(SAID_BACK));
    let counts = calls.iter().map(Held::counts).collect::<Outcome<Vec<_>>>()?;
    calls.iter_mut().try_for_each(|held| held.call.hold())?;
    let musicians = || calls.iter().filter(|held| held.caller.plays_music);
    musicians().try_for_each(|held| held.call.speak(&held.music.payload))?;
    sleep(seconds(HELD));
    let meanwhile = calls.iter().zip(counts).map(|(held, before)| held.since(&before));
    let meanwhile = meanwhile.collect::<Outcome<Vec<_>>>()?;
    calls.iter_mut().try_for_each(|held| held.call.unhold())?;
    sleep(seconds(0.5));
    calls.iter().try_for_each(|held| held.call.speak(&held.after.payload))?;
    sleep(seconds(SAID_BACK));

    let mut lines = vec![events(&watch)?];
    let mut faults = Vec::new();
    for (held, (counts, turns)) in calls.into_iter().zip(meanwhile) {
        let name = format!("{}, {}", held.caller.format, held.caller.direction);
        let name = if held.caller.plays_music { format!("{name} with music") } else { name };
        let verdict = judge(&held.caller, &counts, &turns);
        lines.push(format!(
            "{name}: {} packets and {} appends while held, heard by the agent: {turns:?}",
            counts.packets, counts.appends
        ));
        let (before, after) = held.end()?;
        lines.push(format!("  before: {before}\n  afterwards: {after}"));
        let verdicts = [verdict, before.judge(), after.judge()];
        faults.extend(verdicts.into_iter().filter_map(Result::err).map(|fault| format!("{name}: {fault}")));
    }
    world.pbx.nothing_left(CLEAN)?;
    let lines = lines.join("\n");
    if faults.is_empty() { Ok(lines) } else { Err(format!("{}\n{lines}", faults.join("\n"))) }
}

/// Whether what the agent got of a caller who holds is as expected.
fn judge(caller: &Caller, counts: &Counts, turns: &[Turn]) -> Outcome<()> {
    if (counts.appends as f64) < HELD * APPENDS_PER_SECOND {
        return Err(format!("only {} appends while the call was held", counts.appends));
    }
    if !caller.plays_music && (counts.packets > 0 || !turns.is_empty()) {
        return Err(format!("{} packets, {turns:?} of a silent caller who holds", counts.packets));
    }
    if !turns.is_empty() {
        return Err(format!("the agent heard {turns:?} of a caller who holds"));
    }
    Ok(())
}

/// One `ChannelHold` and one `ChannelUnhold` of each caller's channel, and of no other.
fn events(watch: &Watch) -> Outcome<String> {
    let mut lines = Vec::new();
    for kind in ["ChannelHold", "ChannelUnhold"] {
        let events = watch.of_type(kind);
        let mut names: Vec<_> =
            events.iter().map(|event| event["channel"]["name"].as_str().unwrap_or("?").to_owned()).collect();
        let class = events.first().map(|event| event["musicclass"].to_string());
        lines.push(format!("{kind} of {}, musicclass {}", names.join(" "), class.unwrap_or_default()));
        names.sort_unstable();
        names.dedup();
        let of_callers = names.iter().filter(|name| name.starts_with("PJSIP/")).count();
        if (events.len(), names.len(), of_callers) != (CALLERS.len(), CALLERS.len(), CALLERS.len()) {
            return Err(format!("not one {kind} of each caller: {events:?}"));
        }
    }
    Ok(lines.join("\n"))
}

impl Held {
    fn place(world: &World, number: u16, caller: Caller) -> Outcome<Self> {
        let realtime = start_realtime(Agent::Parrot)?;
        let bridge = Bridge::start_beside(world, number, caller.format, &realtime)?;
        let said = |voice: u64| {
            let voice = 250 + 10 * u64::from(number) + voice;
            Speech::new(caller.codec, 0.2, &speech::utterance(voice, UTTERANCE), 0.5)
        };
        let (before, music, after) = (said(0)?, said(1)?, said(2)?);
        let script = Script::Hold { direction: caller.direction };
        let mut call = place(world, &extension(number), caller.codec, script)?;
        call.answered(RING)?;
        Ok(Self { caller, realtime, bridge, call, before, music, after })
    }

    fn counts(&self) -> Outcome<Counts> {
        let packets = self.bridge.count("rtp_packets_in")?;
        Ok(Counts { packets, appends: self.realtime.appends(), turns: self.realtime.turns().len() })
    }

    /// What has come since then, and the turns among it.
    fn since(&self, before: &Counts) -> Outcome<(Counts, Vec<Turn>)> {
        let now = self.counts()?;
        let turns = self.realtime.turns()[before.turns..now.turns].to_vec();
        let packets = now.packets - before.packets;
        Ok((Counts { packets, appends: now.appends - before.appends, turns: turns.len() }, turns))
    }

    /// Hangs up; how the caller's words before and after the hold came back.
    fn end(self) -> Outcome<(Figures, Figures)> {
        let recording = self.call.hang_up()?;
        self.bridge.stop()?;
        let last = recording.spoke_at.len() - 1;
        let before = Figures::of(&self.before, &recording)?;
        Ok((before, Figures::of_nth(&self.after, &recording, last)?))
    }
}

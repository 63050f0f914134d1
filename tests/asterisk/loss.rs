//! Callers whose packets get lost, overtake each other and come twice on their way to Asterisk.
//!
//! Measured on Asterisk 22.10.1 (what it sends over ExternalMedia was looked at on the wire): in ulaw and g722 it passes
//! the caller's packets on as they come, sequence numbers included, those that come late and twice as well. Into
//! slin16 it transcodes and numbers anew, without a gap, and what was overtaken is left out; but the timestamps
//! tell it all: a lost packet is a step of 640 instead of 320, n lost ones in a row are a step of (n + 1) * 320,
//! and a packet that came twice is a step of 0. No packet bore the marker.

use std::thread::{scope, sleep};

use ari_bridge_tests::speech;

use crate::World;
use crate::bridge::{Bridge, extension};
use crate::call::{Call, Script};
use crate::codec::Codec;
use crate::line::Recording;
use crate::measuring::{Pieces, Speech};
use crate::network::{Network, PTIME_MS, Toll, cut};
use crate::process::Outcome;
use crate::realtime::{Agent, start_realtime};
use crate::scenarios::{CLEAN, RING, place, seconds};

const NETWORKS: [(&str, Network); 3] = [
    ("5 % lost", Network::Loses { percent: 5 }),
    ("10 % lost in bursts", Network::LosesInBursts { percent: 10, mean_burst: 3 }),
    ("disorder", Network::Disorders { by: 3, twice_percent: 5 }),
];

struct Format {
    name: &'static str,
    codec: Codec,
    /// Whether the bridge can see in the sequence numbers what is missing.
    is_numbered: bool,
    bounds: [Bounds; NETWORKS.len()],
}

/// What must come back of an utterance. What was measured stands beside it. What is made up for a lost packet
/// does not lie wave on wave with what was said, so the bounds say that the words are there and in their place;
/// how good the stand-in is, is measured without Asterisk (the test target `figures`).
struct Bounds {
    /// The least share of pieces of 200 ms that are heard.
    heard: f64,
    /// The least correlation of the whole; means nothing where it slips.
    correlation: f64,
}

const FORMATS: [Format; 3] = [
    Format {
        name: "ulaw",
        codec: Codec::Pcmu,
        is_numbered: true,
        bounds: [
            // 13 of 15, 0.9569
            Bounds { heard: 0.65, correlation: 0.92 },
            // 11 of 15, 0.9531
            Bounds { heard: 0.5, correlation: 0.91 },
            // 15 of 15, 0.9965
            Bounds { heard: 0.8, correlation: 0.96 },
        ],
    },
    Format {
        name: "g722",
        codec: Codec::G722,
        is_numbered: true,
        bounds: [
            // 11 of 15, 0.9252
            Bounds { heard: 0.5, correlation: 0.88 },
            // 11 of 15, 0.9424
            Bounds { heard: 0.5, correlation: 0.90 },
            // 14 or 15 of 15, 0.9669 to 0.9761
            Bounds { heard: 0.7, correlation: 0.92 },
        ],
    },
    Format {
        name: "slin16",
        codec: Codec::G722,
        is_numbered: false,
        bounds: [
            // 10 of 15, 0.9027
            Bounds { heard: 0.45, correlation: 0.86 },
            // 11 of 15, 0.8994
            Bounds { heard: 0.5, correlation: 0.85 },
            // 9 of 15, 0.8823
            Bounds { heard: 0.4, correlation: 0.83 },
        ],
    },
];

/// How much longer or shorter an utterance may come back, in milliseconds: one packet.
const SHIFT_MS: f64 = 20.0;

/// How long an utterance lasts, in seconds.
const UTTERANCE: f64 = 3.0;

/// What one bridge's callers sent and heard.
struct Heard {
    recordings: Vec<Recording>,
    tolls: Vec<Toll>,
    said: Speech,
}

/// Three formats and three networks, nine calls at once.
pub(crate) fn bad_networks(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let (mut bridges, mut calls) = (Vec::new(), Vec::new());
    for ((number, voice), format) in (1..).zip(220..).zip(&FORMATS) {
        bridges.push(Bridge::start_beside(world, number, format.name, &realtime)?);
        let said = Speech::new(format.codec, 0.3, &speech::utterance(voice, UTTERANCE), 2.0)?;
        let call = |_| place(world, &extension(number), format.codec, Script::HangUp);
        calls.push((NETWORKS.iter().map(call).collect::<Outcome<Vec<Call>>>()?, said, Vec::new()));
    }
    for call in calls.iter_mut().flat_map(|(calls, ..)| calls) {
        call.answered(RING)?;
    }
    for (calls, said, tolls) in &mut calls {
        for (call, (seed, (_, network))) in calls.iter().zip((1..).zip(NETWORKS)) {
            let (frames, toll) = network.carry(seed, cut(&said.payload, PTIME_MS));
            call.send(frames)?;
            tolls.push(toll);
        }
    }
    sleep(seconds(0.3 + UTTERANCE + 1.0 + UTTERANCE + 0.5));
    let mut heard = Vec::new();
    for (calls, said, tolls) in calls {
        let recordings = calls.into_iter().map(Call::hang_up).collect::<Outcome<Vec<Recording>>>()?;
        heard.push(Heard { recordings, tolls, said });
    }
    world.pbx.nothing_left(CLEAN)?;

    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for ((format, bridge), heard) in FORMATS.iter().zip(bridges).zip(&heard) {
        lines.push(counted(format, bridge, heard).unwrap_or_else(|fault| {
            faults.push(fault.clone());
            fault
        }));
        for (((name, _), pieces), bounds) in NETWORKS.iter().zip(heard.pieces()).zip(&format.bounds) {
            let pieces = pieces?;
            lines.push(format!("  {name}: {pieces}"));
            let verdict = bounds.judge(&pieces);
            faults.extend(verdict.err().map(|fault| format!("{}, {name}: {fault}", format.name)));
        }
    }
    let lines = lines.join("\n");
    if faults.is_empty() { Ok(lines) } else { Err(format!("{}\n{lines}", faults.join("\n"))) }
}

/// Holds what the bridge counted against what was done to its callers, and stops it.
fn counted(format: &Format, bridge: Bridge, heard: &Heard) -> Outcome<String> {
    let sum = |of: fn(&Toll) -> usize| heard.tolls.iter().map(of).sum::<usize>() as u64;
    let (lost_here, doubled_here) = (sum(|toll| toll.lost), sum(|toll| toll.doubled));
    let lost = bridge.count("rtp_packets_lost")?;
    let late = bridge.count("rtp_packets_dropped{reason=\"late\"}")?;
    let doubled = bridge.count("rtp_packets_dropped{reason=\"duplicate\"}")?;
    let used = bridge.count("rtp_packets_in")?;
    bridge.stop()?;
    let sent: usize = heard.recordings.iter().map(|recording| recording.sent).sum();
    let line = format!(
        "{}: {sent} packets reach Asterisk, {lost_here} were lost, {doubled_here} come twice; the bridge used \
         {used}, counts {lost} lost, {late} late, {doubled} duplicate",
        format.name
    );
    // Whoever comes late was given up before: it counts as lost, too.
    let lost_seen = if format.is_numbered { lost_here + late } else { 0 };
    if (lost, doubled) == (lost_seen, doubled_here) {
        Ok(line)
    } else {
        Err(format!("counted wrongly: {line}"))
    }
}

impl Heard {
    /// How the utterance came back to each caller. The calls are over: now every core may calculate.
    fn pieces(&self) -> Vec<Outcome<Pieces>> {
        scope(|scope| {
            let of = |recording| scope.spawn(move || Pieces::of(&self.said, recording));
            let threads: Vec<_> = self.recordings.iter().map(of).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|pieces| pieces.unwrap_or_else(|_| Err("the measuring panicked".to_owned()))).collect()
        })
    }
}

impl Bounds {
    fn judge(&self, pieces: &Pieces) -> Outcome<()> {
        if !(-SHIFT_MS..=SHIFT_MS).contains(&pieces.longer_ms) {
            return Err(format!("slipped: {pieces}"));
        }
        let heard = pieces.heard as f64 / pieces.of as f64;
        if heard < self.heard || pieces.correlation < self.correlation {
            return Err(format!("not heard well enough: {pieces}"));
        }
        Ok(())
    }
}

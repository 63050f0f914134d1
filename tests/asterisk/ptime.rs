//! Callers whose packets do not last 20 ms.

use std::thread::{scope, sleep};

use ari_bridge_tests::speech;

use crate::World;
use crate::bridge::{Bridge, extension};
use crate::call::{Call, Offer, Script};
use crate::codec::Codec;
use crate::line::Recording;
use crate::measuring::{Figures, Speech};
use crate::process::Outcome;
use crate::realtime::{Agent, start_realtime};
use crate::scenarios::{CLEAN, RING, place, seconds};

/// How long the packets of the callers last, in milliseconds. 100 ms of G.711 are 800 bytes, and Asterisk passes
/// on what it is sent.
const PTIMES_MS: [usize; 4] = [10, 30, 60, 100];

/// How long an utterance lasts, in seconds.
const UTTERANCE: f64 = 1.8;

/// Each format that the bridge can have its media in, with callers of all packet sizes at once. What Asterisk
/// passes through reaches the bridge in the caller's packets; into slin16 it is re-framed to 20 ms.
pub(crate) fn packet_times(world: &World) -> Outcome<String> {
    let first = two_formats(world, 200, [("ulaw", Codec::Pcmu), ("slin16", Codec::G722)])?;
    let second = two_formats(world, 210, [("alaw", Codec::Pcma), ("g722", Codec::G722)])?;
    Ok(format!("{first}\n{second}"))
}

/// Two bridges at once, and eight callers.
fn two_formats(world: &World, voice: u64, pairs: [(&str, Codec); 2]) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let (mut bridges, mut said, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for ((number, voice), (format, codec)) in (1..).zip(voice..).zip(pairs) {
        bridges.push(Bridge::start_beside(world, number, format, &realtime)?);
        said.push(Speech::new(codec, 0.3, &speech::utterance(voice, UTTERANCE), 3.0)?);
    }
    for (number, (_, codec)) in (1..).zip(pairs) {
        for ptime_ms in PTIMES_MS {
            calls.push(place(world, &extension(number), Offer { codec, ptime_ms }, Script::HangUp)?);
        }
    }
    calls.iter_mut().try_for_each(|call| call.answered(RING).map(|_| ()))?;
    for (calls, said) in calls.chunks(PTIMES_MS.len()).zip(&said) {
        calls.iter().try_for_each(|call| call.speak(&said.payload))?;
    }
    sleep(seconds(0.3 + UTTERANCE + 1.0 + UTTERANCE + 0.5));
    let recordings = calls.into_iter().map(Call::hang_up).collect::<Outcome<Vec<Recording>>>()?;
    world.pbx.nothing_left(CLEAN)?;

    let mut lines = Vec::new();
    let heard = bridges.into_iter().zip(recordings.chunks(PTIMES_MS.len())).zip(&said);
    for ((format, _), ((bridge, recordings), said)) in pairs.into_iter().zip(heard) {
        let taken = bridge.count("rtp_packets_in")?;
        bridge.stop()?;
        let sent: usize = recordings.iter().map(|recording| recording.sent).sum();
        lines.push(format!("{format}: {sent} packets sent, {taken} used by the bridge"));
        for (ptime_ms, figures) in PTIMES_MS.into_iter().zip(figures(said, recordings)) {
            let figures = figures?;
            lines.push(format!("  {ptime_ms} ms: {figures}"));
            figures.judge().map_err(|fault| format!("{format}, {ptime_ms} ms: {fault}"))?;
        }
    }
    Ok(lines.join("\n"))
}

/// The calls are over: now every core may calculate.
fn figures(said: &Speech, recordings: &[Recording]) -> Vec<Outcome<Figures>> {
    scope(|scope| {
        let of = |recording| scope.spawn(move || Figures::of(said, recording));
        let threads: Vec<_> = recordings.iter().map(of).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|figures| figures.unwrap_or_else(|_| Err("the measuring panicked".to_owned()))).collect()
    })
}

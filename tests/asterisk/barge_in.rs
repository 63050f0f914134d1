//! The caller interrupts the agent: what the server is told of it, held against what the caller heard.

use std::fmt;
use std::time::{Duration, Instant};

use ari_bridge_core::rng::Rng;
use ari_bridge_tests::measure::RATE;
use ari_bridge_tests::speech;

use crate::World;
use crate::bridge::{Bridge, extension};
use crate::call::Script;
use crate::codec::Codec;
use crate::line::Recording;
use crate::measuring::{Figures, Speech};
use crate::process::{Outcome, until};
use crate::realtime::{Agent, RealtimeStandIn, start_realtime};
use crate::scenarios::{CLEAN, RING, place, seconds};

/// How long the agent would talk, in seconds. The stand-in sends it four times as fast: it has come after 2.5 s.
const GREETING: f64 = 10.0;

/// When the callers begin to speak, in seconds after they were answered: while the agent's audio still comes, and
/// when all of it is there.
const INTERRUPTS_AFTER: [f64; 2] = [1.5, 4.0];

/// How long an utterance lasts, in seconds.
const UTTERANCE: f64 = 1.6;

const FORMATS: [(&str, Codec); 2] = [("ulaw", Codec::Pcmu), ("slin16", Codec::G722)];

/// Above this level, in dBFS, a packet is the agent's voice.
const LOUD: f64 = -45.0;

/// How much of the item may have been heard beyond what the server is told, and how much less, in milliseconds: two
/// packets, and one.
const MORE_MS: i64 = 40;
const LESS_MS: i64 = 20;

/// How long after the server was told a packet of the item may still come: one is on its way, through Asterisk.
const IN_FLIGHT: Duration = Duration::from_millis(40);

/// Hisses without a pause, so that every packet of it is loud: what is loud can be counted.
fn hiss() -> Vec<i16> {
    let mut rng = Rng::new(7);
    let mut low = 0.0;
    let mut sample = || {
        // Most of it below 1 kHz, where every codec carries it.
        low += 0.3 * (f64::from(rng.below(24_000)) - 12_000.0 - low);
        low as i16
    };
    (0..(GREETING * RATE as f64) as usize).map(|_| sample()).collect()
}

/// Two formats at once, and in each a caller who interrupts early and one who does late.
pub(crate) fn truncation(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Greets(hiss()))?;
    let (mut bridges, mut callers) = (Vec::new(), Vec::new());
    for ((number, voice), (format, codec)) in (1..).zip((230..).step_by(10)).zip(FORMATS) {
        bridges.push(Bridge::start_beside(world, number, format, &realtime)?);
        for (voice, after) in (voice..).zip(INTERRUPTS_AFTER) {
            let said = Speech::new(codec, 0.0, &speech::utterance(voice, UTTERANCE), 1.5)?;
            callers.push((number, format, after, said, codec));
        }
    }
    // One after the other, so that the sessions count as the calls do.
    let mut calls = Vec::new();
    for (number, _, _, _, codec) in &callers {
        let mut call = place(world, &extension(*number), *codec, Script::HangUp)?;
        call.answered(RING)?;
        calls.push((call, Instant::now()));
    }
    let mut told = vec![None; callers.len()];
    let mut spoken = vec![false; callers.len()];
    let talk = seconds(INTERRUPTS_AFTER[1] + UTTERANCE + 1.0 + UTTERANCE + 0.8);
    let mut fault = None;
    until(talk, || {
        for (n, ((call, answered), (_, _, after, said, _))) in calls.iter().zip(&callers).enumerate() {
            if !spoken[n] && answered.elapsed() >= seconds(*after) {
                spoken[n] = true;
                fault = call.speak(&said.payload).err().or(fault.take());
            }
        }
        note(&realtime, &mut told);
        fault.is_some()
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    let recordings =
        calls.into_iter().map(|(call, _)| call.hang_up()).collect::<Outcome<Vec<Recording>>>()?;
    world.pbx.nothing_left(CLEAN)?;
    bridges.into_iter().try_for_each(Bridge::stop)?;

    let mut lines = Vec::new();
    for (((_, format, after, said, _), recording), told) in callers.iter().zip(&recordings).zip(told) {
        let name = format!("{format}, after {after} s");
        let told = told.ok_or(format!("{name}: the server was told nothing"))?;
        let cut = Cut::of(said, recording, told)?;
        lines.push(format!("{name}: {cut}"));
        cut.judge().map_err(|fault| format!("{name}: {fault}"))?;
    }
    Ok(lines.join("\n"))
}

/// What the server was told, and when the harness saw it.
#[derive(Clone, Copy)]
struct Told {
    at: Instant,
    audio_end_ms: usize,
}

/// Notes the truncations that have come since the last time.
fn note(realtime: &RealtimeStandIn, told: &mut [Option<Told>]) {
    for truncation in realtime.truncations() {
        if let Some(slot) = told.get_mut(truncation.session) {
            slot.get_or_insert(Told { at: Instant::now(), audio_end_ms: truncation.audio_end_ms });
        }
    }
}

/// How the agent was cut off. Times are in milliseconds.
struct Cut {
    audio_end_ms: i64,
    /// Of the item, at the caller.
    heard_ms: i64,
    /// From the caller's first loud packet until the harness saw that the server was told.
    told_after_ms: i64,
    /// From the caller's first loud packet until the last loud one of the agent.
    last_after_ms: i64,
    /// How the caller's own words came back.
    answer: Figures,
}

impl Cut {
    fn of(said: &Speech, recording: &Recording, told: Told) -> Outcome<Self> {
        let spoke_at = *recording.spoke_at.first().ok_or("the caller never spoke")?;
        // The caller's turn is answered at the earliest when it is over; what is loud before is the greeting.
        let answered_at = spoke_at + seconds(UTTERANCE + 0.3);
        let heard = recording.heard()?;
        let loud: Vec<_> =
            heard.iter().filter(|packet| packet.arrived < answered_at && packet.level_dbfs > LOUD).collect();
        let last = loud.last().ok_or("the agent was not heard")?.arrived;
        let after = |at: Duration| at.as_millis() as i64 - spoke_at.as_millis() as i64;
        Ok(Self {
            audio_end_ms: told.audio_end_ms as i64,
            heard_ms: loud.iter().map(|packet| packet.ms as i64).sum(),
            told_after_ms: after(told.at.duration_since(recording.opened)),
            last_after_ms: after(last),
            answer: Figures::of(said, recording)?,
        })
    }

    fn judge(&self) -> Outcome<()> {
        let more = self.heard_ms - self.audio_end_ms;
        if !(-LESS_MS..=MORE_MS).contains(&more) {
            return Err(format!("the server was told something else than was heard: {self}"));
        }
        if self.last_after_ms > self.told_after_ms + IN_FLIGHT.as_millis() as i64 {
            return Err(format!("the agent was heard after it was cut off: {self}"));
        }
        self.answer.judge()
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { audio_end_ms, heard_ms, told_after_ms, last_after_ms, answer } = self;
        write!(
            f,
            "audio_end_ms {audio_end_ms}, heard {heard_ms} ms; from the caller's first loud packet on "
        )?;
        write!(f, "told after {told_after_ms} ms, last heard after {last_after_ms} ms; then {answer}")
    }
}

//! The Realtime side refuses the bridge's key: where the caller is then, how soon, and what it has heard until then.
//!
//! The dialplan of the test answers in its fallback, says something there that is known, and hangs up. That it has come
//! there, and what it knows of the reason, stands in an event: `ChannelDialplan` tells of each application that a
//! channel enters, with its arguments as they are evaluated.

use std::fs;
use std::time::{Duration, Instant};

use ari_bridge_tests::measure::{self, RATE};
use ari_bridge_tests::speech;
use serde_json::Value;

use crate::World;
use crate::bridge::Bridge;
use crate::call::{Call, Script};
use crate::codec::Codec;
use crate::events::Watch;
use crate::measuring::{HEARD, Speech};
use crate::pbx::Pbx;
use crate::process::{Outcome, until};
use crate::realtime::{Agent, start_realtime};
use crate::scenarios::{CLEAN, RING, place, seconds};

/// Two ways into the bridge; the second dialplan has answered before.
const UNANSWERED: &str = "5550100";
const ANSWERED: &str = "up-5550100";

/// Where the callers of these scenarios go on.
pub(crate) const FALLBACK: [(&str, &str); 2] =
    [("FALLBACK_CONTEXT", "test-fallback"), ("FALLBACK_EXTENSION", "s")];

/// How soon a caller must be there.
const SOON: Duration = Duration::from_secs(2);

/// What is said there, and for how long, in seconds.
const VOICE: u64 = 301;
const UTTERANCE: f64 = 1.6;

/// The least of a prompt that is one, in frames of 20 ms that are louder than [`LOUD_DBFS`].
const PROMPT_FRAMES: usize = 10;
const LOUD_DBFS: f64 = -45.0;

/// How a caller came into the fallback.
struct Arrival {
    /// After it had been placed.
    after: Duration,
    /// What the dialplan has as `ARI_BRIDGE_STATUS`.
    status: String,
    /// What the channel's state was: `Ring` until somebody answers.
    state: String,
}

/// A dialplan that has not answered: the caller is there unanswered, and it is the fallback that answers.
pub(crate) fn refused_key(world: &World) -> Outcome<String> {
    let (arrival, call) = arrive(world, UNANSWERED)?;
    let said = said()?;
    let heard = call.ended(seconds(UTTERANCE) + CLEAN)?.ear()?;
    let clean = world.pbx.nothing_left(CLEAN)?;
    let correlation = measure::find(&heard, &said).correlation;
    let lines = format!("{arrival}\nthe fallback is heard with {correlation:.4}, clean after {clean:.0?}");
    if arrival.state == "Ring" && correlation > HEARD {
        Ok(lines)
    } else {
        Err(format!("answered before the fallback, or not heard there\n{lines}"))
    }
}

/// A dialplan that has answered: the caller is there as soon, and has heard the bridge's own "one moment" until then.
pub(crate) fn refused_key_answered(world: &World) -> Outcome<String> {
    let (arrival, call) = arrive(world, ANSWERED)?;
    let said = said()?;
    let heard = call.ended(seconds(UTTERANCE) + CLEAN)?.ear()?;
    let clean = world.pbx.nothing_left(CLEAN)?;
    let found = measure::find(&heard, &said);
    let before = heard.get(..found.lag.max(0.0) as usize).unwrap_or_default();
    let loud = before.chunks(RATE / 50).filter(|frame| measure::level_dbfs(frame) > LOUD_DBFS).count();
    let lines = format!(
        "{arrival}\nbefore the fallback the caller heard {} ms of sound in {} ms; the fallback with {:.4}, clean after \
         {clean:.0?}",
        loud * 20,
        before.len() * 1000 / RATE,
        found.correlation
    );
    if arrival.state != "Up" || found.correlation <= HEARD {
        return Err(format!("not answered before the fallback, or not heard there\n{lines}"));
    }
    if loud < PROMPT_FRAMES {
        return Err(format!("no prompt before the fallback\n{lines}"));
    }
    Ok(lines)
}

/// Where nobody goes on: a caller who was not answered hears congestion, SIP 503.
pub(crate) fn refused_key_hangs_up(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::WrongKey)?;
    let bridge = Bridge::start_with(world, "slin16", &realtime, &[("FALLBACK", "hangup")])?;
    let watch = Watch::start(&world.pbx)?;
    place(world, UNANSWERED, Codec::Pcmu, Script::Refused)?.ended(SOON + CLEAN)?;
    let clean = world.pbx.nothing_left(CLEAN)?;
    bridge.stop()?;
    let went_on = watch.of_type("ChannelDialplan").iter().any(|event| event["dialplan_app"] == "Dial");
    let lines = format!("SIP 503 from the bridge, clean after {clean:.0?}");
    if went_on { Err(format!("the dialplan went on\n{lines}")) } else { Ok(lines) }
}

/// Somebody calls this extension while the key is refused, and comes into the fallback.
fn arrive(world: &World, extension: &str) -> Outcome<(Arrival, Call)> {
    let pbx = &world.pbx;
    speaks(pbx)?;
    let realtime = start_realtime(Agent::WrongKey)?;
    let bridge = Bridge::start_with(world, "slin16", &realtime, &FALLBACK)?;
    let watch = Watch::start(pbx)?;
    let placed = Instant::now();
    let mut call = place(world, extension, Codec::Pcmu, Script::WaitForBye)?;
    let mut arrival = None;
    until(SOON, || {
        arrival = arrivals(&watch).pop();
        arrival.is_some()
    });
    let after = placed.elapsed();
    let Some(Arrived { status, state, .. }) = arrival else {
        let told: Vec<_> = watch.of_type("ChannelDialplan").iter().map(|event| event.to_string()).collect();
        return Err(format!("not in the fallback after {after:.1?}; the dialplan:\n{}", told.join("\n")));
    };
    call.answered(RING)?;
    bridge.stop()?;
    let arrival = Arrival { after, status, state };
    if arrival.status == "realtime_refused" { Ok((arrival, call)) } else { Err(arrival.to_string()) }
}

/// Somebody in the fallback.
pub(crate) struct Arrived {
    pub(crate) at: Instant,
    /// What the dialplan has as `ARI_BRIDGE_STATUS`.
    pub(crate) status: String,
    /// What the channel's state was.
    pub(crate) state: String,
}

/// Who has come into the fallback so far, in that order: its first application is told the reason.
pub(crate) fn arrivals(watch: &Watch) -> Vec<Arrived> {
    let arrived = |(at, event): (Instant, Value)| {
        let status = event["dialplan_app_data"].as_str()?.strip_prefix("test fallback: ")?;
        let state = event["channel"]["state"].as_str()?;
        Some(Arrived { at, status: status.to_owned(), state: state.to_owned() })
    };
    watch.timed("ChannelDialplan").into_iter().filter_map(arrived).collect()
}

/// Waits until so many are in the fallback, each with one of these reasons; who they are.
pub(crate) fn all_arrive(
    watch: &Watch,
    callers: usize,
    reasons: &[&str],
    within: Duration,
) -> Outcome<Vec<Arrived>> {
    let mut there = Vec::new();
    until(within, || {
        there = arrivals(watch);
        there.len() >= callers
    });
    let statuses: Vec<_> = there.iter().map(|arrived| arrived.status.as_str()).collect();
    if there.len() == callers && statuses.iter().all(|status| reasons.contains(status)) {
        return Ok(there);
    }
    Err(format!("{callers} should be in the fallback with {reasons:?} within {within:?}: {statuses:?}"))
}

/// Gives Asterisk what is said in the fallback.
pub(crate) fn speaks(pbx: &Pbx) -> Outcome<()> {
    let bytes: Vec<u8> = speech::utterance(VOICE, UTTERANCE).iter().flat_map(|s| s.to_le_bytes()).collect();
    fs::write(pbx.host_path("fallback.sln16"), bytes).map_err(|e| format!("fallback.sln16: {e}"))?;
    let sound = format!("/asterisk/variable?variable=FALLBACK_SAYS&value={}", pbx.inner_path("fallback"));
    pbx.ari("POST", &sound, None).map(|_| ())
}

/// What is said in the fallback, as the caller's codec leaves it.
fn said() -> Outcome<Vec<i16>> {
    Ok(Speech::new(Codec::Pcmu, 0.0, &speech::utterance(VOICE, UTTERANCE), 0.0)?.reference)
}

impl std::fmt::Display for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { after, status, state } = self;
        write!(f, "in the fallback after {after:.0?} in the state {state}, with ARI_BRIDGE_STATUS={status}")
    }
}

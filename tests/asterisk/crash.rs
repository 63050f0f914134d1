//! The bridge is killed in the middle of its calls, and started again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ari_bridge_tests::speech;

use crate::World;
use crate::bridge::Bridge;
use crate::call::{Call, Script};
use crate::codec::Codec;
use crate::events::Watch;
use crate::fallback::{self, FALLBACK};
use crate::measuring::{HEARD, Speech};
use crate::process::{Outcome, until};
use crate::realtime::{Agent, RealtimeStandIn, start_realtime};
use crate::scenarios::{AGENT, CLEAN, RING, place, seconds};
use crate::talker::{found_after, heard_after};

const CALLS: usize = 10;

/// How soon after the restart each caller must hear the agent, or be in the fallback.
const SOON: Duration = Duration::from_secs(3);

/// How long no bridge runs.
const AWAY: Duration = Duration::from_millis(500);

/// What the agent says first, and for how long, in seconds.
const VOICE: u64 = 520;
const GREETING: f64 = 1.6;

/// Ten callers talk to a bridge that is killed; `begun` is when the next one is started, and `old` what the first has
/// left on Asterisk.
struct Crash {
    realtime: RealtimeStandIn,
    calls: Vec<Call>,
    old: Vec<String>,
    begun: Instant,
}

fn crash(world: &World, script: Script, variables: &[(&str, &str)]) -> Outcome<Crash> {
    let realtime = start_realtime(Agent::Greets(speech::utterance(VOICE, GREETING)))?;
    let bridge = Bridge::start_with(world, "slin16", &realtime, variables)?;
    let mut calls =
        (0..CALLS).map(|_| place(world, AGENT, Codec::Pcmu, script)).collect::<Outcome<Vec<_>>>()?;
    for call in &mut calls {
        call.answered(RING)?;
    }
    sleep(seconds(GREETING + 0.5));
    let old = world.pbx.ours()?;
    if old.len() != 2 * CALLS {
        return Err(format!("{CALLS} calls should have a channel and a bridge each: {old:?}"));
    }
    bridge.crash();
    sleep(AWAY);
    Ok(Crash { realtime, calls, old, begun: Instant::now() })
}

/// What of these is still there.
fn still_there(world: &World, old: &[String]) -> Outcome<Vec<String>> {
    Ok(world.pbx.ours()?.into_iter().filter(|id| old.contains(id)).collect())
}

/// The callers talk to the next run, and nothing of the first is left.
pub(crate) fn adopted(world: &World) -> Outcome<String> {
    let Crash { realtime, calls, old, begun } = crash(world, Script::HangUp, &[])?;
    let bridge = Bridge::start(world, "slin16", &realtime)?;
    let ready = begun.elapsed();
    // All of the greeting of the last who may be late.
    sleep((SOON + seconds(GREETING + 0.5)).saturating_sub(begun.elapsed()));
    let (left, now) = (still_there(world, &old)?, world.pbx.ours()?.len());
    let (adopted, orphans) = (bridge.count("calls_adopted")?, bridge.count("orphans")?);
    let recordings = calls.into_iter().map(Call::hang_up).collect::<Outcome<Vec<_>>>()?;
    let clean = world.pbx.nothing_left(CLEAN)?;
    let log = bridge.log_tail();
    bridge.stop()?;

    let greeting = Speech::new(Codec::Pcmu, 0.0, &speech::utterance(VOICE, GREETING), 0.0)?.reference;
    let mut heard = Vec::new();
    for recording in &recordings {
        heard.push((heard_after(recording, begun)?, found_after(recording, begun, &greeting)?));
    }
    let first: Vec<_> =
        heard.iter().map(|(after, _)| after.map_or(-1.0, |after| after.as_secs_f64())).collect();
    let worst = heard.iter().map(|(_, correlation)| *correlation).fold(1.0, f64::min);
    let lines = format!(
        "ready {ready:.1?} after the restart; {adopted} adopted, {orphans} orphans removed, {} of {} things of the first \
         run left, {now} of the second; the agent is heard after {first:.2?} s, its greeting with {worst:.4} and better; \
         clean after {clean:.0?}",
        left.len(),
        old.len(),
    );
    let in_time = heard.iter().all(|(after, _)| after.is_some_and(|after| after <= SOON));
    if in_time && worst > HEARD && left.is_empty() && now == 2 * CALLS {
        Ok(lines)
    } else {
        Err(format!("{lines}\n{log}"))
    }
}

/// Where no caller is to be adopted, each goes on in the dialplan.
pub(crate) fn sent_on(world: &World) -> Outcome<String> {
    let variables = [&FALLBACK[..], &[("ADOPT", "off")]].concat();
    let Crash { realtime, calls, old, .. } = crash(world, Script::WaitForBye, &variables)?;
    fallback::speaks(&world.pbx)?;
    let watch = Watch::start(&world.pbx)?;
    let begun = Instant::now();
    let bridge = Bridge::start_with(world, "slin16", &realtime, &variables)?;
    let arrived = fallback::all_arrive(&watch, CALLS, &["refused_not_adopted"], SOON)
        .map_err(|fault| format!("{fault}\n{}", bridge.log_tail()))?;
    let last = arrived.iter().map(|arrived| arrived.at - begun).max().unwrap_or_default();
    let mut left = Vec::new();
    let clean = until(CLEAN, || {
        left = still_there(world, &old).unwrap_or_default();
        left.is_empty()
    });
    for call in calls {
        call.ended(CLEAN)?;
    }
    bridge.stop()?;
    let lines =
        format!("{CALLS} callers in the fallback {last:.1?} after the restart, {} things left", left.len());
    if clean && last <= SOON { Ok(lines) } else { Err(lines) }
}

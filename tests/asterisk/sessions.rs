//! What becomes of a call whose Realtime session is lost: it goes on in another one, or, where nobody wants that, in
//! the dialplan.

use std::thread::sleep;

use ari_bridge_tests::measure::{self, RATE};
use ari_bridge_tests::speech;

use crate::World;
use crate::bridge::Bridge;
use crate::call::Script;
use crate::codec::Codec;
use crate::measuring::{Figures, Speech};
use crate::process::{Outcome, until};
use crate::realtime::{Agent, start_realtime};
use crate::scenarios::{AGENT, CLEAN, RING, place, seconds};

/// How long an utterance lasts, and until it has been said back, begun after a third of a second of silence.
const UTTERANCE: f64 = 1.8;
const SAID_BACK: f64 = 0.3 + UTTERANCE + 1.0 + UTTERANCE + 0.6;

/// How soon the conversation must go on: the bridge waits some 0.2 s before it opens the next session.
const RESUMED: f64 = 2.0;

/// What the bridge logs then.
const RESUMED_LINE: &str = "the conversation goes on in a new session";

/// The least of a sound that is one, in frames of 20 ms louder than that.
const SOUND_FRAMES: usize = 10;
const LOUD_DBFS: f64 = -45.0;

/// A caller and the agent talk, the connection to the model breaks, and they talk on.
pub(crate) fn session_lost(world: &World) -> Outcome<String> {
    let codec = Codec::G722;
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start(world, "slin16", &realtime)?;
    let said = |voice: u64| Speech::new(codec, 0.3, &speech::utterance(voice, UTTERANCE), 0.5);
    let (before, after) = (said(320)?, said(321)?);
    let mut call = place(world, AGENT, codec, Script::HangUp)?;
    call.answered(RING)?;
    call.speak(&before.payload)?;
    sleep(seconds(SAID_BACK));
    realtime.breaks();
    until(seconds(RESUMED), || bridge.logged(RESUMED_LINE).is_some());
    let resumed = bridge.logged(RESUMED_LINE);
    call.speak(&after.payload)?;
    sleep(seconds(SAID_BACK));
    let sessions = realtime.sessions();
    let recording = call.hang_up()?;
    let clean = world.pbx.nothing_left(CLEAN)?;
    bridge.stop()?;
    let before = Figures::of(&before, &recording)?;
    let after = Figures::of_nth(&after, &recording, 1)?;
    let lines = format!(
        "{}\nbefore: {before}\nafterwards: {after}\n{sessions} sessions, clean after {clean:.0?}",
        resumed.as_deref().unwrap_or("the log has no line of a resumed conversation")
    );
    [&before, &after]
        .into_iter()
        .try_for_each(Figures::judge)
        .map_err(|fault| format!("{fault}\n{lines}"))?;
    if resumed.is_some() && sessions == 2 { Ok(lines) } else { Err(lines) }
}

/// The Realtime server goes away in the middle of a call of a bridge that tries no other session: the caller hears a
/// sound, and goes on in the dialplan. The sample's fallback rings a telephone that is not there, and ends the call.
pub(crate) fn broken_session(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start_with(world, "slin16", &realtime, &[("REALTIME_RETRY_SECONDS", "0")])?;
    let mut call = place(world, AGENT, Codec::G722, Script::WaitForBye)?;
    call.answered(RING)?;
    sleep(seconds(1.0));
    realtime.breaks_off();
    let ear = call.ended(CLEAN)?.ear()?;
    let clean = world.pbx.nothing_left(CLEAN)?;
    bridge.stop()?;
    let loud = ear.chunks(RATE / 50).filter(|frame| measure::level_dbfs(frame) > LOUD_DBFS).count();
    let line = format!("the fallback had the call after {} ms of sound, clean after {clean:.0?}", loud * 20);
    if loud >= SOUND_FRAMES { Ok(line) } else { Err(line) }
}

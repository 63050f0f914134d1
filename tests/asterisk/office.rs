//! What an agent on a telephone line does beside talking: it takes keys, and puts callers through to the telephone of
//! the house.

use std::thread::sleep;
use std::time::{Duration, Instant};

use ari_bridge_tests::{measure, speech};

use crate::World;
use crate::bridge::Bridge;
use crate::call::{Call, Script};
use crate::codec::Codec;
use crate::measuring::{Figures, Speech};
use crate::process::{Outcome, until};
use crate::realtime::{Agent, RealtimeStandIn, start_realtime};
use crate::scenarios::{AGENT, CLEAN, RING, place, seconds};
use crate::telephone::{END, Telephone};

const OPERATOR: (&str, &str) = ("TRANSFER_operator", "internal,1001,1");

/// How long it may take until what the caller did has come to the conversation and back.
const CONVERSATION: Duration = Duration::from_secs(8);

/// The caller asks for somebody, the agent says so and calls `transfer`, and the telephone of the house hears the
/// caller.
pub(crate) fn transfer(world: &World) -> Outcome<String> {
    let codec = Codec::G722;
    let realtime = start_realtime(Agent::Clerk)?;
    let bridge = Bridge::start_with(world, "slin16", &realtime, &[OPERATOR])?;
    let mut telephone = Telephone::start(world, codec)?;
    let question = Speech::new(codec, 0.3, &speech::utterance(92, 1.4), 4.0)?;
    let mut call = place(world, AGENT, codec, Script::HangUp)?;
    call.answered(RING)?;
    let asked = Instant::now();
    call.speak(&question.payload)?;
    telephone.answered(CONVERSATION).map_err(|fault| format!("{fault}\n{}", conversation(&realtime)))?;
    let answered = asked.elapsed();
    let (lines, announced) = talk(world, call, telephone, 1)?;
    until(CLEAN, || bridge.count("calls{status=\"transferred\"}").is_ok_and(|count| count == 1));
    let (called, transferred) =
        (bridge.count("tools{what=\"called\"}")?, bridge.count("calls{status=\"transferred\"}")?);
    bridge.stop()?;
    let lines = format!(
        "the telephone answered {answered:.1?} after the caller had begun to ask\n\
         before that the caller heard {announced:.1} dBFS of the agent\n{lines}"
    );
    if (called, transferred) != (1, 1) || announced < -40.0 {
        return Err(format!("{called} functions called, {transferred} calls transferred\n{lines}"));
    }
    Ok(lines)
}

/// The caller keys in a number, which reaches the agent and is answered, and then presses the key of the operator.
pub(crate) fn keyed_in(world: &World) -> Outcome<String> {
    let codec = Codec::Pcma;
    let realtime = start_realtime(Agent::Clerk)?;
    let bridge = Bridge::start_with(world, "alaw", &realtime, &[OPERATOR, ("DTMF_operator", "0")])?;
    let mut telephone = Telephone::start(world, codec)?;
    let mut call = place(world, AGENT, codec, Script::Keys)?;
    call.answered(RING)?;
    sleep(call.press("4071#")?);
    if !until(CONVERSATION, || keys_of(&realtime).is_some()) {
        return Err(format!("the keys do not arrive\n{}", conversation(&realtime)));
    }
    let told = keys_of(&realtime).unwrap_or_default();
    let keys = bridge.count("keys")?;
    // The agent says something to that, which is heard out.
    sleep(seconds(2.5));
    let pressed = Instant::now();
    call.press("0")?;
    telephone.answered(CONVERSATION)?;
    let answered = pressed.elapsed();
    let (lines, announced) = talk(world, call, telephone, 2)?;
    bridge.stop()?;
    let lines = format!(
        "the agent was told: {told} ({keys} keys); it answered with {announced:.1} dBFS\n\
         the telephone answered {answered:.1?} after 0 was pressed\n{lines}"
    );
    let turns = realtime.turns().len();
    if told.ends_with("4071)") && keys == 4 && announced > -40.0 && turns == 0 {
        Ok(lines)
    } else {
        Err(format!("{turns} keys were taken for speech, or something is amiss\n{lines}"))
    }
}

/// The caller and the telephone speak with each other, and the caller hangs up. `spoken` says how often the caller's
/// line has sent something before. Also how loud the agent was at the caller's ear before.
fn talk(world: &World, call: Call, telephone: Telephone, spoken: usize) -> Outcome<(String, f64)> {
    let codec = telephone.codec();
    let callers = Speech::new(codec, 0.3, &speech::utterance(90, 2.2), 0.5)?;
    let telephones = Speech::new(codec, 0.5, &speech::utterance(91, 2.2), 0.5)?;
    call.speak(&callers.payload)?;
    telephone.speak(&telephones.payload)?;
    sleep(seconds(0.5 + 2.2 + 0.8));
    let (at_the_caller, at_the_telephone) = (call.hang_up()?, telephone.ended(END)?);
    world.pbx.nothing_left(CLEAN)?;
    let there = Figures::between(&callers, (&at_the_caller, spoken), &at_the_telephone)?;
    let back = Figures::between(&telephones, (&at_the_telephone, 0), &at_the_caller)?;
    let lines = format!("the telephone hears: {there}\nthe caller hears: {back}");
    for figures in [&there, &back] {
        figures.judge().map_err(|fault| format!("{fault}\n{lines}"))?;
    }
    let heard = at_the_caller.ear()?;
    let before = heard.get(..back.found.lag.max(0.0) as usize).unwrap_or_default();
    Ok((lines, loudest_second(before)))
}

/// The level of the loudest second, in dBFS.
fn loudest_second(samples: &[i16]) -> f64 {
    samples.chunks(measure::RATE).map(measure::level_dbfs).fold(f64::NEG_INFINITY, f64::max)
}

/// What the agent was told that the caller keyed in.
fn keys_of(realtime: &RealtimeStandIn) -> Option<String> {
    realtime.messages().iter().find_map(|message| {
        let event: serde_json::Value = serde_json::from_str(message).ok()?;
        event.pointer("/item/content/0/text")?.as_str().map(str::to_owned)
    })
}

fn conversation(realtime: &RealtimeStandIn) -> String {
    realtime.messages().join("\n")
}

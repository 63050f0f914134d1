//! Who is taken on, and by which bridge.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::World;
use crate::bridge::{Bridge, extension};
use crate::call::{Call, Script};
use crate::codec::Codec;
use crate::events::Watch;
use crate::fallback::{self, FALLBACK};
use crate::process::{Outcome, until};
use crate::proxy::Proxy;
use crate::realtime::{Agent, KEY, start_realtime};
use crate::scenarios::{AGENT, CLEAN, place, seconds};
use crate::talker::{SAID_BACK, Talker, Words};

/// How soon a caller who is refused must be in the fallback.
const SOON: Duration = Duration::from_secs(2);

/// How long a port rests after a call, and a little more.
const REST: Duration = Duration::from_secs(3);

/// How soon the settings must be read again, and how soon a bridge must say that its name was taken.
const NOTICED: Duration = Duration::from_secs(5);

/// For so long a bridge whose name was taken is watched: it would have tried again within 5 s.
const NO_FIGHT: Duration = Duration::from_secs(6);

/// Two ports and five callers: two talk, three are in the fallback, and when one has hung up the next is served.
pub(crate) fn ports(world: &World) -> Outcome<String> {
    let pbx = &world.pbx;
    let realtime = start_realtime(Agent::Parrot)?;
    let variables = [&FALLBACK[..], &[("RTP_PORT_START", "30210"), ("RTP_PORT_END", "30211")]].concat();
    let bridge = Bridge::start_with(world, "slin16", &realtime, &variables)?;
    fallback::speaks(pbx)?;
    let watch = Watch::start(pbx)?;
    let next = Words::new(560, 1)?;
    let mut talkers = Vec::new();
    for voice in [540, 550] {
        talkers.push(Talker::call(world, Words::new(voice, 1)?)?);
    }
    let placed = Instant::now();
    let refused = (0..3).map(|_| place(world, AGENT, Codec::Pcmu, Script::WaitForBye));
    let refused = refused.collect::<Outcome<Vec<_>>>()?;
    talkers.iter_mut().try_for_each(Talker::says)?;
    let arrived = fallback::all_arrive(&watch, 3, &["refused_no_port"], SOON)
        .map_err(|fault| format!("{fault}\n{}", bridge.log_tail()))?;
    let last = arrived.iter().map(|arrived| arrived.at - placed).max().unwrap_or_default();
    let unanswered = arrived.iter().filter(|arrived| arrived.state == "Ring").count();
    sleep(seconds(SAID_BACK));
    refused.into_iter().try_for_each(|call| call.ended(CLEAN).map(|_| ()))?;
    let mut lines = talkers.pop().ok_or("nobody talked")?.hangs_up()?;
    sleep(REST);
    let mut talker = Talker::call(world, next)?;
    talker.says()?;
    sleep(seconds(SAID_BACK));
    lines.extend(talker.hangs_up()?);
    for talker in talkers {
        lines.extend(talker.hangs_up()?);
    }
    let counted = bridge.count("calls{status=\"refused_no_port\"}")?;
    let line = bridge.logged("RTP_PORT_START..RTP_PORT_END").ok_or("no line in the log tells of it")?;
    pbx.nothing_left(CLEAN)?;
    bridge.stop()?;
    lines.push(format!("3 refused within {last:.0?}, {unanswered} of them unanswered, {counted} counted"));
    lines.push(line);
    if unanswered == 3 && counted == 3 { Ok(lines.join("\n")) } else { Err(lines.join("\n")) }
}

/// A second bridge takes the name of the first, which says so and lets it be. Its caller talks on. A third bridge has
/// another name, and is left alone.
pub(crate) fn two_bridges(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let proxy = Proxy::start(&world.pbx)?;
    let first = Bridge::start_with(world, "slin16", &realtime, &[("ARI_URL", &proxy.url())])?;
    let third = Bridge::start_beside(world, 2, "slin16", &realtime)?;
    let (words, others) = (Words::new(570, 2)?, Words::new(580, 2)?);
    let mut talkers = [Talker::call(world, words)?, Talker::call_to(world, &extension(2), others)?];
    let mut both_say = || -> Outcome<()> {
        talkers.iter_mut().try_for_each(Talker::says)?;
        sleep(seconds(SAID_BACK));
        Ok(())
    };
    both_say()?;
    let variables = [("RTP_PORT_START", "30300"), ("RTP_PORT_END", "30399")];
    let second = Bridge::start_with(world, "slin16", &realtime, &variables)?;
    let taken = Instant::now();
    let said = "another client took our ARI application name";
    if !until(NOTICED, || first.logged(said).is_some() && first.is_ready(503)) {
        return Err(format!("not noticed: {:?}\n{}", first.readiness(), first.log_tail()));
    }
    let noticed = taken.elapsed();
    let (_, why) = first.readiness().unwrap_or_default();
    sleep(NO_FIGHT.saturating_sub(seconds(SAID_BACK)));
    both_say()?;
    let (asked, orphans, adopted) =
        (proxy.events(), second.count("orphans")?, second.count("calls_adopted")?);
    let mut lines = vec![format!(
        "noticed after {noticed:.1?}, {asked} event socket asked for; /readyz: {}; the second has adopted {adopted} callers \
         and removed {orphans} things",
        why.trim()
    )];
    let logs = || format!("the first:\n{}the second:\n{}", first.log_tail(), second.log_tail());
    for (talker, whose) in talkers.into_iter().zip(["the first's", "the third's"]) {
        let heard = talker.hangs_up().map_err(|fault| format!("{whose} caller: {fault}\n{}", logs()))?;
        lines.extend(heard.into_iter().map(|line| format!("{whose} caller, {line}")));
    }
    let clean = world.pbx.nothing_left(CLEAN).map_err(|fault| format!("{fault}\n{}", logs()))?;
    let still = first.gauge("active_calls")?;
    lines.push(format!("clean after {clean:.0?}; {still} calls are under way in the first"));
    let is_ready = second.is_ready(200);
    first.stop()?;
    second.stop()?;
    third.stop()?;
    if asked == 1 && is_ready && still == 0 { Ok(lines.join("\n")) } else { Err(lines.join("\n")) }
}

/// The key of the Realtime side is changed in its file, and the bridge told so: with a wrong one callers fall back, with
/// the right one they talk, and the process is the same.
pub(crate) fn reload(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let file = world.file("key", "txt");
    let path = file.to_str().ok_or("a path that is not UTF-8")?;
    let write = |key: &str| fs::write(&file, key).map_err(|e| format!("{path}: {e}"));
    write("sk-wrong\n")?;
    let variables = [&FALLBACK[..], &[("OPENAI_API_KEY_FILE", path)]].concat();
    let mut bridge = Bridge::start_with(world, "slin16", &realtime, &variables)?;
    fallback::speaks(&world.pbx)?;
    let watch = Watch::start(&world.pbx)?;
    let words = Words::new(590, 1)?;
    let refused: Call = place(world, AGENT, Codec::Pcmu, Script::WaitForBye)?;
    fallback::all_arrive(&watch, 1, &["realtime_refused"], SOON)
        .map_err(|fault| format!("{fault}\n{}", bridge.log_tail()))?;
    refused.ended(CLEAN)?;
    write(KEY)?;
    bridge.signal("HUP")?;
    let told = Instant::now();
    until(NOTICED, || bridge.times_logged("read again") > 0);
    let after = told.elapsed();
    let line =
        bridge.logged("read again").ok_or_else(|| format!("no line tells of it\n{}", bridge.log_tail()))?;
    let mut talker = Talker::call(world, words)?;
    talker.says()?;
    sleep(seconds(SAID_BACK));
    let heard = talker.hangs_up()?.join("\n");
    world.pbx.nothing_left(CLEAN)?;
    bridge.stop()?;
    Ok(format!("{line}\nafter {after:.0?}; then {heard}"))
}

//! Asterisk goes away, or its ARI does, and comes back.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::World;
use crate::bridge::Bridge;
use crate::call::Script;
use crate::codec::Codec;
use crate::events::Watch;
use crate::fallback::{self, FALLBACK};
use crate::pbx::Stop;
use crate::process::{Outcome, until};
use crate::proxy::{Mode, Proxy};
use crate::realtime::{Agent, start_realtime};
use crate::scenarios::{AGENT, CLEAN, place, seconds};
use crate::talker::{SAID_BACK, Talker, Words};

/// How soon after Asterisk is back its calls must have ended here, and the bridge be ready.
const BACK: Duration = Duration::from_secs(8);

/// How long Asterisk stays away, and how long ARI does.
const ASTERISK_AWAY: Duration = Duration::from_millis(500);
const ARI_AWAY: Duration = Duration::from_secs(30);

/// How soon a connection that swallows everything must be found out.
const FOUND_OUT: Duration = Duration::from_secs(10);

/// How soon the bridge must be connected once ARI is back: it waits for up to 5 s between two attempts, and an attempt
/// that was swallowed must be given up first.
const CONNECTED: Duration = Duration::from_secs(16);

/// How long the bridge waits for the reply to a request, at most.
const REPLY: Duration = Duration::from_secs(8);

/// What is told of a request that was given up, and how long the DELETE that follows may take.
const GIVEN_UP: &str = "did not answer the request to make the media channel";
const OVERTAKES: Duration = Duration::from_millis(500);

/// What is told of a connection that swallows everything.
const NO_PING: &str = "answers no ping";

/// Whether this takes place within that time; how long it took, or the end of the bridge's log.
fn within(what: &str, time: Duration, bridge: &Bridge, condition: impl FnMut() -> bool) -> Outcome<Duration> {
    let begun = Instant::now();
    if until(time, condition) {
        return Ok(begun.elapsed());
    }
    Err(format!("{what}: not within {time:?}\n{}", bridge.log_tail()))
}

fn connected(bridge: &Bridge) -> bool {
    bridge.is_ready(200) && bridge.gauge("ari_connected") == Ok(1)
}

/// Once Asterisk dies, and once it is stopped: the call that it had ends here when it is back, and the next is served.
pub(crate) fn asterisk_restarts(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let bridge = Bridge::start(world, "slin16", &realtime)?;
    let mut lines = Vec::new();
    for (voice, how) in (400..).step_by(20).zip([Stop::Crash, Stop::Asked]) {
        let (words, next) = (Words::new(voice, 1)?, Words::new(voice + 10, 1)?);
        let mut talker = Talker::call(world, words)?;
        talker.says()?;
        sleep(seconds(1.0));
        world.pbx.end(how)?;
        let noticed = within("not ready without Asterisk", BACK, &bridge, || bridge.is_ready(503))?;
        sleep(ASTERISK_AWAY);
        let started = world.pbx.start_again()?;
        let ended = within("its call ends", BACK, &bridge, || bridge.gauge("active_calls") == Ok(0))?;
        let ready = within("ready again", BACK, &bridge, || connected(&bridge))?;
        let clean = world.pbx.nothing_left(CLEAN)?;
        // Its SIP session is with an Asterisk that is no more.
        drop(talker);
        let mut talker = Talker::call(world, next)?;
        talker.says()?;
        sleep(seconds(SAID_BACK));
        let heard = talker.hangs_up()?.join("; ");
        world.pbx.nothing_left(CLEAN)?;
        lines.push(format!(
            "{how:?}: noticed after {noticed:.1?}, Asterisk starts in {started:.1?}; after that the call ended within \
             {ended:.1?}, ready within {ready:.1?} more, clean after {clean:.0?}; the next call: {heard}"
        ));
    }
    let ended = bridge.count("calls{status=\"asterisk_restarted\"}")?;
    let found = bridge.count("asterisk_restarts")?;
    bridge.stop()?;
    lines.push(format!("{ended} calls ended as asterisk_restarted, and {found} restarts were found"));
    // An Asterisk that is asked to stop takes the channels of the call away first, and says so.
    if ended >= 1 && found == 2 { Ok(lines.join("\n")) } else { Err(lines.join("\n")) }
}

/// ARI is away for half a minute. Three callers talk on; a fourth hangs up meanwhile.
pub(crate) fn ari_is_cut(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let proxy = Proxy::start(&world.pbx)?;
    let bridge = Bridge::start_with(world, "slin16", &realtime, &[("ARI_URL", &proxy.url())])?;
    let words = [440, 450, 460].map(|voice| Words::new(voice, 4));
    let mut talkers = Vec::new();
    for words in words {
        talkers.push(Talker::call(world, words?)?);
    }
    let leaver = Talker::call(world, Words::new(470, 0)?)?;
    let mut all_say = |wait: Duration| -> Outcome<()> {
        talkers.iter_mut().try_for_each(Talker::says)?;
        sleep(wait);
        Ok(())
    };
    all_say(seconds(SAID_BACK))?;
    proxy.set(Mode::Cut);
    let cut = Instant::now();
    let noticed = within("not ready without ARI", FOUND_OUT, &bridge, || bridge.is_ready(503))?;
    all_say(seconds(SAID_BACK))?;
    leaver.hangs_up()?;
    sleep(ARI_AWAY.saturating_sub(cut.elapsed() + seconds(SAID_BACK)));
    all_say(seconds(SAID_BACK))?;
    proxy.set(Mode::Pass);
    let back = within("connected again", CONNECTED, &bridge, || connected(&bridge))?;
    let left = within("the caller who hung up is gone", CLEAN, &bridge, || {
        bridge.gauge("active_calls") == Ok(3) && world.pbx.ours().is_ok_and(|ids| ids.len() == 6)
    })
    .map_err(|fault| format!("{fault}\non Asterisk: {:?}", world.pbx.ours()))?;
    all_say(seconds(SAID_BACK))?;
    let mut lines = format!(
        "noticed after {noticed:.1?}; connected {back:.1?} after {:.0?}, and the caller who had hung up was gone {left:.1?} \
         after that",
        cut.elapsed() - seconds(SAID_BACK) - back - left
    );
    for (caller, talker) in talkers.into_iter().enumerate() {
        let heard = talker.hangs_up().map_err(|fault| format!("caller {caller}: {fault}\n{lines}"))?;
        heard
            .iter()
            .try_for_each(|line| write!(lines, "\ncaller {caller}, {line}"))
            .map_err(|e| e.to_string())?;
    }
    world.pbx.nothing_left(CLEAN)?;
    bridge.stop()?;
    Ok(lines)
}

/// Everything between the bridge and ARI is swallowed, and nobody is told.
pub(crate) fn ari_is_half_open(world: &World) -> Outcome<String> {
    let realtime = start_realtime(Agent::Parrot)?;
    let proxy = Proxy::start(&world.pbx)?;
    let bridge = Bridge::start_with(world, "slin16", &realtime, &[("ARI_URL", &proxy.url())])?;
    let mut talker = Talker::call(world, Words::new(480, 2)?)?;
    proxy.set(Mode::HalfOpen);
    talker.says()?;
    let found = within("found out", FOUND_OUT, &bridge, || bridge.logged(NO_PING).is_some())?;
    let unready = within("not ready", CLEAN, &bridge, || bridge.is_ready(503))?;
    proxy.set(Mode::Pass);
    let back = within("connected again", CONNECTED, &bridge, || connected(&bridge))?;
    talker.says()?;
    sleep(seconds(SAID_BACK));
    let heard = talker.hangs_up()?.join("\n");
    let clean = world.pbx.nothing_left(CLEAN)?;
    bridge.stop()?;
    Ok(format!(
        "found out after {found:.1?}, not ready after {unready:.1?} more, connected {back:.1?} after it passes again; \
         clean after {clean:.0?}\n{heard}"
    ))
}

/// The request for the media channel is held up for longer than the bridge waits. It gives up, and asks for the channel
/// to be removed, which is not there; then the request comes through, and the channel is made.
pub(crate) fn overtaken(world: &World) -> Outcome<String> {
    let pbx = &world.pbx;
    let realtime = start_realtime(Agent::Parrot)?;
    let proxy = Proxy::start(pbx)?;
    let url = proxy.url();
    let variables = [&FALLBACK[..], &[("ARI_URL", url.as_str())]].concat();
    let bridge = Bridge::start_with(world, "slin16", &realtime, &variables)?;
    fallback::speaks(pbx)?;
    let watch = Watch::start(pbx)?;
    proxy.hold("POST /ari/channels/externalMedia");
    let placed = Instant::now();
    let call = place(world, AGENT, Codec::Pcmu, Script::WaitForBye)?;
    let arrived = fallback::all_arrive(&watch, 1, &["setup_failed", "not_ready_in_time"], REPLY)
        .map_err(|fault| format!("{fault}\n{}", bridge.log_tail()))?;
    let at = arrived.first().map(|arrived| (arrived.at - placed, arrived.status.clone()));
    call.ended(CLEAN)?;
    // The bridge has given the request up, and what it asks for then is answered with 404.
    within("given up", REPLY, &bridge, || bridge.logged(GIVEN_UP).is_some())?;
    sleep(OVERTAKES);
    let is_media = |event: &serde_json::Value| {
        event["channel"]["name"].as_str().is_some_and(|name| name.starts_with("UnicastRTP/"))
    };
    let made = || watch.of_type("ChannelCreated").iter().filter(|event| is_media(event)).count();
    if made() > 0 {
        return Err("the channel was made although its request was held".to_owned());
    }
    let released = Instant::now();
    proxy.release();
    within("the channel is made", CLEAN, &bridge, || made() > 0)?;
    let gone = pbx.nothing_left(CLEAN)?;
    let lived = released.elapsed();
    within("the call has ended", CLEAN, &bridge, || bridge.gauge("active_calls") == Ok(0))?;
    bridge.stop()?;
    let (after, status) = at.ok_or("nobody arrived")?;
    Ok(format!(
        "{} request held, in the fallback after {after:.1?} with {status}; the channel was made, and gone {lived:.0?} after \
         the request came through ({gone:.0?} after it was seen)",
        proxy.waited()
    ))
}

//! What the resync of the bridge rests on, asked of Asterisk by hand: how it shows callers, media channels and bridges
//! to one who was away.

use std::net::UdpSocket;
use std::thread::sleep;

use serde_json::Value;

use crate::World;
use crate::bridge::extension;
use crate::call::Script;
use crate::codec::Codec;
use crate::events::Watch;
use crate::fallback;
use crate::process::{Outcome, until};
use crate::scenarios::{CLEAN, RING, place, seconds};

/// The application of the test's dialplan that no bridge has.
const NUMBER: u16 = 9;
const APP: &str = "voice-agent-9";
const MEDIA: &str = "facts-media";
const BRIDGES: [&str; 2] = ["facts-first", "facts-second"];

/// One request that must succeed.
fn ask(world: &World, method: &str, path: &str) -> Outcome<Value> {
    match world.pbx.ari(method, path, None)? {
        (200..=299, body) => Ok(body),
        (status, body) => Err(format!("{method} {path}: {status} {body}")),
    }
}

/// What is executed on a channel.
fn executed(world: &World, channel: &str) -> Outcome<String> {
    let channel = ask(world, "GET", &format!("/channels/{channel}"))?;
    let text = |name: &str| channel["dialplan"][name].as_str().unwrap_or("-").to_owned();
    Ok(format!("{}({})", text("app_name"), text("app_data")))
}

/// The texts of this list, in order.
fn texts(value: &Value, field: &str) -> Vec<String> {
    let list = value[field].as_array().into_iter().flatten();
    let mut texts: Vec<_> = list.filter_map(Value::as_str).map(str::to_owned).collect();
    texts.sort();
    texts
}

fn members(world: &World, bridge: &str) -> Outcome<Vec<String>> {
    Ok(texts(&ask(world, "GET", &format!("/bridges/{bridge}"))?, "channels"))
}

/// A caller in the application, its media channel, and two bridges of one name.
pub(crate) fn facts(world: &World) -> Outcome<String> {
    fallback::speaks(&world.pbx)?;
    let watch = Watch::start_as(&world.pbx, APP)?;
    let mut call = place(world, &extension(NUMBER), Codec::Pcmu, Script::WaitForBye)?;
    let started =
        || watch.of_type("StasisStart").first().and_then(|e| Some(e["channel"]["id"].as_str()?.to_owned()));
    until(RING, || started().is_some());
    let caller = started().ok_or("no StasisStart")?;
    let mut lines = vec![format!("in Stasis: {}", executed(world, &caller)?)];

    let ear = UdpSocket::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let host = ear.local_addr().map_err(|e| e.to_string())?;
    ask(
        world,
        "POST",
        &format!("/channels/externalMedia?app={APP}&channelId={MEDIA}&external_host={host}&format=slin16"),
    )?;
    if !until(RING, || watch.of_type("StasisStart").len() == 2) {
        return Err("no StasisStart of the media channel".to_owned());
    }
    for bridge in BRIDGES {
        let made = ask(world, "POST", &format!("/bridges/{bridge}?type=mixing&name={APP}"))?;
        lines.push(format!("bridge {}: name {}, creator {}", made["id"], made["name"], made["creator"]));
    }
    ask(world, "POST", &format!("/channels/{caller}/answer"))?;
    call.answered(RING)?;
    let [first, second] = BRIDGES;
    ask(world, "POST", &format!("/bridges/{first}/addChannel?channel={caller},{MEDIA}"))?;
    lines.push(format!("in a bridge: {}; media: {}", executed(world, &caller)?, executed(world, MEDIA)?));
    ask(world, "POST", &format!("/bridges/{second}/addChannel?channel={caller}"))?;
    let moved = || Ok::<_, String>((members(world, first)?, members(world, second)?));
    let (left, joined) = moved()?;
    lines.push(format!("moved without removeChannel: {first} has {left:?}, {second} has {joined:?}"));
    let is_moved = left == [MEDIA] && joined == [caller.clone()];

    drop(watch);
    sleep(seconds(0.3));
    let away = world.pbx.ari("GET", &format!("/applications/{APP}"), None)?;
    lines.push(format!("the application while its socket is away: {} {}", away.0, away.1));
    let watch = Watch::start_as(&world.pbx, APP)?;
    let back = ask(world, "GET", &format!("/applications/{APP}"))?;
    lines.push(format!("and when it is back: {back}"));
    let mut both = vec![caller.clone(), MEDIA.to_owned()];
    both.sort();
    let is_listed = texts(&back, "channel_ids") == both;

    ask(world, "POST", &format!("/channels/{caller}/continue?context=test-fallback&extension=s&priority=1"))?;
    sleep(seconds(0.2));
    lines.push(format!("after continue: {}", executed(world, &caller)?));
    let listed = ask(world, "GET", &format!("/applications/{APP}"))?;
    lines.push(format!("the application then has {:?}", texts(&listed, "channel_ids")));
    ask(world, "DELETE", &format!("/channels/{MEDIA}"))?;
    for bridge in BRIDGES {
        ask(world, "DELETE", &format!("/bridges/{bridge}"))?;
    }
    call.ended(CLEAN)?;
    drop(watch);
    let is_shown = lines.iter().any(|line| line.starts_with(&format!("in Stasis: Stasis({APP},")));
    if is_moved && is_listed && is_shown { Ok(lines.join("\n")) } else { Err(lines.join("\n")) }
}

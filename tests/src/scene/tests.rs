//! The links of a scene without a call: what a call would be told of them, and when.

use super::*;
use ari_bridge_core::sim::realtime::Parrot;
use serde_json::json;

const CALL: CallId = CallId(1);
const ONE: LinkId = LinkId(1);
const TWO: LinkId = LinkId(2);
const SECOND: Duration = Duration::from_secs(1);
const GREETING: &str = r#"{"type":"response.create","response":{"instructions":"Greet."}}"#;

fn scene(attempts: impl IntoIterator<Item = Attempt>) -> Scene {
    Scene::new(Stage { attempts: attempts.into_iter().collect(), ..Stage::default() })
}

/// A scene with these links, open.
fn open(links: &[LinkId]) -> Scene {
    let mut scene = scene([]);
    links.iter().for_each(|link| scene.open_realtime(CALL, *link));
    told(&mut scene, SECOND);
    scene
}

fn sends(scene: &mut Scene, link: LinkId, text: &str) {
    let mut out = call::Actions::new();
    let bytes = out.put(text.as_bytes());
    scene.send_realtime(CALL, link, &out, bytes);
}

/// What the call would be told within so much time: the link, what, and after how many milliseconds.
fn told(scene: &mut Scene, duration: Duration) -> Vec<(LinkId, String, u128)> {
    let (start, mut told) = (scene.now, Vec::new());
    while let Some(at) = scene.next_event().filter(|at| *at <= start + duration) {
        scene.now = scene.now.max(at);
        let letter = match scene.parcels.front() {
            Some((at, parcel @ Parcel::Call(_, letter))) if *at <= scene.now => {
                parcel.link().filter(|(call, link)| scene.is_told_of(*call, *link)).zip(in_words(letter))
            }
            _ => None,
        };
        told.extend(letter.map(|((_, link), what)| (link, what, scene.now.since(start).as_millis())));
        scene.deliver_one();
    }
    scene.now = start + duration;
    told
}

fn in_words(letter: &Letter) -> Option<String> {
    Some(match letter {
        Letter::RealtimeUp(_) => "up".to_owned(),
        Letter::Realtime(_, message) => {
            let event: serde_json::Value = serde_json::from_slice(message).expect("JSON");
            event["type"].as_str()?.to_owned()
        }
        Letter::RealtimePong(_) => "pong".to_owned(),
        Letter::RealtimeDown(_, down) => {
            let reason = String::from_utf8_lossy(&down.reason);
            format!("down {:?} {:?} {:?} {:?}", down.http_status, down.code, down.fault, reason)
        }
        _ => return None,
    })
}

fn words(told: &[(LinkId, String, u128)]) -> Vec<&str> {
    told.iter().map(|(_, what, _)| what.as_str()).collect()
}

#[test]
fn attempts_go_as_planned_and_then_as_the_stage_has_it() {
    let body = "slow down";
    let limited = Attempt::Http { status: 429, retry_after: Some(7 * SECOND), body };
    let mut scene = scene([
        Attempt::http(503),
        limited,
        Attempt::Refused(IoFault::Resolve),
        Attempt::Hang,
        Attempt::Silent,
        Attempt::Mute,
        Attempt::agent(Parrot::new()),
    ]);
    scene.realtime_becomes(|| Attempt::http(401));
    for (number, expected) in (1..).zip([
        &[r#"down Some(503) None None """#][..],
        &[r#"down Some(429) None None "slow down""#],
        &[r#"down None None Some(Resolve) """#],
        &[],
        &["up", "pong"],
        &["up"],
        &["up", "session.created", "conversation.created", "pong"],
        &[r#"down Some(401) None None """#],
    ]) {
        let link = LinkId(number);
        scene.open_realtime(CALL, link);
        scene.ping(CALL, link);
        let told = told(&mut scene, 60 * SECOND);
        assert_eq!(words(&told), expected, "attempt {number}");
        assert!(told.iter().all(|(of, ..)| *of == link));
    }
    assert_eq!((scene.attempts(), scene.sessions()), (8, 3));
    assert_eq!(scene.links_open(), [LinkId(5), LinkId(6), LinkId(7)]);
}

#[test]
fn two_links_have_sessions_of_their_own_and_what_is_said_on_one_is_heard_on_it() {
    let mut scene = open(&[ONE, TWO]);
    let create = |item| json!({ "type": "conversation.item.create", "item": item }).to_string();
    let message = |role: &str, part: &str, text: &str| {
        create(json!({ "type": "message", "role": role, "content": [{ "type": part, "text": text }] }))
    };
    sends(&mut scene, ONE, GREETING);
    sends(&mut scene, TWO, &message("user", "input_text", "I want a cake."));
    sends(&mut scene, TWO, &message("assistant", "output_text", "For how many?"));
    let call = json!({ "type": "function_call", "call_id": "c", "name": "bake", "arguments": "{}" });
    sends(&mut scene, TWO, &create(call));
    sends(&mut scene, TWO, &create(json!({ "type": "function_call_output", "call_id": "c", "output": "1" })));
    sends(&mut scene, ONE, r#"{"type":"input_audio_buffer.append","audio":"AAAA"}"#);
    let told = told(&mut scene, 2 * SECOND);
    let on = |link| told.iter().filter(move |(of, ..)| *of == link).map(|(_, what, _)| what.as_str());
    assert_eq!(on(ONE).next_back(), Some("response.done"));
    assert!(on(TWO).all(|what| what.starts_with("conversation.item.")) && on(TWO).count() == 8);
    assert_eq!(
        scene.told_on(TWO),
        ["user: I want a cake.", "assistant: For how many?", "call: bake {}", "output: 1"]
    );
    assert_eq!(scene.conversation_on(TWO), scene.told_on(TWO));
    scene.hang_up_link(CALL, ONE);
    assert_eq!(scene.conversation_on(ONE), ["assistant: Ding, dong."], "of a link that has ended, too");
    assert_eq!((scene.sent_on(ONE).len(), scene.sent_on(TWO).len(), scene.client_events.len()), (1, 4, 5));
    assert_eq!((scene.model_audio_of(ONE).len(), scene.model_audio_of(TWO).len()), (3, 0));
}

#[test]
fn a_forged_message_comes_on_the_newest_link_that_is_open() {
    let mut scene = open(&[ONE, TWO]);
    scene.forge_message(b"{\"type\":\"x\"}");
    assert_eq!(told(&mut scene, SECOND), [(TWO, "x".to_owned(), 0)]);
    scene.hang_up_link(CALL, TWO);
    scene.forge_message(b"{\"type\":\"y\"}");
    assert_eq!(told(&mut scene, SECOND), [(ONE, "y".to_owned(), 0)]);
}

#[test]
fn of_a_link_that_the_bridge_has_closed_nothing_more_is_told() {
    let mut scene = open(&[ONE]);
    sends(&mut scene, ONE, GREETING);
    told(&mut scene, SECOND / 4);
    scene.hang_up_link(CALL, ONE);
    assert!(told(&mut scene, SECOND).is_empty() && scene.links_open().is_empty());
}

#[test]
fn what_was_under_way_on_a_cut_link_is_lost() {
    let mut scene = open(&[ONE, TWO]);
    scene.stage.server_lag = SECOND;
    sends(&mut scene, ONE, GREETING);
    assert!(told(&mut scene, SECOND / 2).is_empty(), "all of it is under way");
    scene.cut_link(ONE, IoFault::Reset);
    assert_eq!(told(&mut scene, 5 * SECOND), [(ONE, r#"down None None Some(Reset) """#.to_owned(), 0)]);
    sends(&mut scene, ONE, GREETING);
    assert!(told(&mut scene, 5 * SECOND).is_empty(), "nobody is there");
    assert_eq!(scene.links_open(), [TWO]);
}

#[test]
fn a_server_closes_behind_what_it_has_said() {
    let mut scene = open(&[ONE]);
    scene.stage.server_lag = SECOND;
    sends(&mut scene, ONE, r#"{"type":"input_audio_buffer.clear"}"#);
    told(&mut scene, SECOND / 2);
    scene.close_realtime(1011, "upstream");
    let told = told(&mut scene, 5 * SECOND);
    assert_eq!(words(&told), ["input_audio_buffer.cleared", r#"down None Some(1011) None "upstream""#]);
}

#[test]
fn a_reset_at_each_byte_lets_through_what_was_complete() {
    // The answer is two messages.
    let whole = {
        let mut scene = open(&[ONE]);
        scene.cut_realtime_at_byte(usize::MAX);
        sends(&mut scene, ONE, r#"{"type":"session.update","session":{"type":"realtime"}}"#);
        sends(&mut scene, ONE, r#"{"type":"input_audio_buffer.clear"}"#);
        told(&mut scene, SECOND);
        usize::MAX - scene.sockets[0].breaks_after().expect("it was set")
    };
    let mut complete = BTreeMap::<Vec<String>, usize>::new();
    for byte in 0..=whole + 1 {
        let mut scene = open(&[ONE]);
        scene.cut_realtime_at_byte(byte);
        sends(&mut scene, ONE, r#"{"type":"session.update","session":{"type":"realtime"}}"#);
        sends(&mut scene, ONE, r#"{"type":"input_audio_buffer.clear"}"#);
        let told = told(&mut scene, SECOND);
        *complete.entry(words(&told).into_iter().map(str::to_owned).collect()).or_default() += 1;
    }
    let down = r#"down None None Some(Reset) """#.to_owned();
    let (updated, cleared) = ("session.updated".to_owned(), "input_audio_buffer.cleared".to_owned());
    let second = complete[&vec![updated.clone(), down.clone()]];
    assert_eq!(complete[&vec![down.clone()]], whole - second, "in the first message");
    assert_eq!(
        complete[&vec![updated.clone(), cleared.clone(), down]],
        1,
        "behind the last byte of the second"
    );
    assert_eq!(complete[&vec![updated, cleared]], 1, "one byte later it stays");
    assert!((60..125).contains(&second), "{second} bytes are the length of the second message");
}

#[test]
fn a_server_may_fall_silent_or_mute_in_mid_session() {
    for is_mute in [false, true] {
        let mut scene = open(&[ONE]);
        if is_mute {
            scene.realtime_falls_mute();
        } else {
            scene.realtime_falls_silent();
        }
        sends(&mut scene, ONE, GREETING);
        scene.ping(CALL, ONE);
        let told = told(&mut scene, 60 * SECOND);
        assert_eq!(words(&told), if is_mute { vec![] } else { vec!["pong"] });
        assert_eq!(scene.links_open(), [ONE]);
    }
}

#[test]
fn something_goes_wrong_in_the_newest_session_only() {
    let mut scene = open(&[ONE, TWO]);
    scene.realtime_fails(&server::Fault::Expired);
    let told = told(&mut scene, SECOND);
    assert_eq!(words(&told)[0], "error");
    assert!(told[1].1.starts_with("down None Some(1001)") && told.iter().all(|(link, ..)| *link == TWO));
    assert_eq!(scene.links_open(), [ONE]);
}

#[test]
fn while_the_network_is_away_nothing_passes_and_afterwards_all_of_it_arrives_in_order() {
    let mut scene = open(&[ONE]);
    sends(&mut scene, ONE, GREETING);
    scene.realtime_vanishes(4 * SECOND);
    scene.ping(CALL, ONE);
    sends(&mut scene, ONE, r#"{"type":"input_audio_buffer.clear"}"#);
    scene.open_realtime(CALL, TWO);
    assert!(told(&mut scene, 3 * SECOND).is_empty());
    let told = told(&mut scene, 3 * SECOND);
    let of_one: Vec<_> =
        told.iter().filter(|(link, ..)| *link == ONE).map(|(_, what, _)| what.as_str()).collect();
    assert_eq!(of_one[..2], ["response.created", "rate_limits.updated"]);
    assert!(of_one.contains(&"pong") && of_one.contains(&"input_audio_buffer.cleared"));
    assert!(told.iter().all(|(.., at)| *at >= 1000), "not before it is back");
    assert!(told.iter().any(|(link, what, _)| *link == TWO && what == "up"), "who kept trying gets through");
}

#[test]
fn who_tries_for_ten_seconds_gives_up() {
    let mut scene = scene([]);
    scene.realtime_vanishes(15 * SECOND);
    scene.open_realtime(CALL, ONE);
    assert_eq!(
        told(&mut scene, 20 * SECOND),
        [(ONE, r#"down None None Some(TimedOut) """#.to_owned(), 10_000)]
    );
}

#[test]
fn a_session_says_when_it_expires_by_the_clock_that_a_call_is_given() {
    let limit = 1800 * SECOND;
    let mut stage = Stage::default();
    stage.server.session_limit = limit;
    let utc = stage.server.utc.0;
    let mut scene = Scene::new(stage);
    scene.run_for(100 * SECOND);
    scene.open_realtime(CALL, ONE);
    let opened = scene.now;
    let expires_at = scene.parcels.iter().find_map(|(_, parcel)| match parcel {
        Parcel::Call(_, Letter::Realtime(_, message)) => {
            let event: serde_json::Value = serde_json::from_slice(message).ok()?;
            event["session"]["expires_at"].as_u64()
        }
        _ => None,
    });
    assert_eq!(expires_at, Some((utc + (opened + limit).as_nanos()) / 1_000_000_000));
    let told = told(&mut scene, limit + SECOND);
    assert_eq!(told[3].1, "error");
    assert!(told[4].1.starts_with("down None Some(1001)") && told[4].2 == 1_800_000, "{told:?}");
}

#[test]
fn the_silence_that_a_caller_hears_is_timed() {
    let mut scene = scene([]);
    scene.dial(1, &crate::speech::utterance(1, 1.0));
    scene.run_until("answered", SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    scene.run_for(3 * SECOND);
    assert!((2800..3000).contains(&scene.silence(1).as_millis()), "{:?}", scene.silence(1));
    scene.speak(1);
    scene.run_until("the parrot answers", 5 * SECOND, |scene| scene.silence(1) < SECOND / 20);
    scene.forget_what_was_heard(1);
    scene.run_for(SECOND / 4);
    let remembered = scene.heard(1).len();
    assert!((3200..=4160).contains(&remembered), "{remembered} samples of a quarter of a second");
}

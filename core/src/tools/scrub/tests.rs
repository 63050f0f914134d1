//! Captures are scrubbed, stay scrubbed, and are refused where they cannot be.

use super::rules::{Known, Message, Rules};
use super::{ScrubFault, is_scrubbed, json, scrub};
use crate::call::{self, Input, LinkState};
use crate::capture::tests::inputs::parts;
use crate::capture::tests::{Logged, START_EVENT, start};
use crate::capture::{Capture, End, Fault, Log, Record, SwitchboardStart, open};
use crate::id::{InstanceNonce, LegId, LinkId};
use crate::settings::{CallSettings, Function, Keys, SwitchboardSettings, Tool, Transfer};
use crate::switchboard::{self, Switchboard};
use crate::time::{Duration, Instant, UtcNanos};
use proptest::prelude::*;

fn scrubbed(capture: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    scrub(capture, &mut out).unwrap_or_else(|fault| panic!("{fault}"));
    out
}

/// What a field of a message becomes where these names are known.
fn made_of(message: Message<'_>, settings: &str, text: &str) -> String {
    let (mut known, mut out) = (Known::default(), Vec::new());
    let mut rules = Rules { message: Message::Settings, known: &mut known };
    json::exchange(settings.as_bytes(), &mut rules, &mut out);
    out.clear();
    json::exchange(text.as_bytes(), &mut Rules { message, known: &mut known }, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn of_an_event_its_type_its_ids_and_its_times_stay() {
    let event = r#"{"type":"StasisStart","timestamp":"2026-11-22T11:29:11.573+0000","args":["15551234567","Müller"],
        "channel":{"id":"1795346951.0","name":"PJSIP/anna-00000000","state":"Up","protocol_id":"1-15644@10.0.0.9",
        "caller":{"name":"Anna","number":"15551234567"},"connected":{"number":"anonymous"},
        "dialplan":{"context":"inbound","exten":"4711","priority":3,"app_name":"Stasis","app_data":"agent,15551234567"},
        "some_new_number":1555123456,"language":"en"},"application":"agent"}"#;
    let made = made_of(Message::AriReply, r#"{"ari_app":"agent"}"#, event);
    let number = "5555555";
    assert!(made.contains(r#""caller":{"name":"Xxxx","number":""#), "{made}");
    for kept in [
        r#""type":"StasisStart","timestamp":"2026-11-22T11:29:11.573+0000""#,
        r#""id":"1795346951.0","name":"PJSIP/xxxx-"#,
        r#""state":"Up""#,
        r#"{"number":"anonymous"}"#,
        r#""priority":3,"app_name":"Stasis","app_data":"agent,"#,
        r#""application":"agent""#,
        number,
    ] {
        assert!(made.contains(kept), "{kept} in {made}");
    }
    for gone in ["15551234", "Müller", "Anna", "anna", "inbound", "4711", "10.0.0.9", "1555123456"] {
        assert!(!made.contains(gone), "{gone} in {made}");
    }
    assert_eq!(made.len(), event.len());
}

#[test]
fn of_what_an_operator_names_nothing_stays() {
    let event = r#"{"type":"ChannelUserevent","channelvars":{"id":"4930123456","state":"Depress","code":4711,
        "UNICASTRTP_LOCAL_PORT":"20000"},"userevent":{"type":"Smith","cause":4712,"start":"4713"}}"#;
    let made = made_of(Message::AriReply, "{}", event);
    assert!(made.starts_with(r#"{"type":"ChannelUserevent","channelvars":{"id":""#), "{made}");
    for gone in ["4930123456", "Depress", "4711", "Smith", "4712", "4713"] {
        assert!(!made.contains(gone), "{gone} in {made}");
    }
    assert_eq!(made.len(), event.len());
}

#[test]
fn a_capture_that_is_cut_behind_a_step_without_words_is_scrubbed_and_replayed() {
    // Wherever the log is full, behind a step that had words or one that had none.
    let mut whole = Logged::begin(&CallSettings::default(), 1 << 20);
    whole.some_steps(80);
    let whole = whole.log.finish().len();
    for limit in (whole - 200..whole).step_by(7) {
        let mut logged = Logged::begin(&CallSettings::default(), limit);
        logged.some_steps(80);
        let cut = logged.log.finish();
        let replayed = crate::replay::replay(&scrubbed(&cut)).unwrap();
        assert!(matches!(replayed.end, End::Cut { .. }) && replayed.difference.is_none(), "{replayed:?}");
    }
}

#[test]
fn of_a_message_of_the_model_nothing_that_was_said_is_left() {
    let settings = r#"{"tools":[{"function":{"name":"look_up","description":"Looks it up","parameters":
        {"properties":{"city":{"enum":["Ulm","Bad Urach"]},"days":{"enum":[7]},"who":{"type":"string"}}}}}]}"#;
    for (message, made) in [
        (
            r#"{"type":"response.output_audio_transcript.delta","delta":" Gr\u00fcezi, 42"}"#,
            r#"{"type":"response.output_audio_transcript.delta","delta":" Xx\u00e9xxx, 55"}"#,
        ),
        (
            r#"{"name":"look_up","arguments":"{\"city\":\"Ulm\",\"days\":7,\"who\":\"Anna\",\"pin\":1234.0}"}"#,
            r#"{"name":"look_up","arguments":"{\"city\":\"Ulm\",\"days\":7,\"who\":\"Xxxx\",\"xxx\":5589.0}"}"#,
        ),
        (r#"{"name":"made_up","output":"Ulm is it."}"#, r#"{"name":"xxxx_xx","output":"Xxx xx xx."}"#),
        (
            r#"{"item":{"id":"item_1","status":"completed","secret":"s3"}}"#,
            r#"{"item":{"id":"item_1","status":"completed","secret":"x5"}}"#,
        ),
        (
            r#"{"logprobs":[{"bytes":[72,101]}],"audio_start_ms":1200}"#,
            r#"{"logprobs":[{"bytes":[55,555]}],"audio_start_ms":1200}"#,
        ),
        (
            r#"{"error":{"code":"rate_limit","message":"Hello Anna","param":"session.tools[0].name"}}"#,
            r#"{"error":{"code":"rate_limit","message":"Xxxxx Xxxx","param":"session.tools[0].name"}}"#,
        ),
        (
            r#"{"response":{"metadata":{"ari_bridge":"12","who":"me"}}}"#,
            r#"{"response":{"metadata":{"ari_bridge":"12","who":"xx"}}}"#,
        ),
    ] {
        let is = made_of(Message::Realtime(None), settings, message);
        // Numbers become whatever they become.
        let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "5");
        assert_eq!(digits(&is), digits(made));
        assert_eq!(is.len(), message.len());
        assert_eq!(made_of(Message::Realtime(None), settings, &is), is);
    }
}

/// A call with a bit of everything, up to where its settings go to the server.
fn some_call() -> Vec<u8> {
    let settings = CallSettings {
        transfers: vec![Transfer {
            name: "sales".to_owned(),
            context: "internal".to_owned(),
            extension: "4711".to_owned(),
            priority: 1,
        }],
        keys: Keys { hot: vec![('0', 0)], ..Keys::default() },
        ..CallSettings::default()
    };
    let mut settings = settings;
    settings.session.instructions = Some("You are Anna of Müller & Sons, 030 123456.".to_owned());
    settings.session.tools = vec![Tool::Function(Function {
        name: "look_up".to_owned(),
        description: "Looks up a customer".to_owned(),
        parameters: serde_json::json!({ "type": "object", "properties": { "name": { "type": "string" } } }),
    })];
    let mut logged = Logged::begin(&settings, 1 << 20);
    logged.step(Input::MediaUp { leg: LegId(1), local: "203.0.114.9:30000".parse().unwrap() });
    logged.step(Input::RealtimeUp { link: LinkId(1) });
    logged.step(Input::Realtime { link: LinkId(1), bytes: br#"{"type":"session.created"}"# });
    let updated = br#"{"type":"session.updated","session":{"instructions":"You are Anna"}}"#;
    logged.step(Input::Realtime { link: LinkId(1), bytes: updated });
    logged.step(Input::Media { leg: LegId(1), from: "203.0.114.9:4000".parse().unwrap(), bytes: b"Anna" });
    logged.step(Input::AriLink(LinkState::Up));
    (0..200).for_each(|_| logged.step(Input::Timer));
    logged.log.finish()
}

#[test]
fn a_call_is_scrubbed_to_its_settings_and_stays_as_it_is() {
    let capture = some_call();
    let once = scrubbed(&capture);
    let text = String::from_utf8_lossy(&once);
    for gone in ["Anna", "Müller", "4711", "123456", "Looks up", "203.0.114", "PJSIP/1-1", "\"100\""] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    assert!(!once.windows(4).any(|bytes| bytes == [203, 0, 114, 9]), "the address in binary");
    assert!(
        !once.windows(8).any(|bytes| bytes == [0xA5; 8]) && !text.contains("165,165"),
        "the caller's tag"
    );
    for kept in ["look_up", "sales", "internal", "voice-agent", "StasisStart"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    assert_eq!(scrubbed(&once), once);
    assert!(is_scrubbed(&once[..]).unwrap() && !is_scrubbed(&capture[..]).unwrap());
    let Ok(Capture::Call(head, mut records)) = open(&once) else { panic!("it is of a call") };
    assert!(head.note.is_scrubbed && head.start().seed == start().seed);
    let Ok(Capture::Call(_, mut before)) = open(&capture) else { panic!("it is of a call") };
    loop {
        match (before.next().unwrap(), records.next().unwrap()) {
            (Record::Input { now, .. }, Record::Input { now: new, .. }) => assert_eq!(now, new),
            (Record::Gave(was), Record::Gave(is)) => assert_eq!(was.lines().count(), is.lines().count()),
            (Record::Digest(_), Record::Digest(_)) => {}
            (Record::End(_), Record::End(_)) => break,
            (was, is) => panic!("{was:?} became {is:?}"),
        }
    }
}

#[test]
fn one_other_byte_and_it_is_not_scrubbed() {
    let once = scrubbed(&some_call());
    for (from, to) in [("xxxx", "xxxa"), ("\"is_scrubbed\":true", "\"is_scrubbed\":null")] {
        let place = once.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        let mut other = once.clone();
        other[place..place + to.len()].copy_from_slice(to.as_bytes());
        assert!(!is_scrubbed(&other[..]).unwrap_or(false), "{to}");
    }
}

#[test]
fn a_capture_that_breaks_off_is_scrubbed_up_to_there() {
    let capture = some_call();
    let whole = scrubbed(&capture);
    for len in [capture.len() - 1, capture.len() - 30, capture.len() - 400] {
        let torn = scrubbed(&capture[..len]);
        assert!(whole.starts_with(&torn) && torn.len() < whole.len());
        assert!(is_scrubbed(&torn[..]).unwrap());
    }
}

#[test]
fn what_is_no_capture_is_a_fault() {
    for bytes in [&b""[..], b"RIFF....WAVE", &some_call()[..40]] {
        let fault = scrub(bytes, Vec::new()).unwrap_err();
        assert!(matches!(fault, ScrubFault::Capture(Fault::NotACapture | Fault::Head { .. })), "{fault}");
        assert!(is_scrubbed(bytes).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_capture_of_a_call_is_scrubbed_and_stays(all in proptest::collection::vec(parts(), 1..40)) {
        let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
        let mut out = call::Actions::new();
        for parts in &all {
            logged.now = logged.now + parts.later();
            out.clear();
            let _next = logged.log.step(&mut logged.call, logged.now, parts.to_call(), &mut out);
        }
        let once = scrubbed(&logged.log.finish());
        prop_assert!(is_scrubbed(&once[..]).unwrap());
    }

    #[test]
    fn any_capture_of_a_switchboard_is_scrubbed_and_stays(all in proptest::collection::vec(parts(), 1..40)) {
        let settings = SwitchboardSettings::default();
        let start = SwitchboardStart { nonce: InstanceNonce::new(7), seed: 7, utc: UtcNanos(1) };
        let (mut out, mut now) = (switchboard::Actions::new(), Instant::START);
        let (mut log, mut machine, _) = Log::<Switchboard>::begin(&settings, start, now, 1 << 20, &mut out);
        for parts in &all {
            now = now + parts.later();
            out.clear();
            let _next = log.step(&mut machine, now, parts.to_switchboard(&settings), &mut out);
        }
        let once = scrubbed(&log.finish());
        prop_assert!(is_scrubbed(&once[..]).unwrap());
    }

    #[test]
    fn hostile_bytes_are_faults(flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8), 1..12)) {
        let mut capture = some_call();
        for (place, bit) in flips {
            let place = place.index(capture.len());
            capture[place] ^= 1_u8 << bit;
        }
        let mut once = Vec::new();
        if let Err(fault) = scrub(&capture[..], &mut once) {
            prop_assert!(!fault.to_string().is_empty());
        } else {
            prop_assert!(is_scrubbed(&once[..]).unwrap());
        }
    }
}

#[test]
fn the_event_that_a_call_begins_with_is_scrubbed_too() {
    let once = scrubbed(&some_call());
    let Ok(Capture::Call(head, _)) = open(&once) else { panic!("it is of a call") };
    let call::Origin::Arrived { event } = head.start().origin else { panic!("it arrived") };
    assert_eq!(event.len(), START_EVENT.len());
    assert!(crate::ari::Event::parse(event).is_some());
}

#[test]
fn the_last_input_of_a_crash_is_scrubbed_and_given_to_nobody() {
    let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
    logged.some_steps(3);
    let Logged { mut log, now, .. } = logged;
    log.takes(
        now + Duration::from_millis(1),
        &Input::Realtime { link: LinkId(1), bytes: br#"{"who":"Anna"}"# },
    );
    let capture = log.finish();
    let mut once = Vec::new();
    let scrubbed = scrub(&capture[..], &mut once).unwrap();
    assert!(matches!(scrubbed.end, End::Crashed { .. }) && scrubbed.steps == 8, "{scrubbed:?}");
    assert!(once.windows(14).any(|bytes| bytes == br#"{"who":"Xxxx"}"#));
    assert!(is_scrubbed(&once[..]).unwrap());
}

#[test]
fn a_capture_of_what_is_done_no_more_is_scrubbed_to_what_is_done_now() {
    let mut capture = some_call();
    let mut once = Vec::new();
    assert_eq!(scrub(&capture[..], &mut once).unwrap().unlike_recorded, None);
    let place = capture.windows(14).position(|bytes| bytes == b"open media leg").unwrap();
    capture[place] = b'X';
    let mut again = Vec::new();
    assert_eq!(scrub(&capture[..], &mut again).unwrap().unlike_recorded, Some(0));
    assert_eq!(once, again);
}

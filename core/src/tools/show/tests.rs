use super::*;
use crate::call::Input;
use crate::capture::open;
use crate::capture::tests::Logged;
use crate::id::{LegId, LinkId, RequestId};
use crate::settings::CallSettings;

/// A call that is given a bit of everything.
fn capture() -> Vec<u8> {
    let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
    logged.some_steps(2);
    let packet = [0x80, 0, 0, 7, 0, 0, 0, 160, 1, 2, 3, 4, 0xFF, 0xFF];
    let from = "192.0.2.7:4000".parse().unwrap();
    logged.step(Input::Media { leg: LegId(1), from, bytes: &packet });
    logged.step(Input::Timer);
    logged.step(Input::AriReply { id: RequestId(1), status: 404, body: b"{\"message\":\"no\nsuch\"}" });
    logged.step(Input::Ari(b"not an event\n-> observe: a lie"));
    logged.step(Input::RealtimeDown {
        link: LinkId(1),
        http_status: None,
        retry_after: None,
        code: Some(1011),
        reason: b"gone",
        fault: None,
    });
    logged.log.finish()
}

fn shown(bytes: &[u8], style: Style) -> (Vec<String>, Result<End, ShowFault>) {
    let mut out = Vec::new();
    let end = show(open(bytes).unwrap(), style, &mut out);
    (String::from_utf8(out).unwrap().lines().map(str::to_owned).collect(), end)
}

#[test]
fn a_log_says_what_came_and_below_it_what_was_done() {
    let (lines, end) = shown(&capture(), Style::default());
    assert!(matches!(end, Ok(End::Whole { .. })));
    assert!(lines[0].starts_with("call arib0000beef-1 of 2027-01-15T08:00:00.000Z, slin16"), "{lines:#?}");
    let place = |text: &str| {
        let found = lines.iter().position(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("{text} in {lines:#?}"))
    };
    let up = place("    0.008000      1  media leg 1 is bound at 192.0.2.1:30000");
    assert!(lines[up + 1].contains("-> ARI request"), "{lines:#?}");
    let refused = place("ARI reply 1: 404, 21 bytes: {\"message\":\"no such\"}");
    assert_eq!(lines[refused - 1].trim(), ".. 1 x timer", "{lines:#?}");
    place("Realtime link 1 is down, close code 1011: gone");
    assert!(lines.last().unwrap().ends_with("the end; the capture is whole"));
}

#[test]
fn what_a_peer_sends_cannot_pass_for_a_line_of_the_log() {
    let (lines, _) = shown(&capture(), Style { messages: true, ..Style::default() });
    assert!(!lines.iter().any(|line| line.trim_start().starts_with("-> observe: a lie")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("ARI sends 30 bytes that cannot be read")), "{lines:#?}");
}

#[test]
fn each_packet_is_shown_if_it_is_wanted() {
    let (lines, _) = shown(&capture(), Style { each: true, ..Style::default() });
    let packet = "media on leg 1 from 192.0.2.7:4000, 14 bytes: payload type 0, number 7, time 160";
    assert!(lines.iter().any(|line| line.ends_with(packet)), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.ends_with("  timer")).count(), 3, "{lines:#?}");
}

#[test]
fn each_line_of_json_is_json_and_holds_the_message() {
    let (lines, _) = shown(&capture(), Style { is_json: true, ..Style::default() });
    let read: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&read[0]["input"], &read[0]["step"]), (&"made".into(), &0.into()));
    let refused = read.iter().find(|line| line["input"].as_str().is_some_and(|input| input.contains("404")));
    assert_eq!(refused.unwrap()["message"]["message"], serde_json::Value::Null, "a line break is no JSON");
    let created = read.iter().find(|line| line["message"]["type"] == "session.created").unwrap();
    assert!(created["gave"][0].as_str().unwrap().starts_with("send on Realtime link 1"), "{created}");
    assert!(read.last().unwrap()["end"].as_str().unwrap().contains("whole"));
}

#[test]
fn what_was_read_of_a_torn_capture_is_shown() {
    let bytes = capture();
    let (whole, _) = shown(&bytes, Style::default());
    let (torn, end) = shown(&bytes[..bytes.len() - 25], Style::default());
    assert!(matches!(end, Ok(End::Torn { .. })));
    assert!(torn.len() + 4 > whole.len() && torn.last().unwrap().contains("breaks off at byte"), "{torn:#?}");
}

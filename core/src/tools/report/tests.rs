//! What is in the page: each thing at its time, nothing that could run, and never more than there is room for.

use super::Report;
use crate::call::{Input, LinkState};
use crate::capture::tests::Logged;
use crate::capture::{Capture, open};
use crate::id::{LegId, LinkId, RequestId};
use crate::replay::Player;
use crate::settings::CallSettings;
use crate::time::Duration;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const LIMIT: usize = 64 << 20;
const LINK: LinkId = LinkId(1);

/// The page of a capture.
fn page(capture: &[u8]) -> String {
    let Capture::Call(head, records) = open(capture).unwrap() else { panic!("it is of a call") };
    let mut player = Player::new(head, records);
    let mut report = Report::new(player.head());
    while let Some(step) = player.step().unwrap() {
        report.step(&step);
    }
    let mut page = Vec::new();
    report.finish(&player.finish(), &mut page).unwrap();
    String::from_utf8(page).unwrap()
}

/// What the script of a page is given.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

/// A call that is being set up and is given these one after the other, a millisecond apart.
fn given(inputs: &[Input<'_>]) -> Vec<u8> {
    let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
    logged.some_steps(0);
    inputs.iter().for_each(|input| logged.step(*input));
    logged.log.finish()
}

fn said(text: &'static str) -> Input<'static> {
    Input::Realtime { link: LINK, bytes: text.as_bytes() }
}

/// The rows with this name.
fn rows<'a>(data: &'a Value, name: &str) -> Vec<&'a Value> {
    let list = data["events"]["list"].as_array().unwrap();
    list.iter().filter(|event| event["name"].as_str().unwrap().starts_with(name)).collect()
}

#[test]
fn times_count_from_the_beginning_of_the_call() {
    // The machine is made at 7 ms of its clock, and `session.created` is its third input.
    let data = data(&page(&given(&[Input::Timer])));
    assert_eq!(data["duration_ms"], 5.0);
    let [created] = rows(&data, "session.created")[..] else { panic!("{data}") };
    assert_eq!((&created["at_ms"], &created["kind"]), (&3.0.into(), &"realtime_in".into()));
    assert_eq!(data["record"]["begun_utc"], "2027-01-15T08:00:00.007Z");
    assert_eq!(data["moments"]["sessions"][0]["up_ms"], 2.0);
    assert_eq!((&data["replay"]["capture"], &data["replay"]["difference"]), (&"whole".into(), &Value::Null));
    assert_eq!(data["ended"], Value::Null, "the capture does not know");
}

#[test]
fn what_others_have_said_is_data_and_never_markup() {
    let hostile = "</script><script>alert(1)</script><!-- &lt;img onerror=x>";
    let event = format!(r#"{{"type":"{hostile}","channel":{{"id":"1.1","name":"{hostile}"}}}}"#);
    let page = page(&given(&[
        Input::Ari(event.as_bytes()),
        Input::Realtime { link: LINK, bytes: event.as_bytes() },
        Input::Ari(b"\xFF\xFE</script>"),
        said("{</script>"),
    ]));
    assert_eq!(page.matches("</script>").count(), 2, "of the data and of the script");
    assert!(!page.contains("alert(1)</") && !page.contains("<img"));
    let data = data(&page);
    assert_eq!(rows(&data, hostile).len(), 2);
    assert_eq!(rows(&data, "(unreadable)").len(), 2);
    assert_eq!(rows(&data, "(unreadable)")[1]["detail"], "{</script>");
}

#[test]
fn what_comes_in_pieces_is_one_row_for_each_item() {
    let audio = |item: &'static str| match item {
        "a" => said(r#"{"type":"response.output_audio.delta","item_id":"a","delta":"AAAA"}"#),
        _ => said(r#"{"type":"response.output_audio.delta","item_id":"b","delta":"AAAA"}"#),
    };
    let words = said(r#"{"type":"response.output_audio_transcript.delta","item_id":"a","delta":"x"}"#);
    let done = said(r#"{"type":"response.output_audio.done","item_id":"a"}"#);
    let data = data(&page(&given(&[audio("a"), words, audio("a"), words, audio("a"), done, audio("b")])));
    let rows_ = rows(&data, "response.output_audio.delta");
    let shown: Vec<_> = rows_.iter().map(|row| (&row["at_ms"], &row["to_ms"], &row["pieces"])).collect();
    assert_eq!(shown, [(&5.0.into(), &9.0.into(), &3.into()), (&11.0.into(), &11.0.into(), &1.into())]);
    assert_eq!(rows(&data, "response.output_audio_transcript.delta").len(), 1);
    assert_eq!(rows(&data, "response.output_audio.done").len(), 1);
}

#[test]
fn pieces_after_a_pause_are_another_row() {
    let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
    logged.some_steps(0);
    let piece = said(r#"{"type":"response.output_audio.delta","item_id":"a","delta":"AAAA"}"#);
    logged.step(piece);
    logged.now = logged.now + Duration::from_millis(1990);
    logged.step(piece);
    logged.now = logged.now + Duration::from_millis(2000);
    logged.step(piece);
    let data = data(&page(&logged.log.finish()));
    let pieces: Vec<_> =
        rows(&data, "response.output_audio.delta").iter().map(|row| row["pieces"].clone()).collect();
    assert_eq!(pieces, [2, 1]);
}

#[test]
fn a_request_and_its_reply_are_one_row() {
    // The bridge is asked for first, and then the media channel.
    let refused = Input::AriReply { id: RequestId(2), status: 500, body: br#"{"message":"no"}"# };
    let data = data(&page(&given(&[refused])));
    let [request] = rows(&data, "POST /channels/externalMedia")[..] else { panic!("{data}") };
    assert_eq!(request["name"], "POST /channels/externalMedia → 500");
    assert_eq!((&request["at_ms"], &request["to_ms"]), (&1.0.into(), &5.0.into()));
    let detail = request["detail"].as_str().unwrap();
    assert!(detail.starts_with("POST /channels/externalMedia?") && detail.contains(r#"{"message":"no"}"#));
    assert!(!rows(&data, "call ends").is_empty() && rows(&data, "call ends")[0]["level"] == "error");
}

#[test]
fn what_the_bridge_tells_and_links_that_come_and_go_have_their_time() {
    let lost = Input::RealtimeDown {
        link: LINK,
        http_status: None,
        retry_after: None,
        code: Some(1011),
        reason: b"server_error.x_went_wrong",
        fault: None,
    };
    let data = data(&page(&given(&[
        Input::AriLink(LinkState::Down),
        Input::AriLink(LinkState::Up),
        Input::AriLink(LinkState::Down),
        lost,
    ])));
    let unlinked = &data["moments"]["unlinked"];
    assert_eq!(unlinked.to_string(), r#"[{"at_ms":5.0,"to_ms":6.0},{"at_ms":7.0}]"#);
    let session = &data["moments"]["sessions"][0];
    assert_eq!((&session["at_ms"], &session["to_ms"]), (&0.0.into(), &8.0.into()));
    assert_eq!(session["lost"], "closed with 1011, x_went_wrong");
}

#[test]
fn a_flood_of_messages_is_counted_and_not_kept() {
    let long = format!(r#"{{"type":"x","y":"{}"}}"#, "z".repeat(9000));
    let mut logged = Logged::begin(&CallSettings::default(), 512 << 20);
    logged.some_steps(0);
    for _ in 0..30_000 {
        logged.step(Input::Realtime { link: LINK, bytes: long.as_bytes() });
    }
    let page = page(&logged.log.finish());
    assert!(page.len() < 12 << 20, "{} bytes", page.len());
    let data = data(&page);
    assert!(data["events"]["left_out"].as_u64().unwrap() >= 10_000);
    let rows = rows(&data, "x");
    assert!(rows[0]["detail"].as_str().unwrap().ends_with("… (9019 bytes)"));
    assert!(rows.last().unwrap()["detail"].as_str().unwrap().len() < 40, "there was no more room");
}

#[test]
fn what_the_callers_line_sends_is_drawn_where_it_was_said() {
    let from = "192.0.2.9:4000".parse().unwrap();
    let packet = |payload_type: u8| -> Vec<u8> {
        let head = [0x80, payload_type, 0, 1, 0, 0, 0, 0, 0, 0, 0, payload_type];
        head.into_iter().chain([0x20; 640]).collect()
    };
    let (audio, other) = (packet(118), packet(77));
    let mut logged = Logged::begin(&CallSettings::default(), LIMIT);
    logged.some_steps(50);
    for bytes in [&other, &audio, &other] {
        logged.now = logged.now + Duration::from_millis(40);
        logged.step(Input::Media { leg: LegId(1), from, bytes });
    }
    let data = data(&page(&logged.log.finish()));
    let wave = data["caller"]["peaks"].as_str().unwrap();
    // 20 ms that end when the packet comes, 136 ms after the beginning.
    let peaks = STANDARD.decode(wave).unwrap();
    let loud: Vec<_> = (0..peaks.len() / 2).filter(|n| peaks[2 * n + 1] > 0).collect();
    assert_eq!((loud[0], loud[loud.len() - 1], data["caller"]["stretch_ms"].as_f64()), (23, 27, Some(5.0)));
    assert_eq!(data["facts"]["dropped"].to_string(), r#"{"early":3}"#);
}

//! What the report of a call shows is what happened in it, and when.

use crate::stories::{SECOND, answered};
use ari_bridge_core::capture::{Capture, open};
use ari_bridge_core::format::MediaFormat;
use ari_bridge_core::observe::Observation;
use ari_bridge_core::replay::Player;
use ari_bridge_core::settings::{CallSettings, MediaPlan, SessionSettings};
use ari_bridge_core::time::Instant;
use ari_bridge_core::tools::report::Report;
use ari_bridge_tests::scene::Stage;
use ari_bridge_tests::speech::utterance;
use ari_bridge_tests::taped::Shelf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What the script of the page of a capture is given, and when the machine was made.
fn report(capture: &[u8]) -> (Value, Instant) {
    let Ok(Capture::Call(head, records)) = open(capture) else { panic!("it is of a call") };
    let mut player = Player::new(head, records);
    let (mut report, begun) = (Report::new(player.head()), player.head().now);
    while let Some(step) = player.step().expect("a good capture") {
        report.step(&step);
    }
    let mut page = Vec::new();
    report.finish(&player.finish(), &mut page).expect("there is room");
    let page = String::from_utf8(page).expect("UTF-8");
    let (_, rest) = page.split_once(r#"id="data">"#).expect("the data");
    (serde_json::from_str(rest.split_once("</script>").expect("their end").0).expect("JSON"), begun)
}

/// From when to when there is something to hear, in milliseconds: stretches that are not more than 100 ms apart are one.
fn loud(wave: &Value) -> Vec<(f64, f64)> {
    let each = wave["stretch_ms"].as_f64().expect("a number");
    let peaks = STANDARD.decode(wave["peaks"].as_str().expect("text")).expect("base64");
    let mut parts: Vec<(f64, f64)> = Vec::new();
    for (n, peak) in peaks.as_chunks::<2>().0.iter().enumerate() {
        let at = n as f64 * each;
        match parts.last_mut() {
            _ if peak.iter().all(|code| code.cast_signed().unsigned_abs() < 8) => {}
            Some((_, to)) if at - *to <= 100.0 => *to = at + each,
            _ => parts.push((at, at + each)),
        }
    }
    parts
}

fn is_near(a: f64, b: f64, ms: f64) -> bool {
    (a - b).abs() <= ms
}

#[test]
fn turns_and_waveforms_stand_where_they_were_heard_in_every_format() {
    for format in MediaFormat::ALL {
        let shelf = Shelf::default();
        let session = SessionSettings { greeting: Some("Good day.".into()), ..SessionSettings::default() };
        let mut scene = answered(
            Stage {
                call: CallSettings { session, volume_boost: 1.0, ..CallSettings::default() },
                media: MediaPlan { format, ..MediaPlan::default() },
                shelf: Some(shelf.clone()),
                ..Stage::default()
            },
            &utterance(1, 2.0),
        );
        scene.run_for(2 * SECOND);
        scene.speak(1);
        scene.run_for(8 * SECOND);
        scene.hang_up(1);
        scene.run_for(2 * SECOND);
        let told = |what: Observation| scene.observations.iter().find(|(_, o)| *o == what).map(|(at, _)| *at);
        let speech_at = told(Observation::SpeechStarted).expect("the caller was heard");
        drop(scene);
        let capture = shelf.take().into_iter().find(|capture| matches!(open(capture), Ok(Capture::Call(..))));
        let (data, begun) = report(&capture.expect("the call is over"));
        let speech_ms = speech_at.since(begun).as_secs_f64() * 1000.0;

        let [(from, to)] = loud(&data["caller"])[..] else { panic!("{format}: {:?}", loud(&data["caller"])) };
        assert!(is_near(to - from, 2000.0, 60.0), "{format}: {from} to {to}");
        assert!(
            (0.0..400.0).contains(&(speech_ms - from)),
            "{format}: heard at {speech_ms}, begun at {from}"
        );
        let speech = data["moments"]["speech"][0]["at_ms"].as_f64().expect("a number");
        assert!(is_near(speech, speech_ms, 0.001), "{format}: {speech}");

        // The greeting, and what the caller has said once more.
        let turns = data["record"]["turns"].as_array().expect("turns");
        let said: Vec<_> = turns.iter().filter(|turn| turn["who"] == "agent").collect();
        let heard = loud(&data["agent"]);
        assert_eq!((said.len(), heard.len()), (2, 2), "{format}: {said:?} {heard:?}");
        for (turn, (from, to)) in said.iter().zip(heard) {
            let [at, lasts] = ["at_ms", "heard_ms"].map(|name| turn[name].as_f64().expect("a number"));
            // There is silence before and behind what is said in a turn, which is not loud.
            assert!(
                at <= from + 5.0 && to <= at + lasts + 60.0,
                "{format}: {turn} is heard from {from} to {to}"
            );
            assert!(from - at < 900.0, "{format}: {turn} is heard from {from} to {to}");
        }
    }
}

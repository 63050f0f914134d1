//! Calls are scrubbed: nobody can be known by what is left, and all of it is still what happened.

use crate::stories::{SECOND, answered};
use ari_bridge_core::call::{self, Action, Record};
use ari_bridge_core::capture::{Capture, open};
use ari_bridge_core::codec::Decoder;
use ari_bridge_core::format::{MediaFormat, ModelFormat};
use ari_bridge_core::replay::{Player, replay};
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::{
    BargeIn, CallSettings, Function, Keys, MediaPlan, SessionSettings, Tool, Transcription, Transfer,
};
use ari_bridge_core::sim::realtime::{Agent, Answer, FunctionCall, Prompt, Script, Speech, two_tones};
use ari_bridge_core::time::Duration;
use ari_bridge_core::tools::blank::{blank_audio, renew};
use ari_bridge_core::tools::scrub::{ScrubFault, is_scrubbed, scrub};
use ari_bridge_tests::scene::{Performance, Scene, Stage};
use ari_bridge_tests::speech::utterance;
use ari_bridge_tests::taped::Shelf;
use serde_json::json;

/// What must not be found again: words of the agent, the caller, the operator and the tools, and numbers.
const SECRETS: [&str; 14] = [
    "Herzlich",
    "Willkommen",
    "Müller",
    "Basel",
    "Rheinstra",
    "Termin",
    "Freitag",
    "Hausmeister",
    "Geheim",
    "4930123456",
    "4711",
    "0815",
    "79123",
    "caller 1",
];

/// An agent that looks something up when it was spoken to, and answers what it was told.
#[derive(Debug, Default)]
struct Desk {
    turns: usize,
}

impl Desk {
    fn says(words: &str) -> Speech {
        Speech { samples: [two_tones(), two_tones()].concat(), rate: 24_000, transcript: words.into() }
    }
}

impl Agent for Desk {
    fn answer(&mut self, prompt: Prompt<'_>) -> Answer {
        let Prompt::Turn { .. } = prompt else {
            return Answer::Speech(Self::says("Herr Müller, am Freitag, 79123 Basel."));
        };
        self.turns += 1;
        let arguments = r#"{"city":"Basel","kind":"house","street":"Rheinstraße 7, 79123","days":3}"#;
        let look_up = FunctionCall { name: "look_up".into(), arguments: arguments.into() };
        match self.turns {
            1 => Answer::Calls { speech: Some(Self::says("Einen Termin?")), calls: vec![look_up] },
            _ => Answer::Speech(Self::says("Herzlich gern am Freitag.")),
        }
    }

    fn write_down(&mut self, _: &[i16], _: u32) -> Option<String> {
        Some("Müller aus Basel, Rheinstraße. Meine Nummer ist 4930123456.".into())
    }
}

fn stage(format: MediaFormat, audio_format: ModelFormat) -> Stage {
    let look_up = Function {
        name: "look_up".into(),
        description: "Sucht einen Termin beim Hausmeister".into(),
        parameters: json!({
            "type": "object",
            "properties": {
                "city": { "type": "string", "description": "Geheim" },
                "kind": { "enum": ["house", "flat"] },
                "street": { "type": "string" },
                "days": { "type": "integer" },
            },
            "required": ["city", "kind"],
            "additionalProperties": false,
        }),
    };
    let session = SessionSettings {
        audio_format,
        instructions: Some("Du bist der Hausmeister. Geheim: 0815.".into()),
        greeting: Some("Herzlich Willkommen!".into()),
        transcription: Some(Transcription { model: "whisper-1".into(), language: None, prompt: None }),
        tools: vec![Tool::Function(look_up)],
        ..SessionSettings::default()
    };
    let place = Transfer {
        name: "operator".into(),
        context: "internal".into(),
        extension: "4711".into(),
        priority: 1,
    };
    let call = CallSettings {
        session,
        volume_boost: 1.0,
        transfers: vec![place],
        keys: Keys { hot: vec![('0', 0)], ..Keys::default() },
        ..CallSettings::default()
    };
    let body = r#"{"who":"Herr Müller","where":["Basel",79123],"free":"Freitag"}"#;
    let look_up = Performance { name: "look_up", after: Duration::from_millis(300), reply: Ok((200, body)) };
    Stage {
        call,
        media: MediaPlan { format, ..MediaPlan::default() },
        agent: Some(Box::new(Desk::default())),
        functions: vec![look_up],
        safety: true,
        ..Stage::default()
    }
}

/// A caller who asks, is answered with what a function says, keys a number in, asks again, interrupts, and hangs up. The
/// captures of the call and of the switchboard.
fn conversation(stage: Stage) -> (Vec<u8>, Vec<u8>) {
    let shelf = Shelf::default();
    let mut scene = answered(Stage { shelf: Some(shelf.clone()), ..stage }, &utterance(1, 2.0));
    scene.run_for(3 * SECOND);
    scene.speak(1);
    scene.run_for(9 * SECOND);
    scene.press(1, "4711#");
    scene.run_for(5 * SECOND);
    scene.speak(1);
    scene.run_for(4 * SECOND);
    scene.say(1, &utterance(1, 1.5));
    scene.run_for(4 * SECOND);
    scene.hang_up(1);
    scene.run_until("the call is over", 5 * SECOND, |scene: &Scene| scene.calls() == 0);
    drop(scene);
    let (mut calls, mut others): (Vec<_>, Vec<_>) =
        shelf.take().into_iter().partition(|capture| matches!(open(capture), Ok(Capture::Call(..))));
    (calls.remove(0), others.remove(0))
}

fn scrubbed(capture: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    scrub(capture, &mut out).unwrap_or_else(|fault| panic!("{fault}"));
    out
}

/// The sum of the squares of the samples of each second, of the caller and of what was sent to the caller, and how many
/// samples each has; and what was told and recorded, without words.
fn lived(capture: &[u8], format: MediaFormat) -> ([Vec<(f64, usize)>; 2], Vec<String>) {
    let Ok(Capture::Call(head, records)) = open(capture) else { panic!("it is of a call") };
    let (mut player, mut told) = (Player::new(head, records), Vec::new());
    let mut seconds = [vec![(0.0, 0); 60], vec![(0.0, 0); 60]];
    let mut decoders = [format.from_asterisk(), format.to_asterisk()].map(Decoder::new);
    let hears = |seconds: &mut Vec<(f64, usize)>, decoder: &mut Decoder, at: usize, datagram: &[u8]| {
        let mut samples = Vec::new();
        decoder.decode(Packet::parse(datagram).expect("RTP").payload, &mut samples);
        seconds[at].0 += samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
        seconds[at].1 += samples.len();
    };
    while let Some(step) = player.step().expect("a good capture") {
        let at = step.now.as_millis() as usize / 1000;
        if let Some(call::Input::Media { bytes, .. }) = step.input {
            hears(&mut seconds[0], &mut decoders[0], at, bytes);
        }
        for action in step.out.iter() {
            match action {
                Action::SendMedia { bytes, .. } => {
                    hears(&mut seconds[1], &mut decoders[1], at, step.out.bytes(bytes));
                }
                Action::Record(Record::Called { arguments, .. }) => {
                    told.push(format!("called with {} bytes", arguments.len()));
                }
                Action::Observe(observation) => told.push(format!("{observation:?}")),
                _ => {}
            }
        }
    }
    (seconds, told)
}

fn decibels((power, samples): (f64, usize)) -> f64 {
    10.0 * (power / samples.max(1) as f64 / f64::from(1 << 30)).max(1e-9).log10()
}

#[test]
fn nobody_is_known_by_a_scrubbed_conversation_and_it_is_still_what_happened() {
    let formats = MediaFormat::ALL.map(|format| (format, ModelFormat::Pcm24));
    for (format, model) in formats.into_iter().chain([(MediaFormat::Ulaw, ModelFormat::Pcmu)]) {
        let (capture, switchboard) = conversation(stage(format, model));
        let once = scrubbed(&capture);
        for (before, after) in [(&capture, &once), (&switchboard, &scrubbed(&switchboard))] {
            let text = String::from_utf8_lossy(after);
            for secret in SECRETS {
                assert!(!text.contains(secret), "{format}: {secret}");
            }
            assert!(is_scrubbed(&after[..]).expect("a good capture"), "{format}");
            assert!(!is_scrubbed(&before[..]).expect("a good capture"), "{format}");
        }
        for secret in &SECRETS[..10] {
            assert!(String::from_utf8_lossy(&capture).contains(secret), "{secret} was never there");
        }
        let [was, is] = [&capture, &once].map(|capture| replay(&capture[..]).expect("a good capture"));
        assert!(is.is_whole() && is.difference.is_none(), "{is:?}");
        assert_eq!((was.steps, was.duration, was.outcome), (is.steps, is.duration, is.outcome));
        assert_eq!(was.input_bytes, is.input_bytes);
        let ((before, told), (after, told_now)) = (lived(&capture, format), lived(&once, format));
        assert_eq!(told, told_now, "{format}");
        for needed in ["BargeIn", "KeyedIn { keys: 4 }", "ToolDone"] {
            assert!(told.iter().any(|told| told.contains(needed)), "{needed}: {told:?}");
        }
        for (n, (before, after)) in before.iter().zip(&after).enumerate() {
            let loud = before.iter().filter(|second| decibels(**second) > -50.0).count();
            assert!(loud >= 4, "{format}: {loud}");
            for (second, (before, after)) in before.iter().zip(after).enumerate() {
                assert_eq!(before.1, after.1);
                let (before, after) = (decibels(*before), decibels(*after));
                let is_near = (before - after).abs() < 3.0 || before.max(after) < -50.0;
                assert!(
                    is_near,
                    "{format}, {model:?}, channel {n}, second {second}: {before} became {after} dB"
                );
            }
        }
    }
}

/// The audio of the whole capture is blanked, and the capture is renewed.
fn blanked(capture: &[u8]) -> (Vec<u8>, Option<String>) {
    let Ok(Capture::Call(_, records)) = open(capture) else { panic!("it is of a call") };
    let mut blanked = capture.to_vec();
    blank_audio(&mut blanked[records.at()..], ModelFormat::Pcm24);
    let mut out = Vec::new();
    let renewed = renew(&blanked[..], None, &mut out).expect("a good capture");
    (
        out,
        renewed
            .first
            .map(|first| format!("{} at {}: {:?} became {:?}", first.step, first.at, first.was, first.is)),
    )
}

#[test]
fn a_conversation_whose_audio_was_blanked_is_the_same_where_loudness_decides_nothing() {
    for format in [MediaFormat::Slin16, MediaFormat::G722] {
        let (capture, _) = conversation(stage(format, ModelFormat::Pcm24));
        let (silent, changed) = blanked(&capture);
        assert_eq!(changed, None, "{format}");
        assert_eq!(silent.len(), capture.len(), "{format}");
        let replayed = replay(&silent[..]).expect("a good capture");
        assert!(replayed.is_whole() && replayed.difference.is_none(), "{replayed:?}");
        let (seconds, _) = lived(&silent, format);
        for second in seconds.iter().flatten() {
            assert!(decibels(*second) < -65.0, "{format}: {}", decibels(*second));
        }
    }
}

#[test]
fn where_the_caller_s_loudness_decides_a_blanked_call_is_told_to_be_another_and_a_scrubbed_one_is_the_same() {
    let mut stage = stage(MediaFormat::Slin16, ModelFormat::Pcm24);
    stage.call.barge_in = BargeIn::Guarded;
    let (capture, _) = conversation(stage);
    assert!(is_scrubbed(&scrubbed(&capture)[..]).expect("a good capture"));
    let (_, told) = lived(&capture, MediaFormat::Slin16);
    assert!(told.iter().any(|told| told.contains("BargeIn")), "{told:?}");
    let (silent, changed) = blanked(&capture);
    assert!(changed.is_some(), "a silent caller does not interrupt a guarded agent");
    assert!(replay(&silent[..]).expect("a good capture").difference.is_none(), "it replays all the same");
}

/// A call whose model sends the caller to the second of these places, or hangs up.
fn parting(places: [&str; 2], call: FunctionCall) -> Vec<u8> {
    let place = |name: &str, extension: &str| Transfer {
        name: name.into(),
        context: "internal".into(),
        extension: extension.into(),
        priority: 1,
    };
    let mut stage = stage(MediaFormat::Ulaw, ModelFormat::Pcm24);
    stage.call.transfers = vec![place(places[0], "1001"), place(places[1], "1002")];
    let shelf = Shelf::default();
    let calls = Answer::Calls { speech: None, calls: vec![call] };
    stage.agent = Some(Box::new(Script::new([Answer::Speech(Desk::says("Hello.")), calls])));
    let mut scene = answered(Stage { shelf: Some(shelf.clone()), ..stage }, &utterance(1, 1.0));
    scene.run_for(4 * SECOND);
    scene.speak(1);
    scene.run_until("the call is over", 10 * SECOND, |scene: &Scene| scene.calls() == 0);
    drop(scene);
    let is_of_a_call = |capture: &Vec<u8>| matches!(open(capture), Ok(Capture::Call(..)));
    shelf.take().into_iter().find(is_of_a_call).expect("the call is over")
}

fn transfer_to(place: &str) -> FunctionCall {
    FunctionCall { name: "transfer".into(), arguments: json!({ "destination": place }).to_string() }
}

#[test]
fn a_caller_who_is_sent_on_or_away_goes_the_same_way_in_the_scrubbed_call() {
    let hang_up = FunctionCall { name: "hang_up".into(), arguments: "{}".into() };
    for call in [transfer_to("billing"), hang_up] {
        let capture = parting(["sales", "billing"], call);
        let once = scrubbed(&capture);
        let [was, is] = [&capture, &once].map(|capture| replay(&capture[..]).expect("a good capture"));
        assert_eq!(was.outcome, is.outcome);
        assert!(!String::from_utf8_lossy(&once).contains("1002"));
    }
}

#[test]
fn where_two_places_would_have_one_name_nothing_is_scrubbed() {
    let call = parting(["Anna Meier", "Jens Maier"], transfer_to("Jens Maier"));
    let fault = scrub(&call[..], Vec::new()).expect_err("another place");
    let ScrubFault::Changed { was, is, .. } = &fault else { panic!("{fault}") };
    assert!(was.contains("extension=1002") && is.contains("/continue?"), "{fault}");
    assert!(!is_scrubbed(&call[..]).expect("a good capture"));
}

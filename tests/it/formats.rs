//! The format of the audio to and from the model: G.711 where the line speaks it, PCM where the server does not.

use ari_bridge_core::format::{Encoding, MediaFormat, ModelFormat};
use ari_bridge_core::observe::Observation;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::{CallSettings, MediaPlan, SessionSettings};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::sim::realtime::{self as server, G711};
use ari_bridge_core::time::Duration;
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;

const SECOND: Duration = Duration::from_secs(1);

fn answered(format: MediaFormat, audio_format: ModelFormat, g711: G711, said: &[i16]) -> Scene {
    let session = SessionSettings { audio_format, ..SessionSettings::default() };
    let call = CallSettings { session, volume_boost: 1.0, ..CallSettings::default() };
    let media = MediaPlan { format, ..MediaPlan::default() };
    let server = server::Settings { g711, ..server::Settings::default() };
    let mut scene = Scene::new(Stage { call, media, server, ..Stage::default() });
    scene.dial(1, said);
    scene.run_until("answered", SECOND, |scene| scene.state(1) == Some(CallerState::Answered));
    scene
}

#[test]
fn a_g711_call_goes_through_both_ways_without_a_changed_bit() {
    let said = utterance(1, 2.0);
    for (format, model) in [(MediaFormat::Ulaw, ModelFormat::Pcmu), (MediaFormat::Alaw, ModelFormat::Pcma)] {
        let mut scene = answered(format, model, G711::Spoken, &said);
        scene.run_for(SECOND);
        scene.speak(1);
        scene.run_for(6 * SECOND);
        // The parrot says back what it was given, so what went up comes down. It decodes and encodes, though,
        // and then µ-law's second zero (0x7F) becomes its first.
        let zero = |code: u8| if model == ModelFormat::Pcmu && code == 0x7F { 0xFF } else { code };
        let down = scene.datagrams.iter().flat_map(|(_, d)| Packet::parse(d).unwrap().payload.to_vec());
        let down: Vec<u8> = down.map(zero).collect();
        let middle = &down[down.len() / 3..down.len() / 2];
        let up: Vec<u8> = scene.model_audio.iter().copied().map(zero).collect();
        assert!(
            up.windows(middle.len()).any(|window| window == middle),
            "{format}: {} bytes are found in what went up",
            middle.len()
        );
        assert!(
            !scene
                .saw(|o| matches!(o, Observation::FormatRefused { .. } | Observation::RealtimeError { .. }))
        );
        let update = scene.client_events[0].clone();
        assert!(update.contains(model.media_type()) && !update.contains("24000"), "{update}");
    }
}

#[test]
fn a_server_that_does_not_confirm_g711_is_spoken_to_in_pcm() {
    for g711 in [G711::Ignored, G711::Refused] {
        let said = utterance(2, 2.0);
        let mut scene = answered(MediaFormat::Ulaw, ModelFormat::Pcmu, g711, &said);
        assert!(scene.saw(|o| *o == Observation::FormatRefused { format: ModelFormat::Pcmu }), "{g711:?}");
        scene.run_for(SECOND);
        scene.speak(1);
        scene.run_for(6 * SECOND);
        let found = measure::find(scene.heard(1), &said);
        assert!(found.correlation > 0.7, "{g711:?}: {found:?}");
        let updates = scene.client_events.iter().filter(|event| event.contains("session.update")).count();
        assert_eq!(updates, 2);
        let seconds = scene.model_audio.len() / 48_000;
        assert!((6..=8).contains(&seconds), "{seconds} s of 24 kHz");
    }
}

#[test]
fn each_pair_of_formats_brings_the_words_back() {
    for format in MediaFormat::ALL {
        for model in ModelFormat::ALL {
            let said = utterance(3, 1.5);
            let mut scene = answered(format, model, G711::Spoken, &said);
            scene.run_for(SECOND / 2);
            scene.speak(1);
            scene.run_for(5 * SECOND);
            let found = measure::find(scene.heard(1), &said);
            // What is narrow anywhere on its way has lost what lies above 3.4 kHz.
            let wide = model == ModelFormat::Pcm24 && format.to_asterisk() == Encoding::G722;
            let bound = if wide { 0.9 } else { 0.75 };
            assert!(found.correlation > bound, "{format} and {}: {found:?}", model.name());
        }
    }
}

//! A caller whose line sends the agent's voice back.

use ari_bridge_core::codec::{Decoder, Encoder};
use ari_bridge_core::format::{Encoding, MediaFormat, ModelFormat};
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::{BargeIn, CallSettings, MediaPlan, SessionSettings};
use ari_bridge_core::sim::asterisk::CallerState;
use ari_bridge_core::time::Duration;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;
use std::collections::VecDeque;

const SLOT: Duration = Duration::from_millis(20);

/// The agent greets for eight seconds, and everything comes back after 60 ms, four times weaker. Gives the power
/// of what the model hears from the fourth second on.
fn heard_by_the_model(echo_canceller: bool) -> f64 {
    let session = SessionSettings {
        greeting: Some("Good day.".into()),
        audio_format: ModelFormat::Pcmu,
        ..SessionSettings::default()
    };
    // Nobody is to be interrupted, so that the agent speaks on.
    let call = CallSettings {
        echo_canceller,
        session,
        barge_in: BargeIn::Off,
        volume_boost: 1.0,
        ..CallSettings::default()
    };
    let media = MediaPlan { format: MediaFormat::Ulaw, ..MediaPlan::default() };
    // The stand-in's greeting is at 24 kHz and these are 16, so it is spoken faster; an echo is an echo.
    let greeting = Some(utterance(4, 12.0));
    let mut scene = Scene::new(Stage { call, media, greeting, ..Stage::default() });
    scene.dial(1, &[]);
    let second = Duration::from_secs(1);
    scene.run_until("answered", second, |scene| scene.state(1) == Some(CallerState::Answered));
    let (mut decoder, mut encoder) = (Decoder::new(Encoding::Pcmu), Encoder::new(Encoding::Pcmu));
    let mut on_its_way: VecDeque<Vec<i16>> = vec![vec![0; 160]; 3].into();
    let mut taken = 0;
    for n in 0..350u16 {
        scene.run_for(SLOT);
        let mut heard = vec![0; 160];
        if let Some((_, datagram)) = scene.datagrams.get(taken) {
            taken += 1;
            heard.clear();
            decoder.decode(Packet::parse(datagram).expect("RTP").payload, &mut heard);
        }
        on_its_way.push_back(heard.iter().map(|sample| sample / 4).collect());
        let mut payload = Vec::new();
        encoder.encode(&on_its_way.pop_front().expect("an echo"), &mut payload);
        let timestamp = u32::from(n) * 160;
        let packet =
            Packet { marker: false, payload_type: 0, sequence: n, timestamp, ssrc: 5, payload: &payload };
        let mut datagram = Vec::new();
        packet.write(&mut datagram);
        scene.forge_datagram(([127, 0, 0, 1], 20_000).into(), &datagram);
    }
    let mut model = Vec::new();
    Decoder::new(Encoding::Pcmu).decode(&scene.model_audio, &mut model);
    let late = &model[8000 * 4..];
    late.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / late.len() as f64
}

#[test]
fn with_the_canceller_the_model_hears_a_tenth_of_the_echo_or_less() {
    let (without, with) = (heard_by_the_model(false), heard_by_the_model(true));
    assert!(without > 300.0 * 300.0, "there is an echo: {without}");
    assert!(with < without / 100.0, "20 dB of power: {with} of {without}");
}

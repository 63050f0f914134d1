//! The WAV file of a call holds what was said and what was heard, where it was said and heard.

use crate::stories::{SECOND, answered};
use ari_bridge_core::call::Input;
use ari_bridge_core::capture::{Capture, open};
use ari_bridge_core::format::{Encoding, MediaFormat};
use ari_bridge_core::replay::Player;
use ari_bridge_core::rtp::Packet;
use ari_bridge_core::settings::MediaPlan;
use ari_bridge_core::time::Duration;
use ari_bridge_core::tools::stereo::{Sound, Stereo};
use ari_bridge_tests::measure;
use ari_bridge_tests::scene::{Scene, Stage};
use ari_bridge_tests::speech::utterance;
use ari_bridge_tests::taped::Shelf;
use std::f64::consts::TAU;
use std::io::Cursor;

/// A message by which a test finds a moment of the scene in the capture again.
const MARK: &[u8] = br#"{"type":"mark"}"#;

/// What the tool makes of the capture of the scene's call.
struct Heard {
    sound: Sound,
    /// When [`MARK`] came, since the beginning.
    mark: Option<Duration>,
    left: Vec<i16>,
    right: Vec<i16>,
}

fn staged(format: MediaFormat, said: &[i16]) -> (Scene, Shelf) {
    let shelf = Shelf::default();
    let media = MediaPlan { format, ..MediaPlan::default() };
    (answered(Stage { media, shelf: Some(shelf.clone()), ..Stage::default() }, said), shelf)
}

/// The caller hangs up, and the call is listened to.
fn heard(mut scene: Scene, shelf: &Shelf) -> Heard {
    scene.hang_up(1);
    scene.run_until("the call is over", 5 * SECOND, |scene| scene.calls() == 0);
    drop(scene);
    let is_of_a_call = |capture: &Vec<u8>| matches!(open(capture), Ok(Capture::Call(..)));
    let capture = shelf.take().into_iter().find(is_of_a_call).expect("the call is over");
    let Ok(Capture::Call(head, records)) = open(&capture) else { unreachable!() };
    let mut file = Cursor::new(Vec::new());
    let mut stereo = Stereo::new(&head.settings, &head.start(), &mut file).expect("room in memory");
    let (began, mut mark) = (head.now, None);
    let mut player = Player::new(head, records);
    while let Some(step) = player.step().expect("a good capture") {
        if let Some(Input::Realtime { bytes: MARK, .. }) = step.input {
            mark = Some(step.now.since(began));
        }
        stereo.step(&step).expect("room in memory");
    }
    let sound = stereo.finish().expect("room in memory");
    file.set_position(0);
    let mut reader = hound::WavReader::new(file).expect("a WAV file");
    assert_eq!((reader.spec().sample_rate, reader.spec().channels), (sound.rate, 2));
    let samples: Vec<i16> = reader.samples().collect::<Result<_, _>>().expect("16 bits");
    let (left, right) = samples.chunks(2).map(|frame| (frame[0], frame[1])).unzip();
    Heard { sound, mark, left, right }
}

fn tone(hertz: f64, amplitude: f64, seconds: f64) -> Vec<i16> {
    let samples = (seconds * measure::RATE as f64) as usize;
    (0..samples).map(|n| (amplitude * (TAU * hertz * n as f64 / measure::RATE as f64).sin()) as i16).collect()
}

/// The amplitude of one frequency in samples at that rate.
fn amplitude(samples: &[i16], rate: u32, hertz: f64) -> f64 {
    let parts = samples.iter().zip(0..).map(|(sample, n)| {
        let phase = TAU * hertz * f64::from(n) / f64::from(rate);
        [f64::from(*sample) * phase.cos(), f64::from(*sample) * phase.sin()]
    });
    let [a, b] = parts.fold([0.0, 0.0], |sum, part| [sum[0] + part[0], sum[1] + part[1]]);
    2.0 * a.hypot(b) / samples.len() as f64
}

/// From where to where it is louder than a tenth of `peak`.
fn loud(samples: &[i16], peak: f64) -> (usize, usize) {
    let is_loud = |sample: &i16| f64::from(*sample).abs() > peak / 10.0;
    (samples.iter().position(is_loud).expect("a sound"), samples.iter().rposition(is_loud).expect("a sound"))
}

#[test]
fn a_tone_is_heard_at_its_time_with_its_level() {
    for format in MediaFormat::ALL {
        let (mut scene, shelf) = staged(format, &tone(1000.0, 8000.0, 2.0));
        scene.run_for(2 * SECOND);
        scene.forge_message(MARK);
        scene.speak(1);
        scene.run_for(4 * SECOND);
        let Heard { sound: Sound { rate, left_out, .. }, mark, left, .. } = heard(scene, &shelf);
        assert_eq!((rate, left_out), (format.from_asterisk().sample_rate(), 0), "{format}");
        let (from, to) = loud(&left, 8000.0);
        let millis = |samples: usize| samples as f64 * 1000.0 / f64::from(rate);
        // A frame waits for its slot, the stand-in's resampler delays, and a packet is under way for half a millisecond.
        let expected = mark.expect("the mark came").as_secs_f64() * 1000.0;
        let late = millis(from) - expected;
        assert!((0.0..45.0).contains(&late), "{format}: {late:.1} ms late");
        assert!((millis(to - from) - 2000.0).abs() < 10.0, "{format}: {:.1} ms long", millis(to - from));
        let middle = &left[from + rate as usize / 2..from + rate as usize * 3 / 2];
        let (level, other) = (amplitude(middle, rate, 1000.0), amplitude(middle, rate, 1100.0));
        assert!((level / 8000.0 - 1.0).abs() < 0.03 && other < 20.0, "{format}: {level:.0} and {other:.0}");
    }
}

#[test]
fn the_right_side_is_what_the_caller_heard() {
    let said = utterance(1, 2.0);
    let (mut scene, shelf) = staged(MediaFormat::Slin16, &said);
    scene.run_for(SECOND);
    scene.speak(1);
    scene.run_for(6 * SECOND);
    let at_the_ear = scene.heard(1).to_vec();
    let Heard { left, right, sound, .. } = heard(scene, &shelf);
    assert_eq!(sound.duration.as_millis() as usize / 100, left.len() / 1600);
    let (in_left, in_right) = (measure::find(&left, &said), measure::find(&right, &said));
    assert!(in_left.correlation > 0.999, "as it came from Asterisk: {in_left:?}");
    assert!(in_right.correlation > 0.9, "as the parrot said it back: {in_right:?}");
    // The parrot waits for the end of what was said, and for the server to notice it.
    let answer_ms = in_right.lag_ms() - in_left.lag_ms();
    assert!((2500.0..4000.0).contains(&answer_ms), "{answer_ms:.0} ms");
    // The ear heard the very samples that stand in the file.
    let spoken = &right[in_right.lag as usize..][..said.len()];
    let found = measure::find(&at_the_ear, spoken).lag as usize;
    assert!(at_the_ear[found..].starts_with(spoken), "found at {found}");
}

#[test]
fn a_stranger_s_packets_and_telephone_events_are_not_heard() {
    let (mut scene, shelf) = staged(MediaFormat::Ulaw, &utterance(2, 1.0));
    let encoding = Encoding::Pcmu;
    for n in 0..50_u16 {
        scene.run_for(Duration::from_millis(20));
        let mut payload = Vec::new();
        ari_bridge_core::codec::Encoder::new(encoding).encode(&[20_000; 160], &mut payload);
        for (from, payload_type) in [("192.0.2.66:4000", 0), ("192.0.2.66:4000", 101)] {
            let mut datagram = Vec::new();
            let timestamp = u32::from(n) * 160;
            let packet =
                Packet { marker: false, payload_type, sequence: n, timestamp, ssrc: 6, payload: &payload };
            packet.write(&mut datagram);
            scene.forge_datagram(from.parse().expect("an address"), &datagram);
        }
    }
    scene.speak(1);
    scene.run_for(2 * SECOND);
    let Heard { left, sound, .. } = heard(scene, &shelf);
    assert!(sound.caller_packets >= 50 && left.iter().any(|sample| *sample > 5000), "{sound:?}");
    assert!(left.iter().all(|sample| *sample < 15_000), "a stranger is heard");
}

//! What is blanked is silent, and nothing else is another.

use super::*;
use crate::call::Input;
use crate::capture::tests::Logged;
use crate::codec::Decoder;
use crate::downlink::BASE64;
use crate::format::Encoding;
use crate::id::{LegId, LinkId};
use crate::settings::CallSettings;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use proptest::prelude::*;

/// An RTP packet of this type.
fn packet(payload_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    Packet { marker: false, payload_type, sequence: 7, timestamp: 160, ssrc: 1, payload }
        .write(&mut datagram);
    datagram
}

/// The records of a call that is given these datagrams and messages.
fn piece(datagrams: &[&[u8]], messages: &[&str]) -> Vec<u8> {
    let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
    let _head = logged.log.take();
    for bytes in datagrams {
        logged.step(Input::Media { leg: LegId(1), from: "192.0.2.1:4000".parse().unwrap(), bytes });
    }
    for message in messages {
        logged.step(Input::Realtime { link: LinkId(1), bytes: message.as_bytes() });
    }
    logged.log.finish()
}

#[test]
fn the_code_of_silence_in_g722_is_silent_from_the_first_sample() {
    let power = |code: u8| {
        let mut samples = Vec::new();
        Decoder::new(Encoding::G722).decode(&[code; 8000], &mut samples);
        samples.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum::<u64>()
            / samples.len() as u64
    };
    let softest = (0..=u8::MAX).min_by_key(|code| power(*code)).unwrap();
    assert!(power(G722_SILENCE) < 100, "{}, and {} of {softest:#x}", power(G722_SILENCE), power(softest));
}

#[test]
fn packets_are_silent_and_events_and_headers_stay() {
    let event = packet(101, &[4, 0x8A, 0, 160]);
    let voices = [packet(0, &[1; 160]), packet(8, &[2; 160]), packet(9, &[3; 160]), packet(118, &[4; 640])];
    let all: Vec<&[u8]> = voices.iter().chain([&event]).map(Vec::as_slice).collect();
    let mut blanked = piece(&all, &[]);
    blank_audio(&mut blanked, ModelFormat::Pcm24);
    let silent = [
        packet(0, &[PCMU_SILENCE; 160]),
        packet(8, &[PCMA_SILENCE; 160]),
        packet(9, &[G722_SILENCE; 160]),
        packet(118, &[0; 640]),
    ];
    let all: Vec<&[u8]> = silent.iter().chain([&event]).map(Vec::as_slice).collect();
    let expected = piece(&all, &[]);
    // The digests at the end are those of another call.
    assert_eq!(blanked[..blanked.len() - 8], expected[..expected.len() - 8]);
}

#[test]
fn the_agent_s_voice_is_as_long_and_silent_and_its_words_stay() {
    for (model, silence) in
        [(ModelFormat::Pcm24, 0), (ModelFormat::Pcmu, PCMU_SILENCE), (ModelFormat::Pcma, PCMA_SILENCE)]
    {
        for len in [0, 1, 2, 3, 4, 100] {
            let audio: Vec<u8> = (0..len).map(|n: u8| n.wrapping_mul(37).wrapping_add(11)).collect();
            for base64 in [STANDARD.encode(&audio), STANDARD_NO_PAD.encode(&audio)] {
                let words = r#"{"type":"response.output_audio_transcript.delta","delta":"AbCd"}"#;
                let before = format!(r#"{{ "delta" : "{base64}","type":"response.output_audio.delta"}}"#);
                let mut blanked = piece(&[], &[&before, words]);
                let begin = blanked
                    .windows(base64.len() + 1)
                    .position(|b| b.ends_with(b"\"") && b.starts_with(base64.as_bytes()))
                    .unwrap();
                blank_audio(&mut blanked, model);
                let decoded = BASE64.decode(&blanked[begin..begin + base64.len()]).unwrap();
                assert_eq!(decoded, vec![silence; audio.len()], "{model:?}");
                assert!(blanked.windows(words.len()).any(|bytes| bytes == words.as_bytes()));
            }
        }
    }
}

#[test]
fn a_slash_that_is_escaped_keeps_its_backslash() {
    let mut message = *br#"{"type":"response.audio.delta","delta":"ab\/d"}"#;
    blank_message(&mut message, ModelFormat::Pcm24);
    assert_eq!(message, *br#"{"type":"response.audio.delta","delta":"AA\/A"}"#);
}

#[test]
fn a_blanked_call_is_renewed_and_replays() {
    let audio = format!(r#"{{"type":"response.audio.delta","delta":"{}"}}"#, STANDARD.encode([9; 960]));
    let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
    let mut capture = logged.log.take();
    logged.some_steps(100);
    logged.step(Input::Realtime { link: LinkId(1), bytes: audio.as_bytes() });
    let mut rest = logged.log.finish();
    blank_audio(&mut rest, ModelFormat::Pcm24);
    capture.extend(rest);
    let mut out = Vec::new();
    let renewed = renew(&capture[..], Some(Instant::from_millis(50)), &mut out).unwrap();
    assert_eq!((renewed.steps, renewed.changed, renewed.first), (105, 0, None));
    assert_eq!(crate::replay::replay(&out[..]).unwrap().difference, None);
    let Ok(Capture::Call(head, _)) = capture::open(&out) else { panic!("it is of a call") };
    assert_eq!(head.note.blanked_until, Some(50_000_000));
    let mut again = Vec::new();
    let _renewed = renew(&out[..], None, &mut again).unwrap();
    assert_eq!(again, out);
}

#[test]
fn a_step_that_does_something_else_than_its_words_say_is_told() {
    let mut logged = Logged::begin(&CallSettings::default(), 1 << 20);
    logged.some_steps(3);
    let mut capture = logged.log.finish();
    let place = capture.windows(10).position(|bytes| bytes == b"open media").unwrap();
    capture[place] = b'X';
    let renewed = renew(&capture[..], None, Vec::new()).unwrap();
    let first = renewed.first.unwrap();
    assert_eq!((renewed.changed, first.step), (1, 0));
    assert!(first.was.contains("Xpen media") && first.is.contains("open media"), "{first:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_blanked_or_left(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        blank_audio(&mut bytes, ModelFormat::Pcmu);
    }

    #[test]
    fn any_piece_that_was_tampered_with_is_blanked(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8), 1..12),
    ) {
        let voice = packet(0, &[1; 160]);
        let mut piece = piece(&[&voice], &[r#"{"type":"response.audio.delta","delta":"abcd"}"#]);
        for (place, bit) in flips {
            let place = place.index(piece.len());
            piece[place] ^= 1_u8 << bit;
        }
        let len = piece.len();
        blank_audio(&mut piece, ModelFormat::Pcm24);
        prop_assert_eq!(piece.len(), len);
    }
}

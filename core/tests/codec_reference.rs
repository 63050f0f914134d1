//! The codecs against other people's: what ffmpeg 5.1 and CPython 3.11's `audioop` made of the same input, kept as
//! FNV-1a digests (64 bits) of their output, so that neither is needed here.
//!
//! The files were `all.s16` (every sample from -32768 to 32767), `codes.bin` (every byte from 0 to 255),
//! `noise.g722` (the bytes below), and of the signals below `full.s16`, `ours.g722` (`full.s16` through our encoder)
//! and `half.s16`; the commands were
//!
//! ```text
//! ffmpeg -f mulaw -ar 8000 -ac 1 -i codes.bin -f s16le ulaw.s16        and -f alaw
//! ffmpeg -f g722 -i noise.g722 -f s16le noise.s16                      and ours.g722, half.g722
//! ffmpeg -f s16le -ar 16000 -ac 1 -i half.s16 -c:a g722 half.g722
//! python3 -c 'import audioop; audioop.lin2alaw(open("all.s16","rb").read(), 2)'    and lin2ulaw
//! ```

use ari_bridge_core::codec::{Decoder, Encoder};
use ari_bridge_core::format::Encoding;
use ari_bridge_core::pcm;

const ULAW_DECODED: u64 = 0xB91E_65D6_8481_A1A8;
const ALAW_DECODED: u64 = 0x693A_40CA_62A3_D2A5;
const ALAW_ENCODED: u64 = 0xF030_666E_B780_CF25;
const ULAW_ENCODED_POSITIVE: u64 = 0x1830_3138_F6EA_EB89;
const FULL_DECODED: u64 = 0xDA6E_1781_EFC9_D4D1;
const HALF_ENCODED: u64 = 0x5E01_3963_B9F8_8AB4;
const HALF_DECODED: u64 = 0x3AFC_208F_E8A6_47B5;
const NOISE_DECODED: u64 = 0xE5EE_9005_73E4_A25E;

fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

fn digest_samples(samples: &[i16]) -> u64 {
    let mut bytes = Vec::new();
    pcm::to_le_bytes(samples, &mut bytes);
    digest(&bytes)
}

fn encode(encoding: Encoding, samples: &[i16]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(encoding).encode(samples, &mut out);
    out
}

fn decode(encoding: Encoding, payload: &[u8]) -> Vec<i16> {
    let mut out = Vec::new();
    Decoder::new(encoding).decode(payload, &mut out);
    out
}

fn every_code() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

/// A linear congruential generator (Numerical Recipes): the same numbers in any language.
fn lcg(seed: u32) -> impl Iterator<Item = u32> {
    core::iter::successors(Some(seed), |s| Some(s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)))
        .skip(1)
}

/// Two seconds at 16 kHz in integers: silence, two triangle waves, noise, both, loud noise, a square wave at
/// full scale, and a high tone that fades.
fn full() -> Vec<i16> {
    let triangle = |n: i64, period: i64, amplitude: i64| {
        let x = n % period;
        (if x < period / 2 { 4 * x - period } else { 3 * period - 4 * x }) * amplitude / period
    };
    let sample = |(n, random): (i64, u32)| {
        let noise = i64::from((random >> 16) as u16 as i16);
        let sample = match n / 4000 {
            0 => 0,
            1 => triangle(n, 16, 12_000),
            2 => triangle(n, 50, 30_000),
            3 => noise / 4,
            4 => triangle(n, 160, 20_000) + noise / 16,
            5 => noise,
            6 if n % 100 < 50 => 32_767,
            6 => -32_768,
            _ => triangle(n, 5, 9_000) / (1 + (n - 28_000) / 200),
        };
        sample.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
    };
    (0..32_000).zip(lcg(1)).map(sample).collect()
}

/// The same at half the loudness, and from the loud noise on, so that it is loud from its first sample.
fn half() -> Vec<i16> {
    let mut samples = full();
    samples.rotate_left(20_000);
    samples.iter().map(|sample| sample / 2).collect()
}

#[test]
fn g711_decodes_every_code_as_ffmpeg_does() {
    assert_eq!(digest_samples(&decode(Encoding::Pcmu, &every_code())), ULAW_DECODED);
    assert_eq!(digest_samples(&decode(Encoding::Pcma, &every_code())), ALAW_DECODED);
}

#[test]
fn a_law_encodes_every_sample_as_audioop_does() {
    let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    assert_eq!(digest(&encode(Encoding::Pcma, &all)), ALAW_ENCODED);
}

#[test]
fn mu_law_encodes_as_audioop_does_and_its_halves_are_mirror_images() {
    let positive: Vec<i16> = (0..=i16::MAX).collect();
    let codes = encode(Encoding::Pcmu, &positive);
    assert_eq!(digest(&codes), ULAW_ENCODED_POSITIVE);
    // audioop negates where G.191 takes the ones' complement: another choice at the very border of an interval.
    let negative: Vec<i16> = positive.iter().map(|&sample| !sample).collect();
    let mirrored: Vec<u8> = codes.iter().map(|code| code ^ 0x80).collect();
    assert_eq!(encode(Encoding::Pcmu, &negative), mirrored);
}

#[test]
fn g711_encodes_what_it_decodes() {
    for encoding in [Encoding::Pcmu, Encoding::Pcma] {
        let samples = decode(encoding, &every_code());
        assert_eq!(decode(encoding, &encode(encoding, &samples)), samples, "{encoding:?}");
    }
}

#[test]
fn silence_is_the_code_that_telephones_know_as_silence() {
    for (encoding, code) in [(Encoding::Pcmu, 0xFF), (Encoding::Pcma, 0xD5), (Encoding::L16Wideband, 0)] {
        let silence = encode(encoding, &[0; 160]);
        assert!(!silence.is_empty() && silence.iter().all(|&byte| byte == code), "{encoding:?}");
    }
}

/// Only at half the loudness: beyond it, where a band's sample does not fit into 15 bits, G.722 limits it (clause 5)
/// and ffmpeg's encoder does not.
#[test]
fn g722_encodes_as_ffmpeg_does_from_the_first_sample() {
    assert_eq!(digest(&encode(Encoding::G722, &half())), HALF_ENCODED);
}

#[test]
fn ffmpeg_hears_in_our_g722_what_we_hear_in_it() {
    for (signal, heard) in [(full(), FULL_DECODED), (half(), HALF_DECODED)] {
        let ours = encode(Encoding::G722, &signal);
        assert_eq!(ours.len(), 16_000);
        assert_eq!(digest_samples(&decode(Encoding::G722, &ours)), heard);
    }
}

#[test]
fn any_g722_bytes_are_decoded_as_ffmpeg_does_from_the_first_on() {
    let noise: Vec<u8> = lcg(7).take(16_000).map(|random| (random >> 24) as u8).collect();
    assert_eq!(digest_samples(&decode(Encoding::G722, &noise)), NOISE_DECODED);
}

#[test]
fn g722_is_the_same_in_whatever_pieces_it_comes() {
    let signal = full();
    let (mut encoder, mut decoder) = (Encoder::new(Encoding::G722), Decoder::new(Encoding::G722));
    let (mut bytes, mut samples) = (Vec::new(), Vec::new());
    signal.chunks(320).for_each(|frame| encoder.encode(frame, &mut bytes));
    assert_eq!(bytes, encode(Encoding::G722, &signal));
    bytes.chunks(77).for_each(|piece| decoder.decode(piece, &mut samples));
    assert_eq!(samples, decode(Encoding::G722, &bytes));
}

#[test]
fn l16_is_big_endian() {
    assert_eq!(encode(Encoding::L16Wideband, &[1, -2]), [0, 1, 0xFF, 0xFE]);
    assert_eq!(decode(Encoding::L16Wideband, &[0, 1, 0xFF, 0xFE]), [1, -2]);
}

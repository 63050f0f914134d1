use super::*;
use proptest::prelude::*;

/// A chunk, padded to an even length.
fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap();
    [&id[..], &len.to_le_bytes(), body, &[0][..body.len() % 2]].concat()
}

fn fmt(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let block = channels * bits / 8;
    [
        &tag.to_le_bytes()[..],
        &channels.to_le_bytes(),
        &rate.to_le_bytes(),
        &(rate * u32::from(block)).to_le_bytes(),
        &block.to_le_bytes(),
        &bits.to_le_bytes(),
    ]
    .concat()
}

/// The format chunk of a file with more than two channels or more than 16 bits, as it should be.
fn extensible(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let extension = [&22u16.to_le_bytes()[..], &bits.to_le_bytes(), &[0; 4], &tag.to_le_bytes(), &SUB_FORMAT];
    [fmt(EXTENSIBLE, channels, rate, bits), extension.concat()].concat()
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = [&b"WAVE"[..], &chunks.concat()].concat();
    [&b"RIFF"[..], &u32::try_from(body.len()).unwrap().to_le_bytes(), &body].concat()
}

fn wav(tag: u16, channels: u16, bits: u16, data: &[u8]) -> Vec<u8> {
    file(&[chunk(b"fmt ", &fmt(tag, channels, 8_000, bits)), chunk(b"data", data)])
}

fn samples(file: &[u8]) -> Vec<i16> {
    read(file, 10).unwrap_or_else(|fault| panic!("{fault}")).samples
}

fn float(samples: &[f32]) -> Vec<u8> {
    wav(FLOAT, 1, 32, &samples.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<_>>())
}

/// One of each kind that is read, mono and stereo.
fn all_kinds() -> Vec<Vec<u8>> {
    let data: Vec<u8> = (0..48).map(|n| n * 5).collect();
    let kinds = [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (ULAW, 8), (ALAW, 8)];
    let mut files = Vec::new();
    for ((tag, bits), channels) in kinds.into_iter().flat_map(|kind| [(kind, 1), (kind, 2)]) {
        for format in [fmt(tag, channels, 8_000, bits), extensible(tag, channels, 8_000, bits)] {
            files.push(file(&[
                chunk(b"LIST", b"INFOodd"),
                chunk(b"fmt ", &format),
                chunk(b"fact", &[9, 0, 0, 0]),
                chunk(b"data", &data),
            ]));
        }
    }
    files
}

#[test]
fn the_recording_of_the_caller_is_there() {
    let wav = read(include_bytes!("../../assets/caller.wav"), 5).unwrap();
    assert_eq!(wav.rate, 16_000);
    assert!((3.0..5.0).contains(&(wav.samples.len() as f64 / 16_000.0)));
    let square: f64 = wav.samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    let dbfs = 10.0 * (square / wav.samples.len() as f64 / FULL_SCALE.powi(2)).log10();
    assert!((-21.0..-19.0).contains(&dbfs), "{dbfs} dBFS");
}

#[test]
fn what_is_written_reads_back() {
    let written = write(8_000, &[1, -2, i16::MIN, i16::MAX]);
    assert_eq!(read(&written, 1), Ok(Wav { rate: 8_000, samples: vec![1, -2, i16::MIN, i16::MAX] }));
    assert_eq!(written, wav(PCM, 1, 16, &[1, 0, 0xFE, 0xFF, 0, 0x80, 0xFF, 0x7F]));
}

#[test]
fn every_kind_of_sample_is_brought_to_sixteen_bits() {
    assert_eq!(samples(&wav(PCM, 1, 8, &[0, 127, 128, 129, 255])), [-32_768, -256, 0, 256, 32_512]);
    let three = [0, 0, 0x80, 0x80, 0, 0, 0x7F, 0, 0, 0xFF, 0xFF, 0x7F];
    assert_eq!(samples(&wav(PCM, 1, 24, &three)), [-32_768, 1, 0, 32_767]);
    let four = [0, 0, 0, 0x80, 0, 0x80, 0, 0, 0xFF, 0x7F, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F];
    assert_eq!(samples(&wav(PCM, 1, 32, &four)), [-32_768, 1, 0, 32_767]);
    assert_eq!(samples(&float(&[-1.0, 0.5, f32::NAN, f32::INFINITY, 1.0])), [-32_768, 16_384, 0, 0, 32_767]);
    // ITU-T G.711, tables 2a and 1a: the loudest, the quietest and one between, in units of 16 bits.
    assert_eq!(samples(&wav(ULAW, 1, 8, &[0x80, 0x00, 0xFF, 0x7F])), [32_124, -32_124, 0, 0]);
    assert_eq!(samples(&wav(ALAW, 1, 8, &[0xAA, 0x2A, 0xD5, 0x55])), [32_256, -32_256, 8, -8]);
}

#[test]
fn channels_are_mixed_to_their_mean() {
    assert_eq!(samples(&wav(PCM, 2, 8, &[228, 28, 148, 138])), [0, 15 * 256]);
    // Three channels, the last frame of which is not whole.
    let three = [30, 0, 0, 0, 0, 0, 0xFF, 0x7F, 0xFF, 0x7F, 0xFF, 0x7F, 1, 0];
    assert_eq!(samples(&wav(PCM, 3, 16, &three)), [10, 32_767]);
}

#[test]
fn float_beyond_full_scale_is_made_quieter_and_not_clipped() {
    assert_eq!(samples(&float(&[2.0, -1.0, 0.5, 0.0])), [32_767, -16_384, 8_192, 0]);
    // Some programs write 16-bit numbers as float.
    assert_eq!(samples(&float(&[32_767.0, -100.0])), [32_767, -100]);
}

#[test]
fn a_format_may_be_extensible_and_other_chunks_may_lie_between() {
    for file in all_kinds() {
        assert!(read(&file, 1).is_ok(), "{file:?}");
    }
}

#[test]
fn a_length_that_nobody_filled_in_means_to_the_end() {
    for len in [0x7FFF_F000u32, 0x7FFF_FFFF, u32::MAX] {
        let mut piped = write(22_050, &[1, 2, 3]);
        piped[40..44].copy_from_slice(&len.to_le_bytes());
        assert_eq!(read(&piped, 1), Ok(Wav { rate: 22_050, samples: vec![1, 2, 3] }), "{len:#x}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let fault = |file: &[u8]| read(file, 2).unwrap_err();
    for not in [&b""[..], b"RIFF", b"OggS\0\x02\0\0\0\0\0\0", b"RIFX\0\0\0\0WAVE", b"RIFF\x04\0\0\0AVI "] {
        assert_eq!(fault(not), WavFault::NotWav, "{not:?}");
    }
    let data = chunk(b"data", &[0; 8]);
    let with =
        |tag, channels, rate, bits| file(&[chunk(b"fmt ", &fmt(tag, channels, rate, bits)), data.clone()]);
    assert_eq!(fault(&file(std::slice::from_ref(&data))), WavFault::NoFormat);
    assert_eq!(fault(&with(PCM, 1, 8_000, 12)), WavFault::Format { tag: PCM, bits: 12 });
    assert_eq!(fault(&with(FLOAT, 1, 8_000, 64)), WavFault::Format { tag: FLOAT, bits: 64 });
    assert_eq!(fault(&with(0x31, 1, 8_000, 16)), WavFault::Format { tag: 0x31, bits: 16 });
    // Extensible, but without an extension.
    assert_eq!(fault(&with(EXTENSIBLE, 1, 8_000, 16)), WavFault::Format { tag: EXTENSIBLE, bits: 16 });
    assert_eq!(fault(&with(PCM, 0, 8_000, 16)), WavFault::Layout { channels: 0, bits: 16, block: 0 });
    let mut padded = with(PCM, 1, 8_000, 24);
    padded[32] = 4;
    assert_eq!(fault(&padded), WavFault::Layout { channels: 1, bits: 24, block: 4 });
    for rate in [0, 3_999, 192_001, u32::MAX / 2] {
        assert_eq!(fault(&with(PCM, 1, rate, 16)), WavFault::Rate(rate));
    }
    assert_eq!(fault(&wav(PCM, 2, 16, &[0; 3])), WavFault::NoAudio);
    assert_eq!(fault(&file(&[chunk(b"fmt ", &fmt(PCM, 1, 8_000, 16))])), WavFault::NoAudio);
    assert!(read(&write(8_000, &[0; 16_000]), 2).is_ok());
    let long = fault(&write(8_000, &[0; 16_001]));
    assert_eq!(long, WavFault::TooLong { millis: 2_001, longest: 2 });
    assert_eq!(long.to_string(), "it lasts 2.001 seconds; it may last 2");
    assert!(
        fault(&with(0x55, 1, 8_000, 16))
            .to_string()
            .starts_with("its audio is of format 0x0055 with 16 bits;")
    );
}

#[test]
fn no_truncation_is_taken_for_a_whole_file() {
    for file in all_kinds() {
        for cut in 0..file.len() {
            assert!(read(&file[..cut], 1).is_err(), "cut at {cut} of {}", file.len());
        }
    }
}

proptest! {
    #[test]
    fn no_bit_flips_panic(which in 0usize..28, flips in proptest::collection::vec((0usize..200, 0u8..8), 1..6)) {
        let mut file = all_kinds().swap_remove(which);
        for (at, bit) in flips {
            let at = at % file.len();
            file[at] ^= 1 << bit;
        }
        if let Ok(wav) = read(&file, 1) {
            prop_assert!(RATES.contains(&wav.rate) && (1..=48).contains(&wav.samples.len()));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&bytes, 1);
        let _ = read(&file(std::slice::from_ref(&bytes)), 1);
        let _ = read(&file(&[chunk(b"fmt ", &bytes), chunk(b"data", &bytes)]), 1);
    }
}

//! The codecs: G.711 against the tables of the recommendation, built here as it describes them, and every codec against
//! the pieces in which its audio comes.

use super::{bytes, cases};
use ari_bridge_core::codec::{Decoder, Encoder};
use ari_bridge_core::format::Encoding;
use ari_bridge_tests::choices::Choices;
use ari_bridge_tests::generators::{pick, pieces, sound};
use proptest::prelude::*;

const ALL: [Encoding; 4] = [Encoding::Pcmu, Encoding::Pcma, Encoding::G722, Encoding::L16Wideband];

fn decoded(encoding: Encoding, payload: &[u8]) -> Vec<i16> {
    let mut out = Vec::new();
    Decoder::new(encoding).decode(payload, &mut out);
    out
}

fn encoded(encoding: Encoding, samples: &[i16]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(encoding).encode(samples, &mut out);
    out
}

/// A law of ITU-T G.711 as its tables have it: the decision values of the positive half, in units of the law, of which
/// the last is the virtual one; the output is the middle between two of them.
struct Law {
    encoding: Encoding,
    decisions: Vec<i32>,
    /// How many units of a sample of 16 bits make one of the law.
    unit: i32,
}

impl Law {
    /// Table 2a: an interval of 1 and fifteen of 2, and then segments of sixteen, each twice as wide as the one before.
    fn mu() -> Self {
        let mut decisions = vec![0, 1];
        decisions.extend((1..=15).map(|n| 1 + 2 * n));
        Self::with_segments(Encoding::Pcmu, decisions, 4, 7, 4)
    }

    /// Table 1a: thirty-two intervals of 2, and then segments of sixteen, each twice as wide as the one before.
    fn a() -> Self {
        Self::with_segments(Encoding::Pcma, (0..=32).map(|n| 2 * n).collect(), 4, 6, 8)
    }

    fn with_segments(
        encoding: Encoding,
        mut decisions: Vec<i32>,
        first: i32,
        segments: u32,
        unit: i32,
    ) -> Self {
        for segment in 0..segments {
            let begin = decisions[decisions.len() - 1];
            decisions.extend((1..=16).map(|n| begin + n * (first << segment)));
        }
        Self { encoding, decisions, unit }
    }

    /// The sample that a number of an interval stands for: 0 for that of the quietest.
    fn output(&self, interval: usize) -> i32 {
        // The first output value of µ-law is 0 (table 2a, note to the last line).
        let middle = (self.decisions[interval] + self.decisions[interval + 1]) * self.unit / 2;
        if self.encoding == Encoding::Pcmu && interval == 0 { 0 } else { middle }
    }

    /// The code of an interval: sign and number, inverted as the tables have it.
    fn code(&self, interval: usize, is_negative: bool) -> u8 {
        let sign = if is_negative { 0 } else { 0x80 };
        match self.encoding {
            // The loudest positive value is 1000 0000, the quietest 1111 1111.
            Encoding::Pcmu => sign | (0x7F - interval as u8),
            // Even bits are inverted (table 1a, note 2).
            _ => (sign | interval as u8) ^ 0x55,
        }
    }

    /// The interval that a magnitude lies in; what is louder than all lies in the last.
    fn interval(&self, magnitude: i32) -> usize {
        let last = self.decisions.len() - 2;
        (0..=last).rev().find(|&n| self.decisions[n] * self.unit <= magnitude).unwrap_or(0)
    }
}

#[test]
fn g711_is_what_the_tables_of_the_recommendation_say() {
    for law in [Law::mu(), Law::a()] {
        let full = if law.encoding == Encoding::Pcmu { 8159 } else { 4096 };
        assert_eq!((law.decisions.len(), law.decisions.last()), (129, Some(&full)), "{:?}", law.encoding);
        for interval in 0..128 {
            for is_negative in [false, true] {
                let code = law.code(interval, is_negative);
                let output = if is_negative { -law.output(interval) } else { law.output(interval) };
                assert_eq!(decoded(law.encoding, &[code]), [output as i16], "{:?} {code:#04x}", law.encoding);
            }
        }
        for sample in i16::MIN..=i16::MAX {
            // The negative half is the positive one's mirror image, and -1 mirrors 0: there is no sample between.
            let magnitude = if sample < 0 { -1 - i32::from(sample) } else { i32::from(sample) };
            let code = law.code(law.interval(magnitude), sample < 0);
            assert_eq!(encoded(law.encoding, &[sample]), [code], "{:?} {sample}", law.encoding);
        }
    }
}

#[test]
fn what_was_decoded_once_keeps_its_code() {
    for encoding in [Encoding::Pcmu, Encoding::Pcma] {
        for code in 0..=u8::MAX {
            let again = encoded(encoding, &decoded(encoding, &[code]));
            // µ-law has two zeros, and both decode to the same sample.
            let expected = if (encoding, code) == (Encoding::Pcmu, 0x7F) { 0xFF } else { code };
            assert_eq!(again, [expected], "{encoding:?} {code:#04x}");
        }
    }
}

proptest! {
    #![proptest_config(cases(300))]

    /// The pieces in which audio comes make no difference; a codec that was reset, and one that was copied, are those
    /// that they should be; and the lengths are those that the format tells.
    #[test]
    fn a_codec_does_not_depend_on_the_pieces(bytes in bytes(700)) {
        let mut choices = Choices::new(&bytes);
        let encoding = *pick(&mut choices, &ALL);
        let samples = sound::samples(&mut choices, 2_000);
        let payload = encoded(encoding, &samples);
        prop_assert_eq!(payload.len(), samples.len() * encoding.frame_bytes() / encoding.frame_samples());
        let (mut encoder, mut in_pieces) = (Encoder::new(encoding), Vec::new());
        pieces(&mut choices, &samples).iter().for_each(|piece| encoder.encode(piece, &mut in_pieces));
        prop_assert!(in_pieces == payload, "it is encoded otherwise in pieces");
        let heard = decoded(encoding, &payload);
        prop_assert_eq!(heard.len(), payload.len() * encoding.frame_samples() / encoding.frame_bytes());
        // Bytes of linear audio come in pairs.
        let pairs: Vec<&[u8]> =
            payload.chunks(if encoding == Encoding::L16Wideband { 2 } else { 1 }).collect();
        let (mut decoder, mut in_pieces) = (Decoder::new(encoding), Vec::new());
        decoder.decode(&payload[payload.len() / 4 * 2..], &mut in_pieces);
        in_pieces.clear();
        decoder.reset();
        for piece in pieces(&mut choices, &pairs) {
            decoder.decode(&piece.concat(), &mut in_pieces);
            decoder = decoder.clone();
        }
        prop_assert!(in_pieces == heard, "it is decoded otherwise in pieces");
        if encoding == Encoding::L16Wideband {
            prop_assert_eq!(heard, samples);
        }
    }
}

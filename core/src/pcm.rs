//! Linear 16-bit audio: byte orders and gain.

/// Appends the samples of little-endian bytes (the Realtime API's order); an odd last byte is left out.
pub fn from_le_bytes(bytes: &[u8], out: &mut Vec<i16>) {
    out.extend(bytes.as_chunks().0.iter().map(|&pair| i16::from_le_bytes(pair)));
}

/// Appends the samples of big-endian bytes (RTP's order, RFC 3551 §4.5.11); an odd last byte is left out.
pub fn from_be_bytes(bytes: &[u8], out: &mut Vec<i16>) {
    out.extend(bytes.as_chunks().0.iter().map(|&pair| i16::from_be_bytes(pair)));
}

/// Appends the samples as little-endian bytes.
pub fn to_le_bytes(samples: &[i16], out: &mut Vec<u8>) {
    out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
}

/// Appends the samples as big-endian bytes.
pub fn to_be_bytes(samples: &[i16], out: &mut Vec<u8>) {
    out.extend(samples.iter().flat_map(|sample| sample.to_be_bytes()));
}

/// The nearest 16-bit sample: halves away from zero, saturated at both ends.
#[must_use]
pub fn round(sample: f64) -> i16 {
    // A float-to-integer cast saturates, and makes zero of what is not a number.
    sample.round() as i16
}

/// The magnitude of full scale.
const FULL_SCALE: f64 = 32_768.0;

/// Above this share of full scale, after the gain, the limiter sets in.
const KNEE: f64 = 0.5;

/// The largest factor, which brings the quietest sample there is near full scale.
const MOST_FACTOR: f64 = 1e6;

/// Makes audio louder or quieter, each sample by itself.
///
/// A gain above 1 would push loud samples out of 16 bits. Up to half of full scale it is a plain factor; above,
/// a curve bends towards full scale, which it reaches where the input does: the extended operator of Reinhard
/// et al. 2002, "Photographic Tone Reproduction for Digital Images", formula 4, applied to what lies above the
/// knee. Its slope is that of the factor where it begins, and nothing is cut flat: against clipping, the high
/// harmonics that make it harsh are weaker. The sum of all harmonics differs little, and is larger where
/// clipping would cut just the peaks, since the curve begins to bend 6 dB below that.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Gain {
    factor: f64,
    /// Where full scale of the input lies above the knee, in units of what there is above the knee.
    most: f64,
}

impl Gain {
    /// A gain by `factor`; a negative one mutes, one above a million is taken as that, and one that is not a finite
    /// number as 1.
    #[must_use]
    pub const fn new(factor: f64) -> Self {
        let factor = if factor.is_finite() { factor.clamp(0.0, MOST_FACTOR) } else { 1.0 };
        Self { factor, most: (factor - KNEE) / (1.0 - KNEE) }
    }

    /// Applies it in place. At exactly 1 the samples are left as they are.
    pub fn apply(&self, samples: &mut [i16]) {
        if self.factor == 1.0 {
            return;
        }
        for sample in samples {
            *sample = self.on(*sample);
        }
    }

    /// What becomes of each code of a law of ITU-T G.711 when it is decoded, made louder and encoded again.
    /// `None` at exactly 1, where each code stays what it is, the negative zero of µ-law too.
    #[must_use]
    pub fn table(&self, decode: impl Fn(u8) -> i16, encode: impl Fn(i16) -> u8) -> Option<[u8; 256]> {
        if self.factor == 1.0 {
            return None;
        }
        let mut table = [0; 256];
        for (entry, code) in table.iter_mut().zip(0..=u8::MAX) {
            *entry = encode(self.on(decode(code)));
        }
        Some(table)
    }

    fn on(&self, sample: i16) -> i16 {
        let wanted = f64::from(sample) * self.factor;
        let above = (wanted.abs() / FULL_SCALE - KNEE) / (1.0 - KNEE);
        if self.factor <= 1.0 || above <= 0.0 {
            return round(wanted);
        }
        let bent = above * (1.0 + above / (self.most * self.most)) / (1.0 + above);
        let magnitude = (KNEE + (1.0 - KNEE) * bent) * FULL_SCALE;
        round(if sample < 0 { -magnitude } else { magnitude })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_macros, reason = "a test prints its figures for who wants to see them")]

    use super::*;

    #[test]
    fn byte_orders_read_back() {
        let samples = [0, 1, -2, 0x1234, i16::MIN, i16::MAX];
        let (mut le, mut be, mut back) = (Vec::new(), Vec::new(), Vec::new());
        to_le_bytes(&samples, &mut le);
        to_be_bytes(&samples, &mut be);
        assert_eq!((&le[6..8], &be[6..8]), (&[0x34, 0x12][..], &[0x12, 0x34][..]));
        from_le_bytes(&le, &mut back);
        from_be_bytes(&be, &mut back);
        assert_eq!(back, [samples, samples].concat());
    }

    #[test]
    fn an_odd_last_byte_is_left_out() {
        let mut out = Vec::new();
        from_be_bytes(&[0, 5, 9], &mut out);
        from_le_bytes(&[7], &mut out);
        assert_eq!(out, [5]);
    }

    fn applied(factor: f64, samples: impl IntoIterator<Item = i16>) -> Vec<i16> {
        let mut samples: Vec<i16> = samples.into_iter().collect();
        Gain::new(factor).apply(&mut samples);
        samples
    }

    #[test]
    fn gain_is_a_factor_up_to_half_of_full_scale() {
        assert_eq!(applied(2.5, [1, -1, 3, 1_000, 6_553, -6_553]), [3, -3, 8, 2_500, 16_383, -16_383]);
        assert_eq!(applied(0.5, [1, -3, 20_000, i16::MIN]), [1, -2, 10_000, -16_384]);
    }

    #[test]
    fn gain_ends_at_full_scale_never_falls_and_treats_both_signs_alike() {
        for factor in [1.001, 1.5, 2.5, 4.0, 10.0, 1e6, f64::MAX] {
            let all = applied(factor, i16::MIN..=i16::MAX);
            assert_eq!((all[0], all[65_535]), (i16::MIN, i16::MAX), "{factor}");
            assert!(all.is_sorted(), "{factor}");
            assert!((1..=32_767).all(|n| all[32_768 + n] == all[32_768 - n].saturating_neg()), "{factor}");
        }
    }

    #[test]
    fn the_limiter_begins_without_a_corner() {
        let all = applied(2.5, 0..=i16::MAX);
        // Around the knee, at 6554, a hundred samples of input are 250 of output, and a little less above it.
        assert_eq!(all[6_553] - all[6_453], 250);
        assert!((245..250).contains(&(all[6_654] - all[6_554])), "{}", all[6_654] - all[6_554]);
    }

    /// The power of the harmonics of 1000 Hz from this one on over that of the tone itself, in dB.
    fn harmonics_db(samples: &[i16], from: usize) -> f64 {
        let power_at = |harmonic: usize| {
            let step = core::f64::consts::TAU * harmonic as f64 / 480.0;
            let parts = samples.iter().enumerate().map(|(n, &s)| (f64::from(s), n as f64 * step));
            let (re, im) = parts.fold((0.0, 0.0), |(re, im), (s, at)| (re + s * at.cos(), im + s * at.sin()));
            re * re + im * im
        };
        10.0 * ((from..=39).map(power_at).sum::<f64>() / power_at(1)).log10()
    }

    #[test]
    fn a_loud_voice_is_distorted_less_harshly_than_by_clipping() {
        for dbfs in [-6.0, -4.0, -3.0, -2.0, -1.0, 0.0] {
            let peak = 32_767.0 * 10f64.powf(dbfs / 20.0);
            let step = core::f64::consts::TAU / 480.0;
            let tone: Vec<i16> = (0..480).map(|n| round(peak * (f64::from(n) * step).sin())).collect();
            let clipped: Vec<i16> = tone.iter().map(|&s| round(f64::from(s) * 2.5)).collect();
            let limited = applied(2.5, tone);
            let [all, high] = [2, 9].map(|from| [&limited, &clipped].map(|s| harmonics_db(s, from)));
            println!(
                "{dbfs} dBFS at gain 2.5: harmonics {:.1} dB limited, {:.1} clipped; from the 9th on {:.1}, {:.1}",
                all[0], all[1], high[0], high[1]
            );
            assert!(high[0] < high[1] - 3.0, "{dbfs} dBFS: {high:.1?}");
        }
    }

    #[test]
    fn the_table_of_a_law_is_what_becomes_of_its_codes_and_none_is_needed_at_one() {
        // A law of its own: sign and seven bits, with two zeros like µ-law.
        let decode = |code: u8| i16::from(code & 0x7F) * 256 * if code < 0x80 { 1 } else { -1 };
        let encode = |sample: i16| (sample.saturating_abs() >> 8) as u8 | if sample < 0 { 0x80 } else { 0 };
        assert_eq!(Gain::new(1.0).table(decode, encode), None);
        let table = Gain::new(2.0).table(decode, encode).unwrap();
        assert_eq!((table[0x00], table[0x10], table[0x90]), (0x00, 0x20, 0xA0));
        assert_eq!((table[0x7F], table[0xFF]), (0x7F, 0xFF));
    }

    #[test]
    fn a_gain_of_one_changes_no_bit_and_nonsense_is_one() {
        for factor in [1.0, f64::NAN, f64::INFINITY] {
            let mut all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
            Gain::new(factor).apply(&mut all);
            assert!(all.into_iter().eq(i16::MIN..=i16::MAX), "{factor}");
        }
        let mut samples = [1000];
        Gain::new(-1.0).apply(&mut samples);
        assert_eq!(samples, [0]);
    }
}

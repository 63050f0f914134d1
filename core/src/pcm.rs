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

/// Makes audio louder or quieter. What no longer fits into 16 bits is saturated.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Gain(f64);

impl Gain {
    /// A gain by `factor`; a negative one mutes, and one that is not a finite number is taken as 1.
    #[must_use]
    pub const fn new(factor: f64) -> Self {
        if factor.is_finite() { Self(factor.max(0.0)) } else { Self(1.0) }
    }

    /// Applies it in place. At exactly 1 the samples are left as they are.
    pub fn apply(&self, samples: &mut [i16]) {
        if self.0 == 1.0 {
            return;
        }
        for sample in samples {
            *sample = round(f64::from(*sample) * self.0);
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn gain_rounds_and_saturates() {
        let mut samples = [1, -1, 3, 10_000, 20_000, -20_000, i16::MIN];
        Gain::new(2.5).apply(&mut samples);
        assert_eq!(samples, [3, -3, 8, 25_000, i16::MAX, i16::MIN, i16::MIN]);
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

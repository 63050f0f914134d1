//! ITU-T G.711: both laws, as its tables 1a to 2b and the algorithm of G.191 define them.
//!
//! µ-law works on 14 bits and A-law on 13; samples here have 16, of which the lowest are the fraction. A
//! negative sample is folded to its ones' complement, so that both halves are mirror images.

/// What µ-law adds to the magnitude, so that each segment is twice as wide as the one below it.
const ULAW_BIAS: u16 = 33;
/// The largest biased magnitude of µ-law.
const ULAW_CLIP: u16 = 0x1FFF;
/// A-law inverts every other bit, so that silence has transitions on the line.
const ALAW_TOGGLE: u8 = 0x55;

/// The sample of each µ-law code.
pub(crate) static ULAW: [i16; 256] = table(true);
/// The sample of each A-law code.
pub(crate) static ALAW: [i16; 256] = table(false);

/// The µ-law code of each 14-bit sample, as an unsigned index.
static ULAW_CODES: [u8; 1 << 14] = codes(true);
/// The A-law code of each 12-bit sample, as an unsigned index: its finest interval is two of its 13-bit units.
static ALAW_CODES: [u8; 1 << 12] = codes(false);

/// The µ-law code of a sample.
#[inline]
pub(crate) fn ulaw(sample: i16) -> u8 {
    // The table has an entry for each index that 14 bits can say.
    ULAW_CODES.get(usize::from(sample as u16 >> 2)).copied().unwrap_or_default()
}

/// The A-law code of a sample.
#[inline]
pub(crate) fn alaw(sample: i16) -> u8 {
    // The table has an entry for each index that 12 bits can say.
    ALAW_CODES.get(usize::from(sample as u16 >> 4)).copied().unwrap_or_default()
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn codes<const N: usize>(mu: bool) -> [u8; N] {
    let mut codes = [0; N];
    let mut n = 0;
    while n < N {
        // The lowest sample of those that share the code.
        let sample = (n * ((1 << 16) / N)) as u16 as i16;
        codes[n] = if mu { ulaw_code(sample) } else { alaw_code(sample) };
        n += 1;
    }
    codes
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn table(mu: bool) -> [i16; 256] {
    let mut samples = [0; 256];
    let mut code = 0;
    while code < samples.len() {
        samples[code] = if mu { ulaw_sample(code as u8) } else { alaw_sample(code as u8) };
        code += 1;
    }
    samples
}

const fn ulaw_sample(code: u8) -> i16 {
    let bits = !code;
    let (segment, step) = (bits >> 4 & 7, (bits & 0x0F) as i16);
    // The middle of the interval, of which the bias is taken off again; all of it in 16-bit units.
    let magnitude = ((2 * step + 33) << segment) - ULAW_BIAS as i16;
    if bits & 0x80 == 0 { magnitude << 2 } else { -(magnitude << 2) }
}

const fn alaw_sample(code: u8) -> i16 {
    let bits = code ^ ALAW_TOGGLE;
    let (segment, step) = (bits >> 4 & 7, (bits & 0x0F) as i16);
    let magnitude = match segment {
        0 => 2 * step + 1,
        _ => (2 * step + 33) << (segment - 1),
    };
    if bits & 0x80 == 0 { -(magnitude << 3) } else { magnitude << 3 }
}

const fn folded(sample: i16) -> u16 {
    (if sample < 0 { !sample } else { sample }) as u16
}

const fn ulaw_code(sample: i16) -> u8 {
    let biased = (folded(sample) >> 2) + ULAW_BIAS;
    let biased = if biased > ULAW_CLIP { ULAW_CLIP } else { biased };
    // The bias keeps the magnitude at 6 bits or more: 6 is segment 0, 13 is segment 7.
    let segment = 16 - biased.leading_zeros() - 6;
    let step = (biased >> (segment + 1)) & 0x0F;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment as u8) << 4 | step as u8)
}

const fn alaw_code(sample: i16) -> u8 {
    let magnitude = folded(sample) >> 4;
    let bits = 16 - magnitude.leading_zeros();
    // Segments 0 and 1 have the same step; only from 1 on is the leading bit implied.
    let (segment, step) = if bits <= 4 { (0, magnitude) } else { (bits - 4, magnitude >> (bits - 5) & 0x0F) };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (sign | (segment as u8) << 4 | step as u8) ^ ALAW_TOGGLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_say_of_every_sample_what_the_laws_compute() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!((ulaw(sample), alaw(sample)), (ulaw_code(sample), alaw_code(sample)), "{sample}");
        }
    }
}

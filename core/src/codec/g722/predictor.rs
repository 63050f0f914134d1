//! The adaptive predictor of ITU-T G.722, clause 6, which both bands of both directions share.

/// Two poles and six zeros, adapted by the signs of what they produced. Encoder and decoder feed it the same
/// differences, so both predict the same.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Predictor {
    /// S: the next sample, as predicted.
    prediction: i32,
    /// SZ: the part of it that the zeros gave.
    by_zeros: i32,
    /// A1 and A2, in Q14.
    poles: [i32; 2],
    /// B1 to B6, in Q14.
    zeros: [i32; 6],
    /// D1 to D6: the latest differences, the newest first.
    differences: [i32; 6],
    /// The sum of their magnitudes.
    reach: i32,
    /// R1 and R2, doubled: the latest reconstructed samples.
    reconstructed: [i32; 2],
    /// The signs of P1 and P2, as 0 or -1.
    signs: [i32; 2],
}

impl Predictor {
    /// The next sample, as predicted.
    #[inline]
    pub(super) const fn prediction(&self) -> i32 {
        self.prediction
    }

    /// Takes the difference between the prediction and what came, and predicts what comes next.
    #[inline]
    pub(super) fn adapt(&mut self, difference: i32) {
        let reconstructed = saturated(self.prediction + difference);
        let sign = saturated(self.by_zeros + difference) >> 31;
        self.adapt_poles(sign);
        self.adapt_zeros(difference);

        let [newer, _] = self.reconstructed;
        self.reconstructed = [saturated(2 * reconstructed), newer];
        let by_poles: i32 = self.poles.iter().zip(self.reconstructed).map(|(a, r)| (a * r) >> 15).sum();
        self.by_zeros = self.sum_of_zeros();
        self.prediction = saturated(saturated(by_poles) + self.by_zeros);
    }

    /// UPPOL2, then UPPOL1, whose limit depends on it.
    #[inline]
    fn adapt_poles(&mut self, sign: i32) {
        let [first, second] = self.poles;
        let [previous, before] = self.signs;
        let agreement = if sign == previous { 1 } else { -1 };
        let follow = saturated(-agreement * saturated(4 * first)) >> 7;
        let lean = if sign == before { 128 } else { -128 };
        let second = (follow + lean + ((second * 127) >> 7)).clamp(-12_288, 12_288);
        let limit = 15_360 - second;
        let first = (agreement * 192 + ((first * 255) >> 8)).clamp(-limit, limit);
        self.poles = [first, second];
        self.signs = [sign, previous];
    }

    /// UPZERO, and the shift of the differences. No coefficient leaves 16 bits: what leaks at the largest is what
    /// is added.
    #[inline]
    fn adapt_zeros(&mut self, difference: i32) {
        let gain = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let opposite = (past ^ difference) >> 31;
            *zero = ((*zero * 255) >> 8) + ((gain ^ opposite) - opposite);
        }
        let [d1, d2, d3, d4, d5, d6] = self.differences;
        self.reach += difference.abs() - d6.abs();
        self.differences = [difference, d1, d2, d3, d4, d5];
    }

    /// FILTEZ. It adds from the oldest to the newest and saturates each sum; no product has more than twice the
    /// magnitude of its difference, so that one look tells whether any could be.
    #[inline]
    fn sum_of_zeros(&self) -> i32 {
        let products = self.zeros.iter().zip(self.differences).map(|(b, d)| (b * d) >> 14);
        if 2 * self.reach <= i32::from(i16::MAX) {
            return products.sum();
        }
        products.rev().fold(0, |sum, product| saturated(sum + product))
    }
}

/// The nearest number of 16 bits.
#[inline]
pub(super) fn saturated(value: i32) -> i32 {
    value.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Predictor {
        /// Whether each value fits into the bits that the recommendation gives it.
        pub(in super::super) fn is_bounded(&self) -> bool {
            let words =
                [self.prediction, self.by_zeros].into_iter().chain(self.zeros).chain(self.differences);
            let [first, second] = self.poles;
            words.chain(self.reconstructed).all(|word| i16::try_from(word).is_ok())
                && second.abs() <= 12_288
                && first.abs() <= 15_360 - second
                && self.reach == self.differences.iter().map(|difference| difference.abs()).sum::<i32>()
        }
    }

    #[test]
    fn the_zeros_saturate_on_the_way_from_the_oldest_to_the_newest() {
        // Of the oldest four together no more than 32767 is left, of which the newest takes 20000 again.
        let mut predictor = Predictor { zeros: [16_384; 6], ..Predictor::default() };
        for difference in [10_000, 10_000, 10_000, 10_000, 0, -20_000] {
            predictor.reach += i32::abs(difference);
            predictor.differences.rotate_right(1);
            predictor.differences[0] = difference;
        }
        assert_eq!(predictor.sum_of_zeros(), 12_767);
    }

    proptest::proptest! {
        #[test]
        fn the_short_way_to_the_sum_of_the_zeros_is_as_good_as_the_long_one(
            zeros: [i16; 6],
            differences in proptest::array::uniform6(-5_000..5_000),
        ) {
            let (zeros, reach) = (zeros.map(i32::from), differences.iter().map(|d: &i32| d.abs()).sum());
            let short = Predictor { zeros, differences, reach, ..Predictor::default() };
            let long = Predictor { reach: i32::from(i16::MAX), ..short.clone() };
            assert_eq!(short.sum_of_zeros(), long.sum_of_zeros());
        }
    }
}

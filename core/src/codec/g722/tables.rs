//! The constants of ITU-T G.722, clauses 5 and 6, under the names that the recommendation gives them.

/// The quadrature mirror filter (H0 to H23), which reads the same in both directions. In Q13.
pub(super) const QMF: [i16; 24] = [
    3, -11, -11, 53, 12, -156, 32, 362, -210, -805, 951, 3876, 3876, 951, -805, -210, 362, 32, -156, 12, 53,
    -11, -11, 3,
];

/// Q6: from which multiple of the step size on the lower band's 60 levels begin, for one sign. In Q12.
const Q6: [u16; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219,
    1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// Q6 in Q16 behind three zeros, so that it fills the registers of a vector.
pub(super) const LOWER_LEVELS: [u16; 32] = lower_levels();

/// Q2: from which multiple of the step size on the upper band's second level begins. In Q12.
pub(super) const UPPER_LEVEL: i32 = 564;

/// QQ6: the lower band's difference for each 6-bit code, in Q15 of the step size. No encoder sends the first four.
pub(super) const LOWER_FINE: [i16; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360,
    -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688,
    -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856,
    7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136,
    -432, -136,
];

/// QQ4: the same for the upper four bits of the code, from which predictor and step size adapt.
pub(super) const LOWER_COARSE: [i16; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];

/// QQ2: the upper band's difference for each 2-bit code, in Q15 of the step size.
pub(super) const UPPER: [i16; 4] = [-7408, -1616, 7408, 1616];

/// WL by way of RL42: what the upper four bits of the code add to the logarithm of the lower step size. In Q11.
pub(super) const LOWER_LOG: [i16; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];

/// WH by way of RH2: what a code adds to the logarithm of the upper step size. In Q11.
pub(super) const UPPER_LOG: [i16; 4] = [798, -214, 798, -214];

/// The largest logarithm of the lower step size.
pub(super) const LOWER_LOG_MAX: i32 = 18_432;
/// The largest logarithm of the upper step size.
pub(super) const UPPER_LOG_MAX: i32 = 22_528;

/// The lower step size for each 64th of its logarithm; the first, 32, is the one at the start.
pub(super) static LOWER_STEPS: [i32; 512] = steps(8);
/// The upper step size for each 64th of its logarithm; the first, 8, is the one at the start.
pub(super) static UPPER_STEPS: [i32; 512] = steps(10);

/// ILB: 2^(n/32) in Q11.
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn lower_levels() -> [u16; 32] {
    let mut levels = [0; 32];
    let mut n = 0;
    while n < Q6.len() {
        levels[n + 3] = Q6[n] << 4;
        n += 1;
    }
    levels
}

/// SCALEL and SCALEH; `down` is what the logarithm of the band stands above that of the other scale.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn steps(down: u32) -> [i32; 512] {
    let mut steps = [0; 512];
    let mut n = 0;
    while n < steps.len() {
        steps[n] = (ILB[n % 32] << (n / 32)) >> down << 2;
        n += 1;
    }
    steps
}

/// An entry of a table whose length is a power of two; the index is taken modulo that length, which costs nothing
/// and leaves no way to panic.
pub(super) fn entry<T: Copy + Into<i32>, const N: usize>(table: &[T; N], index: usize) -> i32 {
    const { assert!(N.is_power_of_two()) };
    table.get(index % N).map_or(0, |&value| value.into())
}

//! `java.util.Random`, number for number: the 48-bit linear congruential generator behind the benchmark's data.
//!
//! The published tables came out of `HiBench`, a Java program. A generator that draws the same numbers in the same
//! order makes the same pages, so ours is a copy of Java's documented algorithm and not merely a good one. It is
//! no source of randomness for anything else.

use super::strict_log::strict_log;

const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const INCREMENT: u64 = 0xB;
const STATE_MASK: u64 = (1 << 48) - 1;

/// The generator's state: 48 bits, and the second value of the last pair of Gaussian numbers.
#[derive(Debug, Clone)]
pub(super) struct JavaRandom {
    state: u64,
    waiting_gaussian: Option<f64>,
}

impl JavaRandom {
    /// `new Random(seed)`: only the low 48 bits count.
    pub(super) fn new(seed: i64) -> Self {
        JavaRandom { state: (seed.cast_unsigned() ^ MULTIPLIER) & STATE_MASK, waiting_gaussian: None }
    }

    /// The next `bits` (at most 32) random bits, the highest of the state.
    #[inline]
    fn next(&mut self, bits: u32) -> u32 {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & STATE_MASK;
        (self.state >> (48 - bits)) as u32
    }

    /// `nextInt(bound)`: uniform over `0..bound`, for a bound from 1 to 2^31 - 1.
    #[inline]
    pub(super) fn next_int(&mut self, bound: u32) -> u32 {
        debug_assert!(bound > 0 && bound <= i32::MAX.cast_unsigned(), "Java's nextInt takes a positive int");
        let mut bits = self.next(31);
        if bound.is_power_of_two() {
            return ((u64::from(bound) * u64::from(bits)) >> 31) as u32;
        }
        loop {
            let value = bits % bound;
            // The last, incomplete run of `bound` values is drawn again; Java notices it by int overflow.
            if bits - value + (bound - 1) <= i32::MAX.cast_unsigned() {
                return value;
            }
            bits = self.next(31);
        }
    }

    /// `nextLong()`: two draws of 32 bits, the second one added with its sign.
    pub(super) fn next_long(&mut self) -> i64 {
        let high = i64::from(self.next(32)) << 32;
        high.wrapping_add(i64::from(self.next(32).cast_signed()))
    }

    /// `nextFloat()`: a multiple of 2^-24 in `0.0..1.0`.
    #[inline]
    pub(super) fn next_float(&mut self) -> f32 {
        self.next(24) as f32 / (1_u32 << 24) as f32
    }

    /// `nextDouble()`: a multiple of 2^-53 in `0.0..1.0`.
    #[inline]
    pub(super) fn next_double(&mut self) -> f64 {
        let high = u64::from(self.next(26)) << 27;
        // Signed, because x86-64 has no instruction for an unsigned number: a sixth of all work of counting links.
        (high + u64::from(self.next(27))).cast_signed() as f64 / (1_u64 << 53) as f64
    }

    /// `nextGaussian()`: the polar method, which makes two values at a time and keeps the second for the next call.
    #[inline]
    pub(super) fn next_gaussian(&mut self) -> f64 {
        if let Some(waiting) = self.waiting_gaussian.take() {
            return waiting;
        }
        loop {
            let x = 2.0 * self.next_double() - 1.0;
            let y = 2.0 * self.next_double() - 1.0;
            let square = x * x + y * y;
            if square < 1.0 && square != 0.0 {
                let factor = (-2.0 * strict_log(square) / square).sqrt();
                self.waiting_gaussian = Some(y * factor);
                return x * factor;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    //! Expected values were printed by Java 17. They would catch a wrong constant, a missed rejection, a lost
    //! second Gaussian or a logarithm that differs in its last bit.

    use super::JavaRandom;

    /// As Java would add up a hash: `h = h * 31 + value`.
    fn java_hash(values: impl Iterator<Item = i64>) -> i64 {
        values.fold(0, |hash: i64, value| hash.wrapping_mul(31).wrapping_add(value))
    }

    #[test]
    fn every_kind_of_draw_equals_java() {
        let mut random = JavaRandom::new(42);
        assert_eq!(random.next(32).cast_signed(), -1_170_105_035);
        assert_eq!(random.next_int(26), 7);
        assert_eq!(random.next_int(16), 10);
        // Half of all draws below 2^30 + 1 are rejected.
        let large = [(); 3].map(|()| random.next_int((1 << 30) + 1));
        assert_eq!(large, [102_948_884, 662_969_970, 595_021_505]);
        assert_eq!(random.next_long(), -5_391_787_952_107_853_122);
        assert_eq!(random.next_float().to_bits(), 1_035_667_552);
        assert_eq!(random.next_double().to_bits(), 4_606_312_073_534_385_342);
        let gaussians = [(); 3].map(|()| random.next_gaussian().to_bits().cast_signed());
        assert_eq!(
            gaussians,
            [-4_617_835_941_257_819_195, -4_614_403_294_974_258_598, -4_627_324_515_460_924_912]
        );
        assert_eq!(random.next_float().to_bits(), 1_063_999_760);
    }

    #[test]
    fn a_negative_seed_and_one_above_32_bits_equal_java() {
        assert_eq!(JavaRandom::new(-7).next(32).cast_signed(), 1_155_869_324);
        assert_eq!(JavaRandom::new(123_456_789_012_345).next(32).cast_signed(), -1_421_006_947);
    }

    #[test]
    fn long_runs_equal_java() {
        let mut random = JavaRandom::new(9);
        let ints = (0..100_000).map(|_| i64::from(random.next_int((1 << 30) + 1)));
        assert_eq!(java_hash(ints), 3_377_427_966_315_226_036);
        let mut random = JavaRandom::new(7);
        let gaussians = (0..100_000).map(|_| random.next_gaussian().to_bits().cast_signed());
        assert_eq!(java_hash(gaussians), -4_067_218_162_026_060_505);
    }

    #[test]
    fn logarithms_equal_strict_math() {
        use super::strict_log;
        let mut random = JavaRandom::new(7);
        let logs = (0..1_000_000).map(|_| strict_log(random.next_double()).to_bits().cast_signed());
        assert_eq!(java_hash(logs), -9_114_076_451_053_497_638);
        // Next to one, where another formula applies.
        let mut random = JavaRandom::new(7);
        let near_one =
            (0..1_000_000).map(|_| strict_log(1.0 - random.next_double() * 1e-5).to_bits().cast_signed());
        assert_eq!(java_hash(near_one), 3_987_842_561_434_726_414);
    }
}

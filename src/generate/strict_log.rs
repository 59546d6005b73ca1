//! The natural logarithm as Java's `StrictMath.log` computes it, to the last bit, on every platform.
//!
//! Java prescribes the algorithm of fdlibm; a system's own `log` may differ in the last place, and then a page
//! could get one link more or less. The coefficients and the order of operations are those of fdlibm's `e_log.c`
//! (Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Developed at `SunSoft`, a Sun Microsystems,
//! Inc. business. Permission to use, copy, modify, and distribute this software is freely granted, provided that
//! this notice is preserved.)

const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
const LN2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
/// Coefficients of the polynomial for `log(1 + f) - 2s` in even powers of `s = f / (2 + f)`.
const LG: [f64; 7] = [
    f64::from_bits(0x3fe5_5555_5555_5593),
    f64::from_bits(0x3fd9_9999_9997_fa04),
    f64::from_bits(0x3fd2_4924_9422_9359),
    f64::from_bits(0x3fcc_71c5_1d8e_78af),
    f64::from_bits(0x3fc7_4664_96cb_03de),
    f64::from_bits(0x3fc3_9a09_d078_c69f),
    f64::from_bits(0x3fc2_f112_df3e_5244),
];

#[expect(clippy::many_single_char_names, reason = "the formula's own names")]
/// `StrictMath.log(x)` for a normal, positive `x`, which is all that the polar method asks for.
pub(super) fn strict_log(x: f64) -> f64 {
    debug_assert!(x.is_normal() && x > 0.0, "only normal positive numbers are supported");
    let bits = x.to_bits();
    let high = (bits >> 32) as u32;
    let mantissa = (high & 0x000f_ffff).cast_signed();
    // 2^20 when the mantissa is above sqrt(2), so that x = 2^k * (1 + f) with sqrt(2)/2 < 1 + f < sqrt(2).
    let above_root = (mantissa + 0x95f64) & 0x10_0000;
    let exponent = (high >> 20).cast_signed() - 1023 + (above_root >> 20);
    let reduced_high = (mantissa | (above_root ^ 0x3ff0_0000)).cast_unsigned();
    let f = f64::from_bits((u64::from(reduced_high) << 32) | (bits & 0xffff_ffff)) - 1.0;
    let k = f64::from(exponent);

    if (0x000f_ffff & (2 + mantissa)) < 3 {
        // |f| < 2^-20: two terms of the series are enough.
        if f == 0.0 {
            return k * LN2_HIGH + k * LN2_LOW;
        }
        let rest = f * f * (0.5 - 0.333_333_333_333_333_3 * f);
        return if exponent == 0 { f - rest } else { k * LN2_HIGH - ((rest - k * LN2_LOW) - f) };
    }
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let odd = w * (LG[1] + w * (LG[3] + w * LG[5]));
    let even = z * (LG[0] + w * (LG[2] + w * (LG[4] + w * LG[6])));
    let rest = even + odd;
    if ((mantissa - 0x6147a) | (0x6b851 - mantissa)) > 0 {
        let half_square = 0.5 * f * f;
        if exponent == 0 {
            f - (half_square - s * (half_square + rest))
        } else {
            k * LN2_HIGH - ((half_square - (s * (half_square + rest) + k * LN2_LOW)) - f)
        }
    } else if exponent == 0 {
        f - s * (f - rest)
    } else {
        k * LN2_HIGH - ((s * (f - rest) - k * LN2_LOW) - f)
    }
}

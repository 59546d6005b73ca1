//! Numbers out of text: up to sixteen digits at once in plain registers, the standard library for the rest.
//!
//! The fast ways only take what they surely read like `str::parse` does, bit for bit; everything else (exponents,
//! `inf`, more digits, hard roundings) goes to it, so the two together accept exactly what it accepts; but for floats that are so
//! large that it would make them infinite.

const ZEROS: u128 = u128::from_ne_bytes([b'0'; 16]);
const DOTS: u128 = u128::from_ne_bytes([b'.'; 16]);
const LOW_SEVEN: u128 = u128::from_ne_bytes([0x7f; 16]);
const ONES_IN_BYTES: u64 = u64::from_ne_bytes([1; 8]);

/// Powers of ten, as many as sixteen characters can need, each of which a double holds exactly; and the doubles nearest to their
/// inverses.
const POWERS_AND_INVERSES: [(u64, f64); 16] = {
    let mut pairs = [(1, 1.0); 16];
    let mut digits = 1;
    while digits < pairs.len() {
        let power = pairs[digits - 1].0 * 10;
        pairs[digits] = (power, 1.0 / power as f64);
        digits += 1;
    }
    pairs
};

/// Reads a 32-bit float like `str::parse`, correctly rounded; `None` where a number is beyond its range.
#[inline]
pub(in crate::formats) fn parse_f32(text: &[u8]) -> Option<f32> {
    match fraction_f32(text) {
        Some(value) => Some(value),
        None => longer_f32(text),
    }
}

/// Reads a 64-bit float in the same way. No part of the loop that reads rows, which most often wants other floats.
#[inline(never)]
pub(in crate::formats) fn parse_f64(text: &[u8]) -> Option<f64> {
    fast_f64(text).or_else(|| std_parse(text).filter(|value: &f64| value.is_finite() || !has_digits(text)))
}

/// What is not of the most frequent form.
#[inline(never)]
pub(super) fn longer_f32(text: &[u8]) -> Option<f32> {
    fast_f32(text).or_else(|| std_parse(text).filter(|value: &f32| value.is_finite() || !has_digits(text)))
}

/// Reads an integer like `str::parse`.
#[inline]
pub(in crate::formats) fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    match parse_digits(digits) {
        Some(value) => Some(if negative { -value.cast_signed() } else { value.cast_signed() }),
        None => std_parse(text),
    }
}

/// Reads an unsigned integer like `str::parse`.
#[inline]
pub(super) fn parse_u64(text: &[u8]) -> Option<u64> {
    match parse_digits(text) {
        Some(value) => Some(value),
        None => std_parse(text),
    }
}

/// Reads a wide integer like `str::parse`; too rare for a fast way.
pub(super) fn parse_i128(text: &[u8]) -> Option<i128> {
    std_parse(text)
}

/// Reads a wide unsigned integer like `str::parse`.
pub(super) fn parse_u128(text: &[u8]) -> Option<u128> {
    std_parse(text)
}

/// What the standard library makes of it.
#[cold]
fn std_parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Whether it spells a number, and not that there is none or that it is infinite.
#[cold]
fn has_digits(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit)
}

#[inline]
fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    }
}

/// One to sixteen digits and nothing else.
#[inline]
fn parse_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    if text.len() <= 8 {
        let filled = load8(text) | fill_below((ZEROS >> 64) as u64, text.len());
        return digit_values(filled).map(value_of_eight);
    }
    value_of_sixteen(load16(text), text.len())
}

/// One digit, a dot, and six to eight digits. A call of its own: as a part of what reads a field, it would keep that from becoming
/// part of the loop that reads rows.
#[inline(never)]
pub(super) fn fraction_f32(text: &[u8]) -> Option<f32> {
    let [digit, b'.', ..] = *text else { return None };
    let digits = text.len() - 2;
    let last = text.last_chunk::<8>()?;
    let whole = digit.wrapping_sub(b'0');
    if digits > 8 || whole > 9 {
        return None;
    }
    // The dot and what is before it give way to zeros.
    let unused = (8 * (8 - digits) as u32) & 31;
    let filled = (u64::from_le_bytes(*last) >> unused << unused) | !(u64::MAX << unused) & ZEROS as u64;
    let fraction = value_of_eight(digit_values(filled)?);
    let (power, inverse) = POWERS_AND_INVERSES[digits & 15];
    let mantissa = u64::from(whole) * power + fraction;
    // The inverse is rounded, and so is the product: it is one step, at most, from what a division gives, which takes longer.
    let double = mantissa.cast_signed() as f64 * inverse;
    let from_middle = (double.to_bits() & BELOW_A_FLOAT).abs_diff(MIDDLE);
    (from_middle > INEXACT_STEPS).then_some(double as f32)
}

#[inline]
fn fast_f32(text: &[u8]) -> Option<f32> {
    let (negative, mantissa, power) = decimal(text)?;
    let float = quotient_f32(mantissa, power)?;
    Some(if negative { -float } else { float })
}

/// Exact doubles, one divided by the other, are rounded once.
#[inline]
fn fast_f64(text: &[u8]) -> Option<f64> {
    let (negative, mantissa, power) = decimal(text)?;
    let double = mantissa / power;
    Some(if negative { -double } else { double })
}

/// A decimal number of up to sixteen characters without an exponent: whether it is negative, and two doubles that are exact, its
/// digits and the power of ten that divides them.
#[inline]
fn decimal(text: &[u8]) -> Option<(bool, f64, f64)> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let loaded = load16(digits);
    // The high bit of each byte that is a dot.
    let difference = loaded ^ DOTS;
    let dots = !(((difference & LOW_SEVEN) + LOW_SEVEN) | difference | LOW_SEVEN);
    let (mantissa, fraction_digits) = if dots == 0 {
        (value_of_sixteen(loaded, digits.len())?, 0)
    } else {
        if digits.len() == 1 {
            return None;
        }
        // Text ends in the top byte, so the digits before the dot close up to those after it by one byte.
        let dot = dots.trailing_zeros() / 8;
        let before = (1u128 << (8 * dot)) - 1;
        let after = (u128::MAX << 8) << (8 * dot);
        let closed = ((loaded & before) << 8) | (loaded & after);
        (value_of_sixteen(closed, digits.len() - 1)?, 15 - dot as usize)
    };
    let (power, _) = POWERS_AND_INVERSES[fraction_digits & 15];
    (mantissa < 1 << 53).then_some((negative, mantissa as f64, power as f64))
}

/// The bits of a double that a float has no place for, and what they are in the middle between two floats.
const BELOW_A_FLOAT: u64 = (1 << 29) - 1;
const MIDDLE: u64 = 1 << 28;
/// More steps from one double to the next than a product with a rounded inverse can be wrong by: half a step of its own, and half a
/// step of the inverse, which is up to a whole one of the product.
const INEXACT_STEPS: u64 = 2;

/// A decimal number as a float, from two doubles that are exact.
#[inline]
fn quotient_f32(mantissa: f64, power_of_ten: f64) -> Option<f32> {
    // The decimal number rounded once, to a double.
    let double = mantissa / power_of_ten;
    // Rounding again to a float only goes wrong when the first rounding landed in the middle between two floats.
    (double.to_bits() & BELOW_A_FLOAT != MIDDLE).then_some(double as f32)
}

/// `digits` digits that end in the top byte; the bytes below them are zero.
#[inline]
fn value_of_sixteen(loaded: u128, digits: usize) -> Option<u64> {
    let filled = loaded | ((ZEROS >> 8) >> (8 * (digits - 1)));
    let first = digit_values(filled as u64)?;
    let last = digit_values((filled >> 64) as u64)?;
    Some(value_of_eight(first) * 100_000_000 + value_of_eight(last))
}

/// A pattern kept only in the bytes below the top `length` ones.
#[inline]
fn fill_below(pattern: u64, length: usize) -> u64 {
    (pattern >> 8) >> (8 * (length - 1))
}

/// Eight ASCII digits as eight values, if they are digits.
#[inline]
fn digit_values(ascii: u64) -> Option<u64> {
    let values = ascii ^ (ZEROS as u64);
    let too_large = (values.wrapping_add(0x76 * ONES_IN_BYTES) | values) & (0x80 * ONES_IN_BYTES);
    if too_large == 0 { Some(values) } else { None }
}

/// Eight values of one digit each, the first in the lowest byte.
#[inline]
fn value_of_eight(values: u64) -> u64 {
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) & 0xffff_ffff
}

/// One to sixteen bytes, the last one in the top byte, zeros below.
#[inline]
fn load16(text: &[u8]) -> u128 {
    if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        // Where the two overlap they hold the same bytes.
        let first = u128::from(u64::from_le_bytes(*first)) << (8 * (16 - text.len()));
        (u128::from(u64::from_le_bytes(*last)) << 64) | first
    } else {
        u128::from(load8(text)) << 64
    }
}

/// One to eight bytes, the last one in the top byte, zeros below.
#[inline]
fn load8(text: &[u8]) -> u64 {
    let length = text.len();
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let first = u64::from(u32::from_le_bytes(*first)) << (8 * (8 - length));
        (u64::from(u32::from_le_bytes(*last)) << 32) | first
    } else {
        // One to three bytes: the first, the middle and the last are all of them.
        let at = |index: usize| u64::from(text[index]) << (8 * (8 - length + index));
        at(0) | at(length / 2) | at(length - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{fast_f32, fraction_f32, parse_f32, parse_f64, parse_i64, parse_u64};

    fn same_floats(text: &str) {
        // What is written in digits is finite.
        let is_infinite = !text.contains(|digit: char| digit.is_ascii_digit());
        let expected = text.parse::<f32>().ok().filter(|value| value.is_finite() || is_infinite);
        let expected = expected.map(f32::to_bits);
        assert_eq!(parse_f32(text.as_bytes()).map(f32::to_bits), expected, "{text:?}");
        let expected = text.parse::<f64>().ok().filter(|value| value.is_finite() || is_infinite);
        let expected = expected.map(f64::to_bits);
        assert_eq!(parse_f64(text.as_bytes()).map(f64::to_bits), expected, "{text:?}");
    }

    #[test]
    fn floats_of_every_spelling() {
        for text in [
            "",
            ".",
            "-",
            "+",
            "-.",
            "0",
            "-0",
            "+0",
            "0.",
            ".0",
            "-.5",
            "+.5",
            "5.",
            "1..2",
            "1.2.3",
            "4.5E-4",
            "1e5",
            "1E+5",
            "1e",
            "e5",
            "inf",
            "-infinity",
            "NaN",
            "nan",
            " 1",
            "1 ",
            "0x1",
            "1_000",
            "0.1234567",
            "16777217",
            "16777219",
            "33554435",
            "0.000000059604645",
            "9007199254740993",
            "9999999999999999",
            "99999999999999999999",
            "0.30000001192092896",
            "3.4028236e38",
            "1e-46",
            "1.17549435E-38",
            "123456789012345.6",
            "0000000000000000",
            "-000000000000001",
            "1234567890123456",
            "--1",
            "+-1",
        ] {
            same_floats(text);
        }
    }

    /// Once these were read as infinite.
    #[test]
    fn numbers_beyond_the_range_are_none() {
        for (text, f32_reads, f64_reads) in [
            ("3.4028235e38", true, true),
            ("3.4028236e38", false, true),
            ("-1e39", false, true),
            ("1.7976931348623157e308", false, true),
            ("1e309", false, false),
            ("-99999999999999999999e400", false, false),
            ("1e-400", true, true),
            ("-infinity", true, true),
            ("+inf", true, true),
            ("NaN", true, true),
        ] {
            let text = text.as_bytes();
            assert_eq!((parse_f32(text).is_some(), parse_f64(text).is_some()), (f32_reads, f64_reads));
        }
    }

    #[test]
    fn java_floats_take_the_fast_way() {
        for text in ["0.45698", "0.1234567", "0.98765432", "1.0E-3", "7"] {
            assert_eq!(fast_f32(text.as_bytes()).is_some(), !text.contains('E'), "{text}");
        }
    }

    /// Sixteen characters can be so near to the middle between two floats that a double cannot tell them from it.
    #[test]
    fn a_middle_is_not_rounded_twice() {
        let mut hard = 0;
        for bits in (1.0_f32.to_bits()..10.0_f32.to_bits()).step_by(997) {
            let middle = f64::midpoint(f64::from(f32::from_bits(bits)), f64::from(f32::from_bits(bits + 1)));
            let text = format!("{middle:.14}");
            hard += usize::from(text.parse() == Ok(middle) && Some(middle as f32) != text.parse().ok());
            same_floats(&text);
        }
        assert!(hard > 100, "{hard} texts that rounding twice reads wrong");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn floats_like_std(text in "[-+]?[0-9]{0,12}[.]?[0-9]{0,12}([eE][-+]?[0-9]{1,2})?") {
            same_floats(&text);
        }

        #[test]
        fn fractions_like_std(text in "[0-9][.][0-9]{6,8}") {
            prop_assert!(fraction_f32(text.as_bytes()).is_some());
            same_floats(&text);
        }

        #[test]
        fn floats_out_of_anything_like_std(text in "[-+0-9.eEinfaNu/:]{0,18}") {
            same_floats(&text);
        }

        #[test]
        fn floats_there_and_back(bits: u32) {
            let value = f32::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(parse_f32(value.to_string().as_bytes()).map(f32::to_bits), Some(bits));
            prop_assert_eq!(parse_f32(format!("{value:e}").as_bytes()).map(f32::to_bits), Some(bits));
        }

        #[test]
        fn multiples_of_a_24th_of_two_there_and_back(steps in 0u32..1 << 24) {
            let value = steps as f32 / 16_777_216.0;
            prop_assert_eq!(parse_f32(value.to_string().as_bytes()).map(f32::to_bits), Some(value.to_bits()));
        }

        #[test]
        fn integers_like_std(text in "[-+]?[0-9]{0,22}") {
            prop_assert_eq!(parse_i64(text.as_bytes()), text.parse().ok());
            prop_assert_eq!(parse_u64(text.as_bytes()), text.parse().ok());
        }

        #[test]
        fn integers_out_of_anything_like_std(text in "[-+0-9./:]{0,18}") {
            prop_assert_eq!(parse_i64(text.as_bytes()), text.parse().ok());
            prop_assert_eq!(parse_u64(text.as_bytes()), text.parse().ok());
        }
    }
}

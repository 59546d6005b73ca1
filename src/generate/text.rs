//! Values as Java would print them.

use std::sync::LazyLock;

/// Days from 1970-01-01 to 2012-05-01, which is not among them.
pub(super) const VISIT_DAYS: usize = 15_461;

/// Appends a whole number in decimal.
#[inline]
pub(super) fn append_number(mut number: u32, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 10];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends `Float.toString(value)` for a value in `0.0..1.0`: the fewest digits that read back as the same float,
/// always a point, and below 1e-3 an exponent (`4.5E-4`).
#[inline]
pub(super) fn append_fraction(value: f32, out: &mut Vec<u8>) {
    if value >= 1e-3 || value == 0.0 {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        // One visit in a thousand comes here.
        let text = format!("{value:E}");
        let point = if text.contains('.') { "" } else { ".0" };
        out.extend_from_slice(text.replace('E', &format!("{point}E")).as_bytes());
    }
}

/// Every day a visit can have, written `yyyy-MM-dd`, by number from 1970-01-01.
pub(super) static VISIT_DATES: LazyLock<Vec<[u8; 10]>> = LazyLock::new(|| {
    let mut dates = Vec::with_capacity(VISIT_DAYS);
    for year in 1970_u32..=2012 {
        for month in 1..=12 {
            let days = match month {
                2 if year.is_multiple_of(4) => 29, // no century between 1970 and 2012 skips its leap year
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            dates.extend((1..=days).map(|day| {
                let mut date = *b"0000-00-00";
                for (place, number) in [(3, year), (6, month), (9, day)] {
                    let mut rest = number;
                    for digit in date[..=place].iter_mut().rev().take_while(|byte| **byte != b'-') {
                        *digit = b'0' + (rest % 10) as u8;
                        rest /= 10;
                    }
                }
                date
            }));
        }
    }
    dates.truncate(VISIT_DAYS);
    dates
});

#[cfg(test)]
mod tests {
    //! Would catch a wrong leap year, digits lost at the end of a number, and every Java spelling of a float that
    //! a Rust printer does not share.

    use super::{VISIT_DATES, VISIT_DAYS, append_fraction, append_number};

    fn fraction(value: f32) -> String {
        let mut out = Vec::new();
        append_fraction(value, &mut out);
        String::from_utf8(out).expect("digits are ASCII")
    }

    #[test]
    fn fractions_are_written_as_java_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (0.5, "0.5"),
            (0.332_717, "0.332717"),
            (0.115_967_035, "0.115967035"),
            (0.001, "0.001"),
            (4.5e-4, "4.5E-4"),
            (9.999_999e-4, "9.999999E-4"),
            (1e-4, "1.0E-4"),
            (2.0_f32.powi(-24), "5.9604645E-8"),
            (1.0 - 2.0_f32.powi(-24), "0.99999994"),
        ] {
            assert_eq!(fraction(value), text);
        }
    }

    #[test]
    fn every_small_fraction_reads_back_as_itself() {
        let unit = 2.0_f32.powi(-24);
        for multiple in (1_u16..17_000).map(f32::from) {
            let value = multiple * unit;
            let text = fraction(value);
            assert_eq!(text.parse::<f32>(), Ok(value), "{text}");
            assert_eq!(text.contains('E'), value < 1e-3, "{text}");
            assert!(text.as_bytes()[1] == b'.', "{text}");
        }
    }

    #[test]
    fn numbers_and_dates_are_whole() {
        let mut out = Vec::new();
        for number in [0, 9, 10, 100, 254, u32::MAX] {
            append_number(number, &mut out);
            out.push(b' ');
        }
        assert_eq!(out, b"0 9 10 100 254 4294967295 ");
        assert_eq!(VISIT_DATES.len(), VISIT_DAYS);
        assert_eq!(&VISIT_DATES[0], b"1970-01-01");
        assert_eq!(&VISIT_DATES[789], b"1972-02-29");
        assert_eq!(&VISIT_DATES[VISIT_DAYS - 1], b"2012-04-30");
        assert!(VISIT_DATES.is_sorted());
    }
}

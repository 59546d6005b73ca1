//! Numbers for people, always with their unit, and sizes as people type them.
//!
//! Amounts of data are decimal, as disks, networks and the published benchmarks count them: 1 kB is 1,000 bytes.
//! Three digits are shown, because run times vary by more than a thousandth.

use std::fmt;
use std::time::Duration;

/// An amount of data: `512 B`, `77.6 kB`, `1.89 GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0 as f64, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
    }
}

/// A speed of data: `1.30 GB/s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BytesPerSecond(pub f64);

impl fmt::Display for BytesPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, &["B/s", "kB/s", "MB/s", "GB/s", "TB/s", "PB/s", "EB/s"])
    }
}

/// A speed of rows: `980 rows/s`, `21.4 M rows/s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowsPerSecond(pub f64);

impl fmt::Display for RowsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, &["rows/s", "k rows/s", "M rows/s", "G rows/s"])
    }
}

/// A count with its thousands apart: `1,112,862`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A time a person waited: `350 ms`, `1.24 s`, `2 min 3 s`, `3 h 20 min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed(pub Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        // The limits are where rounding to three digits would reach the next unit.
        let text = if seconds < 999.5e-6 {
            format!("{} µs", self.0.as_nanos().div_ceil(1000))
        } else if seconds < 0.9995 {
            format!("{} ms", three_digits(seconds * 1e3))
        } else if seconds < 59.95 {
            format!("{} s", three_digits(seconds))
        } else {
            let whole = seconds.round() as u64;
            match (whole / 3600, whole / 60 % 60, whole % 60) {
                (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
                (hours, minutes, _) => format!("{hours} h {minutes} min"),
            }
        };
        f.pad(&text)
    }
}

/// An amount of money, with two digits that tell: `12.40 USD`, `0.27 USD`, `0.00031 USD`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usd(pub f64);

impl Usd {
    /// The least amount that is shown as it is and is not below this one: for whoever types what is shown.
    ///
    /// ```
    /// assert_eq!(millrace::units::Usd(0.005_71).rounded_up().to_string(), "0.0058 USD");
    /// ```
    #[must_use]
    pub fn rounded_up(self) -> Self {
        let scale = 10_f64.powi(decimals(self.0, 2) as i32);
        let shown = (self.0 * scale).ceil();
        // The product may itself have been rounded down.
        Usd(if shown / scale < self.0 { shown + 1.0 } else { shown } / scale)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.0.is_finite() { self.0.max(0.0) } else { 0.0 };
        f.pad(&format!("{value:.*} USD", decimals(value, 2)))
    }
}

/// How many decimals show two digits that tell, `least` at the least: 0.096 has its first digit at the second decimal; 0.0996 is rounded
/// to 0.10, which has it at the first.
pub(crate) fn decimals(value: f64, least: usize) -> usize {
    (least..12)
        .find(|decimals| value <= 0.0 || value * 10_f64.powi(*decimals as i32 - 1) >= 0.995)
        .unwrap_or(12)
}

/// The value in the middle, of an even number the mean of the two; none where there is none.
///
/// ```
/// use millrace::units::median;
///
/// assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
/// assert_eq!(median([4.0, 1.0]), Some(2.5));
/// assert_eq!(median([]), None);
/// ```
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<_> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    Some(f64::midpoint(sorted[last / 2], sorted[sorted.len() / 2]))
}

/// A number of things in words: `1 host`, `2 hosts`, `2 processes`.
pub fn counted(count: usize, noun: &str) -> String {
    let plural = match (count, noun.ends_with('s')) {
        (1, _) => "",
        (_, true) => "es",
        (_, false) => "s",
    };
    format!("{count} {noun}{plural}")
}

/// Writes `value` in the largest unit that leaves at least one digit before the point; each unit is 1,000 of the last.
fn scaled(f: &mut fmt::Formatter<'_>, value: f64, units: &[&str]) -> fmt::Result {
    let mut value = if value.is_finite() { value.max(0.0) } else { 0.0 };
    let mut step = 0;
    while value >= 999.5 && step + 1 < units.len() {
        value /= 1000.0;
        step += 1;
    }
    let number = if step == 0 { format!("{value:.0}") } else { three_digits(value) };
    f.pad(&format!("{number} {}", units[step]))
}

fn three_digits(value: f64) -> String {
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// Reads a size: `65536`, `64K`, `16MiB`, `1.5GB`; the error says what would have been understood.
///
/// As in the GNU tools, `K` and `KiB` are 1,024 bytes and `kB` is 1,000, and so on for M, G and T; case does not
/// matter.
///
/// ```
/// use millrace::units::parse_bytes;
///
/// assert_eq!(parse_bytes("16MiB"), Ok(16 << 20));
/// assert_eq!(parse_bytes("64K"), Ok(64 << 10));
/// assert_eq!(parse_bytes("1.5 GB"), Ok(1_500_000_000));
/// assert!(parse_bytes("16 apples").is_err());
/// ```
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim().to_ascii_lowercase());
    let (prefix, thousand) = match (unit.strip_suffix("ib"), unit.strip_suffix('b')) {
        (Some(prefix), _) => (prefix, 1024_u64),
        (None, Some(prefix)) => (prefix, 1000),
        (None, None) => (unit.as_str(), 1024),
    };
    let power = match prefix {
        // Plain bytes; but `iB` is no unit.
        "" if unit != "ib" => Some(0),
        "k" => Some(1),
        "m" => Some(2),
        "g" => Some(3),
        "t" => Some(4),
        _ => None,
    };
    let explain =
        || format!("`{text}` is no size; type bytes with an optional unit, as 65536, 64K, 16MiB or 1.5GB");
    let factor = thousand.pow(power.ok_or_else(explain)?);
    let too_much = || format!("`{text}` is more than any machine holds");
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(too_much);
    }
    let value: f64 = number.parse().map_err(|_| explain())?;
    let bytes = (value * factor as f64).round();
    // Above 2^63 a float no longer tells bytes apart from nonsense.
    if bytes < 9.2e18 { Ok(bytes as u64) } else { Err(too_much()) }
}

/// As [`parse_bytes`], but nothing is no size.
pub fn parse_positive_bytes(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        0 => Err("a size of 0 bytes holds nothing; type at least 1".to_owned()),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn money_shows_two_digits_that_tell() {
        for (usd, shown) in [
            (0.0, "0.00 USD"),
            (12.4, "12.40 USD"),
            (1.0, "1.00 USD"),
            (0.27, "0.27 USD"),
            (0.0996, "0.10 USD"),
            (0.096, "0.096 USD"),
            (0.000_310_4, "0.00031 USD"),
            (0.000_004_5, "0.0000045 USD"),
            (f64::NAN, "0.00 USD"),
        ] {
            assert_eq!(Usd(usd).to_string(), shown);
        }
    }

    #[test]
    fn bytes_are_decimal_with_three_digits() {
        let shown = |bytes| Bytes(bytes).to_string();
        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(999), "999 B");
        assert_eq!(shown(1000), "1.00 kB");
        assert_eq!(shown(77_600), "77.6 kB");
        assert_eq!(shown(999_499), "999 kB");
        assert_eq!(shown(999_500), "1.00 MB");
        assert_eq!(shown(1_890_000_000), "1.89 GB");
        assert_eq!(shown(126_800_000_000), "127 GB");
        assert_eq!(shown(u64::MAX), "18.4 EB");
        assert_eq!(format!("{:>9}|", Bytes(1)), "      1 B|");
    }

    #[test]
    fn speeds_carry_their_unit() {
        assert_eq!(BytesPerSecond(1.3e9).to_string(), "1.30 GB/s");
        assert_eq!(RowsPerSecond(980.4).to_string(), "980 rows/s");
        assert_eq!(RowsPerSecond(21_400_000.0).to_string(), "21.4 M rows/s");
        assert_eq!(RowsPerSecond(f64::INFINITY).to_string(), "0 rows/s");
    }

    #[test]
    fn counts_keep_thousands_apart() {
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_112_862, "1,112,862")] {
            assert_eq!(Count(count).to_string(), text);
        }
    }

    #[test]
    fn times_grow_from_microseconds_to_hours() {
        let shown = |seconds: f64| Elapsed(Duration::from_secs_f64(seconds)).to_string();
        assert_eq!(shown(0.0), "0 µs");
        assert_eq!(shown(0.000_012), "12 µs");
        assert_eq!(shown(0.00124), "1.24 ms");
        assert_eq!(shown(0.35), "350 ms");
        assert_eq!(shown(0.9996), "1.00 s");
        assert_eq!(shown(1.24), "1.24 s");
        assert_eq!(shown(59.96), "1 min 0 s");
        assert_eq!(shown(123.0), "2 min 3 s");
        assert_eq!(shown(12_000.0), "3 h 20 min");
    }

    #[test]
    fn sizes_are_read_as_typed() {
        for (text, bytes) in [
            ("0", 0),
            ("18446744073709551615", u64::MAX),
            ("12B", 12),
            ("64k", 65_536),
            ("64kB", 64_000),
            ("64 KiB", 65_536),
            ("16MiB", 16 << 20),
            ("16M", 16 << 20),
            ("0.5g", 1 << 29),
            ("2TB", 2_000_000_000_000),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn no_size_is_an_error_that_shows_one() {
        for text in ["", "K", "-1", "1.2.3M", "16 apples", "16ib", "1 e3", "nan", "inf"] {
            let message = parse_bytes(text).unwrap_err();
            assert!(message.contains("64K, 16MiB"), "{text}: {message}");
        }
        assert!(parse_bytes("99999999T").unwrap_err().contains("more than any machine holds"));
        assert!(parse_positive_bytes("0K").unwrap_err().contains("at least 1"));
    }

    proptest! {
        /// A reader must be able to take a shown size at its word: three digits, so half a percent.
        #[test]
        fn a_shown_size_reads_back(bytes in 0_u64..1 << 49) {
            let back = parse_bytes(&Bytes(bytes).to_string()).unwrap();
            prop_assert!(back.abs_diff(bytes) as f64 <= bytes as f64 * 0.005 + 0.5);
        }
    }
}

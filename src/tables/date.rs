//! A day of the calendar, four bytes wide.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A day, counted from 1970-01-01; days before it are negative. Written and read as `yyyy-MM-dd`, years 0000 to 9999.
///
/// ```
/// use millrace::tables::Date;
///
/// assert_eq!(Date::parse(b"1970-02-01").unwrap().days(), 31);
/// assert!(Date::parse(b"1980-02-30").is_none());
/// assert!(Date::parse(b"1969-12-31") < Date::parse(b"1970-01-01"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Date(i32);

impl Date {
    /// The name under which serde asks for a date: how a plan tells one from any other newtype.
    pub(crate) const SERDE_NAME: &'static str = "$millrace::Date";

    /// The day this many days after 1970-01-01.
    pub const fn from_days(days: i32) -> Self {
        Date(days)
    }

    /// A day that a query names, in a constant: one that the calendar does not have fails to compile there, and panics elsewhere.
    ///
    /// ```
    /// use millrace::tables::Date;
    ///
    /// const UNTIL: Date = Date::new(1998, 9, 2);
    /// assert_eq!(UNTIL.to_string(), "1998-09-02");
    /// ```
    ///
    /// ```compile_fail
    /// const UNTIL: millrace::tables::Date = millrace::tables::Date::new(1998, 2, 30);
    /// # let _ = UNTIL;
    /// ```
    #[allow(clippy::missing_panics_doc)] // Its first sentence tells.
    pub const fn new(year: u16, month: u8, day: u8) -> Self {
        match Self::from_calendar(year, month, day) {
            Some(date) => date,
            None => panic!("the calendar has no such day"),
        }
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// A day from its year, month and day of the month; `None` if the calendar has no such day.
    #[inline]
    pub const fn from_calendar(year: u16, month: u8, day: u8) -> Option<Self> {
        if is_day(year, month, day) { Some(Self::of_calendar(year, month, day)) } else { None }
    }

    /// The same for a day that the calendar has.
    #[inline]
    const fn of_calendar(year: u16, month: u8, day: u8) -> Self {
        // Years that begin in March put the leap day last, so that a month's first day is a linear formula.
        let (year, month, day) = (year as i32, month as i32, day as i32);
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let century = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * month + 2) / 5 + day - 1;
        Date(century * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH)
    }

    /// Reads `yyyy-MM-dd`; `None` if the text is anything else or the calendar has no such day.
    #[inline]
    pub const fn parse(text: &[u8]) -> Option<Self> {
        match Self::parse_calendar(text) {
            Some((year, month, day)) => Some(Self::of_calendar(year, month, day)),
            None => None,
        }
    }

    /// The same as year, month and day of the month: in that order, they compare as days do, and cost half as much.
    #[inline]
    pub(crate) const fn parse_calendar(text: &[u8]) -> Option<(u16, u8, u8)> {
        let [y1, y2, y3, y4, dash, m1, m2, another, d1, d2] = *text else { return None };
        if dash != b'-' || another != b'-' {
            return None;
        }
        // All digits at once, the first in the lowest byte.
        let digits = u64::from_le_bytes([y1, y2, y3, y4, m1, m2, d1, d2]) ^ (ONES * b'0' as u64);
        if (digits.wrapping_add(ONES * 0x76) | digits) & (ONES * 0x80) != 0 {
            return None;
        }
        // In every other byte, two of them as a number, of 0 to 99.
        let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8).to_le_bytes();
        let (year, month, day) = (pairs[0] as u16 * 100 + pairs[2] as u16, pairs[4], pairs[6]);
        if is_day(year, month, day) { Some((year, month, day)) } else { None }
    }

    /// Year, month and day of the month.
    pub const fn calendar(self) -> (i32, u8, u8) {
        let shifted = self.0 as i64 + EPOCH as i64;
        let era = shifted.div_euclid(146_097);
        let of_era = shifted.rem_euclid(146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        ((year + era * 400 + carry) as i32, month as u8, day as u8)
    }
}

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i32 = 719_468;

/// One in each byte.
const ONES: u64 = u64::from_ne_bytes([1; 8]);

/// Whether the calendar has such a day.
const fn is_day(year: u16, month: u8, day: u8) -> bool {
    // Every month has 28 days: most need no look at how many theirs has.
    year <= 9999 && month >= 1 && month <= 12 && day >= 1 && (day <= 28 || day <= days_in(year, month))
}

const fn days_in(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.calendar();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Date {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        Date::parse(text.as_bytes()).ok_or("not a day of the calendar, written as 1980-01-31")
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_newtype_struct(Self::SERDE_NAME, &self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Date {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(Self::SERDE_NAME, DateVisitor)
    }
}

struct DateVisitor;

impl<'de> Visitor<'de> for DateVisitor {
    type Value = Date;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a day written yyyy-MM-dd")
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Date, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_bytes(self)
        } else {
            i32::deserialize(deserializer).map(Date)
        }
    }

    #[inline]
    fn visit_bytes<E: de::Error>(self, text: &[u8]) -> Result<Date, E> {
        Date::parse(text).ok_or_else(|| refuse(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Date, E> {
        self.visit_bytes(text.as_bytes())
    }

    fn visit_i32<E: de::Error>(self, days: i32) -> Result<Date, E> {
        Ok(Date(days))
    }
}

#[cold]
fn refuse<E: de::Error>(text: &[u8]) -> E {
    E::custom(format_args!("`{}` is not a day written yyyy-MM-dd", crate::BadRecord::shorten(text)))
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn every_day_of_ten_thousand_years_goes_there_and_back() {
        let first = Date::parse(b"0000-01-01").unwrap();
        let last = Date::parse(b"9999-12-31").unwrap();
        assert_eq!((first.days(), last.days()), (-719_528, 2_932_896));
        for days in first.days()..=last.days() {
            let date = Date::from_days(days);
            let (year, month, day) = date.calendar();
            assert_eq!(Date::from_calendar(u16::try_from(year).unwrap(), month, day), Some(date));
        }
        assert_eq!(Date::parse(first.to_string().as_bytes()), Some(first));
    }

    #[test]
    fn known_days() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("1969-12-31", -1),
            ("2000-02-29", 11_016),
            ("1600-02-29", -135_081),
            ("2012-05-01", 15_461),
        ] {
            let date = Date::parse(text.as_bytes()).unwrap();
            assert_eq!(date.days(), days, "{text}");
            assert_eq!(date.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in [
            "",
            "1970-1-1",
            "1970-13-01",
            "1970-00-01",
            "1970-01-00",
            "1970-01-32",
            "1900-02-29",
            "1970/01/01",
            "1970-01-01 ",
            "+970-01-01",
            "197a-01-01",
            "1970-0:-01",
        ] {
            assert_eq!(Date::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_byte_at_every_place_is_read_as_by_hand() {
        // Catches digits that are looked at together and spoil one another, and days that a month has not.
        for day in ["1987-06-25", "2000-02-28", "1999-12-31"] {
            for (place, byte) in (0..day.len()).flat_map(|place| (0..=u8::MAX).map(move |byte| (place, byte)))
            {
                let mut text = day.as_bytes().to_vec();
                text[place] = byte;
                let parts: Vec<_> = text.split(|byte| *byte == b'-').collect();
                let numbers = parts.iter().map(|part| {
                    let is_digits = part.iter().all(u8::is_ascii_digit);
                    str::from_utf8(part).ok().filter(|_| is_digits)?.parse::<u16>().ok()
                });
                let is_long_enough = parts.iter().map(|part| part.len()).eq([4, 2, 2]);
                let by_hand = match numbers.collect::<Option<Vec<_>>>().as_deref() {
                    Some(&[year, month, day]) if is_long_enough => {
                        Date::from_calendar(year, month as u8, day as u8)
                    }
                    _ => None,
                };
                assert_eq!(Date::parse(&text), by_hand, "{text:?}");
            }
        }
    }

    #[test]
    fn serde_writes_text_for_people_and_days_for_machines() {
        let date = Date::from_days(-1);
        let text = serde_json::to_string(&date).unwrap();
        assert_eq!(text, "\"1969-12-31\"");
    }
}

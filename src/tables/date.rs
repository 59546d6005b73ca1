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

    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// A day from its year, month and day of the month; `None` if the calendar has no such day.
    #[inline]
    pub const fn from_calendar(year: u16, month: u8, day: u8) -> Option<Self> {
        if year > 9999 || month == 0 || month > 12 || day == 0 || day > days_in(year, month) {
            return None;
        }
        // Years that begin in March put the leap day last, so that a month's first day is a linear formula.
        let (year, month, day) = (year as i32, month as i32, day as i32);
        let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let century = year.div_euclid(400);
        let of_era = year.rem_euclid(400);
        let of_year = (153 * month + 2) / 5 + day - 1;
        Some(Date(century * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH))
    }

    /// Reads `yyyy-MM-dd`; `None` if the text is anything else or the calendar has no such day.
    #[inline]
    pub const fn parse(text: &[u8]) -> Option<Self> {
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
        let digits = [y1, y2, y3, y4, m1, m2, d1, d2];
        let mut index = 0;
        while index < digits.len() {
            if !digits[index].is_ascii_digit() {
                return None;
            }
            index += 1;
        }
        Self::from_calendar(pair(y1, y2) as u16 * 100 + pair(y3, y4) as u16, pair(m1, m2), pair(d1, d2))
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

/// Two digits as a number.
const fn pair(tens: u8, ones: u8) -> u8 {
    (tens - b'0') * 10 + (ones - b'0')
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
    fn serde_writes_text_for_people_and_days_for_machines() {
        let date = Date::from_days(-1);
        let text = serde_json::to_string(&date).unwrap();
        assert_eq!(text, "\"1969-12-31\"");
    }
}

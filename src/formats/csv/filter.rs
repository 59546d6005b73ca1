//! Which rows of text a query may want, by the fields that its ranges name: these are read before any other of a row.

use std::ops::{Bound, RangeBounds};

use super::field::FieldDeserializer;
use super::number::{parse_f32, parse_f64, parse_i64};
use crate::formats::columns::{ColumnRange, Value, Wanted};
use crate::formats::row::Fields;
use crate::tables::{ColumnType, Date, Table};

/// The ranges of a query that can be compared with what it reads, each with the place of its column among the fields that are read.
///
/// A field that is no value of its column stays, with its row: the query's struct says what that means. A row is left out
/// wherever it lies, so that what else is wrong with it is told by no reader, or by all.
#[derive(Debug)]
pub(crate) struct FieldFilter(Vec<(usize, FieldRange)>);

/// The values of a column among which a query's rows are.
#[derive(Debug)]
enum FieldRange {
    Int(Ends<i64>),
    Float(Ends<f32>),
    Double(Ends<f64>),
    /// Of days in the order of their year, month and day.
    Date(Ends<i64>),
    Text(Ends<Vec<u8>>),
}

type Ends<T> = (Bound<T>, Bound<T>);

impl FieldFilter {
    /// Of the ranges, those of columns that are read as they are.
    pub(crate) fn new(table: &Table, wanted: &[Wanted], ranges: &[ColumnRange]) -> Self {
        let of_field = |range: &ColumnRange| {
            Some((range.place_in(wanted)?, FieldRange::of(table.columns[range.column].kind, range)))
        };
        FieldFilter(ranges.iter().filter_map(of_field).collect())
    }

    /// Whether a row is outside of a range.
    #[inline]
    pub(super) fn leaves_out<'a>(&self, row: impl Fields<'a, Field = FieldDeserializer<'a>>) -> bool {
        self.0.iter().any(|(place, range)| range.excludes(row.field(*place).text))
    }
}

impl FieldRange {
    fn of(kind: ColumnType, range: &ColumnRange) -> Self {
        macro_rules! ends {
            ($kind:ident) => {{
                let (from, to) =
                    range.ends(|of| if let Value::$kind(value) = of { Some(value) } else { None });
                (from.cloned(), to.cloned())
            }};
        }
        match kind {
            ColumnType::Int | ColumnType::Long => FieldRange::Int(ends!(Int)),
            ColumnType::Float => FieldRange::Float(ends!(Float)),
            ColumnType::Double => FieldRange::Double(ends!(Double)),
            ColumnType::Date => {
                let (from, to) = ends!(Date);
                let number = |days| {
                    let (year, month, day) = Date::from_days(days).calendar();
                    day_number(year, month, day)
                };
                FieldRange::Date((from.map(number), to.map(number)))
            }
            ColumnType::Text => FieldRange::Text(ends!(Text)),
        }
    }

    /// Whether the text is a value of the column that is outside of the range.
    #[inline]
    fn excludes(&self, text: &[u8]) -> bool {
        match self {
            FieldRange::Int(ends) => parse_i64(text).is_some_and(|value| is_outside(&value, ends)),
            FieldRange::Float(ends) => parse_f32(text).is_some_and(|value| is_outside(&value, ends)),
            FieldRange::Double(ends) => parse_f64(text).is_some_and(|value| is_outside(&value, ends)),
            FieldRange::Date(ends) => Date::parse_calendar(text)
                .is_some_and(|(year, month, day)| is_outside(&day_number(year.into(), month, day), ends)),
            FieldRange::Text((from, to)) => {
                let ends = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
                !RangeBounds::<[u8]>::contains(&ends, text)
            }
        }
    }
}

/// A number that grows with the days, though not by one.
#[inline]
fn day_number(year: i32, month: u8, day: u8) -> i64 {
    (i64::from(year) << 16) | (i64::from(month) << 8) | i64::from(day)
}

/// Whether a value lies beyond an end; NaN lies beyond none.
#[inline]
fn is_outside<T: PartialOrd>(value: &T, (from, to): &Ends<T>) -> bool {
    let below = match from {
        Bound::Included(from) => value < from,
        Bound::Excluded(from) => value <= from,
        Bound::Unbounded => false,
    };
    let above = match to {
        Bound::Included(to) => value > to,
        Bound::Excluded(to) => value >= to,
        Bound::Unbounded => false,
    };
    below | above
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded<'a>(
        kind: ColumnType,
        from: Bound<Value>,
        to: Bound<Value>,
        texts: &[&'a str],
    ) -> Vec<&'a str> {
        let range = FieldRange::of(kind, &ColumnRange { column: 0, from, to });
        texts.iter().copied().filter(|text| range.excludes(text.as_bytes())).collect()
    }

    #[test]
    fn values_outside_are_left_out_and_what_is_no_value_stays() {
        use Bound::{Excluded, Included, Unbounded};
        let int = |value| Value::Int(value);
        let numbers = ["-1", "0", "1", "2", "3", "", "x", "1.5", "99999999999999999999"];
        assert_eq!(excluded(ColumnType::Int, Included(int(0)), Excluded(int(2)), &numbers), ["-1", "2", "3"]);
        assert_eq!(
            excluded(ColumnType::Long, Excluded(int(0)), Included(int(2)), &numbers),
            ["-1", "0", "3"]
        );
        assert_eq!(excluded(ColumnType::Int, Unbounded, Unbounded, &numbers), [""; 0]);
        // Of another type than the column: it says nothing.
        assert_eq!(excluded(ColumnType::Int, Included(Value::Float(5.0)), Unbounded, &numbers), [""; 0]);

        let floats = ["-1", "1.5", "2e3", "NaN", "inf", ""];
        let (one, ten) = (Value::Float(1.0), Value::Float(10.0));
        assert_eq!(excluded(ColumnType::Float, Included(one), Excluded(ten), &floats), ["-1", "2e3", "inf"]);
        let (one, ten) = (Value::Double(1.5), Value::Double(2e3));
        assert_eq!(excluded(ColumnType::Double, Excluded(one), Included(ten), &floats), ["-1", "1.5", "inf"]);

        let day = |text: &str| Value::Date(Date::parse(text.as_bytes()).expect("a day").days());
        let days = ["1979-12-31", "1980-01-01", "1980-03-31", "1980-04-01", "1980-02-30", "80-01-01"];
        assert_eq!(
            excluded(ColumnType::Date, Included(day("1980-01-01")), Excluded(day("1980-04-01")), &days),
            ["1979-12-31", "1980-04-01"]
        );

        let text = |text: &str| Value::Text(text.into());
        assert_eq!(
            excluded(ColumnType::Text, Excluded(text("a")), Included(text("b")), &["", "a", "aa", "b", "ba"]),
            ["", "a", "ba"]
        );
    }
}

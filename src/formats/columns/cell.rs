//! One value of a batch as serde asks for it.

use std::fmt;

use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::BadRecord;
use crate::formats::csv::FieldDeserializer;
use crate::formats::field_error::{FieldError, narrowed};
use crate::tables::Date;

/// A value, or that there is none. Only an `Option` takes the latter: an empty text is a value, as it is not in delimited text.
#[derive(Debug, Clone, Copy)]
pub(in crate::formats) enum Cell<'a> {
    Null,
    Int(i64),
    Float(f32),
    Double(f64),
    Date(i32),
    Text(&'a [u8]),
}

/// The bytes of a value.
pub(super) enum Hashed<'a> {
    Number([u8; 8]),
    Text(&'a [u8]),
}

impl AsRef<[u8]> for Hashed<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Hashed::Number(bytes) => bytes,
            Hashed::Text(text) => text,
        }
    }
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Cell::Null => f.write_str("null"),
            Cell::Int(value) => value.fmt(f),
            Cell::Float(value) => value.fmt(f),
            Cell::Double(value) => value.fmt(f),
            Cell::Date(days) => Date::from_days(days).fmt(f),
            Cell::Text(text) => f.write_str(&BadRecord::shorten(text)),
        }
    }
}

impl<'a> Cell<'a> {
    /// What is hashed of it: the same for values that are the same in every format. Delimited text cannot tell no text from an
    /// empty one, so neither does the hash.
    #[inline]
    pub(super) fn hashed(self) -> Hashed<'a> {
        match self {
            Cell::Null => Hashed::Text(&[]),
            Cell::Int(value) => Hashed::Number(value.to_le_bytes()),
            // All NaNs are one text.
            Cell::Float(value) if value.is_nan() => Hashed::Number([u8::MAX; 8]),
            Cell::Float(value) => Hashed::Number(u64::from(value.to_bits()).to_le_bytes()),
            Cell::Double(value) if value.is_nan() => Hashed::Number([u8::MAX; 8]),
            Cell::Double(value) => Hashed::Number(value.to_bits().to_le_bytes()),
            Cell::Date(days) => Hashed::Number(i64::from(days).to_le_bytes()),
            Cell::Text(text) => Hashed::Text(text),
        }
    }

    #[cold]
    fn unreadable(self, wanted: &str) -> FieldError {
        FieldError::new(match self {
            Cell::Null => format!("there is no value (null), expected {wanted}; an Option takes none"),
            other => format!("cannot read `{other}` as {wanted}"),
        })
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $integer:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
            if let Cell::Int(value) = self && let Ok(value) = $integer::try_from(value) {
                return visitor.$visit(value);
            }
            Err(self.unreadable(stringify!($integer)))
        }
    )*};
}

macro_rules! texts {
    ($($method:ident ($($argument:ident: $type:ty),*) $wanted:literal)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, FieldError> {
            match self {
                Cell::Text(text) => FieldDeserializer::of_text(text).$method($($argument,)* visitor),
                other => Err(other.unreadable($wanted)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = FieldError;

    integers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_i128 visit_i128 i128
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_u128 visit_u128 u128
    }

    texts! {
        deserialize_bool() "bool (true or false)"
        deserialize_char() "one character"
        deserialize_bytes() "text"
        deserialize_byte_buf() "text"
        deserialize_str() "text"
        deserialize_string() "text"
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) "text"
    }

    #[inline]
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self {
            Cell::Float(value) => visitor.visit_f32(value),
            // Rounded, as a double in text is.
            Cell::Double(value) => visitor.visit_f32(narrowed(value).map_err(FieldError::new)?),
            other => Err(other.unreadable("f32")),
        }
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self {
            Cell::Float(value) => visitor.visit_f64(f64::from(value)),
            Cell::Double(value) => visitor.visit_f64(value),
            other => Err(other.unreadable("a float")),
        }
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        if let Cell::Null = self { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        match self {
            Cell::Date(days) => visitor.visit_newtype_struct(Days(days)),
            Cell::Null if name == Date::SERDE_NAME => Err(self.unreadable("a day")),
            other => visitor.visit_newtype_struct(other),
        }
    }

    /// The plan refuses every other shape before a row is read, see `input::probe`.
    #[cold]
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldError> {
        Err(self.unreadable("a nested value"))
    }

    forward_to_deserialize_any! { unit unit_struct seq tuple tuple_struct map struct identifier ignored_any }
}

/// What a [`Date`] is made of.
struct Days(i32);

impl<'de> Deserializer<'de> for Days {
    type Error = FieldError;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_i32(self.0)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, Column, Texts, Values};
    use crate::tables::Date;

    crate::row! {
        struct Kinds<'a> {
            text: &'a str,
            rank: i16,
            revenue: f64,
            day: Date,
            maybe: Option<u8>,
        }
    }

    fn batch(rank: i64, maybe: bool) -> Batch {
        let all = |values| Column { values, present: Vec::new() };
        let texts = Texts { bytes: b"apple\xff".to_vec().into(), spans: vec![(1, 3), (0, 6)] };
        Batch {
            rows: 2,
            columns: vec![
                all(Values::Text(texts)),
                all(Values::Int(vec![rank, 1])),
                all(Values::Float(vec![0.1, -0.0])),
                all(Values::Date(vec![-1, 0])),
                Column { values: Values::Int(vec![7, 0]), present: vec![maybe, true] },
            ],
        }
    }

    /// A row that could not be read: which, by which field, and why.
    type Fault = (usize, Option<usize>, String);

    /// The rows that could be read, and then why one could not.
    fn read(batch: &Batch) -> (Vec<String>, Option<Fault>) {
        let mut rows = Vec::new();
        let mut emit = |row: Kinds<'_>| {
            rows.push(format!("{} {} {} {} {:?}", row.text, row.rank, row.revenue, row.day, row.maybe));
        };
        let fault = batch
            .read::<Kinds<'_>, _>(std::slice::from_ref(&(0..batch.rows)), 0..batch.rows, &mut emit)
            .err()
            .map(|(row, error)| {
                let (field, reason) = error.into_parts();
                (row, field, reason)
            });
        (rows, fault)
    }

    #[test]
    fn values_come_as_the_struct_asks_and_misfits_are_named() {
        let first = "pp -5 0.10000000149011612 1969-12-31 Some(7)".to_owned();
        let (rows, fault) = read(&batch(-5, true));
        assert_eq!(rows, std::slice::from_ref(&first));
        assert_eq!(fault, Some((1, Some(0), "cannot read `apple\\xff` as UTF-8 text".to_owned())));

        let (rows, _) = read(&batch(-5, false));
        assert_eq!(rows, [first.replace("Some(7)", "None")]);

        let (rows, fault) = read(&batch(40_000, true));
        assert_eq!((rows.len(), fault), (0, Some((0, Some(1), "cannot read `40000` as i16".to_owned()))));

        let mut without = batch(1, true);
        without.columns[3].present = vec![false, true];
        let reason = "there is no value (null), expected a day; an Option takes none";
        assert_eq!(read(&without).1, Some((0, Some(3), reason.to_owned())));
    }
}

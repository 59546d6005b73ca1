//! Why a value does not make the field of a query's struct, or is none of its column, whatever the format.

use std::fmt;

use serde::de;

use crate::BadRecord;

/// Of a number that an `int` column cannot have.
#[cold]
pub(in crate::formats) fn beyond_int(value: impl fmt::Display) -> String {
    format!("{value} is beyond the 32 bits of an int column; a long one has 64")
}

/// The float that is nearest to a double; none where that would be infinite and the double is not.
#[inline]
pub(in crate::formats) fn narrowed(value: f64) -> Result<f32, String> {
    #[cold]
    fn beyond(value: f64) -> String {
        format!("{value:?} is beyond the range of f32; f64 has it")
    }
    let float = value as f32;
    if float.is_infinite() && value.is_finite() { Err(beyond(value)) } else { Ok(float) }
}

/// Why a row's text does not make the query's struct. A thin pointer, so that the good way pays nothing for it.
#[derive(Debug)]
pub(in crate::formats) struct FieldError(Box<Detail>);

#[derive(Debug)]
struct Detail {
    /// Which field of the struct is to blame, once known.
    field: Option<usize>,
    reason: String,
}

impl FieldError {
    #[cold]
    pub(in crate::formats) fn new(reason: String) -> Self {
        FieldError(Box::new(Detail { field: None, reason }))
    }

    #[cold]
    pub(in crate::formats) fn unreadable(text: &[u8], wanted: &str) -> Self {
        if text.is_empty() {
            return Self::new(format!("the field is empty, expected {wanted}"));
        }
        Self::new(format!("cannot read `{}` as {wanted}", BadRecord::shorten(text)))
    }

    /// Says which field of the struct it was.
    #[cold]
    pub(in crate::formats) fn of_field(mut self, field: usize) -> Self {
        self.0.field.get_or_insert(field);
        self
    }

    /// The struct's field to blame, and what was wrong with it.
    pub(in crate::formats) fn into_parts(self) -> (Option<usize>, String) {
        (self.0.field, self.0.reason)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.reason)
    }
}

impl std::error::Error for FieldError {}

impl de::Error for FieldError {
    #[cold]
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::new(reason.to_string())
    }
}

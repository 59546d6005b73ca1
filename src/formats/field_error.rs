//! Why a field of a row does not make the query's struct, whatever the format.

use std::fmt;

use serde::de;

use crate::BadRecord;

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

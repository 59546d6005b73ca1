//! One row as the query's struct: serde asks for the fields in the struct's order and gets what a format has there.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::csv::FieldDeserializer;
use super::field_error::FieldError;
use crate::input::Row;

/// Where a row's wanted fields lie, in the struct's order.
pub(super) trait Fields<'a>: Copy {
    /// What reads one field.
    type Field: Deserializer<'a, Error = FieldError>;

    /// How many fields the struct has.
    fn count(self) -> usize;
    /// The struct's field `index`.
    fn field(self, index: usize) -> Self::Field;
}

/// What rows of text are read into.
pub(super) trait TakeRow {
    /// Takes one row, or says why it does not fit and takes nothing.
    fn take<'a>(&mut self, fields: impl Fields<'a, Field = FieldDeserializer<'a>>) -> Result<(), FieldError>;
}

/// Gives each row to a closure, as a query's struct.
pub(super) struct EachRow<R, F> {
    emit: F,
    row: PhantomData<fn() -> R>,
}

impl<R: Row, F: FnMut(R::Of<'_>)> EachRow<R, F> {
    pub(super) fn new(emit: F) -> Self {
        EachRow { emit, row: PhantomData }
    }
}

impl<R: Row, F: FnMut(R::Of<'_>)> TakeRow for EachRow<R, F> {
    #[inline]
    fn take<'a>(&mut self, fields: impl Fields<'a, Field = FieldDeserializer<'a>>) -> Result<(), FieldError> {
        <R::Of<'a>>::deserialize(RowDeserializer::<_, F>::new(fields)).map(&mut self.emit)
    }
}

/// Reads a struct out of the wanted fields of a row.
///
/// `Caller` is a type that only one loop knows, such as that of its closure. What serde derives for a struct cannot be marked
/// for inlining; but made anew for each caller, it is called from one place, and that makes it a part of the loop.
pub(super) struct RowDeserializer<F, Caller> {
    fields: F,
    caller: PhantomData<fn() -> Caller>,
}

impl<F, Caller> RowDeserializer<F, Caller> {
    #[inline]
    pub(super) fn new(fields: F) -> Self {
        RowDeserializer { fields, caller: PhantomData }
    }
}

impl<'de, F: Fields<'de>, Caller> Deserializer<'de> for RowDeserializer<F, Caller> {
    type Error = FieldError;

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_seq(FieldSequence { row: self, next: 0 })
    }

    /// The plan refuses whatever is not a struct before a row is read, see `input::probe`.
    #[cold]
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldError> {
        Err(de::Error::custom("a row is a struct with named fields"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct FieldSequence<F, Caller> {
    row: RowDeserializer<F, Caller>,
    next: usize,
}

impl<'a, F: Fields<'a>, Caller> SeqAccess<'a> for FieldSequence<F, Caller> {
    type Error = FieldError;

    #[inline]
    fn next_element_seed<S: de::DeserializeSeed<'a>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, FieldError> {
        let index = self.next;
        if index == self.row.fields.count() {
            return Ok(None);
        }
        self.next += 1;
        match seed.deserialize(self.row.fields.field(index)) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(error.of_field(index)),
        }
    }
}

//! What a row struct looks like: its fields' names, and which type each asks for.
//!
//! serde has no way to list a struct, but a struct that is deserialised asks for its fields one after the other. So one
//! is, with made-up values, by a deserializer that only writes down what it is asked.

use std::fmt;

use serde::de::value::{BorrowedBytesDeserializer, BorrowedStrDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, SeqAccess, VariantAccess, Visitor,
};

use super::Row;
use crate::tables::Date;

/// What a field asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    /// As a Rust type, for messages.
    pub(super) spelled: &'static str,
}

/// Which family of types it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    Date,
    /// Text that only some values of have a meaning: a bool, a char, an enum.
    Choice,
}

/// The fields of a row struct, in its order.
#[derive(Debug, Default)]
pub(super) struct Shape {
    pub(super) names: &'static [&'static str],
    pub(super) asked: Vec<Asked>,
    /// The field whose turn it was last.
    pub(super) last: Option<usize>,
}

/// Why a type cannot be a row.
#[derive(Debug)]
pub(super) enum ProbeError {
    /// It asks for something that is no field of a table.
    Unsupported(&'static str),
    /// It does not like a made-up value.
    Refused(String),
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeError::Unsupported(what) => f.write_str(what),
            ProbeError::Refused(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for ProbeError {}

impl de::Error for ProbeError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        ProbeError::Refused(reason.to_string())
    }
}

/// Texts and integers to offer: a type that checks its values may like one of them.
const TEXTS: [&str; 4] = ["", "a", "0", "1970-01-01"];

/// Finds the shape of `R`. On failure there is what was learnt before it.
pub(super) fn shape_of<R: Row>() -> Result<Shape, (Shape, ProbeError)> {
    let mut rounds = TEXTS.len();
    let mut round = 0;
    let mut accepted = None;
    let mut refused = None;
    // An enum offers one variant a round, so that each is seen to carry no values.
    while round < rounds {
        let mut shape = Shape::default();
        let probe = Probe { shape: &mut shape, round, rounds: &mut rounds };
        match <R::Of<'static>>::deserialize(probe) {
            Ok(_) => accepted = Some(shape),
            Err(error @ ProbeError::Unsupported(_)) => return Err((shape, error)),
            Err(error) => refused = Some((shape, error)),
        }
        round += 1;
    }
    match (accepted, refused) {
        (Some(shape), _) => Ok(shape),
        (None, Some(refused)) => Err(refused),
        (None, None) => Ok(Shape::default()),
    }
}

struct Probe<'p> {
    shape: &'p mut Shape,
    round: usize,
    rounds: &'p mut usize,
}

macro_rules! unsupported {
    ($($method:ident ($($argument:ty),*) $what:literal)*) => {$(
        fn $method<V: Visitor<'static>>(self, $(_: $argument,)* _: V) -> Result<V::Value, ProbeError> {
            Err(ProbeError::Unsupported($what))
        }
    )*};
}

impl Deserializer<'static> for Probe<'_> {
    type Error = ProbeError;

    fn deserialize_struct<V: Visitor<'static>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        self.shape.names = names;
        visitor.visit_seq(self)
    }

    fn deserialize_any<V: Visitor<'static>>(self, _: V) -> Result<V::Value, ProbeError> {
        Err(ProbeError::Unsupported("it is no struct with named fields"))
    }

    unsupported! { deserialize_map() "it has a flattened field, or is a map" }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'static>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct enum identifier ignored_any
    }
}

impl SeqAccess<'static> for Probe<'_> {
    type Error = ProbeError;

    fn next_element_seed<S: DeserializeSeed<'static>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ProbeError> {
        self.shape.last = Some(self.shape.last.map_or(0, |last| last + 1));
        let probe = Probe { shape: self.shape, round: self.round, rounds: self.rounds };
        seed.deserialize(FieldProbe(probe)).map(Some)
    }
}

/// Offers a made-up value for one field.
struct FieldProbe<'p>(Probe<'p>);

impl FieldProbe<'_> {
    fn note(&mut self, kind: Kind, spelled: &'static str) {
        self.0.shape.asked.push(Asked { kind, spelled });
    }

    fn odd(&self) -> bool {
        self.0.round % 2 == 1
    }

    fn text(&self) -> &'static str {
        TEXTS[self.0.round % TEXTS.len()]
    }
}

macro_rules! offered {
    ($($method:ident $visit:ident $kind:ident $spelled:literal |$probe:ident| $value:expr;)*) => {$(
        fn $method<V: Visitor<'static>>(mut self, visitor: V) -> Result<V::Value, ProbeError> {
            self.note(Kind::$kind, $spelled);
            let $probe = self;
            visitor.$visit($value)
        }
    )*};
}

impl Deserializer<'static> for FieldProbe<'_> {
    type Error = ProbeError;

    offered! {
        deserialize_i8 visit_i8 Integer "i8" |probe| i8::from(probe.odd());
        deserialize_i16 visit_i16 Integer "i16" |probe| i16::from(probe.odd());
        deserialize_i32 visit_i32 Integer "i32" |probe| i32::from(probe.odd());
        deserialize_i64 visit_i64 Integer "i64" |probe| i64::from(probe.odd());
        deserialize_i128 visit_i128 Integer "i128" |probe| i128::from(probe.odd());
        deserialize_u8 visit_u8 Integer "u8" |probe| u8::from(probe.odd());
        deserialize_u16 visit_u16 Integer "u16" |probe| u16::from(probe.odd());
        deserialize_u32 visit_u32 Integer "u32" |probe| u32::from(probe.odd());
        deserialize_u64 visit_u64 Integer "u64" |probe| u64::from(probe.odd());
        deserialize_u128 visit_u128 Integer "u128" |probe| u128::from(probe.odd());
        deserialize_f32 visit_f32 Float "f32" |probe| f32::from(probe.odd());
        deserialize_f64 visit_f64 Float "f64" |probe| f64::from(probe.odd());
        deserialize_bytes visit_borrowed_bytes Text "&[u8]" |probe| probe.text().as_bytes();
        deserialize_byte_buf visit_borrowed_bytes Text "bytes" |probe| probe.text().as_bytes();
        deserialize_str visit_borrowed_str Text "&str" |probe| probe.text();
        deserialize_string visit_borrowed_str Text "String" |probe| probe.text();
        deserialize_bool visit_bool Choice "bool" |probe| probe.odd();
        deserialize_char visit_char Choice "char" |probe| (b'a' + (probe.0.round % 26) as u8) as char;
    }

    fn deserialize_option<V: Visitor<'static>>(self, visitor: V) -> Result<V::Value, ProbeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'static>>(
        mut self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        if name == Date::SERDE_NAME {
            self.note(Kind::Date, "Date");
            return visitor.visit_newtype_struct(BorrowedBytesDeserializer::new(b"1970-01-01"));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'static>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ProbeError> {
        self.note(Kind::Choice, "an enum");
        *self.0.rounds = variants.len().max(*self.0.rounds);
        if variants.is_empty() {
            return Err(ProbeError::Unsupported("an enum without variants"));
        }
        visitor.visit_enum(VariantProbe(variants[self.0.round % variants.len()]))
    }

    unsupported! {
        deserialize_any() "a value of any type"
        deserialize_unit() "a unit"
        deserialize_unit_struct(&'static str) "a unit"
        deserialize_seq() "a sequence (bytes are `&[u8]`)"
        deserialize_tuple(usize) "an array or a tuple"
        deserialize_tuple_struct(&'static str, usize) "a tuple"
        deserialize_map() "a map"
        deserialize_struct(&'static str, &'static [&'static str]) "a struct of its own"
        deserialize_identifier() "an identifier"
        deserialize_ignored_any() "a value of any type"
    }
}

struct VariantProbe(&'static str);

impl EnumAccess<'static> for VariantProbe {
    type Error = ProbeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'static>>(self, seed: S) -> Result<(S::Value, Self), ProbeError> {
        Ok((seed.deserialize(BorrowedStrDeserializer::<ProbeError>::new(self.0))?, self))
    }
}

const CARRIES_VALUES: ProbeError = ProbeError::Unsupported("an enum whose variants carry values");

impl VariantAccess<'static> for VariantProbe {
    type Error = ProbeError;

    fn unit_variant(self) -> Result<(), ProbeError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'static>>(self, _: S) -> Result<S::Value, ProbeError> {
        Err(CARRIES_VALUES)
    }

    fn tuple_variant<V: Visitor<'static>>(self, _: usize, _: V) -> Result<V::Value, ProbeError> {
        Err(CARRIES_VALUES)
    }

    fn struct_variant<V: Visitor<'static>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, ProbeError> {
        Err(CARRIES_VALUES)
    }
}

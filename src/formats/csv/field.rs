//! One field of text as the value its query asks for.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, Deserializer, EnumAccess, VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::number;
use crate::formats::field_error::{FieldError, beyond_int, narrowed};

/// Reads one field's text, quotes already taken off.
#[derive(Clone, Copy)]
pub(in crate::formats) struct FieldDeserializer<'a> {
    pub(in crate::formats) text: &'a [u8],
    /// Whether its column holds numbers of 64 bits: every format gives the same value, however wide the query's field is.
    pub(in crate::formats) is_wide: bool,
}

impl<'a> FieldDeserializer<'a> {
    /// A field that is no number.
    #[inline]
    pub(in crate::formats) fn of_text(text: &'a [u8]) -> Self {
        FieldDeserializer { text, is_wide: false }
    }

    /// What is not of the most frequent form. No part of the loop that reads rows.
    #[inline(never)]
    fn other_f32(self) -> Result<f32, FieldError> {
        let unreadable = || FieldError::unreadable(self.text, "f32");
        if self.is_wide {
            let double = number::parse_f64(self.text).ok_or_else(unreadable)?;
            return narrowed(double).map_err(FieldError::new);
        }
        number::longer_f32(self.text).ok_or_else(unreadable)
    }

    #[inline]
    fn as_str(self) -> Result<&'a str, FieldError> {
        std::str::from_utf8(self.text).map_err(|_| FieldError::unreadable(self.text, "UTF-8 text"))
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $integer:ident $parse:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
            match number::$parse(self.text).and_then(|value| $integer::try_from(value).ok()) {
                Some(value) if self.is_wide || i32::try_from(value).is_ok() => visitor.$visit(value),
                Some(value) => Err(FieldError::new(beyond_int(value))),
                None => Err(FieldError::unreadable(self.text, stringify!($integer))),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for FieldDeserializer<'de> {
    type Error = FieldError;

    integers! {
        deserialize_i8 visit_i8 i8 parse_i64
        deserialize_i16 visit_i16 i16 parse_i64
        deserialize_i32 visit_i32 i32 parse_i64
        deserialize_i64 visit_i64 i64 parse_i64
        deserialize_i128 visit_i128 i128 parse_i128
        deserialize_u8 visit_u8 u8 parse_u64
        deserialize_u16 visit_u16 u16 parse_u64
        deserialize_u32 visit_u32 u32 parse_u64
        deserialize_u64 visit_u64 u64 parse_u64
        deserialize_u128 visit_u128 u128 parse_u128
    }

    #[inline]
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let frequent = if self.is_wide { None } else { number::fraction_f32(self.text) };
        match frequent {
            Some(value) => visitor.visit_f32(value),
            None => visitor.visit_f32(self.other_f32()?),
        }
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let (value, expected) = if self.is_wide {
            (number::parse_f64(self.text), "f64")
        } else {
            (number::parse_f32(self.text).map(f64::from), "f32, widened to f64")
        };
        match value {
            Some(value) => visitor.visit_f64(value),
            None => Err(FieldError::unreadable(self.text, expected)),
        }
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self.text {
            b"true" => visitor.visit_bool(true),
            b"false" => visitor.visit_bool(false),
            other => Err(FieldError::unreadable(other, "bool (true or false)")),
        }
    }

    #[inline]
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let mut characters = self.as_str()?.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => visitor.visit_char(character),
            _ => Err(FieldError::unreadable(self.text, "one character")),
        }
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_borrowed_bytes(self.text)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_borrowed_bytes(self.text)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_borrowed_str(self.as_str()?)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_borrowed_str(self.as_str()?)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        if self.text.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_enum(self)
    }

    /// The plan refuses every other shape before a row is read, see `input::probe`.
    #[cold]
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldError> {
        Err(FieldError::unreadable(self.text, "a nested value"))
    }

    forward_to_deserialize_any! { unit unit_struct seq tuple tuple_struct map struct identifier ignored_any }
}

impl<'a> EnumAccess<'a> for FieldDeserializer<'a> {
    type Error = FieldError;
    type Variant = UnitVariant;

    #[inline]
    fn variant_seed<S: de::DeserializeSeed<'a>>(
        self,
        seed: S,
    ) -> Result<(S::Value, UnitVariant), FieldError> {
        Ok((seed.deserialize(BorrowedStrDeserializer::new(self.as_str()?))?, UnitVariant))
    }
}

/// The content of an enum's variant: there is none.
pub(in crate::formats) struct UnitVariant;

impl<'a> VariantAccess<'a> for UnitVariant {
    type Error = FieldError;

    #[inline]
    fn unit_variant(self) -> Result<(), FieldError> {
        Ok(())
    }

    fn newtype_variant_seed<S: de::DeserializeSeed<'a>>(self, _: S) -> Result<S::Value, FieldError> {
        Err(carries_values())
    }

    fn tuple_variant<V: Visitor<'a>>(self, _: usize, _: V) -> Result<V::Value, FieldError> {
        Err(carries_values())
    }

    fn struct_variant<V: Visitor<'a>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, FieldError> {
        Err(carries_values())
    }
}

#[cold]
fn carries_values() -> FieldError {
    FieldError::new("an enum's variant that carries values cannot be read from one field".to_owned())
}

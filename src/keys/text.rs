//! Texts as keys of a join: any bytes, of any length.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that lie in the value itself: those of most URLs.
const SHORT: usize = 102;

/// Bytes of any number, as a column has them: a key for joins where a [`Prefix`](super::Prefix) would cut it.
///
/// Up to 102 bytes make no allocation, neither when a text is made nor when it is read back, and all are written at
/// once. It takes 104 bytes wherever it is held as it is; what a join holds takes the text's length.
///
/// ```
/// use millrace::keys::Text;
///
/// let text = Text::new(b"mill.example/race");
/// assert_eq!(text.as_bytes(), b"mill.example/race");
/// assert_eq!(text, Text::new(&b"mill.example/race and more"[..17]));
/// ```
#[derive(Clone)]
pub struct Text(Bytes);

#[derive(Clone)]
enum Bytes {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Text {
    /// A copy of `text`.
    #[inline]
    pub fn new(text: &[u8]) -> Self {
        if text.len() > SHORT {
            return Text(Bytes::Long(text.into()));
        }
        let mut bytes = [0; SHORT];
        bytes[..text.len()].copy_from_slice(text);
        Text(Bytes::Short { length: text.len() as u8, bytes })
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { length, bytes } => &bytes[..*length as usize],
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl Hash for Text {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl Serialize for Text {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for Text {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Text::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::route_hash_of;

    #[test]
    fn texts_of_any_length_come_back_and_differ() {
        let long = [b"x".repeat(300), b"y".repeat(300)].concat();
        let texts: Vec<_> = (0..300)
            .step_by(if cfg!(miri) { 37 } else { 1 })
            .map(|length| &long[300 - length..300 + length / 2])
            .collect();
        for bytes in &texts {
            let text = Text::new(bytes);
            assert_eq!(text.as_bytes(), *bytes);
            let written = postcard::to_stdvec(&text).expect("bytes");
            assert_eq!(postcard::from_bytes::<Text>(&written).expect("own bytes"), text);
            assert_eq!(route_hash_of(&text), route_hash_of(bytes));
            assert_eq!(texts.iter().filter(|other| Text::new(other) == text).count(), 1);
        }
        assert_eq!(size_of::<Text>(), 104);
    }
}

//! Texts of any length that take no allocation while they are short: keys of a join, and values that travel with them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Prefix;

/// Bytes of any number, as a column has them: what a [`Prefix`](super::Prefix) would cut. Up to `SHORT` of them lie in the value itself.
///
/// So short ones make no allocation, neither when a text is made nor when it is read back, and all are written at once. The value
/// takes `SHORT` + 2 bytes wherever it is held as it is, rounded up to 8; what a join holds takes the text's length. `SHORT` is at
/// least 8, at most 254. Texts have the order of their bytes.
///
/// ```
/// use millrace::keys::Text;
///
/// let text = Text::new(b"mill.example/race");
/// assert_eq!(text.as_bytes(), b"mill.example/race");
/// assert_eq!(text, Text::new(&b"mill.example/race and more"[..17]));
/// ```
#[derive(Clone)]
pub struct InlineText<const SHORT: usize>(Bytes<SHORT>);

/// Texts as long as URLs mostly are: 104 bytes, an allocation for more than 102 characters.
pub type Text = InlineText<102>;

/// Texts as long as addresses mostly are: 24 bytes, an allocation for more than 22 characters.
pub type ShortText = InlineText<22>;

#[derive(Clone)]
enum Bytes<const SHORT: usize> {
    /// Zeros are behind the text.
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    Long(Box<[u8]>),
}

impl<const SHORT: usize> InlineText<SHORT> {
    /// A copy of `text`.
    #[inline]
    pub fn new(text: &[u8]) -> Self {
        const { assert!(SHORT >= 8 && SHORT < 255, "a length in a byte, and no room wasted") };
        if text.len() > SHORT {
            return InlineText(Bytes::Long(text.into()));
        }
        InlineText(Bytes::Short { length: text.len() as u8, bytes: Prefix::new(text, SHORT).0 })
    }

    /// [`Prefix::whole`] of the text.
    #[inline]
    pub(super) fn whole_prefix<const N: usize>(&self) -> Option<Prefix<N>> {
        if let Bytes::Short { length, bytes } = &self.0
            && let Some(padded) = bytes.first_chunk()
        {
            let length = *length as usize;
            let ends_in_zero = length > 0 && bytes.get(length - 1) == Some(&0);
            return (length <= N && !ends_in_zero).then_some(Prefix(*padded));
        }
        Prefix::whole(self.as_bytes())
    }

    /// The text of a prefix, without its padding.
    #[inline]
    pub(super) fn of_prefix<const N: usize>(prefix: Prefix<N>) -> Self {
        let text = prefix.as_bytes();
        if N > SHORT {
            return InlineText::new(text);
        }
        let mut bytes = [0; SHORT];
        bytes[..N].copy_from_slice(&prefix.0);
        InlineText(Bytes::Short { length: text.len() as u8, bytes })
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

impl<const SHORT: usize> PartialEq for InlineText<SHORT> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const SHORT: usize> Eq for InlineText<SHORT> {}

impl<const SHORT: usize> Ord for InlineText<SHORT> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl<const SHORT: usize> PartialOrd for InlineText<SHORT> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const SHORT: usize> Hash for InlineText<SHORT> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl<const SHORT: usize> fmt::Debug for InlineText<SHORT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl<const SHORT: usize> fmt::Display for InlineText<SHORT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl<const SHORT: usize> Serialize for InlineText<SHORT> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Asked first: a join writes each of its keys, and no one reads these.
        if serializer.is_human_readable()
            && let Ok(text) = str::from_utf8(self.as_bytes())
        {
            return serializer.serialize_str(text);
        }
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de, const SHORT: usize> Deserialize<'de> for InlineText<SHORT> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::route_hash_of;

    #[test]
    fn texts_of_any_length_come_back_and_differ() {
        assert_differ::<102>();
        assert_differ::<22>();
        assert_eq!((size_of::<Text>(), size_of::<ShortText>()), (104, 24));
    }

    fn assert_differ<const SHORT: usize>() {
        let long = [b"x".repeat(300), b"y".repeat(300)].concat();
        let texts: Vec<_> = (0..300)
            .step_by(if cfg!(miri) { 37 } else { 1 })
            .map(|length| &long[300 - length..300 + length / 2])
            .collect();
        for bytes in &texts {
            let text = InlineText::<SHORT>::new(bytes);
            assert_eq!(text.as_bytes(), *bytes);
            let written = postcard::to_stdvec(&text).expect("bytes");
            assert_eq!(postcard::from_bytes::<InlineText<SHORT>>(&written).expect("own bytes"), text);
            assert_eq!(route_hash_of(&text), route_hash_of(bytes));
            for other in &texts {
                let (order, other) = (bytes.cmp(other), InlineText::new(other));
                assert_eq!((text.cmp(&other), text == other), (order, order.is_eq()));
            }
        }
    }
}

//! Keys made of texts, and the plain bytes that stand for them while all their texts are short.

use std::hash::Hash;

use timely::ExchangeData;

use super::{InlineText, Key, Pair, Prefix};

/// Bytes of a text that is a fixed-width key: those of every IPv4 address.
const SHORT: usize = 16;

/// A text, or several texts and numbers, that are a key together: what [`reduce_by_text`](crate::operators::ReduceByText) groups by.
///
/// Keys of texts that are all short have plain bytes of a fixed width in their place, [`Self::Short`]: 16 for each text of up to 16
/// bytes that does not end in a zero byte, which a [`Prefix`] cannot tell from its padding. Others are what they are.
///
/// ```
/// use millrace::keys::{ShortText, TextKey};
///
/// let key = (ShortText::new(b"mill.example"), 7u32);
/// assert_eq!(key.shorten().map(TextKey::lengthen), Some(key));
/// assert_eq!((ShortText::new(b"a text of 18 bytes"), 7u32).shorten(), None);
/// ```
pub trait TextKey: ExchangeData + Hash + Eq {
    /// Stands for keys that are short.
    type Short: Key;

    /// What stands for this key, if it is short. Equal keys have equal ones, and different keys different ones.
    fn shorten(&self) -> Option<Self::Short>;

    /// The key that something stands for.
    fn lengthen(short: Self::Short) -> Self;
}

impl<const N: usize> TextKey for InlineText<N> {
    type Short = Prefix<SHORT>;

    #[inline]
    fn shorten(&self) -> Option<Self::Short> {
        self.whole_prefix()
    }

    #[inline]
    fn lengthen(short: Self::Short) -> Self {
        InlineText::of_prefix(short)
    }
}

impl<A: TextKey, B: TextKey> TextKey for (A, B) {
    type Short = Pair<A::Short, B::Short>;

    #[inline]
    fn shorten(&self) -> Option<Self::Short> {
        Some(Pair { key: self.0.shorten()?, value: self.1.shorten()? })
    }

    #[inline]
    fn lengthen(short: Self::Short) -> Self {
        (A::lengthen(short.key), B::lengthen(short.value))
    }
}

/// Numbers stand for themselves.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl TextKey for $number {
            type Short = $number;

            #[inline]
            fn shorten(&self) -> Option<$number> {
                Some(*self)
            }

            #[inline]
            fn lengthen(short: $number) -> $number {
                short
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64, i8, i16, i32, i64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Catches keys that one thing stands for, and one that does not come back.
        #[test]
        fn what_stands_for_a_key_is_as_good_as_the_key(
            texts in proptest::collection::vec(proptest::collection::vec(0u8..2, 0..20), 4),
            numbers: (u8, i64),
        ) {
            stands_for_it::<22>(&texts, numbers)?;
            // Shorter than what stands for it.
            stands_for_it::<8>(&texts, numbers)?;
        }
    }

    fn stands_for_it<const N: usize>(texts: &[Vec<u8>], numbers: (u8, i64)) -> Result<(), TestCaseError> {
        let text = |place: usize| InlineText::<N>::new(&texts[place]);
        let (one, other) = ((text(0), (numbers.0, text(1))), (text(2), (numbers.0, text(3))));
        let is_short = |place: usize| texts[place].len() <= SHORT && texts[place].last() != Some(&0);
        prop_assert_eq!(one.shorten().is_some(), is_short(0) && is_short(1));
        prop_assert_eq!(numbers.shorten().map(TextKey::lengthen), Some(numbers));
        if let (Some(short), Some(other_short)) = (one.shorten(), other.shorten()) {
            prop_assert_eq!(short == other_short, one == other);
            prop_assert_eq!(<(InlineText<N>, (u8, InlineText<N>))>::lengthen(short), one);
        }
        Ok(())
    }
}

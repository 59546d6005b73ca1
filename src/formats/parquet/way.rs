//! How the values of a column chunk are written, as people are told.

use super::codec::Codec;
use super::encodings::{self, PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY};
use super::thrift::Value;

/// The encodings of a column chunk's data pages, a bit each by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encodings(u32);

impl Encodings {
    /// By what a footer says of the chunk: of its pages, where it does, or of all that is in it.
    pub(super) fn of(meta: &Value<'_>) -> Self {
        let bit = |encoding: i64| u32::try_from(encoding).ok().and_then(|place| 1_u32.checked_shl(place));
        let is_data = |page: &&Value<'_>| matches!(page.int(1), Some(0 | 3));
        let of_pages = meta.list(13).iter().filter(is_data).filter_map(|page| bit(page.int(2)?));
        let found = of_pages.fold(0, |all, bit| all | bit);
        if found != 0 {
            return Encodings(found);
        }
        let number =
            |value: &Value<'_>| if let Value::I32(number) = value { bit((*number).into()) } else { None };
        let mut all = meta.list(2).iter().filter_map(number).fold(0, |all, bit| all | bit);
        // Levels are not values, and in front of indices, which have an encoding of their own, there is the dictionary.
        all &= !(1 << RLE | 1 << encodings::BIT_PACKED);
        if all & (1 << RLE_DICTIONARY | 1 << PLAIN_DICTIONARY) != 0 {
            all &= !(1 << PLAIN);
        }
        Encodings(all)
    }

    /// With the codec behind them, if there is one.
    pub(super) fn told(self, codec: Codec) -> String {
        let has = |number: &i64| self.0 >> number & 1 == 1;
        let name = |number: i64| match number {
            RLE_DICTIONARY | PLAIN_DICTIONARY => "dictionary".to_owned(),
            other => encodings::name(other).to_lowercase(),
        };
        let mut names: Vec<_> = (0..i64::from(u32::BITS)).filter(has).map(name).collect();
        names.sort();
        names.dedup();
        let mut told = names.join("/");
        if codec != Codec::Uncompressed {
            told += &format!("+{codec:?}").to_lowercase();
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_those_of_values() {
        let list = |numbers: &[i32]| Value::List(numbers.iter().map(|number| Value::I32(*number)).collect());
        let told = |meta: Vec<(i16, Value<'_>)>, codec| Encodings::of(&Value::Struct(meta)).told(codec);
        assert_eq!(told(vec![(2, list(&[0, 3]))], Codec::Uncompressed), "plain");
        assert_eq!(told(vec![(2, list(&[0, 3, 8]))], Codec::Snappy), "dictionary+snappy");
        assert_eq!(told(vec![(2, list(&[4, 2, 0]))], Codec::Gzip), "dictionary+gzip");
        assert_eq!(told(vec![(2, list(&[3, 5, 99, -1]))], Codec::Zstd), "delta_binary_packed+zstd");
        // Of its pages it is known which became plain when the dictionary was full.
        let pages = [(2, 0), (0, 8), (3, 0)].map(|(kind, encoding)| {
            Value::Struct(vec![(1, Value::I32(kind)), (2, Value::I32(encoding)), (3, Value::I32(1))])
        });
        let meta = vec![(2, list(&[0, 3, 8])), (13, Value::List(pages.into()))];
        assert_eq!(told(meta, Codec::Lz4Raw), "dictionary/plain+lz4raw");
    }
}

//! Probe records, as they came or as rows of bytes, and how the key of either is found in a table.

use std::borrow::Cow;
use std::hash::Hash;
use std::io::{self, Write};

use timely::ExchangeData;

use crate::Error;
use crate::exchange::Row;
use crate::keys::route_hash_of;

/// Whether two keys that are written differently are equal nevertheless, as their type says. It is asked only where their hashes are
/// equal.
pub(super) type SameKey = fn(&[u8], &[u8]) -> bool;

/// A probe record on its way to what a join makes of it.
pub(super) enum ProbeRecord<'a, K, P> {
    /// As it came: it did not leave its worker.
    Fresh(&'a (K, P)),
    /// As it was written where it left, or to wait.
    Written(Row<'a>),
}

impl<'a, K: ExchangeData + Clone, P: ExchangeData + Clone> ProbeRecord<'a, K, P> {
    /// The record, read if it was written.
    #[inline]
    pub(super) fn read(self) -> Result<Cow<'a, (K, P)>, Error> {
        Ok(match self {
            ProbeRecord::Fresh(record) => Cow::Borrowed(record),
            ProbeRecord::Written(row) => Cow::Owned((decode(row.key)?, decode(row.value)?)),
        })
    }
}

/// Reads a key or a value.
#[inline]
pub(super) fn decode<T: ExchangeData>(bytes: &[u8]) -> Result<T, Error> {
    postcard::from_bytes(bytes).map_err(|error| {
        Error::Data(format!("a {} of a join cannot be read back: {error}", std::any::type_name::<T>()))
    })
}

/// Whether two keys are equal that are written differently, as numbers are which are equal in some digits.
#[cold]
pub(super) fn is_same<K: ExchangeData + Eq>(one: &[u8], other: &[u8]) -> bool {
    matches!((decode::<K>(one), decode::<K>(other)), (Ok(one), Ok(other)) if one == other)
}

/// What a table is asked for: the key of a record.
pub(super) trait Sought {
    /// The hash of the key.
    fn hash(&self) -> u64;

    /// Whether the key of a row with the same hash is equal; `same` tells of two that are written differently.
    fn has_key_of(&self, row: Row<'_>, same: SameKey) -> bool;
}

impl Sought for Row<'_> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn has_key_of(&self, row: Row<'_>, same: SameKey) -> bool {
        row.key == self.key || same(row.key, self.key)
    }
}

/// A probe record as it came, and the hash of its key.
pub(super) struct Fresh<'a, K, P> {
    pub(super) record: &'a (K, P),
    hash: u64,
}

impl<'a, K: Hash, P> Fresh<'a, K, P> {
    #[inline]
    pub(super) fn new(record: &'a (K, P)) -> Self {
        Fresh { record, hash: route_hash_of(&record.0) }
    }
}

impl<K: ExchangeData + Eq, P> Sought for Fresh<'_, K, P> {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }

    #[inline]
    fn has_key_of(&self, row: Row<'_>, _: SameKey) -> bool {
        let key = &self.record.0;
        is_written_as(key, row.key) || is_equal(key, row.key)
    }
}

/// Whether a key would be written as these bytes: compared piece by piece, so that it is written nowhere.
#[inline]
fn is_written_as<K: ExchangeData>(key: &K, bytes: &[u8]) -> bool {
    postcard::to_io(key, Compared(bytes)).is_ok_and(|rest| rest.0.is_empty())
}

/// The same as [`is_same`] for a key that was not written.
#[cold]
fn is_equal<K: ExchangeData + Eq>(key: &K, bytes: &[u8]) -> bool {
    decode::<K>(bytes).is_ok_and(|other| *key == other)
}

/// A writer that takes nothing but these bytes.
struct Compared<'a>(&'a [u8]);

impl Write for Compared<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes).map(drop)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Text;
    use proptest::prelude::*;

    proptest! {
        /// Catches a key that is taken for one with which it merely begins, or for one that begins with it.
        #[test]
        fn a_key_is_written_as_its_own_bytes_only(
            one in proptest::collection::vec(0u8..3, 0..200),
            other in proptest::collection::vec(0u8..3, 0..200),
            numbers: (u32, Option<u64>),
        ) {
            let written = postcard::to_stdvec(&Text::new(&one)).expect("bytes");
            prop_assert!(is_written_as(&Text::new(&one), &written));
            prop_assert_eq!(is_written_as(&Text::new(&other), &written), one == other);
            prop_assert!(!is_written_as(&Text::new(&one), &written[..written.len() - 1]));
            prop_assert!(!is_written_as(&Text::new(&one), &[&written[..], &[0]].concat()));
            let written = postcard::to_stdvec(&numbers).expect("numbers");
            prop_assert!(is_written_as(&numbers, &written));
        }
    }

    #[test]
    fn keys_are_equal_as_their_type_says() {
        // Catches keys that are compared by nothing but their bytes.
        #[derive(Clone, serde::Serialize, serde::Deserialize)]
        struct LastDigit(u64);
        impl PartialEq for LastDigit {
            fn eq(&self, other: &Self) -> bool {
                self.0 % 10 == other.0 % 10
            }
        }
        impl Eq for LastDigit {}
        impl Hash for LastDigit {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                (self.0 % 10).hash(state);
            }
        }
        let key = postcard::to_stdvec(&LastDigit(13)).expect("a number");
        let row = Row { hash: 0, key: &key, value: &[] };
        for (number, expected) in [(13, true), (3, true), (1_003, true), (4, false)] {
            let record = (LastDigit(number), ());
            assert_eq!(Fresh::new(&record).has_key_of(row, is_same::<LastDigit>), expected, "{number}");
            let other = postcard::to_stdvec(&record.0).expect("a number");
            let written = Row { key: &other, ..row };
            assert_eq!(written.has_key_of(row, is_same::<LastDigit>), expected, "{number}, written");
        }
    }
}

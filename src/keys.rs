//! Keys of fixed width, the records that carry them, and the two hashes of these and of any other keys.
//!
//! A [`Key`] is plain bytes: it is copied, compared and hashed without following a pointer, lives inline in tables
//! and on the wire, and costs no allocation. Text becomes a key through [`Prefix`], or, whatever its length,
//! through [`Text`] and [`ShortText`].

mod text;
mod text_key;

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

use bytemuck::{Pod, Zeroable};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use text::{InlineText, ShortText, Text};
pub use text_key::TextKey;

/// What can be a key: plain bytes without padding that are equal exactly when the values are.
pub trait Key: Pod + Eq + Send + std::fmt::Debug {}

impl<K: Pod + Eq + Send + std::fmt::Debug> Key for K {}

/// The first `N` bytes, or fewer, of a text: what `SUBSTR(column, 1, X)` gives for an ASCII column and `X <= N`.
///
/// Shorter texts are padded with zero bytes, so zero bytes at the end of a text are not significant. Cost of
/// making one of 8 to 32 bytes: two loads and a shift for each eight bytes.
///
/// ```
/// use millrace::keys::Prefix;
///
/// let prefix = Prefix::<16>::new(b"203.0.113.77", 10);
/// assert_eq!(prefix.as_bytes(), b"203.0.113.");
/// assert_eq!(prefix, Prefix::new(b"203.0.113.200", 10));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
#[repr(transparent)]
pub struct Prefix<const N: usize>([u8; N]);

/// Prefixes that are longer are copied: a word takes some ten instructions, and most texts do not fill them.
const LONGEST_IN_WORDS: usize = 32;

impl<const N: usize> Prefix<N> {
    /// The first `length` bytes of `text`, at most `N`.
    #[inline]
    pub fn new(text: &[u8], length: usize) -> Self {
        let length = length.min(N);
        let mut bytes = [0; N];
        // Whole words instead of a copy of unknown length: that would be a call, and what it stores in parts is waited for when
        // the value is moved.
        if N < 8 || N > LONGEST_IN_WORDS {
            let length = length.min(text.len());
            bytes[..length].copy_from_slice(&text[..length]);
        } else if text.len() >= 8 {
            for (index, part) in bytes.chunks_mut(8).enumerate() {
                let start = index * 8;
                let word = word_at(text, start) & low_bytes(length.saturating_sub(start));
                part.copy_from_slice(&word.to_le_bytes()[..part.len()]);
            }
        } else if !text.is_empty() {
            let word = last_word(text, text.len()) & low_bytes(length);
            bytes[..8].copy_from_slice(&word.to_le_bytes());
        }
        Prefix(bytes)
    }

    /// All of `text`, where it has at most `N` bytes and the last one is not zero: what can be told from any other text.
    #[inline]
    pub fn whole(text: &[u8]) -> Option<Self> {
        (text.len() <= N && text.last() != Some(&0)).then(|| Prefix::new(text, N))
    }

    /// The text without its padding.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // Words first: byte by byte this would cost more than hashing the text does.
        let mut end = N;
        while let Some(word) = self.0[..end].last_chunk() {
            match u64::from_le_bytes(*word) {
                0 => end -= 8,
                word => return &self.0[..end - word.leading_zeros() as usize / 8],
            }
        }
        while end > 0 && self.0[end - 1] == 0 {
            end -= 1;
        }
        &self.0[..end]
    }
}

impl<const N: usize> AsRef<[u8]> for Prefix<N> {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl<const N: usize> std::fmt::Debug for Prefix<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

impl<const N: usize> std::fmt::Display for Prefix<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

/// As text where people read it, otherwise as bytes.
impl<const N: usize> Serialize for Prefix<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(self.as_bytes())
        }
    }
}

/// A field of a row struct, too: the first `N` bytes of a text column.
impl<'de, const N: usize> Deserialize<'de> for Prefix<N> {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(PrefixVisitor)
    }
}

struct PrefixVisitor<const N: usize>;

impl<const N: usize> Visitor<'_> for PrefixVisitor<N> {
    type Value = Prefix<N>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text")
    }

    #[inline]
    fn visit_bytes<E: serde::de::Error>(self, text: &[u8]) -> Result<Prefix<N>, E> {
        Ok(Prefix::new(text, N))
    }

    #[inline]
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Prefix<N>, E> {
        self.visit_bytes(text.as_bytes())
    }
}

/// The word of `text` that starts at byte `start`, zero past the end; `text` has at least eight bytes.
#[inline]
fn word_at(text: &[u8], start: usize) -> u64 {
    if let Some(word) = text.get(start..start + 8) {
        return u64::from_le_bytes(word.try_into().unwrap_or_default());
    }
    // The last eight bytes hold what is left; shift out those before `start`.
    let last = text.len() - 8;
    let word = u64::from_le_bytes(text[last..].try_into().unwrap_or_default());
    word.checked_shr((start - last) as u32 * 8).unwrap_or(0)
}

/// A mask of the lowest `count` bytes of a word.
#[inline]
fn low_bytes(count: usize) -> u64 {
    if count >= 8 { u64::MAX } else { (1 << (count * 8)) - 1 }
}

/// A record that crosses an exchange: a key and what is known of it, packed without padding so that its memory
/// is its wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, packed)]
pub struct Pair<K: Pod, V: Pod> {
    /// What it is routed and grouped by.
    pub key: K,
    /// What is merged under the key.
    pub value: V,
}

/// Multiplier of the folded multiplication: the fractional digits of the golden ratio, odd.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
/// Start of the hash that chooses worker and partition (digits of pi).
const ROUTE_SEED: u64 = 0x243F_6A88_85A3_08D3;
/// Start of the hash that chooses the place inside a table (further digits of pi).
const PLACE_SEED: u64 = 0x1319_8A2E_0370_7344;
/// Start of the hashes that divide a partition (further digits of pi).
const DIVIDE_SEED: u64 = 0xA409_3822_299F_31D0;

/// The hash that routes a key to a worker and a partition.
///
/// Seeds are fixed, so that a run can be repeated; an adversary who picks keys can therefore pick collisions.
#[inline]
pub fn route_hash<K: Key>(key: K) -> u64 {
    hash_bytes(bytemuck::bytes_of(&key), ROUTE_SEED)
}

/// The hash that places a key inside its partition's table. Were it the routing hash, all keys of a partition
/// would share its high bits and crowd one stretch of the table.
#[inline]
pub fn place_hash<K: Key>(key: K) -> u64 {
    hash_bytes(bytemuck::bytes_of(&key), PLACE_SEED)
}

/// Where a table starts to hash from to place its keys; [`place_hash`] is generation 0.
///
/// A table that is filled from another one needs another generation: a table is read in the order of its hash, and
/// keys that come in the order of the hash which places them crowd the front of a table that is still small.
pub(crate) fn place_seed(generation: usize) -> u64 {
    PLACE_SEED.wrapping_add((generation as u64).wrapping_mul(MULTIPLIER))
}

/// The hash that divides a partition which is too large for memory, and again what is too large of that: each `depth`
/// has its own, so that keys which were together are not so for ever.
#[inline]
pub fn dividing_hash<K: Key>(key: K, depth: usize) -> u64 {
    hash_bytes(bytemuck::bytes_of(&key), dividing_seed(depth))
}

fn dividing_seed(depth: usize) -> u64 {
    DIVIDE_SEED.wrapping_add((depth as u64).wrapping_mul(MULTIPLIER))
}

/// [`route_hash`] of a key that is not plain bytes.
#[inline]
pub fn route_hash_of(key: &(impl Hash + ?Sized)) -> u64 {
    BuildHasherDefault::<KeyHasher<ROUTE_SEED>>::new().hash_one(key)
}

/// [`place_hash`] of a key that is not plain bytes, as a [`PlaceHasher`] gives it.
#[inline]
pub fn place_hash_of(key: &(impl Hash + ?Sized)) -> u64 {
    PlaceHasher::new().hash_one(key)
}

/// [`dividing_hash`] of a key that is not plain bytes.
#[inline]
pub fn dividing_hash_of(key: &(impl Hash + ?Sized), depth: usize) -> u64 {
    let mut hasher = KeyHasher::<DIVIDE_SEED>(dividing_seed(depth));
    key.hash(&mut hasher);
    hasher.finish()
}

/// Places keys that are not plain bytes inside a [`HashMap`](std::collections::HashMap), independent of where
/// [`route_hash_of`] sends them.
pub type PlaceHasher = BuildHasherDefault<KeyHasher<PLACE_SEED>>;

/// The hash of plain bytes, for any [`Hash`]. Where the standard library's hashers start at random or are slow,
/// this one starts from a constant.
#[derive(Debug, Clone)]
pub struct KeyHasher<const SEED: u64>(u64);

impl<const SEED: u64> Default for KeyHasher<SEED> {
    fn default() -> Self {
        KeyHasher(SEED)
    }
}

impl<const SEED: u64> Hasher for KeyHasher<SEED> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        // The length too, in the byte that a last, shorter word leaves empty: zero bytes at the end are significant.
        self.0 = hash_bytes(bytes, self.0 ^ (bytes.len() as u64) << 56);
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        self.0 = fold(self.0 ^ word);
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Hashes bytes from a start value, eight at a time: each step multiplies to 128 bits and adds the halves without
/// carry (as wyhash does). The length is no part of it.
#[inline]
pub(crate) fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let (words, rest) = bytes.as_chunks();
    let state = words.iter().fold(seed, |state, word| fold(state ^ u64::from_le_bytes(*word)));
    if rest.is_empty() { state } else { fold(state ^ last_word(bytes, rest.len())) }
}

/// The last `count` bytes, 1 to 7, as a word with zeros behind them. Loaded by parts of fixed widths that may overlap: a copy of
/// unknown length would be a call, and a word loaded right behind its bytes were stored waits for all of them.
#[inline]
fn last_word(bytes: &[u8], count: usize) -> u64 {
    if bytes.len() >= 8 {
        return word_at(bytes, bytes.len() - count);
    }
    // There are no others.
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let [first, last] = [first, last].map(|part| u64::from(u32::from_le_bytes(*part)));
        return first | last << (8 * (count - 4));
    }
    let byte = |place: usize| u64::from(bytes[place]) << (8 * place);
    byte(0) | byte(count / 2) | byte(count - 1)
}

#[inline]
fn fold(word: u64) -> u64 {
    let product = u128::from(word) * u128::from(MULTIPLIER);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Maps a hash to `0..range` by its high bits: a multiplication instead of a division.
#[inline]
pub fn scale(hash: u64, range: usize) -> usize {
    ((u128::from(hash) * range as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Catches a word loaded from the wrong place or masked at the wrong byte.
        #[test]
        fn prefix_is_the_plain_prefix(text in proptest::collection::vec(1u8.., 0..40), length in 0usize..36) {
            let plain = |limit: usize| text[..text.len().min(length).min(limit)].to_vec();
            prop_assert_eq!(Prefix::<8>::new(&text, length).as_bytes().to_vec(), plain(8));
            prop_assert_eq!(Prefix::<16>::new(&text, length).as_bytes().to_vec(), plain(16));
            prop_assert_eq!(Prefix::<5>::new(&text, length).as_bytes().to_vec(), plain(5));
            prop_assert_eq!(Prefix::<22>::new(&text, length).as_bytes().to_vec(), plain(22));
            prop_assert_eq!(Prefix::<33>::new(&text, length).as_bytes().to_vec(), plain(33));
        }
    }

    proptest! {
        /// Catches a last part put together of the wrong bytes.
        #[test]
        fn bytes_are_hashed_as_words_with_zeros_behind_the_last(bytes in proptest::collection::vec(any::<u8>(), 0..40), seed in any::<u64>()) {
            let plain = bytes.chunks(8).fold(seed, |state, part| {
                let mut word = [0; 8];
                word[..part.len()].copy_from_slice(part);
                fold(state ^ u64::from_le_bytes(word))
            });
            prop_assert_eq!(hash_bytes(&bytes, seed), plain);
        }
    }

    #[test]
    fn a_prefix_is_text_for_people_and_bytes_for_programs() {
        // Once an answer had the numbers of its letters.
        let prefix = Prefix::<8>::new("Mühle".as_bytes(), 8);
        let json = serde_json::to_string(&prefix).expect("text");
        assert_eq!((&json[..], serde_json::from_str(&json).expect("text")), ("\"Mühle\"", prefix));
        let bytes = postcard::to_stdvec(&prefix).expect("bytes");
        assert_eq!((bytes.len(), postcard::from_bytes(&bytes).expect("bytes")), (7, prefix));
    }

    /// Catches a hash that leaves buckets empty for keys as alike as address prefixes are, and two hashes that
    /// crowd the keys of a partition in one stretch of its table.
    fn assert_spread(routed: impl Fn(&str) -> u64, placed: impl Fn(&str) -> u64) {
        let (keys, least, most) = if cfg!(miri) { (640, 1, 40) } else { (64_000, 700, 1300) };
        let mut in_partition = vec![0u32; 64];
        let mut placed_in_first = vec![0u32; 64];
        for number in 0..keys {
            let key = format!("{}.{}.77", number / 255, number % 255);
            let partition = scale(routed(&key), 64);
            in_partition[partition] += 1;
            if partition == 0 {
                placed_in_first[scale(placed(&key), 64)] += 1;
            }
        }
        assert!(in_partition.iter().all(|&count| (least..most).contains(&count)), "{in_partition:?}");
        assert!(placed_in_first.iter().all(|&count| count < 50), "{placed_in_first:?}");
    }

    #[test]
    fn hashes_spread_and_differ() {
        let key = |text: &str| Prefix::<8>::new(text.as_bytes(), 8);
        assert_spread(|text| route_hash(key(text)), |text| place_hash(key(text)));
        // A map takes its buckets from the low bits.
        assert_spread(route_hash_of, |text| place_hash_of(text).reverse_bits());
    }

    #[test]
    fn hashes_of_any_key_are_the_same_in_every_run_and_see_all_of_it() {
        assert_eq!(route_hash_of("millrace"), route_hash_of(&"millrace".to_owned()));
        assert_eq!(route_hash_of("millrace"), 18_222_674_428_171_791_507);
        let mut hashes: Vec<_> =
            ["", "\0", "a", "a\0", "a\0\0", "b", "millrace", "millrace\0"].map(route_hash_of).to_vec();
        hashes.extend([route_hash_of(&("a", "b")), route_hash_of(&("ab", ""))]);
        hashes.extend([1u16, 2].map(|number| route_hash_of(&number)));
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}

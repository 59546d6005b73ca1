//! Records of any kind as rows of bytes: what is written of key and value, and the hash of the key, in two buffers for
//! all of them.
//!
//! Who holds many such records holds no pointers: moving, comparing, spilling and sending one are copies of bytes, and
//! none allocates. A record is written once, by its sender (in postcard's format, as in [`Encoded`](super::Encoded)),
//! and read where it is needed.

use std::io::{self, Write};

use bytemuck::{Pod, Zeroable};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::Bytes as Text;
use timely::bytes::arc::Bytes;

use super::{Body, misfit, padded};

/// Records as rows of bytes.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    heads: Vec<Head>,
    /// Key and value of each row, one behind the other.
    bytes: Vec<u8>,
}

/// What is known of a row: it starts where the one before it ends.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Head {
    hash: u64,
    key_end: u32,
    end: u32,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The hash of the key, as its sender took it.
    pub hash: u64,
    /// What is written of the key.
    pub key: &'a [u8],
    /// What is written of the value.
    pub value: &'a [u8],
}

impl Rows {
    /// Without rows, and with room for so many and their bytes.
    pub fn with_capacity(rows: usize, bytes: usize) -> Self {
        Rows { heads: Vec::with_capacity(rows), bytes: Vec::with_capacity(bytes) }
    }

    /// Writes a record behind the others, or says why it cannot be written.
    #[inline]
    pub fn push(&mut self, hash: u64, key: &impl Serialize, value: &impl Serialize) -> Result<(), String> {
        let start = self.bytes.len();
        let written = write(key, &mut self.bytes).and_then(|key_end| {
            let end = write(value, &mut self.bytes)?;
            self.heads.push(Head { hash, key_end, end });
            Ok(())
        });
        if written.is_err() {
            self.bytes.truncate(start);
        }
        written
    }

    /// Copies a row behind the others, or says that they would have more than 4 GiB with it.
    #[inline]
    pub fn push_row(&mut self, row: Row<'_>) -> Result<(), String> {
        let key_end = self.bytes.len() + row.key.len();
        let end = u32::try_from(key_end + row.value.len()).map_err(|_| too_many_bytes(self.len()))?;
        self.bytes.extend_from_slice(row.key);
        self.bytes.extend_from_slice(row.value);
        self.heads.push(Head { hash: row.hash, key_end: key_end as u32, end });
        Ok(())
    }

    /// A row.
    ///
    /// # Panics
    ///
    /// Where there are not so many.
    #[inline]
    pub fn row(&self, index: usize) -> Row<'_> {
        let start = if index == 0 { 0 } else { self.heads[index - 1].end };
        let Head { hash, key_end, end } = self.heads[index];
        let (key, value) = self.bytes[start as usize..end as usize].split_at((key_end - start) as usize);
        Row { hash, key, value }
    }

    /// All rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Bytes of the rows.
    pub fn used_bytes(&self) -> usize {
        size_of_val(&self.heads[..]) + self.bytes.len()
    }

    /// Bytes of the keys and values.
    pub fn text_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory, free room included.
    pub fn allocated_bytes(&self) -> usize {
        self.heads.capacity() * size_of::<Head>() + self.bytes.capacity()
    }

    /// Forgets the rows and keeps the room.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
    }

    /// Rows of parts that came from elsewhere, if these fit each other; `bytes` may be longer by what `rest` allows.
    fn checked(heads: Vec<Head>, bytes: &[u8], rest: impl Fn(usize) -> bool) -> Option<Self> {
        let mut end = 0;
        for head in &heads {
            if head.key_end < end || head.end < head.key_end {
                return None;
            }
            end = head.end;
        }
        let bytes = bytes.get(..end as usize).filter(|_| rest(end as usize))?.to_vec();
        Some(Rows { heads, bytes })
    }
}

#[cold]
fn too_many_bytes(rows: usize) -> String {
    format!(
        "{} records that are kept together take more than 4 GiB\n  try: shorter keys and values, as the name of a file in place of its text",
        rows + 1
    )
}

/// Writes a key or a value behind the others, and says where it ends.
#[inline]
fn write<T: Serialize>(what: &T, bytes: &mut Vec<u8>) -> Result<u32, String> {
    let unfit = |error: &dyn std::fmt::Display| {
        format!("a record with a {} cannot be encoded: {error}", std::any::type_name::<T>())
    };
    postcard::to_io(what, &mut *bytes).map_err(|error| unfit(&error))?;
    u32::try_from(bytes.len()).map_err(|_| unfit(&"it takes more than 4 GiB"))
}

impl Body for Rows {
    type Record = Head;

    fn records(&self) -> &[Head] {
        &self.heads
    }

    fn wire_bytes(&self) -> usize {
        self.used_bytes()
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        writer.write_all(bytemuck::cast_slice(&self.heads))?;
        writer.write_all(&self.bytes)
    }

    fn read(count: usize, bytes: Bytes) -> Result<Self, String> {
        let heads_bytes = count.checked_mul(size_of::<Head>()).filter(|&length| length <= bytes.len());
        let heads_bytes = heads_bytes.ok_or_else(|| misfit(count, bytes.len()))?;
        let (heads, texts) = bytes.split_at(heads_bytes);
        let whole = |end: usize| padded(end) == Some(texts.len());
        Rows::checked(bytemuck::pod_collect_to_vec(heads), texts, whole)
            .ok_or_else(|| misfit(count, bytes.len()))
    }

    fn into_buffer(self) -> Option<Vec<Head>> {
        None
    }
}

/// In a spill file: two lumps of bytes.
impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Text::new(bytemuck::cast_slice(&self.heads)), Text::new(&self.bytes)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (heads, bytes) = <(&[u8], &[u8])>::deserialize(deserializer)?;
        if !heads.len().is_multiple_of(size_of::<Head>()) {
            return Err(D::Error::custom("half a row"));
        }
        Rows::checked(bytemuck::pod_collect_to_vec(heads), bytes, |end| end == bytes.len())
            .ok_or_else(|| D::Error::custom("rows that do not fit their bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Addressed;
    use super::super::testing::{damaged, encode, freeze, with_small_count};
    use super::*;
    use proptest::prelude::*;

    fn rows(records: &[(String, u64)]) -> Rows {
        let mut rows = Rows::default();
        records.iter().for_each(|(key, value)| rows.push(*value, key, value).expect("plain data"));
        rows
    }

    fn same(one: &Rows, other: &Rows) -> bool {
        one.iter().eq(other.iter())
    }

    /// Records of a container; Miri would take minutes for as many as the others.
    const MOST: usize = if cfg!(miri) { 5 } else { 40 };

    proptest! {
        /// Catches a row torn, lost or sent elsewhere on its way through bytes.
        #[test]
        fn rows_come_back(records in proptest::collection::vec((".{0,20}", any::<u64>()), 0..MOST), worker: u32) {
            let sent = rows(&records);
            for (row, (key, value)) in sent.iter().zip(&records) {
                prop_assert_eq!(row.hash, *value);
                prop_assert_eq!(postcard::from_bytes::<String>(row.key).expect("a key"), &key[..]);
                prop_assert_eq!(postcard::from_bytes::<u64>(row.value).expect("a value"), *value);
            }
            let container = Addressed::to(worker, 3, sent.clone());
            let received = Addressed::<Rows>::decode(freeze(encode(&container))).expect("own bytes");
            prop_assert_eq!((received.worker, received.partition), (worker, 3));
            prop_assert!(same(&received.into_body(), &sent));
            let spilled = postcard::to_stdvec(&sent).expect("bytes");
            prop_assert!(same(&postcard::from_bytes(&spilled).expect("own bytes"), &sent));
            let mut copied = Rows::default();
            sent.iter().for_each(|row| copied.push_row(row).expect("few"));
            prop_assert!(same(&copied, &sent));
        }

        /// Catches trust in a length or a place that came from the network.
        #[test]
        fn decode_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80), small in any::<bool>()) {
            let bytes = with_small_count(bytes, small, 3);
            if let Ok(container) = Addressed::<Rows>::decode(freeze(bytes.clone())) {
                prop_assert!(container.into_body().iter().map(|row| row.key.len()).sum::<usize>() <= bytes.len());
            }
        }
    }

    #[test]
    fn decode_survives_damage() {
        let records = [("one".to_owned(), 1), (String::new(), 2), ("three".to_owned(), 1 << 60)];
        for bytes in damaged(&encode(&Addressed::to(1, 2, rows(&records)))) {
            if let Ok(container) = Addressed::<Rows>::decode(freeze(bytes)) {
                assert_eq!(container.into_body().iter().count(), 3);
            }
        }
    }

    /// Once offsets wrapped. Untouched memory costs nothing, and what is refused is not copied.
    #[test]
    #[cfg_attr(miri, ignore = "4 GiB")]
    fn rows_of_more_than_4_gib_are_refused() {
        let end = u32::MAX - 3;
        let mut rows = Rows { heads: vec![Head { hash: 1, key_end: 0, end }], bytes: vec![0; end as usize] };
        let row = |key, value| Row { hash: 2, key, value };
        for (key, value) in [(&b"four"[..], &b""[..]), (b"", b"four"), (b"ke", b"va")] {
            let reason = rows.push_row(row(key, value)).expect_err("too many bytes");
            assert!(reason.starts_with("2 records that are kept together take more than 4 GiB"), "{reason}");
        }
        assert_eq!((rows.len(), rows.text_bytes()), (1, end as usize));
    }

    #[test]
    fn what_cannot_be_encoded_is_named_and_left_out() {
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no"))
            }
        }
        let mut rows = rows(&[("one".to_owned(), 1)]);
        let before = rows.clone();
        let reason = rows.push(2, &"two", &Refuses).expect_err("it refuses");
        assert!(reason.contains("Refuses cannot be encoded"), "{reason}");
        assert!(same(&rows, &before));
    }
}

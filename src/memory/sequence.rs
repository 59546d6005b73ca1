//! Records of any kind in a spill file: encoded by postcard, as they are between processes, and read back in the order
//! in which they were written.
//!
//! Several sequences may be under way in one file: each keeps the block it is filling to itself.

use std::collections::HashMap;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::spill::{BLOCK_BYTES, Run, SpillFile};
use crate::Error;

/// The unit in which encoded bytes are spilled: eight times fewer steps than byte by byte.
type Word = u64;

/// No block is smaller, but the last: its place and checksum take 64 bytes of memory.
const LEAST_BLOCK_BYTES: usize = 4 << 10;

/// Records that are written one after the other.
#[derive(Debug)]
pub struct Sequence<R> {
    run: Run<Word>,
    records: u64,
    /// Encoded, and not yet in the file: written once there are so many bytes.
    waiting: Vec<u8>,
    block_bytes: usize,
    record: PhantomData<R>,
}

/// Reads a sequence from its first record to its last.
#[derive(Debug)]
pub struct SequenceReader<R> {
    run: Run<Word>,
    records: u64,
    records_left: u64,
    next_block: usize,
    block: Vec<Word>,
    bytes: Vec<u8>,
    /// Where in `bytes` the next record starts.
    at: usize,
    record: PhantomData<R>,
}

impl<R> Default for Sequence<R> {
    fn default() -> Self {
        Sequence::in_blocks_of(BLOCK_BYTES)
    }
}

impl<R> Sequence<R> {
    /// A sequence that is written in blocks of about so many bytes, 256 KiB at most: many under way at once then take
    /// less memory, and more seeks.
    pub fn in_blocks_of(bytes: usize) -> Self {
        let block_bytes = bytes.clamp(LEAST_BLOCK_BYTES, BLOCK_BYTES) / size_of::<Word>() * size_of::<Word>();
        Sequence { run: Run::default(), records: 0, waiting: Vec::new(), block_bytes, record: PhantomData }
    }

    /// Bytes of memory that the block under way takes.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.capacity()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }
}

impl<R: Serialize + DeserializeOwned> Sequence<R> {
    /// Adds a record at the end. A type that cannot be encoded is an error that names it.
    pub fn write(&mut self, record: &R, file: &mut SpillFile) -> Result<(), Error> {
        postcard::to_io(record, &mut self.waiting).map_err(|error| unfit::<R>("encoded", &error))?;
        self.records += 1;
        while self.waiting.len() >= self.block_bytes {
            self.write_block(self.block_bytes, file)?;
        }
        Ok(())
    }

    /// Ends the sequence; from here on it can only be read. Memory: two blocks of 256 KiB, or twice the largest
    /// record.
    pub fn read(mut self, file: &mut SpillFile) -> Result<SequenceReader<R>, Error> {
        self.end(file)?;
        Ok(SequenceReader::of(self.run, self.records))
    }

    /// Reads a sequence that has [ended](Sequence::end) and stays to be read again.
    pub fn read_again(&self) -> SequenceReader<R> {
        SequenceReader::of(self.run.clone(), self.records)
    }

    /// Brings to the file what waits of it, as the end of what is written.
    pub fn end(&mut self, file: &mut SpillFile) -> Result<(), Error> {
        // Zeros behind the last record are never looked at.
        self.waiting.resize(self.waiting.len().next_multiple_of(size_of::<Word>()), 0);
        self.write_block(self.waiting.len(), file)?;
        self.waiting = Vec::new();
        Ok(())
    }

    fn write_block(&mut self, bytes: usize, file: &mut SpillFile) -> Result<(), Error> {
        let words: Vec<Word> = bytemuck::pod_collect_to_vec(&self.waiting[..bytes]);
        self.waiting.drain(..bytes);
        file.write(&mut self.run, &words)?;
        file.end_run(&mut self.run)
    }
}

impl<R> SequenceReader<R> {
    fn of(run: Run<Word>, records: u64) -> Self {
        SequenceReader {
            run,
            records,
            records_left: records,
            next_block: 0,
            block: Vec::new(),
            bytes: Vec::new(),
            at: 0,
            record: PhantomData,
        }
    }

    /// Records of the whole sequence.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Goes back to the first record.
    pub fn rewind(&mut self) {
        self.records_left = self.records;
        self.next_block = 0;
        self.bytes.clear();
        self.at = 0;
    }
}

impl<R: DeserializeOwned> SequenceReader<R> {
    /// The next record, from the file it was written to; `None` after the last. What is not as it was written is an
    /// error.
    pub fn next(&mut self, file: &mut SpillFile) -> Result<Option<R>, Error> {
        if self.records_left == 0 {
            return Ok(None);
        }
        loop {
            match postcard::take_from_bytes(&self.bytes[self.at..]) {
                Ok((record, rest)) => {
                    self.at = self.bytes.len() - rest.len();
                    self.records_left -= 1;
                    return Ok(Some(record));
                }
                // It may go on in the next block.
                Err(_) if self.next_block < self.run.blocks() => {
                    self.bytes.drain(..self.at);
                    self.at = 0;
                    file.read(&self.run, self.next_block, &mut self.block)?;
                    self.bytes.extend_from_slice(bytemuck::cast_slice(&self.block));
                    self.next_block += 1;
                }
                Err(error) => return Err(unfit::<R>("decoded", &error)),
            }
        }
    }
}

fn unfit<R>(what: &str, error: &postcard::Error) -> Error {
    Error::Data(format!("a record of type {} cannot be {what}: {error}", std::any::type_name::<R>()))
}

/// Bytes that records take in memory: their own size, and about what they point to, where a type owns something.
pub fn held_bytes<R: Serialize>(records: &[R]) -> usize {
    let owned = if std::mem::needs_drop::<R>() { records.iter().map(owned_bytes).sum() } else { 0 };
    size_of_val(records) + owned
}

/// About the bytes that a record points to.
pub fn owned_bytes<R: Serialize>(record: &R) -> usize {
    if std::mem::needs_drop::<R>() { postcard::experimental::serialized_size(record).unwrap_or(0) } else { 0 }
}

/// Bytes that a map allocates, a control byte for each slot included; what its keys and values point to is theirs.
pub fn map_bytes<K, V, S>(map: &HashMap<K, V, S>) -> usize {
    // Seven eighths of the slots are its capacity.
    map.capacity().div_ceil(7) * 8 * (size_of::<(K, V)>() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Record = (u32, String, Option<Vec<u8>>);

    fn file() -> (tempfile::TempDir, SpillFile) {
        let home = tempfile::tempdir().expect("a directory");
        let file = SpillFile::new(home.path().to_path_buf());
        (home, file)
    }

    fn all<R: Serialize + DeserializeOwned>(sequence: Sequence<R>, file: &mut SpillFile) -> Vec<R> {
        let mut sequence = sequence;
        sequence.end(file).expect("written");
        let mut again = sequence.read_again();
        let twice = std::iter::from_fn(|| again.next(file).expect("as it was written")).count();
        let mut reader = sequence.read(file).expect("ended");
        assert_eq!(reader.records(), twice as u64);
        let records = std::iter::from_fn(|| reader.next(file).expect("as it was written")).collect();
        assert!(reader.next(file).expect("nothing more").is_none());
        records
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Catches a record lost, torn at a block's end, out of order or in another sequence.
        #[test]
        fn sequences_come_back_apart(lengths in proptest::collection::vec((0usize..2, 0usize..40_000), 0..120)) {
            let (_home, mut file) = file();
            let mut sequences = [Sequence::<Record>::default(), Sequence::default()];
            let mut expected = [Vec::new(), Vec::new()];
            for (number, (which, length)) in lengths.into_iter().enumerate() {
                let list = (length % 3 > 0).then(|| vec![length as u8; length % 17]);
                let record = (number as u32, "ü".repeat(length), list);
                sequences[which].write(&record, &mut file).expect("written");
                expected[which].push(record);
            }
            for (sequence, expected) in sequences.into_iter().zip(expected) {
                prop_assert_eq!(sequence.is_empty(), expected.is_empty());
                prop_assert_eq!(all(sequence, &mut file), expected);
            }
        }
    }

    #[test]
    fn records_of_no_bytes_are_counted() {
        let (_home, mut file) = file();
        let mut sequence = Sequence::default();
        (0..1_000).for_each(|_| sequence.write(&(), &mut file).expect("written"));
        assert_eq!(all(sequence, &mut file).len(), 1_000);
    }

    #[test]
    fn what_cannot_be_encoded_is_named() {
        #[derive(serde::Deserialize)]
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no"))
            }
        }
        let (_home, mut file) = file();
        let error = Sequence::default().write(&Refuses, &mut file).expect_err("it refuses").to_string();
        assert!(error.contains("Refuses cannot be encoded"), "{error}");
    }

    #[test]
    fn what_records_own_is_counted() {
        assert_eq!(held_bytes(&[1u64, 2]), 16);
        let text = held_bytes(&["x".repeat(1_000)]);
        assert!((1_024..1_030).contains(&text), "{text} bytes");
    }
}

//! Spill files: runs of records, in blocks, in a file that has no name.
//!
//! One file takes the runs of many partitions: whatever is spilled next goes to its end, in blocks large enough to be
//! read back at a disk's speed from anywhere. Where each block lies, its length and its checksum stay in memory.

use std::marker::PhantomData;
use std::path::PathBuf;

use super::Spillable;
use super::codec::{self, Aligned};
use super::store::{Extent, Store};
use crate::Error;

/// A block is written once it has so many bytes.
pub(super) const BLOCK_BYTES: usize = 256 << 10;
/// Compression is tried on the start of a run's first block, and again after so many.
const TRY_EVERY: usize = 32;
const TRY_BYTES: usize = 64 << 10;
/// Blocks stay compressed while that leaves at most this share of them: packing and unpacking a byte costs about as
/// much as writing and reading one on a disk of some 500 MB/s.
const PAYS_BELOW_PERCENT: usize = 50;

/// A file for the records that do not fit in memory.
#[derive(Debug)]
pub struct SpillFile {
    store: Store,
    /// The block under way, and buffers for packing and reading.
    block: Vec<u8>,
    packed: Vec<u8>,
    read: Aligned,
}

/// The blocks of one partition, in the order in which they were written.
#[derive(Debug, Clone)]
pub struct Run<R> {
    blocks: Vec<Block>,
    records: u64,
    compress: bool,
    record: PhantomData<R>,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    stored: Extent,
    /// Bytes of the records, before compression.
    bytes: usize,
    compressed: bool,
}

impl<R> Default for Run<R> {
    fn default() -> Self {
        Run { blocks: Vec::new(), records: 0, compress: false, record: PhantomData }
    }
}

impl<R> Run<R> {
    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Number of records in all blocks.
    pub fn records(&self) -> u64 {
        self.records
    }
}

impl SpillFile {
    /// A file in `directory`, not made yet.
    pub fn new(directory: PathBuf) -> Self {
        SpillFile {
            store: Store::new(directory),
            block: Vec::new(),
            packed: Vec::new(),
            read: Aligned::default(),
        }
    }

    /// Bytes written so far.
    pub fn written_bytes(&self) -> u64 {
        self.store.written_bytes()
    }

    /// Adds records to a run. They may wait for more of the same run until [`SpillFile::end_run`].
    pub fn write<R: Spillable>(&mut self, run: &mut Run<R>, records: &[R]) -> Result<(), Error> {
        for some in records.chunks((BLOCK_BYTES / size_of::<R>().max(1)).max(1)) {
            // Memory takes whatever is written to it.
            codec::write(some, &mut self.block)
                .map_err(|source| self.store.error("serialise records for a spill file in", source))?;
            run.records += some.len() as u64;
            if self.block.len() >= BLOCK_BYTES {
                self.end_run(run)?;
            }
        }
        Ok(())
    }

    /// Writes what waits of a run; another run may be written next.
    pub fn end_run<R: Spillable>(&mut self, run: &mut Run<R>) -> Result<(), Error> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = std::mem::take(&mut self.block);
        if !run.compress && run.blocks.len().is_multiple_of(TRY_EVERY) {
            run.compress = pack(&block[..block.len().min(TRY_BYTES)], &mut self.packed);
        }
        if run.compress {
            run.compress = pack(&block, &mut self.packed);
        }
        let stored = if run.compress { &self.packed } else { &block };
        let bytes = block.len();
        let stored = self.store.append(stored)?;
        run.blocks.push(Block { stored, bytes, compressed: run.compress });
        self.block = block;
        self.block.clear();
        Ok(())
    }

    /// Reads a block of a run, in place of what `records` held. What is not as it was written is an error.
    pub fn read<R: Spillable>(
        &mut self,
        run: &Run<R>,
        block: usize,
        records: &mut Vec<R>,
    ) -> Result<(), Error> {
        records.clear();
        let Some(&Block { stored, bytes, compressed }) = run.blocks.get(block) else { return Ok(()) };
        let whole = if compressed {
            self.packed.resize(stored.bytes, 0);
            self.store.read(stored, &mut self.packed)?;
            let unpacked = snap::raw::Decoder::new().decompress(&self.packed, self.read.bytes(bytes));
            unpacked.is_ok_and(|length| length == bytes)
        } else {
            self.store.read(stored, self.read.bytes(bytes))?;
            true
        };
        if whole && codec::read(self.read.bytes(bytes), records) {
            Ok(())
        } else {
            Err(self.store.damaged(stored))
        }
    }
}

/// Compresses bytes, and tells whether that pays.
fn pack(bytes: &[u8], packed: &mut Vec<u8>) -> bool {
    packed.resize(snap::raw::max_compress_len(bytes.len()), 0);
    let length = snap::raw::Encoder::new().compress(bytes, packed).unwrap_or(usize::MAX);
    packed.truncate(length);
    length <= bytes.len() / 100 * PAYS_BELOW_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Pair;
    use proptest::prelude::*;
    use std::os::unix::fs::FileExt;

    type Record = Pair<u64, u64>;

    fn file() -> (tempfile::TempDir, SpillFile) {
        let home = tempfile::tempdir().expect("a directory");
        let file = SpillFile::new(home.path().to_path_buf());
        (home, file)
    }

    fn records(keys: impl Iterator<Item = u64>) -> Vec<Record> {
        keys.map(|key| Record { key, value: !key }).collect()
    }

    /// Keys that do not compress.
    fn mixed(count: u64) -> Vec<Record> {
        records((0..count).map(crate::keys::route_hash))
    }

    fn all(file: &mut SpillFile, run: &Run<Record>) -> Result<Vec<u64>, Error> {
        let (mut keys, mut block) = (Vec::new(), Vec::new());
        for index in 0..run.blocks() {
            file.read(run, index, &mut block)?;
            for &Record { key, value } in &block {
                assert_eq!({ value }, !key);
                keys.push(key);
            }
        }
        Ok(keys)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        /// Catches records of one run that end up in another, out of order, twice or not at all.
        #[test]
        fn runs_do_not_mix(lengths in proptest::collection::vec((0usize..3, 0u64..25_000), 0..8)) {
            let (_home, mut file) = file();
            let mut runs: [Run<Record>; 3] = Default::default();
            let mut expected = [const { Vec::new() }; 3];
            for (which, count) in lengths {
                file.write(&mut runs[which], &mixed(count)).expect("written");
                file.end_run(&mut runs[which]).expect("written");
                expected[which].extend(mixed(count).iter().map(|record| record.key));
            }
            for (run, expected) in runs.iter().zip(expected) {
                prop_assert_eq!(run.records(), expected.len() as u64);
                prop_assert_eq!(all(&mut file, run).expect("read"), expected);
            }
        }
    }

    #[test]
    fn only_what_compresses_well_is_compressed() {
        let (_home, mut file) = file();
        let (mut plain, mut repeating) = (Run::default(), Run::default());
        file.write(&mut plain, &mixed(100_000)).expect("written");
        file.end_run(&mut plain).expect("written");
        assert_eq!(file.written_bytes(), 1_600_000);
        file.write(&mut repeating, &records(std::iter::repeat_n(7, 100_000))).expect("written");
        file.end_run(&mut repeating).expect("written");
        assert!(file.written_bytes() < 1_800_000, "{} bytes", file.written_bytes());
        assert_eq!(all(&mut file, &plain).expect("read").len(), 100_000);
        assert_eq!(all(&mut file, &repeating).expect("read"), vec![7; 100_000]);
    }

    #[test]
    fn the_file_has_no_name() {
        let (home, mut file) = file();
        let mut run = Run::default();
        file.write(&mut run, &mixed(50_000)).expect("written");
        assert!(file.written_bytes() > 0);
        assert_eq!(home.path().read_dir().expect("a directory").count(), 0);
        // Nothing is lost with the directory either.
        file.end_run(&mut run).expect("written");
        home.close().expect("removed");
        assert_eq!(all(&mut file, &run).expect("read").len(), 50_000);
    }

    #[test]
    fn damage_is_an_error_and_never_a_record() {
        for count in [1, 50_000] {
            for compresses in [false, true] {
                let (home, mut file) = file();
                let mut run = Run::default();
                let kept =
                    if compresses { records(std::iter::repeat_n(1, count)) } else { mixed(count as u64) };
                file.write(&mut run, &kept).expect("written");
                file.end_run(&mut run).expect("written");
                let Extent { at, bytes, .. } = run.blocks.last().expect("a block").stored;
                let last = at + bytes as u64 - 1;
                let disk = file.store.handle();
                let mut byte = [0];
                disk.read_exact_at(&mut byte, last).expect("read");
                disk.write_all_at(&[byte[0] ^ 1], last).expect("written");
                let error = all(&mut file, &run).expect_err("one bit is wrong").to_string();
                let place = home.path().display();
                assert_eq!(
                    error,
                    format!(
                        "a spill file in {place} was damaged: {bytes} bytes at byte {at} are not what was written"
                    )
                );
                // Cut short, it is no shorter run.
                disk.set_len(last).expect("cut");
                let error = all(&mut file, &run).expect_err("a byte is missing").to_string();
                assert!(error.starts_with("cannot read a spill file in "), "{error}");
            }
        }
    }

    #[test]
    fn a_directory_that_is_gone_is_named() {
        let (home, mut file) = file();
        let path = home.path().display().to_string();
        home.close().expect("removed");
        let mut run = Run::default();
        file.write(&mut run, &mixed(1)).expect("waits in memory");
        let error = file.end_run(&mut run).expect_err("nowhere to write").to_string();
        assert!(error.starts_with(&format!("cannot write a spill file in {path}: No such file")), "{error}");
    }
}

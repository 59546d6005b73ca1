//! Ranges of files: how they are cut, and the proof that they were cut right.

use std::collections::BTreeSet;
use std::ops::Range;

use super::InputFile;
use crate::formats::columns::ColumnFile;

/// No worker gets fewer splits than this, where there are bytes enough.
const SPLITS_A_WORKER: u64 = 8;
/// Below this, opening a split costs more than it evens out.
const LEAST_BYTES: u64 = 64 << 10;
/// Above this, the last splits of a job leave workers idle for too long.
const MOST_BYTES: u64 = 16 << 20;

/// An extent that meets no other: what a reader returns that found itself in the middle of a field.
pub(crate) const MISCUT: Range<u64> = u64::MAX - 1..u64::MAX;

/// A part of a file that one worker reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Place among all splits of the table.
    pub index: usize,
    /// Index of the file in `Input::files`.
    pub file: usize,
    /// Bytes of the file in which this split's rows start.
    pub range: Range<u64>,
}

impl Split {
    /// How many bytes it covers.
    pub fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// The size of splits that gives each of `peers` workers several.
pub(super) fn chosen_bytes(total: u64, peers: usize) -> u64 {
    (total / (peers.max(1) as u64 * SPLITS_A_WORKER)).clamp(LEAST_BYTES, MOST_BYTES)
}

/// Cuts column files into splits of whole blocks, which together cover every byte, with about `split_bytes` each.
///
/// The first block of a split is the first to start in its range.
pub(super) fn cut_at_blocks(files: &[InputFile], columns: &[ColumnFile], split_bytes: u64) -> Vec<Split> {
    let mut splits = Vec::new();
    for (file, (InputFile { bytes, .. }, columns)) in files.iter().zip(columns).enumerate() {
        let mut start = 0;
        for block in columns.blocks().iter().skip(1) {
            if block.bytes.start - start >= split_bytes {
                splits.push(Split { index: splits.len(), file, range: start..block.bytes.start });
                start = block.bytes.start;
            }
        }
        splits.push(Split { index: splits.len(), file, range: start..*bytes });
    }
    splits
}

/// Cuts files into splits of about equal size; those that are compressed or in `uncut` stay whole, and empty ones have none.
pub(super) fn cut(files: &[InputFile], split_bytes: u64, uncut: &BTreeSet<usize>) -> Vec<Split> {
    let mut splits = Vec::new();
    for (file, InputFile { bytes, compression, .. }) in files.iter().enumerate() {
        let whole = compression.is_some() || uncut.contains(&file);
        let pieces = if whole { bytes.min(&1) } else { &bytes.div_ceil(split_bytes) };
        for piece in 0..*pieces {
            // In 128 bits, since the product of two sizes overflows 64.
            let cut_at = |piece: u64| (u128::from(*bytes) * u128::from(piece) / u128::from(*pieces)) as u64;
            splits.push(Split { index: splits.len(), file, range: cut_at(piece)..cut_at(piece + 1) });
        }
    }
    splits
}

/// The files that were not cut between rows: their rows must be thrown away and the files read whole.
///
/// `extents` has the file and extent of every split that was read, by all workers together. A file was cut right if its
/// extents, sorted, meet from its first byte to its last: the first split started right, and each next one started where
/// rows that were read right had ended. An extent of no bytes is of a split in which no row started.
pub fn miscut_files(extents: &mut [(usize, Range<u64>)], files: &[InputFile]) -> BTreeSet<usize> {
    extents.sort_unstable_by_key(|(file, extent)| (*file, extent.start, extent.end));
    let mut met = vec![0; files.len()];
    let mut miscut = BTreeSet::new();
    for (file, extent) in extents.iter().filter(|(_, extent)| !extent.is_empty()) {
        if met[*file] != extent.start {
            miscut.insert(*file);
        }
        met[*file] = extent.end;
    }
    let unfinished = files.iter().zip(met).enumerate().filter(|(_, (file, met))| file.bytes != *met);
    miscut.extend(unfinished.map(|(file, _)| file));
    miscut
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::formats::compression::Compression;

    fn files(sizes: &[u64]) -> Vec<InputFile> {
        sizes.iter().map(|bytes| InputFile::local(Path::new("part"), *bytes)).collect()
    }

    #[test]
    fn splits_cover_every_byte_once() {
        let files = files(&[0, 1, 10, 11, u64::MAX / 2, 100]);
        let splits = cut(&files, 1 << 60, &BTreeSet::new());
        assert_eq!(splits.len(), 1 + 1 + 1 + 8 + 1);
        for (index, file) in files.iter().enumerate() {
            let mut next = 0;
            for split in splits.iter().filter(|split| split.file == index) {
                assert_eq!(split.range.start, next);
                assert!(!split.range.is_empty());
                next = split.range.end;
            }
            assert_eq!(next, file.bytes);
        }
        assert!(splits.iter().enumerate().all(|(index, split)| split.index == index));
    }

    #[test]
    fn splits_of_one_byte_and_files_that_stay_whole() {
        let ranges = |uncut| -> Vec<_> {
            cut(&files(&[3, 0, 2]), 1, &uncut).into_iter().map(|split| (split.file, split.range)).collect()
        };
        assert_eq!(ranges(BTreeSet::new()), [(0, 0..1), (0, 1..2), (0, 2..3), (2, 0..1), (2, 1..2)]);
        assert_eq!(ranges(BTreeSet::from([0, 1])), [(0, 0..3), (2, 0..1), (2, 1..2)]);
        let mut files = files(&[3, 2]);
        files[0].compression = Some(Compression::Gzip);
        let splits = cut(&files, 1, &BTreeSet::new());
        assert_eq!(splits.iter().map(|split| split.range.clone()).collect::<Vec<_>>(), [0..3, 0..1, 1..2]);
    }

    #[test]
    fn each_worker_gets_several_splits() {
        assert_eq!(chosen_bytes(0, 4), 64 << 10);
        assert_eq!(chosen_bytes(64 << 20, 4), 2 << 20);
        assert_eq!(chosen_bytes(1 << 40, 4), 16 << 20);
        assert_eq!(chosen_bytes(1 << 20, 0), 128 << 10);
    }

    #[test]
    fn extents_that_meet_are_right_and_all_others_are_not() {
        let files = files(&[10, 0, 7]);
        let miscut = |extents: &[(usize, Range<u64>)]| -> Vec<usize> {
            miscut_files(&mut extents.to_vec(), &files).into_iter().collect()
        };
        assert_eq!(miscut(&[(2, 0..7), (0, 4..10), (0, 3..3), (0, 0..4)]), [0; 0]);
        assert_eq!(miscut(&[(2, 0..7), (0, 5..10), (0, 0..4)]), [0], "a gap");
        assert_eq!(miscut(&[(2, 0..7), (0, 3..10), (0, 0..4)]), [0], "an overlap");
        assert_eq!(miscut(&[(2, 0..7), (0, 0..4)]), [0], "rows missing at the end");
        assert_eq!(miscut(&[(2, 0..7)]), [0], "a file that nobody read");
        assert_eq!(miscut(&[(2, 0..7), (0, 0..4), (0, MISCUT), (0, 4..10)]), [0], "a reader that gave up");
        assert_eq!(miscut(&[(0, 0..10), (2, 1..7)]), [2], "rows missing at the start");
    }
}

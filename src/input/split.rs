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

/// Splits of whole blocks are even enough when the largest is above the mean by one part in so many.
const EVEN_WITHIN: u128 = 20;
/// For more even splits of whole blocks, up to so many times as many are made.
const FINER: u64 = 4;

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

/// Cuts column files into splits of whole blocks, which together cover every byte, with about `split_bytes` each at most.
///
/// The first block of a split is the first to start in its range.
pub(super) fn cut_at_blocks(files: &[InputFile], columns: &[ColumnFile], split_bytes: u64) -> Vec<Split> {
    let mut splits = Vec::new();
    for (file, (InputFile { bytes, .. }, columns)) in files.iter().zip(columns).enumerate() {
        let starts: Vec<_> = columns.blocks().iter().skip(1).map(|block| block.bytes.start).collect();
        for range in even_ranges(*bytes, &starts, split_bytes) {
            splits.push(Split { index: splits.len(), file, range });
        }
    }
    splits
}

/// Ranges of about equal size that cover `bytes` and meet at some of `starts`, where blocks start, the first one aside.
///
/// Blocks cannot be divided, so that the fewest ranges may be quite unequal, and in every file the same: then whoever is
/// given every second one has far more than others. So up to [`FINER`] times as many are tried for more even ones.
fn even_ranges(bytes: u64, starts: &[u64], split_bytes: u64) -> Vec<Range<u64>> {
    let most = starts.len() as u64 + 1;
    let fewest = bytes.div_ceil(split_bytes).clamp(1, most);
    // How far the largest is above the mean, as (largest * number) in 128 bits: products of sizes overflow 64.
    let (mut best, mut least_excess) = (Vec::new(), u128::MAX);
    for number in fewest..=most.min(fewest.saturating_mul(FINER)) {
        let ranges = ranges(bytes, starts, number);
        let largest = ranges.iter().map(|range| range.end - range.start).max().unwrap_or(0);
        let excess = u128::from(largest) * ranges.len() as u128;
        if excess < least_excess {
            (best, least_excess) = (ranges, excess);
        }
        if least_excess * EVEN_WITHIN <= u128::from(bytes) * (EVEN_WITHIN + 1) {
            break;
        }
    }
    best
}

/// `number` ranges or fewer: each ends at the start of a block that is nearest to where equal ones would.
fn ranges(bytes: u64, starts: &[u64], number: u64) -> Vec<Range<u64>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for piece in 1..number {
        let even = (u128::from(bytes) * u128::from(piece) / u128::from(number)) as u64;
        let behind = starts.partition_point(|start| *start < even);
        let around = &starts[behind.saturating_sub(1)..starts.len().min(behind + 1)];
        let nearest = around.iter().copied().min_by_key(|start| start.abs_diff(even));
        if let Some(end) = nearest.filter(|end| *end > start) {
            ranges.push(start..end);
            start = end;
        }
    }
    ranges.push(start..bytes);
    ranges
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
    fn whole_blocks_are_cut_into_even_splits() {
        // Ten files with blocks of so many bytes each; the bytes that every second worker would have.
        let shares = |blocks: &[u64], split_bytes: u64| {
            let bytes = blocks.iter().sum();
            let starts: Vec<_> = blocks
                .iter()
                .scan(0, |at, block| {
                    *at += block;
                    Some(*at)
                })
                .collect();
            let ranges = even_ranges(bytes, &starts[..starts.len() - 1], split_bytes);
            let mut next = 0;
            for range in &ranges {
                assert!(range.start == next && range.end > next && (next == 0 || starts.contains(&next)));
                next = range.end;
            }
            assert_eq!(next, bytes);
            let all: Vec<_> =
                std::iter::repeat_n(ranges, 10).flatten().map(|range| range.end - range.start).collect();
            (all.len() / 10, [0, 1].map(|worker| all.iter().skip(worker).step_by(2).sum::<u64>()))
        };
        // Row groups as a writer makes them: once four of five were one split and the last one was another.
        let groups = [131, 131, 131, 131, 101];
        assert_eq!(shares(&groups, 500), (5, [3_125, 3_125]));
        let (splits, [first, second]) = shares(&[[66; 9].as_slice(), &[35]].concat(), 400);
        assert_eq!(splits, 2);
        assert!(first.abs_diff(second) * 100 <= 6 * (first + second), "{first} and {second}");
        assert_eq!(shares(&groups, 1), (5, [3_125, 3_125]), "no block is divided");
        assert_eq!(shares(&groups, u64::MAX).0, 1);
        assert_eq!(shares(&[7], 1).0, 1);
        assert_eq!(shares(&[1, 1, 1_000, 1, 1], 100).0, 3, "around one large block");
        assert!(even_ranges(0, &[], 5).into_iter().eq(std::iter::once(0..0)));
        assert_eq!(even_ranges(u64::MAX, &[u64::MAX / 2], 1), [0..u64::MAX / 2, u64::MAX / 2..u64::MAX]);
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

//! What a plan knows before anything is read.

use std::ops::Add;

use super::Input;
use crate::Error;
use crate::formats::columns::{BlockPlan, ColumnFile, Value, Wanted};
use crate::input::split::Split;
use crate::input::{InputFile, assign, files, weigh};
use crate::tables::{ColumnType, Table};

/// How many rows there are, and what their values take, one behind the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Add for Weight {
    type Output = Weight;

    fn add(self, other: Weight) -> Weight {
        Weight { rows: self.rows.saturating_add(other.rows), bytes: self.bytes.saturating_add(other.bytes) }
    }
}

/// Whatever the rows become.
impl<R> Input<R> {
    /// The table.
    pub fn table(&self) -> &Table {
        &self.plan.table
    }

    /// How the files are encoded, as `--format` calls it.
    pub(crate) fn format(&self) -> &'static str {
        self.plan.format.directory()
    }

    /// The largest split that was to be made; blocks of column files may be larger.
    pub(crate) fn split_bytes(&self) -> u64 {
        self.plan.split_bytes
    }

    /// How many blocks the files have; none where they are text.
    pub(crate) fn blocks(&self) -> usize {
        self.plan.columns.iter().map(|file| file.blocks().len()).sum()
    }

    /// How many rows the files have, if that is known before they are read.
    pub(crate) fn known_rows(&self) -> Option<u64> {
        let files = (!self.plan.columns.is_empty()).then_some(&self.plan.columns)?;
        Some(files.iter().flat_map(ColumnFile::blocks).map(|block| block.rows).sum())
    }

    /// Of each block of the files, the bytes of each column and how its values are written; nothing where they are text.
    pub(crate) fn stored(&self) -> Vec<Vec<(u64, String)>> {
        self.plan.columns.iter().flat_map(ColumnFile::stored).collect()
    }

    /// The table's files, sorted by name.
    pub fn files(&self) -> &[InputFile] {
        &self.plan.files
    }

    /// What the user should know of them: names that say something else than contents, compressed files that are too few.
    pub fn warnings(&self) -> &[String] {
        &self.plan.warnings
    }

    /// All splits, sorted by file and place in it.
    pub fn splits(&self) -> &[Split] {
        &self.plan.splits
    }

    /// The splits of one worker out of `peers`: every `peers`-th, from its own index on.
    pub fn assigned(&self, worker: usize, peers: usize) -> impl Iterator<Item = &Split> {
        self.plan.splits.iter().skip(worker).step_by(peers.max(1))
    }

    /// The splits that the workers of one process share, out of `processes` with `workers` each: those of its workers
    /// under the plain rule of [`assigned`](Self::assigned), unless that leaves processes with unequal bytes.
    pub fn shared(&self, process: usize, processes: usize, workers: usize) -> impl Iterator<Item = &Split> {
        let processes_of = assign::processes_of(&self.plan.splits, processes, workers);
        let own = move |split: &&Split| processes_of[split.index] == process;
        self.plan.splits.iter().filter(own)
    }

    /// Whether some of the files are far away, so that a split is better asked for before the one in front of it is read.
    pub fn is_remote(&self) -> bool {
        self.plan.files.iter().any(|file| file.object.is_some())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.plan.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes that a scan of all splits reads: of text all, of column files those of the wanted columns, in the blocks that are
    /// not passed over.
    pub fn bytes_to_read(&self) -> u64 {
        self.bytes_of_blocks(|block| if block.is_outside(&self.plan.ranges) { 0.0 } else { 1.0 })
    }

    /// The same, of one split.
    pub(crate) fn bytes_to_read_of(&self, split: &Split) -> u64 {
        let Some(file) = self.plan.columns.get(split.file) else { return split.bytes() };
        let (blocks, _) = self.blocks_of(split);
        blocks.into_iter().map(|block| file.bytes_of(block, &self.plan.wanted)).sum()
    }

    /// Bytes of the rows that a query wants, about, by the statistics of column files: those of the wanted columns, in the files. Of
    /// text all bytes.
    pub(crate) fn expected_bytes(&self) -> u64 {
        self.bytes_of_blocks(|block| block.expected_share(&self.plan.ranges))
    }

    /// Bytes of the wanted columns, of each block that share of them; of text all bytes.
    fn bytes_of_blocks(&self, share: impl Fn(&BlockPlan) -> f64) -> u64 {
        if self.plan.columns.is_empty() {
            return self.bytes();
        }
        let of_file = |file: &ColumnFile| {
            let blocks = file.blocks().iter().enumerate();
            let of_block = |(index, block)| file.bytes_of(index, &self.plan.wanted) as f64 * share(block);
            blocks.map(of_block).sum::<f64>()
        };
        // Whole numbers of bytes are exact up to 2^53.
        self.plan.columns.iter().map(of_file).sum::<f64>().round() as u64
    }

    /// What the rows come to that a scan of all splits reads, about. Of column files their number is exact, and their texts are taken to
    /// be as long as the longer of the two limits of a block, `None` where there are none; text files are looked into, of which all columns count.
    pub(crate) fn weight(&self) -> Result<Option<Weight>, Error> {
        if self.plan.columns.is_empty() {
            return weigh::text_files(&self.plan.files).map(Some);
        }
        let blocks = self.plan.columns.iter().flat_map(ColumnFile::blocks);
        let read = blocks.filter(|block| !block.is_outside(&self.plan.ranges));
        let of_block = |block: &BlockPlan| {
            let of_row: u64 =
                self.plan.wanted.iter().map(|wanted| self.value_bytes(block, wanted)).sum::<Option<_>>()?;
            Some(Weight { rows: block.rows, bytes: block.rows.saturating_mul(of_row) })
        };
        Ok(read.map(of_block).try_fold(Weight::default(), |sum, block| Some(sum + block?)))
    }

    /// Bytes that a value of a column takes in a block, about; `None` of texts of which nothing is known.
    fn value_bytes(&self, block: &BlockPlan, wanted: &Wanted) -> Option<u64> {
        match self.plan.table.columns[wanted.column].kind {
            ColumnType::Int | ColumnType::Float => Some(5),
            ColumnType::Long | ColumnType::Double | ColumnType::Date => Some(10),
            ColumnType::Text => {
                let limits = block.limits.get(wanted.column)?.as_ref()?;
                let length = |value: &Value| match value {
                    Value::Text(text) => Some(text.len() as u64),
                    _ => None,
                };
                Some(length(&limits.least)?.max(length(&limits.greatest)?))
            }
        }
    }

    /// A number that differs where the files' names, sizes, compressions or, in a store, versions do: processes compare it before they start.
    pub fn digest(&self) -> u64 {
        files::digest(&self.plan.files)
    }

    /// The blocks of a split that may have rows that the query wants, and how many rows the others have.
    pub(super) fn blocks_of(&self, split: &Split) -> (Vec<usize>, u64) {
        let blocks = self.plan.columns.get(split.file).map_or(&[][..], ColumnFile::blocks);
        let inside = (0..blocks.len()).filter(|block| split.range.contains(&blocks[*block].bytes.start));
        let (outside, wanted): (Vec<_>, _) =
            inside.partition(|block| blocks[*block].is_outside(&self.plan.ranges));
        (wanted, outside.iter().map(|block| blocks[*block].rows).sum())
    }
}

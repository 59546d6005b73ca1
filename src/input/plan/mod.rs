//! A planned table.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::files::{self, Format, InputFile, Listed};
use super::footers::footers;
use super::projection;
use super::split::{self, Split};
use super::{BadRecords, InputOptions, Row, SplitReader, assign};
use crate::Error;
use crate::formats::columns::{
    BlockPlan, ColumnFile, ColumnRange, ColumnReader, ColumnSource, Value, Wanted,
};
use crate::formats::csv::{CsvReader, FieldFilter, PageReader, Source, WantedField};
use crate::formats::packed::PackedDecoder;
use crate::formats::parquet::ParquetDecoder;
use crate::tables::{Date, Layout, Table};

/// How much of a file is read at once: it stays in the second cache until it is parsed.
const BLOCK_BYTES: usize = 256 << 10;

/// A table that is ready to be read: its files, its splits, and which columns make the row struct `R`.
///
/// Cheap to clone, and the same on every process that sees the same files.
///
/// ```
/// use millrace::input::{Input, InputOptions, Row};
/// use millrace::tables::RANKINGS;
///
/// #[derive(serde::Deserialize)]
/// struct Page<'a> {
///     #[serde(rename = "pageURL")]
///     url: &'a str,
///     #[serde(rename = "pageRank")]
///     rank: i32,
/// }
/// impl Row for Page<'_> {
///     type Of<'a> = Page<'a>;
/// }
///
/// let data = tempfile::tempdir()?;
/// let directory = data.path().join("csv/mine/rankings");
/// std::fs::create_dir_all(&directory)?;
/// std::fs::write(directory.join("part-0"), "apple,30,2\npear,7,5\n")?;
///
/// let options = InputOptions {
///     data: data.path().to_path_buf(),
///     set: "mine".to_owned(),
///     format: Default::default(),
///     split_bytes: None,
///     bad_records: Default::default(),
///     peers: 1,
///     may_be_empty: false,
///     stores: Default::default(),
/// };
/// let pages = Input::<Page>::open(&RANKINGS, &options)?;
/// let mut read = Vec::new();
/// for split in pages.assigned(0, 1) {
///     let mut rows = pages.open_split(split)?;
///     while rows.next_block(|page| read.push((page.url.to_owned(), page.rank)))?.is_some() {}
/// }
/// assert_eq!(read, [("apple".to_owned(), 30), ("pear".to_owned(), 7)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Input<R> {
    plan: Arc<Plan>,
    row: PhantomData<fn() -> R>,
}

struct Plan {
    table: Table,
    wanted: Arc<[Wanted]>,
    /// Of column files, their footers.
    columns: Arc<[ColumnFile]>,
    /// Values outside of which the query wants no row.
    ranges: Arc<[ColumnRange]>,
    files: Arc<[InputFile]>,
    warnings: Arc<[String]>,
    splits: Vec<Split>,
    split_bytes: u64,
    uncut: BTreeSet<usize>,
    bad_records: BadRecords,
    block_bytes: usize,
}

// By hand: a derived one would ask for `R: Clone`.
impl<R> Clone for Input<R> {
    fn clone(&self) -> Self {
        Input { plan: Arc::clone(&self.plan), row: PhantomData }
    }
}

impl<R> fmt::Debug for Input<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("table", &self.plan.table.name).finish_non_exhaustive()
    }
}

impl<R: Row> Input<R> {
    /// Lists the table's files, resolves the fields of `R` against its columns, and cuts splits.
    pub fn open(table: &Table, options: &InputOptions) -> Result<Self, Error> {
        let wanted = projection::resolve::<R>(table)?;
        let listed = files::list(table, options)?;
        Self::of_columns(table, wanted, listed, options)
    }

    /// Plans to read these text files as rows of `table`, whatever else there is of it.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or the table lacks a column that `R` asks for.
    pub fn of_files(table: &Table, files: Vec<InputFile>, options: &InputOptions) -> Result<Self, Error> {
        let wanted = projection::resolve::<R>(table)?;
        Self::of_columns(table, wanted, files::recognized(Format::Csv, files)?, options)
    }

    /// Plans to read these columns of these files.
    pub(super) fn of_columns(
        table: &Table,
        wanted: Vec<Wanted>,
        listed: Listed,
        options: &InputOptions,
    ) -> Result<Self, Error> {
        let Listed { format, mut files, mut warnings } = listed;
        let total = files.iter().map(|file| file.bytes).sum();
        let split_bytes =
            options.split_bytes.unwrap_or_else(|| split::chosen_bytes(total, options.peers)).max(1);
        let columns = footers(table, &wanted, format, &files)?;
        let uncut = match format {
            Format::Csv => files::with_quotes(table, &mut files, split_bytes)?,
            Format::Parquet | Format::Packed => BTreeSet::new(),
        };
        warnings.extend(files::too_few(table, &files, split_bytes, options.peers));
        Ok(Self::planned(Plan {
            table: *table,
            wanted: wanted.into(),
            splits: cut(&files, &columns, split_bytes, &uncut),
            files: files.into(),
            columns,
            ranges: [].into(),
            warnings: warnings.into(),
            split_bytes,
            uncut,
            bad_records: options.bad_records,
            block_bytes: BLOCK_BYTES,
        }))
    }

    /// Starts to read one split.
    pub fn open_split(&self, split: &Split) -> Result<SplitReader<R>, Error> {
        let plan = &*self.plan;
        let file = &plan.files[split.file];
        let (blocks, unread_rows) = self.blocks_of(split);
        let column_source = || ColumnSource {
            unread_rows,
            path: Arc::clone(&file.path),
            table: plan.table,
            wanted: Arc::clone(&plan.wanted),
            bad_records: plan.bad_records,
            range: split.range.clone(),
        };
        match plan.columns.get(split.file) {
            Some(ColumnFile::Parquet(footer)) => {
                let decoder = ParquetDecoder::open(
                    footer,
                    file.open()?,
                    Arc::clone(&plan.wanted),
                    Arc::clone(&plan.ranges),
                    blocks,
                );
                Ok(SplitReader::parquet(ColumnReader::new(column_source(), decoder)))
            }
            Some(ColumnFile::Packed(footer)) => {
                let decoder =
                    PackedDecoder::open(footer, file.open()?, Arc::clone(&plan.wanted), &plan.ranges, blocks);
                Ok(SplitReader::packed(ColumnReader::new(column_source(), decoder)))
            }
            None => {
                let source = Source {
                    path: Arc::clone(&file.path),
                    file: file.open()?,
                    compression: file.compression,
                    range: split.range.clone(),
                    table: plan.table,
                    wanted: plan
                        .wanted
                        .iter()
                        .map(|wanted| WantedField::of(&plan.table, wanted.column))
                        .collect(),
                    filter: FieldFilter::new(&plan.table, &plan.wanted, &plan.ranges),
                    bad_records: plan.bad_records,
                    block_bytes: plan.block_bytes,
                };
                Ok(match plan.table.layout {
                    Layout::Pages => SplitReader::pages(PageReader::open(source)?),
                    Layout::Delimited(_) | Layout::Lines => SplitReader::csv(CsvReader::open(source)?),
                })
            }
        }
    }
}

/// What there is to know of a plan whatever its rows become.
impl<R> Input<R> {
    /// The same plan, of which no row is read.
    pub(crate) fn untyped(&self) -> Input<()> {
        Input { plan: Arc::clone(&self.plan), row: PhantomData }
    }

    /// The same plan with these files as one split each, on top of those that were not cut before.
    #[must_use]
    pub fn uncut(&self, files: &BTreeSet<usize>) -> Self {
        let plan = &*self.plan;
        let uncut = &plan.uncut | files;
        Self::planned(Plan {
            splits: cut(&plan.files, &plan.columns, plan.split_bytes, &uncut),
            uncut,
            files: Arc::clone(&plan.files),
            columns: Arc::clone(&plan.columns),
            warnings: Arc::clone(&plan.warnings),
            wanted: Arc::clone(&plan.wanted),
            ranges: Arc::clone(&plan.ranges),
            ..*plan
        })
    }

    /// The same plan with splits and blocks of about these sizes, and with every file cut, quotes or not, that is not compressed.
    ///
    /// For tests, which want to meet the edges of both; the defaults are the fastest that were measured.
    #[must_use]
    pub fn with_sizes(&self, split_bytes: u64, block_bytes: usize) -> Self {
        let plan = &*self.plan;
        Self::planned(Plan {
            splits: cut(&plan.files, &plan.columns, split_bytes.max(1), &BTreeSet::new()),
            split_bytes: split_bytes.max(1),
            uncut: BTreeSet::new(),
            block_bytes: block_bytes.max(1),
            files: Arc::clone(&plan.files),
            columns: Arc::clone(&plan.columns),
            warnings: Arc::clone(&plan.warnings),
            wanted: Arc::clone(&plan.wanted),
            ranges: Arc::clone(&plan.ranges),
            ..*plan
        })
    }

    /// The same plan where rows with a value of `column` outside of `range`, or without one, may be passed over. Of column files, blocks whose
    /// statistics say that they have no others are not read. Where `column` is a field of the query's struct, and no date that it reads as text,
    /// nor are pages of Parquet of which a page index says so; and in what is read, text included, `column` is decoded first, and of most rows
    /// outside nothing else. Others still come, so the query compares them itself. A value of a row that was passed over may be bad, and nobody is
    /// told; a row of text that has not as many fields as its table has columns is bad wherever it lies.
    ///
    /// # Errors
    ///
    /// The table has no such column.
    pub fn skipping_outside<V: Clone + Into<ColumnValue>>(
        &self,
        column: &str,
        range: impl RangeBounds<V>,
    ) -> Result<Self, Error> {
        let plan = &*self.plan;
        let value = |bound: Bound<&V>| bound.map(|value| value.clone().into().0);
        let range = ColumnRange {
            column: projection::column_of(&plan.table, column)?,
            from: value(range.start_bound()),
            to: value(range.end_bound()),
        };
        Ok(Self::planned(Plan {
            ranges: plan.ranges.iter().cloned().chain([range]).collect(),
            columns: Arc::clone(&plan.columns),
            splits: plan.splits.clone(),
            uncut: plan.uncut.clone(),
            files: Arc::clone(&plan.files),
            warnings: Arc::clone(&plan.warnings),
            wanted: Arc::clone(&plan.wanted),
            ..*plan
        }))
    }

    /// The blocks of a split that may have rows that the query wants, and how many rows the others have.
    fn blocks_of(&self, split: &Split) -> (Vec<usize>, u64) {
        let blocks = self.plan.columns.get(split.file).map_or(&[][..], ColumnFile::blocks);
        let inside = (0..blocks.len()).filter(|block| split.range.contains(&blocks[*block].bytes.start));
        let (outside, wanted): (Vec<_>, _) =
            inside.partition(|block| blocks[*block].is_outside(&self.plan.ranges));
        (wanted, outside.iter().map(|block| blocks[*block].rows).sum())
    }

    fn planned(plan: Plan) -> Self {
        Input { plan: Arc::new(plan), row: PhantomData }
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.plan.table
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

    /// A number that differs where the files' names, sizes, compressions or, in a store, versions do: processes compare it before they start.
    pub fn digest(&self) -> u64 {
        files::digest(&self.plan.files)
    }
}

/// A value that a column's values are compared with, of the type that the column has: made of an `i32`, `f32`, `f64`, [`Date`] or text.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnValue(Value);

impl From<i32> for ColumnValue {
    fn from(value: i32) -> Self {
        ColumnValue(Value::Int(value.into()))
    }
}

impl From<f32> for ColumnValue {
    fn from(value: f32) -> Self {
        ColumnValue(Value::Float(value))
    }
}

impl From<f64> for ColumnValue {
    fn from(value: f64) -> Self {
        ColumnValue(Value::Double(value))
    }
}

impl From<Date> for ColumnValue {
    fn from(date: Date) -> Self {
        ColumnValue(Value::Date(date.days()))
    }
}

impl From<&str> for ColumnValue {
    fn from(text: &str) -> Self {
        ColumnValue(Value::Text(text.into()))
    }
}

fn cut(files: &[InputFile], columns: &[ColumnFile], split_bytes: u64, uncut: &BTreeSet<usize>) -> Vec<Split> {
    if columns.is_empty() {
        split::cut(files, split_bytes, uncut)
    } else {
        split::cut_at_blocks(files, columns, split_bytes)
    }
}

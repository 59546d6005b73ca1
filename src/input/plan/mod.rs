//! A planned table.

mod column_value;
mod known;
mod open;

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::files::{self, Format, InputFile, Listed};
use super::footers::footers;
use super::projection;
use super::split::{self, Split};
use super::{BadRecords, InputOptions, Row};
use crate::Error;
use crate::formats::columns::{ColumnFile, ColumnRange, Wanted};
use crate::tables::Table;

pub use column_value::ColumnValue;
pub(crate) use known::Weight;

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

#[derive(Clone)]
struct Plan {
    table: Table,
    format: Format,
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
        warnings.extend(files::too_few(&files, split_bytes, options.peers));
        Ok(Self::planned(Plan {
            table: *table,
            format,
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
}

/// Plans made of a plan, whatever its rows become.
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
            ..plan.clone()
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
            ..plan.clone()
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
            ..plan.clone()
        }))
    }

    fn planned(plan: Plan) -> Self {
        Input { plan: Arc::new(plan), row: PhantomData }
    }
}

fn cut(files: &[InputFile], columns: &[ColumnFile], split_bytes: u64, uncut: &BTreeSet<usize>) -> Vec<Split> {
    if columns.is_empty() {
        split::cut(files, split_bytes, uncut)
    } else {
        split::cut_at_blocks(files, columns, split_bytes)
    }
}

//! Where rows come from: tables on disk or in a store, splits and their assignment, row projection.
//!
//! [`Input::open`] plans: it lists a table's files, resolves the fields of a query's struct against the table's columns
//! and cuts the files into splits. [`Input::open_split`] reads one split, block by block.
//!
//! # Cuts are optimistic, and proven afterwards
//!
//! A file is cut at any byte, and a split has the rows that start in it: the first one behind the first newline at or
//! after the byte before its range. A newline inside a quoted field breaks that rule, and only a reader that comes from
//! the file's start can tell it from the end of a row. So each split says which bytes its rows really had
//! ([`SplitReader::extent`]), and [`miscut_files`] compares them when all are read: where the extents of a file meet from its
//! first byte to its last, every cut was right, by induction. Otherwise the answer is thrown away and the job reads
//! those files whole ([`Input::uncut`]). To spare most such second runs, a file that has a quote in its first
//! [`QUOTES_LOOKED_FOR_BYTES`] is never cut: it is read by one worker alone, however large it is.
//!
//! # Who reads a split
//!
//! [`SplitAssignment`] says: a worker that the plan alone determines, or whichever worker of a process comes first. What
//! a process reads follows from the plan either way, so that all processes agree without a word. Where each process has files of
//! its own, each has a plan of its own for its workers alone.

mod assign;
mod batches;
mod files;
mod footers;
mod plan;
mod probe;
mod projection;
mod reader;
mod row;
mod split;
mod store;
mod weigh;

use std::path::PathBuf;

pub use assign::SplitAssignment;
pub(crate) use assign::SplitQueue;
pub(crate) use batches::{WholeRows, stored_columns, stored_columns_at};
pub use files::{InputFile, QUOTES_LOOKED_FOR_BYTES};
pub(crate) use files::{has_formats, list_text_files, names_outright, set_of};
pub(crate) use footers::StoredColumns;
pub(crate) use plan::Weight;
pub use plan::{ColumnValue, Input};
pub use reader::{Block, PassedOver, SplitReader};
pub use row::Row;
pub(crate) use split::MISCUT;
pub use split::{Split, miscut_files};
pub use store::{Fetched, StoreOptions, Stores};
pub(crate) use store::{Object, ObjectReader, check as check_data, is_remote, read_ahead_bytes};

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct InputOptions {
    /// Directory of all data, here or in a store: tables are at `<data>/<format>/<set>/<table>/`. Or what names a table outright:
    /// a pattern, anything with `{table}` or `{set}` in it, or a directory or file that is called as the table is.
    pub data: PathBuf,
    /// Name of the set, `tiny` for one.
    pub set: String,
    /// Format of the files.
    pub format: FormatChoice,
    /// Bytes a split has, about; `None` chooses so that every worker gets several.
    pub split_bytes: Option<u64>,
    /// What to do about a record that does not fit.
    pub bad_records: BadRecords,
    /// How many workers read these files: those of all processes, or of one that has them alone.
    pub peers: usize,
    /// Whether a directory without files is a table without rows, as a shard may be; otherwise it is an error.
    pub may_be_empty: bool,
    /// How files that are far away are reached.
    pub stores: Stores,
}

impl Default for InputOptions {
    /// The tiny set under `data`, for one worker.
    fn default() -> Self {
        InputOptions {
            data: "data".into(),
            set: "tiny".into(),
            format: FormatChoice::Auto,
            split_bytes: None,
            bad_records: BadRecords::Fail,
            peers: 1,
            may_be_empty: false,
            stores: Stores::default(),
        }
    }
}

/// Which format to read a table in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum FormatChoice {
    /// The fastest format in which the set holds the table.
    #[default]
    Auto,
    /// Delimited text.
    Csv,
    /// Apache Parquet.
    Parquet,
    /// The packed format, written by `pack`.
    Packed,
}

/// What to do about a record that does not fit its table or the query.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BadRecords {
    /// Fail, and say which record it was.
    #[default]
    Fail,
    /// Leave it out, and count it.
    Skip,
}

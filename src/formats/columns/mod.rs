//! What column formats share: batches of decoded columns, rows of a query's struct out of them, and which blocks of a file a
//! query may pass over.
//!
//! | module | what it is |
//! | --- | --- |
//! | `batch` | some rows, column by column |
//! | `build` | a batch out of rows of text |
//! | `cell` | one value of a batch as serde asks for it |
//! | `gather`, `filling` | rows gathered into a block that is to be written |
//! | `filter` | which rows of a batch a query may want |
//! | `reader` | one split as rows: batches one after the other |
//! | `blocks` | where a file's blocks lie and what statistics say of them |
//! | `testing` | batches for tests |

mod batch;
mod blocks;
mod build;
mod cell;
mod filling;
mod filter;
mod gather;
mod reader;
#[cfg(test)]
pub(in crate::formats) mod testing;

pub(in crate::formats) use batch::push_day;
pub(crate) use batch::{Batch, Column, Texts, Values, legible};
pub(crate) use blocks::{BlockPlan, ColumnRange, Limits, Value};
pub(crate) use build::BatchBuilder;
pub(in crate::formats) use cell::Cell;
pub(in crate::formats) use filling::{Dictionary, Filled, Filling, texts};
pub(crate) use filter::RowFilter;
pub(in crate::formats) use gather::{BlockSize, Gathering, LONGEST_TEXT, unfit};
pub(crate) use reader::{ColumnReader, ColumnSource, Decode, Decoded, Misfit};

use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::tables::{Column as TableColumn, ColumnType, Layout, Table};

/// A column that a query reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its index in the table.
    pub(crate) column: usize,
    /// Whether a date is to be decoded to its text, `yyyy-MM-dd`.
    pub(crate) as_text: bool,
}

/// A column of a file, as the file itself tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredColumn {
    pub(crate) name: String,
    /// The type of a table's column that has all its values as they are; where none has, what the file calls its type.
    pub(crate) kind: Result<ColumnType, String>,
    /// Bytes in the file.
    pub(crate) bytes: u64,
}

/// An error about a file of which nobody can say which column is meant by a name.
#[cold]
pub(crate) fn has_twice(path: &Path, name: &str) -> Error {
    Error::Data(format!(
        "{} has more than one column {name}\n  try: write it again with a name for each column",
        path.display()
    ))
}

/// A column file whose footer was read.
#[derive(Debug, Clone)]
pub(crate) enum ColumnFile {
    /// Parquet.
    Parquet(Arc<super::parquet::ParquetFile>),
    /// Our own.
    Packed(Arc<super::packed::PackedFile>),
}

/// Says that a file lacks a column of a table, and which ones it has.
#[cold]
pub(in crate::formats) fn no_such_column(
    path: &Path,
    column: &TableColumn,
    table: &Table,
    there: &[impl AsRef<str>],
) -> Error {
    let there: Vec<_> = there.iter().map(AsRef::as_ref).collect();
    // A crawl was lines in every format once.
    let remedy = match (table.layout, &there[..]) {
        (Layout::Pages, ["line"]) => {
            "\n  try: --format csv where its text is, or make pages of that text: pack it with --to packed and another --output"
        }
        _ => "",
    };
    Error::Data(format!(
        "{} has no column {}, which table {} has\n  its columns are: {}{remedy}",
        path.display(),
        column.name,
        table.name,
        there.join(", ")
    ))
}

impl ColumnFile {
    /// Its blocks, in the order of the file: a split has whole ones.
    pub(crate) fn blocks(&self) -> &[BlockPlan] {
        match self {
            ColumnFile::Parquet(file) => file.blocks(),
            ColumnFile::Packed(file) => file.blocks(),
        }
    }

    /// How many bytes of a block a reader of these columns goes through.
    pub(crate) fn bytes_of(&self, block: usize, wanted: &[Wanted]) -> u64 {
        let bytes = |wanted: &Wanted| match self {
            ColumnFile::Parquet(file) => file.bytes_of(block, wanted.column),
            ColumnFile::Packed(file) => file.bytes_of(block, wanted.column),
        };
        wanted.iter().map(bytes).sum()
    }

    /// Of each block, the bytes of each column of the table and how its values are written.
    pub(crate) fn stored(&self) -> Vec<Vec<(u64, String)>> {
        match self {
            ColumnFile::Parquet(file) => file.stored(),
            ColumnFile::Packed(file) => file.stored(),
        }
    }
}

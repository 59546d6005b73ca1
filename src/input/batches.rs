//! Whole rows, column by column, of any table in any format: for programs that do not know its columns when they are compiled.

use std::ops::Range;
use std::path::Path;

use serde::de::IgnoredAny;

use super::footers::StoredColumns;
use super::reader::FormatReader;
use super::store::Place;
use super::{Block, Input, InputOptions, Row, Split, SplitReader, files, footers, projection};
use crate::Error;
use crate::formats::columns::{Batch, BatchBuilder};
use crate::tables::Table;

/// All columns of a table, whichever they are: an input of these is read in batches.
pub(crate) struct WholeRows;

impl Row for WholeRows {
    /// Nobody asks for it: a batch has no structs.
    type Of<'a> = IgnoredAny;
}

/// The columns of a table's files by what their footers say; `None` of text, which has none.
pub(crate) fn stored_columns(
    name: &'static str,
    options: &InputOptions,
) -> Result<Option<StoredColumns>, Error> {
    let listed = files::list(&unknown(name), options)?;
    footers::stored_columns(listed.format, &listed.files)
}

/// The same of a file, or a directory of any name.
pub(crate) fn stored_columns_at(path: &Path, options: &InputOptions) -> Result<Option<StoredColumns>, Error> {
    let listed = files::list_at(&Place::Directory(path.to_path_buf()), options)?;
    footers::stored_columns(listed.format, &listed.files)
}

/// A table of which nothing but the name is known.
fn unknown(name: &'static str) -> Table {
    Table::delimited(name, b',', &[])
}

impl Input<WholeRows> {
    /// Lists the table's files and cuts splits.
    pub(crate) fn whole(table: &Table, options: &InputOptions) -> Result<Self, Error> {
        projection::check_columns(table)?;
        Self::of_columns(table, projection::all_of(table)?, files::list(table, options)?, options)
    }

    /// The same for a file, or a directory of any name. Of no columns, no rows are read.
    pub(crate) fn whole_at(path: &Path, table: &Table, options: &InputOptions) -> Result<Self, Error> {
        let listed = files::list_at(&Place::Directory(path.to_path_buf()), options)?;
        Self::of_columns(table, projection::all_of(table)?, listed, options)
    }

    /// Starts to read one split.
    pub(crate) fn open_batches(&self, split: &Split) -> Result<BatchReader, Error> {
        Ok(BatchReader { split: self.open_split(split)?, builder: BatchBuilder::new(self.table()) })
    }
}

/// Reads one split, a batch at a time.
pub(crate) struct BatchReader {
    split: SplitReader<WholeRows>,
    builder: BatchBuilder,
}

impl BatchReader {
    /// Reads the next rows in place of those in `batch`; `None` at the end. A batch of no rows may come before it.
    ///
    /// Fields of text are parsed as the types of their columns say: a bad one is an error, or its row is left out, as in
    /// a query.
    pub(crate) fn next_batch(&mut self, batch: &mut Batch) -> Result<Option<Block>, Error> {
        let block = match &mut self.split.format {
            FormatReader::Csv(reader) => reader.next_batch(&mut self.builder)?,
            FormatReader::Pages(reader) => reader.next_batch(&mut self.builder)?,
            FormatReader::Parquet(reader) => return reader.next_batch(batch),
            FormatReader::Packed(reader) => return reader.next_batch(batch),
        };
        self.builder.finish(batch);
        Ok(block)
    }

    /// As [`SplitReader::extent`].
    pub(crate) fn extent(&self) -> Range<u64> {
        self.split.extent()
    }
}

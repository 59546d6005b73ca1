//! One split being read, whatever its format.

use std::marker::PhantomData;
use std::ops::Range;

use super::Row;
use crate::Error;
use crate::formats::columns::ColumnReader;
use crate::formats::csv::{CsvReader, PageReader};
use crate::formats::packed::PackedDecoder;
use crate::formats::parquet::ParquetDecoder;

/// Reads one split, a block at a time.
pub struct SplitReader<R> {
    pub(super) format: FormatReader,
    row: PhantomData<fn() -> R>,
}

/// Chosen once a block, never a row.
pub(super) enum FormatReader {
    Csv(CsvReader),
    Pages(PageReader),
    Parquet(ColumnReader<ParquetDecoder>),
    Packed(ColumnReader<PackedDecoder>),
}

/// What one block held.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Rows read: given out, or left out because they are outside of a range of [`Input::skipping_outside`](super::Input::skipping_outside).
    pub rows: u64,
    /// Bytes of the file gone through; over all blocks of all splits they are the bytes of the files, but of column files
    /// those of the columns read.
    pub bytes: u64,
    /// Bytes parsed; the same, unless the file is compressed.
    pub text_bytes: u64,
    /// Records left out because they do not fit.
    pub bad_records: u64,
}

/// What was not looked at, because no row there is in the ranges of
/// [`Input::skipping_outside`](super::Input::skipping_outside).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct PassedOver {
    /// Rows of column files of which nothing was read: bounds of their blocks or pages rule them out.
    pub unread_rows: u64,
    /// Rows of which the ranges' columns were read, and rule them out: their other values were not decoded. They count as read.
    pub filtered_rows: u64,
    /// Pages of columns in blocks that were read, of packed files regions, none of which was decoded.
    pub pages: u64,
}

impl<R: Row> SplitReader<R> {
    pub(super) fn csv(reader: CsvReader) -> Self {
        SplitReader { format: FormatReader::Csv(reader), row: PhantomData }
    }

    pub(super) fn pages(reader: PageReader) -> Self {
        SplitReader { format: FormatReader::Pages(reader), row: PhantomData }
    }

    pub(super) fn parquet(reader: ColumnReader<ParquetDecoder>) -> Self {
        SplitReader { format: FormatReader::Parquet(reader), row: PhantomData }
    }

    pub(super) fn packed(reader: ColumnReader<PackedDecoder>) -> Self {
        SplitReader { format: FormatReader::Packed(reader), row: PhantomData }
    }

    /// Reads and parses the next block and calls `emit` once a row; `None` at the end of the split.
    ///
    /// A block may hold no row at all, where rows are longer than blocks.
    pub fn next_block(&mut self, emit: impl FnMut(R::Of<'_>)) -> Result<Option<Block>, Error> {
        match &mut self.format {
            FormatReader::Csv(reader) => reader.next_block::<R>(emit),
            FormatReader::Pages(reader) => reader.next_block::<R>(emit),
            FormatReader::Parquet(reader) => reader.next_block::<R>(emit),
            FormatReader::Packed(reader) => reader.next_block::<R>(emit),
        }
    }

    /// After the end: what was passed over.
    pub fn passed_over(&self) -> PassedOver {
        match &self.format {
            FormatReader::Csv(reader) => reader.passed_over(),
            FormatReader::Pages(_) => PassedOver::default(),
            FormatReader::Parquet(reader) => reader.passed_over(),
            FormatReader::Packed(reader) => reader.passed_over(),
        }
    }

    /// After the end: the bytes of the rows really read, from the first row's start to the last row's end; of a compressed
    /// file, its own bytes, which are all of them, since its end was reached.
    ///
    /// [`miscut_files`](super::miscut_files) wants the extents of all splits.
    pub fn extent(&self) -> Range<u64> {
        match &self.format {
            FormatReader::Csv(reader) => reader.extent(),
            FormatReader::Pages(reader) => reader.extent(),
            FormatReader::Parquet(reader) => reader.extent(),
            FormatReader::Packed(reader) => reader.extent(),
        }
    }
}

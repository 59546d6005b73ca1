//! Parquet files: row groups as splits, only the wanted columns' chunks, pages decoded straight into batches.
//!
//! | module | what it is |
//! | --- | --- |
//! | `varint` | integers of few bytes where they are small |
//! | `thrift` | the protocol of footers and page headers |
//! | `footer` | where columns lie, statistics |
//! | `schema` | the columns of a file, and as which types they are read |
//! | `index` | which pages a query may want |
//! | `pages` | one column chunk, page by page |
//! | `window`, `header` | its bytes, and what stands before a page |
//! | `memory` | where these bytes lie |
//! | `page` | the values of a page, of all its rows or of some |
//! | `codec` | decompression |
//! | `encodings` | integers, texts and levels as pages have them |
//! | `way` | how a column chunk is written, for people |
//! | `reason` | why something cannot be read |
//! | `values` | the file's types as the table's |
//! | `join` | one file of several |
//! | `write`, `page_writer`, `index_writer` | making files |

mod codec;
mod encodings;
mod footer;
mod header;
mod index;
mod index_writer;
mod join;
mod memory;
mod page;
mod page_writer;
mod pages;
mod reason;
mod schema;
#[cfg(test)]
mod tests;
mod thrift;
#[cfg(test)]
mod unsupported;
mod values;
mod varint;
mod way;
mod window;
mod write;

pub(crate) use join::Joined;
pub(crate) use write::ParquetWriter;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use self::footer::{Chunk, DECRYPT, Leaf};
use self::index::{Selection, bytes_to_select, select};
use self::pages::{Pages, Room};
use self::reason::Unsupported;
use super::columns::{
    Batch, BlockPlan, Column, ColumnRange, Decode, Decoded, Misfit, RowFilter, StoredColumn, Values, Wanted,
};
use crate::Error;
use crate::formats::file::PlannedFile;
use crate::input::{InputFile, PassedOver};
use crate::tables::Table;

/// Rows of a batch: its columns stay in the second cache.
const BATCH_ROWS: usize = 8192;

/// A file whose footer was read and fits its table.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    path: Arc<Path>,
    blocks: Vec<BlockPlan>,
    leaves: Vec<Leaf>,
    chunks: Vec<Vec<Chunk>>,
    /// By block, the rows of the file before it.
    first_rows: Vec<u64>,
}

impl ParquetFile {
    /// Reads the footer and finds the columns of `table` in it.
    pub(crate) fn open(file: &InputFile, table: &Table) -> Result<Self, Error> {
        let footer::Footer { blocks, leaves, chunks } = footer::read(file, table)?;
        let first_rows = blocks.iter().scan(0_u64, |before, block| {
            let first = *before;
            *before = first.saturating_add(block.rows);
            Some(first)
        });
        let first_rows = first_rows.collect();
        Ok(ParquetFile { path: Arc::clone(&file.path), blocks, leaves, chunks, first_rows })
    }

    /// Reads what the footer says of the file's own columns.
    pub(crate) fn stored_columns(file: &InputFile) -> Result<Vec<StoredColumn>, Error> {
        footer::stored_columns(file)
    }

    /// An error if one of these columns is encrypted; others may be.
    pub(crate) fn check_readable(&self, wanted: &[Wanted]) -> Result<(), Error> {
        match wanted.iter().map(|wanted| &self.leaves[wanted.column]).find(|leaf| leaf.encrypted) {
            Some(leaf) => Err(Unsupported::new("encryption", DECRYPT).of(&self.path, Some(leaf.name))),
            None => Ok(()),
        }
    }

    /// Its blocks, in the order of the file.
    pub(crate) fn blocks(&self) -> &[BlockPlan] {
        &self.blocks
    }

    /// Of a column of a block: its bytes in the file.
    pub(crate) fn bytes_of(&self, block: usize, column: usize) -> u64 {
        let chunk = &self.chunks[block][column];
        // Of a block without rows nothing is read.
        if self.blocks[block].rows == 0 { 0 } else { chunk.end - chunk.start }
    }

    /// Of each block, the bytes of each column of the table, and how they are encoded and compressed.
    pub(crate) fn stored(&self) -> Vec<Vec<(u64, String)>> {
        let way = |chunk: &Chunk| (chunk.end - chunk.start, chunk.encodings.told(chunk.codec));
        self.chunks.iter().map(|chunks| chunks.iter().map(way).collect()).collect()
    }
}

/// Decodes some of a file's blocks.
pub(crate) struct ParquetDecoder {
    footer: Arc<ParquetFile>,
    /// Of which all columns read: a clone of it would know nothing of what was said to be read.
    file: Arc<PlannedFile>,
    wanted: Arc<[Wanted]>,
    /// Values outside of which no row is wanted.
    ranges: Arc<[ColumnRange]>,
    blocks: std::vec::IntoIter<usize>,
    filter: RowFilter,
    /// Of the block whose turn it is; and memory of the one before.
    columns: Vec<Pages>,
    room: Vec<Room>,
    block: usize,
    /// Whether its page index is to be read before anything else of it.
    is_indexed: bool,
    /// Those of its rows that come next, and the ones behind a gap.
    rows: Range<u64>,
    more: std::vec::IntoIter<Range<u64>>,
    /// Of the last batch.
    misfits: Vec<Misfit>,
    /// By page indexes.
    unread_rows: u64,
    passed_over: u64,
}

impl ParquetDecoder {
    /// Says what will be read, and reads nothing yet. `blocks` are indices into [`ParquetFile::blocks`], ascending; rows outside of
    /// `ranges` may be left out.
    pub(crate) fn open(
        footer: &Arc<ParquetFile>,
        file: PlannedFile,
        wanted: Arc<[Wanted]>,
        ranges: Arc<[ColumnRange]>,
        blocks: Vec<usize>,
    ) -> Self {
        let mut decoder = ParquetDecoder {
            footer: Arc::clone(footer),
            file: file.into(),
            filter: RowFilter::new(&wanted, &ranges),
            wanted,
            ranges,
            blocks: blocks.into_iter(),
            columns: Vec::new(),
            room: Vec::new(),
            block: 0,
            is_indexed: false,
            rows: 0..0,
            more: Vec::new().into_iter(),
            misfits: Vec::new(),
            unread_rows: 0,
            passed_over: 0,
        };
        decoder.next_block();
        decoder
    }

    /// Goes on to the next block that has rows; false at the end.
    fn next_block(&mut self) -> bool {
        let Some(block) = self.blocks.find(|block| self.footer.blocks[*block].rows > 0) else {
            self.columns.clear();
            return false;
        };
        self.block = block;
        let index = bytes_to_select(&self.footer, block, &self.wanted, &self.ranges);
        self.is_indexed = !index.is_empty();
        if self.is_indexed {
            self.file.will_read(&index);
        } else {
            self.start(None);
        }
        true
    }

    /// Prepares to read the block, or what was selected of it.
    fn start(&mut self, selection: Option<Selection>) {
        let footer = &self.footer;
        let chunks = &footer.chunks[self.block];
        let (rows, pieces) = match selection {
            Some(Selection { rows, pieces, unread_pages }) => {
                let selected: u64 = rows.iter().map(|rows| rows.end - rows.start).sum();
                self.unread_rows += footer.blocks[self.block].rows - selected;
                self.passed_over += unread_pages;
                (rows, pieces.into_iter().map(Some).collect())
            }
            None => (vec![0..footer.blocks[self.block].rows; 1], vec![None; self.wanted.len()]),
        };
        let mut bytes = Vec::new();
        for (Wanted { column, .. }, pieces) in self.wanted.iter().zip(&pieces) {
            match pieces {
                Some(pieces) => bytes.extend(pieces.iter().map(|piece| piece.bytes.clone())),
                None => bytes.push(chunks[*column].start..chunks[*column].end),
            }
        }
        self.more = rows.into_iter();
        self.leave_block();
        if self.more.as_slice().is_empty() {
            return;
        }
        self.file.will_read(&bytes);
        let (footer, mut room) = (&self.footer, std::mem::take(&mut self.room).into_iter());
        for (&Wanted { column, as_text }, pieces) in self.wanted.iter().zip(pieces) {
            let (file, path) = (Arc::clone(&self.file), Arc::clone(&footer.path));
            let target = (footer.leaves[column].clone(), as_text);
            let (chunk, room) = (&footer.chunks[self.block][column], room.next().unwrap_or_default());
            self.columns.push(Pages::new(file, path, target, chunk, pieces, room));
        }
    }

    /// Keeps the memory of the block's columns for the next one's.
    fn leave_block(&mut self) {
        if !self.columns.is_empty() {
            self.room = self.columns.drain(..).map(Pages::into_room).collect();
        }
    }

    /// Goes on to the next rows that are to be read, if the last ones were; false at the end.
    fn next_rows(&mut self) -> Result<bool, Error> {
        while self.rows.is_empty() {
            if std::mem::take(&mut self.is_indexed) {
                let selection = select(&self.file, &self.footer, self.block, &self.wanted, &self.ranges)?;
                self.start(selection);
            }
            if let Some(rows) = self.more.next() {
                self.columns.iter_mut().try_for_each(|pages| pages.seek(rows.start))?;
                self.rows = rows;
            } else if !self.next_block() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the rows that are kept of a column's next ones.
    fn take(&mut self, index: usize, rows: usize, column: &mut Column) -> Result<(), Error> {
        let misfits = self.columns[index].take(rows, self.filter.runs(), column)?;
        self.misfits.extend(misfits.into_iter().map(|(row, reason)| Misfit { row, column: index, reason }));
        Ok(())
    }
}

impl Decode for ParquetDecoder {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<Option<Decoded>, Error> {
        if !self.next_rows()? {
            return Ok(None);
        }
        let none = || Column { values: Values::Int(Vec::new()), present: Vec::new() };
        batch.columns.resize_with(self.columns.len(), none);
        let BlockPlan { rows: of_block, bytes, .. } = &self.footer.blocks[self.block];
        let (of_block, block_at) = (*of_block, bytes.start);
        let left = self.rows.end - self.rows.start;
        let mut rows = BATCH_ROWS.min(usize::try_from(left).unwrap_or(BATCH_ROWS));
        for pages in &mut self.columns {
            rows = rows.min(pages.rows(of_block - self.rows.start)?);
        }
        self.misfits.clear();
        self.filter.keep_all(rows);
        for index in 0..self.columns.len() {
            if self.filter.compares(index) {
                self.take(index, rows, &mut batch.columns[index])?;
            }
        }
        self.filter.narrow(rows, &batch.columns, &self.misfits);
        for index in 0..self.columns.len() {
            if self.filter.compares(index) {
                continue;
            }
            if self.filter.runs().is_empty() {
                self.columns[index].pass(rows);
            } else {
                self.take(index, rows, &mut batch.columns[index])?;
            }
        }
        self.misfits.sort_by_key(|misfit| misfit.row);
        batch.rows = rows;
        let first_row = self.footer.first_rows[self.block] + self.rows.start;
        self.rows.start += rows as u64;
        if self.rows.is_empty() && self.more.as_slice().is_empty() {
            self.columns.iter_mut().try_for_each(Pages::finish)?;
        }
        self.passed_over += self.columns.iter_mut().map(Pages::take_passed_over).sum::<u64>();
        Ok(Some(Decoded {
            bytes: self.columns.iter_mut().map(Pages::take_gone).sum(),
            decompressed: self.columns.iter_mut().map(Pages::take_decompressed).sum(),
            block_at,
            first_row,
        }))
    }

    fn filter(&self) -> &RowFilter {
        &self.filter
    }

    fn misfits(&self) -> &[Misfit] {
        &self.misfits
    }

    fn passed_over(&self) -> PassedOver {
        PassedOver {
            unread_rows: self.unread_rows,
            filtered_rows: self.filter.filtered_rows(),
            pages: self.passed_over,
        }
    }
}

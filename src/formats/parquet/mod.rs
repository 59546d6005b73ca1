//! Parquet files: row groups as splits, only the wanted columns' chunks, pages decoded straight into batches.
//!
//! | module | what it is |
//! | --- | --- |
//! | `thrift` | the protocol of footers and page headers |
//! | `footer` | where columns lie, their types, statistics |
//! | `pages` | one column chunk, page by page |
//! | `codec` | decompression |
//! | `encodings` | integers, texts and levels as pages have them |
//! | `values` | the file's types as the table's |
//! | `join` | one file of several |
//! | `write`, `page_writer` | making files |

mod codec;
mod encodings;
mod footer;
mod join;
mod page_writer;
mod pages;
mod thrift;
mod values;
mod write;

pub(crate) use join::Joined;
pub(crate) use write::ParquetWriter;

use std::path::Path;
use std::sync::Arc;

use self::footer::{Chunk, Leaf};
use self::pages::Pages;
use super::columns::{Batch, BlockPlan, Column, Decode, Decoded, Misfit, Values, Wanted};
use crate::Error;
use crate::formats::file::PlannedFile;
use crate::input::InputFile;
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

    /// Its blocks, in the order of the file.
    pub(crate) fn blocks(&self) -> &[BlockPlan] {
        &self.blocks
    }

    /// Of each block, the bytes of each column of the table and how they are compressed.
    pub(crate) fn stored(&self) -> Vec<Vec<(u64, String)>> {
        let way = |chunk: &Chunk| (chunk.end - chunk.start, format!("{:?}", chunk.codec).to_lowercase());
        self.chunks.iter().map(|chunks| chunks.iter().map(way).collect()).collect()
    }
}

/// Decodes some of a file's blocks.
pub(crate) struct ParquetDecoder {
    footer: Arc<ParquetFile>,
    file: PlannedFile,
    wanted: Arc<[Wanted]>,
    blocks: std::vec::IntoIter<usize>,
    /// Of the block whose turn it is.
    columns: Vec<Pages>,
    block: usize,
    rows_left: u64,
    /// Of the last batch.
    misfits: Vec<Misfit>,
}

impl ParquetDecoder {
    /// Says what will be read, and reads nothing yet. `blocks` are indices into [`ParquetFile::blocks`], ascending.
    pub(crate) fn open(
        footer: &Arc<ParquetFile>,
        file: PlannedFile,
        wanted: Arc<[Wanted]>,
        blocks: Vec<usize>,
    ) -> Self {
        let mut decoder = ParquetDecoder {
            footer: Arc::clone(footer),
            file,
            wanted,
            blocks: blocks.into_iter(),
            columns: Vec::new(),
            block: 0,
            rows_left: 0,
            misfits: Vec::new(),
        };
        decoder.next_block();
        decoder
    }

    /// Goes on to the next block that has rows; false at the end.
    fn next_block(&mut self) -> bool {
        let footer = &self.footer;
        let Some(block) = self.blocks.find(|block| footer.blocks[*block].rows > 0) else {
            self.columns.clear();
            return false;
        };
        let chunks = &footer.chunks[block];
        let ranges = self.wanted.iter().map(|wanted| chunks[wanted.column].start..chunks[wanted.column].end);
        self.file.will_read(&ranges.collect::<Vec<_>>());
        let pages = self.wanted.iter().map(|&Wanted { column, as_text }| {
            let (file, path) = (self.file.clone(), Arc::clone(&footer.path));
            Pages::new(file, path, footer.leaves[column].clone(), as_text, &chunks[column])
        });
        self.columns = pages.collect();
        self.block = block;
        self.rows_left = footer.blocks[block].rows;
        true
    }
}

impl Decode for ParquetDecoder {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<Option<Decoded>, Error> {
        if self.rows_left == 0 && !self.next_block() {
            return Ok(None);
        }
        let none = || Column { values: Values::Int(Vec::new()), present: Vec::new() };
        batch.columns.resize_with(self.columns.len(), none);
        let before: u64 = self.columns.iter().map(Pages::at).sum();
        let mut rows = BATCH_ROWS.min(usize::try_from(self.rows_left).unwrap_or(BATCH_ROWS));
        for pages in &mut self.columns {
            rows = rows.min(pages.rows(self.rows_left)?);
        }
        self.misfits.clear();
        for (index, (pages, column)) in self.columns.iter_mut().zip(&mut batch.columns).enumerate() {
            let misfit =
                |(row, reason): (usize, &str)| Misfit { row, column: index, reason: reason.to_owned() };
            self.misfits.extend(pages.misfits(rows).map(misfit));
            pages.take(rows, column);
        }
        self.misfits.sort_by_key(|misfit| misfit.row);
        batch.rows = rows;
        let block = &self.footer.blocks[self.block];
        let first_row = self.footer.first_rows[self.block] + (block.rows - self.rows_left);
        self.rows_left -= rows as u64;
        if self.rows_left == 0 {
            self.columns.iter_mut().try_for_each(Pages::finish)?;
        }
        Ok(Some(Decoded {
            bytes: self.columns.iter().map(Pages::at).sum::<u64>() - before,
            decompressed: self.columns.iter_mut().map(Pages::take_decompressed).sum(),
            block_at: block.bytes.start,
            first_row,
        }))
    }

    fn misfits(&self) -> &[Misfit] {
        &self.misfits
    }
}

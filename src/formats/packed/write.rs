//! Making packed files: rows are gathered into blocks, and each block is written as soon as it is full.

use std::io::{self, Write};

use super::encode;
use super::footer::{BlockEntry, Footer, MAGIC, MOST_ROWS};
use crate::formats::columns::{Batch, BlockSize, Gathering, unfit};
use crate::tables::Table;

/// A block ends before the row with which its texts would have more bytes than this.
const BLOCK_BYTES: usize = 16 << 20;

/// Writes one packed file, and keeps one block of it in memory.
pub(crate) struct PackedWriter<W> {
    gathering: Gathering,
    file: BlockWriter<W>,
}

/// Where blocks go.
struct BlockWriter<W> {
    to: W,
    footer: Footer,
    /// The block as it is written, kept for the next one.
    encoded: Vec<u8>,
}

impl<W: Write> PackedWriter<W> {
    /// Starts a file with the columns of `table`.
    pub(crate) fn create(mut to: W, table: &Table) -> io::Result<Self> {
        let long = table.columns.iter().find(|column| column.name.len() > usize::from(u16::MAX));
        if let Some(column) = long {
            return Err(unfit(format!("the name of a column has {} bytes", column.name.len())));
        }
        to.write_all(&MAGIC)?;
        let columns = table.columns.iter().map(|column| (column.name.to_owned(), column.kind)).collect();
        let footer = Footer { columns, blocks: Vec::new() };
        Ok(PackedWriter {
            gathering: Gathering::new(table, BlockSize { rows: MOST_ROWS, text_bytes: BLOCK_BYTES }),
            file: BlockWriter { to, footer, encoded: Vec::new() },
        })
    }

    /// Adds rows: all columns of the table, in its order.
    pub(crate) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.gathering.add(batch, |block| self.file.write(block))
    }

    /// Ends a block that is not full.
    pub(super) fn end_block(&mut self) -> io::Result<()> {
        self.gathering.end_block(|block| self.file.write(block))
    }

    /// Bytes of the rows that wait for their block to be full, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.gathering.held_bytes()
    }

    /// Writes what is left and the footer, and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end_block()?;
        let BlockWriter { mut to, footer, .. } = self.file;
        footer.end(&mut to)?;
        Ok(to)
    }
}

impl<W: Write> BlockWriter<W> {
    fn write(&mut self, block: &Gathering) -> io::Result<()> {
        self.encoded.clear();
        let regions = block
            .columns
            .iter()
            .map(|column| encode::encode(column, block.rows, &mut self.encoded))
            .collect();
        self.to.write_all(&self.encoded)?;
        self.footer.blocks.push(BlockEntry { rows: block.rows as u32, regions });
        Ok(())
    }
}

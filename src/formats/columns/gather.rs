//! Rows gathered into blocks to be written, whatever sizes they come in.

use std::io;

use super::filling::Filling;
use super::{Batch, Values};
use crate::tables::{ColumnType, Table};

/// No text is longer: sizes in files and a batch's spans have 32 bits.
const LONGEST_TEXT: usize = 1 << 30;

/// How large a block may get. A single row may exceed the bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::formats) struct BlockSize {
    pub(in crate::formats) rows: usize,
    /// Bytes of texts.
    pub(in crate::formats) text_bytes: usize,
}

/// The block that is being gathered.
#[derive(Debug)]
pub(in crate::formats) struct Gathering {
    pub(in crate::formats) table: Table,
    most: BlockSize,
    pub(in crate::formats) columns: Vec<Filling>,
    pub(in crate::formats) rows: usize,
    text_bytes: usize,
}

impl Gathering {
    pub(in crate::formats) fn new(table: &Table, most: BlockSize) -> Self {
        let columns = table.columns.iter().map(|column| Filling::new(column.kind)).collect();
        Gathering { table: *table, most, columns, rows: 0, text_bytes: 0 }
    }

    /// Adds rows, all columns of the table in its order, and gives each block that is full to `write`.
    pub(in crate::formats) fn add(
        &mut self,
        batch: &Batch,
        mut write: impl FnMut(&Self) -> io::Result<()>,
    ) -> io::Result<()> {
        self.check(batch)?;
        let mut from = 0;
        while from < batch.rows {
            let (to, text_bytes) = self.fitting(batch, from)?;
            for (filling, column) in self.columns.iter_mut().zip(&batch.columns) {
                filling.extend(column, self.rows, from..to);
            }
            self.rows += to - from;
            self.text_bytes += text_bytes;
            from = to;
            if from < batch.rows || self.rows == self.most.rows {
                self.end_block(&mut write)?;
            }
        }
        Ok(())
    }

    /// Gives what there is to `write`, if anything, and starts the next block.
    pub(in crate::formats) fn end_block(
        &mut self,
        mut write: impl FnMut(&Self) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        write(self)?;
        self.columns.iter_mut().for_each(Filling::clear);
        (self.rows, self.text_bytes) = (0, 0);
        Ok(())
    }

    fn check(&self, batch: &Batch) -> io::Result<()> {
        if batch.columns.len() != self.columns.len() {
            return Err(unfit(format!("{} columns for {}", batch.columns.len(), self.columns.len())));
        }
        for (column, of_table) in batch.columns.iter().zip(self.table.columns) {
            let (of_kind, rows) = match &column.values {
                Values::Int(values) => (ColumnType::Int, values.len()),
                Values::Float(values) => (ColumnType::Float, values.len()),
                Values::Date(values) => (ColumnType::Date, values.len()),
                Values::Text(texts) => (ColumnType::Text, texts.spans.len()),
            };
            let present = column.present.len();
            if of_kind != of_table.kind || rows != batch.rows || (present != 0 && present != rows) {
                return Err(unfit(format!(
                    "column {} has other values or rows than it should",
                    of_table.name
                )));
            }
        }
        Ok(())
    }

    /// The end of the rows from `from` on that the block has room for, at least one where it is empty; and bytes of their texts.
    fn fitting(&self, batch: &Batch, from: usize) -> io::Result<(usize, usize)> {
        let most = batch.rows.min(from + self.most.rows - self.rows);
        let texts = || {
            batch.columns.iter().filter_map(|column| match &column.values {
                Values::Text(texts) => Some(texts),
                _ => None,
            })
        };
        let mut bytes = 0;
        for row in from..most {
            let mut of_row = 0;
            for texts in texts() {
                let length = texts.get(row).len();
                if length > LONGEST_TEXT {
                    return Err(unfit(format!("a text has {length} bytes, and {LONGEST_TEXT} is the most")));
                }
                of_row += length;
            }
            if self.text_bytes + bytes + of_row > self.most.text_bytes && self.rows + row - from > 0 {
                return Ok((row, bytes));
            }
            bytes += of_row;
        }
        Ok((most, bytes))
    }
}

/// An error about rows that cannot be written.
#[cold]
pub(in crate::formats) fn unfit(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

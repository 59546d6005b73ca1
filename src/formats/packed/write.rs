//! Making packed files: rows are gathered into blocks, and each block is written as soon as it is full.

use std::io::{self, Write};

use super::encode::{Filled, Filling};
use super::footer::{BlockEntry, Footer, MAGIC, MOST_ROWS, checksum};
use crate::formats::columns::{Batch, Column, Values};
use crate::tables::{ColumnType, Table};

/// A block ends before the row with which its texts would have more bytes than this.
const BLOCK_BYTES: usize = 16 << 20;
/// No text is longer: regions have sizes of 32 bits, and so have a batch's spans.
const LONGEST_TEXT: usize = 1 << 30;

/// Writes one packed file, and keeps one block of it in memory.
pub(crate) struct PackedWriter<W> {
    to: W,
    footer: Footer,
    filling: Vec<Filling>,
    /// Rows in the block.
    rows: usize,
    /// Bytes of their texts.
    text_bytes: usize,
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
        let filling = table.columns.iter().map(|column| Filling::new(column.kind)).collect();
        let footer = Footer { columns, blocks: Vec::new() };
        Ok(PackedWriter { to, footer, filling, rows: 0, text_bytes: 0, encoded: Vec::new() })
    }

    /// Adds rows: all columns of the table, in its order.
    pub(crate) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.check(batch)?;
        let mut from = 0;
        while from < batch.rows {
            let (to, text_bytes) = self.fitting(batch, from)?;
            for (filling, column) in self.filling.iter_mut().zip(&batch.columns) {
                filling.extend(column, self.rows, from..to);
            }
            self.rows += to - from;
            self.text_bytes += text_bytes;
            from = to;
            if from < batch.rows || self.rows == MOST_ROWS {
                self.end_block()?;
            }
        }
        Ok(())
    }

    /// Writes what is left and the footer, and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end_block()?;
        let footer = self.footer.write();
        let length = u32::try_from(footer.len())
            .map_err(|_| unfit("there are too many blocks for one file".to_owned()))?;
        let length = length.to_le_bytes();
        self.to.write_all(&footer)?;
        self.to.write_all(&length)?;
        self.to.write_all(&checksum([&footer, &length]).to_le_bytes())?;
        self.to.write_all(&MAGIC)?;
        Ok(self.to)
    }

    fn check(&self, batch: &Batch) -> io::Result<()> {
        if batch.columns.len() != self.filling.len() {
            return Err(unfit(format!("{} columns for {}", batch.columns.len(), self.filling.len())));
        }
        for (column, (name, kind)) in batch.columns.iter().zip(&self.footer.columns) {
            let (of_kind, rows) = match &column.values {
                Values::Int(values) => (ColumnType::Int, values.len()),
                Values::Float(values) => (ColumnType::Float, values.len()),
                Values::Date(values) => (ColumnType::Date, values.len()),
                Values::Text(texts) => (ColumnType::Text, texts.spans.len()),
            };
            let present = column.present.len();
            if of_kind != *kind || rows != batch.rows || (present != 0 && present != rows) {
                return Err(unfit(format!("column {name} has other values or rows than it should")));
            }
        }
        Ok(())
    }

    /// The end of the rows from `from` on that the block has room for, at least one where it is empty; and bytes of their texts.
    fn fitting(&self, batch: &Batch, from: usize) -> io::Result<(usize, usize)> {
        let most = batch.rows.min(from + MOST_ROWS - self.rows);
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
            if self.text_bytes + bytes + of_row > BLOCK_BYTES && self.rows + row - from > 0 {
                return Ok((row, bytes));
            }
            bytes += of_row;
        }
        Ok((most, bytes))
    }

    pub(super) fn end_block(&mut self) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        self.encoded.clear();
        let regions = self.filling.iter().map(|filling| filling.encode(&mut self.encoded)).collect();
        self.to.write_all(&self.encoded)?;
        self.footer.blocks.push(BlockEntry { rows: self.rows as u32, regions });
        self.filling.iter_mut().for_each(Filling::clear);
        (self.rows, self.text_bytes) = (0, 0);
        Ok(())
    }
}

impl Filling {
    /// Appends some rows of a column to the `before` rows that it has.
    fn extend(&mut self, column: &Column, before: usize, rows: std::ops::Range<usize>) {
        let present = |row: usize| column.present.is_empty() || column.present[row];
        if !column.present.is_empty() || !self.present.is_empty() {
            self.present.resize(before, true);
            self.present.extend(rows.clone().map(present));
        }
        // In place of none, what is next to it: that costs the least in every encoding.
        let fill = |values: &mut Vec<i64>, value: &dyn Fn(usize) -> i64| {
            for row in rows.clone() {
                let value =
                    if present(row) { value(row) } else { values.last().copied().unwrap_or_default() };
                values.push(value);
            }
        };
        match (&mut self.values, &column.values) {
            (Filled::Ints(to), Values::Int(values)) => fill(to, &|row| values[row]),
            (Filled::Dates(to), Values::Date(values)) => fill(to, &|row| values[row].into()),
            (Filled::Floats(to), Values::Float(values)) => {
                to.extend(rows.map(|row| if present(row) { values[row].to_bits() } else { 0 }));
            }
            (Filled::Texts { bytes, ends }, Values::Text(texts)) => {
                for row in rows {
                    if present(row) {
                        bytes.extend_from_slice(texts.get(row));
                    }
                    ends.push(bytes.len() as u32);
                }
            }
            // Types were checked for the whole batch.
            _ => {}
        }
    }
}

fn unfit(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

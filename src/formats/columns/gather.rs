//! Rows gathered into blocks to be written, whatever sizes they come in.

use std::io;

use super::filling::Filling;
use super::{Batch, Values};
use crate::tables::{ColumnType, Table};

/// No text is longer: with what stands around it, it must fit into the largest page that is read.
pub(in crate::formats) const LONGEST_TEXT: usize = (512 << 20) - 64;

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

    /// Bytes of the rows that it has, about.
    pub(in crate::formats) fn held_bytes(&self) -> usize {
        self.text_bytes + self.rows * self.columns.len() * size_of::<u64>()
    }

    fn check(&self, batch: &Batch) -> io::Result<()> {
        if batch.columns.len() != self.columns.len() {
            return Err(unfit(format!("{} columns for {}", batch.columns.len(), self.columns.len())));
        }
        for (column, of_table) in batch.columns.iter().zip(self.table.columns) {
            let (of_kind, rows) = match &column.values {
                Values::Int(values) if of_table.kind == ColumnType::Long => (ColumnType::Long, values.len()),
                Values::Int(values) => (ColumnType::Int, values.len()),
                Values::Double(values) => (ColumnType::Double, values.len()),
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
                check_length(length)?;
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

/// That a text is no longer than one that can be read back.
#[inline]
pub(super) fn check_length(length: usize) -> io::Result<()> {
    #[cold]
    fn too_long(length: usize) -> io::Error {
        unfit(format!("a text has {length} bytes, and {LONGEST_TEXT} is the most that can be read back"))
    }
    if length <= LONGEST_TEXT { Ok(()) } else { Err(too_long(length)) }
}

/// An error about rows that cannot be written.
#[cold]
pub(in crate::formats) fn unfit(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{BatchBuilder, Cell, Column, Texts};
    use super::*;
    use crate::tables::{Column as TableColumn, Layout};

    /// Once a text of 1 GiB was written, and none of more than 512 MiB can be read. Untouched memory costs nothing, and what is
    /// refused is not copied.
    #[test]
    fn texts_that_cannot_be_read_back_are_refused() {
        let columns = const { &[TableColumn::new("text", ColumnType::Text)] };
        let table = Table { name: "texts", columns, layout: Layout::Delimited(b',') };
        let bytes = Arc::new(vec![0; LONGEST_TEXT + 1]);
        let said = "a text has 536870849 bytes, and 536870848 is the most that can be read back";
        let refused = BatchBuilder::new(&table).push(0, Cell::Text(&bytes)).expect_err("pushed");
        assert_eq!(refused.to_string(), said);

        let spans = vec![(0, 1), (0, bytes.len() as u32)];
        let texts = Column { values: Values::Text(Texts { bytes, spans }), present: Vec::new() };
        let mut gathering = Gathering::new(&table, BlockSize { rows: 9, text_bytes: 9 });
        let batch = Batch { rows: 2, columns: vec![texts] };
        let refused = gathering.add(&batch, |_| Ok(())).expect_err("gathered");
        assert_eq!(refused.to_string(), said);
    }
}

//! A table as delimited text, or as plain lines.

use std::io::{self, Write};

use super::MAX_ROW_BYTES;
use super::write::push_cell;
use crate::formats::columns::{Batch, Cell};
use crate::tables::{Layout, Table};

/// Text gathered before it is given on.
const WRITE_BYTES: usize = 64 << 10;

/// Writes rows as text that reads back as the same values: floats with as few digits as that takes. No value is an empty field.
pub(crate) struct CsvWriter<W> {
    to: W,
    text: Vec<u8>,
    /// The byte between fields; none where a row is a line.
    delimiter: Option<u8>,
}

impl<W: Write> CsvWriter<W> {
    pub(crate) fn create(to: W, table: &Table) -> io::Result<Self> {
        let delimiter = match table.layout {
            Layout::Delimited(delimiter) => Some(delimiter),
            Layout::Lines => None,
            Layout::Pages => return Err(unwritable("pages are written as the lines they are")),
        };
        Ok(CsvWriter { to, text: Vec::new(), delimiter })
    }

    pub(crate) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        for row in 0..batch.rows {
            let start = self.text.len();
            for (index, column) in batch.columns.iter().enumerate() {
                if index > 0 {
                    self.text.extend(self.delimiter);
                }
                self.append(column.cell(row))?;
            }
            if self.text.len() - start > MAX_ROW_BYTES {
                return Err(too_long(self.text.len() - start));
            }
            self.text.push(b'\n');
            if self.text.len() >= WRITE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.to)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }

    #[inline]
    fn append(&mut self, cell: Cell<'_>) -> io::Result<()> {
        match (cell, self.delimiter) {
            (Cell::Text(line), None) => {
                if line.contains(&b'\n') || line.ends_with(b"\r") {
                    return Err(unwritable("a plain line cannot hold a line break"));
                }
                self.text.extend_from_slice(line);
                Ok(())
            }
            // Without a delimiter there is one column, and it is text.
            (cell, delimiter) => push_cell(delimiter.unwrap_or(b','), &mut self.text, cell),
        }
    }
}

#[cold]
fn too_long(bytes: usize) -> io::Error {
    let most = MAX_ROW_BYTES;
    unwritable(&format!("a row has {bytes} bytes as text, and {most} is the most that can be read back"))
}

#[cold]
fn unwritable(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::columns::testing::{column, texts};
    use crate::tables::{Column as TableColumn, ColumnType};

    /// A text of a column file can be longer than a row of text can.
    #[test]
    fn rows_that_cannot_be_read_back_are_refused() {
        let columns = const { &[TableColumn::new("text", ColumnType::Text)] };
        let table = Table { name: "texts", columns, layout: Layout::Delimited(b',') };
        let write = |bytes: usize| {
            let batch = Batch { rows: 1, columns: vec![column(texts([vec![b'x'; bytes]]))] };
            CsvWriter::create(io::sink(), &table)?.write(&batch)
        };
        write(MAX_ROW_BYTES).expect("as long as can be");
        let refused = write(MAX_ROW_BYTES + 1).expect_err("written").to_string();
        assert_eq!(
            refused,
            "a row has 67108865 bytes as text, and 67108864 is the most that can be read back"
        );
    }
}

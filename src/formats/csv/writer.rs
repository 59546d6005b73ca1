//! A table as delimited text, as plain lines, or as the pages it is.

use std::io::{self, Write};

use super::MAX_ROW_BYTES;
use super::write::push_cell;
use crate::formats::columns::{Batch, Cell, Column};
use crate::tables::{Layout, Table};

/// Text gathered before it is given on.
const WRITE_BYTES: usize = 64 << 10;

/// Writes rows as text that reads back as the same values: floats with as few digits as that takes. No value is an empty field.
pub(crate) struct CsvWriter<W> {
    to: W,
    text: Vec<u8>,
    layout: Layout,
}

impl<W: Write> CsvWriter<W> {
    pub(crate) fn create(to: W, table: &Table) -> Self {
        CsvWriter { to, text: Vec::new(), layout: table.layout }
    }

    pub(crate) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        for row in 0..batch.rows {
            let start = self.text.len();
            match self.layout {
                Layout::Delimited(delimiter) => {
                    for (index, column) in batch.columns.iter().enumerate() {
                        if index > 0 {
                            self.text.push(delimiter);
                        }
                        push_cell(delimiter, &mut self.text, column.cell(row))?;
                    }
                }
                Layout::Lines => self.append_all(&batch.columns, row, is_line)?,
                // The address is in the text, which ends with a newline.
                Layout::Pages => self.append_all(&batch.columns[1..], row, |_| true)?,
            }
            if self.text.len() - start > MAX_ROW_BYTES {
                return Err(too_long(self.text.len() - start));
            }
            if self.layout != Layout::Pages || !self.text.ends_with(b"\n") {
                self.text.push(b'\n');
            }
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

    /// Appends texts as they are, if they may be there.
    #[inline]
    fn append_all(&mut self, columns: &[Column], row: usize, may_be: fn(&[u8]) -> bool) -> io::Result<()> {
        for column in columns {
            if let Cell::Text(text) = column.cell(row) {
                if !may_be(text) {
                    return Err(unwritable("a plain line cannot hold a line break"));
                }
                self.text.extend_from_slice(text);
            }
        }
        Ok(())
    }
}

fn is_line(text: &[u8]) -> bool {
    !text.contains(&b'\n') && !text.ends_with(b"\r")
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
            CsvWriter::create(io::sink(), &table).write(&batch)
        };
        write(MAX_ROW_BYTES).expect("as long as can be");
        let refused = write(MAX_ROW_BYTES + 1).expect_err("written").to_string();
        assert_eq!(
            refused,
            "a row has 67108865 bytes as text, and 67108864 is the most that can be read back"
        );
    }
}

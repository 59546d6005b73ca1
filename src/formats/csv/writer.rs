//! A table as delimited text, as plain lines, or as the pages it is.

use std::io::{self, Write};

use super::MAX_ROW_BYTES;
use super::pages::is_one_page;
use super::text::BYTE_ORDER_MARK;
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
    /// How many rows there are.
    rows: u64,
}

impl<W: Write> CsvWriter<W> {
    pub(crate) fn create(to: W, table: &Table) -> Self {
        CsvWriter { to, text: Vec::new(), layout: table.layout, rows: 0 }
    }

    pub(crate) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        for row in 0..batch.rows {
            self.rows += 1;
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
                Layout::Lines => {
                    let line = text_of(&batch.columns[0], row);
                    if !is_line(line) {
                        return Err(self.unwritable("a plain line cannot hold a line break"));
                    }
                    self.append(line);
                }
                // The address is in the text.
                Layout::Pages => {
                    let [url, text] = [0, 1].map(|column| text_of(&batch.columns[column], row));
                    if !is_one_page(url, text) {
                        let reason =
                            "a page of text begins with a header that has its address, and has no other";
                        return Err(self.unwritable(reason));
                    }
                    self.append(text);
                }
            }
            let bytes = self.text.len() - start;
            if bytes > MAX_ROW_BYTES {
                let reason =
                    format!("{bytes} bytes as text, and {MAX_ROW_BYTES} is the most that can be read back");
                return Err(self.unwritable(&reason));
            }
            // The last line of a page has its newline already.
            if self.layout != Layout::Pages || !self.text[start..].ends_with(b"\n") {
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

    /// Appends a text as it is. Of one at the start of a file a byte order mark would be no part, so there is another one before it.
    #[inline]
    fn append(&mut self, text: &[u8]) {
        if self.rows == 1 && text.starts_with(BYTE_ORDER_MARK) {
            self.text.extend_from_slice(BYTE_ORDER_MARK);
        }
        self.text.extend_from_slice(text);
    }

    #[cold]
    fn unwritable(&self, reason: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("row {}: {reason}", self.rows))
    }
}

/// The text of a row; no text is an empty one.
#[inline]
fn text_of(column: &Column, row: usize) -> &[u8] {
    if let Cell::Text(text) = column.cell(row) { text } else { &[] }
}

/// Whether a row is a page without an address: what is read as one is in front of the first header of its file.
pub(crate) fn begins_file(table: &Table, batch: &Batch, row: usize) -> bool {
    table.layout == Layout::Pages && text_of(&batch.columns[0], row).is_empty()
}

fn is_line(text: &[u8]) -> bool {
    !text.contains(&b'\n') && !text.ends_with(b"\r")
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
        assert_eq!(refused, "row 1: 67108865 bytes as text, and 67108864 is the most that can be read back");
    }
}

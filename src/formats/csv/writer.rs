//! A table as delimited text, or as plain lines.

use std::io::{self, Write};

use super::write::write_field_between;
use crate::formats::columns::{Batch, Cell};
use crate::tables::{Date, Layout, Table};

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
            for (index, column) in batch.columns.iter().enumerate() {
                if index > 0 {
                    self.text.extend(self.delimiter);
                }
                self.append(column.cell(row))?;
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
            (Cell::Null, _) => {}
            (Cell::Int(value), _) => {
                self.text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            }
            (Cell::Float(value), _) if value.is_finite() => {
                self.text.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
            }
            (Cell::Float(value), _) => write!(self.text, "{value}")?,
            (Cell::Date(days), _) => self.append_date(days)?,
            (Cell::Text(text), Some(delimiter)) => write_field_between(delimiter, &mut self.text, text),
            (Cell::Text(line), None) => {
                if line.contains(&b'\n') || line.ends_with(b"\r") {
                    return Err(unwritable("a plain line cannot hold a line break"));
                }
                self.text.extend_from_slice(line);
            }
        }
        Ok(())
    }

    fn append_date(&mut self, days: i32) -> io::Result<()> {
        let (year, month, day) = Date::from_days(days).calendar();
        let Ok(year @ 0..=9_999) = u16::try_from(year) else {
            return Err(unwritable(&format!(
                "text has dates of the years 0 to 9999 only, and here is {year}"
            )));
        };
        let digits = |number: u16, place: u16| b'0' + (number / place % 10) as u8;
        let (month, day) = (u16::from(month), u16::from(day));
        self.text.extend_from_slice(&[
            digits(year, 1_000),
            digits(year, 100),
            digits(year, 10),
            digits(year, 1),
            b'-',
            digits(month, 10),
            digits(month, 1),
            b'-',
            digits(day, 10),
            digits(day, 1),
        ]);
        Ok(())
    }
}

#[cold]
fn unwritable(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

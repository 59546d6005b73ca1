//! Rows of a result being written, field by field, in whatever format was asked for.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::columns::{Batch, BatchBuilder, Cell};
use super::csv::{push_cell, push_date, push_double, push_float, push_integer};
use super::field_error::beyond_int;
use super::writer::{OutputFormat, TableWriter, check_names};
use crate::tables::{Column, ColumnType, Date, Layout, Table};

/// Text gathered before it is given on.
const TEXT_BYTES: usize = 256 << 10;
/// Rows gathered before they become part of a block.
const BATCH_ROWS: usize = 4096;
/// The same where they are long.
const BATCH_BYTES: usize = 1 << 20;

/// A format in which a query can write its rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// Fields with commas between them, quoted by RFC 4180 where they must be; no header.
    #[default]
    Csv,
    /// One JSON object a line; a float that JSON does not have (NaN, infinite) is null.
    Jsonl,
    /// Apache Parquet.
    Parquet,
    /// Millrace's own column format.
    Packed,
}

impl RowFormat {
    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            RowFormat::Csv => "csv",
            RowFormat::Jsonl => "jsonl",
            RowFormat::Parquet => "parquet",
            RowFormat::Packed => "mrp",
        }
    }

    /// The format that a path's extension says, if it says one.
    pub fn of_path(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()? {
            "csv" => RowFormat::Csv,
            "jsonl" | "ndjson" => RowFormat::Jsonl,
            "parquet" => RowFormat::Parquet,
            "mrp" => RowFormat::Packed,
            _ => return None,
        })
    }
}

/// Writes rows to `W`, and keeps some of them: of text a quarter of a MiB, of a column format one block.
pub(crate) struct RowWriter<W: Write + Send> {
    fields: FieldWriter,
    to: To<W>,
    rows: u64,
}

enum To<W: Write + Send> {
    Text(W),
    Columns(TableWriter<W>, Batch),
}

impl<W: Write + Send> RowWriter<W> {
    /// Starts a file of rows with these columns.
    pub(crate) fn create(format: RowFormat, columns: &'static [Column], to: W) -> io::Result<Self> {
        check_names(columns)?;
        let table = Table { name: "output", columns, layout: Layout::Delimited(b',') };
        let (form, to) = match format {
            RowFormat::Csv => (Form::Csv(Vec::new()), To::Text(to)),
            RowFormat::Jsonl => (Form::Json { text: Vec::new(), keys: keys(columns)? }, To::Text(to)),
            RowFormat::Parquet | RowFormat::Packed => {
                let format =
                    if format == RowFormat::Parquet { OutputFormat::Parquet } else { OutputFormat::Packed };
                let writer = TableWriter::create(format, to, &table)?;
                let form = Form::Columns { rows: BatchBuilder::new(&table), bytes: 0 };
                (form, To::Columns(writer, Batch::default()))
            }
        };
        Ok(RowWriter { fields: FieldWriter { columns, field: 0, fault: None, form }, to, rows: 0 })
    }

    /// Writes the row whose fields `encode` gives.
    ///
    /// # Errors
    ///
    /// Writing fails, the format cannot hold a value, or the fields are not those of the columns.
    #[inline]
    pub(crate) fn row(&mut self, encode: impl FnOnce(&mut FieldWriter)) -> io::Result<()> {
        self.rows += 1;
        self.fields.start_row();
        encode(&mut self.fields);
        if !self.fields.end_row() {
            return Err(self.unfit());
        }
        if self.fields.is_full() { self.flush() } else { Ok(()) }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of rows that are kept until their block is full, about.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.to {
            To::Text(_) => TEXT_BYTES,
            To::Columns(writer, _) => writer.held_bytes() + BATCH_BYTES,
        }
    }

    /// Ends the file and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        match self.to {
            To::Text(to) => Ok(to),
            To::Columns(writer, _) => writer.finish(),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match (&mut self.fields.form, &mut self.to) {
            (Form::Csv(text) | Form::Json { text, .. }, To::Text(to)) => {
                to.write_all(text)?;
                text.clear();
                Ok(())
            }
            (Form::Columns { rows, bytes }, To::Columns(writer, batch)) => {
                *bytes = 0;
                rows.finish(batch);
                writer.write(batch)
            }
            // They were made together.
            _ => Ok(()),
        }
    }

    #[cold]
    fn unfit(&self) -> io::Error {
        let FieldWriter { columns, field, fault, .. } = &self.fields;
        let reason = match (fault, columns.get(*field)) {
            (Some(reason), Some(column)) => format!("column {}: {reason}", column.name),
            _ => format!("{field} fields for {} columns", columns.len()),
        };
        io::Error::new(io::ErrorKind::InvalidInput, format!("row {}, {reason}", self.rows))
    }
}

/// `{"name":` of the first column, `,"name":` of each other.
fn keys(columns: &[Column]) -> io::Result<Vec<Vec<u8>>> {
    let key = |(index, column): (usize, &Column)| {
        let mut key = vec![if index == 0 { b'{' } else { b',' }];
        serde_json::to_writer(&mut key, column.name)?;
        key.push(b':');
        Ok(key)
    };
    columns.iter().enumerate().map(key).collect()
}

/// Takes the fields of one row after the other, in the order of the columns and of their types: what a query writes its
/// records by. What does not fit fails the job, with the row and the column.
pub struct FieldWriter {
    columns: &'static [Column],
    /// Of the row, how many there are.
    field: usize,
    fault: Option<String>,
    form: Form,
}

enum Form {
    Csv(Vec<u8>),
    Json { text: Vec<u8>, keys: Vec<Vec<u8>> },
    Columns { rows: BatchBuilder, bytes: usize },
}

impl fmt::Debug for FieldWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldWriter")
            .field("columns", &self.columns)
            .field("field", &self.field)
            .finish_non_exhaustive()
    }
}

impl FieldWriter {
    /// A text; only CSV and packed files take one that is not UTF-8.
    #[inline]
    pub fn text(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.put(Cell::Text(text.as_ref()), |kind| kind == ColumnType::Text)
    }

    /// An integer, of 32 bits where the column is not a long one.
    #[inline]
    pub fn integer(&mut self, value: impl TryInto<i64>) -> &mut Self {
        match value.try_into() {
            Ok(value) => {
                let is_int =
                    self.columns.get(self.field).is_some_and(|column| column.kind == ColumnType::Int);
                if is_int && i32::try_from(value).is_err() {
                    return self.refuse(&beyond_int(value));
                }
                self.put(Cell::Int(value), |kind| matches!(kind, ColumnType::Int | ColumnType::Long))
            }
            Err(_) => self.refuse("the integer does not fit 64 bits"),
        }
    }

    /// A float.
    #[inline]
    pub fn float(&mut self, value: f32) -> &mut Self {
        self.put(Cell::Float(value), |kind| kind == ColumnType::Float)
    }

    /// A double.
    #[inline]
    pub fn double(&mut self, value: f64) -> &mut Self {
        self.put(Cell::Double(value), |kind| kind == ColumnType::Double)
    }

    /// A day; text takes those of the years 0 to 9999.
    #[inline]
    pub fn date(&mut self, value: Date) -> &mut Self {
        self.put(Cell::Date(value.days()), |kind| kind == ColumnType::Date)
    }

    #[inline]
    fn put(&mut self, cell: Cell<'_>, fits: impl Fn(ColumnType) -> bool) -> &mut Self {
        if !self.columns.get(self.field).is_some_and(|column| fits(column.kind)) {
            return self.refuse("a field of another type, or too many");
        }
        let put = match &mut self.form {
            Form::Csv(text) => {
                if self.field > 0 {
                    text.push(b',');
                }
                push_cell(b',', text, cell)
            }
            Form::Json { text, keys } => {
                text.extend_from_slice(&keys[self.field]);
                put_json(cell, text)
            }
            Form::Columns { rows, bytes } => {
                *bytes += if let Cell::Text(text) = cell { text.len() } else { 0 };
                rows.push(self.field, cell)
            }
        };
        match put {
            Ok(()) => {
                self.field += 1;
                self
            }
            Err(reason) => self.refuse(&reason.to_string()),
        }
    }

    #[cold]
    fn refuse(&mut self, reason: &str) -> &mut Self {
        self.fault.get_or_insert_with(|| reason.to_owned());
        self
    }

    #[inline]
    fn start_row(&mut self) {
        self.field = 0;
    }

    /// Whether the row is whole.
    #[inline]
    fn end_row(&mut self) -> bool {
        match &mut self.form {
            Form::Csv(text) => text.push(b'\n'),
            Form::Json { text, .. } => text.extend_from_slice(b"}\n"),
            Form::Columns { rows, .. } => rows.end_row(),
        }
        self.field == self.columns.len() && self.fault.is_none()
    }

    #[inline]
    fn is_full(&self) -> bool {
        match &self.form {
            Form::Csv(text) | Form::Json { text, .. } => text.len() >= TEXT_BYTES,
            Form::Columns { rows, bytes } => rows.rows() >= BATCH_ROWS || *bytes >= BATCH_BYTES,
        }
    }
}

#[inline]
fn put_json(cell: Cell<'_>, to: &mut Vec<u8>) -> io::Result<()> {
    match cell {
        Cell::Int(value) => push_integer(to, value),
        Cell::Float(value) if value.is_finite() => push_float(to, value),
        Cell::Double(value) if value.is_finite() => push_double(to, value),
        Cell::Null | Cell::Float(_) | Cell::Double(_) => to.extend_from_slice(b"null"),
        Cell::Date(days) => {
            to.push(b'"');
            push_date(to, days)?;
            to.push(b'"');
        }
        Cell::Text(text) => match str::from_utf8(text) {
            Ok(text) => serde_json::to_writer(to, text)?,
            Err(_) => return Err(io::Error::other("the text is no UTF-8, which JSON's texts are")),
        },
    }
    Ok(())
}

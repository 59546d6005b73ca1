//! A batch out of rows of text: every field parsed as its column's type says.

use std::io;
use std::mem;
use std::sync::Arc;

use super::gather::check_length;
use super::{Batch, Cell, Column, Texts, Values, unfit};
use crate::formats::csv::{FieldDeserializer, parse_f32, parse_f64, parse_i64};
use crate::formats::field_error::{FieldError, beyond_int};
use crate::formats::row::{Fields, TakeRow};
use crate::tables::{ColumnType, Date, Table};

/// Rows that become a batch. An empty field is no value (null) where its column has numbers or days, and an empty text in a
/// column of texts.
pub(crate) struct BatchBuilder {
    columns: Vec<Growing>,
    rows: usize,
}

/// Values of one column, and which rows have one, as in [`Column`].
struct Growing {
    values: GrowingValues,
    present: Vec<bool>,
}

/// [`Values`] whose texts are not shared yet.
enum GrowingValues {
    Int(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Date(Vec<i32>),
    Text { bytes: Vec<u8>, spans: Vec<(u32, u32)> },
}

impl BatchBuilder {
    /// For all columns of a table, in its order.
    pub(crate) fn new(table: &Table) -> Self {
        let growing = |kind| Growing {
            values: match kind {
                ColumnType::Int | ColumnType::Long => GrowingValues::Int(Vec::new()),
                ColumnType::Float => GrowingValues::Float(Vec::new()),
                ColumnType::Double => GrowingValues::Double(Vec::new()),
                ColumnType::Date => GrowingValues::Date(Vec::new()),
                ColumnType::Text => GrowingValues::Text { bytes: Vec::new(), spans: Vec::new() },
            },
            present: Vec::new(),
        };
        BatchBuilder { columns: table.columns.iter().map(|column| growing(column.kind)).collect(), rows: 0 }
    }

    /// Appends the next value of a column to the row that is being built. The value is of the column's type.
    #[inline]
    pub(in crate::formats) fn push(&mut self, column: usize, cell: Cell<'_>) -> io::Result<()> {
        match (&mut self.columns[column].values, cell) {
            (GrowingValues::Int(values), Cell::Int(value)) => values.push(value),
            (GrowingValues::Float(values), Cell::Float(value)) => values.push(value),
            (GrowingValues::Double(values), Cell::Double(value)) => values.push(value),
            (GrowingValues::Date(values), Cell::Date(days)) => values.push(days),
            (GrowingValues::Text { bytes, spans }, Cell::Text(text)) => {
                check_length(text.len())?;
                push_text(bytes, spans, text);
            }
            _ => return Err(unfit("a value of another type than its column".to_owned())),
        }
        Ok(())
    }

    /// Ends a row that has a value in each column.
    #[inline]
    pub(in crate::formats) fn end_row(&mut self) {
        self.rows += 1;
    }

    /// How many rows there are.
    #[inline]
    pub(in crate::formats) fn rows(&self) -> usize {
        self.rows
    }

    /// Gives the rows away in `batch`, whose memory takes the next ones.
    pub(crate) fn finish(&mut self, batch: &mut Batch) {
        batch.rows = mem::take(&mut self.rows);
        let mut old = mem::take(&mut batch.columns).into_iter();
        for column in &mut self.columns {
            let old = old.next();
            batch.columns.push(column.finish(old));
        }
    }
}

impl TakeRow for BatchBuilder {
    #[inline]
    fn take<'a>(&mut self, fields: impl Fields<'a, Field = FieldDeserializer<'a>>) -> Result<(), FieldError> {
        for (index, column) in self.columns.iter_mut().enumerate() {
            if let Err(error) = column.push(self.rows, fields.field(index)) {
                self.columns[..index].iter_mut().for_each(|column| column.truncate(self.rows));
                return Err(error.of_field(index));
            }
        }
        self.rows += 1;
        Ok(())
    }
}

impl Growing {
    #[inline]
    fn push(&mut self, row: usize, field: FieldDeserializer<'_>) -> Result<(), FieldError> {
        let FieldDeserializer { text, is_wide } = field;
        if let GrowingValues::Text { bytes, spans } = &mut self.values {
            push_text(bytes, spans, text);
            return Ok(());
        }
        let has_value = !text.is_empty();
        match &mut self.values {
            GrowingValues::Int(values) => {
                let value = parsed(text, parse_i64, "an integer (i64)")?;
                if !is_wide && i32::try_from(value).is_err() {
                    return Err(FieldError::new(beyond_int(value)));
                }
                values.push(value);
            }
            GrowingValues::Float(values) => values.push(parsed(text, parse_f32, "f32")?),
            GrowingValues::Double(values) => values.push(parsed(text, parse_f64, "f64")?),
            GrowingValues::Date(values) => {
                values.push(parsed(text, |text| Date::parse(text).map(Date::days), "a day (yyyy-MM-dd)")?);
            }
            GrowingValues::Text { .. } => {}
        }
        if !has_value && self.present.is_empty() {
            self.present.resize(row, true);
        }
        if !has_value || !self.present.is_empty() {
            self.present.push(has_value);
        }
        Ok(())
    }

    /// Takes back the row behind so many.
    #[cold]
    fn truncate(&mut self, rows: usize) {
        self.present.truncate(rows);
        match &mut self.values {
            GrowingValues::Int(values) => values.truncate(rows),
            GrowingValues::Float(values) => values.truncate(rows),
            GrowingValues::Double(values) => values.truncate(rows),
            GrowingValues::Date(values) => values.truncate(rows),
            GrowingValues::Text { bytes, spans } => {
                if let Some((start, _)) = spans.get(rows) {
                    bytes.truncate(*start as usize);
                }
                spans.truncate(rows);
            }
        }
    }

    /// The column, in exchange for the memory of an old one.
    fn finish(&mut self, old: Option<Column>) -> Column {
        let (old_values, mut present) = old.map_or((None, Vec::new()), |old| (Some(old.values), old.present));
        present.clear();
        let values = match (&mut self.values, old_values) {
            (GrowingValues::Int(values), Some(Values::Int(old))) => Values::Int(exchanged(values, old)),
            (GrowingValues::Int(values), _) => Values::Int(mem::take(values)),
            (GrowingValues::Float(values), Some(Values::Float(old))) => Values::Float(exchanged(values, old)),
            (GrowingValues::Float(values), _) => Values::Float(mem::take(values)),
            (GrowingValues::Double(values), Some(Values::Double(old))) => {
                Values::Double(exchanged(values, old))
            }
            (GrowingValues::Double(values), _) => Values::Double(mem::take(values)),
            (GrowingValues::Date(values), Some(Values::Date(old))) => Values::Date(exchanged(values, old)),
            (GrowingValues::Date(values), _) => Values::Date(mem::take(values)),
            (GrowingValues::Text { bytes, spans }, old) => {
                let old = if let Some(Values::Text(old)) = old { old } else { Texts::default() };
                let old_bytes = Arc::try_unwrap(old.bytes).unwrap_or_default();
                Values::Text(Texts {
                    bytes: Arc::new(exchanged(bytes, old_bytes)),
                    spans: exchanged(spans, old.spans),
                })
            }
        };
        Column { values, present: mem::replace(&mut self.present, present) }
    }
}

/// A batch is a block of text: at most `MAX_ROW_BYTES` and a bit, or a bit and the longest text.
#[inline]
fn push_text(bytes: &mut Vec<u8>, spans: &mut Vec<(u32, u32)>, text: &[u8]) {
    let start = bytes.len() as u32;
    bytes.extend_from_slice(text);
    spans.push((start, bytes.len() as u32));
}

/// A field's value; any where it is empty.
#[inline]
fn parsed<T: Default>(
    text: &[u8],
    parse: impl Fn(&[u8]) -> Option<T>,
    wanted: &str,
) -> Result<T, FieldError> {
    match parse(text) {
        Some(value) => Ok(value),
        None if text.is_empty() => Ok(T::default()),
        None => Err(FieldError::unreadable(text, wanted)),
    }
}

/// What `values` holds, which goes on with the memory of `old`.
fn exchanged<T>(values: &mut Vec<T>, mut old: Vec<T>) -> Vec<T> {
    old.clear();
    mem::replace(values, old)
}

//! Some rows, column by column.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use super::cell::Cell;
use crate::BadRecord;
use crate::formats::field_error::FieldError;
use crate::formats::row::{Fields, RowDeserializer};
use crate::input::Row;
use crate::report::AnswerHash;
use crate::tables::Date;
use serde::Deserialize;

/// Rows of a table, decoded: of a reader, the columns that a query wants, in the order of its struct; for a writer, all.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Batch {
    /// How many rows each column has.
    pub(crate) rows: usize,
    pub(crate) columns: Vec<Column>,
}

/// Values of one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// One value a row; where there is none, any.
    pub(crate) values: Values,
    /// Whether a row has a value; empty where all have.
    pub(crate) present: Vec<bool>,
}

/// Values of one type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// Of 32 bits or of 64: those of an `int` column are known to be no wider than that.
    Int(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    /// Days since 1970-01-01.
    Date(Vec<i32>),
    Text(Texts),
}

/// Texts, each a range of shared bytes: values of a dictionary are many times the same range.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Texts {
    pub(crate) bytes: Arc<Vec<u8>>,
    /// Start and end of each.
    pub(crate) spans: Vec<(u32, u32)>,
}

/// Appends a day, written `yyyy-MM-dd`, to texts that lie one behind the other, and says where it is.
pub(in crate::formats) fn push_day(bytes: &mut Vec<u8>, days: i32) -> (u32, u32) {
    let start = bytes.len() as u32;
    // Into memory, which takes everything.
    let _ = write!(bytes, "{}", Date::from_days(days));
    (start, bytes.len() as u32)
}

impl Texts {
    #[inline]
    pub(crate) fn get(&self, row: usize) -> &[u8] {
        let (start, end) = self.spans[row];
        &self.bytes[start as usize..end as usize]
    }
}

impl Batch {
    /// Gives the rows of `runs`, which are ascending, that are among some rows to `emit`. A row that does not make the struct ends it:
    /// which one, and why.
    // Not inlined: one loop for all column formats, of which what is called here alone may become a part.
    #[inline(never)]
    pub(super) fn read<R: Row, F: FnMut(R::Of<'_>)>(
        &self,
        runs: &[Range<usize>],
        among: Range<usize>,
        mut emit: F,
    ) -> Result<(), (usize, FieldError)> {
        let first = runs.partition_point(|run| run.end <= among.start);
        for run in &runs[first..] {
            for row in run.start.max(among.start)..run.end.min(among.end) {
                let fields = BatchRow { columns: &self.columns, row };
                match <R::Of<'_>>::deserialize(RowDeserializer::<_, F>::new(fields)) {
                    Ok(read) => emit(read),
                    Err(error) => return Err((row, error)),
                }
            }
        }
        Ok(())
    }

    /// Adds all rows to a hash that is the same for the same rows, whatever their order and whatever format they came from.
    pub(crate) fn add_to(&self, hash: &mut AnswerHash) {
        for row in 0..self.rows {
            hash.add_columns(self.columns.iter().map(|column| column.cell(row).hashed()));
        }
    }

    /// The same of pages, whose texts have their last newline or lack it.
    pub(crate) fn add_pages_to(&self, hash: &mut AnswerHash) {
        for row in 0..self.rows {
            let cells = self.columns.iter().map(|column| column.cell(row));
            let unended = cells.map(|cell| match cell {
                Cell::Text(text) => Cell::Text(text.strip_suffix(b"\n").unwrap_or(text)),
                other => other,
            });
            hash.add_columns(unended.map(Cell::hashed));
        }
    }

    /// Some of its rows, texts where they are.
    pub(crate) fn part(&self, rows: Range<usize>) -> Batch {
        fn some<T: Clone>(values: &[T], rows: &Range<usize>) -> Vec<T> {
            values.get(rows.clone()).unwrap_or_default().to_vec()
        }
        let part = |column: &Column| Column {
            values: match &column.values {
                Values::Int(values) => Values::Int(some(values, &rows)),
                Values::Float(values) => Values::Float(some(values, &rows)),
                Values::Double(values) => Values::Double(some(values, &rows)),
                Values::Date(values) => Values::Date(some(values, &rows)),
                Values::Text(Texts { bytes, spans }) => {
                    Values::Text(Texts { bytes: Arc::clone(bytes), spans: some(spans, &rows) })
                }
            },
            present: some(&column.present, &rows),
        };
        Batch { rows: rows.len(), columns: self.columns.iter().map(part).collect() }
    }

    /// The values of a row as text for people; `None` where there is no value.
    pub(crate) fn texts(&self, row: usize) -> Vec<Option<String>> {
        let text = |column: &Column| match column.cell(row) {
            Cell::Null => None,
            Cell::Text(text) => Some(legible(text)),
            cell => Some(cell.to_string()),
        };
        self.columns.iter().map(text).collect()
    }

    /// One row for a message, without the values that are not known.
    pub(super) fn shown(&self, row: usize, unknown: impl Fn(usize) -> bool) -> String {
        let cell = |(index, column): (usize, &Column)| {
            if unknown(index) { "?".to_owned() } else { column.cell(row).to_string() }
        };
        self.columns.iter().enumerate().map(cell).collect::<Vec<_>>().join(",")
    }

    /// Leaves out some rows.
    #[cold]
    pub(super) fn leave_out(&mut self, rows: impl Iterator<Item = usize>) {
        let mut keep = vec![true; self.rows];
        rows.for_each(|row| keep[row] = false);
        for column in &mut self.columns {
            match &mut column.values {
                Values::Int(values) => retain(values, &keep),
                Values::Float(values) => retain(values, &keep),
                Values::Double(values) => retain(values, &keep),
                Values::Date(values) => retain(values, &keep),
                Values::Text(texts) => retain(&mut texts.spans, &keep),
            }
            if !column.present.is_empty() {
                retain(&mut column.present, &keep);
            }
        }
        self.rows = keep.iter().filter(|keep| **keep).count();
    }
}

fn retain<T>(values: &mut Vec<T>, keep: &[bool]) {
    let mut row = 0;
    values.retain(|_| {
        row += 1;
        keep[row - 1]
    });
}

/// A text for people: cut where it is long, and escaped where it would break the line or is no text.
pub(crate) fn legible(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    let Ok(text) = str::from_utf8(bytes) else { return BadRecord::shorten(bytes) };
    let end = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    let mut shown = String::new();
    for letter in text[..end].chars() {
        if letter.is_control() { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    if end < text.len() {
        shown += &format!("… ({} bytes more)", text.len() - end);
    }
    shown
}

impl Column {
    /// The value of a row.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "as a call, it would give every value through memory, type and all"
    )]
    pub(in crate::formats) fn cell(&self, row: usize) -> Cell<'_> {
        if !self.present.is_empty() && !self.present[row] {
            return Cell::Null;
        }
        match &self.values {
            Values::Int(values) => Cell::Int(values[row]),
            Values::Float(values) => Cell::Float(values[row]),
            Values::Double(values) => Cell::Double(values[row]),
            Values::Date(values) => Cell::Date(values[row]),
            Values::Text(texts) => Cell::Text(texts.get(row)),
        }
    }
}

#[derive(Clone, Copy)]
struct BatchRow<'a> {
    columns: &'a [Column],
    row: usize,
}

impl<'a> Fields<'a> for BatchRow<'a> {
    type Field = Cell<'a>;

    #[inline]
    fn count(self) -> usize {
        self.columns.len()
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "as `Column::cell`, which it consists of")]
    fn field(self, index: usize) -> Cell<'a> {
        self.columns[index].cell(self.row)
    }
}

//! The values of one region, of all rows or of some.

use std::ops::Range;
use std::sync::Arc;

use super::body::Body;
use super::footer::Encoding;
use super::forms::Form;
use crate::formats::columns::{Column, Texts, Values, push_day};
use crate::formats::field_error::beyond_int;
use crate::tables::ColumnType;

/// Where the values of a region stand.
#[derive(Debug)]
pub(super) struct Cursor {
    form: Form,
    kind: ColumnType,
    rows: usize,
    /// Whether the body starts with a bit a row.
    nulls: bool,
    as_text: bool,
}

const NO_DATE: &str = "a date that has no 32 bits";

/// Which values are none of their column, ascending, and why.
pub(super) type Misfits = Vec<(usize, String)>;

/// Finds values of more than 32 bits among those of some rows, which are looked at one after the other.
#[derive(Default)]
struct Beyond {
    row: usize,
    rows: Vec<usize>,
}

impl Beyond {
    /// The value of the next row, cut to 32 bits.
    #[inline]
    fn narrowed(&mut self, value: i64) -> i32 {
        let narrow = value as i32;
        if i64::from(narrow) != value {
            self.rows.push(self.row);
        }
        self.row += 1;
        narrow
    }

    /// The rows with such a value; what stands where a row has none means nothing.
    fn of<'a>(&'a self, present: &'a [bool]) -> impl Iterator<Item = usize> + 'a {
        self.rows.iter().copied().filter(|row| present.is_empty() || present[*row])
    }
}

impl Cursor {
    /// Finds the parts of a region, and checks that they fill it.
    pub(super) fn open(
        bytes: &[u8],
        (kind, encoding): (ColumnType, Encoding),
        rows: usize,
        nulls: bool,
        as_text: bool,
    ) -> Result<Self, &'static str> {
        let mut body = Body::new(bytes);
        if nulls {
            body.take(rows.div_ceil(8))?;
        }
        let form = Form::open(&mut body, bytes, (kind, encoding), rows)?;
        body.ended()?;
        Ok(Cursor { form, kind, rows, nulls, as_text })
    }

    /// Decodes some of `rows` into their places in `column`, which becomes as long: those of `runs`, of which the first row is 0. Rows
    /// of earlier calls cannot be had again. Other places have any values. Says which have a value that the column cannot have.
    pub(super) fn decode(
        &mut self,
        body: &Arc<Vec<u8>>,
        rows: Range<usize>,
        runs: &[Range<usize>],
        column: &mut Column,
    ) -> Result<Misfits, &'static str> {
        let (first, count) = (rows.start, rows.len());
        let mut misfits = Misfits::new();
        column.present.clear();
        if self.nulls {
            column.present.extend(rows.clone().map(|row| body[row / 8] >> (row % 8) & 1 == 1));
        }
        let (values, present) = (&mut column.values, &column.present);
        let mut beyond = Beyond::default();
        match self.kind {
            ColumnType::Long => {
                let to = ints_of(values, count);
                for run in runs {
                    self.form.ints(body, first + run.start, &mut to[run.clone()], |value| value)?;
                }
            }
            ColumnType::Int => {
                let to = ints_of(values, count);
                for run in runs {
                    beyond.row = run.start;
                    self.form.ints(body, first + run.start, &mut to[run.clone()], |value| {
                        beyond.narrowed(value);
                        value
                    })?;
                }
                misfits.extend(beyond.of(present).map(|row| (row, beyond_int(to[row]))));
            }
            ColumnType::Date => {
                if self.as_text {
                    self.date_texts(body, first, runs, texts_of(values, count), &mut beyond)?;
                } else {
                    let to = dates_of(values, count);
                    for run in runs {
                        beyond.row = run.start;
                        let to = &mut to[run.clone()];
                        self.form.ints(body, first + run.start, to, |value| beyond.narrowed(value))?;
                    }
                }
                if beyond.of(present).next().is_some() {
                    return Err(NO_DATE);
                }
            }
            ColumnType::Float => {
                let to = floats_of(values, count);
                let Form::Floats(form) = &self.form else { return Ok(misfits) };
                for run in runs {
                    form.decode(body, first + run.start, &mut to[run.clone()], f32::from_le_bytes)?;
                }
            }
            ColumnType::Double => {
                let to = doubles_of(values, count);
                let Form::Doubles(form) = &self.form else { return Ok(misfits) };
                for run in runs {
                    form.decode(body, first + run.start, &mut to[run.clone()], f64::from_le_bytes)?;
                }
            }
            ColumnType::Text => {
                let texts = texts_of(values, count);
                for run in runs {
                    self.form.texts(body, first + run.start, &mut texts.spans[run.clone()])?;
                }
                if !Arc::ptr_eq(&texts.bytes, body) {
                    texts.bytes = Arc::clone(body);
                }
            }
        }
        if rows.end == self.rows {
            self.form.ended(self.rows)?;
        }
        Ok(misfits)
    }

    /// Days as `yyyy-MM-dd`.
    fn date_texts(
        &mut self,
        body: &[u8],
        first: usize,
        runs: &[Range<usize>],
        to: &mut Texts,
        beyond: &mut Beyond,
    ) -> Result<(), &'static str> {
        if Arc::get_mut(&mut to.bytes).is_none() {
            to.bytes = Arc::default();
        }
        let Some(bytes) = Arc::get_mut(&mut to.bytes) else { return Ok(()) };
        bytes.clear();
        for run in runs {
            beyond.row = run.start;
            let to = &mut to.spans[run.clone()];
            self.form.ints(body, first + run.start, to, |value| push_day(bytes, beyond.narrowed(value)))?;
        }
        Ok(())
    }
}

macro_rules! sized {
    ($($function:ident $variant:ident $type:ty)*) => {$(
        /// The places of so many values of a column, which is made one of this type.
        fn $function(values: &mut Values, count: usize) -> &mut [$type] {
            if !matches!(values, Values::$variant(_)) {
                *values = Values::$variant(Vec::new());
            }
            match values {
                Values::$variant(values) => {
                    values.resize(count, <$type>::default());
                    values
                }
                _ => unreachable!("made so above"),
            }
        }
    )*};
}

sized! {
    ints_of Int i64
    floats_of Float f32
    doubles_of Double f64
    dates_of Date i32
}

/// The same of texts.
fn texts_of(values: &mut Values, count: usize) -> &mut Texts {
    if !matches!(values, Values::Text(_)) {
        *values = Values::Text(Texts::default());
    }
    match values {
        Values::Text(texts) => {
            texts.spans.resize(count, (0, 0));
            texts
        }
        _ => unreachable!("made so above"),
    }
}

//! The values of one region, decoded some rows at a time.

use std::sync::Arc;

use super::body::Body;
use super::footer::Encoding;
use super::ints::Ints;
use crate::formats::columns::{Column, Texts, Values, push_day};
use crate::tables::ColumnType;

/// Where the values of a region stand, and how far they were read.
#[derive(Debug)]
pub(super) struct Cursor {
    form: Form,
    kind: ColumnType,
    rows: usize,
    next: usize,
    /// Whether the body starts with a bit a row.
    nulls: bool,
    as_text: bool,
}

#[derive(Debug)]
enum Form {
    Ints(Ints),
    Deltas {
        last: i64,
        deltas: Ints,
    },
    Runs {
        values: Ints,
        lengths: Ints,
        value: i64,
        left: usize,
    },
    IntDictionary {
        values: Vec<i64>,
        codes: Ints,
    },
    Floats {
        at: usize,
    },
    FloatDictionary(Dictionary<f32>),
    DoubleDictionary(Dictionary<f64>),
    /// How long each text is, where the next one starts, and where the last one must end.
    Texts {
        lengths: Ints,
        at: usize,
        end: usize,
    },
    TextDictionary {
        spans: Vec<(u32, u32)>,
        codes: Ints,
    },
}

/// Different values, and which of them each row has.
#[derive(Debug)]
struct Dictionary<T> {
    values: Vec<T>,
    codes: Ints,
}

impl<T: Copy> Dictionary<T> {
    fn open<const WIDTH: usize>(
        body: &mut Body<'_>,
        rows: usize,
        from: fn([u8; WIDTH]) -> T,
    ) -> Result<Self, &'static str> {
        let values = body.count(rows)?;
        let values = body.take(values * WIDTH)?;
        let values = values.as_chunks().0.iter().map(|bytes| from(*bytes)).collect();
        Ok(Dictionary { values, codes: Ints::open(body, rows)? })
    }

    fn take(&mut self, body: &[u8], count: usize, to: &mut Vec<T>) -> Result<(), &'static str> {
        for code in self.codes.take(body, count) {
            to.push(*self.values.get(code as usize).ok_or(NO_SUCH_CODE)?);
        }
        Ok(())
    }
}

/// Values of a fixed width as they are, from `at` on.
fn take_plain<T, const WIDTH: usize>(
    at: &mut usize,
    body: &[u8],
    count: usize,
    from: fn([u8; WIDTH]) -> T,
    to: &mut Vec<T>,
) {
    let bytes = &body[*at..*at + count * WIDTH];
    to.extend(bytes.as_chunks().0.iter().map(|bytes| from(*bytes)));
    *at += bytes.len();
}

const NO_SUCH_CODE: &str = "a value that its dictionary does not have";

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
        let form = match (kind, encoding) {
            (ColumnType::Int | ColumnType::Long | ColumnType::Date, encoding) => {
                Form::of_ints(&mut body, bytes, encoding, rows)?
            }
            (ColumnType::Float, Encoding::Plain) => {
                let at = body.at();
                body.take(rows * size_of::<f32>())?;
                Form::Floats { at }
            }
            (ColumnType::Float, Encoding::Dictionary) => {
                Form::FloatDictionary(Dictionary::open(&mut body, rows, f32::from_le_bytes)?)
            }
            (ColumnType::Double, Encoding::Plain) => {
                let at = body.at();
                body.take(rows * size_of::<f64>())?;
                Form::Floats { at }
            }
            (ColumnType::Double, Encoding::Dictionary) => {
                Form::DoubleDictionary(Dictionary::open(&mut body, rows, f64::from_le_bytes)?)
            }
            (ColumnType::Text, Encoding::Plain) => {
                let lengths = Ints::open(&mut body, rows)?;
                Form::Texts { lengths, at: body.rest(), end: bytes.len() }
            }
            (ColumnType::Text, Encoding::Dictionary) => {
                let values = body.count(rows)?;
                let mut lengths = Ints::open(&mut body, values)?;
                let codes = Ints::open(&mut body, rows)?;
                let mut spans = Vec::with_capacity(values);
                let end = spans_of(lengths.take(bytes, values), body.rest(), bytes.len(), &mut spans)?;
                if end != bytes.len() {
                    return Err("texts that do not fill it");
                }
                Form::TextDictionary { spans, codes }
            }
            (ColumnType::Float | ColumnType::Double | ColumnType::Text, Encoding::Delta | Encoding::Runs) => {
                return Err("an encoding that its type does not have");
            }
        };
        body.ended()?;
        Ok(Cursor { form, kind, rows, next: 0, nulls, as_text })
    }

    /// Rows that were not decoded yet.
    pub(super) fn left(&self) -> usize {
        self.rows - self.next
    }

    /// Decodes the next `count` rows into `column`, in place of what is there.
    pub(super) fn decode(
        &mut self,
        body: &Arc<Vec<u8>>,
        count: usize,
        column: &mut Column,
    ) -> Result<(), &'static str> {
        column.present.clear();
        if self.nulls {
            column
                .present
                .extend((self.next..self.next + count).map(|row| body[row / 8] >> (row % 8) & 1 == 1));
        }
        match self.kind {
            ColumnType::Int | ColumnType::Long => {
                let values = ints_of(&mut column.values);
                self.form.decode_ints(body, count, |value| values.push(value))?;
            }
            ColumnType::Date if self.as_text => self.date_texts(body, count, texts_of(&mut column.values))?,
            ColumnType::Date => {
                let (days, mut fits) = (dates_of(&mut column.values), true);
                self.form.decode_ints(body, count, |value| {
                    fits &= i32::try_from(value).is_ok();
                    days.push(value as i32);
                })?;
                if !fits {
                    return Err("a date that has no 32 bits");
                }
            }
            ColumnType::Float => self.floats(body, count, floats_of(&mut column.values))?,
            ColumnType::Double => self.doubles(body, count, doubles_of(&mut column.values))?,
            ColumnType::Text => self.texts(body, count, texts_of(&mut column.values))?,
        }
        self.next += count;
        if self.left() == 0 { self.form.ended() } else { Ok(()) }
    }

    fn floats(&mut self, body: &[u8], count: usize, to: &mut Vec<f32>) -> Result<(), &'static str> {
        match &mut self.form {
            Form::Floats { at } => take_plain(at, body, count, f32::from_le_bytes, to),
            Form::FloatDictionary(dictionary) => return dictionary.take(body, count, to),
            _ => {}
        }
        Ok(())
    }

    fn doubles(&mut self, body: &[u8], count: usize, to: &mut Vec<f64>) -> Result<(), &'static str> {
        match &mut self.form {
            Form::Floats { at } => take_plain(at, body, count, f64::from_le_bytes, to),
            Form::DoubleDictionary(dictionary) => return dictionary.take(body, count, to),
            _ => {}
        }
        Ok(())
    }

    fn texts(&mut self, body: &Arc<Vec<u8>>, count: usize, to: &mut Texts) -> Result<(), &'static str> {
        match &mut self.form {
            Form::Texts { lengths, at, end } => {
                *at = spans_of(lengths.take(body, count), *at, *end, &mut to.spans)?;
            }
            Form::TextDictionary { spans, codes } => {
                for code in codes.take(body, count) {
                    to.spans.push(*spans.get(code as usize).ok_or(NO_SUCH_CODE)?);
                }
            }
            _ => {}
        }
        if !Arc::ptr_eq(&to.bytes, body) {
            to.bytes = Arc::clone(body);
        }
        Ok(())
    }

    /// Days as `yyyy-MM-dd`.
    fn date_texts(&mut self, body: &[u8], count: usize, to: &mut Texts) -> Result<(), &'static str> {
        if Arc::get_mut(&mut to.bytes).is_none() {
            to.bytes = Arc::default();
        }
        let Some(bytes) = Arc::get_mut(&mut to.bytes) else { return Ok(()) };
        bytes.clear();
        let mut fits = true;
        self.form.decode_ints(body, count, |value| {
            fits &= i32::try_from(value).is_ok();
            push_day(bytes, &mut to.spans, value as i32);
        })?;
        if fits { Ok(()) } else { Err("a date that has no 32 bits") }
    }
}

impl Form {
    fn of_ints(
        body: &mut Body<'_>,
        bytes: &[u8],
        encoding: Encoding,
        rows: usize,
    ) -> Result<Self, &'static str> {
        Ok(match encoding {
            Encoding::Plain => Form::Ints(Ints::open(body, rows)?),
            Encoding::Delta => {
                let first = i64::from_le_bytes(body.array()?);
                // In front of the first value is one that is as far from it as the first difference says.
                Form::Deltas { last: first, deltas: Ints::open(body, rows)? }
            }
            Encoding::Runs => {
                let runs = body.count(rows)?;
                let values = Ints::open(body, runs)?;
                Form::Runs { values, lengths: Ints::open(body, runs)?, value: 0, left: 0 }
            }
            Encoding::Dictionary => {
                let count = body.count(rows)?;
                let values = Ints::open(body, count)?.take(bytes, count).collect();
                Form::IntDictionary { values, codes: Ints::open(body, rows)? }
            }
        })
    }

    #[inline]
    fn decode_ints(
        &mut self,
        body: &[u8],
        count: usize,
        mut push: impl FnMut(i64),
    ) -> Result<(), &'static str> {
        match self {
            Form::Ints(ints) => ints.take(body, count).for_each(push),
            Form::Deltas { last, deltas } => deltas.take(body, count).for_each(|delta| {
                *last = last.wrapping_add(delta);
                push(*last);
            }),
            Form::Runs { values, lengths, value, left } => {
                for _ in 0..count {
                    while *left == 0 {
                        let next = values.take(body, 1).next().zip(lengths.take(body, 1).next());
                        let (next, length) = next.ok_or("runs that are fewer than its rows")?;
                        *value = next;
                        *left = usize::try_from(length).map_err(|_| "a run of fewer than no rows")?;
                    }
                    *left -= 1;
                    push(*value);
                }
            }
            Form::IntDictionary { values, codes } => {
                for code in codes.take(body, count) {
                    push(*values.get(code as usize).ok_or(NO_SUCH_CODE)?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// That what has no rows left has no values left either.
    fn ended(&self) -> Result<(), &'static str> {
        match self {
            Form::Texts { at, end, .. } if at != end => Err("texts that do not fill it"),
            Form::Runs { lengths, left, .. } if *left > 0 || lengths.left() > 0 => {
                Err("runs of more rows than it has")
            }
            _ => Ok(()),
        }
    }
}

/// The spans of texts of these lengths, the first of which starts at `at`; where the last one ends, which must not be behind `end`.
#[inline]
fn spans_of(
    lengths: impl Iterator<Item = i64>,
    at: usize,
    end: usize,
    spans: &mut Vec<(u32, u32)>,
) -> Result<usize, &'static str> {
    // Of at most 65,536 lengths of 32 bits, so that the sum does not overflow; a longer one shows in `beyond`.
    let (mut last, mut beyond) = (at as u64, 0);
    spans.extend(lengths.map(|length| {
        let start = last;
        beyond |= length as u64;
        last = start.wrapping_add(length as u64);
        (start as u32, last as u32)
    }));
    if beyond > u64::from(u32::MAX) || last > end as u64 {
        return Err("texts that end behind it");
    }
    Ok(last as usize)
}

macro_rules! emptied {
    ($($function:ident $variant:ident $type:ty)*) => {$(
        /// The values of a column, emptied, after they were made such of this type.
        fn $function(values: &mut Values) -> &mut Vec<$type> {
            if !matches!(values, Values::$variant(_)) {
                *values = Values::$variant(Vec::new());
            }
            match values {
                Values::$variant(values) => {
                    values.clear();
                    values
                }
                _ => unreachable!("made so above"),
            }
        }
    )*};
}

emptied! {
    ints_of Int i64
    floats_of Float f32
    doubles_of Double f64
    dates_of Date i32
}

/// The same of texts.
fn texts_of(values: &mut Values) -> &mut Texts {
    if !matches!(values, Values::Text(_)) {
        *values = Values::Text(Texts::default());
    }
    match values {
        Values::Text(texts) => {
            texts.spans.clear();
            texts
        }
        _ => unreachable!("made so above"),
    }
}

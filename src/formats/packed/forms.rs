//! How the values of a region are written, and the decoding of some of its rows, which come in runs.

use super::body::Body;
use super::footer::Encoding;
use super::ints::Ints;
use crate::tables::ColumnType;

/// Some forms are read from start to end: these know before which row they are.
#[derive(Debug)]
pub(super) enum Form {
    Ints(Ints),
    Deltas {
        row: usize,
        /// The value of the row before.
        last: i64,
        deltas: Ints,
    },
    Runs {
        row: usize,
        values: Ints,
        lengths: Ints,
        /// How many of them were read, the value of the last, and how many rows it still has.
        runs: usize,
        value: i64,
        left: usize,
    },
    IntDictionary {
        values: Vec<i64>,
        codes: Ints,
    },
    Floats(Fixed<f32>),
    Doubles(Fixed<f64>),
    /// How long each text is, where that of the row starts, and where the last one must end.
    Texts {
        row: usize,
        lengths: Ints,
        at: usize,
        end: usize,
    },
    TextDictionary {
        spans: Vec<(u32, u32)>,
        codes: Ints,
    },
}

/// Values of a fixed width.
#[derive(Debug)]
pub(super) enum Fixed<T> {
    /// As they are, from there on.
    Plain(usize),
    /// Different values, and which of them each row has.
    Dictionary(Vec<T>, Ints),
}

impl<T: Copy> Fixed<T> {
    fn open<const WIDTH: usize>(
        body: &mut Body<'_>,
        encoding: Encoding,
        rows: usize,
        from: fn([u8; WIDTH]) -> T,
    ) -> Result<Self, &'static str> {
        match encoding {
            Encoding::Plain => {
                let at = body.at();
                body.take(rows * WIDTH)?;
                Ok(Fixed::Plain(at))
            }
            Encoding::Dictionary => {
                let values = body.count(rows)?;
                let values = body.take(values * WIDTH)?;
                let values = values.as_chunks().0.iter().map(|bytes| from(*bytes)).collect();
                Ok(Fixed::Dictionary(values, Ints::open(body, rows)?))
            }
            Encoding::Delta | Encoding::Runs => Err(NO_SUCH_ENCODING),
        }
    }

    /// Decodes the values from row `first` on.
    pub(super) fn decode<const WIDTH: usize>(
        &self,
        body: &[u8],
        first: usize,
        to: &mut [T],
        from: fn([u8; WIDTH]) -> T,
    ) -> Result<(), &'static str> {
        match self {
            Fixed::Plain(at) => {
                let bytes = &body[at + first * WIDTH..at + (first + to.len()) * WIDTH];
                to.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, bytes)| *to = from(*bytes));
                Ok(())
            }
            Fixed::Dictionary(values, codes) => look_up(values, codes.of(body, first..first + to.len()), to),
        }
    }
}

const NO_SUCH_ENCODING: &str = "an encoding that its type does not have";
const NOT_FILLED: &str = "texts that do not fill it";
const NO_SUCH_CODE: &str = "a value that its dictionary does not have";

/// Looks up the values of some rows.
fn look_up<T: Copy>(
    values: &[T],
    codes: impl Iterator<Item = i64>,
    to: &mut [T],
) -> Result<(), &'static str> {
    for (to, code) in to.iter_mut().zip(codes) {
        *to = *values.get(code as usize).ok_or(NO_SUCH_CODE)?;
    }
    Ok(())
}

impl Form {
    /// Finds the parts of a region behind its nulls; `bytes` are all of it.
    pub(super) fn open(
        body: &mut Body<'_>,
        bytes: &[u8],
        (kind, encoding): (ColumnType, Encoding),
        rows: usize,
    ) -> Result<Self, &'static str> {
        Ok(match (kind, encoding) {
            (ColumnType::Int | ColumnType::Long | ColumnType::Date, _) => {
                Form::of_ints(body, bytes, encoding, rows)?
            }
            (ColumnType::Float, _) => Form::Floats(Fixed::open(body, encoding, rows, f32::from_le_bytes)?),
            (ColumnType::Double, _) => Form::Doubles(Fixed::open(body, encoding, rows, f64::from_le_bytes)?),
            (ColumnType::Text, Encoding::Plain) => {
                let lengths = Ints::open(body, rows)?;
                Form::Texts { row: 0, lengths, at: body.rest(), end: bytes.len() }
            }
            (ColumnType::Text, Encoding::Dictionary) => {
                let values = body.count(rows)?;
                let lengths = Ints::open(body, values)?;
                let codes = Ints::open(body, rows)?;
                let mut spans = vec![(0, 0); values];
                let end = spans_of(lengths.of(bytes, 0..values), body.rest(), bytes.len(), &mut spans)?;
                if end != bytes.len() {
                    return Err(NOT_FILLED);
                }
                Form::TextDictionary { spans, codes }
            }
            (ColumnType::Text, Encoding::Delta | Encoding::Runs) => return Err(NO_SUCH_ENCODING),
        })
    }

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
                Form::Deltas { row: 0, last: first, deltas: Ints::open(body, rows)? }
            }
            Encoding::Runs => {
                let runs = body.count(rows)?;
                let values = Ints::open(body, runs)?;
                let lengths = Ints::open(body, runs)?;
                Form::Runs { row: 0, values, lengths, runs: 0, value: 0, left: 0 }
            }
            Encoding::Dictionary => {
                let count = body.count(rows)?;
                let values = Ints::open(body, count)?.of(bytes, 0..count).collect();
                Form::IntDictionary { values, codes: Ints::open(body, rows)? }
            }
        })
    }

    /// Decodes the integers from row `first` on.
    #[inline]
    pub(super) fn ints<T>(
        &mut self,
        body: &[u8],
        first: usize,
        to: &mut [T],
        mut from: impl FnMut(i64) -> T,
    ) -> Result<(), &'static str> {
        let rows = first..first + to.len();
        match self {
            Form::Ints(ints) => {
                to.iter_mut().zip(ints.of(body, rows)).for_each(|(to, value)| *to = from(value));
            }
            Form::Deltas { row, last, deltas } => {
                *last = deltas.of(body, *row..rows.start).fold(*last, i64::wrapping_add);
                for (to, delta) in to.iter_mut().zip(deltas.of(body, rows.clone())) {
                    *last = last.wrapping_add(delta);
                    *to = from(*last);
                }
                *row = rows.end;
            }
            Form::Runs { row, values, lengths, runs, value, left } => {
                while *row < rows.end {
                    while *left == 0 {
                        let next = *runs..*runs + 1;
                        let next = values.of(body, next.clone()).next().zip(lengths.of(body, next).next());
                        let (next, length) = next.ok_or("runs that are fewer than its rows")?;
                        *value = next;
                        *left = usize::try_from(length).map_err(|_| "a run of fewer than no rows")?;
                        *runs += 1;
                    }
                    let until = rows.end.min(row.saturating_add(*left));
                    for wanted in (*row).max(rows.start)..until {
                        to[wanted - rows.start] = from(*value);
                    }
                    *left -= until - *row;
                    *row = until;
                }
            }
            Form::IntDictionary { values, codes } => {
                for (to, code) in to.iter_mut().zip(codes.of(body, rows)) {
                    *to = from(*values.get(code as usize).ok_or(NO_SUCH_CODE)?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Finds the texts from row `first` on.
    pub(super) fn texts(
        &mut self,
        body: &[u8],
        first: usize,
        to: &mut [(u32, u32)],
    ) -> Result<(), &'static str> {
        let rows = first..first + to.len();
        match self {
            Form::Texts { row, lengths, at, end } => {
                *at = end_of(lengths.of(body, *row..rows.start), *at, *end)?;
                *at = spans_of(lengths.of(body, rows.clone()), *at, *end, to)?;
                *row = rows.end;
                Ok(())
            }
            Form::TextDictionary { spans, codes } => look_up(spans, codes.of(body, rows), to),
            _ => Ok(()),
        }
    }

    /// That what has no rows left has no values left either. Of rows behind the last that was decoded it is not known.
    pub(super) fn ended(&self, rows: usize) -> Result<(), &'static str> {
        match self {
            Form::Texts { row, at, end, .. } if *row == rows && at != end => Err(NOT_FILLED),
            Form::Runs { row, lengths, runs, left, .. }
                if *row == rows && (*left > 0 || *runs < lengths.count()) =>
            {
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
    to: &mut [(u32, u32)],
) -> Result<usize, &'static str> {
    let (mut last, mut beyond) = (at as u64, 0);
    to.iter_mut().zip(lengths).for_each(|(span, length)| {
        let start = last;
        beyond |= length as u64;
        last = start.wrapping_add(length as u64);
        *span = (start as u32, last as u32);
    });
    end_within(last, beyond, end)
}

/// The same where nobody wants the spans.
#[inline]
fn end_of(lengths: impl Iterator<Item = i64>, at: usize, end: usize) -> Result<usize, &'static str> {
    let (last, beyond) = lengths.fold((at as u64, 0), |(last, beyond), length| {
        (last.wrapping_add(length as u64), beyond | length as u64)
    });
    end_within(last, beyond, end)
}

/// Of at most 65,536 lengths of 32 bits, so that the sum does not overflow; a longer one shows in `beyond`, which has the bits of all.
fn end_within(last: u64, beyond: u64, end: usize) -> Result<usize, &'static str> {
    if beyond > u64::from(u32::MAX) || last > end as u64 {
        return Err("texts that end behind it");
    }
    Ok(last as usize)
}

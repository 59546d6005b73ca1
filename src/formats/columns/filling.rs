//! Values of a block that is being gathered to be written, column by column.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use super::{Column, Limits, Value, Values};
use crate::keys::PlaceHasher;
use crate::tables::ColumnType;

/// Bytes of a text that are kept of it as a limit.
const LIMIT_BYTES: usize = 32;
/// A dictionary is given up where more than half of so many first values were new.
const TRIED_ROWS: usize = 4096;

/// The values of one column of a block that is being filled.
#[derive(Debug)]
pub(in crate::formats) struct Filling {
    pub(in crate::formats) values: Filled,
    /// Whether each row has a value; empty as long as all have.
    pub(in crate::formats) present: Vec<bool>,
}

/// A row without a value has any.
#[derive(Debug)]
pub(in crate::formats) enum Filled {
    Ints(Vec<i64>),
    Longs(Vec<i64>),
    Dates(Vec<i64>),
    /// As bits, so that every NaN comes back as it was.
    Floats(Vec<u32>),
    /// The same.
    Doubles(Vec<u64>),
    Texts {
        bytes: Vec<u8>,
        ends: Vec<u32>,
    },
}

impl Filling {
    pub(in crate::formats) fn new(kind: ColumnType) -> Self {
        let values = match kind {
            ColumnType::Int => Filled::Ints(Vec::new()),
            ColumnType::Long => Filled::Longs(Vec::new()),
            ColumnType::Double => Filled::Doubles(Vec::new()),
            ColumnType::Date => Filled::Dates(Vec::new()),
            ColumnType::Float => Filled::Floats(Vec::new()),
            ColumnType::Text => Filled::Texts { bytes: Vec::new(), ends: Vec::new() },
        };
        Filling { values, present: Vec::new() }
    }

    /// Empties it.
    pub(in crate::formats) fn clear(&mut self) {
        self.present.clear();
        match &mut self.values {
            Filled::Ints(values) | Filled::Longs(values) | Filled::Dates(values) => values.clear(),
            Filled::Doubles(values) => values.clear(),
            Filled::Floats(values) => values.clear(),
            Filled::Texts { bytes, ends } => {
                bytes.clear();
                ends.clear();
            }
        }
    }

    /// Appends some rows of a column to the `before` rows that it has.
    pub(super) fn extend(&mut self, column: &Column, before: usize, rows: Range<usize>) {
        let present = |row: usize| column.present.is_empty() || column.present[row];
        if !column.present.is_empty() || !self.present.is_empty() {
            self.present.resize(before, true);
            self.present.extend(rows.clone().map(present));
        }
        // In place of none, what is next to it: that costs the least in every encoding.
        let fill = |values: &mut Vec<i64>, value: &dyn Fn(usize) -> i64| {
            for row in rows.clone() {
                let value =
                    if present(row) { value(row) } else { values.last().copied().unwrap_or_default() };
                values.push(value);
            }
        };
        match (&mut self.values, &column.values) {
            (Filled::Ints(to) | Filled::Longs(to), Values::Int(values)) => fill(to, &|row| values[row]),
            (Filled::Dates(to), Values::Date(values)) => fill(to, &|row| values[row].into()),
            (Filled::Floats(to), Values::Float(values)) => {
                to.extend(rows.map(|row| if present(row) { values[row].to_bits() } else { 0 }));
            }
            (Filled::Doubles(to), Values::Double(values)) => {
                to.extend(rows.map(|row| if present(row) { values[row].to_bits() } else { 0 }));
            }
            (Filled::Texts { bytes, ends }, Values::Text(texts)) => {
                for row in rows {
                    if present(row) {
                        bytes.extend_from_slice(texts.get(row));
                    }
                    ends.push(bytes.len() as u32);
                }
            }
            // Types were checked for the whole batch.
            _ => {}
        }
    }

    /// The least and greatest value of some rows, where they are known.
    pub(in crate::formats) fn limits(&self, rows: Range<usize>) -> Option<Limits> {
        let rows = || rows.clone().filter(|row| self.present.is_empty() || self.present[*row]);
        let of_ints = |values: &[i64]| {
            let values = || rows().map(|row| values[row]);
            Some((values().min()?, values().max()?))
        };
        let (least, greatest) = match &self.values {
            Filled::Ints(values) | Filled::Longs(values) => {
                let (least, greatest) = of_ints(values)?;
                (Value::Int(least), Value::Int(greatest))
            }
            Filled::Dates(values) => {
                let (least, greatest) = of_ints(values)?;
                (Value::Date(least as i32), Value::Date(greatest as i32))
            }
            Filled::Floats(values) => {
                let values = || rows().map(|row| f32::from_bits(values[row]));
                // A NaN is beyond no limit.
                if values().any(f32::is_nan) {
                    return None;
                }
                (Value::Float(values().reduce(f32::min)?), Value::Float(values().reduce(f32::max)?))
            }
            Filled::Doubles(values) => {
                let values = || rows().map(|row| f64::from_bits(values[row]));
                if values().any(f64::is_nan) {
                    return None;
                }
                (Value::Double(values().reduce(f64::min)?), Value::Double(values().reduce(f64::max)?))
            }
            Filled::Texts { bytes, ends } => {
                let text = |row: usize| {
                    let start = row.checked_sub(1).map_or(0, |before| ends[before]);
                    &bytes[start as usize..ends[row] as usize]
                };
                let (least, greatest) = (rows().map(text).min()?, rows().map(text).max()?);
                let least = &least[..least.len().min(LIMIT_BYTES)];
                (Value::Text(least.to_vec()), Value::Text(shortened_up(greatest)?))
            }
        };
        Some(Limits { least, greatest })
    }
}

/// A text that is not less, and no longer than a limit is; `None` where there is none.
fn shortened_up(text: &[u8]) -> Option<Vec<u8>> {
    let Some(kept) = text.get(..LIMIT_BYTES).filter(|kept| kept.len() < text.len()) else {
        return Some(text.to_vec());
    };
    let raised = kept.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut kept = kept[..=raised].to_vec();
    kept[raised] += 1;
    Some(kept)
}

/// Texts that end at these bytes.
pub(in crate::formats) fn texts<'a>(
    bytes: &'a [u8],
    ends: &'a [u32],
) -> impl Iterator<Item = &'a [u8]> + Clone {
    ends.iter().scan(0, |start, end| {
        let text = &bytes[*start..*end as usize];
        *start = *end as usize;
        Some(text)
    })
}

/// Distinct values in the order in which they come, and which of them each row has.
pub(in crate::formats) struct Dictionary;

impl Dictionary {
    /// `None` where too many are distinct for it to pay.
    pub(in crate::formats) fn of<V: Copy + Eq + Hash>(
        values: impl Iterator<Item = V>,
    ) -> Option<(Vec<V>, Vec<u32>)> {
        let mut codes_of: HashMap<V, u32, PlaceHasher> = HashMap::default();
        let (mut distinct, mut codes) = (Vec::new(), Vec::new());
        for value in values {
            let code = *codes_of.entry(value).or_insert_with(|| {
                distinct.push(value);
                distinct.len() as u32 - 1
            });
            codes.push(code);
            if codes.len() == TRIED_ROWS && distinct.len() > TRIED_ROWS / 2 {
                return None;
            }
        }
        Some((distinct, codes))
    }
}

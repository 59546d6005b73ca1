//! Batches for the tests of column formats: made of plain values, and shown with all their bits.

use proptest::prelude::*;

use super::{Batch, Column, ColumnRange, Decode, Texts, Value as Bound, Values};
use crate::Error;
use crate::input::PassedOver;

/// A column in which no value is missing.
pub(in crate::formats) fn column(values: Values) -> Column {
    Column { values, present: Vec::new() }
}

/// Texts that lie one behind the other.
pub(in crate::formats) fn texts<T: AsRef<[u8]>>(values: impl IntoIterator<Item = T>) -> Values {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for value in values {
        let start = bytes.len() as u32;
        bytes.extend_from_slice(value.as_ref());
        spans.push((start, bytes.len() as u32));
    }
    Values::Text(Texts { bytes: bytes.into(), spans })
}

/// Values of all columns as text with all their bits, row by row.
pub(in crate::formats) fn shown(batch: &Batch) -> Vec<Vec<String>> {
    (0..batch.rows).map(|row| shown_row(batch, row)).collect()
}

fn shown_row(batch: &Batch, row: usize) -> Vec<String> {
    let value = |column: &Column, row: usize| {
        if !column.present.is_empty() && !column.present[row] {
            return "none".to_owned();
        }
        match &column.values {
            Values::Int(values) => values[row].to_string(),
            Values::Float(values) => format!("{:08x}", values[row].to_bits()),
            Values::Double(values) => format!("{:016x}", values[row].to_bits()),
            Values::Date(values) => values[row].to_string(),
            Values::Text(texts) => texts.get(row).escape_ascii().to_string(),
        }
    };
    batch.columns.iter().map(|column| value(column, row)).collect()
}

/// A row by its place in the file.
pub(in crate::formats) type Placed = (u64, Vec<String>);

/// The rows that a decoder gives, and what it passed over.
pub(in crate::formats) fn given(decoder: &mut impl Decode) -> Result<(Vec<Placed>, PassedOver), Error> {
    let (mut batch, mut given) = (Batch::default(), Vec::new());
    while let Some(decoded) = decoder.next_batch(&mut batch)? {
        for row in decoder.filter().runs().iter().cloned().flatten() {
            given.push((decoded.first_row + row as u64, shown_row(&batch, row)));
        }
    }
    Ok((given, decoder.passed_over()))
}

/// A range of a column of [`any_batch`], between values that it may have, and at times none.
pub(in crate::formats) fn any_range() -> impl Strategy<Value = ColumnRange> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let value = (0_u8..6, prop_oneof![any::<i64>(), -9..9_i64, Just(5), 1_000_000..1_000_100_i64]);
    let end = move |column: usize, (kind, of): (u8, i64)| {
        let value = match column {
            0 => Bound::Text(if kind < 3 { b"same".to_vec() } else { of.to_le_bytes().to_vec() }),
            1 => Bound::Int(of),
            2 => Bound::Float(f32::from_bits(of as u32)),
            3 => Bound::Date(of as i32),
            _ => Bound::Double(f64::from_bits(of as u64)),
        };
        match kind % 3 {
            0 => Included(value),
            1 => Excluded(value),
            _ => Unbounded,
        }
    };
    (0_usize..5, value.clone(), value).prop_map(move |(column, from, to)| ColumnRange {
        column,
        from: end(column, from),
        to: end(column, to),
    })
}

/// The places of rows that are not outside of any range, compared one by one; `nulls` says whether those without a value are.
pub(in crate::formats) fn inside(batches: &[Batch], ranges: &[ColumnRange], nulls: bool) -> Vec<u64> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let is_inside = |batch: &Batch, row: usize| {
        ranges.iter().all(|range| {
            let column = &batch.columns[range.column];
            let value = match &column.values {
                _ if !column.present.is_empty() && !column.present[row] => return nulls,
                Values::Int(values) => Bound::Int(values[row]),
                Values::Float(values) => Bound::Float(values[row]),
                Values::Double(values) => Bound::Double(values[row]),
                Values::Date(values) => Bound::Date(values[row]),
                Values::Text(texts) => Bound::Text(texts.get(row).to_vec()),
            };
            let is_below = match &range.from {
                Included(from) => value < *from,
                Excluded(from) => value <= *from,
                Unbounded => false,
            };
            let is_above = match &range.to {
                Included(to) => value > *to,
                Excluded(to) => value >= *to,
                Unbounded => false,
            };
            !is_below && !is_above
        })
    };
    let rows = batches.iter().flat_map(|batch| (0..batch.rows).map(move |row| (batch, row)));
    rows.enumerate()
        .filter(|(_, (batch, row))| is_inside(batch, *row))
        .map(|(place, _)| place as u64)
        .collect()
}

/// Checks what a decoder gives of these batches: all rows that are inside of the ranges, as they are, nulls aside, which bounds of pages
/// rule out; and that it counts the others.
pub(in crate::formats) fn check_given(
    batches: &[Batch],
    ranges: &[ColumnRange],
    given: &[Placed],
    passed: PassedOver,
) {
    let all: Vec<_> = batches.iter().flat_map(shown).collect();
    let places: Vec<_> = given.iter().map(|(place, _)| *place).collect();
    assert!(places.is_sorted_by(|a, b| a < b));
    given.iter().for_each(|(place, row)| assert_eq!(*row, all[*place as usize]));
    for place in inside(batches, ranges, false) {
        assert!(places.binary_search(&place).is_ok(), "row {place} is lost");
    }
    assert_eq!(given.len() as u64 + passed.filtered_rows + passed.unread_rows, all.len() as u64);
}

/// Rows of texts, 64-bit integers, floats, days and doubles of any bits; where values are missing, they are in all columns but the
/// integers'.
pub(in crate::formats) fn any_batch(text: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Batch> {
    let int = prop_oneof![any::<i64>(), -9..9_i64, Just(5), 1_000_000..1_000_100_i64];
    let text = prop_oneof![text, Just(b"same".to_vec())];
    let value = (any::<bool>(), text, int, prop_oneof![any::<u32>(), Just(0)], any::<i32>());
    (proptest::collection::vec(value, 0..300), any::<bool>()).prop_map(|(rows, nulls)| {
        let column = |values| {
            let present = if nulls { rows.iter().map(|row| row.0).collect() } else { Vec::new() };
            Column { values, present }
        };
        Batch {
            rows: rows.len(),
            columns: vec![
                column(texts(rows.iter().map(|row| &row.1))),
                Column { present: Vec::new(), ..column(Values::Int(rows.iter().map(|row| row.2).collect())) },
                column(Values::Float(rows.iter().map(|row| f32::from_bits(row.3)).collect())),
                column(Values::Date(rows.iter().map(|row| row.4).collect())),
                column(Values::Double(rows.iter().map(|row| f64::from_bits(row.2 as u64)).collect())),
            ],
        }
    })
}

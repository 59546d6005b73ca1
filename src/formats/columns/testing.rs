//! Batches for the tests of column formats: made of plain values, and shown with all their bits.

use proptest::prelude::*;

use super::{Batch, Column, Texts, Values};

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
    (0..batch.rows).map(|row| batch.columns.iter().map(|column| value(column, row)).collect()).collect()
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

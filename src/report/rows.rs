//! An answer of few rows: as a table for people, as objects for programs, and its hash.

use serde::Serialize;
use serde_json::{Map, Value};

use super::AnswerHash;
use crate::Error;
use crate::formats::columns::legible;

/// Rows with named columns, ready to be printed.
#[derive(Debug)]
pub struct AnswerRows {
    columns: Vec<&'static str>,
    rows: Vec<Vec<Value>>,
    /// Of all rows, by their values as postcard writes them.
    pub hash: AnswerHash,
}

impl AnswerRows {
    /// Rows that serde can write: each a tuple of as many values as there are `columns`, those of tuples and arrays inside
    /// counted, or a single value for a single column. Another number of values is an error.
    pub fn new<R: Serialize>(columns: &[&'static str], rows: &[R]) -> Result<Self, Error> {
        let mut answer =
            AnswerRows { columns: columns.to_vec(), rows: Vec::new(), hash: AnswerHash::default() };
        for row in rows {
            let unfit = |reason: &dyn std::fmt::Display| {
                let row = std::any::type_name::<R>();
                Error::Data(format!(
                    "an answer's row of type {row} is none of the columns {columns:?}: {reason}"
                ))
            };
            let mut values = Vec::new();
            flatten(serde_json::to_value(row).map_err(|error| unfit(&error))?, &mut values);
            if values.len() != columns.len() {
                return Err(unfit(&format_args!("it has {} values", values.len())));
            }
            let bytes = postcard::to_stdvec(row).map_err(|error| unfit(&error))?;
            answer.hash.add(&[&bytes]);
            answer.rows.push(values);
        }
        Ok(answer)
    }

    /// One object for each row.
    pub fn json(&self) -> Value {
        let object = |row: &Vec<Value>| {
            self.columns.iter().map(|&name| name.to_owned()).zip(row.iter().cloned()).collect::<Map<_, _>>()
        };
        self.rows.iter().map(object).collect()
    }

    /// A line of names and one for each row, numbers to the right.
    pub fn text(&self) -> String {
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let names: Vec<_> = self.columns.iter().map(|name| legible(name.as_bytes())).collect();
        let mut widths: Vec<_> = names.iter().map(|name| name.chars().count()).collect();
        for row in &self.rows {
            for (width, value) in widths.iter_mut().zip(row) {
                *width = shown(value).chars().count().max(*width);
            }
        }
        let right = |column: usize| self.rows.iter().all(|row| row[column].is_number());
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            let mut cells = cells.zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if right(column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            let mut whole = cells.next().unwrap_or_default();
            cells.for_each(|cell| whole += &format!("  {cell}"));
            text += whole.trim_end();
            text.push('\n');
        };
        line(&mut names.iter().cloned());
        self.rows.iter().for_each(|row| line(&mut row.iter().map(shown)));
        text
    }
}

/// The values of a row, those of tuples and arrays inside in their place.
fn flatten(value: Value, values: &mut Vec<Value>) {
    match value {
        Value::Array(inside) => inside.into_iter().for_each(|value| flatten(value, values)),
        value => values.push(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_a_table_and_objects() {
        let rows = [("größte", (1.5, [20u64])), ("b", (10.25, [3]))];
        let answer = AnswerRows::new(&["word", "mean", "n"], &rows).expect("three values");
        assert_eq!(answer.text(), "word     mean   n\ngrößte    1.5  20\nb       10.25   3\n");
        let first = serde_json::json!({"word": "größte", "mean": 1.5, "n": 20});
        assert_eq!((answer.json()[0].clone(), answer.hash.rows()), (first, 2));
        let single = AnswerRows::new(&["total"], &[7]).expect("a value");
        assert_eq!(single.text(), "total\n    7\n");
        assert_eq!(AnswerRows::new::<u8>(&["total"], &[]).expect("none").text(), "total\n");
    }

    #[test]
    fn the_hash_is_of_every_value_and_of_no_order() {
        let hash = |rows: &[(u64, i32)]| AnswerRows::new(&["a", "b"], rows).expect("two values").hash;
        assert_eq!(hash(&[(1, 2), (3, 4)]), hash(&[(3, 4), (1, 2)]));
        assert_ne!(hash(&[(1, 2)]), hash(&[(1, 3)]));
    }

    #[test]
    fn names_must_fit() {
        let error = AnswerRows::new(&["a"], &[(1, 2)]).expect_err("two values").to_string();
        assert!(error.ends_with("none of the columns [\"a\"]: it has 2 values"), "{error}");
    }
}

//! The struct is the projection: its fields against the columns of a table, once, before anything is read.

use super::Row;
use super::probe::{self, Asked, Kind, ProbeError, Shape};
use crate::Error;
use crate::formats::columns::Wanted;
use crate::tables::{Column, ColumnType, Layout, Table, repeated};

/// Which column each field of `R` reads, and how, in the struct's order.
pub(super) fn resolve<R: Row>(table: &Table) -> Result<Vec<Wanted>, Error> {
    check_columns(table)?;
    check_layout(table)?;
    let shape = probe::shape_of::<R>().map_err(|(shape, error)| no_row(&shape, &error))?;
    if shape.names.len() != shape.asked.len() {
        return Err(Error::Data(
            "the row struct has a field with #[serde(alias)]: a column has one name, write #[serde(rename)]"
                .to_owned(),
        ));
    }
    shape.names.iter().zip(&shape.asked).map(|(name, asked)| column_for(table, name, *asked)).collect()
}

/// All columns of a table, in its order.
pub(super) fn all_of(table: &Table) -> Result<Vec<Wanted>, Error> {
    check_layout(table)?;
    Ok((0..table.columns.len()).map(|column| Wanted { column, as_text: false }).collect())
}

/// Whether rows can be made of its columns.
pub(super) fn check_columns(table: &Table) -> Result<(), Error> {
    let name = table.name;
    match repeated(table.columns.iter().map(|column| column.name)) {
        _ if table.columns.is_empty() => Err(Error::Data(format!("table {name} has no columns"))),
        Some(twice) => Err(Error::Data(format!("table {name} has more than one column {twice}"))),
        None => Ok(()),
    }
}

fn check_layout(table: &Table) -> Result<(), Error> {
    let name = table.name;
    match table.layout {
        Layout::Delimited(byte @ (b'"' | b'\n' | b'\r')) => {
            Err(Error::Data(format!("table {name} cannot have {:?} between its fields", char::from(byte))))
        }
        Layout::Lines if table.columns.len() > 1 => {
            Err(Error::Data(format!("table {name} has plain lines, so it can have only one column")))
        }
        Layout::Pages if table.columns.len() != 2 => {
            Err(Error::Data(format!("table {name} has pages, so it has two columns: address and text")))
        }
        Layout::Delimited(_) | Layout::Lines | Layout::Pages => Ok(()),
    }
}

/// The index of a column.
pub(super) fn column_of(table: &Table, name: &str) -> Result<usize, Error> {
    table.columns.iter().position(|column| column.name == name).ok_or_else(|| no_column(table, name))
}

fn column_for(table: &Table, name: &str, asked: Asked) -> Result<Wanted, Error> {
    let index = column_of(table, name)?;
    let read_as = match table.columns[index].kind {
        ColumnType::Text => "&[u8], &str or String",
        ColumnType::Int => "i32 or another integer",
        ColumnType::Long => "i64 or another integer",
        ColumnType::Float => "f32 or f64",
        ColumnType::Double => "f64 or f32",
        ColumnType::Date => "Date, &[u8] or &str",
    };
    let fits = match table.columns[index].kind {
        ColumnType::Text => matches!(asked.kind, Kind::Text | Kind::Choice),
        ColumnType::Int | ColumnType::Long => asked.kind == Kind::Integer,
        ColumnType::Float | ColumnType::Double => asked.kind == Kind::Float,
        ColumnType::Date => matches!(asked.kind, Kind::Date | Kind::Text),
    };
    if fits {
        let as_text = table.columns[index].kind == ColumnType::Date && asked.kind == Kind::Text;
        return Ok(Wanted { column: index, as_text });
    }
    Err(Error::Data(format!(
        "{}.{name} is {}, but the query reads it as {}; it can be read as {read_as}",
        table.name,
        table.columns[index].kind.described(),
        asked.spelled
    )))
}

fn no_column(table: &Table, name: &str) -> Error {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let mut message =
        format!("table {} has no column {name}\n  its columns are: {}", table.name, columns.join(", "));
    if let Some(Column { name: close, .. }) = closest(table, name) {
        message = format!("{message}\n  did you mean {close}? (#[serde(rename = \"{close}\")])");
    }
    Error::Data(message)
}

/// The column whose name is nearly this one, case and underscores aside.
fn closest(table: &Table, name: &str) -> Option<&'static Column> {
    let plain = |name: &str| -> Vec<u8> {
        name.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase()).collect()
    };
    let wanted = plain(name);
    let distances = table.columns.iter().map(|column| (edits(&plain(column.name), &wanted), column));
    let (distance, column) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 2 && distance < wanted.len()).then_some(column)
}

/// How many letters must be added, dropped or changed to make one word the other.
fn edits(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn no_row(shape: &Shape, error: &ProbeError) -> Error {
    let Some(field) = shape.last.and_then(|last| shape.names.get(last)) else {
        return Error::Data(format!("the row type cannot be read: {error}"));
    };
    Error::Data(match error {
        ProbeError::Unsupported(what) => format!(
            "field {field} of the row struct is {what}; a field is &[u8], &str, String, an integer, f32, f64, bool, \
             char, Date, an enum of plain names, or an Option or newtype of one"
        ),
        ProbeError::Refused(reason) => format!(
            "field {field} of the row struct refuses every trial value ({reason}): read a plain type and check it after"
        ),
    })
}

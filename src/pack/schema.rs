//! Tables by name, or by their columns as they are typed: `name:text,age:int`.

use std::path::Path;

use crate::Error;
use crate::formats::columns::StoredColumn;
use crate::formats::writer::OutputFormat;
use crate::input::{InputOptions, StoredColumns, stored_columns};
use crate::tables::{BENCHMARK, Column, ColumnType, Layout, Table};

/// Types as they are typed and shown.
const TYPES: [(&str, ColumnType); 6] = [
    ("text", ColumnType::Text),
    ("int", ColumnType::Int),
    ("float", ColumnType::Float),
    ("long", ColumnType::Long),
    ("double", ColumnType::Double),
    ("date", ColumnType::Date),
];

/// What is typed for a type.
pub(super) fn type_name(kind: ColumnType) -> &'static str {
    TYPES.into_iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name)
}

/// A table of the benchmark.
///
/// # Errors
///
/// There is none of that name.
pub fn table_of_benchmark(name: &str) -> Result<Table, Error> {
    BENCHMARK.into_iter().find(|table| table.name == name).ok_or_else(|| {
        let known: Vec<_> = BENCHMARK.iter().map(|table| table.name).collect();
        Error::usage(
            format!("{name} is none of the tables {}", known.join(", ")),
            "--columns 'name:text,age:int,height:float,born:date' to say what is in a table of your own",
        )
    })
}

/// A table by its name, as it is read to become files of a format: one of the benchmark, or one whose files say themselves which columns
/// they have. A crawl is read as lines where it is text and stays text, and else as pages.
///
/// Its names are kept as long as the process lives.
///
/// # Errors
///
/// It is neither, its files cannot be listed or read, or they have a column that no table can have.
pub fn table_of_files(name: &str, input: &InputOptions, to: OutputFormat) -> Result<Table, Error> {
    let of_benchmark = table_of_benchmark(name);
    if let Ok(table) = of_benchmark
        && table.in_columns() == table
    {
        return of_benchmark;
    }
    let name = &*String::leak(name.to_owned());
    let stored = stored_columns(name, input)?;
    if let Ok(table) = of_benchmark {
        return Ok(match (stored, to) {
            (Some(stored), _) => as_stored(table, &stored),
            (None, OutputFormat::Csv(_)) => table,
            (None, _) => table.in_columns(),
        });
    }
    let Some(stored) = stored else { return of_benchmark };
    let stored = stored.of_all_files()?;
    let table = table_of_stored(name, &stored);
    if let Some((column, reason)) =
        stored.iter().find_map(|column| Some((column, column.kind.as_ref().err()?)))
    {
        let what = format!("column {} of table {name} cannot be read: it is {reason}", column.name);
        if table.columns.is_empty() {
            return Err(Error::Data(format!(
                "{what}, and there is none that can\n  try: write it with a cast"
            )));
        }
        let typed = table.columns.iter().map(|column| format!("{}:{}", column.name, type_name(column.kind)));
        let remedy = format!("--columns '{}' to leave it out", typed.collect::<Vec<_>>().join(","));
        return Err(Error::usage(what, remedy));
    }
    Ok(table)
}

/// A table of the benchmark as column files have it. A crawl was lines in all formats once.
pub(super) fn as_stored(table: Table, stored: &StoredColumns) -> Table {
    let is_there = |column: &Column| stored.columns.iter().any(|stored| stored.name == column.name);
    if table.columns.iter().all(is_there) { table } else { table.in_columns() }
}

/// A table of those columns of files that can be read.
pub(super) fn table_of_stored(name: &'static str, stored: &[StoredColumn]) -> Table {
    let column = |column: &StoredColumn| {
        Some(Column::new(String::leak(column.name.clone()), *column.kind.as_ref().ok()?))
    };
    Table::delimited(name, b',', Vec::leak(stored.iter().filter_map(column).collect()))
}

/// The table of the benchmark that a path names: by its last part, or the directory of that.
///
/// # Errors
///
/// It names none.
pub(super) fn table_of_path(path: &Path) -> Result<Table, Error> {
    let mut names = path.iter().rev().take(2);
    let found = names.find_map(|name| BENCHMARK.into_iter().find(|table| name == table.name));
    found.ok_or_else(|| {
        Error::usage(
            format!("{} does not say which table it is", path.display()),
            "--table uservisits, or --table NAME with --columns 'name:text,age:int' for a table of your own",
        )
    })
}

/// A table of these columns, `name:type` with a comma between; a type is text, int, long, float, double or date.
///
/// Its names are kept as long as the process lives.
///
/// # Errors
///
/// A column has no such form, or its name twice.
pub fn table_of_columns(name: &str, typed: &str, delimiter: u8) -> Result<Table, Error> {
    let column = |column: &str| {
        let (name, kind) = column.trim().rsplit_once(':')?;
        let (_, kind) = TYPES.into_iter().find(|(name, _)| *name == kind.trim())?;
        let name = name.trim();
        (!name.is_empty()).then(|| Column::new(String::leak(name.to_owned()), kind))
    };
    let mut columns: Vec<Column> = Vec::new();
    for part in typed.split(',') {
        let Some(column) = column(part) else {
            return Err(Error::usage(
                format!("--columns: {part:?} is no column"),
                "--columns 'name:text,age:int,height:float,born:date'",
            ));
        };
        if columns.iter().any(|other| other.name == column.name) {
            return Err(Error::usage(
                format!("--columns has {} twice", column.name),
                "a name for each column",
            ));
        }
        columns.push(column);
    }
    Ok(Table {
        name: String::leak(name.to_owned()),
        columns: Vec::leak(columns),
        layout: Layout::Delimited(delimiter),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_names_and_types() {
        let table = table_of_columns("people", "name:text, born:date,a:b:int", b';').expect("three columns");
        let columns: Vec<_> = table.columns.iter().map(|column| (column.name, column.kind)).collect();
        assert_eq!(
            columns,
            [("name", ColumnType::Text), ("born", ColumnType::Date), ("a:b", ColumnType::Int)]
        );
        assert_eq!(table.layout, Layout::Delimited(b';'));
        for wrong in ["", "name", ":int", "name:number", "a:int,", "a:int,a:text"] {
            assert!(table_of_columns("people", wrong, b',').is_err(), "{wrong}");
        }
        assert!(table_of_benchmark("uservisits").is_ok() && table_of_benchmark("visits").is_err());
    }
}

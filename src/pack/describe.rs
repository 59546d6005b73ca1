//! What is in files: columns, rows, blocks, how values are written, and the first rows.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::schema::{as_stored, table_of_path, table_of_stored, type_name};
use crate::Error;
use crate::formats::columns::{Batch, StoredColumn, legible};
use crate::input::{Input, InputOptions, WholeRows, stored_columns_at};
use crate::report::AnswerRows;
use crate::tables::Table;
use crate::units::{Bytes, Count, counted};

/// What is in files.
#[derive(Debug, Clone)]
pub struct Described {
    text: String,
    /// What the user should know of them.
    pub warnings: Vec<String>,
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Describes a file, or all files of a directory, and shows the first `head` rows. Column files say themselves which columns they have, and
/// those that no table can have are described too, but not shown. Text has no footer that knows: its table is the one that the path
/// names, and all of it is read, which also says whether it fits. Where a `table` is given, both are read as that.
///
/// # Errors
///
/// There are no files, they do not have the table's columns, a record of text does not fit, or text does not say which table it is.
pub fn describe(
    path: &Path,
    table: Option<Table>,
    options: &InputOptions,
    head: usize,
) -> Result<Described, Error> {
    let is_as_given = table.is_some_and(|table| table.in_columns() == table);
    let stored = if is_as_given { None } else { stored_columns_at(path, options)? };
    let (table, stored) = match (table, stored) {
        (Some(table), Some(stored)) => (as_stored(table, &stored), stored.columns),
        (Some(table), None) => (table, Vec::new()),
        (None, Some(stored)) => {
            let stored = stored.of_all_files()?;
            (table_of_stored(String::leak(path.display().to_string()), &stored), stored)
        }
        (None, None) => (table_of_path(path)?, Vec::new()),
    };
    let input = Input::<WholeRows>::whole_at(path, &table, options)?;
    let columns = described_columns(&input, &stored)?;
    let splits = counted(input.splits().len(), "split");
    // One reader goes through it anyway, so nothing is gained by cuts that may be wrong.
    let input = input.uncut(&(0..input.files().len()).collect());
    let mut said = format!(
        "{}: {}, {}, {} rows, {}\n",
        path.display(),
        counted(input.files().len(), "file"),
        Bytes(input.bytes()),
        Count(rows_of(&input)?),
        match input.blocks() {
            0 => splits,
            blocks => format!("{} in {splits}", counted(blocks, "block")),
        },
    );
    said += &columns;
    if head > 0 && !table.columns.is_empty() {
        said += &format!("\n{}", first_rows(&input, head)?);
    }
    Ok(Described { text: said, warnings: input.warnings().to_vec() })
}

fn rows_of(input: &Input<WholeRows>) -> Result<u64, Error> {
    if let Some(rows) = input.known_rows() {
        return Ok(rows);
    }
    let mut batch = Batch::default();
    let mut rows = 0;
    for split in input.splits() {
        let mut reader = input.open_batches(split)?;
        while let Some(block) = reader.next_batch(&mut batch)? {
            rows += block.rows;
        }
    }
    Ok(rows)
}

/// The columns of the table; where those `of_files` are known, in their order, and with those of them that no table can have.
fn described_columns(input: &Input<WholeRows>, of_files: &[StoredColumn]) -> Result<String, Error> {
    let stored = input.stored();
    let columns = input.table().columns.iter().enumerate().map(|(index, column)| {
        let mut bytes = 0;
        // How many blocks are written in each way.
        let mut ways = BTreeMap::<&str, usize>::new();
        for (block_bytes, way) in stored.iter().map(|block| &block[index]) {
            bytes += block_bytes;
            *ways.entry(way).or_default() += 1;
        }
        let ways: Vec<_> = ways.iter().map(|(way, blocks)| format!("{way} {blocks}")).collect();
        (legible(column.name.as_bytes()), type_name(column.kind), bytes, ways.join(", "))
    });
    if stored.is_empty() && of_files.is_empty() {
        let plain: Vec<_> = columns.map(|(name, kind, ..)| (name, kind)).collect();
        return Ok(AnswerRows::new(&["column", "type"], &plain)?.text());
    }
    let mut columns: Vec<_> = columns.collect();
    if !of_files.is_empty() {
        let shown = of_files.iter().filter_map(|column| {
            let place = input.table().columns.iter().position(|of_table| of_table.name == column.name);
            let Some(place) = place else {
                let kind = &**column.kind.as_ref().err()?;
                let name = legible(column.name.as_bytes());
                return Some((name, kind, column.bytes, "not read by queries".to_owned()));
            };
            Some(columns[place].clone())
        });
        columns = shown.collect();
    }
    Ok(AnswerRows::new(&["column", "type", "bytes", "written as (blocks)"], &columns)?.text())
}

fn first_rows(input: &Input<WholeRows>, head: usize) -> Result<String, Error> {
    let mut batch = Batch::default();
    let mut rows = Vec::new();
    'splits: for split in input.splits() {
        let mut reader = input.open_batches(split)?;
        while reader.next_batch(&mut batch)?.is_some() {
            rows.extend((0..batch.rows.min(head - rows.len())).map(|row| batch.texts(row)));
            if rows.len() == head {
                break 'splits;
            }
        }
    }
    let names: Vec<_> = input.table().columns.iter().map(|column| column.name).collect();
    Ok(AnswerRows::new(&names, &rows)?.text())
}

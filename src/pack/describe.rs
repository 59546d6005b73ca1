//! What is in files: columns, rows, blocks, how values are written, and the first rows.

use std::collections::BTreeMap;
use std::path::Path;

use super::schema::type_name;
use crate::Error;
use crate::formats::columns::Batch;
use crate::input::{Input, InputOptions, WholeRows};
use crate::report::AnswerRows;
use crate::tables::Table;
use crate::units::{Bytes, Count, counted};

/// Describes a file, or all files of a directory, and shows the first `head` rows. Text has no footer that knows: all of it is
/// read, which also says whether it fits the table.
///
/// # Errors
///
/// There are no files, they do not have the table's columns, or a record of text does not fit.
pub fn describe(path: &Path, table: &Table, options: &InputOptions, head: usize) -> Result<String, Error> {
    let input = Input::<WholeRows>::whole_at(path, table, options)?;
    let columns = described_columns(&input)?;
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
    if head > 0 {
        said += &format!("\n{}", first_rows(&input, head)?);
    }
    Ok(said)
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

fn described_columns(input: &Input<WholeRows>) -> Result<String, Error> {
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
        (column.name, type_name(column.kind), bytes, ways.join(", "))
    });
    if stored.is_empty() {
        let plain: Vec<_> = columns.map(|(name, kind, ..)| (name, kind)).collect();
        return Ok(AnswerRows::new(&["column", "type"], &plain)?.text());
    }
    let columns: Vec<_> = columns.collect();
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

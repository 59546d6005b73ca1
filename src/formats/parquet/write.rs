//! Making Parquet files: rows are gathered into row groups, and each is written as soon as it is full.
//!
//! Every column is optional and has pages of the first version with a checksum each, a dictionary where that is smaller, snappy where
//! that is, and least and greatest values. Each column chunk and the footer have a checksum as well (docs/decisions/0015).

use std::io::{self, Write};

use super::footer::{CHECKSUM_KEY, MAGIC, NO_CHECKSUM};
use super::page_writer::{Chunk, encode, number};
use super::thrift::{self, Value};
use crate::formats::checksum::checksum;
use crate::formats::columns::{Batch, BlockSize, Gathering, Limits, Value as Limit};
use crate::tables::{Column, ColumnType, Table};

/// A row group of this size is a split worth its opening, and is held in memory while it is gathered.
const ROW_GROUP: BlockSize = BlockSize { rows: 128 << 10, text_bytes: 32 << 20 };
/// In the form that readers elsewhere take apart.
const CREATED_BY: &str = concat!("millrace version ", env!("CARGO_PKG_VERSION"), " (build 0)");

/// Writes one Parquet file, and keeps one row group of it in memory.
pub(crate) struct ParquetWriter<W> {
    gathering: Gathering,
    file: GroupWriter<W>,
}

/// Where row groups go.
struct GroupWriter<W> {
    to: W,
    /// Bytes written.
    at: u64,
    rows: u64,
    groups: Vec<Value<'static>>,
}

impl<W: Write> ParquetWriter<W> {
    /// Starts a file with the columns of `table`.
    pub(crate) fn create(mut to: W, table: &Table) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        let file = GroupWriter { to, at: MAGIC.len() as u64, rows: 0, groups: Vec::new() };
        Ok(ParquetWriter { gathering: Gathering::new(table, ROW_GROUP), file })
    }

    /// Adds rows: all columns of the table, in its order.
    ///
    /// # Errors
    ///
    /// Writing fails, a number exceeds 32 bits, or a text is no UTF-8: what Parquet's types of these columns cannot hold.
    pub(crate) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        self.gathering.add(batch, |group| self.file.write(group))
    }

    /// Writes what is left and the footer, and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.gathering.end_block(|group| self.file.write(group))?;
        let GroupWriter { mut to, rows, groups, .. } = self.file;
        let columns = self.gathering.table.columns;
        let mut schema = vec![structure([(4, text("schema")), (5, Value::I32(columns.len() as i32))])];
        schema.extend(columns.iter().map(schema_element));
        let order = structure([(1, structure([]))]);
        let footer = structure([
            (1, Value::I32(1)),
            (2, Value::List(schema)),
            (3, Value::I64(rows as i64)),
            (4, Value::List(groups)),
            (5, checksum_pair(NO_CHECKSUM)),
            (6, text(CREATED_BY)),
            (7, Value::List(vec![order; columns.len()])),
        ]);
        let mut bytes = Vec::new();
        thrift::write(&footer, &mut bytes);
        let digits = format!("{:08x}", checksum([&bytes]));
        // What follows has no such digits: they are those of the checksum.
        if let Some(at) = memchr::memmem::rfind(&bytes, NO_CHECKSUM) {
            bytes[at..at + digits.len()].copy_from_slice(digits.as_bytes());
        }
        to.write_all(&bytes)?;
        to.write_all(&(bytes.len() as u32).to_le_bytes())?;
        to.write_all(MAGIC)?;
        Ok(to)
    }
}

impl<W: Write> GroupWriter<W> {
    fn write(&mut self, group: &Gathering) -> io::Result<()> {
        let start = self.at;
        let mut chunks = Vec::new();
        let mut uncompressed = 0;
        for (column, filling) in group.table.columns.iter().zip(&group.columns) {
            let chunk = encode(filling, group.rows).map_err(|(row, reason)| {
                let row = self.rows + row as u64 + 1;
                let what = format!("row {row}, column {}: {reason}", column.name);
                io::Error::new(io::ErrorKind::InvalidInput, what)
            })?;
            self.to.write_all(&chunk.bytes)?;
            chunks.push(chunk_meta(column, &chunk, group.rows, self.at, filling.limits()));
            self.at += chunk.bytes.len() as u64;
            uncompressed += chunk.uncompressed;
        }
        self.rows += group.rows as u64;
        self.groups.push(structure([
            (1, Value::List(chunks)),
            (2, Value::I64(uncompressed as i64)),
            (3, Value::I64(group.rows as i64)),
            (5, Value::I64(start as i64)),
            (6, Value::I64((self.at - start) as i64)),
        ]));
        Ok(())
    }
}

fn structure<const N: usize>(fields: [(i16, Value<'static>); N]) -> Value<'static> {
    Value::Struct(fields.into())
}

fn text(text: &str) -> Value<'static> {
    Value::Bytes(text.as_bytes().to_vec().into())
}

fn checksum_pair(digits: &[u8]) -> Value<'static> {
    let pair = [(1, Value::Bytes(CHECKSUM_KEY.into())), (2, Value::Bytes(digits.to_vec().into()))];
    Value::List(vec![structure(pair)])
}

/// Parquet's number of a column's type.
fn physical(kind: ColumnType) -> i32 {
    match kind {
        ColumnType::Int | ColumnType::Date => 1,
        ColumnType::Float => 4,
        ColumnType::Text => 6,
    }
}

fn schema_element(column: &Column) -> Value<'static> {
    let mut fields = vec![(1, Value::I32(physical(column.kind))), (3, Value::I32(1)), (4, text(column.name))];
    // What the bytes mean, in the old way and in the new.
    let meaning = match column.kind {
        ColumnType::Text => Some((0, 1)),
        ColumnType::Date => Some((6, 6)),
        ColumnType::Int | ColumnType::Float => None,
    };
    if let Some((converted, logical)) = meaning {
        fields.push((6, Value::I32(converted)));
        fields.push((10, structure([(logical, structure([]))])));
    }
    Value::Struct(fields)
}

fn chunk_meta(
    column: &Column,
    chunk: &Chunk,
    rows: usize,
    at: u64,
    limits: Option<Limits>,
) -> Value<'static> {
    let mut meta = vec![
        (1, Value::I32(physical(column.kind))),
        (2, Value::List(chunk.encodings().iter().map(|encoding| number(*encoding)).collect())),
        (3, Value::List(vec![text(column.name)])),
        (4, Value::I32(i32::from(chunk.snappy))),
        (5, Value::I64(rows as i64)),
        (6, Value::I64(chunk.uncompressed as i64)),
        (7, Value::I64(chunk.bytes.len() as i64)),
        (8, checksum_pair(format!("{:08x}", checksum([&chunk.bytes])).as_bytes())),
        (9, Value::I64((at + chunk.dictionary_bytes) as i64)),
    ];
    if chunk.dictionary_bytes > 0 {
        meta.push((11, Value::I64(at as i64)));
    }
    meta.push((12, statistics(chunk.nulls, limits)));
    structure([(2, Value::I64(at as i64)), (3, Value::Struct(meta))])
}

fn statistics(nulls: usize, limits: Option<Limits>) -> Value<'static> {
    let mut fields = vec![(3, Value::I64(nulls as i64))];
    let bytes = |limit: &Limit, zero: f32| match limit {
        Limit::Int(value) => Some((*value as i32).to_le_bytes().to_vec()),
        Limit::Date(days) => Some(days.to_le_bytes().to_vec()),
        // Of two zeros, the one that bounds the other.
        Limit::Float(value) => Some(if *value == 0.0 { zero } else { *value }.to_le_bytes().to_vec()),
        // Cut short, it may be no text any more.
        Limit::Text(text) => str::from_utf8(text).is_ok().then(|| text.clone()),
    };
    let ends = limits.map(|Limits { least, greatest }| (bytes(&least, -0.0), bytes(&greatest, 0.0)));
    if let Some((Some(least), Some(greatest))) = ends {
        fields.push((5, Value::Bytes(greatest.into())));
        fields.push((6, Value::Bytes(least.into())));
    }
    Value::Struct(fields)
}

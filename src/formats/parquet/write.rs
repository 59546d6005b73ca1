//! Making Parquet files: rows are gathered into row groups, and each is written as soon as it is full.
//!
//! Every column is optional and has pages of the first version with a checksum each, a dictionary where that is smaller, snappy where
//! that is, and least and greatest values of row groups and pages. Each column chunk, the footer (docs/decisions/0015) and the page index
//! (docs/decisions/0026) have a checksum as well.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::footer::{CHECKSUM_KEY, MAGIC, NO_CHECKSUM, PAGES_CHECKSUMS_KEY};
use super::index_writer::{ChunkIndex, write_index};
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
    groups: Groups,
}

/// What the end of a file tells of its row groups.
#[derive(Default)]
pub(super) struct Groups {
    pub(super) rows: u64,
    pub(super) metas: Vec<Value<'static>>,
    /// The page index, by group, then by column.
    pub(super) indexes: Vec<Vec<ChunkIndex>>,
}

impl<W: Write> ParquetWriter<W> {
    /// Starts a file with the columns of `table`.
    pub(crate) fn create(mut to: W, table: &Table) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        let file = GroupWriter { to, at: MAGIC.len() as u64, groups: Groups::default() };
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

    /// Bytes of the rows that wait for their block to be full, about.
    pub(crate) fn held_bytes(&self) -> usize {
        self.gathering.held_bytes()
    }

    /// Writes what is left and the footer, and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.gathering.end_block(|group| self.file.write(group))?;
        let GroupWriter { mut to, at, groups } = self.file;
        write_footer(&mut to, at, self.gathering.table.columns, groups)?;
        Ok(to)
    }
}

impl<W: Write> GroupWriter<W> {
    fn write(&mut self, group: &Gathering) -> io::Result<()> {
        let start = self.at;
        let (mut chunks, mut indexes) = (Vec::new(), Vec::new());
        let mut uncompressed = 0;
        for (column, filling) in group.table.columns.iter().zip(&group.columns) {
            let chunk = encode(filling, group.rows).map_err(|(row, reason)| {
                let row = self.groups.rows + row as u64 + 1;
                let what = format!("row {row}, column {}: {reason}", column.name);
                io::Error::new(io::ErrorKind::InvalidInput, what)
            })?;
            self.to.write_all(&chunk.bytes)?;
            chunks.push(chunk_meta(column, &chunk, group.rows, self.at));
            indexes.push(ChunkIndex::of(column.kind, &chunk, self.at));
            self.at += chunk.bytes.len() as u64;
            uncompressed += chunk.uncompressed;
        }
        self.groups.rows += group.rows as u64;
        self.groups.indexes.push(indexes);
        self.groups.metas.push(structure([
            (1, Value::List(chunks)),
            (2, Value::I64(uncompressed as i64)),
            (3, Value::I64(group.rows as i64)),
            (5, Value::I64(start as i64)),
            (6, Value::I64((self.at - start) as i64)),
        ]));
        Ok(())
    }
}

/// Writes the end of a file, from a byte of it on: the page index and the footer.
pub(super) fn write_footer(
    to: &mut impl Write,
    at: u64,
    columns: &[Column],
    groups: Groups,
) -> io::Result<()> {
    let Groups { rows, mut metas, indexes } = groups;
    write_index(to, at, &mut metas, &indexes)?;
    let mut schema = vec![structure([(4, text("schema")), (5, Value::I32(columns.len() as i32))])];
    schema.extend(columns.iter().map(schema_element));
    let order = structure([(1, structure([]))]);
    let footer = structure([
        (1, Value::I32(1)),
        (2, Value::List(schema)),
        (3, Value::I64(rows as i64)),
        (4, Value::List(metas)),
        (5, Value::List(vec![pair(CHECKSUM_KEY, NO_CHECKSUM)])),
        (6, text(CREATED_BY)),
        (7, Value::List(vec![order; columns.len()])),
    ]);
    let mut bytes = Vec::new();
    thrift::write(&footer, &mut bytes);
    let digits = digits(&[checksum([&bytes])]);
    // What follows has no such digits: they are those of the checksum.
    if let Some(at) = memchr::memmem::rfind(&bytes, NO_CHECKSUM) {
        bytes[at..at + digits.len()].copy_from_slice(digits.as_bytes());
    }
    to.write_all(&bytes)?;
    to.write_all(&(bytes.len() as u32).to_le_bytes())?;
    to.write_all(MAGIC)
}

pub(super) fn structure<const N: usize>(fields: [(i16, Value<'static>); N]) -> Value<'static> {
    Value::Struct(fields.into())
}

fn text(text: &str) -> Value<'static> {
    Value::Bytes(text.as_bytes().to_vec().into())
}

/// One of a footer's key-value pairs.
pub(super) fn pair(key: &'static [u8], value: &[u8]) -> Value<'static> {
    structure([(1, Value::Bytes(key.into())), (2, Value::Bytes(value.to_vec().into()))])
}

/// Checksums as pairs have them: eight digits each.
pub(super) fn digits(checksums: &[u32]) -> String {
    let mut digits = String::with_capacity(NO_CHECKSUM.len() * checksums.len());
    // Into memory, which takes everything.
    checksums.iter().for_each(|checksum| _ = write!(digits, "{checksum:08x}"));
    digits
}

/// Parquet's number of a column's type.
fn physical(kind: ColumnType) -> i32 {
    match kind {
        ColumnType::Int | ColumnType::Date => 1,
        ColumnType::Long => 2,
        ColumnType::Float => 4,
        ColumnType::Double => 5,
        ColumnType::Text => 6,
    }
}

fn schema_element(column: &Column) -> Value<'static> {
    let mut fields = vec![(1, Value::I32(physical(column.kind))), (3, Value::I32(1)), (4, text(column.name))];
    // What the bytes mean, in the old way and in the new.
    let meaning = match column.kind {
        ColumnType::Text => Some((0, 1)),
        ColumnType::Date => Some((6, 6)),
        ColumnType::Int | ColumnType::Long | ColumnType::Float | ColumnType::Double => None,
    };
    if let Some((converted, logical)) = meaning {
        fields.push((6, Value::I32(converted)));
        fields.push((10, structure([(logical, structure([]))])));
    }
    Value::Struct(fields)
}

fn chunk_meta(column: &Column, chunk: &Chunk, rows: usize, at: u64) -> Value<'static> {
    let pairs = vec![
        pair(CHECKSUM_KEY, digits(&[checksum([&chunk.bytes])]).as_bytes()),
        pair(PAGES_CHECKSUMS_KEY, digits(&chunk.checksums).as_bytes()),
    ];
    let mut meta = vec![
        (1, Value::I32(physical(column.kind))),
        (2, Value::List(chunk.encodings().iter().map(|encoding| number(*encoding)).collect())),
        (3, Value::List(vec![text(column.name)])),
        (4, Value::I32(i32::from(chunk.snappy))),
        (5, Value::I64(rows as i64)),
        (6, Value::I64(chunk.uncompressed as i64)),
        (7, Value::I64(chunk.bytes.len() as i64)),
        (8, Value::List(pairs)),
        (9, Value::I64((at + chunk.dictionary_bytes) as i64)),
    ];
    if chunk.dictionary_bytes > 0 {
        meta.push((11, Value::I64(at as i64)));
    }
    meta.push((12, statistics(column.kind, chunk)));
    structure([(2, Value::I64(at as i64)), (3, Value::Struct(meta))])
}

fn statistics(kind: ColumnType, chunk: &Chunk) -> Value<'static> {
    let mut fields = vec![(3, Value::I64(chunk.nulls() as i64))];
    if let Some((least, greatest)) = chunk.limits().and_then(|limits| limit_bytes(kind, &limits)) {
        fields.push((5, Value::Bytes(greatest.into())));
        fields.push((6, Value::Bytes(least.into())));
    }
    Value::Struct(fields)
}

/// The least and the greatest value as statistics and the page index have them; `None` where one of them cannot be told.
pub(super) fn limit_bytes(kind: ColumnType, limits: &Limits) -> Option<(Vec<u8>, Vec<u8>)> {
    let bytes = |limit: &Limit, zero: f32| match limit {
        Limit::Int(value) if kind == ColumnType::Long => Some(value.to_le_bytes().to_vec()),
        Limit::Int(value) => Some((*value as i32).to_le_bytes().to_vec()),
        Limit::Date(days) => Some(days.to_le_bytes().to_vec()),
        // Of two zeros, the one that bounds the other.
        Limit::Float(value) => Some(if *value == 0.0 { zero } else { *value }.to_le_bytes().to_vec()),
        Limit::Double(value) => Some(if *value == 0.0 { zero.into() } else { *value }.to_le_bytes().to_vec()),
        // Cut short, it may be no text any more.
        Limit::Text(text) => str::from_utf8(text).is_ok().then(|| text.clone()),
    };
    Some((bytes(&limits.least, -0.0)?, bytes(&limits.greatest, 0.0)?))
}

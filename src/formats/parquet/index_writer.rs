//! The page index of a file that is being made: behind all row groups, where readers elsewhere look for it, with bounds of each page and where it is.

use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use super::footer::INDEX_CHECKSUMS_KEY;
use super::index::ChunkIndexPlace;
use super::page_writer::{Chunk, Page};
use super::thrift::{self, Value};
use super::write::{digits, limit_bytes, pair, structure};
use crate::Error;
use crate::formats::checksum::checksum;
use crate::formats::columns::Limits;
use crate::formats::file::PlannedFile;
use crate::tables::ColumnType;

/// What the index tells of one column chunk.
pub(super) struct ChunkIndex {
    /// Parquet's column index: least and greatest values. Left out where those of one page are not known.
    bounds: Option<Value<'static>>,
    /// Parquet's offset index: where in the file pages are.
    places: Value<'static>,
}

impl ChunkIndex {
    /// That of a chunk which starts at a byte of the file.
    pub(super) fn of(kind: ColumnType, chunk: &Chunk, at: u64) -> Self {
        let place = |page: &Page| {
            structure([
                (1, Value::I64((at + page.bytes.start) as i64)),
                (2, Value::I32((page.bytes.end - page.bytes.start) as i32)),
                (3, Value::I64(page.first_row as i64)),
            ])
        };
        let places = chunk.pages.iter().map(place).collect();
        ChunkIndex { bounds: bounds(kind, &chunk.pages), places: structure([(1, Value::List(places))]) }
    }

    /// Takes it out of a row group that moves by so many bytes, of a file whose footer starts at `end`; `None` where it is not there.
    pub(super) fn take_all(
        group: &mut Value<'static>,
        by: i64,
        end: u64,
        file: &PlannedFile,
        path: &Path,
    ) -> Result<Option<Vec<Self>>, Error> {
        let mut indexes = Vec::new();
        for chunk in chunks_of(group) {
            let place = ChunkIndexPlace::of(chunk, end);
            let has_bounds = part_of(chunk, COLUMN_INDEX).is_some();
            let Some(place) = place.filter(|place| place.bounds.is_some() == has_bounds) else {
                return Ok(None);
            };
            let mut places = place.places.value(file, path)?;
            let bounds = place.bounds.map(|part| part.value(file, path)).transpose()?;
            if let Some(Value::List(pages)) = places.get_mut(1) {
                pages.iter_mut().for_each(|page| page.shift(1, by));
            }
            indexes.push(ChunkIndex { bounds, places });
            if let Value::Struct(fields) = chunk {
                fields.retain(|(field, _)| *field < OFFSET_INDEX);
            }
            if let Some(Value::List(pairs)) = chunk.get_mut(3).and_then(|meta| meta.get_mut(8)) {
                pairs.retain(|pair| pair.bytes(1) != Some(INDEX_CHECKSUMS_KEY));
            }
        }
        Ok(Some(indexes))
    }
}

/// Fields of a column chunk that say where its offset index is, and its column index; their lengths are in the fields behind.
pub(super) const OFFSET_INDEX: i16 = 4;
pub(super) const COLUMN_INDEX: i16 = 6;

/// Bytes of the file that are a part of a chunk's index.
pub(super) fn part_of(chunk: &Value<'_>, field: i16) -> Option<Range<u64>> {
    let start = chunk.size(field)?;
    Some(start..start.checked_add(chunk.size(field + 1)?)?)
}

/// The column chunks of a row group.
fn chunks_of<'v>(group: &'v mut Value<'static>) -> &'v mut [Value<'static>] {
    if let Some(Value::List(chunks)) = group.get_mut(1) { chunks } else { &mut [] }
}

/// The column index of pages.
fn bounds(kind: ColumnType, pages: &[Page]) -> Option<Value<'static>> {
    let (mut empty, mut least, mut greatest, mut nulls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut known = Vec::new();
    for page in pages {
        let is_empty = page.nulls == page.rows;
        let (low, high) =
            if is_empty { Default::default() } else { limit_bytes(kind, page.limits.as_ref()?)? };
        known.extend(page.limits.as_ref().filter(|_| !is_empty));
        empty.push(Value::Bool(is_empty));
        least.push(Value::Bytes(low.into()));
        greatest.push(Value::Bytes(high.into()));
        nulls.push(Value::I64(page.nulls as i64));
    }
    Some(structure([
        (1, Value::List(empty)),
        (2, Value::List(least)),
        (3, Value::List(greatest)),
        (4, Value::I32(order(&known))),
        (5, Value::List(nulls)),
    ]))
}

/// Parquet's number of the order that bounds are in: 0 for none, or else the one in which both ascend or descend.
fn order(limits: &[&Limits]) -> i32 {
    let all = |holds: fn(&Limits, &Limits) -> bool| limits.windows(2).all(|pair| holds(pair[0], pair[1]));
    if all(|one, next| one.least <= next.least && one.greatest <= next.greatest) {
        1
    } else if all(|one, next| one.least >= next.least && one.greatest >= next.greatest) {
        2
    } else {
        0
    }
}

/// Writes the index of all row groups, from a byte of the file on, and has them say where it is.
pub(super) fn write_index(
    to: &mut impl Write,
    at: u64,
    groups: &mut [Value<'static>],
    indexes: &[Vec<ChunkIndex>],
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut write = |value: &Value<'_>| {
        let start = bytes.len();
        thrift::write(value, &mut bytes);
        (at + start as u64, bytes.len() - start, checksum([&bytes[start..]]))
    };
    let all = || indexes.iter().flatten();
    let bounds: Vec<_> = all().map(|index| index.bounds.as_ref().map(&mut write)).collect();
    let places: Vec<_> = all().map(|index| write(&index.places)).collect();
    for ((chunk, places), bounds) in groups.iter_mut().flat_map(chunks_of).zip(places).zip(bounds) {
        let mut checksums = Vec::new();
        for (field, part) in [(OFFSET_INDEX, Some(places)), (COLUMN_INDEX, bounds)] {
            if let (Some((at, length, checksum)), Value::Struct(fields)) = (part, &mut *chunk) {
                fields.push((field, Value::I64(at as i64)));
                fields.push((field + 1, Value::I32(length as i32)));
                checksums.push(checksum);
            }
        }
        if let Some(Value::List(pairs)) = chunk.get_mut(3).and_then(|meta| meta.get_mut(8)) {
            pairs.push(pair(INDEX_CHECKSUMS_KEY, digits(&checksums).as_bytes()));
        }
    }
    to.write_all(&bytes)
}

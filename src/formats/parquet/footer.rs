//! What a footer says: where each column of a table lies, and bounds of its values.

use std::path::Path;

use super::codec::Codec;
use super::index::ChunkIndexPlace;
use super::reason::{Unsupported, damaged};
use super::schema::{Schema, SchemaColumn};
use super::thrift::{self, Value};
use super::values::{Conversion, Physical};
use super::way::Encodings;
use crate::Error;
use crate::formats::checksum::checksum;
use crate::formats::columns::{BlockPlan, Limits, StoredColumn, Value as Bound};
use crate::formats::file::PlannedFile;
use crate::input::InputFile;
use crate::tables::Table;

pub(super) const MAGIC: &[u8; 4] = b"PAR1";
/// The last bytes of a file: the footer's length, and the magic.
pub(super) const TAIL_BYTES: u64 = 8;
/// No footer is larger; what says so is damaged.
const MOST_FOOTER_BYTES: u64 = 1 << 30;
/// So the names of programs begin whose footers have a checksum.
const CREATOR: &[u8] = b"millrace ";
/// Under this key a file has the checksum of its footer, and of each column chunk with its page headers.
pub(super) const CHECKSUM_KEY: &[u8] = b"millrace.crc32";
/// Under this key a column chunk may have the checksum of each of its pages, headers included, for who does not read all of them.
pub(super) const PAGES_CHECKSUMS_KEY: &[u8] = b"millrace.pages.crc32";
/// Under this key a column chunk may have the checksums of its offset index and of its column index.
pub(super) const INDEX_CHECKSUMS_KEY: &[u8] = b"millrace.index.crc32";
/// The fields of a column chunk that say that it is in another file, and how it is encrypted.
const FILE_OF_CHUNK: i16 = 1;
const CRYPTO_OF_CHUNK: i16 = 8;
const NO_TREE: &str = "its footer's schema makes no tree";
const NO_GROUP: &str = "its footer has a row group that cannot be";
pub(super) const DECRYPT: &str = "write it without encryption";
/// What stands in place of a footer's checksum while it is computed.
pub(super) const NO_CHECKSUM: &[u8; 8] = b"00000000";

/// A column of the table as the file has it.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) name: &'static str,
    pub(super) physical: Physical,
    pub(super) conversion: Conversion,
    /// Whether values may be missing.
    pub(super) optional: bool,
    /// Whether its values are encrypted, in some row group.
    pub(super) encrypted: bool,
}

/// One column of one row group.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) codec: Codec,
    pub(super) encodings: Encodings,
    pub(super) checksum: Option<u32>,
    pub(super) index: Option<ChunkIndexPlace>,
}

/// What a footer says.
pub(super) struct Footer {
    pub(super) blocks: Vec<BlockPlan>,
    /// By column of the table.
    pub(super) leaves: Vec<Leaf>,
    /// By block, then by column of the table.
    pub(super) chunks: Vec<Vec<Chunk>>,
}

/// Reads what it says of a table's columns.
pub(super) fn read(file: &InputFile, table: &Table) -> Result<Footer, Error> {
    let bytes = footer_bytes(&file.open()?, &file.path)?;
    let footer = parse(file, &bytes)?;
    let fault = |reason: &str| fault(file, reason);
    let schema = Schema::of(&footer).ok_or_else(|| fault(NO_TREE))?;
    let columns = table.columns.iter().map(|column| schema.resolve(&file.path, table, *column));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut read = Footer {
        blocks: Vec::new(),
        leaves: columns.iter().map(|(_, leaf)| leaf.clone()).collect(),
        chunks: Vec::new(),
    };
    let mut before = MAGIC.len() as u64;
    let body = file.bytes - TAIL_BYTES - bytes.len() as u64;
    for group in footer.list(4) {
        let no_group = || fault(NO_GROUP);
        if group.list(1).len() != schema.leaves {
            return Err(no_group());
        }
        if group.list(1).iter().any(|chunk| chunk.bytes(FILE_OF_CHUNK).is_some()) {
            let what = "a footer whose columns are in other files";
            return Err(Unsupported::new(what, "read these files, or write one file with all of it")
                .of(&file.path, None));
        }
        for ((index, _), leaf) in columns.iter().zip(&mut read.leaves) {
            // Where such a column is stands here all the same, so that it is no obstacle to who does not read it.
            leaf.encrypted |= is_encrypted(&group.list(1)[*index]);
        }
        let rows = group.size(3).ok_or_else(no_group)?;
        let values = |index: usize| group.list(1)[index].get(3).and_then(|meta| meta.size(5));
        if columns.iter().any(|(index, _)| values(*index) != Some(rows)) {
            return Err(no_group());
        }
        // Where nothing is, pyarrow says that it is at the start of the file.
        if rows == 0 {
            continue;
        }
        let places = group
            .list(1)
            .iter()
            .map(|chunk| place(chunk).filter(|(start, end)| start <= end && *end <= body));
        let places = places.collect::<Option<Vec<_>>>().ok_or_else(no_group)?;
        let start = places.iter().map(|place| place.0).min().unwrap_or(before);
        let end = places.iter().map(|place| place.1).max().unwrap_or(before);
        if start < before {
            let what = "the order of its row groups, which do not follow one another";
            return Err(
                Unsupported::new(what, "write it again, one row group behind the other").of(&file.path, None)
            );
        }
        before = end;
        let mut chunks = Vec::with_capacity(columns.len());
        let mut limits = Vec::with_capacity(columns.len());
        for (index, leaf) in &columns {
            let meta = group.list(1)[*index].get(3).ok_or_else(no_group)?;
            let number = meta.int(4).ok_or_else(no_group)?;
            let codec = Codec::of(number).ok_or_else(|| {
                let codec = if number == 3 { "LZO".to_owned() } else { format!("of number {number}") };
                Unsupported::new(format!("the codec {codec}"), "write it with snappy or zstd")
                    .of(&file.path, Some(leaf.name))
            })?;
            let checksum = checksum_of(meta.list(8));
            let (start, end) = places[*index];
            let index = ChunkIndexPlace::of(&group.list(1)[*index], body);
            let encodings = Encodings::of(meta);
            chunks.push(Chunk { start, end, codec, encodings, checksum, index });
            limits.push(meta.get(12).and_then(|statistics| bounds(statistics, leaf)));
        }
        read.blocks.push(BlockPlan { bytes: start..end, rows, limits });
        read.chunks.push(chunks);
    }
    let rows = read.blocks.iter().try_fold(0_u64, |rows, block| rows.checked_add(block.rows));
    if rows.is_none() || rows != footer.size(3) {
        return Err(fault("its row groups have other rows than its footer says"));
    }
    Ok(read)
}

/// Reads what it says of the file's own columns.
pub(super) fn stored_columns(file: &InputFile) -> Result<Vec<StoredColumn>, Error> {
    let bytes = footer_bytes(&file.open()?, &file.path)?;
    let footer = parse(file, &bytes)?;
    let schema = Schema::of(&footer).ok_or_else(|| fault(file, NO_TREE))?;
    let stored = |column: &SchemaColumn<'_>| {
        let (mut kind, mut bytes) = (column.kind(), 0);
        for group in footer.list(4) {
            let chunks = group.list(1).get(column.leaves.clone()).ok_or_else(|| fault(file, NO_GROUP))?;
            for chunk in chunks {
                let size = chunk.get(3).and_then(|meta| meta.size(7)).ok_or_else(|| fault(file, NO_GROUP))?;
                // A size that cannot be is found when the file is read as a table.
                bytes = u64::saturating_add(bytes, size);
                if is_encrypted(chunk) {
                    kind = Err("encrypted".to_owned());
                }
            }
        }
        Ok(StoredColumn { name: column.shown_name(), kind, bytes })
    };
    schema.columns.iter().map(stored).collect()
}

/// A footer, if it is whole.
fn parse<'a>(file: &InputFile, bytes: &'a [u8]) -> Result<Value<'a>, Error> {
    let (footer, length) =
        thrift::read_struct(bytes).map_err(|_| fault(file, "its footer cannot be read"))?;
    // A signature follows where columns are encrypted.
    if length < bytes.len() && footer.get(8).is_none() {
        return Err(fault(file, "its footer ends before it is said to"));
    }
    check(&footer, bytes).ok_or_else(|| fault(file, "its footer's checksum is not that of its bytes"))?;
    Ok(footer)
}

#[cold]
fn fault(file: &InputFile, reason: &str) -> Error {
    damaged(&file.path, file.bytes.saturating_sub(TAIL_BYTES), reason)
}

fn is_encrypted(chunk: &Value<'_>) -> bool {
    matches!(chunk.get(CRYPTO_OF_CHUNK), Some(Value::Struct(_)))
}

pub(super) fn footer_bytes(file: &PlannedFile, path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = file.bytes();
    let read = |into: &mut [u8], at| file.read_at(into, at).map_err(Error::file("read", path));
    let tail_at = bytes.saturating_sub(TAIL_BYTES);
    let mut tail = [0; TAIL_BYTES as usize];
    let length = read(&mut tail, tail_at)?;
    let (&size, magic) = tail.split_first_chunk().expect("eight bytes");
    if length < tail.len() || magic != MAGIC {
        if magic == b"PARE" {
            return Err(Unsupported::new("encryption", DECRYPT).of(path, None));
        }
        return Err(damaged(path, tail_at, "it does not end as a Parquet file does, with PAR1"));
    }
    let size = u64::from(u32::from_le_bytes(size));
    if size > MOST_FOOTER_BYTES || size + MAGIC.len() as u64 > tail_at {
        return Err(damaged(path, tail_at, "its footer would be larger than the file"));
    }
    let mut footer = vec![0; size as usize];
    read(&mut footer, tail_at - size)?;
    Ok(footer)
}

/// The checksum among key-value pairs, if it is there.
fn checksum_of(pairs: &[Value<'_>]) -> Option<u32> {
    checksums_of(pairs, CHECKSUM_KEY)?.first().copied()
}

/// The checksums under a key, eight digits each, if they are there.
pub(super) fn checksums_of(pairs: &[Value<'_>], key: &[u8]) -> Option<Vec<u32>> {
    let pair = pairs.iter().find(|pair| pair.bytes(1) == Some(key))?;
    let checksum = |digits: &[u8]| u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
    pair.bytes(2)?.chunks(NO_CHECKSUM.len()).map(checksum).collect()
}

/// `None` where a footer of ours has another checksum than it says.
fn check(footer: &Value<'_>, bytes: &[u8]) -> Option<()> {
    // Other programs keep the pairs of the files they read when they write what they made of them.
    if !footer.bytes(6).is_some_and(|by| by.starts_with(CREATOR)) {
        return Some(());
    }
    let pair = footer.list(5).iter().find(|pair| pair.bytes(1) == Some(CHECKSUM_KEY))?;
    let digits = pair.bytes(2).filter(|digits| digits.len() == NO_CHECKSUM.len())?;
    let said = checksum_of(std::slice::from_ref(pair))?;
    let at = memchr::memmem::find_iter(bytes, digits).last()?;
    let found = checksum([&bytes[..at], NO_CHECKSUM, &bytes[at + digits.len()..]]);
    (found == said).then_some(())
}

/// First byte of a column chunk and the byte behind it.
fn place(chunk: &Value<'_>) -> Option<(u64, u64)> {
    if chunk.get(FILE_OF_CHUNK).is_some() {
        return None;
    }
    let meta = chunk.get(3)?;
    let data = meta.size(9)?;
    let start =
        meta.size(11).filter(|dictionary| *dictionary > 0).map_or(data, |dictionary| dictionary.min(data));
    Some((start, start.checked_add(meta.size(7)?)?))
}

/// Bounds by statistics, where their order is that of the values.
fn bounds(statistics: &Value<'_>, leaf: &Leaf) -> Option<Limits> {
    // The old ones were compared as signed, whatever the type.
    let old = matches!(
        leaf.conversion,
        Conversion::Int { signed: true, .. } | Conversion::Float | Conversion::Double | Conversion::Date
    );
    let either =
        |new, old_field| statistics.bytes(new).or_else(|| statistics.bytes(old_field).filter(|_| old));
    limits(either(6, 2)?, either(5, 1)?, leaf)
}

/// Bounds by the bytes of the least and the greatest value.
pub(super) fn limits(least: &[u8], greatest: &[u8], leaf: &Leaf) -> Option<Limits> {
    let value = |bytes: &[u8]| {
        Some(match (leaf.conversion, leaf.physical) {
            (Conversion::Int { signed: true, .. }, Physical::I32) => {
                Bound::Int(i32::from_le_bytes(bytes.try_into().ok()?).into())
            }
            (Conversion::Int { signed: false, .. }, Physical::I32) => {
                Bound::Int(u32::from_le_bytes(bytes.try_into().ok()?).into())
            }
            (Conversion::Int { .. }, Physical::I64) => {
                // An unsigned one beyond this type's is refused when it is read.
                Bound::Int(i64::from_le_bytes(bytes.try_into().ok()?))
            }
            (Conversion::Float, Physical::F32) => Bound::Float(f32::from_le_bytes(bytes.try_into().ok()?)),
            (Conversion::Float, Physical::F64) => {
                Bound::Float(f64::from_le_bytes(bytes.try_into().ok()?) as f32)
            }
            (Conversion::Double, Physical::F32) => {
                Bound::Double(f32::from_le_bytes(bytes.try_into().ok()?).into())
            }
            (Conversion::Double, Physical::F64) => Bound::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
            (Conversion::Date, _) => Bound::Date(i32::from_le_bytes(bytes.try_into().ok()?)),
            (Conversion::Text, _) => Bound::Text(bytes.into()),
            _ => return None,
        })
    };
    let limits = Limits { least: value(least)?, greatest: value(greatest)? };
    // NaN, or unsigned ones that look negative.
    (limits.least <= limits.greatest).then_some(limits)
}

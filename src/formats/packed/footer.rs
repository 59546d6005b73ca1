//! What stands at the end of a file: its columns, and what is known of each region of each block.

use super::body::Body;
use crate::formats::columns::{Limits, Value};
use crate::tables::ColumnType;

/// The first and last bytes of a file; the fourth is the version.
pub(super) const MAGIC: [u8; 8] = *b"MRP1\r\n\x1a\n";
/// Bytes behind the footer: its length, its checksum and the magic.
pub(super) const TAIL_BYTES: usize = 16;
/// No block has more rows: it bounds what a reader keeps of one.
pub(super) const MOST_ROWS: usize = 1 << 16;

/// How a region's values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// One after the other: integers packed, floats as they are, texts behind their packed lengths.
    Plain = 0,
    /// The first, and how far each next one is from the one before.
    Delta = 1,
    /// Each value once, and how many times it stands in a row.
    Runs = 2,
    /// Each value once, and for each row which it is.
    Dictionary = 3,
}

/// What the footer says of one column of one block.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Region {
    /// Bytes in the file.
    pub(super) bytes: u32,
    pub(super) checksum: u32,
    pub(super) encoding: Encoding,
    pub(super) snappy: bool,
    /// Whether it starts with a bit a row that says whether there is a value.
    pub(super) nulls: bool,
    pub(super) limits: Option<Limits>,
}

/// One block: its regions lie one behind the other, and behind those of the block before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BlockEntry {
    pub(super) rows: u32,
    pub(super) regions: Vec<Region>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Footer {
    pub(super) columns: Vec<(String, ColumnType)>,
    pub(super) blocks: Vec<BlockEntry>,
}

/// In the order of their codes.
const TYPES: [ColumnType; 4] = [ColumnType::Text, ColumnType::Int, ColumnType::Float, ColumnType::Date];
const ENCODINGS: [Encoding; 4] = [Encoding::Plain, Encoding::Delta, Encoding::Runs, Encoding::Dictionary];
const SNAPPY: u8 = 1;
const NULLS: u8 = 2;
const LIMITS: u8 = 4;

impl Footer {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut to = Vec::new();
        to.extend_from_slice(&(self.columns.len() as u32).to_le_bytes());
        for (name, kind) in &self.columns {
            to.push(TYPES.iter().position(|of| of == kind).unwrap_or_default() as u8);
            to.extend_from_slice(&(name.len() as u16).to_le_bytes());
            to.extend_from_slice(name.as_bytes());
        }
        to.extend_from_slice(&(self.blocks.len() as u32).to_le_bytes());
        for block in &self.blocks {
            to.extend_from_slice(&block.rows.to_le_bytes());
            block.regions.iter().for_each(|region| region.write(&mut to));
        }
        to
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, (usize, &'static str)> {
        let mut body = Body::new(bytes);
        Self::read_from(&mut body).map_err(|reason| (body.at(), reason))
    }

    fn read_from(body: &mut Body<'_>) -> Result<Self, &'static str> {
        // Grown one by one: what a count promises may not be there.
        let mut columns = Vec::new();
        for _ in 0..body.u32()? {
            let [kind] = body.array()?;
            let kind = *TYPES.get(usize::from(kind)).ok_or("a column of a type that is none")?;
            let length = body.u16()?;
            let name =
                std::str::from_utf8(body.take(length.into())?).map_err(|_| "a column's name is not UTF-8")?;
            columns.push((name.to_owned(), kind));
        }
        let mut blocks = Vec::new();
        for _ in 0..body.u32()? {
            let rows = body.u32()?;
            if rows == 0 || rows as usize > MOST_ROWS {
                return Err("a block of no rows, or of more than 65,536");
            }
            let regions =
                columns.iter().map(|(_, kind)| Region::read(body, *kind)).collect::<Result<_, _>>()?;
            blocks.push(BlockEntry { rows, regions });
        }
        body.ended()?;
        Ok(Footer { columns, blocks })
    }
}

impl Region {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.bytes.to_le_bytes());
        to.extend_from_slice(&self.checksum.to_le_bytes());
        to.push(self.encoding as u8);
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        to.push(flag(self.snappy, SNAPPY) | flag(self.nulls, NULLS) | flag(self.limits.is_some(), LIMITS));
        let Some(Limits { least, greatest }) = &self.limits else { return };
        for value in [least, greatest] {
            match value {
                Value::Int(value) => to.extend_from_slice(&value.to_le_bytes()),
                Value::Float(value) => to.extend_from_slice(&value.to_le_bytes()),
                Value::Date(days) => to.extend_from_slice(&days.to_le_bytes()),
                Value::Text(text) => {
                    to.extend_from_slice(&(text.len() as u16).to_le_bytes());
                    to.extend_from_slice(text);
                }
            }
        }
    }

    fn read(body: &mut Body<'_>, kind: ColumnType) -> Result<Self, &'static str> {
        let (bytes, checksum) = (body.u32()?, body.u32()?);
        let [encoding, flags] = body.array()?;
        let encoding = *ENCODINGS.get(usize::from(encoding)).ok_or("an encoding that is none")?;
        if flags & !(SNAPPY | NULLS | LIMITS) != 0 {
            return Err("flags that are none");
        }
        let mut value = || -> Result<Value, &'static str> {
            Ok(match kind {
                ColumnType::Int => Value::Int(i64::from_le_bytes(body.array()?)),
                ColumnType::Float => Value::Float(f32::from_le_bytes(body.array()?)),
                ColumnType::Date => Value::Date(i32::from_le_bytes(body.array()?)),
                ColumnType::Text => {
                    let length = body.u16()?;
                    Value::Text(body.take(length.into())?.to_vec())
                }
            })
        };
        let limits = (flags & LIMITS != 0)
            .then(|| Ok::<_, &str>(Limits { least: value()?, greatest: value()? }))
            .transpose()?;
        Ok(Region {
            bytes,
            checksum,
            encoding,
            snappy: flags & SNAPPY != 0,
            nulls: flags & NULLS != 0,
            limits,
        })
    }
}

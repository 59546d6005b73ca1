//! A packed file's footer: found, checked, and matched with a table.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::footer::{Encoding, Footer, MAGIC, Region, TAIL_BYTES, stored_kind};
use crate::Error;
use crate::formats::checksum::checksum;
use crate::formats::columns::{BlockPlan, StoredColumn, Value, has_twice, no_such_column};
use crate::input::InputFile;
use crate::tables::{Column, ColumnType, Table};

/// Read of a file's end at once: nearly every footer is in it.
const END_BYTES: u64 = 64 << 10;

/// A file whose footer was read and fits its table.
#[derive(Debug)]
pub(crate) struct PackedFile {
    path: Arc<Path>,
    blocks: Vec<BlockPlan>,
    columns: &'static [Column],
    /// Rows before each block.
    first_rows: Vec<u64>,
    /// Of each block, where the region of each column of the table is, and what the footer says of it.
    regions: Vec<Vec<(u64, Region)>>,
}

impl PackedFile {
    /// Reads the footer and finds the columns of `table` in it.
    pub(crate) fn open(file: &InputFile, table: &Table) -> Result<Self, Error> {
        let (footer, regions_end) = read_footer(file)?;
        let columns = columns_of(file, table, &footer)?;
        let mut at = MAGIC.len() as u64;
        let (mut blocks, mut first_rows, mut regions) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows = 0;
        for block in footer.blocks {
            let start = at;
            let placed = block.regions.into_iter().map(|region| {
                let region_at = at;
                at += u64::from(region.bytes);
                (region_at, region)
            });
            let placed: Vec<_> = placed.collect();
            let of_table: Vec<_> = columns.iter().map(|column| placed[*column].clone()).collect();
            let limits = of_table.iter().map(|(_, region)| region.limits.clone()).collect();
            blocks.push(BlockPlan { bytes: start..at, rows: block.rows.into(), limits });
            regions.push(of_table);
            first_rows.push(rows);
            rows += u64::from(block.rows);
        }
        // So that there is no byte in the file that no checksum covers.
        if at != regions_end {
            let what = format!("its blocks end at byte {at} and not here, where its footer starts");
            return Err(damaged(&file.path, regions_end, &what));
        }
        Ok(PackedFile { path: Arc::clone(&file.path), blocks, columns: table.columns, first_rows, regions })
    }

    /// Reads what the footer says of the file's own columns.
    pub(crate) fn stored_columns(file: &InputFile) -> Result<Vec<StoredColumn>, Error> {
        let (footer, _) = read_footer(file)?;
        let stored = |(index, (name, kind)): (usize, &(String, ColumnType))| {
            let regions = || footer.blocks.iter().map(|block| &block.regions[index]);
            // Integers of all widths are written alike: it takes 64 bits where any needs them.
            let is_long = regions().filter_map(|region| region.limits.as_ref()).any(|limits| {
                let wide =
                    |bound: &Value| matches!(bound, Value::Int(value) if i32::try_from(*value).is_err());
                wide(&limits.least) || wide(&limits.greatest)
            });
            StoredColumn {
                name: name.clone(),
                kind: Ok(if is_long { ColumnType::Long } else { *kind }),
                bytes: regions().map(|region| u64::from(region.bytes)).sum(),
            }
        };
        Ok(footer.columns.iter().enumerate().map(stored).collect())
    }

    /// Its blocks, in the order of the file.
    pub(crate) fn blocks(&self) -> &[BlockPlan] {
        &self.blocks
    }

    /// Of a column of a block: its bytes in the file.
    pub(crate) fn bytes_of(&self, block: usize, column: usize) -> u64 {
        self.regions[block][column].1.bytes.into()
    }

    /// Of each block, the bytes of each column of the table and how its values are written.
    pub(crate) fn stored(&self) -> Vec<Vec<(u64, String)>> {
        let way = |region: &Region| {
            let encoding = match region.encoding {
                Encoding::Plain => "plain",
                Encoding::Delta => "delta",
                Encoding::Runs => "runs",
                Encoding::Dictionary => "dictionary",
            };
            if region.snappy { format!("{encoding}+snappy") } else { encoding.to_owned() }
        };
        let of_block = |regions: &Vec<(u64, Region)>| {
            regions.iter().map(|(_, region)| (region.bytes.into(), way(region))).collect()
        };
        self.regions.iter().map(of_block).collect()
    }

    /// Of a column of a block: its bytes in the file, and what the footer says of them.
    pub(super) fn region(&self, block: usize, column: usize) -> (Range<u64>, &Region) {
        let (at, region) = &self.regions[block][column];
        (*at..*at + u64::from(region.bytes), region)
    }

    pub(super) fn first_row(&self, block: usize) -> u64 {
        self.first_rows[block]
    }

    pub(super) fn kind(&self, column: usize) -> ColumnType {
        self.columns[column].kind
    }

    pub(super) fn name(&self, column: usize) -> &'static str {
        self.columns[column].name
    }

    #[cold]
    pub(super) fn damaged(&self, at: u64, what: &str) -> Error {
        damaged(&self.path, at, what)
    }

    #[cold]
    pub(super) fn unreadable(&self, source: io::Error) -> Error {
        Error::File { action: "read", path: self.path.to_path_buf(), source }
    }
}

#[cold]
fn damaged(path: &Path, at: u64, what: &str) -> Error {
    Error::Data(format!(
        "the packed file {} is damaged at byte {at}: {what}\n  try: copy it again, or pack it again from its source",
        path.display()
    ))
}

/// The footer, and where it starts.
pub(super) fn read_footer(file: &InputFile) -> Result<(Footer, u64), Error> {
    let least = (MAGIC.len() + TAIL_BYTES) as u64;
    if file.bytes < least {
        return Err(damaged(&file.path, file.bytes, "it ends here, before a packed file can"));
    }
    let planned = file.open()?;
    let end_at = file.bytes - file.bytes.min(END_BYTES);
    planned.will_read(&[0..MAGIC.len() as u64, end_at..file.bytes]);
    let read = |range: Range<u64>| {
        // Of a file that has these bytes, and at most a footer's length of them.
        let mut bytes = vec![0; (range.end - range.start) as usize];
        match planned.read_at(&mut bytes, range.start) {
            Ok(length) if length == bytes.len() => Ok(bytes),
            Ok(length) => Err(damaged(&file.path, range.start + length as u64, "it ends here, too early")),
            Err(error) => Err(Error::file("read", &file.path)(error)),
        }
    };
    check_magic(file, &read(0..MAGIC.len() as u64)?, 0)?;
    let end = read(end_at..file.bytes)?;
    let (_, tail) = end.split_at(end.len() - TAIL_BYTES);
    check_magic(file, &tail[8..], file.bytes - MAGIC.len() as u64)?;
    let word = |at: usize| u32::from_le_bytes([tail[at], tail[at + 1], tail[at + 2], tail[at + 3]]);
    let length = u64::from(word(0));
    let tail_at = file.bytes - TAIL_BYTES as u64;
    let Some(start) = tail_at.checked_sub(length).filter(|start| *start >= MAGIC.len() as u64) else {
        return Err(damaged(&file.path, tail_at, "its footer is said to be longer than the file"));
    };
    let bytes = if start >= end_at {
        end[(start - end_at) as usize..end.len() - TAIL_BYTES].to_vec()
    } else {
        planned.will_read(std::slice::from_ref(&(start..tail_at)));
        read(start..tail_at)?
    };
    if checksum([&bytes, &tail[..4]]) != word(4) {
        return Err(damaged(&file.path, start, "its footer is not what was written"));
    }
    let footer = Footer::read(&bytes).map_err(|(at, what)| damaged(&file.path, start + at as u64, what))?;
    Ok((footer, start))
}

fn check_magic(file: &InputFile, found: &[u8], at: u64) -> Result<(), Error> {
    if found == MAGIC {
        return Ok(());
    }
    if found.starts_with(&MAGIC[..3]) && found[4..] == MAGIC[4..] {
        return Err(Error::Data(format!(
            "the packed file {} is of version {}, and this program reads version {}\n  try: pack it again with this \
             program",
            file.path.display(),
            found[3].escape_ascii(),
            MAGIC[3].escape_ascii()
        )));
    }
    let what = if at == 0 {
        "a packed file does not start so"
    } else {
        "a packed file does not end so: it may be cut off"
    };
    Err(damaged(&file.path, at, what))
}

/// Where in the file each column of the table is.
fn columns_of(file: &InputFile, table: &Table, footer: &Footer) -> Result<Vec<usize>, Error> {
    let place = |wanted: &Column| {
        let mut places = (0..footer.columns.len()).filter(|place| footer.columns[*place].0 == wanted.name);
        let place = places.next();
        if places.next().is_some() {
            return Err(has_twice(&file.path, wanted.name));
        }
        let Some(place) = place else {
            let there: Vec<_> = footer.columns.iter().map(|(name, _)| name).collect();
            return Err(no_such_column(&file.path, wanted, table, &there));
        };
        let kind = footer.columns[place].1;
        if stored_kind(kind) != stored_kind(wanted.kind) {
            return Err(Error::Data(format!(
                "column {} of the packed file {} is {}, but {} of table {} is {}",
                wanted.name,
                file.path.display(),
                kind.described(),
                wanted.name,
                table.name,
                wanted.kind.described()
            )));
        }
        Ok(place)
    };
    table.columns.iter().map(place).collect()
}

//! Packed files: a writer that follows `docs/packed-format.md` alone, plainly, and the body that the fuzz target and the
//! ordinary tests share.

use std::path::Path;

use millrace::input::{FormatChoice, Input, InputOptions, Row};
use millrace::tables::{Column, ColumnType, Date, Layout, Table};
use serde::Deserialize;

/// A region: its encoding and flags (without limits), and its bytes.
pub(crate) struct Region(pub(crate) u8, pub(crate) u8, pub(crate) Vec<u8>);

/// A file of these blocks, with right checksums whatever the regions have.
pub(crate) fn file(columns: &[Column], blocks: &[(u32, Vec<Region>)]) -> Vec<u8> {
    const MAGIC: &[u8] = b"MRP1\r\n\x1a\n";
    let mut file = MAGIC.to_vec();
    let mut footer = (columns.len() as u32).to_le_bytes().to_vec();
    for column in columns {
        footer.push(match column.kind {
            ColumnType::Text => 0,
            ColumnType::Int | ColumnType::Long => 1,
            ColumnType::Float => 2,
            ColumnType::Date => 3,
            ColumnType::Double => 4,
        });
        footer.extend((column.name.len() as u16).to_le_bytes());
        footer.extend(column.name.as_bytes());
    }
    footer.extend((blocks.len() as u32).to_le_bytes());
    for (rows, regions) in blocks {
        footer.extend(rows.to_le_bytes());
        for Region(encoding, flags, bytes) in regions {
            footer.extend((bytes.len() as u32).to_le_bytes());
            footer.extend(crc32(bytes).to_le_bytes());
            footer.extend([*encoding, *flags]);
            file.extend(bytes);
        }
    }
    let length = (footer.len() as u32).to_le_bytes();
    footer.extend(length);
    let checksum = crc32(&footer).to_le_bytes();
    file.extend(footer);
    file.extend(checksum);
    file.extend(MAGIC);
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

const TABLE: Table = Table {
    name: "mixed",
    columns: &[
        Column::new("text", ColumnType::Text),
        Column::new("int", ColumnType::Int),
        Column::new("float", ColumnType::Float),
        Column::new("day", ColumnType::Date),
        Column::new("double", ColumnType::Double),
    ],
    layout: Layout::Delimited(b','),
};

#[derive(Deserialize)]
struct Mixed<'a> {
    #[serde(borrow)]
    text: Option<&'a [u8]>,
    int: Option<i64>,
    float: Option<f32>,
    day: Option<Date>,
    double: Option<f64>,
}

impl Row for Mixed<'_> {
    type Of<'a> = Mixed<'a>;
}

/// Any bytes as the regions of a file whose checksums are right, so that what is behind them is reached. Reading must end in
/// rows or in an error; the same both times.
pub(crate) fn judge_bytes(mut bytes: &[u8]) {
    let mut blocks = Vec::new();
    while let Some((&[rows, high], rest)) = bytes.split_first_chunk() {
        bytes = rest;
        let mut regions = Vec::new();
        for _ in TABLE.columns {
            let Some((&[form, length], rest)) = bytes.split_first_chunk() else { break };
            let (body, rest) = rest.split_at(rest.len().min(length.into()));
            bytes = rest;
            regions.push(Region(form & 3, form >> 2 & 3, body.to_vec()));
        }
        if regions.len() == TABLE.columns.len() {
            // A third of all blocks are large.
            let rows = if high % 3 == 0 { u32::from(rows) << 8 | u32::from(high) } else { rows.into() };
            blocks.push((rows, regions));
        }
    }
    let home = tempfile::tempdir().expect("a directory");
    let table = home.path().join("packed/fuzz/mixed");
    std::fs::create_dir_all(&table).expect("made");
    std::fs::write(table.join("part-0.mrp"), file(TABLE.columns, &blocks)).expect("written");
    let rows = blocks.iter().map(|(rows, _)| u64::from(*rows)).sum::<u64>();
    let (first, second) = (read(home.path()), read(home.path()));
    assert_eq!(first, second);
    if let Ok((read, _)) = first {
        assert_eq!(read, rows, "rows are lost");
    }
}

/// Rows, and a sum of what is in them.
fn read(data: &Path) -> Result<(u64, u64), String> {
    let options = InputOptions {
        data: data.to_path_buf(),
        set: "fuzz".to_owned(),
        format: FormatChoice::Packed,
        ..InputOptions::default()
    };
    let input = Input::<Mixed>::open(&TABLE, &options).map_err(|error| error.to_string())?;
    let (mut rows, mut sum) = (0, 0_u64);
    for split in input.splits() {
        let mut reader = input.open_split(split).map_err(|error| error.to_string())?;
        let mut add = |row: Mixed| {
            rows += 1;
            let text = row.text.unwrap_or_default().iter().map(|byte| u64::from(*byte)).sum::<u64>();
            let numbers =
                row.int.unwrap_or_default() as u64 ^ u64::from(row.float.unwrap_or_default().to_bits());
            let day = row.day.map_or(0, Date::days) as u64 ^ row.double.unwrap_or_default().to_bits();
            sum = sum.wrapping_mul(31).wrapping_add(text ^ numbers ^ day);
        };
        while reader.next_block(&mut add).map_err(|error| error.to_string())?.is_some() {}
    }
    Ok((rows, sum))
}

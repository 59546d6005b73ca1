//! Round trips, and damage: every byte of a file of ours changed, every length it can be cut to.
//!
//! They would catch a value that does not come back, a byte that no checksum covers and that makes another answer, and a panic that
//! damaged bytes ask for.

use std::fs::File;
use std::io::Write;
use std::ops::{Bound, Range};
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::{Joined, ParquetDecoder, ParquetFile, ParquetWriter};
use crate::Error;
use crate::formats::columns::testing::{any_batch, any_range, check_given, column, given, shown, texts};
use crate::formats::columns::{Batch, BlockPlan, Column, ColumnRange, Decode, Value, Values, Wanted};
use crate::input::{InputFile, PassedOver};
use crate::tables::{Column as TableColumn, ColumnType, Layout, Table};

pub(super) const TABLE: Table = Table {
    name: "mixed",
    columns: &[
        TableColumn::new("text", ColumnType::Text),
        TableColumn::new("int", ColumnType::Int),
        TableColumn::new("long", ColumnType::Long),
        TableColumn::new("float", ColumnType::Float),
        TableColumn::new("day", ColumnType::Date),
        TableColumn::new("double", ColumnType::Double),
    ],
    layout: Layout::Delimited(b','),
};

/// Rows whose columns are dictionaries, plain and compressed, with and without values that are missing.
pub(super) fn mixed(rows: i64, seed: i64) -> Batch {
    let mixed = |row: i64| (row + seed).wrapping_mul(0x5851_f42d_4c95_7f2d) >> 20;
    let present: Vec<bool> = (0..rows).map(|row| row % 7 != 3).collect();
    let text = |row: i64| match seed % 3 {
        0 => format!("10.{}.{}", mixed(row) & 255, mixed(row + 9) & 4095),
        1 => ["apple", "", "pear", "quince"][(mixed(row) & 3) as usize].to_owned(),
        _ => format!("{row:04} says the same over and over, and over and over, and over"),
    };
    let few = |row: i64| if seed % 2 == 0 { mixed(row) & 3 } else { mixed(row) & 0xffff };
    Batch {
        rows: rows as usize,
        columns: vec![
            Column { values: texts((0..rows).map(text)), present: present.clone() },
            column(Values::Int((0..rows).map(few).collect())),
            Column { values: Values::Int((0..rows).map(mixed).collect()), present: present.clone() },
            column(Values::Float((0..rows).map(|row| few(row) as f32 / 3.0).collect())),
            Column { values: Values::Date((0..rows).map(|row| row as i32 - 9).collect()), present },
            column(Values::Double((0..rows).map(|row| few(row) as f64 / 3.0).collect())),
        ],
    }
}

/// A file of so many row groups.
fn small_file(groups: i64) -> Vec<u8> {
    joined(&TABLE, &(0..groups).map(|seed| mixed(24, seed)).collect::<Vec<_>>())
}

/// A file of one batch.
pub(super) fn written(table: &Table, batch: &Batch) -> Vec<u8> {
    let mut writer = ParquetWriter::create(Vec::new(), table).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap()
}

/// A file that is joined of one file for each batch.
pub(super) fn joined(table: &Table, batches: &[Batch]) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("whole");
    let mut file = File::create(&path).unwrap();
    let mut whole = Joined::start(&mut file, &|| false).unwrap();
    for batch in batches {
        let part = directory.path().join("part");
        let bytes = written(table, batch);
        std::fs::write(&part, &bytes).unwrap();
        whole.add(&InputFile::local(&part, bytes.len() as u64)).unwrap();
    }
    whole.finish(table.columns).unwrap();
    std::fs::read(&path).unwrap()
}

/// Where the page indexes of a file are: between its last page and its footer.
fn indexes_of(bytes: &[u8]) -> Range<usize> {
    let (_file, input) = input_of(bytes);
    let whole = ParquetFile::open(&input, &TABLE).unwrap();
    let pages = whole.chunks.iter().flatten().map(|chunk| chunk.end as usize).max().unwrap();
    let length = u32::from_le_bytes(*bytes[bytes.len() - 8..].first_chunk().unwrap()) as usize;
    pages..bytes.len() - 8 - length
}

/// Catches an index that was damaged after it was written and gets a new checksum, as a joined file's index is made again.
#[test]
fn a_damaged_index_is_not_joined() {
    let bytes = written(&TABLE, &mixed(24, 1));
    let indexes = indexes_of(&bytes);
    assert!(!indexes.is_empty(), "there is an index");
    for at in indexes {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let (_file, input) = input_of(&changed);
        let mut to = tempfile::tempfile().unwrap();
        let error =
            Joined::start(&mut to, &|| false).unwrap().add(&input).expect_err("a damaged index is believed");
        assert!(matches!(error, Error::Data(_)), "{error:?}");
    }
}

/// What a query can learn of a file: all rows, and which it may pass over.
pub(super) type Answer = (Vec<Vec<String>>, Vec<BlockPlan>);

/// Reads a file of these bytes.
fn read(bytes: &[u8]) -> Result<Answer, Error> {
    read_table(&TABLE, bytes)
}

/// A file of these bytes, a new one each time: to write over a file that was cut short takes a disk's time.
pub(super) fn input_of(bytes: &[u8]) -> (NamedTempFile, InputFile) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let input = InputFile::local(file.path(), bytes.len() as u64);
    (file, input)
}

pub(super) fn read_table(table: &Table, bytes: &[u8]) -> Result<Answer, Error> {
    let (_file, input) = input_of(bytes);
    let footer = Arc::new(ParquetFile::open(&input, table)?);
    let wanted: Arc<[_]> = (0..table.columns.len()).map(|column| Wanted { column, as_text: false }).collect();
    footer.check_readable(&wanted)?;
    let blocks = (0..footer.blocks().len()).collect();
    let mut decoder = ParquetDecoder::open(&footer, input.open()?, wanted, Arc::default(), blocks);
    let (mut batch, mut rows) = (Batch::default(), Vec::new());
    while decoder.next_batch(&mut batch)?.is_some() {
        rows.extend(shown(&batch));
    }
    Ok((rows, footer.blocks().to_vec()))
}

#[test]
fn every_changed_byte_is_an_error_or_changes_nothing() {
    let bytes = small_file(2);
    let answer = read(&bytes).unwrap();
    let expected: Vec<_> = (0..2).flat_map(|seed| shown(&mixed(24, seed))).collect();
    assert_eq!(answer.0, expected);
    // The first magic is not looked at. And where the list of row groups has ended, a changed byte can hide the checksum, or
    // who wrote the file, but nothing that is read.
    let name = memchr::memmem::find(&bytes, b"millrace version").unwrap();
    let is_of_no_weight = |at: usize| at < 4 || (name - 48..name + "millrace ".len()).contains(&at);
    // Page indexes lie between the last page and the footer: they are read where a filter asks, and tested there.
    let indexes = indexes_of(&bytes);
    let footer = indexes.end;
    let is_of_no_weight = |at: usize| is_of_no_weight(at) || indexes.contains(&at);
    for at in 0..bytes.len() {
        // One bit and all of them; in the footer, where each means something else, every bit.
        let bits = if at < footer { at % 8..at % 8 + 1 } else { 0..8 };
        for change in bits.map(|bit| 1 << bit).chain([0xff]) {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            match read(&changed) {
                Ok(found) => {
                    assert!(found == answer, "byte {at} of {}, changed by {change:#04x}", bytes.len());
                    assert!(is_of_no_weight(at), "byte {at} of {} is not checked", bytes.len());
                }
                // A footer that hides its checksum can say whatever is not supported.
                Err(Error::Unsupported { .. }) if at >= footer => {}
                Err(error) => assert!(matches!(error, Error::Data(_)), "{error:?}"),
            }
        }
    }
}

#[test]
fn every_cut_and_every_byte_more_is_an_error() {
    let bytes = small_file(2);
    for end in 0..bytes.len() {
        read(&bytes[..end]).expect_err("a cut file is believed");
    }
    for more in [&b"\0"[..], b"PAR1", &[&0_u32.to_le_bytes()[..], b"PAR1"].concat()] {
        read(&[&bytes[..], more].concat()).expect_err("a longer file is believed");
    }
}

/// In these a list of row groups that says one less, or a number of another field, left no checksum to find: rows were missing.
#[test]
fn a_footer_that_lost_its_checksum_loses_no_rows() {
    let bytes = small_file(3);
    let groups = memchr::memmem::rfind(&bytes[..bytes.len() - 8], &[0x19, 0x3c]).unwrap();
    let mut changed = bytes.clone();
    changed[groups + 1] = 0x2c;
    read(&changed).expect_err("a row group less is believed");
    changed[groups..groups + 2].copy_from_slice(&[0x29, 0x3c]);
    read(&changed).expect_err("no row groups are believed");
}

/// The table of [`any_batch`].
const ANY: Table = Table {
    columns: &[TABLE.columns[0], TABLE.columns[2], TABLE.columns[3], TABLE.columns[4], TABLE.columns[5]],
    ..TABLE
};

proptest! {
    #[test]
    fn any_rows_come_back(
        batches in proptest::collection::vec(any_batch(any::<String>().prop_map(String::into_bytes)), 0..4),
    ) {
        let found = read_table(&ANY, &joined(&ANY, &batches)).unwrap();
        let expected: Vec<_> = batches.iter().flat_map(shown).collect();
        prop_assert_eq!(found.0, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Catches a row that is lost, that has values of another, or is counted wrongly, where only some rows of a page are decoded.
    #[test]
    fn rows_inside_of_ranges_are_given_as_they_are(
        batches in proptest::collection::vec(any_batch(any::<String>().prop_map(String::into_bytes)), 0..4),
        ranges in proptest::collection::vec(any_range(), 0..3),
    ) {
        check_filtered(&ANY, &batches, &ranges);
    }
}

/// Writes each batch as a row group of its own, and reads the rows of some ranges.
fn check_filtered(table: &Table, batches: &[Batch], ranges: &[ColumnRange]) -> PassedOver {
    let (_file, input) = input_of(&joined(table, batches));
    let footer: Arc<_> = ParquetFile::open(&input, table).unwrap().into();
    let wanted = (0..table.columns.len()).map(|column| Wanted { column, as_text: false }).collect();
    let blocks = (0..footer.blocks().len()).collect();
    let mut decoder = ParquetDecoder::open(&footer, input.open().unwrap(), wanted, ranges.into(), blocks);
    let (rows, passed) = given(&mut decoder).unwrap();
    check_given(batches, ranges, &rows, passed);
    passed
}

/// Pages of several batches, pages without a row of the range between others, and of each kind: plain and by a dictionary.
#[test]
fn rows_of_some_pages_are_skipped_and_other_pages_whole() {
    const DAY: usize = 4;
    let day = |days| Bound::Included(Value::Date(days));
    let mut batches: Vec<_> = (0..6).map(|seed| mixed(50_000, seed)).collect();
    for (from, to) in [(0, 3), (40_000, 41_000), (8_000, 8_300)] {
        let passed =
            check_filtered(&TABLE, &batches, &[ColumnRange { column: DAY, from: day(from), to: day(to) }]);
        assert!(passed.unread_rows > 0, "pages have bounds: {passed:?}");
    }
    // Bounds of all pages allow a row, and one page of four has one.
    for batch in &mut batches {
        let day = |row: i32| if row == 20_000 { 5 } else { row % 2 * 9 };
        batch.columns[DAY] = column(Values::Date((0..50_000).map(day).collect()));
    }
    let passed = check_filtered(&TABLE, &batches, &[ColumnRange { column: DAY, from: day(4), to: day(6) }]);
    assert_eq!(passed, PassedOver { unread_rows: 0, filtered_rows: 6 * 49_999, pages: 6 * 3 * 5 });
}

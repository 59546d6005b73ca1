//! Round trips, damage, and the reader that follows the document only.
//!
//! They would catch a value that does not come back, a bound that passes over rows, a damaged byte that is believed, and a panic or
//! an allocation that bytes of a stranger could ask for.

use std::io::Write;
use std::ops::Bound;
use std::process::Command;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::NamedTempFile;

use super::footer::{Encoding, Footer, MAGIC, TAIL_BYTES};
use super::{PackedDecoder, PackedFile, PackedWriter};
use crate::Error;
use crate::formats::checksum::checksum;
use crate::formats::columns::testing::{any_batch, any_range, check_given, column, given, shown, texts};
use crate::formats::columns::{Batch, Column, ColumnRange, Decode, Limits, Value, Values, Wanted};
use crate::input::{InputFile, PassedOver};
use crate::tables::{Column as TableColumn, ColumnType, Date, Layout, Table};

const TABLE: Table = Table {
    name: "mixed",
    columns: &[
        TableColumn::new("text", ColumnType::Text),
        TableColumn::new("int", ColumnType::Long),
        TableColumn::new("float", ColumnType::Float),
        TableColumn::new("day", ColumnType::Date),
        TableColumn::new("double", ColumnType::Double),
    ],
    layout: Layout::Delimited(b','),
};

fn pack(table: &Table, batches: &[Batch]) -> Vec<u8> {
    let mut writer = PackedWriter::create(Vec::new(), table).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap()
}

fn open(bytes: &[u8], table: &Table) -> Result<(NamedTempFile, InputFile, Arc<PackedFile>), Error> {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let input = InputFile::local(file.path(), bytes.len() as u64);
    let footer = PackedFile::open(&input, table)?.into();
    Ok((file, input, footer))
}

fn read_wanted(bytes: &[u8], table: &Table, wanted: Vec<Wanted>) -> Result<Vec<Vec<String>>, Error> {
    let (_file, input, footer) = open(bytes, table)?;
    let blocks = (0..footer.blocks().len()).collect();
    let mut decoder = PackedDecoder::open(&footer, input.open()?, wanted.into(), &[], blocks);
    let (mut batch, mut rows, mut read) = (Batch::default(), Vec::new(), 0);
    while let Some(decoded) = decoder.next_batch(&mut batch)? {
        assert_eq!(decoded.first_row, rows.len() as u64);
        read += decoded.bytes;
        rows.extend(shown(&batch));
    }
    assert!(read <= bytes.len() as u64);
    assert_eq!(rows.len() as u64, footer.blocks().iter().map(|block| block.rows).sum::<u64>());
    Ok(rows)
}

fn read(bytes: &[u8], table: &Table) -> Result<Vec<Vec<String>>, Error> {
    read_wanted(
        bytes,
        table,
        (0..table.columns.len()).map(|column| Wanted { column, as_text: false }).collect(),
    )
}

fn round_trip(table: &Table, batches: &[Batch]) -> Vec<u8> {
    let bytes = pack(table, batches);
    let expected: Vec<_> = batches.iter().flat_map(shown).collect();
    assert!(read(&bytes, table).unwrap() == expected, "rows come back as others");
    bytes
}

/// Encodings of a file's regions, block by block.
fn encodings(bytes: &[u8]) -> Vec<Vec<(Encoding, bool)>> {
    let tail = bytes.len() - TAIL_BYTES;
    let length = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
    let footer = Footer::read(&bytes[tail - length..tail]).unwrap();
    let of_block = |block: &super::footer::BlockEntry| {
        block.regions.iter().map(|region| (region.encoding, region.snappy)).collect()
    };
    footer.blocks.iter().map(of_block).collect()
}

/// Rows whose columns get every encoding there is, in blocks that differ.
fn mixed(rows: i64, seed: i64) -> Batch {
    let mixed = |row: i64| (row + seed).wrapping_mul(0x5851_f42d_4c95_7f2d) >> 20;
    let present: Vec<bool> = (0..rows).map(|row| row % 7 != 3).collect();
    let text = |row: i64| match seed % 3 {
        0 => format!("10.{}.{}", mixed(row) & 255, mixed(row + 9) & 4095),
        1 => ["apple", "", "pear", "quince"][(mixed(row) & 3) as usize].to_owned(),
        _ => format!("{row:04} says the same over and over, and over and over, and over and over again"),
    };
    let int = |row: i64| match seed % 4 {
        0 => mixed(row) & 1023,
        1 => 1_000_000_000_000 + row * 17,
        2 => (row / 100) * 1_000_003,
        _ => [i64::MIN, i64::MAX, 0][mixed(row).rem_euclid(3) as usize],
    };
    let float =
        |row: i64| if seed % 2 == 0 { mixed(row) as f32 } else { [0.5, f32::NAN, -0.0][(row % 3) as usize] };
    let double =
        |row: i64| if seed % 2 == 0 { [0.1, f64::NAN][(row & 1) as usize] } else { mixed(row) as f64 };
    Batch {
        rows: rows as usize,
        columns: vec![
            Column {
                values: texts((0..rows).map(text)),
                present: if seed % 5 == 1 { present.clone() } else { vec![] },
            },
            column(Values::Int((0..rows).map(int).collect())),
            column(Values::Float((0..rows).map(float).collect())),
            Column {
                values: Values::Date((0..rows).map(|row| 3_000 + row as i32 / 9).collect()),
                present: present.clone(),
            },
            Column { values: Values::Double((0..rows).map(double).collect()), present },
        ],
    }
}

#[test]
fn rows_come_back_whatever_their_number() {
    assert_eq!(read(&round_trip(&TABLE, &[]), &TABLE).unwrap(), [[""; 0]; 0]);
    for rows in [0, 1, 2, 7, 8, 9, 4095, 4096, 4097, 65_535, 65_536, 65_537, 150_000] {
        let bytes = round_trip(&TABLE, &[mixed(rows, 0)]);
        assert_eq!(encodings(&bytes).len(), (rows as usize).div_ceil(1 << 16));
    }
    let batches: Vec<_> = (0..40).map(|seed| mixed(1 + seed * 211, seed)).collect();
    round_trip(&TABLE, &batches);
}

#[test]
fn each_column_gets_the_encoding_that_suits_it() {
    let of = |seed: i64| encodings(&round_trip(&TABLE, &[mixed(3_000, seed)])).remove(0);
    use Encoding::{Delta, Dictionary, Plain, Runs};
    assert_eq!(of(0)[..3], [(Plain, false), (Plain, false), (Plain, false)]);
    assert_eq!(of(1)[..3], [(Dictionary, false), (Delta, false), (Dictionary, false)]);
    assert_eq!(of(2)[..3], [(Plain, true), (Runs, false), (Plain, false)]);
    assert_eq!(of(3)[1], (Dictionary, false));
}

#[test]
fn extremes_come_back() {
    let ints = [i64::MIN, i64::MAX, 0, -1, i64::MAX, i64::MIN];
    let floats =
        [0x7fc0_0001, 0xffff_ffff, 0x7f80_0001, 0x8000_0000, 0x0000_0001, 0xff80_0000].map(f32::from_bits);
    let days = [i32::MIN, i32::MAX, 0, -1, i32::MIN, i32::MAX];
    let doubles = [f64::MIN, f64::MAX, -0.0, f64::INFINITY, f64::MIN_POSITIVE / 8.0, -f64::NAN];
    let long = vec![b'x'; 300_000];
    let text: [&[u8]; 6] = [b"", b"\xff\xfe\0", &long, "größer".as_bytes(), b"\n\",", &[0xff; 40]];
    let columns = vec![
        column(texts(text)),
        column(Values::Int(ints.into())),
        column(Values::Float(floats.into())),
        column(Values::Date(days.into())),
        column(Values::Double(doubles.into())),
    ];
    round_trip(&TABLE, &[Batch { rows: 6, columns: columns.clone() }]);
    let none = columns.into_iter().map(|column| Column { present: vec![false; 6], ..column }).collect();
    let bytes = round_trip(&TABLE, &[Batch { rows: 6, columns: none }]);
    let (_file, _, footer) = open(&bytes, &TABLE).unwrap();
    assert_eq!(footer.blocks()[0].limits, vec![None; 5]);
}

#[test]
fn blocks_end_where_texts_are_long() {
    let table = Table { columns: const { &[TableColumn::new("text", ColumnType::Text)] }, ..TABLE };
    let lengths = [9 << 20, 9 << 20, 40 << 20, 1, 1, 15 << 20, 2 << 20];
    let batch = Batch { rows: 7, columns: vec![column(texts(lengths.map(|length| vec![b'a'; length])))] };
    let bytes = pack(&table, std::slice::from_ref(&batch));
    let (_file, input, footer) = open(&bytes, &table).unwrap();
    assert_eq!(footer.blocks().iter().map(|block| block.rows).collect::<Vec<_>>(), [1, 1, 1, 3, 1]);
    let wanted = [Wanted { column: 0, as_text: false }].into();
    let mut decoder = PackedDecoder::open(&footer, input.open().unwrap(), wanted, &[], (0..5).collect());
    let (mut read, mut found) = (Batch::default(), Vec::new());
    while decoder.next_batch(&mut read).unwrap().is_some() {
        let Values::Text(texts) = &read.columns[0].values else { panic!("not texts") };
        found.extend((0..read.rows).map(|row| texts.get(row).len()));
    }
    assert_eq!(found, lengths);
}

#[test]
fn limits_hold_all_values() {
    let raised = [&[b'a'; 31][..], b"b"].concat();
    let batch = Batch {
        rows: 3,
        columns: vec![
            column(texts([&[b'a'; 99][..], &[b'a'; 40], &[b'a'; 50]])),
            Column { values: Values::Int(vec![7, -3, 99]), present: vec![true, true, false] },
            column(Values::Float(vec![0.5, f32::NAN, 1.0])),
            column(Values::Date(vec![5, 3, 4])),
            Column { values: Values::Double(vec![0.1, -0.1, 9.0]), present: vec![true, true, false] },
        ],
    };
    let bytes = round_trip(&TABLE, &[batch]);
    let (_file, _, footer) = open(&bytes, &TABLE).unwrap();
    let limits = |least, greatest| Some(Limits { least, greatest });
    assert_eq!(
        footer.blocks()[0].limits,
        [
            limits(Value::Text(vec![b'a'; 32]), Value::Text(raised)),
            limits(Value::Int(-3), Value::Int(7)),
            None,
            limits(Value::Date(3), Value::Date(5)),
            limits(Value::Double(-0.1), Value::Double(0.1)),
        ]
    );
}

#[test]
fn dates_are_read_as_texts_where_a_query_wants_them_so() {
    let rows = read_wanted(
        &pack(&TABLE, &[mixed(5_000, 0)]),
        &TABLE,
        vec![Wanted { column: 3, as_text: true }, Wanted { column: 1, as_text: false }],
    );
    let expected = shown(&mixed(5_000, 0)).into_iter().map(|row| {
        let day = row[3].parse().map_or("none".to_owned(), |days| Date::from_days(days).to_string());
        vec![day, row[1].clone()]
    });
    assert!(rows.unwrap() == expected.collect::<Vec<_>>());
}

#[test]
fn columns_are_found_by_name_and_checked() {
    let bytes = pack(&TABLE, &[mixed(10, 0)]);
    let turned = Table { columns: const { &[TABLE.columns[3], TABLE.columns[0]] }, ..TABLE };
    let expected: Vec<_> =
        shown(&mixed(10, 0)).iter().map(|row| vec![row[3].clone(), row[0].clone()]).collect();
    assert_eq!(read(&bytes, &turned).unwrap(), expected);
    let says = |columns| open(&bytes, &Table { columns, ..TABLE }).err().unwrap().to_string();
    assert!(
        says(const { &[TableColumn::new("txt", ColumnType::Text)] })
            .contains("its columns are: text, int, float, day, double")
    );
    assert!(
        says(const { &[TableColumn::new("text", ColumnType::Int)] })
            .contains("is text, but text of table mixed is an integer")
    );
    let twice = Table { columns: const { &[TABLE.columns[1], TABLE.columns[0], TABLE.columns[1]] }, ..TABLE };
    let rows = Batch { rows: 0, columns: [1, 0, 1].map(|at| mixed(0, 0).columns[at].clone()).into() };
    let bytes_of_twice = pack(&twice, &[rows]);
    let said =
        open(&bytes_of_twice, &Table { columns: &TABLE.columns[..2], ..TABLE }).err().unwrap().to_string();
    assert!(said.contains(" has more than one column int\n  try: "), "{said}");
    open(&bytes_of_twice, &Table { columns: &TABLE.columns[..1], ..TABLE }).expect("nobody asks for it");
    let newer = [b"MRP2", &bytes[4..]].concat();
    assert!(open(&newer, &TABLE).err().unwrap().to_string().contains("is of version 2"));
}

/// Small, and with every encoding.
fn small_file() -> Vec<u8> {
    let mut writer = PackedWriter::create(Vec::new(), &TABLE).unwrap();
    for seed in 0..6 {
        writer.write(&mixed(40, seed)).unwrap();
        writer.end_block().unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn every_changed_byte_and_every_cut_is_an_error() {
    let bytes = small_file();
    read(&bytes, &TABLE).unwrap();
    for at in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            let error = read(&changed, &TABLE).expect_err("a changed byte is believed").to_string();
            assert!(error.contains("packed file"), "{error}");
        }
        read(&bytes[..at], &TABLE).expect_err("a cut file is believed");
    }
    read(&[&bytes[..], b"\0"].concat(), &TABLE).expect_err("a longer file is believed");
    read(&[&bytes[..], &bytes[..]].concat(), &TABLE).expect_err("two files are believed to be one");
}

/// What a stranger wrote: a file with right checksums whatever else is in it.
fn vouched(mut bytes: Vec<u8>) -> Vec<u8> {
    let tail = bytes.len() - TAIL_BYTES;
    let length = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
    let start = tail - length;
    if let Ok(mut footer) = Footer::read(&bytes[start..tail]) {
        let mut at = MAGIC.len();
        for region in footer.blocks.iter_mut().flat_map(|block| &mut block.regions) {
            let end = (at + region.bytes as usize).min(start);
            region.checksum = checksum([&bytes[at..end]]);
            at = end;
        }
        let written = footer.write();
        if written.len() == length {
            bytes[start..tail].copy_from_slice(&written);
        }
    }
    let sum = checksum([&bytes[start..tail + 4]]);
    bytes[tail + 4..tail + 8].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn no_bytes_with_right_checksums_make_it_panic() {
    let bytes = small_file();
    assert_eq!(vouched(bytes.clone()), bytes);
    let mut refused = 0;
    // All but the tail and the magic.
    for at in MAGIC.len()..bytes.len() - TAIL_BYTES {
        for change in [1, 0x40, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            refused += usize::from(read(&vouched(changed), &TABLE).is_err());
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn what_a_writer_cannot_write_is_refused() {
    let mut writer = PackedWriter::create(Vec::new(), &TABLE).unwrap();
    let batch = mixed(10, 0);
    writer.write(&Batch { rows: 9, ..batch.clone() }).unwrap_err();
    writer.write(&Batch { columns: batch.columns[1..].to_vec(), ..batch.clone() }).unwrap_err();
    let mut other = batch.clone();
    other.columns.swap(0, 1);
    writer.write(&other).unwrap_err();
    writer.write(&batch).unwrap();
    assert_eq!(read(&writer.finish().unwrap(), &TABLE).unwrap(), shown(&batch));
}

/// A file of one column of integers, some of which are missing.
fn ints(values: &[i64], present: &[bool]) -> (Table, Vec<u8>) {
    let table = Table { columns: const { &[TableColumn::new("int", ColumnType::Long)] }, ..TABLE };
    let column = Column { values: Values::Int(values.into()), present: present.into() };
    let bytes = pack(&table, &[Batch { rows: values.len(), columns: vec![column] }]);
    (table, bytes)
}

#[test]
fn integers_beyond_an_int_column_are_misfits_unless_they_are_none() {
    let wide = 1 << 40;
    let (long, bytes) = ints(&[7, wide, wide, i64::MIN, -9], &[true, true, false, true, true]);
    let table = Table { columns: const { &[TableColumn::new("int", ColumnType::Int)] }, ..long };
    let (_file, input, footer) = open(&bytes, &table).unwrap();
    let wanted = [Wanted { column: 0, as_text: false }].into();
    let mut decoder = PackedDecoder::open(&footer, input.open().unwrap(), wanted, &[], vec![0]);
    let mut batch = Batch::default();
    decoder.next_batch(&mut batch).unwrap();
    let misfits: Vec<_> = decoder.misfits().iter().map(|misfit| (misfit.row, &misfit.reason[..19])).collect();
    assert_eq!(misfits, [(1, "1099511627776 is be"), (3, "-922337203685477580")]);
}

/// Once a file was refused for what stands in place of a day that is missing.
#[test]
fn a_missing_day_may_have_any_value() {
    let wide = 1 << 40;
    // The integers as days: their column is of another type, and the footer is longer by no limits.
    let as_days = |present: &[bool]| {
        let (long, bytes) = ints(&[5, wide, -1], present);
        let tail = bytes.len() - TAIL_BYTES;
        let length = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
        let mut footer = Footer::read(&bytes[tail - length..tail]).unwrap();
        footer.columns[0].1 = ColumnType::Date;
        footer.blocks[0].regions[0].limits = None;
        let mut bytes = bytes[..tail - length].to_vec();
        footer.end(&mut bytes).unwrap();
        (Table { columns: const { &[TableColumn::new("int", ColumnType::Date)] }, ..long }, bytes)
    };
    let (table, bytes) = as_days(&[true, false, true]);
    assert_eq!(read(&bytes, &table).unwrap(), [["5"], ["none"], ["-1"]]);
    let as_text = |bytes: &[u8]| read_wanted(bytes, &table, vec![Wanted { column: 0, as_text: true }]);
    assert_eq!(as_text(&bytes).unwrap(), [["1970-01-06"], ["none"], ["1969-12-31"]]);
    let (_, bytes) = as_days(&[]);
    for refused in [read(&bytes, &table), as_text(&bytes)] {
        assert!(refused.unwrap_err().to_string().contains("a date that has no 32 bits"));
    }
}

/// Some sixty lines of Python that know only `docs/packed-format.md`.
#[test]
fn the_document_is_enough_to_read_a_file() {
    let mut file = NamedTempFile::new().unwrap();
    let batches: Vec<_> = (0..6).map(|seed| mixed(500, seed)).collect();
    let mut writer = PackedWriter::create(Vec::new(), &TABLE).unwrap();
    for batch in &batches {
        writer.write(batch).unwrap();
        writer.end_block().unwrap();
    }
    file.write_all(&writer.finish().unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/read-packed");
    let ran = Command::new("python3").arg(script).arg(file.path()).output().expect("python3 is installed");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let expected: String = batches.iter().flat_map(shown).map(|row| row.join("\t") + "\n").collect();
    assert!(String::from_utf8(ran.stdout).unwrap() == expected, "the script reads something else");
}

proptest! {
    #[test]
    fn any_rows_come_back(
        batches in proptest::collection::vec(any_batch(proptest::collection::vec(any::<u8>(), 0..40)), 0..4),
    ) {
        round_trip(&TABLE, &batches);
    }

    /// Catches a row that is lost, that has values of another, or is counted wrongly, where only some rows of a region are decoded.
    #[test]
    fn rows_inside_of_ranges_are_given_as_they_are(
        batches in proptest::collection::vec(any_batch(proptest::collection::vec(any::<u8>(), 0..40)), 0..4),
        ranges in proptest::collection::vec(any_range(), 0..3),
    ) {
        check_filtered(&batches, &ranges);
    }
}

/// Packs each batch as a block of its own, and reads the rows of some ranges.
fn check_filtered(batches: &[Batch], ranges: &[ColumnRange]) -> PassedOver {
    let mut writer = PackedWriter::create(Vec::new(), &TABLE).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
        writer.end_block().unwrap();
    }
    let (_file, input, footer) = open(&writer.finish().unwrap(), &TABLE).unwrap();
    let wanted = (0..TABLE.columns.len()).map(|column| Wanted { column, as_text: false }).collect();
    let blocks = (0..footer.blocks().len()).collect();
    let mut decoder = PackedDecoder::open(&footer, input.open().unwrap(), wanted, ranges, blocks);
    let (rows, passed) = given(&mut decoder).unwrap();
    check_given(batches, ranges, &rows, passed);
    passed
}

/// Every encoding, more rows than a batch has, and batches without a row of the range between others.
#[test]
fn rows_of_every_encoding_are_skipped() {
    let batches: Vec<_> = (0..24).map(|seed| mixed(3_000 + seed * 600, seed)).collect();
    let day = |days| Bound::Included(Value::Date(days));
    for (from, to) in [(3_000, 3_002), (3_100, 3_400), (3_333, 3_333), (9_999, 9_999), (3_700, 9_999)] {
        let range = ColumnRange { column: 3, from: day(from), to: day(to) };
        let passed = check_filtered(&batches, &[range]);
        assert!(passed.filtered_rows > 60_000, "{passed:?}");
    }
    // No row of a block is in the range, although the block's bounds allow it.
    let mut batches = [0, 1, 2].map(|seed| mixed(9_000, seed));
    batches.iter_mut().for_each(|batch| {
        batch.columns[3] = column(Values::Date((0..9_000).map(|row| row % 2 * 9).collect()));
    });
    let passed = check_filtered(&batches, &[ColumnRange { column: 3, from: day(4), to: day(5) }]);
    assert_eq!(passed, PassedOver { unread_rows: 0, filtered_rows: 27_000, pages: 3 * 4 });
}

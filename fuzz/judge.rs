//! The CSV reader against a plain one: the body that the fuzz target and the ordinary tests share.
//!
//! The plain reader goes byte by byte through the whole file and is easy to believe. The real one reads the same file in
//! splits and blocks of any size, and must give the same rows, the same bad records, and say where they are.

use std::collections::BTreeSet;

use millrace::Error;
use millrace::input::{BadRecords, Block, FormatChoice, Input, InputOptions, Row, miscut_files};
use millrace::tables::{Column, ColumnType, Layout, Table};

const fn text(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Text }
}

const TRIPLES: Table = Table {
    name: "triples",
    columns: &[text("first"), text("second"), text("third")],
    layout: Layout::Delimited(b','),
};
const SINGLES: Table = Table { name: "singles", columns: &[text("only")], layout: Layout::Delimited(b',') };
const LINES: Table = Table { name: "lines", columns: &[text("only")], layout: Layout::Lines };

/// What may stand in front of the first row.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// In another order than the table, with a column left out, and one that not all bytes fit.
#[derive(serde::Deserialize)]
struct Pair<'a> {
    third: &'a [u8],
    first: &'a str,
}

impl Row for Pair<'_> {
    type Of<'a> = Pair<'a>;
}

#[derive(serde::Deserialize)]
struct Single<'a> {
    only: &'a [u8],
}

impl Row for Single<'_> {
    type Of<'a> = Single<'a>;
}

type Values = Vec<Vec<u8>>;

/// Judges the reader on a file whose content, split size and block size are all made of these bytes.
pub(crate) fn judge_bytes(bytes: &[u8]) {
    let [split, block, content @ ..] = bytes else { return };
    // Files that start as compressed or column files do are read as such, whatever they are called.
    let foreign = |byte| b"\x02\x04\x1f\x287BMPQRSTUVWXYZ[\\]^_x\xfd\xff".contains(byte);
    let beginning = if content.first().is_some_and(foreign) { &b"a"[..] } else { b"" };
    let content = &[beginning, content].concat();
    judge(content, u64::from(*split) + 1, usize::from(*block) + 1);
}

/// Judges the reader on one file. Panics where it is wrong.
pub(crate) fn judge(content: &[u8], split_bytes: u64, block_bytes: usize) {
    judge_file(("part-0", content), content, split_bytes, block_bytes);
}

/// Judges the reader on a file of this name and these bytes, of which `content` is the text.
pub(crate) fn judge_file((name, bytes): (&str, &[u8]), content: &[u8], split_bytes: u64, block_bytes: usize) {
    let data = tempfile::tempdir().expect("a temporary directory");
    for table in [TRIPLES, SINGLES, LINES] {
        let directory = data.path().join("csv/any").join(table.name);
        std::fs::create_dir_all(&directory).expect("a directory");
        std::fs::write(directory.join(name), bytes).expect("a file");
    }
    let sizes = (split_bytes, block_bytes);
    for bad_records in [BadRecords::Skip, BadRecords::Fail] {
        let options = InputOptions {
            data: data.path().to_path_buf(),
            set: "any".to_owned(),
            format: FormatChoice::default(),
            split_bytes: None,
            bad_records,
            peers: 1,
            may_be_empty: false,
            stores: Default::default(),
        };
        let take = |pair: Pair| vec![pair.third.to_vec(), pair.first.as_bytes().to_vec()];
        let fit = |mut fields: Values| {
            std::str::from_utf8(&fields[0]).ok()?;
            fields.swap(0, 2);
            fields.remove(1);
            Some(fields)
        };
        judge_table::<Pair>(&TRIPLES, (content, bytes.len() as u64), &options, sizes, take, fit);
        judge_table::<Single>(
            &SINGLES,
            (content, bytes.len() as u64),
            &options,
            sizes,
            |row| vec![row.only.to_vec()],
            Some,
        );
        judge_table::<Single>(
            &LINES,
            (content, bytes.len() as u64),
            &options,
            sizes,
            |row| vec![row.only.to_vec()],
            Some,
        );
    }
}

fn judge_table<R: Row>(
    table: &Table,
    (content, file_bytes): (&[u8], u64),
    options: &InputOptions,
    (split_bytes, block_bytes): (u64, usize),
    take: impl Fn(R::Of<'_>) -> Values,
    fit: impl Fn(Values) -> Option<Values>,
) {
    let mut rows = Vec::new();
    let mut bad = Vec::new();
    for (start, fields) in plain_rows(content, table) {
        match fields.and_then(&fit) {
            Some(row) => rows.push(row),
            None => bad.push(start as u64),
        }
    }
    let input = Input::<R>::open(table, options).expect("a plan").with_sizes(split_bytes, block_bytes);
    let name = table.name;
    match (read(&input, take), options.bad_records) {
        (Ok((read, total)), mode) => {
            assert!(
                mode == BadRecords::Skip || bad.is_empty(),
                "{name}: bad records at {bad:?} were not noticed"
            );
            assert_eq!(read, rows, "{name}");
            let expected = Block {
                rows: rows.len() as u64,
                bytes: file_bytes,
                text_bytes: content.len() as u64,
                bad_records: bad.len() as u64,
            };
            assert_eq!(total, expected, "{name}");
        }
        (Err(Error::BadRecord(record)), BadRecords::Fail) => {
            assert!(bad.contains(&record.byte), "{name}: {record} is not one of those at {bad:?}");
            let newlines = content[..record.byte as usize].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(record.line, Some(newlines as u64 + 1), "{name}");
        }
        (Err(error), _) => panic!("{name}: {error}"),
    }
}

/// What the job layer does: all splits, and once more without cuts where they were wrong.
fn read<R: Row>(input: &Input<R>, take: impl Fn(R::Of<'_>) -> Values) -> Result<(Vec<Values>, Block), Error> {
    let mut input = input.clone();
    let mut known_miscut = BTreeSet::new();
    loop {
        let mut rows = Vec::new();
        let mut total = Block::default();
        let mut extents = Vec::new();
        for split in input.splits() {
            let mut reader = input.open_split(split)?;
            while let Some(block) = reader.next_block(|row| rows.push(take(row)))? {
                total.rows += block.rows;
                total.bytes += block.bytes;
                total.text_bytes += block.text_bytes;
                total.bad_records += block.bad_records;
            }
            extents.push((split.file, reader.extent()));
        }
        let miscut = miscut_files(&mut extents, input.files());
        if miscut.is_empty() {
            return Ok((rows, total));
        }
        assert!(known_miscut.is_disjoint(&miscut), "a file that is not cut cannot be miscut: {miscut:?}");
        input = input.uncut(&miscut);
        known_miscut.extend(miscut);
    }
}

/// Where each row starts, and its fields; `None` for a row that does not fit the table. Skips blank lines.
fn plain_rows(content: &[u8], table: &Table) -> Vec<(usize, Option<Values>)> {
    let (delimiter, quoting) = match table.layout {
        Layout::Delimited(delimiter) => (Some(delimiter), true),
        Layout::Lines | Layout::Pages => (None, false),
    };
    let mut rows = Vec::new();
    let mut at = if content.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    while at < content.len() {
        let start = at;
        let mut fields = Vec::new();
        let mut good = true;
        let mut quotes = false;
        loop {
            let mut value = Vec::new();
            let quoted = quoting && content.get(at) == Some(&b'"');
            if quoted {
                quotes = true;
                at += 1;
                loop {
                    match (content.get(at), content.get(at + 1)) {
                        (Some(b'"'), Some(b'"')) => at += 1,
                        (Some(b'"'), _) => break,
                        (None, _) => {
                            good = false;
                            break;
                        }
                        _ => {}
                    }
                    value.push(content[at]);
                    at += 1;
                }
                at += 1;
            }
            let mut rest = Vec::new();
            while let Some(byte) = content.get(at).filter(|byte| **byte != b'\n' && Some(**byte) != delimiter)
            {
                rest.push(*byte);
                at += 1;
            }
            let row_ends = content.get(at).is_none_or(|byte| *byte == b'\n');
            at += 1;
            if row_ends && rest.last() == Some(&b'\r') {
                rest.pop();
            }
            good &= !quoted || rest.is_empty();
            value.extend(rest);
            fields.push(value);
            if row_ends {
                break;
            }
        }
        if table.columns.len() > 1 && !quotes && fields.len() == 1 && fields[0].is_empty() {
            continue;
        }
        good &= fields.len() == table.columns.len();
        rows.push((start, good.then_some(fields)));
    }
    rows
}

//! The CSV reader and the plan it reads by: against a plain reader on any bytes, and its exact messages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use millrace::Error;
use millrace::input::{BadRecords, Block, FormatChoice, Input, InputOptions, Row, miscut_files};
use millrace::tables::{DOCUMENTS, Date, RANKINGS, Table, USERVISITS};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

#[path = "../../fuzz/judge.rs"]
pub(crate) mod judge;

/// Fields of rows that mostly fit.
const FIELDS: [&[u8]; 9] = [
    b"a",
    b"bcd",
    b"",
    b"\"e,\"",
    b"\"f\n\"\"g\"",
    b"h\"i",
    b"\"\"",
    b"\xff",
    b"a much longer field without any quotes",
];

/// Bytes that are mostly the ones with a meaning.
pub(crate) fn any_text(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        8 => proptest::sample::select(b"\",\n\r".as_slice()),
        4 => proptest::sample::select(b"abc".as_slice()),
        1 => any::<u8>(),
    ];
    // Rows of three fields, or hardly any row would fit.
    let field = proptest::collection::vec(byte, 0..8);
    let row = proptest::collection::vec(proptest::sample::select(FIELDS.as_slice()), 3)
        .prop_map(|fields| [fields.join(&b','), b"\n".to_vec()].concat());
    let piece = prop_oneof![3 => row, 1 => field];
    proptest::collection::vec(piece, 0..longest).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A row lost, doubled or joined at the edge of a split or a block; a quote taken for what it is not.
    #[test]
    fn any_bytes_in_any_splits(
        mark in 0_usize..=6,
        content in any_text(12),
        split_bytes in 1_u64..60,
        block_bytes in 1_usize..60,
    ) {
        // Often a whole byte order mark, or what looks like one.
        let content = [&judge::BYTE_ORDER_MARK[..mark.min(3)], &content].concat();
        judge::judge(&content, split_bytes, block_bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The same across chunks of the index and with blocks of pages.
    #[test]
    fn longer_files(content in any_text(12), times in 1_usize..3000, shift in 0_usize..64, split_bytes in 20_000_u64..80_000) {
        let content = [&b"x".repeat(shift)[..], b",,\n", &content.repeat(times)].concat();
        judge::judge(&content, split_bytes, 32 << 10);
    }
}

/// What the fuzz target does, without a fuzzer: it always runs.
#[test]
fn seeded_random_bytes() {
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for _ in 0..300 {
        let bytes: Vec<u8> = (0..random.next_u32() % 80)
            .map(|_| match random.next_u32() % 8 {
                0..2 => b'"',
                2..4 => b',',
                4 => b'\n',
                5 => b"\r\nab"[random.next_u32() as usize % 4],
                _ => random.next_u32() as u8,
            })
            .collect();
        judge::judge_bytes(&bytes);
    }
}

/// A fuzzer finds the beginnings of all formats that are told by them, which are none of the reader's business.
#[test]
fn beginnings_of_other_formats_are_not_judged() {
    let beginnings: [&[u8]; 12] = [
        b"MRP1\r\n\x1a\n",
        b"PAR1\x15",
        b"\x1f\x8b\x08",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
        b"\x57\x2a\x4d\x18",
        b"\xff\x06\x00\x00sNaPpY",
        b"BZh9\x31\x41\x59\x26\x53\x59",
        b"\x02\x21\x4c\x18",
        b"\xfd7zXZ\0",
        b"PK\x03\x04",
        b"7z\xbc\xaf\x27\x1c",
    ];
    for beginning in beginnings {
        judge::judge_bytes(&[b"\x0a\x00", beginning, b"\x16\x03"].concat());
    }
}

#[derive(serde::Deserialize)]
pub(crate) struct Page {
    #[serde(rename = "pageRank")]
    pub(crate) rank: i32,
}

impl Row for Page {
    type Of<'a> = Page;
}

#[derive(serde::Deserialize)]
struct Visit<'a> {
    #[serde(rename = "adRevenue")]
    ad_revenue: f32,
    #[serde(rename = "visitDate")]
    date: Date,
    #[serde(rename = "sourceIP")]
    source_ip: &'a [u8],
    duration: Option<i32>,
}

impl Row for Visit<'_> {
    type Of<'a> = Visit<'a>;
}

#[derive(serde::Deserialize)]
struct Line<'a> {
    line: &'a [u8],
}

impl Row for Line<'_> {
    type Of<'a> = Line<'a>;
}

/// A set `s` with these files of a table.
pub(crate) fn data_with(table: &Table, files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().join("csv/s").join(table.name);
    fs::create_dir_all(&directory).unwrap();
    for (name, content) in files {
        fs::write(directory.join(name), content).unwrap();
    }
    data
}

pub(crate) fn options(data: &Path) -> InputOptions {
    InputOptions {
        data: data.to_path_buf(),
        set: "s".to_owned(),
        format: FormatChoice::Auto,
        split_bytes: None,
        bad_records: BadRecords::Fail,
        peers: 2,
        ..InputOptions::default()
    }
}

/// Everything of all splits, in order.
pub(crate) fn read_all<R: Row, T>(
    input: &Input<R>,
    mut take: impl FnMut(R::Of<'_>) -> T,
) -> Result<(Vec<T>, Block), Error> {
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
    assert!(miscut_files(&mut extents, input.files()).is_empty());
    Ok((rows, total))
}

fn ranks(content: &[u8]) -> Result<Vec<i32>, Error> {
    let data = data_with(&RANKINGS, &[("part-0", content)]);
    let input = Input::<Page>::open(&RANKINGS, &options(data.path()))?;
    // Whole: there may be newlines in quotes anywhere.
    read_all(&input.uncut(&BTreeSet::from([0])), |page| page.rank).map(|(rows, _)| rows)
}

/// The message of a bad record, the directory of the test taken out.
pub(crate) fn message<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    let text = result.unwrap_err().to_string();
    match text.split_once("bad record in ") {
        Some((before, after)) => format!("{before}bad record in …{}", &after[after.find("/csv/").unwrap()..]),
        None => text,
    }
}

#[test]
fn line_ends_of_every_kind() {
    for content in [
        "a,1,2\nb,3,4\n",
        "a,1,2\nb,3,4",
        "a,1,2\r\nb,3,4\r\n",
        "a,1,2\r\nb,3,4\r",
        "\na,1,2\n\r\n\nb,3,4\n\n",
    ] {
        assert_eq!(ranks(content.as_bytes()).unwrap(), [1, 3], "{content:?}");
    }
    assert_eq!(ranks(b"").unwrap(), [0; 0]);
    assert_eq!(ranks(b"\n").unwrap(), [0; 0]);
}

#[test]
fn a_byte_order_mark_did_become_a_part_of_the_first_key() {
    let lines = |content: &[u8]| {
        let data = data_with(&DOCUMENTS, &[("part-0", content)]);
        let input = Input::<Line>::open(&DOCUMENTS, &options(data.path())).unwrap();
        read_all(&input, |line| line.line.to_vec()).unwrap().0
    };
    assert_eq!(
        lines(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n"),
        [&b"a"[..], b"\xef\xbb\xbfb"],
        "only in front of all"
    );
    assert_eq!(lines(b"\xef\xbb\xbf"), [[0; 0]; 0], "nothing else is no row");
    assert_eq!(lines(b"\xef\xbb"), [b"\xef\xbb"], "half of one is text");
    assert_eq!(ranks(b"\xef\xbb\xbf\"a\n,b\",1,2\nc,3,4\n").unwrap(), [1, 3], "a quoted field behind it");
    // Bytes in errors are those of the file.
    for (content, place) in [
        (
            &b"\xef\xbb\xbfa,x,2\n"[..],
            "byte 3, line 1, column pageRank: cannot read `x` as i32\n  record: a,x,2",
        ),
        (
            b"\xef\xbb\xbf\"a\",1,2\nb,x,2\n",
            "byte 11, line 2, column pageRank: cannot read `x` as i32\n  record: b,x,2",
        ),
    ] {
        let said = message(ranks(content));
        assert_eq!(said, format!("bad record in …/csv/s/rankings/part-0, {place}"));
    }
}

#[test]
fn unread_columns_may_hold_any_bytes() {
    assert_eq!(
        ranks(b"\xff\x00\xfe,-1,not a number\nhe said \"so,+2,\n\"x\"\"\n,y\",3,\"\"\n").unwrap(),
        [-1, 2, 3]
    );
}

#[test]
fn visits_with_exponents_early_dates_and_empty_fields() {
    let content = b"1.2.3.4,u,1969-12-31,4.5E-4,agent,USA,USA-EN,word,7\r\n,u,1970-01-02,.5,a,,,,\n";
    let data = data_with(&USERVISITS, &[("part-0", content)]);
    let input = Input::<Visit>::open(&USERVISITS, &options(data.path())).unwrap();
    let take = |visit: Visit| (visit.ad_revenue, visit.date.days(), visit.source_ip.to_vec(), visit.duration);
    let (rows, total) = read_all(&input, take).unwrap();
    assert_eq!(rows, [(4.5e-4, -1, b"1.2.3.4".to_vec(), Some(7)), (0.5, 1, Vec::new(), None)]);
    assert_eq!(
        total,
        Block { rows: 2, bytes: content.len() as u64, text_bytes: content.len() as u64, bad_records: 0 }
    );
}

#[test]
fn a_line_of_a_document_is_whatever_stands_in_it() {
    let data = data_with(&DOCUMENTS, &[("part-0", b"\"not, closed\n\n\xff,\"\"\nlast")]);
    let input = Input::<Line>::open(&DOCUMENTS, &options(data.path())).unwrap();
    let (lines, _) = read_all(&input.with_sizes(3, 4), |line| line.line.to_vec()).unwrap();
    assert_eq!(lines, [&b"\"not, closed"[..], b"", b"\xff,\"\"", b"last"]);
}

#[test]
fn one_huge_row_among_small_ones() {
    let url = "u".repeat(3_000_000);
    let quoted = ",\n\"\"".repeat(500_000);
    let content = format!("a,1,2\n{url},2,2\n\"{quoted}\",3,2\nb,4,2\n");
    assert_eq!(ranks(content.as_bytes()).unwrap(), [1, 2, 3, 4]);
    let data = data_with(&RANKINGS, &[("part-0", format!("a,1,2\n{url},2,2\nb,3,2\n").as_bytes())]);
    let input = Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap();
    let (rows, _) = read_all(&input.with_sizes(100_000, 4096), |page| page.rank).unwrap();
    assert_eq!(rows, [1, 2, 3]);
}

#[test]
fn a_row_past_the_limit_is_an_error_and_not_all_memory() {
    let content = [b"a,1,2\n\"".to_vec(), b"x".repeat(80 << 20)].concat();
    let expected = "bad record in …/csv/s/rankings/part-0, byte 6, line 2: a row may be up to 64 MiB long (is a quote not \
                    closed?)\n  record: \\\"xxx";
    let text = message(ranks(&content));
    assert!(text.starts_with(expected), "{}", &text[..300]);
}

#[test]
fn bad_records_are_named_exactly() {
    for (content, expected) in [
        ("a,1,2\nb,3\n", ", byte 6, line 2: expected 3 fields, found 2\n  record: b,3"),
        ("a,1,2\nb,3", ", byte 6, line 2: expected 3 fields, found 2\n  record: b,3"),
        ("a,1,2\r\nb,3,4,5\r\n", ", byte 7, line 2: expected 3 fields, found 4\n  record: b,3,4,5"),
        ("a,1,2\nb\n", ", byte 6, line 2: expected 3 fields, found 1\n  record: b"),
        ("a,x1,2\n", ", byte 0, line 1, column pageRank: cannot read `x1` as i32\n  record: a,x1,2"),
        ("a,,2\n", ", byte 0, line 1, column pageRank: the field is empty, expected i32\n  record: a,,2"),
        (
            "a,4294967296,2",
            ", byte 0, line 1, column pageRank: cannot read `4294967296` as i32\n  record: a,4294967296,2",
        ),
        (
            "\"a\nb\",1,2\n\"c\"d,1,2\n",
            ", byte 10, line 3: text follows the closing quote of a field\n  record: \\\"c\\\"d,1,2",
        ),
        ("a,1,2\n\"b,1,2\n", ", byte 6, line 2: a quoted field is not closed\n  record: \\\"b,1,2"),
    ] {
        assert_eq!(
            message(ranks(content.as_bytes())),
            format!("bad record in …/csv/s/rankings/part-0{expected}")
        );
    }
}

#[test]
fn skipped_records_are_counted() {
    let data = data_with(&RANKINGS, &[("part-0", b"a,1,2\nb,x,2\nc\n\"d\"e,1,1\nf,2,3\n")]);
    let options = InputOptions { bad_records: BadRecords::Skip, ..options(data.path()) };
    let (rows, total) =
        read_all(&Input::<Page>::open(&RANKINGS, &options).unwrap(), |page| page.rank).unwrap();
    assert_eq!(rows, [1, 2]);
    assert_eq!(total, Block { rows: 2, bytes: 29, text_bytes: 29, bad_records: 3 });
}

/// A split that starts inside a quoted field sees bad records that are none: it must not report them.
#[test]
fn a_cut_in_a_quoted_field_is_noticed_and_nothing_else_is_said() {
    let inside = "x,y\n".repeat(50);
    let content = format!("\"{inside}\",1,2\n\"{inside}\",2,2\n");
    let data = data_with(&RANKINGS, &[("part-0", content.as_bytes()), ("part-1", b"c,3,4\n")]);
    for bad_records in [BadRecords::Fail, BadRecords::Skip] {
        let options = InputOptions { bad_records, ..options(data.path()) };
        let cut = Input::<Page>::open(&RANKINGS, &options).unwrap().with_sizes(40, 64);
        let mut extents = Vec::new();
        for split in cut.splits() {
            let mut reader = cut.open_split(split).unwrap();
            while reader.next_block(|_| ()).unwrap().is_some() {}
            extents.push((split.file, reader.extent()));
        }
        let miscut = miscut_files(&mut extents, cut.files());
        assert_eq!(miscut.iter().copied().collect::<Vec<_>>(), [0]);
        let (rows, _) = read_all(&cut.uncut(&miscut), |page| page.rank).unwrap();
        assert_eq!(rows, [1, 2, 3]);
    }
}

#[test]
fn a_file_that_shows_a_quote_early_is_not_cut() {
    let plain = "a,1,2\n".repeat(100_000);
    let quoted = format!("\"a\",1,2\n{plain}");
    let data = data_with(&RANKINGS, &[("part-0", plain.as_bytes()), ("part-1", quoted.as_bytes())]);
    let input = Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap();
    let splits_of = |file| input.splits().iter().filter(|split| split.file == file).count();
    assert!(splits_of(0) > 4);
    assert_eq!(splits_of(1), 1);
    assert_eq!(read_all(&input, |page| page.rank).unwrap().1.rows, 200_001);
}

#[test]
fn a_file_that_shrinks_is_an_error() {
    let data = data_with(&RANKINGS, &[("part-0", b"a,1,2\nb,3,4\n")]);
    let input = Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap();
    fs::write(&input.files()[0].path, b"a,1,2\n").unwrap();
    let text = message(read_all(&input, |page| page.rank));
    assert!(
        text.starts_with("cannot read ")
            && text.ends_with("it had 12 bytes when the job was planned and has become shorter"),
        "{text}"
    );
}

#[test]
fn the_plan_lists_sorted_files_and_passes_over_marks() {
    let files: [(&str, &[u8]); 5] = [
        ("part-1", b"b,2,2\n"),
        ("part-0", b"a,1,2\n"),
        ("_SUCCESS", b"x"),
        (".part-0.crc", b"x"),
        ("part-2", b""),
    ];
    let data = data_with(&RANKINGS, &files);
    let input = Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap();
    let names: Vec<_> = input
        .files()
        .iter()
        .map(|file| (file.path.file_name().unwrap().to_str().unwrap(), file.bytes))
        .collect();
    assert_eq!(names, [("part-0", 6), ("part-1", 6), ("part-2", 0)]);
    assert_eq!((input.bytes(), input.splits().len()), (12, 2));
    assert_eq!(input.assigned(1, 2).map(|split| split.index).collect::<Vec<_>>(), [1]);
    assert_eq!(read_all(&input, |page| page.rank).unwrap().0, [1, 2]);

    let same = data_with(&RANKINGS, &files);
    let digest = |data: &Path| Input::<Page>::open(&RANKINGS, &options(data)).unwrap().digest();
    assert_eq!(digest(same.path()), input.digest(), "names and sizes count, not the directory");
    fs::write(same.path().join("csv/s/rankings/part-2"), b"c,3,3\n").unwrap();
    assert_ne!(digest(same.path()), input.digest());

    fs::create_dir(same.path().join("csv/s/rankings/part-3")).unwrap();
    let text = message(Input::<Page>::open(&RANKINGS, &options(same.path())).map(|_| ()));
    assert!(
        text.contains(
            "part-3 is not a regular file: a table's files lie in its directory, without folders between\n  try: "
        ),
        "{text}"
    );
}

#[test]
fn a_directory_of_files_that_is_no_table_says_how_to_read_it() {
    let data = tempfile::tempdir().expect("a directory");
    std::fs::write(data.path().join("visits.csv"), "1,2\n").expect("written");
    let text = message(Input::<Visit>::open(&USERVISITS, &options(data.path())).map(|_| ()));
    let expected = format!("\n  to read the files of that directory: --data '{}/*'", data.path().display());
    assert!(text.ends_with(&expected), "{text}");
}

#[test]
fn a_missing_table_says_what_there_is() {
    let data = data_with(&RANKINGS, &[("part-0", b"")]);
    let text = message(Input::<Visit>::open(&USERVISITS, &options(data.path())).map(|_| ()));
    let directory = data.path().display();
    assert_eq!(
        text,
        format!(
            "there is no table uservisits in set s: no directory {directory}/packed/s/uservisits or \
             {directory}/parquet/s/uservisits or {directory}/csv/s/uservisits\n  there is: csv/s/rankings\n  to make one: cargo run --release --bin generate -- --data {directory} --rows 10M --name s"
        )
    );
}

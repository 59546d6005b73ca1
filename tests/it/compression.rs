//! Compressed input: every compression in many streams and block sizes, files of other programs, and damage of every kind.
//!
//! Would catch a row lost or doubled where streams or blocks meet, a file of another program that is not understood, and,
//! above all, a damaged file that gives a smaller answer instead of an error.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use millrace::Error;
use millrace::formats::compression::{Compression, Encoder};
use millrace::input::{Input, Row};
use millrace::tables::{DOCUMENTS, RANKINGS};
use proptest::prelude::*;
use rustix::process::Signal;

use crate::csv::judge::{self, BYTE_ORDER_MARK};
use crate::csv::{Page, any_text, data_with, options, read_all};
use crate::support::{Home, Ran, Random, rows};

#[path = "../../fuzz/compression.rs"]
mod shared;

use shared::{compress, name, text_of};

fn any_compression() -> impl Strategy<Value = Compression> {
    proptest::sample::select(Compression::ALL.as_slice())
}

/// The text in as many pieces as there are places to cut it at, some of them empty.
fn pieces<'a>(text: &'a [u8], cuts: &[proptest::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(text.len());
    let mut start = 0;
    cuts.into_iter().map(|cut| &text[std::mem::replace(&mut start, cut)..cut]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// A row lost, doubled or joined where a stream or a block ends; an end that is noticed late or twice.
    #[test]
    fn any_text_in_any_streams(
        compression in any_compression(),
        mark in 0_usize..=6,
        text in any_text(12),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
        block_bytes in 1_usize..60,
    ) {
        let text = [&BYTE_ORDER_MARK[..mark.min(3)], &text].concat();
        let file = compress(compression, &pieces(&text, &cuts));
        judge::judge_file((&name(compression), &file), &text, 1, block_bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    /// The same over many blocks of the compressed file, of its decoder and of the reader.
    #[test]
    fn longer_files(
        compression in any_compression(),
        text in any_text(40),
        noise in proptest::collection::vec(any::<u8>(), 0..120_000),
        times in 1_usize..500,
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..3),
    ) {
        // What hardly compresses, as one column that may hold any bytes.
        let noise: Vec<u8> = noise.into_iter().filter(|byte| !b"\",\n\r".contains(byte)).collect();
        let text = [&text.repeat(times)[..], b"\n", &noise[..], b",,\n", &text.repeat(times)].concat();
        let file = compress(compression, &pieces(&text, &cuts));
        judge::judge_file((&name(compression), &file), &text, 1, 256 << 10);
    }
}

/// What the fuzz target does, without a fuzzer: it always runs.
#[test]
fn seeded_random_bytes() {
    let mut random = crate::support::Random(11);
    for _ in 0..400 {
        let length = random.below(120);
        let bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        shared::judge_bytes(&bytes);
    }
}

#[derive(serde::Deserialize)]
struct Line<'a> {
    line: &'a [u8],
}

impl Row for Line<'_> {
    type Of<'a> = Line<'a>;
}

/// The lines of a table of plain lines in one file, which no CSV rule helps to tell from others.
fn lines(name: &str, file: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let data = data_with(&DOCUMENTS, &[(name, file)]);
    let input = Input::<Line>::open(&DOCUMENTS, &options(data.path()))?;
    read_all(&input, |line| line.line.to_vec()).map(|(lines, _)| lines)
}

/// The text of the only file, read as the plan says; much faster than rows in a debug build.
fn text_in(data: &Path) -> Option<Vec<u8>> {
    let input = Input::<Line>::open(&DOCUMENTS, &options(data)).ok()?;
    let [file] = input.files() else { panic!("one file") };
    text_of(&file.path, file.compression?, 4096).ok()
}

fn message(outcome: Result<impl Sized, Error>) -> String {
    let text = outcome.err().expect("an error").to_string();
    match text.split_once("/csv/s/") {
        Some((_, after)) => format!("…/csv/s/{after}"),
        None => text,
    }
}

/// Lengths at which a snappy file may end: between two chunks.
fn chunk_ends(file: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some([_, low, middle, high]) = file.get(at..at + 4) {
        at += 4 + u32::from_le_bytes([*low, *middle, *high, 0]) as usize;
        ends.push(at);
    }
    ends
}

/// A text whose lines are all different, so that none can stand for another.
fn small_text(lines: usize) -> Vec<u8> {
    (0..lines).flat_map(|line| format!("line {line} of {}\n", line * line * 7919).into_bytes()).collect()
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_an_error() {
    let text = small_text(30);
    let halves = text.split_at(200);
    for compression in Compression::ALL {
        let first = compress(compression, &[halves.0]);
        let file = compress(compression, &[halves.0, halves.1]);
        let mut allowed = vec![first.len()];
        if compression == Compression::Snappy {
            allowed = chunk_ends(&file);
        }
        let data = data_with(&DOCUMENTS, &[(&name(compression), &file)]);
        let path = data.path().join("csv/s/documents").join(name(compression));
        let cut = fs::File::options().write(true).open(path).unwrap();
        for length in (0..file.len()).rev() {
            cut.set_len(length as u64).unwrap();
            assert!(
                text_in(data.path()).is_none() || allowed.contains(&length),
                "{compression:?} cut off after {length} of {} bytes is read",
                file.len()
            );
        }
        // Far from the start as well, where nothing but the end is missing.
        let long = compress(compression, &[&small_text(40_000)]);
        for missing in [1, 2, 4, 5, 100] {
            let cut = lines(&name(compression), &long[..long.len() - missing]);
            assert!(cut.is_err(), "{compression:?} without its last {missing} bytes is read");
        }
    }
}

#[test]
fn a_changed_byte_is_an_error_or_changes_nothing() {
    let text = small_text(12);
    let halves = text.split_at(80);
    for compression in Compression::ALL {
        let name = name(compression);
        let file = compress(compression, &[halves.0, halves.1]);
        let data = data_with(&DOCUMENTS, &[(&name, &file)]);
        let path = data.path().join("csv/s/documents").join(&name);
        // Writing such a file anew thousands of times would wait for the disk.
        let changed = fs::File::options().write(true).open(path).unwrap();
        assert!(text_in(data.path()).as_ref() == Some(&text), "{compression:?}");
        for (place, change) in (0..file.len()).flat_map(|place| [1, 0x80, 0xff].map(|bits| (place, bits))) {
            changed.write_all_at(&[file[place] ^ change], place as u64).unwrap();
            if let Some(read) = text_in(data.path()) {
                assert!(
                    read == text,
                    "{compression:?} with byte {place} changed by {change:#x} is another text"
                );
            }
            changed.write_all_at(&[file[place]], place as u64).unwrap();
        }
    }
}

#[test]
fn what_follows_the_last_stream_is_an_error() {
    let text = small_text(3);
    for compression in Compression::ALL {
        let file = compress(compression, &[&text]);
        for behind in [&b"garbage and more of it"[..], b"\0", &[0; 512], b"\n"] {
            let said = message(lines(&name(compression), &[&file[..], behind].concat()));
            let place = match compression {
                // Its chunks have no last one.
                Compression::Snappy => "…/csv/s/documents/part-0.sz: it".to_owned(),
                _ => format!(
                    "data ends at byte {}, and the {} bytes behind are none",
                    file.len(),
                    behind.len()
                ),
            };
            let place = place.trim_end_matches(" it").trim_end_matches(':');
            assert!(said.contains(place), "{compression:?}: {said}");
        }
    }
}

#[test]
fn damage_is_told_with_file_and_byte() {
    let text = small_text(30);
    let file = compress(Compression::Gzip, &[&text]);
    let length = file.len();
    let told = |file: &[u8]| message(lines("part-0.gz", file));
    assert_eq!(
        told(&file[..length - 3]),
        format!(
            "…/csv/s/documents/part-0.gz: it is cut off: it ends at byte {}, in the middle of its gzip data",
            length - 3
        )
    );
    let mut changed = file.clone();
    changed[length - 8] ^= 1;
    assert_eq!(
        told(&changed),
        format!(
            "…/csv/s/documents/part-0.gz: its gzip data is damaged, which shows at byte {}: incorrect data check",
            length - 4
        )
    );
    let data = data_with(&DOCUMENTS, &[("part-0.gz", &file)]);
    let input = Input::<Line>::open(&DOCUMENTS, &options(data.path())).unwrap();
    fs::write(&input.files()[0].path, &file[..20]).unwrap();
    let shrunk = message(read_all(&input, |_| ()));
    assert!(
        shrunk.ends_with(&format!("it had {length} bytes when the job was planned and has become shorter")),
        "{shrunk}"
    );
}

/// What is said of a cut, of a wrong checksum, and of what follows the last stream, of every compression.
#[test]
fn damage_of_every_compression_is_told_with_file_and_byte() {
    let text = small_text(30);
    for compression in Compression::ALL {
        let (file, of, name) = (compress(compression, &[&text]), name(compression), compression.name());
        let told = |file: &[u8]| message(lines(&of, file));
        let length = file.len();
        let cut = format!(
            "…/csv/s/documents/{of}: it is cut off: it ends at byte {}, in the middle of its {name} data",
            length - 3
        );
        assert_eq!(told(&file[..length - 3]), cut);

        let checksum = match compression {
            // Behind the mark of the format and the head of the first chunk.
            Compression::Snappy => 10 + 4,
            // The size follows.
            Compression::Gzip => length - 8,
            // Bits that fill the last byte may follow.
            Compression::Bzip2 => length - 3,
            Compression::Deflate | Compression::Zstd | Compression::Lz4 => length - 1,
        };
        let mut changed = file.clone();
        changed[checksum] ^= 1;
        let said = told(&changed);
        let start = format!("…/csv/s/documents/{of}: its {name} data is damaged, which shows at byte ");
        let shown = said.strip_prefix(&start).and_then(|rest| rest.split_once(": ")?.0.parse::<usize>().ok());
        assert!(shown.is_some_and(|byte| byte <= length), "{said}");

        let garbage = b"garbage and more of it";
        let said = told(&[&file[..], garbage].concat());
        let behind = match compression {
            // Its chunks have no last one: what follows is another one, and none.
            Compression::Snappy => "it".to_owned(),
            _ => format!(
                "its {name} data ends at byte {length}, and the {} bytes behind are none",
                garbage.len()
            ),
        };
        assert!(said.starts_with(&format!("…/csv/s/documents/{of}: {behind}")), "{said}");
        assert!(said.contains(&format!("{name} data")), "{said}");
    }
}

/// Where each block of a zstd file of one frame is, its head included, and where its checksum is.
fn zstd_blocks(file: &[u8]) -> (Vec<Range<usize>>, usize) {
    // Of the frames of these tests: no size, a byte for the window, no dictionary, a checksum.
    assert_eq!(file[4], 0b0000_0100, "the frame's descriptor");
    let (mut blocks, mut at) = (Vec::new(), 6);
    loop {
        let head = u32::from_le_bytes([file[at], file[at + 1], file[at + 2], 0]) as usize;
        // Of a block that is one byte again and again, there is only that.
        let bytes = if head >> 1 & 3 == 1 { 1 } else { head >> 3 };
        blocks.push(at..at + 3 + bytes);
        at += 3 + bytes;
        if head & 1 == 1 {
            assert_eq!(at + 4, file.len(), "the checksum is the rest");
            return (blocks, at);
        }
    }
}

/// zstd's errors said byte 0 of the file, or where the last 128 KiB of it were read: its library does not tell where it failed.
#[test]
fn damage_of_zstd_is_told_where_it_is() {
    let mut random = Random(3);
    let line = |_| format!("{:x},{:x}\n", random.below(1 << 31), random.below(1 << 31));
    let text: Vec<_> = (0..60_000).map(line).collect();
    let file = compress(Compression::Zstd, &[text.concat().as_bytes()]);
    let (blocks, checksum) = zstd_blocks(&file);
    assert!(blocks.len() > 5 && file.len() > 400_000, "{blocks:?}");
    let told = |file: &[u8]| {
        let said = message(lines("part-0.zst", file));
        let (byte, why) =
            said.split_once("damaged, which shows at byte ").unwrap().1.split_once(": ").unwrap();
        (byte.parse::<usize>().unwrap(), why.to_owned())
    };
    let mut changed = file.clone();
    changed[checksum + 3] ^= 1;
    let (byte, why) = told(&changed);
    assert!((checksum..checksum + 4).contains(&byte), "{byte} and not {checksum}");
    assert_eq!(why, "Restored data doesn't match checksum");
    for block in &blocks[1..] {
        let mut changed = file.clone();
        // A block of the kind that is none.
        changed[block.start] |= 0b110;
        let (byte, _) = told(&changed);
        assert!((block.start..=block.start + 3).contains(&byte), "{byte} and not at the head of {block:?}");
        // The head of the literals, of which there cannot be as many.
        changed = file.clone();
        changed[block.start + 3..block.start + 8].fill(0xff);
        let (byte, _) = told(&changed);
        assert!(block.contains(&byte), "{byte} and not in {block:?}");
    }
}

/// Catches a file that is whole and is called damaged, and a reason that says nothing.
#[test]
fn what_cannot_be_decoded_is_told_as_what_it_is() {
    // A frame without text whose window has 256 MiB.
    let large_window = b"\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00";
    let said = message(lines("part-0.zst", large_window));
    let expected =
        "its zstd data has a window of more than 128 MiB, which is not supported\n  try: compress it again";
    assert!(said.contains(expected), "{said}");
    let whole = compress(Compression::Deflate, &[&small_text(2_000)]);
    let mut told = 0;
    for at in (200..whole.len()).step_by(97) {
        let mut file = whole.clone();
        file[at] ^= 0xff;
        let said = message(lines("part-0.deflate", &file));
        assert!(!said.contains("repeated call"), "{said}");
        told += usize::from(said.ends_with("a code is none, or a distance goes too far back"));
    }
    assert!(told > 0, "none was of that kind");
}

#[test]
fn a_bad_record_has_its_place_in_the_decompressed_text() {
    let good = "a,1,2\n".repeat(100_000);
    let text = format!("{good}b,x,2\n");
    for compression in Compression::ALL {
        let file = compress(compression, &[text.as_bytes()]);
        let data = data_with(&RANKINGS, &[(&name(compression), &file)]);
        let input = Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap();
        let said = message(read_all(&input, |page| page.rank));
        let expected =
            ", byte 600000 of the decompressed text, line 100001, column pageRank: cannot read `x` as i32";
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_row_without_end_is_an_error_and_not_all_memory() {
    let text = [b"a,1,2\n\"".to_vec(), vec![b'x'; 80 << 20]].concat();
    let file = compress(Compression::Zstd, &[&text]);
    assert!(file.len() < 64 << 10);
    let data = data_with(&RANKINGS, &[("part-0.zst", &file)]);
    let input = Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap();
    let said = message(read_all(&input, |page| page.rank));
    assert!(
        said.contains("byte 6 of the decompressed text, line 2: a row may be up to 64 MiB long"),
        "{}",
        &said[..300]
    );
}

/// Catches an end that is found out only when the next block is asked for, with a row still open.
#[test]
fn a_text_that_ends_with_a_block() {
    for compression in Compression::ALL {
        for (text, expected) in [
            ("a\nb\nc\nd\n", Some(4)),
            ("a\nb\nc\nde", Some(4)),
            ("a\n\n\n\nc\n\n\n", Some(7)),
            ("", Some(0)),
        ] {
            let data =
                data_with(&DOCUMENTS, &[(&name(compression), &compress(compression, &[text.as_bytes()]))]);
            let input = Input::<Line>::open(&DOCUMENTS, &options(data.path())).unwrap().with_sizes(1, 8);
            let read = read_all(&input, |line| line.line.to_vec()).map(|(lines, _)| lines.len()).ok();
            assert_eq!(read, expected, "{compression:?}: {text:?}");
        }
        let file = compress(compression, &[b"a,1,2\n\"bcdefgh\n\n"]);
        let data = data_with(&RANKINGS, &[(&name(compression), &file)]);
        let input = Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap().with_sizes(1, 16);
        let said = message(read_all(&input, |page| page.rank));
        assert!(said.contains("line 2: a quoted field is not closed"), "{said}");
    }
}

#[test]
fn compressed_and_plain_files_lie_side_by_side() {
    let plain = b"a,1,1\n".repeat(50_000);
    let gzip = compress(Compression::Gzip, &[b"b,2,1\n"]);
    let zstd = compress(Compression::Zstd, &[b"c,3,1\n\"d\",", b"4,1\n"]);
    let data = data_with(
        &RANKINGS,
        &[("part-0", &plain), ("part-0.gz", &gzip), ("part-1", &zstd), ("part-2.gz", &zstd), ("part-3", b"")],
    );
    let input = Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap();
    let splits = |file| input.splits().iter().filter(|split| split.file == file).count();
    assert!(splits(0) > 1, "a plain file is cut");
    assert_eq!([1, 2, 3, 4].map(splits), [1, 1, 1, 0]);
    let (ranks, total) = read_all(&input, |page| page.rank).unwrap();
    assert_eq!(ranks[49_999..], [1, 2, 3, 4, 3, 4]);
    assert_eq!(total.bytes, input.bytes());
    assert_eq!(total.text_bytes, 300_000 + 6 + 2 * 14);
    let said: Vec<_> = input.warnings().iter().map(|text| text.rsplit('/').next().unwrap()).collect();
    assert_eq!(
        said,
        [
            "part-1 is read as zstd, which its first bytes are; its name does not end in .zst",
            "part-2.gz is read as zstd, which its first bytes are; its name says gzip"
        ]
    );

    // The same names and sizes, but read in another way.
    let digest = |content: &[u8]| {
        let data = data_with(&RANKINGS, &[("part-0", content)]);
        Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap().digest()
    };
    assert_ne!(digest(&gzip), digest(&vec![b'a'; gzip.len()]));
}

/// Rows of uservisits in four files, as plain text and in every compression.
fn visits() -> Vec<Vec<u8>> {
    rows(7, 3_000).chunks(750).map(<[_]>::concat).collect()
}

fn answer(ran: &Ran) -> (serde_json::Value, serde_json::Value) {
    let answer = ran.json();
    (answer["rows"].clone(), answer["hash"].clone())
}

#[test]
fn query_2_has_one_answer_over_every_compression() {
    let visits = visits();
    let home = Home::new();
    let fill = |compression: Option<Compression>| {
        fs::remove_dir_all(home.table()).unwrap();
        fs::create_dir_all(home.table()).unwrap();
        for (index, text) in visits.iter().enumerate() {
            let path = home.table().join(format!("part-{index}"));
            match compression {
                None => fs::write(path, text).unwrap(),
                Some(compression) => {
                    let (first, second) = text.split_at(text.len() / 3);
                    let path = path.with_extension(compression.extensions()[0]);
                    fs::write(path, compress(compression, &[first, second])).unwrap();
                }
            }
        }
        fs::read_dir(home.table()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    let text_bytes = fill(None);
    let expected = answer(&home.query("-w 2 --json").run());
    for compression in Compression::ALL {
        let bytes = fill(Some(compression));
        for (workers, processes) in [(1, 1), (2, 1), (3, 1), (1, 3)] {
            let words = format!("-w {workers} -n {processes} --json --report report.json");
            let ran = home.query(&words).run();
            ran.check(answer(&ran) == expected, &format!("the same answer over {compression:?}"));
            let report = fs::read(home.path().join("report.json")).unwrap();
            let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
            let input = &report["input"];
            ran.check(input["bytes"] == bytes, "bytes of the files in the report");
            ran.check(input["decompressed_bytes"] == text_bytes, "bytes of text in the report");
            ran.check(input["splits"] == 4 && input["compressed_files"] == 4, "one split a file");
        }
    }
}

#[test]
fn generated_tables_are_the_same_text_in_every_compression() {
    let home = Home::new();
    let make = |words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_generate"));
        command.args(["--rows", "3000", "--table", "uservisits", "--files", "3", "--data", "data"]);
        command.args(words.split_whitespace());
        home.runner(command).run().ended_with(0);
    };
    let table = |set: &str| home.path().join("data/csv").join(set).join("uservisits");
    make("--name plain");
    let expected = answer(&home.query("--set plain --json").run());
    for (compression, word) in [
        (Compression::Deflate, "deflate"),
        (Compression::Gzip, "gzip"),
        (Compression::Zstd, "zstd"),
        (Compression::Snappy, "snappy"),
        (Compression::Lz4, "lz4"),
        (Compression::Bzip2, "bzip2"),
    ] {
        make(&format!("--compression {word} -w 1 --name {word}"));
        make(&format!("--compression {word} -w 3 --name again --overwrite"));
        for index in 0..3 {
            let name = format!("part-0000{index}");
            let compressed = format!("{name}.{}", compression.extensions()[0]);
            let path = table(word).join(&compressed);
            let text = fs::read(table("plain").join(&name)).unwrap();
            assert!(text_of(&path, compression, 1000).unwrap_or_default() == text, "{compression:?}: {name}");
            let again = fs::read(table("again").join(compressed)).unwrap();
            assert!(fs::read(&path).unwrap() == again, "{compression:?}: {name} is not reproducible");
        }
        let ran = home.query(&format!("--set {word} --json")).run();
        ran.check(answer(&ran) == expected, "the same answer");
    }
}

#[test]
fn too_few_files_and_wrong_names_are_said_once() {
    let home = Home::with(&[("part-0".to_owned(), compress(Compression::Gzip, &[&visits().concat()]))]);
    for processes in [1, 2] {
        let ran = home.query(&format!("-w 2 -n {processes} --split-size 4K")).run();
        ran.ended_with(0);
        let workers = 2 * processes;
        for line in [
            "warning: data/csv/t/uservisits/part-0 is read as gzip, which its first bytes are; its name does not end in .gz",
            &format!(
                "warning: 1 compressed file for {workers} workers: each is read by one worker, so others have nothing to read"
            ),
            "  try: `pack --to packed`, or to parquet or csv: those are cut",
            " that decompressed to ",
        ] {
            ran.check(ran.stderr.matches(line).count() == 1, &format!("once on stderr: {line}"));
        }
    }
    home.query("-w 2 --split-size 4K --report report.json").run().ended_with(0);
    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(home.path().join("report.json")).unwrap()).unwrap();
    let warnings = report["input"]["warnings"].as_array().unwrap();
    assert!(
        warnings.len() == 2 && warnings[1].as_str().unwrap().contains("try: `pack --to packed`"),
        "{warnings:?}"
    );
    let ran = home.query("-w 1 --split-size 4K").run();
    ran.check(!ran.stderr.contains("for 1 worker"), "one worker has enough with one file");
}

/// A few kilobytes that are a hundred gigabytes of rows: one frame of the same rows, very often.
fn endless() -> Vec<u8> {
    let block = rows(1, 100).concat().repeat(1_000);
    compress(Compression::Zstd, &[&block]).repeat(10_000)
}

#[test]
fn an_endless_text_is_read_in_rounds_and_stops_when_asked() {
    let home = Home::with(&[("part-0.zst".to_owned(), endless())]);
    let mut running = home.query("-w 1").start();
    std::thread::sleep(Duration::from_secs(2));
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid().as_raw_nonzero())).unwrap();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")).unwrap();
    running.signal(running.pid(), Signal::INT);
    let ran = running.end();
    ran.failed_saying("stopped by Ctrl-C");
    ran.check(ran.taken < Duration::from_secs(5), "stops soon");
    // A frame has 11 MB of text and a window of 2 MiB; what does not depend on it takes some 30 MB in a debug build.
    ran.check(resident.parse::<u64>().unwrap() < 80_000, &format!("little memory, and not {resident} kB"));
}

/// Many streams without text must not keep a worker from looking whether the job has failed.
#[test]
fn streams_without_text_are_gone_through() {
    for compression in Compression::ALL {
        let empty = compress(compression, &[b""]);
        // A snappy stream without text is one chunk, of which many are gone through in no time.
        let times = if compression == Compression::Snappy { 150_000 } else { 3_000 };
        let file = [empty.repeat(times), compress(compression, &[b"a,1,2\n"])].concat();
        let data = data_with(&RANKINGS, &[(&name(compression), &file)]);
        let input = Input::<Page>::open(&RANKINGS, &options(data.path())).unwrap();
        let mut reader = input.open_split(&input.splits()[0]).unwrap();
        let (mut rows, mut longest) = (0, 0);
        while let Some(block) = reader.next_block(|_| ()).unwrap() {
            rows += block.rows;
            longest = block.bytes.max(longest);
        }
        assert_eq!(rows, 1);
        assert!(longest < file.len() as u64, "{compression:?}: {longest} bytes at once");
    }
}

/// Runs the script with the interpreter that has the compressors.
fn other_program(words: &[&std::ffi::OsStr]) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/compressors");
    let installed = Command::new(here.join("install")).output().expect("the script starts");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let python = String::from_utf8(installed.stdout).unwrap();
    let ran = Command::new(python.trim())
        .arg(here.join("compressors.py"))
        .args(words)
        .output()
        .expect("Python starts");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn files_of_other_programs_and_ours_by_them() {
    let home = tempfile::tempdir().unwrap();
    let text = [rows(3, 2_000).concat(), small_text(10_000)].concat();
    let path = home.path().join("text");
    fs::write(&path, &text).unwrap();

    let theirs = home.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    other_program(&["write".as_ref(), path.as_os_str(), theirs.as_os_str()]);
    let mut ways = 0;
    for way in fs::read_dir(&theirs).unwrap().flatten() {
        let file = fs::read_dir(way.path()).unwrap().flatten().next().unwrap();
        let name = file.file_name().into_string().unwrap();
        let read =
            lines(&name, &fs::read(file.path()).unwrap()).unwrap_or_else(|error| panic!("{way:?}: {error}"));
        assert!(read.join(&b'\n') == text[..text.len() - 1], "{way:?} is read as another text");
        ways += 1;
    }
    assert_eq!(ways, 25);

    let ours = home.path().join("ours");
    fs::create_dir(&ours).unwrap();
    for compression in Compression::ALL {
        let mut encoder =
            Encoder::new(compression, fs::File::create(ours.join(name(compression))).unwrap()).unwrap();
        text.chunks(70_000).for_each(|piece| std::io::Write::write_all(&mut encoder, piece).unwrap());
        encoder.finish().unwrap();
    }
    let read = other_program(&["check".as_ref(), path.as_os_str(), ours.as_os_str()]);
    assert_eq!(read, "part-0.bz2\npart-0.deflate\npart-0.gz\npart-0.lz4\npart-0.zst\n");
}

//! Query 4 by our own scanner and by `scripts/url_count.py`, with real processes, against a plain judge that reads line by line.
//!
//! These tests would catch a page torn, lost or doubled at a cut, links credited to another page than the one they stand in,
//! lines before a file's first header that go to the page before it, and two ways to one answer that differ.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use millrace::input::{Input, InputOptions, Row, miscut_files};
use millrace::report::AnswerHash;
use millrace::tables::PAGES;
use proptest::prelude::*;

use crate::csv::judge::BYTE_ORDER_MARK;
use crate::support::{Home, Ran, Random, parse};

/// Source, target and count: what phase 1 gives.
type Phase1 = Vec<(Vec<u8>, Vec<u8>, u64)>;

fn is_header(line: &[u8]) -> bool {
    line.starts_with(b"http") && line.split(|byte| *byte == b' ').count() == 5
}

/// The links of a line, word by word: a link ends at white space, so each word has one at most.
fn links_of(line: &[u8]) -> Vec<&[u8]> {
    let words = line.split(|byte| b" \t\n\x0b\x0c\r".contains(byte));
    words
        .filter_map(|word| {
            let begins = |at: &usize| {
                [&b"http://"[..], b"https://"]
                    .iter()
                    .any(|scheme| word[*at..].starts_with(scheme) && word[*at..].len() > scheme.len())
            };
            (0..word.len()).find(begins).map(|at| &word[at..])
        })
        .collect()
}

/// What the files hold, line by line; sorted.
fn judge(files: &[Vec<u8>]) -> Phase1 {
    let mut found = Phase1::new();
    for text in files {
        let (mut page, mut counts) = (b"http://".to_vec(), BTreeMap::<Vec<u8>, u64>::new());
        let mut tell = |page: &[u8], counts: BTreeMap<Vec<u8>, u64>| {
            found.extend(counts.into_iter().map(|(target, count)| (page.to_vec(), target, count)));
        };
        for line in text.split(|byte| *byte == b'\n') {
            if is_header(line) {
                tell(&page, std::mem::take(&mut counts));
                page = line.split(|byte| *byte == b' ').next().unwrap().to_vec();
            }
            links_of(line).into_iter().for_each(|link| *counts.entry(link.to_vec()).or_default() += 1);
        }
        tell(&page, counts);
    }
    found.sort();
    found
}

fn totals(phase1: &Phase1) -> BTreeMap<Vec<u8>, u64> {
    let mut totals = BTreeMap::new();
    phase1.iter().for_each(|(_, target, count)| *totals.entry(target.clone()).or_default() += count);
    totals
}

fn hash_of(totals: &BTreeMap<Vec<u8>, u64>) -> String {
    let mut hash = AnswerHash::default();
    totals.iter().for_each(|(target, total)| hash.add(&[target, &total.to_le_bytes()]));
    hash.to_string()
}

/// Lines of a crawl, with headers of pages that come twice, headers that are none, and bytes that are no text.
fn lines(random: &mut Random, count: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..count {
        let page = random.below(12);
        match random.below(9) {
            0 => {
                text.extend_from_slice(
                    format!("http://page/{page} 1.2.3.4 1999 text/html {page}").as_bytes(),
                );
            }
            1 => text.extend_from_slice(format!("http a b {page} d").as_bytes()),
            2 => text.extend_from_slice(format!("http://page/{page}  1.2.3.4 1999 text/html 1\r").as_bytes()),
            3 => text.extend_from_slice(b"\xff\xfehttp://\xff\xff,\"q\" httphttps://x\tand http:// not"),
            4 => {}
            _ => {
                for _ in 0..random.below(6) {
                    text.extend_from_slice(format!("word http://page/{} ", random.below(8)).as_bytes());
                }
            }
        }
        text.push(b'\n');
    }
    text
}

/// Files of all kinds: without a header at first, without one at all, without a newline at the end, empty.
fn files() -> Vec<Vec<u8>> {
    let mut random = Random(3);
    let mut files: Vec<_> = [400, 1, 0, 900, 60].into_iter().map(|count| lines(&mut random, count)).collect();
    files.push(b"nothing http://page/1 at all\nbut text http://page/2".to_vec());
    files[0].pop();
    files[3] = [b"http://page/a 1 2 3 http://page/in-header\n", &files[3][..]].concat();
    files
}

fn home_with(files: &[Vec<u8>]) -> Home {
    let home = Home::new();
    let table = home.path().join("data/csv/t/documents");
    fs::create_dir_all(&table).unwrap();
    for (index, text) in files.iter().enumerate() {
        let path = table.join(format!("part-{index:05}"));
        if index == 4 {
            let mut file = fs::File::create(path.with_extension("gz")).unwrap();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            file.write_all(&encoder.finish().unwrap()).unwrap();
        } else {
            fs::write(path, text).unwrap();
        }
    }
    home
}

fn query4(home: &Home, words: &str, by_script: bool) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_query4"));
    command.args(["--data", "data", "--set", "t", "--json"]).args(words.split_whitespace());
    if by_script {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/url_count.py");
        command.arg("--script").arg(format!("python3 '{}'", script.display()));
    }
    home.runner(command).run()
}

/// The rows of all parts of an output.
fn rows_in(home: &Home, output: &str) -> Vec<Vec<Vec<u8>>> {
    let parts = home.listing(output).into_iter().filter(|name| name.starts_with("part-"));
    parts.flat_map(|name| parse(&fs::read(home.path().join(output).join(name)).unwrap())).collect()
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

#[test]
fn both_ways_give_what_the_judge_gives() {
    let files = files();
    let (home, judged) = (home_with(&files), judge(&files));
    let totals = totals(&judged);
    let links: u64 = totals.values().sum();
    let most = totals.values().max().unwrap();
    assert!(judged.len() > 500 && judged.iter().any(|row| row.0 == b"http://"), "a judge of nothing");
    let sizes = ["40", "500", "3K", "1M"];
    for (index, (workers, processes)) in
        (1..=3).flat_map(|workers| (1..=3).map(move |processes| (workers, processes))).enumerate()
    {
        let (size, assignment) = (sizes[index % 4], ["modulo", "shared"][index % 2]);
        let words =
            format!("-w {workers} -n {processes} --split-size {size} --assignment {assignment} --top 1");
        for by_script in [false, true] {
            let output = format!("phase1-{index}-{by_script}");
            let ran = query4(&home, &format!("{words} --phase1-output {output}"), by_script);
            let answer = ran.json();
            ran.check(answer["hash"] == hash_of(&totals), "hash");
            ran.check(answer["links"] == links && answer["pages"] == totals.len(), "links and pages");
            ran.check(answer["top"][0]["links"] == *most, "links to the page with the most");
            let mut rows: Phase1 = rows_in(&home, &output)
                .into_iter()
                .map(|row| <[Vec<u8>; 3]>::try_from(row).expect("three columns"))
                .map(|[source, target, count]| (source, target, number(&count)))
                .collect();
            rows.sort();
            ran.check(rows == judged, "what phase 1 counts");
        }
        let ran = query4(&home, &format!("{words} --output all-{index}"), false);
        ran.ended_with(0);
        let rows = rows_in(&home, &format!("all-{index}")).into_iter();
        let written: BTreeMap<_, _> = rows.map(|row| (row[0].clone(), number(&row[1]))).collect();
        ran.check(written == totals, "all targets");
    }
}

/// Runs `pack` over the crawl.
fn pack(home: &Home, words: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "data", "--set", "t", "--table", "documents"]).args(words.split_whitespace());
    home.runner(command).run()
}

/// Once column files had the crawl as lines, which Query 4 cannot read.
#[test]
fn column_files_have_pages_and_give_the_text_back() {
    let ended = |text: &Vec<u8>| match text.last() {
        Some(b'\n') | None => text.clone(),
        Some(_) => [&text[..], b"\n"].concat(),
    };
    for format in ["packed", "parquet"] {
        let mut files = files();
        if format == "parquet" {
            // Whose texts are UTF-8.
            files.iter_mut().for_each(|text| *text = String::from_utf8_lossy(text).into_owned().into_bytes());
        }
        let (home, judged) = (home_with(&files), judge(&files));
        let totals = totals(&judged);
        pack(&home, &format!("--format csv --to {format} --file-size 20K --verify")).ended_with(0);
        for (by_script, words) in [(false, "-w 1"), (true, "-w 2"), (false, "-n 2 -w 2")] {
            // Without --format it is the fastest that is there.
            for chosen in [format!("--format {format}"), String::new()] {
                let ran = query4(&home, &format!("{words} {chosen} --phase1-output out"), by_script);
                ran.check(ran.json()["hash"] == hash_of(&totals), "hash");
                let mut rows: Phase1 = rows_in(&home, "out")
                    .into_iter()
                    .map(|row| (row[0].clone(), row[1].clone(), number(&row[2])))
                    .collect();
                rows.sort();
                ran.check(rows == judged, "what phase 1 counts");
                fs::remove_dir_all(home.path().join("out")).unwrap();
            }
        }
        pack(&home, &format!("--format {format} --to csv --output back")).ended_with(0);
        let parts = home.listing("back").into_iter();
        let back: Vec<_> = parts.map(|name| fs::read(home.path().join("back").join(name)).unwrap()).collect();
        assert!(back.concat() == files.iter().map(ended).collect::<Vec<_>>().concat(), "{format} and back");
        // What is in it, by itself and as the table that it is.
        for table in ["", "--table documents"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
            command.args(["--describe", &format!("data/{format}/t/documents"), "--head", "2"]);
            command.args(table.split_whitespace());
            let ran = home.runner(command).run();
            ran.ended_with(0).check(ran.stdout.contains("http://"), "pages");
        }
    }
}

#[test]
fn a_crawl_stays_lines_where_it_stays_text() {
    // Catches a conversion from text to text that reads pages, and lines that files of before have in columns.
    let home = home_with(&[b"no header\nhttp://a/ 1 2 3 4\nhttp://b/\n".to_vec()]);
    let said = pack(&home, "--format csv --to csv.gz --output gz/documents");
    said.ended_with(0).check(said.stdout.starts_with("documents: 3 rows"), "lines");
    // As it was written once.
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "data/csv/t/documents/part-00000", "--table", "lines", "--columns", "line:text"]);
    command.args(["--delimiter", "tab", "--to", "packed", "--output", "data/packed/t/documents"]);
    home.runner(command).run().ended_with(0);
    query4(&home, "", false).failed_saying(
        "has no column url, which table documents has\n  its columns are: line\n  try: --format csv where its text is, or make pages",
    );
    let said = pack(&home, "--format packed --to csv --output back");
    said.ended_with(0).check(said.stdout.starts_with("documents: 3 rows"), "lines");
}

/// Packs rows of a table with columns `url` and `text` as the crawl.
fn write_pages(home: &Home, rows: &str) {
    fs::write(home.path().join("rows"), rows).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "rows", "--table", "pages", "--columns", "url:text,text:text", "--to", "packed"]);
    command.args(["--output", "data/packed/t/documents", "--overwrite"]);
    home.runner(command).run().ended_with(0);
}

fn files_in(home: &Home, directory: &str) -> Vec<String> {
    let read = |name: String| fs::read_to_string(home.path().join(directory).join(name)).unwrap();
    home.listing(directory).into_iter().map(read).collect()
}

/// Once they were a part of the page before them, and `--verify` failed.
#[test]
fn pages_without_an_address_begin_a_file_of_text() {
    let home = home_with(&[
        b"http://a/ 1 2 3 4\nx".to_vec(),
        b"more\nhttp://b/ 1 2 3 4\nhttp://c/ 1 2 3 4\n".to_vec(),
        b"alone\n".to_vec(),
    ]);
    pack(&home, "--format csv --to packed --verify").ended_with(0);
    pack(&home, "--format packed --to csv --output back --verify").ended_with(0);
    let expected = ["http://a/ 1 2 3 4\nx\n", "more\nhttp://b/ 1 2 3 4\nhttp://c/ 1 2 3 4\n", "alone\n"];
    assert_eq!(files_in(&home, "back"), expected);
    // A last newline that a page of another program lacks is no difference.
    write_pages(&home, "http://a/,\"http://a/ 1 2 3 4\nx\"\nhttp://b/,http://b/ 1 2 3 4\n");
    pack(&home, "--format packed --to csv --output back --overwrite --verify").ended_with(0);
    assert_eq!(files_in(&home, "back"), ["http://a/ 1 2 3 4\nx\nhttp://b/ 1 2 3 4\n"]);
}

/// Once an empty page was no row of the text, and another one's address was lost.
#[test]
fn pages_that_text_cannot_tell_are_refused() {
    let home = home_with(&[]);
    let first = "http://a/,\"http://a/ 1 2 3 4\n\"\n";
    for second in
        ["http://b/,", ",", "http://b/,no header", "http://b/,http://c/ 1 2 3 4", ",http://c/ 1 2 3 4"]
            .map(str::to_owned)
            .into_iter()
            .chain(["http://b/,\"http://b/ 1 2 3 4\nhttp://c/ 1 2 3 4\"".to_owned()])
    {
        write_pages(&home, &format!("{first}{second}\n"));
        let ran = pack(&home, "--format packed --to csv --output back");
        // Without an address it is the first row of another file.
        let row = if second.starts_with(',') { 1 } else { 2 };
        ran.failed_saying(&format!("row {row}: a page of text begins with a header that has its address"));
        assert_eq!(home.listing("back"), ["absent"]);
    }
}

/// Once a first line that begins with what marks the start of a file lost it.
#[test]
fn byte_order_marks_of_lines_and_pages_are_kept() {
    let marked = "\u{feff}\u{feff}http://a/\n\u{feff}b\nhttp://a/ 1 2 3 4\n";
    let home = home_with(&[marked.as_bytes().to_vec()]);
    for to in ["packed", "csv.gz"] {
        let output = format!("{}/documents", &to[..3]);
        pack(&home, &format!("--format csv --to {to} --output {output} --verify")).ended_with(0);
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        command.args(["--data", &output, "--table", "documents", "--to", "csv", "--output", "back"]);
        command.args(["--verify", "--overwrite"]);
        home.runner(command).run().ended_with(0);
        assert_eq!(files_in(&home, "back"), [marked], "{to}");
    }
}

#[test]
fn one_output_at_a_time() {
    let home = home_with(&files());
    let ran = query4(&home, "--output a --phase1-output b", false);
    ran.ended_with(2);
    ran.check(ran.stderr.contains("cannot be used with"), "what is said");
}

#[derive(serde::Deserialize)]
struct Page<'a> {
    text: &'a [u8],
    url: &'a [u8],
}
impl Row for Page<'_> {
    type Of<'a> = Page<'a>;
}

/// Address and text of the pages of a file, line by line.
fn plain_pages(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pages = Vec::<(Vec<u8>, Vec<u8>)>::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let bare = line.strip_suffix(b"\n").unwrap_or(line);
        if is_header(bare) {
            pages.push((bare.split(|byte| *byte == b' ').next().unwrap().to_vec(), Vec::new()));
        } else if pages.is_empty() {
            pages.push(Default::default());
        }
        let page = pages.last_mut().unwrap();
        page.1.extend_from_slice(bare);
        page.1.push(b'\n');
    }
    pages
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Catches a page torn or lost wherever splits and blocks may end.
    #[test]
    fn pages_are_whole_wherever_they_are_cut(
        mark in 0_usize..=6,
        lines in proptest::collection::vec(
            proptest::sample::select(vec![
                &b"http://a/ 1 2 3 4"[..], b"http 1 2 3 4", b"http://a/ 1 2 3", b"", b"h", b"http", b"text of the page\r",
                b" http://a/ 1 2 3",
            ]),
            1..30,
        ),
        ends_with_newline: bool,
        split_bytes in 1_u64..80,
        block_bytes in 1_usize..200,
    ) {
        // Often a whole byte order mark, which is no part of the first page, or what looks like one.
        let mark = &BYTE_ORDER_MARK[..mark.min(3)];
        let mut text = [mark, &lines.join(&b'\n')].concat();
        if ends_with_newline || text.len() == mark.len() {
            text.push(b'\n');
        }
        let home = home_with(std::slice::from_ref(&text));
        let options = InputOptions { data: home.path().join("data"), set: "t".into(), ..InputOptions::default() };
        let input = Input::<Page>::open(&PAGES, &options).unwrap().with_sizes(split_bytes, block_bytes);
        let (mut pages, mut extents, mut bytes) = (Vec::new(), Vec::new(), 0);
        for split in input.splits() {
            let mut reader = input.open_split(split).unwrap();
            while let Some(block) = reader.next_block(|page| pages.push((page.url.to_vec(), page.text.to_vec()))).unwrap() {
                bytes += block.bytes;
            }
            extents.push((0, reader.extent()));
        }
        prop_assert_eq!(pages, plain_pages(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text)));
        prop_assert_eq!(bytes, text.len() as u64);
        prop_assert!(miscut_files(&mut extents, input.files()).is_empty());
    }
}

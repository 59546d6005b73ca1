//! Pages of Parquet that a query passes over by the page index, of pyarrow's files and of ours.
//!
//! These tests would catch rows that are lost with a page, columns whose rows no longer belong together, an index that is not used, one that other
//! programs do not read as we do, and one that was damaged and hides rows.

use std::fmt::Write;
use std::fs;
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::process::Command;

use millrace::Error;
use millrace::input::{Block, ColumnValue, FormatChoice, Input, InputOptions, Row};
use millrace::tables::{Date, RANKINGS, Table, USERVISITS};
use serde::Deserialize;

use crate::csv::read_all;
use crate::parquet::pyarrow;
use crate::support::{Home, Random};

/// Three row groups of pyarrow's, and one of ours of two pages.
const ROWS: usize = 20_000;

/// A home with rankings sorted by rank and visits sorted by date as text, by pyarrow in `theirs`, and by `pack` in `ours`.
fn written() -> Home {
    let home = Home::new();
    let mut random = Random(3);
    let (mut rankings, mut visits) = (String::new(), String::new());
    for row in 0..ROWS {
        let page = random.below(400);
        let url = format!("http://page/{page}/{}", "x".repeat(random.below(30) as usize));
        let _ = writeln!(rankings, "{url},{},{}", row / 20, random.below(60));
        let day = Date::from_days(3_652 + (row / 30) as i32);
        let revenue = random.below(8) as f64 / 8.0;
        let _ = writeln!(
            visits,
            "10.0.0.{},{url},{day},{revenue},agent,USA,en,word,{}",
            random.below(40),
            row % 7
        );
    }
    for (table, text) in [("rankings", rankings), ("uservisits", visits)] {
        let place = home.path().join("data/csv/t").join(table);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("part-0"), text).unwrap();
        let theirs = home.path().join("theirs");
        let csv = place.join("part-0");
        pyarrow("pages.py", &["write".as_ref(), csv.as_os_str(), table.as_ref(), theirs.as_os_str()]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        command.args(["--data", "data", "--set", "t", "--table", table, "--to", "parquet", "--verify"]);
        command.args(["--output", &format!("theirs/ours/parquet/t/{table}")]);
        home.runner(command).run().ended_with(0);
    }
    home
}

/// The ways in which there are files, and whether they have a page index.
const WAYS: [(&str, bool); 5] =
    [("indexed", true), ("plain-indexed", true), ("ours", true), ("bare", false), ("plain", false)];

#[derive(Debug, PartialEq, Deserialize)]
struct Page {
    #[serde(rename = "pageURL")]
    url: String,
    #[serde(rename = "pageRank")]
    rank: i32,
    #[serde(rename = "avgDuration")]
    duration: Option<i32>,
}

impl Row for Page {
    type Of<'a> = Page;
}

#[derive(Debug, PartialEq, Deserialize)]
struct Visit {
    #[serde(rename = "destURL")]
    url: String,
    #[serde(rename = "visitDate")]
    day: Date,
    #[serde(rename = "adRevenue")]
    revenue: f32,
    duration: i32,
}

impl Row for Visit {
    type Of<'a> = Visit;
}

/// The rows that come where only those inside of `range` are wanted.
fn read<R, V>(
    table: &Table,
    data: &Path,
    column: &str,
    range: impl RangeBounds<V>,
) -> Result<(Vec<R>, Block), Error>
where
    R: for<'a> Row<Of<'a> = R>,
    V: Clone + Into<ColumnValue>,
{
    let options = InputOptions {
        data: data.to_path_buf(),
        set: "t".into(),
        format: FormatChoice::Auto,
        ..InputOptions::default()
    };
    let input = Input::<R>::open(table, &options)?.skipping_outside(column, range)?.with_sizes(1, 64 << 10);
    read_all(&input, |row| row)
}

#[test]
fn any_range_has_all_its_rows_and_fewer_others() {
    let home = written();
    let csv = home.path().join("data");
    let (pages, _) = read::<Page, i32>(&RANKINGS, &csv, "pageRank", ..).unwrap();
    let (visits, _) = read::<Visit, Date>(&USERVISITS, &csv, "visitDate", ..).unwrap();
    assert_eq!((pages.len(), visits.len()), (ROWS, ROWS));
    let mut random = Random(4);
    for round in 0..40 {
        let (from, width) = (random.below(1_000) as i32 - 20, random.below(60) as i32);
        let to = if round % 4 == 0 { from + 900 } else { from + width };
        let days = Date::from_days(3_652 + from)..=Date::from_days(3_652 + to);
        let ranks = (Bound::Excluded(from), Bound::Included(to));
        for (way, indexed) in WAYS {
            let data = home.path().join("theirs").join(way);
            let (found, block) = read::<Page, i32>(&RANKINGS, &data, "pageRank", ranks).unwrap();
            let inside = |page: &&Page| ranks.contains(&page.rank);
            assert!(
                found.iter().filter(inside).eq(pages.iter().filter(inside)),
                "{way}, ranks {from} to {to}"
            );
            assert!(is_part_of(&found, &pages), "{way}, ranks {from} to {to}");
            let (found, visited) =
                read::<Visit, Date>(&USERVISITS, &data, "visitDate", days.clone()).unwrap();
            let inside = |visit: &&Visit| days.contains(&visit.day);
            assert!(
                found.iter().filter(inside).eq(visits.iter().filter(inside)),
                "{way}, days {from} to {to}"
            );
            assert!(is_part_of(&found, &visits), "{way}, days {from} to {to}");
            // Pages of pyarrow have a few hundred rows; row groups have 7,000.
            if indexed && way != "ours" && round % 4 != 0 {
                assert!(block.rows < 5_000 && visited.rows < 5_000, "{way}: {block:?}, {visited:?}");
            }
        }
    }
}

/// Whether some rows are rows of all, in their order.
fn is_part_of<R: PartialEq>(some: &[R], all: &[R]) -> bool {
    let mut all = all.iter();
    some.iter().all(|row| all.any(|other| other == row))
}

#[test]
fn bytes_of_pages_that_are_passed_over_are_not_read() {
    let home = written();
    let bytes = |way: &str, above: i32| {
        let data = home.path().join("theirs").join(way);
        let range = (Bound::Excluded(above), Bound::Unbounded);
        read::<Page, i32>(&RANKINGS, &data, "pageRank", range).unwrap().1
    };
    for way in ["plain-indexed", "ours"] {
        let (all, some) = (bytes(way, -1), bytes(way, 980));
        assert!(some.rows > 0 && 2 * some.rows < all.rows, "{way}: {some:?} of {all:?}");
        assert!(2 * some.bytes < all.bytes, "{way}: {some:?} of {all:?}");
    }
    let (indexed, bare) = (bytes("plain-indexed", 980), bytes("plain", 980));
    assert!(3 * indexed.rows < bare.rows && 3 * indexed.bytes < bare.bytes, "{indexed:?}, {bare:?}");
}

#[test]
fn queries_1_and_3_answer_as_without_an_index_and_read_less() {
    let home = written();
    let run = |program: &str, words: &str, data: &str, workers: usize| {
        let mut command = Command::new(program);
        command.args(words.split_whitespace()).args([
            "--data",
            data,
            "--set",
            "t",
            "--json",
            "--report",
            "report.json",
        ]);
        command.args(["-w", &workers.to_string(), "--split-size", "1K"]);
        let answer = home.runner(command).run().json();
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap();
        (answer["hash"].clone(), report["input"]["rows"].as_u64().unwrap())
    };
    let (from, to) = (Date::from_days(3_652 + 10), Date::from_days(3_652 + 30));
    let visits = format!("--from {from} --to {to}");
    // Of each query, how many rows it may read of files with an index: rankings are read whole by Query 3.
    for (program, words, most) in
        [(env!("CARGO_BIN_EXE_query1"), "-x 960", 3_000), (env!("CARGO_BIN_EXE_query3"), &visits[..], 23_000)]
    {
        let (expected, all) = run(program, words, "data", 1);
        for (way, indexed) in WAYS {
            for workers in 1..=3 {
                let (hash, rows) = run(program, words, &format!("theirs/{way}"), workers);
                assert_eq!(hash, expected, "{way}, {workers} workers");
                assert!(rows < all, "{way}, {workers} workers: {rows} of {all}");
                assert_eq!(indexed && way != "ours", rows <= most, "{way}, {workers} workers: {rows} rows");
            }
        }
        let (_, ours) = run(program, words, "theirs/ours", 2);
        assert!(ours <= all - 3_000, "{ours} of {all}");
    }
}

#[cfg(feature = "object-store")]
#[test]
fn bytes_of_pages_that_are_passed_over_are_not_fetched() {
    let home = written();
    let server = crate::servers::files(home.path().to_path_buf(), true);
    let fetched = |way: &str| {
        let place = home.path().join(format!("theirs/{way}/parquet/t/rankings"));
        let bytes = fs::metadata(place.join("part-0.parquet")).unwrap().len();
        fs::write(place.join("_manifest.txt"), format!("{bytes} part-0.parquet\n")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_query1"));
        command.args(["-x", "960", "-w", "2", "--set", "t", "--json", "--report", "report.json", "--data"]);
        command.arg(format!("http://{server}/theirs/{way}"));
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
            .iter()
            .for_each(|name| _ = command.env_remove(name));
        let answer = home.runner(command).run().json();
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap();
        (answer["hash"].clone(), report["input"]["fetched"]["bytes"].as_u64().unwrap())
    };
    let ((hash, indexed), (expected, bare)) = (fetched("plain-indexed"), fetched("plain"));
    assert_eq!(hash, expected);
    assert!(indexed + 100_000 < bare, "{indexed} and {bare} bytes");
}

#[test]
fn other_programs_read_our_index() {
    let home = written();
    for (table, column, value, count) in [
        ("rankings", "pageRank", "900".to_owned(), ROWS - 901 * 20),
        ("uservisits", "visitDate", Date::from_days(3_652 + 600).to_string(), ROWS - 601 * 30),
    ] {
        let path = home.path().join(format!("theirs/ours/parquet/t/{table}/part-00000.parquet"));
        let told = pyarrow("pages.py", &["read".as_ref(), path.as_os_str(), column.as_ref(), value.as_ref()]);
        assert_eq!(told, format!("True\n{count}\n{count}\n{count}\n"), "{table}");
    }
}

/// One byte after the other changed, of the index and here and there of what is read by it.
#[test]
fn a_damaged_index_is_an_error_or_the_same_answer() {
    let home = written();
    let range = (Bound::Excluded(980), Bound::Unbounded);
    let place = home.path().join("damaged/parquet/t/rankings");
    fs::create_dir_all(&place).unwrap();
    let wanted = |data: &Path| {
        let (rows, block) = read::<Page, i32>(&RANKINGS, data, "pageRank", range)?;
        let wanted: Vec<_> = rows.into_iter().filter(|page| page.rank > 980).collect();
        Ok::<_, Error>((wanted, block.rows))
    };
    for (way, file) in [("ours", "part-00000.parquet"), ("indexed", "part-0.parquet")] {
        let data = home.path().join("theirs").join(way);
        let (expected, fewest) = wanted(&data).unwrap();
        assert!(expected.len() > 300);
        let bytes = fs::read(data.join("parquet/t/rankings").join(file)).unwrap();
        let length = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().unwrap()) as usize;
        let footer = bytes.len() - 8 - length;
        let places: Vec<_> = match way {
            "ours" => (0..footer).step_by(2_999).chain(footer - 300..footer).collect(),
            // The index alone, which has some 3,000 bytes: pages of this file have no checksum.
            _ => (footer - 2_500..footer).step_by(5).collect(),
        };
        let (mut told, mut whole) = (0, 0);
        for (number, at) in places.into_iter().enumerate() {
            let mut changed = bytes.clone();
            changed[at] ^= [0x01, 0x80, 0xff][number % 3];
            fs::write(place.join("part-0.parquet"), &changed).unwrap();
            match wanted(&home.path().join("damaged")) {
                Err(_) => told += 1,
                Ok((rows, read)) => {
                    // Nothing vouches for bounds in files of others: they may hide rows, and no more.
                    let hides = way == "indexed" && is_part_of(&rows, &expected);
                    assert!(rows == expected || hides, "{way}, byte {at} of {footer}: {} rows", rows.len());
                    whole += usize::from(read > fewest);
                }
            }
        }
        // Ours is an error where it differs from its checksum, and theirs, which has none, is not used where it cannot be.
        assert!(
            if way == "ours" { told > 20 } else { whole > 20 },
            "{way}: {told} errors, {whole} times unused"
        );
    }
}

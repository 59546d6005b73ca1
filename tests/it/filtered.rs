//! Rows that a reader leaves out by the values of a column that a filter names, and pages of column files that it leaves out with them.
//!
//! Each file is of rows in no order, so that bounds rule out nothing, and read with a filter and without. These tests would catch a row of the
//! range that is lost, values of another row where some of a page were skipped, and rows and pages that are counted wrongly or not left out.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::process::Command;

use millrace::input::{ColumnValue, Input, InputOptions, PassedOver, Row};
use millrace::tables::{Date, RANKINGS, Table, USERVISITS};
use serde::Deserialize;

use crate::parquet::pyarrow;
use crate::support::{Home, Random};

const ROWS: usize = 8_000;
const FIRST_DAY: i32 = 3_652;

/// A home with rankings and visits as text, by pyarrow and `DuckDB` in `theirs`, by `pack` in `theirs/ours` and `theirs/packed`, and as text
/// there too: as it is, and with quotes.
fn written() -> Home {
    let home = Home::new();
    let mut random = Random(5);
    let (mut rankings, mut visits) = (String::new(), String::new());
    for row in 0..ROWS {
        let url = format!("http://page/{}/{}", random.below(400), "x".repeat(random.below(30) as usize));
        // Here and there a stretch without small ranks, in which whole pages are left out.
        let rank = if row / 900 % 2 == 0 { random.below(1_000) } else { 500 + random.below(500) };
        let _ = writeln!(rankings, "{url},{rank},{}", random.below(60));
        let day = Date::from_days(FIRST_DAY + rank as i32);
        let (address, revenue) = (random.below(40), random.below(8) as f64 / 8.0);
        let _ = writeln!(visits, "10.0.0.{address},{url},{day},{revenue},agent,USA,en,word,{}", row % 7);
    }
    for (table, text) in [("rankings", rankings), ("uservisits", visits)] {
        let place = home.path().join("data/csv/t").join(table);
        fs::create_dir_all(&place).unwrap();
        let csv = place.join("part-0");
        fs::write(&csv, &text).unwrap();
        let theirs = home.path().join("theirs");
        pyarrow("filtered.py", &[csv.as_os_str(), table.as_ref(), theirs.as_os_str()]);
        for (way, format) in [("ours", "parquet"), ("packed", "packed")] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
            command.args(["--data", "data", "--set", "t", "--table", table, "--to", format]);
            command.args(["--output", &format!("theirs/{way}/{format}/t/{table}")]);
            home.runner(command).run().ended_with(0);
        }
        // Some lines with every field in quotes, which are read in another way than their neighbours.
        let quoted: Vec<_> = (text.lines().enumerate())
            .map(|(number, line)| match number % 700 {
                0 => format!("\"{}\"\n", line.replace(',', "\",\"")),
                _ => format!("{line}\r\n"),
            })
            .collect();
        for (way, text) in [("text", &text), ("quoted", &quoted.concat())] {
            let place = theirs.join(way).join("csv/t").join(table);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join("part-0"), text).unwrap();
        }
    }
    home
}

/// The ways in which there are files.
fn ways(home: &Home) -> Vec<(String, PathBuf)> {
    let ways = home.listing("theirs");
    assert_eq!(ways.len(), 4 * 2 * 3 + 2 + 2 + 2);
    ways.into_iter().map(|way| (way.clone(), home.path().join("theirs").join(way))).collect()
}

#[derive(Debug, PartialEq, Clone, Deserialize)]
struct Page {
    #[serde(rename = "pageURL")]
    url: Option<String>,
    #[serde(rename = "pageRank")]
    rank: Option<i32>,
    #[serde(rename = "avgDuration")]
    duration: Option<i32>,
}

impl Row for Page {
    type Of<'a> = Page;
}

#[derive(Debug, PartialEq, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Visit {
    #[serde(rename = "sourceIP")]
    address: Option<String>,
    #[serde(rename = "destURL")]
    url: Option<String>,
    visit_date: Option<Date>,
    ad_revenue: Option<f32>,
    country_code: Option<String>,
}

impl Row for Visit {
    type Of<'a> = Visit;
}

fn open<R: Row>(table: &Table, data: &Path) -> Input<R> {
    let options = InputOptions { data: data.to_path_buf(), set: "t".into(), ..InputOptions::default() };
    // Of column files, each block is a split; of text, each byte would be one.
    let split_bytes = if data.join("csv").exists() { 4 << 10 } else { 1 };
    Input::open(table, &options).unwrap().with_sizes(split_bytes, 64 << 10)
}

/// All rows that come, and what was passed over.
fn read<R: for<'a> Row<Of<'a> = R>>(input: &Input<R>) -> (Vec<R>, PassedOver) {
    let (mut rows, mut all, mut read) = (Vec::new(), PassedOver::default(), 0);
    for split in input.splits() {
        let mut reader = input.open_split(split).unwrap();
        while let Some(block) = reader.next_block(|row| rows.push(row)).unwrap() {
            read += block.rows;
        }
        let passed = reader.passed_over();
        all.unread_rows += passed.unread_rows;
        all.filtered_rows += passed.filtered_rows;
        all.pages += passed.pages;
    }
    assert_eq!(read, rows.len() as u64 + all.filtered_rows);
    (rows, all)
}

/// Whether some rows are rows of all, in their order.
fn is_part_of<R: PartialEq>(some: &[R], all: &[R]) -> bool {
    let mut all = all.iter();
    some.iter().all(|row| all.any(|other| other == row))
}

/// Reads the rows of a range, and checks that they are those of all rows.
fn check<R, V>(
    input: &Input<R>,
    all: &[R],
    column: &str,
    range: impl RangeBounds<V> + Clone,
    value: impl Fn(&R) -> Option<V>,
    what: &str,
) -> PassedOver
where
    R: for<'a> Row<Of<'a> = R> + PartialEq + std::fmt::Debug,
    V: Clone + Into<ColumnValue> + PartialOrd,
{
    let (found, passed) = read(&input.skipping_outside(column, range.clone()).unwrap());
    let inside = |row: &&R| value(row).is_some_and(|value| range.contains(&value));
    assert!(found.iter().filter(inside).eq(all.iter().filter(inside)), "{what}");
    assert!(is_part_of(&found, all), "{what}");
    assert_eq!(found.len() as u64 + passed.filtered_rows + passed.unread_rows, all.len() as u64, "{what}");
    passed
}

#[test]
fn any_range_has_all_its_rows_in_files_of_every_kind() {
    let home = written();
    let mut random = Random(6);
    for (way, data) in ways(&home) {
        let (pages, visits) = (open::<Page>(&RANKINGS, &data), open::<Visit>(&USERVISITS, &data));
        let (all_pages, all_visits) = (read(&pages), read(&visits));
        assert_eq!((all_pages.1, all_visits.1), (PassedOver::default(), PassedOver::default()));
        assert_eq!((all_pages.0.len(), all_visits.0.len()), (ROWS, ROWS));
        for round in 0..8 {
            let (from, width) = (random.below(1_000) as i32 - 20, random.below(60) as i32);
            let to = if round % 4 == 0 { from + 900 } else { from + width };
            let what = format!("{way}, {from} to {to}");
            let passed = check(&pages, &all_pages.0, "pageRank", from..to, |page| page.rank, &what);
            let days = Date::from_days(FIRST_DAY + from)..=Date::from_days(FIRST_DAY + to);
            let visited = check(&visits, &all_visits.0, "visitDate", days, |visit| visit.visit_date, &what);
            if round % 4 != 0 {
                // A few rows of each hundred are inside, and of nulls one of eleven.
                let most_are_left_out =
                    |passed: PassedOver| passed.filtered_rows + passed.unread_rows > 6_000;
                assert!(
                    most_are_left_out(passed) && most_are_left_out(visited),
                    "{what}: {passed:?}, {visited:?}"
                );
            }
        }
        // Only some stretches have these.
        let passed = check(&pages, &all_pages.0, "pageRank", 100..110, |page| page.rank, &way);
        let large = ["ours", "packed", "duckdb", "text", "quoted"].iter().any(|large| way.starts_with(large));
        assert!(passed.pages > 0 || large || way.starts_with("nulls"), "{way}: {passed:?}");
    }
}

#[test]
fn queries_1_and_3_answer_as_on_text_and_tell_what_they_left_out() {
    let home = written();
    let run = |program: &str, words: &str, data: &str, workers: usize, processes: usize| {
        let mut command = Command::new(program);
        command.args(words.split_whitespace()).args(["--data", data, "--set", "t", "--json"]);
        command.args(["-w", &workers.to_string(), "-n", &processes.to_string(), "--split-size", "1K"]);
        command.args(["--report", "report.json"]);
        let answer = home.runner(command).run().json();
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap();
        let figure = |name: &str| report["input"][name].as_u64().unwrap();
        let read = (figure("rows"), figure("filtered_rows"), figure("unread_rows"));
        (answer["hash"].clone(), read, figure("passed_pages"))
    };
    let (from, to) = (Date::from_days(FIRST_DAY + 10), Date::from_days(FIRST_DAY + 30));
    let visits = format!("--from {from} --to {to}");
    let (query1, query3) = (env!("CARGO_BIN_EXE_query1"), env!("CARGO_BIN_EXE_query3"));
    // Of each query, how many rows its tables have.
    for (program, words, all) in [(query1, "-x 960", ROWS as u64), (query3, &visits, 2 * ROWS as u64)] {
        let (expected, ..) = run(program, words, "data", 1, 1);
        let ways = ways(&home).into_iter().map(|(way, _)| way).filter(|way| !way.starts_with("nulls"));
        for (number, way) in ways.enumerate() {
            let mut counted = BTreeSet::new();
            // Two of four for each way, which are many.
            let teams = [(1, 1), (2, 1), (3, 1), (1, 2)];
            for (workers, processes) in [teams[number % 2], teams[2 + number / 2 % 2]] {
                let (hash, read, pages) = run(program, words, &format!("theirs/{way}"), workers, processes);
                assert_eq!(hash, expected, "{way}, {workers} workers, {processes} processes");
                let (rows, filtered, unread) = read;
                assert_eq!(rows + unread, all, "{way}: {read:?}");
                assert!(filtered + unread > 7_000, "{way}: {read:?}");
                counted.insert((read, pages));
            }
            assert_eq!(counted.len(), 1, "{way}: counts do not depend on who reads: {counted:?}");
        }
    }
}

#[cfg(feature = "object-store")]
#[test]
fn files_of_a_server_are_read_the_same() {
    let home = written();
    let server = crate::servers::files(home.path().to_path_buf(), true);
    let run = |data: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_query1"));
        command.args(["-x", "960", "-w", "2", "--set", "t", "--json", "--data", data]);
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
            .iter()
            .for_each(|name| _ = command.env_remove(name));
        home.runner(command).run().json()["hash"].clone()
    };
    let expected = run("data");
    for (way, data) in ways(&home) {
        let formats = ["parquet", "packed", "csv"].map(|format| data.join(format).join("t/rankings"));
        let place = formats.iter().find(|place| place.exists()).unwrap();
        let name = place.read_dir().unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
        let bytes = fs::metadata(place.join(&name)).unwrap().len();
        fs::write(place.join("_manifest.txt"), format!("{bytes} {name}\n")).unwrap();
        if !way.starts_with("nulls") {
            assert_eq!(run(&format!("http://{server}/theirs/{way}")), expected, "{way}");
        }
    }
}

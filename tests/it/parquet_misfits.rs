//! Values of Parquet that are none of their column: each is the fault of its row alone.
//!
//! These tests would catch a row that is skipped in place of another one, good rows that go with a bad one, a bad one that is counted twice,
//! and an error that names another row.

use std::fs;
use std::path::Path;
use std::process::Command;

use millrace::Error;
use millrace::input::{BadRecords, Block, FormatChoice, Input, InputOptions, Row};
use millrace::tables::{Column, ColumnType, Date, RANKINGS, Table, USERVISITS};
use serde::Deserialize;

use crate::csv::read_all;
use crate::parquet::pyarrow;
use crate::support::Home;

/// Rows of each table, as `misfits.py` makes them.
const ROWS: usize = 2_000;

/// Rankings whose ranks have 64 bits.
const LONG_RANKINGS: Table = Table {
    columns: &[Column::new("pageURL", ColumnType::Text), Column::new("pageRank", ColumnType::Long)],
    ..RANKINGS
};

/// 1980-01-01, by days since 1970-01-01.
const FIRST_DAY: i32 = 3_652;

/// Which rows have a value that their column cannot have.
fn is_misfit(row: usize) -> bool {
    row % 97 == 5
}

/// Which rows have none beside, where there are any of that kind.
fn is_hole(row: usize) -> bool {
    row % 89 == 3
}

/// A home with the files of `misfits.py` in `data`.
fn written() -> Home {
    let home = Home::new();
    pyarrow("misfits.py", &[home.path().join("kinds").as_os_str()]);
    home
}

fn open<R: Row>(table: &Table, data: &Path, bad_records: BadRecords) -> Input<R> {
    let options = InputOptions {
        data: data.to_path_buf(),
        set: "t".into(),
        format: FormatChoice::Parquet,
        bad_records,
        ..InputOptions::default()
    };
    Input::open(table, &options).unwrap().with_sizes(1, 64 << 10)
}

#[derive(Deserialize)]
struct Day<'a> {
    #[serde(rename = "visitDate")]
    day: Date,
    #[serde(rename = "sourceIP")]
    address: &'a str,
}

impl Row for Day<'_> {
    type Of<'a> = Day<'a>;
}

#[derive(Deserialize)]
struct DayText<'a> {
    #[serde(rename = "sourceIP")]
    address: &'a str,
    #[serde(rename = "visitDate")]
    day: &'a str,
}

impl Row for DayText<'_> {
    type Of<'a> = DayText<'a>;
}

#[test]
fn bad_values_are_skipped_row_by_row_at_any_number_of_workers() {
    let home = written();
    let pairs = ["null", "wide", "unsigned", "both"]
        .iter()
        .flat_map(|kind| ["plain", "dictionary"].map(|way| format!("{kind}-{way}")));
    let mut kinds: Vec<_> = pairs.collect();
    for kind in ["null", "wide"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        // With 64 bits, so that the wide ones are no values of the query's table.
        let columns = "pageURL:text,pageRank:long,avgDuration:int";
        command.args(["--data", &format!("kinds/{kind}-plain"), "--set", "t"]);
        command.args(["--table", "rankings", "--columns", columns, "--to", "packed"]);
        command.args(["--output", &format!("kinds/{kind}-packed/packed/t/rankings")]);
        home.runner(command).run().ended_with(0);
        kinds.push(format!("{kind}-packed"));
    }
    for kind in kinds {
        let is_bad = |row: &usize| is_misfit(*row) || kind.starts_with("both") && is_hole(*row);
        let mut expected: Vec<_> = (0..ROWS)
            .filter(|row| !is_bad(row) && row % 500 > 100)
            .map(|row| format!("http://page/{row},{}", row % 500))
            .collect();
        expected.sort();
        let bad = (0..ROWS).filter(is_bad).count();
        for workers in 1..=3 {
            let query = |words: &str| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_query1"));
                command.args(words.split_whitespace()).args([
                    "-x",
                    "100",
                    "--json",
                    "--set",
                    "t",
                    "--split-size",
                    "1K",
                ]);
                command.arg("--data").arg(format!("kinds/{kind}")).args(["-w", &workers.to_string()]);
                home.runner(command).run()
            };
            let ran = query("--bad-records skip --output out --report report.json");
            let answer = ran.json();
            ran.check(answer["pages"] == expected.len(), &format!("{} pages", expected.len()));
            let mut found: Vec<_> = (0..workers)
                .map(|part| fs::read_to_string(home.path().join(format!("out/part-{part:05}.csv"))).unwrap())
                .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
                .collect();
            found.sort();
            ran.check(found == expected, "the good rows");
            let report: serde_json::Value =
                serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap();
            ran.check(report["input"]["bad_records"] == bad, "the skipped rows");
            ran.check(report["input"]["rows"] == ROWS - bad, "the others");
            fs::remove_dir_all(home.path().join("out")).unwrap();
            let ran = query("");
            ran.failed_saying("bad record in ");
            ran.failed_saying(", column pageRank: ");
        }
    }
}

#[test]
fn the_first_bad_value_is_named() {
    let home = written();
    let first = |kind: &str, table, column: &str, reason: &str| {
        let data = home.path().join("kinds").join(kind);
        let error = match table {
            "rankings" => read_all(&open::<Rank>(&RANKINGS, &data, BadRecords::Fail), |_| ()).map(|_| ()),
            "long rankings" => {
                read_all(&open::<Rank>(&LONG_RANKINGS, &data, BadRecords::Fail), |_| ()).map(|_| ())
            }
            _ => read_all(&open::<Day<'_>>(&USERVISITS, &data, BadRecords::Fail), |_| ()).map(|_| ()),
        };
        let Err(Error::BadRecord(bad)) = error else { panic!("{kind}: {error:?}") };
        // Of `both`, a row without a value comes before it.
        let row = if kind.starts_with("both") { 3 } else { 5 };
        assert_eq!((bad.row, bad.column.as_deref(), bad.line), (Some(row + 1), Some(column), None), "{kind}");
        assert_eq!(bad.reason, reason, "{kind}");
        let table = table.strip_prefix("long ").unwrap_or(table);
        assert_eq!(bad.path, data.join(format!("parquet/t/{table}/part-0.parquet")));
        bad.text
    };
    let null = "there is no value (null), expected i32; an Option takes none";
    for way in ["plain", "dictionary"] {
        first(&format!("null-{way}"), "rankings", "pageRank", null);
        first(&format!("both-{way}"), "rankings", "pageRank", null);
        let wide = "2147483653 is beyond the 32 bits of an int column; a long one has 64";
        assert_eq!(first(&format!("wide-{way}"), "rankings", "pageRank", wide), "?");
        let beyond = "9223372036854775813 is beyond the 32 bits of an int column; a long one has 64";
        assert_eq!(first(&format!("unsigned-{way}"), "rankings", "pageRank", beyond), "?");
        let beyond = "9223372036854775813 is beyond 9223372036854775807";
        first(&format!("unsigned-{way}"), "long rankings", "pageRank", beyond);
        let hour = (FIRST_DAY as u64 + 5) * 86_400_000_000 + 3_600_000_000;
        let no_midnight = format!("the timestamp {hour} is no midnight, so it is no day");
        assert_eq!(first(&format!("timestamp-{way}"), "uservisits", "visitDate", &no_midnight), "?,10.0.0.5");
        first(
            &format!("int96-{way}"),
            "uservisits",
            "visitDate",
            "a timestamp is no midnight, so it is no day",
        );
        first(
            &format!("text-{way}"),
            "uservisits",
            "visitDate",
            "`yesterday` is not a day written yyyy-MM-dd",
        );
    }
}

#[derive(Deserialize)]
struct Rank {
    #[serde(rename = "pageRank")]
    _rank: i32,
}

impl Row for Rank {
    type Of<'a> = Rank;
}

#[test]
fn days_that_are_none_are_skipped_as_days_and_as_text() {
    let home = written();
    let expected: Vec<_> = (0..ROWS)
        .filter(|row| !is_misfit(*row))
        .map(|row| (Date::from_days(FIRST_DAY + (row % 100) as i32).to_string(), format!("10.0.0.{row}")))
        .collect();
    let bad = (ROWS - expected.len()) as u64;
    for kind in ["timestamp", "int96", "text"]
        .iter()
        .flat_map(|kind| ["plain", "dictionary"].map(|way| format!("{kind}-{way}")))
    {
        let data = home.path().join("kinds").join(&kind);
        let days = open::<Day<'_>>(&USERVISITS, &data, BadRecords::Skip);
        let (rows, Block { bad_records, rows: count, .. }) =
            read_all(&days, |row| (row.day.to_string(), row.address.to_owned())).unwrap();
        assert!(rows == expected, "{kind}");
        assert_eq!((bad_records, count), (bad, rows.len() as u64), "{kind}");
        let texts = open::<DayText<'_>>(&USERVISITS, &data, BadRecords::Skip);
        let (rows, block) = read_all(&texts, |row| (row.day.to_owned(), row.address.to_owned())).unwrap();
        assert!(rows == expected && block.bad_records == bad, "{kind} as text");
    }
}

#[test]
fn pack_leaves_bad_values_out() {
    let home = written();
    for kind in ["wide-plain", "unsigned-plain", "both-dictionary"] {
        let pack = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
            command
                .arg("--data")
                .arg(format!("kinds/{kind}"))
                .args(["--set", "t", "--table", "rankings"])
                .args(words);
            home.runner(command).run()
        };
        let output = format!("{kind}.csv/rankings");
        pack(&["--to", "csv", "--output", &output]).failed_saying(", column pageRank: ");
        pack(&["--to", "csv", "--output", &output, "--bad-records", "skip", "--verify"]).ended_with(0);
        let row = |row: usize| {
            let hole = kind.starts_with("both") && is_hole(row);
            let rank = if hole { String::new() } else { (row % 500).to_string() };
            format!("http://page/{row},{rank},{}\n", row % 60)
        };
        let expected: String = (0..ROWS).filter(|row| !is_misfit(*row)).map(row).collect();
        let found: String = home
            .listing(&output)
            .iter()
            .map(|part| fs::read_to_string(home.path().join(&output).join(part)).unwrap())
            .collect();
        assert!(found == expected, "{kind}");
    }
}

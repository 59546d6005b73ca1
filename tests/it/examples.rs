//! The examples that have tables of their own, with real processes, against plain judges; `scripts/check-examples` asks
//! DuckDB as well, and about TPC-H.
//!
//! These tests would catch a session that is cut where a user's clicks come from several workers, a pair of titles found
//! twice or missed by the prefix filter, a continuation line counted as a line, and an answer that differs between
//! shapes of a job.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Home, Ran, example};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

/// The lines of a table that comes with the examples.
fn lines(table: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("{DATA}/csv/examples/{table}/part-0")).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Runs an example on threads and processes, and compares its answer.
fn same_as(name: &str, words: &str, expected: &Value) {
    // Numbers as they are when read, which serde_json does not do to the last bit.
    let expected: Value = serde_json::from_str(&expected.to_string()).unwrap();
    each_shape(name, words, |ran, answer| ran.check(*answer == expected, "not what the plain judge found"));
}

/// Runs an example on threads and processes, each time with a look at its answer.
fn each_shape(name: &str, words: &str, check: impl Fn(&Ran, &Value)) {
    for shape in ["-w 1", "-w 3", "-n 2 -w 1"] {
        let home = Home::new();
        let mut command = Command::new(example(name));
        command.args(["--data", DATA, "--set", "examples", "--json", "--split-size", "4K"]);
        command.args(shape.split(' ')).args(words.split_whitespace());
        let ran = home.runner(command).run();
        check(&ran, &ran.json()["answer"]);
    }
}

#[test]
fn error_rates_are_counted_by_minute() {
    let mut minutes = BTreeMap::<_, (u64, u64)>::new();
    for line in lines("log").iter().filter(|line| line.starts_with("2026-")) {
        let level = line.split(' ').nth(1).unwrap();
        let (lines, errors) = minutes.entry(line[..16].to_owned()).or_default();
        *lines += 1;
        *errors += u64::from(level == "ERROR" || level == "FATAL");
    }
    let row = |(minute, (lines, errors)): (&String, &(u64, u64))| json!({"minute": minute, "lines": lines, "errors": errors, "rate": *errors as f64 / *lines as f64});
    assert!(minutes.values().any(|(_, errors)| *errors > 0));
    same_as("error_rates", "", &minutes.iter().map(row).collect());
}

#[test]
fn sessions_end_where_a_user_pauses() {
    let mut clicks = BTreeMap::<_, Vec<i64>>::new();
    for line in lines("clicks") {
        let fields: Vec<_> = line.split(',').collect();
        clicks.entry(fields[0].to_owned()).or_default().push(fields[1].parse().unwrap());
    }
    for gap in [600, 1800] {
        let mut users = BTreeMap::<usize, u64>::new();
        for seconds in clicks.values_mut() {
            seconds.sort_unstable();
            let sessions = 1 + seconds.windows(2).filter(|pair| pair[1] - pair[0] > gap).count();
            *users.entry(sessions).or_default() += 1;
        }
        assert!(users.len() > 5);
        let row = |(sessions, users)| json!({"sessions": sessions, "users": users});
        same_as("sessions", &format!("--gap {gap}"), &users.iter().map(row).collect());
    }
}

/// Once the pause between the first and the last second there are was a small one, or a panic.
#[test]
fn sessions_end_at_the_longest_pause_there_is() {
    let home = Home::new();
    let table = home.path().join("data/csv/t/clicks");
    fs::create_dir_all(&table).unwrap();
    fs::write(table.join("part-0"), "ann,-2147483648,a\nann,2147483647,b\n").unwrap();
    let mut command = Command::new(example("sessions"));
    command.args(["--data", "data", "--set", "t", "--json", "-w", "2"]);
    let ran = home.runner(command).run();
    ran.check(ran.json()["answer"] == json!([{"sessions": 2, "users": 1}]), "two sessions");
}

/// Once these were bad records: from 358 times the smallest size on, orders have numbers of more than 31 bits.
#[test]
fn orders_of_tpch_may_be_many() {
    let home = Home::new();
    let table = |name: &str, rows: String| {
        let table = home.path().join(format!("data/csv/t/{name}"));
        fs::create_dir_all(&table).unwrap();
        fs::write(table.join("part-0"), rows).unwrap();
    };
    let order = 6_000_000_000_u64;
    table("customer", "5000000000|Ann|street|1|1-2|0.5|BUILDING|said|\n".to_owned());
    table("orders", format!("{order}|5000000000|O|100.00|1995-03-01|1-URGENT|Clerk|0|said|\n"));
    table(
        "lineitem",
        format!(
            "{order}|4000000000|3000000000|1|301|50.00|0.10|0.02|N|O|1995-04-13|1995-04-12|1995-04-22|NONE|RAIL|said|\n"
        ),
    );
    for query in ["tpch_q3", "tpch_q18"] {
        let mut command = Command::new(example(query));
        command.args(["--data", "data", "--set", "t", "--json", "-w", "2"]);
        let ran = home.runner(command).run();
        ran.check(ran.json()["answer"][0]["order"] == order, query);
    }
}

#[test]
fn visitors_are_counted_once_and_about_once() {
    let mut pages = BTreeMap::<_, BTreeSet<String>>::new();
    for line in lines("clicks") {
        let fields: Vec<_> = line.split(',').collect();
        pages.entry(fields[2].to_owned()).or_default().insert(fields[0].to_owned());
    }
    let row = |(page, users): (&String, &BTreeSet<_>)| json!({"page": page, "users": users.len()});
    same_as("visitors", "", &pages.iter().map(row).collect());
    each_shape("visitors", "--approximate", |ran, answer| {
        ran.check(answer.as_array().is_some_and(|rows| rows.len() == pages.len()), "pages");
        for (row, (page, users)) in answer.as_array().into_iter().flatten().zip(&pages) {
            let error = row["users"].as_f64().unwrap() - users.len() as f64;
            let near = error.abs() <= 1.0 + 5.0 * 0.01625 * users.len() as f64;
            ran.check(row["page"] == **page && near, "not about as many");
        }
    });
}

#[test]
fn similar_titles_are_those_of_the_nested_loop() {
    let words = |line: String| -> (u32, BTreeSet<String>) {
        let (id, title) = line.split_once(',').unwrap();
        (id.parse().unwrap(), title.to_lowercase().split(' ').map(str::to_owned).collect())
    };
    let titles: Vec<_> = lines("titles").into_iter().map(words).collect();
    for percent in [34, 70] {
        let mut expected = Vec::new();
        for (a, a_words) in &titles {
            for (b, b_words) in titles.iter().filter(|(b, _)| b > a) {
                let shared = a_words.intersection(b_words).count();
                let all = a_words.union(b_words).count();
                if shared * 100 >= all * percent {
                    expected.push(json!({"a": a, "b": b, "similarity": shared as f64 / all as f64}));
                }
            }
        }
        assert!(!expected.is_empty());
        same_as("similar_titles", &format!("--threshold {percent}"), &expected.into());
    }
}

#[test]
fn money_that_is_none_is_a_bad_record() {
    let home = Home::new();
    let table = home.path().join("data/csv/t/lineitem");
    fs::create_dir_all(&table).unwrap();
    let row = |price| {
        format!("1|2|3|1|17|{price}|0.04|0.02|N|O|1994-03-13|1994-02-12|1994-03-22|NONE|RAIL|said|\n")
    };
    for (price, cause) in [
        ("24710.355", "column l_extendedprice: cannot read `24710.355` as a number with two decimals"),
        ("twelve", "column l_extendedprice: cannot read `twelve` as a number with two decimals"),
        ("", "column l_extendedprice"),
    ] {
        fs::write(table.join("lineitem.1.tbl"), row("10.5") + &row(price)).unwrap();
        let mut command = Command::new(example("tpch_q1"));
        command.args(["--data", "data", "--set", "t", "-w", "2"]);
        home.runner(command).run().failed_saying(cause);
    }
}

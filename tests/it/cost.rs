//! What a run cost: its last line and report, against the clock and the price; the tables of `cost`, against a golden one;
//! and what is said about files that are none. These tests would catch a run that is cheaper than it was.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Home, Ran, rows};

/// USD for an hour of a c8g.4xlarge.
const PRICE: f64 = 0.6381;

fn home() -> Home {
    Home::with(&[("part-0".to_owned(), rows(7, 500).concat())])
}

fn cost(home: &Home, words: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cost"));
    command.args(words.split_whitespace());
    home.runner(command).run()
}

fn report(home: &Home) -> Value {
    serde_json::from_str(&fs::read_to_string(home.path().join("report.json")).unwrap()).unwrap()
}

/// A report as a query writes it, as far as `cost` reads it.
fn written(home: &Home, change: impl FnOnce(&mut Value)) {
    let mut report = json!({
        "query": "query2", "arguments": {"prefix": 8, "output": null}, "processes": 1, "workers": 16,
        "input": {"rows": 752_400_000, "bytes": 127_000_000_000_u64, "decompressed_bytes": null, "bad_records": 0},
        "seconds": {"total": 36.0},
        "cost": {"usd": 0.006_381, "nodes": 1, "instance": "c8g.4xlarge", "usd_per_hour": PRICE, "prices": "2026-09"},
    });
    change(&mut report);
    fs::write(home.path().join("report.json"), report.to_string()).unwrap();
}

#[test]
fn the_last_line_and_the_report_tell_what_a_run_cost() {
    let home = home();
    let ran = home.query("-w 2 --instance c8g.4xlarge --report report.json").run();
    ran.ended_with(0);
    let report = report(&home);
    let cost = &report["cost"];
    assert_eq!((&cost["nodes"], &cost["instance"]), (&json!(1), &json!("c8g.4xlarge")));
    assert_eq!((&cost["usd_per_hour"], &cost["prices"]), (&json!(PRICE), &json!("2026-09")));
    let usd = report["seconds"]["total"].as_f64().unwrap() * PRICE / 3600.0;
    assert!((cost["usd"].as_f64().unwrap() / usd - 1.0).abs() < 1e-9, "{report:#}");
    let line = format!("cost {} (c8g.4xlarge, 2026-09 prices)", millrace::units::Usd(usd));
    ran.check(ran.stderr.lines().last() == Some(&line), &line);
    // Once, with --json nothing was said of it.
    let ran = home.query("-w 2 --instance c8g.4xlarge --json").run();
    ran.json();
    ran.check(
        ran.stderr
            .lines()
            .last()
            .is_some_and(|line| line.starts_with("cost ") && line.contains("c8g.4xlarge")),
        "the last line",
    );
    // What `cost` makes of the file that a query writes.
    let table = self::cost(&home, "report.json --json").json();
    let ours = &table["queries"][0]["lines"][0];
    assert_eq!(table["queries"][0]["query"], "2A");
    assert_eq!((&ours["usd"], &ours["size"]), (&cost["usd"], &json!(500)));
}

/// With the set that comes with Millrace: the names of arguments in published.toml are those that reports have.
#[test]
fn every_query_of_the_benchmark_is_known_by_its_report() {
    let home = home();
    for (program, words, query) in [
        (env!("CARGO_BIN_EXE_query1"), "-x 10", "1C"),
        (env!("CARGO_BIN_EXE_query2"), "-k 10", "2B"),
        (env!("CARGO_BIN_EXE_query3"), "--to 1983-01-01", "3B"),
        (env!("CARGO_BIN_EXE_query4"), "", "4"),
    ] {
        let mut command = Command::new(program);
        command.arg("--data").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/data"));
        command.args(words.split_whitespace()).args([
            "-w",
            "1",
            "--instance",
            "c7g.xlarge",
            "--report",
            "report.json",
        ]);
        home.runner(command).run().ended_with(0);
        let table = cost(&home, "report.json --json").json();
        assert_eq!(table["queries"][0]["query"], query, "{:#}", report(&home)["arguments"]);
    }
}

#[test]
fn nobody_told_means_no_cost() {
    let home = home();
    let ran = home.query("--report report.json").run();
    ran.ended_with(0);
    ran.check(!ran.stderr.contains("cost"), "expected no line about cost");
    assert!(report(&home)["cost"].is_null());
    cost(&home, "report.json").ended_with(2);
}

#[test]
fn processes_of_one_host_are_paid_once() {
    let home = home();
    home.write_hosts(2);
    let second = home.query("-w 1 -h hosts -p 1 --instance c8g.4xlarge").start();
    let first = home.query("-w 1 -h hosts -p 0 --instance c8g.4xlarge --report report.json").run();
    first.ended_with(0);
    second.end().ended_with(0);
    assert_eq!(report(&home)["cost"]["nodes"], 1);
}

#[test]
fn the_table_is_as_it_was() {
    let home = home();
    fs::write(home.path().join("results.jsonl"), include_str!("cost/results.jsonl")).unwrap();
    let ran = cost(&home, "results.jsonl --instance c7i.xlarge");
    ran.ended_with(0);
    let golden = include_str!("cost/2A.txt");
    ran.check(ran.stdout == golden, &format!("expected on stdout\n{golden}"));
    // One list for all: the machines of 2014 at the prices of 2016, and none for those that were not there.
    let table = cost(&home, "results.jsonl --instance c7i.xlarge --prices 2016-02 --json").json();
    let lines = table["queries"][0]["lines"].as_array().unwrap();
    let usd = |system: &str| {
        &lines.iter().find(|line| line["system"].as_str().unwrap().starts_with(system)).unwrap()["usd"]
    };
    assert!(usd("duckdb").is_null() && usd("Redshift").is_null());
    assert!((usd("Hive").as_f64().unwrap() - 730.62 * 5.0 * 0.98 / 3600.0).abs() < 1e-9);
}

#[test]
fn reports_are_read_for_what_they_say() {
    let home = home();
    let table = |home: &Home, words: &str| cost(home, &format!("report.json --json {words}")).json();
    let ours = |table: &Value| table["queries"][0]["lines"][0].clone();
    let notes = |table: &Value| table["notes"].to_string();

    written(&home, |report| report["cost"]["nodes"] = json!(4));
    let found = table(&home, "--instance c7g.xlarge");
    assert_eq!((&ours(&found)["nodes"], &ours(&found)["instance"]), (&json!(4), &json!("c8g.4xlarge")));
    assert!((ours(&found)["usd"].as_f64().unwrap() - 4.0 * PRICE / 100.0).abs() < 1e-9);
    assert!(notes(&found).contains("did not write it to files"));

    written(&home, |report| report["arguments"]["output"] = json!("groups"));
    assert!(!notes(&table(&home, "")).contains("did not write it to files"));

    written(&home, |report| report["cost"] = Value::Null);
    let found = table(&home, "--instance c7g.xlarge");
    assert_eq!(ours(&found)["instance"], "c7g.xlarge");
    assert!(notes(&found).contains("priced as c7g.xlarge, because --instance says so"));

    // Query 4 is compared by bytes of text.
    written(&home, |report| {
        report["query"] = json!("query4");
        report["input"]["decompressed_bytes"] = json!(136_900_000_000_u64);
    });
    let found = table(&home, "");
    assert_eq!((&found["queries"][0]["query"], &found["queries"][0]["unit"]), (&json!("4"), &json!("bytes")));
    assert_eq!(ours(&found)["size"], 136_900_000_000_u64);
}

#[test]
fn what_cannot_be_priced_is_said() {
    let home = home();
    let said = |words: &str, code: i32, line: &str| {
        let ran = cost(&home, words);
        ran.ended_with(code);
        ran.check(ran.stdout.is_empty() && ran.stderr.contains(line), &format!("expected in stderr: {line}"));
    };
    said("absent.json", 1, "error: cannot read absent.json: ");
    fs::write(home.path().join("report.json"), "{}").unwrap();
    said("report.json", 1, "error: report.json is no report of a run: missing field `query`");
    written(&home, |report| report["cost"] = Value::Null);
    said(
        "report.json",
        2,
        "report.json does not say what machine it was measured on\n  try: --instance TYPE, to price it",
    );
    written(&home, |report| (report["cost"], report["processes"]) = (Value::Null, json!(3)));
    said(
        "report.json --instance c8g.4xlarge",
        2,
        "does not say on how many machines\n  try: run the query again with",
    );
    written(&home, |report| report["cost"]["prices"] = json!("1999-01"));
    said("report.json", 1, "report.json: there is no price of 1999-01 for c8g.4xlarge");

    let results = include_str!("cost/results.jsonl");
    fs::write(home.path().join("good.jsonl"), results).unwrap();
    said("good.jsonl", 2, "good.jsonl does not say what machine it was measured on");
    fs::write(home.path().join("cut.jsonl"), format!("{}\n", &results[..results.len() - 20])).unwrap();
    said("cut.jsonl --instance c8g.4xlarge", 1, "cut.jsonl, line 9, is no result of scripts/bench: EOF");
    // Once, these listed all that was published, as if nothing had been named.
    for nothing in ["", "\n", &results[..20]] {
        fs::write(home.path().join("empty.jsonl"), nothing).unwrap();
        said("empty.jsonl --instance c8g.4xlarge", 1, "empty.jsonl has no results that could be compared");
    }
    // Once, these cost NaN or infinitely much.
    written(&home, |report| report["seconds"]["total"] = json!(0));
    said("report.json", 1, "report.json tells a time that no run takes: 0 s");
    written(&home, |report| report["cost"]["nodes"] = json!(0));
    said("report.json", 1, "report.json tells the cost of no machine");
    fs::write(home.path().join("no.jsonl"), results.replacen("9.0", "-9.0", 1)).unwrap();
    said("no.jsonl --instance c8g.4xlarge", 1, "no.jsonl, line 1: no run takes such a time");
    said("good.jsonl --instance vax", 2, "the prices of 2026-09 do not have it; type one of c5n.2xlarge");
    said("--prices 2016", 2, "there are no prices of that month; type one of 2014-02, 2016-02, 2026-09");
}

/// Once, what a killed benchmark left was no file of results at all.
#[test]
fn a_last_line_that_was_cut_off_is_left_out_and_told() {
    let home = home();
    let results = include_str!("cost/results.jsonl");
    fs::write(home.path().join("cut.jsonl"), &results[..results.len() - 20]).unwrap();
    let ran = cost(&home, "cut.jsonl --instance c7i.xlarge");
    ran.ended_with(0);
    ran.check(
        ran.stderr.starts_with("warning: cut.jsonl ends within a line, which is left out"),
        "a warning",
    );
    let whole = &results[..=results.trim_end().rfind('\n').unwrap()];
    fs::write(home.path().join("whole.jsonl"), whole).unwrap();
    let without = cost(&home, "whole.jsonl --instance c7i.xlarge");
    without.ended_with(0);
    ran.check(ran.stdout == without.stdout && without.stderr.is_empty(), "the rest");
}

#[test]
fn without_files_all_that_was_published_is_listed() {
    let ran = cost(&home(), "");
    ran.ended_with(0);
    for query in ["1A", "1B", "1C", "2A", "2B", "2C", "3A", "3B", "3C", "4"] {
        ran.check(ran.stdout.contains(&format!("Query {query}\n")), query);
    }
}

/// What is predicted for the machine it ran on, at the size it was measured at, is what was measured, but for waiting; and the files that
/// queries write are those that are read.
#[test]
fn a_run_predicts_itself_and_machines_that_can_be_rented() {
    let home = home();
    home.query("-w 2 --report report.json").run().ended_with(0);
    let report = report(&home);
    let found = cost(&home, "--instances --json report.json").json();
    assert_eq!((&found["rates"]["query"], &found["load"]["rows"]), (&json!("query2"), &json!(500.0)));
    let two =
        found["here"].as_array().unwrap().iter().find(|here| here["processes"] == 1 && here["workers"] == 2);
    // Not where there is but one core.
    if let Some(two) = two {
        let most = |key: &str| {
            let workers = report["workers_detail"].as_array().unwrap();
            workers.iter().map(|worker| worker[key].as_f64().unwrap()).fold(0.0, f64::max)
        };
        let waited = most("elapsed_seconds") - most("busy_seconds");
        let measured = report["seconds"]["total"].as_f64().unwrap() - waited;
        let predicted = two["seconds"].as_f64().unwrap();
        assert!((predicted / measured - 1.0).abs() < 1e-6, "{predicted} and {measured}");
    }
    let groups = found["rates"]["groups"].as_f64().unwrap();
    assert!((found["load"]["groups"].as_f64().unwrap() / groups - 1.0).abs() < 1e-6, "{found:#}");
    // Half a thousand rows take no minute anywhere, so the least that can be paid is one of the cheapest machine.
    let last = found["frontier"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["instance"], &last["nodes"]), (&json!("c7g.xlarge"), &json!(1)));
    assert!((last["usd"].as_f64().unwrap() - 60.0 * 0.145 / 3600.0).abs() < 1e-9, "{last:#}");

    let ran = cost(&home, "--instances --scale 4 --deadline 60s --spot-discount 60% report.json");
    ran.ended_with(0);
    for line in ["Predicted for 2,000 rows, ", "Take 1 x c7g.xlarge: ", "60 % below the price on demand"] {
        ran.check(ran.stdout.contains(line), &format!("expected on stdout: {line}"));
    }
    let money = cost(&home, "--instances --rows 2000 --budget 0.01USD report.json");
    money.ended_with(0);
    money.check(money.stdout.contains("\nTake "), "expected a choice");
}

#[test]
fn what_cannot_be_predicted_is_said_with_what_to_type() {
    let home = home();
    home.query("-w 1 --report report.json").run().ended_with(0);
    let said = |words: &str, code: i32, line: &str| {
        let ran = cost(&home, words);
        ran.ended_with(code);
        ran.check(ran.stdout.is_empty() && ran.stderr.contains(line), &format!("expected in stderr: {line}"));
    };
    said("--instances", 2, "0 files were named\n  try: cost --instances target/report.json");
    said("--instances report.json report.json", 2, "2 files were named");
    said(
        "--instances --nodes 1,2 report.json",
        2,
        "try: the report of a run with -w 2 or more, or --nodes 1",
    );
    said("--instances --deadline 0.000001s report.json", 2, "try: --deadline 1s, for ");
    said("--instances --budget 0.000001USD report.json", 2, "try: --budget 0.0025USD, for 1 x c7g");
    cost(&home, "--instances --budget 0.0025USD report.json").ended_with(0);
    // Once, these ended in a panic.
    for words in ["--rows 0", "--scale 0.00001"] {
        said(
            &format!("--instances {words} report.json"),
            2,
            "there is nothing to predict for 0 rows\n  try: --rows",
        );
    }
    cost(&home, "--instances --rows 1 report.json").ended_with(0);
    said("--instances --budget much report.json", 2, "type an amount in US dollars, as 0.01USD");
    said("--instances --scale 0 report.json", 2, "type how many times the measured rows");
    said("--instances --spot-discount 60 report.json", 2, "type a percentage below 100, as 60%");
    said("--instances --core-speed vax=2 report.json", 2, "type a family and how many times as fast");
    said("--rows 10 report.json", 2, "--instances");
    fs::write(home.path().join("broken.json"), "{}").unwrap();
    said("--instances broken.json", 1, "error: broken.json is no report of a run: missing field `query`");
}

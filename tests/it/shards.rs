//! `--local-shards`: each process has only its own files of a table.
//!
//! These tests would catch a file of one process that another leaves out or counts as well, a wrong cut that only one process can
//! see and the others do not read again for, figures of process 0 alone, and a process without its files that goes unnoticed.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Home, Ran, rows};

const PROCESSES: usize = 3;

/// A row of uservisits whose agent has, in quotes, lines that look like rows; longer than splits are.
fn trapped(row: &[u8]) -> Vec<u8> {
    let mut fields: Vec<&[u8]> = row.split(|byte| *byte == b',').collect();
    let agent =
        [b"\"", &b"9.9.9.9,page,1999-09-09,9.5,agent,DEU,DEU-DE,word,9\n".repeat(600)[..], b"\""].concat();
    fields[4] = &agent;
    fields.join(&b',')
}

/// The files of uservisits, each with the process that has it; process 2 has none.
fn visits() -> Vec<(usize, Vec<u8>)> {
    let rows = rows(11, 4_000);
    // The first quote comes late, so that this file is cut, and at the wrong places.
    let late: Vec<u8> = rows[..2_000]
        .concat()
        .into_iter()
        .chain(rows[2_000..2_010].iter().flat_map(|row| trapped(row)))
        .collect();
    vec![
        (0, rows[2_010..3_000].concat()),
        (1, late),
        (0, rows[3_000..3_001].concat()),
        (1, rows[3_001..].concat()),
    ]
}

/// The same rows twice: whole in `data/`, and dealt in `shard-0/`, `shard-1/` and `shard-2/`.
fn dealt() -> Home {
    let home = Home::new();
    let table = |data: &str, table: &str| {
        let directory = home.path().join(data).join("csv/t").join(table);
        fs::create_dir_all(&directory).unwrap();
        directory
    };
    for process in 0..PROCESSES {
        table(&format!("shard-{process}"), "uservisits");
        // Pages that visits refer to, some at each process.
        let page = |page: usize| format!("http://page/{},{page},1\n", page * 3 + process);
        let pages = (0..90).map(page).collect::<Vec<_>>().concat();
        for data in ["data".to_owned(), format!("shard-{process}")] {
            fs::write(table(&data, "rankings").join(format!("part-{process}")), &pages).unwrap();
        }
    }
    for (index, (process, bytes)) in visits().iter().enumerate() {
        for data in ["data".to_owned(), format!("shard-{process}")] {
            fs::write(table(&data, "uservisits").join(format!("part-{index}")), bytes).unwrap();
        }
    }
    home
}

fn run(home: &Home, program: &str, words: &str) -> Ran {
    let mut command = Command::new(program);
    command.args(words.split_whitespace()).args(["--set", "t", "--json", "--report", "report.json"]);
    home.runner(command).run()
}

fn report(home: &Home) -> Value {
    serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap()
}

const SHARDS: &str = "--local-shards --data shard-{process} -n 3 --split-size 8K";

#[test]
fn shards_have_the_answer_and_the_figures_of_all_files() {
    let home = dealt();
    let query2 = env!("CARGO_BIN_EXE_query2");
    let whole = run(&home, query2, "-k 9 -w 1 --data data --split-size 8K").json();
    let expected = report(&home)["input"].clone();
    assert_eq!(expected["rereads"], 1, "the cuts met no quote");
    for words in ["-w 1", "-w 2 --assignment modulo", "-w 2 --assignment shared"] {
        let ran = run(&home, query2, &format!("-k 9 {words} {SHARDS}"));
        ran.check(ran.json() == whole, "the answer of one process");
        let report = report(&home);
        for key in ["files", "compressed_files", "splits", "bytes", "rows", "bad_records", "rereads"] {
            ran.check(report["input"][key] == expected[key], &format!("{key} of {}", report["input"]));
        }
        let largest = &report["input"]["largest_split"];
        ran.check(
            largest["file"].as_str().unwrap().ends_with("shard-1/csv/t/uservisits/part-1"),
            "the largest",
        );
        let workers = report["workers_detail"].as_array().unwrap();
        let per_process = workers.len() / PROCESSES;
        // Of its workers, one may have taken all splits.
        let rows = |process: usize| {
            let own = workers.iter().skip(process * per_process).take(per_process);
            own.map(|worker| worker["rows"].as_u64().unwrap()).sum::<u64>()
        };
        ran.check([0, 1, 2].map(rows) == [991, 3_009, 0], "each process has the rows of its own files");
    }
}

#[test]
fn queries_1_and_3_on_shards() {
    let home = dealt();
    let (query1, query3) = (env!("CARGO_BIN_EXE_query1"), env!("CARGO_BIN_EXE_query3"));
    let hash = |program, words: &str| run(&home, program, words).json()["hash"].clone();
    assert_eq!(hash(query1, &format!("-x 40 -w 2 {SHARDS}")), hash(query1, "-x 40 -w 1 --data data"));
    let days = "--from 1970-01-01 --to 1999-01-01";
    let expected = hash(query3, &format!("{days} -w 1 --data data"));
    for join in ["hash", "broadcast"] {
        assert_eq!(hash(query3, &format!("{days} --join {join} -w 1 {SHARDS}")), expected, "{join}");
    }
    let ran = run(&home, query3, &format!("{days} -w 1 {SHARDS}"));
    ran.ended_with(2).check(ran.stderr.contains("try: --join hash, or --join broadcast"), "what to type");
}

#[test]
fn a_missing_directory_is_an_error_that_names_the_process() {
    let home = dealt();
    fs::remove_dir(home.path().join("shard-2/csv/t/uservisits")).unwrap();
    let ran = run(&home, env!("CARGO_BIN_EXE_query2"), &format!("-w 1 {SHARDS}"));
    ran.failed_saying("error: process 2 on this machine failed: there is no table uservisits in set t: no directory shard-2/");
}

#[test]
fn all_processes_have_shards_or_none() {
    let home = dealt();
    home.write_hosts(2);
    let query2 = env!("CARGO_BIN_EXE_query2");
    let start = |words: &str| {
        let mut command = Command::new(query2);
        command.args(words.split_whitespace()).args(["--set", "t", "-w", "1", "-h", "hosts"]);
        home.runner(command).start()
    };
    let other = start("-p 1 --data shard-1 --local-shards");
    let ran = start("-p 0 --data data").end();
    ran.failed_saying("process 0 has --local-shards false, process 1 has --local-shards true");
    other.end().ended_with(1);
    // Without a mark in --data, each on its own host has its own.
    let other = start("-p 1 --data shard-1 --local-shards");
    let ran = start("-p 0 --data shard-0 --local-shards --json").end();
    let expected = run(&home, query2, "-w 1 --data data").json();
    ran.check(ran.json()["hash"] == expected["hash"], "the answer of one process");
    other.end().ended_with(0);
}

#[test]
fn what_would_count_files_several_times_is_refused() {
    let home = dealt();
    let query2 = env!("CARGO_BIN_EXE_query2");
    for (words, remedy) in [
        ("-n 2 --local-shards --data data", "try: --data with {process} in it, as --data data-{process}"),
        ("-n 2 --data shard-{process}", "try: --local-shards, or --data without {process}"),
    ] {
        let ran = run(&home, query2, words);
        ran.ended_with(2).check(ran.stderr.contains(remedy), remedy);
    }
    // An empty directory is a mistake unless it is a shard.
    run(&home, query2, "--data shard-2").failed_saying("shard-2/csv/t/uservisits holds no files");
    let ran = run(&home, query2, "--data shard-2 --local-shards");
    ran.check(ran.json()["groups"] == 0, "no rows at all");
    let ran = run(&home, query2, &format!("{SHARDS} -w 1 --explain"));
    ran.ended_with(0).check(ran.stdout.contains("uservisits, the shard of process 0: 2 files"), "the plan");
}

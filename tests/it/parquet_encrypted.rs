//! Parquet that pyarrow encrypted: what can be read of it is read, and of the rest it is said what to do.
//!
//! These tests would catch a column that nobody reads and that stops a query all the same, and encrypted bytes that are decoded, or called
//! damage.

use std::process::Command;

use crate::parquet::pyarrow;
use crate::support::{Home, Ran, Runner};

/// A home with the files of `encrypted.py` in `kinds`.
fn written() -> Home {
    let home = Home::new();
    pyarrow("encrypted.py", &[home.path().join("kinds").as_os_str()]);
    home
}

/// A program on the files of one kind.
fn on(home: &Home, program: &str, kind: &str, words: &str) -> Runner {
    let mut command = Command::new(program);
    command.args(["--data", &format!("kinds/{kind}"), "--set", "t"]).args(words.split_whitespace());
    home.runner(command)
}

/// Query 1, which reads pageURL and pageRank.
fn pages(home: &Home, kind: &str, words: &str) -> Ran {
    on(home, env!("CARGO_BIN_EXE_query1"), kind, &format!("-x 100 --json {words}")).run()
}

const UNSUPPORTED: &str = "encryption, which is not supported\n  try: write it without encryption";

#[test]
fn an_encrypted_column_is_no_obstacle_to_who_does_not_read_it() {
    let home = written();
    let answer = |kind: &str, words: &str| {
        let answer = pages(&home, kind, words).json();
        format!("{} {}", answer["pages"], answer["hash"])
    };
    let expected = answer("none", "-w 1");
    assert!(expected.starts_with("698 "), "{expected}");
    for words in ["-w 1", "-w 2 --split-size 1K", "-n 2 -w 1"] {
        assert_eq!(answer("duration", words), expected, "{words}");
    }
}

#[test]
fn what_is_encrypted_and_wanted_is_named() {
    let home = written();
    let file = |kind: &str| format!("kinds/{kind}/parquet/t/rankings/part-0.parquet");
    for words in ["-w 2", "-n 2 -w 1"] {
        pages(&home, "rank", words)
            .failed_saying(&format!("{}: column pageRank: {UNSUPPORTED}", file("rank")));
        pages(&home, "all", words).failed_saying(&format!("{}: {UNSUPPORTED}", file("all")));
    }
    // It reads all columns.
    let pack =
        on(&home, env!("CARGO_BIN_EXE_pack"), "duration", "--table rankings --to csv --output made").run();
    pack.failed_saying(&format!("{}: column avgDuration: {UNSUPPORTED}", file("duration")));
    assert_eq!(home.listing("made"), ["absent"], "nothing is left");
}

#[test]
fn an_encrypted_column_is_described_as_one() {
    let home = written();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--describe", "kinds/duration/parquet/t/rankings", "--head", "1"]);
    let ran = home.runner(command).run();
    ran.ended_with(0);
    let line = |name: &str| ran.stdout.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(
        line("avgDuration").contains(" encrypted ") && line("pageRank").contains(" int "),
        "{}",
        ran.stdout
    );
    let head = ran.stdout.split_once("\n\n").and_then(|(_, head)| head.lines().next()).unwrap();
    assert_eq!(head.split_whitespace().collect::<Vec<_>>(), ["pageURL", "pageRank"]);
}

//! `sweep`, with real queries and with programs that answer wrongly or fail.
//!
//! These tests would catch a time told for a wrong answer, a case that is left out, and a plain loop that answers another question.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::support::{Home, Judged, Runner, rows};

fn sweep(home: &Home, words: &str) -> Runner {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sweep"));
    command.args(words.split_whitespace());
    home.runner(command)
}

/// A program that leaves a report whose hash is what `hash` prints, in a shell where $workers is what -w says.
fn pretender(home: &Home, hash: &str) -> String {
    let script = format!(
        "#!/bin/sh\nfor word; do case $word in -w*) workers=${{word#-w}};; esac; report=$word; done\nhash=$({hash})\n\
         echo '{{\"answer\":{{\"rows\":1,\"hash\":\"'$hash'\"}},\"input\":{{\"rows\":1}},\"peak_rss_bytes\":null,\"commit\":\"c\"}}' > \"$report\"\n"
    );
    fs::write(home.path().join("pretender"), script).unwrap();
    fs::set_permissions(home.path().join("pretender"), fs::Permissions::from_mode(0o755)).unwrap();
    "./pretender".into()
}

#[test]
fn every_case_and_the_plain_loop_agree_with_the_judge() {
    let rows = rows(11, 4_000);
    let mut files: Vec<_> = rows.chunks(1_500).map(<[_]>::concat).collect();
    // No newline at the end of a file.
    files[0].pop();
    let named = files.iter().enumerate().map(|(index, bytes)| (format!("part-{index}"), bytes.clone()));
    let home = Home::with(&named.collect::<Vec<_>>());
    let judged = Judged::of(files.iter().map(|bytes| &bytes[..]), 10);
    let ran = sweep(
        &home,
        "--query query2 --workers 2,1 --processes 1,2 --split-size 16K,1M --format csv --rounds 2 --baseline \
         --json sweep.json --svg sweep.svg -- -k 10 --data data --set t",
    )
    .run();
    ran.ended_with(0);
    let found: Value = serde_json::from_slice(&fs::read(home.path().join("sweep.json")).unwrap()).unwrap();
    assert_eq!(
        (&found["answer"]["rows"], &found["input_rows"]),
        (&judged.groups.len().into(), &4_000.into())
    );
    let cases = found["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    assert!(cases.iter().all(|case| case["seconds"].as_array().unwrap().len() == 2));
    let base = cases.iter().filter(|case| case["workers"] == 1 && case["processes"] == 1);
    assert!(base.clone().count() == 2 && base.clone().all(|case| case["speed_up"] == 1.0));
    assert_eq!(found["plain_loop"]["seconds"].as_array().unwrap().len(), 2);
    ran.check(ran.stdout.contains("; 18 runs agree\n") && ran.stdout.contains("\nCOST "), "the table");
    let lines = ran.stdout.lines().filter(|line| line.contains(" csv ")).count();
    ran.check(lines == 9, "a line for each case and the plain loop");
    let drawn = fs::read_to_string(home.path().join("sweep.svg")).unwrap();
    assert_eq!(drawn.matches("<polyline ").count(), 4, "{drawn}");
    assert!(drawn.contains("plain loop") && drawn.ends_with("</svg>\n"));
}

#[test]
fn a_wrong_answer_is_an_error_and_no_time_is_told() {
    let home = Home::new();
    let query = pretender(&home, "[ $workers = 3 ] && echo wrong || echo right");
    let ran = sweep(&home, &format!("--query {query} --workers 1,2 --rounds 2 --json j --svg s")).run();
    ran.ended_with(0).check(ran.stdout.contains("; 4 runs agree"), "both agree");
    let ran = sweep(&home, &format!("--query {query} --workers 1,3 --json wrong.json")).run();
    ran.failed_saying("error: answers differ, so times mean nothing\n  ./pretender -w1 -n1: 1 rows read, 1 rows of answer with hash right\n  ./pretender -w3 -n1: ");
    assert!(!home.path().join("wrong.json").exists());
}

#[test]
fn a_query_that_fails_says_so_in_its_own_words() {
    let home = Home::new();
    let ran = sweep(&home, "--query query2 --workers 1 -- --data data --set t").run();
    ran.failed_saying("ended with exit status: 1\nerror: ");
    let ran = sweep(&home, "--query nonesuch --workers 1").run();
    ran.ended_with(2)
        .check(ran.stderr.contains("there is no program ") && ran.stderr.contains("--query query2"), "help");
    let ran = sweep(&home, "--query query4 --baseline").run();
    ran.ended_with(2).check(ran.stderr.contains("there is no plain loop for query4"), "help");
    let ran = sweep(&home, "--query query2 --plain-loop -- --colour red").run();
    ran.ended_with(2).check(ran.stderr.contains("unexpected argument '--colour'"), "the query's flags");
}

#[test]
fn the_plain_loop_refuses_what_it_cannot_read() {
    let home = Home::with(&[("part-0".into(), b"1.1.1.1,p,1990-01-01,1,\"a\",D,D,w,1\n".to_vec())]);
    let words = "--query query2 --plain-loop -- --data data --set t";
    sweep(&home, words).run().failed_saying("error: the plain loop cannot read ");
    fs::write(home.table().join("part-0"), b"1.1.1.1,p\n").unwrap();
    sweep(&home, words).run().failed_saying("error: the plain loop cannot read ");
}

//! The example `search_words`, with real processes, against a plain judge: records that are no plain bytes go
//! through serde from process to process.
//!
//! These tests would catch a text that is lost, cut, merged with another, or sent to two workers because its hash is
//! not the same in every process.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use millrace::report::AnswerHash;
use serde_json::Value;

use crate::support::{Home, Ran, Random, example, parse};

fn run(home: &Home, words: &str) -> Ran {
    let mut command = Command::new(example("search_words"));
    command.args(words.split_whitespace()).args(["--data", "data", "--set", "t"]);
    home.runner(command).run()
}

/// Rows whose search words are of any length, the empty one and some beyond ASCII among them; few repeat often, many
/// seldom. Revenues are multiples of 2^-24, so that their sums are exact.
fn rows(count: usize) -> Vec<u8> {
    let mut random = Random(5);
    let mut text = String::new();
    for _ in 0..count {
        let number = random.below(20) * random.below(200);
        let word = match number % 7 {
            0 => "mühle".repeat((number / 7 % 30) as usize),
            1 => format!("\"{number}, or so\""),
            _ => format!("word{number}"),
        };
        let revenue = random.below(1 << 24) as f32 / (1 << 24) as f32;
        text += &format!("1.2.3.4,http://page,1999-01-01,{revenue},Agent,DEU,DEU-DE,{word},5\n");
    }
    text.into_bytes()
}

#[test]
fn words_are_whole_on_any_number_of_processes() {
    let text = rows(20_000);
    let home = Home::with(&[("part-00000".to_owned(), text.clone())]);
    let mut judged = BTreeMap::<Vec<u8>, (u64, f64)>::new();
    for row in parse(&text) {
        let revenue = std::str::from_utf8(&row[3]).unwrap().parse::<f32>().unwrap();
        let total = judged.entry(row[7].clone()).or_default();
        *total = (total.0 + 1, total.1 + f64::from(revenue));
    }
    let mut hash = AnswerHash::default();
    for (word, (visits, revenue)) in &judged {
        hash.add(&[word, &visits.to_le_bytes(), &revenue.to_le_bytes()]);
    }
    let most = judged.iter().max_by(|a, b| a.1.1.total_cmp(&b.1.1)).unwrap();
    for (processes, workers) in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)] {
        let ran = run(
            &home,
            &format!("-n {processes} -w {workers} --split-size 16K --top 1 --json --report report.json"),
        );
        let answer = ran.json();
        ran.check(answer["answer_rows"] == judged.len(), "number of words");
        ran.check(answer["hash"] == hash.to_string(), "hash of all words, visits and sums");
        ran.check(
            answer["answer"][0]["word"].as_str().unwrap().as_bytes() == most.0,
            "word with the most revenue",
        );
        ran.check(answer["answer"][0]["visits"] == most.1.0, "its visits");
        let report: Value =
            serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap();
        let exchanged = report["exchanged_bytes"].as_u64().unwrap();
        ran.check((exchanged > 0) == (processes * workers > 1), "bytes exchanged");
    }
}

#[test]
fn words_that_do_not_fit_in_memory_are_the_same() {
    // Catches groups that are lost on disk, or counted twice where two processes have them.
    let mut text = String::new();
    for number in 0..120_000u64 {
        let word = "w".repeat((number % 40) as usize);
        text += &format!("1.2.3.4,u,1999-01-01,0.5,a,DEU,DEU-DE,{word}{},5\n", number % 90_000);
    }
    let home = Home::with(&[("part-00000".to_owned(), text.into_bytes())]);
    fs::create_dir(home.path().join("spill")).unwrap();
    let plain = run(&home, "-w 2 --json").json();
    assert_eq!(plain["answer_rows"], 90_000);
    for shape in ["-w 1", "-w 3", "-n 2 -w 1"] {
        let words = format!("{shape} --json --memory 16MB --spill-dir spill --report report.json");
        let ran = run(&home, &words);
        ran.check(ran.json() == plain, "the answer");
        let report: Value =
            serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap();
        ran.check(report["spilled_bytes"].as_u64() > Some(500_000), "nothing was spilled");
        ran.check(home.listing("spill").is_empty(), "a spill file is left behind");
    }
}

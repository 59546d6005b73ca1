//! What a scan says that it will read, against what it reads, and the bar that shows it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use millrace::input::{Input, InputOptions, Row, SplitAssignment};
use millrace::memory::Budget;
use millrace::operators::{Count, Gather, ProcessShared, Round, Scan, WorkerContext};
use millrace::tables::{Date, USERVISITS};
use timely::dataflow::Scope;
use timely::dataflow::operators::Concat;

use crate::support::{Home, parse, rows};

#[derive(serde::Deserialize)]
struct Visit {
    #[serde(rename = "visitDate")]
    day: Date,
    duration: i32,
}

impl Row for Visit {
    type Of<'a> = Visit;
}

/// Catches a progress bar that ends before 100 %, as it did where columns or blocks were not read, or goes beyond.
#[test]
fn as_many_bytes_are_read_as_were_planned() {
    // By day, so that blocks can be passed over.
    let sorted = {
        let mut rows = rows(3, 6_000);
        rows.sort_by_key(|row| parse(row)[0][2].clone());
        rows.concat()
    };
    let home = Home::with(&[("part-0".into(), sorted)]);
    let files = fs::metadata(home.table().join("part-0")).unwrap().len();
    for format in ["csv", "csv.gz", "parquet", "packed"] {
        let output = format!("{format}/uservisits");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        command.args(["--data", "data", "--set", "t", "--table", "uservisits", "--to", format]);
        command.args(["--output", &output, "--file-size", "60KB"]);
        home.runner(command).run().ended_with(0);
        let data = home.path().join(&output);
        let options = InputOptions { data, split_bytes: Some(16 << 10), ..InputOptions::default() };
        let visits = Input::<Visit>::open(&USERVISITS, &options).unwrap();
        let last_days = Date::parse(b"1978-01-01").unwrap()..;
        let some = visits.skipping_outside("visitDate", last_days).unwrap();
        let is_text = format.starts_with("csv");
        assert_eq!(visits.bytes_to_read() == visits.bytes(), is_text, "{format}");
        assert_eq!(some.bytes_to_read() == visits.bytes_to_read(), is_text, "{format}");
        assert!(is_text || visits.bytes_to_read() < files / 8, "{format}: two short columns of nine");
        for workers in 1..=2 {
            let process = ProcessShared::new(SplitAssignment::default(), Budget::default());
            let (shared, inputs) = (process.clone(), [visits.clone(), some.clone()]);
            let guards = timely::execute(timely::Config::process(workers), move |worker| {
                WorkerContext::install(shared.clone(), workers, 0, BTreeMap::new());
                worker.dataflow(|scope: Scope<'_, Round>| {
                    let [all, some] = [0, 1].map(|index| {
                        scope.scan(&inputs[index], |visit| (visit.duration > 0).then_some(visit.day.days()))
                    });
                    all.concat(some).count().gather()
                });
                while worker.has_dataflows() {
                    worker.step_or_park(None);
                }
            });
            guards.unwrap().join().into_iter().for_each(|ended| ended.unwrap());
            let read = process.bytes.load(Ordering::Relaxed);
            assert_eq!(read, process.planned_bytes(), "{format}, {workers} workers");
            assert_eq!(read, visits.bytes_to_read() + some.bytes_to_read(), "{format}");
        }
    }
}

/// What `query2` writes to a terminal, which is the `script` of util-linux: until `enough`, then it is interrupted.
fn on_a_terminal(home: &Home, words: &str, enough: impl Fn(&str) -> bool) -> String {
    let query =
        format!("exec '{}' --data data --set t {words} --json > answer", env!("CARGO_BIN_EXE_query2"));
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--flush", "--return", "--command", &query, "/dev/null"]);
    // Without one of its own it would take the terminal of whoever runs the tests.
    terminal.current_dir(home.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = terminal.spawn().unwrap();
    let (mut shown, mut bytes) = (String::new(), [0; 4096]);
    let mut output = running.stdout.take().unwrap();
    while !enough(&shown) {
        let read = output.read(&mut bytes).unwrap();
        assert!(read > 0, "it ended, and showed: {shown}");
        shown += &String::from_utf8_lossy(&bytes[..read]);
    }
    // As typed there.
    running.stdin.take().unwrap().write_all(b"\x03").unwrap();
    output.read_to_string(&mut shown).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(1), "{shown}");
    shown
}

/// The percentages that a bar showed.
fn percentages(shown: &str) -> Vec<u32> {
    shown.split(" %").filter_map(|text| text.rsplit(' ').next()?.parse().ok()).collect()
}

#[test]
fn a_terminal_shows_how_much_all_processes_have_read() {
    let home = Home::with_endless_table();
    let total = fs::metadata(home.path().join("rows")).unwrap().len() as f64 * 20_000.0 / 1e9;
    for words in ["-w 1", "-w 1 -n 2"] {
        let shown =
            on_a_terminal(&home, words, |shown| percentages(shown).last().is_some_and(|last| *last > 2));
        let seen = percentages(&shown);
        assert!(seen.is_sorted() && seen.len() > 2, "{seen:?}: {shown}");
        assert!(shown.contains(&format!(" of {total:.2} GB  ")), "{total} GB: {shown}");
        assert!(shown.contains("stopped by Ctrl-C"), "{shown}");
        assert!(fs::read(home.path().join("answer")).unwrap().is_empty(), "{shown}");
    }
}

//! What a scan says that it will read, against what it reads.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
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

//! Errors of a log by minute: lines of any kind, read with a regular expression.
//!
//! ```sql
//! SELECT minute, COUNT(*), SUM(is_error), SUM(is_error) / COUNT(*) FROM log GROUP BY minute ORDER BY minute
//! ```
//!
//! ```sh
//! cargo run --release --example error_rates -- --set examples
//! ```

use std::process::ExitCode;

use millrace::operators::{Gather, ReduceByKey, Scan};
use millrace::tables::{Column, ColumnType, Layout, Table};
use millrace::{cli, job::Job, keys::Prefix};
use timely::dataflow::operators::vec::Map;

const LOG: Table =
    Table { name: "log", columns: &[Column::new("line", ColumnType::Text)], layout: Layout::Lines };

/// Counts the lines and errors of a log in each minute.
#[derive(clap::Parser, serde::Serialize)]
struct Options {
    #[command(flatten)]
    #[serde(skip)]
    job: cli::JobArguments,
}

millrace::row! { struct Line<'a> { line: &'a [u8] } }

fn main() -> ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("error_rates", &options, &options.job)?;
        let log = job.table::<Line>(&LOG)?;
        let finished = job.run(move |scope| {
            // 2026-11-25T06:12:03.120Z ERROR message; lines of another form, such as stack traces, belong to the one before.
            let line =
                regex::bytes::Regex::new(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d):\S+ (?:(ERROR|FATAL)|[A-Z]+)\b")
                    .expect("a valid expression");
            scope
                .scan(&log, move |row| {
                    let found = line.captures(row.line)?;
                    Some((Prefix::<16>::new(&found[1], 16), [1, u64::from(found.get(2).is_some())]))
                })
                .reduce_by_key(|[lines, errors], more| {
                    (*lines, *errors) = (*lines + more[0], *errors + more[1]);
                })
                .map(|(minute, [lines, errors])| {
                    (minute.to_string(), lines, errors, errors as f64 / lines as f64)
                })
                .gather()
        })?;
        let Some(mut finished) = finished else { return Ok(()) };
        finished.answer.sort_by(|a, b| a.0.cmp(&b.0));
        finished.tell_rows(&["minute", "lines", "errors", "rate"])
    })
}

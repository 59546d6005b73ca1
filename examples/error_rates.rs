//! Errors of a log by minute: lines of any kind, read with a regular expression.
//!
//! ```sql
//! SELECT minute, COUNT(*), SUM(is_error), SUM(is_error) / COUNT(*) FROM log GROUP BY minute ORDER BY minute
//! ```
//!
//! ```sh
//! cargo run --release --example error_rates -- --set examples
//! ```

use millrace::operators::{Gather, ReduceByKey, Scan, aggregates::add_each};
use millrace::{cli, job::Job, keys::Prefix, tables::Table};
use timely::dataflow::operators::vec::Map;

const LOG: Table = Table::lines("log");

/// Counts the lines and errors of a log in each minute.
#[derive(clap::Parser, serde::Serialize)]
struct Options {
    #[command(flatten)]
    #[serde(skip)]
    job: cli::JobArguments,
}

millrace::row! { struct Line<'a> { line: &'a [u8] } }

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("error_rates", &options, &options.job)?;
        let log = job.table::<Line>(&LOG)?;
        job.answer(&["minute", "lines", "errors", "rate"], move |scope| {
            // 2026-11-25T06:12:03.120Z ERROR message; lines of another form, such as stack traces, belong to the one before.
            let line = regex::bytes::Regex::new(r"(?-u)^(\d{4}-\d\d-\d\dT\d\d:\d\d):\S+ ([A-Z]+)\b")
                .expect("a valid expression");
            let mut found = line.capture_locations();
            scope
                .scan(&log, move |row| {
                    line.captures_read(&mut found, row.line)?;
                    let group =
                        |index| found.get(index).map_or(&[][..], |(start, end)| &row.line[start..end]);
                    let is_error = matches!(group(2), b"ERROR" | b"FATAL");
                    Some((Prefix::<16>::new(group(1), 16), [1, u64::from(is_error)]))
                })
                .reduce_by_key(add_each)
                .map(|(minute, [lines, errors])| {
                    (minute.to_string(), lines, errors, errors as f64 / lines as f64)
                })
                .gather()
                .sorted_by(|a, b| a.0.cmp(&b.0))
        })
    })
}

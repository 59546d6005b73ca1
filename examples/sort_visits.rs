//! All visits by revenue, as part files that are in order one after the other.
//!
//! ```sql
//! SELECT adRevenue, sourceIP, destURL FROM uservisits ORDER BY adRevenue DESC, sourceIP, destURL
//! ```
//!
//! ```sh
//! cargo run --release --example sort_visits -- -n 2 -w 1
//! ```

use std::process::ExitCode;

use clap::Parser;
use millrace::Error;
use millrace::cli::{self, JobArguments, OutputArguments};
use millrace::job::Job;
use millrace::keys::Prefix;
use millrace::operators::{Fold, Gather, Scan, Sort, WriteParts};
use millrace::report::AnswerHash;
use millrace::tables::{self, Column, ColumnType};
use millrace::units::Count;
use serde::Serialize;

/// What --output writes.
const COLUMNS: &[Column] = &[
    Column::new("adRevenue", ColumnType::Float),
    Column::new("sourceIP", ColumnType::Text),
    Column::new("destURL", ColumnType::Text),
];

/// Sorts all visits: most revenue first, then by address and page.
#[derive(Parser, Serialize)]
#[command(name = "sort_visits")]
struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    #[serde(skip)]
    job: JobArguments,
}

millrace::row! {
    struct Visit<'a> {
        #[serde(rename = "adRevenue")]
        revenue: f32,
        #[serde(rename = "sourceIP")]
        address: &'a [u8],
        #[serde(rename = "destURL")]
        page: &'a str,
    }
}

fn main() -> ExitCode {
    cli::main(|options: Options| run(&options))
}

fn run(options: &Options) -> Result<(), Error> {
    let mut job = Job::plan("sort_visits", options, &options.job)?;
    let visits = job.table::<Visit>(&tables::USERVISITS)?;
    let output = job.output(&options.output, COLUMNS)?;
    let finished = job.run(move |scope| {
        scope
            .scan(&visits, |visit| {
                Some((visit.revenue, Prefix::<15>::new(visit.address, 15), visit.page.to_owned()))
            })
            .sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (a.1, &a.2).cmp(&(b.1, &b.2))))
            .write_parts(output.as_ref(), |(revenue, address, page), row| {
                row.float(*revenue).text(address.as_bytes()).text(page);
            })
            .fold(AnswerHash::default(), |hash, (revenue, address, page)| {
                hash.add(&[&revenue.to_le_bytes(), address.as_bytes(), page.as_bytes()]);
            })
            .gather()
    })?;
    // Only process 0 has the answer.
    let Some(mut finished) = finished else { return Ok(()) };
    let ranges = std::mem::take(&mut finished.answer);
    let sizes: Vec<_> = ranges.iter().map(AnswerHash::rows).collect();
    let mut hash = AnswerHash::default();
    ranges.into_iter().for_each(|range| hash.merge(range));
    let most = sizes.iter().max().copied().unwrap_or(0);
    let text = format!("{} visits, at most {} in a part, hash {hash}\n", Count(hash.rows()), Count(most));
    finished.tell(hash, serde_json::json!({ "visits": hash.rows(), "most_in_a_part": most }), text)
}

//! All visits by revenue, as part files that are in order one after the other.
//!
//! ```sql
//! SELECT adRevenue, sourceIP, destURL FROM uservisits ORDER BY adRevenue DESC, sourceIP, destURL
//! ```
//!
//! ```sh
//! cargo run --release --example sort_visits -- -n 2 -w 1
//! ```

use millrace::operators::{Fold, Gather, Scan, Sort, WriteParts};
use millrace::tables::{self, Column};
use millrace::{cli, job, keys::ShortText, report::AnswerHash};

/// What --output writes.
const COLUMNS: &[Column] = &[Column::float("adRevenue"), Column::text("sourceIP"), Column::text("destURL")];

/// Sorts all visits: most revenue first, then by address and page.
#[derive(clap::Parser, serde::Serialize)]
struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    output: cli::OutputArguments,
    #[command(flatten)]
    #[serde(skip)]
    job: cli::JobArguments,
}

millrace::row! {
    struct Visit {
        #[serde(rename = "adRevenue")]
        revenue: f32,
        #[serde(rename = "sourceIP")]
        address: ShortText,
        #[serde(rename = "destURL")]
        page: String,
    }
}

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = job::Job::plan("sort_visits", &options, &options.job)?;
        let visits = job.table::<Visit>(&tables::USERVISITS)?;
        let output = job.output(&options.output, COLUMNS)?;
        let finished = job.run(move |scope| {
            scope
                .scan(&visits, |visit| Some((visit.revenue, visit.address, visit.page)))
                .sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (&a.1, &a.2).cmp(&(&b.1, &b.2))))
                .write_parts(output.as_ref(), |(revenue, address, page), row| {
                    row.float(*revenue).text(address.as_bytes()).text(page);
                })
                .fold(AnswerHash::default(), |hash, (revenue, address, page)| {
                    hash.add(&[&revenue.to_le_bytes(), address.as_bytes(), page.as_bytes()]);
                })
                .gather()
        })?;
        finished.map_or(Ok(()), job::Finished::tell_written)
    })
}

//! Query 1 of the Big Data Benchmark: the pages above a rank.
//!
//! ```sql
//! SELECT pageURL, pageRank FROM rankings WHERE pageRank > X
//! ```
//!
//! ```sh
//! cargo run --release --bin query1 -- --threshold 100 --top 3
//! ```

use std::fmt;
use std::ops::Bound;
use std::process::ExitCode;

use clap::Parser;
use millrace::Error;
use millrace::cli::{self, JobArguments, OutputArguments};
use millrace::job::Job;
use millrace::operators::{Fold, Gather, Ranking, Scan, WriteParts};
use millrace::tables::{self, Column};
use millrace::units::Count;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What --output writes.
const COLUMNS: &[Column] = &[Column::text("pageURL"), Column::int("pageRank")];

/// Finds the pages above a rank: Query 1 of the Big Data Benchmark.
#[derive(Parser, serde::Serialize)]
#[command(name = "query1")]
struct Options {
    /// Rank that a page must exceed; 1000, 100 and 10 are queries 1A, 1B and 1C
    #[arg(short = 'x', long, value_name = "X", default_value_t = 1000, allow_negative_numbers = true)]
    threshold: i32,
    /// Pages to print, those of the highest rank
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    #[serde(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    #[serde(skip)]
    job: JobArguments,
}

millrace::row! {
    struct Page<'a> {
        #[serde(rename = "pageURL")]
        url: &'a [u8],
        #[serde(rename = "pageRank")]
        rank: i32,
    }
}

fn main() -> ExitCode {
    cli::main(|options: Options| run(&options))
}

fn run(options: &Options) -> Result<(), Error> {
    let mut job = Job::plan("query1", options, &options.job)?;
    let above = (Bound::Excluded(options.threshold), Bound::Unbounded);
    let rankings = job.table::<Page>(&tables::RANKINGS)?.skipping_outside("pageRank", above)?;
    let output = job.output(&options.output, COLUMNS)?;
    let (threshold, top) = (options.threshold, options.top);

    let finished = job.run(move |scope| {
        scope
            .scan(&rankings, move |page| (page.rank > threshold).then(|| (page.url.to_vec(), page.rank)))
            .write_parts(output.as_ref(), |(url, rank), row| _ = row.text(url).integer(*rank))
            .fold(Ranking::new(top), |pages, (url, rank)| {
                pages.hash.add(&[&url, &rank.to_le_bytes()]);
                pages.top.push(f64::from(rank), url);
            })
            .gather()
    })?;
    let Some(mut finished) = finished else { return Ok(()) };
    let Ranking { hash, top } = Ranking::of_all(std::mem::take(&mut finished.answer));
    let top = top.into_sorted();
    let pages: Vec<_> = top
        .iter()
        .map(|(rank, url)| json!({"pageURL": String::from_utf8_lossy(url), "pageRank": *rank as i32}))
        .collect();
    let text = fmt::from_fn(|f| {
        writeln!(f, "{:>8}  pageURL", "pageRank")?;
        top.iter().try_for_each(|(rank, url)| writeln!(f, "{rank:>8}  {}", String::from_utf8_lossy(url)))?;
        writeln!(f, "{} pages above rank {threshold}, hash {hash}", Count(hash.rows()))
    });
    finished.tell(hash, json!({"pages": hash.rows(), "top": pages}), &text)
}

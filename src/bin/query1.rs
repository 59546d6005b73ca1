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
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millrace::cli::{self, JobArguments};
use millrace::formats::write_field;
use millrace::input::Row;
use millrace::job::Job;
use millrace::operators::{Fold, Gather, Scan, Top, WriteParts};
use millrace::report::AnswerHash;
use millrace::units::Count;
use millrace::{Error, tables};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Finds the pages above a rank: Query 1 of the Big Data Benchmark.
#[derive(Parser, Serialize)]
#[command(name = "query1")]
struct Options {
    /// Rank that a page must exceed; 1000, 100 and 10 are queries 1A, 1B and 1C
    #[arg(short = 'x', long, value_name = "X", default_value_t = 1000, allow_negative_numbers = true)]
    threshold: i32,
    /// Pages to print, those of the highest rank
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Directory for all pages found as CSV (pageURL,pageRank), one part file a worker; must be empty or absent
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    job: JobArguments,
}

/// The two columns of rankings that Query 1 reads.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(rename = "pageURL")]
    url: &'a [u8],
    #[serde(rename = "pageRank")]
    rank: i32,
}

impl Row for Page<'_> {
    type Of<'a> = Page<'a>;
}

fn main() -> ExitCode {
    cli::main(|options: Options| run(&options))
}

fn run(options: &Options) -> Result<(), Error> {
    let mut job = Job::plan("query1", options, &options.job)?;
    let above = (Bound::Excluded(options.threshold), Bound::Unbounded);
    let rankings = job.table::<Page>(&tables::RANKINGS)?.skipping_outside("pageRank", above)?;
    let output = job.output(options.output.as_deref(), "csv")?;
    let (threshold, top) = (options.threshold, options.top);

    let finished = job.run(move |scope| {
        scope
            .scan(&rankings, move |page| (page.rank > threshold).then(|| (page.url.to_vec(), page.rank)))
            .write_parts(output.as_ref(), |(url, rank), row| {
                write_field(row, url);
                row.extend_from_slice(format!(",{rank}\n").as_bytes());
            })
            .fold(Answer::new(top), |answer, (url, rank)| answer.add(url, rank))
            .gather()
    })?;
    let Some(mut finished) = finished else { return Ok(()) };
    let answers = std::mem::take(&mut finished.answer);
    let answer = answers.into_iter().fold(Answer::new(top), Answer::merge);
    let (hash, top) = (answer.hash, answer.top.into_sorted());
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

/// What is known of the pages of one worker, and in the end of all.
#[derive(Clone, Serialize, Deserialize)]
struct Answer {
    hash: AnswerHash,
    top: Top<Vec<u8>>,
}

impl Answer {
    fn new(top: usize) -> Self {
        Answer { hash: AnswerHash::default(), top: Top::new(top) }
    }

    fn add(&mut self, url: Vec<u8>, rank: i32) {
        self.hash.add(&[&url, &rank.to_le_bytes()]);
        self.top.push(f64::from(rank), url);
    }

    fn merge(mut self, other: Self) -> Self {
        self.hash.merge(other.hash);
        self.top.merge(other.top);
        self
    }
}

//! Query 2 of the Big Data Benchmark: advertising revenue by address prefix.
//!
//! ```sql
//! SELECT SUBSTR(sourceIP, 1, X), SUM(adRevenue) FROM uservisits GROUP BY SUBSTR(sourceIP, 1, X)
//! ```
//!
//! ```sh
//! cargo run --release --bin query2 -- -k 8 --top 3
//! ```

use std::fmt;
use std::process::ExitCode;

use clap::Parser;
use millrace::Error;
use millrace::cli::{self, JobArguments, OutputArguments};
use millrace::input::Row;
use millrace::job::Job;
use millrace::keys::Prefix;
use millrace::operators::{Fold, Gather, ReduceByKey, Scan, Top, WriteParts};
use millrace::report::AnswerHash;
use millrace::tables::{self, Column, ColumnType};
use millrace::units::Count;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What --output writes.
const COLUMNS: &[Column] =
    &[Column::new("prefix", ColumnType::Text), Column::new("revenue", ColumnType::Double)];

/// Sums advertising revenue by the first characters of the visitor's address: Query 2 of the Big Data Benchmark.
#[derive(Parser, Serialize)]
#[command(name = "query2")]
struct Options {
    /// Characters of sourceIP to group by; 8, 10 and 12 are queries 2A, 2B and 2C
    #[arg(short = 'k', long, value_name = "X", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=15))]
    prefix: u8,
    /// Groups to print, those with the most revenue
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    #[serde(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    #[serde(skip)]
    job: JobArguments,
}

/// The two columns of uservisits that Query 2 reads.
#[derive(Deserialize)]
struct Visit<'a> {
    #[serde(rename = "sourceIP")]
    source_ip: &'a [u8],
    #[serde(rename = "adRevenue")]
    ad_revenue: f32,
}

impl Row for Visit<'_> {
    type Of<'a> = Visit<'a>;
}

fn main() -> ExitCode {
    cli::main(|options: Options| match options.prefix {
        // The key is as wide as the prefix needs.
        ..=8 => run::<8>(&options),
        _ => run::<16>(&options),
    })
}

fn run<const WIDTH: usize>(options: &Options) -> Result<(), Error> {
    let mut job = Job::plan("query2", options, &options.job)?;
    let visits = job.table::<Visit>(&tables::USERVISITS)?;
    let output = job.output(&options.output, COLUMNS)?;
    let (length, top) = (usize::from(options.prefix), options.top);

    let finished = job.run(move |scope| {
        scope
            .scan(&visits, move |visit| {
                // f32 widened to f64: the sum is exact for this data, so any order gives the same bits.
                Some((Prefix::<WIDTH>::new(visit.source_ip, length), f64::from(visit.ad_revenue)))
            })
            .reduce_by_key(|total, revenue| *total += revenue)
            .write_parts(output.as_ref(), |(prefix, revenue), row| {
                row.text(prefix.as_bytes()).double(*revenue);
            })
            .fold(Answer::new(top), |answer, (prefix, revenue)| answer.add(prefix, revenue))
            .gather()
    })?;
    let Some(mut finished) = finished else { return Ok(()) };
    let answers = std::mem::take(&mut finished.answer);
    let answer = answers.into_iter().fold(Answer::new(top), Answer::merge);
    let (hash, revenue, top) = (answer.hash, answer.revenue, answer.top.into_sorted());
    let groups: Vec<_> = top
        .iter()
        .map(|(revenue, prefix)| json!({"prefix": prefix.to_string(), "revenue": revenue}))
        .collect();
    let text = fmt::from_fn(|f| {
        writeln!(f, "{:<15}  {:>14}", "prefix", "revenue, USD")?;
        top.iter()
            .try_for_each(|(revenue, prefix)| writeln!(f, "{:<15}  {revenue:>14.6}", prefix.to_string()))?;
        writeln!(f, "{} groups, total revenue {revenue:.6} USD, hash {hash}", Count(hash.rows()))
    });
    finished.tell(hash, json!({"groups": hash.rows(), "revenue": revenue, "top": groups}), &text)
}

/// What is known of the groups of one worker, and in the end of all.
#[derive(Clone, Serialize, Deserialize)]
struct Answer<const WIDTH: usize> {
    hash: AnswerHash,
    revenue: f64,
    top: Top<Prefix<WIDTH>>,
}

impl<const WIDTH: usize> Answer<WIDTH> {
    fn new(top: usize) -> Self {
        Answer { hash: AnswerHash::default(), revenue: 0.0, top: Top::new(top) }
    }

    fn add(&mut self, prefix: Prefix<WIDTH>, revenue: f64) {
        self.hash.add(&[prefix.as_bytes(), &revenue.to_le_bytes()]);
        self.revenue += revenue;
        self.top.push(revenue, prefix);
    }

    fn merge(mut self, other: Self) -> Self {
        self.hash.merge(other.hash);
        self.revenue += other.revenue;
        self.top.merge(other.top);
        self
    }
}

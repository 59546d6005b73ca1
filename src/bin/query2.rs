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
use millrace::job::Job;
use millrace::keys::Prefix;
use millrace::operators::{Fold, Gather, Ranking, ReduceByKey, Scan, WriteParts};
use millrace::tables::{self, Column};
use millrace::units::Count;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What --output writes.
const COLUMNS: &[Column] = &[Column::text("prefix"), Column::double("revenue")];

/// Sums advertising revenue by the first characters of the visitor's address: Query 2 of the Big Data Benchmark.
#[derive(Parser, serde::Serialize)]
#[command(name = "query2")]
struct Options {
    /// Bytes of sourceIP to group by (characters of ASCII text); 8, 10 and 12 are queries 2A, 2B and 2C
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

millrace::row! {
    struct Visit<'a> {
        #[serde(rename = "sourceIP")]
        source_ip: &'a [u8],
        #[serde(rename = "adRevenue")]
        ad_revenue: f32,
    }
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
            .fold((0.0, Ranking::new(top)), |(total, groups), (prefix, revenue)| {
                *total += revenue;
                groups.hash.add(&[prefix.as_bytes(), &revenue.to_le_bytes()]);
                groups.top.push(revenue, prefix);
            })
            .gather()
    })?;
    let Some(mut finished) = finished else { return Ok(()) };
    let (totals, parts): (Vec<f64>, Vec<_>) = std::mem::take(&mut finished.answer).into_iter().unzip();
    let (revenue, Ranking { hash, top }) = (totals.iter().sum::<f64>(), Ranking::of_all(parts));
    let top = top.into_sorted();
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

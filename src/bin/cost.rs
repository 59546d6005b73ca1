//! Dollars per query, of runs made here beside published ones.
//!
//! ```sh
//! cargo run --release --bin query2 -- --instance c8g.4xlarge --report target/2A.json
//! cargo run --release --bin cost -- target/2A.json
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millrace::cli;
use millrace::cost::{Comparison, InstancePrice, Measured, PricesOf};

/// Prints what a query cost, beside what the benchmark's Redshift, Shark, Impala, Hive and Tez of 2014 did and the timely dataflow of
/// 2016, with what is not comparable about them.
#[derive(Parser)]
#[command(name = "cost")]
struct Arguments {
    /// Reports of runs (--report of any query), and results of scripts/bench, whose names end in .jsonl [default: none, which
    /// lists all that was published]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Type of machine to price those files by that do not say what they were measured on, as c8g.4xlarge
    ///
    /// A report says it if the query was told by its own --instance. Results of scripts/bench never do.
    #[arg(long, value_name = "TYPE")]
    instance: Option<InstancePrice>,

    /// Price every machine by one list, as 2016-02, in place of that of its own time; those it does not have get no price
    #[arg(long, value_name = "YEAR-MONTH")]
    prices: Option<PricesOf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    cli::main(|arguments: Arguments| {
        let mut measured = Vec::new();
        for file in &arguments.files {
            measured.extend(Measured::read(file, arguments.instance)?);
        }
        let comparison = Comparison::new(&measured, arguments.prices.map(|prices| prices.0));
        if arguments.json {
            cli::print(format_args!("{}\n", serde_json::json!(comparison)))
        } else {
            cli::print(comparison)
        }
    })
}

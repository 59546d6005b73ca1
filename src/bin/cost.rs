//! Dollars per query, of runs made here beside published ones, or predicted for other machines.
//!
//! ```sh
//! cargo run --release --bin query2 -- --instance c8g.4xlarge --report target/2A.json
//! cargo run --release --bin cost -- target/2A.json
//! cargo run --release --bin cost -- --instances --rows 1G --deadline 60s target/2A.json
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser};
use millrace::cost::{
    Comparison, CoreSpeed, InstancePrice, Measured, Offers, PricesOf, Question, Rates, Reading,
};
use millrace::generate::RowCount;
use millrace::{Error, cli, units};

/// Prints what a query cost, beside what the benchmark's Redshift, Shark, Impala, Hive and Tez of 2014 did and the timely dataflow of
/// 2016, with what is not comparable about them; or, with --instances, what it would cost on other machines.
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
    #[arg(long, value_name = "TYPE", conflicts_with = "instances")]
    instance: Option<InstancePrice>,

    /// Price every machine by one list, as 2016-02, in place of that of its own time; those it does not have get no price
    #[arg(long, value_name = "YEAR-MONTH", conflicts_with = "instances")]
    prices: Option<PricesOf>,

    #[command(flatten)]
    prediction: PredictionArguments,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--instances` predicts for.
#[derive(Args)]
#[command(next_help_heading = "Prediction (docs/cost-model.md)")]
struct PredictionArguments {
    /// Predict time and dollars of the query on the machines that can be rented, from one report of a run
    #[arg(long)]
    instances: bool,

    /// Rows to predict for (2500, 40k, 10M, 1G) [default: as many as were measured]
    #[arg(long, value_name = "N", requires = "instances")]
    rows: Option<RowCount>,

    /// The same as a multiple of what was measured
    #[arg(long, value_name = "X", requires = "instances", conflicts_with = "rows", value_parser = scale)]
    scale: Option<f64>,

    /// Numbers of machines to consider, as 1,3,5 [default: 1,2,4,8,16; 1 where one worker was measured]
    #[arg(long, value_name = "N,…", requires = "instances", value_delimiter = ',', value_parser = nodes)]
    nodes: Vec<usize>,

    /// Choose the cheapest that answers in so many seconds, as 60s
    #[arg(long, value_name = "SECONDS", requires = "instances", value_parser = deadline)]
    deadline: Option<Duration>,

    /// Choose the fastest that costs no more, as 0.01USD; with --deadline, the cheapest that is in time
    #[arg(long, value_name = "USD", requires = "instances", value_parser = budget)]
    budget: Option<f64>,

    /// How far below the price on demand spot machines are, as 60%
    #[arg(long, value_name = "PERCENT%", requires = "instances", value_parser = discount)]
    spot_discount: Option<f64>,

    /// How many times as fast as the measured one a core of a family or type is, as c8g=1.3; may be given several times
    #[arg(long, value_name = "FAMILY=RATIO", requires = "instances")]
    core_speed: Vec<CoreSpeed>,

    /// Bytes each machine reads in a second, as 125MB [default: the input is in memory]
    #[arg(long, value_name = "BYTES", requires = "instances", value_parser = units::parse_positive_bytes)]
    read_rate: Option<u64>,
}

fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|scale: &f64| *scale > 0.0 && *scale <= 1e9);
    scale.ok_or_else(|| "type how many times the measured rows, as 4 or 0.5".to_owned())
}

fn nodes(text: &str) -> Result<usize, String> {
    let nodes = text.parse().ok().filter(|nodes| (1..=1000).contains(nodes));
    nodes.ok_or_else(|| "type numbers of machines from 1 to 1000, as 1,2,4".to_owned())
}

fn deadline(text: &str) -> Result<Duration, String> {
    cli::seconds(text.strip_suffix('s').unwrap_or(text))
}

fn budget(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("USD").unwrap_or(text).trim().parse().ok();
    let amount = number.filter(|usd: &f64| *usd > 0.0 && usd.is_finite());
    amount.ok_or_else(|| "type an amount in US dollars, as 0.01USD".to_owned())
}

fn discount(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
    let percent = percent.filter(|percent: &f64| (0.0..100.0).contains(percent));
    percent.map(|percent| percent / 100.0).ok_or_else(|| "type a percentage below 100, as 60%".to_owned())
}

impl PredictionArguments {
    fn question(self) -> Question {
        Question {
            rows: self.rows.map(|rows| rows.0),
            scale: self.scale,
            nodes: self.nodes,
            core_speeds: self.core_speed,
            read_bytes_per_second: self.read_rate,
            spot_discount: self.spot_discount,
            deadline: self.deadline,
            budget: self.budget,
        }
    }
}

fn main() -> ExitCode {
    cli::main(|arguments: Arguments| {
        let (instances, json) = (arguments.prediction.instances, arguments.json);
        if instances { predict(arguments.prediction, &arguments.files, json) } else { compare(&arguments) }
    })
}

fn predict(arguments: PredictionArguments, files: &[PathBuf], json: bool) -> Result<(), Error> {
    let [file] = files else {
        return Err(Error::usage(
            format!(
                "--instances predicts from one run, and {} were named",
                units::counted(files.len(), "file")
            ),
            "cost --instances target/report.json, with a file that --report of a query wrote",
        ));
    };
    let offers = Offers::new(Rates::read(file)?, &arguments.question())?;
    if json { cli::print(format_args!("{}\n", serde_json::json!(offers))) } else { cli::print(offers) }
}

fn compare(arguments: &Arguments) -> Result<(), Error> {
    let mut measured = Vec::new();
    for file in &arguments.files {
        let Reading { runs, warning } = Measured::read(file, arguments.instance)?;
        warning.into_iter().for_each(|warning| cli::note(format_args!("warning: {warning}")));
        measured.extend(runs);
    }
    let comparison = Comparison::new(&measured, arguments.prices.map(|prices| prices.0));
    if arguments.json {
        cli::print(format_args!("{}\n", serde_json::json!(comparison)))
    } else {
        cli::print(comparison)
    }
}

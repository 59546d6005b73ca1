//! Runs a query with many numbers of workers and tells how it scales, and from how many workers on it beats one plain loop.
//!
//! ```sh
//! cargo run --release --bin sweep -- --query query2 --workers 1,2 --baseline -- -k 8
//! ```

mod case;
mod memory;
mod outcome;
mod plain;
mod plot;

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millrace::report::{check_paths, write_whole};
use millrace::units::parse_positive_bytes;
use millrace::{Error, cli};

use case::{Case, Program, Run};
use outcome::Outcome;

/// Runs a query over lists of workers, processes, split sizes and formats, and prints speed-up, efficiency and COST.
///
/// Runs take turns, so that a slow minute of the machine meets all of them, and every run's answer is compared before any time is
/// told. A time is that of the whole process. Speed-up is over the run with the fewest workers, efficiency is speed-up for
/// each worker. COST is the number of workers from which on the query beats one thread that runs a plain loop
/// ("Scalability! But at what COST?", 2015); it takes --baseline.
#[derive(Parser)]
#[command(name = "sweep")]
struct Options {
    /// Query to run: the name of a program beside this one, or a path
    #[arg(long, value_name = "QUERY")]
    query: PathBuf,
    /// Threads in each process, as 1,2,4 [default: 1, 2, 4 and so on up to the cores]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    workers: Vec<NonZeroUsize>,
    /// Processes on this machine, as 1,2
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_value = "1")]
    processes: Vec<NonZeroUsize>,
    /// Largest pieces of files, as 256K,1M [default: as the query chooses]
    #[arg(long, value_name = "BYTES,…", value_delimiter = ',', value_parser = parse_positive_bytes)]
    split_size: Vec<u64>,
    /// Formats of the files, as the query's --format takes them [default: as the query chooses; with --baseline csv, which the plain loop
    /// reads]
    #[arg(long, value_name = "FORMAT,…", value_delimiter = ',')]
    format: Vec<String>,
    /// How often each case is run; the median is told, with the least and the greatest
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: NonZeroU32,
    /// Compare with a plain loop in one thread, hand-written for the query; there is one for query1 to query4, on plain text, and COST is of the cases on csv
    #[arg(long)]
    baseline: bool,
    /// Run the plain loop once in this process, and print its answer as JSON
    #[arg(long, conflicts_with_all = ["baseline", "json", "svg"])]
    plain_loop: bool,
    /// Write all times and answers to FILE, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the speed-up to FILE, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// The query's own arguments
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

fn main() -> ExitCode {
    cli::main(|options: Options| run(&options))
}

fn run(options: &Options) -> Result<(), Error> {
    if options.plain_loop {
        let answer = plain::run(&options.query, &options.arguments)?;
        return cli::print(format_args!("{}\n", serde_json::json!(answer)));
    }
    // Before minutes are spent on what goes there.
    check_paths([("--json", options.json.as_deref(), "json"), ("--svg", options.svg.as_deref(), "svg")])?;
    let query = Program::query(&options.query)?;
    let baseline = options.baseline.then(|| Program::plain_loop(&options.query)).transpose()?;
    let cases = cases(options);
    let mut runs: Vec<(Option<usize>, Run)> = Vec::new();
    for _ in 0..options.rounds.get() {
        if let Some(program) = &baseline {
            touch_as_much(&runs, None);
            runs.push((None, program.run(None, &options.arguments)?));
        }
        for (index, case) in cases.iter().enumerate() {
            touch_as_much(&runs, Some(index));
            runs.push((Some(index), query.run(Some(case), &options.arguments)?));
        }
    }
    let outcome = Outcome::of(options.query.display().to_string(), &options.arguments, cases, &runs)?;
    // First of all what would be lost with a disk that has become full; and where one fails, the others nevertheless.
    let printed = cli::print(&outcome);
    let json = options.json.as_ref().map_or(Ok(()), |path| {
        write_whole(path, |mut to| {
            serde_json::to_writer_pretty(&mut to, &outcome)?;
            writeln!(to)
        })
    });
    let svg = options.svg.as_ref().map_or(Ok(()), |path| {
        let drawn = plot::speed_up(&outcome);
        write_whole(path, |to| to.write_all(drawn.as_bytes()))
    });
    printed.and(json).and(svg)
}

/// Touches as much memory as a case took in its runs until now.
fn touch_as_much(runs: &[(Option<usize>, Run)], case: Option<usize>) {
    let of_case = runs.iter().filter(|(other, _)| *other == case);
    memory::touch(of_case.filter_map(|(_, run)| run.peak_rss_bytes).max().unwrap_or(0));
}

/// Every combination of what was asked for, those with the fewest workers first.
fn cases(options: &Options) -> Vec<Case> {
    let mut workers: Vec<_> = options.workers.iter().map(|count| count.get()).collect();
    if workers.is_empty() {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        workers = std::iter::successors(Some(1), |count| Some(count * 2))
            .take_while(|count| *count < cores)
            .collect();
        workers.push(cores);
    }
    let every = |split_sizes: &[u64]| match split_sizes {
        [] => vec![None],
        some => some.iter().copied().map(Some).collect(),
    };
    let formats: Vec<_> = match &options.format[..] {
        [] if options.baseline => vec![Some("csv".to_owned())],
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let mut cases = Vec::new();
    for format in &formats {
        for split_bytes in every(&options.split_size) {
            for processes in &options.processes {
                for &workers in &workers {
                    cases.push(Case {
                        workers,
                        processes: processes.get(),
                        split_bytes,
                        format: format.clone(),
                    });
                }
            }
        }
    }
    cases
}

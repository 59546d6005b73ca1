//! Query 2 of the Big Data Benchmark, kept current as files arrive: advertising revenue by address prefix.
//!
//! ```sql
//! SELECT SUBSTR(sourceIP, 1, X), SUM(adRevenue) FROM uservisits GROUP BY SUBSTR(sourceIP, 1, X)
//! ```
//!
//! ```sh
//! cargo run --release --bin query2_incremental -- -k 8 --top 3 --state target/state
//! ```

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millrace::cli::{self, StoreArguments, data_directory};
use millrace::incremental::{Changes, Checkpoint, Follower, Running, UNITS};
use millrace::input::{FormatChoice, Input, InputOptions, Row, Stores};
use millrace::keys::Prefix;
use millrace::report::AnswerHash;
use millrace::units::Count;
use millrace::{Error, tables};
use serde::Deserialize;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What --follow waits between two looks.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Sums advertising revenue by the first characters of the visitor's address, file by file: Query 2, kept current.
///
/// Each file of the table is an epoch: its rows are added to the totals, and a line tells what that changed. Files whose
/// names start with . or _ or end in .tmp are passed over; write new ones under such a name and rename them.
#[derive(Parser)]
#[command(name = "query2_incremental")]
struct Options {
    /// Bytes of sourceIP to group by (characters of ASCII text); 8, 10 and 12 are queries 2A, 2B and 2C
    #[arg(short = 'k', long, value_name = "X", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=15))]
    prefix: u8,
    /// Groups to print in the end of a pass, those with the most revenue
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Wait for more files, until interrupted: --poll 1 [default: one pass over those that are there]
    #[arg(long)]
    follow: bool,
    /// Wait for more files, until interrupted, with so many seconds between two looks
    ///
    /// In a directory, a file that was written to in this time is left for later. In a store, each look is a list of the
    /// prefix, or a read of the manifest, and costs what the store asks for that.
    #[arg(long, value_name = "SECONDS", value_parser = cli::seconds)]
    poll: Option<Duration>,
    /// Directory that keeps totals and the list of files read, for the next run, which reads only files that are new
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Threads [default: all cores this process may use]
    #[arg(short, long, value_name = "N")]
    workers: Option<usize>,
    /// Where the tables are, as DIR/csv/SET/uservisits/ [default: ./data where that has a directory csv, parquet or packed, or else what
    /// comes with Millrace]
    ///
    /// A directory, `s3://BUCKET/PREFIX`, or `http(s)://HOST/PATH` with a _manifest.txt. In a store the table may be named outright:
    /// by an address that ends in uservisits/, by a pattern with `*` or `?`, or with {table} and {set} in it.
    #[arg(long, value_name = "DIR|URL|PATTERN")]
    data: Option<PathBuf>,
    /// Set of the tables to read
    #[arg(long, value_name = "NAME", default_value = "tiny")]
    set: String,
    #[command(flatten)]
    stores: StoreArguments,
    /// Print each epoch, and the answer in the end, as a JSON object on a line
    #[arg(long)]
    json: bool,
    /// Processes, of which there is one
    #[arg(short = 'n', long, value_name = "N", hide = true)]
    processes: Option<usize>,
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
    if options.processes.is_some_and(|processes| processes != 1) {
        let message = "query2_incremental is one process: what it keeps is on one machine";
        return Err(Error::usage(message, "-w N for N threads, or query2 -n N for a full run"));
    }
    let workers = cli::workers(options.workers, 1)?;
    let input = InputOptions {
        data: data_directory(options.data.as_deref())?,
        set: cli::set_name(&options.set)?,
        format: FormatChoice::Csv,
        peers: workers,
        stores: Stores::new(options.stores.options(workers, None)?),
        ..InputOptions::default()
    };
    let interval = options.poll.or(options.follow.then_some(FOLLOW_INTERVAL));
    let length = usize::from(options.prefix);

    let query = format!("query2 -k {length}");
    let mut state = options.state.as_deref().map(|state| Checkpoint::open(state, &query)).transpose()?;
    let totals = state.as_ref().map(Checkpoint::totals::<Prefix<WIDTH>>).transpose()?.unwrap_or_default();
    let taken = state.as_ref().map(|state| state.files().to_vec()).unwrap_or_default();
    if !taken.is_empty() {
        cli::note(format_args!("{} groups of {} files from before", Count(totals.len() as u64), taken.len()));
    }
    let (mut running, mut last) = Running::start(workers, &totals)?;
    drop(totals);
    let mut follower = Follower::new(tables::USERVISITS, input.clone(), interval, &taken)?;
    loop {
        for arrival in follower.look()? {
            let file = Input::<Visit>::of_files(&tables::USERVISITS, vec![arrival.file.clone()], &input)?;
            running
                .read_input(&file, move |visit| (Prefix::new(visit.source_ip, length), visit.ad_revenue))?;
            let taken = arrival.seal()?;
            last = running.apply()?;
            if let Some(state) = &mut state {
                state.commit(taken.clone(), &last.totals)?;
            }
            follower.take(taken);
            tell_epoch(options.json, &arrival.name, &last)?;
        }
        let Some(interval) = interval else { break };
        std::thread::sleep(interval);
    }
    tell(options, &last, &running.top(options.top)?.into_sorted())
}

/// What a file has changed.
fn tell_epoch<K>(as_json: bool, file: &str, changes: &Changes<K>) -> Result<(), Error> {
    let Changes { rows, added, changed, hash, units, .. } = changes;
    let revenue = *units as f64 / UNITS;
    if as_json {
        let groups = hash.rows();
        let epoch = json!({"file": file, "rows": rows, "added": added, "changed": changed, "groups": groups, "revenue": revenue, "hash": hash.to_string()});
        return cli::print(format_args!("{epoch}\n"));
    }
    let (rows, added, changed, groups) = (Count(*rows), Count(*added), Count(*changed), Count(hash.rows()));
    cli::print(format_args!(
        "{file}: {rows} rows, {added} groups added, {changed} changed, {groups} in all, total revenue {revenue:.6} USD, hash {hash}\n"
    ))
}

/// The answer, as `query2` prints it.
fn tell<K, const WIDTH: usize>(
    options: &Options,
    last: &Changes<K>,
    top: &[(f64, Prefix<WIDTH>)],
) -> Result<(), Error> {
    let (hash, revenue): (AnswerHash, _) = (last.hash, last.units as f64 / UNITS);
    if options.json {
        let groups: Vec<_> = top
            .iter()
            .map(|(revenue, prefix)| json!({"prefix": prefix.to_string(), "revenue": revenue}))
            .collect();
        let answer =
            json!({"groups": hash.rows(), "revenue": revenue, "hash": hash.to_string(), "top": groups});
        return cli::print(format_args!("{answer}\n"));
    }
    cli::print(fmt::from_fn(|f| {
        writeln!(f, "{:<15}  {:>14}", "prefix", "revenue, USD")?;
        top.iter()
            .try_for_each(|(revenue, prefix)| writeln!(f, "{:<15}  {revenue:>14.6}", prefix.to_string()))?;
        writeln!(f, "{} groups, total revenue {revenue:.6} USD, hash {hash}", Count(hash.rows()))
    }))
}

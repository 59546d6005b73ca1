//! Query 3 of the Big Data Benchmark: who brought most revenue in a time, and how well the pages visited are ranked.
//!
//! ```sql
//! SELECT sourceIP, SUM(adRevenue) AS totalRevenue, AVG(pageRank) FROM rankings R JOIN uservisits V ON R.pageURL = V.destURL
//! WHERE visitDate > '1980-01-01' AND visitDate < '1980-04-01' GROUP BY sourceIP ORDER BY totalRevenue DESC LIMIT 1
//! ```
//!
//! ```sh
//! cargo run --release --bin query3 -- --to 1983-01-01 --top 3
//! ```

use std::fmt;
use std::process::ExitCode;

use bytemuck::{Pod, Zeroable};
use clap::Parser;
use millrace::Error;
use millrace::cli::{self, JobArguments, OutputArguments};
use millrace::input::Row;
use millrace::job::{Job, JoinChoice, JoinSide};
use millrace::keys::{ShortText, Text};
use millrace::operators::{Fold, Gather, Join, ReduceByText, Scan, Top, WriteParts};
use millrace::report::AnswerHash;
use millrace::tables::{Column, ColumnType, Date, RANKINGS, USERVISITS};
use millrace::units::Count;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What --output writes.
const COLUMNS: &[Column] = &[
    Column::new("sourceIP", ColumnType::Text),
    Column::new("totalRevenue", ColumnType::Double),
    Column::new("avgPageRank", ColumnType::Double),
];

/// Finds the addresses with the most revenue in a time, and the mean rank of the pages they visited: Query 3 of the Big Data Benchmark.
#[derive(Parser, Serialize)]
#[command(name = "query3")]
struct Options {
    /// Visits after this day count
    #[arg(long, value_name = "yyyy-MM-dd", default_value = "1980-01-01")]
    from: Date,
    /// Visits before this day count; 1980-04-01, 1983-01-01 and 2010-01-01 are queries 3A, 3B and 3C
    #[arg(long, value_name = "yyyy-MM-dd", default_value = "1980-04-01")]
    to: Date,
    /// Count visits of these two days as well, as BETWEEN does
    #[arg(long)]
    inclusive: bool,
    /// Addresses to print, those with the most revenue
    #[arg(long, value_name = "N", default_value_t = 1)]
    top: usize,
    /// How visits meet rankings: by exchanging both tables, or with all of the one that is held in every process
    ///
    /// By hash, rows of a page that very many rows have are spread over the workers of the process that reads them; strict-hash leaves
    /// them to one. auto takes broadcast while the copies of what is held are expected to have at most 200 MB together and it has
    /// little of --memory, and hash from there on. What does not fit is spilled by hash, and an error by broadcast. With --local-shards
    /// no process knows how large a table is, so one of them must be named.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    join: JoinChoice,
    /// Table that is held in memory: rankings, or uservisits [default: the one that is expected to be smaller]
    ///
    /// That goes by bytes of files, and in Parquet and packed files by the columns that are read and by the visits that are expected
    /// in the time: as many as if the days of visits were spread evenly between the first and the last one of each block.
    #[arg(long, value_name = "TABLE")]
    build: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    #[serde(skip)]
    job: JobArguments,
}

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

#[derive(Deserialize)]
struct Visit<'a> {
    #[serde(rename = "sourceIP")]
    source_ip: &'a [u8],
    #[serde(rename = "destURL")]
    url: &'a [u8],
    #[serde(rename = "visitDate")]
    date: Date,
    #[serde(rename = "adRevenue")]
    revenue: f32,
}

impl Row for Visit<'_> {
    type Of<'a> = Visit<'a>;
}

/// What is known of an address. The mean rank is taken from integers, so every order of the visits gives the same.
#[derive(Clone, Copy, Pod, Zeroable, Serialize, Deserialize)]
#[repr(C)]
struct Group {
    revenue: f64,
    ranks: i64,
    visits: u64,
}

impl Group {
    fn mean_rank(self) -> f64 {
        self.ranks as f64 / self.visits as f64
    }
}

/// A visit of a page with a rank, as a group of one.
fn group_of((address, revenue): &(ShortText, f32), rank: i32) -> (ShortText, Group) {
    // f32 widened to f64: the sum is exact for this data, so any order gives the same bits.
    (address.clone(), Group { revenue: (*revenue).into(), ranks: rank.into(), visits: 1 })
}

fn main() -> ExitCode {
    cli::main(|options: Options| run(&options))
}

fn run(options: &Options) -> Result<(), Error> {
    let (from, to) = (options.from, options.to);
    if from > to {
        return Err(Error::usage(
            format!("--from {from} is after --to {to}: no visit is between them"),
            format!("--from {to} --to {from}"),
        ));
    }
    let mut job = Job::plan("query3", options, &options.job)?;
    let rankings = job.table::<Page>(&RANKINGS)?;
    // Whole days: the strict bounds are the inclusive ones of the days between them.
    let inside = i32::from(!options.inclusive);
    let days = from.days() + inside..=to.days() - inside;
    let dates = Date::from_days(*days.start())..=Date::from_days(*days.end());
    let visits = job.table::<Visit>(&USERVISITS)?.skipping_outside("visitDate", dates)?;
    let join = job.choose_join(options.join, options.build.as_deref(), &rankings, &visits)?;
    let output = job.output(&options.output, COLUMNS)?;
    let (strategy, build, top) = (join.strategy, join.build, options.top);

    let finished = job.run(move |scope| {
        let days = days.clone();
        let ranks = || scope.scan(&rankings, |page| Some((Text::new(page.url), page.rank)));
        let visited = || {
            scope.scan(&visits, move |visit| {
                days.contains(&visit.date.days())
                    .then(|| (Text::new(visit.url), (ShortText::new(visit.source_ip), visit.revenue)))
            })
        };
        // What a join holds is scanned first.
        let ranked = match build {
            JoinSide::First => {
                let ranks = ranks();
                visited().join(ranks, strategy, |_, visit, rank| Some(group_of(visit, *rank)))
            }
            JoinSide::Second => {
                let visited = visited();
                ranks().join(visited, strategy, |_, rank, visit| Some(group_of(visit, *rank)))
            }
        };
        ranked
            .reduce_by_text(|all, more| {
                all.revenue += more.revenue;
                all.ranks += more.ranks;
                all.visits += more.visits;
            })
            .write_parts(output.as_ref(), |(address, group), row| {
                row.text(address.as_bytes()).double(group.revenue).double(group.mean_rank());
            })
            .fold(Answer::new(top), |answer, (address, group)| answer.add(address, group))
            .gather()
    })?;
    let Some(mut finished) = finished else { return Ok(()) };
    let answer = std::mem::take(&mut finished.answer).into_iter().fold(Answer::new(top), Answer::merge);
    let (hash, visits, top) = (answer.hash, answer.visits, answer.top.into_sorted());
    let groups: Vec<_> = top
        .iter()
        .map(|(revenue, (address, rank))| {
            json!({"sourceIP": address.to_string(), "totalRevenue": revenue, "pageRank": f64::from_bits(*rank)})
        })
        .collect();
    let text = fmt::from_fn(|f| {
        writeln!(f, "{:<15}  {:>14}  {:>9}", "sourceIP", "revenue, USD", "mean rank")?;
        for (revenue, (address, rank)) in &top {
            writeln!(f, "{address:<15}  {revenue:>14.6}  {:>9.3}", f64::from_bits(*rank))?;
        }
        writeln!(f, "{} addresses of {} visits, hash {hash}\n{join}", Count(hash.rows()), Count(visits))
    });
    let fields = json!({"groups": hash.rows(), "visits": visits, "top": groups, "join": strategy});
    finished.tell(hash, fields, &text)
}

/// What is known of the addresses of one worker, and in the end of all.
#[derive(Clone, Serialize, Deserialize)]
struct Answer {
    hash: AnswerHash,
    visits: u64,
    /// Addresses by revenue, each with the bits of its mean rank.
    top: Top<(ShortText, u64)>,
}

impl Answer {
    fn new(top: usize) -> Self {
        Answer { hash: AnswerHash::default(), visits: 0, top: Top::new(top) }
    }

    fn add(&mut self, address: ShortText, group: Group) {
        let (Group { revenue, visits, .. }, rank) = (group, group.mean_rank());
        self.hash.add(&[address.as_bytes(), &revenue.to_le_bytes(), &rank.to_le_bytes()]);
        self.visits += visits;
        self.top.push(revenue, (address, rank.to_bits()));
    }

    fn merge(mut self, other: Self) -> Self {
        self.hash.merge(other.hash);
        self.visits += other.visits;
        self.top.merge(other.top);
        self
    }
}

//! Query 4 of the Big Data Benchmark: how often each page is linked to, from the text of a crawl.
//!
//! ```sql
//! -- phase 1, by our own scanner or by an external program, from the text of `documents`:
//! --   (sourcePage, destPage, count) of every page
//! SELECT destPage, SUM(count) AS totalCount FROM phase1 GROUP BY destPage
//! ```
//!
//! ```sh
//! cargo run --release --bin query4 -- --top 3
//! cargo run --release --bin query4 -- --top 3 --script 'python3 scripts/url_count.py'
//! ```

mod phase1;

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millrace::Error;
use millrace::cli::{self, JobArguments, OutputArguments};
use millrace::job::Job;
use millrace::operators::{Fold, Gather, Pipe, ReduceByAnyKey, Scan, Top, WriteParts};
use millrace::report::AnswerHash;
use millrace::tables::{self, Column, ColumnType};
use millrace::units::Count;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::json;
use timely::dataflow::operators::vec::Map;

use phase1::{Page, announced, count_links, read_links};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What --output writes.
const COLUMNS: &[Column] =
    &[Column::new("destPage", ColumnType::Text), Column::new("totalCount", ColumnType::Long)];
/// What --phase1-output writes.
const PHASE1_COLUMNS: &[Column] = &[
    Column::new("sourcePage", ColumnType::Text),
    Column::new("destPage", ColumnType::Text),
    Column::new("count", ColumnType::Long),
];

/// Counts the links to each page in the text of a crawl: Query 4 of the Big Data Benchmark.
#[derive(Parser, Serialize)]
#[command(name = "query4")]
struct Options {
    /// Program that counts the links of each page, started by the shell once for each worker [default: our own scanner]
    ///
    /// It reads the pages of the worker as lines of text, and prints a line for each target of each page: the page's
    /// address, the target and the count, with tabs between them.
    #[arg(long, value_name = "COMMAND")]
    script: Option<String>,
    /// Targets to print, those with the most links
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    #[serde(flatten)]
    output: OutputArguments,
    /// Write what phase 1 counts (sourcePage, destPage, count) in the same way, instead of the result
    #[arg(long, value_name = "PATH", conflicts_with = "output")]
    phase1_output: Option<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    job: JobArguments,
}

fn main() -> ExitCode {
    cli::main(|options: Options| run(&options))
}

fn run(options: &Options) -> Result<(), Error> {
    let mut job = Job::plan("query4", options, &options.job)?;
    let pages = job.table::<Page>(&tables::PAGES)?;
    let (phase1_output, output) = match &options.phase1_output {
        Some(path) => (job.output(&options.output.to(path), PHASE1_COLUMNS)?, None),
        None => (None, job.output(&options.output, COLUMNS)?),
    };
    let (script, top) = (options.script.clone(), options.top);

    let finished = job.run(move |scope| {
        let phase1 = match &script {
            None => scope.scan(&pages, |page| count_links(&page)),
            Some(command) => scope.scan(&pages, |page| Some(announced(&page))).pipe(
                command,
                |page, text| text.extend_from_slice(page),
                read_links,
            ),
        };
        phase1
            .write_parts(phase1_output.as_ref(), |links, row| {
                row.text(&links.source).text(&links.target).integer(links.count);
            })
            .map(|links| (links.target, links.count))
            .reduce_by_any_key(|total, count| *total += count)
            .write_parts(output.as_ref(), |(target, total), row| _ = row.text(target).integer(*total))
            .fold(Answer::new(top), |answer, (target, total)| answer.add(target, total))
            .gather()
    })?;
    let Some(mut finished) = finished else { return Ok(()) };
    let answers = std::mem::take(&mut finished.answer);
    let answer = answers.into_iter().fold(Answer::new(top), Answer::merge);
    let (hash, links) = (answer.hash, answer.links);
    let top: Vec<_> = answer.top.into_sorted();
    let shown = top.iter().map(|(total, target)| (String::from_utf8_lossy(target), *total as u64));
    let shown: Vec<_> = shown.collect();
    let targets: Vec<_> = shown.iter().map(|(page, total)| json!({"page": page, "links": total})).collect();
    let text = fmt::from_fn(|f| {
        writeln!(f, "{:>12}  page", "links")?;
        shown.iter().try_for_each(|(page, total)| writeln!(f, "{:>12}  {page}", Count(*total)))?;
        writeln!(f, "{} pages with {} links to them, hash {hash}", Count(hash.rows()), Count(links))
    });
    finished.tell(hash, json!({"pages": hash.rows(), "links": links, "top": targets}), &text)
}

/// What is known of the targets of one worker, and in the end of all.
#[derive(Clone, Serialize, Deserialize)]
struct Answer {
    hash: AnswerHash,
    links: u64,
    top: Top<ByteBuf>,
}

impl Answer {
    fn new(top: usize) -> Self {
        Answer { hash: AnswerHash::default(), links: 0, top: Top::new(top) }
    }

    fn add(&mut self, target: ByteBuf, total: u64) {
        self.hash.add(&[&target, &total.to_le_bytes()]);
        self.links += total;
        self.top.push(total as f64, target);
    }

    fn merge(mut self, other: Self) -> Self {
        self.hash.merge(other.hash);
        self.links += other.links;
        self.top.merge(other.top);
        self
    }
}

//! Millrace: distributed batch queries on [timely dataflow](timely).
//!
//! A query is one native program, planned by hand: it names the columns it reads in a struct, builds a dataflow of a few
//! operators, and runs on one thread, on every core, or on several processes, with the same answer to the last bit
//! wherever its sums are exact.
//!
//! # One complete query
//!
//! It runs on the tiny set that comes with the repository, and takes every flag that queries share (`-w`, `-n`, `--set`,
//! `--json`, `--report` and so on; see [`cli::JobArguments`]). `docs/writing-a-query.md` takes it apart.
//!
//! ```
//! use millrace::operators::{Gather, ReduceByKey, Scan};
//! use millrace::{cli, job::Job, keys::Prefix, tables};
//! # use timely::dataflow::operators::Inspect;
//! # static GROUPS: std::sync::Mutex<Vec<(f64, String)>> = std::sync::Mutex::new(Vec::new());
//!
//! /// SELECT countryCode, SUM(adRevenue) FROM uservisits WHERE duration > 5 GROUP BY countryCode
//! #[derive(clap::Parser, serde::Serialize)]
//! struct Options {
//!     #[command(flatten)]
//!     #[serde(skip)]
//!     job: cli::JobArguments,
//! }
//!
//! millrace::row! {
//!     struct Visit {
//!         #[serde(rename = "countryCode")]
//!         country: Prefix<3>,
//!         #[serde(rename = "adRevenue")]
//!         revenue: f32,
//!         duration: i32,
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//! #   let code =
//!     cli::main(|options: Options| {
//!         let mut job = Job::plan("countries", &options, &options.job)?;
//!         let visits = job.table::<Visit>(&tables::USERVISITS)?;
//!         job.answer(&["country", "revenue"], move |scope| {
//!             scope
//!                 .scan(&visits, |visit| {
//!                     (visit.duration > 5).then_some((visit.country, f64::from(visit.revenue)))
//!                 })
//!                 .reduce_by_key(|total, revenue| *total += revenue)
//! #               .inspect(|(country, total)| GROUPS.lock().unwrap().push((*total, country.to_string())))
//!                 .gather()
//!                 .sorted_by(|a, b| b.1.total_cmp(&a.1))
//!         })
//!     })
//! #   ;
//! #   let mut groups = std::mem::take(&mut *GROUPS.lock().unwrap());
//! #   groups.sort_by(|a, b| b.0.total_cmp(&a.0));
//! #   assert_eq!((groups.len(), &*groups[0].1, &*groups[1].1), (64, "BEL", "IND"));
//! #   code
//! }
//! ```
//!
//! # The modules, and who may depend on whom
//!
//! | module | what it is | uses |
//! | --- | --- | --- |
//! | `src/bin/` | one thin program per query, `generate`, `pack`, `cost` and `sweep` | what it needs |
//! | [`cli`] | the shared flags, as typed and as resolved; the only printer of errors | [`cluster`], [`cost`], [`input`] |
//! | [`job`] | the life of a run: plan, connect, run one dataflow, commit, report | everything but [`generate`] |
//! | [`pack`] | tables converted from format to format | [`input`], [`formats`], and of [`generate`] its threads and places |
//! | [`generate`] | the benchmark's tables at any size | [`formats`], [`tables`] |
//! | [`incremental`] | totals kept current as files arrive: the directory, differential dataflow, the checkpoint | [`input`], [`operators`], [`report`] |
//! | [`operators`] | the dataflow's vocabulary: `scan`, `reduce_by_key`, `reduce_by_text`, `reduce_by_any_key`, `distinct`, `join`, `count`, `first_by`, `fold`, `gather`, `pairs_within_key`, `pipe`, `sort`, `sort_within_key`, `write_parts` | [`input`], [`formats`], [`exchange`], [`memory`], [`keys`], `program` |
//! | `program` | an external program as `pipe` runs it: its threads, its end | [`cluster`] for names of variables |
//! | [`cluster`] | who takes part: host file, handshake, local processes, shared fate | - |
//! | [`cost`] | prices, published times, and dollars per query beside each other; knows no dataflow | [`units`] |
//! | [`report`] | progress, the report as JSON and as a page, the answer's hash; knows no dataflow | [`cost`], [`input`], [`keys`] |
//! | [`input`] | where a table's files are, their splits, and the rows of a query's struct | [`formats`], [`tables`] |
//! | [`formats`] | one encoding per file (CSV, JSON lines, Parquet, packed), compressed files, and part files; knows no timely | [`tables`], and of [`input`] the row trait, block figures and readers of stores |
//! | [`exchange`] | the routed containers that records travel in, plain or through serde, and the router that fills them | [`keys`] |
//! | [`memory`] | the budget of a process, and the files that take what exceeds it | [`keys`], [`report`] |
//! | [`keys`] | keys of fixed width, the packed record, the two hashes of any key | - |
//! | [`tables`] | tables, their columns and types; the benchmark's three | - |
//! | [`units`], [`error`] | numbers for people; what can go wrong; anyone may use them | - |
//!
//! A module uses what stands below it; the one exception is that `formats` and `input` share the row trait and files that are read from stores. Names of timely's
//! own appear in [`operators`], [`exchange`], [`job`] and [`incremental`] only, since each of its releases renames some.
//! `docs/how-a-run-works.md` follows the data through these modules.

pub mod cli;
pub mod cluster;
pub mod cost;
pub mod error;
pub mod exchange;
pub mod formats;
pub mod generate;
pub mod incremental;
pub mod input;
pub mod job;
pub mod keys;
pub mod memory;
pub mod operators;
pub mod pack;
mod prefetch;
mod program;
pub mod report;
mod signals;
pub mod tables;
pub mod units;

pub use error::{BadRecord, Error};

/// The documents' code blocks, compiled and run with the other examples.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/writing-a-query.md")]
    struct WritingAQuery;
    #[doc = include_str!("../docs/reading-a-report.md")]
    struct ReadingAReport;
    #[doc = include_str!("../docs/how-a-run-works.md")]
    struct HowARunWorks;
}

#[cfg(test)]
mod tests {
    /// The first query in a Markdown text, without the lines that documentation hides.
    fn query(markdown: &str) -> Vec<&str> {
        let lines = markdown.lines().skip_while(|line| !line.starts_with("use millrace::"));
        lines.take_while(|line| *line != "```").filter(|line| !line.starts_with("# ")).collect()
    }

    #[test]
    fn the_readme_shows_the_query_of_the_crate_documentation() {
        let own = include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//!"));
        let own: Vec<_> = own.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        let own = own.join("\n");
        assert!(query(&own).len() > 30);
        assert_eq!(query(&own), query(include_str!("../README.md")));
    }
}

//! Visits and advertising revenue by search word: a query whose key is a text of any length.
//!
//! ```sql
//! SELECT searchWord, COUNT(*), SUM(adRevenue) FROM uservisits GROUP BY searchWord
//! ```
//!
//! ```sh
//! cargo run --release --example search_words -- -n 2 -w 1 --top 3
//! ```

use std::fmt;
use std::process::ExitCode;

use clap::Parser;
use millrace::cli::{self, JobArguments};
use millrace::input::Row;
use millrace::job::Job;
use millrace::operators::{Fold, Gather, ReduceByAnyKey, Scan, Top};
use millrace::report::AnswerHash;
use millrace::units::Count;
use millrace::{Error, tables};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Counts visits and sums advertising revenue by search word.
#[derive(Parser, Serialize)]
#[command(name = "search_words")]
struct Options {
    /// Words to print, those with the most revenue
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    #[serde(skip)]
    job: JobArguments,
}

#[derive(Deserialize)]
struct Visit<'a> {
    #[serde(rename = "searchWord")]
    word: &'a str,
    #[serde(rename = "adRevenue")]
    revenue: f32,
}
impl Row for Visit<'_> {
    type Of<'a> = Visit<'a>;
}

/// What is known of a word.
#[derive(Serialize, Deserialize)]
struct Total {
    visits: u64,
    revenue: f64,
}

/// What one worker knows of the answer, and in the end process 0.
#[derive(Clone, Serialize, Deserialize)]
struct Answer {
    hash: AnswerHash,
    top: Top<(String, u64)>,
}

fn main() -> ExitCode {
    cli::main(|options: Options| run(&options))
}

fn run(options: &Options) -> Result<(), Error> {
    let mut job = Job::plan("search_words", options, &options.job)?;
    let visits = job.table::<Visit>(&tables::USERVISITS)?;
    let empty = Answer { hash: AnswerHash::default(), top: Top::new(options.top) };
    let initial = empty.clone();
    let finished = job.run(move |scope| {
        scope
            .scan(&visits, |visit| {
                Some((visit.word.to_owned(), Total { visits: 1, revenue: f64::from(visit.revenue) }))
            })
            .reduce_by_any_key(|all, more| {
                all.visits += more.visits;
                all.revenue += more.revenue;
            })
            .fold(initial.clone(), |answer, (word, Total { visits, revenue })| {
                answer.hash.add(&[word.as_bytes(), &visits.to_le_bytes(), &revenue.to_le_bytes()]);
                answer.top.push(revenue, (word, visits));
            })
            .gather()
    })?;
    // Only process 0 has the answer.
    let Some(mut finished) = finished else { return Ok(()) };
    let mut answer = empty;
    for part in std::mem::take(&mut finished.answer) {
        answer.hash.merge(part.hash);
        answer.top.merge(part.top);
    }
    let (hash, top) = (answer.hash, answer.top.into_sorted());
    let words: Vec<_> = top
        .iter()
        .map(|(revenue, (word, visits))| json!({"word": word, "visits": visits, "revenue": revenue}))
        .collect();
    let text = fmt::from_fn(|f| {
        writeln!(f, "{:<20}  {:>10}  {:>14}", "word", "visits", "revenue, USD")?;
        for (revenue, (word, visits)) in &top {
            writeln!(f, "{word:<20}  {visits:>10}  {revenue:>14.6}")?;
        }
        writeln!(f, "{} words, hash {hash}", Count(hash.rows()))
    });
    finished.tell(hash, json!({"words": hash.rows(), "top": words}), &text)
}

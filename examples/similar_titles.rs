//! A similarity join: all pairs of titles that share at least so much of their words (Jaccard's coefficient), exactly.
//!
//! ```sql
//! SELECT a.id, b.id, shared / (a.words + b.words - shared) AS similarity … WHERE similarity >= 0.6 AND a.id < b.id
//! ```
//!
//! Two titles with a coefficient of at least `t` share a word among the first `n - ⌈t·n⌉ + 1` of each, in any order that
//! both are in (the prefix filter): so pairs are looked for among the titles that have such a word in common.
//!
//! ```sh
//! cargo run --release --example similar_titles -- --set examples
//! ```

use std::collections::BTreeSet;
use std::process::ExitCode;

use millrace::operators::{Gather, Scan, SortWithinKey};
use millrace::tables::{Column, ColumnType, Layout, Table};
use millrace::{cli, job::Job};
use timely::dataflow::operators::vec::Map;

const TITLES: Table = Table {
    name: "titles",
    columns: &[Column::new("id", ColumnType::Int), Column::new("title", ColumnType::Text)],
    layout: Layout::Delimited(b','),
};

/// Finds all pairs of titles with nearly the same words.
#[derive(clap::Parser, serde::Serialize)]
struct Options {
    /// Least share of words that two titles have in common, of all that either has, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=100))]
    threshold: u64,
    #[command(flatten)]
    #[serde(skip)]
    job: cli::JobArguments,
}

millrace::row! { struct Title<'a> { id: u32, title: &'a str } }

/// The titles that have a word in common, with their words: those pairs that are alike, where it is their first such word.
fn pairs(word: &str, titles: &[(u32, BTreeSet<String>)], percent: u64) -> Vec<(u32, u32, u64, u64)> {
    let mut found = Vec::new();
    for (place, (a, a_words)) in titles.iter().enumerate() {
        for (b, b_words) in &titles[place + 1..] {
            let shared = a_words.intersection(b_words).count();
            let (shared, all) = (shared as u64, (a_words.len() + b_words.len() - shared) as u64);
            if shared * 100 >= all * percent
                && a_words.intersection(b_words).next().is_some_and(|first| first == word)
            {
                found.push((*a, *b, shared, all));
            }
        }
    }
    found
}

fn main() -> ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("similar_titles", &options, &options.job)?;
        let (titles, percent) = (job.table::<Title>(&TITLES)?, options.threshold);
        let finished = job.run(move |scope| {
            scope
                .scan(&titles, move |row| {
                    let words: BTreeSet<_> = row.title.split_whitespace().map(str::to_lowercase).collect();
                    let prefix = words.len() - (words.len() * percent as usize).div_ceil(100) + 1;
                    let keys: Vec<_> = words.iter().take(prefix).cloned().collect();
                    keys.into_iter().map(move |word| (word, (row.id, words.clone())))
                })
                .sort_within_key(|a, b| a.0.cmp(&b.0))
                .flat_map(move |(word, titles)| pairs(&word, &titles, percent))
                .map(|(a, b, shared, all)| (a, b, shared as f64 / all as f64))
                .gather()
        })?;
        let Some(mut finished) = finished else { return Ok(()) };
        finished.answer.sort_by_key(|pair| (pair.0, pair.1));
        finished.tell_rows(&["a", "b", "similarity"])
    })
}

//! A similarity join: all pairs of titles that share at least so much of their words (Jaccard's coefficient), exactly.
//!
//! ```sql
//! SELECT a.id, b.id, shared / (a.words + b.words - shared) AS similarity … WHERE similarity >= 0.6 AND a.id < b.id
//! ```
//!
//! Two titles with a coefficient of at least `t` share a word among the first `n - ⌈t·n⌉ + 1` of each, in any order that
//! both are in (the prefix filter): so pairs are looked for among the titles that have such a word in common, and the first
//! word that both have is the one that finds them. Rare words first leave few pairs to look at, and words that are rare are long.
//!
//! ```sh
//! cargo run --release --example similar_titles -- --set examples
//! ```

use millrace::operators::{Gather, PairsWithinKey, Scan};
use millrace::tables::{Column, Table};
use millrace::{cli, job::Job, keys::ShortText};

const TITLES: Table = Table::delimited("titles", b',', &[Column::int("id"), Column::text("title")]);

/// Finds all pairs of titles with nearly the same words.
#[derive(clap::Parser, serde::Serialize)]
struct Options {
    /// Least share of words that two titles have in common, of all that either has, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 60, value_parser = clap::value_parser!(u8).range(1..=100))]
    threshold: u8,
    #[command(flatten)]
    #[serde(skip)]
    job: cli::JobArguments,
}

millrace::row! { struct Title<'a> { id: u32, title: &'a str } }

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("similar_titles", &options, &options.job)?;
        let (titles, percent) = (job.table::<Title>(&TITLES)?, usize::from(options.threshold));
        job.answer(&["a", "b", "similarity"], move |scope| {
            scope
                .scan(&titles, move |row| {
                    let lower = |word: &str| ShortText::new(word.to_lowercase().as_bytes());
                    let mut words: Vec<_> = row.title.split_whitespace().map(lower).collect();
                    words.sort_unstable_by(|a, b| (b.as_bytes().len(), a).cmp(&(a.as_bytes().len(), b)));
                    words.dedup();
                    let prefix = words.len() - (words.len() * percent).div_ceil(100) + 1;
                    words.clone().into_iter().take(prefix).map(move |word| (word, (row.id, words.clone())))
                })
                .pairs_within_key(move |word, (a, a_words), (b, b_words)| {
                    let mut both = a_words.iter().filter(|&a_word| b_words.contains(a_word));
                    let is_first = both.next() == Some(word);
                    let shared = 1 + both.count();
                    let all = a_words.len() + b_words.len() - shared;
                    (is_first && shared * 100 >= all * percent).then(|| (*a, *b, shared as f64 / all as f64))
                })
                .gather()
                .sorted_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)))
        })
    })
}

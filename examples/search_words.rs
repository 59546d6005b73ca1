//! Visits and advertising revenue by search word: a query whose key is a text of any length.
//!
//! ```sql
//! SELECT searchWord, COUNT(*), SUM(adRevenue) FROM uservisits GROUP BY searchWord
//! ```
//!
//! ```sh
//! cargo run --release --example search_words -- -n 2 -w 1 --top 3
//! ```

use millrace::operators::{Fold, Gather, Ranking, ReduceByAnyKey, Scan};
use millrace::{cli, job::Job, tables};

/// Counts visits and sums advertising revenue by search word.
#[derive(clap::Parser, serde::Serialize)]
struct Options {
    /// Words to print, those with the most revenue
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    #[command(flatten)]
    #[serde(skip)]
    job: cli::JobArguments,
}

millrace::row! {
    struct Visit<'a> {
        #[serde(rename = "searchWord")]
        word: &'a str,
        #[serde(rename = "adRevenue")]
        revenue: f32,
    }
}

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("search_words", &options, &options.job)?;
        let (words, top) = (job.table::<Visit>(&tables::USERVISITS)?, options.top);
        let finished = job.run(move |scope| {
            scope
                .scan(&words, |visit| Some((visit.word.to_owned(), (1u64, f64::from(visit.revenue)))))
                .reduce_by_any_key(|all, more| *all = (all.0 + more.0, all.1 + more.1))
                .fold(Ranking::new(top), |words, (word, (visits, revenue))| {
                    words.hash.add(&[word.as_bytes(), &visits.to_le_bytes(), &revenue.to_le_bytes()]);
                    words.top.push(revenue, (word, visits));
                })
                .gather()
        })?;
        // Only process 0 has the answer.
        let Some(finished) = finished else { return Ok(()) };
        finished
            .tell_ranking(&["word", "visits", "revenue"], |(revenue, (word, visits))| (word, visits, revenue))
    })
}

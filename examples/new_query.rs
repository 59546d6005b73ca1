//! What this query asks: rows and seconds by country.
//!
//! ```sql
//! SELECT countryCode, COUNT(*), SUM(duration) FROM uservisits GROUP BY countryCode ORDER BY countryCode
//! ```
//!
//! ```sh
//! cargo run --release --example new_query
//! ```

use millrace::cli::{self, JobArguments};
use millrace::job::{Finished, Job};
use millrace::keys::Prefix;
use millrace::operators::{Gather, ReduceByKey, Scan, aggregates::add_each};
use millrace::{Error, tables};
use timely::dataflow::operators::vec::Map;

/// Counts visits and adds up their seconds, by country.
#[derive(clap::Parser, serde::Serialize)]
struct Options {
    /// Seconds that a visit must have lasted at least
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    least: u64,
    #[command(flatten)]
    #[serde(skip)]
    job: JobArguments,
}

// The columns that are read.
millrace::row! {
    struct Visit {
        #[serde(rename = "countryCode")]
        country: Prefix<3>,
        duration: u64,
    }
}

/// Country, visits and seconds.
type Answer = (Prefix<3>, u64, u64);

/// What process 0 has in the end, and no other.
fn query(options: &Options) -> Result<Option<Finished<Answer>>, Error> {
    let mut job = Job::plan("new_query", options, &options.job)?;
    let visits = job.table::<Visit>(&tables::USERVISITS)?;
    let least = options.least;
    job.run(move |scope| {
        scope
            .scan(&visits, move |visit| {
                (visit.duration >= least).then_some((visit.country, [1, visit.duration]))
            })
            .reduce_by_key(add_each)
            .map(|(country, [visits, seconds])| (country, visits, seconds))
            .gather()
            .sorted()
    })
}

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        query(&options)?.map_or(Ok(()), |finished| finished.tell_rows(&["country", "visits", "seconds"]))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::Parser;

    use super::*;

    #[test]
    fn is_what_a_plain_program_finds() {
        let mut expected = BTreeMap::new();
        for part in std::fs::read_dir("data/csv/tiny/uservisits").expect("the tiny set") {
            let text = std::fs::read_to_string(part.expect("listed").path()).expect("read");
            for line in text.lines() {
                let fields: Vec<_> = line.split(',').collect();
                let seconds: u64 = fields[8].parse().expect("a number");
                if seconds >= 3 {
                    let (visits, sum) = expected.entry(fields[5].to_owned()).or_insert((0, 0));
                    (*visits, *sum) = (*visits + 1, *sum + seconds);
                }
            }
        }
        let row =
            |(country, (visits, seconds)): (String, _)| (Prefix::new(country.as_bytes(), 3), visits, seconds);
        let expected: Vec<Answer> = expected.into_iter().map(row).collect();
        // A parallel query goes wrong where workers meet.
        for workers in ["1", "2", "3"] {
            let options =
                Options::parse_from(["new_query", "--least", "3", "-w", workers, "--split-size", "64K"]);
            let found = query(&options).expect("it runs").expect("process 0").answer;
            assert_eq!(found, expected, "{workers} workers");
        }
    }
}

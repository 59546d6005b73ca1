//! How many different users came to each page, exactly, or about as many in bounded memory (`HyperLogLog`).
//!
//! ```sql
//! SELECT page, COUNT(DISTINCT user) AS users FROM clicks GROUP BY page ORDER BY page
//! ```
//!
//! ```sh
//! cargo run --release --example visitors -- --set examples --approximate
//! ```

use millrace::keys::ShortText;
use millrace::operators::aggregates::ApproximateDistinct;
use millrace::operators::{Distinct, Gather, ReduceByAnyKey, ReduceByText, Scan};
use millrace::tables::{Column, Table};
use millrace::{cli, job::Job};
use timely::dataflow::operators::vec::Map;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLICKS: Table =
    Table::delimited("clicks", b',', &[Column::text("user"), Column::int("second"), Column::text("page")]);

/// Counts the users of each page.
#[derive(clap::Parser, serde::Serialize)]
struct Options {
    /// Count with a standard error of 1.6 %, and 4 KiB at most for each page
    #[arg(long)]
    approximate: bool,
    #[command(flatten)]
    #[serde(skip)]
    job: cli::JobArguments,
}

millrace::row! { struct Click<'a> { user: &'a [u8], page: &'a [u8] } }

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("visitors", &options, &options.job)?;
        let (clicks, approximate) = (job.table::<Click>(&CLICKS)?, options.approximate);
        job.answer(&["page", "users"], move |scope| {
            let clicks =
                scope.scan(&clicks, |click| Some((ShortText::new(click.page), ShortText::new(click.user))));
            let counted = if approximate {
                clicks
                    .map(|(page, user)| (page, ApproximateDistinct::<12>::of(&user)))
                    .reduce_by_any_key(ApproximateDistinct::merge)
                    .map(|(page, users)| (page, users.estimate().round() as u64))
            } else {
                let clicks = clicks.distinct_text().map(|(page, _)| (page, 1u64));
                clicks.reduce_by_text(|users, more| *users += more)
            };
            counted.gather().sorted()
        })
    })
}

//! How many users had one session, two, and so on: clicks of a user that are at most half an hour apart are a session.
//!
//! ```sql
//! SELECT sessions, COUNT(*) FROM (
//!   SELECT user, SUM(starts) AS sessions FROM (
//!     SELECT user, CASE WHEN second - LAG(second) OVER (PARTITION BY user ORDER BY second) <= 1800 THEN 0 ELSE 1 END AS starts
//!     FROM clicks) GROUP BY user) GROUP BY sessions ORDER BY sessions
//! ```
//!
//! ```sh
//! cargo run --release --example sessions -- --set examples
//! ```

use millrace::keys::ShortText;
use millrace::operators::{Gather, ReduceByKey, Scan, SortWithinKey};
use millrace::tables::{Column, Table};
use millrace::{cli, job::Job};
use timely::dataflow::operators::vec::Map;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLICKS: Table =
    Table::delimited("clicks", b',', &[Column::text("user"), Column::int("second"), Column::text("page")]);

/// Counts users by their number of sessions.
#[derive(clap::Parser, serde::Serialize)]
struct Options {
    /// Seconds between two clicks after which a new session begins
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    gap: i64,
    #[command(flatten)]
    #[serde(skip)]
    job: cli::JobArguments,
}

millrace::row! { struct Click<'a> { user: &'a [u8], second: i32 } }

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("sessions", &options, &options.job)?;
        let (clicks, gap) = (job.table::<Click>(&CLICKS)?, options.gap);
        job.answer(&["sessions", "users"], move |scope| {
            scope
                .scan(&clicks, |click| Some((ShortText::new(click.user), click.second)))
                .sort_within_key(i32::cmp)
                .map(move |(_, seconds)| {
                    // Of 64 bits, which hold any difference of 32.
                    let near = |before: &i32, next: &i32| i64::from(*next) - i64::from(*before) <= gap;
                    (seconds.chunk_by(near).count() as u64, 1u64)
                })
                .reduce_by_key(|users, more| *users += more)
                .gather()
                .sorted()
        })
    })
}

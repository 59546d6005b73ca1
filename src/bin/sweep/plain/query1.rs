//! Query 1 as a loop: two searches and a comparison for each row.

use std::ffi::OsString;

use clap::Parser;
use millrace::cli::JobArguments;
use millrace::report::AnswerHash;
use millrace::{Error, tables};

use super::{files, lines, page, parse, read};

/// The flags of query1, of which those that shape the answer count.
#[derive(Parser)]
struct Query1 {
    #[arg(short = 'x', long, default_value_t = 1000, allow_negative_numbers = true)]
    threshold: i32,
    #[arg(long)]
    top: Option<usize>,
    #[command(flatten)]
    job: JobArguments,
}

pub(super) fn run(arguments: &[OsString]) -> Result<(AnswerHash, u64), Error> {
    let options: Query1 = parse("query1", "-x", arguments)?;
    let (mut hash, mut rows) = (AnswerHash::default(), 0);
    for path in files(&options.job, "query1", &tables::RANKINGS)? {
        read(&path, |text| {
            lines(text, |line| {
                let (url, rank) = page(line)?;
                if rank > options.threshold {
                    hash.add(&[url, &rank.to_le_bytes()]);
                }
                rows += 1;
                Some(())
            })
        })?;
    }
    Ok((hash, rows))
}

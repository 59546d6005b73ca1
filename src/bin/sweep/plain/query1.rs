//! Query 1 as a loop: two searches and a comparison for each row.

use std::ffi::OsString;

use clap::Parser;
use memchr::memchr;
use millrace::cli::JobArguments;
use millrace::report::AnswerHash;
use millrace::{Error, tables};

use super::{files, integer, parse, read};

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
        read(&path, |text| pages(text, options.threshold, &mut hash, &mut rows))?;
    }
    Ok((hash, rows))
}

/// Adds the pages of `text` above a rank.
fn pages(text: &[u8], threshold: i32, hash: &mut AnswerHash, rows: &mut u64) -> Option<()> {
    if memchr(b'"', text).is_some() {
        return None;
    }
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(memchr(b'\n', rest).map_or(rest.len(), |end| end + 1));
        let (url, behind) = line.split_at(memchr(b',', line)?);
        // Digits are few: a search would take longer to start than to find the comma.
        let digits = &behind[1..];
        let rank = integer(&digits[..digits.iter().position(|byte| *byte == b',')?])?;
        if rank > threshold {
            hash.add(&[url, &rank.to_le_bytes()]);
        }
        *rows += 1;
        rest = after;
    }
    Some(())
}

//! Query 2 as a loop: fields by searching commas, and a table of the standard library with a fast hash.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Parser;
use memchr::memchr_iter;
use millrace::cli::JobArguments;
use millrace::keys::{PlaceHasher, Prefix};
use millrace::report::AnswerHash;
use millrace::{Error, tables};

use super::{files, lines, parse, read};

/// The flags of query2, of which those that shape the answer count.
#[derive(Parser)]
struct Query2 {
    #[arg(short = 'k', long, default_value_t = 8)]
    prefix: u8,
    #[arg(long)]
    top: Option<usize>,
    #[command(flatten)]
    job: JobArguments,
}

pub(super) fn run(arguments: &[OsString]) -> Result<(AnswerHash, u64), Error> {
    let options: Query2 = parse("query2", "-k", arguments)?;
    let files = files(&options.job, "query2", &tables::USERVISITS)?;
    // The key is as wide as the prefix needs.
    match usize::from(options.prefix) {
        length @ ..=8 => total::<8>(&files, length),
        length => total::<16>(&files, length),
    }
}

fn total<const WIDTH: usize>(files: &[PathBuf], length: usize) -> Result<(AnswerHash, u64), Error> {
    let mut totals = Totals::<WIDTH> { length, rows: 0, batch: Vec::new(), groups: HashMap::default() };
    for path in files {
        read(path, |text| totals.add(text))?;
    }
    let mut hash = AnswerHash::default();
    totals.groups.iter().for_each(|(prefix, revenue)| hash.add(&[prefix.as_bytes(), &revenue.to_le_bytes()]));
    Ok((hash, totals.rows))
}

struct Totals<const WIDTH: usize> {
    length: usize,
    rows: u64,
    /// The rows of a block, parsed: the table is then updated in a loop of its own, in which the processor looks up several
    /// at a time.
    batch: Vec<(Prefix<WIDTH>, f32)>,
    groups: HashMap<Prefix<WIDTH>, f64, PlaceHasher>,
}

impl<const WIDTH: usize> Totals<WIDTH> {
    fn add(&mut self, text: &[u8]) -> Option<()> {
        lines(text, |line| {
            let mut commas = memchr_iter(b',', line);
            let address = commas.next()?;
            let (before, after) = (commas.nth(1)?, commas.next()?);
            let revenue: f32 = std::str::from_utf8(&line[before + 1..after]).ok()?.parse().ok()?;
            self.batch.push((Prefix::new(&line[..address], self.length), revenue));
            Some(())
        })?;
        self.rows += self.batch.len() as u64;
        for (prefix, revenue) in self.batch.drain(..) {
            *self.groups.entry(prefix).or_default() += f64::from(revenue);
        }
        Some(())
    }
}

//! The competition: for a query, one loop in one thread, as a good programmer would write it in an afternoon. No dataflow, no
//! partitions, nothing of Millrace's but the list of files and the hash of the answer.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::Parser;
use memchr::{memchr, memchr_iter, memrchr};
use millrace::cli::{self, JobArguments};
use millrace::input::{FormatChoice, Input, InputOptions, Row};
use millrace::keys::{PlaceHasher, Prefix};
use millrace::report::{AnswerHash, peak_rss_bytes};
use millrace::{Error, tables};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Bytes read at once.
const BLOCK_BYTES: usize = 1 << 20;

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

/// Lists files only: the loop finds its columns itself.
#[derive(serde::Deserialize)]
struct Visit<'a> {
    #[serde(rename = "sourceIP", borrow)]
    _source_ip: &'a [u8],
}

impl Row for Visit<'_> {
    type Of<'a> = Visit<'a>;
}

/// Refuses a query for which there is no loop.
pub(crate) fn check(query: &Path) -> Result<(), Error> {
    if query.file_name().is_some_and(|name| name == "query2") {
        return Ok(());
    }
    Err(Error::usage(
        format!("there is no plain loop for {}", query.display()),
        "--query query2, or leave --baseline out",
    ))
}

/// Runs the loop for a query, and tells what a report would.
pub(crate) fn run(query: &Path, arguments: &[OsString]) -> Result<Value, Error> {
    check(query)?;
    let words = [OsString::from("query2")].into_iter().chain(arguments.iter().cloned());
    let options: Query2 = cli::parse(words).map_err(|error| {
        Error::usage(
            error.to_string().trim_end(),
            "flags of query2 after --, of which the plain loop knows -k, --data and --set",
        )
    })?;
    let settings = options.job.resolve("query2")?;
    let files = InputOptions {
        data: settings.data,
        set: settings.set,
        format: FormatChoice::Csv,
        ..InputOptions::default()
    };
    let files = Input::<Visit>::open(&tables::USERVISITS, &files)?;
    // The key is as wide as the prefix needs.
    match usize::from(options.prefix) {
        length @ ..=8 => total::<8>(&files, length),
        length => total::<16>(&files, length),
    }
}

fn total<const WIDTH: usize>(files: &Input<Visit>, length: usize) -> Result<Value, Error> {
    let mut plain = Loop::<WIDTH> { length, rows: 0, batch: Vec::new(), groups: HashMap::default() };
    for file in files.files() {
        if file.compression.is_some() || files.is_remote() {
            return Err(Error::Data(format!(
                "the plain loop reads plain files of this machine only, not {}",
                file.path.display()
            )));
        }
        plain.read(&file.path)?;
    }
    let mut hash = AnswerHash::default();
    plain.groups.iter().for_each(|(prefix, revenue)| hash.add(&[prefix.as_bytes(), &revenue.to_le_bytes()]));
    Ok(json!({
        "answer": { "rows": hash.rows(), "hash": hash.to_string() },
        "input": { "rows": plain.rows },
        "peak_rss_bytes": peak_rss_bytes(),
        "commit": cli::COMMIT,
    }))
}

struct Loop<const WIDTH: usize> {
    length: usize,
    rows: u64,
    /// The rows of a block, parsed: the table is then updated in a loop of its own, in which the processor looks up several
    /// at a time.
    batch: Vec<(Prefix<WIDTH>, f32)>,
    groups: HashMap<Prefix<WIDTH>, f64, PlaceHasher>,
}

impl<const WIDTH: usize> Loop<WIDTH> {
    fn read(&mut self, path: &Path) -> Result<(), Error> {
        let mut file = File::open(path).map_err(Error::file("open", path))?;
        let (mut block, mut held) = (vec![0; BLOCK_BYTES], 0);
        loop {
            let read = file.read(&mut block[held..]).map_err(Error::file("read", path))?;
            let filled = held + read;
            let whole = match memrchr(b'\n', &block[..filled]) {
                // The last line may lack its newline.
                _ if read == 0 => filled,
                Some(end) => end + 1,
                None => 0,
            };
            self.lines(&block[..whole]).ok_or_else(|| {
                Error::Data(format!(
                    "the plain loop cannot read {}: it has rows that are not those of uservisits, or quotes",
                    path.display()
                ))
            })?;
            if read == 0 {
                return Ok(());
            }
            block.copy_within(whole..filled, 0);
            held = filled - whole;
            if held == block.len() {
                block.resize(2 * held, 0);
            }
        }
    }

    /// The loop; `None` for rows it cannot read.
    fn lines(&mut self, text: &[u8]) -> Option<()> {
        if memchr(b'"', text).is_some() {
            return None;
        }
        let mut start = 0;
        while start < text.len() {
            let end = memchr(b'\n', &text[start..]).map_or(text.len(), |length| start + length);
            let line = &text[start..end];
            let mut commas = memchr_iter(b',', line);
            let address = commas.next()?;
            let (before, after) = (commas.nth(1)?, commas.next()?);
            let revenue: f32 = std::str::from_utf8(&line[before + 1..after]).ok()?.parse().ok()?;
            self.batch.push((Prefix::new(&line[..address], self.length), revenue));
            start = end + 1;
        }
        self.rows += self.batch.len() as u64;
        for (prefix, revenue) in self.batch.drain(..) {
            *self.groups.entry(prefix).or_default() += f64::from(revenue);
        }
        Some(())
    }
}

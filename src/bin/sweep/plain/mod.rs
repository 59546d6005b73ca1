//! The competition: for a query, one loop in one thread, as a good programmer would write it in an afternoon. No dataflow, no
//! partitions, nothing of Millrace's but the list of files, the hash of keys and the hash of the answer.
//!
//! Each loop is a file of its own; what they share is here: which there are, the files, and blocks of whole lines.

mod query1;
mod query2;
mod query3;
mod query4;

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Parser;
use memchr::{memchr, memrchr};
use millrace::Error;
use millrace::cli::{self, JobArguments};
use millrace::input::{FormatChoice, Input, InputOptions, Row};
use millrace::report::{AnswerHash, peak_rss_bytes};
use millrace::tables::Table;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The byte order mark of UTF-8: at the start of a file it is no part of the first row.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes read at once.
const BLOCK_BYTES: usize = 1 << 20;

/// A loop: from the query's arguments to the hash of the answer and the rows that were read.
type Loop = fn(&[OsString]) -> Result<(AnswerHash, u64), Error>;

/// Every query that has a loop.
const LOOPS: [(&str, Loop); 4] =
    [("query1", query1::run), ("query2", query2::run), ("query3", query3::run), ("query4", query4::run)];

/// Lists files only: the loops find their columns themselves.
#[derive(serde::Deserialize)]
struct NoColumns {}

impl Row for NoColumns {
    type Of<'a> = NoColumns;
}

/// The loop for a query; an error where there is none.
fn loop_for(query: &Path) -> Result<Loop, Error> {
    let found = LOOPS.iter().find(|(name, _)| query.file_name().is_some_and(|file| file == *name));
    found.map(|(_, run)| *run).ok_or_else(|| {
        Error::usage(
            format!("there is no plain loop for {}", query.display()),
            format!("--query {}, or leave --baseline out", LOOPS.map(|(name, _)| name).join(", ")),
        )
    })
}

/// Refuses a query for which there is no loop.
pub(crate) fn check(query: &Path) -> Result<(), Error> {
    loop_for(query).map(|_| ())
}

/// Runs the loop for a query, and tells what a report would.
pub(crate) fn run(query: &Path, arguments: &[OsString]) -> Result<Value, Error> {
    let (hash, rows) = loop_for(query)?(arguments)?;
    Ok(json!({
        "answer": { "rows": hash.rows(), "hash": hash.to_string() },
        "input": { "rows": rows },
        "peak_rss_bytes": peak_rss_bytes(),
        "commit": cli::COMMIT,
    }))
}

/// The query's arguments; `known` are the flags that shape its answer.
fn parse<O: Parser>(query: &str, known: &str, arguments: &[OsString]) -> Result<O, Error> {
    let words = [OsString::from(query)].into_iter().chain(arguments.iter().cloned());
    cli::parse(words).map_err(|error| {
        Error::usage(
            error.to_string().trim_end(),
            format!("flags of {query} after --, of which the plain loop knows {known}, --data and --set"),
        )
    })
}

/// The files of a table, which must be plain ones of this machine.
fn files(job: &JobArguments, query: &str, table: &Table) -> Result<Vec<PathBuf>, Error> {
    let settings = job.resolve(query)?;
    let options = InputOptions {
        data: settings.data,
        set: settings.set,
        format: FormatChoice::Csv,
        ..InputOptions::default()
    };
    let input = Input::<NoColumns>::open(table, &options)?;
    if let Some(other) = input.files().iter().find(|file| file.compression.is_some() || input.is_remote()) {
        let path = other.path.display();
        return Err(Error::Data(format!(
            "the plain loop reads plain files of this machine only, not {path}"
        )));
    }
    Ok(input.files().iter().map(|file| file.path.to_path_buf()).collect())
}

/// Gives a file to `lines` in blocks of whole lines, of which the last may lack its newline. `None` is of rows that it cannot read.
fn read(path: &Path, mut lines: impl FnMut(&[u8]) -> Option<()>) -> Result<(), Error> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    let (mut block, mut held, mut at_start) = (vec![0; BLOCK_BYTES], 0, true);
    loop {
        let read = file.read(&mut block[held..]).map_err(Error::file("read", path))?;
        let filled = held + read;
        let whole = match memrchr(b'\n', &block[..filled]) {
            _ if read == 0 => filled,
            Some(end) => end + 1,
            None => 0,
        };
        let mut text = &block[..whole];
        if at_start && whole > 0 {
            (text, at_start) = (unmarked(text), false);
        }
        lines(text).ok_or_else(|| unreadable(path))?;
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

/// The text of a file without its byte order mark.
fn unmarked(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Gives the lines of `text` without their newlines. `None` where there are quotes, or a line that cannot be read.
#[inline]
fn lines<'t>(text: &'t [u8], mut take: impl FnMut(&'t [u8]) -> Option<()>) -> Option<()> {
    if memchr(b'"', text).is_some() {
        return None;
    }
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        take(&rest[..end])?;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Some(())
}

/// A row of rankings: the URL and its rank.
#[inline]
fn page(line: &[u8]) -> Option<(&[u8], i32)> {
    let (url, behind) = line.split_at(memchr(b',', line)?);
    // Digits are few: a search would take longer to start than to find the comma.
    let digits = &behind[1..];
    let rank = integer(&digits[..digits.iter().position(|byte| *byte == b',')?])?;
    Some((url, rank))
}

fn unreadable(path: &Path) -> Error {
    Error::Data(format!(
        "the plain loop cannot read {}: it has rows that are not those of its table, or quotes",
        path.display()
    ))
}

/// An integer that fills its field.
fn integer(digits: &[u8]) -> Option<i32> {
    str::from_utf8(digits).ok()?.parse().ok()
}

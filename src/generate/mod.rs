//! Makes the tables of the Big Data Benchmark, at any size, from seeds.
//!
//! The published tables came from `HiBench`'s generator. `rankings` repeats its recipe draw for draw: with seed 0
//! and the size of `tiny` the first file is the published one in all that is known of it. `uservisits` draws
//! in the same order from the same streams, with lists of words of its own. `documents` only has the published
//! shape. Bytes depend on the sizes, the seed, the number of files and their compression, never on the number of threads.
//!
//! ```text
//! sizes ──► rankings │ uservisits │ documents      what a row is made of (each a write::Source)
//!              pages, zipf, tally, words, text     what they share
//!              java_random                         the generator below all of them
//!           write ──► part files                   slots over threads, files in order
//!           parallel, place                        threads that end together, tables that appear whole (`pack` too)
//! ```

mod documents;
mod java_random;
mod pages;
pub(crate) mod parallel;
mod place;
mod rankings;
mod sizes;
mod strict_log;
mod tally;
mod text;
mod uservisits;
mod words;
mod write;
mod zipf;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::Error;
use crate::formats::compression::Compression;
use crate::units::{Bytes, BytesPerSecond, Count, Elapsed};

pub use parallel::Stop;
pub(crate) use place::Target;
pub(crate) use sizes::command;
pub use sizes::{PublishedSet, RowCount, Sizes, TableName};

/// What to make, and where.
#[derive(Debug, Clone)]
pub struct Job {
    /// The tables to make.
    pub tables: Vec<TableName>,
    /// Rows of each table.
    pub sizes: Sizes,
    /// Part files of each table, where the sizes' own numbers are not wanted.
    pub files: Option<u64>,
    /// How files are compressed, if they are.
    pub compression: Option<Compression>,
    /// 0 for `HiBench`'s own seeds.
    pub seed: u64,
    /// Threads that make rows.
    pub threads: usize,
    /// The set's directory; each table is a directory in it.
    pub directory: PathBuf,
    /// Replace tables that are there already.
    pub overwrite: bool,
}

/// A table that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Which one.
    pub table: TableName,
    /// Rows; pages where the table is `documents`.
    pub rows: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Part files.
    pub files: u64,
    /// Wall-clock time it took.
    pub elapsed: Duration,
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} {}, {} in {} files, {}, {}",
            self.table.table().name,
            Count(self.rows),
            if self.table == TableName::Documents { "pages" } else { "rows" },
            Bytes(self.bytes),
            Count(self.files),
            Elapsed(self.elapsed),
            BytesPerSecond(self.bytes as f64 / self.elapsed.as_secs_f64().max(1e-9)),
        )
    }
}

/// Makes the tables of `job`. They appear whole, all at the end, or not at all.
pub fn run(job: &Job, progress: &ProgressBar, stop: &Stop) -> Result<Vec<Made>, Error> {
    check(job)?;
    progress.set_length(job.tables.iter().map(|table| job.sizes.rows(*table)).sum());
    let was_there = job.directory.exists();
    let outcome = make_all(job, progress, stop);
    if outcome.is_err() && !was_there {
        // Only an empty directory goes, and one that stays is no failure of its own.
        fs::remove_dir(&job.directory).ok();
    }
    progress.finish_and_clear();
    outcome
}

/// Says what keeps the tables of `job` from being made, before anything is: sizes that cannot be, or what is where they go.
pub fn check(job: &Job) -> Result<(), Error> {
    if job.sizes.uservisits > 0 && job.sizes.rankings == 0 && job.tables.contains(&TableName::Uservisits) {
        return Err(Error::usage("visits need pages to go to", "--rankings 1 or more"));
    }
    if job.sizes.rankings > u64::from(u32::MAX) || job.sizes.documents > u64::from(u32::MAX) {
        return Err(Error::usage("page numbers have 32 bits here", "4294967295 pages or fewer"));
    }
    targets(job).map(drop)
}

/// Where each table goes.
fn targets(job: &Job) -> Result<Vec<(TableName, Target)>, Error> {
    let target = |table: &TableName| {
        let path = job.directory.join(table.table().name);
        Ok((*table, Target::at(&path, job.overwrite, "--name NAME for a set of another name")?))
    };
    job.tables.iter().map(target).collect()
}

fn make_all(job: &Job, progress: &ProgressBar, stop: &Stop) -> Result<Vec<Made>, Error> {
    fs::create_dir_all(&job.directory).map_err(Error::file("create", &job.directory))?;
    let mut rooms = Vec::new();
    let mut all_made = Vec::new();
    for (table, target) in targets(job)? {
        progress.set_message(table.table().name);
        let room = target.temporary_room()?;
        all_made.push(make(job, table, room.path(), progress, stop)?);
        rooms.push((target, room));
    }
    stop.check()?;
    for (target, room) in rooms {
        target.put_in_place(room)?;
    }
    Ok(all_made)
}

fn make(
    job: &Job,
    table: TableName,
    room: &Path,
    progress: &ProgressBar,
    stop: &Stop,
) -> Result<Made, Error> {
    let start = Instant::now();
    let Job { sizes, seed, threads, .. } = *job;
    let files = job.files.unwrap_or_else(|| sizes.files(table));
    let target = write::Target { directory: room, files, compression: job.compression };
    let written = match table {
        TableName::Rankings => {
            let source = rankings::Rankings::count_links(sizes.rankings, seed, threads, stop)?;
            write::write_table(&source, target, threads, progress, stop)?
        }
        TableName::Uservisits => {
            let source =
                uservisits::UserVisits::count_visits(sizes.uservisits, sizes.rankings, seed, threads, stop)?;
            write::write_table(&source, target, threads, progress, stop)?
        }
        TableName::Documents => {
            let source = documents::Documents::new(sizes.documents, seed);
            write::write_table(&source, target, threads, progress, stop)?
        }
    };
    let write::Written { rows, bytes } = written;
    Ok(Made { table, rows, bytes, files, elapsed: start.elapsed() })
}

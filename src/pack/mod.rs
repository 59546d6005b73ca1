//! Converts a table from any format to any other, checks what was written, and shows what is in a file.
//!
//! Rows keep the order they have in the input, inside a file and from file to file in the order of names. Splits are grouped
//! into runs, one run becomes one file, and threads take runs as they become free: so the bytes written do not depend on
//! the number of threads, and a thread holds one file's unwritten block and one batch of rows, whatever the table's size.
//!
//! | module | what it is |
//! | --- | --- |
//! | `runs` | which splits become one file |
//! | `reading` | groups of splits over threads, batch by batch, cuts proven |
//! | `output` | one run's files |
//! | `schema` | columns as they are typed, or as files say them |
//! | `describe` | what is in files |

mod describe;
mod output;
mod reading;
mod runs;
mod schema;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::Error;
use crate::formats::columns::Batch;
use crate::formats::writer::OutputFormat;
use crate::generate::{Stop, Target};
use crate::input::{Input, InputOptions, WholeRows, check_data, is_remote, names_outright};
use crate::report::AnswerHash;
use crate::tables::{ColumnType, Layout, Table};
use crate::units::{Bytes, BytesPerSecond, Count, Elapsed, counted};
use output::{Files, RunOutput, Written};
use reading::read_groups;

pub use describe::{Described, describe};
pub use schema::{table_of_benchmark, table_of_columns, table_of_files};

/// What to convert, and to what.
#[derive(Debug, Clone)]
pub struct Job {
    /// The table.
    pub table: Table,
    /// Where it is.
    pub input: InputOptions,
    /// What it becomes.
    pub to: OutputFormat,
    /// The directory it becomes, or a link to it, which must not be there or be empty unless `overwrite`.
    pub target: PathBuf,
    /// About how large the files are to be, in bytes.
    pub file_bytes: u64,
    /// Threads that read and write.
    pub threads: usize,
    /// Whether to read all rows back and compare them before the table gets its name.
    pub verify: bool,
    /// Replace the table that is there.
    pub overwrite: bool,
}

impl Job {
    /// Adds rows to a hash by which what was written is compared with what was read. A page is as good with the last newline that text
    /// gives it as without.
    fn add_rows(&self, batch: &Batch, hash: &mut AnswerHash) {
        match (self.to, self.table.layout) {
            (OutputFormat::Csv(_), Layout::Pages) => batch.add_pages_to(hash),
            _ => batch.add_to(hash),
        }
    }
}

/// A table that was converted.
#[derive(Debug, Clone)]
pub struct Converted {
    table: Table,
    to: OutputFormat,
    rows: u64,
    input_bytes: u64,
    input_files: usize,
    bytes: u64,
    files: usize,
    bad_records: u64,
    elapsed: Duration,
    verified: Option<Duration>,
    /// What the user should know of the input.
    pub warnings: Vec<String>,
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} rows, {} in {} to {} of {} in {} ({:.2} of the size), {}, {}",
            self.table.name,
            Count(self.rows),
            Bytes(self.input_bytes),
            counted(self.input_files, "file"),
            Bytes(self.bytes),
            self.to,
            counted(self.files, "file"),
            self.bytes as f64 / self.input_bytes.max(1) as f64,
            Elapsed(self.elapsed),
            BytesPerSecond(self.input_bytes as f64 / self.elapsed.as_secs_f64().max(1e-9)),
        )?;
        if let Some(elapsed) = self.verified {
            write!(f, "\nverified: all rows read back the same, {}", Elapsed(elapsed))?;
        }
        if self.bad_records > 0 {
            write!(f, "\n{} left out as they do not fit", counted(self.bad_records as usize, "record"))?;
        }
        Ok(())
    }
}

/// Where a table goes unless something else is asked for: beside the table as it is, in the directory of its new format.
///
/// # Errors
///
/// The table is not in a directory of formats and sets of this machine, so there is no such place.
pub fn default_target(input: &InputOptions, table: &Table, to: OutputFormat) -> Result<PathBuf, Error> {
    check_data(&input.data)?;
    if is_remote(&input.data) || names_outright(input, table) {
        return Err(Error::usage(
            format!(
                "--data {} is not a directory of formats and sets, beside which the table could go",
                input.data.display()
            ),
            format!("--output DIR, as data/{}/{}/{}", to.directory(), input.set, table.name),
        ));
    }
    Ok(input.data.join(to.directory()).join(&input.set).join(table.name))
}

/// Converts a table. It appears whole, or not at all.
///
/// # Errors
///
/// The table is not there, a record does not fit, a value cannot be written in the format, a file cannot be, a signal came, or
/// what was written reads back as something else. Who waits for a store gives up at a signal if the input's stores were made with
/// [`Stop::failure`].
pub fn run(job: &Job, progress: &ProgressBar, stop: &Stop) -> Result<Converted, Error> {
    let target = Target::at(&job.target, job.overwrite, "--output DIR for another place")?;
    let input_options =
        InputOptions { split_bytes: Some(runs::split_bytes(job.file_bytes)), ..job.input.clone() };
    let input = Input::<WholeRows>::whole(&job.table, &input_options).map_err(|error| stop.before(error))?;
    check_delimiter(job, input.format())?;
    let made = MadeDirectories::create(target.parent())?;
    let outcome = convert(job, &input, &target, progress, stop);
    progress.finish_and_clear();
    if outcome.is_err() {
        made.remove();
    }
    outcome.map_err(|error| stop.before(error))
}

/// Refuses text whose fields would run together: numbers and dates are never quoted.
fn check_delimiter(job: &Job, from: &str) -> Result<(), Error> {
    let is_plain = job.table.columns.iter().any(|column| column.kind != ColumnType::Text);
    match (job.to, job.table.layout) {
        (to @ OutputFormat::Csv(_), Layout::Delimited(byte))
            if is_plain && (byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) =>
        {
            let what = format!(
                "--delimiter {} may be a part of a number or a date, and such text could not be read back",
                char::from(byte)
            );
            // It is that of the text which is read, too.
            let remedy = if from == to.directory() {
                format!("--to packed, and of what that makes --to {to} with --delimiter ';'")
            } else {
                "--delimiter ';', or tab".to_owned()
            };
            Err(Error::usage(what, remedy))
        }
        _ => Ok(()),
    }
}

fn convert(
    job: &Job,
    input: &Input<WholeRows>,
    target: &Target,
    progress: &ProgressBar,
    stop: &Stop,
) -> Result<Converted, Error> {
    let start = Instant::now();
    let room = target.temporary_room()?;
    let Written { rows, bytes, files, hash, bad_records } =
        write_all(job, input, room.path(), progress, stop)?;
    let elapsed = start.elapsed();
    let verified = if job.verify { Some(verify(job, room.path(), hash, progress, stop)?) } else { None };
    stop.check()?;
    target.put_in_place(room)?;
    Ok(Converted {
        table: job.table,
        to: job.to,
        rows,
        input_bytes: input.bytes(),
        input_files: input.files().len(),
        bytes,
        files,
        bad_records,
        elapsed,
        verified,
        warnings: input.warnings().to_vec(),
    })
}

/// Writes the files into `room`; a second time where it turns out that files were not cut between rows.
fn write_all(
    job: &Job,
    input: &Input<WholeRows>,
    room: &Path,
    progress: &ProgressBar,
    stop: &Stop,
) -> Result<Written, Error> {
    let mut input = input.clone();
    loop {
        progress.set_message("packing");
        progress.set_position(0);
        progress.set_length(input.bytes_to_read());
        let files = Files { directory: room, job };
        let runs = runs::runs(&input, job)?;
        let written = Mutex::new(Vec::new());
        let miscut = read_groups(
            &input,
            &runs,
            job.threads,
            (progress, stop),
            |run| Ok(RunOutput::new(files, run)),
            RunOutput::write,
            |output| {
                let output = output.finish()?;
                written.lock().unwrap_or_else(PoisonError::into_inner).push(output);
                Ok(())
            },
        )?;
        if miscut.is_empty() {
            return files.put_in_order(written.into_inner().unwrap_or_else(PoisonError::into_inner));
        }
        for path in
            written.into_inner().unwrap_or_else(PoisonError::into_inner).iter().flat_map(RunOutput::paths)
        {
            fs::remove_file(path).map_err(Error::file("remove", path))?;
        }
        input = input.uncut(&miscut);
    }
}

/// Reads everything back and compares it with the hash of what was written.
fn verify(
    job: &Job,
    room: &Path,
    expected: AnswerHash,
    progress: &ProgressBar,
    stop: &Stop,
) -> Result<Duration, Error> {
    let start = Instant::now();
    let mut input = Input::<WholeRows>::whole_at(
        room,
        &job.table,
        &InputOptions { peers: job.threads, ..InputOptions::default() },
    )?;
    loop {
        progress.set_message("verifying");
        progress.set_position(0);
        progress.set_length(input.bytes_to_read());
        let splits: Vec<_> = input.splits().iter().map(|split| vec![split.clone()]).collect();
        let total = Mutex::new(AnswerHash::default());
        let miscut = read_groups(
            &input,
            &splits,
            job.threads,
            (progress, stop),
            |_| Ok(AnswerHash::default()),
            |hash, batch, _| {
                job.add_rows(batch, hash);
                Ok(())
            },
            |hash| {
                total.lock().unwrap_or_else(PoisonError::into_inner).merge(hash);
                Ok(())
            },
        )?;
        if !miscut.is_empty() {
            input = input.uncut(&miscut);
            continue;
        }
        let found = total.into_inner().unwrap_or_else(PoisonError::into_inner);
        if found == expected {
            return Ok(start.elapsed());
        }
        return Err(Error::Data(format!(
            "what was written reads back as {} rows with hash {found}, and not as the {} rows with hash {expected} that were read; \
             nothing was kept\n  try: again, and if it fails again, report it",
            Count(found.rows()),
            Count(expected.rows())
        )));
    }
}

/// The directories that had to be made for a table.
struct MadeDirectories(Vec<PathBuf>);

impl MadeDirectories {
    fn create(directory: &Path) -> Result<Self, Error> {
        let missing = directory.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let missing = missing.map(Path::to_path_buf).collect();
        fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
        Ok(MadeDirectories(missing))
    }

    /// Removes them again where they are empty; one that stays is no failure of its own.
    fn remove(self) {
        for directory in self.0 {
            fs::remove_dir(directory).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches a `--verify` that lets pass what it was made to find: a value of another kind than was read, and a row that is missing.
    #[test]
    fn what_reads_back_as_something_else_is_told() {
        let written = tempfile::tempdir().expect("a directory");
        let table = table_of_columns("numbers", "number:int", b',').expect("a table");
        let file = written.path().join("part-00000");
        let job = Job {
            table,
            input: InputOptions::default(),
            to: OutputFormat::Csv(None),
            target: "unused".into(),
            file_bytes: 1,
            threads: 2,
            verify: true,
            overwrite: false,
        };
        let hash_of = |text: &str| {
            fs::write(&file, text).expect("written");
            let input = Input::<WholeRows>::whole_at(written.path(), &table, &InputOptions::default());
            let input = input.expect("an input");
            let mut hash = AnswerHash::default();
            let mut batch = crate::formats::columns::Batch::default();
            for split in input.splits() {
                let mut reader = input.open_batches(split).expect("a split");
                while reader.next_batch(&mut batch).expect("rows").is_some() {
                    batch.add_to(&mut hash);
                }
            }
            hash
        };
        let expected = hash_of("1\n2\n3\n");
        let check = |text: &str| {
            fs::write(&file, text).expect("written");
            verify(&job, written.path(), expected, &ProgressBar::hidden(), &Stop::default())
        };
        // In whatever order.
        check("3\n1\n2\n").expect("the same rows");
        for other in ["1\n2\n4\n", "1\n2\n", "1\n2\n3\n3\n", "1\n2\n\"\"\n", ""] {
            let said = check(other).expect_err(other).to_string();
            assert!(said.starts_with("what was written reads back as "), "{said}");
            assert!(said.contains("and not as the 3 rows with hash"), "{said}");
            assert!(said.contains("nothing was kept\n  try: again"), "{said}");
        }
    }
}

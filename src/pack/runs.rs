//! Which splits become one file.

use std::io;

use super::Job;
use crate::Error;
use crate::formats::columns::Batch;
use crate::formats::writer::TableWriter;
use crate::input::{Input, Split, WholeRows};

/// A table of some size is written as so many files at least, so that they can be read by as many workers where the format is one
/// that cannot be cut.
const FEWEST_FILES: u64 = 16;
/// But not in files of less input than this, unless smaller ones are asked for.
const LEAST_BYTES: u64 = 4 << 20;
/// Splits are this large at most: the grain in which the sizes of files are decided.
const MOST_SPLIT_BYTES: u64 = 4 << 20;
/// Text that is written on trial to learn how large it becomes.
const TRIAL_BYTES: u64 = 8 << 20;

/// How large splits are to be, the same for any number of threads.
pub(super) fn split_bytes(file_bytes: u64) -> u64 {
    file_bytes.clamp(1, MOST_SPLIT_BYTES)
}

/// The splits of each file, in the order of the input; at least one file, which may have no rows.
pub(super) fn runs(input: &Input<WholeRows>, job: &Job) -> Result<Vec<Vec<Split>>, Error> {
    let run_bytes = (job.file_bytes as f64 / size_ratio(input, job)?) as u64;
    let run_bytes = run_bytes.min((input.bytes() / FEWEST_FILES).max(LEAST_BYTES)).max(1);
    let mut runs = vec![Vec::new()];
    let mut bytes = 0;
    for split in input.splits() {
        // To the nearest size, so that files are as large as asked for on average.
        if bytes > 0 && bytes + split.bytes() / 2 > run_bytes {
            runs.push(Vec::new());
            bytes = 0;
        }
        bytes += split.bytes();
        if let Some(run) = runs.last_mut() {
            run.push(split.clone());
        }
    }
    Ok(runs)
}

/// How many bytes a byte of the input becomes, by its first rows.
fn size_ratio(input: &Input<WholeRows>, job: &Job) -> Result<f64, Error> {
    let Some(split) = input.splits().first().filter(|_| input.bytes() > job.file_bytes / 2) else {
        return Ok(1.0);
    };
    let refused = Error::file("write rows of", &input.files()[split.file].path);
    let written = (|| {
        let mut reader = input.open_batches(split)?;
        let mut writer = TableWriter::create(job.to, Vec::new(), &job.table).map_err(Trial::Write)?;
        let mut batch = Batch::default();
        let (mut read, mut parsed) = (0, 0);
        while parsed < TRIAL_BYTES
            && let Some(block) = reader.next_batch(&mut batch)?
        {
            writer.write(&batch).map_err(Trial::Write)?;
            read += block.bytes;
            parsed += block.text_bytes;
        }
        Ok((writer.finish().map_err(Trial::Write)?.len(), read))
    })();
    match written {
        Ok((0, _) | (_, 0)) => Ok(1.0),
        Ok((written, read)) => Ok(written as f64 / read as f64),
        Err(Trial::Read(error)) => Err(error),
        Err(Trial::Write(error)) => Err(refused(error)),
    }
}

/// What can go wrong with a trial.
enum Trial {
    Read(Error),
    Write(io::Error),
}

impl From<Error> for Trial {
    fn from(error: Error) -> Self {
        Trial::Read(error)
    }
}

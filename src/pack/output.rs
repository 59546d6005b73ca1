//! The files of one run.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use super::Job;
use crate::Error;
use crate::formats::columns::Batch;
use crate::formats::writer::TableWriter;
use crate::input::Block;
use crate::report::AnswerHash;

/// Where files go.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) directory: &'a Path,
    pub(super) job: &'a Job,
}

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) files: usize,
    /// Of all rows, where they will be verified.
    pub(super) hash: AnswerHash,
    /// Records of the input that do not fit.
    pub(super) bad_records: u64,
}

/// Writes one run as one file, or several where it grows much beyond what was expected.
pub(super) struct RunOutput<'a> {
    files: Files<'a>,
    run: usize,
    open: Option<(TableWriter<BufWriter<File>>, PathBuf)>,
    /// Finished files, with their sizes.
    finished: Vec<(PathBuf, u64)>,
    written: Written,
}

impl<'a> RunOutput<'a> {
    pub(super) fn new(files: Files<'a>, run: usize) -> Self {
        RunOutput { files, run, open: None, finished: Vec::new(), written: Written::default() }
    }

    pub(super) fn write(&mut self, batch: &Batch, block: Block) -> Result<(), Error> {
        self.written.bad_records += block.bad_records;
        if batch.rows == 0 {
            return Ok(());
        }
        let job = self.files.job;
        self.written.rows += batch.rows as u64;
        if job.verify {
            job.add_rows(batch, &mut self.written.hash);
        }
        let mut from = 0;
        for row in (0..batch.rows).filter(|row| job.to.begins_file(&job.table, batch, *row)) {
            if row > from {
                self.write_rows(&batch.part(from..row))?;
            }
            self.close()?;
            from = row;
        }
        if from == 0 { self.write_rows(batch) } else { self.write_rows(&batch.part(from..batch.rows)) }
    }

    fn write_rows(&mut self, batch: &Batch) -> Result<(), Error> {
        let limit = self.files.job.file_bytes / 4 * 5;
        let (writer, path) = self.opened()?;
        writer.write(batch).map_err(Error::file("write", &*path))?;
        if fs::metadata(&*path).map_err(Error::file("look at", &*path))?.len() > limit {
            self.close()?;
        }
        Ok(())
    }

    /// Ends the run's last file. A run without rows has an empty one.
    pub(super) fn finish(mut self) -> Result<Self, Error> {
        if self.finished.is_empty() {
            self.opened()?;
        }
        self.close()?;
        Ok(self)
    }

    /// Its finished files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.finished.iter().map(|(path, _)| path.as_path())
    }

    fn opened(&mut self) -> Result<&mut (TableWriter<BufWriter<File>>, PathBuf), Error> {
        if self.open.is_none() {
            let job = self.files.job;
            let path = self.files.directory.join(format!("run-{}-{}", self.run, self.finished.len()));
            let create = || {
                let file = BufWriter::new(File::create_new(&path)?);
                TableWriter::create(job.to, file, &job.table)
            };
            let writer = create().map_err(Error::file("create", &path))?;
            self.open = Some((writer, path));
        }
        self.open.as_mut().ok_or_else(|| Error::Data("no file is open".to_owned()))
    }

    fn close(&mut self) -> Result<(), Error> {
        let Some((writer, path)) = self.open.take() else { return Ok(()) };
        let finish = || {
            let file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            // A cut file would be a smaller answer: a crash must not leave one under the table's final name.
            file.sync_data()?;
            Ok(file.metadata()?.len())
        };
        let bytes = finish().map_err(Error::file("write", &path))?;
        self.finished.push((path, bytes));
        Ok(())
    }
}

impl Files<'_> {
    /// Gives all files the names of their order.
    pub(super) fn put_in_order(self, mut outputs: Vec<RunOutput<'_>>) -> Result<Written, Error> {
        outputs.sort_by_key(|output| output.run);
        let mut total = Written::default();
        for output in outputs {
            for (path, bytes) in output.finished {
                let name = self.directory.join(self.job.to.file_name(total.files));
                fs::rename(&path, &name).map_err(Error::file("rename", &path))?;
                total.bytes += bytes;
                total.files += 1;
            }
            total.rows += output.written.rows;
            total.bad_records += output.written.bad_records;
            total.hash.merge(output.written.hash);
        }
        Ok(total)
    }
}

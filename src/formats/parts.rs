//! Part files: a result of many workers as one directory that appears whole or not at all.
//!
//! Every worker writes one part under a temporary name and syncs it. Once all have finished, each process renames
//! its parts, and `_SUCCESS`, which lists them, comes last: a directory without it is no result.

use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Name of the manifest, as Hadoop and Spark have it.
pub const MANIFEST: &str = "_SUCCESS";
const BUFFER_BYTES: usize = 256 << 10;

/// A finished part, as the manifest lists it.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// File name inside the directory.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}

/// The output directory of a run. Clones are the same output; when the last one goes, what was not
/// [kept](Output::keep) is removed.
#[derive(Debug, Clone)]
pub struct Output(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    created: bool,
    extension: &'static str,
    /// The directory, locked by the first process until it ends. File systems without locks do not refuse.
    _claim: File,
    parts: Mutex<Parts>,
}

/// The parts of this process.
#[derive(Debug, Default)]
struct Parts {
    started: Vec<String>,
    finished: Vec<Part>,
    verdict: Option<Verdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Kept,
    Discarded,
}

impl Output {
    /// Claims `directory`, creating it if need be. One that another run writes to, or that holds anything but
    /// leftovers of a run that died, is refused: results are never mixed or overwritten.
    pub fn create(directory: &Path, extension: &'static str) -> Result<Self, Error> {
        Self::open(directory, extension, true)
    }

    /// The same for a process other than the first, which holds the claim for all of the job.
    pub fn join(directory: &Path, extension: &'static str) -> Result<Self, Error> {
        Self::open(directory, extension, false)
    }

    fn open(directory: &Path, extension: &'static str, first: bool) -> Result<Self, Error> {
        let created = !directory.exists();
        fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
        // Before looking what is in it: what another run has there now may be a result in a moment.
        let claim = File::open(directory).map_err(Error::file("open", directory))?;
        if first && matches!(claim.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Error::Data(format!(
                "the output directory {} is being written by another run\n  try: another --output",
                directory.display()
            )));
        }
        for entry in fs::read_dir(directory).map_err(Error::file("list", directory))? {
            let name = entry.map_err(Error::file("list", directory))?.file_name();
            if !is_leftover(&name.to_string_lossy()) {
                return Err(Error::Data(format!(
                    "the output directory {} is not empty: it holds {}\n  try: another --output, or remove it first",
                    directory.display(),
                    name.to_string_lossy()
                )));
            }
        }
        Ok(Output(Arc::new(Inner {
            directory: directory.to_path_buf(),
            created,
            extension,
            _claim: claim,
            parts: Mutex::default(),
        })))
    }

    /// Opens the part of one worker; a worker that starts again gives up what it wrote before.
    pub fn part(&self, worker: usize) -> Result<PartWriter, Error> {
        let name = format!("part-{worker:05}.{}", self.0.extension);
        let path = self.0.directory.join(temporary(&name));
        let mut parts = self.0.undecided()?;
        parts.finished.retain(|part| part.name != name);
        if !parts.started.contains(&name) {
            parts.started.push(name.clone());
        }
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(PartWriter { output: self.clone(), path, file, part: Part { name, rows: 0, bytes: 0 } })
    }

    /// Renames this process's finished parts to their names and returns them.
    pub fn commit_parts(&self) -> Result<Vec<Part>, Error> {
        let parts = self.0.undecided()?;
        for part in &parts.finished {
            let path = self.0.directory.join(&part.name);
            let written = self.0.directory.join(temporary(&part.name));
            fs::rename(written, &path).map_err(Error::file("rename", &path))?;
        }
        Ok(parts.finished.clone())
    }

    /// Writes the manifest over the parts of all processes: from here on the result exists.
    pub fn commit_manifest(&self, mut parts: Vec<Part>) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Manifest {
            rows: u64,
            bytes: u64,
            parts: Vec<Part>,
        }
        parts.sort();
        let (rows, bytes) =
            parts.iter().fold((0, 0), |(rows, bytes), part| (rows + part.rows, bytes + part.bytes));
        let path = self.0.directory.join(MANIFEST);
        let written = self.0.directory.join(temporary(MANIFEST));
        let text = serde_json::to_vec_pretty(&Manifest { rows, bytes, parts }).map_err(std::io::Error::from);
        text.and_then(|text| {
            let mut file = File::create(&written)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&written, &path)?;
            File::open(&self.0.directory)?.sync_all()
        })
        .map_err(Error::file("write", &path))
    }
}

impl Output {
    /// Lets the parts stay: the job has succeeded, and its manifest is there, if perhaps on another machine.
    pub fn keep(&self) {
        self.0.lock().verdict.get_or_insert(Verdict::Kept);
    }

    /// Removes the parts of this process, unless they were kept; from here on none is written. The first process
    /// also removes what processes that were killed have left.
    pub fn discard(&self, first: bool) {
        self.0.discard(first);
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Parts> {
        // A panic elsewhere ends the job; the lists themselves are whole after every push.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts of an output that may still be written.
    fn undecided(&self) -> Result<MutexGuard<'_, Parts>, Error> {
        let parts = self.lock();
        match parts.verdict {
            None => Ok(parts),
            Some(_) => Err(Error::Data(format!("the output {} is closed", self.directory.display()))),
        }
    }

    /// Errors are passed over: nothing can be done, and the next run removes or overwrites what is left.
    fn discard(&self, first: bool) {
        let mut parts = self.lock();
        if *parts.verdict.get_or_insert(Verdict::Discarded) == Verdict::Kept {
            return;
        }
        let directory = &self.directory;
        if first {
            // First of all: what it lists is about to go.
            let _ = fs::remove_file(directory.join(MANIFEST));
            let _ = fs::remove_file(directory.join(temporary(MANIFEST)));
            // Nothing else was here when the directory was claimed.
            let left = fs::read_dir(directory).into_iter().flatten().flatten();
            left.filter(|entry| self.is_part(&entry.file_name().to_string_lossy()))
                .for_each(|entry| drop(fs::remove_file(entry.path())));
        } else if directory.join(MANIFEST).exists() {
            // The result exists; only the news of it did not arrive.
            return;
        }
        for name in parts.started.drain(..) {
            let _ = fs::remove_file(directory.join(temporary(&name)));
            let _ = fs::remove_file(directory.join(name));
        }
        if self.created {
            let _ = fs::remove_dir(directory);
        }
    }

    /// Whether a worker gave a file this name, finished or not.
    fn is_part(&self, name: &str) -> bool {
        let name = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")).unwrap_or(name);
        let index = name.strip_prefix("part-").and_then(|name| name.strip_suffix(self.extension));
        index.and_then(|index| index.strip_suffix('.')).is_some_and(|index| index.parse::<usize>().is_ok())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.discard(false);
    }
}

/// Writes one part: rows go to [`PartWriter::row`], [`PartWriter::finish`] makes it count.
#[derive(Debug)]
pub struct PartWriter {
    output: Output,
    path: PathBuf,
    file: BufWriter<File>,
    part: Part,
}

impl PartWriter {
    /// Writes one encoded row, its line end included.
    #[inline]
    pub fn row(&mut self, row: &[u8]) -> Result<(), Error> {
        self.part.rows += 1;
        self.part.bytes += row.len() as u64;
        self.file.write_all(row).map_err(|source| Error::file("write", &self.path)(source))
    }

    /// Brings everything to disk.
    pub fn finish(self) -> Result<(), Error> {
        let file =
            self.file.into_inner().map_err(|error| Error::file("write", &self.path)(error.into_error()))?;
        file.sync_all().map_err(Error::file("write", &self.path))?;
        self.output.0.lock().finished.push(self.part);
        Ok(())
    }
}

fn temporary(name: &str) -> String {
    format!(".{name}.tmp")
}

/// What a run that died may leave: hidden temporary files, and nothing a reader would take for data.
fn is_leftover(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(directory: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(directory) else { return vec!["absent".into()] };
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn write(output: &Output, worker: usize, rows: &[&str]) {
        let mut part = output.part(worker).expect("a part");
        rows.iter().for_each(|row| part.row(row.as_bytes()).expect("written"));
        part.finish().expect("finished");
    }

    #[test]
    fn appears_whole() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("out");
        let output = Output::create(&directory, "csv").expect("claimed");
        write(&output, 0, &["a,1\n", "b,2\n"]);
        write(&output, 1, &[]);
        assert_eq!(listing(&directory), [".part-00000.csv.tmp", ".part-00001.csv.tmp"]);
        let parts = output.commit_parts().expect("renamed");
        output.commit_manifest(parts).expect("committed");
        output.keep();
        drop(output);
        assert_eq!(listing(&directory), [MANIFEST, "part-00000.csv", "part-00001.csv"]);
        let manifest = fs::read_to_string(directory.join(MANIFEST)).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("JSON");
        assert_eq!((&manifest["rows"], &manifest["bytes"]), (&2.into(), &8.into()));
        assert_eq!(manifest["parts"][0]["name"], "part-00000.csv");
    }

    #[test]
    fn or_not_at_all() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("out");
        let output = Output::create(&directory, "csv").expect("claimed");
        write(&output, 0, &["a,1\n"]);
        let unfinished = output.part(1).expect("a part");
        output.commit_parts().expect("renamed");
        drop((unfinished, output));
        assert_eq!(listing(&directory), ["absent"]);
    }

    #[test]
    fn a_worker_that_starts_again_gives_its_part_once() {
        let home = tempfile::tempdir().expect("a directory");
        let output = Output::create(home.path(), "csv").expect("claimed");
        write(&output, 0, &["a,1\n", "b,2\n"]);
        write(&output, 0, &["c,3\n"]);
        assert_eq!(
            output.commit_parts().expect("renamed"),
            [Part { name: "part-00000.csv".into(), rows: 1, bytes: 4 }]
        );
    }

    #[test]
    fn parts_on_a_machine_without_the_manifest_stay() {
        // Catches a process that takes the missing manifest, which process 0 writes where it runs, for a failure.
        let home = tempfile::tempdir().expect("a directory");
        let output = Output::create(home.path(), "csv").expect("claimed");
        write(&output, 1, &["a,1\n"]);
        output.commit_parts().expect("renamed");
        output.keep();
        drop(output);
        assert_eq!(listing(home.path()), ["part-00001.csv"]);
    }

    #[test]
    fn the_first_process_cleans_up_after_those_that_were_killed() {
        let home = tempfile::tempdir().expect("a directory");
        let directory = home.path().join("out");
        let output = Output::create(&directory, "csv").expect("claimed");
        write(&output, 0, &["a,1\n"]);
        fs::write(directory.join(".part-00001.csv.tmp"), "of a killed process").expect("written");
        fs::write(directory.join("part-00002.csv"), "of another").expect("written");
        output.discard(true);
        assert_eq!(listing(&directory), ["absent"]);
        assert!(output.part(3).is_err(), "a late worker must not bring the directory back to life");
    }

    #[test]
    fn another_result_is_never_touched() {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join(".part-00000.csv.tmp"), "left by a run that died").expect("written");
        let running = Output::create(home.path(), "csv").expect("leftovers are no result");
        let error = Output::create(home.path(), "csv").expect_err("claimed").to_string();
        assert!(error.contains("is being written by another run"), "{error}");
        drop(Output::join(home.path(), "csv").expect("of the same job"));
        drop(running);
        fs::write(home.path().join("part-00000.csv"), "a result").expect("written");
        let error = Output::create(home.path(), "csv").expect_err("not empty").to_string();
        assert!(error.contains("is not empty: it holds part-00000.csv"), "{error}");
    }
}

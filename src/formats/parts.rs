//! Part files: a result of many workers as one directory that appears whole or not at all.
//!
//! Every worker writes one part under a temporary name and syncs it. Once all have finished, each process renames
//! its parts, and `_SUCCESS`, which lists them, comes last: a directory without it is no result.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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

/// The output directory of a run. Clones are the same output; when the last one goes, what was not committed is
/// removed.
#[derive(Debug, Clone)]
pub struct Output(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    created: bool,
    extension: &'static str,
    finished: Mutex<Vec<Part>>,
    started: Mutex<Vec<String>>,
}

impl Output {
    /// Claims `directory`, creating it if need be. One that holds anything but leftovers of a run that died is
    /// refused: results are never mixed or overwritten.
    pub fn create(directory: &Path, extension: &'static str) -> Result<Self, Error> {
        let created = !directory.exists();
        fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
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
            finished: Mutex::default(),
            started: Mutex::default(),
        })))
    }

    /// Opens the part of one worker.
    pub fn part(&self, worker: usize) -> Result<PartWriter, Error> {
        let name = format!("part-{worker:05}.{}", self.0.extension);
        let path = self.0.directory.join(temporary(&name));
        lock(&self.0.started).push(name.clone());
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(PartWriter { output: self.clone(), path, file, part: Part { name, rows: 0, bytes: 0 } })
    }

    /// Renames this process's finished parts to their names and returns them.
    pub fn commit_parts(&self) -> Result<Vec<Part>, Error> {
        let parts = lock(&self.0.finished).clone();
        for part in &parts {
            let path = self.0.directory.join(&part.name);
            let written = self.0.directory.join(temporary(&part.name));
            fs::rename(written, &path).map_err(Error::file("rename", &path))?;
        }
        Ok(parts)
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

impl Drop for Inner {
    fn drop(&mut self) {
        let directory = &self.directory;
        if directory.join(MANIFEST).exists() {
            return;
        }
        // Nothing can be done about a failure here; the next run removes or overwrites what is left.
        for name in lock(&self.started).iter() {
            let _ = fs::remove_file(directory.join(temporary(name)));
            let _ = fs::remove_file(directory.join(name));
        }
        let _ = fs::remove_file(directory.join(temporary(MANIFEST)));
        if self.created {
            let _ = fs::remove_dir(directory);
        }
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
        lock(&self.output.0.finished).push(self.part);
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

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic elsewhere ends the job; the list itself is whole after every push.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn another_result_is_never_touched() {
        let home = tempfile::tempdir().expect("a directory");
        fs::write(home.path().join(".part-00000.csv.tmp"), "left by a run that died").expect("written");
        drop(Output::create(home.path(), "csv").expect("leftovers are no result"));
        fs::write(home.path().join("part-00000.csv"), "a result").expect("written");
        let error = Output::create(home.path(), "csv").expect_err("not empty").to_string();
        assert!(error.contains("is not empty: it holds part-00000.csv"), "{error}");
    }
}

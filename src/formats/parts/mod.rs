//! Part files: a result of many workers as one directory that appears whole or not at all.
//!
//! Every worker writes one part under a temporary name and syncs it, unless that is not wanted. Once all have finished, each process renames
//! its parts, and `_SUCCESS`, which lists them, comes last: a directory without it is no result. A hidden marker lies
//! beside the parts from before the first of them until after `_SUCCESS`; by it the next run knows that parts
//! without `_SUCCESS` were left by a run that died, and not made by somebody else.
//!
//! Where one file is wanted, that directory lies hidden beside it. Once all parts are there, the first process makes
//! one file of them, which is renamed in place of a manifest, and the directory goes.

mod form;
mod names;
mod removal;
mod writer;

use std::fs::{self, File, TryLockError};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use self::names::{MADE, MARKER_TEXT, is_part, is_temporary, listing, mark, temporary};
use super::row_writer::RowWriter;
use super::whole;
use crate::Error;

pub use form::{Form, Part};
#[cfg(feature = "object-store")]
pub(crate) use names::LIST;
pub use names::{MANIFEST, MARKER};
pub(crate) use names::{is_of_table, sync_names};
pub use writer::PartWriter;

const BUFFER_BYTES: usize = 256 << 10;

/// The output of a run: a directory of parts, or one file. Clones are the same output; when the last one goes, what was not
/// [kept](Output::keep) is removed.
#[derive(Debug, Clone)]
pub struct Output(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where the parts are.
    directory: PathBuf,
    /// The file that is made of them, where one is wanted.
    whole: Option<PathBuf>,
    created: bool,
    form: Form,
    /// The directory, locked by the first process until it ends. File systems without locks do not refuse.
    _claim: File,
    parts: Mutex<Parts>,
}

/// The parts of this process.
#[derive(Debug, Default)]
struct Parts {
    started: Vec<String>,
    finished: Vec<Part>,
    begun: bool,
    verdict: Option<Verdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Kept,
    Left,
    Discarded,
}

impl Output {
    /// Claims the directory `path`, creating it if need be. One that another run writes to, or that holds anything but
    /// leftovers of a run that died, is refused: results are never mixed or overwritten. The leftovers stay until
    /// [`Output::begin`]. Where one file is wanted, none may be at `path`, and the directory is a hidden one beside it.
    pub fn create(path: &Path, form: Form) -> Result<Self, Error> {
        Self::open(path, form, true)
    }

    /// The same for a process other than the first, which holds the claim for all of the job.
    pub fn join(path: &Path, form: Form) -> Result<Self, Error> {
        Self::open(path, form, false)
    }

    fn open(path: &Path, form: Form, first: bool) -> Result<Self, Error> {
        let whole = form.single_file.then(|| path.to_path_buf());
        let beside = form.single_file.then(|| whole::directory_of_parts(path)).transpose()?;
        let directory = beside.as_deref().unwrap_or(path);
        if form.single_file {
            whole::check_free(path)?;
        }
        let created = !directory.exists();
        fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
        // Before looking what is in it: what another run has there now may be a result in a moment.
        let claim = File::open(directory).map_err(Error::file("open", directory))?;
        if first && matches!(claim.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(Error::Data(format!(
                "the output {} {} is being written by another run\n  try: another --output",
                if form.single_file { "file" } else { "directory" },
                path.display()
            )));
        }
        let names = listing(directory)?;
        let holds = |name: &str| names.iter().any(|found| found == name);
        let died = holds(MARKER) && !holds(MANIFEST);
        let ours = |name: &str| name == MARKER || is_temporary(name) || (died && is_part(name));
        if let Some(name) = names.iter().find(|name| !ours(name)) {
            return Err(Error::Data(format!(
                "the output directory {} is not empty: it holds {name}\n  try: another --output, or remove it first",
                directory.display()
            )));
        }
        if created {
            mark(directory, &[MARKER_TEXT, MADE].concat())
                .inspect_err(|_| drop(fs::remove_dir(directory)))?;
        }
        Ok(Output(Arc::new(Inner {
            directory: directory.to_path_buf(),
            whole,
            created,
            form,
            _claim: claim,
            parts: Mutex::default(),
        })))
    }

    /// The directory of the parts, and the file that is made of them where one is wanted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.0.directory).chain(&self.0.whole).map(PathBuf::as_path)
    }

    /// Removes what a run that died has left, and marks the directory as that of a run at work. To be called in each
    /// process once process 0 has its claim, and before any process opens a part.
    pub fn begin(&self) -> Result<(), Error> {
        let directory = &self.0.directory;
        for name in listing(directory)?.iter().filter(|name| is_temporary(name) || is_part(name)) {
            let path = directory.join(name);
            match fs::remove_file(&path) {
                // Several processes may be at it.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                done => done.map_err(Error::file("remove", &path))?,
            }
        }
        self.0.undecided()?.begun = true;
        mark(directory, MARKER_TEXT)?;
        // After a power cut there must be no parts without it.
        self.0.form.sync_names(directory).map_err(Error::file("sync", directory))
    }

    /// Opens the part of one worker; a worker that starts again gives up what it wrote before.
    pub fn part(&self, worker: usize) -> Result<PartWriter, Error> {
        let name = format!("part-{worker:05}.{}", self.0.form.format.extension());
        let path = self.0.directory.join(temporary(&name));
        let mut parts = self.0.undecided()?;
        parts.finished.retain(|part| part.name != name);
        if !parts.started.contains(&name) {
            parts.started.push(name.clone());
        }
        let file = File::create(&path).map_err(Error::file("create", &path))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        let rows = RowWriter::create(self.0.form.format, self.0.form.columns, file)
            .map_err(Error::file("write", &path))?;
        Ok(PartWriter { output: self.clone(), path, rows, name })
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

    /// Writes the manifest over the parts of all processes, or makes one file of them: from here on the result exists.
    ///
    /// To make one file takes a while, in which `stopped` is asked whether to give it up.
    ///
    /// # Errors
    ///
    /// The disk is full, the file is there by now, or it was stopped.
    pub fn commit_manifest(&self, mut parts: Vec<Part>, stopped: impl Fn() -> bool) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Manifest {
            rows: u64,
            bytes: u64,
            parts: Vec<Part>,
        }
        parts.sort();
        if let Some(path) = &self.0.whole {
            let paths: Vec<_> = parts.iter().map(|part| self.0.directory.join(&part.name)).collect();
            let unfinished = self.0.directory.join(temporary(MANIFEST));
            return whole::make(self.0.form, &paths, &unfinished, path, &stopped);
        }
        let (rows, bytes) =
            parts.iter().fold((0, 0), |(rows, bytes), part| (rows + part.rows, bytes + part.bytes));
        let path = self.0.directory.join(MANIFEST);
        let written = self.0.directory.join(temporary(MANIFEST));
        let text = serde_json::to_vec_pretty(&Manifest { rows, bytes, parts }).map_err(std::io::Error::from);
        text.and_then(|text| {
            let mut file = File::create(&written)?;
            file.write_all(&text)?;
            self.0.form.sync(&file)?;
            fs::rename(&written, &path)?;
            self.0.form.sync_names(&self.0.directory)
        })
        .map_err(Error::file("write", &path))
    }
}

impl Output {
    /// Lets the parts stay: the job has succeeded, and its manifest is there, if perhaps on another machine.
    pub fn keep(&self) {
        let mut parts = self.0.lock();
        if *parts.verdict.get_or_insert(Verdict::Kept) == Verdict::Kept {
            // One that stays beside a manifest means nothing.
            let _ = fs::remove_file(self.0.directory.join(MARKER));
            if self.0.whole.is_some() {
                let _ = fs::remove_dir(&self.0.directory);
            }
        }
    }

    /// Lets parts and marker stay, for a process that cannot know whether there is a result.
    pub fn leave(&self) {
        self.0.lock().verdict.get_or_insert(Verdict::Left);
    }

    /// Removes the parts of this process, unless they were kept or left; from here on none is written. The first
    /// process also removes what processes that were killed have left.
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
}

#[cfg(test)]
mod tests;

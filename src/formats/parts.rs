//! Part files: a result of many workers as one directory that appears whole or not at all.
//!
//! Every worker writes one part under a temporary name and syncs it, unless that is not wanted. Once all have finished, each process renames
//! its parts, and `_SUCCESS`, which lists them, comes last: a directory without it is no result. A hidden marker lies
//! beside the parts from before the first of them until after `_SUCCESS`; by it the next run knows that parts
//! without `_SUCCESS` were left by a run that died, and not made by somebody else.
//!
//! Where one file is wanted, that directory lies hidden beside it. Once all parts are there, the first process makes
//! one file of them, which is renamed in place of a manifest, and the directory goes.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::row_writer::{FieldWriter, RowFormat, RowWriter};
use super::whole;
use crate::Error;
use crate::tables::Column;

/// Name of the manifest, as Hadoop and Spark have it.
pub const MANIFEST: &str = "_SUCCESS";
/// Name of the file that says that the parts beside it belong to a run which has not ended well, or not yet.
pub const MARKER: &str = ".millrace-run";
const MARKER_TEXT: &str = "A run of Millrace writes its output here. Where no _SUCCESS appears, the files are no result, \
                           and the next run with this --output removes them.\n";
/// A further line of the marker where a run also made the directory, which then goes with it.
const MADE: &str = "The directory was made by a run, too.\n";
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

/// What an output is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// How rows are encoded.
    pub format: RowFormat,
    /// What is in a row.
    pub columns: &'static [Column],
    /// Whether the path is one file, and not a directory of parts.
    pub single_file: bool,
    /// Whether files and their names are on disk before they count, and not only known to the operating system. Without, what a
    /// power cut leaves may be a `_SUCCESS` beside parts that are short.
    pub synced: bool,
}

impl Form {
    /// Brings a file to disk, where that is wanted.
    pub(super) fn sync(self, file: &File) -> io::Result<()> {
        if self.synced { file.sync_all() } else { Ok(()) }
    }

    /// Brings new and renamed names in a directory to disk, where that is wanted.
    pub(super) fn sync_names(self, directory: &Path) -> io::Result<()> {
        if self.synced { sync_names(directory) } else { Ok(()) }
    }
}

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
            mark(directory, &[MARKER_TEXT, MADE].concat())?;
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

    /// Errors are passed over: nothing can be done, and the next run removes or overwrites what is left.
    fn discard(&self, first: bool) {
        let mut parts = self.lock();
        if *parts.verdict.get_or_insert(Verdict::Discarded) != Verdict::Discarded {
            return;
        }
        let directory = &self.directory;
        if first {
            // First of all: what it lists is about to go.
            let _ = fs::remove_file(directory.join(MANIFEST));
            let _ = fs::remove_file(directory.join(temporary(MANIFEST)));
            // Nothing else was here when the directory was claimed.
            let left = listing(directory).unwrap_or_default();
            left.iter()
                .filter(|name| is_temporary(name) || is_part(name))
                .for_each(|name| drop(fs::remove_file(directory.join(name))));
        } else if self.whole.as_ref().unwrap_or(&directory.join(MANIFEST)).exists() {
            // The result exists; only the news of it did not arrive.
            return;
        }
        for name in parts.started.drain(..) {
            let _ = fs::remove_file(directory.join(temporary(&name)));
            let _ = fs::remove_file(directory.join(name));
        }
        // Last, not while it vouches for parts of other processes, and not if it may be that of another run.
        if (parts.begun || self.created) && listing(directory).is_ok_and(|left| left == [MARKER]) {
            let marker = directory.join(MARKER);
            // By whichever process the directory was made, it goes with the last.
            let made = fs::read_to_string(&marker).is_ok_and(|text| text.ends_with(MADE));
            let _ = fs::remove_file(marker);
            if made {
                let _ = fs::remove_dir(directory);
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.discard(false);
    }
}

/// Writes one part: rows go to [`PartWriter::row`], [`PartWriter::finish`] makes it count.
pub struct PartWriter {
    output: Output,
    path: PathBuf,
    rows: RowWriter<BufWriter<File>>,
    name: String,
}

impl fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartWriter")
            .field("path", &self.path)
            .field("rows", &self.rows.rows())
            .finish_non_exhaustive()
    }
}

impl PartWriter {
    /// Writes the row whose fields `encode` gives, in the order of the output's columns.
    ///
    /// # Errors
    ///
    /// The disk is full, the format cannot hold a value, or the fields are not those of the columns.
    #[inline]
    pub fn row(&mut self, encode: impl FnOnce(&mut FieldWriter)) -> Result<(), Error> {
        self.rows.row(encode).map_err(|source| Error::file("write", &self.path)(source))
    }

    /// Bytes of rows that it keeps in memory, about: of column formats, up to a block.
    pub fn held_bytes(&self) -> usize {
        self.rows.held_bytes()
    }

    /// Brings everything to disk, if the output is [`synced`](Form::synced), or else to the operating system.
    pub fn finish(self) -> Result<(), Error> {
        let rows = self.rows.rows();
        let finish = || {
            let file = self.rows.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            self.output.0.form.sync(&file)?;
            Ok(file.metadata()?.len())
        };
        let bytes = finish().map_err(Error::file("write", &self.path))?;
        self.output.0.lock().finished.push(Part { name: self.name, rows, bytes });
        Ok(())
    }
}

fn temporary(name: &str) -> String {
    format!(".{name}.tmp")
}

/// Whether a file has a name as [`temporary`] makes them: hidden, so that no reader takes it for data.
fn is_temporary(name: &str) -> bool {
    let finished = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    finished.is_some_and(|name| name == MANIFEST || is_part(name))
}

/// Whether a file has a name as finished parts have.
fn is_part(name: &str) -> bool {
    let numbered = name.strip_prefix("part-").and_then(|name| name.split_once('.'));
    numbered.is_some_and(|(index, extension)| {
        index.len() >= 5 && index.bytes().all(|byte| byte.is_ascii_digit()) && !extension.is_empty()
    })
}

/// The names in a directory; what is no text is no name of ours, however it is shown.
fn listing(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(directory).map_err(Error::file("list", directory))?;
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .map_err(Error::file("list", directory))
    };
    entries.map(name).collect()
}

/// Writes the marker, unless there is one.
fn mark(directory: &Path, text: &str) -> Result<(), Error> {
    let path = directory.join(MARKER);
    match File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        done => done.map_err(Error::file("write", &path)),
    }
}

/// Brings new and renamed names in a directory to disk; without a name it is the current one, as the parent of `out` is.
pub(crate) fn sync_names(directory: &Path) -> std::io::Result<()> {
    let unnamed = directory.as_os_str().is_empty();
    File::open(if unnamed { Path::new(".") } else { directory })?.sync_all()
}

#[cfg(test)]
mod tests;

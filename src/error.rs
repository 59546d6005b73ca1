//! What can go wrong, as one type, and which exit code it means.
//!
//! Every layer returns [`Error`]; only `cli::main` prints it and picks the exit code.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

/// A failure a user can read and act upon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line asks for something impossible; `remedy` says what to type instead. Exit code 2.
    #[error("{message}\n  try: {remedy}")]
    Usage {
        /// What is wrong with the words typed.
        message: String,
        /// What to type instead.
        remedy: String,
    },
    /// A record of the input does not fit its table or the query.
    #[error("{0}")]
    BadRecord(Box<BadRecord>),
    /// The operating system refused something about one file or directory.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb: `read`, `create`, `rename`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why it was refused.
        source: io::Error,
    },
    /// The data is not what the query needs: a missing table, an unknown column, a column of another type.
    #[error("{0}")]
    Data(String),
    /// A file has something that this program does not read, though nothing is wrong with it.
    #[error("{}: {}{what}, which is not supported\n  try: {remedy}", path.display(), column_named(column.as_deref()))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The column that has it, where it is one.
        column: Option<String>,
        /// What it is.
        what: String,
        /// What to do instead.
        remedy: &'static str,
    },
    /// The processes could not become one job, or one of them was lost.
    #[error("{0}")]
    Cluster(String),
    /// What came over the network is not what was sent.
    #[error("{0}")]
    Malformed(String),
    /// A program that the query runs did not do its part.
    #[error("the program `{command}` {failing}")]
    Program {
        /// What the shell was given.
        command: String,
        /// What became of it, with the end of what it wrote to stderr.
        failing: String,
    },
    /// A thread panicked: a defect of the program, not of the input.
    #[error("{thread} panicked: {message} (this is a defect of the program; please report it)")]
    Panicked {
        /// What the thread is, with its index.
        thread: String,
        /// The panic's message and place.
        message: String,
    },
    /// The report could not be written, of a run that has ended well.
    #[error("{0}\n  the run itself has ended well: its answer is printed, and its output is complete")]
    Unreported(#[source] Box<Error>),
    /// A signal asked the job to stop.
    #[error("stopped by {0}; no answer was given and no output was written")]
    Interrupted(&'static str),
    /// A signal asked it to stop when nothing was left but to tell.
    #[error(
        "stopped by {0} when the run was over; its output is complete, but its answer may not be, and its report may be missing"
    )]
    InterruptedAtEnd(&'static str),
}

impl Error {
    /// The process exit code this failure means: 2 for usage, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage { .. } => 2,
            _ => 1,
        }
    }

    /// A usage error from its two halves.
    pub fn usage(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Error::Usage { message: message.into(), remedy: remedy.into() }
    }

    /// Wraps an I/O error with what was tried on which path; made for `map_err`.
    pub fn file(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Error::File { action, path, source }
    }
}

/// A column in front of what is said of it.
fn column_named(column: Option<&str>) -> String {
    column.map_or_else(String::new, |column| format!("column {column}: "))
}

/// Where a record went wrong and what stood there.
#[derive(Debug)]
pub struct BadRecord {
    /// The file.
    pub path: PathBuf,
    /// Offset of the record's first byte in the file, from 0; where that is compressed, in the decompressed text.
    pub byte: u64,
    /// Whether the file is compressed.
    pub decompressed: bool,
    /// Line on which the record starts, from 1; `None` where the format has no lines.
    pub line: Option<u64>,
    /// Which row of the file it is, from 1, where the format has no lines; `byte` is then that of the block with it.
    pub row: Option<u64>,
    /// The column that could not be read, where one is to blame.
    pub column: Option<String>,
    /// What was expected and what was found.
    pub reason: String,
    /// The offending text, shortened by [`BadRecord::shorten`].
    pub text: String,
}

impl BadRecord {
    /// Makes text of bytes for an error message: at most 80 characters, escaped, with the rest counted.
    pub fn shorten(bytes: &[u8]) -> String {
        const SHOWN: usize = 80;
        let shown = &bytes[..bytes.len().min(SHOWN)];
        let mut text = shown.escape_ascii().to_string();
        if bytes.len() > SHOWN {
            text.extend(["… (", &(bytes.len() - SHOWN).to_string(), " bytes more)"]);
        }
        text
    }
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad record in {}, byte {}", self.path.display(), self.byte)?;
        if self.decompressed {
            f.write_str(" of the decompressed text")?;
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {}\n  record: {}", self.reason, self.text)
    }
}

/// An error, and the worker in which it arose, where it was one.
#[derive(Debug)]
pub struct Failure {
    /// The worker's index among all of the job.
    pub worker: Option<usize>,
    /// What went wrong.
    pub error: Error,
}

/// The first failure of a process: later ones are its consequences and are dropped. Clones are the same failure.
#[derive(Debug, Clone, Default)]
pub struct FirstFailure {
    first: Arc<OnceLock<Mutex<Option<Failure>>>>,
    worker: Option<usize>,
}

impl FirstFailure {
    /// The same failure in the hands of a worker, which is named if it sets it.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> Self {
        FirstFailure { first: Arc::clone(&self.first), worker: Some(worker) }
    }

    /// Sets the failure if there is none yet.
    pub fn set(&self, error: Error) {
        let _ = self.first.set(Mutex::new(Some(Failure { worker: self.worker, error })));
    }

    /// Whether something failed.
    pub fn is_set(&self) -> bool {
        self.first.get().is_some()
    }

    /// What the failure says, if there is one that was not taken.
    pub fn message(&self) -> Option<String> {
        self.first.get()?.lock().ok()?.as_ref().map(|failure| failure.error.to_string())
    }

    /// Takes the failure out to report it; [`FirstFailure::is_set`] stays true.
    pub fn take(&self) -> Option<Failure> {
        self.first.get()?.lock().ok()?.take()
    }
}

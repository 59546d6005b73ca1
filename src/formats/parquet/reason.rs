//! Why something of a file cannot be read: it is damaged, or this program does not support it.

use std::path::Path;

use crate::Error;

/// Why a part of a file cannot be read.
#[derive(Debug)]
pub(super) enum Reason {
    /// The bytes are not as Parquet has them.
    Damaged(String),
    /// They may well be, but have something that is not read here.
    Unsupported(Unsupported),
}

/// Something of Parquet that is not read here.
#[derive(Debug)]
pub(super) struct Unsupported {
    /// What it is.
    pub(super) what: String,
    /// What to do instead.
    pub(super) remedy: &'static str,
}

impl From<String> for Reason {
    fn from(reason: String) -> Self {
        Reason::Damaged(reason)
    }
}

impl From<&str> for Reason {
    fn from(reason: &str) -> Self {
        Reason::Damaged(reason.to_owned())
    }
}

impl From<Unsupported> for Reason {
    fn from(unsupported: Unsupported) -> Self {
        Reason::Unsupported(unsupported)
    }
}

impl Unsupported {
    pub(super) fn new(what: impl Into<String>, remedy: &'static str) -> Self {
        Unsupported { what: what.into(), remedy }
    }

    /// As an error of a file, or of one of its columns.
    #[cold]
    pub(super) fn of(self, path: &Path, column: Option<&str>) -> Error {
        Error::Unsupported {
            path: path.to_path_buf(),
            column: column.map(str::to_owned),
            what: self.what,
            remedy: self.remedy,
        }
    }
}

/// An error about bytes that are not as Parquet has them.
#[cold]
pub(super) fn damaged(path: &Path, byte: u64, reason: &str) -> Error {
    Error::Data(format!(
        "{}, byte {byte}: {reason}\n  the file is damaged, or no Parquet; try: fetch or write it again",
        path.display()
    ))
}

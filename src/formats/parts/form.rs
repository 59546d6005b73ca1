//! What an output is made of, and what it is made into.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::names::sync_names;
use crate::formats::row_writer::RowFormat;
use crate::tables::Column;

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
    pub(in super::super) fn sync(self, file: &File) -> io::Result<()> {
        if self.synced { file.sync_all() } else { Ok(()) }
    }

    /// Brings new and renamed names in a directory to disk, where that is wanted.
    pub(in super::super) fn sync_names(self, directory: &Path) -> io::Result<()> {
        if self.synced { sync_names(directory) } else { Ok(()) }
    }
}

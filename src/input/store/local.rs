//! Files of this machine.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Found, InputFile, is_hidden, is_hidden_from, no_file};
use crate::Error;

/// The regular files in a directory, or a file by itself.
pub(super) fn list_directory(directory: &Path) -> Found {
    let Ok(metadata) = fs::metadata(directory) else { return Ok(None) };
    if metadata.is_file() {
        return Ok(Some(vec![InputFile::local(directory, metadata.len())]));
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::file("list", directory))? {
        let entry = entry.map_err(Error::file("list", directory))?;
        if !is_hidden(&entry.file_name().to_string_lossy()) {
            paths.push(entry.path());
        }
    }
    // So that the same file is to blame each time.
    paths.sort_unstable();
    paths.iter().map(|path| regular(path)).collect::<Result<_, _>>().map(Some)
}

/// Whether a directory has files that could be a table's.
pub(in crate::input) fn has_files(directory: &Path) -> bool {
    list_directory(directory).is_ok_and(|files| files.is_some_and(|files| !files.is_empty()))
}

/// The files that match a pattern, and those in directories that do.
pub(super) fn list_matching(pattern: &str) -> Found {
    let usage = |error: glob::PatternError| {
        Error::usage(
            format!("--data {pattern} is no pattern: {error}"),
            "a pattern as 'logs/2026-*/' or 'logs/part-[0-9]*'",
        )
    };
    let mut files = Vec::new();
    for matched in glob::glob(pattern).map_err(usage)? {
        let path: PathBuf = matched.map_err(|error| {
            let path = error.path().to_path_buf();
            Error::file("list", path)(error.into())
        })?;
        if is_hidden_from(pattern, &path.to_string_lossy()) {
            continue;
        }
        if path.is_dir() {
            files.extend(list_directory(&path)?.unwrap_or_default());
        } else {
            files.push(regular(&path)?);
        }
    }
    // A directory and a file in it may both match.
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok((!files.is_empty()).then_some(files))
}

fn regular(path: &Path) -> Result<InputFile, Error> {
    let metadata = fs::metadata(path).map_err(Error::file("look at", path))?;
    if !metadata.is_file() {
        return Err(no_file(&path.display().to_string()));
    }
    Ok(InputFile::local(path, metadata.len()))
}

/// The first bytes of a file.
pub(super) fn read_head(file: &InputFile, bytes: u64, head: &mut Vec<u8>) -> Result<(), Error> {
    head.clear();
    if file.bytes == 0 {
        return Ok(());
    }
    let opened = File::open(&file.path).map_err(Error::file("open", &file.path))?;
    opened.take(bytes).read_to_end(head).map(drop).map_err(Error::file("read", &file.path))
}

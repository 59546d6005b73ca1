//! One file of many parts: text one behind the other, column files block by block, as they are, under one footer.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::file::{Stopped, append};
use super::packed;
use super::parquet;
use super::parts::Form;
use super::row_writer::RowFormat;
use crate::Error;
use crate::input::InputFile;

/// That there is nothing at `path`.
pub(super) fn check_free(path: &Path) -> Result<(), Error> {
    // A link that leads nowhere is something, too.
    if path.symlink_metadata().is_ok() {
        return Err(Error::Data(format!(
            "the output file {} is there already\n  try: another --output, or remove it first",
            path.display()
        )));
    }
    Ok(())
}

/// The name of the file that was typed behind `flag`. With a slash at its end, a path is that of a directory.
pub(crate) fn file_name<'a>(flag: &str, path: &'a Path) -> Result<&'a OsStr, Error> {
    let name = path.file_name();
    let ends_with_it = |name: &&OsStr| path.as_os_str().as_encoded_bytes().ends_with(name.as_encoded_bytes());
    name.filter(ends_with_it).ok_or_else(|| {
        let remedy = match name {
            Some(_) => format!("{flag} {}", path.components().as_path().display()),
            // Of the root, and of a directory by its dots.
            None => format!("{flag} with the name of a file in it"),
        };
        Error::usage(format!("{flag} {} is no name of a file", path.display()), remedy)
    })
}

/// Where the parts of a file are until it is made of them: beside it, so that it can be renamed, and hidden.
pub(super) fn directory_of_parts(path: &Path) -> Result<PathBuf, Error> {
    let name = file_name("--output", path)?;
    let hidden: OsString = [".".as_ref(), name, ".parts".as_ref()].into_iter().collect();
    Ok(path.with_file_name(hidden))
}

/// Makes the file `path` of parts in their order, by way of `temporary`. It appears whole, or not at all, as when it is
/// `stopped` before it is.
pub(super) fn make(
    form: Form,
    parts: &[PathBuf],
    temporary: &Path,
    path: &Path,
    stopped: Stopped<'_>,
) -> Result<(), Error> {
    let mut file = File::create(temporary).map_err(Error::file("create", temporary))?;
    match form.format {
        RowFormat::Csv | RowFormat::Jsonl => {
            append_all(parts, |part| append(part, 0..part.bytes, &mut file, stopped))?;
        }
        RowFormat::Packed => {
            let mut whole =
                packed::Joined::start(&mut file, stopped).map_err(Error::file("write", temporary))?;
            append_all(parts, |part| whole.add(part))?;
            whole.finish(form.columns).map_err(Error::file("write", temporary))?;
        }
        RowFormat::Parquet => {
            let mut whole =
                parquet::Joined::start(&mut file, stopped).map_err(Error::file("write", temporary))?;
            append_all(parts, |part| whole.add(part))?;
            whole.finish(form.columns).map_err(Error::file("write", temporary))?;
        }
    }
    form.sync(&file).map_err(Error::file("write", temporary))?;
    // One that somebody else made meanwhile is not overwritten.
    check_free(path)?;
    fs::rename(temporary, path).map_err(Error::file("rename", path))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    form.sync_names(parent).map_err(|source| {
        // Nobody is told of it, so it must not stay.
        let _ = fs::remove_file(path);
        Error::file("sync", parent)(source)
    })
}

/// Each part goes when it was copied: all together need no more room than the file and the largest of them.
fn append_all(
    parts: &[PathBuf],
    mut append: impl FnMut(&InputFile) -> Result<(), Error>,
) -> Result<(), Error> {
    parts.iter().try_for_each(|part| {
        let bytes = fs::metadata(part).map_err(Error::file("look at", part))?.len();
        append(&InputFile::local(part, bytes))?;
        fs::remove_file(part).map_err(Error::file("remove", part))
    })
}

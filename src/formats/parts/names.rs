//! Names of files beside a result, and in it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::Error;

/// Name of the manifest, as Hadoop and Spark have it.
pub const MANIFEST: &str = "_SUCCESS";
/// Name of the file that says that the parts beside it belong to a run which has not ended well, or not yet.
pub const MARKER: &str = ".millrace-run";
/// Name of the list of a table's files that an HTTP server has to have.
pub(crate) const LIST: &str = "_manifest.txt";
pub(super) const MARKER_TEXT: &str = "A run of Millrace writes its output here. Where no _SUCCESS appears, the files are no result, \
                           and the next run with this --output removes them.\n";
/// A further line of the marker where a run also made the directory, which then goes with it.
pub(super) const MADE: &str = "The directory was made by a run, too.\n";

pub(super) fn temporary(name: &str) -> String {
    format!(".{name}.tmp")
}

/// Whether a file has a name as [`temporary`] makes them: hidden, so that no reader takes it for data.
pub(super) fn is_temporary(name: &str) -> bool {
    let finished = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    finished.is_some_and(|name| name == MANIFEST || is_part(name))
}

/// Whether a file has a name as finished parts have.
pub(super) fn is_part(name: &str) -> bool {
    let numbered = name.strip_prefix("part-").and_then(|name| name.split_once('.'));
    numbered.is_some_and(|(index, extension)| {
        index.len() >= 5 && index.bytes().all(|byte| byte.is_ascii_digit()) && !extension.is_empty()
    })
}

/// Whether a file has a name as those in a table's directory have, whichever program wrote them: parts, a list of them, what is hidden while
/// they are written, and checksums.
pub(crate) fn is_of_table(name: &str) -> bool {
    let hidden = name
        .strip_prefix('.')
        .and_then(|name| [".tmp", ".crc"].into_iter().find_map(|end| name.strip_suffix(end)));
    let name = hidden.unwrap_or(name);
    name.starts_with("part-") || [MANIFEST, MARKER, LIST].contains(&name)
}

/// The names in a directory; what is no text is no name of ours, however it is shown.
pub(super) fn listing(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(directory).map_err(Error::file("list", directory))?;
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .map_err(Error::file("list", directory))
    };
    entries.map(name).collect()
}

/// Writes the marker, unless there is one; whole, or not at all.
pub(super) fn mark(directory: &Path, text: &str) -> Result<(), Error> {
    let path = directory.join(MARKER);
    let mut file = match File::create_new(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(Error::file("write", &path))?,
    };
    file.write_all(text.as_bytes()).map_err(|source| {
        let _ = fs::remove_file(&path);
        Error::file("write", &path)(source)
    })
}

/// Brings new and renamed names in a directory to disk; without a name it is the current one, as the parent of `out` is.
pub(crate) fn sync_names(directory: &Path) -> std::io::Result<()> {
    let unnamed = directory.as_os_str().is_empty();
    File::open(if unnamed { Path::new(".") } else { directory })?.sync_all()
}

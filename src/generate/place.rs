//! Tables that appear whole or not at all: made in a directory of another name, which is renamed in the end.

use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::Error;

/// An error unless there is nothing at `target`, or an empty directory.
pub(crate) fn check_free(target: &Path, other_place: &str) -> Result<(), Error> {
    let free = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(Error::file("read", target)(error)),
    };
    if free {
        return Ok(());
    }
    Err(Error::usage(
        format!("{} already holds data", target.display()),
        format!("--overwrite to replace it, or {other_place}"),
    ))
}

/// A directory beside that of the table, removed with all it holds unless the table is put in place.
pub(crate) fn temporary_room(directory: &Path, table: &str) -> Result<TempDir, Error> {
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{table}-");
    builder.prefix(&prefix);
    // A table is no secret: the usual rights under the user's mask, and not the owner's alone.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(directory).map_err(Error::file("create a directory in", directory))
}

/// Gives the finished table its name; what stood there is removed with a temporary directory of its own.
pub(crate) fn put_in_place(
    room: TempDir,
    directory: &Path,
    table: &str,
    overwrite: bool,
) -> Result<(), Error> {
    let target = directory.join(table);
    let _replaced = if overwrite && target.exists() {
        let old = temporary_room(directory, table)?;
        fs::rename(&target, old.path().join("old")).map_err(Error::file("replace", &target))?;
        Some(old)
    } else {
        None
    };
    fs::rename(room.path(), &target).map_err(Error::file("create", &target))?;
    // Its name is gone: nothing is left to remove.
    let _kept = room.keep();
    Ok(())
}

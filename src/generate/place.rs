//! Tables that appear whole or not at all: made in a directory of another name, which is renamed in the end.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::Error;
use crate::formats::parts::sync_names;

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
    if overwrite && target.exists() {
        exchange(room.path(), &target).map_err(Error::file("replace", &target))?;
        // What is removed is the old table now; only after the new one is there for good.
        sync_names(directory).map_err(Error::file("sync", directory))?;
        return room.close().map_err(Error::file("remove what was in", &target));
    }
    fs::rename(room.path(), &target).map_err(Error::file("create", &target))?;
    // Its name is gone: nothing is left to remove.
    let _kept = room.keep();
    sync_names(directory).map_err(Error::file("sync", directory))
}

/// Gives two directories each other's name: at no time is there none at `target`, except on file systems that cannot
/// do it at once, and there the old one is back if the new one cannot take its place.
fn exchange(new: &Path, target: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => exchange_in_steps(new, target),
        done => Ok(done?),
    }
}

fn exchange_in_steps(new: &Path, target: &Path) -> io::Result<()> {
    let aside = tempfile::Builder::new().prefix(".replaced-").tempdir_in(new.parent().unwrap_or(new))?;
    let old = aside.path().join("old");
    fs::rename(target, &old)?;
    if let Err(error) = fs::rename(new, target) {
        fs::rename(&old, target)?;
        return Err(error);
    }
    fs::rename(&old, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(directory: &Path, name: &str, text: &str) -> std::path::PathBuf {
        let path = directory.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("part-00000"), text).unwrap();
        path
    }

    #[test]
    fn two_directories_exchange_their_names_at_once_and_in_steps() {
        let home = tempfile::tempdir().unwrap();
        let (new, target) = (table(home.path(), ".new", "new"), table(home.path(), "visits", "old"));
        let text = |path: &Path| fs::read_to_string(path.join("part-00000")).unwrap();
        exchange(&new, &target).unwrap();
        assert_eq!((text(&new), text(&target)), ("old".into(), "new".into()));
        exchange_in_steps(&new, &target).unwrap();
        assert_eq!((text(&new), text(&target)), ("new".into(), "old".into()));
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn the_old_table_stays_where_the_new_one_cannot_take_its_place() {
        let home = tempfile::tempdir().unwrap();
        let target = table(home.path(), "visits", "old");
        let missing = home.path().join(".new");
        exchange(&missing, &target).unwrap_err();
        exchange_in_steps(&missing, &target).unwrap_err();
        assert_eq!(fs::read_to_string(target.join("part-00000")).unwrap(), "old");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing else is left");
    }
}

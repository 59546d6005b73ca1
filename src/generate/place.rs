//! Tables that appear whole or not at all: made in a directory of another name, which is renamed in the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::Error;
use crate::formats::parts::{is_of_table, sync_names};

/// Where a table goes: a directory that is not there, is empty, or may be replaced with all it holds.
pub(crate) struct Target {
    /// Where that directory is or will be, and not a link to it.
    path: PathBuf,
    overwrite: bool,
    /// What to type for another one.
    other_place: &'static str,
}

impl Target {
    /// Looks at what is there.
    ///
    /// # Errors
    ///
    /// It is no directory, it holds a table that is not to be replaced, or anything that is no part of one.
    pub(crate) fn at(path: &Path, overwrite: bool, other_place: &'static str) -> Result<Self, Error> {
        // With a slash or a dot behind it, a link is taken for what it leads to, and no directory can be renamed to it.
        let path = &*path.components().collect::<PathBuf>();
        let refused = |what: &str| Error::usage(format!("{} {what}", path.display()), other_place);
        if path.file_name().is_none() {
            return Err(refused("is no name of a directory to make"));
        }
        let target = |path: PathBuf| Target { path, overwrite, other_place };
        let found = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target(path.to_path_buf())),
            found => found.map_err(Error::file("look at", path))?,
        };
        let resolved = if found.is_symlink() {
            fs::canonicalize(path).map_err(|_| refused("is a link to what is not there"))?
        } else {
            path.to_path_buf()
        };
        if !resolved.is_dir() {
            return Err(refused("is no directory, which a table is"));
        }
        let target = target(resolved);
        if target.holds_table()? && !overwrite {
            return Err(Error::usage(
                format!("{} already holds data", path.display()),
                format!("--overwrite to replace it, or {other_place}"),
            ));
        }
        Ok(target)
    }

    /// The directory that it is in.
    pub(crate) fn parent(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// A directory beside that of the table, removed with all it holds unless the table is put in place.
    pub(crate) fn temporary_room(&self) -> Result<TempDir, Error> {
        let mut builder = tempfile::Builder::new();
        let name = self.path.file_name().unwrap_or_default();
        let prefix = format!(".{}-", name.to_string_lossy());
        builder.prefix(&prefix);
        // A table is no secret: the usual rights under the user's mask, and not the owner's alone.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        builder.tempdir_in(self.parent()).map_err(Error::file("create a directory in", self.parent()))
    }

    /// Gives the finished table its name; what stood there is removed with a temporary directory of its own.
    pub(crate) fn put_in_place(&self, room: TempDir) -> Result<(), Error> {
        let (target, directory) = (&self.path, self.parent());
        if self.overwrite && target.exists() {
            // Others may have come while the table was made.
            self.holds_table()?;
            exchange(room.path(), target).map_err(Error::file("replace", target))?;
            // What is removed is the old table now; only after the new one is there for good.
            sync_names(directory).map_err(Error::file("sync", directory))?;
            return room.close().map_err(Error::file("remove what was in", target));
        }
        fs::rename(room.path(), target).map_err(Error::file("create", target))?;
        // Its name is gone: nothing is left to remove.
        let _kept = room.keep();
        sync_names(directory).map_err(Error::file("sync", directory))
    }

    /// Whether the directory holds anything. An error where that is no part of a table: nobody may have meant to lose it.
    fn holds_table(&self) -> Result<bool, Error> {
        let listed = Error::file("list", &self.path);
        let entries = fs::read_dir(&self.path).and_then(|entries| {
            let entry = |entry: fs::DirEntry| Ok((entry.file_name(), entry.file_type()?.is_dir()));
            entries.map(|found| found.and_then(entry)).collect::<io::Result<Vec<_>>>()
        });
        let entries = entries.map_err(listed)?;
        let foreign = entries
            .iter()
            .filter(|(name, is_directory)| *is_directory || !name.to_str().is_some_and(is_of_table));
        if let Some((name, _)) = foreign.min() {
            return Err(Error::usage(
                format!(
                    "{} holds {}, which is no part of a table, and so is not replaced",
                    self.path.display(),
                    name.display()
                ),
                format!("{}, or remove it first", self.other_place),
            ));
        }
        Ok(!entries.is_empty())
    }
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

    const OTHER: &str = "another place";

    /// What keeps a table from going somewhere, with and without leave to replace what is there.
    fn refused(path: &Path) -> [Option<String>; 2] {
        [true, false].map(|overwrite| Target::at(path, overwrite, OTHER).err().map(|error| error.to_string()))
    }

    /// Catches a typing error in a path that costs all that lies there.
    #[test]
    fn what_is_no_table_is_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let target = table(home.path(), "visits", "old");
        for name in [
            "_SUCCESS",
            "_manifest.txt",
            ".millrace-run",
            ".part-00001.csv.tmp",
            ".part-00000.crc",
            "part-0.gz",
        ] {
            fs::write(target.join(name), "").unwrap();
        }
        let [replaced, kept] = refused(&target);
        assert_eq!(replaced, None);
        assert!(kept.is_some_and(|said| said.contains("already holds data\n  try: --overwrite")));
        fs::create_dir(target.join("part-of-my-life")).unwrap();
        fs::write(target.join("thesis.tex"), "").unwrap();
        let said = "visits holds part-of-my-life, which is no part of a table, and so is not replaced\n  try: another place";
        assert!(
            refused(&target).iter().flatten().all(|found| found.contains(said)),
            "{:?}",
            refused(&target)
        );
        fs::remove_dir(target.join("part-of-my-life")).unwrap();
        let target_of_run = Target { path: target.clone(), overwrite: true, other_place: OTHER };
        let room = target_of_run.temporary_room().unwrap();
        let said = target_of_run.put_in_place(room).unwrap_err().to_string();
        assert!(said.contains("visits holds thesis.tex"), "{said}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "the room is gone");
        assert!(target.join("thesis.tex").exists());
    }

    /// Catches a file that is taken for a table, a link that is replaced by a directory, and work for what cannot be put in place.
    #[test]
    fn links_lead_to_directories_and_files_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "text").unwrap();
        let link = |name: &str, to: &Path| {
            std::os::unix::fs::symlink(to, home.path().join(name)).unwrap();
            home.path().join(name)
        };
        for (path, why) in [
            (file.clone(), "file is no directory"),
            (link("to-file", &file), "to-file is no directory"),
            (link("to-nothing", &home.path().join("nothing")), "to-nothing is a link to what is not there"),
            (home.path().join("to-nothing/"), "to-nothing is a link to what is not there"),
            (Path::new("..").to_owned(), ".. is no name of a directory"),
        ] {
            for said in refused(&path) {
                assert!(said.is_some_and(|said| said.contains(why)), "{why}");
            }
        }
        let elsewhere = home.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let target = table(&elsewhere, "visits", "old");
        let linked = link("visits", &target);
        // Once all work was lost in the end where a path ended in a slash or a dot.
        for (path, text) in [
            (linked.clone(), "by its link"),
            (linked.join(""), "with a slash"),
            (linked.join("."), "with a dot"),
            (target.join(""), "by its name with a slash"),
            (target.join("."), "by its name with a dot"),
        ] {
            let of_path = Target::at(&path, true, OTHER).unwrap();
            let room = of_path.temporary_room().unwrap();
            fs::write(room.path().join("part-00000"), text).unwrap();
            of_path.put_in_place(room).unwrap();
            assert!(linked.is_symlink());
            assert_eq!(fs::read_to_string(target.join("part-00000")).unwrap(), text);
            assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1, "nothing else is left");
        }
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

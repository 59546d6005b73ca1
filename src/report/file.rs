//! The files that reports go to: whether they can be written, and how they appear whole or not at all.
//!
//! A pipe or device is written to and not replaced. So is what a path in `/dev` or `/proc` leads to, as `/dev/stderr` does: to whatever
//! this process has open, a file too.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::Error;
use crate::formats::whole::file_name;

/// Files that have not their names yet.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the files that have not their names yet, for a process that ends at once. As long as what it gives is held, none begins, and
/// none gets its name.
pub(crate) fn abandon() -> impl Sized {
    let unfinished = unfinished();
    for file in unfinished.iter() {
        let _ = fs::remove_file(file);
    }
    unfinished
}

/// Refuses a path that [`write_whole`] could not write to, before there is anything to write; `flag` is where it was typed.
fn check_path(flag: &str, path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(Error::file("write the report", path)(io::ErrorKind::IsADirectory.into()));
        }
        // To open a pipe would wait for its reader.
        Ok(found) if !found.is_file() => return Ok(()),
        Ok(_) if leads_on(path) => {
            return open(path).map(drop).map_err(Error::file("write the report", path));
        }
        _ => {}
    }
    file_name(flag, path)?;
    let directory = directory_of(path);
    // A file is the only proof that files can be made; it has no name and leaves nothing.
    tempfile::tempfile_in(directory).map(drop).map_err(Error::file("write a report in", directory))
}

/// The same of two files, each with its flag, if it was typed, and the ending that its name should have; and refuses one in the place of
/// the other.
pub fn check_paths(files: [(&str, Option<&Path>, &str); 2]) -> Result<(), Error> {
    for (flag, path, _) in files {
        path.map_or(Ok(()), |path| check_path(flag, path))?;
    }
    let [(flag, Some(path), ending), (other_flag, Some(other), other_ending)] = files else { return Ok(()) };
    if canonical(path)? != canonical(other)? {
        return Ok(());
    }
    Err(Error::usage(
        format!("{flag} and {other_flag} are the same file, {}", other.display()),
        format!(
            "{flag} {} {other_flag} {}",
            path.with_extension(ending).display(),
            other.with_extension(other_ending).display()
        ),
    ))
}

/// A path whose file need not exist, by the names that its directory really has. A link at its end stays: a report replaces it, and not
/// what it leads to. Of a link as `/dev/stderr`, which no report replaces, it is the file it leads to.
pub(crate) fn canonical(path: &Path) -> Result<PathBuf, Error> {
    let directory = directory_of(path);
    let found = fs::canonicalize(directory).map_err(Error::file("look at", directory))?;
    // What has no name, as a pipe, is told apart by the link.
    let led_to = leads_on(path).then(|| fs::canonicalize(path).ok()).flatten();
    Ok(led_to.unwrap_or_else(|| found.join(path.file_name().unwrap_or_default())))
}

/// Gives a report's file its new contents once all of them are on disk; what is not to be replaced gets them as they come.
pub fn write_whole(path: &Path, write: impl Fn(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    // serde_json writes each name, comma and line break on its own.
    let write = |file: &mut File| {
        let mut buffered = BufWriter::new(file);
        write(&mut buffered)?;
        buffered.flush()
    };
    let written = match fs::metadata(path) {
        Ok(found) if !found.is_file() || leads_on(path) => open(path).and_then(|mut file| write(&mut file)),
        _ => replace(path, write),
    };
    written.map_err(Error::file("write the report", path))
}

fn replace(path: &Path, write: impl Fn(&mut File) -> io::Result<()>) -> io::Result<()> {
    let begin = |unfinished: &mut BTreeSet<PathBuf>| {
        // Not for the owner alone, as temporary files are: as the user's other files.
        let mode = Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(mode).tempfile_in(directory_of(path))?;
        unfinished.insert(file.path().to_owned());
        io::Result::Ok(file)
    };
    let name = |file: NamedTempFile| file.persist(path).map(drop).map_err(|error| error.error);
    let mut file = begin(&mut unfinished())?;
    let written = write(file.as_file_mut()).and_then(|()| file.as_file().sync_all());
    let mut unfinished = unfinished();
    unfinished.remove(file.path());
    written.and_then(|()| name(file))
}

/// Whether what is at a path is only a name for something open.
fn leads_on(path: &Path) -> bool {
    // Not `/dev/shm`, which has files of its own.
    let found = fs::canonicalize(directory_of(path));
    found.is_ok_and(|directory| directory == Path::new("/dev") || directory.starts_with("/proc"))
}

/// Opens what is not replaced. Others may write to the same file: nothing of theirs goes.
fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).open(path)
}

/// The directory that a file is in, or is to be in.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_process_that_ended_while_it_wrote_a_report_left_a_file_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(home.path()).unwrap().count();
        let path = home.path().join("r.json");
        let ended = write_whole(&path, |to| {
            to.write_all(b"half")?;
            assert_eq!(names(), 1, "the file without its name");
            drop(abandon());
            assert_eq!(names(), 0);
            Ok(())
        });
        assert!(ended.is_err() && names() == 0, "nobody may take it for written");
        write_whole(&path, |to| to.write_all(b"whole")).unwrap();
        drop(abandon());
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_report_to_an_open_file_took_its_place() {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        let mut file = File::create(&log).unwrap();
        file.write_all(b"before\n").unwrap();
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        check_path("--report", &path).unwrap();
        assert_eq!(canonical(&path).unwrap(), log.canonicalize().unwrap(), "what is written to");
        write_whole(&path, |to| to.write_all(b"report\n")).unwrap();
        assert_eq!(fs::read(&log).unwrap(), b"before\nreport\n");
        assert_eq!(file.metadata().unwrap().len(), 14, "it is the file that was open");
        // Not tried: where it fails, the system's own link would go.
        assert!(leads_on(Path::new("/dev/stderr")) && !leads_on(Path::new("/dev/shm/r.json")));
    }
}

//! Which files of a directory are new, whole, and still what they were.
//!
//! A file counts when its name neither starts with `.` or `_` nor ends in `.tmp`, and it is not empty; so who writes files makes them under such a name
//! and renames them. One that is written in place is taken when its size and time of change have been the same for one look, or
//! for the time between two, and when it ends with a newline, if it is not compressed. Once taken, it must stay as it is.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::TakenFile;
use super::checkpoint::Mark;
use super::follow::{Arrival, Seen, changed};
use crate::Error;
use crate::formats::compression::Compression;
use crate::input::InputFile;

/// What tells cheaply that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: i64,
}

impl FileState {
    fn of(metadata: &Metadata) -> Self {
        let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        FileState { bytes: metadata.len(), modified }
    }

    fn age(self) -> Option<Duration> {
        let nanos = u64::try_from(self.modified).ok()?;
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)).ok()
    }
}

/// Looks at a directory again and again.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// How long a file must have been left alone; nothing for a single look.
    quiet: Option<Duration>,
    /// Those that were not yet to be taken at the last look.
    waiting: BTreeMap<String, FileState>,
}

impl Directory {
    /// A file is new for a single look if it is there, or else if it has been left alone for `quiet`.
    pub(super) fn new(path: PathBuf, quiet: Option<Duration>) -> Self {
        Directory { path, quiet, waiting: BTreeMap::new() }
    }

    /// What is new and whole, by name. A file taken before that has changed or gone is an error, and so is, in a single look, one that
    /// lacks its last newline.
    pub(super) fn look(&mut self, taken: &mut BTreeMap<String, TakenFile>) -> Result<Vec<Arrival>, Error> {
        let mut there = self.list()?;
        for (name, taken) in taken {
            let path = self.path.join(name);
            let Some(state) = there.remove(name) else { return Err(changed(&path, "is gone")) };
            let Mark::Digest { modified, digest } = &mut taken.mark else {
                return Err(changed(&path, "was in a store"));
            };
            if state == (FileState { bytes: taken.bytes, modified: *modified }) {
                continue;
            }
            // A copy of the same bytes is the same file.
            if state.bytes != taken.bytes || digest_of(&path)? != *digest {
                return Err(changed(&path, "has changed"));
            }
            *modified = state.modified;
        }
        let before = std::mem::take(&mut self.waiting);
        let mut arrivals = Vec::new();
        for (name, state) in there {
            let path = self.path.join(&name);
            let same = before.get(&name) == Some(&state);
            let left_alone =
                same || self.quiet.is_none_or(|quiet| state.age().is_some_and(|age| age >= quiet));
            if left_alone && is_whole(&path, state.bytes)? {
                let file = InputFile::local(&path, state.bytes);
                arrivals.push(Arrival { name, file, seen: Seen::Here(state) });
            } else if self.quiet.is_none() {
                return Err(Error::Data(format!(
                    "{} does not end with a newline: is it still being written?\n  try: once it is whole, or write it under a name \
                     that ends in .tmp and rename it",
                    path.display()
                )));
            } else {
                self.waiting.insert(name, state);
            }
        }
        Ok(arrivals)
    }

    /// The files that count, by name. What is no file is an error in a single look, which may lack rows without it, and else passed over.
    fn list(&self) -> Result<BTreeMap<String, FileState>, Error> {
        let listed = |source| Error::file("list", &self.path)(source);
        let mut there = BTreeMap::new();
        for entry in fs::read_dir(&self.path).map_err(listed)? {
            let name = entry.map_err(listed)?.file_name();
            let name = name.into_string().map_err(|name| {
                Error::Data(format!(
                    "{} holds a file whose name is not UTF-8: {}",
                    self.path.display(),
                    name.display()
                ))
            })?;
            if name.starts_with(['.', '_']) || name.ends_with(".tmp") {
                continue;
            }
            let path = self.path.join(&name);
            match fs::metadata(&path) {
                Ok(metadata) if !metadata.is_file() && self.quiet.is_none() => {
                    return Err(Error::Data(format!(
                        "{} is not a regular file: a table's files lie in its directory, without folders between\n  try: move it \
                         elsewhere, or give it a name that starts with . or _",
                        path.display()
                    )));
                }
                Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {
                    there.insert(name, FileState::of(&metadata));
                }
                Ok(_) => {}
                // Renamed or removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::file("look at", &path)(error)),
            }
        }
        Ok(there)
    }
}

impl FileState {
    /// Makes sure that a file is still in this state, now that it has been read, and says what it must stay. Reads it once more,
    /// for the digest.
    pub(super) fn seal(self, path: &Path) -> Result<Mark, Error> {
        let digest = digest_of(path)?;
        let metadata = fs::metadata(path).map_err(Error::file("look at", path))?;
        if FileState::of(&metadata) != self {
            return Err(changed_while_read(path));
        }
        Ok(Mark::Digest { modified: self.modified, digest })
    }
}

/// Says that a file is not what was counted of it.
#[cold]
pub(super) fn changed_while_read(path: &Path) -> Error {
    Error::Data(format!("{} changed while it was read", path.display()))
}

/// Whether a file ends as one does that is not in the middle of being written. Of a compressed file, its reader will tell.
fn is_whole(path: &Path, bytes: u64) -> Result<bool, Error> {
    if Compression::of_name(path).is_some() {
        return Ok(true);
    }
    let mut last = [0];
    let file = File::open(path).map_err(Error::file("open", path))?;
    match file.read_exact_at(&mut last, bytes - 1) {
        Ok(()) => Ok(last == *b"\n"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

fn digest_of(path: &Path) -> Result<String, Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(Error::file("read", path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_sealed() {
        // Catches a file whose rows are counted while it becomes another: longer, or of the same size at another time, or gone.
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("part-0");
        let arrive = || {
            fs::write(&path, "a row\n").expect("written");
            let mut directory = Directory::new(home.path().to_owned(), None);
            directory.look(&mut BTreeMap::new()).expect("looked").remove(0)
        };
        assert!(arrive().seal().is_ok(), "left alone");
        let refused = |arrival: &Arrival| arrival.seal().expect_err("it changed").to_string();
        let changed = format!("{} changed while it was read", path.display());

        let arrival = arrive();
        fs::write(&path, "a row\nand one more\n").expect("written");
        assert_eq!(refused(&arrival), changed);

        let arrival = arrive();
        let file = File::options().write(true).open(&path).expect("there");
        file.write_all_at(b"b", 0).expect("written");
        file.set_modified(SystemTime::UNIX_EPOCH).expect("set");
        assert_eq!(refused(&arrival), changed);

        let arrival = arrive();
        fs::remove_file(&path).expect("removed");
        assert!(refused(&arrival).starts_with(&format!("cannot open {}", path.display())));
    }
}

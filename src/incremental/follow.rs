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
use crate::Error;
use crate::formats::compression::Compression;

/// A file that is there to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its name in the directory.
    pub name: String,
    path: PathBuf,
    state: FileState,
}

/// What tells cheaply that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
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
pub struct Follower {
    directory: PathBuf,
    /// How long a file must have been left alone; nothing for a single look.
    quiet: Option<Duration>,
    taken: BTreeMap<String, TakenFile>,
    /// Those that were not yet to be taken at the last look.
    waiting: BTreeMap<String, FileState>,
}

impl Follower {
    /// Of `directory`, in which `taken` were read before. A file is new for a single look if it is there, or else if it has been left alone
    /// for `quiet`.
    pub fn new(directory: PathBuf, quiet: Option<Duration>, taken: &[TakenFile]) -> Self {
        let taken = taken.iter().map(|file| (file.name.clone(), file.clone())).collect();
        Follower { directory, quiet, taken, waiting: BTreeMap::new() }
    }

    /// What is new and whole, by name. A file taken before that has changed or gone is an error, and so is, in a single look, one that
    /// lacks its last newline.
    pub fn look(&mut self) -> Result<Vec<Arrival>, Error> {
        let mut there = self.list()?;
        for (name, taken) in &mut self.taken {
            let path = self.directory.join(name);
            let Some(state) = there.remove(name) else { return Err(changed(&path, "is gone")) };
            if state == (FileState { bytes: taken.bytes, modified: taken.modified }) {
                continue;
            }
            // A copy of the same bytes is the same file.
            if state.bytes != taken.bytes || digest_of(&path)? != taken.digest {
                return Err(changed(&path, "has changed"));
            }
            taken.modified = state.modified;
        }
        let before = std::mem::take(&mut self.waiting);
        let mut arrivals = Vec::new();
        for (name, state) in there {
            let path = self.directory.join(&name);
            let same = before.get(&name) == Some(&state);
            let left_alone =
                same || self.quiet.is_none_or(|quiet| state.age().is_some_and(|age| age >= quiet));
            if left_alone && is_whole(&path, state.bytes)? {
                arrivals.push(Arrival { name, path, state });
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

    /// The files that count, by name.
    fn list(&self) -> Result<BTreeMap<String, FileState>, Error> {
        let listed = |source| Error::file("list", &self.directory)(source);
        let mut there = BTreeMap::new();
        for entry in fs::read_dir(&self.directory).map_err(listed)? {
            let name = entry.map_err(listed)?.file_name();
            let name = name.into_string().map_err(|name| {
                Error::Data(format!(
                    "{} holds a file whose name is not UTF-8: {}",
                    self.directory.display(),
                    name.display()
                ))
            })?;
            if name.starts_with(['.', '_']) || name.ends_with(".tmp") {
                continue;
            }
            let path = self.directory.join(&name);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() > 0 => drop(there.insert(name, FileState::of(&metadata))),
                Ok(_) => {}
                // Renamed or removed since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::file("look at", &path)(error)),
            }
        }
        Ok(there)
    }

    /// Notes that a file was taken.
    pub fn take(&mut self, file: TakenFile) {
        self.taken.insert(file.name.clone(), file);
    }
}

impl Arrival {
    /// Makes sure that the file is still what was found, now that it has been read, and says what it must stay. Reads it once more, for the digest.
    pub fn seal(&self) -> Result<TakenFile, Error> {
        let digest = digest_of(&self.path)?;
        let metadata = fs::metadata(&self.path).map_err(Error::file("look at", &self.path))?;
        if FileState::of(&metadata) != self.state {
            return Err(Error::Data(format!("{} changed while it was read", self.path.display())));
        }
        let FileState { bytes, modified } = self.state;
        Ok(TakenFile { name: self.name.clone(), bytes, modified, digest })
    }
}

fn changed(path: &Path, how: &str) -> Error {
    Error::Data(format!(
        "{} {how} since its rows were added: the totals are not those of the files any more\n  try: put it back, or start anew with another --state",
        path.display()
    ))
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

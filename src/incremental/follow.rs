//! Which files of a table are new, in a directory or in a store.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::TakenFile;
use super::checkpoint::Mark;
use super::directory::{Directory, FileState};
use super::store::Store;
use crate::Error;
use crate::input::{InputFile, InputOptions, check_data, is_remote};
use crate::tables::Table;

/// A file that is there to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Its name in the directory; of a file in a store, its address.
    pub name: String,
    /// The file, for [`Input::of_files`](crate::input::Input::of_files).
    pub file: InputFile,
    pub(super) seen: Seen,
}

/// What was found of a file that is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Here(FileState),
    /// Its `ETag`, or what else the list of a store tells of it.
    InStore(String),
}

impl Arrival {
    /// What the file must stay, now that it has been read. One of this machine is read once more, for its digest, and is an error where
    /// it changed meanwhile; of one in a store, each answer was of the same version.
    pub fn seal(&self) -> Result<TakenFile, Error> {
        let mark = match &self.seen {
            Seen::Here(state) => state.seal(&self.file.path)?,
            Seen::InStore(etag) => Mark::Version { etag: etag.clone() },
        };
        Ok(TakenFile { name: self.name.clone(), bytes: self.file.bytes, mark })
    }
}

/// Looks at the files of a table again and again.
#[derive(Debug)]
pub struct Follower {
    place: Place,
    taken: BTreeMap<String, TakenFile>,
}

#[derive(Debug)]
enum Place {
    Directory(Directory),
    Store(Store),
}

impl Follower {
    /// Of the text files of `table`, of which `taken` were read before; for a single look, or one after each `interval`. Names that begin with `.` or `_`
    /// or end in `.tmp` do not count, nor do empty files. In a directory, a file is new for a single look if it is there, or else
    /// if it has been left alone for the interval; in a store, where files appear whole, once the list has it.
    ///
    /// # Errors
    ///
    /// `options.data` cannot be a directory or an address.
    pub fn new(
        table: Table,
        options: InputOptions,
        interval: Option<Duration>,
        taken: &[TakenFile],
    ) -> Result<Self, Error> {
        check_data(&options.data)?;
        let place = if is_remote(&options.data) {
            Place::Store(Store::new(table, options, interval.is_none()))
        } else {
            Place::Directory(Directory::new(
                options.data.join("csv").join(&options.set).join(table.name),
                interval,
            ))
        };
        let taken = taken.iter().map(|file| (file.name.clone(), file.clone())).collect();
        Ok(Follower { place, taken })
    }

    /// What is new and whole, by name.
    ///
    /// # Errors
    ///
    /// A file taken before has changed or is gone. In a single look: one lacks its last newline, or there is no table in a store.
    /// The place cannot be listed; a store is asked again and again for as long as its options say.
    pub fn look(&mut self) -> Result<Vec<Arrival>, Error> {
        match &mut self.place {
            Place::Directory(directory) => directory.look(&mut self.taken),
            Place::Store(store) => store.look(&self.taken),
        }
    }

    /// Notes that a file was taken.
    pub fn take(&mut self, file: TakenFile) {
        self.taken.insert(file.name.clone(), file);
    }
}

pub(super) fn changed(path: &Path, how: &str) -> Error {
    Error::Data(format!(
        "{} {how} since its rows were added: the totals are not those of the files any more\n  try: put it back, or start anew with another --state",
        path.display()
    ))
}

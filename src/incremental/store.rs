//! Which files below a prefix of a store are new, and still what they were.
//!
//! An object appears whole, so it is new once the list has it. What tells that one has changed is in the list as well: its size, and its
//! `ETag` or, where the server's list has none, the time of its last change. So a look costs a list, and
//! nothing that was read is read again. The manifest of an HTTP server tells sizes only.

use std::collections::BTreeMap;
use std::path::Path;

use super::TakenFile;
use super::checkpoint::Mark;
use super::follow::{Arrival, Seen, changed};
use crate::Error;
use crate::input::{InputFile, InputOptions, list_text_files};
use crate::tables::Table;

/// Looks at a prefix again and again.
#[derive(Debug)]
pub(super) struct Store {
    table: Table,
    options: InputOptions,
}

impl Store {
    /// For a single look, nothing there is an error; otherwise it may come.
    pub(super) fn new(table: Table, options: InputOptions, single: bool) -> Self {
        let options = InputOptions { may_be_empty: !single, ..options };
        Store { table, options }
    }

    /// What is new, by address. A file taken before that has changed or gone is an error.
    pub(super) fn look(&self, taken: &BTreeMap<String, TakenFile>) -> Result<Vec<Arrival>, Error> {
        let files = list_text_files(&self.table, &self.options)?;
        let counts = |name: &str| !name.ends_with(".tmp");
        let there: BTreeMap<_, _> = files
            .into_iter()
            .map(|file| (file.path.to_string_lossy().into_owned(), file))
            .filter(|(name, file)| counts(name) && file.bytes > 0)
            .collect();
        for (name, taken) in taken {
            let Some(file) = there.get(name) else { return Err(changed(Path::new(name), "is gone")) };
            let same = matches!(&taken.mark, Mark::Version { etag } if etag == file.listed_version());
            if !same || file.bytes != taken.bytes {
                return Err(changed(Path::new(name), "has changed"));
            }
        }
        let new = there.into_iter().filter(|(name, _)| !taken.contains_key(name));
        let arrival = |(name, file): (String, InputFile)| {
            let seen = Seen::InStore(file.listed_version().to_owned());
            Arrival { name, file, seen }
        };
        Ok(new.map(arrival).collect())
    }
}

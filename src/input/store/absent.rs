//! What stands for stores in a build without the feature `object-store`: nothing, and an error that says so.

use std::convert::Infallible;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::{Fetched, Found, InputFile, StoreOptions};
use crate::Error;

/// No connections.
#[derive(Debug, Clone, Default)]
pub struct Stores(());

#[expect(clippy::unused_self, reason = "they have the shape of those that reach a store")]
impl Stores {
    /// None, whatever the options.
    pub fn new(_: StoreOptions) -> Self {
        Stores(())
    }

    /// Nothing.
    pub fn fetched(&self) -> Fetched {
        Fetched::default()
    }

    pub(super) fn list_directory(&self, directory: &Path) -> Found {
        Err(left_out(&directory.display().to_string()))
    }

    pub(super) fn list_matching(&self, pattern: &str) -> Found {
        Err(left_out(pattern))
    }
}

fn left_out(place: &str) -> Error {
    Error::usage(
        format!("{place} is far away, and this program was built without its feature object-store"),
        "a local copy, or cargo build --release --features object-store",
    )
}

#[expect(clippy::unnecessary_wraps, reason = "the same")]
pub(super) fn heads(
    _: &mut [InputFile],
    _: &[usize],
    _: u64,
    _: &mut impl FnMut(usize, &mut InputFile, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    Ok(())
}

/// A file of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object(Infallible);

impl Object {
    pub(crate) fn open(&self) -> ObjectReader {
        match self.0 {}
    }

    pub(crate) fn version(&self) -> &str {
        match self.0 {}
    }

    pub(crate) fn listed_version(&self) -> &str {
        match self.0 {}
    }
}

/// A file of a store that is read.
#[derive(Clone)]
pub(crate) struct ObjectReader(Infallible);

impl ObjectReader {
    pub(crate) fn will_read(&self, _: &[Range<u64>]) {
        match self.0 {}
    }

    pub(crate) fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        match self.0 {}
    }
}

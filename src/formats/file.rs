//! A file of the size it had when the job was planned: what came later is none of it, and what has gone is an error.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::input::{InputFile, Object, ObjectReader};

/// Between so many copied bytes somebody is asked whether to go on: a fraction of a second on a slow disk.
const COPIED_BYTES: u64 = 16 << 20;

/// Whether what is at work should end, as after a signal.
pub(crate) type Stopped<'a> = &'a dyn Fn() -> bool;

/// Appends some bytes of a file on this machine to another one, unless `stopped`; the system copies them where it can.
pub(crate) fn append(
    from: &InputFile,
    bytes: Range<u64>,
    to: &mut File,
    stopped: Stopped<'_>,
) -> Result<(), Error> {
    let mut copy = || {
        let mut file = File::open(&from.path)?;
        file.seek(SeekFrom::Start(bytes.start))?;
        let mut left = bytes.end - bytes.start;
        while left > 0 {
            if stopped() {
                return Err(io::Error::other("the job was stopped"));
            }
            let copied = io::copy(&mut (&mut file).take(left.min(COPIED_BYTES)), to)?;
            if copied == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has become shorter"));
            }
            left -= copied;
        }
        Ok(())
    };
    copy().map_err(Error::file("copy", &from.path))
}

/// Clones are the same open file, and each says for itself what it will read.
#[derive(Clone)]
pub(crate) struct PlannedFile {
    storage: Storage,
    bytes: u64,
}

/// Chosen once a block, never a row.
#[derive(Clone)]
enum Storage {
    Local(Arc<File>),
    Store(ObjectReader),
}

impl PlannedFile {
    /// Opens a file that had `bytes` bytes.
    pub(crate) fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        Ok(PlannedFile { storage: Storage::Local(Arc::new(File::open(path)?)), bytes })
    }

    /// A file of a store.
    pub(crate) fn of_store(object: &Object, bytes: u64) -> Self {
        PlannedFile { storage: Storage::Store(object.open()), bytes }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is in a store, from which it comes in the order that was said.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.storage, Storage::Store(_))
    }

    /// Says what will be read next, so that it can be on its way: of a file in a store, nothing else is fetched but small
    /// gaps. What was said before is forgotten, and may not have been fetched.
    pub(crate) fn will_read(&self, ranges: &[Range<u64>]) {
        if let Storage::Store(reader) = &self.storage {
            reader.will_read(ranges);
        }
    }

    /// Reads all that there is at `offset` and fits, and says how much that is.
    pub(crate) fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.bytes.saturating_sub(offset);
        let length = usize::try_from(left).map_or(into.len(), |left| left.min(into.len()));
        let into = &mut into[..length];
        match &self.storage {
            Storage::Local(file) => file.read_exact_at(into, offset).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("it had {} bytes when the job was planned and has become shorter", self.bytes),
                ),
                _ => error,
            }),
            Storage::Store(reader) => reader.read_at(into, offset),
        }?;
        Ok(length)
    }
}

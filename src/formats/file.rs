//! A file of the size it had when the job was planned: what came later is none of it, and what has gone is an error.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Clones are the same open file.
#[derive(Clone)]
pub(crate) struct PlannedFile {
    file: Arc<File>,
    bytes: u64,
}

impl PlannedFile {
    /// Opens a file that had `bytes` bytes.
    pub(crate) fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        Ok(PlannedFile { file: Arc::new(File::open(path)?), bytes })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads all that there is at `offset` and fits, and says how much that is.
    pub(crate) fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.bytes.saturating_sub(offset);
        let length = usize::try_from(left).map_or(into.len(), |left| left.min(into.len()));
        self.file.read_exact_at(&mut into[..length], offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("it had {} bytes when the job was planned and has become shorter", self.bytes),
            ),
            _ => error,
        })?;
        Ok(length)
    }
}

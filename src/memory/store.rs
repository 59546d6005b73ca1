//! A file without a name that bytes are added to and read back from, checked.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::Error;

/// A file that is made on first use and unlinked at once, so that nothing can be left behind, whatever happens to the
/// process.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    file: Option<File>,
    end: u64,
    written: u64,
}

/// Where some bytes lie in a store, and what they must be.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Offset of the first.
    pub at: u64,
    /// How many.
    pub bytes: usize,
    checksum: [u8; 16],
}

impl Store {
    /// A file in `directory`, not made yet.
    pub fn new(directory: PathBuf) -> Self {
        Store { directory, file: None, end: 0, written: 0 }
    }

    /// Bytes ever written.
    pub fn written_bytes(&self) -> u64 {
        self.written
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> Result<Extent, Error> {
        let outcome = match &self.file {
            Some(file) => file.write_all_at(bytes, self.end),
            None => tempfile::tempfile_in(&self.directory)
                .and_then(|file| self.file.insert(file).write_all_at(bytes, self.end)),
        };
        outcome.map_err(|source| self.error("write a spill file in", source))?;
        let extent = Extent { at: self.end, bytes: bytes.len(), checksum: checksum(bytes) };
        self.end += bytes.len() as u64;
        self.written += bytes.len() as u64;
        Ok(extent)
    }

    /// Reads bytes back; what is not as it was written is an error. `into` must be as long as they are.
    pub fn read(&self, extent: Extent, into: &mut [u8]) -> Result<(), Error> {
        let Some(file) = &self.file else { return Err(self.damaged(extent)) };
        file.read_exact_at(into, extent.at).map_err(|source| self.error("read a spill file in", source))?;
        if into.len() == extent.bytes && checksum(into) == extent.checksum {
            Ok(())
        } else {
            Err(self.damaged(extent))
        }
    }

    /// Forgets all that was written, and gives the disk back.
    pub fn clear(&mut self) {
        self.end = 0;
        if let Some(file) = &self.file {
            // If the disk keeps the room, it is written over.
            let _ = file.set_len(0);
        }
    }

    /// Bytes that are not what was written.
    pub(super) fn damaged(&self, Extent { at, bytes, .. }: Extent) -> Error {
        let directory = self.directory.display();
        Error::Data(format!(
            "a spill file in {directory} was damaged: {bytes} bytes at byte {at} are not what was written"
        ))
    }

    /// What the system refused to do with the file.
    pub(super) fn error(&self, action: &'static str, source: io::Error) -> Error {
        Error::File { action, path: self.directory.clone(), source }
    }

    #[cfg(test)]
    pub(super) fn handle(&self) -> File {
        self.file.as_ref().expect("made").try_clone().expect("a handle")
    }
}

/// 128 bits of BLAKE3, which this crate needs anyway and which checks several gigabytes a second.
fn checksum(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cleared_is_written_over() {
        let home = tempfile::tempdir().expect("a directory");
        let mut store = Store::new(home.path().to_path_buf());
        let first = store.append(b"first").expect("written");
        store.clear();
        let second = store.append(b"other").expect("written");
        assert_eq!((second.at, store.written_bytes()), (0, 10));
        let mut bytes = [0; 5];
        store.read(second, &mut bytes).expect("read");
        assert_eq!(&bytes, b"other");
        assert!(store.read(first, &mut bytes).is_err(), "not what was written first");
        assert!(store.read(second, &mut bytes[..4]).is_err(), "not all of it");
    }
}

//! Where a window's bytes come from. What stands here is chosen once a block, never a byte or a row.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A text that is read in pieces. Offsets are of the text.
pub(super) enum Text {
    /// A file as it stands, readable at any offset.
    Plain {
        /// The file.
        file: File,
        /// Its size when the job was planned: later rows are none of its.
        bytes: u64,
    },
}

impl Text {
    /// Opens a file that had `bytes` bytes when the job was planned.
    pub(super) fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        Ok(Text::Plain { file: File::open(path)?, bytes })
    }

    /// The same text for another reader, who starts at its first byte.
    pub(super) fn again(&self) -> io::Result<Self> {
        match self {
            Text::Plain { file, bytes } => Ok(Text::Plain { file: file.try_clone()?, bytes: *bytes }),
        }
    }

    /// Bytes of the whole text, once they are known.
    pub(super) fn end(&self) -> Option<u64> {
        match self {
            Text::Plain { bytes, .. } => Some(*bytes),
        }
    }

    /// Reads the text at `offset` and says how many bytes it read; fewer than asked for do not mean its end, which
    /// [`Text::end`] tells.
    ///
    /// The bytes up to the planned size must be there: a file that has shrunk is an error.
    pub(super) fn read_at(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Text::Plain { file, bytes } => {
                let left = bytes.saturating_sub(offset);
                let length = usize::try_from(left).map_or(into.len(), |left| left.min(into.len()));
                file.read_exact_at(&mut into[..length], offset).map_err(|error| shrunk(error, *bytes))?;
                Ok(length)
            }
        }
    }
}

fn shrunk(error: io::Error, bytes: u64) -> io::Error {
    if error.kind() != io::ErrorKind::UnexpectedEof {
        return error;
    }
    let message = format!("it had {bytes} bytes when the job was planned and has become shorter");
    io::Error::new(io::ErrorKind::UnexpectedEof, message)
}

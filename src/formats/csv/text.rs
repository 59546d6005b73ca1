//! Where a window's bytes come from. What stands here is chosen once a block, never a byte or a row.

use std::io;
use std::ops::Range;

use super::Source;
use crate::formats::compression::Decompressor;
use crate::formats::file::PlannedFile;

/// What some programs put in front of a text, which is no part of its first row: the byte order mark of UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A text that is read in pieces. Offsets are of the text.
pub(super) enum Text {
    /// A file as it stands, readable at any offset.
    Plain(PlannedFile),
    /// The text of a compressed file, readable from its start to its end.
    Compressed {
        /// Its reader.
        decompressor: Box<Decompressor>,
        /// Where it is in the text.
        offset: u64,
    },
}

impl Text {
    /// A source's text, of which nothing is read yet.
    pub(super) fn open(source: &Source) -> io::Result<Self> {
        let file = source.file.clone();
        match source.compression {
            None => Ok(Text::Plain(file)),
            Some(compression) => Ok(Self::start(Decompressor::of_file(file, compression)?)),
        }
    }

    fn start(decompressor: Decompressor) -> Self {
        Text::Compressed { decompressor: Box::new(decompressor), offset: 0 }
    }

    /// Says which bytes of a text that can be entered anywhere will be read.
    pub(super) fn will_read(&self, range: Range<u64>) {
        if let Text::Plain(file) = self {
            file.will_read(&[range]);
        }
    }

    /// The same text for another reader, who starts at its first byte.
    pub(super) fn again(&self) -> io::Result<Self> {
        match self {
            Text::Plain(file) => Ok(Text::Plain(file.clone())),
            Text::Compressed { decompressor, .. } => Ok(Self::start(decompressor.again()?)),
        }
    }

    /// Bytes of the whole text, once they are known: those of a compressed one, once it has been read.
    pub(super) fn end(&self) -> Option<u64> {
        match self {
            Text::Plain(file) => Some(file.bytes()),
            Text::Compressed { decompressor, offset } => decompressor.ended().then_some(*offset),
        }
    }

    /// How many bytes of the compressed file have been gone through, if it is one.
    pub(super) fn compressed_bytes(&self) -> Option<u64> {
        match self {
            Text::Plain(_) => None,
            Text::Compressed { decompressor, .. } => Some(decompressor.taken()),
        }
    }

    /// Reads the text at `offset`, which in a compressed one is where the last piece ended, and says how many bytes it read;
    /// fewer than asked for, or none, do not mean its end, which [`Text::end`] tells.
    pub(super) fn read_at(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Text::Plain(file) => file.read_at(into, offset),
            Text::Compressed { decompressor, offset: next } => {
                debug_assert_eq!(offset, *next, "a compressed text is read in order");
                let read = decompressor.fill(into)?;
                *next += read as u64;
                Ok(read)
            }
        }
    }
}

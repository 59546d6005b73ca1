//! A compressed file, read in order.

use std::io::{self, Read};
use std::ops::Range;

use crate::formats::file::PlannedFile;

/// How much of the file is read at once.
const BUFFER_BYTES: usize = 128 << 10;

pub(super) struct Bytes {
    file: PlannedFile,
    /// Offset of the byte behind the buffer.
    next: u64,
    buffer: Box<[u8]>,
    /// What of the buffer nobody has taken.
    left: Range<usize>,
    /// Whether the file could not be read, which a decoder between may not pass on as it was.
    failed: bool,
}

impl Bytes {
    pub(super) fn new(file: PlannedFile) -> Self {
        Bytes { file, next: 0, buffer: vec![0; BUFFER_BYTES].into(), left: 0..0, failed: false }
    }

    /// The same file, from its start.
    pub(super) fn again(&self) -> Self {
        let file = self.file.clone();
        let all = 0..file.bytes();
        file.will_read(&[all]);
        Bytes::new(file)
    }

    /// The same file from here on, for a new decoder; the old one has nothing more to read.
    pub(super) fn hand_over(&mut self) -> Self {
        let (next, left) = (self.next, std::mem::take(&mut self.left));
        let buffer = std::mem::take(&mut self.buffer);
        self.next = self.file.bytes();
        Bytes { file: self.file.clone(), next, buffer, left, failed: self.failed }
    }

    /// Bytes of the file that were taken.
    pub(super) fn taken(&self) -> u64 {
        self.next - self.left.len() as u64
    }

    /// Bytes of the file that were not taken.
    pub(super) fn remaining(&self) -> u64 {
        self.file.bytes() - self.taken()
    }

    /// Whether reading the file has failed.
    pub(super) fn failed(&self) -> bool {
        self.failed
    }

    /// Some of the bytes that come next; none at the end of the file.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        if self.left.is_empty() {
            self.left = 0..0;
            self.read_more()?;
        }
        Ok(&self.buffer[self.left.clone()])
    }

    /// The next `N` bytes, or as many as there are, without taking them.
    pub(super) fn peek<const N: usize>(&mut self) -> io::Result<&[u8]> {
        if self.left.len() < N {
            self.buffer.copy_within(self.left.clone(), 0);
            self.left = 0..self.left.len();
            self.read_more()?;
        }
        let end = self.left.end.min(self.left.start + N);
        Ok(&self.buffer[self.left.start..end])
    }

    /// Takes bytes that [`Bytes::fill`] or [`Bytes::peek`] has shown.
    pub(super) fn take(&mut self, bytes: usize) {
        self.left.start += bytes;
    }

    /// Takes up to this many bytes, shown or not.
    pub(super) fn skip(&mut self, bytes: u64) {
        let shown = bytes.min(self.left.len() as u64);
        self.left.start += shown as usize;
        self.next += (bytes - shown).min(self.remaining());
    }

    fn read_more(&mut self) -> io::Result<()> {
        let read = self.file.read_at(&mut self.buffer[self.left.end..], self.next);
        self.failed |= read.is_err();
        let read = read?;
        self.left.end += read;
        self.next += read as u64;
        Ok(())
    }
}

impl Read for Bytes {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let next = self.fill()?;
        let length = next.len().min(into.len());
        into[..length].copy_from_slice(&next[..length]);
        self.take(length);
        Ok(length)
    }
}

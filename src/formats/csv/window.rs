//! The part of a file that is in memory: one buffer, read into block by block, that keeps the row a block cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes in memory are addressed by position, their index in the buffer, which a refill changes; bytes of the file by
/// offset, which stays.
pub(super) struct Window {
    file: File,
    file_bytes: u64,
    buffer: Vec<CacheLine>,
    /// Where blocks are read to: a kept row ends here, so that every block lies on whole cache lines.
    front: usize,
    /// Position behind the last byte read.
    read: usize,
    /// Position behind the last byte, which may be a newline that the file lacks.
    filled: usize,
    /// Offset of the next byte to read.
    next_offset: u64,
}

/// Aligns the buffer: a vector load then never straddles two lines.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct CacheLine([u8; 64]);

const LINE_BYTES: usize = size_of::<CacheLine>();
/// Blocks end on the page cache's pages: copies of whole pages are the fastest.
const PAGE_BYTES: u64 = 4096;
/// Room for a kept row before the first block; grows with the rows.
const FIRST_FRONT: usize = 4096;

impl Window {
    /// An empty window at an offset of a file that had `file_bytes` bytes when the job was planned.
    pub(super) fn open(path: &Path, file_bytes: u64, offset: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        Ok(Window {
            file,
            file_bytes,
            buffer: Vec::new(),
            front: FIRST_FRONT,
            read: FIRST_FRONT,
            filled: FIRST_FRONT,
            next_offset: offset,
        })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The buffer up to the last byte read; what stands before the kept row is of no meaning.
    #[inline]
    pub(super) fn text(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.buffer)[..self.filled]
    }

    /// Position behind the last byte.
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Offset of the next byte to be read.
    pub(super) fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Whether the file has been read to its end.
    pub(super) fn at_end(&self) -> bool {
        self.next_offset == self.file_bytes
    }

    /// Where in the file a position of the buffer is.
    pub(super) fn offset_of(&self, position: usize) -> u64 {
        let behind = self.next_offset.saturating_add(position as u64).saturating_sub(self.read as u64);
        behind.min(self.file_bytes)
    }

    /// Keeps what stands at `keep..`, reads about `bytes` more behind it and says where the kept bytes are now.
    ///
    /// The bytes up to the planned size must be there: a file that has shrunk is an error.
    pub(super) fn refill(&mut self, keep: usize, bytes: usize) -> io::Result<usize> {
        let kept = self.filled - keep;
        let start = self.next_offset;
        let wanted_end = start.saturating_add(bytes as u64);
        let page_end = wanted_end / PAGE_BYTES * PAGE_BYTES;
        let end = if page_end > start { page_end } else { wanted_end }.min(self.file_bytes);
        let length = (end - start) as usize;

        // The byte before a row has a position too.
        let front =
            if kept < self.front { self.front } else { (kept + 1).next_power_of_two().max(LINE_BYTES) };
        // And a newline that the file's end lacks has a place.
        let lines = (front + length + 1).div_ceil(LINE_BYTES);
        if lines > self.buffer.len() {
            self.buffer.resize(lines, CacheLine([0; LINE_BYTES]));
        }
        let text: &mut [u8] = bytemuck::cast_slice_mut(&mut self.buffer);
        text.copy_within(keep..self.filled, front - kept);
        self.file.read_exact_at(&mut text[front..front + length], start).map_err(|error| {
            match error.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!(
                        "it had {} bytes when the job was planned and has become shorter",
                        self.file_bytes
                    ),
                ),
                _ => error,
            }
        })?;
        self.front = front;
        self.read = front + length;
        self.filled = self.read;
        self.next_offset = end;
        Ok(front - kept)
    }

    /// Gives the file's last row the newline it lacks.
    pub(super) fn end_with_newline(&mut self) {
        let filled = self.filled;
        if self.text().last() != Some(&b'\n') {
            bytemuck::cast_slice_mut(&mut self.buffer)[filled] = b'\n';
            self.filled += 1;
        }
    }
}

//! The part of a text that is in memory: one buffer, read into block by block, that keeps the row a block cut.

use std::io;

use super::Source;
use super::text::{BYTE_ORDER_MARK, Text};
use crate::Error;
use crate::input::Block;

/// Bytes in memory are addressed by position, their index in the buffer, which a refill changes; bytes of the text by
/// offset, which stays.
pub(super) struct Window {
    text: Text,
    buffer: Vec<CacheLine>,
    /// Where blocks are read to: a kept row ends here, so that every block lies on whole cache lines.
    front: usize,
    /// Position of the kept row, or of the block where none is kept.
    start: usize,
    /// Position behind the last byte read.
    read: usize,
    /// Position behind the last byte, which may be a newline that the text lacks.
    filled: usize,
    /// Offset of the next byte to read.
    next_offset: u64,
}

/// A place that a reader has come to.
pub(super) struct Mark {
    /// In the text.
    offset: u64,
    /// In the compressed file, if it is one.
    compressed: Option<u64>,
}

/// How far a reader is with its split.
#[derive(PartialEq)]
pub(super) enum Stage {
    New,
    Reading,
    Done,
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
    /// An empty window before the first row of a split, whose last row is looked for in so many bytes behind it.
    pub(super) fn of_split(source: &Source, tail_bytes: usize) -> Result<Self, Error> {
        // The byte before a range tells whether a row starts with its first.
        let first = source.range.start.saturating_sub(1);
        let text = Text::open(source).map_err(Error::file("open", &source.path))?;
        text.will_read(first..source.range.end + tail_bytes as u64);
        Ok(Window {
            text,
            buffer: Vec::new(),
            front: FIRST_FRONT,
            start: FIRST_FRONT,
            read: FIRST_FRONT,
            filled: FIRST_FRONT,
            next_offset: first,
        })
    }

    /// What is read.
    pub(super) fn source(&self) -> &Text {
        &self.text
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

    /// Whether the text has been read to its end.
    pub(super) fn at_end(&self) -> bool {
        self.text.end() == Some(self.next_offset)
    }

    /// Where in the text a position of the buffer is.
    pub(super) fn offset_of(&self, position: usize) -> u64 {
        let behind = self.next_offset.saturating_add(position as u64).saturating_sub(self.read as u64);
        self.text.end().map_or(behind, |end| behind.min(end))
    }

    /// Where in text and file a position is that a reader has come to.
    pub(super) fn mark(&self, position: usize) -> Mark {
        Mark { offset: self.offset_of(position), compressed: self.text.compressed_bytes() }
    }

    /// Notes in a block how far a reader has come since a mark.
    pub(super) fn note(&self, since: &Mark, position: usize, block: &mut Block) {
        let now = self.mark(position);
        block.text_bytes = now.offset - since.offset;
        let compressed = now.compressed.zip(since.compressed);
        block.bytes = compressed.map_or(block.text_bytes, |(now, before)| now - before);
    }

    /// Position of what was read last.
    pub(super) fn fresh(&self) -> usize {
        self.start.max(self.front)
    }

    /// Keeps what stands at `keep..`, reads about `bytes` more behind it and says where the kept bytes are now; those of a byte order
    /// mark are not kept.
    ///
    /// It may read less, or nothing, also before the end.
    pub(super) fn refill(&mut self, keep: usize, bytes: usize) -> io::Result<usize> {
        let kept = self.filled - keep;
        let from_the_start = self.offset_of(keep) == 0;
        let start = self.next_offset;
        let wanted_end = start.saturating_add(bytes as u64);
        let page_end = wanted_end / PAGE_BYTES * PAGE_BYTES;
        let end = if page_end > start { page_end } else { wanted_end };
        let length = (self.text.end().map_or(end, |text_end| end.min(text_end)) - start) as usize;

        // The byte before a row has a position too.
        let front =
            if kept < self.front { self.front } else { (kept + 1).next_power_of_two().max(LINE_BYTES) };
        // And a newline that the text's end lacks has a place.
        let lines = (front + length + 1).div_ceil(LINE_BYTES);
        if lines > self.buffer.len() {
            self.buffer.resize(lines, CacheLine([0; LINE_BYTES]));
        }
        let buffer: &mut [u8] = bytemuck::cast_slice_mut(&mut self.buffer);
        buffer.copy_within(keep..self.filled, front - kept);
        let read = self.text.read_at(&mut buffer[front..front + length], start)?;
        let kept_start = front - kept;
        let marked = from_the_start && buffer[kept_start..front + read].starts_with(BYTE_ORDER_MARK);
        self.front = front;
        self.start = kept_start + if marked { BYTE_ORDER_MARK.len() } else { 0 };
        self.read = front + read;
        self.filled = self.read;
        self.next_offset = start + read as u64;
        Ok(self.start)
    }

    /// Gives the text's last row the newline it lacks, if there is one.
    pub(super) fn end_with_newline(&mut self) {
        let filled = self.filled;
        if filled > self.start && self.text().last() != Some(&b'\n') {
            bytemuck::cast_slice_mut(&mut self.buffer)[filled] = b'\n';
            self.filled += 1;
        }
    }
}

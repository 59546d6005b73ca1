//! The bytes of a column chunk, read from its start to its end, some at a time.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::memory::{PageBytes, Rooms};
use crate::formats::file::PlannedFile;

/// How much of a chunk is read at once, where its pages are not larger.
const WINDOW_BYTES: usize = 256 << 10;

/// Bytes of the chunk that were read and not yet used.
pub(super) struct Window {
    /// Of these, what is between `used` and `filled` is to come; the rest is room, or in use as a page.
    bytes: Arc<Vec<u8>>,
    /// More, for when it is in use.
    rooms: Rooms,
    used: usize,
    filled: usize,
    /// Offset of the first byte that is not used.
    at: u64,
    /// Up to where there is something to read.
    end: u64,
    /// Of all bytes that were used, where the chunk has a checksum.
    hasher: Option<flate2::Crc>,
    /// Bytes that were used since somebody asked.
    gone: u64,
}

impl Window {
    /// Starts at `at`, with a checksum of what is used or without.
    pub(super) fn new(mut rooms: Rooms, at: u64, end: u64, is_summed: bool) -> Self {
        let bytes = rooms.take();
        let hasher = is_summed.then(flate2::Crc::new);
        Window { bytes, rooms, used: 0, filled: 0, at, end, hasher, gone: 0 }
    }

    /// Its memory, for the next one.
    pub(super) fn into_rooms(mut self) -> Rooms {
        self.rooms.keep(self.bytes);
        self.rooms
    }

    /// Offset of the next byte.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes up to the end.
    pub(super) fn left(&self) -> usize {
        usize::try_from(self.end - self.at).unwrap_or(usize::MAX)
    }

    /// Bytes that are there.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.used..self.filled]
    }

    /// Some of these, counted from the next one, for as long as they are wanted.
    pub(super) fn page(&self, Range { start, end }: Range<usize>) -> PageBytes {
        PageBytes::part(&self.bytes, self.used + start..self.used + end)
    }

    /// Bytes that were used since the last call.
    pub(super) fn take_gone(&mut self) -> u64 {
        std::mem::take(&mut self.gone)
    }

    /// Sees that `count` bytes are there, of which the chunk has as many; false where the file ends before.
    pub(super) fn fill(&mut self, count: usize, file: &PlannedFile) -> io::Result<bool> {
        let have = self.filled - self.used;
        if have >= count {
            return Ok(true);
        }
        let wanted = count.max(WINDOW_BYTES).min(self.left());
        let is_in_use = Arc::get_mut(&mut self.bytes).is_none();
        let in_use = is_in_use.then(|| std::mem::replace(&mut self.bytes, self.rooms.take()));
        // Nobody else has it, so nothing is copied.
        let room = Arc::make_mut(&mut self.bytes);
        room.resize(room.len().max(wanted), 0);
        if let Some(in_use) = in_use {
            room[..have].copy_from_slice(&in_use[self.used..self.filled]);
            self.rooms.keep(in_use);
        } else {
            room.copy_within(self.used..self.filled, 0);
        }
        (self.used, self.filled) = (0, have);
        self.filled += file.read_at(&mut room[have..wanted], self.at + have as u64)?;
        Ok(self.filled == wanted)
    }

    /// Uses up `count` bytes, which are there.
    pub(super) fn advance(&mut self, count: usize) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.bytes[self.used..self.used + count]);
        }
        self.used += count;
        self.at += count as u64;
        self.gone += count as u64;
    }

    /// Leaves out `count` bytes, which the chunk has; they are read only where a checksum wants them.
    pub(super) fn pass(&mut self, mut count: usize, file: &PlannedFile) -> io::Result<bool> {
        while self.hasher.is_some() && count > 0 {
            let piece = count.min(WINDOW_BYTES);
            if !self.fill(piece, file)? {
                return Ok(false);
            }
            self.advance(piece);
            count -= piece;
        }
        let there = count.min(self.filled - self.used);
        self.advance(there);
        self.at += (count - there) as u64;
        Ok(true)
    }

    /// Goes to a byte of the chunk, from which on it is read up to another one.
    pub(super) fn jump(&mut self, at: u64, end: u64) {
        let ahead = at.checked_sub(self.at).and_then(|ahead| usize::try_from(ahead).ok());
        if let Some(ahead) = ahead.filter(|ahead| *ahead < self.filled - self.used) {
            self.used += ahead;
        } else {
            (self.used, self.filled) = (0, 0);
        }
        (self.at, self.end) = (at, end);
    }

    /// Leaves out what is left, unread.
    pub(super) fn advance_to_end(&mut self) {
        self.gone += self.end - self.at;
        self.at = self.end;
    }

    /// The checksum of what was used.
    pub(super) fn checksum(&mut self) -> Option<u32> {
        self.hasher.take().map(|hasher| hasher.sum())
    }
}

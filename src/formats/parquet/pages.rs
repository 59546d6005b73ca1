//! The pages of one column chunk, one after the other or those that the page index says: read and checked; and decompressed, where
//! somebody wants some of their rows.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::codec::Codec;
use super::footer::{Chunk, Leaf};
use super::header::{Header, Kind};
use super::index::Piece;
use super::memory::{PageBytes, Rooms};
use super::page::{MOST_PAGE_BYTES, Page, Target};
use super::reason::{Reason, Unsupported, damaged};
use super::thrift::{self, Fault};
use super::values::{Converted, Misfits};
use super::window::Window;
use crate::Error;
use crate::formats::checksum::checksum;
use crate::formats::columns::Column;
use crate::formats::file::PlannedFile;

/// No page has more values.
const MOST_PAGE_VALUES: usize = 1 << 24;
/// No page header is longer, with the longest statistics.
const MOST_HEADER_BYTES: usize = 8 << 20;

/// Reads one column chunk.
pub(super) struct Pages {
    file: Arc<PlannedFile>,
    path: Arc<Path>,
    leaf: Leaf,
    as_text: bool,
    codec: Codec,
    window: Window,
    /// Of the whole chunk, where that is read.
    checksum: Option<u32>,
    /// What is read of the chunk, where that is not all.
    pieces: Option<Vec<Piece>>,
    dictionary: Option<Converted>,
    /// The data page whose turn it is, where it starts, how many rows it has and how many of them are behind.
    page: Turn,
    page_at: u64,
    rows: usize,
    taken: usize,
    /// Which row of the block is next.
    next_row: u64,
    /// Bytes that pages decompressed to since somebody asked.
    decompressed: u64,
    /// Pages that were not decompressed, since somebody asked.
    passed_over: u64,
    room: Room,
}

/// A data page.
enum Turn {
    /// There is none.
    None,
    /// Its header was read, and what is behind it is next.
    Ahead(Header),
    Open(Page),
}

/// Memory for the next chunk of a column.
#[derive(Default)]
pub(super) struct Room {
    window: Rooms,
    pages: Rooms,
    dictionaries: Rooms,
}

impl Pages {
    /// Reads all of a chunk, or some pieces of it.
    pub(super) fn new(
        file: Arc<PlannedFile>,
        path: Arc<Path>,
        (leaf, as_text): (Leaf, bool),
        chunk: &Chunk,
        pieces: Option<Vec<Piece>>,
        mut room: Room,
    ) -> Self {
        let checksum = chunk.checksum.filter(|_| pieces.is_none());
        let window =
            Window::new(std::mem::take(&mut room.window), chunk.start, chunk.end, checksum.is_some());
        Pages {
            file,
            path,
            leaf,
            as_text,
            codec: chunk.codec,
            window,
            checksum,
            pieces,
            dictionary: None,
            page: Turn::None,
            page_at: chunk.start,
            rows: 0,
            taken: 0,
            next_row: 0,
            decompressed: 0,
            passed_over: 0,
            room,
        }
    }

    /// Its memory.
    pub(super) fn into_room(self) -> Room {
        Room { window: self.window.into_rooms(), ..self.room }
    }

    /// Bytes that were gone through since the last call.
    pub(super) fn take_gone(&mut self) -> u64 {
        self.window.take_gone()
    }

    /// Bytes that pages decompressed to since the last call.
    pub(super) fn take_decompressed(&mut self) -> u64 {
        std::mem::take(&mut self.decompressed)
    }

    /// Pages that were passed over since the last call.
    pub(super) fn take_passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.passed_over)
    }

    /// How many rows the page still has; at its end, those of the next. There is one, as the chunk has `left` rows more.
    pub(super) fn rows(&mut self, left: u64) -> Result<usize, Error> {
        while self.taken == self.rows {
            if self.pieces.is_some() { self.next_piece()? } else { self.next_page(left)? }
        }
        Ok(self.rows - self.taken)
    }

    /// Passes over rows up to one that is in a piece.
    pub(super) fn seek(&mut self, row: u64) -> Result<(), Error> {
        let first = self.next_row - self.taken as u64;
        if (first..first + self.rows as u64).contains(&row) {
            self.taken = (row - first) as usize;
        } else {
            self.leave_page()?;
        }
        self.next_row = row;
        Ok(())
    }

    /// Goes to the piece with the row that is taken next, by way of the dictionary if there is one that was not read.
    fn next_piece(&mut self) -> Result<(), Error> {
        self.leave_page()?;
        let pieces = self.pieces.as_deref().unwrap_or_default();
        let is_dictionary = |piece: &&Piece| piece.rows.is_empty() && self.dictionary.is_none();
        let of_row = |piece: &&Piece| piece.rows.contains(&self.next_row);
        let Some(piece) =
            pieces.first().filter(is_dictionary).or_else(|| pieces.iter().find(of_row)).cloned()
        else {
            return Err(self.fault(self.window.at(), "the page index lacks a row"));
        };
        self.window.jump(piece.bytes.start, piece.run_end);
        if let Some(said) = piece.checksum {
            let length = usize::try_from(piece.bytes.end - piece.bytes.start).unwrap_or(usize::MAX);
            self.fill(length)?;
            if checksum([&self.window.rest()[..length]]) != said {
                return Err(self.fault(piece.bytes.start, "the checksum of a page is not that of its bytes"));
            }
        }
        let rows = piece.rows.end - piece.rows.start;
        self.next_page(rows)?;
        let found = if rows == 0 { self.dictionary.is_some() } else { self.rows as u64 == rows };
        if !found {
            return Err(self.fault(piece.bytes.start, "a page is another than its page index says"));
        }
        self.taken = (self.next_row - piece.rows.start).min(rows) as usize;
        Ok(())
    }

    /// Puts some of the next `rows` in their places in `column`: those of `runs`. Says which of them have a value that the column cannot
    /// have, and why.
    pub(super) fn take(
        &mut self,
        rows: usize,
        runs: &[Range<usize>],
        column: &mut Column,
    ) -> Result<Misfits, Error> {
        let mut page = match std::mem::replace(&mut self.page, Turn::None) {
            Turn::Ahead(header) => self.open(&header)?,
            Turn::Open(page) => page,
            Turn::None => return Err(self.fault(self.window.at(), "it has no page of its rows")),
        };
        let of_page = self.taken..self.taken + rows;
        self.pass(rows);
        let target = Target { leaf: &self.leaf, as_text: self.as_text, dictionary: self.dictionary.as_ref() };
        let taken = page.take(of_page, runs, target, column);
        let misfits = taken.map_err(|reason| self.fault(self.page_at, reason))?;
        self.page = Turn::Open(page);
        Ok(misfits)
    }

    /// Leaves out the next `rows`.
    pub(super) fn pass(&mut self, rows: usize) {
        self.taken += rows;
        self.next_row += rows as u64;
    }

    /// Checks what is left of the chunk when all rows were taken.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let start = self.window.at();
        self.leave_page()?;
        if let Some(checksum) = self.checksum {
            self.pass_bytes(self.window.left())?;
            if self.window.checksum() != Some(checksum) {
                return Err(self.fault(start, "the checksum of its column chunk is not that of its bytes"));
            }
        }
        if self.pieces.is_none() {
            self.window.advance_to_end();
        }
        Ok(())
    }

    #[cold]
    fn fault(&self, byte: u64, reason: impl Into<Reason>) -> Error {
        let reason = match reason.into() {
            Reason::Damaged(reason) => reason,
            // Of those that write this checksum, none writes what is not read here.
            Reason::Unsupported(Unsupported { what, .. }) if self.checksum.is_some() => {
                format!("{what} was not written so")
            }
            Reason::Unsupported(unsupported) => return unsupported.of(&self.path, Some(self.leaf.name)),
        };
        damaged(&self.path, byte, &format!("column {}: {reason}", self.leaf.name))
    }

    /// Sees that `count` bytes are in the window, of which the chunk has as many.
    fn fill(&mut self, count: usize) -> Result<(), Error> {
        let filled = self.window.fill(count, &self.file);
        self.all_there(filled)
    }

    /// Leaves out `count` bytes, of which the chunk has as many.
    fn pass_bytes(&mut self, count: usize) -> Result<(), Error> {
        let passed = self.window.pass(count, &self.file);
        self.all_there(passed)
    }

    fn all_there(&self, read: io::Result<bool>) -> Result<(), Error> {
        if read.map_err(Error::file("read", &self.path))? {
            return Ok(());
        }
        let end = self.window.at() + self.window.rest().len() as u64;
        Err(self.fault(end, "the file ends inside of a column chunk"))
    }

    /// The next page's header and how long it is.
    fn header(&mut self) -> Result<(Header, usize), Error> {
        let at = self.window.at();
        let left = self.window.left();
        let mut look = left.min(256);
        loop {
            self.fill(look)?;
            match thrift::read_struct(self.window.rest()) {
                Ok((header, length)) => {
                    let header = Header::of(&header)
                        .ok_or_else(|| self.fault(at, "a page header lacks what it must have"))?;
                    return Ok((header, length));
                }
                Err(Fault::Cut) if look < left.min(MOST_HEADER_BYTES) => look = left.min(look * 4),
                Err(_) => return Err(self.fault(at, "a page header cannot be read")),
            }
        }
    }

    /// Goes on to the next page: decodes it where it is a dictionary, and leaves a data page for whoever wants rows of it.
    fn next_page(&mut self, left: u64) -> Result<(), Error> {
        self.leave_page()?;
        let at = self.window.at();
        if self.window.left() == 0 {
            return Err(self.fault(at, "its pages have fewer rows than its footer says"));
        }
        let (header, length) = self.header()?;
        if header.compressed > self.window.left() - length {
            return Err(self.fault(at, "a page is larger than its column chunk"));
        }
        if header.decompressed > MOST_PAGE_BYTES || header.values > MOST_PAGE_VALUES {
            let what = "a page of more than 512 MiB or 16 million values";
            return Err(self.fault(at, Unsupported::new(what, "write it with smaller pages")));
        }
        self.window.advance(length);
        self.page_at = at;
        match header.kind {
            Kind::Dictionary => {
                let (_, bytes) = self.decompress(&header)?;
                let target = Target { leaf: &self.leaf, as_text: self.as_text, dictionary: None };
                let dictionary = target.dictionary(&header, &bytes);
                self.dictionary = Some(dictionary.map_err(|reason| self.fault(at, reason))?);
                Ok(())
            }
            Kind::Data | Kind::DataV2 if header.values as u64 > left => {
                Err(self.fault(at, "its pages have more rows than its footer says"))
            }
            Kind::Data | Kind::DataV2 => {
                self.rows = header.values;
                self.page = Turn::Ahead(header);
                Ok(())
            }
            Kind::Index => self.pass_bytes(header.compressed),
            Kind::Unknown(kind) => {
                let what = format!("a page of type {kind}");
                Err(self.fault(at, Unsupported::new(what, "write it with data pages of version 1 or 2")))
            }
        }
    }

    /// Goes behind the page, if it is still ahead.
    fn leave_page(&mut self) -> Result<(), Error> {
        (self.rows, self.taken) = (0, 0);
        if let Turn::Ahead(header) = std::mem::replace(&mut self.page, Turn::None) {
            self.passed_over += u64::from(header.values > 0);
            self.pass_bytes(header.compressed)?;
        }
        Ok(())
    }

    /// Decompresses the data page that is ahead.
    fn open(&mut self, header: &Header) -> Result<Page, Error> {
        let (levels, bytes) = self.decompress(header)?;
        let target = Target { leaf: &self.leaf, as_text: self.as_text, dictionary: self.dictionary.as_ref() };
        let page = Page::open(header, &levels, &bytes, target);
        page.map_err(|reason| self.fault(self.page_at, reason))
    }

    /// Uses up what is behind a header: the levels that stand before the values of a second version's page, and the rest, decompressed
    /// where it is compressed.
    fn decompress(&mut self, header: &Header) -> Result<(Vec<u8>, PageBytes), Error> {
        self.fill(header.compressed)?;
        let at = self.page_at;
        let bytes = &self.window.rest()[..header.compressed];
        if let Some(said) = header.checksum
            && self.checksum.is_none()
            && checksum([bytes]) != said
        {
            return Err(self.fault(at, "the checksum of a page is not that of its bytes"));
        }
        let no_levels = || self.fault(at, "the levels of a page are larger than it");
        let (levels, body) = bytes.split_at_checked(header.levels).ok_or_else(no_levels)?;
        let length = header.decompressed.checked_sub(levels.len()).ok_or_else(no_levels)?;
        let codec = if header.is_compressed { self.codec } else { Codec::Uncompressed };
        // Of a page of nulls alone, some writers compress nothing, and others leave that out.
        let as_it_is = codec == Codec::Uncompressed && body.len() == length || length == 0 && body.is_empty();
        let page = if as_it_is {
            self.window.page(header.levels..header.compressed)
        } else {
            let rooms = match header.kind {
                Kind::Dictionary => &mut self.room.dictionaries,
                _ => &mut self.room.pages,
            };
            let mut room = rooms.take();
            // Nobody else has it, so nothing is copied.
            let into = Arc::make_mut(&mut room);
            into.resize(length, 0);
            let decompressed = codec.decompress(body, into);
            rooms.keep(Arc::clone(&room));
            decompressed
                .map_err(|error| self.fault(at, format!("a page cannot be decompressed ({error})")))?;
            PageBytes::whole(room)
        };
        let levels = levels.to_vec();
        self.decompressed += header.decompressed as u64;
        self.window.advance(header.compressed);
        Ok((levels, page))
    }
}

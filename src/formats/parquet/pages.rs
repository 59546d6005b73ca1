//! The pages of one column chunk, one after the other or those that the page index says: read, checked, decompressed and decoded.

use std::path::Path;
use std::sync::Arc;

use super::codec::Codec;
use super::encodings::{self, PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY};
use super::footer::{Chunk, Leaf, damaged};
use super::index::Piece;
use super::thrift::{self, Fault, Value};
use super::values::{Converted, Misfits};
use crate::Error;
use crate::formats::checksum::checksum;
use crate::formats::columns::{Column, Texts, Values};
use crate::formats::file::PlannedFile;

/// How much of a chunk is read at once, where its pages are not larger.
const WINDOW_BYTES: usize = 256 << 10;
/// No page decompresses to more; what says so is damaged.
const MOST_PAGE_BYTES: usize = 512 << 20;
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
    /// The page whose turn it is, rows of it with a value that the column cannot have, and how many rows were taken.
    page: Column,
    misfits: Misfits,
    rows: usize,
    taken: usize,
    /// Which row of the block is taken next.
    next_row: u64,
}

/// Bytes of the chunk that were read and not yet used.
struct Window {
    bytes: Vec<u8>,
    used: usize,
    /// Offset of the first byte that is not used.
    at: u64,
    /// Up to where there is something to read.
    end: u64,
    hasher: Option<flate2::Crc>,
    /// Bytes that were used, and what they decompressed to, since somebody asked.
    gone: u64,
    decompressed: u64,
}

impl Pages {
    /// Reads all of a chunk, or some pieces of it.
    pub(super) fn new(
        file: Arc<PlannedFile>,
        path: Arc<Path>,
        leaf: Leaf,
        as_text: bool,
        chunk: &Chunk,
        pieces: Option<Vec<Piece>>,
    ) -> Self {
        let checksum = chunk.checksum.filter(|_| pieces.is_none());
        let window = Window {
            bytes: Vec::new(),
            used: 0,
            at: chunk.start,
            end: chunk.end,
            hasher: checksum.map(|_| flate2::Crc::new()),
            gone: 0,
            decompressed: 0,
        };
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
            page: Column { values: Values::Int(Vec::new()), present: Vec::new() },
            misfits: Misfits::new(),
            rows: 0,
            taken: 0,
            next_row: 0,
        }
    }

    /// Bytes that were gone through since the last call.
    pub(super) fn take_gone(&mut self) -> u64 {
        std::mem::take(&mut self.window.gone)
    }

    /// Bytes that pages decompressed to since the last call.
    pub(super) fn take_decompressed(&mut self) -> u64 {
        std::mem::take(&mut self.window.decompressed)
    }

    /// How many rows the page still has; at its end, those of the next. There is one, as the chunk has `left` rows more.
    pub(super) fn rows(&mut self, left: u64) -> Result<usize, Error> {
        while self.taken == self.rows {
            if self.pieces.is_some() { self.next_piece()? } else { self.next_page(left)? }
        }
        Ok(self.rows - self.taken)
    }

    /// Passes over rows up to one that is in a piece.
    pub(super) fn seek(&mut self, row: u64) {
        let first = self.next_row - self.taken as u64;
        if (first..first + self.rows as u64).contains(&row) {
            self.taken = (row - first) as usize;
        } else {
            (self.rows, self.taken) = (0, 0);
        }
        self.next_row = row;
    }

    /// Goes to the piece with the row that is taken next, by way of the dictionary if there is one that was not read.
    fn next_piece(&mut self) -> Result<(), Error> {
        let pieces = self.pieces.as_deref().unwrap_or_default();
        let is_dictionary = |piece: &&Piece| piece.rows.is_empty() && self.dictionary.is_none();
        let of_row = |piece: &&Piece| piece.rows.contains(&self.next_row);
        let Some(piece) =
            pieces.first().filter(is_dictionary).or_else(|| pieces.iter().find(of_row)).cloned()
        else {
            return Err(self.fault(self.window.at, "the page index lacks a row"));
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
        (self.rows, self.taken) = (0, 0);
        self.next_page(rows)?;
        let found = if rows == 0 { self.dictionary.is_some() } else { self.rows as u64 == rows };
        if !found {
            return Err(self.fault(piece.bytes.start, "a page is another than its page index says"));
        }
        self.taken = (self.next_row - piece.rows.start).min(rows) as usize;
        Ok(())
    }

    /// Which of the next `rows` have a value that the column cannot have, and why.
    pub(super) fn misfits(&self, rows: usize) -> impl Iterator<Item = (usize, &str)> {
        let before = |end: usize| self.misfits.partition_point(|(row, _)| *row < end);
        let inside = &self.misfits[before(self.taken)..before(self.taken + rows)];
        inside.iter().map(|(row, reason)| (row - self.taken, reason.as_str()))
    }

    /// Puts the next `rows` in place of those of `column`.
    pub(super) fn take(&mut self, rows: usize, column: &mut Column) {
        let range = self.taken..self.taken + rows;
        self.taken = range.end;
        self.next_row += rows as u64;
        column.present.clear();
        if !self.page.present.is_empty() {
            column.present.extend_from_slice(&self.page.present[range.clone()]);
        }
        match (&self.page.values, &mut column.values) {
            (Values::Int(page), Values::Int(into)) => refill(into, &page[range]),
            (Values::Float(page), Values::Float(into)) => refill(into, &page[range]),
            (Values::Double(page), Values::Double(into)) => refill(into, &page[range]),
            (Values::Date(page), Values::Date(into)) => refill(into, &page[range]),
            (Values::Text(page), Values::Text(into)) => {
                into.bytes = Arc::clone(&page.bytes);
                refill(&mut into.spans, &page.spans[range]);
            }
            (page, into) => *into = slice(page, range),
        }
    }

    /// Checks what is left of the chunk when all rows were taken.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let start = self.window.at;
        if let Some(checksum) = self.checksum {
            while self.window.at < self.window.end {
                let piece = WINDOW_BYTES.min((self.window.end - self.window.at) as usize);
                self.fill(piece)?;
                self.window.advance(piece);
            }
            let found = self.window.hasher.take().map(|hasher| hasher.sum());
            if found != Some(checksum) {
                return Err(self.fault(start, "the checksum of its column chunk is not that of its bytes"));
            }
        }
        if self.pieces.is_none() {
            self.window.advance_to_end();
        }
        Ok(())
    }

    #[cold]
    fn fault(&self, byte: u64, reason: &str) -> Error {
        damaged(&self.path, byte, &format!("column {}: {reason}", self.leaf.name))
    }

    /// Sees that `count` bytes are in the window, of which the chunk has as many.
    fn fill(&mut self, count: usize) -> Result<(), Error> {
        let window = &mut self.window;
        let have = window.bytes.len() - window.used;
        if have < count {
            window.bytes.drain(..window.used);
            window.used = 0;
            let left = usize::try_from(window.end - window.at).unwrap_or(usize::MAX);
            window.bytes.resize(count.max(WINDOW_BYTES).min(left), 0);
            let at = window.at + have as u64;
            let read =
                self.file.read_at(&mut window.bytes[have..], at).map_err(Error::file("read", &self.path))?;
            if have + read < window.bytes.len() {
                return Err(self.fault(at + read as u64, "the file ends inside of a column chunk"));
            }
        }
        Ok(())
    }

    /// The next page's header and how long it is.
    fn header(&mut self) -> Result<(Header, usize), Error> {
        let at = self.window.at;
        let left = usize::try_from(self.window.end - at).unwrap_or(usize::MAX);
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

    /// Decodes the next page that has rows, or the dictionary.
    fn next_page(&mut self, left: u64) -> Result<(), Error> {
        let at = self.window.at;
        if at >= self.window.end {
            return Err(self.fault(at, "its pages have fewer rows than its footer says"));
        }
        let (header, length) = self.header()?;
        let behind = self.window.end - at - length as u64;
        if header.compressed as u64 > behind {
            return Err(self.fault(at, "a page is larger than its column chunk"));
        }
        if header.decompressed > MOST_PAGE_BYTES || header.values > MOST_PAGE_VALUES {
            return Err(
                self.fault(at, "a page would be larger than this program reads (512 MiB, 16 million values)")
            );
        }
        self.window.advance(length);
        self.fill(header.compressed)?;
        if let Some(said) = header.checksum
            && self.checksum.is_none()
            && checksum([&self.window.rest()[..header.compressed]]) != said
        {
            return Err(self.fault(at, "the checksum of a page is not that of its bytes"));
        }
        if header.kind == Kind::Dictionary || header.kind == Kind::Data || header.kind == Kind::DataV2 {
            let (levels, page) = self.decompress(at, &header)?;
            if header.kind == Kind::Dictionary {
                self.dictionary = Some(self.values(at, &header, 0, &page, 0, header.values)?);
            } else {
                if header.values as u64 > left {
                    return Err(self.fault(at, "its pages have more rows than its footer says"));
                }
                self.data(at, &header, &levels, &page)?;
            }
        }
        self.window.advance(header.compressed);
        Ok(())
    }

    /// The levels that stand before the values of a second version's page, and the rest decompressed.
    fn decompress(&mut self, at: u64, header: &Header) -> Result<(Vec<u8>, Arc<Vec<u8>>), Error> {
        let bytes = &self.window.rest()[..header.compressed];
        let no_levels = || self.fault(at, "the levels of a page are larger than it");
        let (levels, body) = bytes.split_at_checked(header.levels).ok_or_else(no_levels)?;
        let length = header.decompressed.checked_sub(levels.len()).ok_or_else(no_levels)?;
        let codec = if header.is_compressed { self.codec } else { Codec::Uncompressed };
        let mut page = vec![0; length];
        // Of a page of nulls alone, some writers compress nothing, and others leave that out.
        if !(length == 0 && body.is_empty()) {
            codec
                .decompress(body, &mut page)
                .map_err(|error| self.fault(at, &format!("a page cannot be decompressed ({error})")))?;
        }
        let levels = levels.to_vec();
        self.window.decompressed += header.decompressed as u64;
        Ok((levels, Arc::new(page)))
    }

    /// Decodes the values of a data page.
    fn data(&mut self, at: u64, header: &Header, levels: &[u8], page: &Arc<Vec<u8>>) -> Result<(), Error> {
        let no_levels = || self.fault(at, "the levels of a page cannot be read");
        let mut from = 0;
        let mut present = Vec::new();
        if self.leaf.optional {
            let levels = if header.kind == Kind::DataV2 {
                levels
            } else {
                let (length, rest) = page.split_first_chunk().ok_or_else(no_levels)?;
                let length = u32::from_le_bytes(*length) as usize;
                from = 4 + length;
                rest.get(..length).filter(|_| header.level_encoding == RLE).ok_or_else(no_levels)?
            };
            let mut read = Vec::with_capacity(header.values);
            encodings::runs(levels, 1, header.values, &mut read).ok_or_else(no_levels)?;
            present.extend(read.into_iter().map(|level| level == 1));
        }
        let count = if self.leaf.optional {
            present.iter().filter(|present| **present).count()
        } else {
            header.values
        };
        let Converted { mut values, mut misfits } = match header.encoding {
            RLE_DICTIONARY | PLAIN_DICTIONARY => self.look_up(at, page.get(from..).unwrap_or(&[]), count)?,
            encoding => self.values(at, header, encoding, page, from, count)?,
        };
        if count == header.values {
            present.clear();
        } else {
            if !misfits.is_empty() {
                let rows: Vec<_> = (0..present.len()).filter(|row| present[*row]).collect();
                misfits.iter_mut().for_each(|(index, _)| *index = rows[*index]);
            }
            match &mut values {
                Values::Int(values) => spread(values, &present),
                Values::Float(values) => spread(values, &present),
                Values::Double(values) => spread(values, &present),
                Values::Date(values) => spread(values, &present),
                Values::Text(texts) => spread(&mut texts.spans, &present),
            }
        }
        self.page = Column { values, present };
        self.misfits = misfits;
        (self.rows, self.taken) = (header.values, 0);
        Ok(())
    }

    /// Decodes `count` values from `from` on.
    fn values(
        &self,
        at: u64,
        header: &Header,
        encoding: i64,
        page: &Arc<Vec<u8>>,
        from: usize,
        count: usize,
    ) -> Result<Converted, Error> {
        // A dictionary is plain under either name.
        let plain = header.kind == Kind::Dictionary && !matches!(header.encoding, PLAIN | PLAIN_DICTIONARY);
        let raw = self.leaf.physical.decode(encoding, page, from, count, MOST_PAGE_BYTES).filter(|_| !plain);
        let raw = raw.ok_or_else(|| {
            self.fault(at, &format!("the values of a page cannot be read (encoding {})", header.encoding))
        })?;
        let converted = self.leaf.conversion.convert(raw, self.as_text);
        converted.ok_or_else(|| self.fault(at, "the values of a page are of another type than its column"))
    }

    /// Decodes `count` indices into the dictionary.
    fn look_up(&self, at: u64, bytes: &[u8], count: usize) -> Result<Converted, Error> {
        let no_indices = || self.fault(at, "the indices of a page cannot be read");
        let Some(dictionary) = &self.dictionary else {
            return Err(self.fault(at, "a page has indices into a dictionary that is not there"));
        };
        let mut indices = Vec::with_capacity(count);
        if count > 0 {
            let (width, rest) = bytes.split_first().ok_or_else(no_indices)?;
            encodings::runs(rest, (*width).into(), count, &mut indices).ok_or_else(no_indices)?;
        }
        let gathered = match &dictionary.values {
            Values::Int(values) => gather(values, &indices).map(Values::Int),
            Values::Float(values) => gather(values, &indices).map(Values::Float),
            Values::Double(values) => gather(values, &indices).map(Values::Double),
            Values::Date(values) => gather(values, &indices).map(Values::Date),
            Values::Text(texts) => gather(&texts.spans, &indices)
                .map(|spans| Values::Text(Texts { bytes: Arc::clone(&texts.bytes), spans })),
        };
        let values =
            gathered.ok_or_else(|| self.fault(at, "an index of a page lies beyond its dictionary"))?;
        let misfits = if dictionary.misfits.is_empty() {
            Misfits::new()
        } else {
            let of_dictionary = |index: &u32| {
                let found = dictionary.misfits.binary_search_by_key(&(*index as usize), |misfit| misfit.0);
                Some(dictionary.misfits[found.ok()?].1.clone())
            };
            let rows = indices.iter().enumerate();
            rows.filter_map(|(row, index)| Some((row, of_dictionary(index)?))).collect()
        };
        Ok(Converted { values, misfits })
    }
}

impl Window {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// Goes to a byte of the chunk, from which on it is read up to another one.
    fn jump(&mut self, at: u64, end: u64) {
        let ahead = at.checked_sub(self.at).and_then(|ahead| usize::try_from(ahead).ok());
        if let Some(ahead) = ahead.filter(|ahead| *ahead < self.bytes.len() - self.used) {
            self.used += ahead;
        } else {
            self.bytes.clear();
            self.used = 0;
        }
        (self.at, self.end) = (at, end);
    }

    /// Leaves out what is left.
    fn advance_to_end(&mut self) {
        self.gone += self.end - self.at;
        self.at = self.end;
    }

    /// Uses up `count` bytes, which are there.
    fn advance(&mut self, count: usize) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.bytes[self.used..self.used + count]);
        }
        self.used += count;
        self.at += count as u64;
        self.gone += count as u64;
    }
}

fn gather<T: Copy>(values: &[T], indices: &[u32]) -> Option<Vec<T>> {
    indices.iter().map(|index| values.get(*index as usize).copied()).collect()
}

/// Moves values to their rows, from the last on.
fn spread<T: Copy + Default>(values: &mut Vec<T>, present: &[bool]) {
    let mut next = values.len();
    values.resize(present.len(), T::default());
    for row in (0..present.len()).rev() {
        if present[row] {
            next -= 1;
            values[row] = values[next];
        }
    }
}

fn refill<T: Copy>(into: &mut Vec<T>, from: &[T]) {
    into.clear();
    into.extend_from_slice(from);
}

fn slice(values: &Values, range: std::ops::Range<usize>) -> Values {
    match values {
        Values::Int(values) => Values::Int(values[range].to_vec()),
        Values::Float(values) => Values::Float(values[range].to_vec()),
        Values::Double(values) => Values::Double(values[range].to_vec()),
        Values::Date(values) => Values::Date(values[range].to_vec()),
        Values::Text(texts) => {
            Values::Text(Texts { bytes: Arc::clone(&texts.bytes), spans: texts.spans[range].to_vec() })
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    DataV2,
    Dictionary,
    /// Of no use here.
    Other,
}

/// What stands before a page.
struct Header {
    kind: Kind,
    compressed: usize,
    decompressed: usize,
    checksum: Option<u32>,
    values: usize,
    encoding: i64,
    /// Of the first version.
    level_encoding: i64,
    /// Bytes of levels before the values, in the second version.
    levels: usize,
    is_compressed: bool,
}

impl Header {
    fn of(header: &Value<'_>) -> Option<Self> {
        let size = |value: &Value<'_>, field| usize::try_from(value.size(field)?).ok();
        let (kind, detail) = match header.int(1)? {
            0 => (Kind::Data, header.get(5)?),
            2 => (Kind::Dictionary, header.get(7)?),
            3 => (Kind::DataV2, header.get(8)?),
            _ => (Kind::Other, header),
        };
        let is_second = kind == Kind::DataV2;
        let other = kind == Kind::Other;
        Some(Header {
            kind,
            decompressed: size(header, 2)?,
            compressed: size(header, 3)?,
            checksum: header.int(4).map(|checksum| checksum as u32),
            values: if other { 0 } else { size(detail, 1)? },
            encoding: if other { PLAIN } else { detail.int(if is_second { 4 } else { 2 })? },
            level_encoding: if kind == Kind::Data { detail.int(3)? } else { RLE },
            // Repeated columns are not read, so there are no other levels.
            levels: if is_second { size(detail, 5)?.checked_add(size(detail, 6)?)? } else { 0 },
            is_compressed: !is_second || detail.bool(7).unwrap_or(true),
        })
    }
}

//! Pages: rows of several lines, each opened by a header.
//!
//! A split has the pages whose headers start in its range, whole: its reader passes over the lines before the first of them and
//! reads on behind the range to the next header. So a page is never torn, whatever the cuts, and the extents of splits meet as
//! those of other rows do. The first split of a file also has the lines before its first header, as a page without an address. Which
//! line is a header, the line alone tells, so nothing needs to be proven.

use std::ops::Range;

use super::fault::{Fault, Judge};
use super::field::FieldDeserializer;
use super::window::{Stage, Window};
use super::{MAX_ROW_BYTES, Source, WantedField};
use crate::Error;
use crate::formats::columns::BatchBuilder;
use crate::formats::row::{EachRow, Fields, TakeRow};
use crate::input::{Block, Row};
use crate::tables::pages::page_url;
use memchr::{memchr, memmem};

/// What stands where a header may be.
const BEFORE_HEADER: &[u8] = b"\nhttp";
/// How far behind a split's end its last page's end is looked for at first.
const TAIL_BYTES: usize = 16 << 10;

/// Whether this text is read as one page with this address; without one, at the start of a file.
pub(super) fn is_one_page(url: &[u8], text: &[u8]) -> bool {
    let line =
        |start: usize| &text[start..memchr(b'\n', &text[start..]).map_or(text.len(), |end| start + end)];
    let mut others = memmem::find_iter(text, BEFORE_HEADER).map(|newline| line(newline + 1));
    !text.is_empty()
        && page_url(line(0)).unwrap_or_default() == url
        && others.all(|line| page_url(line).is_none())
}

/// Reads the pages of one split.
pub(crate) struct PageReader {
    source: Source,
    window: Window,
    finder: Box<memmem::Finder<'static>>,
    judge: Judge,
    stage: Stage,
    /// Position of the page to be given next.
    start: usize,
    /// Position behind which its end is yet to be found.
    searched: usize,
    /// Offset behind the last byte at which a page of this split may start.
    end: u64,
    extent: Range<u64>,
}

impl PageReader {
    /// Opens the file and reads nothing yet.
    pub(crate) fn open(source: Source) -> Result<Self, Error> {
        let window = Window::of_split(&source, TAIL_BYTES)?;
        let first = window.next_offset();
        Ok(PageReader {
            finder: Box::new(memmem::Finder::new(BEFORE_HEADER)),
            judge: Judge { unproven_start: None },
            stage: Stage::New,
            start: window.filled(),
            searched: window.filled(),
            end: if source.compression.is_some() { u64::MAX } else { source.range.end },
            extent: first..first,
            window,
            source,
        })
    }

    /// The bytes of the pages that were read; of a compressed file, all that was gone through.
    pub(crate) fn extent(&self) -> Range<u64> {
        self.window.source().compressed_bytes().map_or(self.extent.clone(), |bytes| 0..bytes)
    }

    /// Reads the next block and gives the pages that end in it; `None` at the end.
    pub(crate) fn next_block<R: Row>(&mut self, emit: impl FnMut(R::Of<'_>)) -> Result<Option<Block>, Error> {
        self.read_block(&mut EachRow::<R, _>::new(emit))
    }

    /// Reads the next block and appends the pages that end in it to a batch; `None` at the end.
    pub(crate) fn next_batch(&mut self, batch: &mut BatchBuilder) -> Result<Option<Block>, Error> {
        self.read_block(batch)
    }

    fn read_block(&mut self, rows_to: &mut impl TakeRow) -> Result<Option<Block>, Error> {
        if self.stage == Stage::New {
            self.find_first_page()?;
        }
        if self.stage == Stage::Done {
            return Ok(None);
        }
        let mark = self.window.mark(self.start);
        self.fill()?;
        let mut block = Block::default();
        while self.stage == Stage::Reading {
            let next = match self.next_header(self.searched) {
                Ok(next) => next,
                Err(_) if self.window.at_end() => self.window.filled(),
                Err(searched) => {
                    self.searched = searched;
                    break;
                }
            };
            if next > self.start {
                self.give(next, &mut block, rows_to)?;
            }
            (self.start, self.searched) = (next, next);
            if next == self.window.filled() || self.window.offset_of(next) >= self.end {
                self.stage = Stage::Done;
            }
        }
        self.extent.end = self.window.offset_of(self.start);
        self.window.note(&mark, self.start, &mut block);
        Ok(Some(block))
    }

    /// Gives the page that ends at `next`.
    fn give(&mut self, next: usize, block: &mut Block, rows_to: &mut impl TakeRow) -> Result<(), Error> {
        let text = &self.window.text()[self.start..next];
        let line = &text[..memchr(b'\n', text).unwrap_or(text.len())];
        let fields =
            PageFields { url: page_url(line).unwrap_or_default(), text, wanted: &self.source.wanted };
        match rows_to.take(fields) {
            Ok(()) => block.rows += 1,
            Err(error) => {
                let (field, reason) = error.into_parts();
                let fault = Fault { record: self.start..next, field, reason, skippable: true };
                self.judge.decide(&self.source, &self.window, fault)?;
                block.bad_records += 1;
            }
        }
        Ok(())
    }

    /// Position of the first header behind a newline at `from` or later; or else from where to look on once there is more.
    fn next_header(&self, mut from: usize) -> Result<usize, usize> {
        let text = self.window.text();
        while let Some(found) = self.finder.find(&text[from..]) {
            let line = from + found + 1;
            match memchr(b'\n', &text[line..]) {
                None => return Err(line - 1),
                Some(length) if page_url(&text[line..line + length]).is_some() => return Ok(line),
                Some(length) => from = line + length,
            }
        }
        Err(from.max(text.len().saturating_sub(BEFORE_HEADER.len() - 1)))
    }

    /// Looks for the first header in a range that starts inside a file.
    fn find_first_page(&mut self) -> Result<(), Error> {
        self.stage = Stage::Reading;
        if self.source.range.start == 0 {
            return Ok(());
        }
        loop {
            // Nothing before `searched` is of this split.
            self.start = self.searched;
            self.fill()?;
            match self.next_header(self.searched) {
                Ok(line) if self.window.offset_of(line) < self.end => {
                    (self.start, self.searched) = (line, line);
                    let offset = self.window.offset_of(line);
                    self.extent = offset..offset;
                    return Ok(());
                }
                Err(searched) if !self.window.at_end() && self.window.offset_of(searched) + 1 < self.end => {
                    self.searched = searched;
                }
                _ => {
                    self.stage = Stage::Done;
                    return Ok(());
                }
            }
        }
    }

    /// Reads the next block, unless all was read, and keeps what stands at `start`.
    fn fill(&mut self) -> Result<(), Error> {
        if self.window.at_end() {
            return Ok(());
        }
        let pending = self.window.filled() - self.start;
        if pending > MAX_ROW_BYTES {
            let fault = Fault {
                record: self.start..self.window.filled(),
                field: None,
                reason: format!("a page may be up to {} MiB long", MAX_ROW_BYTES >> 20),
                skippable: false,
            };
            return self.judge.decide(&self.source, &self.window, fault).map(drop);
        }
        let left = usize::try_from(self.end.saturating_sub(self.window.next_offset())).unwrap_or(usize::MAX);
        // By at least as much as there is, so that a page of any length is copied a few times only.
        let bytes = self.source.block_bytes.min(left.saturating_add(TAIL_BYTES)).max(pending);
        let bytes = bytes.min(MAX_ROW_BYTES + 1 - pending);
        let before = self.start;
        self.start = self.window.refill(before, bytes).map_err(Error::file("read", &self.source.path))?;
        self.searched = self.searched - before + self.start;
        if self.window.at_end() {
            self.window.end_with_newline();
        }
        Ok(())
    }
}

/// The wanted columns of a page.
#[derive(Clone, Copy)]
struct PageFields<'a> {
    url: &'a [u8],
    text: &'a [u8],
    wanted: &'a [WantedField],
}

impl<'a> Fields<'a> for PageFields<'a> {
    type Field = FieldDeserializer<'a>;

    #[inline]
    fn count(self) -> usize {
        self.wanted.len()
    }

    #[inline]
    fn field(self, index: usize) -> FieldDeserializer<'a> {
        FieldDeserializer::of_text(if self.wanted[index].column == 0 { self.url } else { self.text })
    }
}

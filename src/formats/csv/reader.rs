//! One split as rows: blocks, chunks, and the fast way through them.

use std::ops::Range;

use super::careful::CarefulRow;
use super::fault::{Fault, Judge, Verdict};
use super::field::FieldDeserializer;
use super::index::{Instructions, SLACK, Tally};
use super::window::{Stage, Window};
use super::{Dialect, MAX_ROW_BYTES, Source, WantedField};
use crate::Error;
use crate::formats::columns::BatchBuilder;
use crate::formats::field_error::FieldError;
use crate::formats::row::{EachRow, Fields, TakeRow};
use crate::input::{Block, MISCUT, PassedOver, Row};

/// How much text is indexed at once: it and its index fit the first cache together.
const CHUNK_BYTES: usize = 16 << 10;
/// How far behind a split's end its last row is looked for at first.
const TAIL_BYTES: usize = 4 << 10;

/// Reads the rows of one split.
pub(crate) struct CsvReader {
    source: Source,
    dialect: Dialect,
    window: Window,
    instructions: Instructions,
    /// Positions of the newline before the next row, and of every mark behind it that was scanned; the rest is room.
    ends: Vec<u32>,
    /// Which of `ends` are meant.
    known: Range<usize>,
    /// Whether there is a quote among the marks of the row that the last chunk cut.
    quote_left_over: bool,
    /// Position up to which the window was scanned.
    scanned: usize,
    row: CarefulRow,
    judge: Judge,
    stage: Stage,
    /// Offset behind the last byte at which a row may start; of a compressed text it shows only when all is read.
    end: u64,
    extent: Range<u64>,
    filtered_rows: u64,
}

impl CsvReader {
    /// Reads nothing yet, but says what will be read.
    pub(crate) fn open(source: Source) -> Result<Self, Error> {
        let window = Window::of_split(&source, TAIL_BYTES)?;
        let first = window.next_offset();
        let front = window.filled();
        Ok(CsvReader {
            dialect: Dialect::of(&source.table),
            instructions: Instructions::detect(),
            ends: vec![front as u32 - 1],
            known: 0..1,
            quote_left_over: false,
            scanned: front,
            row: CarefulRow::default(),
            judge: Judge { unproven_start: None },
            stage: Stage::New,
            end: if source.compression.is_some() { u64::MAX } else { source.range.end },
            extent: first..first,
            filtered_rows: 0,
            window,
            source,
        })
    }

    /// The bytes of the rows that were read, or [`MISCUT`]; of a compressed file, all that was gone through.
    pub(crate) fn extent(&self) -> Range<u64> {
        self.window.source().compressed_bytes().map_or(self.extent.clone(), |bytes| 0..bytes)
    }

    /// What was left out so far.
    pub(crate) fn passed_over(&self) -> PassedOver {
        PassedOver { filtered_rows: self.filtered_rows, ..PassedOver::default() }
    }

    /// Reads and parses the next block and gives its rows; `None` at the end.
    pub(crate) fn next_block<R: Row>(&mut self, emit: impl FnMut(R::Of<'_>)) -> Result<Option<Block>, Error> {
        self.read_block(&mut EachRow::<R, _>::new(emit))
    }

    /// Reads and parses the next block into a batch of the wanted columns; `None` at the end.
    pub(crate) fn next_batch(&mut self, batch: &mut BatchBuilder) -> Result<Option<Block>, Error> {
        self.read_block(batch)
    }

    fn read_block(&mut self, rows_to: &mut impl TakeRow) -> Result<Option<Block>, Error> {
        if self.stage == Stage::New {
            self.find_first_row()?;
        }
        if self.stage == Stage::Done {
            return Ok(None);
        }
        let start = self.window.mark(self.row_start());
        let mut block = Block::default();
        if self.scanned == self.window.filled() {
            self.fill()?;
        }
        // At the end there is something to do even if nothing was read: a row without an end is an error.
        while self.stage == Stage::Reading && (self.scanned < self.window.filled() || self.window.at_end()) {
            let tally = self.scan_chunk();
            match self.plain_rows(tally) {
                Some(rows) => self.read_plain(rows, &mut block, rows_to)?,
                None => self.read_careful(&mut block, rows_to)?,
            }
            let next = self.window.offset_of(self.row_start());
            if next >= self.end {
                self.stage = Stage::Done;
            }
        }
        if self.extent != MISCUT {
            self.extent.end = self.window.offset_of(self.row_start());
            self.window.note(&start, self.row_start(), &mut block);
        }
        Ok(Some(block))
    }

    /// Position of the next row.
    fn row_start(&self) -> usize {
        self.ends[self.known.start] as usize + 1
    }

    /// A range that starts inside a file starts with the row behind the first newline, if that is in the range.
    fn find_first_row(&mut self) -> Result<(), Error> {
        self.stage = Stage::Reading;
        let range = self.source.range.clone();
        if range.start == 0 {
            return Ok(());
        }
        while self.window.next_offset() < range.end {
            let bytes =
                self.source.block_bytes.min((range.end - self.window.next_offset()) as usize + TAIL_BYTES);
            let kept = self
                .window
                .refill(self.window.filled(), bytes)
                .map_err(Error::file("read", &self.source.path))?;
            let Some(before) = self.window.text()[kept..].iter().position(|byte| *byte == b'\n') else {
                continue;
            };
            self.ends[0] = (kept + before) as u32;
            self.scanned = self.row_start();
            let start = self.window.offset_of(self.scanned);
            if start >= range.end {
                break;
            }
            self.extent = start..start;
            if self.dialect.quoted {
                self.judge.unproven_start = Some(start);
            }
            if self.window.at_end() {
                self.window.end_with_newline();
            }
            return Ok(());
        }
        self.stage = Stage::Done;
        Ok(())
    }

    /// Reads the next block behind the row that the last one cut.
    fn fill(&mut self) -> Result<(), Error> {
        let row_start = self.row_start();
        let pending = self.window.filled() - row_start;
        if pending > MAX_ROW_BYTES {
            let fault = Fault {
                record: row_start..self.window.filled(),
                field: None,
                reason: format!(
                    "a row may be up to {} MiB long (is a quote not closed?)",
                    MAX_ROW_BYTES >> 20
                ),
                skippable: false,
            };
            return self.decide(fault).map(|_| ());
        }
        let left = self.end.saturating_sub(self.window.next_offset());
        let bytes = self
            .source
            .block_bytes
            .min(usize::try_from(left).unwrap_or(usize::MAX).saturating_add(TAIL_BYTES));
        // By at least as much as there is, so that a row of any length is gone through a few times only.
        let bytes = bytes.max(pending).min(MAX_ROW_BYTES + 1 - pending);
        let kept = self.window.refill(row_start, bytes).map_err(Error::file("read", &self.source.path))?;
        for end in &mut self.ends[self.known.clone()] {
            *end = end.wrapping_add(kept as u32).wrapping_sub(row_start as u32);
        }
        self.scanned = self.window.fresh();
        if self.window.at_end() {
            self.window.end_with_newline();
            self.end = self.end.min(self.window.next_offset());
        }
        Ok(())
    }

    /// Indexes the next chunk.
    fn scan_chunk(&mut self) -> Tally {
        self.ends.copy_within(self.known.clone(), 0);
        self.known = 0..self.known.len();
        // As in `fill`: a row longer than a chunk is walked again with every chunk, so these grow with it.
        let length = CHUNK_BYTES.max(self.scanned - self.row_start());
        // Chunks end on cache lines.
        let end = ((self.scanned + length) / 64 * 64).min(self.window.filled());
        let room = self.known.end + (end - self.scanned) + SLACK;
        if room > self.ends.len() {
            self.ends.resize(room, 0);
        }
        let text = &self.window.text()[self.scanned..end];
        let base = self.scanned as u32;
        self.scanned = end;
        self.instructions.scan(text, base, self.dialect.marks, &mut self.ends, &mut self.known.end)
    }

    /// How many whole rows the index holds, if they are all of this split and plain: as many fields as columns, no quotes.
    fn plain_rows(&self, tally: Tally) -> Option<usize> {
        let columns = self.dialect.columns;
        if self.dialect.quoted && (tally.any_quote || self.quote_left_over) {
            return None;
        }
        if self.window.offset_of(self.scanned) > self.end {
            return None;
        }
        let ends = &self.ends[1..self.known.end];
        // Each row's last mark is a newline, and there are no more newlines than rows: so every other mark is a delimiter.
        let rows = ends.len() / columns;
        let text = self.window.text();
        let plain = tally.newlines == rows
            && ends.chunks_exact(columns).all(|row| text[row[columns - 1] as usize] == b'\n');
        plain.then_some(rows)
    }

    /// Reads rows that [`Self::plain_rows`] has checked.
    fn read_plain(
        &mut self,
        rows: usize,
        block: &mut Block,
        rows_to: &mut impl TakeRow,
    ) -> Result<(), Error> {
        let columns = self.dialect.columns;
        let mut first = 0;
        loop {
            let text = self.window.text();
            let ends = &self.ends[..];
            let wanted = &self.source.wanted[..];
            let filter = &self.source.filter;
            let mut failed = None;
            for row in first..rows {
                let ends = &ends[row * columns..=(row + 1) * columns];
                let fields = PlainFields { text, ends, wanted };
                if filter.leaves_out(fields) {
                    self.filtered_rows += 1;
                    continue;
                }
                if let Err(error) = rows_to.take(fields) {
                    failed = Some((row, error));
                    break;
                }
            }
            let Some((row, error)) = failed else {
                block.rows += (rows - first) as u64;
                break;
            };
            block.rows += (row - first) as u64;
            let record = ends[row * columns] as usize + 1..ends[(row + 1) * columns] as usize;
            if self.unreadable(record, error)? == Verdict::Miscut {
                return Ok(());
            }
            block.bad_records += 1;
            first = row + 1;
        }
        self.known.start = rows * columns;
        self.quote_left_over = false;
        Ok(())
    }

    /// Reads the rows of the index one by one, whatever they are, up to the end of the split.
    fn read_careful(&mut self, block: &mut Block, rows_to: &mut impl TakeRow) -> Result<(), Error> {
        while self.window.offset_of(self.row_start()) < self.end {
            let text = self.window.text();
            let start = self.row_start();
            let Some(last) = self.row.walk(text, &self.ends[self.known.clone()], self.dialect) else {
                if !(self.window.at_end() && self.scanned == self.window.filled()) {
                    break;
                }
                let record = start..text.len();
                if self.misfit(record, "a quoted field is not closed".to_owned())? == Verdict::Skip {
                    block.bad_records += 1;
                }
                self.known.start = self.known.end - 1;
                self.ends[self.known.start] = self.window.filled() as u32 - 1;
                return Ok(());
            };
            let next = self.known.start + last;
            let record = start..self.ends[next] as usize;
            let verdict = if self.row.is_blank() && self.dialect.skips_blank_lines() {
                None
            } else if let Some(reason) = self.row.misfit(self.dialect) {
                Some(self.misfit(record, reason)?)
            } else {
                self.row.unescape(text, &self.source.wanted);
                let fields = self.row.fields(text, &self.source.wanted);
                let is_outside = self.source.filter.leaves_out(fields);
                self.filtered_rows += u64::from(is_outside);
                match if is_outside { Ok(()) } else { rows_to.take(fields) } {
                    Ok(()) => {
                        block.rows += 1;
                        None
                    }
                    Err(error) => Some(self.unreadable(record, error)?),
                }
            };
            match verdict {
                Some(Verdict::Miscut) => return Ok(()),
                Some(Verdict::Skip) => block.bad_records += 1,
                None => {}
            }
            self.known.start = next;
        }
        let text = self.window.text();
        let left_over = &self.ends[self.known.start + 1..self.known.end];
        self.quote_left_over = left_over.iter().any(|end| text[*end as usize] == self.dialect.marks.quote);
        Ok(())
    }

    #[cold]
    fn unreadable(&mut self, record: Range<usize>, error: FieldError) -> Result<Verdict, Error> {
        let (field, reason) = error.into_parts();
        self.decide(Fault { record, field, reason, skippable: true })
    }

    #[cold]
    fn misfit(&mut self, record: Range<usize>, reason: String) -> Result<Verdict, Error> {
        self.decide(Fault { record, field: None, reason, skippable: true })
    }

    fn decide(&mut self, fault: Fault) -> Result<Verdict, Error> {
        let verdict = self.judge.decide(&self.source, &self.window, fault)?;
        if verdict == Verdict::Miscut {
            self.stage = Stage::Done;
            self.extent = MISCUT;
        }
        Ok(verdict)
    }
}

/// The wanted fields of a plain row.
#[derive(Clone, Copy)]
struct PlainFields<'a> {
    text: &'a [u8],
    /// The newline before the row and the mark behind each field.
    ends: &'a [u32],
    wanted: &'a [WantedField],
}

impl<'a> Fields<'a> for PlainFields<'a> {
    type Field = FieldDeserializer<'a>;

    #[inline]
    fn count(self) -> usize {
        self.wanted.len()
    }

    #[inline]
    fn field(self, index: usize) -> FieldDeserializer<'a> {
        let WantedField { column, is_wide } = self.wanted[index];
        let text = &self.text[self.ends[column] as usize + 1..self.ends[column + 1] as usize];
        let is_last = column + 2 == self.ends.len();
        FieldDeserializer {
            text: if is_last { text.strip_suffix(b"\r").unwrap_or(text) } else { text },
            is_wide,
        }
    }
}

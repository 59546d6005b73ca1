//! What happens when a record is bad. Nothing here is fast, and nothing here runs while all is well.

use std::io;
use std::ops::Range;

use super::text::{BYTE_ORDER_MARK, Text};
use super::window::Window;
use super::{Dialect, Source};
use crate::input::BadRecords;
use crate::{BadRecord, Error};

/// What the reader does about a bad record that is not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Goes on behind it.
    Skip,
    /// Stops: the split started inside a quoted field, so what it takes for rows are none.
    Miscut,
}

/// A misfit of a record.
pub(super) struct Fault {
    /// Where the record stands in the window.
    pub(super) record: Range<usize>,
    /// Which field of the query's struct could not be read, where one is to blame.
    pub(super) field: Option<usize>,
    pub(super) reason: String,
    /// Whether the reader can go on behind it.
    pub(super) skippable: bool,
}

/// Decides about the bad records of one split.
pub(super) struct Judge {
    /// Offset of the split's first row, while it may still turn out to be in the middle of a quoted field.
    pub(super) unproven_start: Option<u64>,
}

impl Judge {
    #[cold]
    pub(super) fn decide(
        &mut self,
        source: &Source,
        window: &Window,
        fault: Fault,
    ) -> Result<Verdict, Error> {
        let byte = window.offset_of(fault.record.start);
        let skip = fault.skippable && source.bad_records == BadRecords::Skip;
        if skip && self.unproven_start.is_none() {
            return Ok(Verdict::Skip);
        }
        // A text is read from its start to prove a split or to count lines: both happen once at most.
        let start = self.unproven_start.take();
        let until = if skip { start.unwrap_or(0) } else { byte };
        let survey = (window.source().again())
            .and_then(|text| Survey::of(text, Dialect::of(&source.table), start.unwrap_or(0), until))
            .map_err(Error::file("read", &source.path))?;
        if !survey.starts_row {
            return Ok(Verdict::Miscut);
        }
        if skip {
            return Ok(Verdict::Skip);
        }
        let record = &window.text()[fault.record];
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        Err(Error::BadRecord(Box::new(BadRecord {
            path: source.path.to_path_buf(),
            byte,
            decompressed: source.compression.is_some(),
            line: Some(survey.newlines + 1),
            row: None,
            column: fault
                .field
                .map(|field| source.table.columns[source.wanted[field].column].name.to_owned()),
            reason: fault.reason,
            text: BadRecord::shorten(record.strip_suffix(b"\r").unwrap_or(record)),
        })))
    }
}

/// What is only known after reading a text from its start.
struct Survey {
    /// Whether a row starts at the offset asked about.
    starts_row: bool,
    /// Newlines before the other offset asked about.
    newlines: u64,
}

impl Survey {
    /// Reads up to `until`, which is not before `start`, with an eye on quotes.
    fn of(mut text: Text, dialect: Dialect, start: u64, until: u64) -> io::Result<Self> {
        #[derive(PartialEq)]
        enum State {
            RowStart,
            FieldStart,
            Plain,
            Quoted,
            /// Behind a quote in a quoted field: its end, unless another follows.
            AfterQuote,
        }
        let mut survey = Survey { starts_row: start == 0, newlines: 0 };
        let mut state = State::RowStart;
        text.will_read(0..until);
        let mut buffer = vec![0; 256 << 10];
        let mut offset = 0;
        while offset < until {
            let length = (until - offset).min(buffer.len() as u64) as usize;
            let length = text.read_at(&mut buffer[..length], offset)?;
            if text.end().is_some_and(|end| end < until) {
                return Err(io::Error::other("it changed while it was read"));
            }
            // Of a compressed text, which may come in smaller pieces, nobody asks where a row starts.
            let marked = offset == 0 && buffer[..length].starts_with(BYTE_ORDER_MARK);
            let mark_bytes = if marked { BYTE_ORDER_MARK.len() as u64 } else { 0 };
            for &byte in &buffer[..length] {
                let quote = dialect.quoted && byte == dialect.marks.quote;
                survey.newlines += u64::from(byte == b'\n');
                state = match state {
                    _ if offset < mark_bytes => State::RowStart,
                    State::RowStart | State::FieldStart | State::AfterQuote if quote => State::Quoted,
                    State::Quoted if quote => State::AfterQuote,
                    State::Quoted => State::Quoted,
                    _ if byte == b'\n' => State::RowStart,
                    _ if byte == dialect.marks.delimiter => State::FieldStart,
                    _ => State::Plain,
                };
                offset += 1;
                if offset == start {
                    survey.starts_row = state == State::RowStart;
                }
            }
        }
        Ok(survey)
    }
}

//! The rows of one side of some keys on disk.

use crate::Error;
use crate::exchange::{Row, Rows};
use crate::memory::{Sequence, SequenceReader, SpillFile};

/// Rows that come one by one are written together once they take so much.
const TOGETHER_BYTES: usize = 4 << 10;

/// Rows that are written.
pub(super) struct RowsOnDisk {
    sequence: Sequence<Rows>,
    rows: u64,
    together: Rows,
}

/// Rows that are read, in the order in which they were written.
pub(super) struct RowsReader {
    sequence: SequenceReader<Rows>,
    rows: u64,
}

impl RowsOnDisk {
    /// Without rows; written in blocks of about so many bytes.
    pub(super) fn new(block_bytes: usize) -> Self {
        RowsOnDisk { sequence: Sequence::in_blocks_of(block_bytes), rows: 0, together: Rows::default() }
    }

    pub(super) fn write(&mut self, rows: &Rows, file: &mut SpillFile) -> Result<(), Error> {
        self.rows += rows.len() as u64;
        self.sequence.write(rows, file)
    }

    pub(super) fn write_row(&mut self, row: Row<'_>, file: &mut SpillFile) -> Result<(), Error> {
        self.together.push_row(row).map_err(Error::Data)?;
        if self.together.used_bytes() < TOGETHER_BYTES { Ok(()) } else { self.write_together(file) }
    }

    fn write_together(&mut self, file: &mut SpillFile) -> Result<(), Error> {
        self.rows += self.together.len() as u64;
        self.sequence.write(&self.together, file)?;
        self.together.clear();
        Ok(())
    }

    /// Brings to the file what waits of it, and gives its memory back.
    pub(super) fn end(&mut self, file: &mut SpillFile) -> Result<(), Error> {
        if !self.together.is_empty() {
            self.write_together(file)?;
        }
        self.together = Rows::default();
        self.sequence.end(file)
    }

    pub(super) fn read(mut self, file: &mut SpillFile) -> Result<RowsReader, Error> {
        self.end(file)?;
        Ok(RowsReader { rows: self.rows, sequence: self.sequence.read(file)? })
    }

    /// Reads what was written, which has ended and stays to be read.
    pub(super) fn read_again(&self) -> RowsReader {
        RowsReader { rows: self.rows, sequence: self.sequence.read_again() }
    }

    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0 && self.together.is_empty()
    }

    /// Bytes of memory that what is under way takes.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.sequence.waiting_bytes() + self.together.allocated_bytes()
    }
}

impl RowsReader {
    /// All rows, read or not.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Some rows; none after the last.
    pub(super) fn next(&mut self, file: &mut SpillFile) -> Result<Option<Rows>, Error> {
        self.sequence.next(file)
    }

    /// Goes back to the first row.
    pub(super) fn rewind(&mut self) {
        self.sequence.rewind();
    }
}

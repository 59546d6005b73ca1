//! One split of a column format as rows.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::{Batch, RowFilter, Wanted};
use crate::input::{BadRecords, Block, PassedOver, Row};
use crate::tables::Table;
use crate::{BadRecord, Error};

/// Decodes a split, batch by batch.
pub(crate) trait Decode {
    /// Decodes the rows that come next, in place of those in `batch`; `None` at the end. A batch of no rows may come before it.
    fn next_batch(&mut self, batch: &mut Batch) -> Result<Option<Decoded>, Error>;

    /// Which rows of the last batch the query may want. Others have any values.
    fn filter(&self) -> &RowFilter;

    /// Values of these rows that the file has and their columns cannot have, by row. In their place is any value.
    fn misfits(&self) -> &[Misfit] {
        &[]
    }

    /// What was not decoded of what was read so far.
    fn passed_over(&self) -> PassedOver;
}

/// A value that is none of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Index of the row in its batch.
    pub(crate) row: usize,
    /// Index of the column in its batch.
    pub(crate) column: usize,
    pub(crate) reason: String,
}

/// What was gone through for a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Bytes of the file that were read for it.
    pub(crate) bytes: u64,
    /// Bytes they decompressed to.
    pub(crate) decompressed: u64,
    /// Offset of the block it is from.
    pub(crate) block_at: u64,
    /// Rows of the file before its first.
    pub(crate) first_row: u64,
}

/// What rows are read from, decoding aside.
pub(crate) struct ColumnSource {
    pub(crate) path: Arc<Path>,
    pub(crate) table: Table,
    pub(crate) wanted: Arc<[Wanted]>,
    pub(crate) bad_records: BadRecords,
    /// Bytes of the file that are this split.
    pub(crate) range: Range<u64>,
    /// Rows of it in blocks that are passed over.
    pub(crate) unread_rows: u64,
}

/// Reads the rows of one split.
pub(crate) struct ColumnReader<D> {
    source: ColumnSource,
    decoder: D,
    batch: Batch,
}

impl<D: Decode> ColumnReader<D> {
    pub(crate) fn new(source: ColumnSource, decoder: D) -> Self {
        ColumnReader { source, decoder, batch: Batch::default() }
    }

    /// All bytes of the split: its blocks are whole.
    pub(crate) fn extent(&self) -> Range<u64> {
        self.source.range.clone()
    }

    /// Rows and pages of the split that were passed over so far.
    pub(crate) fn passed_over(&self) -> PassedOver {
        let mut passed = self.decoder.passed_over();
        passed.unread_rows += self.source.unread_rows;
        passed
    }

    /// Decodes the next rows into `batch`, without those that have misfits if they are to be skipped; `None` at the end. Whole rows
    /// are read without a filter.
    pub(crate) fn next_batch(&mut self, batch: &mut Batch) -> Result<Option<Block>, Error> {
        let Some(decoded) = self.decoder.next_batch(batch)? else { return Ok(None) };
        let all = batch.rows;
        debug_assert_eq!(self.decoder.filter().runs(), std::slice::from_ref(&(0..all)));
        if let Some(Misfit { row, column, reason }) = self.decoder.misfits().first() {
            if self.source.bad_records == BadRecords::Fail {
                return Err(self.bad_record(decoded, batch, *row, Some(*column), reason.clone()));
            }
            batch.leave_out(self.decoder.misfits().iter().map(|misfit| misfit.row));
        }
        Ok(Some(Block {
            rows: batch.rows as u64,
            bytes: decoded.bytes,
            text_bytes: decoded.decompressed,
            bad_records: (all - batch.rows) as u64,
        }))
    }

    /// Decodes the next batch and gives its rows; `None` at the end.
    pub(crate) fn next_block<R: Row>(
        &mut self,
        mut emit: impl FnMut(R::Of<'_>),
    ) -> Result<Option<Block>, Error> {
        let Some(decoded) = self.decoder.next_batch(&mut self.batch)? else { return Ok(None) };
        let mut block = Block { bytes: decoded.bytes, text_bytes: decoded.decompressed, ..Block::default() };
        let mut misfits = self.decoder.misfits();
        let mut from = 0;
        loop {
            let to = misfits.first().map_or(self.batch.rows, |misfit| misfit.row);
            let runs = self.decoder.filter().runs();
            let (row, field, reason) = match self.batch.read::<R, _>(runs, from..to, &mut emit) {
                Ok(()) => match misfits.first() {
                    Some(Misfit { row, column, reason }) => (*row, Some(*column), reason.clone()),
                    None => break,
                },
                Err((row, error)) => {
                    let (field, reason) = error.into_parts();
                    (row, field, reason)
                }
            };
            if self.source.bad_records == BadRecords::Fail {
                return Err(self.bad_record(decoded, &self.batch, row, field, reason));
            }
            block.bad_records += 1;
            from = row + 1;
            misfits = &misfits[misfits.partition_point(|misfit| misfit.row < from)..];
        }
        block.rows = self.batch.rows as u64 - block.bad_records;
        Ok(Some(block))
    }

    #[cold]
    fn bad_record(
        &self,
        decoded: Decoded,
        batch: &Batch,
        row: usize,
        field: Option<usize>,
        reason: String,
    ) -> Error {
        let columns = self.source.table.columns;
        let is_misfit =
            |column| self.decoder.misfits().iter().any(|misfit| (misfit.row, misfit.column) == (row, column));
        Error::BadRecord(Box::new(BadRecord {
            path: self.source.path.to_path_buf(),
            byte: decoded.block_at,
            decompressed: false,
            line: None,
            row: Some(decoded.first_row + row as u64 + 1),
            column: field.map(|field| columns[self.source.wanted[field].column].name.to_owned()),
            reason,
            text: batch.shown(row, is_misfit),
        }))
    }
}

//! Some blocks of a file as batches.

use std::ops::Range;
use std::sync::Arc;

use super::PackedFile;
use super::values::Cursor;
use crate::Error;
use crate::formats::checksum::checksum;
use crate::formats::columns::{
    Batch, Column, ColumnRange, Decode, Decoded, Misfit, RowFilter, Values, Wanted,
};
use crate::formats::file::PlannedFile;
use crate::input::PassedOver;

/// Rows of a batch: its spans and numbers stay in the second cache beside the regions they are from.
const BATCH_ROWS: usize = 4096;
/// snappy makes at most this many times its bytes: 64 of every 3.
const SNAPPY_MOST: u64 = 22;

/// Decodes some of a file's blocks.
pub(crate) struct PackedDecoder {
    footer: Arc<PackedFile>,
    file: PlannedFile,
    wanted: Arc<[Wanted]>,
    filter: RowFilter,
    /// Which of the wanted columns is read first, second, …: as they lie in the file, which is the order in which they come from a
    /// store.
    order: Vec<usize>,
    blocks: std::vec::IntoIter<usize>,
    current: Option<Current>,
    /// Of each wanted column, its region's bytes, decompressed; kept for the next block's.
    bodies: Vec<Arc<Vec<u8>>>,
    compressed: Vec<u8>,
    /// In place of bytes that are about to be read over.
    nothing: Arc<Vec<u8>>,
    /// Of the last batch.
    misfits: Vec<Misfit>,
    /// Regions of which no value was decoded.
    passed_over: u64,
}

/// The block that is being decoded.
struct Current {
    /// Of each wanted column; none where its region was not read.
    cursors: Vec<Option<Cursor>>,
    block: usize,
    /// Rows that come next.
    rows: Range<usize>,
    /// What was read for it and not told yet.
    unsaid: Decoded,
}

impl PackedDecoder {
    /// Says what will be read, and reads nothing yet. `blocks` are indices into [`PackedFile::blocks`], ascending; rows outside of
    /// `ranges` may be left out.
    pub(crate) fn open(
        footer: &Arc<PackedFile>,
        file: PlannedFile,
        wanted: Arc<[Wanted]>,
        ranges: &[ColumnRange],
        blocks: Vec<usize>,
    ) -> Self {
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        if let Some(block) = blocks.first() {
            order.sort_by_key(|index| footer.region(*block, wanted[*index].column).0.start);
        }
        let region = |block, index: &usize| footer.region(block, wanted[*index].column).0;
        let regions = blocks.iter().flat_map(|block| order.iter().map(move |index| region(*block, index)));
        file.will_read(&regions.collect::<Vec<_>>());
        let bodies = wanted.iter().map(|_| Arc::default()).collect();
        PackedDecoder {
            footer: Arc::clone(footer),
            file,
            filter: RowFilter::new(&wanted, ranges),
            wanted,
            order,
            blocks: blocks.into_iter(),
            current: None,
            bodies,
            compressed: Vec::new(),
            nothing: Arc::default(),
            misfits: Vec::new(),
            passed_over: 0,
        }
    }

    /// Goes to a block, and reads its regions if they come one after the other.
    fn start(&mut self, block: usize) -> Result<Current, Error> {
        let plan = &self.footer.blocks()[block];
        let mut current = Current {
            cursors: self.wanted.iter().map(|_| None).collect(),
            block,
            rows: 0..plan.rows as usize,
            unsaid: Decoded { block_at: plan.bytes.start, ..Decoded::default() },
        };
        if self.file.is_remote() {
            for place in 0..self.order.len() {
                self.read_region(self.order[place], &mut current)?;
            }
        }
        Ok(current)
    }

    /// Decodes the rows that come next of a wanted column, those that are kept, and reads its region first if nobody did.
    fn decode(
        &mut self,
        index: usize,
        current: &mut Current,
        count: usize,
        column: &mut Column,
    ) -> Result<(), Error> {
        if current.cursors[index].is_none() {
            self.read_region(index, current)?;
        }
        let Some(cursor) = &mut current.cursors[index] else { return Ok(()) };
        let rows = current.rows.start..current.rows.start + count;
        let decoded = cursor.decode(&self.bodies[index], rows, self.filter.runs(), column);
        let misfits = decoded.map_err(|what| {
            let column = self.wanted[index].column;
            let at = self.footer.region(current.block, column).0.start;
            self.footer.damaged(at, &format!("in column {}, {what}", self.footer.name(column)))
        })?;
        self.misfits.extend(misfits.into_iter().map(|(row, reason)| Misfit { row, column: index, reason }));
        Ok(())
    }

    /// Reads and checks the region of a wanted column, and leaves its bytes in `bodies`.
    fn read_region(&mut self, index: usize, current: &mut Current) -> Result<(), Error> {
        let Wanted { column, as_text } = self.wanted[index];
        let footer = &*self.footer;
        let (range, region) = footer.region(current.block, column);
        let damaged =
            |what: &str| footer.damaged(range.start, &format!("in column {}, {what}", footer.name(column)));
        // A batch that is still in use keeps the bytes that it had.
        if Arc::get_mut(&mut self.bodies[index]).is_none() {
            self.bodies[index] = Arc::default();
        }
        let Some(body) = Arc::get_mut(&mut self.bodies[index]) else {
            return Err(damaged("its bytes are in use"));
        };
        let stored = if region.snappy { &mut self.compressed } else { &mut *body };
        // Of bytes that the file has, as the footer was checked against its size.
        stored.resize(region.bytes as usize, 0);
        let read = self.file.read_at(stored, range.start).map_err(|source| footer.unreadable(source))?;
        if read < stored.len() {
            return Err(damaged("the file ends early"));
        }
        if checksum([stored]) != region.checksum {
            return Err(damaged("what is there is not what was written"));
        }
        if region.snappy {
            let length =
                snap::raw::decompress_len(&self.compressed).map_err(|error| damaged(&error.to_string()))?;
            if length as u64 > u64::from(region.bytes) * SNAPPY_MOST {
                return Err(damaged("it says that it decompresses to more than it can"));
            }
            body.resize(length, 0);
            let decompressed = snap::raw::Decoder::new().decompress(&self.compressed, body);
            if decompressed.map_err(|error| damaged(&error.to_string()))? != length {
                return Err(damaged("it decompresses to less than it says"));
            }
        }
        current.unsaid.bytes += u64::from(region.bytes);
        current.unsaid.decompressed += body.len() as u64;
        let form = (footer.kind(column), region.encoding);
        let rows = footer.blocks()[current.block].rows as usize;
        current.cursors[index] =
            Some(Cursor::open(body, form, rows, region.nulls, as_text).map_err(damaged)?);
        Ok(())
    }
}

impl Decode for PackedDecoder {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<Option<Decoded>, Error> {
        if batch.columns.len() != self.wanted.len() {
            let column = || Column { values: Values::Int(Vec::new()), present: Vec::new() };
            batch.columns = self.wanted.iter().map(|_| column()).collect();
        }
        let mut current = if let Some(current) = self.current.take() {
            current
        } else {
            let Some(block) = self.blocks.next() else { return Ok(None) };
            // What the last batch shares is read over.
            for column in &mut batch.columns {
                if let Values::Text(texts) = &mut column.values {
                    texts.bytes = Arc::clone(&self.nothing);
                }
            }
            self.start(block)?
        };
        let rows = current.rows.len().min(BATCH_ROWS);
        batch.rows = rows;
        self.misfits.clear();
        self.filter.keep_all(rows);
        for place in 0..self.order.len() {
            let index = self.order[place];
            if self.filter.compares(index) {
                self.decode(index, &mut current, rows, &mut batch.columns[index])?;
            }
        }
        self.filter.narrow(rows, &batch.columns, &self.misfits);
        for place in 0..self.order.len() {
            let index = self.order[place];
            if !self.filter.compares(index) && !self.filter.runs().is_empty() {
                self.decode(index, &mut current, rows, &mut batch.columns[index])?;
            }
        }
        self.misfits.sort_by_key(|misfit| misfit.row);
        let first_row = self.footer.first_row(current.block) + current.rows.start as u64;
        let decoded = Decoded { first_row, ..current.unsaid };
        current.unsaid = Decoded { block_at: decoded.block_at, ..Decoded::default() };
        current.rows.start += rows;
        if current.rows.is_empty() {
            self.passed_over += current.cursors.iter().filter(|cursor| cursor.is_none()).count() as u64;
        } else {
            self.current = Some(current);
        }
        Ok(Some(decoded))
    }

    fn filter(&self) -> &RowFilter {
        &self.filter
    }

    fn misfits(&self) -> &[Misfit] {
        &self.misfits
    }

    fn passed_over(&self) -> PassedOver {
        PassedOver {
            filtered_rows: self.filter.filtered_rows(),
            pages: self.passed_over,
            ..PassedOver::default()
        }
    }
}

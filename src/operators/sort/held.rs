//! Records that wait for the splitters, in the order in which they came.

use std::collections::VecDeque;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::exchange::CONTAINER_RECORDS;
use crate::memory::{Sequence, SequenceReader, held_bytes};
use crate::operators::context::WorkerContext;
use crate::operators::overflow::Overflow;

/// Records of one batch, about.
const BATCH_RECORDS: usize = 2048;

/// Records in the order in which they came, the first of them on disk once memory is short.
pub(super) struct Held<D> {
    batches: VecDeque<Vec<D>>,
    bytes: usize,
    spilled: Sequence<D>,
    reader: Option<SequenceReader<D>>,
    overflow: Overflow,
}

impl<D: Serialize + DeserializeOwned> Held<D> {
    pub(super) fn new(context: Rc<WorkerContext>) -> Self {
        Held {
            batches: VecDeque::new(),
            bytes: 0,
            spilled: Sequence::default(),
            reader: None,
            overflow: Overflow::new(context),
        }
    }

    /// Takes records in, as one batch or with the last.
    pub(super) fn take(&mut self, records: &mut Vec<D>) -> Result<(), Error> {
        self.bytes += held_bytes(records);
        let has_room = |last: &&mut Vec<D>| last.len() + records.len() <= BATCH_RECORDS;
        if records.len() >= BATCH_RECORDS / 2 {
            self.batches.push_back(std::mem::take(records));
        } else if let Some(last) = self.batches.back_mut().filter(has_room) {
            last.append(records);
        } else {
            // What is given with few records may have room for many.
            let mut batch = Vec::with_capacity(BATCH_RECORDS);
            batch.append(records);
            self.batches.push_back(batch);
        }
        self.overflow.seat.hold(self.bytes);
        if self.overflow.must_spill(self.bytes) { self.spill() } else { Ok(()) }
    }

    /// When all have come: makes room for what other workers will send, if this one holds more than its share.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        if self.bytes > self.overflow.seat.share_bytes() { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), Error> {
        self.overflow.count_partition(self.spilled.is_empty());
        let (spilled, batches) = (&mut self.spilled, std::mem::take(&mut self.batches));
        self.overflow.write(|file| {
            batches.into_iter().flatten().try_for_each(|record| spilled.write(&record, file))
        })?;
        self.bytes = 0;
        self.overflow.seat.hold(0);
        Ok(())
    }

    /// The next records; `None` when there are no more.
    pub(super) fn next_batch(&mut self) -> Result<Option<Vec<D>>, Error> {
        if !self.spilled.is_empty() {
            let spilled = std::mem::take(&mut self.spilled);
            self.reader = Some(self.overflow.write(|file| spilled.read(file))?);
        }
        if let Some(reader) = &mut self.reader {
            let mut batch = Vec::with_capacity(CONTAINER_RECORDS);
            while batch.len() < CONTAINER_RECORDS
                && let Some(record) = reader.next(&mut self.overflow.file)?
            {
                batch.push(record);
            }
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
            self.reader = None;
        }
        let batch = self.batches.pop_front();
        self.bytes -= batch.as_deref().map_or(0, held_bytes);
        self.overflow.seat.hold(self.bytes);
        Ok(batch)
    }
}

//! What an operator that holds records of any kind needs to spill them: a seat at the budget, a file, and the counters.

use std::rc::Rc;

use super::context::{WorkerContext, add};
use crate::Error;
use crate::memory::{Seat, SpillFile};

/// Spilling less than this at once makes many small runs; with little memory, a quarter of a share does.
const MOST_WORTHWHILE_BYTES: usize = 4 << 20;

/// Whether what the holder of a seat holds must be spilled, and is worth it.
pub(super) fn must_spill(seat: &Seat, held_bytes: usize) -> bool {
    held_bytes >= (seat.share_bytes() / 4).min(MOST_WORTHWHILE_BYTES) && seat.must_spill()
}

/// What a holder of records needs to spill them.
pub(super) struct Overflow {
    pub(super) seat: Seat,
    pub(super) file: SpillFile,
    context: Rc<WorkerContext>,
}

impl Overflow {
    pub(super) fn new(context: Rc<WorkerContext>) -> Self {
        let memory = &context.process.memory;
        Overflow { seat: memory.seat(), file: SpillFile::new(memory.directory().to_path_buf()), context }
    }

    /// Whether what is held must be spilled, and is worth it.
    pub(super) fn must_spill(&self, held_bytes: usize) -> bool {
        must_spill(&self.seat, held_bytes)
    }

    /// Counts a partition that is about to be spilled, if this is the first time.
    pub(super) fn count_partition(&self, first: bool) {
        add(&self.context.counters.spilled_partitions, u64::from(first));
    }

    /// Writes to the file, and counts what was written.
    pub(super) fn write<T>(
        &mut self,
        write: impl FnOnce(&mut SpillFile) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let before = self.file.written_bytes();
        let outcome = write(&mut self.file);
        add(&self.context.counters.spilled_bytes, self.file.written_bytes() - before);
        outcome
    }
}

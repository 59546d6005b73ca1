//! The empty buffers of an operator behind an exchange: its router fills them with records, and tables of groups are made of them.

use bytemuck::Zeroable;

use crate::exchange::Spare;

/// Empty buffers that are kept, if memory allows.
const MOST_SPARE: usize = 1024;

/// Slots that are cleared at a time.
const ZEROS: usize = 16;

/// Buffers that wait for another use.
#[derive(Debug)]
pub(crate) struct BufferPool<R> {
    spare: Spare<R>,
    /// How many are kept, and for how many records each; the rest goes back to the allocator.
    most: usize,
    records: usize,
}

impl<R> BufferPool<R> {
    /// Buffers for containers of `records`, in at most `bytes`.
    pub(super) fn new(spare: Spare<R>, records: usize, bytes: usize) -> Self {
        let container_bytes = (records * size_of::<R>()).max(1);
        BufferPool { spare, most: (bytes / container_bytes).min(MOST_SPARE), records }
    }

    /// An empty buffer for a container.
    pub(super) fn take(&self) -> Vec<R> {
        self.spare.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(self.records))
    }

    /// Keeps a buffer, if it is one for a container.
    pub(super) fn give(&self, mut buffer: Vec<R>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < self.most && buffer.capacity() >= self.records {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// The slots of a segment of a table, as a power of two: as many as a container has records.
    pub(super) fn shift(&self) -> u32 {
        self.records.max(1).ilog2()
    }

    /// So many slots, all zeros: those of a segment, or at most half as many.
    pub(super) fn zeroed(&self, slots: usize) -> Vec<R>
    where
        R: Zeroable + Copy,
    {
        let mut buffer = if slots >> self.shift() > 0 { self.take() } else { Vec::with_capacity(slots) };
        // Some at a time, which is a copy of bytes; one at a time would be written field by field.
        let zeros = [R::zeroed(); ZEROS];
        while buffer.len() < slots {
            buffer.extend_from_slice(&zeros[..ZEROS.min(slots - buffer.len())]);
        }
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_clear_whatever_was_in_it_and_no_more_is_kept_than_may_be() {
        let pool = BufferPool::new(Spare::<[u8; 3]>::default(), 100, 650);
        assert_eq!((pool.most, pool.shift()), (2, 6));
        for _ in 0..3 {
            pool.give(vec![[7; 3]; 100]);
        }
        pool.give(vec![[7; 3]; 99]);
        assert_eq!(pool.spare.borrow().len(), 2);
        for (slots, left) in [(32, 2), (64, 1), (1, 1), (64, 0), (64, 0)] {
            assert_eq!(pool.zeroed(slots), vec![[0; 3]; slots]);
            assert_eq!(pool.spare.borrow().len(), left);
        }
        assert_eq!(pool.take().capacity(), 100);
    }
}

//! Sorting records into containers, one buffer for each partition of each worker.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Addressed, Body};
use crate::keys::scale;
use crate::prefetch::prefetch;

/// Records of one container, unless memory is short.
pub const CONTAINER_RECORDS: usize = 512;

/// Buffers that are free for another use. A reducer keeps them for the router of its own worker, and the router
/// takes back those whose records were copied to a connection.
pub type Spare<R> = Rc<RefCell<Vec<Vec<R>>>>;

/// One buffer for each partition of each worker.
///
/// ```
/// use millrace::exchange::{CONTAINER_RECORDS, Routed, Router, Spare};
/// use millrace::keys::route_hash;
///
/// let mut router = Router::new(2, 4, CONTAINER_RECORDS, Spare::default());
/// let mut records = 0;
/// for record in 0..10_000u64 {
///     if let Some(full) = router.push(route_hash(record), record) {
///         let container = Routed::new(full.worker, full.partition, full.records);
///         assert_eq!(container.records().len(), CONTAINER_RECORDS);
///         records += CONTAINER_RECORDS;
///         router.reuse(container);
///     }
/// }
/// for target in 0..router.targets() {
///     records += router.take(target).map_or(0, |last| last.records.len());
/// }
/// assert_eq!(records, 10_000);
/// ```
#[derive(Debug)]
pub struct Router<R> {
    buffers: Vec<Vec<R>>,
    /// Partitions of each worker.
    per_worker: usize,
    /// Records of one container.
    container_records: usize,
    spare: Spare<R>,
}

/// What was in a buffer, and where it is to go.
#[derive(Debug)]
pub struct Full<R> {
    /// Index of the worker.
    pub worker: u32,
    /// Which of that worker's partitions.
    pub partition: u32,
    /// Both as one number, below [`Router::targets`].
    pub target: usize,
    /// The records.
    pub records: Vec<R>,
}

impl<R> Router<R> {
    /// A router to `per_worker` partitions of each of `peers` workers, in containers of `container_records`.
    pub fn new(peers: usize, per_worker: usize, container_records: usize, spare: Spare<R>) -> Self {
        let buffers = (0..peers * per_worker).map(|_| Vec::new()).collect();
        Router { buffers, per_worker, container_records: container_records.max(1), spare }
    }

    /// How many partitions there are in all.
    pub fn targets(&self) -> usize {
        self.buffers.len()
    }

    /// Puts a record where its hash belongs, and returns what was in the way.
    #[inline]
    pub fn push(&mut self, hash: u64, record: R) -> Option<Full<R>> {
        self.push_to(scale(hash, self.buffers.len()), record)
    }

    /// Puts a record into the buffer of a partition, and returns what was in the way.
    #[inline]
    pub fn push_to(&mut self, target: usize, record: R) -> Option<Full<R>> {
        let mut full = None;
        if self.buffers[target].len() == self.buffers[target].capacity() {
            full = self.make_room(target);
        }
        // In one place and after the call, which does not see it: a record that had to be in memory for a call would be
        // written field by field and copied as a whole, which stalls until the fields have reached the cache.
        let buffer = &mut self.buffers[target];
        buffer.push(record);
        prefetch(buffer.as_ptr().wrapping_add(buffer.len() + 64 / size_of::<R>().max(1)));
        full
    }

    /// Puts an empty buffer in the place of a full one.
    #[cold]
    fn make_room(&mut self, target: usize) -> Option<Full<R>> {
        let fresh =
            self.spare.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(self.container_records));
        let full = self.take(target);
        self.buffers[target] = fresh;
        full
    }

    /// What a buffer holds, if anything. The next record makes a new one.
    pub fn take(&mut self, target: usize) -> Option<Full<R>> {
        let records = std::mem::take(&mut self.buffers[target]);
        let (worker, partition) = (target / self.per_worker, target % self.per_worker);
        let (worker, partition) = (worker as u32, partition as u32);
        (!records.is_empty()).then_some(Full { worker, partition, target, records })
    }

    /// Takes back what is left of a container after it was given: timely copies what goes to another process, and
    /// leaves the buffer here.
    pub fn reuse<B: Body<Record = R>>(&self, left: Addressed<B>) {
        let buffer = left.into_buffer().filter(|buffer| buffer.capacity() >= self.container_records);
        self.spare.borrow_mut().extend(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Routed;
    use crate::keys::route_hash;

    #[test]
    fn a_buffer_that_comes_back_is_used_again() {
        // Catches an allocation for each container that goes to another process.
        let mut router = Router::new(1, 1, CONTAINER_RECORDS, Spare::default());
        let mut seen = Vec::new();
        for record in 0..10 * CONTAINER_RECORDS as u64 {
            if let Some(full) = router.push(route_hash(record), record) {
                assert_eq!(full.records.len(), CONTAINER_RECORDS);
                seen.push(full.records.as_ptr());
                router.reuse(Routed::new(full.worker, full.partition, full.records));
            }
        }
        assert_eq!(seen.len(), 9);
        seen.sort_unstable();
        seen.dedup();
        assert!(seen.len() <= 2, "{} buffers", seen.len());
    }

    #[test]
    fn records_come_out_where_their_hash_says() {
        // For Miri, enough to fill each target's buffer once.
        const RECORDS: u64 = if cfg!(miri) { 2_500 } else { 20_000 };
        let mut router = Router::new(3, 5, 100, Spare::default());
        let mut records = 0;
        let mut check = |full: Full<u64>| {
            assert_eq!(full.worker as usize * 5 + full.partition as usize, full.target);
            assert!(full.records.iter().all(|&record| scale(route_hash(record), 15) == full.target));
            records += full.records.len();
        };
        for record in 0..RECORDS {
            router.push(route_hash(record), record).map(&mut check);
        }
        for target in 0..router.targets() {
            router.take(target).map(&mut check);
            assert!(router.take(target).is_none());
        }
        assert_eq!(records as u64, RECORDS);
    }
}

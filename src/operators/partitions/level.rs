//! Partitions that spill into one file.

use std::rc::Rc;

use bytemuck::Pod;

use super::unfinished::Unfinished;
use super::unknown_partition;
use crate::Error;
use crate::exchange::Routed;
use crate::keys::{Key, Pair, place_seed};
use crate::memory::SpillFile;
use crate::operators::context::{WorkerContext, add};
use crate::operators::partition::{Partition, Shelf};
use crate::operators::table::GroupTable;

/// Spilling less than this at once would make blocks that a disk reads slowly; with less than this for every
/// partition, a quarter of its share bounds them.
const MOST_WORTHWHILE_BYTES: usize = 1 << 20;

/// Partitions that share a file.
#[derive(Debug)]
pub(super) struct Level<K: Key, V: Pod> {
    pub(super) partitions: Vec<Partition<K, V>>,
    pub(super) file: SpillFile,
    pub(super) context: Rc<WorkerContext>,
    /// Which are still to be given, the next last; `None` while records may come.
    left: Option<Vec<usize>>,
}

impl<K: Key, V: Pod + Send> Level<K, V> {
    pub(super) fn new(
        count: usize,
        generation: usize,
        shelf: &Shelf<K, V>,
        context: Rc<WorkerContext>,
    ) -> Self {
        let empty = |_| Partition::of(GroupTable::placed_by(place_seed(generation)));
        let partitions = (0..count).map(empty).collect();
        let file = SpillFile::new(shelf.seat.budget().directory().to_path_buf());
        Level { partitions, file, context, left: None }
    }

    pub(super) fn take(
        &mut self,
        container: Routed<Pair<K, V>>,
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) -> Result<(), Error> {
        let Some(partition) = self.partitions.get_mut(container.partition as usize) else {
            return Err(unknown_partition(container.partition, self.partitions.len()));
        };
        partition.take(container, merge, shelf);
        shelf.account();
        self.relieve(merge, shelf)
    }

    /// Merges or spills until the reducers hold no more than they may, or others are to give back first.
    pub(super) fn relieve(
        &mut self,
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) -> Result<(), Error> {
        if !shelf.seat.must_spill() {
            return Ok(());
        }
        let worthwhile = (shelf.seat.share_bytes() / 4 / self.partitions.len()).min(MOST_WORTHWHILE_BYTES);
        while shelf.seat.must_spill() {
            let largest = |size: &dyn Fn(&Partition<K, V>) -> usize, least: usize| {
                let sizes = self.partitions.iter().map(size).enumerate();
                sizes.max_by_key(|&(_, bytes)| bytes).filter(|&(_, bytes)| bytes >= least)
            };
            let spilled =
                |partition: &Partition<K, V>| if partition.is_spilled() { partition.held_bytes() } else { 0 };
            if let Some((index, _)) = largest(&spilled, worthwhile.max(1)) {
                self.spill(index, merge, shelf)?;
            } else if let Some((index, _)) = largest(&Partition::mergeable_bytes, worthwhile.max(1)) {
                self.partitions[index].merge_waiting(merge, shelf);
            } else if let Some((index, _)) = largest(&Partition::held_bytes, 1) {
                self.spill(index, merge, shelf)?;
            } else {
                return Ok(());
            }
            shelf.account();
        }
        Ok(())
    }

    fn spill(
        &mut self,
        index: usize,
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) -> Result<(), Error> {
        let (partition, counters) = (&mut self.partitions[index], &self.context.counters);
        add(&counters.spilled_partitions, u64::from(!partition.is_spilled()));
        let before = self.file.written_bytes();
        let outcome = partition.spill(&mut self.file, merge, shelf);
        add(&counters.spilled_bytes, self.file.written_bytes() - before);
        outcome
    }

    /// The next partition to finish, those that are whole first: each frees memory for those that are not.
    pub(super) fn next(
        &mut self,
        depth: usize,
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) -> Option<Unfinished<K, V>> {
        let left = self.left.get_or_insert_with(|| {
            let mut left: Vec<_> = (0..self.partitions.len()).rev().collect();
            left.sort_by_key(|&index| !self.partitions[index].is_spilled());
            left
        });
        let mut partition = std::mem::take(&mut self.partitions[left.pop()?]);
        partition.merge_waiting(merge, shelf);
        if partition.is_spilled() {
            partition.place_anew(2 * depth - 1, merge, shelf);
        }
        Some(Unfinished { partition, next_block: 0, parts: None })
    }
}

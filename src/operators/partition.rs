//! A partition of a reducer: its groups, and the records that wait to be merged into them.
//!
//! Waiting pays twice. A table that has outgrown the near caches is brought there once for many records instead of
//! once for each container; and where nearly every record makes a new group, a table that does not exist yet need not
//! grow.

use bytemuck::Pod;

use super::table::{GroupTable, SlotPool};
use crate::exchange::{CONTAINER_RECORDS, Routed, Spare};
use crate::keys::{Key, Pair};

/// Records wait until there are so many of them for a hundred groups of their partition, at least...
const LEAST_PATIENCE_PERCENT: usize = 100;
/// ...and at most: what keys cost in memory that stop being new.
const MOST_PATIENCE_PERCENT: usize = 1600;
/// The same once more than [`MUCH_WAITING_BYTES`] wait at this worker.
const LESS_PATIENCE_PERCENT: usize = 400;
const MUCH_WAITING_BYTES: usize = 64 << 20;
/// Empty buffers kept for the router; the rest of those that waited goes back to the allocator.
pub(super) const MOST_SPARE: usize = 1024;

/// What the partitions of one worker share: memory for another use, and how much waits in all of them.
#[derive(Debug)]
pub(super) struct Shelf<K: Key, V: Pod> {
    pub(super) slots: SlotPool<K, V>,
    spare: Spare<Pair<K, V>>,
    waiting_bytes: usize,
}

impl<K: Key, V: Pod> Shelf<K, V> {
    pub(super) fn new(spare: Spare<Pair<K, V>>) -> Self {
        Shelf { slots: SlotPool::default(), spare, waiting_bytes: 0 }
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }
}

/// The groups of one partition and the records that wait to be merged into them.
#[derive(Debug)]
pub(super) struct Partition<K: Key, V: Pod> {
    pub(super) table: GroupTable<K, V>,
    waiting: Vec<Routed<Pair<K, V>>>,
    waiting_records: usize,
    /// Of a hundred records merged last, how many made a new group.
    new_percent: usize,
}

impl<K: Key, V: Pod> Default for Partition<K, V> {
    fn default() -> Self {
        Partition { table: GroupTable::default(), waiting: Vec::new(), waiting_records: 0, new_percent: 0 }
    }
}

impl<K: Key, V: Pod + Send> Partition<K, V> {
    /// Takes a container in, and merges when enough wait.
    pub(super) fn take(
        &mut self,
        container: Routed<Pair<K, V>>,
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) {
        self.waiting_records += container.records().len();
        shelf.waiting_bytes += size_of_val(container.records());
        self.waiting.push(container);
        if self.waiting_records >= self.table.len() * self.patience_percent(shelf.waiting_bytes) / 100 {
            self.merge_waiting(merge, shelf);
        }
    }

    /// How many records may wait, of a hundred groups: few where merging frees their memory, many where nearly all
    /// of them make a new group anyway.
    ///
    /// If keys are drawn evenly and a share `s` of the last records was new, then after `s / (1 - s)` times as many
    /// records as there are groups, 63 % of all records are groups of their own: merging would have saved a third.
    fn patience_percent(&self, waiting_bytes: usize) -> usize {
        let most =
            if waiting_bytes < MUCH_WAITING_BYTES { MOST_PATIENCE_PERCENT } else { LESS_PATIENCE_PERCENT };
        let merged_percent = (100 - self.new_percent).max(1);
        (100 * self.new_percent / merged_percent).clamp(LEAST_PATIENCE_PERCENT, most)
    }

    /// Merges all that waits.
    pub(super) fn merge_waiting(&mut self, merge: &impl Fn(&mut V, V), shelf: &mut Shelf<K, V>) {
        let before = self.table.len();
        // As many new groups as there were among the last records, and the table is exactly as large as it must be.
        self.table.reserve(self.waiting_records * self.new_percent / 100, &mut shelf.slots);
        for container in self.waiting.drain(..) {
            self.table.merge(container.records(), merge, &mut shelf.slots);
            shelf.waiting_bytes -= size_of_val(container.records());
            let mut spare = shelf.spare.borrow_mut();
            if spare.len() < MOST_SPARE {
                spare.extend(container.into_buffer().filter(|buffer| buffer.capacity() >= CONTAINER_RECORDS));
            }
        }
        self.new_percent = (self.table.len() - before) * 100 / self.waiting_records.max(1);
        self.waiting_records = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of a test; Miri would take minutes for as many as the others.
    const MANY: u64 = if cfg!(miri) { 6_000 } else { 200_000 };

    /// Merges keys as they come, 512 at a time, and returns the most records that ever waited, and the groups.
    fn run(keys: impl Iterator<Item = u64>) -> (usize, usize) {
        let mut shelf = Shelf::new(Spare::default());
        let mut partition = Partition::<u64, u64>::default();
        let sum = |sum: &mut u64, value: u64| *sum += value;
        let (mut most, mut records) = (0, 0);
        for container in keys.collect::<Vec<_>>().chunks(CONTAINER_RECORDS) {
            let pairs = container.iter().map(|&key| Pair { key, value: 1 }).collect();
            partition.take(Routed::new(0, 0, pairs), &sum, &mut shelf);
            most = most.max(partition.waiting_records);
            records += container.len() as u64;
        }
        partition.merge_waiting(&sum, &mut shelf);
        assert_eq!(partition.table.groups().map(|(_, count)| count).sum::<u64>(), records);
        assert_eq!(shelf.waiting_bytes, 0);
        (most, partition.table.len())
    }

    #[test]
    fn waiting_follows_what_merging_would_save() {
        // Catches records that wait although merging them would free their memory, and tables grown for nothing.
        let (most, groups) = run((0..MANY).map(|number| number * 7 % 1_000));
        assert!(
            groups == 1_000 && most <= 17 * CONTAINER_RECORDS,
            "{most} records waited beside {groups} groups"
        );
        let (most, groups) = run(1..=MANY);
        assert!(groups as u64 == MANY && most > groups / 2, "{most} records waited beside {groups} groups");
    }
}

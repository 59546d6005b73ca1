//! A partition of a reducer: its groups, the records that wait to be merged into them, and what of both was spilled.
//!
//! Waiting pays twice. A table that has outgrown the near caches is brought there once for many records instead of
//! once for each container; and where nearly every record makes a new group, a table that does not exist yet need not
//! grow.
//!
//! A partition that spills writes all it has to its run and starts afresh, so that keys which repeat within a
//! while are still merged before they are written.

use std::convert::Infallible;

use bytemuck::Pod;

use super::buffers::BufferPool;
use super::table::GroupTable;
use crate::Error;
use crate::exchange::{Routed, Spare};
use crate::keys::{Key, Pair, place_seed};
use crate::memory::{Run, Seat, SpillFile};

/// Records wait until there are so many of them for a hundred groups of their partition, at least...
const LEAST_PATIENCE_PERCENT: usize = 100;
/// ...and at most: what keys cost in memory that stop being new.
const MOST_PATIENCE_PERCENT: usize = 1600;
/// The same once more than [`MUCH_WAITING_BYTES`] wait at this worker.
const LESS_PATIENCE_PERCENT: usize = 400;
const MUCH_WAITING_BYTES: usize = 64 << 20;
/// Merging what waits gives memory back, if at most so many of a hundred records make a new group.
const MERGING_FREES_BELOW_PERCENT: usize = 60;
/// The first time a partition is spilled, and again after so many times, it finds out whether its keys repeat.
const LOOK_EVERY: usize = 16;

/// What the partitions of one worker share: memory for another use, how much waits in all of them, and what they
/// may hold.
#[derive(Debug)]
pub(super) struct Shelf<K: Key, V: Pod> {
    pub(super) buffers: BufferPool<Pair<K, V>>,
    pub(super) seat: Seat,
    /// Whether memory has become short, so that what is given back must be memory that can really be used again.
    pub(super) is_short: bool,
    waiting_bytes: usize,
    table_bytes: usize,
}

impl<K: Key, V: Pod + Send> Shelf<K, V> {
    /// `spare_bytes` bounds the empty buffers that are kept, each for a container of `container_records`.
    pub(super) fn new(
        spare: Spare<Pair<K, V>>,
        container_records: usize,
        spare_bytes: usize,
        seat: Seat,
    ) -> Self {
        Shelf {
            buffers: BufferPool::new(spare, container_records, spare_bytes),
            seat,
            is_short: false,
            waiting_bytes: 0,
            table_bytes: 0,
        }
    }

    /// Tells the budget what is held now.
    pub(super) fn account(&mut self) {
        self.seat.hold(self.waiting_bytes + self.table_bytes);
    }

    /// Keeps the buffer of a container that is done with.
    fn recycle(&self, container: Routed<Pair<K, V>>) {
        container.into_buffer().into_iter().for_each(|buffer| self.buffers.give(buffer));
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }
}

/// The groups of one partition, the records that wait to be merged into them, and those that were spilled.
#[derive(Debug)]
pub(super) struct Partition<K: Key, V: Pod> {
    pub(super) table: GroupTable<K, V>,
    pub(super) run: Run<Pair<K, V>>,
    waiting: Vec<Routed<Pair<K, V>>>,
    waiting_records: usize,
    /// Of a hundred records merged last, how many made a new group.
    new_percent: usize,
    /// How often it was spilled.
    spills: usize,
}

impl<K: Key, V: Pod> Default for Partition<K, V> {
    fn default() -> Self {
        Partition::of(GroupTable::default())
    }
}

impl<K: Key, V: Pod> Partition<K, V> {
    /// A partition with these groups.
    pub(super) fn of(table: GroupTable<K, V>) -> Self {
        Partition {
            table,
            run: Run::default(),
            waiting: Vec::new(),
            waiting_records: 0,
            new_percent: 0,
            spills: 0,
        }
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
        // Where memory is short, nothing takes less of it than records that wait.
        if shelf.is_short && !self.merging_frees() {
            return;
        }
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
        let (before, records) = (self.table.len(), self.waiting_records);
        // As many new groups as there were among the last records, and the table is exactly as large as it must be.
        self.reserve(records * self.new_percent / 100, shelf);
        let mut waiting = std::mem::take(&mut self.waiting);
        for container in waiting.drain(..) {
            shelf.waiting_bytes -= size_of_val(container.records());
            self.merge(container.records(), merge, shelf);
            shelf.recycle(container);
        }
        self.waiting = waiting;
        self.new_percent = (self.table.len() - before) * 100 / records.max(1);
        self.waiting_records = 0;
    }

    /// Merges records that need not wait.
    pub(super) fn merge_now(
        &mut self,
        records: &[Pair<K, V>],
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) {
        let before = self.table.len();
        self.reserve(records.len() * self.new_percent / 100, shelf);
        self.merge(records, merge, shelf);
        self.new_percent = (self.table.len() - before) * 100 / records.len().max(1);
    }

    fn merge(&mut self, records: &[Pair<K, V>], merge: &impl Fn(&mut V, V), shelf: &mut Shelf<K, V>) {
        let before = self.table.allocated_bytes();
        self.table.merge(records, merge, &shelf.buffers);
        shelf.table_bytes = shelf.table_bytes + self.table.allocated_bytes() - before;
    }

    /// Makes room for so many new groups.
    pub(super) fn reserve(&mut self, groups: usize, shelf: &mut Shelf<K, V>) {
        let before = self.table.allocated_bytes();
        self.table.reserve(groups, &shelf.buffers);
        shelf.table_bytes = shelf.table_bytes + self.table.allocated_bytes() - before;
    }

    /// Of a hundred records merged last, how many made a new group.
    pub(super) fn new_percent(&self) -> usize {
        self.new_percent
    }

    /// Whether something of this partition is in a file.
    pub(super) fn is_spilled(&self) -> bool {
        self.run.blocks() > 0
    }

    /// Bytes it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.table.allocated_bytes() + self.waiting_records * size_of::<Pair<K, V>>()
    }

    fn merging_frees(&self) -> bool {
        self.new_percent < MERGING_FREES_BELOW_PERCENT
    }

    /// Bytes that wait, if merging them would probably give memory back.
    pub(super) fn mergeable_bytes(&self) -> usize {
        if self.merging_frees() { self.waiting_records * size_of::<Pair<K, V>>() } else { 0 }
    }

    /// Writes all it holds to its run, merged before where that saves writing, and now and then to see whether it does.
    pub(super) fn spill(
        &mut self,
        file: &mut SpillFile,
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) -> Result<(), Error> {
        if self.merging_frees() || self.spills.is_multiple_of(LOOK_EVERY) {
            self.merge_waiting(merge, shelf);
        }
        self.spills += 1;
        let table = self.take_table(shelf);
        table.for_each_piece(|groups| file.write(&mut self.run, groups))?;
        drop(table);
        for container in std::mem::take(&mut self.waiting) {
            file.write(&mut self.run, container.records())?;
            shelf.waiting_bytes -= size_of_val(container.records());
            shelf.recycle(container);
        }
        self.waiting_records = 0;
        file.end_run(&mut self.run)
    }

    /// Its groups; it has none any more.
    pub(super) fn take_table(&mut self, shelf: &mut Shelf<K, V>) -> GroupTable<K, V> {
        shelf.table_bytes -= self.table.allocated_bytes();
        self.table.take()
    }

    /// Moves its groups to a table that is placed by another hash, as one must be that its run is merged into.
    pub(super) fn place_anew(
        &mut self,
        generation: usize,
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) {
        let old = self.take_table(shelf);
        self.table = GroupTable::placed_by(place_seed(generation));
        let Ok(()) = old.for_each_piece::<Infallible>(|groups| {
            self.merge(groups, merge, shelf);
            Ok(())
        });
        old.recycle(&shelf.buffers);
    }

    /// Copies waiting records that still lie where they were received: there, each would keep a large buffer of the
    /// network alive that it shares with records of other partitions.
    pub(super) fn own_waiting(&mut self, shelf: &Shelf<K, V>) {
        for container in &mut self.waiting {
            *container = std::mem::take(container).into_owned(|| shelf.buffers.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Budget;

    const RECORDS: usize = 512;

    fn shelf() -> Shelf<u64, u64> {
        Shelf::new(Spare::default(), RECORDS, usize::MAX, Budget::default().seat())
    }

    fn sum(sum: &mut u64, value: u64) {
        *sum += value;
    }

    fn containers(keys: impl Iterator<Item = u64>) -> Vec<Routed<Pair<u64, u64>>> {
        let pairs: Vec<_> = keys.map(|key| Pair { key, value: 1 }).collect();
        pairs.chunks(RECORDS).map(|some| Routed::new(0, 0, some.to_vec())).collect()
    }

    /// Records of a test; Miri would take minutes for as many as the others.
    const MANY: u64 = if cfg!(miri) { 6_000 } else { 200_000 };

    /// Merges keys as they come, 512 at a time, and returns the most records that ever waited, and the groups.
    fn run(keys: impl Iterator<Item = u64>) -> (usize, usize) {
        let (mut shelf, mut partition) = (shelf(), Partition::<u64, u64>::default());
        let (mut most, mut records) = (0, 0);
        for container in containers(keys) {
            records += container.records().len() as u64;
            partition.take(container, &sum, &mut shelf);
            most = most.max(partition.waiting_records);
        }
        partition.merge_waiting(&sum, &mut shelf);
        assert_eq!(partition.table.groups().map(|(_, count)| count).sum::<u64>(), records);
        assert_eq!((shelf.waiting_bytes, shelf.table_bytes), (0, partition.table.allocated_bytes()));
        (most, partition.table.len())
    }

    #[test]
    fn waiting_follows_what_merging_would_save() {
        // Catches records that wait although merging them would free their memory, and tables grown for nothing.
        let (most, groups) = run((0..MANY).map(|number| number * 7 % 1_000));
        assert!(groups == 1_000 && most <= 17 * RECORDS, "{most} records waited beside {groups} groups");
        let (most, groups) = run(1..=MANY);
        assert!(groups as u64 == MANY && most > groups / 2, "{most} records waited beside {groups} groups");
    }

    #[test]
    #[cfg_attr(miri, ignore = "spill files have no names, and Miri has only files with names")]
    fn spilling_writes_groups_where_keys_repeat_and_records_where_they_do_not() {
        let home = tempfile::tempdir().expect("a directory");
        let spilled = |keys: Vec<u64>| {
            let mut file = SpillFile::new(home.path().to_path_buf());
            let (mut shelf, mut partition) = (shelf(), Partition::<u64, u64>::default());
            shelf.is_short = true;
            let (mut sums, mut block) = (0, Vec::new());
            for _ in 0..2 {
                for container in containers(keys.iter().copied()) {
                    partition.take(container, &sum, &mut shelf);
                }
                partition.spill(&mut file, &sum, &mut shelf).expect("written");
                assert_eq!((partition.held_bytes(), shelf.waiting_bytes, shelf.table_bytes), (0, 0, 0));
            }
            for index in 0..partition.run.blocks() {
                file.read(&partition.run, index, &mut block).expect("read");
                sums += block.iter().map(|record| record.value).sum::<u64>();
            }
            assert_eq!(sums, 2 * keys.len() as u64);
            partition.run.records()
        };
        assert_eq!(spilled((0..100_000).map(|number| number % 300).collect()), 2 * 300);
        assert_eq!(spilled((0..100_000).collect()), 2 * 100_000);
    }
}

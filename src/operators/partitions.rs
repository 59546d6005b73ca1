//! All partitions of a reducer: who spills when the budget is exceeded, and how each is finished at the end.
//!
//! A partition that has spilled goes on doing so first: then those that have not stay whole, and what repeats in them
//! never sees a disk. At the end they are given out before the others, one a turn. A partition that has spilled reads
//! its run back; if its groups turn out to be too many for memory, it is divided by a further hash into partitions of
//! their own, which may spill in turn.

use std::rc::Rc;

use bytemuck::Pod;

use super::context::{WorkerContext, add};
use super::partition::{Partition, Shelf};
use super::table::GroupTable;
use crate::Error;
use crate::exchange::Routed;
use crate::keys::{Key, Pair, dividing_hash, place_seed, scale};
use crate::memory::SpillFile;

/// Spilling less than this at once would make blocks that a disk reads slowly; with less than this for every
/// partition, a quarter of its share bounds them.
const MOST_WORTHWHILE_BYTES: usize = 1 << 20;
/// Blocks merged in one turn: some 8 MiB, so that a failure elsewhere is noticed soon.
const BLOCKS_A_TURN: usize = 32;
/// A divided partition's parts have about so many records...
const RECORDS_OF_A_PART: u64 = 500_000;
/// ...but there are at most so many parts, whose buffers must fit in memory.
const MOST_PARTS: u64 = 64;
/// A partition is not divided more often than this: its keys would have to be equal in as many independent hashes.
const DEEPEST: usize = 8;

/// The partitions of one reducer of one worker.
#[derive(Debug)]
pub(super) struct Partitions<K: Key, V: Pod> {
    /// First those that records are routed to, and behind them the parts of the one that is being finished, and so on.
    levels: Vec<Level<K, V>>,
    unfinished: Option<Unfinished<K, V>>,
    shelf: Shelf<K, V>,
    block: Vec<Pair<K, V>>,
}

/// Partitions that share a file.
#[derive(Debug)]
struct Level<K: Key, V: Pod> {
    partitions: Vec<Partition<K, V>>,
    file: SpillFile,
    context: Rc<WorkerContext>,
    /// Which are still to be given, the next last; `None` while records may come.
    left: Option<Vec<usize>>,
}

/// A partition whose run is being read back.
#[derive(Debug)]
struct Unfinished<K: Key, V: Pod> {
    partition: Partition<K, V>,
    next_block: usize,
    parts: Option<Parts<K, V>>,
}

/// The parts of a partition that turned out too large.
#[derive(Debug)]
struct Parts<K: Key, V: Pod> {
    level: Level<K, V>,
    depth: usize,
    buffers: Vec<Vec<Pair<K, V>>>,
}

impl<K: Key, V: Pod + Send> Partitions<K, V> {
    pub(super) fn new(count: usize, shelf: Shelf<K, V>, context: Rc<WorkerContext>) -> Self {
        let level = Level::new(count, 0, &shelf, context);
        Partitions { levels: vec![level], unfinished: None, shelf, block: Vec::new() }
    }

    /// Takes a container in; its partition must be one of these.
    pub(super) fn take(
        &mut self,
        container: Routed<Pair<K, V>>,
        merge: &impl Fn(&mut V, V),
    ) -> Result<(), Error> {
        let Some(level) = self.levels.first_mut() else { return Ok(()) };
        let shelf = &mut self.shelf;
        if shelf.is_short {
            level.take(container.into_owned(|| shelf.buffer()), merge, shelf)?;
        } else {
            level.take(container, merge, shelf)?;
            if shelf.seat.is_half_full() {
                level.partitions.iter_mut().for_each(|partition| partition.own_waiting(shelf));
                shelf.is_short = true;
            }
        }
        Ok(())
    }

    /// Gives back what is too much: also for a reducer that nothing comes to, while others need memory.
    pub(super) fn relieve(&mut self, merge: &impl Fn(&mut V, V)) -> Result<(), Error> {
        self.levels.last_mut().map_or(Ok(()), |level| level.relieve(merge, &mut self.shelf))
    }

    /// When all input has been seen: goes on with one partition, and hands over its groups once they are complete.
    /// False when all have been given.
    pub(super) fn turn(
        &mut self,
        merge: &impl Fn(&mut V, V),
        give: impl FnOnce(&GroupTable<K, V>),
    ) -> Result<bool, Error> {
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else { return Ok(false) };
        let shelf = &mut self.shelf;
        let Some(mut unfinished) = self.unfinished.take().or_else(|| level.next(depth, merge, shelf)) else {
            self.levels.pop();
            return Ok(!self.levels.is_empty());
        };
        for _ in 0..BLOCKS_A_TURN {
            if unfinished.next_block == unfinished.partition.run.blocks() {
                break;
            }
            level.file.read(&unfinished.partition.run, unfinished.next_block, &mut self.block)?;
            unfinished.merge(&self.block, merge, shelf, depth, &level.context)?;
        }
        if unfinished.next_block < unfinished.partition.run.blocks() {
            self.unfinished = Some(unfinished);
        } else if let Some(parts) = unfinished.parts {
            let parts = parts.finish(merge, shelf)?;
            self.levels.push(parts);
        } else {
            let table = unfinished.partition.take_table(shelf);
            add(&level.context.counters.groups, table.len() as u64);
            add(&level.context.counters.group_bytes, table.allocated_bytes() as u64);
            give(&table);
            table.recycle(&mut shelf.slots);
            shelf.account();
        }
        Ok(true)
    }
}

impl<K: Key, V: Pod + Send> Level<K, V> {
    fn new(count: usize, generation: usize, shelf: &Shelf<K, V>, context: Rc<WorkerContext>) -> Self {
        let empty = |_| Partition::of(GroupTable::placed_by(place_seed(generation)));
        let partitions = (0..count).map(empty).collect();
        let file = SpillFile::new(shelf.seat.budget().directory().to_path_buf());
        Level { partitions, file, context, left: None }
    }

    fn take(
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
    fn relieve(&mut self, merge: &impl Fn(&mut V, V), shelf: &mut Shelf<K, V>) -> Result<(), Error> {
        if !shelf.seat.must_spill() {
            return Ok(());
        }
        shelf.slots.clear();
        shelf.account();
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
    fn next(
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

impl<K: Key, V: Pod + Send> Unfinished<K, V> {
    /// Takes in the next block of the run.
    fn merge(
        &mut self,
        block: &[Pair<K, V>],
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
        depth: usize,
        context: &Rc<WorkerContext>,
    ) -> Result<(), Error> {
        let first = self.next_block == 0;
        self.next_block += 1;
        if let Some(parts) = &mut self.parts {
            return parts.take(block, merge, shelf);
        }
        let partition = &mut self.partition;
        // While a table grows there are two of it, and what it gave waits to be read.
        let most = shelf.seat.share_bytes() / 4;
        let more = block.len() * partition.new_percent() / 100;
        if depth < DEEPEST && partition.table.bytes_with(more) > most {
            let mut parts = Parts::new(partition, shelf, depth, most, Rc::clone(context));
            let table = partition.take_table(shelf);
            table.for_each_piece(|groups| parts.take(groups, merge, shelf))?;
            parts.take(block, merge, shelf)?;
            self.parts = Some(parts);
            return Ok(());
        }
        partition.merge_now(block, merge, shelf);
        if first {
            // If the others have as many new keys, the table need not grow again.
            let expected = partition.run.records() as usize * partition.new_percent() / 100;
            let others = expected.saturating_sub(partition.table.len());
            if partition.table.bytes_with(others) <= most {
                partition.reserve(others, shelf);
            }
        }
        shelf.account();
        Ok(())
    }
}

impl<K: Key, V: Pod + Send> Parts<K, V> {
    /// As many parts as make each fit in `most` bytes if no key repeats.
    fn new(
        partition: &Partition<K, V>,
        shelf: &Shelf<K, V>,
        depth: usize,
        most: usize,
        context: Rc<WorkerContext>,
    ) -> Self {
        let records = partition.run.records() + partition.table.len() as u64;
        let bytes = records * 2 * size_of::<Pair<K, V>>() as u64;
        let count = (bytes / most.max(1) as u64).max(records / RECORDS_OF_A_PART).clamp(4, MOST_PARTS);
        let buffers = (0..count).map(|_| shelf.buffer()).collect();
        Parts { level: Level::new(count as usize, 2 * depth, shelf, context), depth, buffers }
    }

    fn take(
        &mut self,
        records: &[Pair<K, V>],
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) -> Result<(), Error> {
        for &record in records {
            let part = scale(dividing_hash(record.key, self.depth), self.buffers.len());
            self.buffers[part].push(record);
            if self.buffers[part].len() == self.buffers[part].capacity() {
                let full = std::mem::replace(&mut self.buffers[part], shelf.buffer());
                self.level.take(Routed::new(0, part as u32, full), merge, shelf)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, merge: &impl Fn(&mut V, V), shelf: &mut Shelf<K, V>) -> Result<Level<K, V>, Error> {
        for (part, rest) in self.buffers.into_iter().enumerate() {
            if !rest.is_empty() {
                self.level.take(Routed::new(0, part as u32, rest), merge, shelf)?;
            }
        }
        Ok(self.level)
    }
}

/// What is wrong with a container whose partition does not exist: from the network it may be any number.
pub(super) fn unknown_partition(partition: u32, partitions: usize) -> Error {
    Error::Malformed(format!("a peer sent records for partition {partition}; there are {partitions}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Spare;
    use crate::memory::Budget;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const COUNT: usize = 4;

    /// Reduces keys, each with a value of 1, where all may hold so many bytes; the groups, and the counters.
    fn reduce(keys: &[u64], bytes: u64) -> (BTreeMap<u64, u64>, Rc<WorkerContext>) {
        let home = tempfile::tempdir().expect("a directory");
        let budget = Budget::new(Some(bytes * 8), home.path().to_path_buf(), 1);
        let context = WorkerContext::install(Default::default(), 1, 0, BTreeMap::new());
        let shelf = Shelf::new(Spare::default(), 64, 64 << 10, budget.seat());
        let mut partitions = Partitions::new(COUNT, shelf, Rc::clone(&context));
        let sum = |sum: &mut u64, value: u64| *sum += value;
        let mut buffers = vec![Vec::new(); COUNT];
        for &key in keys {
            let place = scale(crate::keys::route_hash(key), COUNT);
            buffers[place].push(Pair { key, value: 1 });
            if buffers[place].len() == 64 {
                let full = std::mem::take(&mut buffers[place]);
                partitions.take(Routed::new(0, place as u32, full), &sum).expect("taken");
            }
        }
        for (place, rest) in buffers.into_iter().enumerate() {
            partitions.take(Routed::new(0, place as u32, rest), &sum).expect("taken");
        }
        let mut groups = BTreeMap::new();
        let mut given = |table: &GroupTable<u64, u64>| {
            for (key, count) in table.groups() {
                assert_eq!(groups.insert(key, count), None, "{key} was given twice");
            }
        };
        while partitions.turn(&sum, &mut given).expect("read back") {}
        assert!(!partitions.turn(&sum, &mut given).expect("nothing is left"));
        partitions.shelf.account();
        assert_eq!(partitions.shelf.seat.held_bytes(), partitions.shelf.slots.allocated_bytes());
        assert_eq!(home.path().read_dir().expect("a directory").count(), 0);
        assert_eq!(context.counters.groups.get(), groups.len() as u64);
        (groups, context)
    }

    fn model(keys: &[u64]) -> BTreeMap<u64, u64> {
        let mut model = BTreeMap::new();
        keys.iter().for_each(|&key| *model.entry(key).or_default() += 1);
        model
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Catches a group lost, torn or doubled by spilling, reading back and dividing, however often, whatever keys
        /// there are (the one of all zeros among them) and however little memory.
        #[test]
        fn a_tiny_budget_gives_the_same_groups(
            distinct in 1u64..40_000,
            count in 0usize..40_000,
            stretch in 0u32..40,
            bytes in 1_000u64..400_000,
        ) {
            let keys: Vec<_> = (0..count as u64).map(|number| (crate::keys::place_hash(number) % distinct) << stretch).collect();
            let (groups, _) = reduce(&keys, bytes);
            prop_assert_eq!(groups, model(&keys));
        }
    }

    #[test]
    fn distinct_keys_divide_and_divide_again() {
        let keys: Vec<_> = (0..200_000).collect();
        let (groups, context) = reduce(&keys, 20_000);
        assert_eq!(groups, model(&keys));
        let counters = &context.counters;
        assert!(counters.spilled_bytes.get() > 200_000 * 16, "{} bytes", counters.spilled_bytes.get());
        let partitions = counters.spilled_partitions.get();
        assert!(partitions > COUNT as u64 * (1 + 16), "{partitions} partitions: no part was divided");
    }

    #[test]
    fn one_key_never_divides() {
        // A partition that is divided because its records do not fit would never end if they are all of one key.
        for key in [0, 7] {
            let keys: Vec<_> = std::iter::repeat_n(key, 100_000).collect();
            let (groups, context) = reduce(&keys, 1_000);
            assert_eq!(groups, BTreeMap::from([(key, 100_000)]));
            assert!(context.counters.spilled_partitions.get() <= 1);
        }
    }

    #[test]
    fn what_fits_is_not_spilled() {
        let keys: Vec<_> = (0..50_000).collect();
        let (groups, context) = reduce(&keys, 10_000_000);
        assert_eq!((groups.len(), context.counters.spilled_bytes.get()), (50_000, 0));
    }

    #[test]
    fn keys_that_repeat_are_merged_before_they_are_written() {
        let keys: Vec<_> = (0..400_000).map(|number| number * 7 % 5_000).collect();
        let (groups, context) = reduce(&keys, 60_000);
        assert_eq!(groups.len(), 5_000);
        let written = context.counters.spilled_bytes.get();
        assert!((1..400_000 * 16 / 2).contains(&written), "{written} bytes");
    }

    #[test]
    fn partitions_that_have_not_spilled_stay_whole() {
        let keys: Vec<_> = (0..40_000).collect();
        let (_, context) = reduce(&keys, 560_000);
        let spilled = context.counters.spilled_partitions.get();
        assert!((1..COUNT as u64).contains(&spilled), "{spilled} of {COUNT} partitions");
    }

    #[test]
    fn a_partition_that_is_none_is_an_error() {
        let shelf = Shelf::new(Spare::default(), 64, 0, Budget::default().seat());
        let mut partitions = Partitions::new(2, shelf, WorkerContext::current());
        let stray = Routed::new(0, 2, vec![Pair { key: 1u64, value: 1u64 }]);
        let error = partitions.take(stray, &|_, _| ()).expect_err("there are two").to_string();
        assert_eq!(error, "a peer sent records for partition 2; there are 2");
    }
}

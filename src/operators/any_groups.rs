//! The groups of `reduce_by_any_key` on one worker: maps while they fit in memory, else sorted runs on disk.
//!
//! A key has no order but its hash. So groups that are spilled are sorted by that, and those of equal hashes, which come back one
//! after the other, are merged where their keys are equal. Each time, all groups are spilled: what they take is known in sum only.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::rc::Rc;

use timely::ExchangeData;

use super::context::{WorkerContext, add};
use super::hashed::Hashed;
use super::overflow::must_spill;
use super::partitions::unknown_partition;
use super::sort::{Sorter, TURN_RECORDS};
use crate::Error;
use crate::keys::PlaceHasher;
use crate::memory::{Seat, held_bytes, map_bytes, owned_bytes};

/// Partitions of each worker: a map that grows holds two copies of a sixteenth of the groups, and groups are given
/// in so many pieces.
pub(super) const PARTITIONS: usize = 16;

type ByHash<K, V> = fn(&Hashed<K, V>, &Hashed<K, V>) -> Ordering;

/// One value for each key, in bounded memory.
pub(super) struct AnyGroups<K, V, M> {
    partitions: Vec<HashMap<K, V, PlaceHasher>>,
    merge: M,
    context: Rc<WorkerContext>,
    seat: Seat,
    /// What keys and values own beside their own size, or more, since of values that were merged both count.
    owned_bytes: usize,
    /// The same when it was last counted group by group.
    counted_bytes: usize,
    /// What was spilled.
    sorter: Option<Sorter<Hashed<K, V>, ByHash<K, V>>>,
    /// Groups read back whose keys have the same hash, and this hash.
    alike: Vec<(K, V)>,
    alike_hash: u64,
}

impl<K, V, M> AnyGroups<K, V, M>
where
    K: ExchangeData + Hash + Eq,
    V: ExchangeData,
    M: Fn(&mut V, V),
{
    pub(super) fn new(merge: M, context: Rc<WorkerContext>) -> Self {
        let mut partitions = Vec::new();
        partitions.resize_with(PARTITIONS, HashMap::default);
        let seat = context.process.memory.seat();
        let (owned_bytes, counted_bytes, alike_hash) = (0, 0, 0);
        AnyGroups {
            partitions,
            merge,
            context,
            seat,
            owned_bytes,
            counted_bytes,
            sorter: None,
            alike: Vec::new(),
            alike_hash,
        }
    }

    /// Merges records into the groups of a partition; the buffer stays, empty.
    pub(super) fn take(&mut self, partition: u32, records: &mut Vec<(K, V)>) -> Result<(), Error> {
        let Some(groups) = self.partitions.get_mut(partition as usize) else {
            return Err(unknown_partition(partition, PARTITIONS));
        };
        for (key, value) in records.drain(..) {
            self.owned_bytes += owned_bytes(&value);
            match groups.entry(key) {
                Entry::Occupied(mut group) => (self.merge)(group.get_mut(), value),
                Entry::Vacant(group) => {
                    self.owned_bytes += owned_bytes(group.key());
                    group.insert(value);
                }
            }
        }
        self.relieve()
    }

    /// Spills if the reducers hold more than they may: also for one that nothing comes to, while others need memory.
    pub(super) fn relieve(&mut self) -> Result<(), Error> {
        if !self.must_spill() {
            return Ok(());
        }
        if self.owned_bytes > 2 * self.counted_bytes {
            // Merging may have made less of it.
            let groups = self.partitions.iter().flatten();
            self.owned_bytes = groups.map(|(key, value)| owned_bytes(key) + owned_bytes(value)).sum();
            self.counted_bytes = self.owned_bytes;
            if !self.must_spill() {
                return Ok(());
            }
        }
        self.spill()
    }

    fn must_spill(&mut self) -> bool {
        let held = self.partitions.iter().map(map_bytes).sum::<usize>() + self.owned_bytes;
        self.seat.hold(held);
        must_spill(&self.seat, held)
    }

    fn spill(&mut self) -> Result<(), Error> {
        let context = &self.context;
        let sorter =
            self.sorter.get_or_insert_with(|| Sorter::new(|a, b| a.hash.cmp(&b.hash), Rc::clone(context)));
        for groups in &mut self.partitions {
            let mut groups: Vec<_> = std::mem::take(groups).into_iter().map(Hashed::from).collect();
            let bytes = held_bytes(&groups);
            sorter.take(&mut groups, bytes)?;
        }
        (self.owned_bytes, self.counted_bytes) = (0, 0);
        self.seat.hold(0);
        Ok(())
    }

    /// When all have come: gives some of the groups; false when all have been given.
    pub(super) fn turn(&mut self, mut give: impl FnMut((K, V))) -> Result<bool, Error> {
        let counters = &self.context.counters;
        if self.sorter.is_none() {
            // One partition a turn: what reads the groups takes them away before more come.
            let Some(groups) = self.partitions.pop() else { return Ok(false) };
            add(&counters.groups, groups.len() as u64);
            add(&counters.group_bytes, map_bytes(&groups) as u64);
            groups.into_iter().for_each(give);
            return Ok(true);
        }
        if !self.partitions.is_empty() {
            self.spill()?;
            self.partitions.clear();
        }
        for _ in 0..TURN_RECORDS {
            let next = self.sorter.as_mut().map_or(Ok(None), Sorter::next)?;
            let hash = next.as_ref().map(|next| next.hash);
            if hash != Some(self.alike_hash) {
                let counters = &self.context.counters;
                add(&counters.groups, self.alike.len() as u64);
                add(&counters.group_bytes, size_of_val(&self.alike[..]) as u64);
                self.alike.drain(..).for_each(&mut give);
            }
            let Some(Hashed { hash, key, value }) = next else { return Ok(false) };
            self.alike_hash = hash;
            match self.alike.iter_mut().find(|group| group.0 == key) {
                Some((_, merged)) => (self.merge)(merged, value),
                None => self.alike.push((key, value)),
            }
        }
        Ok(true)
    }
}

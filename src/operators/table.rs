//! The table a partition of a reducer keeps its groups in: open addressing, updated in batches.
//!
//! Positions follow the high bits of the placing hash, so the table may have any size and growing it walks old
//! and new memory in order. A batch is hashed first, looked up second and updated third: the first pass only touches
//! where each group is expected, in so few instructions that many cache misses overlap.

use bytemuck::{Pod, Zeroable};

use crate::keys::{Key, Pair, hash_bytes, place_seed};
use crate::memory::zeroed_slots;
use crate::prefetch::prefetch;

/// Slots of the first allocation.
const SMALLEST: usize = 64;
/// Up to this many slots the table doubles; past it, it grows by what is needed and at least a quarter, since what
/// a doubling overshoots is memory.
const DOUBLE_UP_TO: usize = 1 << 13;
/// Records hashed ahead of their update: enough to keep every load buffer of a core busy.
const BATCH: usize = 64;
/// Slots in which a record's group is looked for at first: at four fifths full, nine of ten groups are in one of them.
const LOOKED_AT: usize = 4;
/// Groups handed over at a time by [`GroupTable::for_each_piece`].
const PIECE: usize = 512;

/// Groups by key, each with its merged value.
///
/// Memory per group is `size_of::<Pair<K, V>>()` over the load, which lies between 0.64 and 0.8 once large.
#[derive(Debug)]
pub(crate) struct GroupTable<K: Key, V: Pod> {
    /// A slot whose key is all zeros is empty; that key itself is kept aside.
    slots: Vec<Pair<K, V>>,
    used: usize,
    zero: Option<V>,
    /// Start of the placing hash.
    seed: u64,
}

impl<K: Key, V: Pod> Default for GroupTable<K, V> {
    fn default() -> Self {
        GroupTable::placed_by(place_seed(0))
    }
}

impl<K: Key, V: Pod> GroupTable<K, V> {
    /// An empty table that places its keys by the hash of `seed`, one of [`place_seed`].
    pub(crate) fn placed_by(seed: u64) -> Self {
        GroupTable { slots: Vec::new(), used: 0, zero: None, seed }
    }

    /// Takes all groups away.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, GroupTable::placed_by(self.seed))
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.used + usize::from(self.zero.is_some())
    }

    /// Bytes allocated.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Pair<K, V>>()
    }

    /// Merges every record into the group of its key.
    pub(crate) fn merge(
        &mut self,
        records: &[Pair<K, V>],
        merge: &impl Fn(&mut V, V),
        pool: &mut SlotPool<K, V>,
    ) {
        for batch in records.chunks(BATCH) {
            self.reserve(batch.len(), pool);
            let mut places = [0u32; BATCH];
            let mut found = [false; BATCH];
            for (record, place) in batch.iter().zip(&mut places) {
                let position = self.position(record.key);
                prefetch(self.slots.as_ptr().wrapping_add(position));
                prefetch(self.slots.as_ptr().wrapping_add(position + LOOKED_AT - 1));
                *place = position as u32;
            }
            for ((record, place), found) in batch.iter().zip(&mut places).zip(&mut found) {
                let (key, position) = (record.key, *place as usize);
                let mut at = position;
                // Backwards and without an end in between: which slot it is in cannot be predicted.
                let window = self.slots.get(position..position + LOOKED_AT).unwrap_or_default();
                for (offset, slot) in window.iter().enumerate().rev() {
                    let is_it = { slot.key } == key;
                    at = if is_it { position + offset } else { at };
                    *found |= is_it;
                }
                *place = at as u32;
            }
            for ((record, place), found) in batch.iter().zip(places).zip(found) {
                let (key, value) = (record.key, record.value);
                if found && key != K::zeroed() {
                    // Nothing moves inside a batch, so what was found is still there.
                    merge_into(&mut self.slots[place as usize], value, merge);
                } else {
                    self.merge_at(place as usize, key, value, merge);
                }
            }
        }
    }

    fn merge_at(&mut self, mut place: usize, key: K, value: V, merge: &impl Fn(&mut V, V)) {
        if key == K::zeroed() {
            match &mut self.zero {
                Some(merged) => merge(merged, value),
                None => self.zero = Some(value),
            }
            return;
        }
        loop {
            let slot = &mut self.slots[place];
            let present = slot.key;
            if present == key {
                return merge_into(slot, value, merge);
            }
            if present == K::zeroed() {
                *slot = Pair { key, value };
                self.used += 1;
                return;
            }
            place += 1;
            if place == self.slots.len() {
                place = 0;
            }
        }
    }

    #[inline]
    fn position(&self, key: K) -> usize {
        // 32 bits of hash and of size: a partition never has four billion slots.
        (((hash_bytes(bytemuck::bytes_of(&key), self.seed) >> 32) * self.slots.len() as u64) >> 32) as usize
    }

    /// Bytes that `more` new groups would have it allocate, if it were exactly as large as it must be.
    pub(crate) fn bytes_with(&self, more: usize) -> usize {
        ((self.used + more) * 5 / 4 + 1) * size_of::<Pair<K, V>>()
    }

    /// Makes room for `more` new groups, at four fifths full.
    pub(crate) fn reserve(&mut self, more: usize, pool: &mut SlotPool<K, V>) {
        let needed = (self.used + more) * 5 / 4 + 1;
        let size = self.slots.len();
        if needed <= size {
            return;
        }
        let least = if size < DOUBLE_UP_TO { size * 2 } else { size + size / 4 };
        let size = needed.max(least).max(SMALLEST);
        let old = std::mem::replace(&mut self.slots, pool.take(size));
        self.used = 0;
        for slot in &old {
            if { slot.key } != K::zeroed() {
                // Keys are unique, so nothing is ever merged here.
                self.merge_at(self.position(slot.key), slot.key, slot.value, &|_, _| ());
            }
        }
        pool.give(old);
    }

    /// Every group, once, in no order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (K, V)> + '_ {
        let groups = self.slots.iter().filter(|slot| { slot.key } != K::zeroed());
        groups.map(|slot| (slot.key, slot.value)).chain(self.zero.map(|value| (K::zeroed(), value)))
    }

    /// Every group, once, some at a time.
    pub(crate) fn for_each_piece<E>(
        &self,
        mut take: impl FnMut(&[Pair<K, V>]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut piece = Vec::with_capacity(PIECE);
        for (key, value) in self.groups() {
            piece.push(Pair { key, value });
            if piece.len() == PIECE {
                take(&piece)?;
                piece.clear();
            }
        }
        if piece.is_empty() { Ok(()) } else { take(&piece) }
    }

    /// Gives the memory to other tables.
    pub(crate) fn recycle(self, pool: &mut SlotPool<K, V>) {
        pool.give(self.slots);
    }
}

/// Memory of tables that are gone, for tables that grow: fresh pages cost more to touch than old ones to clear.
#[derive(Debug)]
pub(crate) struct SlotPool<K: Key, V: Pod>(Vec<Vec<Pair<K, V>>>);

/// One from the table that just grew and one from the table that was just given out.
const MOST_POOLED: usize = 2;

impl<K: Key, V: Pod> Default for SlotPool<K, V> {
    fn default() -> Self {
        SlotPool(Vec::new())
    }
}

impl<K: Key, V: Pod> SlotPool<K, V> {
    /// So many empty slots; what is pooled serves if it is not more than twice too large.
    fn take(&mut self, slots: usize) -> Vec<Pair<K, V>> {
        let fits = |pooled: &Vec<Pair<K, V>>| (slots..=2 * slots).contains(&pooled.capacity());
        let Some(index) = self.0.iter().position(fits) else { return zeroed_slots(slots) };
        let mut pooled = self.0.swap_remove(index);
        pooled.clear();
        pooled.resize(slots, Pair::zeroed());
        pooled
    }

    /// Bytes allocated.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.0.iter().map(|slots| slots.capacity() * size_of::<Pair<K, V>>()).sum()
    }

    /// Gives all memory back.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn give(&mut self, slots: Vec<Pair<K, V>>) {
        if self.0.len() == MOST_POOLED {
            self.0.remove(0);
        }
        self.0.push(slots);
    }
}

#[inline]
fn merge_into<K: Pod, V: Pod>(slot: &mut Pair<K, V>, value: V, merge: &impl Fn(&mut V, V)) {
    // A packed field cannot be borrowed: merge a copy and put it back.
    let mut merged = slot.value;
    merge(&mut merged, value);
    slot.value = merged;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Records of a test; for Miri, enough that a table grows several times.
    const MOST: usize = if cfg!(miri) { 400 } else { 2_000 };

    proptest! {
        /// Catches a group lost or doubled by collisions, growth, the empty key or batches.
        #[test]
        fn behaves_like_a_map(records in proptest::collection::vec((0u64..300, 1u64..9), 0..MOST)) {
            let (mut table, mut pool) = (GroupTable::<u64, u64>::default(), SlotPool::default());
            let mut model = BTreeMap::<u64, u64>::new();
            for piece in records.chunks(97) {
                let pairs: Vec<_> = piece.iter().map(|&(key, value)| Pair { key, value }).collect();
                table.merge(&pairs, &|sum, value| *sum += value, &mut pool);
            }
            for (key, value) in records {
                *model.entry(key).or_default() += value;
            }
            prop_assert_eq!(table.len(), model.len());
            let mut groups: Vec<_> = table.groups().collect();
            groups.sort_unstable();
            prop_assert_eq!(&groups, &model.into_iter().collect::<Vec<_>>());
            let mut pieces = Vec::new();
            let taken = table.for_each_piece(|piece| {
                pieces.extend(piece.iter().map(|group| (group.key, group.value)));
                Ok::<_, ()>(())
            });
            pieces.sort_unstable();
            prop_assert_eq!((taken, pieces), (Ok(()), groups.clone()));
            table.recycle(&mut pool);
            // Pooled memory must come back empty.
            let mut table = GroupTable::default();
            table.merge(&[Pair { key: 7, value: 1 }], &|sum, value| *sum += value, &mut pool);
            table.reserve(100, &mut pool);
            prop_assert_eq!(table.groups().collect::<Vec<_>>(), [(7, 1)]);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "measures sizes, which takes it minutes and shows nothing it could find")]
    fn memory_stays_near_its_groups() {
        // Catches growth that overshoots: doubling a large table would reach 2.5 slots a group.
        let (mut table, mut pool) = (GroupTable::<u64, u64>::default(), SlotPool::default());
        for key in 1..=200_000u64 {
            table.merge(&[Pair { key, value: 1 }], &|sum, value| *sum += value, &mut pool);
            if key > 10_000 {
                let slots = table.allocated_bytes() as f64 / 16.0;
                assert!(slots / (key as f64) < 1.6, "{slots} slots for {key} groups");
            }
        }
    }
}

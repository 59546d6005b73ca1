//! The table a partition of a reducer keeps its groups in: open addressing, updated in batches.
//!
//! Positions follow the high bits of the placing hash, so the table may have any size and growing it walks memory in
//! order. A batch is hashed first, looked up second and updated third: the first pass only touches where each group is
//! expected, in so few instructions that many cache misses overlap.
//!
//! The slots lie in segments, which are the buffers that records come in. So what a merged container leaves becomes a part
//! of the table that its records are in, a table grows without a second one beside it, and no holes are left in memory.

use bytemuck::Pod;

use super::buffers::BufferPool;
use crate::keys::{Key, Pair, hash_bytes, place_seed};
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
    /// A slot whose key is all zeros is empty; that key itself is kept aside. Each segment has `1 << shift` slots, but one that is
    /// the only one may be shorter.
    segments: Vec<Vec<Pair<K, V>>>,
    places: Places,
    used: usize,
    zero: Option<V>,
}

/// Where keys belong. Loops copy it, as what is stored in a slot could change the table's own for all that a compiler knows.
#[derive(Debug, Clone, Copy)]
struct Places {
    /// Start of the placing hash.
    seed: u64,
    /// Slots of all segments; never four billion.
    size: usize,
    shift: u32,
}

impl Places {
    /// The placing hash, of 32 bits.
    #[inline]
    fn hash<K: Key>(self, key: K) -> u64 {
        hash_bytes(bytemuck::bytes_of(&key), self.seed) >> 32
    }

    /// The slot where the search for a hash begins.
    #[inline]
    fn of(self, hash: u64) -> usize {
        ((hash * self.size as u64) >> 32) as usize
    }

    /// Which segment a slot is in, and where.
    #[inline]
    fn divided(self, position: usize) -> (usize, usize) {
        (position >> self.shift, position & ((1 << self.shift) - 1))
    }
}

impl<K: Key, V: Pod> Default for GroupTable<K, V> {
    fn default() -> Self {
        GroupTable::placed_by(place_seed(0))
    }
}

impl<K: Key, V: Pod> GroupTable<K, V> {
    /// An empty table that places its keys by the hash of `seed`, one of [`place_seed`].
    pub(crate) fn placed_by(seed: u64) -> Self {
        GroupTable { segments: Vec::new(), places: Places { seed, size: 0, shift: 0 }, used: 0, zero: None }
    }

    /// Takes all groups away.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, GroupTable::placed_by(self.places.seed))
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.used + usize::from(self.zero.is_some())
    }

    /// Bytes allocated.
    pub(crate) fn allocated_bytes(&self) -> usize {
        self.places.size * size_of::<Pair<K, V>>()
    }

    /// Merges every record into the group of its key.
    pub(crate) fn merge(
        &mut self,
        records: &[Pair<K, V>],
        merge: &impl Fn(&mut V, V),
        pool: &BufferPool<Pair<K, V>>,
    ) {
        for batch in records.chunks(BATCH) {
            self.reserve(batch.len(), pool);
            let (segments, at) = (&self.segments[..], self.places);
            let mut positions = [0u32; BATCH];
            let mut windows = [None; BATCH];
            for ((record, position), window) in batch.iter().zip(&mut positions).zip(&mut windows) {
                let first_looked_at = at.of(at.hash(record.key));
                let (segment, offset) = at.divided(first_looked_at);
                let segment = &segments[segment];
                let first = segment.as_ptr().wrapping_add(offset);
                prefetch(first);
                prefetch(first.wrapping_add(LOOKED_AT - 1));
                *window = segment[offset..].first_chunk::<LOOKED_AT>();
                *position = first_looked_at as u32;
            }
            let mut found = [false; BATCH];
            let looked_up = batch.iter().zip(&mut positions).zip(windows).zip(&mut found);
            for (((record, position), window), found) in looked_up {
                // Where a segment ends, the search begins with the slot.
                let Some(window): Option<&[_; LOOKED_AT]> = window else { continue };
                let (key, first) = (record.key, *position);
                // Backwards and without an end in between: which slot it is in cannot be predicted.
                for (after, slot) in window.iter().enumerate().rev() {
                    let is_it = { slot.key } == key;
                    *position = if is_it { first + after as u32 } else { *position };
                    *found |= is_it;
                }
            }
            for ((record, position), found) in batch.iter().zip(positions).zip(found) {
                let (key, value) = (record.key, record.value);
                if found && key != K::zeroed() {
                    // Nothing moves inside a batch, so what was found is still there.
                    let (segment, offset) = at.divided(position as usize);
                    merge_into(&mut self.segments[segment][offset], value, merge);
                } else {
                    self.merge_at(position as usize, key, value, merge);
                }
            }
        }
    }

    fn merge_at(&mut self, position: usize, key: K, value: V, merge: &impl Fn(&mut V, V)) {
        if key == K::zeroed() {
            match &mut self.zero {
                Some(merged) => merge(merged, value),
                None => self.zero = Some(value),
            }
            return;
        }
        let (mut segment, mut offset) = self.places.divided(position);
        loop {
            for slot in &mut self.segments[segment][offset..] {
                let present = slot.key;
                if present == key {
                    return merge_into(slot, value, merge);
                }
                if present == K::zeroed() {
                    *slot = Pair { key, value };
                    self.used += 1;
                    return;
                }
            }
            // Behind the last slot comes the first; one is always empty.
            (segment, offset) = (segment + 1, 0);
            if segment == self.segments.len() {
                segment = 0;
            }
        }
    }

    /// Bytes that `more` new groups would have it allocate, if it were exactly as large as it must be.
    pub(crate) fn bytes_with(&self, more: usize) -> usize {
        ((self.used + more) * 5 / 4 + 1) * size_of::<Pair<K, V>>()
    }

    /// Makes room for `more` new groups, at four fifths full.
    pub(crate) fn reserve(&mut self, more: usize, pool: &BufferPool<Pair<K, V>>) {
        let needed = (self.used + more) * 5 / 4 + 1;
        let size = self.places.size;
        if needed > size {
            let least = if size < DOUBLE_UP_TO { size * 2 } else { size + size / 4 };
            self.grow(needed.max(least).max(SMALLEST), pool);
        }
    }

    #[cold]
    fn grow(&mut self, size: usize, pool: &BufferPool<Pair<K, V>>) {
        let old = self.places;
        self.places = Places { size, shift: pool.shift(), ..old };
        let whole = 1 << self.places.shift;
        // A segment that is not whole cannot stay.
        let short = if old.size < whole { std::mem::take(&mut self.segments) } else { Vec::new() };
        let kept = self.segments.len();
        // More than half of a buffer is a whole one.
        if size * 2 > whole {
            self.places.size = size.next_multiple_of(whole);
            self.segments.resize_with(self.places.size / whole, || pool.zeroed(whole));
        } else {
            self.segments.push(pool.zeroed(size));
        }
        self.move_up(kept, old, pool);
        for segment in short {
            // The only one had all.
            self.used = 0;
            segment.iter().filter(|slot| !is_empty(slot)).for_each(|&slot| self.insert(slot));
            pool.give(segment);
        }
    }

    /// Moves the groups of the first `kept` segments from where they were in `old` to where they belong now that there are
    /// more slots.
    ///
    /// No group's place comes before the one it had, so from the last segment to the first, each is emptied and its
    /// groups find only those behind it that were moved before.
    fn move_up(&mut self, kept: usize, old: Places, pool: &BufferPool<Pair<K, V>>) {
        let new = self.places;
        let (mut displaced, mut wrapped) = (Vec::<Pair<K, V>>::new(), Vec::new());
        for index in (0..kept).rev() {
            let segment = std::mem::replace(&mut self.segments[index], pool.zeroed(1 << new.shift));
            let before = std::mem::take(&mut displaced);
            for &slot in before.iter().chain(segment.iter().filter(|slot| !is_empty(slot))) {
                let hash = new.hash(slot.key);
                if old.divided(old.of(hash)).0 < index {
                    // It had run over from a segment that is still to come, and belongs there.
                    displaced.push(slot);
                    continue;
                }
                match self.first_empty(new.of(hash)) {
                    Some(empty) => *empty = slot,
                    None => wrapped.push(slot),
                }
            }
            pool.give(segment);
        }
        self.used -= wrapped.len();
        wrapped.into_iter().for_each(|slot| self.insert(slot));
    }

    /// Puts a group in whose key the table does not have.
    fn insert(&mut self, group: Pair<K, V>) {
        let position = self.places.of(self.places.hash(group.key));
        // So nothing is merged.
        self.merge_at(position, group.key, group.value, &|_, _| ());
    }

    /// The first empty slot from `position` on, if there is one before the end.
    fn first_empty(&mut self, position: usize) -> Option<&mut Pair<K, V>> {
        let (segment, offset) = self.places.divided(position);
        let (first, others) = self.segments[segment..].split_first_mut()?;
        first[offset..].iter_mut().chain(others.iter_mut().flatten()).find(|slot| is_empty(slot))
    }

    /// Every group, once, in no order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (K, V)> + '_ {
        let groups = self.segments.iter().flatten().filter(|slot| !is_empty(slot));
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

    /// Gives the memory back.
    pub(crate) fn recycle(self, pool: &BufferPool<Pair<K, V>>) {
        self.segments.into_iter().for_each(|segment| pool.give(segment));
    }
}

fn is_empty<K: Key, V: Pod>(slot: &Pair<K, V>) -> bool {
    let key = slot.key;
    key == K::zeroed()
}

#[inline]
fn merge_into<K: Pod, V: Pod>(slot: &mut Pair<K, V>, value: V, merge: &impl Fn(&mut V, V)) {
    // A packed field cannot be borrowed: merge a copy and put it back.
    let mut merged = slot.value;
    merge(&mut merged, value);
    slot.value = merged;
}

#[cfg(test)]
mod tests;

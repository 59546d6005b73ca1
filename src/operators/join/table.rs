//! Records of the build side in memory, by key: rows of bytes, found through slots that hold no more than a number and
//! a few bits of a hash each.

use super::record::{SameKey, Sought};
use crate::Error;
use crate::exchange::{Row, Rows};
use crate::memory::zeroed_slots;
use crate::prefetch::prefetch;

/// Rows of a chunk: all but the last have so many.
const CHUNK_ROWS: usize = 256;
/// Keys that are looked up together: the memory serves many misses in the time of one.
const BATCH_KEYS: usize = 32;
/// A slot's upper half is the lower half of a hash, its lower half the number of a row, from one; zero is an empty slot.
const NUMBER_BITS: u32 = 32;
const NUMBER: u64 = u32::MAX as u64;
/// What a row takes at most, besides one and an eighth of the bytes of its key and value: its head, four slots, the number of the next
/// one of its key with room to grow, and the lengths of a few texts.
pub(crate) const MOST_ROW_BYTES: u64 = 64;
/// The end of the rows of a key.
const NONE: u32 = u32::MAX;

/// The rows of one key.
#[derive(Clone, Copy)]
pub(super) enum Group<'a> {
    /// This row, and those that follow it.
    Chain(&'a Table, u32),
    /// One of them.
    One(Row<'a>),
}

impl<'a> Group<'a> {
    pub(super) fn rows(self) -> impl Iterator<Item = Row<'a>> {
        let (one, table) = match self {
            Group::Chain(table, _) => (None, Some(table)),
            Group::One(row) => (Some(row), None),
        };
        let chain = self.numbers().zip(std::iter::repeat(table));
        one.into_iter().chain(chain.filter_map(|(number, table)| Some(table?.row(number))))
    }

    /// The numbers of its rows.
    pub(super) fn numbers(self) -> impl Iterator<Item = u32> {
        let mut next = match self {
            Group::Chain(table, first) => Some((table, first)),
            Group::One(_) => None,
        };
        std::iter::from_fn(move || {
            let (table, number) = next?;
            next = table.after(number).map(|after| (table, after));
            Some(number)
        })
    }
}

/// Rows by key.
pub(super) struct Table {
    chunks: Vec<Rows>,
    /// Of all chunks but the last.
    full_bytes: usize,
    /// A power of two, of which at most half are taken.
    slots: Vec<u64>,
    keys: usize,
    /// For each row the next one of its key, from when there is a second row of any key.
    next: Vec<u32>,
    same: SameKey,
    duplicates: bool,
    /// Rows taken in, also those that were not kept, and some of those of one key: see `is_mostly_one_key`.
    taken: usize,
    majority: (u64, usize),
}

impl Table {
    /// An empty table that keeps all rows of a key, or merely the first.
    pub(super) fn new(duplicates: bool, same: SameKey) -> Self {
        Table {
            chunks: Vec::new(),
            full_bytes: 0,
            slots: Vec::new(),
            keys: 0,
            next: Vec::new(),
            same,
            duplicates,
            taken: 0,
            majority: (0, 0),
        }
    }

    /// Copies rows into it.
    pub(super) fn insert_all(&mut self, rows: &Rows) -> Result<(), Error> {
        let mut ahead = rows.iter().skip(BATCH_KEYS);
        rows.iter().try_for_each(|row| {
            if let Some(ahead) = ahead.next()
                && !self.slots.is_empty()
            {
                prefetch(&raw const self.slots[self.first_slot(ahead.hash)]);
            }
            self.insert(row)
        })
    }

    /// Copies a row into it.
    #[inline]
    pub(super) fn insert(&mut self, row: Row<'_>) -> Result<(), Error> {
        if self.keys * 2 >= self.slots.len() {
            self.grow();
        }
        self.taken += 1;
        let number =
            u32::try_from(self.rows()).ok().filter(|&number| number < NONE - 1).ok_or_else(|| {
                Error::Data(
                    "a worker has more than 4 billion build rows of a join: take more workers".to_owned(),
                )
            })?;
        let slot = self.slot_of(&row);
        let first = self.slots[slot];
        if first == 0 {
            self.slots[slot] = tag(row.hash) | u64::from(number + 1);
            self.keys += 1;
        } else if self.duplicates {
            // Behind the first of its key: the order of the others does not matter.
            self.next.resize(number as usize + 1, NONE);
            let first = (first & NUMBER) as usize - 1;
            self.next[number as usize] = std::mem::replace(&mut self.next[first], number);
        } else {
            return Ok(());
        }
        self.vote(row.hash);
        self.append(row).map_err(Error::Data)
    }

    /// The vote of Boyer and Moore: a key that has more than half of the rows is left over in the end.
    #[inline]
    fn vote(&mut self, hash: u64) {
        match &mut self.majority {
            (of, count) if *of == hash => *count += 1,
            (of, count @ 0) => (*of, *count) = (hash, 1),
            (_, count) => *count -= 1,
        }
    }

    fn append(&mut self, row: Row<'_>) -> Result<(), String> {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_ROWS => last.push_row(row),
            last => {
                // As many bytes as the one before had, and a little more: rows are alike.
                let mut fresh = Rows::default();
                if let Some(last) = last {
                    self.full_bytes += last.allocated_bytes();
                    fresh = Rows::with_capacity(CHUNK_ROWS, last.text_bytes() * 9 / 8);
                }
                fresh.push_row(row)?;
                self.chunks.push(fresh);
                Ok(())
            }
        }
    }

    #[cold]
    fn grow(&mut self) {
        let slots = zeroed_slots((self.slots.len() * 2).max(16));
        for slot in std::mem::replace(&mut self.slots, slots).into_iter().filter(|slot| *slot != 0) {
            // The part of the hash that it has tells the place, without a look at the row.
            let mut at = self.first_slot(slot >> NUMBER_BITS);
            while self.slots[at] != 0 {
                at = (at + 1) & (self.slots.len() - 1);
            }
            self.slots[at] = slot;
        }
    }

    /// Where a hash is looked for first: by its low bits, since the high ones chose worker and partition.
    #[inline]
    fn first_slot(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    /// The slot of a key, or the empty one where it belongs.
    #[inline]
    fn slot_of(&self, sought: &impl Sought) -> usize {
        let hash = sought.hash();
        let mut at = self.first_slot(hash);
        loop {
            let slot = self.slots[at];
            if slot == 0 || slot & !NUMBER == tag(hash) && self.is_of(slot, sought) {
                return at;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    #[inline]
    fn is_of(&self, slot: u64, sought: &impl Sought) -> bool {
        let row = self.row((slot & NUMBER) as u32 - 1);
        row.hash == sought.hash() && sought.has_key_of(row, self.same)
    }

    /// The rows of a key.
    #[inline]
    pub(super) fn get(&self, sought: &impl Sought) -> Option<Group<'_>> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slots[self.slot_of(sought)];
        (slot != 0).then(|| Group::Chain(self, (slot & NUMBER) as u32 - 1))
    }

    /// The rows of all keys that have a hash.
    pub(super) fn of_hash(&self, hash: u64) -> impl Iterator<Item = Row<'_>> {
        let places = (0..self.slots.len()).map(move |step| self.first_slot(hash.wrapping_add(step as u64)));
        let taken = places.map(|place| self.slots[place]).take_while(|slot| *slot != 0);
        let firsts = taken.map(|slot| (slot & NUMBER) as u32 - 1);
        let groups = firsts.filter(move |&first| self.row(first).hash == hash);
        groups.flat_map(|first| Group::Chain(self, first).rows())
    }

    /// The first slot that is looked at for a hash.
    #[inline]
    fn peek(&self, hash: u64) -> u64 {
        if self.slots.is_empty() { 0 } else { self.slots[self.first_slot(hash)] }
    }

    /// A byte of the key that a slot has for a hash, if any.
    #[inline]
    fn touch(&self, slot: u64, hash: u64) -> u8 {
        let may_be = slot != 0 && slot & !NUMBER == tag(hash);
        if may_be { self.row((slot & NUMBER) as u32 - 1).key.first().copied().unwrap_or(0) } else { 0 }
    }

    /// A row by its number, which is one of a group.
    #[inline]
    pub(super) fn row(&self, number: u32) -> Row<'_> {
        self.chunks[number as usize / CHUNK_ROWS].row(number as usize % CHUNK_ROWS)
    }

    /// The row that follows one of the same key.
    #[inline]
    fn after(&self, number: u32) -> Option<u32> {
        self.next.get(number as usize).copied().filter(|&next| next != NONE)
    }

    /// Rows it holds.
    pub(super) fn rows(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK_ROWS + last.len())
    }

    /// Its rows by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.chunks.iter().flat_map(Rows::iter)
    }

    /// Bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        let last = self.chunks.last().map_or(0, Rows::allocated_bytes);
        let places = self.chunks.capacity() * size_of::<Rows>() + self.next.capacity() * size_of::<u32>();
        self.full_bytes + last + places + self.slots.capacity() * size_of::<u64>()
    }

    /// Rows taken in.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Whether no division by key would make it much smaller.
    pub(super) fn is_mostly_one_key(&self) -> bool {
        let of = |row: Row<'_>| row.hash == self.majority.0;
        self.majority.1 > 0 && self.iter().filter(|&row| of(row)).count() > self.rows() / 2
    }

    /// Takes all rows out, and gives the rest of the memory back.
    pub(super) fn take_rows(&mut self) -> Vec<Rows> {
        std::mem::replace(self, Table::new(self.duplicates, self.same)).chunks
    }
}

/// Looks keys up, each in the table of its hash.
#[inline]
pub(super) fn look_up<'t, S: Sought>(
    keys: impl Iterator<Item = S>,
    table: impl Fn(u64) -> &'t Table,
    mut meet: impl FnMut(&S, Option<Group<'_>>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut keys = keys.fuse();
    loop {
        let batch: [Option<S>; BATCH_KEYS] = std::array::from_fn(|_| keys.next());
        let batch = || batch.iter().flatten();
        // What is far away is asked for first, without waiting for any of it.
        let mut slots = [0; BATCH_KEYS];
        let hashes = || batch().map(Sought::hash);
        slots.iter_mut().zip(hashes()).for_each(|(slot, hash)| *slot = table(hash).peek(hash));
        let near =
            slots.iter().zip(hashes()).fold(0, |near, (&slot, hash)| near ^ table(hash).touch(slot, hash));
        std::hint::black_box(near);
        for sought in batch() {
            meet(sought, table(sought.hash()).get(sought))?;
        }
        if batch().count() < BATCH_KEYS {
            return Ok(());
        }
    }
}

/// What a slot keeps of a hash: the bits that chose it, so that a table grows by its slots alone, and with them others that tell keys
/// apart, as long as there are not too many slots. None of them chose worker or partition.
#[inline]
fn tag(hash: u64) -> u64 {
    hash << NUMBER_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::route_hash_of;

    fn rows(records: impl Iterator<Item = (String, u64)>) -> Rows {
        let mut rows = Rows::default();
        records.for_each(|(key, value)| rows.push(route_hash_of(&key), &key, &value).expect("plain data"));
        rows
    }

    fn table(duplicates: bool, rows: &Rows) -> Table {
        let mut table = Table::new(duplicates, |_, _| false);
        table.insert_all(rows).expect("few");
        table
    }

    fn values(group: Option<Group<'_>>) -> Vec<u64> {
        let mut values: Vec<u64> = group.map_or_else(Vec::new, |group| {
            group.rows().map(|row| postcard::from_bytes(row.value).expect("a number")).collect()
        });
        values.sort_unstable();
        values
    }

    #[test]
    fn keeps_what_it_was_given_and_counts_it() {
        let rows = rows((0..10_000).map(|number| (format!("key {}", number % 7_000), number)));
        let mut table = table(true, &rows);
        assert!(!table.is_mostly_one_key());
        for row in rows.iter().take(7_000) {
            let number: u64 = postcard::from_bytes(row.value).expect("a number");
            let expected: Vec<_> = (number..10_000).step_by(7_000).collect();
            assert_eq!(values(table.get(&row)), expected);
            assert_eq!(table.of_hash(row.hash).count(), expected.len());
            let numbers = table.get(&row).map(|group| group.numbers().map(u64::from).collect::<Vec<_>>());
            assert_eq!(numbers, Some(expected));
        }
        // 7,000 keys in 16,384 slots, and a number for each row.
        let expected = rows.used_bytes() + 16_384 * 8 + 10_000 * 4;
        assert!(
            (expected..expected * 5 / 4).contains(&table.bytes()),
            "{} bytes, not {expected}",
            table.bytes()
        );
        let taken: usize = table.take_rows().iter().map(Rows::len).sum();
        assert_eq!((taken, table.bytes(), table.taken()), (10_000, 0, 0));
    }

    #[test]
    fn a_row_takes_no_more_than_it_is_said_to() {
        // Catches an estimate of what a broadcast holds that is too low, and a broadcast that is chosen and fails.
        for different in [20_000, 300] {
            let rows = rows((0..20_000).map(|number| (format!("p{}", number % different), number)));
            let mut table = table(true, &Rows::default());
            for (count, row) in rows.iter().enumerate() {
                table.insert(row).expect("few");
                let most = (count as u64 + 1) * MOST_ROW_BYTES + rows.text_bytes() as u64 * 9 / 8 + 4_096;
                assert!(
                    table.bytes() as u64 <= most,
                    "{} bytes of {} rows, not {most}",
                    table.bytes(),
                    count + 1
                );
            }
        }
    }

    #[test]
    fn one_key_is_found_out_unless_it_is_kept_once() {
        for duplicates in [true, false] {
            let rows =
                rows((0..100).map(|number| (if number % 3 == 0 { number } else { 7 }.to_string(), number)));
            let table = table(duplicates, &rows);
            assert_eq!(table.is_mostly_one_key(), duplicates);
            assert_eq!(values(table.get(&rows.row(1))).len(), if duplicates { 66 } else { 1 });
            assert_eq!(table.taken(), 100);
        }
    }

    #[test]
    fn equal_hashes_are_not_equal_keys() {
        // Catches keys that are taken for equal because their hashes are.
        let mut rows = Rows::default();
        (0..100u64).for_each(|number| rows.push(9, &number, &number).expect("numbers"));
        let table = table(true, &rows);
        assert!((0..100).all(|number| values(table.get(&rows.row(number))) == [number as u64]));
        assert_eq!((table.of_hash(9).count(), table.of_hash(8).count()), (100, 0));
        // And keys that are written differently, and are equal nevertheless.
        let mut alike = Table::new(true, |_, _| true);
        alike.insert_all(&rows).expect("few");
        assert_eq!(values(alike.get(&rows.row(5))).len(), 100);
    }
}

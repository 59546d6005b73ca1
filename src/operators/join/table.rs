//! Records of the build side in memory, by key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use serde::Serialize;

use crate::keys::PlaceHasher;
use crate::memory::{map_bytes, owned_bytes};

/// The records of one key of the build side: most keys have one.
pub(super) struct Group<B> {
    first: B,
    others: Vec<B>,
}

impl<B> Group<B> {
    /// The group of one record.
    pub(super) fn of(first: B) -> Self {
        Group { first, others: Vec::new() }
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &B> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn len(&self) -> usize {
        1 + self.others.len()
    }
}

/// Groups by key.
pub(super) struct Table<K, B> {
    groups: HashMap<K, Group<B>, PlaceHasher>,
    duplicates: bool,
    /// What keys and records point to.
    owned_bytes: usize,
    /// Records taken in, also those that were not kept, and those of the key that has most.
    records: usize,
    most_of_a_key: usize,
}

impl<K: Serialize + Hash + Eq, B: Serialize> Table<K, B> {
    /// An empty table that keeps all records of a key, or merely the first.
    pub(super) fn new(duplicates: bool) -> Self {
        Table { groups: HashMap::default(), duplicates, owned_bytes: 0, records: 0, most_of_a_key: 0 }
    }

    pub(super) fn insert(&mut self, key: K, record: B) {
        self.records += 1;
        match self.groups.entry(key) {
            Entry::Occupied(group) if self.duplicates => {
                let group = group.into_mut();
                let before = group.others.capacity();
                self.owned_bytes += owned_bytes(&record);
                group.others.push(record);
                self.owned_bytes += (group.others.capacity() - before) * size_of::<B>();
                self.most_of_a_key = self.most_of_a_key.max(group.len());
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(group) => {
                self.owned_bytes += owned_bytes(group.key()) + owned_bytes(&record);
                group.insert(Group::of(record));
            }
        }
    }

    #[inline]
    pub(super) fn get(&self, key: &K) -> Option<&Group<B>> {
        self.groups.get(key)
    }

    /// Bytes it holds, what its records point to included.
    pub(super) fn bytes(&self) -> usize {
        map_bytes(&self.groups) + self.owned_bytes
    }

    /// Records taken in.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// Whether no division by key would make it much smaller.
    pub(super) fn is_mostly_one_key(&self) -> bool {
        self.most_of_a_key > self.records / 2
    }

    /// Takes all records out, and gives the memory back.
    pub(super) fn take_records(&mut self) -> impl Iterator<Item = (K, B)> + use<K, B>
    where
        K: Clone,
    {
        let groups = std::mem::replace(self, Table::new(self.duplicates)).groups;
        groups.into_iter().flat_map(|(key, Group { first, others })| {
            let others: Vec<_> = others.into_iter().map(|other| (key.clone(), other)).collect();
            std::iter::once((key, first)).chain(others)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_it_was_given_and_counts_it() {
        let mut table = Table::new(true);
        for number in 0..1_000u64 {
            table.insert(format!("key {}", number % 700), number);
        }
        assert!(!table.is_mostly_one_key());
        assert_eq!(table.get(&"key 3".to_owned()).map(|group| group.records().sum()), Some(3 + 703u64));
        assert!(table.get(&"key 700".to_owned()).is_none());
        // 700 keys of seven bytes in 1,024 slots, and 300 records beside.
        let slot = size_of::<(String, Group<u64>)>() + 1;
        assert!((1_024 * slot + 700 * 7..1_400 * slot).contains(&table.bytes()), "{} bytes", table.bytes());
        let mut records: Vec<_> = table.take_records().map(|(_, number)| number).collect();
        records.sort_unstable();
        assert!(records.into_iter().eq(0..1_000));
        assert_eq!((table.bytes(), table.records()), (0, 0));
    }

    #[test]
    fn one_key_is_found_out_unless_it_is_kept_once() {
        for duplicates in [true, false] {
            let mut table = Table::new(duplicates);
            (0..100u64).for_each(|number| table.insert(7u64, number));
            table.insert(8, 0);
            assert_eq!(table.is_mostly_one_key(), duplicates);
            assert_eq!(
                table.get(&7).map(|group| group.records().count()),
                Some(if duplicates { 100 } else { 1 })
            );
        }
    }
}

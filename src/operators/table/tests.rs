//! Tables of groups, against a map, and what they take.

use super::*;
use crate::exchange::Spare;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Records of a test; for Miri, enough that a table grows several times.
const MOST: usize = if cfg!(miri) { 400 } else { 2_000 };

/// Buffers for so many records, which a segment then has as slots, or the next lower power of two.
fn pool(records: usize) -> BufferPool<Pair<u64, u64>> {
    BufferPool::new(Spare::default(), records, usize::MAX)
}

proptest! {
    /// Catches a group lost or doubled by collisions, growth, segments, the empty key or batches.
    #[test]
    fn behaves_like_a_map(
        records in proptest::collection::vec((0u64..300, 1u64..9), 0..MOST),
        buffer in prop::sample::select(vec![1, 3, 16, 64, 512]),
    ) {
        let (mut table, pool) = (GroupTable::<u64, u64>::default(), pool(buffer));
        let mut model = BTreeMap::<u64, u64>::new();
        for piece in records.chunks(97) {
            let pairs: Vec<_> = piece.iter().map(|&(key, value)| Pair { key, value }).collect();
            table.merge(&pairs, &|sum, value| *sum += value, &pool);
        }
        for (key, value) in records {
            *model.entry(key).or_default() += value;
        }
        prop_assert_eq!(table.len(), model.len());
        // Catches memory that no budget knows of.
        let slots: usize = table.segments.iter().map(Vec::capacity).sum();
        prop_assert!(!buffer.is_power_of_two() || table.allocated_bytes() == slots * 16);
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
        table.recycle(&pool);
        // Pooled memory must come back empty.
        let mut table = GroupTable::default();
        table.merge(&[Pair { key: 7, value: 1 }], &|sum, value| *sum += value, &pool);
        table.reserve(100, &pool);
        prop_assert_eq!(table.groups().collect::<Vec<_>>(), [(7, 1)]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "measures sizes, which takes it minutes and shows nothing it could find")]
fn memory_stays_near_its_groups() {
    // Catches growth that overshoots: doubling a large table would reach 2.5 slots a group.
    let (mut table, pool) = (GroupTable::<u64, u64>::default(), pool(512));
    let mut merge = |key| {
        table.merge(&[Pair { key, value: 1 }], &|sum, value| *sum += value, &pool);
        (table.allocated_bytes() as f64 / 16.0, table.len())
    };
    for key in 1..=200_000u64 {
        let (slots, groups) = merge(key);
        assert_eq!(groups as u64, key);
        // The last segment need not be needed whole.
        assert!(key < 10_000 || (slots - 512.0) / (key as f64) < 1.6, "{slots} slots for {key} groups");
    }
    // Catches a group that growing a large table put where nobody looks.
    for key in 1..=200_000 {
        assert_eq!(merge(key).1, 200_000);
    }
}

#[test]
fn a_table_is_made_of_the_buffers_that_its_records_came_in() {
    // Catches memory beside what records wait in: all that a table needs was there before it.
    let spare = Spare::<Pair<u64, u64>>::default();
    let pool = BufferPool::new(Rc::clone(&spare), 64, usize::MAX);
    let free = || spare.borrow().len();
    (0..40).for_each(|_| pool.give(Vec::with_capacity(64)));
    let mut table = GroupTable::default();
    table.reserve(1_000, &pool);
    let segments = table.allocated_bytes() / (64 * 16);
    assert_eq!((segments, free()), (20, 20));
    // While it grows it has one more.
    table.reserve(1_900, &pool);
    assert_eq!((table.allocated_bytes() / (64 * 16), free()), (40, 1));
    table.recycle(&pool);
    assert_eq!(free(), 41);
}

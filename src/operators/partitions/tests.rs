//! Reducers in next to no memory, against a map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::exchange::Spare;
use crate::keys::scale;
use crate::memory::Budget;

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
    assert_eq!(partitions.shelf.seat.held_bytes(), 0);
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

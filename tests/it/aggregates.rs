//! The ready-made aggregates as values of the reducers, at one, two and three workers, against plain models.
//!
//! These tests would catch a merge that depends on who has which records, a state that does not survive its way between
//! workers, a merge that is not associative or not commutative, and an estimate that is not the same for any number of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millrace::operators::aggregates::{ApproximateDistinct, Mean, TopPerKey, add_each};
use millrace::operators::{Fold, Gather, ReduceByAnyKey, ReduceByKey, Round};
use proptest::prelude::*;
use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::Map;

use crate::support::{Random, run_workers, share};

type Records<'scope> = StreamVec<'scope, Round, (u64, u64)>;

/// Key and item: a key with very many items, some with a few.
fn records() -> Arc<[(u64, u64)]> {
    let mut random = Random(17);
    let mut record = |_| match random.below(2) {
        0 => (0, random.below(20_000)),
        _ => (1 + random.below(300), random.below(50)),
    };
    (0..60_000).map(&mut record).collect()
}

/// The groups in the order of their keys, which must be the same with any number of workers.
fn reduced<K, V>(
    records: &Arc<[(u64, u64)]>,
    reduce: impl for<'scope> Fn(Records<'scope>) -> StreamVec<'scope, Round, (K, V)>
    + Clone
    + Send
    + Sync
    + 'static,
) -> Vec<(K, V)>
where
    K: ExchangeData + Ord,
    V: ExchangeData + PartialEq,
{
    let [one, two, three] = [1, 2, 3].map(|workers| {
        let (records, reduce) = (Arc::clone(records), reduce.clone());
        let (mut groups, _) =
            run_workers(workers, None, move |scope| reduce(share(scope, &records)).gather());
        groups.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        groups
    });
    assert!(one == two && one == three, "not the same with any number of workers");
    one
}

/// `COUNT`, `SUM`, `MIN` and `MAX`: the merge is a line, and here as a query would write it.
fn merge_basic(all: &mut [i64; 4], more: [i64; 4]) {
    all[0] += more[0];
    all[1] += more[1];
    all[2] = all[2].min(more[2]);
    all[3] = all[3].max(more[3]);
}

#[test]
fn counts_sums_least_and_greatest_of_each_key() {
    // Catches a merge that begins with zero, which is neither the least of what is above it nor the greatest of what is below.
    let records = records();
    let item = |key: u64, item: u64| if key.is_multiple_of(2) { item as i64 + 1 } else { -1 - item as i64 };
    let mut model = BTreeMap::<_, Vec<i64>>::new();
    for (key, number) in &*records {
        model.entry(*key).or_default().push(item(*key, *number));
    }
    let of = |items: Vec<i64>| -> Option<[i64; 4]> {
        Some([items.len() as i64, items.iter().sum(), *items.iter().min()?, *items.iter().max()?])
    };
    let model: Vec<_> = model.into_iter().map(|(key, items)| (key, of(items).unwrap())).collect();
    let value = move |(key, number)| {
        let item = item(key, number);
        (key, [1, item, item, item])
    };
    assert!(reduced(&records, move |own| own.map(value).reduce_by_key(merge_basic)) == model);
    assert!(reduced(&records, move |own| own.map(value).reduce_by_any_key(merge_basic)) == model);
}

/// Merges values in the grouping and the order that `cuts` draws: two neighbours at a time, the later into the earlier or the other way.
fn merged<V>(mut values: Vec<V>, cuts: &[(usize, bool)], merge: impl Fn(&mut V, V)) -> V {
    let mut cuts = cuts.iter().cycle();
    while values.len() > 1 {
        let (place, turned) = cuts.next().expect("a cycle");
        let later = place % (values.len() - 1) + 1;
        let (mut other, place) = (values.remove(later), later - 1);
        if *turned {
            std::mem::swap(&mut values[place], &mut other);
        }
        merge(&mut values[place], other);
    }
    values.remove(0)
}

proptest! {
    /// Catches a merge that is not associative or not commutative, and one that is not what a plain program finds.
    #[test]
    fn merges_go_in_any_grouping_and_order(
        items in proptest::collection::vec(-500i64..500, 1..60),
        cuts in proptest::collection::vec((0usize..60, any::<bool>()), 1..60),
    ) {
        let each = |of: &dyn Fn(i64) -> [i64; 4]| items.iter().map(|item| of(*item)).collect::<Vec<_>>();
        let mut sorted = items.clone();
        sorted.sort_unstable();
        let sum: i64 = items.iter().sum();
        let basic = merged(each(&|item| [1, item, item, item]), &cuts, merge_basic);
        prop_assert_eq!(basic, [items.len() as i64, sum, sorted[0], sorted[sorted.len() - 1]]);
        prop_assert_eq!(
            merged(each(&|item| [1, item, -item, item * item]), &cuts, add_each),
            [items.len() as i64, sum, -sum, items.iter().map(|item| item * item).sum()]
        );

        let means: Vec<_> = items.iter().map(|item| Mean::of(*item as f64)).collect();
        let mean = merged(means, &cuts, Mean::merge);
        prop_assert_eq!((mean.count(), mean.sum()), (items.len() as u64, sum as f64));

        let tops: Vec<_> = items.iter().map(|item| TopPerKey::<_, 5>::of(*item)).collect();
        let largest: Vec<_> = sorted.iter().rev().take(5).copied().collect();
        prop_assert_eq!(merged(tops, &cuts, TopPerKey::merge).into_items(), largest);

        // The registers are those of one that saw all items, so that every grouping has the same estimate.
        let counts: Vec<_> = items.iter().map(ApproximateDistinct::<12>::of).collect();
        let mut all = ApproximateDistinct::<12>::default();
        items.iter().for_each(|item| all.insert(item));
        let found = merged(counts, &cuts, ApproximateDistinct::merge);
        prop_assert_eq!(found.estimate().to_bits(), all.estimate().to_bits());
        sorted.dedup();
        prop_assert!((found.estimate() - sorted.len() as f64).abs() < 6.0);
    }
}

#[test]
fn means_are_exact_for_integers() {
    let records = records();
    let mut model = BTreeMap::<_, (u64, u64)>::new();
    for (key, item) in &*records {
        let (sum, count) = model.entry(*key).or_default();
        (*sum, *count) = (*sum + item, *count + 1);
    }
    let model: Vec<_> =
        model.into_iter().map(|(key, (sum, count))| (key, sum as f64 / count as f64)).collect();
    let found = reduced(&records, |own| {
        own.map(|(key, item)| (key, Mean::of(item as f64)))
            .reduce_by_key(Mean::merge)
            .map(|(key, mean)| (key, mean.value()))
    });
    assert_eq!(found, model);
}

#[test]
fn the_largest_and_the_smallest_of_each_key() {
    let records = records();
    let mut model = BTreeMap::<_, Vec<u64>>::new();
    records.iter().for_each(|(key, item)| model.entry(*key).or_default().push(*item));
    let model = model.into_iter().map(|(key, mut items)| {
        items.sort_unstable();
        let smallest: Vec<_> = items.iter().take(4).copied().collect();
        (key, (items.into_iter().rev().take(4).collect::<Vec<_>>(), smallest))
    });
    let found = reduced(&records, |own| {
        own.map(|(key, item)| (key, (TopPerKey::<_, 4>::of(item), TopPerKey::<_, 4>::of(Reverse(item)))))
            .reduce_by_any_key(|(largest, smallest), more| {
                largest.merge(more.0);
                smallest.merge(more.1);
            })
            .map(|(key, (largest, smallest))| {
                let smallest =
                    smallest.into_items().into_iter().map(|Reverse(item)| item).collect::<Vec<_>>();
                (key, (largest.into_items(), smallest))
            })
    });
    assert!(found == model.collect::<Vec<_>>());
}

#[test]
fn distinct_items_are_about_as_many_as_there_are() {
    let records = records();
    let mut model = BTreeMap::<_, BTreeSet<u64>>::new();
    for (key, item) in &*records {
        model.entry(*key).or_default().insert(*item);
    }
    let found = reduced(&records, |own| {
        own.map(|(key, item)| (key, ApproximateDistinct::<12>::of(&item)))
            .reduce_by_any_key(ApproximateDistinct::merge)
            .map(|(key, items)| (key, items.estimate()))
    });
    assert_eq!(found.len(), model.len());
    for ((key, estimate), items) in found.iter().zip(model.values()) {
        // Five standard errors; of a few items, nearly all have a register of their own.
        let error = (estimate / items.len() as f64 - 1.0).abs();
        assert!(error < 5.0 * 0.01625, "key {key}: {estimate} of {}", items.len());
    }
}

#[test]
fn a_count_for_all_is_folded() {
    let items: BTreeSet<_> = records().iter().map(|record| record.1).collect();
    let parts = reduced(&records(), |own| {
        own.fold(ApproximateDistinct::<14>::default(), |all, (_, item)| all.insert(&item))
            .map(|part| ((), part))
            .reduce_by_any_key(ApproximateDistinct::merge)
    });
    let error = parts[0].1.estimate() / items.len() as f64 - 1.0;
    assert!(error.abs() < 5.0 * 0.00813, "{error}");
}

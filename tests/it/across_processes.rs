//! Each operator over several processes, against plain models on seeded data.
//!
//! These tests would catch a record lost, doubled or misread on its way to another process, one that is merged at its sender and again
//! behind the exchange, keys that two processes own, and an order that holds within a process only. Joins have a test of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millrace::keys::ShortText;
use millrace::operators::aggregates::{ApproximateDistinct, Mean, TopPerKey, add_each};
use millrace::operators::{
    Count, Distinct, FirstBy, Fold, Gather, Gathered, PairsWithinKey, ReduceByAnyKey, ReduceByKey,
    ReduceByText, Round, Sort, SortWithinKey, Top,
};
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::Map;

use crate::support::{Random, run_processes, share};

/// Processes, and workers of each.
const SHAPES: [(usize, usize); 6] = [(1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2)];

type Record = (u64, u64);

/// Few keys with many records, one with very many, and many with one; zero is both a key and a value.
fn records() -> Arc<[Record]> {
    let mut random = Random(17);
    let key = |random: &mut Random| match random.below(10) {
        0..3 => 7,
        3..6 => random.below(40),
        _ => random.below(1 << 30),
    };
    (0..30_000).map(|_| (key(&mut random), random.below(5_000))).collect()
}

/// A key as a text of any length: of equal beginnings, and up to 16 bytes and more.
fn text(key: u64) -> String {
    format!("{}{key}", "k/".repeat((key % 15) as usize))
}

/// Each key with its values in order.
fn groups(records: &[Record]) -> BTreeMap<u64, Vec<u64>> {
    let mut groups = BTreeMap::<_, Vec<u64>>::new();
    records.iter().for_each(|(key, value)| groups.entry(*key).or_default().push(*value));
    groups.values_mut().for_each(|values| values.sort_unstable());
    groups
}

/// Runs a dataflow over each worker's share of the records, in all shapes; what it gives, sorted, is to be `expected`.
fn assert_gives<A, F>(records: &Arc<[Record]>, expected: impl IntoIterator<Item = A>, build: F)
where
    A: Ord + Send + 'static,
    F: for<'a> Fn(StreamVec<'a, Round, Record>) -> Gathered<A> + Clone + Send + Sync + 'static,
{
    let mut expected: Vec<_> = expected.into_iter().collect();
    expected.sort_unstable();
    for (processes, workers) in SHAPES {
        let (records, build) = (Arc::clone(records), build.clone());
        let mut found = run_processes(processes, workers, move |scope| build(share(scope, &records)));
        found.sort_unstable();
        let (count, wanted) = (found.len(), expected.len());
        assert!(found == expected, "-n {processes} -w {workers}: {count} records, and {wanted} in the model");
    }
}

#[test]
fn reducers_are_maps() {
    let records = records();
    let groups = groups(&records);
    let sums = || groups.iter().map(|(key, values)| (*key, values.iter().sum::<u64>()));
    assert_gives(&records, sums(), |own| own.reduce_by_key(|sum, more| *sum += more).gather());
    let of_texts = || sums().map(|(key, sum)| (text(key).into_bytes(), sum));
    assert_gives(&records, of_texts(), |own| {
        own.map(|(key, value)| (ShortText::new(text(key).as_bytes()), value))
            .reduce_by_text(|sum, more| *sum += more)
            .map(|(text, sum)| (text.as_bytes().to_vec(), sum))
            .gather()
    });
    let lists = groups.iter().map(|(key, values)| (text(*key), values.clone()));
    assert_gives(&records, lists, |own| {
        own.map(|(key, value)| (text(key), vec![value]))
            .reduce_by_any_key(|all, mut more| all.append(&mut more))
            .map(|(key, mut values)| {
                values.sort_unstable();
                (key, values)
            })
            .gather()
    });
}

#[test]
fn aggregates_are_those_of_each_group() {
    type Several = (Mean, TopPerKey<u64, 3>, ApproximateDistinct<10>);
    fn of(value: u64) -> Several {
        (Mean::of(value as f64), TopPerKey::of(value), ApproximateDistinct::of(&value))
    }
    fn merge(all: &mut Several, more: Several) {
        all.0.merge(more.0);
        all.1.merge(more.1);
        all.2.merge(more.2);
    }
    // Of integers a mean is exact; an estimate is the same in any order.
    fn shown(key: u64, (mean, top, distinct): Several) -> (u64, u64, Vec<u64>, u64) {
        (key, mean.value().to_bits(), top.into_items(), distinct.estimate().to_bits())
    }
    let records = records();
    let groups = groups(&records);
    let expected = groups.iter().map(|(key, values)| {
        let mut values = values.iter().copied();
        let mut all = of(values.next().expect("a value"));
        values.for_each(|value| merge(&mut all, of(value)));
        shown(*key, all)
    });
    assert_gives(&records, expected, |own| {
        own.map(|(key, value)| (key, of(value)))
            .reduce_by_any_key(merge)
            .map(|(key, all)| shown(key, all))
            .gather()
    });
    let counts = groups.iter().map(|(key, values)| (*key, [values.len() as u64, values.iter().sum()]));
    assert_gives(&records, counts, |own| {
        own.map(|(key, value)| (key, [1, value])).reduce_by_key(add_each).gather()
    });
}

#[test]
fn distinct_is_a_set() {
    let records = records();
    let keys: BTreeSet<_> = records.iter().map(|(key, _)| *key).collect();
    assert_gives(&records, keys.clone(), |own| own.map(|(key, _)| key).distinct().gather());
    let texts: BTreeSet<_> = keys.into_iter().map(text).collect();
    assert_gives(&records, texts.clone(), |own| own.map(|(key, _)| text(key)).distinct_any().gather());
    let texts = texts.into_iter().map(|text| (text.len() as u32, text.into_bytes()));
    assert_gives(&records, texts, |own| {
        own.map(|(key, _)| text(key))
            .map(|text| (text.len() as u32, ShortText::new(text.as_bytes())))
            .distinct_text()
            .map(|(length, text)| (length, text.as_bytes().to_vec()))
            .gather()
    });
}

#[test]
fn what_is_gathered_is_of_all_workers() {
    let records = records();
    assert_gives(&records, [records.len() as u64], |own| own.count().gather());
    assert_gives(&records, records.iter().copied(), |own| own.gather());
    let total: u64 = records.iter().map(|(_, value)| value).sum();
    for (processes, workers) in SHAPES {
        let records = Arc::clone(&records);
        let sums = run_processes(processes, workers, move |scope| {
            share(scope, &records).fold(0, |sum, (_, value)| *sum += value).gather()
        });
        // One of each worker.
        assert_eq!((sums.len(), sums.iter().sum::<u64>()), (processes * workers, total));
    }
}

#[test]
fn the_first_and_the_top_are_those_of_all() {
    let records = records();
    let mut sorted = records.to_vec();
    sorted.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    for (processes, workers) in SHAPES {
        for limit in [1, 50, 40_000] {
            let expected = &sorted[..limit.min(sorted.len())];
            let (own, also_own) = (Arc::clone(&records), Arc::clone(&records));
            let first = run_processes(processes, workers, move |scope| {
                share(scope, &own).first_by(limit, |a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0))).gather()
            });
            assert!(first == expected, "the first {limit} with -n {processes} -w {workers}");
            let tops = run_processes(processes, workers, move |scope| {
                share(scope, &also_own)
                    .fold(Top::new(limit), |top, (key, value)| top.push(value as f64, key))
                    .gather()
            });
            let merged = tops.into_iter().reduce(|mut all, more| {
                all.merge(more);
                all
            });
            let top = merged.expect("one of each worker").into_sorted();
            let top: Vec<_> = top.into_iter().map(|(value, key)| (key, value as u64)).collect();
            assert!(top == expected, "the top {limit} with -n {processes} -w {workers}");
        }
    }
}

#[test]
fn values_of_a_key_come_together() {
    let records: Arc<[Record]> = records()[..4_000].into();
    let groups = groups(&records);
    let lists = groups.iter().map(|(key, values)| (text(*key), values.clone()));
    assert_gives(&records, lists, |own| {
        own.map(|(key, value)| (text(key), value)).sort_within_key(Ord::cmp).gather()
    });
    // Of the key with very many, only pairs of values that are near each other.
    let near = |a: u64, b: u64| b - a < 3;
    let pairs = groups.iter().flat_map(|(key, values)| {
        let pairs = values.iter().enumerate().flat_map(|(place, a)| {
            let others = values[place + 1..].iter().take_while(|b| near(*a, **b));
            others.map(|b| (*key, *a, *b)).collect::<Vec<_>>()
        });
        pairs.collect::<Vec<_>>()
    });
    assert_gives(&records, pairs, move |own| {
        own.pairs_within_key(move |&key, &a, &b| near(a, b).then_some((key, a, b))).gather()
    });
}

#[test]
fn sorted_ranges_follow_each_other_from_process_to_process() {
    let records = records();
    let mut sorted = records.to_vec();
    sorted.sort_unstable();
    for (processes, workers) in SHAPES {
        let records = Arc::clone(&records);
        let mut found = run_processes(processes, workers, move |scope| {
            let worker = scope.index();
            share(scope, &records).sort().map(move |record| (worker, record)).gather()
        });
        // What one worker gave is gathered in its order.
        found.sort_by_key(|(worker, _)| *worker);
        let peers = processes * workers;
        for worker in 0..peers {
            let share = found.iter().filter(|(of, _)| *of == worker).count();
            assert!(share * peers < sorted.len() * 6 / 5, "{share} of {} at worker {worker}", sorted.len());
        }
        let found: Vec<_> = found.into_iter().map(|(_, record)| record).collect();
        assert!(found == sorted, "-n {processes} -w {workers}");
    }
}

//! The operators in process, at one, two and three workers, against plain models on seeded data.
//!
//! These tests would catch a record lost or doubled on its way between workers, keys that go wrong because they are
//! all zeros, all equal or never repeat (which turns the combiner on and off), a worker without data that never ends,
//! and a part file that is not what passed by. Several processes are the business of `across_processes`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use millrace::formats::parts::{Form, Output};
use millrace::formats::row_writer::RowFormat;
use millrace::input::{Input, InputOptions, Row, SplitAssignment};
use millrace::keys::{Prefix, ShortText};
use millrace::memory::Budget;
use millrace::operators::{
    Count, Distinct, FirstBy, Fold, Gather, Gathered, PairsWithinKey, ProcessShared, ReduceByAnyKey,
    ReduceByKey, ReduceByText, Round, Scan, UnaryNotify, WorkerContext, WriteParts,
};
use millrace::tables::{Column, ColumnType, RANKINGS};
use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::vec::{Map, ToStream};
use timely::dataflow::{Scope, StreamVec};

use crate::support::{Random, run_workers, share};

/// Runs a dataflow to its end on so many workers; what was gathered, which only worker 0 may have.
fn run<A, F>(workers: usize, build: F) -> Vec<A>
where
    A: Send + 'static,
    F: Fn(Scope<'_, Round>) -> Gathered<A> + Send + Sync + 'static,
{
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let gathered = worker.dataflow(&build);
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
        gathered.take()
    })
    .expect("started");
    let mut brought: Vec<_> = guards.join().into_iter().map(|outcome| outcome.expect("ended")).collect();
    let first = brought.remove(0).expect("worker 0 has what was gathered");
    assert!(brought.iter().all(Option::is_none), "another worker has gathered something");
    first
}

#[derive(serde::Deserialize)]
struct Page {
    #[serde(rename = "pageRank")]
    rank: u64,
}
impl Row for Page {
    type Of<'a> = Page;
}

#[test]
fn every_scan_of_every_run_has_all_splits_once() {
    // Catches scans that take each other's splits, and a run that finds those of the run before gone.
    let options = InputOptions { split_bytes: Some(1 << 10), peers: 3, ..InputOptions::default() };
    let pages = Input::<Page>::open(&RANKINGS, &options).unwrap();
    let splits = pages.splits().len() as u64;
    assert!(splits > 20);
    let mut sum = 0;
    for split in pages.splits() {
        let mut rows = pages.open_split(split).unwrap();
        while rows.next_block(|page| sum += page.rank).unwrap().is_some() {}
    }
    for assignment in [SplitAssignment::Modulo, SplitAssignment::Shared] {
        for workers in 1..=3 {
            let (pages, process) = (pages.clone(), ProcessShared::new(assignment, Budget::default()));
            let guards = timely::execute(timely::Config::process(workers), move |worker| {
                let mut found = Vec::new();
                for run in 0..3 {
                    let context = WorkerContext::install(process.clone(), workers, run, BTreeMap::new());
                    let gathered = worker.dataflow(|scope| {
                        let first = scope.scan(&pages, |page| Some((0u64, page.rank)));
                        let second = scope.scan(&pages, |page| Some((1u64, page.rank)));
                        first.concat(second).reduce_by_key(|sum, rank| *sum += rank).gather()
                    });
                    // No worker waits for the others here: one may be in the next run already.
                    while worker.has_dataflows() {
                        worker.step_or_park(None);
                    }
                    found.push((gathered.take(), context.counters.splits.get()));
                }
                found
            });
            let found: Vec<_> = guards.unwrap().join().into_iter().map(Result::unwrap).collect();
            for run in 0..3 {
                let mut sums = found[0][run].0.clone().unwrap();
                sums.sort_unstable();
                assert_eq!(sums, [(0, sum), (1, sum)], "run {run}, {workers} workers, {assignment:?}");
                assert_eq!(found.iter().map(|worker| worker[run].1).sum::<u64>(), 2 * splits);
            }
        }
    }
}

/// Keys in every distribution that is special to a table, a combiner or a router.
fn key_sets() -> Vec<(&'static str, Vec<u64>)> {
    let mut random = Random(11);
    let mut draw = |count: usize, key: &dyn Fn(&mut Random) -> u64| -> Vec<u64> {
        (0..count).map(|_| key(&mut random)).collect()
    };
    vec![
        ("none", Vec::new()),
        ("one record", vec![42]),
        ("only the key of all zeros", vec![0; 5_000]),
        ("one key", vec![7; 100_000]),
        ("few keys, the zeros among them", draw(20_000, &|random| random.below(50))),
        (
            "skewed",
            draw(100_000, &|random| match random.below(10) {
                0 => random.below(30_000),
                _ => random.below(3),
            }),
        ),
        ("multiples of a power of two", draw(50_000, &|random| random.below(5_000) << 40)),
        // More than the combiner's sample on each of three workers: it must give up, and lose nothing.
        ("never twice", (0..240_000).collect()),
        ("first unique, then one", (0..100_000).chain(std::iter::repeat_n(5, 100_000)).collect()),
    ]
}

#[test]
fn reduce_by_key_is_a_map() {
    for (name, keys) in key_sets() {
        let mut random = Random(keys.len() as u64);
        let records: Arc<[_]> = keys.into_iter().map(|key| (key, random.below(1 << 30))).collect();
        let mut model = BTreeMap::new();
        records.iter().for_each(|(key, value)| *model.entry(*key).or_insert(0) += value);
        let model: Vec<_> = model.into_iter().collect();
        for workers in 1..=3 {
            let records = Arc::clone(&records);
            let mut groups = run(workers, move |scope| {
                share(scope, &records).reduce_by_key(|sum, more| *sum += more).gather()
            });
            groups.sort_unstable();
            assert!(
                groups == model,
                "{name} with {workers} workers: {} groups, not {}",
                groups.len(),
                model.len()
            );
        }
    }
}

#[test]
fn reduce_by_any_key_is_a_map() {
    // Keys of any length, the empty text among them, and values that grow: catches what only plain bytes survive.
    for (name, mut keys) in key_sets() {
        // So many that a single worker's combiner still gives up where keys never repeat.
        keys.truncate(80_000);
        let text = |key: u64| "k".repeat((key % 9) as usize) + &key.to_string()[usize::from(key == 0)..];
        let records: Arc<[_]> =
            keys.into_iter().enumerate().map(|(place, key)| (text(key), vec![place as u64])).collect();
        let mut model = BTreeMap::<_, Vec<u64>>::new();
        records.iter().for_each(|(key, places)| model.entry(key.clone()).or_default().extend(places));
        let model: Vec<_> = model.into_iter().collect();
        for workers in 1..=3 {
            let records = Arc::clone(&records);
            let mut groups = run(workers, move |scope| {
                share(scope, &records).reduce_by_any_key(|all, mut more| all.append(&mut more)).gather()
            });
            groups.iter_mut().for_each(|(_, places)| places.sort_unstable());
            groups.sort_unstable();
            assert!(
                groups == model,
                "{name} with {workers} workers: {} groups, not {}",
                groups.len(),
                model.len()
            );
        }
    }
}

#[test]
fn reduce_by_text_is_a_map() {
    // Catches a text that is cut, or taken for another: of equal beginnings, on both sides of each length that something is made for, and with
    // zero bytes at the end, which are the padding of a fixed-width key.
    let mut random = Random(31);
    let lengths = [0, 1, 7, 8, 15, 16, 17, 22, 23, 40, 41, 102, 103, 300];
    let texts: Vec<Vec<u8>> = (0..40_000)
        .map(|_| {
            let mut text = vec![b'x'; lengths[random.below(lengths.len() as u64) as usize]];
            if let Some(last) = text.last_mut() {
                *last = random.below(3) as u8;
            }
            text.extend(random.below(500).to_string().bytes().filter(|_| random.below(2) == 0));
            text
        })
        .collect();
    let mut model = BTreeMap::<_, u64>::new();
    texts.iter().zip(0..).for_each(|(text, value)| *model.entry(text.clone()).or_default() += value);
    let model: Vec<_> = model.into_iter().collect();
    let (longest, zero_at_end) =
        (model.iter().map(|(text, _)| text.len()).max(), |text: &[u8]| text.last() == Some(&0));
    assert!(longest > Some(300) && model.iter().any(|(text, _)| text.len() < 16 && zero_at_end(text)));
    let records: Arc<[_]> = texts.iter().map(|text| ShortText::new(text)).zip(0u64..).collect();
    for workers in 1..=3 {
        let records = Arc::clone(&records);
        let groups = run(workers, move |scope| {
            share(scope, &records).reduce_by_text(|sum, more| *sum += more).gather()
        });
        let mut groups: Vec<_> =
            groups.into_iter().map(|(text, sum)| (text.as_bytes().to_vec(), sum)).collect();
        groups.sort_unstable();
        assert!(groups == model, "{workers} workers: {} groups, not {}", groups.len(), model.len());
    }
}

#[test]
fn keys_of_several_texts_are_a_map_and_a_set() {
    // Catches a pair of which one text is short and the other is not, on two ways at once, and texts that run into each other.
    let mut random = Random(37);
    let lengths = [0, 3, 16, 17, 40];
    let mut text = || "y".repeat(lengths[random.below(5) as usize]) + &random.below(9).to_string();
    let keys: Arc<[_]> = (0..40_000u32).map(|place| (text(), (text(), place % 3))).collect();
    let mut model = BTreeMap::<_, u64>::new();
    keys.iter().zip(0..).for_each(|(key, value)| *model.entry(key.clone()).or_default() += value);
    type Plain = (String, (String, u32));
    let of = |(a, (b, c)): &Plain| (ShortText::new(a.as_bytes()), (ShortText::new(b.as_bytes()), *c));
    let back = |(a, (b, c)): (ShortText, (ShortText, u32))| (a.to_string(), (b.to_string(), c));
    for (workers, limit) in [(1, None), (3, None), (2, Some(1 << 20))] {
        let records: Arc<[_]> = keys.iter().map(of).zip(0u64..).collect();
        let (groups, spilled) = run_workers(workers, limit, move |scope| {
            share(scope, &records).reduce_by_text(|sum, more| *sum += more).gather()
        });
        assert_eq!(spilled > 0, limit.is_some());
        let groups: Vec<_> = groups.into_iter().map(|(key, sum)| (back(key), sum)).collect();
        assert_eq!(groups.len(), model.len());
        assert!(groups.into_iter().collect::<BTreeMap<_, _>>() == model, "{workers} workers, {limit:?}");
        let records: Arc<[_]> = keys.iter().map(of).collect();
        let (found, _) =
            run_workers(workers, limit, move |scope| share(scope, &records).distinct_text().gather());
        assert_eq!(found.len(), model.len());
        assert!(found.into_iter().map(back).collect::<BTreeSet<_>>() == model.keys().cloned().collect());
    }
}

#[test]
fn distinct_is_a_set() {
    // Catches a key given twice where it was spilled, or dropped before the exchange and again behind it.
    for (name, keys) in key_sets() {
        let keys: Arc<[u64]> = keys.into();
        let model: Vec<_> = keys.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let mut model_texts: Vec<_> = model.iter().map(u64::to_string).collect();
        model_texts.sort_unstable();
        for (workers, limit) in [(1, None), (2, None), (3, None), (1, Some(1 << 20)), (3, Some(1 << 20))] {
            let what = format!("{name} with {workers} workers and {limit:?}");
            let check = |found: bool, spilled: u64| {
                assert!(found, "{what}: other keys");
                match limit {
                    None => assert_eq!(spilled, 0, "{what}"),
                    Some(_) if model.len() > 50_000 => assert!(spilled > 0, "{what} was to be spilled"),
                    Some(_) => {}
                }
            };
            let shared = Arc::clone(&keys);
            let (mut found, spilled) =
                run_workers(workers, limit, move |scope| share(scope, &shared).distinct().gather());
            found.sort_unstable();
            check(found == model, spilled);
            let shared = Arc::clone(&keys);
            let (mut found, spilled) = run_workers(workers, limit, move |scope| {
                share(scope, &shared).map(|key| key.to_string()).distinct_any().gather()
            });
            found.sort_unstable();
            check(found == model_texts, spilled);
        }
    }
}

#[test]
fn reduce_by_any_key_is_a_map_in_little_memory() {
    // Catches a group lost or given twice where part of it was spilled, and values merged in the order of a sort that are not all there.
    let mut random = Random(23);
    let records: Arc<[_]> =
        (0..120_000u64).map(|place| (random.below(20_000).to_string(), vec![place])).collect();
    let mut model = BTreeMap::<_, Vec<u64>>::new();
    records.iter().for_each(|(key, places)| model.entry(key.clone()).or_default().extend(places));
    let model: Vec<_> = model.into_iter().collect();
    for (workers, limit) in [(1, 400_000), (2, 1_000_000), (3, 4_000_000)] {
        let records = Arc::clone(&records);
        let (mut groups, spilled) = run_workers(workers, Some(limit), move |scope| {
            share(scope, &records).reduce_by_any_key(|all, mut more| all.append(&mut more)).gather()
        });
        groups.iter_mut().for_each(|(_, places)| places.sort_unstable());
        groups.sort_unstable();
        assert!(groups == model, "{workers} workers: {} groups, not {}", groups.len(), model.len());
        assert!(spilled > 0, "{workers} workers");
    }
}

#[test]
fn what_merging_makes_small_is_not_spilled() {
    // Catches a sum of what was merged being taken for what is held. There are more keys than the combiner has slots, and 20 MB of texts of which
    // 1 MB is left; 4 MB may be held.
    let text = |place: u64| (place % 2).to_string().repeat(100);
    let records: Arc<[_]> =
        (0..200_000u64).map(|place| (place % 4_999, BTreeSet::from([text(place)]))).collect();
    let (groups, spilled) = run_workers(1, Some(32_000_000), move |scope| {
        share(scope, &records).reduce_by_any_key(|all, mut more| all.append(&mut more)).gather()
    });
    assert_eq!((groups.len(), spilled), (4_999, 0));
    assert!(groups.iter().all(|(_, texts)| texts.len() == 2));
}

#[test]
fn reduce_by_any_key_counts_what_it_did() {
    let records: Arc<[_]> = (0..20_000u64).map(|number| (number.to_string(), 1u64)).collect();
    let encoded: u64 = records.iter().map(|(key, _)| key.len() as u64 + 2).sum();
    for workers in 1..=3 {
        let records = Arc::clone(&records);
        let guards = timely::execute(timely::Config::process(workers), move |worker| {
            let context = WorkerContext::current();
            worker.dataflow::<Round, _, _>(|scope| {
                share(scope, &records).reduce_by_any_key(|sum, more| *sum += more);
            });
            while worker.has_dataflows() {
                worker.step_or_park(None);
            }
            let counters = &context.counters;
            [counters.groups.get(), counters.exchanged_bytes.get(), counters.group_bytes.get()]
        })
        .expect("started");
        let counted = guards.join().into_iter().map(|outcome| outcome.expect("ended"));
        let [groups, exchanged, held] = counted.fold([0; 3], |[a, b, c], [x, y, z]| [a + x, b + y, c + z]);
        assert_eq!(groups, 20_000);
        assert!((20_000 * 33..20_000 * 33 * 4).contains(&held), "{held} bytes");
        // All but each worker's own share of the keys, which are spread evenly.
        let expected = encoded * (workers as u64 - 1) / workers as u64;
        assert!(
            exchanged.abs_diff(expected) <= encoded / 20,
            "{exchanged} of {encoded} with {workers} workers"
        );
    }
}

#[test]
fn records_that_cannot_be_encoded_fail_the_job() {
    // Catches an error of serde's that is lost, or that panics.
    let failures = timely::execute(timely::Config::process(2), |worker| {
        let failure = WorkerContext::current().process.failure.clone();
        worker.dataflow::<Round, _, _>(|scope| {
            share(scope, &[(1u64, Unsendable), (2, Unsendable)]).reduce_by_any_key(|_, _| ());
        });
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
        failure.take().map(|failure| failure.error.to_string())
    })
    .expect("started");
    for failure in failures.join() {
        let failure = failure.expect("ended").expect("it failed");
        assert!(failure.contains("Unsendable) cannot be encoded"), "{failure}");
    }
}

#[derive(Clone, serde::Deserialize)]
struct Unsendable;

impl serde::Serialize for Unsendable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not this one"))
    }
}

#[test]
fn sums_of_revenue_have_the_same_bits_in_any_order() {
    let mut random = Random(2);
    let records: Arc<[_]> = (0..60_000)
        .map(|_| {
            let key = format!("{}.{}", random.below(9), random.below(300));
            let revenue = random.below(1 << 24) as f32 / (1 << 24) as f32;
            (Prefix::<8>::new(key.as_bytes(), 5), f64::from(revenue))
        })
        .collect();
    let mut model = BTreeMap::new();
    records.iter().for_each(|(key, revenue)| *model.entry(*key).or_insert(0.0) += revenue);
    let model: Vec<_> =
        model.into_iter().map(|(key, sum): (_, f64)| (key.to_string(), sum.to_bits())).collect();
    for workers in 1..=3 {
        let records = Arc::clone(&records);
        let groups = run(workers, move |scope| {
            share(scope, &records)
                .reduce_by_key(|sum, more| *sum += more)
                .map(|(key, sum)| (key.to_string(), sum))
                .gather()
        });
        let mut groups: Vec<_> =
            groups.into_iter().map(|(key, sum): (_, f64)| (key, sum.to_bits())).collect();
        groups.sort_unstable();
        assert_eq!(groups, model, "{workers} workers");
    }
}

#[test]
fn merges_other_than_sums() {
    // Catches a merge that starts from zero instead of from the first value.
    let records: Arc<[_]> = (0..9_000u64).map(|number| (number % 700, 1_000_000 - number)).collect();
    for workers in 1..=3 {
        let records = Arc::clone(&records);
        let least = run(workers, move |scope| {
            share(scope, &records).reduce_by_key(|least, other| *least = other.min(*least)).gather()
        });
        assert_eq!(least.len(), 700);
        for (key, value) in least {
            let last = (0..9_000).rev().find(|number| number % 700 == key).unwrap();
            assert_eq!(value, 1_000_000 - last, "key {key}");
        }
    }
}

#[test]
fn operators_follow_each_other() {
    // How many keys occur how often: catches a reducer that ends, or gives, before the one ahead of it has.
    for (name, keys) in key_sets() {
        let mut counts = BTreeMap::new();
        keys.iter().for_each(|key| *counts.entry(*key).or_insert(0u64) += 1);
        let mut model = BTreeMap::new();
        counts.values().for_each(|count| *model.entry(*count).or_insert(0u64) += 1);
        let keys: Arc<[u64]> = keys.into();
        for workers in 1..=3 {
            let keys = Arc::clone(&keys);
            let found = run(workers, move |scope| {
                share(scope, &keys)
                    .map(|key| (key, 1u64))
                    .reduce_by_key(|sum, more| *sum += more)
                    .map(|(_, count)| (count, 1u64))
                    .reduce_by_key(|sum, more| *sum += more)
                    .gather()
            });
            let found: BTreeMap<_, _> = found.into_iter().collect();
            assert_eq!(found, model, "{name} with {workers} workers");
        }
    }
}

#[test]
fn count_is_one_number_for_all_workers() {
    for records in [0u64, 1, 2, 1_000, 100_000] {
        for workers in 1..=3 {
            let counted = run(workers, move |scope| {
                let records: Vec<_> = (0..records).collect();
                share(scope, &records).count().gather()
            });
            assert_eq!(counted, [records], "{workers} workers");
        }
    }
}

#[test]
fn fold_gives_one_value_a_worker() {
    // Catches a worker without records that gives none, and a record folded where it does not belong.
    let mut random = Random(9);
    let records: Arc<[u64]> = (0..1_003).map(|_| random.below(1 << 40)).collect();
    for length in [0, 1, 1_003] {
        for workers in 1..=3 {
            let records: Arc<[u64]> = records[..length].into();
            let model = (0..workers).map(|worker| records.iter().skip(worker).step_by(workers).sum::<u64>());
            let mut model: Vec<_> = model.collect();
            let mut sums = run(workers, move |scope| {
                share(scope, &records).fold(0, |sum, number| *sum += number).gather()
            });
            model.sort_unstable();
            sums.sort_unstable();
            assert_eq!(sums, model);
        }
    }
}

#[test]
fn the_first_come_in_order_and_gathered_records_are_sorted() {
    // Catches a worker whose first are not asked for, a limit kept for each worker only, and an order lost on the way.
    let mut random = Random(3);
    let records: Arc<[_]> = (0..5_000u64).map(|place| (random.below(900), place)).collect();
    let mut sorted = records.to_vec();
    sorted.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for workers in 1..=3 {
        for limit in [0, 1, 70, 2_000, 6_000] {
            let records = Arc::clone(&records);
            let first = run(workers, move |scope| {
                share(scope, &records)
                    .first_by(limit, |a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)))
                    .map(|record| record)
                    .gather()
            });
            assert!(first == sorted[..limit.min(sorted.len())], "{limit} with {workers} workers");
        }
        let records = Arc::clone(&records);
        let all = run(workers, move |scope| {
            share(scope, &records).gather().sorted_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)))
        });
        assert!(all == sorted, "{workers} workers");
    }
}

#[test]
fn pairs_within_a_key_are_those_of_a_nested_loop() {
    // Catches a pair that is lost where its values came from two workers, made twice, or turned round.
    let mut random = Random(4);
    let records: Arc<[_]> =
        (0..600).map(|_| (random.below(40) * random.below(3), random.below(200))).collect();
    let mut expected = Vec::new();
    for (place, a) in records.iter().enumerate() {
        for b in records[place + 1..].iter().filter(|b| b.0 == a.0 && !(a.1 + b.1).is_multiple_of(3)) {
            expected.push((a.0, a.1.min(b.1), a.1.max(b.1)));
        }
    }
    expected.sort_unstable();
    assert!(expected.len() > 10_000);
    for workers in 1..=3 {
        let records = Arc::clone(&records);
        let (found, _) = run_workers(workers, None, move |scope| {
            share(scope, &records)
                .pairs_within_key(|&key, &a, &b| (!(a + b).is_multiple_of(3)).then_some((key, a, b)))
                .gather()
                .sorted()
        });
        assert!(found == expected, "{} pairs with {workers} workers", found.len());
    }
}

#[test]
fn gather_brings_everything_to_worker_0() {
    let records: Arc<[String]> = (0..20_000).map(|number| format!("record {}", number % 13_000)).collect();
    for workers in 1..=3 {
        let all = Arc::clone(&records);
        let mut gathered = run(workers, move |scope| share(scope, &all).gather());
        let mut model = records.to_vec();
        gathered.sort_unstable();
        model.sort_unstable();
        assert!(gathered == model, "{workers} workers: {} records", gathered.len());
    }
}

#[test]
fn gathered_records_are_there_once_and_only_at_the_end() {
    let (early, late, again) = timely::execute_directly(|worker| {
        let gathered = worker.dataflow::<Round, _, _>(|scope| (0..5u64).to_stream(scope).gather());
        let early = gathered.take();
        while worker.step() {}
        (early, gathered.take(), gathered.take())
    });
    assert_eq!((early, late, again), (None, Some(vec![0, 1, 2, 3, 4]), None));
}

/// All records go to one worker; every worker gives its index and how many it had seen when it was notified.
fn to_worker<D: ExchangeData>(
    stream: StreamVec<'_, Round, D>,
    target: u64,
) -> StreamVec<'_, Round, (usize, usize)> {
    let index = stream.scope().index();
    let mut seen = 0;
    stream.unary_notify::<CapacityContainerBuilder<Vec<(usize, usize)>>, _, _>(
        Exchange::new(move |_: &D| target),
        "Notified",
        [millrace::operators::END],
        move |input, output, notificator| {
            input.for_each(|_, records| seen += records.drain(..).count());
            while let Some(end) = notificator.next() {
                output.session(&end).give((index, seen));
            }
        },
    )
}

#[test]
fn a_notification_comes_to_every_worker_after_all_records() {
    for workers in 1..=3usize {
        for target in 0..workers {
            let mut told = run(workers, move |scope| {
                let records: Vec<u64> = (0..50_000).collect();
                to_worker(share(scope, &records), target as u64).gather()
            });
            told.sort_unstable();
            let model: Vec<_> =
                (0..workers).map(|worker| (worker, if worker == target { 50_000 } else { 0 })).collect();
            assert_eq!(told, model);
        }
    }
}

/// An output of one number a row.
pub(crate) const NUMBERS: Form = Form {
    format: RowFormat::Csv,
    columns: &[Column::new("number", ColumnType::Long)],
    single_file: false,
    synced: true,
};

#[test]
fn written_parts_hold_what_passed_by() {
    let records: Arc<[u64]> = (0..30_001).collect();
    for workers in 1..=3 {
        let home = tempfile::tempdir().unwrap();
        let output = Output::create(&home.path().join("out"), NUMBERS).unwrap();
        let (all, written) = (Arc::clone(&records), output.clone());
        let passed = run(workers, move |scope| {
            share(scope, &all)
                .write_parts(Some(&written), |number, row| _ = row.integer(*number))
                .count()
                .gather()
        });
        assert_eq!(passed, [30_001]);
        let mut parts = output.commit_parts().unwrap();
        parts.sort();
        assert_eq!(parts.len(), workers);
        for (worker, part) in parts.iter().enumerate() {
            assert_eq!(part.name, format!("part-{worker:05}.csv"));
            let text = fs::read_to_string(home.path().join("out").join(&part.name)).unwrap();
            let numbers: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
            let own: Vec<_> = records.iter().copied().skip(worker).step_by(workers).collect();
            assert_eq!(numbers, own, "a worker's part has its own records");
            assert_eq!((part.rows, part.bytes), (own.len() as u64, text.len() as u64));
        }
    }
}

#[test]
fn without_an_output_records_only_pass() {
    let passed = run(2, |scope| {
        share(scope, &[1u64, 2, 3])
            .write_parts(None, |_, _| unreachable!("there is nothing to encode for"))
            .count()
            .gather()
    });
    assert_eq!(passed, [3]);
}

#[test]
fn a_part_that_cannot_be_written_fails_the_job() {
    // Catches an error that is lost, and a dataflow that hangs on it.
    let home = tempfile::tempdir().unwrap();
    let output = Output::create(&home.path().join("out"), NUMBERS).unwrap();
    fs::remove_dir_all(home.path().join("out")).unwrap();
    let failures = timely::execute(timely::Config::process(2), move |worker| {
        let failure = WorkerContext::current().process.failure.clone();
        worker.dataflow::<Round, _, _>(|scope| {
            share(scope, &[1u64, 2, 3]).write_parts(Some(&output), |number, row| _ = row.integer(*number));
        });
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
        failure.take().map(|failure| failure.error.to_string())
    })
    .expect("started");
    for (worker, failure) in failures.join().into_iter().enumerate() {
        let failure = failure.expect("ended").expect("it failed");
        assert!(failure.contains(&format!("out/.part-{worker:05}.csv.tmp: No such file")), "{failure}");
    }
}

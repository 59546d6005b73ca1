//! `sort` and `sort_within_key`, in process and as processes, against the standard library's sort.
//!
//! These tests would catch a record lost, doubled or in the wrong range, ranges that are uneven because keys repeat,
//! equals that change places, a worker without records that never ends, a budget that is not kept, and part files
//! that are in order each but not one after the other.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use millrace::formats::parts::Output;
use millrace::operators::{Fold, Gather, Round, Sort, SortWithinKey, WriteParts};
use proptest::prelude::*;
use serde_json::Value;
use timely::ExchangeData;
use timely::dataflow::operators::vec::{Map, ToStream};
use timely::dataflow::{Scope, StreamVec};

use crate::operators::NUMBERS;
use crate::support::{Home, Ran, Random, example, fails_without_a_disk, parse, rows, run_workers};

/// This worker's share of the records, in rows of one batch.
fn share<'scope, D: Clone + 'static>(
    scope: Scope<'scope, Round>,
    records: &[D],
) -> StreamVec<'scope, Round, D> {
    let (index, peers) = (scope.index(), scope.peers());
    let own = records.len() * index / peers..records.len() * (index + 1) / peers;
    records[own].to_vec().to_stream(scope)
}

/// The range of every worker, in the order of the workers.
fn sorted<D, C>(records: &Arc<[D]>, workers: usize, limit: Option<u64>, compare: C) -> (Vec<Vec<D>>, u64)
where
    D: ExchangeData + Clone + Sync,
    C: Fn(&D, &D) -> Ordering + Clone + Send + Sync + 'static,
{
    let records = Arc::clone(records);
    let (mut ranges, spilled) = run_workers(workers, limit, move |scope| {
        let index = scope.index();
        share(scope, &records)
            .sort_by(compare.clone())
            .fold(Vec::new(), Vec::push)
            .map(move |range| (index, range))
            .gather()
    });
    ranges.sort_by_key(|(index, _)| *index);
    (ranges.into_iter().map(|(_, range)| range).collect(), spilled)
}

/// A key, and where the record was.
type Record = (u32, u64);

fn by_key(a: &Record, b: &Record) -> Ordering {
    a.0.cmp(&b.0)
}

/// What a stable sort may give, where equals of different workers may mix: equals of one worker in their order.
fn assert_sorted(ranges: &[Vec<Record>], records: &[Record], what: &str) {
    let whole = ranges.concat();
    assert!(whole.is_sorted_by_key(|record| record.0), "{what}: not in order");
    let owner = |place: u64| {
        (1..=ranges.len()).find(|worker| (place as usize) < records.len() * worker / ranges.len())
    };
    for key in whole.chunk_by(|a, b| a.0 == b.0) {
        let mut by_owner = key.to_vec();
        by_owner.sort_by_key(|record| owner(record.1));
        assert!(by_owner.is_sorted_by_key(|record| record.1), "{what}: equals have changed places");
    }
    let (mut found, mut all) = (whole, records.to_vec());
    found.sort_unstable();
    all.sort_unstable();
    assert!(found == all, "{what}: {} records of {}", found.len(), all.len());
}

/// Records of which keys and places are these.
fn placed(keys: impl IntoIterator<Item = u32>) -> Arc<[Record]> {
    keys.into_iter().zip(0..).collect()
}

#[test]
fn every_distribution_is_sorted_into_even_ranges() {
    let mut random = Random(3);
    let count = 60_000;
    let mut draw = |key: &dyn Fn(&mut Random, u32) -> u32| {
        placed((0..count).map(|place| key(&mut random, place)).collect::<Vec<_>>())
    };
    for (name, records) in [
        ("none", placed([])),
        ("one record", placed([7])),
        ("fewer than workers", placed([9, 1])),
        ("random", draw(&|random, _| random.below(1 << 32) as u32)),
        ("sorted", draw(&|_, place| place)),
        ("reversed", draw(&|_, place| count - place)),
        ("few keys", draw(&|random, _| random.below(5) as u32)),
        ("one key", draw(&|_, _| 1)),
        (
            "one key 90 %",
            draw(&|random, _| if random.below(10) == 0 { random.below(1 << 20) as u32 } else { 1 << 19 }),
        ),
        ("alternating", draw(&|_, place| place % 2 * 1_000 + place % 7)),
    ] {
        for workers in 1..=3 {
            let (ranges, spilled) = sorted(&records, workers, None, by_key);
            let what = format!("{name} with {workers} workers");
            assert_sorted(&ranges, &records, &what);
            assert_eq!(spilled, 0, "{what}");
            let (most, mean) =
                (ranges.iter().map(Vec::len).max().unwrap(), records.len() as f64 / workers as f64);
            assert!(most as f64 <= mean * 1.1 + 1.0, "{what}: {most} records in a range, {mean} on average");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Catches whatever the fixed distributions do not show, in little memory and in much.
    #[test]
    fn is_the_standard_sort(
        keys in proptest::collection::vec(prop_oneof![0u32..20, any::<u32>()], 0..4_000),
        workers in 1usize..4,
        limit in prop_oneof![Just(None), (10_000u64..400_000).prop_map(Some)],
    ) {
        let records = placed(keys);
        let (ranges, _) = sorted(&records, workers, limit, by_key);
        prop_assert_eq!(ranges.len(), workers);
        assert_sorted(&ranges, &records, "drawn");
        // Without equals there is one answer.
        let mut model = records.to_vec();
        model.sort_unstable();
        prop_assert_eq!(sorted(&records, workers, limit, Ord::cmp).0.concat(), model);
    }
}

#[test]
fn five_times_the_memory_is_sorted() {
    let mut random = Random(8);
    let text = |number: u64| "word".repeat((number % 5) as usize) + &number.to_string();
    let records: Arc<[_]> =
        (0..60_000).map(|_| (text(random.below(1 << 16)), random.below(1 << 40))).collect();
    let mut model = records.to_vec();
    model.sort_unstable();
    for workers in 1..=3 {
        // 4 MB of records in an eighth of 6 MB.
        let (ranges, spilled) = sorted(&records, workers, Some(6_000_000), Ord::cmp);
        assert!(ranges.concat() == model, "{workers} workers");
        assert!(spilled > 2_000_000, "{spilled} bytes spilled with {workers} workers");
    }
}

#[test]
fn what_cannot_be_spilled_fails_the_job() {
    // Catches an error that is lost, and a dataflow that hangs on it.
    fails_without_a_disk(|scope| {
        share(scope, &(0..50_000u64).collect::<Vec<_>>()).sort();
    });
}

#[test]
fn part_files_are_the_sorted_whole() {
    let mut random = Random(4);
    let records: Arc<[u64]> = (0..20_000).map(|_| random.below(1 << 20)).collect();
    let mut model = records.to_vec();
    model.sort_unstable();
    for workers in 1..=3 {
        let home = tempfile::tempdir().unwrap();
        let output = Output::create(&home.path().join("out"), NUMBERS).unwrap();
        let (records, written) = (Arc::clone(&records), output.clone());
        run_workers(workers, None, move |scope| {
            share(scope, &records)
                .sort()
                .write_parts(Some(&written), |number, row| _ = row.integer(*number))
                .fold((), |(), _| ())
                .gather()
        });
        let mut parts = output.commit_parts().unwrap();
        parts.sort();
        let text: String = parts
            .iter()
            .map(|part| fs::read_to_string(home.path().join("out").join(&part.name)).unwrap())
            .collect();
        let numbers: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers == model, "{workers} workers");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Catches a key that is given twice or on two workers, and values that are lost or out of order.
    #[test]
    fn sort_within_key_is_a_map_of_sorted_lists(
        pairs in proptest::collection::vec((prop_oneof![Just(0u16), 0u16..40, any::<u16>()], any::<i32>()), 0..3_000),
        workers in 1usize..4,
        limit in prop_oneof![Just(None), (10_000u64..400_000).prop_map(Some)],
    ) {
        let records: Arc<[_]> = pairs.into_iter().map(|(key, value)| (format!("key {key}"), value)).collect();
        let mut model = BTreeMap::<_, Vec<_>>::new();
        records.iter().for_each(|(key, value)| model.entry(key.clone()).or_default().push(*value));
        model.values_mut().for_each(|values| values.sort_unstable_by(|a, b| b.cmp(a)));
        let (mut groups, _) = run_workers(workers, limit, move |scope| {
            share(scope, &records).sort_within_key(|a, b| b.cmp(a)).gather()
        });
        groups.sort();
        prop_assert_eq!(groups, model.into_iter().collect::<Vec<_>>());
    }
}

/// Runs the example that sorts visits.
fn sort_visits(home: &Home, words: &str) -> Ran {
    let mut command = Command::new(example("sort_visits"));
    command.args(words.split_whitespace()).args(["--data", "data", "--set", "t"]);
    home.runner(command).run()
}

#[test]
fn processes_write_the_sorted_whole() {
    let text = rows(6, 100_000).concat();
    let home = Home::with(&[("part-00000".to_owned(), text.clone())]);
    let mut model: Vec<_> = parse(&text)
        .into_iter()
        .map(|row| {
            let [address, page, _, revenue] =
                [0, 1, 2, 3].map(|field| String::from_utf8(row[field].clone()).unwrap());
            (revenue.parse::<f32>().unwrap(), address, page)
        })
        .collect();
    model.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (&a.1, &a.2).cmp(&(&b.1, &b.2))));
    fs::create_dir(home.path().join("spill")).unwrap();
    for (round, words) in ["-n 2 -w 1", "-n 3 -w 1", "-n 2 -w 2 --memory 16MB"].into_iter().enumerate() {
        let output = format!("out-{round}");
        let ran = sort_visits(
            &home,
            &format!(
                "{words} --split-size 64K --output {output} --spill-dir spill --json --report report.json"
            ),
        );
        let answer = ran.json();
        ran.check(answer["answer_rows"] == 100_000, "all visits");
        let parts = home.listing(&output);
        let text: String = parts
            .iter()
            .filter(|name| name.starts_with("part-"))
            .map(|name| fs::read_to_string(home.path().join(&output).join(name)).unwrap())
            .collect();
        let mut found = text.lines().map(|line| {
            let fields: Vec<_> = line.split(',').collect();
            (fields[0].parse::<f32>().unwrap(), fields[1].to_owned(), fields[2].to_owned())
        });
        ran.check(
            model.iter().all(|expected| found.next().as_ref() == Some(expected)),
            "a visit out of order",
        );
        ran.check(found.next().is_none(), "more visits than there are");
        let workers = parts.len() as u64 - 1;
        ran.check(answer["largest_share"].as_u64().unwrap() * workers < 110_000, "parts are even");
        let report: Value =
            serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap();
        let spilled = report["spilled_bytes"].as_u64().unwrap();
        ran.check((spilled > 100_000) == words.contains("memory"), &format!("{spilled} bytes spilled"));
        ran.check(home.listing("spill").is_empty(), "a spill file is left behind");
    }
}

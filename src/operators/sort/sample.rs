//! Where the ranges of the workers begin: samples of all workers, and the splitters made of them.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::keys::{route_hash, scale};

/// A worker that has more records than this gives between so many and twice as many of them.
///
/// With `s` samples for a range, its size varies by about one in √s: 2,048 keep it within 7 % of the mean with three
/// standard deviations.
const LEAST_SAMPLES: usize = 2048;

/// A record, the worker that held it, and its place there: no two are equal.
type Place<'a, D> = (&'a D, u32, u64);

/// What one worker tells the others of its records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Sample<D> {
    worker: u32,
    /// Each stands for so many records.
    stride: u64,
    records: Vec<(u64, D)>,
}

/// Draws one record of every `stride`, at a place that looks random: records often come in a pattern.
pub(super) struct Sampler<D> {
    sample: Sample<D>,
    seen: u64,
    /// The place of the next to be drawn.
    next: u64,
}

impl<D: Clone> Sampler<D> {
    pub(super) fn new(worker: u32) -> Self {
        Sampler { sample: Sample { worker, stride: 1, records: Vec::new() }, seen: 0, next: 0 }
    }

    /// Looks at records that come.
    pub(super) fn look(&mut self, records: &[D]) {
        let end = self.seen + records.len() as u64;
        while self.next < end {
            let record = &records[(self.next - self.seen) as usize];
            self.sample.records.push((self.next, record.clone()));
            if self.sample.records.len() == 2 * LEAST_SAMPLES {
                self.thin_out();
            }
            let stride = self.sample.stride;
            let window = self.next / stride + 1;
            self.next = window * stride + scale(route_hash(window ^ stride << 32), stride as usize) as u64;
        }
        self.seen = end;
    }

    /// Keeps one of two neighbours.
    fn thin_out(&mut self) {
        let mut place = 0;
        self.sample.records.retain(|&(drawn, _)| {
            place += 1;
            let keep_second = route_hash(drawn / self.sample.stride / 2) & 1;
            (place - 1) & 1 == keep_second
        });
        self.sample.stride *= 2;
    }

    /// What was drawn.
    pub(super) fn sample(&self) -> Sample<D> {
        self.sample.clone()
    }
}

/// Where the ranges begin, but for the first, which begins with the first record.
pub(super) struct Ranges<D>(Vec<(D, u32, u64)>);

impl<D> Ranges<D> {
    /// Ranges with about equally many records, the same on every worker.
    pub(super) fn of(samples: Vec<Sample<D>>, workers: usize, compare: &impl Fn(&D, &D) -> Ordering) -> Self {
        let mut drawn = Vec::new();
        for Sample { worker, stride, records } in samples {
            drawn.extend(records.into_iter().map(|(place, record)| ((record, worker, place), stride)));
        }
        drawn.sort_by(|(a, _), (b, _)| order((&a.0, a.1, a.2), (&b.0, b.1, b.2), compare));
        let total: u64 = drawn.iter().map(|(_, stride)| stride).sum();
        let (mut begins, mut before) = (Vec::new(), 0);
        for (place, stride) in drawn {
            // Several at one place where there are fewer samples than workers: the ranges between them are empty.
            let reached =
                |begins: usize| u128::from(before) * workers as u128 >= u128::from(total) * begins as u128;
            if begins.len() + 1 < workers && reached(begins.len() + 1) {
                begins.push(place);
            }
            before += stride;
        }
        Ranges(begins)
    }

    /// The worker in whose range a record falls.
    #[inline]
    pub(super) fn worker_of(&self, place: Place<D>, compare: &impl Fn(&D, &D) -> Ordering) -> usize {
        self.0.partition_point(|begin| order((&begin.0, begin.1, begin.2), place, compare).is_le())
    }
}

#[inline]
fn order<D>(a: Place<D>, b: Place<D>, compare: &impl Fn(&D, &D) -> Ordering) -> Ordering {
    compare(a.0, b.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many records fall into each range, where every worker holds some; checks that ranges are in order.
    fn sizes(held: &[Vec<u64>]) -> Vec<usize> {
        let samples = held.iter().enumerate().map(|(worker, records)| {
            let mut sampler = Sampler::new(worker as u32);
            records.chunks(1_000).for_each(|records| sampler.look(records));
            sampler.sample()
        });
        let ranges = Ranges::of(samples.collect(), held.len(), &u64::cmp);
        let mut bounds = vec![Vec::new(); held.len()];
        for (worker, records) in held.iter().enumerate() {
            for (place, record) in records.iter().enumerate() {
                let place = (record, worker as u32, place as u64);
                bounds[ranges.worker_of(place, &u64::cmp)].push((*record, place.1, place.2));
            }
        }
        let sizes = bounds.iter().map(Vec::len).collect();
        bounds.iter_mut().for_each(|range| range.sort_unstable());
        assert!(bounds.concat().is_sorted(), "a range begins before the one ahead of it ends");
        sizes
    }

    #[test]
    fn ranges_are_even_whatever_the_records() {
        let even = |name: &str, held: &[Vec<u64>]| {
            let sizes = sizes(held);
            let mean = sizes.iter().sum::<usize>() as f64 / sizes.len() as f64;
            let most = *sizes.iter().max().expect("workers") as f64;
            assert!(most <= mean * 1.1 + 1.0, "{name}: {sizes:?}");
        };
        let on_three = |record: &dyn Fn(u64) -> u64| {
            [0, 1, 2].map(|worker| (worker * 50_000..(worker + 1) * 50_000).map(record).collect())
        };
        even("in order", &on_three(&|place| place));
        even("in the opposite order", &on_three(&|place| 150_000 - place));
        even("one key", &on_three(&|_| 7));
        even("one key 90 %", &on_three(&|place| if place % 10 == 3 { route_hash(place) } else { 7 }));
        even("alternating", &on_three(&|place| (place % 2) << 40 | place));
        even("a wave of a power of two", &on_three(&|place| (place % 64) << 40 | place));
        even("on one worker only", &[Vec::new(), (0..100_000).map(route_hash).collect(), Vec::new()]);
        even("very different numbers", &[(0..200).collect(), (0..100_000).collect(), (0..5_000).collect()]);
        even("none", &[Vec::new(), Vec::new()]);
    }

    proptest! {
        /// Catches a record that falls out of the order between ranges, or out of all of them.
        #[test]
        fn ranges_follow_each_other(held in proptest::collection::vec(proptest::collection::vec(0u64..30, 0..60), 1..6)) {
            let records: usize = held.iter().map(Vec::len).sum();
            let sizes = sizes(&held);
            prop_assert_eq!(sizes.iter().sum::<usize>(), records);
            // Every record is in the sample.
            prop_assert!(sizes.iter().all(|&size| size <= records.div_ceil(held.len())), "{:?}", sizes);
        }
    }
}

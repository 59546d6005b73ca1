//! Which splits a worker reads: dealt by index, or taken from what the workers of its process share.
//!
//! Both are worked out from the plan alone, so every process comes to the same shares without asking another.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Split;

/// How splits come to workers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitAssignment {
    /// Split i belongs to worker i % peers, whoever is ready. All that plain timely programs have.
    Modulo,
    /// Each process has its share of the bytes, and its workers take splits as they become free.
    #[default]
    Shared,
}

/// A process's share under the plain rule is kept while it exceeds the mean by at most one part in this many.
const KEPT_WITHIN: u128 = 50;

/// The process of each split under [`SplitAssignment::Shared`].
///
/// It is the process whose worker has the split under the plain rule, unless some process has over 2 % more bytes than
/// the mean. Then splits are dealt anew, the largest first, each to the process with the fewest bytes so far, if that
/// gives the process with the most bytes fewer of them. So no process has more bytes than the mean and 2 % of it, or
/// the mean and one split.
pub(super) fn processes_of(splits: &[Split], processes: usize, workers: usize) -> Vec<usize> {
    let (processes, workers) = (processes.max(1), workers.max(1));
    let plain: Vec<_> = (0..splits.len()).map(|index| index % (processes * workers) / workers).collect();
    let total: u128 = splits.iter().map(|split| u128::from(split.bytes())).sum();
    let most = most_bytes(splits, &plain, processes);
    if most * processes as u128 * KEPT_WITHIN <= total * (KEPT_WITHIN + 1) {
        return plain;
    }
    let balanced = largest_first(splits, processes);
    if most_bytes(splits, &balanced, processes) < most { balanced } else { plain }
}

fn largest_first(splits: &[Split], processes: usize) -> Vec<usize> {
    let mut order: Vec<_> = splits.iter().collect();
    order.sort_by_key(|split| (Reverse(split.bytes()), split.index));
    let mut least: BinaryHeap<_> = (0..processes).map(|process| Reverse((0u128, process))).collect();
    let mut found = vec![0; splits.len()];
    for split in order {
        if let Some(mut top) = least.peek_mut() {
            found[split.index] = top.0.1;
            top.0.0 += u128::from(split.bytes());
        }
    }
    found
}

fn most_bytes(splits: &[Split], processes_of: &[usize], processes: usize) -> u128 {
    let mut bytes = vec![0; processes];
    splits.iter().zip(processes_of).for_each(|(split, process)| bytes[*process] += u128::from(split.bytes()));
    bytes.into_iter().max().unwrap_or(0)
}

/// Splits that wait for a worker: all of a process, or those of one worker alone.
#[derive(Debug)]
pub(crate) struct SplitQueue {
    splits: Vec<Split>,
    next: AtomicUsize,
}

impl SplitQueue {
    /// A queue in the order of the plan.
    pub(crate) fn in_order(splits: Vec<Split>) -> Self {
        SplitQueue { splits, next: AtomicUsize::new(0) }
    }

    /// A queue with large splits in front: one that came last would be read while nobody has anything left to do.
    /// Sizes of one power of two count as equal, so that the splits of a file that was cut stay in its order.
    pub(crate) fn largest_first(mut splits: Vec<Split>) -> Self {
        splits.sort_by_key(|split| (Reverse(split.bytes().checked_ilog2()), split.index));
        Self::in_order(splits)
    }

    /// Takes the next split; whoever was given none needs not ask again.
    pub(crate) fn take(&self) -> Option<&Split> {
        // No other memory hangs on this number: the splits are there before the queue is shared.
        self.splits.get(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn splits(sizes: &[u64]) -> Vec<Split> {
        let split = |(index, bytes): (usize, &u64)| Split { index, file: index, range: 0..*bytes };
        sizes.iter().enumerate().map(split).collect()
    }

    #[test]
    fn even_splits_stay_where_the_plain_rule_has_them() {
        let even = splits(&[1_000, 1_001, 999, 1_000, 1_000, 1_002, 998, 1_000]);
        assert_eq!(processes_of(&even, 2, 1), [0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(processes_of(&even, 2, 2), [0, 0, 1, 1, 0, 0, 1, 1]);
        assert_eq!(processes_of(&even, 1, 3), [0; 8]);
        assert_eq!(processes_of(&[], 3, 2), [0; 0]);
    }

    #[test]
    fn one_large_split_is_weighed_against_many_small_ones() {
        assert_eq!(
            processes_of(&splits(&[10, 10, 100, 10, 10, 10, 10, 10, 10, 10]), 2, 1),
            [1, 1, 0, 1, 1, 1, 1, 1, 1, 1]
        );
    }

    #[test]
    fn a_deal_that_would_be_worse_is_not_made() {
        // Largest first would give 3 + 2 + 2 against 3 + 2; the plain rule has 2 + 2 + 2 against 3 + 3.
        assert_eq!(processes_of(&splits(&[20, 32, 20, 31, 20]), 2, 1), [0, 1, 0, 1, 0]);
    }

    #[test]
    fn a_queue_gives_large_splits_first_and_equal_ones_in_order() {
        let queue = SplitQueue::largest_first(splits(&[16, 17, 0, 170, 31, 16]));
        let taken: Vec<_> = std::iter::from_fn(|| queue.take()).map(|split| split.index).collect();
        assert_eq!(taken, [3, 0, 1, 4, 5, 2]);
        assert!(queue.take().is_none());
    }

    #[test]
    fn workers_that_take_at_the_same_time_get_each_split_once() {
        let queue = SplitQueue::in_order(splits(&[1; 2_000]));
        let mut taken: Vec<_> = std::thread::scope(|scope| {
            let take_all =
                || std::iter::from_fn(|| queue.take()).map(|split| split.index).collect::<Vec<_>>();
            let threads = [(); 3].map(|()| scope.spawn(take_all));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        taken.sort_unstable();
        assert!(taken.into_iter().eq(0..2_000));
    }

    proptest! {
        /// Catches a split that belongs to no process of the job, and a process that is given far more than the others.
        #[test]
        fn no_process_has_more_than_the_mean_and_a_split(
            sizes in proptest::collection::vec(prop_oneof![9 => 0_u64..1_000, 1 => 0_u64..1 << 40], 0..60),
            processes in 1_usize..7,
            workers in 1_usize..4,
        ) {
            let splits = splits(&sizes);
            let found = processes_of(&splits, processes, workers);
            prop_assert_eq!(found.len(), splits.len());
            prop_assert!(found.iter().all(|process| *process < processes));
            let plain: Vec<_> = (0..splits.len()).map(|index| index % (processes * workers) / workers).collect();
            let most = most_bytes(&splits, &found, processes) as f64;
            prop_assert!(most <= most_bytes(&splits, &plain, processes) as f64, "worse than the plain rule");
            let mean = sizes.iter().sum::<u64>() as f64 / processes as f64;
            let largest = sizes.iter().copied().max().unwrap_or(0) as f64;
            prop_assert!(most <= (mean * 1.02).max(mean + largest) + 1.0, "{} over {} and {}", most, mean, largest);
        }
    }
}

//! Partial aggregation of what goes to other processes: records are merged here first, where keys repeat enough.
//!
//! A record that stays in its process costs its sender nothing but a buffer; one that leaves is copied four times and
//! takes its share of the network. So for the partitions of other processes the sender keeps tables of its own and
//! sends groups. That is no use for keys that do not repeat, and the tables are memory: whether they pay is judged
//! from a sample, and again whenever they are full.

use bytemuck::Pod;

use super::partition::{Partition, Shelf};
use crate::exchange::{Routed, Spare};
use crate::keys::{Key, Pair};
use crate::memory::Budget;

/// What the groups of one worker may occupy.
pub(super) const MOST_BYTES: usize = 32 << 20;
/// Records after which the first judgement falls: enough for a few hundred repetitions of a million keys.
const SAMPLE: u64 = 1 << 17;
/// Containers between two looks at what is held.
const LOOK_EVERY: u64 = 64;

/// Groups on their way to other processes.
#[derive(Debug)]
pub(super) struct PartialAggregate<K: Key, V: Pod> {
    /// By target, as the router's buffers are; those of this process stay empty.
    partitions: Vec<Partition<K, V>>,
    shelf: Shelf<K, V>,
    most_bytes: usize,
    /// Records taken since everything last left.
    records: u64,
    containers: u64,
    sampled: bool,
}

/// What becomes of the groups held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They stay.
    Keep,
    /// They leave, and new ones are collected.
    Drain,
    /// They leave, and later records follow unmerged.
    Stop,
}

impl<K: Key, V: Pod + Send> PartialAggregate<K, V> {
    /// For `targets` partitions, in at most `most_bytes`; buffers of merged containers, which have room for
    /// `container_records`, go to `spare`.
    pub(super) fn new(
        targets: usize,
        most_bytes: usize,
        container_records: usize,
        spare: Spare<Pair<K, V>>,
    ) -> Self {
        // What it holds is bounded here, and no reducer's to spill.
        let seat = Budget::default().seat();
        PartialAggregate {
            partitions: (0..targets).map(|_| Partition::default()).collect(),
            shelf: Shelf::new(spare, container_records, most_bytes / 2, seat),
            most_bytes,
            records: 0,
            containers: 0,
            sampled: false,
        }
    }

    /// Takes the records of a container and says what is to be done next.
    pub(super) fn take(
        &mut self,
        target: usize,
        container: Routed<Pair<K, V>>,
        merge: &impl Fn(&mut V, V),
    ) -> Verdict {
        self.records += container.records().len() as u64;
        self.containers += 1;
        self.partitions[target].take(container, merge, &mut self.shelf);
        if !self.sampled && self.records >= SAMPLE {
            self.sampled = true;
            let groups = self.merge_waiting(merge);
            let expected = expected_groups(self.records, groups);
            if expected.saturating_mul(size_of::<Pair<K, V>>() as u64) > self.most_bytes as u64 {
                return Verdict::Stop;
            }
        }
        if self.containers.is_multiple_of(LOOK_EVERY) && self.held_bytes() > self.most_bytes {
            let groups = self.merge_waiting(merge);
            if self.held_bytes() > self.most_bytes {
                // Half as many on the network, or it was not worth the memory.
                return if groups * 2 <= self.records { Verdict::Drain } else { Verdict::Stop };
            }
        }
        Verdict::Keep
    }

    /// Gives every group with its target, and is empty.
    pub(super) fn drain(&mut self, merge: &impl Fn(&mut V, V), mut give: impl FnMut(usize, Pair<K, V>)) {
        for (target, partition) in self.partitions.iter_mut().enumerate() {
            partition.merge_waiting(merge, &mut self.shelf);
            partition.table.groups().for_each(|(key, value)| give(target, Pair { key, value }));
            partition.take_table(&mut self.shelf).recycle(&self.shelf.buffers);
        }
        self.records = 0;
    }

    fn merge_waiting(&mut self, merge: &impl Fn(&mut V, V)) -> u64 {
        let shelf = &mut self.shelf;
        let merged = |partition: &mut Partition<K, V>| {
            partition.merge_waiting(merge, shelf);
            partition.table.len() as u64
        };
        self.partitions.iter_mut().map(merged).sum()
    }

    fn held_bytes(&self) -> usize {
        self.partitions.iter().map(|partition| partition.table.allocated_bytes()).sum::<usize>()
            + self.shelf.waiting_bytes()
    }
}

/// How many groups there will be in the end, if keys are drawn evenly and `records` records made `groups` groups: of
/// *n* draws from *d* keys about *n*² / 2*d* repeat an earlier one, while *n* is well below *d*.
///
/// Uneven keys repeat more, which promises too few groups; then the tables fill up and are judged by what they merged.
fn expected_groups(records: u64, groups: u64) -> u64 {
    let repeated = records.saturating_sub(groups);
    if repeated == 0 { u64::MAX } else { (records * records / (2 * repeated)).max(groups) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::CONTAINER_RECORDS;

    /// Takes `keys` until told to stop, and returns how many records it took, how many left, and how often.
    fn run(most_bytes: usize, keys: impl Iterator<Item = u64>) -> (u64, u64, Vec<Verdict>) {
        let sum = |sum: &mut u64, value: u64| *sum += value;
        let mut partial =
            PartialAggregate::<u64, u64>::new(2, most_bytes, CONTAINER_RECORDS, Spare::default());
        let (mut taken, mut left, mut verdicts) = (0, Vec::new(), Vec::new());
        for (number, container) in keys.collect::<Vec<_>>().chunks(CONTAINER_RECORDS).enumerate() {
            let pairs: Vec<_> = container.iter().map(|&key| Pair { key, value: 1 }).collect();
            taken += pairs.len() as u64;
            let verdict = partial.take(number % 2, Routed::new(0, 0, pairs), &sum);
            if verdict != Verdict::Keep {
                partial.drain(&sum, |_, pair| left.push(pair.value));
                verdicts.push(verdict);
                if verdicts.last() == Some(&Verdict::Stop) {
                    break;
                }
            }
        }
        partial.drain(&sum, |_, pair| left.push(pair.value));
        assert_eq!(left.iter().sum::<u64>(), taken, "no record is lost or doubled");
        (taken, left.len() as u64, verdicts)
    }

    /// Numbers that look drawn at random, below `below`.
    fn drawn(below: u64) -> impl Iterator<Item = u64> {
        (1u64..)
            .map(move |number| (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number.rotate_left(17)) % below)
    }

    #[test]
    fn keys_that_repeat_leave_once() {
        let (taken, left, verdicts) = run(MOST_BYTES, drawn(50_000).take(1_000_000));
        assert_eq!((taken, verdicts), (1_000_000, vec![]));
        assert!(left <= 100_000, "{left} left");
    }

    #[test]
    fn keys_that_do_not_repeat_are_given_up_after_the_sample() {
        let (taken, _, verdicts) = run(MOST_BYTES, 1..=1_000_000);
        assert_eq!(verdicts, [Verdict::Stop]);
        assert!(taken < SAMPLE + CONTAINER_RECORDS as u64);
    }

    #[test]
    fn tables_that_are_full_leave_and_start_anew() {
        // A few hot keys hide a long tail from the sample: nine of ten records are of 1,000 keys, the rest are new.
        let keys = (0..2_000_000u64).map(|number| if number % 10 > 0 { number % 1_000 } else { number });
        let (_, left, verdicts) = run(2 << 20, keys);
        assert!(verdicts.contains(&Verdict::Drain) && !verdicts.contains(&Verdict::Stop), "{verdicts:?}");
        assert!(left < 220_000, "{left} left");
    }

    #[test]
    fn the_estimate_is_that_of_even_draws() {
        assert_eq!(expected_groups(1_000, 1_000), u64::MAX);
        // 1,000 draws from 10,000 keys: about 48 repeat.
        assert!((9_000..11_500).contains(&expected_groups(1_000, 952)));
        assert_eq!(expected_groups(1_000, 10), 505, "not far below what is there");
    }
}

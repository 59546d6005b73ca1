//! Pre-aggregation before the exchange, for as long as it pays.
//!
//! A small direct-mapped table merges records of the same key that come close together. Keys that do not repeat
//! only pay for it, so it watches its own reduction ratio and steps aside, looking again now and then.

use bytemuck::Pod;

use crate::keys::{Key, Pair, place_hash, scale};

/// Slots of the table: small enough to stay in the nearest caches beside the routing buffers.
const SLOTS: usize = 4096;
/// Records over which the ratio is measured.
const SAMPLE: u64 = 16 * SLOTS as u64;
/// It stays while it lets at most this many of ten records through: passing a record through the table costs
/// about half of what routing and merging it would.
const PAYS_BELOW_TENTHS: u64 = 6;
/// Samples passed over after the first failure to pay; doubled each time, up to the last.
const FIRST_PAUSE: u64 = 16;
const LONGEST_PAUSE: u64 = 1024;

/// Merges what repeats, passes on what does not.
#[derive(Debug)]
pub(crate) struct Combiner<K: Key, V: Pod> {
    /// Allocated while combining; a slot whose key is all zeros is empty.
    slots: Vec<Pair<K, V>>,
    taken: u64,
    given: u64,
    /// Records to let by before looking again; zero while combining.
    paused: u64,
    pause: u64,
}

impl<K: Key, V: Pod> Default for Combiner<K, V> {
    fn default() -> Self {
        Combiner { slots: bytemuck::zeroed_vec(SLOTS), taken: 0, given: 0, paused: 0, pause: FIRST_PAUSE }
    }
}

impl<K: Key, V: Pod> Combiner<K, V> {
    /// Takes records and gives those that leave.
    #[inline]
    pub(crate) fn combine(
        &mut self,
        records: &[(K, V)],
        merge: &impl Fn(&mut V, V),
        mut give: impl FnMut(K, V),
    ) {
        if self.paused > 0 {
            records.iter().for_each(|&(key, value)| give(key, value));
            self.paused = self.paused.saturating_sub(records.len() as u64);
            return;
        }
        for &(key, value) in records {
            let slot = &mut self.slots[scale(place_hash(key), SLOTS)];
            let present = slot.key;
            if key == K::zeroed() {
                give(key, value);
                self.given += 1;
            } else if present == key {
                let mut merged = slot.value;
                merge(&mut merged, value);
                slot.value = merged;
            } else {
                if present != K::zeroed() {
                    give(present, slot.value);
                    self.given += 1;
                }
                *slot = Pair { key, value };
            }
        }
        self.taken += records.len() as u64;
        if self.taken >= SAMPLE {
            self.judge(give);
        }
    }

    /// Decides from the last sample whether to go on.
    fn judge(&mut self, give: impl FnMut(K, V)) {
        if self.given * 10 > self.taken * PAYS_BELOW_TENTHS {
            self.flush(give);
            self.paused = self.pause * SAMPLE;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        } else {
            self.pause = FIRST_PAUSE;
        }
        (self.taken, self.given) = (0, 0);
    }

    /// Gives all that is held.
    pub(crate) fn flush(&mut self, mut give: impl FnMut(K, V)) {
        for slot in &mut self.slots {
            if { slot.key } != K::zeroed() {
                give(slot.key, slot.value);
                slot.key = K::zeroed();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Runs records through and returns how many left, after checking that no value was lost.
    fn run(keys: impl Iterator<Item = u64>) -> u64 {
        let records: Vec<_> = keys.map(|key| (key, 1u64)).collect();
        let mut combiner = Combiner::default();
        let (mut expected, mut sums, mut left) = (BTreeMap::new(), BTreeMap::new(), 0);
        let mut give = |key: u64, value: u64| {
            *sums.entry(key).or_insert(0) += value;
            left += 1;
        };
        for batch in records.chunks(1000) {
            combiner.combine(batch, &|sum, value| *sum += value, &mut give);
        }
        combiner.flush(&mut give);
        for (key, value) in records {
            *expected.entry(key).or_insert(0) += value;
        }
        assert_eq!(sums, expected);
        left
    }

    #[test]
    fn repeating_keys_are_merged() {
        let left = run((0..300_000).map(|number| number % 500));
        assert!(left < 2_000, "{left} of 300,000 left");
    }

    #[test]
    fn unique_keys_pass_by() {
        // Catches a combiner that keeps on working for nothing: it must pause after one sample.
        assert_eq!(run(0..300_000), 300_000);
        let mut combiner = Combiner::<u64, u64>::default();
        let records: Vec<_> = (1..=SAMPLE).map(|key| (key, 1)).collect();
        combiner.combine(&records, &|sum, value| *sum += value, |_, _| ());
        assert_eq!(combiner.paused, FIRST_PAUSE * SAMPLE);
    }
}

//! The keys that many records have, in little memory: the sketch of Misra and Gries.

use std::collections::HashMap;

use crate::keys::PlaceHasher;

/// Counts of some keys, each by its hash.
///
/// With `k` counters and `n` records, the count of a key is what it has or less, by `n / (k + 1)` at most. So every key that has
/// more than two in `k` of the records is [heavy](HeavyHitters::count), and none is that has one in `k` or less.
#[derive(Debug)]
pub(super) struct HeavyHitters {
    counts: HashMap<u64, u64, PlaceHasher>,
    counters: usize,
    records: u64,
}

impl HeavyHitters {
    /// With so many counters, and nothing counted.
    pub(super) fn new(counters: usize) -> Self {
        HeavyHitters { counts: HashMap::default(), counters, records: 0 }
    }

    /// Counts a record; whether its key has more than one in as many records as there are counters.
    pub(super) fn count(&mut self, hash: u64) -> bool {
        self.records += 1;
        if self.counts.len() == self.counters && !self.counts.contains_key(&hash) {
            // One of each key goes with this one. That takes a step for each counter, which so many records paid for.
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
            return false;
        }
        let count = self.counts.entry(hash).or_default();
        *count += 1;
        *count * self.counters as u64 > self.records
    }

    /// Records counted.
    pub(super) fn records(&self) -> u64 {
        self.records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Catches a heavy key that is missed and a light one that is taken for heavy, in any order of the records.
        #[test]
        fn counts_keep_to_their_guarantee(
            light in proptest::collection::vec(0u64..200, 0..2_000),
            heavy in proptest::collection::vec((200u64..204, 0usize..400), 0..6),
            counters in 1usize..40,
            seed: u64,
        ) {
            let runs = heavy.into_iter().flat_map(|(key, times)| std::iter::repeat_n(key, times));
            let mut keys: Vec<u64> = light.into_iter().chain(runs).collect();
            // Some orders are mixed, others have each key in one piece.
            if seed.is_multiple_of(3) {
                keys.sort_unstable();
            } else {
                keys.sort_by_key(|&key| crate::keys::route_hash(key ^ seed));
            }
            let mut sketch = HeavyHitters::new(counters);
            let (mut exact, most) = (HashMap::<u64, u64>::new(), counters as u64);
            for (before, &key) in keys.iter().enumerate() {
                let (is_heavy, records) = (sketch.count(key), before as u64 + 1);
                let has = exact.entry(key).or_default();
                *has += 1;
                prop_assert_eq!(sketch.records(), records);
                let counted = sketch.counts.get(&key).copied().unwrap_or(0);
                prop_assert!(counted <= *has && *has - counted <= records / (most + 1));
                prop_assert!(is_heavy || *has * most <= 2 * records, "{} has {} of {}", key, has, records);
                prop_assert!(!is_heavy || *has * most > records, "{} has {} of {}", key, has, records);
                prop_assert!(sketch.counts.len() <= counters);
            }
        }
    }
}

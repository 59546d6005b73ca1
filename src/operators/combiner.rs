//! Pre-aggregation before the exchange, for as long as it pays.
//!
//! A small direct-mapped table merges records of the same key that come close together. Keys that do not repeat
//! only pay for it, so it watches its own reduction ratio and steps aside, looking again now and then.

use std::hash::Hash;

use bytemuck::Pod;

use crate::keys::{Key, Pair, place_hash, place_hash_of, scale};
use crate::memory::zeroed_slots;

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

/// Whether combining pays, from what came and what left.
#[derive(Debug)]
pub(super) struct Worth {
    taken: u64,
    given: u64,
    /// Records to let by before looking again; zero while combining.
    paused: u64,
    pause: u64,
}

impl Default for Worth {
    fn default() -> Self {
        Worth { taken: 0, given: 0, paused: 0, pause: FIRST_PAUSE }
    }
}

impl Worth {
    /// Whether so many records are to be let by.
    pub(super) fn lets_by(&mut self, records: usize) -> bool {
        let paused = self.paused > 0;
        self.paused = self.paused.saturating_sub(records as u64);
        paused
    }

    /// Counts records, and decides from the last sample whether to step aside now.
    pub(super) fn must_pause(&mut self, taken: usize, given: u64) -> bool {
        self.taken += taken as u64;
        self.given += given;
        if self.taken < SAMPLE {
            return false;
        }
        let pause = self.given * 10 > self.taken * PAYS_BELOW_TENTHS;
        if pause {
            self.paused = self.pause * SAMPLE;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        } else {
            self.pause = FIRST_PAUSE;
        }
        (self.taken, self.given) = (0, 0);
        pause
    }
}

/// Merges what repeats, passes on what does not.
#[derive(Debug)]
pub(super) struct Combiner<K: Key, V: Pod> {
    /// A slot whose key is all zeros is empty.
    slots: Vec<Pair<K, V>>,
    worth: Worth,
}

impl<K: Key, V: Pod> Default for Combiner<K, V> {
    fn default() -> Self {
        Combiner { slots: zeroed_slots(SLOTS), worth: Worth::default() }
    }
}

impl<K: Key, V: Pod> Combiner<K, V> {
    /// Takes records and gives those that leave.
    #[inline]
    pub(super) fn combine(
        &mut self,
        records: &[(K, V)],
        merge: &impl Fn(&mut V, V),
        mut give: impl FnMut(K, V),
    ) {
        if self.worth.lets_by(records.len()) {
            records.iter().for_each(|&(key, value)| give(key, value));
            return;
        }
        let mut given = 0;
        for &(key, value) in records {
            let slot = &mut self.slots[scale(place_hash(key), SLOTS)];
            let present = slot.key;
            if key == K::zeroed() {
                give(key, value);
                given += 1;
            } else if present == key {
                let mut merged = slot.value;
                merge(&mut merged, value);
                slot.value = merged;
            } else {
                if present != K::zeroed() {
                    give(present, slot.value);
                    given += 1;
                }
                *slot = Pair { key, value };
            }
        }
        if self.worth.must_pause(records.len(), given) {
            self.flush(give);
        }
    }

    /// Gives all that is held.
    pub(super) fn flush(&mut self, mut give: impl FnMut(K, V)) {
        for slot in &mut self.slots {
            if { slot.key } != K::zeroed() {
                give(slot.key, slot.value);
                slot.key = K::zeroed();
            }
        }
    }
}

/// The same for keys and values of any kind.
#[derive(Debug)]
pub(super) struct AnyCombiner<K, V> {
    slots: Vec<Option<(K, V)>>,
    worth: Worth,
}

impl<K, V> Default for AnyCombiner<K, V> {
    fn default() -> Self {
        AnyCombiner { slots: std::iter::repeat_with(|| None).take(SLOTS).collect(), worth: Worth::default() }
    }
}

impl<K: Hash + Eq, V> AnyCombiner<K, V> {
    /// Takes records and gives those that leave.
    pub(super) fn combine(
        &mut self,
        records: &mut Vec<(K, V)>,
        merge: &impl Fn(&mut V, V),
        mut give: impl FnMut(K, V),
    ) {
        if self.worth.lets_by(records.len()) {
            records.drain(..).for_each(|(key, value)| give(key, value));
            return;
        }
        let (taken, mut given) = (records.len(), 0);
        for (key, value) in records.drain(..) {
            let slot = &mut self.slots[scale(place_hash_of(&key), SLOTS)];
            match slot {
                Some((present, merged)) if *present == key => merge(merged, value),
                _ => {
                    if let Some((key, value)) = slot.replace((key, value)) {
                        give(key, value);
                        given += 1;
                    }
                }
            }
        }
        if self.worth.must_pause(taken, given) {
            self.flush(give);
        }
    }

    /// Gives all that is held.
    pub(super) fn flush(&mut self, mut give: impl FnMut(K, V)) {
        self.slots.iter_mut().filter_map(Option::take).for_each(|(key, value)| give(key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Combines numbers, or texts of them, in batches, and returns how many records left, after checking that no value
    /// was lost.
    fn run(as_texts: bool, keys: impl Iterator<Item = u64>) -> u64 {
        let (mut plain, mut any) = (Combiner::default(), AnyCombiner::default());
        let (mut expected, mut sums, mut left) = (BTreeMap::new(), BTreeMap::new(), 0);
        let mut give = |key: u64, value: u64| {
            *sums.entry(key).or_insert(0) += value;
            left += 1;
        };
        let mut give_text = |key: String, value| give(key[4..].parse().expect("a number"), value);
        let sum = |sum: &mut u64, value: u64| *sum += value;
        for batch in keys.map(|key| (key, 1u64)).collect::<Vec<_>>().chunks(1000) {
            batch.iter().for_each(|(key, value)| *expected.entry(*key).or_insert(0) += value);
            if as_texts {
                let mut texts = batch.iter().map(|(key, value)| (format!("key {key}"), *value)).collect();
                any.combine(&mut texts, &sum, &mut give_text);
            } else {
                plain.combine(batch, &sum, |key, value| give_text(format!("key {key}"), value));
            }
        }
        any.flush(&mut give_text);
        plain.flush(|key: u64, value| give_text(format!("key {key}"), value));
        assert_eq!(sums, expected);
        left
    }

    /// Records of a test; Miri would take minutes for as many as the others.
    const MANY: u64 = if cfg!(miri) { 1_000 } else { 300_000 };

    #[test]
    fn repeating_keys_are_merged() {
        let keys = || (0..MANY).map(|number| number % 100);
        let left = run(false, keys());
        assert!(left < MANY / 5, "{left} of {MANY} left");
        let left = run(true, keys());
        assert!(left < MANY / 5, "{left} of {MANY} texts left");
    }

    #[test]
    fn unique_keys_pass_by() {
        assert_eq!(run(false, 0..MANY), MANY);
        assert_eq!(run(true, 0..MANY), MANY);
    }

    #[test]
    fn it_pauses_after_one_sample_in_vain() {
        // Catches a combiner that keeps on working for nothing.
        let mut worth = Worth::default();
        assert!(!worth.lets_by(1_000) && !worth.must_pause(SAMPLE as usize - 1, SAMPLE - 1));
        assert!(worth.must_pause(1, 1));
        assert_eq!(worth.paused, FIRST_PAUSE * SAMPLE);
        assert!(worth.lets_by(SAMPLE as usize));
        worth.paused = 0;
        assert!(worth.must_pause(SAMPLE as usize, SAMPLE));
        assert_eq!(worth.paused, 2 * FIRST_PAUSE * SAMPLE);
        worth.paused = 0;
        assert!(!worth.must_pause(SAMPLE as usize, SAMPLE / 2));
        assert_eq!(worth.pause, FIRST_PAUSE);
    }
}

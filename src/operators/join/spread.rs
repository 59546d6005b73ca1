//! Which keys of the probe side are heavy: so many records have them that one worker should not look up all of these.
//!
//! Every worker decides for the records it sends, by a sample of them, and at any time: those of a heavy key may be anywhere
//! where all build records of the key are, so nobody must agree.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde::Serialize;

use super::heavy_hitters::HeavyHitters;
use crate::keys::{PlaceHasher, route_hash, scale};
use crate::operators::context::WorkerContext;
use crate::report::{HEAVY_PART, JoinShare};

/// Counters for each worker of the job. A key is surely heavy that has more than two in as many records as there are counters:
/// an eighth of what a worker has on the average.
const COUNTERS_PER_WORKER: usize = HEAVY_PART;
/// With more workers the smallest share that is heavy stays the same: one record in 2,048.
const MOST_COUNTERS: usize = 4096;
/// Before so many records for each counter were looked at, no key is heavy.
const LEAST_RECORDS: u64 = 8;
/// So many records for each counter are all looked at; behind them one of so many, at a place that looks random.
const ALL_OF_RECORDS: u64 = 16;
const STRIDE: u64 = 16;

/// What a record's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// One of many.
    Light,
    /// Heavy from this record on.
    BecomesHeavy,
    /// Heavy for some time.
    Heavy,
}

/// The heavy keys of the probe records of one worker.
pub(super) struct Spread {
    sketch: HeavyHitters,
    counters: u64,
    records: u64,
    /// Which record is looked at next.
    next: u64,
    /// Records of each heavy key, by its hash, and a bit for each hash: most records are told by it.
    heavy: HashMap<u64, Heavy, PlaceHasher>,
    bits: u64,
    share: Rc<RefCell<JoinShare>>,
}

struct Heavy {
    name: String,
    records: u64,
}

impl Spread {
    /// Without heavy keys, for a join that is being built on so many workers.
    pub(super) fn new(peers: usize, context: &WorkerContext) -> Self {
        let counters = (COUNTERS_PER_WORKER * peers).min(MOST_COUNTERS);
        Spread {
            sketch: HeavyHitters::new(counters),
            counters: counters as u64,
            records: 0,
            next: 0,
            heavy: HashMap::default(),
            bits: 0,
            share: context.next_join(peers),
        }
    }

    /// Notes a record, and tells what its key is.
    #[inline]
    pub(super) fn weigh(&mut self, hash: u64, key: &impl Serialize) -> Weight {
        let is_sampled = self.records == self.next;
        self.records += 1;
        let becomes_heavy = is_sampled && self.sample(hash);
        if self.bits >> (hash % 64) & 1 != 0
            && let Some(heavy) = self.heavy.get_mut(&hash)
        {
            heavy.records += 1;
            return Weight::Heavy;
        }
        if becomes_heavy { self.add(hash, key) } else { Weight::Light }
    }

    /// Looks at a record.
    #[cold]
    fn sample(&mut self, hash: u64) -> bool {
        if self.next < ALL_OF_RECORDS * self.counters {
            self.next += 1;
        } else {
            // In the next window: a pattern in the records must not be the pattern of those that are looked at.
            let window = self.next / STRIDE + 1;
            self.next = window * STRIDE + scale(route_hash(window), STRIDE as usize) as u64;
        }
        let is_heavy = self.sketch.count(hash);
        is_heavy && self.sketch.records() >= LEAST_RECORDS * self.counters
    }

    #[cold]
    fn add(&mut self, hash: u64, key: &impl Serialize) -> Weight {
        self.bits |= 1 << (hash % 64);
        self.heavy.insert(hash, Heavy { name: name_of(key), records: 1 });
        Weight::BecomesHeavy
    }

    /// Tells the report what there was.
    pub(super) fn end(&mut self) {
        let mut share = self.share.borrow_mut();
        share.records = self.records;
        share.spread = self.heavy.drain().map(|(_, heavy)| (heavy.name, heavy.records)).collect();
    }
}

/// A key for people: a text as it is, anything else as JSON has it.
fn name_of<K: Serialize>(key: &K) -> String {
    match serde_json::to_value(key) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => format!("a {}", std::any::type_name::<K>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Text;
    use crate::operators::context::ProcessShared;

    /// The keys that became heavy, with the number of records that were spread, where `key` gives the key of each record.
    fn heavy(peers: usize, records: u64, key: impl Fn(u64) -> u64) -> Vec<(String, u64)> {
        let context =
            WorkerContext::install(ProcessShared::default(), peers, 0, std::collections::BTreeMap::new());
        let mut spread = Spread::new(peers, &context);
        let mut became = 0;
        for record in 0..records {
            let key = key(record);
            became += usize::from(spread.weigh(route_hash(key), &key) == Weight::BecomesHeavy);
        }
        spread.end();
        let share = spread.share.borrow();
        assert_eq!((share.records, share.spread.len()), (records, became));
        let mut keys = share.spread.clone();
        keys.sort();
        keys
    }

    #[test]
    fn a_key_becomes_heavy_soon_and_stays_so() {
        let third = |record: u64| if record.is_multiple_of(3) { 7 } else { route_hash(record) };
        // The first 512 are looked at before any key is heavy, and a third of these are not spread.
        assert_eq!(heavy(4, 30_000, third), [("7".to_owned(), 10_000 - 171)]);
        assert_eq!(heavy(4, 300, third), []);
        // Later too, and where records come in a pattern of the stride.
        let late = |record: u64| if record > 500_000 && record % 16 < 8 { 7 } else { route_hash(record) };
        let found = heavy(4, 1_000_000, late);
        assert!(found.len() == 1 && (235_000..247_000).contains(&found[0].1), "{found:?}");
    }

    #[test]
    fn keys_that_are_even_are_never_heavy() {
        assert_eq!(heavy(4, 200_000, |record| record % 1_000), []);
        assert_eq!(heavy(100, 200_000, |record| record % 10_000), []);
    }

    #[test]
    fn keys_have_names_for_people() {
        let bytes = Text::new(b"\xff");
        let names = [name_of(&"a b"), name_of(&Text::new(b"url")), name_of(&(1, "x")), name_of(&bytes)];
        assert_eq!(names, ["a b", "url", "[1,\"x\"]", "[255]"]);
    }
}

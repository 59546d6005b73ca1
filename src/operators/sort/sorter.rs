//! Sorting what comes to one worker, with runs on disk where memory is short.
//!
//! Runs are merged as soon as there are many of one size, and the rest at the end, so that the memory and the number
//! of seeks that merging takes stay small however many records there are.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::memory::{Sequence, SequenceReader, SpillFile};
use crate::operators::context::WorkerContext;
use crate::operators::overflow::Overflow;

/// What reading a run takes: two blocks.
const READER_BYTES: usize = 512 << 10;
/// Runs of one size that are merged into one: as many as a quarter of a share lets read at once, within these bounds.
const LEAST_FAN_IN: usize = 4;
const MOST_FAN_IN: usize = 64;

/// Takes records in any order and gives them in order.
pub(in crate::operators) struct Sorter<D, C> {
    compare: C,
    records: Vec<D>,
    /// What the records own beside their own size.
    owned_bytes: usize,
    /// Sorted, with how often what they hold was merged; the earlier ones hold what came earlier.
    runs: Vec<(u32, Sequence<D>)>,
    overflow: Overflow,
    merge: Option<Merge<D, C>>,
}

impl<D, C> Sorter<D, C>
where
    D: Serialize + DeserializeOwned,
    C: Fn(&D, &D) -> Ordering + Clone,
{
    pub(in crate::operators) fn new(compare: C, context: Rc<WorkerContext>) -> Self {
        Sorter {
            compare,
            records: Vec::new(),
            owned_bytes: 0,
            runs: Vec::new(),
            overflow: Overflow::new(context),
            merge: None,
        }
    }

    /// Takes records in, which take so many bytes; the buffer stays, empty.
    pub(in crate::operators) fn take(&mut self, records: &mut Vec<D>, bytes: usize) -> Result<(), Error> {
        let room = self.records.capacity() - self.records.len();
        if room < records.len() {
            // By a half: what a doubling overshoots is memory.
            self.records.reserve_exact(records.len().max(self.records.capacity() / 2));
        }
        self.owned_bytes += bytes - size_of_val(&records[..]);
        self.records.append(records);
        // A stable sort moves half of the records aside.
        let held = size_of::<D>() * (self.records.capacity() + self.records.len() / 2) + self.owned_bytes;
        self.overflow.seat.hold(held);
        if self.overflow.must_spill(held) { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), Error> {
        let mut records = std::mem::take(&mut self.records);
        records.sort_by(&self.compare);
        let mut run = Sequence::default();
        self.overflow.count_partition(self.runs.is_empty());
        self.overflow.write(|file| {
            records.into_iter().try_for_each(|record| run.write(&record, file))?;
            run.end(file)
        })?;
        self.owned_bytes = 0;
        self.overflow.seat.hold(0);
        self.runs.push((0, run));
        self.merge_runs()
    }

    /// Merges the last runs while there are many of one size.
    fn merge_runs(&mut self) -> Result<(), Error> {
        let fan_in = (self.overflow.seat.share_bytes() / 4 / READER_BYTES).clamp(LEAST_FAN_IN, MOST_FAN_IN);
        while let Some(&(level, _)) = self.runs.last() {
            let alike = self.runs.iter().rev().take_while(|run| run.0 == level).count();
            if alike < fan_in {
                break;
            }
            let last = self.runs.split_off(self.runs.len() - alike);
            let compare = self.compare.clone();
            let merged = self.overflow.write(|file| {
                let mut merge = Merge::of(last, Vec::new(), compare, file)?;
                let mut merged = Sequence::default();
                while let Some(record) = merge.next(file)? {
                    merged.write(&record, file)?;
                }
                merged.end(file)?;
                Ok(merged)
            })?;
            self.runs.push((level + 1, merged));
        }
        Ok(())
    }

    /// When all have come: the next in order; `None` when there are no more.
    #[inline]
    pub(in crate::operators) fn next(&mut self) -> Result<Option<D>, Error> {
        if self.merge.is_none() {
            let mut records = std::mem::take(&mut self.records);
            records.sort_by(&self.compare);
            let (runs, compare) = (std::mem::take(&mut self.runs), self.compare.clone());
            self.merge = Some(Merge::of(runs, records, compare, &mut self.overflow.file)?);
        }
        let Some(merge) = &mut self.merge else { return Ok(None) };
        let next = merge.next(&mut self.overflow.file)?;
        if next.is_none() {
            merge.sources = Vec::new();
            self.overflow.seat.hold(0);
        }
        Ok(next)
    }
}

/// Merges sorted sources; of equal records those of the first source come first.
struct Merge<D, C> {
    sources: Vec<Source<D>>,
    heads: BinaryHeap<Reverse<Head<D, C>>>,
}

/// Sorted records.
enum Source<D> {
    Run(SequenceReader<D>),
    Memory(std::vec::IntoIter<D>),
}

/// The next record of a source.
struct Head<D, C> {
    record: D,
    source: usize,
    compare: C,
}

impl<D: Serialize + DeserializeOwned, C: Fn(&D, &D) -> Ordering + Clone> Merge<D, C> {
    fn of(
        runs: Vec<(u32, Sequence<D>)>,
        last: Vec<D>,
        compare: C,
        file: &mut SpillFile,
    ) -> Result<Self, Error> {
        let mut sources = Vec::new();
        for (_, run) in runs {
            sources.push(Source::Run(run.read(file)?));
        }
        sources.push(Source::Memory(last.into_iter()));
        let mut heads = BinaryHeap::new();
        for (index, source) in sources.iter_mut().enumerate() {
            if let Some(record) = source.next(file)? {
                heads.push(Reverse(Head { record, source: index, compare: compare.clone() }));
            }
        }
        Ok(Merge { sources, heads })
    }

    #[inline]
    fn next(&mut self, file: &mut SpillFile) -> Result<Option<D>, Error> {
        let Some(mut least) = self.heads.peek_mut() else { return Ok(None) };
        let source = &mut self.sources[least.0.source];
        Ok(Some(match source.next(file)? {
            Some(next) => std::mem::replace(&mut least.0.record, next),
            None => PeekMut::pop(least).0.record,
        }))
    }
}

impl<D: DeserializeOwned> Source<D> {
    #[inline]
    fn next(&mut self, file: &mut SpillFile) -> Result<Option<D>, Error> {
        match self {
            Source::Run(run) => run.next(file),
            Source::Memory(records) => Ok(records.next()),
        }
    }
}

impl<D, C: Fn(&D, &D) -> Ordering> Ord for Head<D, C> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.compare)(&self.record, &other.record).then(self.source.cmp(&other.source))
    }
}

impl<D, C: Fn(&D, &D) -> Ordering> PartialOrd for Head<D, C> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<D, C: Fn(&D, &D) -> Ordering> PartialEq for Head<D, C> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<D, C: Fn(&D, &D) -> Ordering> Eq for Head<D, C> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Budget, held_bytes};
    use crate::operators::ProcessShared;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Record = (u8, String);

    /// Sorts by the first field where so much may be held; what came out, and the bytes spilled.
    fn sort(records: &[Record], limit: Option<u64>) -> (Vec<Record>, u64) {
        let home = tempfile::tempdir().expect("a directory");
        let memory = Budget::new(limit, home.path().to_path_buf(), 1);
        let process = ProcessShared::new(Default::default(), memory);
        let context = WorkerContext::install(process, 1, 0, BTreeMap::new());
        let mut sorter = Sorter::new(|a: &Record, b: &Record| a.0.cmp(&b.0), Rc::clone(&context));
        for records in records.chunks(50) {
            let mut records = records.to_vec();
            let bytes = held_bytes(&records);
            sorter.take(&mut records, bytes).expect("taken");
            assert!(records.is_empty());
        }
        let sorted = std::iter::from_fn(|| sorter.next().expect("read back")).collect();
        assert!(sorter.next().expect("nothing more").is_none());
        assert_eq!(sorter.overflow.seat.held_bytes(), 0);
        assert_eq!(home.path().read_dir().expect("a directory").count(), 0);
        (sorted, context.counters.spilled_bytes.get())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        /// Catches a record lost or doubled between runs, merges in the wrong order, and equals that change places.
        #[test]
        fn is_the_stable_sort(keys in proptest::collection::vec(0u8..9, 0..3_000), limit in prop_oneof![Just(None), (1_000u64..2_000_000).prop_map(Some)]) {
            let records: Vec<Record> =
                keys.iter().enumerate().map(|(place, &key)| (key, "x".repeat(place % 50) + &place.to_string())).collect();
            let mut model = records.clone();
            model.sort_by_key(|record| record.0);
            prop_assert_eq!(sort(&records, limit).0, model);
        }
    }

    #[test]
    fn runs_are_merged_when_there_are_many() {
        // 40,000 records of 30 bytes and more in an eighth of 80 kB: hundreds of runs, four at a time.
        let records: Vec<Record> =
            (0..40_000u32).map(|place| ((place * 7 % 251) as u8, place.to_string())).collect();
        let mut model = records.clone();
        model.sort_by_key(|record| record.0);
        let (sorted, spilled) = sort(&records, Some(80_000));
        assert!(sorted == model);
        let once: usize = records.iter().map(|record| record.1.len() + 2).sum();
        let times = spilled as usize / once;
        assert!((3..=6).contains(&times), "written {times} times");
        let (sorted, spilled) = sort(&records, None);
        assert!(sorted == model && spilled == 0);
    }
}

//! Joining what is on disk: one partition after the other, each divided by further hashes until it fits.
//!
//! ```text
//!  build, probe on disk ─► load build ─► fits: look up each probe record
//!                                     ├► does not: divide both by a further hash, and so on with each part
//!                                     └► is one key for the most part, or was divided too often: hold some of the
//!                                        probe side instead, read the build side past it, and again with the next
//! ```

use std::collections::HashMap;
use std::hash::Hash;

use timely::ExchangeData;

use super::table::{Group, Table};
use crate::Error;
use crate::keys::{PlaceHasher, dividing_hash_of, scale};
use crate::memory::{Sequence, SequenceReader, owned_bytes};
use crate::operators::overflow::Overflow;

/// A table takes at most half a share of the budget, since one that grows is there twice; but it may always have so much.
const LEAST_TABLE_BYTES: usize = 64 << 10;
/// A partition is not divided more often than this: its keys would have to be equal in as many independent hashes.
const DEEPEST: usize = 8;
/// Parts of a partition that is divided: twice as many as would just fit, and at most so many, whose blocks must fit
/// in memory.
const MOST_PARTS: u64 = 64;

/// What records that meet are given to.
pub(super) trait Pairs<K, P, B> {
    /// A probe record meets the records of its key, or for an inner or a left join some of them, or learns that there are none.
    fn meet(&mut self, record: (K, P), group: Option<&Group<B>>);

    /// Notes that a record is looked at; false if it is time to let others have a turn.
    fn look(&mut self) -> bool;
}

/// The records of some keys on disk.
pub(super) struct OnDisk<K, P, B> {
    pub(super) build: Sequence<(K, B)>,
    pub(super) probe: Sequence<(K, P)>,
}

impl<K, P, B> OnDisk<K, P, B> {
    pub(super) fn new(block_bytes: usize) -> Self {
        OnDisk { build: Sequence::in_blocks_of(block_bytes), probe: Sequence::in_blocks_of(block_bytes) }
    }

    /// Bytes of memory that its blocks under way take.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.build.waiting_bytes() + self.probe.waiting_bytes()
    }
}

/// What is to be joined from disk.
pub(super) struct Spilled<K, P, B> {
    /// The next last.
    steps: Vec<Step<K, P, B>>,
    duplicates: bool,
}

/// How far a partition is.
enum Step<K, P, B> {
    /// Nothing was done yet; so often was it divided.
    Begin { disk: OnDisk<K, P, B>, depth: usize },
    /// Its build side is read into memory.
    Load { table: Table<K, B>, build: SequenceReader<(K, B)>, probe: SequenceReader<(K, P)>, depth: usize },
    /// Its probe side is looked up.
    LookUp { table: Table<K, B>, probe: SequenceReader<(K, P)> },
    /// First its build side is divided, then its probe side.
    Divide {
        build: SequenceReader<(K, B)>,
        probe: SequenceReader<(K, P)>,
        parts: Vec<OnDisk<K, P, B>>,
        depth: usize,
    },
    /// Some of its probe side is in memory.
    Nested(Nested<K, P, B>),
}

/// A partition whose build side does not divide.
struct Nested<K, P, B> {
    build: SequenceReader<(K, B)>,
    probe: SequenceReader<(K, P)>,
    /// Probe records by key, each with whether it has met one of the build side.
    block: HashMap<K, Vec<(P, bool)>, PlaceHasher>,
    block_bytes: usize,
    is_full: bool,
}

impl<K, P, B> Spilled<K, P, B>
where
    K: ExchangeData + Hash + Eq + Clone,
    P: ExchangeData + Clone,
    B: ExchangeData,
{
    pub(super) fn new(duplicates: bool) -> Self {
        Spilled { steps: Vec::new(), duplicates }
    }

    /// Adds a partition, which goes before those added earlier: one that was spilled, or one that is whole in memory and has
    /// probe records on disk.
    pub(super) fn add(
        &mut self,
        disk: OnDisk<K, P, B>,
        whole: Option<Table<K, B>>,
        overflow: &mut Overflow,
    ) -> Result<(), Error> {
        // Without a probe record, nothing is given for any kind of join.
        if !disk.probe.is_empty() {
            self.steps.push(match whole {
                Some(table) => Step::LookUp { table, probe: overflow.write(|file| disk.probe.read(file))? },
                None => Step::Begin { disk, depth: 0 },
            });
        }
        Ok(())
    }

    /// Goes on, until it is time to let others have a turn; false when nothing is left.
    pub(super) fn turn(
        &mut self,
        overflow: &mut Overflow,
        pairs: &mut impl Pairs<K, P, B>,
    ) -> Result<bool, Error> {
        if let Some(step) = self.steps.pop() {
            let next = self.go_on(step, overflow, pairs)?;
            self.steps.extend(next);
        }
        overflow.seat.hold(self.steps.iter().map(Step::held_bytes).sum());
        Ok(!self.steps.is_empty())
    }

    /// Takes a step or a part of one, and returns what comes next for the same records.
    fn go_on(
        &mut self,
        step: Step<K, P, B>,
        overflow: &mut Overflow,
        pairs: &mut impl Pairs<K, P, B>,
    ) -> Result<Option<Step<K, P, B>>, Error> {
        let most = (overflow.seat.share_bytes() / 2).max(LEAST_TABLE_BYTES);
        Ok(match step {
            Step::Begin { disk, depth } => {
                let table = Table::new(self.duplicates);
                let (build, probe) =
                    overflow.write(|file| Ok((disk.build.read(file)?, disk.probe.read(file)?)))?;
                Some(Step::Load { table, build, probe, depth })
            }
            Step::Load { mut table, mut build, probe, depth } => {
                while let Some((key, record)) = build.next(&mut overflow.file)? {
                    table.insert(key, record);
                    if table.bytes() > most {
                        return Ok(Some(too_large(&table, build, probe, depth, overflow)));
                    }
                    if !pairs.look() {
                        return Ok(Some(Step::Load { table, build, probe, depth }));
                    }
                }
                Some(Step::LookUp { table, probe })
            }
            Step::LookUp { table, mut probe } => {
                while let Some(record) = probe.next(&mut overflow.file)? {
                    let group = table.get(&record.0);
                    pairs.meet(record, group);
                    if !pairs.look() {
                        return Ok(Some(Step::LookUp { table, probe }));
                    }
                }
                None
            }
            Step::Divide { mut build, mut probe, mut parts, depth } => {
                let count = parts.len();
                let of = |key: &K| scale(dividing_hash_of(key, depth), count);
                while let Some(record) = build.next(&mut overflow.file)? {
                    let part = of(&record.0);
                    overflow.write(|file| parts[part].build.write(&record, file))?;
                    if !pairs.look() {
                        return Ok(Some(Step::Divide { build, probe, parts, depth }));
                    }
                }
                overflow.write(|file| parts.iter_mut().try_for_each(|part| part.build.end(file)))?;
                while let Some(record) = probe.next(&mut overflow.file)? {
                    let part = of(&record.0);
                    overflow.write(|file| parts[part].probe.write(&record, file))?;
                    if !pairs.look() {
                        return Ok(Some(Step::Divide { build, probe, parts, depth }));
                    }
                }
                let parts = parts.into_iter().filter(|part| !part.probe.is_empty());
                for mut disk in parts {
                    overflow.write(|file| disk.probe.end(file))?;
                    overflow.count_partition(true);
                    self.steps.push(Step::Begin { disk, depth: depth + 1 });
                }
                None
            }
            Step::Nested(mut nested) => {
                let more = nested.turn(most, self.duplicates, overflow, pairs)?;
                more.then_some(Step::Nested(nested))
            }
        })
    }
}

/// What becomes of a partition whose build side does not fit in memory.
fn too_large<K, P, B>(
    table: &Table<K, B>,
    mut build: SequenceReader<(K, B)>,
    probe: SequenceReader<(K, P)>,
    depth: usize,
    overflow: &Overflow,
) -> Step<K, P, B>
where
    K: ExchangeData + Hash + Eq + Clone,
    B: ExchangeData,
{
    let fit = table.records().max(1) as u64;
    if depth == DEEPEST || table.is_mostly_one_key() {
        let block = HashMap::default();
        return Step::Nested(Nested { build, probe, block, block_bytes: 0, is_full: false });
    }
    let parts = (2 * build.records() / fit + 1).clamp(2, MOST_PARTS) as usize;
    let block_bytes = overflow.seat.share_bytes() / 4 / parts;
    build.rewind();
    Step::Divide { build, probe, parts: (0..parts).map(|_| OnDisk::new(block_bytes)).collect(), depth }
}

impl<K, P, B> Step<K, P, B>
where
    K: ExchangeData + Hash + Eq + Clone,
    B: ExchangeData,
{
    fn held_bytes(&self) -> usize {
        match self {
            Step::Begin { disk, .. } => disk.waiting_bytes(),
            Step::Load { table, .. } | Step::LookUp { table, .. } => table.bytes(),
            Step::Divide { parts, .. } => parts.iter().map(OnDisk::waiting_bytes).sum(),
            Step::Nested(nested) => nested.block_bytes,
        }
    }
}

impl<K, P, B> Nested<K, P, B>
where
    K: ExchangeData + Hash + Eq + Clone,
    P: ExchangeData + Clone,
    B: ExchangeData,
{
    /// Reads some of the build side past the probe records in memory, or some of these; false when all are through.
    fn turn(
        &mut self,
        most: usize,
        duplicates: bool,
        overflow: &mut Overflow,
        pairs: &mut impl Pairs<K, P, B>,
    ) -> Result<bool, Error> {
        while !self.is_full {
            match self.probe.next(&mut overflow.file)? {
                Some((key, record)) => {
                    self.block_bytes += size_of::<(K, P)>() + owned_bytes(&key) + owned_bytes(&record);
                    self.block.entry(key).or_default().push((record, false));
                    self.is_full = self.block_bytes > most;
                    if !pairs.look() {
                        return Ok(true);
                    }
                }
                None if self.block.is_empty() => return Ok(false),
                None => self.is_full = true,
            }
            if self.is_full {
                self.build.rewind();
            }
        }
        while let Some((key, record)) = self.build.next(&mut overflow.file)? {
            if let Some(records) = self.block.get_mut(&key) {
                let group = Group::of(record);
                for (record, has_met) in records.iter_mut().filter(|(_, has_met)| duplicates || !has_met) {
                    *has_met = true;
                    pairs.meet((key.clone(), record.clone()), Some(&group));
                    pairs.look();
                }
            }
            if !pairs.look() {
                return Ok(true);
            }
        }
        for (key, records) in self.block.drain() {
            for (record, _) in records.into_iter().filter(|(_, has_met)| !has_met) {
                pairs.meet((key.clone(), record), None);
            }
        }
        (self.block_bytes, self.is_full) = (0, false);
        Ok(true)
    }
}

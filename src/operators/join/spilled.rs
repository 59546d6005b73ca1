//! Joining what is on disk: one partition after the other, each divided by further hashes until it fits.
//!
//! ```text
//!  build, probe on disk ─► load build ─► fits: look up each probe record
//!                                     ├► does not: divide both by a further hash, and so on with each part
//!                                     └► is one key for the most part, or was divided too often: hold some of the
//!                                        probe side instead, read the build side past it, and again with the next
//! ```

use std::sync::Arc;

use super::disk::{RowsOnDisk, RowsReader};
use super::record::SameKey;
use super::table::{Group, Table, look_up};
use crate::Error;
use crate::exchange::Row;
use crate::keys::{dividing_hash, scale};
use crate::operators::overflow::Overflow;

/// A table takes at most half a share of the budget, since one that grows is there twice; but it may always have so much.
const LEAST_TABLE_BYTES: usize = 64 << 10;
/// A partition is not divided more often than this: its keys would have to be equal in as many independent hashes.
const DEEPEST: usize = 8;
/// Parts of a partition that is divided: twice as many as would just fit, and at most so many, whose blocks must fit
/// in memory.
const MOST_PARTS: u64 = 64;

/// What records that meet are given to.
pub(super) trait Pairs {
    /// A probe record meets the records of its key, or for an inner or a left join some of them, or learns that there are none.
    fn meet(&mut self, record: Row<'_>, group: Option<Group<'_>>) -> Result<(), Error>;

    /// Notes that so many records were looked at; false if it is time to let others have a turn.
    fn look(&mut self, records: usize) -> bool;
}

/// The same for records that were not written.
pub(super) trait FreshPairs<K, P>: Pairs {
    /// As [`meet`](Pairs::meet), for a record as it came.
    fn meet_fresh(&mut self, record: &(K, P), group: Option<Group<'_>>) -> Result<(), Error>;
}

/// The records of some keys on disk.
pub(super) struct OnDisk {
    pub(super) build: RowsOnDisk,
    pub(super) probe: RowsOnDisk,
}

impl OnDisk {
    pub(super) fn new(block_bytes: usize) -> Self {
        OnDisk { build: RowsOnDisk::new(block_bytes), probe: RowsOnDisk::new(block_bytes) }
    }

    /// Bytes of memory that its blocks under way take.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.build.waiting_bytes() + self.probe.waiting_bytes()
    }
}

/// What is to be joined from disk.
pub(super) struct Spilled {
    /// The next last.
    steps: Vec<Step>,
    duplicates: bool,
    same: SameKey,
}

/// How far a partition is.
enum Step {
    /// Nothing was done yet; so often was it divided.
    Begin { disk: OnDisk, depth: usize },
    /// Its build side is read into memory.
    Load { table: Table, build: RowsReader, probe: RowsReader, depth: usize },
    /// Its probe side is looked up, in the table of each hash.
    LookUp { tables: Vec<Arc<Table>>, probe: RowsReader },
    /// First its build side is divided, then its probe side.
    Divide { build: RowsReader, probe: RowsReader, parts: Vec<OnDisk>, depth: usize },
    /// Some of its probe side is in memory.
    Nested(Nested),
}

/// A partition whose build side does not divide.
struct Nested {
    build: RowsReader,
    probe: RowsReader,
    /// Probe records, and which of them have met one of the build side.
    block: Table,
    has_met: Vec<bool>,
    is_full: bool,
}

impl Spilled {
    pub(super) fn new(duplicates: bool, same: SameKey) -> Self {
        Spilled { steps: Vec::new(), duplicates, same }
    }

    /// Adds a partition, which goes before those added earlier: one that was spilled, or one that is whole in memory and has
    /// probe records on disk.
    pub(super) fn add(
        &mut self,
        disk: OnDisk,
        whole: Option<Vec<Arc<Table>>>,
        overflow: &mut Overflow,
    ) -> Result<(), Error> {
        // Without a probe record, nothing is given for any kind of join.
        if !disk.probe.is_empty() {
            self.steps.push(match whole {
                Some(tables) => Step::LookUp { tables, probe: overflow.write(|file| disk.probe.read(file))? },
                None => Step::Begin { disk, depth: 0 },
            });
        }
        Ok(())
    }

    /// Goes on, until it is time to let others have a turn; false when nothing is left.
    pub(super) fn turn(&mut self, overflow: &mut Overflow, pairs: &mut impl Pairs) -> Result<bool, Error> {
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
        step: Step,
        overflow: &mut Overflow,
        pairs: &mut impl Pairs,
    ) -> Result<Option<Step>, Error> {
        let most = (overflow.seat.share_bytes() / 2).max(LEAST_TABLE_BYTES);
        Ok(match step {
            Step::Begin { disk, depth } => {
                let table = Table::new(self.duplicates, self.same);
                let (build, probe) =
                    overflow.write(|file| Ok((disk.build.read(file)?, disk.probe.read(file)?)))?;
                Some(Step::Load { table, build, probe, depth })
            }
            Step::Load { mut table, mut build, probe, depth } => {
                while let Some(rows) = build.next(&mut overflow.file)? {
                    for row in rows.iter() {
                        table.insert(row)?;
                        if table.bytes() > most {
                            return Ok(Some(self.too_large(&table, build, probe, depth, overflow)));
                        }
                    }
                    if !pairs.look(rows.len()) {
                        return Ok(Some(Step::Load { table, build, probe, depth }));
                    }
                }
                Some(Step::LookUp { tables: vec![Arc::new(table)], probe })
            }
            Step::LookUp { tables, mut probe } => {
                while let Some(rows) = probe.next(&mut overflow.file)? {
                    let table = |hash| &*tables[scale(hash, tables.len())];
                    look_up(rows.iter(), table, |row, group| pairs.meet(*row, group))?;
                    if !pairs.look(rows.len()) {
                        return Ok(Some(Step::LookUp { tables, probe }));
                    }
                }
                None
            }
            Step::Divide { mut build, mut probe, mut parts, depth } => {
                let count = parts.len();
                let of = |row: Row<'_>| scale(dividing_hash(row.hash, depth), count);
                while let Some(rows) = build.next(&mut overflow.file)? {
                    overflow.write(|file| {
                        rows.iter().try_for_each(|row| parts[of(row)].build.write_row(row, file))
                    })?;
                    if !pairs.look(rows.len()) {
                        return Ok(Some(Step::Divide { build, probe, parts, depth }));
                    }
                }
                overflow.write(|file| parts.iter_mut().try_for_each(|part| part.build.end(file)))?;
                while let Some(rows) = probe.next(&mut overflow.file)? {
                    overflow.write(|file| {
                        rows.iter().try_for_each(|row| parts[of(row)].probe.write_row(row, file))
                    })?;
                    if !pairs.look(rows.len()) {
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

    /// What becomes of a partition whose build side does not fit in memory.
    fn too_large(
        &self,
        table: &Table,
        mut build: RowsReader,
        probe: RowsReader,
        depth: usize,
        overflow: &Overflow,
    ) -> Step {
        build.rewind();
        if depth == DEEPEST || table.is_mostly_one_key() {
            let block = Table::new(true, self.same);
            return Step::Nested(Nested { build, probe, block, has_met: Vec::new(), is_full: false });
        }
        let fit = table.taken().max(1) as u64;
        let parts = (2 * build.rows() / fit + 1).clamp(2, MOST_PARTS) as usize;
        let block_bytes = overflow.seat.share_bytes() / 4 / parts;
        Step::Divide { build, probe, parts: (0..parts).map(|_| OnDisk::new(block_bytes)).collect(), depth }
    }
}

impl Step {
    fn held_bytes(&self) -> usize {
        match self {
            Step::Begin { disk, .. } => disk.waiting_bytes(),
            Step::Load { table, .. } => table.bytes(),
            // Each worker of the process counts its part of what they share.
            Step::LookUp { tables, .. } => {
                tables.iter().map(|table| table.bytes()).sum::<usize>() / tables.len().max(1)
            }
            Step::Divide { parts, .. } => parts.iter().map(OnDisk::waiting_bytes).sum(),
            Step::Nested(nested) => nested.block.bytes() + nested.has_met.capacity(),
        }
    }
}

impl Nested {
    /// Reads some of the build side past the probe records in memory, or some of these; false when all are through.
    fn turn(
        &mut self,
        most: usize,
        duplicates: bool,
        overflow: &mut Overflow,
        pairs: &mut impl Pairs,
    ) -> Result<bool, Error> {
        while !self.is_full {
            match self.probe.next(&mut overflow.file)? {
                Some(rows) => {
                    self.block.insert_all(&rows)?;
                    self.is_full = self.block.bytes() > most;
                    if !self.is_full && !pairs.look(rows.len()) {
                        return Ok(true);
                    }
                }
                None if self.block.taken() == 0 => return Ok(false),
                None => self.is_full = true,
            }
            if self.is_full {
                self.build.rewind();
                self.has_met.resize(self.block.taken(), false);
            }
        }
        while let Some(rows) = self.build.next(&mut overflow.file)? {
            for row in rows.iter() {
                for number in self.block.get(&row).into_iter().flat_map(Group::numbers) {
                    let has_met = std::mem::replace(&mut self.has_met[number as usize], true);
                    if duplicates || !has_met {
                        pairs.meet(self.block.row(number), Some(Group::One(row)))?;
                        pairs.look(1);
                    }
                }
            }
            if !pairs.look(rows.len()) {
                return Ok(true);
            }
        }
        let alone = self.block.iter().zip(&self.has_met).filter(|(_, has_met)| !**has_met);
        for (row, _) in alone {
            pairs.meet(row, None)?;
        }
        self.block.take_rows();
        self.has_met.clear();
        self.is_full = false;
        Ok(true)
    }
}

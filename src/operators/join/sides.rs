//! Both sides of a join at one worker: the build side in partitions, some of them on disk, and what waits for them.
//!
//! A partition whose build records are in memory looks its probe records up as they come, as rows of bytes or as what they are. One that was spilled, before
//! or after probe records came, keeps those that come from then on beside its build records on disk, and both are
//! joined at the end. So each probe record meets its group once, whenever the partition was spilled.
//!
//! Records of heavy keys, which may be at any worker, have a partition of their own: the last. Its build records are those that
//! the owners of these keys sent, and each of its hashes is whole at a time of its own.

use std::collections::HashSet;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use timely::ExchangeData;
use timely::scheduling::Activator;

use super::JoinStrategy;
use super::disk::RowsOnDisk;
use super::record::{Fresh, SameKey};
use super::sender::{RowsContainer, Spare};
use super::spilled::{FreshPairs, OnDisk, Pairs, Spilled};
use super::table::{Group, Table, look_up};
use crate::Error;
use crate::exchange::{Addressed, Rows};
use crate::keys::{PlaceHasher, route_hash_of, scale};
use crate::operators::context::WorkerContext;
use crate::operators::overflow::Overflow;
use crate::operators::partitions::unknown_partition;
use crate::units::Bytes;

/// Spilling less than this at once is not worth a partition, unless a quarter of what it could have is less.
const MOST_WORTHWHILE_BYTES: usize = 1 << 20;
/// Probe records that wait are written so many together.
const WAIT_TOGETHER: usize = 512;

/// What a worker holds of a join.
pub(super) struct Sides {
    partitions: Vec<Partition>,
    /// Probe records that came before the build side was whole.
    early: Vec<RowsContainer>,
    early_bytes: usize,
    /// Place of the partition of heavy keys, if this join has one.
    heavy: Option<usize>,
    /// Hashes of the partition of heavy keys whose build records have all come, and probe records of this partition that wait
    /// for others: in memory they count to `early_bytes`.
    whole: HashSet<u64, PlaceHasher>,
    waiting: Vec<RowsContainer>,
    is_built: bool,
    /// What is to run once the build side is whole.
    wakes: Option<Activator>,
    strategy: JoinStrategy,
    duplicates: bool,
    same: SameKey,
    /// Of a broadcast join: the tables of all workers of this process, each with its part of the keys, once whole.
    published: Arc<Published>,
    tables: Vec<Arc<Table>>,
    /// Bytes of this worker's table that the others know of.
    told_bytes: usize,
    overflow: Overflow,
    context: Rc<WorkerContext>,
    /// Once all has come: what is joined from disk.
    spilled: Option<Spilled>,
}

/// What the workers of a process have of a broadcast join together.
#[derive(Default)]
struct Published {
    /// Their tables, once whole.
    tables: Mutex<Vec<(usize, Arc<Table>)>>,
    /// Bytes of all of them, so far.
    bytes: AtomicUsize,
}

/// Some keys of both sides.
struct Partition {
    table: Table,
    disk: OnDisk,
    is_spilled: bool,
}

impl Sides {
    /// `has_heavy` says whether there is one more partition, for heavy keys, and `duplicates` whether all build records of a key
    /// are kept, or merely one.
    pub(super) fn new(
        strategy: JoinStrategy,
        partitions: usize,
        has_heavy: bool,
        duplicates: bool,
        same: SameKey,
        context: Rc<WorkerContext>,
    ) -> Self {
        let overflow = Overflow::new(Rc::clone(&context));
        let heavy = has_heavy.then_some(partitions);
        let partitions = partitions + usize::from(has_heavy);
        let block_bytes = overflow.seat.share_bytes() / 4 / partitions;
        let empty = |_| Partition {
            table: Table::new(duplicates, same),
            disk: OnDisk::new(block_bytes),
            is_spilled: false,
        };
        Sides {
            partitions: (0..partitions).map(empty).collect(),
            early: Vec::new(),
            early_bytes: 0,
            heavy,
            whole: HashSet::default(),
            waiting: Vec::new(),
            is_built: false,
            wakes: None,
            strategy,
            duplicates,
            same,
            published: context.shared(),
            tables: Vec::new(),
            told_bytes: 0,
            overflow,
            context,
            spilled: None,
        }
    }

    /// Takes build records in.
    pub(super) fn take_build(&mut self, container: RowsContainer, spare: &Spare) -> Result<(), Error> {
        let partition = at(&mut self.partitions, container.partition)?;
        let rows = container.into_body();
        if partition.is_spilled {
            write(&mut self.overflow, &mut partition.disk.build, &rows)?;
        } else {
            partition.table.insert_all(&rows)?;
        }
        spare.take_back(rows);
        self.relieve()
    }

    /// Takes probe records in, and lets them meet their groups if these are there and whole.
    pub(super) fn take_probe(
        &mut self,
        container: RowsContainer,
        spare: &Spare,
        pairs: &mut impl Pairs,
    ) -> Result<(), Error> {
        let partition = at(&mut self.partitions, container.partition)?;
        let is_heavy = self.heavy == Some(container.partition as usize);
        let is_there = if is_heavy {
            partition.is_spilled || container.body().iter().all(|row| self.whole.contains(&row.hash))
        } else {
            self.is_built
        };
        if !is_there {
            return self.wait(container);
        }
        let rows = container.into_body();
        let tables = &self.tables;
        match self.strategy {
            _ if partition.is_spilled => write(&mut self.overflow, &mut partition.disk.probe, &rows)?,
            JoinStrategy::Hash | JoinStrategy::StrictHash => {
                look_up(rows.iter(), |_| &partition.table, |row, group| pairs.meet(*row, group))?;
            }
            JoinStrategy::Broadcast => {
                let table = |hash| &*tables[scale(hash, tables.len())];
                look_up(rows.iter(), table, |row, group| pairs.meet(*row, group))?;
            }
        }
        spare.take_back(rows);
        Ok(())
    }

    /// The same for records that stay where they were read, all with the tables of this process. They are looked up as they are;
    /// only those that must wait are written.
    pub(super) fn take_fresh<K, P>(
        &mut self,
        records: &[(K, P)],
        pairs: &mut impl FreshPairs<K, P>,
    ) -> Result<(), Error>
    where
        K: ExchangeData + Hash + Eq,
        P: ExchangeData,
    {
        if self.is_built {
            let table = |hash| &*self.tables[scale(hash, self.tables.len())];
            let meet =
                |fresh: &Fresh<'_, K, P>, group: Option<Group<'_>>| pairs.meet_fresh(fresh.record, group);
            return look_up(records.iter().map(Fresh::new), table, meet);
        }
        for records in records.chunks(WAIT_TOGETHER) {
            let mut rows = Rows::default();
            let mut written = records.iter().map(|(key, value)| rows.push(route_hash_of(key), key, value));
            written.try_for_each(|outcome| outcome.map_err(Error::Data))?;
            self.wait(Addressed::to(0, 0, rows))?;
        }
        Ok(())
    }

    /// Keeps probe records for when their build records are whole.
    fn wait(&mut self, container: RowsContainer) -> Result<(), Error> {
        let is_heavy = self.heavy == Some(container.partition as usize);
        self.early_bytes += container.body().allocated_bytes();
        if is_heavy { &mut self.waiting } else { &mut self.early }.push(container);
        self.relieve()
    }

    /// Notes that all build records of this worker have come; false while those of others of its process are missing.
    pub(super) fn end_build(&mut self, index: usize) -> Result<bool, Error> {
        if self.is_built {
            return Ok(true);
        }
        match self.strategy {
            JoinStrategy::Hash | JoinStrategy::StrictHash => {
                // Of heavy keys there is more to come.
                let own = self.heavy.unwrap_or(self.partitions.len());
                for partition in self.partitions[..own].iter_mut().filter(|partition| partition.is_spilled) {
                    self.overflow.write(|file| partition.disk.build.end(file))?;
                }
                self.is_built = true;
                if let Some(other) = self.wakes.take() {
                    other.activate();
                }
            }
            JoinStrategy::Broadcast => {
                let mut published = self.published.tables.lock().unwrap_or_else(PoisonError::into_inner);
                if published.iter().all(|(of, _)| *of != index) {
                    let empty = Table::new(self.duplicates, self.same);
                    let whole = std::mem::replace(&mut self.partitions[0].table, empty);
                    published.push((index, Arc::new(whole)));
                    published.sort_by_key(|(of, _)| *of);
                }
                if published.len() == self.context.workers() {
                    self.tables = published.iter().map(|(_, table)| Arc::clone(table)).collect();
                    self.is_built = true;
                }
            }
        }
        Ok(self.is_built)
    }

    /// Runs an operator of this worker once the build side is whole.
    pub(super) fn wake_when_built(&mut self, other: Activator) {
        self.wakes = Some(other);
    }

    /// Whether all build records of this worker have come.
    pub(super) fn is_built(&self) -> bool {
        self.is_built
    }

    /// The build records of a hash that belongs to this worker, of which there are so many.
    pub(super) fn rows_of(&mut self, hash: u64, peers: usize) -> Result<Vec<Rows>, Error> {
        let own = self.heavy.unwrap_or(self.partitions.len());
        let partition = &self.partitions[scale(hash, peers * own) % own];
        let mut found = Table::new(self.duplicates, self.same);
        if partition.is_spilled {
            let mut build = partition.disk.build.read_again();
            while let Some(rows) = build.next(&mut self.overflow.file)? {
                rows.iter().filter(|row| row.hash == hash).try_for_each(|row| found.insert(row))?;
            }
        } else {
            partition.table.of_hash(hash).try_for_each(|row| found.insert(row))?;
        }
        Ok(found.take_rows())
    }

    /// Takes in build records of heavy keys.
    pub(super) fn take_replica(&mut self, container: RowsContainer, spare: &Spare) -> Result<(), Error> {
        let heavy = self.heavy.map_or(u32::MAX, |heavy| heavy as u32);
        self.take_build(Addressed::to(container.worker, heavy, container.into_body()), spare)
    }

    /// Notes hashes of heavy keys of which all build records have come, and lets those try again that waited for one of them.
    pub(super) fn note_whole(&mut self, container: &RowsContainer) {
        self.whole.extend(container.body().iter().map(|row| row.hash));
        self.early.append(&mut self.waiting);
    }

    /// Spills until the operators of this process hold no more than they may, or others are to give back first.
    pub(super) fn relieve(&mut self) -> Result<(), Error> {
        if self.spilled.is_some() {
            return Ok(());
        }
        self.account();
        if self.strategy == JoinStrategy::Broadcast {
            self.refuse_copies()?;
        }
        let count = self.partitions.len();
        let worthwhile = (self.overflow.seat.share_bytes() / 4 / count).clamp(1, MOST_WORTHWHILE_BYTES);
        while self.overflow.seat.must_spill() {
            let sizes = self.partitions.iter().map(|partition| partition.table.bytes()).enumerate();
            let largest = sizes.max_by_key(|&(_, bytes)| bytes);
            match largest.filter(|_| self.strategy != JoinStrategy::Broadcast) {
                Some((index, bytes)) if bytes >= worthwhile.max(self.early_bytes) => self.spill(index)?,
                _ if self.early_bytes >= worthwhile => self.spill_early()?,
                _ => break,
            }
            self.account();
        }
        Ok(())
    }

    fn account(&mut self) {
        let tables: usize = self.partitions.iter().map(|partition| partition.table.bytes()).sum();
        let blocks: usize = self.partitions.iter().map(|partition| partition.disk.waiting_bytes()).sum();
        self.overflow.seat.hold(tables + self.published_bytes() + blocks + self.early_bytes);
    }

    /// This worker's share of what it and others look up in.
    fn published_bytes(&self) -> usize {
        self.tables.iter().map(|table| table.bytes()).sum::<usize>() / self.tables.len().max(1)
    }

    /// A broadcast build side is whole in every process, so spilling it would take as much disk as there are processes,
    /// and each probe record as much time as with a hash join.
    fn refuse_copies(&mut self) -> Result<(), Error> {
        // Those of a heavy key are at one worker, so that one part says nothing of the others. What was published is here no more.
        let bytes = self.partitions[0].table.bytes().max(self.told_bytes);
        let more = bytes - std::mem::replace(&mut self.told_bytes, bytes);
        let bytes = self.published.bytes.fetch_add(more, Ordering::Relaxed) + more;
        let most = self.context.process.memory.reducers_bytes();
        if bytes <= most {
            return Ok(());
        }
        Err(Error::Data(format!(
            "the build side of a broadcast join does not fit in memory: {} so far, where {} may be held; \
             use JoinStrategy::Hash, which spills (--join hash, of a program that has this flag), or raise --memory",
            Bytes(bytes as u64),
            Bytes(most as u64),
        )))
    }

    fn spill(&mut self, index: usize) -> Result<(), Error> {
        let partition = &mut self.partitions[index];
        self.overflow.count_partition(!partition.is_spilled);
        partition.is_spilled = true;
        let (build, chunks) = (&mut partition.disk.build, partition.table.take_rows());
        let is_whole = self.is_built && self.heavy != Some(index);
        self.overflow.write(|file| {
            chunks.into_iter().try_for_each(|rows| build.write(&rows, file))?;
            if is_whole { build.end(file) } else { Ok(()) }
        })
    }

    fn spill_early(&mut self) -> Result<(), Error> {
        for container in self.early.drain(..).chain(self.waiting.drain(..)) {
            let partition = at(&mut self.partitions, container.partition)?;
            write(&mut self.overflow, &mut partition.disk.probe, container.body())?;
        }
        self.early_bytes = 0;
        Ok(())
    }

    /// Whether there are probe records in memory that came before the build side was whole, and it is now.
    pub(super) fn may_catch_up(&self) -> bool {
        self.is_built && !self.early.is_empty()
    }

    /// When the build side is whole, and if `over` the probe side too: joins some of what has come and was not joined
    /// yet; false when nothing of that is left.
    pub(super) fn turn(&mut self, over: bool, pairs: &mut impl Pairs) -> Result<bool, Error> {
        while let Some(container) = self.early.pop() {
            self.early_bytes -= container.body().allocated_bytes();
            let rows = container.body().len();
            self.take_probe(container, &Spare::default(), pairs)?;
            if !pairs.look(rows) {
                return Ok(true);
            }
        }
        if !over {
            return Ok(false);
        }
        let overflow = &mut self.overflow;
        if let Some(spilled) = &mut self.spilled {
            return spilled.turn(overflow, pairs);
        }
        let spilled = self.spilled.insert(Spilled::new(self.duplicates, self.same));
        // The last goes first. Those that are whole do: each gives back memory for those that are not.
        self.partitions.sort_by_key(|partition| !partition.is_spilled);
        let shared = std::mem::take(&mut self.tables);
        for Partition { table, disk, is_spilled } in self.partitions.drain(..) {
            let whole = || if shared.is_empty() { vec![Arc::new(table)] } else { shared.clone() };
            spilled.add(disk, (!is_spilled).then(whole), overflow)?;
        }
        self.published = Arc::default();
        spilled.turn(overflow, pairs)
    }
}

/// The partition of a container, which comes from the network.
fn at(partitions: &mut [Partition], index: u32) -> Result<&mut Partition, Error> {
    let count = partitions.len();
    partitions.get_mut(index as usize).ok_or_else(|| unknown_partition(index, count))
}

fn write(overflow: &mut Overflow, side: &mut RowsOnDisk, rows: &Rows) -> Result<(), Error> {
    overflow.write(|file| side.write(rows, file))
}

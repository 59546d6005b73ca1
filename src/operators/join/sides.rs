//! Both sides of a join at one worker: the build side in partitions, some of them on disk, and what waits for them.
//!
//! A partition whose build records are in memory looks its probe records up as they come. One that was spilled, before
//! or after probe records came, keeps those that come from then on beside its build records on disk, and both are
//! joined at the end. So each probe record meets its group once, whenever the partition was spilled.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use super::JoinStrategy;
use super::disk::RowsOnDisk;
use super::sender::{RowsContainer, Spare};
use super::spilled::{OnDisk, Pairs, SameKey, Spilled};
use super::table::{Table, look_up};
use crate::Error;
use crate::exchange::Rows;
use crate::keys::scale;
use crate::operators::context::WorkerContext;
use crate::operators::overflow::Overflow;
use crate::operators::partitions::unknown_partition;
use crate::units::Bytes;

/// Spilling less than this at once is not worth a partition, unless a quarter of what it could have is less.
const MOST_WORTHWHILE_BYTES: usize = 1 << 20;

/// What a worker holds of a join.
pub(super) struct Sides {
    partitions: Vec<Partition>,
    /// Probe records that came before the build side was whole.
    early: Vec<RowsContainer>,
    early_bytes: usize,
    is_built: bool,
    strategy: JoinStrategy,
    duplicates: bool,
    same: SameKey,
    /// Of a broadcast join: the tables of all workers of this process, each with its part of the keys, once whole.
    published: Arc<Published>,
    tables: Vec<Arc<Table>>,
    overflow: Overflow,
    context: Rc<WorkerContext>,
    /// Once all has come: what is joined from disk.
    spilled: Option<Spilled>,
}

/// Where the workers of a process put the tables of a broadcast join.
type Published = Mutex<Vec<(usize, Arc<Table>)>>;

/// Some keys of both sides.
struct Partition {
    table: Table,
    disk: OnDisk,
    is_spilled: bool,
}

impl Sides {
    /// `duplicates` says whether all build records of a key are kept, or merely one.
    pub(super) fn new(
        strategy: JoinStrategy,
        partitions: usize,
        duplicates: bool,
        same: SameKey,
        context: Rc<WorkerContext>,
    ) -> Self {
        let overflow = Overflow::new(Rc::clone(&context));
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
            is_built: false,
            strategy,
            duplicates,
            same,
            published: context.shared(),
            tables: Vec::new(),
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
            rows.iter().try_for_each(|row| partition.table.insert(row))?;
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
        if !self.is_built {
            self.early_bytes += container.body().allocated_bytes();
            self.early.push(container);
            return self.relieve();
        }
        let rows = container.into_body();
        let tables = &self.tables;
        match self.strategy {
            _ if partition.is_spilled => write(&mut self.overflow, &mut partition.disk.probe, &rows)?,
            JoinStrategy::Hash => look_up(&rows, |_| &partition.table, |row, group| pairs.meet(row, group))?,
            JoinStrategy::Broadcast => {
                let table = |hash| &*tables[scale(hash, tables.len())];
                look_up(&rows, table, |row, group| pairs.meet(row, group))?;
            }
        }
        spare.take_back(rows);
        Ok(())
    }

    /// Notes that all build records of this worker have come; false while those of others of its process are missing.
    pub(super) fn end_build(&mut self, index: usize) -> Result<bool, Error> {
        if self.is_built {
            return Ok(true);
        }
        match self.strategy {
            JoinStrategy::Hash => {
                for partition in self.partitions.iter_mut().filter(|partition| partition.is_spilled) {
                    self.overflow.write(|file| partition.disk.build.end(file))?;
                }
                self.is_built = true;
            }
            JoinStrategy::Broadcast => {
                let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
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
            match largest.filter(|_| self.strategy == JoinStrategy::Hash) {
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
    fn refuse_copies(&self) -> Result<(), Error> {
        let (bytes, workers) = (self.partitions[0].table.bytes(), self.context.workers());
        let most = self.context.process.memory.reducers_bytes();
        if bytes.saturating_mul(workers) <= most {
            return Ok(());
        }
        Err(Error::Data(format!(
            "the build side of a broadcast join does not fit in memory: {workers} parts of {} so far, where {} may be held; \
             use a hash join (query3 --join hash), which spills, or raise --memory",
            Bytes(bytes as u64),
            Bytes(most as u64),
        )))
    }

    fn spill(&mut self, index: usize) -> Result<(), Error> {
        let partition = &mut self.partitions[index];
        self.overflow.count_partition(!partition.is_spilled);
        partition.is_spilled = true;
        let (build, chunks) = (&mut partition.disk.build, partition.table.take_rows());
        let is_built = self.is_built;
        self.overflow.write(|file| {
            chunks.into_iter().try_for_each(|rows| build.write(&rows, file))?;
            if is_built { build.end(file) } else { Ok(()) }
        })
    }

    fn spill_early(&mut self) -> Result<(), Error> {
        for container in std::mem::take(&mut self.early) {
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

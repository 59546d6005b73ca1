//! Both sides of a join at one worker: the build side in partitions, some of them on disk, and what waits for them.
//!
//! A partition whose build records are in memory looks its probe records up as they come. One that was spilled, before
//! or after probe records came, keeps those that come from then on beside its build records on disk, and both are
//! joined at the end. So each probe record meets its group once, whenever the partition was spilled.

use std::hash::Hash;
use std::rc::Rc;

use timely::ExchangeData;

use super::JoinStrategy;
use super::spilled::{OnDisk, Pairs, Spilled};
use super::table::Table;
use crate::Error;
use crate::exchange::{RoutedSerde, Spare};
use crate::memory::{Sequence, held_bytes};
use crate::operators::context::WorkerContext;
use crate::operators::overflow::Overflow;
use crate::operators::partitions::unknown_partition;
use crate::operators::router::reuse;
use crate::units::Bytes;

/// Spilling less than this at once is not worth a partition, unless a quarter of what it could have is less.
const MOST_WORTHWHILE_BYTES: usize = 1 << 20;

/// What a worker holds of a join.
pub(super) struct Sides<K, P, B> {
    partitions: Vec<Partition<K, P, B>>,
    /// Probe records that came before the build side was whole.
    early: Vec<RoutedSerde<(K, P)>>,
    early_bytes: usize,
    is_built: bool,
    strategy: JoinStrategy,
    duplicates: bool,
    overflow: Overflow,
    context: Rc<WorkerContext>,
    /// Once all has come: what is joined from disk.
    spilled: Option<Spilled<K, P, B>>,
}

/// Some keys of both sides.
struct Partition<K, P, B> {
    table: Table<K, B>,
    disk: OnDisk<K, P, B>,
    is_spilled: bool,
}

impl<K, P, B> Sides<K, P, B>
where
    K: ExchangeData + Hash + Eq + Clone,
    P: ExchangeData + Clone,
    B: ExchangeData,
{
    /// `duplicates` says whether all build records of a key are kept, or merely one.
    pub(super) fn new(
        strategy: JoinStrategy,
        partitions: usize,
        duplicates: bool,
        context: Rc<WorkerContext>,
    ) -> Self {
        let overflow = Overflow::new(Rc::clone(&context));
        let block_bytes = overflow.seat.share_bytes() / 4 / partitions;
        let empty = |_| Partition {
            table: Table::new(duplicates),
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
            overflow,
            context,
            spilled: None,
        }
    }

    /// Takes build records in.
    pub(super) fn take_build(
        &mut self,
        container: RoutedSerde<(K, B)>,
        spare: &Spare<(K, B)>,
    ) -> Result<(), Error> {
        let partition = at(&mut self.partitions, container.partition)?;
        let mut records = container.into_body().into_records();
        if partition.is_spilled {
            write(&mut self.overflow, &mut partition.disk.build, &records)?;
        } else {
            records.drain(..).for_each(|(key, record)| partition.table.insert(key, record));
        }
        records.clear();
        reuse(records, spare);
        self.relieve()
    }

    /// Takes probe records in, and lets them meet their groups if these are there and whole.
    pub(super) fn take_probe(
        &mut self,
        container: RoutedSerde<(K, P)>,
        spare: &Spare<(K, P)>,
        pairs: &mut impl Pairs<K, P, B>,
    ) -> Result<(), Error> {
        let partition = at(&mut self.partitions, container.partition)?;
        if !self.is_built {
            self.early_bytes += held_bytes(container.records());
            self.early.push(container);
            return self.relieve();
        }
        let mut records = container.into_body().into_records();
        if partition.is_spilled {
            write(&mut self.overflow, &mut partition.disk.probe, &records)?;
        } else {
            for record in records.drain(..) {
                let group = partition.table.get(&record.0);
                pairs.meet(record, group);
            }
        }
        records.clear();
        reuse(records, spare);
        Ok(())
    }

    /// Notes that the build side is whole.
    pub(super) fn end_build(&mut self) -> Result<(), Error> {
        if !std::mem::replace(&mut self.is_built, true) {
            for partition in self.partitions.iter_mut().filter(|partition| partition.is_spilled) {
                self.overflow.write(|file| partition.disk.build.end(file))?;
            }
        }
        Ok(())
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
        self.overflow.seat.hold(tables + blocks + self.early_bytes);
    }

    /// A broadcast build side is whole at every worker, so spilling it would take as much disk as there are workers,
    /// and each probe record as much time as with a hash join.
    fn refuse_copies(&self) -> Result<(), Error> {
        let (bytes, workers) = (self.partitions[0].table.bytes(), self.context.workers());
        let most = self.context.process.memory.reducers_bytes();
        if bytes.saturating_mul(workers) <= most {
            return Ok(());
        }
        Err(Error::Data(format!(
            "the build side of a broadcast join does not fit in memory: {workers} copies of {} so far, where {} may be held; \
             use a hash join (query3 --join hash), which spills, or raise --memory",
            Bytes(bytes as u64),
            Bytes(most as u64),
        )))
    }

    fn spill(&mut self, index: usize) -> Result<(), Error> {
        let partition = &mut self.partitions[index];
        self.overflow.count_partition(!partition.is_spilled);
        partition.is_spilled = true;
        let (build, records) = (&mut partition.disk.build, partition.table.take_records());
        let is_built = self.is_built;
        self.overflow.write(|file| {
            records.into_iter().try_for_each(|record| build.write(&record, file))?;
            if is_built { build.end(file) } else { Ok(()) }
        })
    }

    fn spill_early(&mut self) -> Result<(), Error> {
        for container in std::mem::take(&mut self.early) {
            let partition = at(&mut self.partitions, container.partition)?;
            write(&mut self.overflow, &mut partition.disk.probe, container.records())?;
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
    pub(super) fn turn(&mut self, over: bool, pairs: &mut impl Pairs<K, P, B>) -> Result<bool, Error> {
        while let Some(container) = self.early.pop() {
            self.early_bytes -= held_bytes(container.records());
            self.take_probe(container, &Spare::default(), pairs)?;
            if !pairs.look() {
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
        let spilled = self.spilled.insert(Spilled::new(self.duplicates));
        // The last goes first. Those that are whole do: each gives back memory for those that are not.
        self.partitions.sort_by_key(|partition| !partition.is_spilled);
        for Partition { table, disk, is_spilled } in self.partitions.drain(..) {
            spilled.add(disk, (!is_spilled).then_some(table), overflow)?;
        }
        spilled.turn(overflow, pairs)
    }
}

/// The partition of a container, which comes from the network.
fn at<K, P, B>(partitions: &mut [Partition<K, P, B>], index: u32) -> Result<&mut Partition<K, P, B>, Error> {
    let count = partitions.len();
    partitions.get_mut(index as usize).ok_or_else(|| unknown_partition(index, count))
}

fn write<R: ExchangeData>(
    overflow: &mut Overflow,
    sequence: &mut Sequence<R>,
    records: &[R],
) -> Result<(), Error> {
    overflow.write(|file| records.iter().try_for_each(|record| sequence.write(record, file)))
}

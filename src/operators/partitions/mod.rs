//! All partitions of a reducer: who spills when the budget is exceeded, and how each is finished at the end.
//!
//! A partition that has spilled goes on doing so first: then those that have not stay whole, and what repeats in them
//! never sees a disk. At the end they are given out before the others, one a turn. A partition that has spilled reads
//! its run back; if its groups turn out to be too many for memory, it is divided by a further hash into partitions of
//! their own, which may spill in turn.

mod level;
mod unfinished;

use std::rc::Rc;

use bytemuck::Pod;

use self::level::Level;
use self::unfinished::Unfinished;
use super::context::{WorkerContext, add};
use super::partition::Shelf;
use super::table::GroupTable;
use crate::Error;
use crate::exchange::Routed;
use crate::keys::{Key, Pair};

/// Blocks merged in one turn: some 8 MiB, so that a failure elsewhere is noticed soon.
const BLOCKS_A_TURN: usize = 32;

/// The partitions of one reducer of one worker.
#[derive(Debug)]
pub(super) struct Partitions<K: Key, V: Pod> {
    /// First those that records are routed to, and behind them the parts of the one that is being finished, and so on.
    levels: Vec<Level<K, V>>,
    unfinished: Option<Unfinished<K, V>>,
    shelf: Shelf<K, V>,
    block: Vec<Pair<K, V>>,
}

impl<K: Key, V: Pod + Send> Partitions<K, V> {
    pub(super) fn new(count: usize, shelf: Shelf<K, V>, context: Rc<WorkerContext>) -> Self {
        let level = Level::new(count, 0, &shelf, context);
        Partitions { levels: vec![level], unfinished: None, shelf, block: Vec::new() }
    }

    /// Takes a container in; its partition must be one of these.
    pub(super) fn take(
        &mut self,
        container: Routed<Pair<K, V>>,
        merge: &impl Fn(&mut V, V),
    ) -> Result<(), Error> {
        let Some(level) = self.levels.first_mut() else { return Ok(()) };
        let shelf = &mut self.shelf;
        if shelf.is_short {
            level.take(container.into_owned(|| shelf.buffers.take()), merge, shelf)?;
        } else {
            level.take(container, merge, shelf)?;
            if shelf.seat.is_half_full() {
                level.partitions.iter_mut().for_each(|partition| partition.own_waiting(shelf));
                shelf.is_short = true;
            }
        }
        Ok(())
    }

    /// Gives back what is too much: also for a reducer that nothing comes to, while others need memory.
    pub(super) fn relieve(&mut self, merge: &impl Fn(&mut V, V)) -> Result<(), Error> {
        self.levels.last_mut().map_or(Ok(()), |level| level.relieve(merge, &mut self.shelf))
    }

    /// When all input has been seen: goes on with one partition, and hands over its groups once they are complete.
    /// False when all have been given.
    pub(super) fn turn(
        &mut self,
        merge: &impl Fn(&mut V, V),
        give: impl FnOnce(&GroupTable<K, V>),
    ) -> Result<bool, Error> {
        let depth = self.levels.len();
        let Some(level) = self.levels.last_mut() else { return Ok(false) };
        let shelf = &mut self.shelf;
        let Some(mut unfinished) = self.unfinished.take().or_else(|| level.next(depth, merge, shelf)) else {
            self.levels.pop();
            return Ok(!self.levels.is_empty());
        };
        for _ in 0..BLOCKS_A_TURN {
            if unfinished.next_block == unfinished.partition.run.blocks() {
                break;
            }
            level.file.read(&unfinished.partition.run, unfinished.next_block, &mut self.block)?;
            unfinished.merge(&self.block, merge, shelf, depth, &level.context)?;
        }
        if unfinished.next_block < unfinished.partition.run.blocks() {
            self.unfinished = Some(unfinished);
        } else if let Some(parts) = unfinished.parts {
            let parts = parts.finish(merge, shelf)?;
            self.levels.push(parts);
        } else {
            let table = unfinished.partition.take_table(shelf);
            add(&level.context.counters.groups, table.len() as u64);
            add(&level.context.counters.group_bytes, table.allocated_bytes() as u64);
            give(&table);
            table.recycle(&shelf.buffers);
            shelf.account();
        }
        Ok(true)
    }
}

/// What is wrong with a container whose partition does not exist: from the network it may be any number.
pub(super) fn unknown_partition(partition: u32, partitions: usize) -> Error {
    Error::Malformed(format!("a peer sent records for partition {partition}; there are {partitions}"))
}

#[cfg(test)]
mod tests;

//! A partition that is read back, and divided if it is too large.

use std::rc::Rc;

use bytemuck::Pod;

use super::level::Level;
use crate::Error;
use crate::exchange::Routed;
use crate::keys::{Key, Pair, dividing_hash, scale};
use crate::operators::context::WorkerContext;
use crate::operators::partition::{Partition, Shelf};

/// A divided partition's parts have about so many records...
const RECORDS_OF_A_PART: u64 = 500_000;
/// ...but there are at most so many parts, whose buffers must fit in memory.
const MOST_PARTS: u64 = 64;
/// A partition is not divided more often than this: its keys would have to be equal in as many independent hashes.
const DEEPEST: usize = 8;

/// A partition whose run is being read back.
#[derive(Debug)]
pub(super) struct Unfinished<K: Key, V: Pod> {
    pub(super) partition: Partition<K, V>,
    pub(super) next_block: usize,
    pub(super) parts: Option<Parts<K, V>>,
}

/// The parts of a partition that turned out too large.
#[derive(Debug)]
pub(super) struct Parts<K: Key, V: Pod> {
    level: Level<K, V>,
    depth: usize,
    buffers: Vec<Vec<Pair<K, V>>>,
}

impl<K: Key, V: Pod + Send> Unfinished<K, V> {
    /// Takes in the next block of the run.
    pub(super) fn merge(
        &mut self,
        block: &[Pair<K, V>],
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
        depth: usize,
        context: &Rc<WorkerContext>,
    ) -> Result<(), Error> {
        let first = self.next_block == 0;
        self.next_block += 1;
        if let Some(parts) = &mut self.parts {
            return parts.take(block, merge, shelf);
        }
        let partition = &mut self.partition;
        // What it gives waits to be read, beside what the others hold.
        let most = shelf.seat.share_bytes() / 4;
        let more = block.len() * partition.new_percent() / 100;
        if depth < DEEPEST && partition.table.bytes_with(more) > most {
            let mut parts = Parts::new(partition, shelf, depth, most, Rc::clone(context));
            let table = partition.take_table(shelf);
            table.for_each_piece(|groups| parts.take(groups, merge, shelf))?;
            parts.take(block, merge, shelf)?;
            self.parts = Some(parts);
            return Ok(());
        }
        partition.merge_now(block, merge, shelf);
        if first {
            // If the others have as many new keys, the table need not grow again.
            let expected = partition.run.records() as usize * partition.new_percent() / 100;
            let others = expected.saturating_sub(partition.table.len());
            if partition.table.bytes_with(others) <= most {
                partition.reserve(others, shelf);
            }
        }
        shelf.account();
        Ok(())
    }
}

impl<K: Key, V: Pod + Send> Parts<K, V> {
    /// As many parts as make each fit in `most` bytes if no key repeats.
    fn new(
        partition: &Partition<K, V>,
        shelf: &Shelf<K, V>,
        depth: usize,
        most: usize,
        context: Rc<WorkerContext>,
    ) -> Self {
        let records = partition.run.records() + partition.table.len() as u64;
        let bytes = records * 2 * size_of::<Pair<K, V>>() as u64;
        let count = (bytes / most.max(1) as u64).max(records / RECORDS_OF_A_PART).clamp(4, MOST_PARTS);
        let buffers = (0..count).map(|_| shelf.buffers.take()).collect();
        Parts { level: Level::new(count as usize, 2 * depth, shelf, context), depth, buffers }
    }

    fn take(
        &mut self,
        records: &[Pair<K, V>],
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) -> Result<(), Error> {
        for &record in records {
            let part = scale(dividing_hash(record.key, self.depth), self.buffers.len());
            self.buffers[part].push(record);
            if self.buffers[part].len() == self.buffers[part].capacity() {
                let full = std::mem::replace(&mut self.buffers[part], shelf.buffers.take());
                self.level.take(Routed::new(0, part as u32, full), merge, shelf)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(
        mut self,
        merge: &impl Fn(&mut V, V),
        shelf: &mut Shelf<K, V>,
    ) -> Result<Level<K, V>, Error> {
        for (part, rest) in self.buffers.into_iter().enumerate() {
            if !rest.is_empty() {
                self.level.take(Routed::new(0, part as u32, rest), merge, shelf)?;
            }
        }
        Ok(self.level)
    }
}

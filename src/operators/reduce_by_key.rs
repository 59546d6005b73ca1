//! `reduce_by_key`: one value per key, merged over all workers.
//!
//! ```text
//!  (key, value) ─► combiner ─► buffers, one per partition ─► exchange ─► unary_notify: a table per partition ─► (key, value)
//!                  while it    of each worker                whole        updated in batches; given, table by
//!                  pays                                      containers   table, when all input has been seen
//! ```
//!
//! Cost: every record leaves its worker once unless it was merged before: by the combiner, or, where it goes to another
//! process and keys repeat enough, in tables of the sender's; a record is `size_of` key plus value
//! on the wire, without padding. Memory: the groups (1.25 to 1.6 slots each), records that
//! wait to be merged (as many as there are groups, or up to sixteen times as many while nearly every record makes a
//! new group, and four times once they take 64 MiB of a worker), and what is in flight.

use std::rc::Rc;

use bytemuck::Pod;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Probe;

use super::context::{END, Round, WorkerContext, add};
use super::notify::UnaryNotify;
use super::partition::{Partition, Shelf};
use super::router::{Exit, PlainSender, route};
use crate::Error;
use crate::exchange::{Spare, routed};
use crate::keys::Key;

/// Partitions of each worker, so that the tables being updated stay in its nearest caches.
const MOST_PARTITIONS: usize = 128;
/// Buffers of a router; with many workers each has fewer partitions, so that routing to all of them stays cheap.
const MOST_BUFFERS: usize = 2048;

/// Keyed aggregation.
pub trait ReduceByKey<'scope, K: Key, V: Pod> {
    /// Merges all values of a key into one, with `merge` in any order and grouping: it must be associative and
    /// commutative. Each key comes out once, on the worker that owns it, after all input has been seen.
    ///
    /// ```
    /// use millrace::operators::ReduceByKey;
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     (0..10u64)
    ///         .map(|number| (number % 3, 1u64))
    ///         .to_stream(scope)
    ///         .reduce_by_key(|count, more| *count += more)
    ///         .inspect(|&(key, count)| assert_eq!(count, if key == 0 { 4 } else { 3 }));
    /// });
    /// ```
    fn reduce_by_key(self, merge: impl Fn(&mut V, V) + Clone + 'static) -> StreamVec<'scope, Round, (K, V)>;
}

impl<'scope, K: Key, V: Pod + Send> ReduceByKey<'scope, K, V> for StreamVec<'scope, Round, (K, V)> {
    fn reduce_by_key(self, merge: impl Fn(&mut V, V) + Clone + 'static) -> StreamVec<'scope, Round, (K, V)> {
        let context = WorkerContext::current();
        let probe = context.flow_probe();
        let spare = Spare::default();
        let peers = self.scope().peers();
        let per_worker = (MOST_BUFFERS / peers).clamp(1, MOST_PARTITIONS);
        let exit = Exit::new(self.scope().index(), Rc::clone(&context));
        let sender = PlainSender::new(peers, per_worker, Rc::clone(&spare), exit, merge.clone());
        let routed_stream = route(self, sender);

        let mut partitions: Vec<Partition<K, V>> = (0..per_worker).map(|_| Partition::default()).collect();
        let (mut given, mut shelf) = (0, Shelf::new(spare));
        routed_stream
            .unary_notify::<CapacityContainerBuilder<Vec<(K, V)>>, _, _>(
                routed(),
                "Reduce",
                [END],
                move |input, output, notificator| {
                    input.for_each(|_, container| {
                        // A partition from the network may be any number.
                        if let Some(partition) = partitions.get_mut(container.partition as usize) {
                            partition.take(std::mem::take(container), &merge, &mut shelf);
                        } else {
                            context.process.failure.set(unknown_partition(container.partition, per_worker));
                        }
                    });
                    let Some(end) = notificator.next() else { return };
                    // One partition a turn: what reads the groups takes them away before more come.
                    if let Some(partition) = partitions.get_mut(given) {
                        partition.merge_waiting(&merge, &mut shelf);
                        add(&context.counters.groups, partition.table.len() as u64);
                        add(&context.counters.group_bytes, partition.table.allocated_bytes() as u64);
                        output.session(&end).give_iterator(partition.table.groups());
                        partition.table.clear(&mut shelf.slots);
                        given += 1;
                        notificator.notify_at(end);
                    }
                },
            )
            .probe_with(&probe)
    }
}

pub(super) fn unknown_partition(partition: u32, partitions: usize) -> Error {
    Error::Cluster(format!("a peer sent records for partition {partition}; there are {partitions}"))
}

//! `reduce_by_key`: one value per key, merged over all workers.
//!
//! ```text
//!  (key, value) ─► combiner ─► buffers, one per partition ─► exchange ─► unary_notify: a table per partition ─► (key, value)
//!                  while it    of each worker                whole        updated in batches; given, table by
//!                  pays                                      containers   table, when all input has been seen
//! ```
//!
//! Cost: every record leaves its worker once unless the combiner merged it; a record is `size_of` key plus value
//! on the wire, without padding. Memory: the groups (1.25 to 1.6 slots each), records that
//! wait to be merged (as many as there are groups, or up to sixteen times as many while nearly every record makes a
//! new group, and four times once they take 64 MiB of a worker), and what is in flight.

use std::cell::RefCell;
use std::rc::Rc;

use bytemuck::Pod;
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Capability, Operator, Probe};
use timely::dataflow::{Stream, StreamVec};

use super::combiner::Combiner;
use super::context::{END, Round, WorkerContext, add};
use super::notify::UnaryNotify;
use super::partition::{Partition, Shelf, Spare};
use crate::Error;
use crate::exchange::{Routed, routed};
use crate::keys::{Key, Pair, route_hash, scale};

/// Partitions of each worker, so that the tables being updated stay in its nearest caches.
const MOST_PARTITIONS: usize = 128;
/// Buffers of a router; with many workers each has fewer partitions, so that routing to all of them stays cheap.
const MOST_BUFFERS: usize = 2048;
/// Records of one container.
pub(super) const CONTAINER_RECORDS: usize = 512;

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
        let spare = Rc::new(RefCell::new(Vec::new()));
        let peers = self.scope().peers();
        let per_worker = (MOST_BUFFERS / peers).clamp(1, MOST_PARTITIONS);
        let router = Router {
            buffers: vec![Vec::new(); peers * per_worker],
            per_worker,
            own_index: self.scope().index(),
            spare: Rc::clone(&spare),
            context: Rc::clone(&context),
        };
        let routed_stream = route(self, router, merge.clone());

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

fn unknown_partition(partition: u32, partitions: usize) -> Error {
    Error::Cluster(format!("a peer sent records for partition {partition}; there are {partitions}"))
}

/// Sorts records into containers, combining on the way.
fn route<K: Key, V: Pod + Send>(
    records: StreamVec<'_, Round, (K, V)>,
    mut router: Router<Pair<K, V>>,
    merge: impl Fn(&mut V, V) + 'static,
) -> Stream<'_, Round, Routed<Pair<K, V>>> {
    records.unary_frontier::<NoopBuilder<_>, _, _, _>(Pipeline, "Route", |_, _| {
        let mut combiner = Combiner::default();
        let mut held: Option<Capability<Round>> = None;
        move |(input, frontier), output| {
            input.for_each(|capability, batch| {
                let later = held.as_ref().is_none_or(|held| capability.least() > Some(held.time()));
                if later {
                    held = capability.retain_least(0);
                }
                let Some(held) = &held else { return };
                let mut session = output.session_with_builder(held);
                combiner.combine(batch, &merge, |key, value| {
                    router.push(route_hash(key), Pair { key, value }, |container| {
                        session.give_container(container);
                    });
                });
                batch.clear();
            });
            let Some(capability) = &mut held else { return };
            if let Some(&oldest) = frontier.frontier().first() {
                // Records that wait here belong to any later round as well: do not hold up the scans for them.
                if oldest > *capability.time() {
                    capability.downgrade(&oldest);
                }
                return;
            }
            let mut session = output.session_with_builder(capability);
            combiner.flush(|key, value| {
                router.push(route_hash(key), Pair { key, value }, |container| {
                    session.give_container(container);
                });
            });
            router.flush(|container| session.give_container(container));
            drop(session);
            held = None;
        }
    })
}

/// One buffer for each partition of each worker.
struct Router<R> {
    buffers: Vec<Vec<R>>,
    /// Partitions of each worker.
    per_worker: usize,
    own_index: usize,
    spare: Spare<R>,
    context: Rc<WorkerContext>,
}

impl<R: Pod> Router<R> {
    #[inline]
    fn push(&mut self, hash: u64, record: R, give: impl FnMut(&mut Routed<R>)) {
        let target = scale(hash, self.buffers.len());
        let buffer = &mut self.buffers[target];
        if buffer.len() == buffer.capacity() {
            self.ship(target, give);
        }
        self.buffers[target].push(record);
    }

    /// Sends what a buffer holds and leaves an empty one of full capacity.
    #[cold]
    fn ship(&mut self, target: usize, mut give: impl FnMut(&mut Routed<R>)) {
        let fresh = self.spare.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(CONTAINER_RECORDS));
        let full = std::mem::replace(&mut self.buffers[target], fresh);
        if full.is_empty() {
            return;
        }
        let worker = target / self.per_worker;
        if worker != self.own_index {
            add(&self.context.counters.exchanged_bytes, size_of_val(&full[..]) as u64);
        }
        give(&mut Routed::new(worker as u32, (target % self.per_worker) as u32, full));
    }

    fn flush(&mut self, mut give: impl FnMut(&mut Routed<R>)) {
        for target in 0..self.buffers.len() {
            self.ship(target, &mut give);
        }
        self.buffers.clear();
    }
}

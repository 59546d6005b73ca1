//! `reduce_by_key`: one value per key, merged over all workers.
//!
//! ```text
//!  (key, value) ─► combiner ─► buffers, one per partition ─► exchange ─► unary_notify: a table per partition ─► (key, value)
//!                  while it    of each worker                whole        updated in batches; given, table by
//!                  pays                                      containers   table, when all input has been seen
//! ```

use std::rc::Rc;

use bytemuck::Pod;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::Probe;
use timely::dataflow::{Scope, Stream, StreamVec};

use super::context::{END, Round, WorkerContext};
use super::notify::UnaryNotify;
use super::partition::Shelf;
use super::partitions::Partitions;
use super::router::{Exit, PlainSender, container_records, route};
use crate::exchange::{Routed, Spare, routed};
use crate::keys::{Key, Pair};

/// Partitions of each worker, so that the tables being updated stay in its nearest caches.
const MOST_PARTITIONS: usize = 128;
/// Buffers of a router; with many workers each has fewer partitions, so that routing to all of them stays cheap.
const MOST_BUFFERS: usize = 2048;

/// Keyed aggregation.
pub trait ReduceByKey<'scope, K: Key, V: Pod> {
    /// Merges all values of a key into one, with `merge` in any order and grouping: it must be associative and
    /// commutative. Each key comes out once, on the worker that owns it, after all input has been seen.
    ///
    /// Cost: every record leaves its worker once unless it was merged before: by the combiner, or, where it goes to another
    /// process and keys repeat enough, in tables of the sender's; a record is `size_of` key plus value on the wire, without
    /// padding. Memory: the groups (1.25 to 1.6 slots each, made of the buffers that records came in), records that wait to be merged (as many as there are groups, or up
    /// to sixteen times as many while nearly every record makes a new group, and four times once they take 64 MiB of a worker),
    /// and what is in flight. What exceeds `--memory` is spilled, partition by partition, read back once in the end, and written
    /// once more for each time a partition must be divided.
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
        let reducer = Reducer::new(self.scope(), merge);
        reducer.reduce(route(self, reducer.sender()), |group| group)
    }
}

/// Both ends of the exchange of a reducer that is being built.
pub(super) struct Reducer<'scope, K: Key, V: Pod, M> {
    scope: Scope<'scope, Round>,
    context: Rc<WorkerContext>,
    /// Partitions of each worker, and records of a container.
    per_worker: usize,
    records: usize,
    router_bytes: usize,
    spare: Spare<Pair<K, V>>,
    merge: M,
}

impl<'scope, K: Key, V: Pod + Send, M: Fn(&mut V, V) + Clone + 'static> Reducer<'scope, K, V, M> {
    pub(super) fn new(scope: Scope<'scope, Round>, merge: M) -> Self {
        let context = WorkerContext::current();
        let per_worker = (MOST_BUFFERS / scope.peers()).clamp(1, MOST_PARTITIONS);
        let router_bytes = context.process.memory.router_bytes() / context.workers();
        let records = container_records(router_bytes, size_of::<Pair<K, V>>(), scope.peers() * per_worker);
        Reducer { scope, context, per_worker, records, router_bytes, spare: Spare::default(), merge }
    }

    /// The end that records leave by.
    pub(super) fn sender(&self) -> PlainSender<K, V, M> {
        let (peers, spare) = (self.scope.peers(), Rc::clone(&self.spare));
        let exit = Exit::new(self.scope.index(), Rc::clone(&self.context));
        PlainSender::new(peers, self.per_worker, self.records, spare, exit, self.merge.clone())
    }

    /// The end where they are merged: gives what `finish` makes of each group.
    pub(super) fn reduce<O: 'static>(
        &self,
        records: Stream<'scope, Round, Routed<Pair<K, V>>>,
        finish: impl Fn((K, V)) -> O + 'static,
    ) -> StreamVec<'scope, Round, O> {
        let (context, merge) = (Rc::clone(&self.context), self.merge.clone());
        let probe = context.flow_probe();
        let spare = Rc::clone(&self.spare);
        let shelf = Shelf::new(spare, self.records, self.router_bytes / 4, context.process.memory.seat());
        let mut partitions = Partitions::new(self.per_worker, shelf, Rc::clone(&context));
        records
            .unary_notify::<CapacityContainerBuilder<Vec<O>>, _, _>(
                routed(),
                "Reduce",
                [END],
                move |input, output, notificator| {
                    let failure = &context.process.failure;
                    input.for_each(|_, container| {
                        // What comes after a failure is of no use to anyone.
                        if !failure.is_set()
                            && let Err(error) = partitions.take(std::mem::take(container), &merge)
                        {
                            failure.set(error);
                        }
                    });
                    let Some(end) = notificator.next() else {
                        // Also when nothing came: other reducers may need the memory.
                        return partitions.relieve(&merge).unwrap_or_else(|error| failure.set(error));
                    };
                    // One partition a turn: what reads the groups takes them away before more come.
                    match partitions.turn(&merge, |groups| {
                        output.session(&end).give_iterator(groups.groups().map(&finish));
                    }) {
                        Ok(true) => notificator.notify_at(end),
                        Ok(false) => {}
                        Err(error) => failure.set(error),
                    }
                },
            )
            .probe_with(&probe)
    }
}

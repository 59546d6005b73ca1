//! The sending side of `reduce_by_key`: sorts records into containers, one buffer for each partition of each worker.

use std::rc::Rc;

use bytemuck::Pod;
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Capability, Operator};
use timely::dataflow::{Stream, StreamVec};

use super::combiner::Combiner;
use super::context::{Round, WorkerContext, add};
use super::partial::{MOST_BYTES, PartialAggregate, Verdict};
use super::partition::Spare;
use crate::exchange::Routed;
use crate::keys::{Key, Pair, route_hash, scale};

/// Records of one container, unless memory is short.
pub(super) const CONTAINER_RECORDS: usize = 512;

/// Sorts records into containers, merging on the way what repeats.
pub(super) fn route<K: Key, V: Pod + Send>(
    records: StreamVec<'_, Round, (K, V)>,
    mut router: Router<K, V>,
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
                    router.push(key, value, &merge, |container| session.give_container(container));
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
                router.push(key, value, &merge, |container| session.give_container(container));
            });
            router.flush(&merge, |container| session.give_container(container));
            drop(session);
            held = None;
        }
    })
}

/// One buffer for each partition of each worker.
pub(super) struct Router<K: Key, V: Pod> {
    buffers: Vec<Vec<Pair<K, V>>>,
    /// Partitions of each worker.
    per_worker: usize,
    /// Records of one container.
    container_records: usize,
    own_index: usize,
    /// What goes to other processes, while merging it here pays.
    partial: Option<PartialAggregate<K, V>>,
    spare: Spare<Pair<K, V>>,
    context: Rc<WorkerContext>,
}

impl<K: Key, V: Pod + Send> Router<K, V> {
    /// A router of worker `own_index` to `per_worker` partitions of each of `peers` workers.
    pub(super) fn new(
        peers: usize,
        per_worker: usize,
        container_records: usize,
        own_index: usize,
        spare: Spare<Pair<K, V>>,
        context: Rc<WorkerContext>,
    ) -> Self {
        let targets = peers * per_worker;
        let one_process = context.process_of(peers - 1) == 0;
        let most_bytes = MOST_BYTES.min(context.process.memory.router_bytes() / context.workers() / 2);
        let partial = (!one_process)
            .then(|| PartialAggregate::new(targets, most_bytes, container_records, Rc::clone(&spare)));
        let buffers = vec![Vec::new(); targets];
        Router { buffers, per_worker, container_records, own_index, partial, spare, context }
    }

    #[inline]
    fn push(
        &mut self,
        key: K,
        value: V,
        merge: &impl Fn(&mut V, V),
        give: impl FnMut(&mut Routed<Pair<K, V>>),
    ) {
        let target = scale(route_hash(key), self.buffers.len());
        let buffer = &mut self.buffers[target];
        if buffer.len() == buffer.capacity() {
            self.pass_on(target, merge, give);
        }
        self.buffers[target].push(Pair { key, value });
    }

    /// Empties a full buffer: into the tables of what goes to other processes, or on its way.
    #[cold]
    fn pass_on(
        &mut self,
        target: usize,
        merge: &impl Fn(&mut V, V),
        mut give: impl FnMut(&mut Routed<Pair<K, V>>),
    ) {
        let Some(mut container) = self.take(target) else { return };
        let leaves = self.context.process_of(self.worker(target)) != self.context.process_of(self.own_index);
        let Some(partial) = self.partial.as_mut().filter(|_| leaves) else {
            return self.send(&mut container, give);
        };
        match partial.take(target, container, merge) {
            Verdict::Keep => {}
            Verdict::Drain => self.drain_partial(merge, give),
            Verdict::Stop => {
                self.drain_partial(merge, &mut give);
                self.partial = None;
            }
        }
    }

    /// Sends the groups held for other processes.
    fn drain_partial(&mut self, merge: &impl Fn(&mut V, V), mut give: impl FnMut(&mut Routed<Pair<K, V>>)) {
        let Some(mut partial) = self.partial.take() else { return };
        partial.drain(merge, |target, group| {
            let buffer = &mut self.buffers[target];
            if buffer.len() == buffer.capacity()
                && let Some(mut full) = self.take(target)
            {
                self.send(&mut full, &mut give);
            }
            self.buffers[target].push(group);
        });
        self.partial = Some(partial);
    }

    /// The container of what a buffer holds, if anything; leaves an empty buffer of full capacity.
    fn take(&mut self, target: usize) -> Option<Routed<Pair<K, V>>> {
        let fresh =
            self.spare.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(self.container_records));
        let full = std::mem::replace(&mut self.buffers[target], fresh);
        let partition = target % self.per_worker;
        (!full.is_empty()).then(|| Routed::new(self.worker(target) as u32, partition as u32, full))
    }

    fn send(&self, container: &mut Routed<Pair<K, V>>, mut give: impl FnMut(&mut Routed<Pair<K, V>>)) {
        if container.worker as usize != self.own_index {
            add(&self.context.counters.exchanged_bytes, size_of_val(container.records()) as u64);
        }
        give(container);
    }

    fn worker(&self, target: usize) -> usize {
        target / self.per_worker
    }

    fn flush(&mut self, merge: &impl Fn(&mut V, V), mut give: impl FnMut(&mut Routed<Pair<K, V>>)) {
        for target in 0..self.buffers.len() {
            self.pass_on(target, merge, &mut give);
        }
        self.drain_partial(merge, &mut give);
        for target in 0..self.buffers.len() {
            if let Some(mut container) = self.take(target) {
                self.send(&mut container, &mut give);
            }
        }
        self.buffers.clear();
        self.partial = None;
    }
}

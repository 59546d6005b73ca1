//! The sending side of `reduce_by_key`: sorts records into containers, one buffer for each partition of each worker.

use std::rc::Rc;

use bytemuck::Pod;
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Capability, Operator};
use timely::dataflow::{Stream, StreamVec};

use super::combiner::Combiner;
use super::context::{Round, WorkerContext, add};
use super::partition::Spare;
use crate::exchange::Routed;
use crate::keys::{Key, Pair, route_hash, scale};

/// Records of one container.
pub(super) const CONTAINER_RECORDS: usize = 512;

/// Sorts records into containers, combining on the way.
pub(super) fn route<K: Key, V: Pod + Send>(
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
pub(super) struct Router<R> {
    buffers: Vec<Vec<R>>,
    /// Partitions of each worker.
    per_worker: usize,
    own_index: usize,
    spare: Spare<R>,
    context: Rc<WorkerContext>,
}

impl<R: Pod> Router<R> {
    /// A router of worker `own_index` to `per_worker` partitions of each of `peers` workers.
    pub(super) fn new(
        peers: usize,
        per_worker: usize,
        own_index: usize,
        spare: Spare<R>,
        context: Rc<WorkerContext>,
    ) -> Self {
        Router { buffers: vec![Vec::new(); peers * per_worker], per_worker, own_index, spare, context }
    }

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

//! The sending side of the reducers: merges what repeats and sorts records into containers.

use std::rc::Rc;

use bytemuck::Pod;
use timely::ExchangeData;
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Capability, InputCapability, Operator};
use timely::dataflow::{Stream, StreamVec};
use timely::progress::frontier::MutableAntichain;

use super::combiner::Combiner;
use super::context::{Round, Sent, WorkerContext, add};
use super::partial::{MOST_BYTES, PartialAggregate, Verdict};
use crate::Error;
use crate::exchange::{Addressed, Body, CONTAINER_RECORDS, Full, Plain, Routed, RoutedSerde, Router, Spare};
use crate::keys::{Key, Pair, route_hash};

/// A container has so many records at least, however small the budget.
const LEAST_CONTAINER_RECORDS: usize = 16;

/// What happens to records before the exchange.
pub(super) trait Sender<K, V, B> {
    /// Takes records, and gives the containers that are to leave.
    fn take(&mut self, records: &mut Vec<(K, V)>, give: impl FnMut(&mut Addressed<B>));

    /// Gives all that is held.
    fn flush(&mut self, give: impl FnMut(&mut Addressed<B>));
}

/// Makes containers of records.
pub(super) fn route<K: 'static, V: 'static, B: Body>(
    records: StreamVec<'_, Round, (K, V)>,
    mut sender: impl Sender<K, V, B> + 'static,
) -> Stream<'_, Round, Addressed<B>> {
    records.unary_frontier::<NoopBuilder<_>, _, _, _>(Pipeline, NAME, |_, _| {
        let mut held = Held::default();
        move |(input, frontier), output| {
            input.for_each(|capability, batch| {
                let Some(held) = held.with(&capability) else { return };
                let mut session = output.session_with_builder(held);
                sender.take(batch, |container| session.give_container(container));
                batch.clear();
            });
            if let Some(last) = held.at_end(frontier) {
                let mut session = output.session_with_builder(&last);
                sender.flush(|container| session.give_container(container));
            }
        }
    })
}

/// Makes containers of what `choose` makes of records, and passes on those of which it makes nothing.
pub(super) fn route_some<R: 'static, K: 'static, V: 'static, B: Body>(
    records: StreamVec<'_, Round, R>,
    choose: impl Fn(&R) -> Option<(K, V)> + 'static,
    mut sender: impl Sender<K, V, B> + 'static,
) -> (Stream<'_, Round, Addressed<B>>, StreamVec<'_, Round, R>) {
    let mut builder = OperatorBuilder::new(NAME.to_owned(), records.scope());
    let mut input = builder.new_input(records, Pipeline);
    let (chosen_output, chosen) = builder.new_output();
    let (rest_output, rest) = builder.new_output();
    let mut chosen_output = OutputBuilder::<_, NoopBuilder<_>>::from(chosen_output);
    let mut rest_output = OutputBuilder::<_, CapacityContainerBuilder<Vec<R>>>::from(rest_output);
    builder.build(|_| {
        let (mut held, mut pairs) = (Held::default(), Vec::new());
        move |frontiers| {
            let (mut output, mut rest) = (chosen_output.activate(), rest_output.activate());
            input.for_each(|capability, batch| {
                let mut rest = rest.session(&capability);
                // Looked at where they are: to move them costs more.
                batch.retain(|record| {
                    let chosen = choose(record);
                    let is_rest = chosen.is_none();
                    pairs.extend(chosen);
                    is_rest
                });
                rest.give_iterator(batch.drain(..));
                let Some(held) = held.with(&capability) else { return };
                let mut session = output.session_with_builder(held);
                sender.take(&mut pairs, |container| session.give_container(container));
                pairs.clear();
            });
            if let Some(last) = held.at_end(&frontiers[0]) {
                let mut session = output.session_with_builder(&last);
                sender.flush(|container| session.give_container(container));
            }
        }
    });
    (chosen, rest)
}

/// What goes by this name in the report of a run.
const NAME: &str = "Route";

/// The right to send what waits in a sender.
#[derive(Default)]
struct Held(Option<Capability<Round>>);

impl Held {
    /// The same for what waits and what has come now.
    fn with(&mut self, capability: &InputCapability<Round>) -> Option<&Capability<Round>> {
        if self.0.as_ref().is_none_or(|held| capability.least() > Some(held.time())) {
            self.0 = capability.retain_least(0);
        }
        self.0.as_ref()
    }

    /// The right to send the last of it, once nothing can come.
    fn at_end(&mut self, frontier: &MutableAntichain<Round>) -> Option<Capability<Round>> {
        let Some(&oldest) = frontier.frontier().first() else { return self.0.take() };
        // Records that wait here belong to any later round as well: do not hold up the scans for them.
        if let Some(held) = &mut self.0
            && oldest > *held.time()
        {
            held.downgrade(&oldest);
        }
        None
    }
}

/// The way out of a worker.
pub(super) struct Exit {
    own_index: usize,
    context: Rc<WorkerContext>,
    sent: Rc<Sent>,
}

impl Exit {
    pub(super) fn new(own_index: usize, context: Rc<WorkerContext>) -> Self {
        let sent = context.next_sender();
        Exit { own_index, context, sent }
    }

    /// Gives a container, counts it if it goes to another worker, and takes back what is left of it.
    pub(super) fn send<B: Body>(
        &self,
        mut container: Addressed<B>,
        router: &Router<B::Record>,
        give: &mut impl FnMut(&mut Addressed<B>),
    ) {
        self.count(&container);
        give(&mut container);
        router.reuse(container);
    }

    /// Counts a container that is about to leave.
    pub(super) fn count<B: Body>(&self, container: &Addressed<B>) {
        let (worker, bytes) = (container.worker as usize, container.wire_bytes() as u64);
        self.sent.add(worker, bytes);
        if worker != self.own_index {
            add(&self.context.counters.exchanged_bytes, bytes);
        }
        if self.leaves(container.worker) {
            add(&self.context.counters.network_bytes, bytes);
        }
    }

    /// Notes a container that goes on within this worker: its bytes were counted where it came from.
    pub(super) fn pass(&self) {
        self.sent.add(self.own_index, 0);
    }

    /// Ends the job, since a record cannot travel.
    #[cold]
    pub(super) fn refuse(&self, reason: String) {
        self.context.process.failure.set(Error::Data(reason));
    }

    /// Makes a container of records of any kind and sends it; records that cannot travel end the job.
    #[cold]
    pub(super) fn send_encoded<R: ExchangeData>(
        &self,
        full: Full<R>,
        router: &Router<R>,
        give: &mut impl FnMut(&mut RoutedSerde<R>),
    ) {
        match RoutedSerde::new(full.worker, full.partition, full.records) {
            Ok(container) => self.send(container, router, give),
            Err(reason) => self.refuse(reason),
        }
    }

    /// Sends what has not filled a container.
    pub(super) fn send_rest<R: ExchangeData>(
        &self,
        router: &mut Router<R>,
        give: &mut impl FnMut(&mut RoutedSerde<R>),
    ) {
        for target in 0..router.targets() {
            if let Some(last) = router.take(target) {
                self.send_encoded(last, router, give);
            }
        }
    }

    /// Whether a worker is one of another process.
    pub(super) fn leaves(&self, worker: u32) -> bool {
        self.context.process_of(worker as usize) != self.context.process_of(self.own_index)
    }
}

/// Records of a container, a power of two: fewer where so many buffers would take too much memory.
pub(super) fn container_records(bytes: usize, record_bytes: usize, buffers: usize) -> usize {
    let most = (bytes / buffers / record_bytes.max(1)).clamp(LEAST_CONTAINER_RECORDS, CONTAINER_RECORDS);
    1 << most.ilog2()
}

/// Sends plain records: those of near repetitions as one, and groups in their place where they go to other processes.
pub(super) struct PlainSender<K: Key, V: Pod, M> {
    combiner: Combiner<K, V>,
    buffers: Buffers<K, V>,
    merge: M,
}

impl<K: Key, V: Pod + Send, M: Fn(&mut V, V)> PlainSender<K, V, M> {
    /// For `per_worker` partitions of each of `peers` workers.
    pub(super) fn new(
        peers: usize,
        per_worker: usize,
        container_records: usize,
        spare: Spare<Pair<K, V>>,
        exit: Exit,
        merge: M,
    ) -> Self {
        let several_processes = exit.leaves(0) || exit.leaves(peers as u32 - 1);
        let context = &exit.context;
        let most_bytes = MOST_BYTES.min(context.process.memory.router_bytes() / context.workers() / 2);
        let partial = several_processes.then(|| {
            PartialAggregate::new(peers * per_worker, most_bytes, container_records, Rc::clone(&spare))
        });
        let router = Router::new(peers, per_worker, container_records, spare);
        PlainSender { combiner: Combiner::default(), buffers: Buffers { router, partial, exit }, merge }
    }
}

impl<K: Key, V: Pod + Send, M: Fn(&mut V, V)> Sender<K, V, Plain<Pair<K, V>>> for PlainSender<K, V, M> {
    #[inline]
    fn take(&mut self, records: &mut Vec<(K, V)>, mut give: impl FnMut(&mut Routed<Pair<K, V>>)) {
        let PlainSender { combiner, buffers, merge } = self;
        combiner.combine(records, merge, |key, value| buffers.push(key, value, merge, &mut give));
    }

    fn flush(&mut self, mut give: impl FnMut(&mut Routed<Pair<K, V>>)) {
        let PlainSender { combiner, buffers, merge } = self;
        combiner.flush(|key, value| buffers.push(key, value, merge, &mut give));
        buffers.flush(merge, &mut give);
    }
}

/// One buffer for each partition of each worker, and groups for those of other processes while merging pays.
struct Buffers<K: Key, V: Pod> {
    router: Router<Pair<K, V>>,
    partial: Option<PartialAggregate<K, V>>,
    exit: Exit,
}

impl<K: Key, V: Pod + Send> Buffers<K, V> {
    #[inline]
    fn push(
        &mut self,
        key: K,
        value: V,
        merge: &impl Fn(&mut V, V),
        give: &mut impl FnMut(&mut Routed<Pair<K, V>>),
    ) {
        if let Some(full) = self.router.push(route_hash(key), Pair { key, value }) {
            self.pass_on(full, merge, give);
        }
    }

    /// Brings records on their way, or into the tables of what goes to other processes.
    #[cold]
    fn pass_on(
        &mut self,
        full: Full<Pair<K, V>>,
        merge: &impl Fn(&mut V, V),
        give: &mut impl FnMut(&mut Routed<Pair<K, V>>),
    ) {
        let (target, leaves) = (full.target, self.exit.leaves(full.worker));
        let Some(partial) = self.partial.as_mut().filter(|_| leaves) else { return self.send(full, give) };
        match partial.take(target, Routed::new(full.worker, full.partition, full.records), merge) {
            Verdict::Keep => {}
            Verdict::Drain => self.drain_partial(merge, give),
            Verdict::Stop => {
                self.drain_partial(merge, give);
                self.partial = None;
            }
        }
    }

    /// Sends the groups held for other processes.
    fn drain_partial(&mut self, merge: &impl Fn(&mut V, V), give: &mut impl FnMut(&mut Routed<Pair<K, V>>)) {
        let Some(mut partial) = self.partial.take() else { return };
        partial.drain(merge, |target, group| {
            if let Some(full) = self.router.push_to(target, group) {
                self.send(full, give);
            }
        });
        self.partial = Some(partial);
    }

    fn send(&self, full: Full<Pair<K, V>>, give: &mut impl FnMut(&mut Routed<Pair<K, V>>)) {
        let container = Routed::new(full.worker, full.partition, full.records);
        self.exit.send(container, &self.router, give);
    }

    fn flush(&mut self, merge: &impl Fn(&mut V, V), give: &mut impl FnMut(&mut Routed<Pair<K, V>>)) {
        for target in 0..self.router.targets() {
            if let Some(full) = self.router.take(target) {
                self.pass_on(full, merge, give);
            }
        }
        self.drain_partial(merge, give);
        self.partial = None;
        for target in 0..self.router.targets() {
            if let Some(full) = self.router.take(target) {
                self.send(full, give);
            }
        }
    }
}

//! `join`: each record of one side with the records of the other side that have its key.
//!
//! ```text
//!  build (key, b) ─► to the worker of the key, or to every worker ─► exchange ─┐
//!                                                                              ├─► Join: a HashMap, probed ─► what the closure makes
//!  probe (key, p) ─► to the worker of the key, or nowhere ───────── exchange ─┘
//! ```
//!
//! Keys are compared as they are, so a join is exact whatever their hashes are.
//!
//! Cost, by [`JoinStrategy`]: `Hash` sends every record of both sides once; `Broadcast` sends every record of the build
//! side to every worker and none of the probe side. Memory: the build side, at each worker its part of it or all of it;
//! it is not spilled, so it must fit. Probe records wait in memory only where they come before the build side is whole:
//! a scan that is built after the build side's scan does not start before that.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::{Capability, Operator, Probe};
use timely::dataflow::{Stream, StreamVec};

use super::context::{END, Round, WorkerContext};
use super::router::{Exit, Sender, reuse, route};
use crate::exchange::{CONTAINER_RECORDS, Encoded, RoutedSerde, Router, Spare, routed};
use crate::keys::{PlaceHasher, route_hash_of};

/// How the records of a join meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinStrategy {
    /// Records of both sides go to the worker that owns their key: for a build side of any size.
    Hash,
    /// Every worker has the whole build side, and probe records stay where they are: for a small build side.
    Broadcast,
}

/// Joins of a stream, the probe side, with another one, the build side, which is held in memory: let the smaller one be
/// the build side, and scan it first.
pub trait Join<'scope, K, P> {
    /// The inner join: `logic` is called for every pair of records with equal keys, and returns any number of records.
    ///
    /// ```
    /// use millrace::operators::{Join, JoinStrategy};
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     let ranks = [("mill", 7u64), ("race", 9)].map(|(url, rank)| (url.to_owned(), rank)).to_stream(scope);
    ///     let visits = [("race", 1u64), ("lake", 2)].map(|(url, visit)| (url.to_owned(), visit)).to_stream(scope);
    ///     visits
    ///         .join(ranks, JoinStrategy::Hash, |url, visit, rank| Some((url.clone(), *visit, *rank)))
    ///         .inspect(|joined| assert_eq!(*joined, ("race".to_owned(), 1, 9)));
    /// });
    /// ```
    fn join<B, I>(
        self,
        build: StreamVec<'scope, Round, (K, B)>,
        strategy: JoinStrategy,
        logic: impl FnMut(&K, &P, &B) -> I + 'static,
    ) -> StreamVec<'scope, Round, I::Item>
    where
        B: ExchangeData + Clone,
        I: IntoIterator<Item: 'static>;

    /// The left join: as [`join`](Join::join), and once with `None` for a probe record whose key the build side has not.
    fn left_join<B, I>(
        self,
        build: StreamVec<'scope, Round, (K, B)>,
        strategy: JoinStrategy,
        logic: impl FnMut(&K, &P, Option<&B>) -> I + 'static,
    ) -> StreamVec<'scope, Round, I::Item>
    where
        B: ExchangeData + Clone,
        I: IntoIterator<Item: 'static>;

    /// The semi join: the probe records whose key the build side has, each once.
    fn semi_join(
        self,
        build: StreamVec<'scope, Round, (K, ())>,
        strategy: JoinStrategy,
    ) -> StreamVec<'scope, Round, (K, P)>;

    /// The anti join: the probe records whose key the build side has not.
    fn anti_join(
        self,
        build: StreamVec<'scope, Round, (K, ())>,
        strategy: JoinStrategy,
    ) -> StreamVec<'scope, Round, (K, P)>;
}

impl<'scope, K, P> Join<'scope, K, P> for StreamVec<'scope, Round, (K, P)>
where
    K: ExchangeData + Hash + Eq + Clone,
    P: ExchangeData + Clone,
{
    fn join<B, I>(
        self,
        build: StreamVec<'scope, Round, (K, B)>,
        strategy: JoinStrategy,
        mut logic: impl FnMut(&K, &P, &B) -> I + 'static,
    ) -> StreamVec<'scope, Round, I::Item>
    where
        B: ExchangeData + Clone,
        I: IntoIterator<Item: 'static>,
    {
        probe(self, build, strategy, true, move |(key, record), group: Option<&Group<B>>, out| {
            for other in group.into_iter().flat_map(Group::records) {
                out.extend(logic(&key, &record, other));
            }
        })
    }

    fn left_join<B, I>(
        self,
        build: StreamVec<'scope, Round, (K, B)>,
        strategy: JoinStrategy,
        mut logic: impl FnMut(&K, &P, Option<&B>) -> I + 'static,
    ) -> StreamVec<'scope, Round, I::Item>
    where
        B: ExchangeData + Clone,
        I: IntoIterator<Item: 'static>,
    {
        probe(self, build, strategy, true, move |(key, record), group: Option<&Group<B>>, out| match group {
            Some(group) => {
                for other in group.records() {
                    out.extend(logic(&key, &record, Some(other)));
                }
            }
            None => out.extend(logic(&key, &record, None)),
        })
    }

    fn semi_join(
        self,
        build: StreamVec<'scope, Round, (K, ())>,
        strategy: JoinStrategy,
    ) -> StreamVec<'scope, Round, (K, P)> {
        probe(self, build, strategy, false, |record, group, out| out.extend(group.map(|_| record)))
    }

    fn anti_join(
        self,
        build: StreamVec<'scope, Round, (K, ())>,
        strategy: JoinStrategy,
    ) -> StreamVec<'scope, Round, (K, P)> {
        probe(self, build, strategy, false, |record, group, out| {
            if group.is_none() {
                out.push(record);
            }
        })
    }
}

/// The records of one key of the build side: most keys have one.
struct Group<B> {
    first: B,
    others: Vec<B>,
}

impl<B> Group<B> {
    fn records(&self) -> impl Iterator<Item = &B> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// Brings both sides together and calls `logic` for each probe record with the group of its key; `duplicates` says
/// whether that wants all records of a key or merely one.
fn probe<'scope, K, P, B, O>(
    probe: StreamVec<'scope, Round, (K, P)>,
    build: StreamVec<'scope, Round, (K, B)>,
    strategy: JoinStrategy,
    duplicates: bool,
    mut logic: impl FnMut((K, P), Option<&Group<B>>, &mut Vec<O>) + 'static,
) -> StreamVec<'scope, Round, O>
where
    K: ExchangeData + Hash + Eq + Clone,
    P: ExchangeData + Clone,
    B: ExchangeData + Clone,
    O: 'static,
{
    // Its name is what `--explain` shows.
    let (name, build_to, probe_to) = match strategy {
        JoinStrategy::Hash => ("HashJoin", Destination::Owner, Destination::Owner),
        JoinStrategy::Broadcast => ("BroadcastJoin", Destination::Everyone, Destination::Here),
    };
    let (build_spare, probe_spare) = (Spare::default(), Spare::default());
    let build = addressed(build, build_to, Rc::clone(&build_spare));
    let probe = addressed(probe, probe_to, Rc::clone(&probe_spare));
    let flow = WorkerContext::current().flow_probe();

    let mut groups: HashMap<K, Group<B>, PlaceHasher> = HashMap::default();
    let mut early: Vec<RoutedSerde<(K, P)>> = Vec::new();
    let mut out = Vec::new();
    build
        .binary_frontier::<_, CapacityContainerBuilder<Vec<O>>, _, _, _, _>(
            probe,
            routed(),
            routed(),
            name,
            move |capability, _| {
                let mut end: Option<Capability<Round>> = Some(capability.delayed(&END));
                drop(capability);
                move |(build, build_frontier), (probe, probe_frontier), output| {
                    build.for_each(|_, container| {
                        let mut records = std::mem::take(container).into_body().into_records();
                        for (key, record) in records.drain(..) {
                            match groups.entry(key) {
                                Entry::Occupied(group) if duplicates => group.into_mut().others.push(record),
                                Entry::Occupied(_) => {}
                                Entry::Vacant(group) => {
                                    group.insert(Group { first: record, others: Vec::new() });
                                }
                            }
                        }
                        reuse(records, &build_spare);
                    });
                    let built = build_frontier.frontier().is_empty();
                    let mut look_up = |container: RoutedSerde<(K, P)>, out: &mut Vec<O>| {
                        let mut records = container.into_body().into_records();
                        for record in records.drain(..) {
                            let group = groups.get(&record.0);
                            logic(record, group, out);
                        }
                        reuse(records, &probe_spare);
                    };
                    probe.for_each(|capability, container| {
                        let container = std::mem::take(container);
                        if built {
                            look_up(container, &mut out);
                            output.session(&capability).give_container(&mut out);
                            out.clear();
                        } else {
                            early.push(container);
                        }
                    });
                    if !built {
                        return;
                    }
                    if let Some(capability) = &end {
                        for container in early.drain(..) {
                            look_up(container, &mut out);
                            output.session(capability).give_container(&mut out);
                            out.clear();
                        }
                    }
                    if probe_frontier.frontier().is_empty() {
                        end = None;
                        groups = HashMap::default();
                    }
                }
            },
        )
        .probe_with(&flow)
}

/// Where records go.
#[derive(Clone, Copy)]
enum Destination {
    /// To the worker that owns their key.
    Owner,
    /// To every worker.
    Everyone,
    /// To the worker they are at.
    Here,
}

/// Sends the records of one side.
struct RecordSender<K, V> {
    router: Router<(K, V)>,
    exit: Exit,
    destination: Destination,
    index: usize,
}

/// Makes containers of the records of one side.
fn addressed<K, V>(
    records: StreamVec<'_, Round, (K, V)>,
    destination: Destination,
    spare: Spare<(K, V)>,
) -> Stream<'_, Round, RoutedSerde<(K, V)>>
where
    K: ExchangeData + Hash + Eq + Clone,
    V: ExchangeData + Clone,
{
    let context = WorkerContext::current();
    let (index, peers) = (records.scope().index(), records.scope().peers());
    let router = Router::new(peers, 1, CONTAINER_RECORDS, spare);
    let exit = Exit::new(index, context);
    route(records, RecordSender { router, exit, destination, index })
}

impl<K, V> Sender<K, V, Encoded<(K, V)>> for RecordSender<K, V>
where
    K: ExchangeData + Hash + Eq + Clone,
    V: ExchangeData + Clone,
{
    fn take(&mut self, records: &mut Vec<(K, V)>, mut give: impl FnMut(&mut RoutedSerde<(K, V)>)) {
        let RecordSender { router, exit, destination, index } = self;
        let mut pass_on = |full, router: &Router<_>| exit.send_encoded(full, router, &mut give);
        for record in records.drain(..) {
            let full = match destination {
                Destination::Owner => router.push(route_hash_of(&record.0), record),
                Destination::Here => router.push_to(*index, record),
                Destination::Everyone => {
                    for worker in 1..router.targets() {
                        if let Some(full) = router.push_to(worker, record.clone()) {
                            pass_on(full, router);
                        }
                    }
                    router.push_to(0, record)
                }
            };
            if let Some(full) = full {
                pass_on(full, router);
            }
        }
    }

    fn flush(&mut self, mut give: impl FnMut(&mut RoutedSerde<(K, V)>)) {
        self.exit.send_rest(&mut self.router, &mut give);
    }
}

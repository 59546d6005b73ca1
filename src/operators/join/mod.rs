//! `join`: each record of one side with the records of the other side that have its key.
//!
//! ```text
//!  build (key, b) ─► to the worker of the key, or to every worker ─► exchange ─┐
//!                                                                              ├─► Join: HashMaps, probed ─► what the closure makes
//!  probe (key, p) ─► to the worker of the key, or nowhere ───────── exchange ─┘
//! ```
//!
//! Keys are compared as they are, so a join is exact whatever their hashes are.
//!
//! Cost, by [`JoinStrategy`]: `Hash` sends every record of both sides once; `Broadcast` sends every record of the build
//! side to every worker and none of the probe side. Memory: the build side, at each worker its part of it or all of it,
//! counted to `--memory`. With `Hash`, partitions of it that do not fit go to disk, and the probe records that would meet
//! them; both are read back at the end, and written once more for each time a partition must be divided. With
//! `Broadcast` it must fit. Probe records wait only where they come before the build side is whole, on disk past the
//! budget: a scan that is built after the build side's scan does not start before that.

mod sender;
mod sides;
mod spilled;
mod table;

use std::hash::Hash;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::{Capability, Operator, Probe};

use super::context::{END, Round, WorkerContext};
use super::sort::TURN_RECORDS;
use crate::Error;
use crate::exchange::{Spare, routed};
use sender::{Destination, addressed};
use sides::Sides;
use spilled::Pairs;
use table::Group;

/// Partitions of each worker in a hash join, and buffers of a router: with many workers each has fewer partitions.
const MOST_PARTITIONS: usize = 16;
const MOST_BUFFERS: usize = 1024;

/// How the records of a join meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinStrategy {
    /// Records of both sides go to the worker that owns their key: for a build side of any size.
    Hash,
    /// Every worker has the whole build side, and probe records stay where they are: for a small build side.
    Broadcast,
}

impl JoinStrategy {
    /// Into how many partitions each of `peers` workers divides what comes to it.
    fn partitions(self, peers: usize) -> usize {
        match self {
            JoinStrategy::Hash => (MOST_BUFFERS / peers).clamp(1, MOST_PARTITIONS),
            // It is whole at every worker or not at all.
            JoinStrategy::Broadcast => 1,
        }
    }
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

/// Brings both sides together and calls `logic` for each probe record with the group of its key, or for an inner or a
/// left join with each record of that group in a group of its own; `duplicates` says whether that wants all records of
/// a key or merely one.
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
    let (scope, context) = (probe.scope(), WorkerContext::current());
    // Its name is what `--explain` shows.
    let (name, build_to, probe_to) = match strategy {
        JoinStrategy::Hash => ("HashJoin", Destination::Owner, Destination::Owner),
        JoinStrategy::Broadcast => ("BroadcastJoin", Destination::Everyone, Destination::Here),
    };
    let partitions = strategy.partitions(scope.peers());
    let (build_spare, probe_spare) = (Spare::default(), Spare::default());
    let build = addressed(build, build_to, partitions, Rc::clone(&build_spare));
    let probe = addressed(probe, probe_to, partitions, Rc::clone(&probe_spare));
    let flow = context.flow_probe();

    let mut sides = Sides::new(strategy, partitions, duplicates, Rc::clone(&context));
    let mut out = Vec::new();
    build
        .binary_frontier::<_, CapacityContainerBuilder<Vec<O>>, _, _, _, _>(
            probe,
            routed(),
            routed(),
            name,
            move |capability, info| {
                let activator = scope.activator_for(info.address);
                let mut end: Option<Capability<Round>> = Some(capability.delayed(&END));
                drop(capability);
                move |(build, build_frontier), (probe, probe_frontier), output| {
                    let failure = &context.process.failure;
                    // What comes after a failure is of no use to anyone.
                    let fail = |outcome: Result<(), Error>| {
                        outcome.unwrap_or_else(|error| failure.set(error));
                    };
                    build.for_each(|_, container| {
                        let container = std::mem::take(container);
                        if !failure.is_set() {
                            fail(sides.take_build(container, &build_spare));
                        }
                    });
                    if build_frontier.frontier().is_empty() && !failure.is_set() {
                        fail(sides.end_build());
                    }
                    probe.for_each(|capability, container| {
                        let container = std::mem::take(container);
                        if !failure.is_set() {
                            let mut session = output.session(&capability);
                            let give = |made: &mut Vec<O>| session.give_container(made);
                            let mut pairs =
                                Making { logic: &mut logic, give, out: &mut out, left: usize::MAX };
                            fail(sides.take_probe(container, &probe_spare, &mut pairs));
                            pairs.give_rest();
                        }
                    });
                    let over = build_frontier.frontier().is_empty() && probe_frontier.frontier().is_empty();
                    if failure.is_set() {
                        end = None;
                    }
                    let Some(capability) = &end else { return };
                    if !over && !sides.may_catch_up() {
                        // Also when nothing came: other operators may need the memory.
                        return fail(sides.relieve());
                    }
                    let mut session = output.session(capability);
                    let give = |made: &mut Vec<O>| session.give_container(made);
                    let mut pairs = Making { logic: &mut logic, give, out: &mut out, left: TURN_RECORDS };
                    let outcome = sides.turn(over, &mut pairs);
                    pairs.give_rest();
                    drop(session);
                    match outcome {
                        Ok(true) => activator.activate(),
                        Ok(false) if over => end = None,
                        Ok(false) => {}
                        Err(error) => failure.set(error),
                    }
                }
            },
        )
        .probe_with(&flow)
}

/// Calls what the join was given for records that meet, and hands over what it makes before it is much.
struct Making<'a, L, G, O> {
    logic: &'a mut L,
    give: G,
    out: &'a mut Vec<O>,
    /// How many records may be looked at or made before others have a turn.
    left: usize,
}

impl<L, G: FnMut(&mut Vec<O>), O> Making<'_, L, G, O> {
    fn give_rest(&mut self) {
        self.left = self.left.saturating_sub(self.out.len());
        (self.give)(self.out);
        self.out.clear();
    }
}

impl<K, P, B, L, G, O> Pairs<K, P, B> for Making<'_, L, G, O>
where
    L: FnMut((K, P), Option<&Group<B>>, &mut Vec<O>),
    G: FnMut(&mut Vec<O>),
{
    #[inline]
    fn meet(&mut self, record: (K, P), group: Option<&Group<B>>) {
        (self.logic)(record, group, self.out);
        if self.out.len() >= TURN_RECORDS {
            self.give_rest();
        }
    }

    #[inline]
    fn look(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }
}

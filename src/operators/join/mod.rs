//! `join`: each record of one side with the records of the other side that have its key.
//!
//! ```text
//!  build (key, b) ─► to the worker of the key, or every process  ─► exchange ─┐
//!                                                                              ├─► Join: tables, probed ─► what the closure makes
//!  probe (key, p) ─► to the worker of the key, or nowhere ───────── exchange ─┘
//! ```
//!
//! Records become rows of bytes where they leave, with the hash of their key, and are read again where they meet: see
//! [`Rows`](crate::exchange::Rows). Keys are compared by these bytes, and where the hashes are equal and the bytes are not, by
//! their type's `Eq`: a join is exact whatever the hashes are.
//!
//! Cost, by [`JoinStrategy`]: `Hash` sends every record of both sides once; `Broadcast` sends every record of the build
//! side to every process, whose workers make a part of its table each and look up in all of them, and none of the probe
//! side. Memory: the build side, its part or all of it in each process, and 16 to 32 bytes for each of its records, counted to `--memory`. With `Hash`, partitions of it that do not fit go to disk, and the probe records that would meet
//! them; both are read back at the end, and written once more for each time a partition must be divided. With
//! `Broadcast` it must fit. Probe records wait only where they come before the build side is whole, on disk past the
//! budget: a scan that is built after the build side's scan does not start before that.
//!
//! `Hash` looks at some of the probe records before they leave. Those of a heavy key, one that would make its owner busier than the
//! others, stay in their process, whose workers get them in turn; the owner sends the key's build records to all workers, once
//! it is asked and has them all:
//!
//! ```text
//!  probe ─► of a heavy key: to any worker here ─► exchange ─► Replicate ─────────── exchange ─► Join: a partition for them
//!        └► its first, with it: ask the owner ──► exchange ─► Replicate, which has the table ─► exchange ─► to all
//! ```

mod disk;
mod heavy_hitters;
mod replicate;
mod sender;
mod sides;
mod spilled;
mod spread;
mod table;

use std::cell::RefCell;
use std::hash::Hash;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::{Capability, Operator, Probe};

use super::context::{END, Round, WorkerContext};
use super::sort::TURN_RECORDS;
use crate::Error;
use crate::exchange::{Row, routed};
use replicate::replicate;
use sender::{Destination, REPLICA, Spare, WHOLE, addressed};
use sides::Sides;
use spilled::Pairs;
use table::Group;

/// Partitions of each worker in a hash join, and buffers of a router: with many workers each has fewer partitions.
const MOST_PARTITIONS: usize = 16;
const MOST_BUFFERS: usize = 1024;

/// How the records of a join meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinStrategy {
    /// Records of both sides go to the worker that owns their key: for a build side of any size. Of a key that very many probe
    /// records have these go to all workers of their process in turn, and its build records to every worker.
    Hash,
    /// The same without exception: the records of a key meet at one worker, however many they are.
    StrictHash,
    /// Every process has the whole build side, and probe records stay where they are: for a small build side.
    Broadcast,
}

impl JoinStrategy {
    /// Into how many partitions each of `peers` workers divides what comes to it.
    fn partitions(self, peers: usize) -> usize {
        match self {
            JoinStrategy::Hash | JoinStrategy::StrictHash => (MOST_BUFFERS / peers).clamp(1, MOST_PARTITIONS),
            // It is whole in every process or not at all.
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
        probe(self, build, strategy, true, move |record: Row<'_>, group, out| {
            let Some(group) = group else { return Ok(()) };
            let (key, left) = read::<K, P>(record)?;
            for other in group.rows() {
                out.extend(logic(&key, &left, &value(other)?));
            }
            Ok(())
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
        probe(self, build, strategy, true, move |record: Row<'_>, group, out| {
            let (key, left) = read::<K, P>(record)?;
            match group {
                Some(group) => {
                    for other in group.rows() {
                        out.extend(logic(&key, &left, Some(&value(other)?)));
                    }
                }
                None => out.extend(logic(&key, &left, None)),
            }
            Ok(())
        })
    }

    fn semi_join(
        self,
        build: StreamVec<'scope, Round, (K, ())>,
        strategy: JoinStrategy,
    ) -> StreamVec<'scope, Round, (K, P)> {
        probe(self, build, strategy, false, |record, group, out| {
            if group.is_some() {
                out.push(read(record)?);
            }
            Ok(())
        })
    }

    fn anti_join(
        self,
        build: StreamVec<'scope, Round, (K, ())>,
        strategy: JoinStrategy,
    ) -> StreamVec<'scope, Round, (K, P)> {
        probe(self, build, strategy, false, |record, group, out| {
            if group.is_none() {
                out.push(read(record)?);
            }
            Ok(())
        })
    }
}

/// A record of the probe side.
#[inline]
fn read<K: ExchangeData, P: ExchangeData>(row: Row<'_>) -> Result<(K, P), Error> {
    Ok((decode(row.key)?, value(row)?))
}

#[inline]
fn value<V: ExchangeData>(row: Row<'_>) -> Result<V, Error> {
    decode(row.value)
}

#[inline]
fn decode<T: ExchangeData>(bytes: &[u8]) -> Result<T, Error> {
    postcard::from_bytes(bytes).map_err(|error| {
        Error::Data(format!("a {} of a join cannot be read back: {error}", std::any::type_name::<T>()))
    })
}

/// Whether two keys are equal that are written differently, as numbers are which are equal in some digits.
#[cold]
fn is_same<K: ExchangeData + Eq>(one: &[u8], other: &[u8]) -> bool {
    matches!((decode::<K>(one), decode::<K>(other)), (Ok(one), Ok(other)) if one == other)
}

/// Brings both sides together and calls `logic` for each probe record with the group of its key, or for an inner or a
/// left join with each record of that group in a group of its own; `duplicates` says whether that wants all records of
/// a key or merely one.
fn probe<'scope, K, P, B, O>(
    probe: StreamVec<'scope, Round, (K, P)>,
    build: StreamVec<'scope, Round, (K, B)>,
    strategy: JoinStrategy,
    duplicates: bool,
    mut logic: impl FnMut(Row<'_>, Option<Group<'_>>, &mut Vec<O>) -> Result<(), Error> + 'static,
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
        JoinStrategy::Hash if scope.peers() > 1 => {
            ("HashJoin", Destination::Owner, Destination::OwnerUnlessHeavy)
        }
        JoinStrategy::Hash | JoinStrategy::StrictHash => ("HashJoin", Destination::Owner, Destination::Owner),
        JoinStrategy::Broadcast => ("BroadcastJoin", Destination::Everyone, Destination::Here),
    };
    let spreads = matches!(probe_to, Destination::OwnerUnlessHeavy);
    let partitions = strategy.partitions(scope.peers());
    let (build_spare, probe_spare) = (Spare::default(), Spare::default());
    let build = addressed(build, build_to, partitions, build_spare.clone());
    let probe = addressed(probe, probe_to, partitions, probe_spare.clone());
    let flow = context.flow_probe();

    let sides = Sides::new(strategy, partitions, spreads, duplicates, is_same::<K>, Rc::clone(&context));
    let sides = Rc::new(RefCell::new(sides));
    let probe = if spreads { replicate(probe, Rc::clone(&sides)) } else { probe };
    let mut out = Vec::new();
    build
        .binary_frontier::<_, CapacityContainerBuilder<Vec<O>>, _, _, _, _>(
            probe,
            routed(),
            routed(),
            name,
            move |capability, info| {
                let (activator, index) = (scope.activator_for(info.address), scope.index());
                let mut end: Option<Capability<Round>> = Some(capability.delayed(&END));
                drop(capability);
                move |(build, build_frontier), (probe, probe_frontier), output| {
                    let mut sides = sides.borrow_mut();
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
                    let mut is_built = false;
                    if build_frontier.frontier().is_empty() && !failure.is_set() {
                        fail(sides.end_build(index).map(|whole| is_built = whole));
                    }
                    probe.for_each(|capability, container| {
                        let container = std::mem::take(container);
                        if container.partition == REPLICA {
                            fail(sides.take_replica(container, &probe_spare));
                        } else if container.partition == WHOLE {
                            sides.note_whole(&container);
                        } else if !failure.is_set() {
                            let mut session = output.session(&capability);
                            let give = |made: &mut Vec<O>| session.give_container(made);
                            let mut pairs =
                                Making { logic: &mut logic, give, out: &mut out, left: usize::MAX };
                            fail(sides.take_probe(container, &probe_spare, &mut pairs));
                            pairs.give_rest();
                        }
                    });
                    if failure.is_set() {
                        end = None;
                    }
                    let Some(capability) = &end else { return };
                    let over = is_built && probe_frontier.frontier().is_empty();
                    if build_frontier.frontier().is_empty() && !is_built {
                        // Others of this process have yet to come to the end of their build side.
                        activator.activate();
                    }
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

impl<L, G, O> Pairs for Making<'_, L, G, O>
where
    L: FnMut(Row<'_>, Option<Group<'_>>, &mut Vec<O>) -> Result<(), Error>,
    G: FnMut(&mut Vec<O>),
{
    #[inline]
    fn meet(&mut self, record: Row<'_>, group: Option<Group<'_>>) -> Result<(), Error> {
        (self.logic)(record, group, self.out)?;
        if self.out.len() >= TURN_RECORDS {
            self.give_rest();
        }
        Ok(())
    }

    #[inline]
    fn look(&mut self, records: usize) -> bool {
        self.left = self.left.saturating_sub(records);
        self.left > 0
    }
}

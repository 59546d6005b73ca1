//! `join`: each record of one side with the records of the other side that have its key.
//!
//! ```text
//!  build (key, b) ─► to the worker of the key, or every process  ─► exchange ─┐
//!                                                                              ├─► Join: tables, probed ─► what the closure makes
//!  probe (key, p) ─► to the worker of the key ─► exchange, or as it is ────────┘
//! ```
//!
//! Records become rows of bytes where they leave, with the hash of their key, and are read again where they meet: see
//! [`Rows`](crate::exchange::Rows). Keys are compared by these bytes, and where the hashes are equal and the bytes are not, by
//! their type's `Eq`: a join is exact whatever the hashes are. Probe records of a `Broadcast` do not leave: they are looked up as they
//! come, their keys are compared with written ones without being written, and the closure is lent the record itself.
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
mod operator;
mod record;
mod replicate;
mod sender;
mod sides;
mod spilled;
mod spread;
mod table;

use std::hash::Hash;

use timely::ExchangeData;
use timely::dataflow::StreamVec;

use super::context::Round;
use operator::meet;
use record::{ProbeRecord, decode};
pub(crate) use table::MOST_ROW_BYTES;

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
    /// Every process has the whole build side, and probe records stay where they are, and as they are: for a small build side.
    ///
    /// ```
    /// use millrace::operators::{Gather, Join, JoinStrategy};
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// let joined = timely::execute_directly(|worker| {
    ///     let joined = worker.dataflow(|scope| {
    ///         let countries = [(49u16, "Germany"), (44, "Britain")].map(|(code, name)| (code, name.to_owned()));
    ///         let calls = [(44u16, 7u64), (49, 2), (1, 5), (44, 1)].to_stream(scope);
    ///         calls
    ///             .join(countries.to_stream(scope), JoinStrategy::Broadcast, |_, minutes, name| Some((name.clone(), *minutes)))
    ///             .gather()
    ///     });
    ///     while worker.step() {}
    ///     joined.take()
    /// });
    /// let mut joined = joined.unwrap_or_default();
    /// joined.sort();
    /// assert_eq!(joined, [("Britain", 1), ("Britain", 7), ("Germany", 2)].map(|(name, minutes)| (name.to_owned(), minutes)));
    /// ```
    Broadcast,
}

impl JoinStrategy {
    /// What `--explain` shows.
    fn operator_name(self) -> &'static str {
        match self {
            JoinStrategy::Hash => "HashJoin",
            JoinStrategy::StrictHash => "StrictHashJoin",
            JoinStrategy::Broadcast => "BroadcastJoin",
        }
    }

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
///
/// Cost of each kind, by [`JoinStrategy`]: `Hash` sends every record of both sides once; `Broadcast` sends every record of the build
/// side to every process, whose workers make a part of its table each and look up in all of them, and none of the probe
/// side, of which it copies nothing. A record is sent as postcard writes its key and value, and 16 bytes.
///
/// Memory: the build side, its part or all of it in each process, and 16 to 32 bytes for each of its records; a semi or an anti join keeps
/// one record of each key. It counts to `--memory`. With `Hash`, partitions of it that do not fit go to disk, and the probe records that
/// would meet them; both are read back at the end, and written once more for each time a partition must be divided. With
/// `Broadcast` it must fit, or the run ends with an error. Probe records wait only where they come before the build side is whole, as rows
/// of bytes, on disk past the budget: a scan that is built after the build side's scan does not start before the scan is over.
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
    ///
    /// ```
    /// use millrace::operators::{Gather, Join, JoinStrategy};
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// let joined = timely::execute_directly(|worker| {
    ///     let joined = worker.dataflow(|scope| {
    ///         let ranks = [(1u32, 9u64)].to_stream(scope);
    ///         let visits = [(1u32, 'a'), (2, 'b')].to_stream(scope);
    ///         visits.left_join(ranks, JoinStrategy::Hash, |_, visit, rank| Some((*visit, rank.copied()))).gather()
    ///     });
    ///     while worker.step() {}
    ///     joined.take()
    /// });
    /// let mut joined = joined.unwrap_or_default();
    /// joined.sort();
    /// assert_eq!(joined, [('a', Some(9)), ('b', None)]);
    /// ```
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
    ///
    /// ```
    /// use millrace::operators::{Gather, Join, JoinStrategy};
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// let kept = timely::execute_directly(|worker| {
    ///     let kept = worker.dataflow(|scope| {
    ///         // WHERE visitor IN (SELECT visitor FROM buyers), who may have bought twice.
    ///         let buyers = [(1u32, ()), (1, ())].to_stream(scope);
    ///         [(1u32, 'a'), (2, 'b')].to_stream(scope).semi_join(buyers, JoinStrategy::Hash).gather()
    ///     });
    ///     while worker.step() {}
    ///     kept.take()
    /// });
    /// assert_eq!(kept, Some(vec![(1, 'a')]));
    /// ```
    fn semi_join(
        self,
        build: StreamVec<'scope, Round, (K, ())>,
        strategy: JoinStrategy,
    ) -> StreamVec<'scope, Round, (K, P)>;

    /// The anti join: the probe records whose key the build side has not.
    ///
    /// ```
    /// use millrace::operators::{Gather, Join, JoinStrategy};
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// let kept = timely::execute_directly(|worker| {
    ///     let kept = worker.dataflow(|scope| {
    ///         // WHERE visitor NOT IN (SELECT visitor FROM robots)
    ///         let robots = [(1u32, ())].to_stream(scope);
    ///         [(1u32, 'a'), (2, 'b')].to_stream(scope).anti_join(robots, JoinStrategy::Hash).gather()
    ///     });
    ///     while worker.step() {}
    ///     kept.take()
    /// });
    /// assert_eq!(kept, Some(vec![(2, 'b')]));
    /// ```
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
        meet(self, build, strategy, true, move |record: ProbeRecord<'_, K, P>, group, out| {
            let Some(group) = group else { return Ok(()) };
            let record = record.read()?;
            let (key, left) = &*record;
            for other in group.rows() {
                out.extend(logic(key, left, &decode(other.value)?));
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
        meet(self, build, strategy, true, move |record: ProbeRecord<'_, K, P>, group, out| {
            let record = record.read()?;
            let (key, left) = &*record;
            match group {
                Some(group) => {
                    for other in group.rows() {
                        out.extend(logic(key, left, Some(&decode(other.value)?)));
                    }
                }
                None => out.extend(logic(key, left, None)),
            }
            Ok(())
        })
    }

    fn semi_join(
        self,
        build: StreamVec<'scope, Round, (K, ())>,
        strategy: JoinStrategy,
    ) -> StreamVec<'scope, Round, (K, P)> {
        meet(self, build, strategy, false, |record: ProbeRecord<'_, K, P>, group, out| {
            if group.is_some() {
                out.push(record.read()?.into_owned());
            }
            Ok(())
        })
    }

    fn anti_join(
        self,
        build: StreamVec<'scope, Round, (K, ())>,
        strategy: JoinStrategy,
    ) -> StreamVec<'scope, Round, (K, P)> {
        meet(self, build, strategy, false, |record: ProbeRecord<'_, K, P>, group, out| {
            if group.is_none() {
                out.push(record.read()?.into_owned());
            }
            Ok(())
        })
    }
}

//! `reduce_by_any_key`: one value per key, merged over all workers, for keys and values of any kind.
//!
//! ```text
//!  (key, value) ─► combiner ─► buffers, one per partition ─► exchange ─► unary_notify: a HashMap per partition ─► (key, value)
//!                  while it    of each worker                whole        updated as containers come; given,
//!                  pays                                      containers   piece by piece, when all was seen;
//!                                                                         sorted runs on disk where memory is short
//! ```
//!
//! The sibling of [`reduce_by_key`](super::ReduceByKey), for what is no plain bytes: text, lists, enums.

use std::hash::Hash;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Probe;

use super::any_groups::{AnyGroups, PARTITIONS};
use super::buffers::BufferPool;
use super::combiner::AnyCombiner;
use super::context::{END, Round, WorkerContext};
use super::notify::UnaryNotify;
use super::router::{Exit, Sender, route};
use crate::exchange::{CONTAINER_RECORDS, Encoded, RoutedSerde, Router, Spare, routed};
use crate::keys::route_hash_of;

/// Keyed aggregation of anything that can be hashed, compared and sent.
pub trait ReduceByAnyKey<'scope, K, V> {
    /// Merges all values of a key into one, with `merge` in any order and grouping: it must be associative and
    /// commutative. Each key comes out once, on the worker that owns it, after all input has been seen.
    ///
    /// Keys that are equal must have equal hashes, as [`Hash`] demands, and equal serialized forms must be read as
    /// equal keys. Hashes start from constants, so runs repeat; who chooses the keys can therefore choose collisions.
    ///
    /// Cost: every record leaves its worker once unless the combiner merged it before, in postcard's form where it crosses processes.
    /// It costs what such records cost: an allocation where a key is made, serde where it crosses processes, and a pointer to follow
    /// where it is compared. Where a key can be a number or a [`Prefix`](crate::keys::Prefix), use
    /// [`reduce_by_key`](super::ReduceByKey::reduce_by_key). Memory: the groups, with what they own as it would be encoded, and what is
    /// in flight; nothing waits. Groups that exceed `--memory` are written to disk, all at once, and sorted by their hashes; they are
    /// merged as they are read back, a further time for every sixty-fold of runs. The values of any one key must fit in memory.
    ///
    /// ```
    /// use millrace::operators::ReduceByAnyKey;
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     ["to", "be", "or", "not", "to", "be"]
    ///         .map(|word| (word.to_owned(), vec![word.len()]))
    ///         .to_stream(scope)
    ///         .reduce_by_any_key(|lengths, mut more| lengths.append(&mut more))
    ///         .inspect(|(word, lengths)| match &word[..] {
    ///             "to" | "be" => assert_eq!(*lengths, [2, 2]),
    ///             _ => assert_eq!(*lengths, [word.len()]),
    ///         });
    /// });
    /// ```
    fn reduce_by_any_key(
        self,
        merge: impl Fn(&mut V, V) + Clone + 'static,
    ) -> StreamVec<'scope, Round, (K, V)>;
}

impl<'scope, K, V> ReduceByAnyKey<'scope, K, V> for StreamVec<'scope, Round, (K, V)>
where
    K: ExchangeData + Hash + Eq,
    V: ExchangeData,
{
    fn reduce_by_any_key(
        self,
        merge: impl Fn(&mut V, V) + Clone + 'static,
    ) -> StreamVec<'scope, Round, (K, V)> {
        let context = WorkerContext::current();
        let probe = context.flow_probe();
        let spare = Spare::default();
        let sender = AnySender {
            combiner: AnyCombiner::default(),
            router: Router::new(self.scope().peers(), PARTITIONS, CONTAINER_RECORDS, Rc::clone(&spare)),
            exit: Exit::new(self.scope().index(), Rc::clone(&context)),
            merge: merge.clone(),
        };
        let routed_stream = route(self, sender);

        let mut groups = AnyGroups::new(merge, Rc::clone(&context));
        let buffers = BufferPool::new(spare, CONTAINER_RECORDS, usize::MAX);
        routed_stream
            .unary_notify::<CapacityContainerBuilder<Vec<(K, V)>>, _, _>(
                routed(),
                "Reduce",
                [END],
                move |input, output, notificator| {
                    let failure = &context.process.failure;
                    input.for_each(|_, container| {
                        // What comes after a failure is of no use to anyone.
                        if failure.is_set() {
                            return;
                        }
                        let container = std::mem::take(container);
                        let partition = container.partition;
                        let mut records = container.into_body().into_records();
                        let taken = groups.take(partition, &mut records);
                        taken.unwrap_or_else(|error| failure.set(error));
                        buffers.give(records);
                    });
                    let Some(end) = notificator.next() else {
                        // Also when nothing came: other reducers may need the memory.
                        return groups.relieve().unwrap_or_else(|error| failure.set(error));
                    };
                    let mut session = output.session(&end);
                    let left = groups.turn(|group| session.give(group));
                    drop(session);
                    match left {
                        Ok(true) => notificator.notify_at(end),
                        Ok(false) => {}
                        Err(error) => failure.set(error),
                    }
                },
            )
            .probe_with(&probe)
    }
}

/// Sends records of any kind, those of near repetitions as one.
struct AnySender<K, V, M> {
    combiner: AnyCombiner<K, V>,
    router: Router<(K, V)>,
    exit: Exit,
    merge: M,
}

impl<K, V, M> Sender<K, V, Encoded<(K, V)>> for AnySender<K, V, M>
where
    K: ExchangeData + Hash + Eq,
    V: ExchangeData,
    M: Fn(&mut V, V),
{
    fn take(&mut self, records: &mut Vec<(K, V)>, mut give: impl FnMut(&mut RoutedSerde<(K, V)>)) {
        let AnySender { combiner, router, exit, merge } = self;
        combiner.combine(records, merge, |key, value| {
            if let Some(full) = router.push(route_hash_of(&key), (key, value)) {
                exit.send_encoded(full, router, &mut give);
            }
        });
    }

    fn flush(&mut self, mut give: impl FnMut(&mut RoutedSerde<(K, V)>)) {
        let AnySender { combiner, router, exit, .. } = self;
        combiner.flush(|key, value| {
            if let Some(full) = router.push(route_hash_of(&key), (key, value)) {
                exit.send_encoded(full, router, &mut give);
            }
        });
        exit.send_rest(router, &mut give);
    }
}

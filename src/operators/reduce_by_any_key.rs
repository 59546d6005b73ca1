//! `reduce_by_any_key`: one value per key, merged over all workers, for keys and values of any kind.
//!
//! ```text
//!  (key, value) ─► combiner ─► buffers, one per partition ─► exchange ─► unary_notify: a HashMap per partition ─► (key, value)
//!                  while it    of each worker                whole        updated as containers come; given,
//!                  pays                                      containers   piece by piece, when all was seen
//! ```
//!
//! The sibling of [`reduce_by_key`](super::ReduceByKey), for what is no plain bytes: text, lists, enums. It costs what
//! such records cost: an allocation where a key is made, serde where it crosses processes, and a pointer to follow
//! where it is compared. Where a key can be a number or a [`Prefix`](crate::keys::Prefix), use the other.
//!
//! Memory: the groups and what is in flight; nothing waits, and nothing is spilled, so groups must fit in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Probe;

use super::combiner::AnyCombiner;
use super::context::{END, Round, WorkerContext, add};
use super::notify::UnaryNotify;
use super::partitions::unknown_partition;
use super::router::{Exit, Sender, reuse, route};
use crate::exchange::{CONTAINER_RECORDS, Encoded, RoutedSerde, Router, Spare, routed};
use crate::keys::{PlaceHasher, route_hash_of};

/// Partitions of each worker: a map that grows holds two copies of a sixteenth of the groups, and groups are given
/// in so many pieces.
const PARTITIONS: usize = 16;

/// Keyed aggregation of anything that can be hashed, compared and sent.
pub trait ReduceByAnyKey<'scope, K, V> {
    /// Merges all values of a key into one, with `merge` in any order and grouping: it must be associative and
    /// commutative. Each key comes out once, on the worker that owns it, after all input has been seen.
    ///
    /// Keys that are equal must have equal hashes, as [`Hash`] demands, and equal serialized forms must be read as
    /// equal keys. Hashes start from constants, so runs repeat; who chooses the keys can therefore choose collisions.
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

        let mut partitions: Vec<HashMap<K, V, PlaceHasher>> = Vec::new();
        partitions.resize_with(PARTITIONS, HashMap::default);
        routed_stream
            .unary_notify::<CapacityContainerBuilder<Vec<(K, V)>>, _, _>(
                routed(),
                "Reduce",
                [END],
                move |input, output, notificator| {
                    input.for_each(|_, container| {
                        let container = std::mem::take(container);
                        let Some(groups) = partitions.get_mut(container.partition as usize) else {
                            let unknown = unknown_partition(container.partition, PARTITIONS);
                            return context.process.failure.set(unknown);
                        };
                        let mut records = container.into_body().into_records();
                        for (key, value) in records.drain(..) {
                            match groups.entry(key) {
                                Entry::Occupied(mut group) => merge(group.get_mut(), value),
                                Entry::Vacant(group) => drop(group.insert(value)),
                            }
                        }
                        reuse(records, &spare);
                    });
                    let Some(end) = notificator.next() else { return };
                    // One partition a turn: what reads the groups takes them away before more come.
                    if let Some(groups) = partitions.pop() {
                        add(&context.counters.groups, groups.len() as u64);
                        add(&context.counters.group_bytes, allocated_bytes(&groups) as u64);
                        output.session(&end).give_iterator(groups.into_iter());
                        notificator.notify_at(end);
                    }
                },
            )
            .probe_with(&probe)
    }
}

/// What the map itself takes, a control byte for each slot included; what its keys and values point to is theirs.
fn allocated_bytes<K, V, S>(groups: &HashMap<K, V, S>) -> usize {
    // Seven eighths of the slots are its capacity.
    groups.capacity().div_ceil(7) * 8 * (size_of::<(K, V)>() + 1)
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

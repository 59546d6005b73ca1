//! `sort_within_key`: the values of each key together, in order.
//!
//! ```text
//!  (key, value) ─► buffers, one per worker ─► exchange ─► sort by the key's hash, then key, then ─► (key, values in order)
//!                  by the key's hash          whole       value, with runs on disk where memory
//!                                             containers  is short
//! ```
//!
//! What a window function does in SQL: sessions of a user, the change from one measurement to the next, the first three
//! of each group. Keys need be together and in no order, so hashes are compared before them: a number, and one that tells nearly all
//! keys apart.

use std::cmp::Ordering;
use std::hash::Hash;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Probe;

use super::buffers::BufferPool;
use super::context::{END, Round, WorkerContext};
use super::hashed::Hashed;
use super::notify::UnaryNotify;
use super::router::{Exit, Sender, route};
use super::sort::{Sorter, TURN_RECORDS};
use crate::exchange::{CONTAINER_RECORDS, Encoded, RoutedSerde, Router, Spare, routed};
use crate::memory::held_bytes;

/// Bringing the values of a key together, in order.
pub trait SortWithinKey<'scope, K, V> {
    /// Gives each key once, with all its values as `compare` orders them, on the worker that owns the key, after
    /// all input has been seen. Values that `compare` calls equal come in any order, if several workers had them.
    ///
    /// Cost: every record is exchanged once through serde and compared log₂(records of its worker) times. Memory: all
    /// records with eight bytes each for a hash, and half as much again of their own size; what exceeds `--memory` is written to disk and read back once,
    /// a further time for every sixty-fold of runs. The values of any one key must fit in memory.
    ///
    /// ```
    /// use millrace::operators::SortWithinKey;
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     // Time and page of each click.
    ///     [("ann", (9, "mill")), ("bob", (3, "race")), ("ann", (2, "home"))]
    ///         .map(|(user, (time, page))| (user.to_owned(), (time, page.to_owned())))
    ///         .to_stream(scope)
    ///         .sort_within_key(Ord::cmp)
    ///         .inspect(|(user, clicks)| {
    ///             let times: Vec<i32> = clicks.iter().map(|click| click.0).collect();
    ///             assert_eq!(times, if user == "ann" { vec![2, 9] } else { vec![3] });
    ///         });
    /// });
    /// ```
    fn sort_within_key(
        self,
        compare: impl Fn(&V, &V) -> Ordering + Clone + 'static,
    ) -> StreamVec<'scope, Round, (K, Vec<V>)>;
}

impl<'scope, K, V> SortWithinKey<'scope, K, V> for StreamVec<'scope, Round, (K, V)>
where
    K: ExchangeData + Hash + Ord,
    V: ExchangeData,
{
    fn sort_within_key(
        self,
        compare: impl Fn(&V, &V) -> Ordering + Clone + 'static,
    ) -> StreamVec<'scope, Round, (K, Vec<V>)> {
        let context = WorkerContext::current();
        let probe = context.flow_probe();
        let spare = Spare::default();
        let sender = KeySender {
            router: Router::new(self.scope().peers(), 1, CONTAINER_RECORDS, Rc::clone(&spare)),
            exit: Exit::new(self.scope().index(), Rc::clone(&context)),
        };
        let order = move |a: &Hashed<K, V>, b: &Hashed<K, V>| {
            let keys = || a.key.cmp(&b.key).then_with(|| compare(&a.value, &b.value));
            a.hash.cmp(&b.hash).then_with(keys)
        };
        let mut sorter = Sorter::new(order, Rc::clone(&context));
        let buffers = BufferPool::new(spare, CONTAINER_RECORDS, usize::MAX);
        let mut group: Option<(K, Vec<V>)> = None;
        route(self, sender)
            .unary_notify::<CapacityContainerBuilder<Vec<(K, Vec<V>)>>, _, _>(
                routed(),
                "SortWithinKey",
                [END],
                move |input, output, notificator| {
                    input.for_each(|_, container| {
                        let mut records = std::mem::take(container).into_body().into_records();
                        let bytes = held_bytes(&records);
                        let taken = sorter.take(&mut records, bytes);
                        taken.unwrap_or_else(|error| context.process.failure.set(error));
                        buffers.give(records);
                    });
                    let Some(end) = notificator.next() else { return };
                    let mut session = output.session(&end);
                    for _ in 0..TURN_RECORDS {
                        match (sorter.next(), &mut group) {
                            (Ok(Some(next)), Some((same, values))) if next.key == *same => {
                                values.push(next.value);
                            }
                            (Ok(Some(next)), group) => {
                                let before = group.replace((next.key, vec![next.value]));
                                session.give_iterator(before.into_iter());
                            }
                            (Ok(None), group) => return session.give_iterator(group.take().into_iter()),
                            (Err(error), _) => return context.process.failure.set(error),
                        }
                    }
                    drop(session);
                    notificator.notify_at(end);
                },
            )
            .probe_with(&probe)
    }
}

/// Sends each record to the worker that owns its key.
struct KeySender<K, V> {
    router: Router<Hashed<K, V>>,
    exit: Exit,
}

impl<K: ExchangeData + Hash, V: ExchangeData> Sender<K, V, Encoded<Hashed<K, V>>> for KeySender<K, V> {
    fn take(&mut self, records: &mut Vec<(K, V)>, mut give: impl FnMut(&mut RoutedSerde<Hashed<K, V>>)) {
        for record in records.drain(..).map(Hashed::from) {
            if let Some(full) = self.router.push(record.hash, record) {
                self.exit.send_encoded(full, &self.router, &mut give);
            }
        }
    }

    fn flush(&mut self, mut give: impl FnMut(&mut RoutedSerde<Hashed<K, V>>)) {
        self.exit.send_rest(&mut self.router, &mut give);
    }
}

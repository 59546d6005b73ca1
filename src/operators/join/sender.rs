//! How the records of one side of a join leave their worker.

use std::hash::Hash;

use timely::ExchangeData;
use timely::dataflow::{Stream, StreamVec};

use crate::exchange::{Encoded, RoutedSerde, Router, Spare};
use crate::keys::route_hash_of;
use crate::operators::context::{Round, WorkerContext};
use crate::operators::router::{Exit, Sender, container_records, route};

/// A join has one for each side.
const ROUTERS: usize = 2;

/// Where records go.
#[derive(Clone, Copy)]
pub(super) enum Destination {
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
pub(super) fn addressed<K, V>(
    records: StreamVec<'_, Round, (K, V)>,
    destination: Destination,
    partitions: usize,
    spare: Spare<(K, V)>,
) -> Stream<'_, Round, RoutedSerde<(K, V)>>
where
    K: ExchangeData + Hash + Eq + Clone,
    V: ExchangeData + Clone,
{
    let context = WorkerContext::current();
    let (index, peers) = (records.scope().index(), records.scope().peers());
    let router_bytes = context.process.memory.router_bytes() / context.workers() / ROUTERS;
    // What records point to is not known yet; that of short texts is about as much.
    let container = container_records(router_bytes, 2 * size_of::<(K, V)>(), peers * partitions);
    let router = Router::new(peers, partitions, container, spare);
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

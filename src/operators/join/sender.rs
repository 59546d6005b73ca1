//! How the records of one side of a join leave their worker: as rows of bytes, in a buffer for each partition of each
//! worker, and one for all heavy keys.

use std::cell::RefCell;
use std::hash::Hash;
use std::ops::Range;
use std::rc::Rc;

use timely::ExchangeData;
use timely::dataflow::{Stream, StreamVec};

use super::spread::{Spread, Weight};
use crate::exchange::{Addressed, Rows};
use crate::keys::{route_hash_of, scale};
use crate::operators::context::{Round, WorkerContext};
use crate::operators::router::{Exit, Sender, route};

/// A join has one for each side.
const ROUTERS: usize = 2;
/// A buffer leaves once its rows take so many bytes, or fewer where so many buffers would take too much memory: some
/// hundred rows, which the nearest cache still has when they are looked up.
const MOST_BUFFER_BYTES: usize = 32 << 10;
const LEAST_BUFFER_BYTES: usize = 1 << 10;
/// Buffers that are kept for another use.
const MOST_SPARE: usize = 64;

/// In place of a partition, what a container of the probe side has where it is no probe records: hashes whose build records all
/// workers are to get,
pub(super) const ASK: u32 = u32::MAX;
/// such build records,
pub(super) const REPLICA: u32 = u32::MAX - 1;
/// and hashes of which all have come.
pub(super) const WHOLE: u32 = u32::MAX - 2;

/// Rows on their way to one partition of one worker.
pub(super) type RowsContainer = Addressed<Rows>;

/// Buffers that are free: of those that came to a worker, for the router of its own.
#[derive(Clone, Default)]
pub(super) struct Spare(Rc<RefCell<Vec<Rows>>>);

impl Spare {
    /// Keeps the room of rows that are not needed any more.
    pub(super) fn take_back(&self, mut rows: Rows) {
        let mut spare = self.0.borrow_mut();
        if spare.len() < MOST_SPARE && rows.allocated_bytes() > 0 {
            rows.clear();
            spare.push(rows);
        }
    }

    fn give(&self) -> Rows {
        self.0.borrow_mut().pop().unwrap_or_default()
    }
}

/// Where records go.
#[derive(Clone, Copy)]
pub(super) enum Destination {
    /// To the worker that owns their key.
    Owner,
    /// The same, and those of heavy keys to the workers of this process in turn.
    OwnerUnlessHeavy,
    /// To every process: there, to the worker that owns their key among those of the process.
    Everyone,
}

/// One buffer for each partition of each worker, and a last one for the rows of heavy keys.
struct RowRouter {
    buffers: Vec<Rows>,
    partitions: usize,
    /// The workers of this process, and how many of them had rows of heavy keys.
    own: Range<usize>,
    turn: usize,
    buffer_bytes: usize,
    spare: Spare,
}

impl RowRouter {
    /// Writes a record into the buffer of a partition, and returns the buffer if it is to leave.
    #[inline]
    fn push_to<K: ExchangeData, V: ExchangeData>(
        &mut self,
        target: usize,
        hash: u64,
        (key, value): &(K, V),
    ) -> Result<Option<RowsContainer>, String> {
        let buffer = &mut self.buffers[target];
        buffer.push(hash, key, value)?;
        Ok(if buffer.used_bytes() < self.buffer_bytes { None } else { self.take(target) })
    }

    /// The buffer of heavy keys.
    fn heavy(&self) -> usize {
        self.buffers.len() - 1
    }

    /// What a buffer holds, if anything.
    fn take(&mut self, target: usize) -> Option<RowsContainer> {
        if self.buffers[target].is_empty() {
            return None;
        }
        let rows = std::mem::replace(&mut self.buffers[target], self.spare.give());
        let (mut worker, mut partition) = (target / self.partitions, target % self.partitions);
        if target == self.heavy() {
            (worker, partition) = (self.own.start + self.turn % self.own.len(), self.partitions);
            self.turn += 1;
        }
        Some(Addressed::to(worker as u32, partition as u32, rows))
    }
}

/// Sends the records of one side.
struct RecordSender {
    router: RowRouter,
    exit: Exit,
    destination: Destination,
    spread: Option<Spread>,
    /// Workers of each process.
    workers: usize,
}

/// Makes containers of the records of one side.
pub(super) fn addressed<K, V>(
    records: StreamVec<'_, Round, (K, V)>,
    destination: Destination,
    partitions: usize,
    spare: Spare,
) -> Stream<'_, Round, RowsContainer>
where
    K: ExchangeData + Hash,
    V: ExchangeData,
{
    let context = WorkerContext::current();
    let (index, peers) = (records.scope().index(), records.scope().peers());
    let (workers, targets) = (context.workers(), peers * partitions);
    let router_bytes = context.process.memory.router_bytes() / workers / ROUTERS;
    // A buffer that grows has up to twice as much room as it needs.
    let buffer_bytes = (router_bytes / 2 / targets).clamp(LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES);
    let buffers = (0..=targets).map(|_| Rows::default()).collect();
    let process = context.process_of(index);
    let own = process * workers..(process + 1) * workers;
    let router = RowRouter { buffers, partitions, own, turn: index % workers, buffer_bytes, spare };
    let spread = matches!(destination, Destination::OwnerUnlessHeavy).then(|| Spread::new(peers, &context));
    let exit = Exit::new(index, context);
    route(records, RecordSender { router, exit, destination, spread, workers })
}

impl RecordSender {
    fn pass_on(&self, mut full: RowsContainer, give: &mut impl FnMut(&mut RowsContainer)) {
        self.exit.count(&full);
        give(&mut full);
        // timely copies what goes to another process, and leaves the buffer here.
        self.router.spare.take_back(full.into_body());
    }

    #[inline]
    fn send<K: ExchangeData + Hash, V: ExchangeData>(
        &mut self,
        record: &(K, V),
        give: &mut impl FnMut(&mut RowsContainer),
    ) -> Result<(), String> {
        let hash = route_hash_of(&record.0);
        match self.destination {
            Destination::Owner => self.send_to(self.owner(hash), hash, record, give),
            Destination::OwnerUnlessHeavy => {
                let spread = self.spread.as_mut();
                let target = match spread.map_or(Weight::Light, |spread| spread.weigh(hash, &record.0)) {
                    Weight::Light => self.owner(hash),
                    Weight::Heavy => self.router.heavy(),
                    Weight::BecomesHeavy => {
                        self.ask(hash, give)?;
                        self.router.heavy()
                    }
                };
                self.send_to(target, hash, record, give)
            }
            Destination::Everyone => {
                let owner = scale(hash, self.workers);
                (owner..self.router.heavy())
                    .step_by(self.workers)
                    .try_for_each(|target| self.send_to(target, hash, record, give))
            }
        }
    }

    /// The partition of a hash, counted through all workers.
    #[inline]
    fn owner(&self, hash: u64) -> usize {
        scale(hash, self.router.heavy())
    }

    /// Asks the owner of a hash for its build records.
    #[cold]
    fn ask(&mut self, hash: u64, give: &mut impl FnMut(&mut RowsContainer)) -> Result<(), String> {
        let mut rows = Rows::default();
        rows.push(hash, &(), &())?;
        self.pass_on(Addressed::to((self.owner(hash) / self.router.partitions) as u32, ASK, rows), give);
        Ok(())
    }

    #[inline]
    fn send_to<K: ExchangeData, V: ExchangeData>(
        &mut self,
        target: usize,
        hash: u64,
        record: &(K, V),
        give: &mut impl FnMut(&mut RowsContainer),
    ) -> Result<(), String> {
        if let Some(full) = self.router.push_to(target, hash, record)? {
            self.pass_on(full, give);
        }
        Ok(())
    }
}

impl<K: ExchangeData + Hash, V: ExchangeData> Sender<K, V, Rows> for RecordSender {
    fn take(&mut self, records: &mut Vec<(K, V)>, mut give: impl FnMut(&mut RowsContainer)) {
        for record in records.drain(..) {
            if let Err(reason) = self.send(&record, &mut give) {
                return self.exit.refuse(reason);
            }
        }
    }

    fn flush(&mut self, mut give: impl FnMut(&mut RowsContainer)) {
        for target in 0..self.router.buffers.len() {
            if let Some(last) = self.router.take(target) {
                self.pass_on(last, &mut give);
            }
        }
        if let Some(spread) = &mut self.spread {
            spread.end();
        }
    }
}

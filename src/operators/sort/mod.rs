//! `sort`: all records in one order, from the first of worker 0 to the last of the last worker.
//!
//! ```text
//!  records ─► hold: in memory or ─► sample ─► broadcast ─► splitters ─► route by range ─► exchange ─► sort, with runs on disk
//!             on disk, as they come                        agreed by     what was held     whole       where memory is short;
//!             until all was seen                           all workers                     containers  given piece by piece
//! ```
//!
//! Every worker computes the same splitters from the same samples. Where keys are equal, the worker that held a record
//! and its place there decide, for the splitters as for any other two records: so one key that has 90 % of
//! the records is cut in as many ranges as it needs.

mod held;
mod sample;
mod sorter;

use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::{CapacityContainerBuilder, NoopBuilder};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::vec::Broadcast;
use timely::dataflow::{Stream, StreamVec};

use super::buffers::BufferPool;
use super::context::{END, Round, WorkerContext};
use super::notify::UnaryNotify;
use super::router::Exit;
use crate::Error;
use crate::exchange::{CONTAINER_RECORDS, Full, RoutedSerde, Router, Spare, routed};
use crate::memory::held_bytes;
use held::Held;
use sample::{Ranges, Sample, Sampler};
pub(super) use sorter::Sorter;

/// Records given or sent in one turn of an operator: the next operator takes them before more come. They may be large, and
/// what they own is not looked at, so there are few of them.
pub(super) const TURN_RECORDS: usize = 2048;

/// Sorting over all workers.
pub trait Sort<'scope, D> {
    /// Sorts by [`Ord`], ascending; otherwise as [`sort_by`](Sort::sort_by).
    ///
    /// ```
    /// use millrace::operators::{Gather, Sort};
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// let sorted = timely::execute_directly(|worker| {
    ///     let gathered = worker.dataflow(|scope| ["c", "a", "b"].map(str::to_owned).to_stream(scope).sort().gather());
    ///     while worker.step() {}
    ///     gathered.take()
    /// });
    /// assert_eq!(sorted, Some(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    /// ```
    fn sort(self) -> StreamVec<'scope, Round, D>
    where
        Self: Sized,
        D: Ord + 'static,
    {
        self.sort_by(Ord::cmp)
    }

    /// Gives every record once all input has been seen: each worker gives its range in order, and all that worker `i` gives
    /// come before all that worker `i + 1` gives. [`write_parts`](super::WriteParts::write_parts) behind it therefore
    /// writes part files which are the sorted whole, one after the other; [`gather`](super::Gather::gather) keeps the order
    /// of one worker, and none between several.
    ///
    /// `compare` must be a total order, as for [`slice::sort_by`]. Records that it calls equal keep the order in which
    /// one worker had them; those that different workers had come in the order of these workers on both sides of the border between two
    /// ranges, and mixed within a range. On one worker the sort is stable. An answer that is to be the same for any
    /// number of workers needs an order without equals.
    ///
    /// Ranges have nearly equal numbers of records whatever the keys: 2,048 records or more of each worker are sampled, which
    /// makes a range of more than 1.1 times the mean a rarity.
    ///
    /// Cost: every record is exchanged once through serde and compared log₂(workers) times on its way and log₂(records)
    /// times in its range. Memory: all records, and half as much again of their own size while a range is sorted.
    /// What exceeds `--memory` is written and read twice, once before the exchange and once as sorted runs behind it; a further time
    /// for every sixty-fold of runs.
    ///
    /// ```
    /// use millrace::operators::Sort;
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     // ORDER BY price DESC, name
    ///     let mut expected = ["cherry", "apple", "banana"].into_iter();
    ///     [("apple".to_owned(), 1.5f64), ("banana".to_owned(), 1.5), ("cherry".to_owned(), 9.0)]
    ///         .to_stream(scope)
    ///         .sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)))
    ///         .inspect(move |(name, _)| assert_eq!(Some(&name[..]), expected.next()));
    /// });
    /// ```
    fn sort_by(self, compare: impl Fn(&D, &D) -> Ordering + Clone + 'static) -> StreamVec<'scope, Round, D>;
}

impl<'scope, D: ExchangeData + Clone> Sort<'scope, D> for StreamVec<'scope, Round, D> {
    fn sort_by(self, compare: impl Fn(&D, &D) -> Ordering + Clone + 'static) -> StreamVec<'scope, Round, D> {
        let spare = Spare::default();
        let held = Rc::new(RefCell::new(Held::new(WorkerContext::current())));
        let samples = hold(self, Rc::clone(&held)).broadcast();
        let ranges = send(samples, held, compare.clone(), Rc::clone(&spare));
        sort_ranges(ranges, compare, spare)
    }
}

/// Holds all records, and gives a sample of them at the end.
fn hold<D: ExchangeData + Clone>(
    records: StreamVec<'_, Round, D>,
    held: Rc<RefCell<Held<D>>>,
) -> StreamVec<'_, Round, Sample<D>> {
    let failure = WorkerContext::current().process.failure.clone();
    let mut sampler = Sampler::new(records.scope().index() as u32);
    records.unary_notify::<CapacityContainerBuilder<Vec<Sample<D>>>, _, _>(
        Pipeline,
        "Hold",
        [END],
        move |input, output, notificator| {
            let mut held = held.borrow_mut();
            input.for_each(|_, records| {
                sampler.look(records);
                held.take(records).unwrap_or_else(|error| failure.set(error));
            });
            while let Some(end) = notificator.next() {
                held.settle().unwrap_or_else(|error| failure.set(error));
                output.session(&end).give(sampler.sample());
            }
        },
    )
}

/// Sends what is held to the workers whose ranges it falls into.
fn send<D: ExchangeData + Clone>(
    samples: StreamVec<'_, Round, Sample<D>>,
    held: Rc<RefCell<Held<D>>>,
    compare: impl Fn(&D, &D) -> Ordering + 'static,
    spare: Spare<D>,
) -> Stream<'_, Round, RoutedSerde<D>> {
    let (index, peers) = (samples.scope().index(), samples.scope().peers());
    let context = WorkerContext::current();
    let mut sender = RangeSender {
        index: index as u32,
        held,
        router: Router::new(peers, 1, CONTAINER_RECORDS, spare),
        exit: Exit::new(index, Rc::clone(&context)),
        context,
        sent: 0,
    };
    let (mut all, mut ranges) = (Vec::new(), None);
    samples.unary_notify::<NoopBuilder<_>, _, _>(
        Pipeline,
        "RouteRange",
        [END],
        move |input, output, notificator| {
            input.for_each(|_, samples| all.append(samples));
            let Some(end) = notificator.next() else { return };
            let ranges = ranges.get_or_insert_with(|| Ranges::of(std::mem::take(&mut all), peers, &compare));
            let mut session = output.session_with_builder(&end);
            let left = sender.turn(ranges, &compare, |container| session.give_container(container));
            drop(session);
            match left {
                Ok(true) => notificator.notify_at(end),
                Ok(false) => {}
                Err(error) => sender.context.process.failure.set(error),
            }
        },
    )
}

/// Sorts what comes to this worker.
fn sort_ranges<D: ExchangeData>(
    ranges: Stream<'_, Round, RoutedSerde<D>>,
    compare: impl Fn(&D, &D) -> Ordering + Clone + 'static,
    spare: Spare<D>,
) -> StreamVec<'_, Round, D> {
    let context = WorkerContext::current();
    let exit = Exit::new(ranges.scope().index(), Rc::clone(&context));
    let mut sorter = Sorter::new(compare, Rc::clone(&context));
    let buffers = BufferPool::new(spare, CONTAINER_RECORDS, usize::MAX);
    ranges.unary_notify::<CapacityContainerBuilder<Vec<D>>, _, _>(
        routed(),
        "Sort",
        [END],
        move |input, output, notificator| {
            input.for_each(|_, container| {
                let container = std::mem::take(container);
                let sender = container.partition;
                let mut records = container.into_body().into_records();
                let bytes = held_bytes(&records);
                if !exit.leaves(sender) {
                    context.process.memory.land(bytes);
                }
                let taken = sorter.take(&mut records, bytes);
                taken.unwrap_or_else(|error| context.process.failure.set(error));
                buffers.give(records);
            });
            let Some(end) = notificator.next() else { return };
            let mut session = output.session(&end);
            for _ in 0..TURN_RECORDS {
                match sorter.next() {
                    Ok(Some(record)) => session.give(record),
                    Ok(None) => return,
                    Err(error) => return context.process.failure.set(error),
                }
            }
            drop(session);
            notificator.notify_at(end);
        },
    )
}

/// Sends the records one worker held.
struct RangeSender<D> {
    index: u32,
    held: Rc<RefCell<Held<D>>>,
    router: Router<D>,
    exit: Exit,
    context: Rc<WorkerContext>,
    /// Records sent so far, which is the place of the next.
    sent: u64,
}

impl<D: ExchangeData> RangeSender<D> {
    /// Sends some; false when all are sent.
    fn turn(
        &mut self,
        ranges: &Ranges<D>,
        compare: &impl Fn(&D, &D) -> Ordering,
        mut give: impl FnMut(&mut RoutedSerde<D>),
    ) -> Result<bool, Error> {
        let turn_begins = self.sent;
        while self.sent < turn_begins + TURN_RECORDS as u64 && self.context.process.memory.may_launch() {
            let Some(batch) = self.held.borrow_mut().next_batch()? else {
                for worker in 0..self.router.targets() {
                    if let Some(last) = self.router.take(worker) {
                        self.send(last, &mut give);
                    }
                }
                return Ok(false);
            };
            for record in batch {
                let worker = ranges.worker_of((&record, self.index, self.sent), compare);
                self.sent += 1;
                if let Some(full) = self.router.push_to(worker, record) {
                    self.send(full, &mut give);
                }
            }
        }
        if self.sent == turn_begins {
            // Somebody else has to take in what was sent.
            std::thread::yield_now();
        }
        Ok(true)
    }

    /// Sends a container. In place of a partition, of which there is one, it tells who sent it.
    fn send(&self, full: Full<D>, give: &mut impl FnMut(&mut RoutedSerde<D>)) {
        if !self.exit.leaves(full.worker) {
            self.context.process.memory.launch(held_bytes(&full.records));
        }
        self.exit.send_encoded(Full { partition: self.index, ..full }, &self.router, give);
    }
}

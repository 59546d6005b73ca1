//! `gather`: all records, brought to worker 0 and handed out of the dataflow.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;

use super::context::{END, Round};
use super::notify::UnaryNotify;

/// Bringing records together.
pub trait Gather<D> {
    /// Sends every record to worker 0, where [`Gathered::take`] has them after the dataflow ended: those of one worker in the
    /// order in which it gave them, those of several mixed, unless they are [`sorted`](Gathered::sorted).
    ///
    /// Cost: every record is exchanged once, through serde where it crosses processes. Memory: all of them at worker 0, not counted to
    /// `--memory` and never spilled: gather answers and not data, for which there is [`write_parts`](super::WriteParts::write_parts).
    ///
    /// ```
    /// use millrace::operators::Gather;
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// let numbers = timely::execute_directly(|worker| {
    ///     let gathered = worker.dataflow(|scope| (0..4u64).to_stream(scope).gather());
    ///     while worker.step() {}
    ///     gathered.take()
    /// });
    /// assert_eq!(numbers, Some(vec![0, 1, 2, 3]));
    /// ```
    fn gather(self) -> Gathered<D>;
}

/// Where gathered records wait for the end of the dataflow.
pub struct Gathered<D> {
    records: Rc<RefCell<Option<Vec<D>>>>,
    order: Option<Order<D>>,
}

type Order<D> = Box<dyn Fn(&D, &D) -> Ordering>;

impl<D: 'static> Gathered<D> {
    /// The records, once, on worker 0 after all input has been seen; `None` before, and on other workers.
    pub fn take(&self) -> Option<Vec<D>> {
        let mut records = self.records.borrow_mut().take()?;
        if let Some(order) = &self.order {
            records.sort_by(order);
        }
        Some(records)
    }

    /// Puts the records in order on worker 0: `ORDER BY` of an answer that is small enough to be gathered.
    ///
    /// ```
    /// use millrace::operators::Gather;
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// let letters = timely::execute_directly(|worker| {
    ///     let gathered = worker.dataflow(|scope| ['r', 'm'].to_stream(scope).gather().sorted());
    ///     while worker.step() {}
    ///     gathered.take()
    /// });
    /// assert_eq!(letters, Some(vec!['m', 'r']));
    /// ```
    #[must_use]
    pub fn sorted(self) -> Self
    where
        D: Ord,
    {
        self.sorted_by(Ord::cmp)
    }

    /// The same in the order of `compare`; equals stay as they came, which is in no order where they came from several workers.
    #[must_use]
    pub fn sorted_by(self, compare: impl Fn(&D, &D) -> Ordering + 'static) -> Self {
        Gathered { order: Some(Box::new(compare)), ..self }
    }
}

impl<D> std::fmt::Debug for Gathered<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered").field("sorted", &self.order.is_some()).finish_non_exhaustive()
    }
}

impl<D: ExchangeData> Gather<D> for StreamVec<'_, Round, D> {
    fn gather(self) -> Gathered<D> {
        let gathered = Rc::new(RefCell::new(None));
        let handle = Gathered { records: Rc::clone(&gathered), order: None };
        let first = self.scope().index() == 0;
        let mut records = Vec::new();
        self.unary_notify::<CapacityContainerBuilder<Vec<()>>, _, _>(
            Exchange::new(|_: &D| 0),
            "Gather",
            [END],
            move |input, _, notificator| {
                input.for_each(|_, batch| records.append(batch));
                while notificator.next().is_some() {
                    if first {
                        *gathered.borrow_mut() = Some(std::mem::take(&mut records));
                    }
                }
            },
        );
        handle
    }
}

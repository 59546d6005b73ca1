//! `gather`: all records, brought to worker 0 and handed out of the dataflow.

use std::cell::RefCell;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;

use super::context::{END, Round};
use super::notify::UnaryNotify;

/// Bringing records together.
pub trait Gather<D> {
    /// Sends every record to worker 0, where [`Gathered::take`] has them, in no order, after the dataflow ended.
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
#[derive(Debug)]
pub struct Gathered<D>(Rc<RefCell<Option<Vec<D>>>>);

impl<D> Gathered<D> {
    /// The records, once, on worker 0 after all input has been seen; `None` before, and on other workers.
    pub fn take(&self) -> Option<Vec<D>> {
        self.0.borrow_mut().take()
    }
}

impl<D: ExchangeData> Gather<D> for StreamVec<'_, Round, D> {
    fn gather(self) -> Gathered<D> {
        let gathered = Rc::new(RefCell::new(None));
        let handle = Gathered(Rc::clone(&gathered));
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

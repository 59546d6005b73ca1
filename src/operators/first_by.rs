//! `first_by`: the first records of all, in an order.
//!
//! ```text
//!  records ─► the first of each worker ─► exchange to worker 0 ─► the first of these, in order
//! ```

use std::cmp::Ordering;
use std::rc::Rc;

use timely::ExchangeData;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, ParallelizationContract, Pipeline};

use super::best::Best;
use super::context::{END, Round};
use super::notify::UnaryNotify;

/// The first of all records.
pub trait FirstBy<'scope, D> {
    /// Gives the first `limit` records in the order of `compare`, on worker 0 and in this order, after all input has been seen:
    /// `ORDER BY … LIMIT n`. Which of equals are among them is not told, so let `compare` end with what tells rows apart.
    ///
    /// Cost: a comparison for a record that is not among the first, up to 2 log₂(`limit`) for one that is; each worker sends up to
    /// `limit` records to worker 0, through serde where they cross processes. Memory: `limit` records on each worker, and as many again on
    /// worker 0, not counted to `--memory` and never spilled, since `limit` bounds them: for a large part of all records, [`sort`](super::Sort::sort).
    ///
    /// ```
    /// use millrace::operators::{FirstBy, Gather};
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// let first = timely::execute_directly(|worker| {
    ///     let gathered = worker.dataflow(|scope| {
    ///         [('a', 1.5f64), ('b', 9.0), ('c', 1.5), ('d', 4.0)]
    ///             .to_stream(scope)
    ///             .first_by(3, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)))
    ///             .gather()
    ///     });
    ///     while worker.step() {}
    ///     gathered.take()
    /// });
    /// assert_eq!(first, Some(vec![('b', 9.0), ('d', 4.0), ('a', 1.5)]));
    /// ```
    fn first_by(
        self,
        limit: usize,
        compare: impl Fn(&D, &D) -> Ordering + 'static,
    ) -> StreamVec<'scope, Round, D>;
}

impl<'scope, D: ExchangeData> FirstBy<'scope, D> for StreamVec<'scope, Round, D> {
    fn first_by(
        self,
        limit: usize,
        compare: impl Fn(&D, &D) -> Ordering + 'static,
    ) -> StreamVec<'scope, Round, D> {
        let compare = Rc::new(compare);
        let own = first_of(self, Pipeline, "First", limit, Rc::clone(&compare));
        first_of(own, Exchange::new(|_: &D| 0), "First of all", limit, compare)
    }
}

/// The first of what comes to each worker, in order.
fn first_of<'scope, D: ExchangeData>(
    records: StreamVec<'scope, Round, D>,
    pact: impl ParallelizationContract<Round, Vec<D>>,
    name: &str,
    limit: usize,
    compare: Rc<impl Fn(&D, &D) -> Ordering + 'static>,
) -> StreamVec<'scope, Round, D> {
    let mut first = Best::new(limit);
    records.unary_notify::<CapacityContainerBuilder<Vec<D>>, _, _>(
        pact,
        name,
        [END],
        move |input, output, notificator| {
            input.for_each(|_, records| records.drain(..).for_each(|record| first.offer(record, &*compare)));
            while let Some(end) = notificator.next() {
                output.session(&end).give_iterator(first.take_sorted(&*compare).into_iter());
            }
        },
    )
}

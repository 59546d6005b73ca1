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

use super::context::{END, Round};
use super::notify::UnaryNotify;

/// The first of all records.
pub trait FirstBy<'scope, D> {
    /// Gives the first `limit` records in the order of `compare`, on worker 0 and in this order, after all input has been seen:
    /// `ORDER BY … LIMIT n`. Which of equals are among them is not told, so let `compare` end with what tells rows apart.
    ///
    /// Cost: a comparison for a record that is not among the first, a few for one that is; each worker sends up to `limit` records to
    /// worker 0, through serde where they cross processes. Memory: twice `limit` records on each worker, and as many again on worker 0, not
    /// counted to `--memory` and never spilled, since `limit` bounds them: for a large part of all records, [`sort`](super::Sort::sort).
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
    let mut first = First::new(limit, compare);
    records.unary_notify::<CapacityContainerBuilder<Vec<D>>, _, _>(
        pact,
        name,
        [END],
        move |input, output, notificator| {
            input.for_each(|_, records| records.drain(..).for_each(|record| first.offer(record)));
            while let Some(end) = notificator.next() {
                output.session(&end).give_iterator(first.take_sorted().into_iter());
            }
        },
    )
}

/// The first of the records offered so far, among up to as many others.
struct First<D, C> {
    limit: usize,
    compare: C,
    kept: Vec<D>,
    /// The record at `limit - 1` is the last of the first so far: what is not before it is not wanted.
    bounded: bool,
}

/// Fewer records are not worth looking for the first of them.
const LEAST_CUT: usize = 64;

impl<D, C: Fn(&D, &D) -> Ordering> First<D, Rc<C>> {
    fn new(limit: usize, compare: Rc<C>) -> Self {
        First { limit, compare, kept: Vec::new(), bounded: false }
    }

    fn offer(&mut self, record: D) {
        let wanted = !self.bounded || (self.compare)(&record, &self.kept[self.limit - 1]).is_lt();
        if wanted && self.limit > 0 {
            self.kept.push(record);
            if self.kept.len() >= self.limit.saturating_mul(2).max(LEAST_CUT) {
                self.cut();
            }
        }
    }

    /// Keeps the first `limit`.
    fn cut(&mut self) {
        if self.kept.len() > self.limit {
            let compare = &self.compare;
            self.kept.select_nth_unstable_by(self.limit - 1, |a, b| compare(a, b));
            self.kept.truncate(self.limit);
            self.bounded = true;
        }
    }

    fn take_sorted(&mut self) -> Vec<D> {
        self.cut();
        let mut kept = std::mem::take(&mut self.kept);
        kept.sort_unstable_by(|a, b| (self.compare)(a, b));
        self.bounded = false;
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Catches a record lost at a cut, one kept beyond the limit, and a bound that is out of date.
        #[test]
        fn is_the_sorted_head(numbers in proptest::collection::vec(0u16..500, 0..400), limit in 0usize..80) {
            let mut first = First::new(limit, Rc::new(u16::cmp));
            numbers.iter().for_each(|&number| first.offer(number));
            let mut sorted = numbers;
            sorted.sort_unstable();
            sorted.truncate(limit);
            prop_assert_eq!(first.take_sorted(), sorted);
        }
    }
}

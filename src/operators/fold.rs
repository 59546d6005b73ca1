//! `fold`: each worker folds its records into one value.

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;

use super::context::{END, Round};
use super::notify::UnaryNotify;

/// Folding on each worker.
pub trait Fold<'scope, D> {
    /// Folds the records of each worker into a value that starts as `initial`, and gives one value per worker,
    /// also where there were no records. Nothing is exchanged; [`gather`](super::Gather::gather) brings the
    /// values together.
    ///
    /// Cost: a call of `step` for each record, where it is. Memory: what the value holds, one for each worker, and nothing of the records.
    /// That is the query's own choice, so it is not counted to `--memory` and never spilled: fold into totals, or into the best ten by
    /// [`Top`](super::Top), and leave what grows with the input to a reducer.
    ///
    /// ```
    /// use millrace::operators::Fold;
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     [3u64, 9, 4].to_stream(scope).fold(0, |most, number| *most = number.max(*most)).inspect(|most| assert_eq!(*most, 9));
    /// });
    /// ```
    fn fold<A: 'static>(
        self,
        initial: A,
        step: impl FnMut(&mut A, D) + 'static,
    ) -> StreamVec<'scope, Round, A>;
}

impl<'scope, D: 'static> Fold<'scope, D> for StreamVec<'scope, Round, D> {
    fn fold<A: 'static>(
        self,
        initial: A,
        mut step: impl FnMut(&mut A, D) + 'static,
    ) -> StreamVec<'scope, Round, A> {
        let mut folded = Some(initial);
        self.unary_notify::<CapacityContainerBuilder<Vec<A>>, _, _>(
            Pipeline,
            "Fold",
            [END],
            move |input, output, notificator| {
                input.for_each(|_, records| {
                    if let Some(folded) = &mut folded {
                        records.drain(..).for_each(|record| step(folded, record));
                    }
                });
                while let Some(end) = notificator.next() {
                    output.session(&end).give_iterator(folded.take().into_iter());
                }
            },
        )
    }
}

//! `count`: how many records there are, as one number on worker 0.

use timely::Container;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::{Stream, StreamVec};

use super::context::{END, Round};
use super::notify::UnaryNotify;

/// Counting over all workers.
pub trait Count<'scope> {
    /// Gives the number of records of all workers, once, on worker 0.
    ///
    /// Cost: an addition for each container of records; one number of 8 bytes per worker is exchanged. Memory: that number,
    /// too little to count to `--memory`.
    ///
    /// ```
    /// use millrace::operators::Count;
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     ["a", "b", "c"].to_stream(scope).count().inspect(|count| assert_eq!(*count, 3));
    /// });
    /// ```
    fn count(self) -> StreamVec<'scope, Round, u64>;
}

impl<'scope, C: Container> Count<'scope> for Stream<'scope, Round, C> {
    fn count(self) -> StreamVec<'scope, Round, u64> {
        let first = self.scope().index() == 0;
        let (mut own, mut total) = (0, 0);
        self.unary_notify::<CapacityContainerBuilder<Vec<u64>>, _, _>(
            Pipeline,
            "Count",
            [END],
            move |input, output, notificator| {
                input.for_each(|_, records| own += records.record_count() as u64);
                while let Some(end) = notificator.next() {
                    output.session(&end).give(own);
                }
            },
        )
        .unary_notify::<CapacityContainerBuilder<Vec<u64>>, _, _>(
            Exchange::new(|_: &u64| 0),
            "Total",
            [END],
            move |input, output, notificator| {
                input.for_each(|_, counts| total += counts.drain(..).sum::<u64>());
                while let Some(end) = notificator.next() {
                    if first {
                        output.session(&end).give(total);
                    }
                }
            },
        )
    }
}

//! `unary_notify`: an operator that reads its input and is told when a time is over.
//!
//! timely 0.32 dropped the operator of this name and left `unary_frontier`; every reducer of Millrace has this
//! shape, so the trait gives it back.

use timely::ContainerBuilder;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::ParallelizationContract;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::{InputHandleCore, Operator, OutputBuilderSession};
use timely::order::TotalOrder;
use timely::progress::Timestamp;
use timely::progress::frontier::MutableAntichain;

/// Operators that act when all input up to a time has been seen.
pub trait UnaryNotify<'scope, T: Timestamp + TotalOrder, C> {
    /// Reads the stream under `pact` and hands `logic` its input, its output and its notifications.
    ///
    /// A notification for every time in `init` is requested on every worker, also on one that gets no data.
    ///
    /// ```
    /// use millrace::operators::{END, UnaryNotify};
    /// use timely::container::CapacityContainerBuilder;
    /// use timely::dataflow::channels::pact::Exchange;
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     let mut sum = 0;
    ///     (1..=10u64)
    ///         .to_stream(scope)
    ///         .unary_notify::<CapacityContainerBuilder<Vec<u64>>, _, _>(
    ///             Exchange::new(|_| 0),
    ///             "Sum",
    ///             [END],
    ///             move |input, output, notificator| {
    ///                 input.for_each(|_, numbers| sum += numbers.drain(..).sum::<u64>());
    ///                 while let Some(end) = notificator.next() {
    ///                     output.session(&end).give(sum);
    ///                 }
    ///             },
    ///         )
    ///         .inspect(|sum| assert_eq!(*sum, 55));
    /// });
    /// ```
    fn unary_notify<CB, L, P>(
        self,
        pact: P,
        name: &str,
        init: impl IntoIterator<Item = T>,
        logic: L,
    ) -> Stream<'scope, T, CB::Container>
    where
        CB: ContainerBuilder,
        P: ParallelizationContract<T, C>,
        L: FnMut(
                &mut InputHandleCore<T, C, P::Puller>,
                &mut OutputBuilderSession<'_, T, CB>,
                &mut Notificator<'_, T>,
            ) + 'static;
}

/// The notifications an operator asked for and those that are due.
#[derive(Debug)]
pub struct Notificator<'a, T: Timestamp> {
    pending: &'a mut Vec<Capability<T>>,
    frontier: &'a MutableAntichain<T>,
}

impl<T: Timestamp + TotalOrder> Notificator<'_, T> {
    /// Asks to be told when the time of `capability` is over.
    ///
    /// For a time that is over already, the operator runs again after every other operator had its turn: the way
    /// to give much output in pieces.
    pub fn notify_at(&mut self, capability: Capability<T>) {
        self.pending.push(capability);
    }

    /// The least requested time that is over, with the right to send at it.
    #[expect(clippy::should_implement_trait, reason = "not an iterator: requests may be made between calls")]
    pub fn next(&mut self) -> Option<Capability<T>> {
        let due = |capability: &Capability<T>| !self.frontier.less_equal(capability.time());
        let least = (0..self.pending.len())
            .filter(|&index| due(&self.pending[index]))
            .min_by(|&a, &b| self.pending[a].time().cmp(self.pending[b].time()))?;
        Some(self.pending.swap_remove(least))
    }
}

impl<'scope, T: Timestamp + TotalOrder, C: timely::Container> UnaryNotify<'scope, T, C>
    for Stream<'scope, T, C>
{
    fn unary_notify<CB, L, P>(
        self,
        pact: P,
        name: &str,
        init: impl IntoIterator<Item = T>,
        mut logic: L,
    ) -> Stream<'scope, T, CB::Container>
    where
        CB: ContainerBuilder,
        P: ParallelizationContract<T, C>,
        L: FnMut(
                &mut InputHandleCore<T, C, P::Puller>,
                &mut OutputBuilderSession<'_, T, CB>,
                &mut Notificator<'_, T>,
            ) + 'static,
    {
        let scope = self.scope();
        self.unary_frontier(pact, name, |capability, info| {
            let activator = scope.activator_for(info.address);
            let mut pending: Vec<_> = init.into_iter().map(|time| capability.delayed(&time)).collect();
            move |(input, frontier), output| {
                logic(input, output, &mut Notificator { pending: &mut pending, frontier });
                if pending.iter().any(|capability| !frontier.less_equal(capability.time())) {
                    activator.activate();
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timely::container::CapacityContainerBuilder;
    use timely::dataflow::channels::pact::Pipeline;
    use timely::dataflow::operators::{Capture, Input, capture::Extract};

    #[test]
    fn times_come_in_order_and_only_when_over() {
        // Catches a notification that fires early, twice, or never on a worker without data.
        let captured = timely::execute_directly(|worker| {
            let (mut input, captured) = worker.dataflow::<u64, _, _>(|scope| {
                let (input, stream) = scope.new_input::<Vec<u64>>();
                let mut seen = 0;
                let notified = stream.unary_notify::<CapacityContainerBuilder<Vec<(u64, u64)>>, _, _>(
                    Pipeline,
                    "Notify",
                    [2, 1, 4],
                    move |input, output, notificator| {
                        input.for_each(|_, data| seen += data.len() as u64);
                        while let Some(time) = notificator.next() {
                            output.session(&time).give((*time.time(), seen));
                            // Once more for a time already over: it must run again, and stop.
                            if *time.time() == 2 && seen == 1 {
                                seen = 100;
                                notificator.notify_at(time);
                            }
                        }
                    },
                );
                (input, notified.capture())
            });
            input.send(7);
            input.advance_to(3);
            for _ in 0..5 {
                worker.step();
            }
            input.send(8);
            input.close();
            captured
        });
        let seen: Vec<_> = captured.extract().into_iter().flat_map(|(_, data)| data).collect();
        assert_eq!(seen, [(1, 1), (2, 1), (2, 100), (4, 101)]);
    }
}

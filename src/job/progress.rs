//! Telling process 0 how much the other processes have read.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Operator;
use timely::dataflow::operators::generic::operator::source;
use timely::scheduling::Activator;
use timely::worker::Worker;

use crate::operators::Round;

/// How often the figures are sent.
const INTERVAL: Duration = Duration::from_millis(100);

/// Runs a small dataflow beside the query's while `running`: the first worker of every other process sends how
/// many more bytes its process has read, worker 0 adds them to its own process's count. The activator makes it
/// look at `running` at once.
pub(super) fn follow(
    worker: &mut Worker,
    bytes: &Arc<AtomicU64>,
    workers: usize,
    running: &Rc<Cell<bool>>,
) -> Activator {
    let tells = worker.index() != 0 && worker.index().is_multiple_of(workers);
    let bytes = Arc::clone(bytes);
    let running = Rc::clone(running);
    worker.dataflow::<Round, _, _>(|scope| {
        let mut address = None;
        let read = Arc::clone(&bytes);
        source::<_, CapacityContainerBuilder<Vec<u64>>, _, _>(scope, "Told", |capability, info| {
            let activator = scope.activator_for(Rc::clone(&info.address));
            address = Some(info.address);
            let mut held = Some(capability);
            let mut told = 0;
            move |output| {
                let Some(capability) = &held else { return };
                let now = read.load(Ordering::Relaxed);
                if tells && now > told {
                    output.session(capability).give(now - told);
                    told = now;
                }
                if running.get() {
                    activator.activate_after(INTERVAL);
                } else {
                    held = None;
                }
            }
        })
        .unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
            Exchange::new(|_: &u64| 0),
            "Heard",
            |_, _| {
                move |input, _| {
                    input.for_each(|_, more| {
                        bytes.fetch_add(more.drain(..).sum::<u64>(), Ordering::Relaxed);
                    });
                }
            },
        );
        scope.activator_for(address.unwrap_or_default())
    })
}

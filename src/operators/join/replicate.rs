//! How the build records of heavy keys come to all workers: the worker that owns a key sends them once it was asked.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

use timely::container::NoopBuilder;
use timely::dataflow::Stream;
use timely::dataflow::operators::{Capability, Operator};

use super::sender::{ASK, REPLICA, RowsContainer, WHOLE};
use super::sides::Sides;
use crate::Error;
use crate::exchange::{Addressed, Rows, routed};
use crate::keys::PlaceHasher;
use crate::operators::context::{Round, WorkerContext};
use crate::operators::router::Exit;

/// Passes probe records on to the join of this worker, and where a key is asked for, its build records to those of all workers.
///
/// The build side must be whole for that. It belongs to the join, which runs this operator when it is.
pub(super) fn replicate(
    probe: Stream<'_, Round, RowsContainer>,
    sides: Rc<RefCell<Sides>>,
) -> Stream<'_, Round, RowsContainer> {
    let scope = probe.scope();
    let (index, peers, context) = (scope.index(), scope.peers(), WorkerContext::current());
    let exit = Exit::new(index, Rc::clone(&context));
    let mut answered: HashSet<u64, PlaceHasher> = HashSet::default();
    let mut asked: Vec<(Capability<Round>, u64)> = Vec::new();
    probe.unary_frontier::<NoopBuilder<_>, _, _, _>(routed(), "Replicate", move |_, info| {
        sides.borrow_mut().wake_when_built(scope.activator_for(info.address));
        move |(input, _), output| {
            input.for_each(|capability, container| {
                if container.partition == ASK {
                    // Others ask too, and are told with the first.
                    let fresh = container.body().iter().map(|row| row.hash);
                    let fresh = fresh.filter(|&hash| answered.insert(hash));
                    asked.extend(fresh.filter_map(|hash| Some((capability.retain_least(0)?, hash))));
                    return;
                }
                exit.pass();
                output.session_with_builder(&capability).give_container(container);
            });
            let mut sides = sides.borrow_mut();
            if asked.is_empty() || !sides.is_built() || context.process.failure.is_set() {
                return;
            }
            for (capability, hash) in asked.drain(..) {
                let mut session = output.session_with_builder(&capability);
                let outcome = answer(&mut sides, hash, peers, |mut container| {
                    exit.count(&container);
                    session.give_container(&mut container);
                });
                outcome.unwrap_or_else(|error| context.process.failure.set(error));
            }
        }
    })
}

/// Gives the build records of a hash to every worker, and then word that these are all.
fn answer(
    sides: &mut Sides,
    hash: u64,
    peers: usize,
    mut give: impl FnMut(RowsContainer),
) -> Result<(), Error> {
    let mut end = Rows::default();
    end.push(hash, &(), &()).map_err(Error::Data)?;
    let replica = sides.rows_of(hash, peers)?;
    for worker in 0..peers as u32 {
        for rows in &replica {
            give(Addressed::to(worker, REPLICA, rows.clone()));
        }
        give(Addressed::to(worker, WHOLE, end.clone()));
    }
    Ok(())
}

//! The operator of all joins: it takes in both sides, and gives what is made of the records that meet.

use std::cell::RefCell;
use std::hash::Hash;
use std::marker::PhantomData;
use std::rc::Rc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{ParallelizationContract, Pipeline};
use timely::dataflow::operators::{Capability, Operator, Probe};
use timely::dataflow::{Stream, StreamVec};
use timely::{Container, ExchangeData};

use super::JoinStrategy;
use super::record::{ProbeRecord, is_same};
use super::replicate::replicate;
use super::sender::{Destination, REPLICA, RowsContainer, Spare, WHOLE, addressed};
use super::sides::Sides;
use super::spilled::{FreshPairs, Pairs};
use super::table::Group;
use crate::Error;
use crate::exchange::{Row, routed};
use crate::operators::context::{END, Round, WorkerContext};
use crate::operators::sort::TURN_RECORDS;

/// What is made is handed over once it takes so many bytes.
const CONTAINER_BYTES: usize = 32 << 10;

/// Brings both sides together and calls `logic` for each probe record with the group of its key, or for an inner or a
/// left join with each record of that group in a group of its own; `duplicates` says whether that wants all records of
/// a key or merely one.
pub(super) fn meet<'scope, K, P, B, O>(
    probe: StreamVec<'scope, Round, (K, P)>,
    build: StreamVec<'scope, Round, (K, B)>,
    strategy: JoinStrategy,
    duplicates: bool,
    logic: impl FnMut(ProbeRecord<'_, K, P>, Option<Group<'_>>, &mut Vec<O>) -> Result<(), Error> + 'static,
) -> StreamVec<'scope, Round, O>
where
    K: ExchangeData + Hash + Eq + Clone,
    P: ExchangeData + Clone,
    B: ExchangeData + Clone,
    O: 'static,
{
    let (peers, context) = (probe.scope().peers(), WorkerContext::current());
    let partitions = strategy.partitions(peers);
    let spare = Spare::default();
    // With one worker no key is heavier for it than for others.
    let spreads = strategy == JoinStrategy::Hash && peers > 1;
    let (build_to, probe_to) = match strategy {
        JoinStrategy::Broadcast => (Destination::Everyone, None),
        _ if spreads => (Destination::Owner, Some(Destination::OwnerUnlessHeavy)),
        _ => (Destination::Owner, Some(Destination::Owner)),
    };
    let build = Build { rows: addressed(build, build_to, partitions, spare.clone()), spare };
    let sides = Sides::new(strategy, partitions, spreads, duplicates, is_same::<K>, context);
    let sides = Rc::new(RefCell::new(sides));
    let name = strategy.operator_name();
    let Some(probe_to) = probe_to else {
        return join(build, (probe, Pipeline), AsTheyCome, name, sides, logic);
    };
    let spare = Spare::default();
    let probe = addressed(probe, probe_to, partitions, spare.clone());
    let probe = if spreads { replicate(probe, Rc::clone(&sides)) } else { probe };
    join(build, (probe, routed()), AsRows { spare }, name, sides, logic)
}

/// The build side on its way, and what keeps its buffers.
struct Build<'scope> {
    rows: Stream<'scope, Round, RowsContainer>,
    spare: Spare,
}

/// Builds the operator, which takes in the probe side as `intake` does.
fn join<'scope, K, P, C, O>(
    build: Build<'scope>,
    (probe, pact): (Stream<'scope, Round, C>, impl ParallelizationContract<Round, C>),
    mut intake: impl Intake<K, P, C> + 'static,
    name: &str,
    sides: Rc<RefCell<Sides>>,
    mut logic: impl FnMut(ProbeRecord<'_, K, P>, Option<Group<'_>>, &mut Vec<O>) -> Result<(), Error> + 'static,
) -> StreamVec<'scope, Round, O>
where
    K: ExchangeData + Hash + Eq + Clone,
    P: ExchangeData + Clone,
    C: Container,
    O: 'static,
{
    let (scope, context) = (probe.scope(), WorkerContext::current());
    let (flow, spare) = (context.flow_probe(), build.spare);
    let mut out = Vec::new();
    build
        .rows
        .binary_frontier::<_, CapacityContainerBuilder<Vec<O>>, _, _, _, _>(
            probe,
            routed(),
            pact,
            name,
            move |capability, info| {
                let (activator, index) = (scope.activator_for(info.address), scope.index());
                let mut end: Option<Capability<Round>> = Some(capability.delayed(&END));
                drop(capability);
                move |(build, build_frontier), (probe, probe_frontier), output| {
                    let mut sides = sides.borrow_mut();
                    let failure = &context.process.failure;
                    // What comes after a failure is of no use to anyone.
                    let fail = |outcome: Result<(), Error>| {
                        outcome.unwrap_or_else(|error| failure.set(error));
                    };
                    build.for_each(|_, container| {
                        let container = std::mem::take(container);
                        if !failure.is_set() {
                            fail(sides.take_build(container, &spare));
                        }
                    });
                    let mut is_built = false;
                    if build_frontier.frontier().is_empty() && !failure.is_set() {
                        fail(sides.end_build(index).map(|whole| is_built = whole));
                    }
                    probe.for_each(|capability, container| {
                        if !failure.is_set() {
                            let mut session = output.session(&capability);
                            let give = |made: &mut Vec<O>| session.give_container(made);
                            let mut pairs = Making::new(&mut logic, give, &mut out, usize::MAX);
                            fail(intake.take(container, &mut sides, &mut pairs));
                            pairs.give_rest();
                        }
                    });
                    if failure.is_set() {
                        end = None;
                    }
                    let Some(capability) = &end else { return };
                    let over = is_built && probe_frontier.frontier().is_empty();
                    if build_frontier.frontier().is_empty() && !is_built {
                        // Others of this process have yet to come to the end of their build side.
                        activator.activate();
                    }
                    if !over && !sides.may_catch_up() {
                        // Also when nothing came: other operators may need the memory.
                        return fail(sides.relieve());
                    }
                    let mut session = output.session(capability);
                    let give = |made: &mut Vec<O>| session.give_container(made);
                    let mut pairs = Making::new(&mut logic, give, &mut out, TURN_RECORDS);
                    let outcome = sides.turn(over, &mut pairs);
                    pairs.give_rest();
                    drop(session);
                    match outcome {
                        Ok(true) => activator.activate(),
                        Ok(false) if over => end = None,
                        Ok(false) => {}
                        Err(error) => failure.set(error),
                    }
                }
            },
        )
        .probe_with(&flow)
}

/// How containers of the probe side are taken in.
trait Intake<K, P, C> {
    /// Takes a container, and lets its records meet their groups, or wait for them.
    fn take(
        &mut self,
        container: &mut C,
        sides: &mut Sides,
        pairs: &mut impl FreshPairs<K, P>,
    ) -> Result<(), Error>;
}

/// As rows of bytes, which came from the worker that read them.
struct AsRows {
    spare: Spare,
}

impl<K, P> Intake<K, P, RowsContainer> for AsRows {
    fn take(
        &mut self,
        container: &mut RowsContainer,
        sides: &mut Sides,
        pairs: &mut impl FreshPairs<K, P>,
    ) -> Result<(), Error> {
        let container = std::mem::take(container);
        match container.partition {
            REPLICA => sides.take_replica(container, &self.spare),
            WHOLE => {
                sides.note_whole(&container);
                Ok(())
            }
            _ => sides.take_probe(container, &self.spare, pairs),
        }
    }
}

/// As what they are, since they are where they were read.
struct AsTheyCome;

impl<K, P> Intake<K, P, Vec<(K, P)>> for AsTheyCome
where
    K: ExchangeData + Hash + Eq,
    P: ExchangeData,
{
    fn take(
        &mut self,
        records: &mut Vec<(K, P)>,
        sides: &mut Sides,
        pairs: &mut impl FreshPairs<K, P>,
    ) -> Result<(), Error> {
        let taken = sides.take_fresh(records, pairs);
        records.clear();
        taken
    }
}

/// Calls what the join was given for records that meet, and hands over what it makes before it is much.
struct Making<'a, K, P, L, G, O> {
    logic: &'a mut L,
    give: G,
    out: &'a mut Vec<O>,
    /// How many records may be looked at or made before others have a turn.
    left: usize,
    records: PhantomData<fn(K, P)>,
}

impl<'a, K, P, L, G, O> Making<'a, K, P, L, G, O>
where
    L: FnMut(ProbeRecord<'_, K, P>, Option<Group<'_>>, &mut Vec<O>) -> Result<(), Error>,
    G: FnMut(&mut Vec<O>),
{
    const CONTAINER_RECORDS: usize = {
        let records = CONTAINER_BYTES / if size_of::<O>() == 0 { 1 } else { size_of::<O>() };
        if records == 0 { 1 } else { records }
    };

    fn new(logic: &'a mut L, give: G, out: &'a mut Vec<O>, left: usize) -> Self {
        Making { logic, give, out, left, records: PhantomData }
    }

    #[inline]
    fn make(&mut self, record: ProbeRecord<'_, K, P>, group: Option<Group<'_>>) -> Result<(), Error> {
        if self.out.capacity() == 0 {
            // At once: one that grows is copied several times, to where nothing is near.
            self.out.reserve(Self::CONTAINER_RECORDS);
        }
        (self.logic)(record, group, self.out)?;
        if self.out.len() >= Self::CONTAINER_RECORDS {
            self.give_rest();
        }
        Ok(())
    }

    fn give_rest(&mut self) {
        self.left = self.left.saturating_sub(self.out.len());
        (self.give)(self.out);
        self.out.clear();
    }
}

impl<K, P, L, G, O> Pairs for Making<'_, K, P, L, G, O>
where
    L: FnMut(ProbeRecord<'_, K, P>, Option<Group<'_>>, &mut Vec<O>) -> Result<(), Error>,
    G: FnMut(&mut Vec<O>),
{
    #[inline]
    fn meet(&mut self, record: Row<'_>, group: Option<Group<'_>>) -> Result<(), Error> {
        self.make(ProbeRecord::Written(record), group)
    }

    #[inline]
    fn look(&mut self, records: usize) -> bool {
        self.left = self.left.saturating_sub(records);
        self.left > 0
    }
}

impl<K, P, L, G, O> FreshPairs<K, P> for Making<'_, K, P, L, G, O>
where
    L: FnMut(ProbeRecord<'_, K, P>, Option<Group<'_>>, &mut Vec<O>) -> Result<(), Error>,
    G: FnMut(&mut Vec<O>),
{
    #[inline]
    fn meet_fresh(&mut self, record: &(K, P), group: Option<Group<'_>>) -> Result<(), Error> {
        self.make(ProbeRecord::Fresh(record), group)
    }
}

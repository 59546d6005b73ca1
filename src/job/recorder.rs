//! What a worker records of itself for the profile of a run, from the events that timely logs.
//!
//! timely tells of each operator when it starts and stops, and of each container that is sent or received: nothing for
//! a record. Without a recorder it tells nobody and takes no time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use timely::logging::{ChannelsEvent, OperatesEvent, ParkEvent, StartStop, TimelyEvent, TimelyEventBuilder};
use timely::worker::Worker;

use crate::operators::WorkerContext;
use crate::report::{Buckets, Edge, OperatorShare, PlannedOperator, Work, WorkerProfile, resident_bytes};

/// The name under which timely looks for a logger.
const LOG: &str = "timely";
/// How long no look at the memory is taken, at least: one reads a file of the kernel's.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Operators whose input comes by timely's own exchange; ours is known by its containers.
const EXCHANGING: [&str; 4] = ["Gather", "Total", "First of all", "Exchange"];
/// What passes on what came over an exchange by another one, to the same worker for the most part.
const PASSES_ON: &str = "Replicate";
/// What timely puts between two operators to look at the frontier.
const PROBE: &str = "Probe";

/// Records one dataflow of one worker, from before it is built.
pub(super) struct Recorder(Rc<RefCell<Log>>);

impl Recorder {
    /// From here on, the next dataflow of the worker is recorded; `looks` tells whether this worker looks at the memory of
    /// its process.
    pub(super) fn start(worker: &Worker, looks: bool) -> Self {
        let log = Rc::new(RefCell::new(Log::new(looks)));
        let heard = Rc::clone(&log);
        if let Some(mut registry) = worker.log_register() {
            registry.insert::<TimelyEventBuilder, _>(LOG, move |now, events| {
                let mut log = heard.borrow_mut();
                for (time, event) in events.iter_mut().flat_map(|events| events.drain(..)) {
                    log.hear(time, event);
                }
                log.look(*now);
            });
        }
        Recorder(log)
    }

    /// Ends the recording.
    pub(super) fn finish(self, worker: &Worker, context: &WorkerContext) -> WorkerProfile {
        if let Some(mut registry) = worker.log_register() {
            registry.flush();
            registry.remove(LOG);
        }
        let mut log = self.0.take();
        let sent = context.sent();
        let mut sent_bytes = vec![0; worker.peers()];
        for (worker, bytes) in sent.iter().flat_map(|sent| sent.iter().enumerate()) {
            sent_bytes[worker] += bytes;
        }
        log.attribute(worker.index(), &sent);
        WorkerProfile {
            worker: worker.index(),
            process: context.process_of(worker.index()),
            operators: log.shares(),
            buckets: log.buckets,
            sent_bytes,
        }
    }
}

/// What was heard so far.
#[derive(Default)]
struct Log {
    /// The dataflow that was built first after the start; there are others, to tell progress.
    dataflow: Option<usize>,
    /// By place in the dataflow.
    operators: BTreeMap<usize, Heard>,
    /// From timely's number of an operator to its place.
    places: BTreeMap<usize, usize>,
    channels: BTreeMap<usize, Channel>,
    buckets: Buckets,
    started: BTreeMap<usize, Duration>,
    parked: Option<Duration>,
    looks: bool,
    looked: Option<Duration>,
}

struct Heard {
    name: String,
    work: Work,
    busy: Duration,
    exchanged_bytes: u64,
}

struct Channel {
    /// Place of an operator and which of its outputs.
    source: (usize, usize),
    target: usize,
    /// Whether it has our routed containers.
    routed: bool,
    /// Whether no other channel was seen to have the same source, so that what it sends is what the source gave.
    first: bool,
    sent: u64,
    received: u64,
}

impl Log {
    fn new(looks: bool) -> Self {
        Log { looks, ..Log::default() }
    }

    fn hear(&mut self, time: Duration, event: TimelyEvent) {
        if self.dataflow.is_none()
            && let TimelyEvent::Channels(ChannelsEvent { scope_addr: address, .. })
            | TimelyEvent::Operates(OperatesEvent { addr: address, .. }) = &event
        {
            self.dataflow = address.first().copied();
        }
        match event {
            TimelyEvent::Schedule(event) => match event.start_stop {
                StartStop::Start => drop(self.started.insert(event.id, time)),
                StartStop::Stop => self.stop(event.id, time),
            },
            TimelyEvent::Messages(event) => {
                let Some(channel) = self.channels.get_mut(&event.channel) else { return };
                let records = event.record_count as u64;
                if event.is_send {
                    channel.sent += records;
                    let scanned = (self.operators.get(&channel.source.0))
                        .is_some_and(|operator| operator.work == Work::Scan);
                    if channel.first && scanned {
                        self.buckets.at(time).read += records;
                    }
                } else {
                    channel.received += records;
                    let passed_on = (self.operators.get(&channel.source.0))
                        .is_some_and(|operator| operator.name == PASSES_ON);
                    if channel.routed && !passed_on {
                        self.buckets.at(time).received += records;
                    }
                }
            }
            TimelyEvent::Park(ParkEvent::Park(_)) => self.parked = Some(time),
            TimelyEvent::Park(ParkEvent::Unpark) => {
                if let Some(since) = self.parked.take() {
                    self.buckets.spend(Work::Wait, since, time);
                }
            }
            TimelyEvent::Operates(event) => {
                if let [dataflow, place] = event.addr[..]
                    && self.dataflow == Some(dataflow)
                {
                    self.places.insert(event.id, place);
                    let work = work_of(&event.name);
                    let heard = Heard { name: event.name, work, busy: Duration::ZERO, exchanged_bytes: 0 };
                    self.operators.insert(place, heard);
                }
            }
            // Channels of a scope inside, and of other dataflows, are not ours.
            TimelyEvent::Channels(event) if event.scope_addr.iter().eq(&self.dataflow) => {
                let first = !self.channels.values().any(|channel| channel.source == event.source);
                let channel = Channel {
                    source: event.source,
                    target: event.target.0,
                    routed: event.typ.contains("Addressed"),
                    first,
                    sent: 0,
                    received: 0,
                };
                self.channels.insert(event.id, channel);
            }
            _ => {}
        }
    }

    fn stop(&mut self, id: usize, time: Duration) {
        let Some(since) = self.started.remove(&id) else { return };
        let place = self.places.get(&id);
        let Some(operator) = place.and_then(|place| self.operators.get_mut(place)) else { return };
        operator.busy += time.saturating_sub(since);
        self.buckets.spend(operator.work, since, time);
    }

    /// Looks at the memory now and then.
    fn look(&mut self, now: Duration) {
        let pause = LOOK_EVERY.max(self.buckets.width());
        if self.looks && self.looked.is_none_or(|looked| now >= looked + pause) {
            self.looked = Some(now);
            let bucket = self.buckets.at(now);
            bucket.memory_bytes = bucket.memory_bytes.max(resident_bytes().unwrap_or(0));
        }
    }

    /// Gives each sender its bytes: senders and the operators that give routed containers come in the same order, that in
    /// which they were built. Some senders only receive, which is seen from what they sent. Where the two do not pair up, no
    /// operator gets any, and [`Profile::tree`](crate::report::Profile::tree) tells how much that leaves.
    fn attribute(&mut self, own: usize, sent: &[Vec<u64>]) {
        let senders: Vec<_> = sent.iter().filter(|sent| !sent.is_empty()).collect();
        let channels = self.channels.values().filter(|channel| channel.routed && channel.sent > 0);
        let mut sources: Vec<_> = channels.map(|channel| channel.source.0).collect();
        sources.sort_unstable();
        if senders.len() != sources.len() {
            return;
        }
        for (place, sent) in sources.iter().zip(senders) {
            if let Some(operator) = self.operators.get_mut(place) {
                let others = sent.iter().enumerate().filter(|(worker, _)| *worker != own);
                operator.exchanged_bytes += others.map(|(_, bytes)| bytes).sum::<u64>();
            }
        }
    }

    /// The operators in the order in which they were built, without the probes between them.
    fn shares(&self) -> Vec<OperatorShare> {
        let is_probe = |place: usize| self.operators.get(&place).is_some_and(|heard| heard.name == PROBE);
        let shown = self.operators.iter().filter(|(_, heard)| heard.name != PROBE);
        let share = |(&place, heard): (&usize, &Heard)| {
            let into = self.channels.values().filter(|channel| channel.target == place);
            let out_of = self.channels.values().filter(|channel| channel.source.0 == place && channel.first);
            let edge = |channel: &Channel| {
                let (mut from, mut routed) = (channel.source.0, channel.routed);
                while is_probe(from) {
                    let Some(before) = self.channels.values().find(|channel| channel.target == from) else {
                        break;
                    };
                    (from, routed) = (before.source.0, routed || before.routed);
                }
                Edge { from, exchange: routed || EXCHANGING.contains(&heard.name.as_str()) }
            };
            OperatorShare {
                operator: PlannedOperator {
                    id: place,
                    name: heard.name.clone(),
                    inputs: into.clone().map(edge).collect(),
                },
                rows_in: into.map(|channel| channel.received).sum(),
                rows_out: out_of.map(|channel| channel.sent).sum(),
                exchanged_bytes: heard.exchanged_bytes,
                busy: heard.busy,
            }
        };
        shown.map(share).collect()
    }
}

fn work_of(operator: &str) -> Work {
    match operator.split(' ').next() {
        Some("Scan") => Work::Scan,
        Some("Write") => Work::Write,
        _ => Work::Reduce,
    }
}

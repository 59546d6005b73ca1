//! What the operators of one worker share: the first failure, the counters, and how far the input may run ahead.
//!
//! A worker is a thread, so this lives in the thread: an operator finds it with [`WorkerContext::current`] while
//! the dataflow is built, and keeps it. `job` installs one for each run; plain timely programs get a default one.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use timely::dataflow::operators::probe::Handle;

use crate::error::FirstFailure;
use crate::input::{Input, SplitAssignment, SplitQueue};
use crate::memory::Budget;
use crate::report::JoinShare;

/// The timestamp of every dataflow: which round of a scan a record came from. It is flow control and nothing
/// else: to the user of an operator there is one epoch, and it is over at [`END`].
pub type Round = u64;

/// The time at which all input has been seen, and at which reducers give their output.
pub const END: Round = Round::MAX;

/// Rounds set aside for each scan of a dataflow: scans run in the order in which they were built, so that a
/// join's build side is there before its probe side starts.
const ROUNDS_OF_A_SCAN: u64 = 1 << 48;

/// Rounds that may be under way at once for each worker of a process. Eight kept 8 to 12 MB in flight whatever
/// the receiver did, at no cost in time.
const WINDOW: u64 = 8;

/// Scans wait while more than this waits for a program, which may be far slower than they are.
const MOST_PIPED_BYTES: usize = 1 << 20;

/// What a worker counted; totals of the run so far.
#[derive(Debug, Default)]
pub struct Counters {
    /// Splits read to their end.
    pub splits: Cell<u64>,
    /// Bytes of input read.
    pub bytes: Cell<u64>,
    /// Bytes of text parsed: more, where files are compressed.
    pub text_bytes: Cell<u64>,
    /// Rows read, bad ones not counted.
    pub rows: Cell<u64>,
    /// How many of them the reader left out, as values of a range's column rule them out.
    pub filtered_rows: Cell<u64>,
    /// Rows that were not read, as bounds of their blocks or pages rule them out.
    pub unread_rows: Cell<u64>,
    /// Pages of columns that were not decoded, in blocks that were read.
    pub passed_pages: Cell<u64>,
    /// Rows skipped because they were bad.
    pub bad_records: Cell<u64>,
    /// Groups this worker's reducers held at the end of their input.
    pub groups: Cell<u64>,
    /// Bytes those groups occupied, empty slots included.
    pub group_bytes: Cell<u64>,
    /// Bytes of records sent to another worker.
    pub exchanged_bytes: Cell<u64>,
    /// Of these, bytes sent to a worker of another process.
    pub network_bytes: Cell<u64>,
    /// How long scans were held back.
    pub waited: Cell<Duration>,
    /// Bytes written to spill files.
    pub spilled_bytes: Cell<u64>,
    /// Partitions that were spilled, wholly or in part.
    pub spilled_partitions: Cell<u64>,
}

/// Adds to a counter.
pub(crate) fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

/// What is shared by all workers of one process.
#[derive(Debug, Clone, Default)]
pub struct ProcessShared {
    /// The first failure of the process; workers stop when it is set. In the hands of a worker it names that worker.
    pub failure: FirstFailure,
    /// What the reducers may hold in memory, and where they spill what exceeds it.
    pub memory: Budget,
    /// Bytes of input read by all workers of this process.
    pub bytes: Arc<AtomicU64>,
    /// Bytes that each scan reads in the end, at the workers of all processes that have its files.
    planned: Arc<Mutex<BTreeMap<usize, u64>>>,
    /// How splits come to workers.
    pub assignment: SplitAssignment,
    /// Whether the files of a scan are those of this process alone, for its workers alone.
    pub local_shards: bool,
    runs: Arc<Mutex<BTreeMap<u32, Arc<RunShared>>>>,
}

/// What is shared by all workers of one process in one run of the dataflow: each run starts afresh, though one worker
/// may build its dataflow while another is still in the run before.
#[derive(Debug, Default)]
struct RunShared {
    rounds: AtomicU64,
    queues: Mutex<BTreeMap<usize, Arc<SplitQueue>>>,
    /// What operators share, in the order in which they asked: it lives as long as one of them has it.
    values: Mutex<BTreeMap<usize, Weak<dyn Any + Send + Sync>>>,
}

impl ProcessShared {
    /// Nothing read yet, nothing failed, and so much memory.
    pub fn new(assignment: SplitAssignment, memory: Budget) -> Self {
        ProcessShared { memory, assignment, ..ProcessShared::default() }
    }

    /// The same, and each process has files of its own, if `local`.
    #[must_use]
    pub fn with_local_shards(self, local: bool) -> Self {
        ProcessShared { local_shards: local, ..self }
    }

    /// Bytes of input that all scans which were built so far read in the end.
    pub fn planned_bytes(&self) -> u64 {
        locked(&self.planned).values().sum()
    }

    /// The same in the hands of a worker.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> Self {
        ProcessShared { failure: self.failure.of_worker(worker), ..self.clone() }
    }
}

/// What the operators of one worker share.
#[derive(Debug)]
pub struct WorkerContext {
    /// Counters for the report.
    pub counters: Counters,
    /// What each scan reads.
    pub scans: RefCell<Vec<Input<()>>>,
    /// What was read of each split: scan, file and bytes.
    pub extents: RefCell<Vec<(usize, usize, Range<u64>)>>,
    /// What the process shares.
    pub process: ProcessShared,
    workers: usize,
    run: Arc<RunShared>,
    uncut: BTreeMap<usize, BTreeSet<usize>>,
    probes: RefCell<Vec<Handle<Round>>>,
    /// Bytes of the largest round that was given of late.
    round_bytes: Cell<u64>,
    /// Bytes that wait for programs of this worker.
    piped_bytes: Cell<usize>,
    /// What each sender gave, in the order in which they were built.
    sent: RefCell<Vec<Rc<Sent>>>,
    /// How many values were asked for.
    values: Cell<usize>,
    /// What each join sent that looks for heavy keys, in the same order.
    joins: RefCell<Vec<Rc<RefCell<JoinShare>>>>,
}

/// Bytes of records that one sender gave to each worker, its own too.
#[derive(Debug, Default)]
pub(crate) struct Sent(RefCell<Vec<u64>>);

impl Sent {
    /// Notes a container.
    pub(crate) fn add(&self, worker: usize, bytes: u64) {
        let mut sent = self.0.borrow_mut();
        if worker >= sent.len() {
            sent.resize(worker + 1, 0);
        }
        sent[worker] += bytes;
    }
}

thread_local! {
    static CURRENT: RefCell<Rc<WorkerContext>> = RefCell::new(WorkerContext::new(ProcessShared::default(), 1, 0, BTreeMap::new()));
}

impl WorkerContext {
    fn new(
        process: ProcessShared,
        workers: usize,
        run: u32,
        uncut: BTreeMap<usize, BTreeSet<usize>>,
    ) -> Rc<Self> {
        let run = Arc::clone(locked(&process.runs).entry(run).or_default());
        Rc::new(WorkerContext {
            counters: Counters::default(),
            scans: RefCell::default(),
            extents: RefCell::default(),
            process,
            workers,
            run,
            uncut,
            probes: RefCell::default(),
            round_bytes: Cell::default(),
            piped_bytes: Cell::default(),
            sent: RefCell::default(),
            values: Cell::default(),
            joins: RefCell::default(),
        })
    }

    /// Makes a fresh context current on this thread; `workers` is the number of workers in this process, `run` tells
    /// how often the dataflow ran before, `uncut` names for each scan the files that must not be cut.
    pub fn install(
        process: ProcessShared,
        workers: usize,
        run: u32,
        uncut: BTreeMap<usize, BTreeSet<usize>>,
    ) -> Rc<Self> {
        let context = Self::new(process, workers, run, uncut);
        CURRENT.with(|current| *current.borrow_mut() = Rc::clone(&context));
        context
    }

    /// The context of this thread.
    pub fn current() -> Rc<Self> {
        CURRENT.with(|current| Rc::clone(&current.borrow()))
    }

    /// Where a sender that is being built notes what it gives.
    pub(crate) fn next_sender(&self) -> Rc<Sent> {
        let sent = Rc::default();
        self.sent.borrow_mut().push(Rc::clone(&sent));
        sent
    }

    /// The bytes that each sender gave to each worker; workers behind the last that got any are left out.
    pub(crate) fn sent(&self) -> Vec<Vec<u64>> {
        self.sent.borrow().iter().map(|sent| sent.0.borrow().clone()).collect()
    }

    /// Where a join that is being built on so many workers notes its heavy keys.
    pub(crate) fn next_join(&self, peers: usize) -> Rc<RefCell<JoinShare>> {
        let share = Rc::new(RefCell::new(JoinShare { peers, ..JoinShare::default() }));
        self.joins.borrow_mut().push(Rc::clone(&share));
        share
    }

    /// What the joins noted that look for heavy keys.
    pub fn joins(&self) -> Vec<JoinShare> {
        self.joins.borrow().iter().map(|share| share.borrow().clone()).collect()
    }

    /// What an operator that is being built shares with its like at the other workers of this process: all build the same
    /// operators in the same order.
    pub(crate) fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        let number = self.values.replace(self.values.get() + 1);
        let mut values = locked(&self.run.values);
        let there = values.get(&number).and_then(Weak::upgrade).and_then(|value| value.downcast().ok());
        there.unwrap_or_else(|| {
            let fresh: Arc<T> = Arc::default();
            let weak: Weak<T> = Arc::downgrade(&fresh);
            values.insert(number, weak);
            fresh
        })
    }

    /// Workers of this process.
    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    /// Which process a worker of the job belongs to.
    pub(crate) fn process_of(&self, worker: usize) -> usize {
        worker / self.workers
    }

    /// A probe for an exchange to attach behind the records it takes in: scans wait for the slowest of them.
    pub(crate) fn flow_probe(&self) -> Handle<Round> {
        let probe = Handle::new();
        self.probes.borrow_mut().push(probe.clone());
        probe
    }

    /// The number of a scan of `input` that is being built, and which of its files it must not cut.
    pub(crate) fn next_scan<R>(&self, input: &Input<R>) -> (usize, BTreeSet<usize>) {
        let mut scans = self.scans.borrow_mut();
        scans.push(input.untyped());
        let scan = scans.len() - 1;
        (scan, self.uncut.get(&scan).cloned().unwrap_or_default())
    }

    /// Where worker `index` of `peers` takes the splits of a scan from. Of files that its process has alone, only the
    /// workers of the process count.
    pub(crate) fn splits<R>(
        &self,
        scan: usize,
        input: &Input<R>,
        index: usize,
        peers: usize,
    ) -> Arc<SplitQueue> {
        // Every worker plans the same, and again when the dataflow is run again.
        locked(&self.process.planned).insert(scan, input.bytes_to_read());
        let local = self.process.local_shards;
        let (index, peers) = if local { (index % self.workers, self.workers) } else { (index, peers) };
        match self.process.assignment {
            SplitAssignment::Modulo => {
                Arc::new(SplitQueue::in_order(input.assigned(index, peers).cloned().collect()))
            }
            SplitAssignment::Shared => {
                let (process, processes) = (self.process_of(index), peers / self.workers);
                let shared = || input.shared(process, processes, self.workers).cloned().collect();
                let mut queues = locked(&self.run.queues);
                let queue = queues.entry(scan);
                Arc::clone(queue.or_insert_with(|| Arc::new(SplitQueue::largest_first(shared()))))
            }
        }
    }

    /// The first round of a scan.
    pub(crate) fn first_round(scan: usize) -> Round {
        scan as u64 * ROUNDS_OF_A_SCAN
    }

    /// The round to give next, for a scan that gave all rounds before `own`: as late as that of any worker of
    /// this process, so that a worker that is ahead never waits for one that merely gave fewer rounds.
    pub(crate) fn next_round(&self, own: Round) -> Round {
        own.max(self.run.rounds.load(Ordering::Relaxed))
    }

    /// Notes that a round of records that take so many bytes was given.
    pub(crate) fn gave(&self, round: Round, bytes: u64) {
        self.run.rounds.fetch_max(round + 1, Ordering::Relaxed);
        // The largest of late: one that is large once should not slow down all that follow.
        let before = self.round_bytes.get();
        self.round_bytes.set(bytes.max(before - before / 8));
    }

    /// Notes that a program of this worker has `now` bytes to read where there were `before`.
    pub(crate) fn piped(&self, before: usize, now: usize) {
        self.piped_bytes.set(self.piped_bytes.get() - before + now);
    }

    /// Whether a scan that started at `first` must wait before it gives `round`: too much is in flight, a program has
    /// not read what waits for it, or an earlier scan is not over.
    pub(crate) fn must_wait(&self, first: Round, round: Round) -> bool {
        if self.piped_bytes.get() > MOST_PIPED_BYTES {
            return true;
        }
        let oldest = first.max(round.saturating_sub(self.window()));
        self.probes.borrow().iter().any(|probe| probe.less_than(&oldest))
    }

    /// Rounds that may be under way: fewer where so many would take more than their share of the budget.
    fn window(&self) -> u64 {
        let fit = self.process.memory.in_flight_bytes() as u64 / self.round_bytes.get().max(1);
        fit.clamp(1, WINDOW * self.workers as u64)
    }
}

/// Locks what holds together even if a worker panicked while it had the lock.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_counts_its_rounds_from_the_start() {
        // Once it went on where the second scan of the first run had ended: scans were no longer one after the other.
        let process = ProcessShared::default();
        let context = |run| WorkerContext::new(process.clone(), 2, run, BTreeMap::new());
        let (first, second) = (context(0), context(1));
        first.gave(WorkerContext::first_round(1) + 5, 0);
        assert_eq!(
            context(0).next_round(0),
            WorkerContext::first_round(1) + 6,
            "workers of a run count together"
        );
        assert_eq!(second.next_round(0), 0);
    }

    #[test]
    fn the_window_follows_the_budget() {
        // Catches wide records that fill the memory of a process whose reducers keep to theirs.
        let window = |limit: Option<u64>, rounds: &[u64]| {
            let memory = Budget::new(limit, std::env::temp_dir(), 2);
            let process = ProcessShared::new(SplitAssignment::default(), memory);
            let context = WorkerContext::new(process, 2, 0, BTreeMap::new());
            rounds.iter().for_each(|&bytes| context.gave(1, bytes));
            context.window()
        };
        assert_eq!(window(None, &[1 << 40]), 2 * WINDOW);
        assert_eq!(window(Some(80_000_000), &[]), 2 * WINDOW);
        assert_eq!(window(Some(80_000_000), &[600_000]), 2 * WINDOW);
        assert_eq!(window(Some(80_000_000), &[600_000, 2_000_000, 1_000]), 5);
        assert_eq!(window(Some(80_000_000), &[1 << 40]), 1);
    }
}

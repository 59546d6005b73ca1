//! The life of one worker: build the dataflow, run it to its end, tell the others how it went.
//!
//! A worker runs the dataflow once, or again in the rare case that line breaks inside quotes crossed a cut. Between
//! the steps all workers exchange what they know, which is also what makes each wait for all the others.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use timely::ExchangeData;
use timely::dataflow::Scope;
use timely::dataflow::operators::vec::{Broadcast, ToStream};
use timely::worker::Worker;

use super::recorder::Recorder;
use crate::Error;
use crate::formats::parts::{Output, Part};
use crate::input::{Fetched, Input, Stores, miscut_files};
use crate::operators::{Gathered, ProcessShared, Round, WorkerContext};
use crate::report::{
    JoinShare, LargestSplit, WorkerFigures, WorkerProfile, peak_rss_bytes, resident_bytes, thread_cpu_seconds,
};

/// How long a worker may sleep before it looks whether the job has failed.
const LOOK_UP: Duration = Duration::from_millis(20);

/// What the workers of a process are given.
#[derive(Debug)]
pub(super) struct Assignment {
    pub shared: ProcessShared,
    pub workers: usize,
    pub processes: usize,
    pub output: Option<Output>,
    /// Whether workers record what they do.
    pub records: bool,
    /// What this process planned to read.
    pub planned: Planned,
    pub stores: Stores,
}

/// What the tables of a plan have.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Planned {
    pub files: usize,
    pub compressed_files: usize,
    pub splits: usize,
}

/// What every worker tells every other when its dataflow has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Detail {
    pub figures: WorkerFigures,
    /// Of each join that looks for heavy keys.
    pub joins: Vec<JoinShare>,
    pub bad_records: u64,
    pub filtered_rows: u64,
    pub unread_rows: u64,
    pub passed_pages: u64,
    pub text_bytes: u64,
    pub exchanged_bytes: u64,
    pub network_bytes: u64,
    pub group_bytes: u64,
    pub spilled_bytes: u64,
    pub spilled_partitions: u64,
    /// Of the whole process, told by its first worker.
    pub peak_rss_bytes: Option<u64>,
    /// The same, before there was a dataflow.
    pub base_rss_bytes: Option<u64>,
    /// The same.
    pub queue_spilled_bytes: u64,
    /// The same.
    pub fetched: Fetched,
    /// The same.
    pub planned: Planned,
    /// The split of this worker that has the most bytes of rows.
    largest_split: Option<LargestSplit>,
    /// What the worker recorded, if it did.
    pub profile: Option<WorkerProfile>,
    extents: Vec<(usize, usize, Range<u64>)>,
}

/// How it was when a worker started.
struct Before {
    started: Instant,
    /// Memory of the whole process, where this is its first worker.
    rss_bytes: Option<u64>,
}

/// What a worker brings home.
#[derive(Debug)]
pub(super) struct Outcome<A> {
    /// The gathered answer, at worker 0.
    pub answer: Option<Vec<A>>,
    pub details: Vec<Detail>,
    /// The committed parts of all processes.
    pub parts: Vec<Part>,
    pub rereads: u32,
    pub largest_split: Option<LargestSplit>,
}

/// Runs one worker; `None` when the job failed, whose cause is then in the shared failure.
pub(super) fn run<A: 'static>(
    worker: &mut Worker,
    assignment: &Assignment,
    build: &impl Fn(Scope<'_, Round>) -> Gathered<A>,
) -> Option<Outcome<A>> {
    let failure = assignment.shared.of_worker(worker.index()).failure;
    let mut uncut: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut rereads = 0;
    let before = Before {
        started: Instant::now(),
        rss_bytes: worker.index().is_multiple_of(assignment.workers).then(resident_bytes).flatten(),
    };
    loop {
        let (shared, workers) = (assignment.shared.of_worker(worker.index()), assignment.workers);
        let context = WorkerContext::install(shared, workers, rereads, uncut.clone());
        let first = worker.index().is_multiple_of(workers);
        let recorder = assignment.records.then(|| Recorder::start(worker, first));
        let gathered = worker.dataflow(build);
        drive(worker, assignment)?;
        let profile = recorder.map(|recorder| recorder.finish(worker, &context));
        let details =
            share(worker, assignment, vec![detail(worker, assignment, &context, &before, profile)])?;
        let miscut = miscut(&own(&details, worker, assignment), &context.scans.borrow());
        if !anywhere(worker, assignment, !miscut.is_empty())? {
            let committed = match &assignment.output {
                // The exchange above has waited for every part; each process renames its own.
                Some(output) if worker.index().is_multiple_of(assignment.workers) => {
                    output.commit_parts().map_err(|error| failure.set(error)).unwrap_or_default()
                }
                _ => Vec::new(),
            };
            let parts = share(worker, assignment, committed)?;
            let largest_split =
                largest_split(details.iter().filter_map(|detail| detail.largest_split.clone()));
            return Some(Outcome { answer: gathered.take(), details, parts, rereads, largest_split });
        }
        for (scan, files) in miscut {
            let known = uncut.entry(scan).or_default();
            if let Some(file) = files.intersection(known).next() {
                // Nothing was cut there, so its bytes are not what they were.
                let path = context.scans.borrow()[scan].files()[*file].path.display().to_string();
                failure.set(Error::Data(format!("{path} changed while it was read")));
                return None;
            }
            known.extend(files);
        }
        rereads += 1;
        // What will be read again counts again: each worker's own bytes, and at process 0 what the others told it.
        let others = details.iter().filter(|detail| worker.index() == 0 && detail.figures.index >= workers);
        let read = context.counters.bytes.get() + others.map(|detail| detail.figures.bytes).sum::<u64>();
        assignment.shared.bytes.fetch_sub(read, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Steps until the dataflow has ended, or gives it up when something failed.
fn drive(worker: &mut Worker, assignment: &Assignment) -> Option<()> {
    let failure = &assignment.shared.failure;
    let running = Rc::new(Cell::new(true));
    let progress = (assignment.processes > 1)
        .then(|| super::progress::follow(worker, &assignment.shared.bytes, assignment.workers, &running));
    while !failure.is_set() && worker.has_dataflows() {
        worker.step_or_park(Some(LOOK_UP));
        if let Some(progress) = &progress
            && running.get()
            && worker.installed_dataflows().len() == 1
        {
            // Only the dataflow that tells progress is left: end it.
            running.set(false);
            progress.activate();
        }
    }
    if failure.is_set() {
        worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
        return None;
    }
    Some(())
}

/// Gives every worker what every worker has.
fn share<D>(worker: &mut Worker, assignment: &Assignment, own: Vec<D>) -> Option<Vec<D>>
where
    D: ExchangeData + Clone,
{
    let failure = &assignment.shared.failure;
    let received = Rc::new(RefCell::new(Vec::new()));
    let store = Rc::clone(&received);
    worker.dataflow::<Round, _, _>(|scope| {
        use timely::container::CapacityContainerBuilder;
        use timely::dataflow::channels::pact::Pipeline;
        use timely::dataflow::operators::Operator;
        own.to_stream(scope).broadcast().unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
            Pipeline,
            "Share",
            |_, _| move |input, _| input.for_each(|_, batch| store.borrow_mut().append(batch)),
        );
    });
    while !failure.is_set() && worker.has_dataflows() {
        worker.step_or_park(Some(LOOK_UP));
    }
    (!failure.is_set()).then(|| received.take())
}

/// What tells of the files that this process knows: of shards, only its own workers read those.
fn own<'a>(details: &'a [Detail], worker: &Worker, assignment: &Assignment) -> Vec<&'a Detail> {
    let process_of = |index: usize| index / assignment.workers;
    let here = |detail: &&Detail| {
        !assignment.shared.local_shards || process_of(detail.figures.index) == process_of(worker.index())
    };
    details.iter().filter(here).collect()
}

/// Whether something is so in any process. Where all know the same files, all know it without a word.
fn anywhere(worker: &mut Worker, assignment: &Assignment, here: bool) -> Option<bool> {
    if !assignment.shared.local_shards {
        return Some(here);
    }
    share(worker, assignment, vec![here]).map(|all| all.contains(&true))
}

fn detail(
    worker: &Worker,
    assignment: &Assignment,
    context: &WorkerContext,
    before: &Before,
    profile: Option<WorkerProfile>,
) -> Detail {
    let counters = &context.counters;
    let extents = context.extents.take();
    let first = worker.index().is_multiple_of(assignment.workers);
    Detail {
        figures: WorkerFigures {
            index: worker.index(),
            splits: counters.splits.get(),
            bytes: counters.bytes.get(),
            rows: counters.rows.get(),
            groups: counters.groups.get(),
            busy_seconds: thread_cpu_seconds(),
            elapsed_seconds: before.started.elapsed().as_secs_f64(),
            wait_seconds: counters.waited.get().as_secs_f64(),
        },
        joins: context.joins(),
        bad_records: counters.bad_records.get(),
        filtered_rows: counters.filtered_rows.get(),
        unread_rows: counters.unread_rows.get(),
        passed_pages: counters.passed_pages.get(),
        text_bytes: counters.text_bytes.get(),
        exchanged_bytes: counters.exchanged_bytes.get(),
        network_bytes: counters.network_bytes.get(),
        group_bytes: counters.group_bytes.get(),
        spilled_bytes: counters.spilled_bytes.get(),
        spilled_partitions: counters.spilled_partitions.get(),
        peak_rss_bytes: if first { peak_rss_bytes() } else { None },
        base_rss_bytes: before.rss_bytes,
        queue_spilled_bytes: if first { context.process.memory.queue_spilled_bytes() } else { 0 },
        fetched: if first { assignment.stores.fetched() } else { Fetched::default() },
        planned: if first { assignment.planned } else { Planned::default() },
        largest_split: largest_extent(&extents, &context.scans.borrow()),
        profile,
        extents,
    }
}

/// The split with the most bytes of rows, among those of a worker.
fn largest_extent(extents: &[(usize, usize, Range<u64>)], scans: &[Input<()>]) -> Option<LargestSplit> {
    let (scan, file, extent) = extents.iter().max_by_key(|(scan, file, extent)| {
        (extent.end - extent.start, Reverse((*scan, *file, extent.start)))
    })?;
    let file = scans[*scan].files()[*file].path.display().to_string();
    Some(LargestSplit { file, bytes: extent.end - extent.start })
}

/// The same, among those of all workers, in whatever order they come.
fn largest_split(splits: impl Iterator<Item = LargestSplit>) -> Option<LargestSplit> {
    splits.max_by(|a, b| a.bytes.cmp(&b.bytes).then_with(|| b.file.cmp(&a.file)))
}

/// The files of each scan whose splits do not meet.
fn miscut(details: &[&Detail], scans: &[Input<()>]) -> BTreeMap<usize, BTreeSet<usize>> {
    let of_scan = |wanted: usize| {
        let extents = details.iter().flat_map(|detail| &detail.extents);
        extents.filter(move |(scan, ..)| *scan == wanted).map(|(_, file, extent)| (*file, extent.clone()))
    };
    let miscut = |(scan, input): (usize, &Input<()>)| {
        (scan, miscut_files(&mut of_scan(scan).collect::<Vec<_>>(), input.files()))
    };
    scans.iter().enumerate().map(miscut).filter(|(_, files)| !files.is_empty()).collect()
}

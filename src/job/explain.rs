//! `--explain`: the plan of a run, as text: its dataflow, who reads what, and what memory is for.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use timely::dataflow::Scope;

use super::Job;
use super::recorder::Recorder;
use crate::Error;
use crate::cli::{self, JobSettings};
use crate::input::{Input, Split, SplitAssignment};
use crate::operators::{Gathered, Round, WorkerContext};
use crate::report::{PlannedOperator, tree};
use crate::units::{Bytes, counted};

/// Shares that are told one by one; of more, the least and the most.
const MOST_SHARES: usize = 16;
/// Workers that build the dataflow: all have the same operators, but some operators are there only if a worker is not alone.
const TOLD_APART: usize = 2;

/// What one worker reads, or the workers of one process that share.
#[derive(Debug, Default, Clone, Copy)]
struct Share {
    splits: usize,
    bytes: u64,
}

impl Share {
    fn of<'a>(input: &Input<()>, splits: impl Iterator<Item = &'a Split>) -> Self {
        splits.fold(Share::default(), |share, split| Share {
            splits: share.splits + 1,
            bytes: share.bytes + input.bytes_to_read_of(split),
        })
    }
}

impl Job {
    /// Builds the dataflow without running it, and prints what there is to know of it.
    pub(super) fn explain<A>(
        self,
        build: impl Fn(Scope<'_, Round>) -> Gathered<A> + Send + Sync + 'static,
    ) -> Result<(), Error> {
        if let Some(output) = &self.output {
            output.begin()?;
        }
        let shared = self.shared.clone();
        let peers = self.settings.workers * self.settings.cluster.processes();
        let workers = timely::execute(timely::Config::process(peers.min(TOLD_APART)), move |worker| {
            let context = WorkerContext::install(shared.clone(), worker.peers(), 0, BTreeMap::new());
            let recorder = Recorder::start(worker, false);
            let gathered = worker.dataflow(&build);
            worker.installed_dataflows().into_iter().for_each(|dataflow| worker.drop_dataflow(dataflow));
            drop(gathered);
            (recorder.finish(worker, &context).operators, context.scans.take())
        });
        let mut built = workers.map_err(Error::Cluster)?.join();
        if let Some(output) = &self.output {
            output.discard(true);
        }
        if let Some(failure) = self.shared.failure.take() {
            return Err(failure.error);
        }
        let (shares, scans) = built.swap_remove(0).map_err(Error::Cluster)?;
        let operators: Vec<_> = shares.into_iter().map(|share| share.operator).collect();
        cli::print(fmt::from_fn(|f| self.write_plan(f, &operators, &scans)))
    }

    fn write_plan(
        &self,
        f: &mut fmt::Formatter<'_>,
        operators: &[PlannedOperator],
        scans: &[Input<()>],
    ) -> fmt::Result {
        let settings = &self.settings;
        let (processes, workers) = (settings.cluster.processes(), settings.workers);
        let each = if processes > 1 { " each" } else { "" };
        writeln!(
            f,
            "{}: {} with {}{each}\n",
            settings.program,
            counted(processes, "process"),
            counted(workers, "worker")
        )?;
        for (line, _) in tree(&operators.iter().collect::<Vec<_>>()) {
            writeln!(f, "{line}")?;
        }
        for (name, decision) in &self.decisions {
            write_decision(f, name, decision)?;
        }
        for input in scans {
            write_table(f, input, settings)?;
        }
        self.write_memory(f)
    }

    fn write_memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = &self.shared.memory;
        let Some(limit) = self.settings.memory_bytes else { return writeln!(f, "\nmemory: no limit") };
        let in_flight = Bytes(memory.in_flight_bytes() as u64);
        writeln!(f, "\nmemory: {} for each process", Bytes(limit))?;
        writeln!(
            f,
            "  what reducers hold     {}, then they spill to {}",
            Bytes(memory.reducers_bytes() as u64),
            memory.directory().display()
        )?;
        writeln!(f, "  records in flight      {in_flight}, then scans wait")?;
        writeln!(f, "  buffers of routers     {in_flight}")
    }
}

/// What a query chose, by [`Job::decide`]: an object's values line by line, anything else behind the name.
fn write_decision(f: &mut fmt::Formatter<'_>, name: &str, decision: &Value) -> fmt::Result {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let Some(values) = decision.as_object() else { return writeln!(f, "\n{name}: {}", text(decision)) };
    writeln!(f, "\n{name}, as decided")?;
    let width = values.keys().map(String::len).max().unwrap_or(0);
    values.iter().try_for_each(|(key, value)| writeln!(f, "  {key:<width$}  {}", text(value)))
}

/// A scan's table. Of each worker, or of each process where its workers share, what it reads.
fn write_table(f: &mut fmt::Formatter<'_>, input: &Input<()>, settings: &JobSettings) -> fmt::Result {
    let files = input.files();
    let compressed = match files.iter().filter(|file| file.compression.is_some()).count() {
        0 => String::new(),
        count => format!(" ({count} compressed)"),
    };
    // Of column files, other columns and blocks without rows that are wanted are not.
    let read = match input.bytes_to_read() {
        all if all == input.bytes() => String::new(),
        most => format!(", at most {} of them to read", Bytes(most)),
    };
    writeln!(
        f,
        "\n{}{}: {}{compressed}, {}{read}, {} of up to {}",
        input.table().name,
        if settings.local_shards { ", the shard of process 0" } else { "" },
        counted(files.len(), "file"),
        Bytes(input.bytes()),
        counted(input.splits().len(), "split"),
        Bytes(input.splits().iter().map(|split| input.bytes_to_read_of(split)).max().unwrap_or(0))
    )?;
    let workers = settings.workers;
    let processes = if settings.local_shards { 1 } else { settings.cluster.processes() };
    let (who, all, shares): (_, _, Vec<_>) = match settings.assignment {
        SplitAssignment::Modulo => {
            let peers = processes * workers;
            let of_worker = |worker| Share::of(input, input.assigned(worker, peers));
            ("worker", "workers", (0..peers).map(of_worker).collect())
        }
        SplitAssignment::Shared => {
            let of_process = |process| Share::of(input, input.shared(process, processes, workers));
            ("process", "processes", (0..processes).map(of_process).collect())
        }
    };
    if shares.len() <= MOST_SHARES {
        return shares.iter().enumerate().try_for_each(|(index, share)| {
            writeln!(f, "  {who} {index:<2}  {}, {}", counted(share.splits, "split"), Bytes(share.bytes))
        });
    }
    let bytes = || shares.iter().map(|share| share.bytes);
    let (least, most) = (bytes().min().unwrap_or(0), bytes().max().unwrap_or(0));
    writeln!(f, "  {} {all}: {} to {} each", shares.len(), Bytes(least), Bytes(most))
}

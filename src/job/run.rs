//! The run itself: processes connect, workers run the dataflow to its end, and all of them end in the same way.

use std::any::Any;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Instant;

use serde::Serialize;
use timely::communication::Config;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::dataflow::Scope;

use super::ending::{CLEAN_UP, collect, network_ended, told};
use super::worker::{self, Assignment, Outcome};
use super::{Finished, Job, queues, watch};
use crate::Error;
use crate::cli;
use crate::cluster::{self, Connections, Fate, Verdict};
use crate::error::Failure;
use crate::operators::{Gathered, Round};
use crate::report::Progress;

impl Job {
    /// Runs the dataflow on every worker of every process, to its end. `None` on processes other than 0, which
    /// have nothing to print. If anything fails anywhere, this is an error, and no output was committed.
    ///
    /// With `--explain`, process 0 prints the plan instead, and all of them have nothing more to do.
    pub fn run<A, F>(self, build: F) -> Result<Option<Finished<A>>, Error>
    where
        A: Send + 'static,
        F: Fn(Scope<'_, Round>) -> Gathered<A> + Send + Sync + 'static,
    {
        let (output, first) = (self.output.clone(), self.settings.cluster.index() == 0);
        if self.settings.explain {
            return if first { self.explain(build).map(|()| None) } else { Ok(None) };
        }
        let finished = self.run_to_end(build);
        if let Some(output) = output {
            // Not left to the last clone's end: that may be with a worker that the process does not wait for.
            if finished.is_ok() { output.keep() } else { output.discard(first) }
        }
        finished
    }

    /// Runs the dataflow and tells what it gathered: [`Job::run`], and [`Finished::tell_rows`] where there is an answer. For a query
    /// whose answer is few rows; `ORDER BY` is [`Gathered::sorted`], with a `LIMIT` [`FirstBy`](crate::operators::FirstBy).
    pub fn answer<A, F>(self, columns: &[&'static str], build: F) -> Result<(), Error>
    where
        A: Serialize + Send + 'static,
        F: Fn(Scope<'_, Round>) -> Gathered<A> + Send + Sync + 'static,
    {
        self.run(build)?.map_or(Ok(()), |finished| finished.tell_rows(columns))
    }

    fn run_to_end<A, F>(self, build: F) -> Result<Option<Finished<A>>, Error>
    where
        A: Send + 'static,
        F: Fn(Scope<'_, Round>) -> Gathered<A> + Send + Sync + 'static,
    {
        let shared = self.shared.clone();
        let failure = shared.failure.clone();
        let cluster = &self.settings.cluster;
        let stopped = || failure.message();
        let Connections { data, fate, children } = cluster::connect(
            cluster,
            &self.fingerprint,
            self.settings.timeouts,
            &self.settings.log(),
            stopped,
        )?;
        let connected = Instant::now();
        let failed_elsewhere = failure.clone();
        fate.on_failure(move |cause| failed_elsewhere.set(Error::Cluster(cause.to_owned())));
        if let Some(output) = &self.output {
            output.begin().map_err(|error| failure.set(error)).ok();
            // No worker may write before every process has removed what it found.
            let begun = fate.confirm_unless(None, stopped);
            if failure.is_set() || begun.is_err() {
                return Err(told(&fate, failure.take()));
            }
        }
        let fails = |error| told(&fate, Some(Failure { worker: None, error }));
        let (builders, network) = self.builders(data).map_err(fails)?;

        let workers = self.settings.workers;
        let processes = cluster.processes();
        let assignment = Assignment {
            shared: shared.clone(),
            workers,
            processes,
            output: self.output.clone(),
            stores: self.stores.clone(),
            records: self.settings.verbose || self.settings.report_html.is_some(),
            planned: self.planned,
        };
        let progress = {
            let (shared, bytes) = (shared.clone(), shared.bytes.clone());
            Progress::start(self.settings.progress, move || shared.planned_bytes(), bytes)
        };
        let (sender, outcomes) = mpsc::channel();
        let guards = timely::execute::execute_from(
            builders,
            network,
            timely::WorkerConfig::default(),
            move |worker| {
                let outcome = worker::run(worker, &assignment, &build);
                // The main thread hangs up only when it gave up on this job.
                let _ = sender.send(outcome);
            },
        )
        .map_err(|error| fails(Error::Cluster(error)))?;

        let outcome = collect(&outcomes, workers, || failure.is_set());
        drop(progress);
        let Some(outcome) = outcome else {
            // The network threads may wait for a peer for ever: they end with the process.
            std::mem::forget(guards);
            return Err(told(&fate, failure.take()));
        };
        if !network_ended(guards, || failure.is_set()) {
            failure.set(Error::Cluster("the network ended early".into()));
        }
        if failure.is_set() {
            return Err(told(&fate, failure.take()));
        }
        self.conclude(&fate, &outcome)?;
        fate.finish();
        // The answer stands, whatever becomes of those who have done their part.
        if let Err(error) = children.wait(CLEAN_UP) {
            cli::note(format_args!("warning: {error}"));
        }
        let first = cluster.index() == 0;
        if first {
            watch::decided(&failure)?;
        }
        let report = self.report(&outcome, connected);
        let answer = outcome.answer.unwrap_or_default();
        Ok(first.then_some(Finished { answer, report, settings: self.settings, reports: self.reports }))
    }

    /// The two steps of a commit. Every process has its parts in place and confirms so; then process 0 writes the
    /// manifest, or fails to, and the others do as it says.
    fn conclude<A>(&self, fate: &Fate, outcome: &Outcome<A>) -> Result<(), Error> {
        let failure = &self.shared.failure;
        if self.settings.cluster.index() == 0 {
            fate.decide_alone(|| failure.message())?;
            let Some(output) = &self.output else { return Ok(()) };
            output
                .commit_manifest(outcome.parts.clone(), || failure.is_set())
                // Where a signal stopped it, that is the cause.
                .map_err(|error| failure.take().unwrap_or(Failure { worker: None, error }))
                .map_err(|failure| told(fate, Some(failure)))?;
            output.keep();
            return Ok(());
        }
        match fate.confirm_and_obey() {
            Verdict::Done => Ok(()),
            Verdict::Failed(line) => Err(Error::Cluster(line)),
            Verdict::Unknown(line) => {
                // They are part of the result if there is one, and if not, the next run removes them.
                if let Some(output) = &self.output {
                    output.leave();
                }
                Err(Error::Cluster(line))
            }
        }
    }

    /// What timely needs to start this process's workers, and what must outlive them.
    fn builders(
        &self,
        sockets: Vec<Option<TcpStream>>,
    ) -> Result<(Vec<AllocatorBuilder>, Box<dyn Any + Send>), Error> {
        let workers = self.settings.workers;
        if self.settings.cluster.processes() == 1 {
            let config = if workers == 1 { Config::Thread } else { Config::Process(workers) };
            return config.try_build().map_err(Error::Cluster);
        }
        let queues = 2 * workers * (self.settings.cluster.processes() - 1);
        let hooks = queues::hooks(&self.shared.memory, queues, &self.shared.failure);
        let local = ProcessBuilder::new_typed_vector(workers, hooks.refill.clone(), hooks.spill.clone());
        let index = self.settings.cluster.index();
        let (builders, guard) = initialize_networking_from_sockets(local, sockets, index, workers, hooks)
            .map_err(|source| Error::Cluster(format!("cannot start the network threads: {source}")))?;
        Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
    }
}

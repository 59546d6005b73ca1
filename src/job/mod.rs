//! The life of a run: plan → connect → start workers → run one dataflow to its end → gather → report → exit code.
//!
//! A query plans a [`Job`], opens its tables, and hands [`Job::run`] a closure that builds its dataflow; what the
//! dataflow gathered comes back on process 0 as [`Finished`].

mod ending;
mod explain;
mod join;
mod output;
mod progress;
mod queues;
mod recorder;
mod watch;
mod worker;

use std::any::Any;
use std::fmt::Display;
use std::net::TcpStream;
use std::ops::Add;
use std::sync::mpsc;
use std::time::Instant;

use serde::Serialize;
use timely::communication::Config;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::allocator::{AllocatorBuilder, ProcessBuilder};
use timely::dataflow::Scope;

use crate::Error;
use crate::cli::{self, JobArguments, JobSettings};
use crate::cluster::{self, Connections, Fate, Fingerprint, Verdict};
use crate::cost::RunCost;
use crate::error::Failure;
use crate::formats::parts::Output;
use crate::input::{self, Fetched, Input, InputOptions, Row, StoreOptions, Stores};
use crate::memory::Budget;
use crate::operators::{Gathered, ProcessShared, Ranking, Round};
use crate::report::{
    AnswerFigures, AnswerHash, AnswerRows, InputFigures, JoinFigures, Machine, Profile, Progress, RunReport,
    Seconds, imbalance,
};
use crate::tables::Table;
use crate::units::Count;
use ending::{CLEAN_UP, collect, network_ended, told};
pub use join::{ChosenJoin, JoinChoice, JoinSide};
use worker::{Assignment, Outcome, Planned};

/// A run that has not started.
#[derive(Debug)]
pub struct Job {
    arguments: serde_json::Value,
    decisions: serde_json::Map<String, serde_json::Value>,
    settings: JobSettings,
    started: Instant,
    fingerprint: Fingerprint,
    planned: Planned,
    /// What was said of the tables' files.
    warnings: Vec<String>,
    output: Option<Output>,
    shared: ProcessShared,
    stores: Stores,
    /// Where `--explain` claims an output, to leave the real one alone.
    scratch: Option<tempfile::TempDir>,
}

/// What a run brought to process 0.
#[derive(Debug)]
pub struct Finished<A> {
    /// What the dataflow gathered.
    pub answer: Vec<A>,
    /// What the run says of itself; [`Finished::tell`] adds the answer's figures.
    pub report: RunReport,
    settings: JobSettings,
}

impl<A> Finished<A> {
    /// Ends the run: writes the report if one was asked for, prints the answer on stdout, as `text` or as one JSON
    /// object with `fields` in it, and on stderr what the run took, of which `--json` leaves only that records were skipped.
    pub fn tell(
        mut self,
        hash: AnswerHash,
        fields: serde_json::Value,
        text: impl Display,
    ) -> Result<(), Error> {
        self.report.answer = AnswerFigures { rows: hash.rows(), hash: hash.to_string() };
        if let Some(path) = &self.settings.report {
            self.report.write(path)?;
        }
        if let Some(path) = &self.settings.report_html {
            self.report.write_page(path)?;
        }
        if self.settings.json {
            let mut object = serde_json::json!({
                "query": self.report.query,
                "rows": self.report.input.rows,
                "hash": self.report.answer.hash,
            });
            if let (Some(object), serde_json::Value::Object(fields)) = (object.as_object_mut(), fields) {
                object.extend(fields);
            }
            cli::print(format_args!("{object}\n"))?;
            // For whoever looks at what a script printed: the object is as good without bad records.
            self.report.skipped().iter().for_each(cli::note);
        } else {
            cli::print(text)?;
            cli::note(&self.report);
        }
        if let Some(profile) = self.report.profile.as_ref().filter(|_| self.settings.verbose) {
            cli::note(format_args!("\n{}", profile.tree()));
        }
        Ok(())
    }
}

impl<A> Finished<A> {
    /// Makes another answer of what was gathered: rows of groups, one total of the workers' parts.
    pub fn map<B>(self, change: impl FnOnce(Vec<A>) -> Vec<B>) -> Finished<B> {
        let Finished { answer, report, settings } = self;
        Finished { answer: change(answer), report, settings }
    }
}

impl<A: Serialize> Finished<A> {
    /// Ends the run of a query whose answer is few rows: prints them in the order of [`Finished::answer`], as a table with
    /// these columns or, with `--json`, as the objects of `answer`; each row is a tuple of as many values.
    pub fn tell_rows(mut self, columns: &[&'static str]) -> Result<(), Error> {
        let rows = AnswerRows::new(columns, &std::mem::take(&mut self.answer))?;
        self.tell(rows.hash, serde_json::json!({ "answer": rows.json() }), rows.text())
    }
}

impl Finished<AnswerHash> {
    /// Ends the run of a query whose answer is what it wrote, of which each worker has the hash of its rows: prints how many there
    /// are, by how many the largest share has, and the hash of all; with `--json` as `answer_rows` and `largest_share`.
    pub fn tell_written(self) -> Result<(), Error> {
        let largest = self.answer.iter().map(AnswerHash::rows).max().unwrap_or(0);
        let hash: AnswerHash = self.answer.iter().copied().sum();
        let (rows, largest_share) = (Count(hash.rows()), Count(largest));
        let text = format!("{rows} rows, at most {largest_share} of one worker, hash {hash}\n");
        self.tell(hash, serde_json::json!({ "answer_rows": hash.rows(), "largest_share": largest }), text)
    }
}

impl<T: Ord> Finished<Ranking<T>> {
    /// Ends the run of a query whose answer is many rows: prints the best of them as [`Finished::tell_rows`] does, each made by `row`
    /// of its score and item, then the number and the hash of all rows; with `--json`, that number is `answer_rows`.
    pub fn tell_ranking<R: Serialize>(
        mut self,
        columns: &[&'static str],
        row: impl Fn((f64, T)) -> R,
    ) -> Result<(), Error> {
        let Ranking { hash, top } = Ranking::of_all(std::mem::take(&mut self.answer));
        let best: Vec<_> = top.into_sorted().into_iter().map(row).collect();
        let rows = AnswerRows::new(columns, &best)?;
        let text = format!("{}{} rows, hash {hash}\n", rows.text(), Count(hash.rows()));
        self.tell(hash, serde_json::json!({ "answer_rows": hash.rows(), "answer": rows.json() }), text)
    }
}

impl Job {
    /// Resolves what was typed. `options` are the query's own flags, without the shared ones: they must be equal on
    /// every process and appear in the report.
    ///
    /// From here on a first signal fails the run, and a second one ends the process.
    pub fn plan(program: &'static str, options: &impl Serialize, job: &JobArguments) -> Result<Self, Error> {
        let started = Instant::now();
        let settings = job.resolve(program)?;
        let budget = Budget::new(settings.memory_bytes, settings.spill_dir.clone(), settings.workers);
        let read_ahead = if input::is_remote(&settings.data) { settings.store.read_ahead_bytes } else { 0 };
        let shared = ProcessShared::new(settings.assignment, budget.with_read_ahead(read_ahead))
            .with_local_shards(settings.local_shards);
        shared.memory.begin_with_small_pages(settings.workers);
        let stores = Stores::new(StoreOptions { failure: shared.failure.clone(), ..settings.store.clone() });
        let ready =
            watch::watch(&shared.failure, settings.cluster.index() * settings.workers).and_then(|()| {
                let reports = [&settings.report, &settings.report_html].into_iter().flatten();
                let mut own = reports.filter(|_| settings.cluster.index() == 0);
                own.try_for_each(|path| RunReport::check_path(path))
            });
        or_decline(&settings, ready)?;
        let arguments = serde_json::to_value(options)
            .map_err(|error| Error::usage(format!("{error}"), "names of files and directories in UTF-8"));
        let arguments = or_decline(&settings, arguments)?;
        let mut fingerprint = settings.fingerprint();
        for (name, value) in arguments.as_object().into_iter().flatten() {
            fingerprint = fingerprint.with(&format!("--{name}"), value);
        }
        Ok(Job {
            arguments,
            decisions: serde_json::Map::new(),
            settings,
            started,
            fingerprint,
            planned: Planned::default(),
            warnings: Vec::new(),
            output: None,
            shared,
            stores,
            scratch: None,
        })
    }

    /// Opens a table for [`scan`](crate::operators::Scan::scan): lists its files, checks that it has the columns
    /// the row struct asks for, and cuts it into splits.
    pub fn table<R: Row>(&mut self, table: &Table) -> Result<Input<R>, Error> {
        let opened = self.open(table);
        // A signal, of which the error here is a consequence.
        let interrupted = opened.is_err().then(|| self.shared.failure.take()).flatten();
        or_decline(&self.settings, interrupted.map_or(opened, |failure| Err(failure.error)))
    }

    fn open<R: Row>(&mut self, table: &Table) -> Result<Input<R>, Error> {
        let settings = &self.settings;
        let input = Input::open(
            table,
            &InputOptions {
                data: settings.data.clone(),
                set: settings.set.clone(),
                format: settings.format,
                split_bytes: settings.split_bytes,
                bad_records: settings.bad_records,
                peers: settings.workers
                    * if settings.local_shards { 1 } else { settings.cluster.processes() },
                may_be_empty: settings.local_shards,
                stores: self.stores.clone(),
            },
        )?;
        // Of the same files, one process says it for all.
        if self.settings.local_shards || self.settings.cluster.index() == 0 {
            input.warnings().iter().for_each(|warning| cli::note(format_args!("warning: {warning}")));
        }
        self.warnings.extend_from_slice(input.warnings());
        let digest = if self.settings.local_shards {
            "files of each process".to_owned()
        } else {
            format!("{} files, digest {:016x}", input.files().len(), input.digest())
        };
        self.fingerprint = self.fingerprint.clone().with(&format!("the table {}", table.name), digest);
        self.planned.files += input.files().len();
        self.planned.compressed_files +=
            input.files().iter().filter(|file| file.compression.is_some()).count();
        self.planned.splits += input.splits().len();
        Ok(input)
    }

    /// Notes what the query chose from what it found, such as the sizes of its tables: it goes into the report, and
    /// processes that chose otherwise do not become one job.
    pub fn decide(&mut self, name: &str, decision: serde_json::Value) {
        self.fingerprint = self.fingerprint.clone().with(&format!("the decision on {name}"), &decision);
        self.decisions.insert(name.to_owned(), decision);
    }

    /// What was asked for, resolved.
    pub fn settings(&self) -> &JobSettings {
        &self.settings
    }

    /// What the memory of a process may be spent on.
    pub fn memory(&self) -> &Budget {
        &self.shared.memory
    }

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
        let report = self.report(&outcome, connected);
        let answer = outcome.answer.unwrap_or_default();
        Ok(first.then_some(Finished { answer, report, settings: self.settings }))
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

    fn report<A>(&self, outcome: &Outcome<A>, connected: Instant) -> RunReport {
        let mut details: Vec<_> = outcome.details.iter().collect();
        details.sort_by_key(|detail| detail.figures.index);
        let sum =
            |figure: fn(&worker::Detail) -> u64| details.iter().map(|detail| figure(detail)).sum::<u64>();
        let (rows, bytes) = (sum(|detail| detail.figures.rows), sum(|detail| detail.figures.bytes));
        let planned = |figure: fn(&Planned) -> usize| {
            if self.settings.local_shards {
                details.iter().map(|detail| figure(&detail.planned)).sum()
            } else {
                figure(&self.planned)
            }
        };
        let compressed_files = planned(|planned| planned.compressed_files);
        let run = connected.elapsed().as_secs_f64();
        let total = self.started.elapsed().as_secs_f64();
        let nodes = self.settings.cluster.machines();
        let workers_detail: Vec<_> = details.iter().map(|detail| detail.figures.clone()).collect();
        RunReport {
            query: self.settings.program.clone(),
            arguments: self.arguments.clone(),
            decisions: self.decisions.clone(),
            processes: self.settings.cluster.processes(),
            workers: self.settings.workers,
            assignment: self.settings.assignment,
            input: InputFigures {
                files: planned(|planned| planned.files),
                compressed_files,
                splits: planned(|planned| planned.splits),
                bytes,
                decompressed_bytes: (compressed_files > 0).then(|| sum(|detail| detail.text_bytes)),
                rows,
                filtered_rows: sum(|detail| detail.filtered_rows),
                unread_rows: sum(|detail| detail.unread_rows),
                passed_pages: sum(|detail| detail.passed_pages),
                bad_records: sum(|detail| detail.bad_records),
                rereads: outcome.rereads,
                warnings: self.warnings.clone(),
                fetched: input::is_remote(&self.settings.data).then(|| Fetched {
                    requests: sum(|detail| detail.fetched.requests),
                    bytes: sum(|detail| detail.fetched.bytes),
                }),
                largest_split: outcome.largest_split.clone(),
            },
            answer: AnswerFigures::default(),
            seconds: Seconds { connect: connected.duration_since(self.started).as_secs_f64(), run, total },
            rows_per_second: rows as f64 / run,
            bytes_per_second: bytes as f64 / run,
            peak_rss_bytes: details.iter().filter_map(|detail| detail.peak_rss_bytes).reduce(u64::add),
            base_rss_bytes: details.iter().filter_map(|detail| detail.base_rss_bytes).reduce(u64::add),
            exchanged_bytes: sum(|detail| detail.exchanged_bytes),
            network_bytes: sum(|detail| detail.network_bytes),
            group_bytes: sum(|detail| detail.group_bytes),
            memory_limit_bytes: self.settings.memory_bytes,
            spilled_bytes: sum(|detail| detail.spilled_bytes),
            spilled_partitions: sum(|detail| detail.spilled_partitions),
            queue_spilled_bytes: sum(|detail| detail.queue_spilled_bytes),
            joins: JoinFigures::of(details.iter().map(|detail| &detail.joins[..])),
            imbalance: imbalance(&workers_detail),
            workers_detail,
            cost: self.settings.instance.map(|price| RunCost::new(price, nodes, total)),
            profile: Profile::of(details.iter().filter_map(|detail| detail.profile.clone()).collect()),
            commit: env!("MILLRACE_COMMIT").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            machine: Machine::here(),
        }
    }
}

/// A process that fails before it connects tells those that wait for it.
fn or_decline<T>(settings: &JobSettings, done: Result<T, Error>) -> Result<T, Error> {
    let JobSettings { cluster, timeouts, .. } = settings;
    done.inspect_err(|error| cluster::decline(cluster, &error.to_string(), *timeouts, &settings.log()))
}

//! The life of a run: plan → connect → start workers → run one dataflow to its end → gather → report → exit code.
//!
//! A query plans a [`Job`], opens its tables, and hands [`Job::run`] a closure that builds its dataflow; what the
//! dataflow gathered comes back on process 0 as [`Finished`].

mod ending;
mod explain;
mod figures;
mod finished;
mod join;
mod output;
mod progress;
mod queues;
mod recorder;
mod reports;
mod run;
mod watch;
mod worker;

use std::time::Instant;

use serde::Serialize;

use crate::Error;
use crate::cli::{self, JobArguments, JobSettings};
use crate::cluster::{self, Fingerprint};
use crate::formats::parts::Output;
use crate::input::{self, Input, InputOptions, Row, StoreOptions, Stores};
use crate::memory::Budget;
use crate::operators::ProcessShared;
use crate::report::TableFigures;
use crate::tables::Table;
use crate::units::counted;
pub use finished::Finished;
pub use join::{ChosenJoin, JoinChoice, JoinSide};
use reports::Reports;
use worker::Planned;

/// A run that has not started.
#[derive(Debug)]
pub struct Job {
    arguments: serde_json::Value,
    decisions: serde_json::Map<String, serde_json::Value>,
    settings: JobSettings,
    started: Instant,
    fingerprint: Fingerprint,
    planned: Planned,
    /// What was opened.
    tables: Vec<TableFigures>,
    /// What was said of the tables' files.
    warnings: Vec<String>,
    output: Option<Output>,
    reports: Reports,
    shared: ProcessShared,
    stores: Stores,
    /// Where `--explain` claims an output, to leave the real one alone.
    scratch: Option<tempfile::TempDir>,
}

impl Job {
    /// Resolves what was typed. `options` are the query's own flags, without the shared ones: they must be equal on
    /// every process and appear in the report.
    ///
    /// From here on a first signal fails the run, and a second one ends the process; so does the first one once the run is over.
    pub fn plan(program: &'static str, options: &impl Serialize, job: &JobArguments) -> Result<Self, Error> {
        let started = Instant::now();
        let settings = job.resolve(program)?;
        let budget = Budget::new(settings.memory_bytes, settings.spill_dir.clone(), settings.workers);
        let read_ahead = if input::is_remote(&settings.data) { settings.store.read_ahead_bytes } else { 0 };
        let shared = ProcessShared::new(settings.assignment, budget.with_read_ahead(read_ahead))
            .with_local_shards(settings.local_shards);
        shared.memory.begin_with_small_pages(settings.workers);
        let stores = Stores::new(StoreOptions { failure: shared.failure.clone(), ..settings.store.clone() });
        let reports = watch::watch(&shared.failure, settings.cluster.index() * settings.workers)
            .and_then(|()| Reports::of(&settings));
        let reports = or_decline(&settings, reports)?;
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
            tables: Vec::new(),
            warnings: Vec::new(),
            output: None,
            reports,
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
        let options = InputOptions {
            data: settings.data.clone(),
            set: settings.set.clone(),
            format: settings.format,
            split_bytes: settings.split_bytes,
            bad_records: settings.bad_records,
            peers: settings.workers * if settings.local_shards { 1 } else { settings.cluster.processes() },
            may_be_empty: settings.local_shards,
            stores: self.stores.clone(),
        };
        let input = Input::open(table, &options)?;
        self.reports.spare_input(input.files())?;
        // Of the same files, one process says it for all.
        if self.settings.local_shards || self.settings.cluster.index() == 0 {
            input.warnings().iter().for_each(|warning| cli::note(format_args!("warning: {warning}")));
        }
        self.warnings.extend_from_slice(input.warnings());
        let digest = if self.settings.local_shards {
            "files of each process".to_owned()
        } else {
            format!(
                "{}, {} bytes, digest {:016x}",
                counted(input.files().len(), "file"),
                input.bytes(),
                input.digest()
            )
        };
        self.fingerprint = self.fingerprint.clone().with(&format!("the table {}", table.name), digest);
        self.planned.files += input.files().len();
        self.planned.compressed_files +=
            input.files().iter().filter(|file| file.compression.is_some()).count();
        self.planned.splits += input.splits().len();
        self.tables.push(TableFigures {
            name: table.name.to_owned(),
            set: input::set_of(&options, table).map(str::to_owned),
            format: input.format().to_owned(),
            split_bytes: input.split_bytes(),
        });
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
}

/// A process that fails before it connects tells those that wait for it.
fn or_decline<T>(settings: &JobSettings, done: Result<T, Error>) -> Result<T, Error> {
    let JobSettings { cluster, timeouts, .. } = settings;
    done.inspect_err(|error| cluster::decline(cluster, &error.to_string(), *timeouts, &settings.log()))
}

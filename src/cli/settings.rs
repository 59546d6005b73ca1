//! What will be done: the flags checked against each other and against this machine.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::{JobArguments, shown};
use crate::Error;
use crate::cluster::{self, Fingerprint, Host, Log, Membership, Secret, Timeouts};
use crate::cost::InstancePrice;
use crate::input::{self, BadRecords, FormatChoice, SplitAssignment, StoreOptions};
use crate::memory::{self, MemoryLimit};
use crate::units::counted;

/// More threads than this only exhaust memory: every worker keeps buffers for every other.
const MOST_WORKERS: usize = 1024;
/// The same of the processes that one command starts: each has connections to all others.
const MOST_PROCESSES: usize = 256;

/// Stands in `--data` for the index of the process.
const PROCESS: &str = "{process}";

/// A process whose groups take no memory has more than this.
const LEAST_MEMORY_BYTES: u64 = 16_000_000;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// How a job runs, with every default filled in.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct JobSettings {
    /// The program's name, as in the report.
    pub program: String,
    /// Threads of this process.
    pub workers: usize,
    /// Which processes take part, and which this one is.
    pub cluster: Membership,
    /// How long to wait for the other processes.
    pub timeouts: Timeouts,
    /// Bytes of memory this process may use; `None` where a share was asked for and the system does not tell of what.
    pub memory_bytes: Option<u64>,
    /// Where what exceeds it goes.
    pub spill_dir: PathBuf,
    /// What is above the formats and sets, or names tables outright.
    pub data: PathBuf,
    /// Whether each process has files of its own there, which nobody else reads.
    pub local_shards: bool,
    /// How files that are far away are reached.
    pub store: StoreOptions,
    /// The set of tables.
    pub set: String,
    /// How the files are encoded.
    pub format: FormatChoice,
    /// Where the report goes, if it is wanted.
    pub report: Option<PathBuf>,
    /// What the machines are and cost, where that was told; processes may differ in it, and that of process 0 counts.
    pub instance: Option<InstancePrice>,
    /// Where the page for a browser goes, if it is wanted.
    pub report_html: Option<PathBuf>,
    /// Whether to print the dataflow instead of running it.
    pub explain: bool,
    /// Whether the answer is one JSON object.
    pub json: bool,
    /// Whether to show progress: on process 0 only, on a terminal only.
    pub progress: bool,
    /// Whether to tell details on stderr.
    pub verbose: bool,
    /// What to do about records that cannot be read.
    pub bad_records: BadRecords,
    /// The largest split in bytes, where it was given.
    pub split_bytes: Option<u64>,
    /// How splits come to workers.
    pub assignment: SplitAssignment,
}

impl JobSettings {
    /// The part of the fingerprint that the shared flags give; the query adds its own flags and the input's digest.
    pub fn fingerprint(&self) -> Fingerprint {
        let split_bytes = self.split_bytes.map_or("auto".to_owned(), |bytes| bytes.to_string());
        Fingerprint::new(&self.program)
            .with("-w", self.workers)
            // Who hears little more often than it speaks would take the others for lost.
            .with("--peer-timeout", self.timeouts.peer.as_secs_f64())
            .with("--set", &self.set)
            .with("--format", shown(&self.format))
            .with("--bad-records", shown(&self.bad_records))
            .with("--split-size", split_bytes)
            .with("--assignment", shown(&self.assignment))
            .with("--local-shards", self.local_shards)
    }

    /// Where lines for people go.
    pub fn log(&self) -> Log {
        Log::stderr(self.verbose)
    }
}

impl JobArguments {
    /// Checks the flags against each other and fills in the defaults; reads the host file and the secret.
    ///
    /// Once it is known who takes part, the other processes are told what cannot be.
    pub fn resolve(&self, program: &str) -> Result<JobSettings, Error> {
        let cluster = self.membership()?;
        self.resolve_within(cluster.clone(), program).inspect_err(|error| {
            let log = Log::stderr(self.verbose);
            cluster::decline(&cluster, &error.to_string(), self.timeouts(), &log);
        })
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts { connect: self.connect_timeout, peer: self.peer_timeout }
    }

    fn resolve_within(&self, cluster: Membership, program: &str) -> Result<JobSettings, Error> {
        let workers = workers(self.workers, self.sharing())?;
        let memory_bytes = self.memory_bytes()?;
        Ok(JobSettings {
            program: program.to_owned(),
            workers,
            memory_bytes,
            store: self.stores.options(workers, memory_bytes)?,
            spill_dir: self.spill_directory()?,
            timeouts: self.timeouts(),
            data: self.data(&cluster)?,
            local_shards: self.local_shards,
            set: set_name(&self.set)?,
            format: self.format,
            report: self.report.clone(),
            instance: self.instance,
            report_html: self.report_html.clone(),
            explain: self.explain,
            json: self.json,
            // Of shards, process 0 does not know how many bytes there are in all.
            progress: !self.no_progress
                && !self.local_shards
                && cluster.index() == 0
                && std::io::stderr().is_terminal(),
            verbose: self.verbose,
            bad_records: self.bad_records,
            split_bytes: self.split_size,
            assignment: self.assignment,
            cluster,
        })
    }

    /// Processes on this machine: those that this one starts share it.
    fn sharing(&self) -> usize {
        if self.hosts.is_none() { self.processes.unwrap_or(1).max(1) } else { 1 }
    }

    fn memory_bytes(&self) -> Result<Option<u64>, Error> {
        let available = memory::available_bytes().map(|bytes| bytes / self.sharing() as u64);
        match (self.memory, self.memory.bytes(available)) {
            (MemoryLimit::Bytes(bytes), _) if bytes < LEAST_MEMORY_BYTES => Err(Error::usage(
                format!("--memory {bytes} is less than any process needs"),
                format!("--memory {}MB, or more, or a share as 50%", LEAST_MEMORY_BYTES / 1_000_000),
            )),
            // A small machine is no mistake of whoever typed nothing.
            (_, bytes) => Ok(bytes.map(|bytes| bytes.max(LEAST_MEMORY_BYTES))),
        }
    }

    /// Where this process looks for its tables.
    fn data(&self, cluster: &Membership) -> Result<PathBuf, Error> {
        let data = data_directory(self.data.as_deref())?;
        let own = data.to_str().filter(|text| text.contains(PROCESS));
        match (own, self.local_shards) {
            (Some(text), true) => Ok(text.replace(PROCESS, &cluster.index().to_string()).into()),
            (Some(text), false) => Err(Error::usage(
                format!("--data {text} gives each process other files, but they are to divide the same ones"),
                format!("--local-shards, or --data without {PROCESS}"),
            )),
            (None, true) if cluster.processes() > 1 && (self.hosts.is_none() || input::is_remote(&data)) => {
                Err(Error::usage(
                    format!(
                        "--local-shards with --data {}: every process would find the same files, and count each \
                         {} times",
                        data.display(),
                        cluster.processes()
                    ),
                    format!(
                        "--data with {PROCESS} in it, as --data data-{PROCESS}, or leave --local-shards out"
                    ),
                ))
            }
            (None, _) => Ok(data),
        }
    }

    fn spill_directory(&self) -> Result<PathBuf, Error> {
        let Some(directory) = &self.spill_dir else { return Ok(std::env::temp_dir()) };
        // A file is the only proof that files can be made; it has no name and leaves nothing.
        tempfile::tempfile_in(directory).map_err(|source| {
            Error::usage(
                format!("cannot write to the directory of --spill-dir, {}: {source}", directory.display()),
                "--spill-dir DIR with a directory that exists and may be written to",
            )
        })?;
        Ok(directory.clone())
    }

    fn membership(&self) -> Result<Membership, Error> {
        if self.processes == Some(0) {
            return Err(Error::usage("-n 0 leaves nobody to do the job", "-n 1, or leave -n out"));
        }
        match (&self.hosts, self.process) {
            (Some(file), index) => self.listed(file, index),
            (None, Some(index)) => {
                let processes = self.processes.unwrap_or(index.saturating_add(1));
                Err(Error::usage(
                    format!("-p {index} names a line of a host file, but there is no -h"),
                    format!(
                        "-h FILE -p {index}, or -n {processes} without -p to start {processes} processes on this machine"
                    ),
                ))
            }
            (None, None) if self.secret_file.is_some() => Err(Error::usage(
                "--secret-file is for processes on several hosts, but there is no -h",
                "-h FILE, or leave --secret-file out",
            )),
            (None, None) => match self.processes.unwrap_or(1) {
                processes if processes > MOST_PROCESSES => Err(Error::usage(
                    format!("-n {processes} is more processes than one machine has work for"),
                    format!("-n {}, one for each core, or -h FILE with a line for each process", cores()),
                )),
                processes => Membership::local(processes),
            },
        }
    }

    fn listed(&self, file: &Path, index: Option<usize>) -> Result<Membership, Error> {
        let name = file.display().to_string();
        let mut hosts = cluster::hosts::read(file)?;
        let lines = hosts.len();
        let processes = self.processes.unwrap_or(lines);
        if processes > lines {
            return Err(Error::usage(
                format!("-n {processes} needs as many hosts, but {name} has {lines}"),
                format!("-n {lines}, or add {} to {name}", counted(processes - lines, "host")),
            ));
        }
        if let Some(index) = index.filter(|&index| index >= processes) {
            return Err(Error::usage(
                format!("-p {index} is not among {}", counted(processes, "process")),
                format!(
                    "-p {}",
                    if processes == 1 { "0".to_owned() } else { format!("0 to -p {}", processes - 1) }
                ),
            ));
        }
        let all = hosts.clone();
        hosts.truncate(processes);
        let secret = Secret::find(self.secret_file.as_deref(), std::env::var_os(cluster::SECRET_VARIABLE))?;
        let index = match index {
            Some(index) => index,
            None => cluster::identify(&name, &hosts)
                .map_err(|error| left_out(&name, &all, processes).unwrap_or(error))?,
        };
        Ok(Membership::listed(hosts, index, secret))
    }
}

/// That this machine is one of the hosts that `-n` leaves out of the job, if it is just one.
fn left_out(file: &str, all: &[Host], processes: usize) -> Option<Error> {
    let own = 1 + cluster::identify(file, all).ok()?;
    Some(Error::usage(
        format!("host {own} in {file} is this machine, and -n {processes} leaves it out"),
        format!("-n {own}, or start no process here"),
    ))
}

/// Threads of a process: as many as were typed, or as there are cores for each of the `sharing` processes on this machine.
pub fn workers(typed: Option<usize>, sharing: usize) -> Result<usize, Error> {
    match typed {
        Some(0) => {
            Err(Error::usage("-w 0 gives the job no thread", "-w 1, or leave -w out to use every core"))
        }
        Some(workers) if workers > MOST_WORKERS => Err(Error::usage(
            format!("-w {workers} is more threads than any machine has cores for"),
            format!("-w {}, one thread a core, which leaving -w out gives", cores()),
        )),
        Some(workers) => Ok(workers),
        None => Ok((cores() / sharing).max(1)),
    }
}

/// Checks the name of a set, which becomes a directory below the data directory and must not lead out of it.
pub fn set_name(typed: &str) -> Result<String, Error> {
    if typed.is_empty() || typed.starts_with('.') || typed.contains(['/', '\\', '\0']) {
        return Err(Error::usage(
            format!("--set {typed:?} is no name of a set"),
            "--set tiny, or --data DIR for another place",
        ));
    }
    Ok(typed.to_owned())
}

/// Where tables are looked for: where `--data` says, or else in `data` in the current directory where that holds a directory of a format, or
/// else among those that come with Millrace, where this was built.
///
/// # Errors
///
/// No store can be at what was typed, or it has credentials in it.
pub fn data_directory(typed: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(typed) = typed {
        input::check_data(typed)?;
        return Ok(typed.to_path_buf());
    }
    let beside = PathBuf::from("data");
    let has_formats = input::has_formats(&beside);
    Ok(if has_formats { beside } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("data") })
}

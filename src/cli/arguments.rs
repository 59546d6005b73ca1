//! What can be typed: the flags that every query has, and those of each that writes its rows.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};
use serde::Serialize;

use crate::Error;
use crate::cluster;
use crate::cost::InstancePrice;
use crate::error::FirstFailure;
use crate::formats::row_writer::RowFormat;
use crate::input::{BadRecords, FormatChoice, SplitAssignment, StoreOptions, read_ahead_bytes};
use crate::memory::MemoryLimit;
use crate::units::parse_positive_bytes;

/// The flags every query shares; flatten them into the query's own parser with `#[command(flatten)]`.
///
/// They take `-h` for the host file, so help is `--help` only.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(disable_help_flag = true)]
pub struct JobArguments {
    /// Threads in each process [default: all cores this process may use; with -n alone, its share of them]
    ///
    /// Every process of a job must have the same number.
    #[arg(short, long, value_name = "N", help_heading = "Parallelism")]
    pub workers: Option<usize>,

    /// Processes in the job [default: 1, or all lines of the host file]
    ///
    /// Without -h, this process starts the others on this machine and ends with them.
    #[arg(short = 'n', long, value_name = "N", help_heading = "Parallelism")]
    pub processes: Option<usize>,

    /// Which line of the host file this process is, from 0 [default: the one with an address of this machine]
    #[arg(short, long, value_name = "I", help_heading = "Parallelism")]
    pub process: Option<usize>,

    /// Where each process listens: a file with one host:port per line
    ///
    /// The first line is process 0, which prints the answer. `#` starts a comment; IPv6 addresses stand in brackets,
    /// as `[fd00::1]:2101`. Start the same command with the same file on every host. Between machines a secret is
    /// needed, see --secret-file; what is sent is not encrypted.
    #[arg(short = 'h', long, value_name = "FILE", help_heading = "Parallelism")]
    pub hosts: Option<PathBuf>,

    /// Secret that proves the processes belong together [default: the variable `MILLRACE_SECRET`]
    ///
    /// Needed as soon as a process listens on anything but loopback. Make one with
    /// `head -c 32 /dev/urandom | base64 > secret; chmod 600 secret` and copy it to every host.
    #[arg(long, value_name = "FILE", help_heading = "Parallelism")]
    pub secret_file: Option<PathBuf>,

    /// Seconds until every process must be connected
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds, help_heading = "Parallelism")]
    pub connect_timeout: std::time::Duration,

    /// Seconds after which a silent process counts as lost, which ends the job; 0.1 or more
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = peer_seconds, help_heading = "Parallelism")]
    pub peer_timeout: std::time::Duration,

    /// Memory that each process may use, as 512MB or 50%; what exceeds it goes to --spill-dir
    ///
    /// A share is that of the machine's memory or of the cgroup's limit, whichever is less; processes that -n starts on
    /// one machine divide it. Processes may differ in it. What a process takes whatever its groups are, some
    /// 30 MB and 30 MB for each worker, cannot be limited.
    #[arg(long, value_name = "BYTES|PERCENT%", default_value_t = MemoryLimit::DEFAULT, help_heading = "Memory")]
    pub memory: MemoryLimit,

    /// Directory for what exceeds --memory; should be on a disk, since a tmpfs is memory as well [default: the
    /// variable TMPDIR, or /tmp]
    ///
    /// It needs as much room as the groups that do not fit, or twice that. Files there have no name and are gone with
    /// the process, however it ends.
    #[arg(long, value_name = "DIR", help_heading = "Memory")]
    pub spill_dir: Option<PathBuf>,

    /// Where the tables are, as DIR/FORMAT/SET/TABLE/ [default: ./data where that has a directory csv, parquet or packed, or else what
    /// comes with Millrace]
    ///
    /// A directory, `s3://BUCKET/PREFIX`, or `http(s)://HOST/PATH` with a _manifest.txt for each table. Files that lie in
    /// another order are named outright: by a directory or file that is called as the table is, by a pattern as
    /// 'logs/2026-*/', or with {table} and {set} in it. See docs/data-in-stores.md.
    #[arg(long, value_name = "DIR|URL|PATTERN", help_heading = "Input")]
    pub data: Option<PathBuf>,

    /// Each process has only its own files under --data: it reads all of them, and nobody else does
    ///
    /// Without it, all processes see the same files and divide them. A process that has none of a table needs an empty
    /// directory for it. `{process}` in --data stands for the number of the process, as data-{process}; it is needed where
    /// processes would find the same files and count each several times: with -n alone, and in stores. There is no progress bar.
    #[arg(long, help_heading = "Input")]
    pub local_shards: bool,

    /// Set of the tables to read, as tiny, 1node or 5nodes
    #[arg(long, value_name = "NAME", default_value = "tiny", help_heading = "Input")]
    pub set: String,

    /// How the files are encoded; auto takes what the data directory has
    #[arg(long, value_enum, default_value_t, help_heading = "Input")]
    pub format: FormatChoice,

    /// What to do about a record that does not fit its table
    ///
    /// skip leaves it out of the answer and says in the end how many there were.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT", help_heading = "Input")]
    pub bad_records: BadRecords,

    /// Largest piece of a file that one worker reads at a time, as 64K or 16MiB [default: chosen from the input, so
    /// that every worker has several]
    #[arg(long, value_name = "BYTES", value_parser = parse_positive_bytes, help_heading = "Input")]
    pub split_size: Option<u64>,

    /// Which worker reads which piece
    ///
    /// modulo: piece i is read by worker i % (all workers), in every run the same. shared: each process has its share of
    /// the bytes, and its workers take pieces as they become free, so that a large file does not leave the others idle.
    #[arg(long, value_enum, default_value_t, value_name = "HOW", help_heading = "Input")]
    pub assignment: SplitAssignment,

    /// How stores are reached.
    #[command(flatten, next_help_heading = "Input")]
    pub stores: StoreArguments,

    /// Write a report of the run to FILE, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report: Option<PathBuf>,

    /// Type of the machine this runs on, as c8g.4xlarge: the last line then tells what the run cost
    ///
    /// On demand, by the second, at the newest prices Millrace knows, times the machines of the host file. Nothing is asked
    /// of the machine itself. See docs/cost.md.
    #[arg(long, value_name = "TYPE", help_heading = "Output")]
    pub instance: Option<InstancePrice>,

    /// Write a page for a browser to FILE: the dataflow, what each worker did when, memory, and the report's figures
    ///
    /// One file that needs no other and no network. What it shows beyond --report is recorded with this flag and -v only.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub report_html: Option<PathBuf>,

    /// Print the dataflow, what was decided and why, who reads what and the shares of memory, and run nothing
    ///
    /// Who reads what is told of each worker with --assignment modulo. Otherwise it is told of each process, whose workers share.
    #[arg(long, help_heading = "Output")]
    pub explain: bool,

    /// Print the answer as one JSON object; what the run took is told on stderr all the same
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Show no progress bar; there is none anyway where stderr is no terminal
    #[arg(long, help_heading = "Output")]
    pub no_progress: bool,

    /// Tell on stderr what happens, such as which connections were turned away, and in the end what each operator did
    ///
    /// That is the dataflow of --explain, with rows in and out, bytes sent to other workers, time, and skew: the rows of the worker that
    /// has most of them over the mean.
    #[arg(short, long, help_heading = "Output")]
    pub verbose: bool,

    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

/// The flags of a query that can write all rows of its result; flatten them into its parser, and give them to
/// [`Job::output`](crate::job::Job::output).
#[derive(Debug, Default, Clone, Args, Serialize)]
pub struct OutputArguments {
    /// Write all rows of the result: to a directory with one part file a worker, which must be empty or absent
    ///
    /// They appear whole or not at all: the directory is a result once it has _SUCCESS in it, which lists the parts. Each part lies
    /// where its worker ran.
    #[arg(long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// How the rows are encoded [default: as the end of PATH says, which may be .csv, .jsonl, .ndjson, .parquet or .mrp
    /// (packed), or else csv]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub output_format: Option<RowFormat>,

    /// Write one file, which is PATH and must be absent, instead of a directory; for processes on one machine
    ///
    /// It is made of the workers' parts in their order when all of them are there, and appears whole or not at all. Until then they
    /// lie beside it, in a hidden directory.
    #[arg(long)]
    pub single_file: bool,

    /// Do not wait until what is written is on disk, as for rows that are soon read and can be made again
    ///
    /// A run that ends is still a whole result, and one that fails none; but a power cut soon after may leave a _SUCCESS beside parts
    /// that are short.
    #[arg(long)]
    pub no_sync: bool,
}

impl OutputArguments {
    /// The same, to another path.
    #[must_use]
    pub fn to(&self, path: &Path) -> Self {
        OutputArguments { output: Some(path.to_path_buf()), ..self.clone() }
    }
}

/// The flags of a program that reads from S3 and HTTP servers; flatten them into its parser.
#[derive(Debug, Clone, Args)]
pub struct StoreArguments {
    /// Address of an S3 server other than Amazon's, as `http://127.0.0.1:9000` [default: the variable `AWS_ENDPOINT_URL`]
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,

    /// Read public buckets, without credentials
    #[arg(long)]
    pub s3_anonymous: bool,

    /// Seconds for which an S3 or HTTP server may give nothing, retries included, before the job fails
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub store_timeout: std::time::Duration,
}

impl StoreArguments {
    /// What they say, for so many workers of a process with so much memory.
    ///
    /// # Errors
    ///
    /// The address has no scheme.
    pub fn options(&self, workers: usize, memory_bytes: Option<u64>) -> Result<StoreOptions, Error> {
        let known = |url: &&String| url.starts_with("http://") || url.starts_with("https://");
        if let Some(url) = self.s3_endpoint.as_ref().filter(|url| !known(url)) {
            return Err(Error::usage(
                format!("--s3-endpoint {url} is no address"),
                format!("--s3-endpoint https://{url}, or http:// for a server without TLS"),
            ));
        }
        Ok(StoreOptions {
            endpoint: self.s3_endpoint.clone(),
            anonymous: self.s3_anonymous,
            timeout: self.store_timeout,
            read_ahead_bytes: read_ahead_bytes(workers, memory_bytes),
            failure: FirstFailure::default(),
        })
    }
}

/// Reads how long a process may be silent.
fn peer_seconds(text: &str) -> Result<std::time::Duration, String> {
    let least = cluster::LEAST_PEER_TIMEOUT;
    match seconds(text)? {
        typed if typed < least => {
            Err(format!("type {} or more: a shorter silence is no sign of a loss", least.as_secs_f64()))
        }
        typed => Ok(typed),
    }
}

/// Reads a positive number of seconds, with a fraction if need be.
pub fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "type a number of seconds, as 30 or 0.5".to_owned())?;
    // A month is more than anybody waits, and less than any clock overflows at.
    if seconds > 0.0 && seconds <= 2_678_400.0 {
        Ok(std::time::Duration::from_secs_f64(seconds))
    } else {
        Err("type a number of seconds above 0, and at most a month (2678400)".to_owned())
    }
}

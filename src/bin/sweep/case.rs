//! One case of a sweep, and running it: as a process of its own, from its start to its end.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use millrace::Error;
use serde::{Deserialize, Serialize};

use crate::plain;

/// How the query is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Case {
    /// Threads in each process.
    pub(crate) workers: usize,
    /// Processes.
    pub(crate) processes: usize,
    /// The largest split, where it was asked for.
    pub(crate) split_bytes: Option<u64>,
    /// The format, where it was asked for.
    pub(crate) format: Option<String>,
}

impl Case {
    /// Workers of all processes.
    pub(crate) fn peers(&self) -> usize {
        self.workers * self.processes
    }

    /// Whether the query reads what the plain loop does.
    pub(crate) fn reads_as_loop(&self) -> bool {
        self.format.as_deref() == Some("csv")
    }

    /// The query's flags for it.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec![format!("-w{}", self.workers), format!("-n{}", self.processes)];
        flags.extend(self.split_bytes.map(|bytes| format!("--split-size={bytes}")));
        flags.extend(self.format.as_ref().map(|format| format!("--format={format}")));
        flags
    }
}

/// What is compared: of a query, from its report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Rows of the answer.
    pub(crate) rows: u64,
    /// Hash of these rows.
    pub(crate) hash: String,
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// From the start of the process to its end.
    pub(crate) seconds: f64,
    /// Most resident memory, where the system tells.
    pub(crate) peak_rss_bytes: Option<u64>,
    /// Rows that were read.
    pub(crate) input_rows: u64,
    /// What came out.
    pub(crate) answer: Answer,
    /// The commit that was run.
    pub(crate) commit: String,
}

/// What is run.
pub(crate) struct Program {
    path: PathBuf,
    /// Of the plain loop, which is in this program, its query.
    plain: Option<PathBuf>,
}

/// The keys of a report that are wanted.
#[derive(Deserialize)]
struct Report {
    answer: Answer,
    input: Input,
    peak_rss_bytes: Option<u64>,
    commit: String,
}

#[derive(Deserialize)]
struct Input {
    rows: u64,
}

impl Program {
    /// The query with this name or path.
    pub(crate) fn query(query: &Path) -> Result<Self, Error> {
        let named = query.components().count() == 1;
        let path = if named { own_path()?.with_file_name(query) } else { query.to_path_buf() };
        if !path.is_file() {
            return Err(Error::usage(
                format!("there is no program {}", path.display()),
                "--query query2, or the path of a query",
            ));
        }
        Ok(Program { path, plain: None })
    }

    /// The plain loop for a query.
    pub(crate) fn plain_loop(query: &Path) -> Result<Self, Error> {
        plain::check(query)?;
        Ok(Program { path: own_path()?, plain: Some(query.to_path_buf()) })
    }

    /// Runs it once, with the flags of a case and `arguments`.
    pub(crate) fn run(&self, case: Option<&Case>, arguments: &[OsString]) -> Result<Run, Error> {
        let mut command = Command::new(&self.path);
        let report =
            tempfile::NamedTempFile::new().map_err(Error::file("make a file in", std::env::temp_dir()))?;
        if let Some(query) = &self.plain {
            command.arg("--plain-loop").arg("--query").arg(query).arg("--").args(arguments);
        } else {
            command.args(arguments).args(case.map(Case::flags).unwrap_or_default());
            command.args(["--json", "--no-progress", "--report"]).arg(report.path());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let started = Instant::now();
        let output = command.output().map_err(Error::file("run", &self.path))?;
        let seconds = started.elapsed().as_secs_f64();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Data(format!("{shown} ended with {}\n{}", output.status, said.trim_end())));
        }
        let mut text = Vec::new();
        match &self.plain {
            Some(_) => text = output.stdout,
            // Replaced by the query, so opened by name.
            None => {
                std::fs::File::open(report.path())
                    .and_then(|mut file| file.read_to_end(&mut text))
                    .map_err(Error::file("read", report.path()))?;
            }
        }
        let report: Report = serde_json::from_slice(&text)
            .map_err(|error| Error::Data(format!("{shown} left a report that cannot be read: {error}")))?;
        Ok(Run {
            seconds,
            peak_rss_bytes: report.peak_rss_bytes,
            input_rows: report.input.rows,
            answer: report.answer,
            commit: report.commit,
        })
    }
}

fn own_path() -> Result<PathBuf, Error> {
    std::env::current_exe().map_err(Error::file("find", "this program"))
}

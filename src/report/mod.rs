//! What a run says: progress on a terminal, the report as JSON and as a page, the answer's hash.

mod answer;
mod file;
mod joins;
mod machine;
mod page;
mod plan;
mod profile;
mod progress;
mod rows;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use answer::AnswerHash;
pub(crate) use file::{abandon, canonical};
pub use file::{check_paths, write_whole};
pub(crate) use joins::HEAVY_PART;
pub use joins::{HeavyKey, JoinFigures, JoinShare};
pub(crate) use machine::proc_field;
pub use machine::{Machine, peak_rss_bytes, resident_bytes, thread_cpu_seconds};
pub(crate) use plan::tree;
pub use plan::{Edge, PlannedOperator};
pub use profile::{
    Bucket, Buckets, MemorySeries, OperatorFigures, OperatorShare, Profile, Timeline, Work, WorkerProfile,
};
pub use progress::Progress;
pub use rows::AnswerRows;

use crate::Error;
use crate::cost::RunCost;
use crate::input::{Fetched, SplitAssignment};
use crate::units::{Bytes, BytesPerSecond, Count, Elapsed, RowsPerSecond};

/// Everything a run tells about itself; `--report FILE` writes it as JSON. The keys are an interface: other
/// programs read them.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// The program.
    pub query: String,
    /// The arguments that shape the answer and the run, by name.
    pub arguments: serde_json::Value,
    /// What the query chose from what it found before it ran, by name.
    pub decisions: serde_json::Map<String, serde_json::Value>,
    /// Processes of the job.
    pub processes: usize,
    /// Worker threads of each process.
    pub workers: usize,
    /// How splits came to workers.
    pub assignment: SplitAssignment,
    /// What was read, by all workers.
    pub input: InputFigures,
    /// What came out.
    pub answer: AnswerFigures,
    /// Where the time went.
    pub seconds: Seconds,
    /// Input rows over `seconds.run`.
    pub rows_per_second: f64,
    /// Input bytes over `seconds.run`.
    pub bytes_per_second: f64,
    /// Peak resident memory, added up over all processes; absent where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
    /// Resident memory when the workers started, before any row, added up over all processes; absent where the system does not
    /// tell.
    pub base_rss_bytes: Option<u64>,
    /// Bytes of records that went from one worker to another.
    pub exchanged_bytes: u64,
    /// Of these, bytes that went to another process: groups where a reducer merged them first.
    pub network_bytes: u64,
    /// Bytes the group tables occupied at the end of the input, added up over all workers.
    pub group_bytes: u64,
    /// Each hash join that looked for heavy keys, in the order in which they were built.
    pub joins: Vec<JoinFigures>,
    /// Processor time of the busiest worker over the mean of all: 1 when all were equally busy.
    pub imbalance: f64,
    /// Memory that process 0 was allowed; absent where it had no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Bytes written to spill files, added up over all workers.
    pub spilled_bytes: u64,
    /// Partitions that went to spill files, wholly or in part; those that a partition was divided into count as well.
    pub spilled_partitions: u64,
    /// Bytes that queues between processes wrote to disk, because a receiver was slow; added up over all processes.
    pub queue_spilled_bytes: u64,
    /// Each worker's share.
    pub workers_detail: Vec<WorkerFigures>,
    /// What the run cost; absent where nobody told what machine it ran on.
    pub cost: Option<RunCost>,
    /// What each operator and each worker did when; present with `--report-html` and with `-v`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Commit the program was built from.
    pub commit: String,
    /// Version of the program.
    pub version: String,
    /// Where process 0 ran.
    pub machine: Machine,
}

/// What was read.
#[derive(Debug, Clone, Serialize)]
pub struct InputFigures {
    /// The tables, in the order in which they were opened.
    pub tables: Vec<TableFigures>,
    /// What was to be done about records that do not fit: `fail` or `skip`.
    pub bad_records_policy: String,
    /// Files.
    pub files: usize,
    /// How many of them are compressed.
    pub compressed_files: usize,
    /// Splits they were cut into.
    pub splits: usize,
    /// Bytes read, of compressed files as they are.
    pub bytes: u64,
    /// Bytes of text, where some of the files are compressed.
    pub decompressed_bytes: Option<u64>,
    /// Good rows read.
    pub rows: u64,
    /// How many of them were left out before the query saw them, by the values of a column that its filter names: of column files,
    /// their other values were not decoded.
    pub filtered_rows: u64,
    /// Rows of which nothing was read, as bounds of their blocks or pages rule them out.
    pub unread_rows: u64,
    /// Pages of columns, of packed files regions, that were not decoded, in blocks that were read.
    pub passed_pages: u64,
    /// Rows passed over under `--bad-records skip`.
    pub bad_records: u64,
    /// What came from S3 or HTTP servers to all processes, where data is there.
    pub fetched: Option<Fetched>,
    /// Times all was read again because line breaks inside quotes crossed a cut.
    pub rereads: u32,
    /// What was said of the files before the run, such as that they are too few for the workers, and what to do.
    pub warnings: Vec<String>,
    /// The largest piece that one worker read; none without rows.
    pub largest_split: Option<LargestSplit>,
}

/// A table that was read. Where it lies is not told: reports are published.
#[derive(Debug, Clone, Serialize)]
pub struct TableFigures {
    /// Its name.
    pub name: String,
    /// The set it is of; none where `--data` names it outright, without its set.
    pub set: Option<String>,
    /// The format that was read: `csv`, `parquet` or `packed`.
    pub format: String,
    /// The largest split that was to be made.
    pub split_bytes: u64,
}

/// A split, by what was read of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LargestSplit {
    /// The file it is of.
    pub file: String,
    /// Bytes of its rows.
    pub bytes: u64,
}

/// What came out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AnswerFigures {
    /// Rows of the whole answer, printed or not.
    pub rows: u64,
    /// Hash of these rows, independent of order, workers and processes.
    pub hash: String,
}

/// Where the time went; wall-clock seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Seconds {
    /// Until all processes were connected and agreed.
    pub connect: f64,
    /// From the start of the workers to the answer.
    pub run: f64,
    /// From the start of the program.
    pub total: f64,
}

/// One worker's share of the work.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerFigures {
    /// Index among all workers of the job.
    pub index: usize,
    /// Splits read.
    pub splits: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Good rows read.
    pub rows: u64,
    /// Groups held in the end.
    pub groups: u64,
    /// Processor time used.
    pub busy_seconds: f64,
    /// From its start to the end of its dataflow.
    pub elapsed_seconds: f64,
    /// How long its scans were held back because too much was in flight or an earlier scan had not ended.
    pub wait_seconds: f64,
}

/// The processor time of the busiest worker over the mean of all; 1 where nothing was measured.
pub(crate) fn imbalance(workers: &[WorkerFigures]) -> f64 {
    let busy = || workers.iter().map(|worker| worker.busy_seconds);
    let (sum, greatest) = (busy().sum::<f64>(), busy().fold(0.0, f64::max));
    if greatest > 0.0 { greatest * workers.len() as f64 / sum } else { 1.0 }
}

/// From here on people are told; a worker that has half of four workers' work has 2.
const BAD_IMBALANCE: f64 = 1.5;
/// In shorter runs, nobody waits long for the busiest worker.
const LEAST_SECONDS: f64 = 1.0;

impl std::fmt::Display for RunReport {
    /// The last lines of a run, for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let input = &self.input;
        let decompressed = (input.decompressed_bytes)
            .map_or(String::new(), |bytes| format!(" that decompressed to {}", Bytes(bytes)));
        write!(
            f,
            "{} rows, {}{} in {} ({}, {})",
            Count(input.rows),
            Bytes(input.bytes),
            decompressed,
            Elapsed(Duration::from_secs_f64(self.seconds.total)),
            RowsPerSecond(self.rows_per_second),
            BytesPerSecond(self.bytes_per_second)
        )?;
        if let Some(bytes) = self.peak_rss_bytes {
            write!(f, ", {} of memory", Bytes(bytes))?;
        }
        let workers = self.processes * self.workers;
        write!(f, ", {workers} worker{}", if workers == 1 { "" } else { "s" })?;
        if self.spilled_bytes > 0 {
            let partitions = Count(self.spilled_partitions);
            write!(f, ", {} of {partitions} partitions spilled to disk", Bytes(self.spilled_bytes))?;
        }
        if input.bad_records > 0 {
            let records = Count(input.bad_records);
            write!(f, "\n{records} bad records were skipped: the answer is without them")?;
        }
        if input.rereads > 0 {
            write!(
                f,
                "\nread again: line breaks inside quotes crossed cuts; --split-size larger than the files avoids it"
            )?;
        }
        if self.imbalance > BAD_IMBALANCE && self.seconds.run > LEAST_SECONDS {
            write!(f, "\nuneven work: the busiest worker took {:.1} times the mean", self.imbalance)?;
            let share = input.bytes / workers as u64;
            match &input.largest_split {
                Some(LargestSplit { file, bytes }) if *bytes > share => {
                    write!(f, "; {file} was read in one piece of {}, several files avoid it", Bytes(*bytes))?;
                }
                _ if self.assignment == SplitAssignment::Modulo => {
                    write!(f, "; --assignment shared may help")?;
                }
                _ => {}
            }
        }
        for join in self.joins.iter().filter(|join| !join.heavy_keys.is_empty()) {
            write!(f, "\n{join}")?;
        }
        if let Some(cost) = &self.cost {
            write!(f, "\n{cost}")?;
        }
        Ok(())
    }
}

impl RunReport {
    /// Writes the report as JSON; a file appears whole or not at all. What exists and is no file, as a pipe, and what
    /// `/dev/stderr` and its like lead to, is written to and not replaced.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write_whole(path, |mut to| {
            serde_json::to_writer_pretty(&mut to, self)?;
            writeln!(to)
        })
    }

    /// Writes the report as one page for a browser, which needs nothing else, in the same way.
    pub fn write_page(&self, path: &Path) -> Result<(), Error> {
        write_whole(path, |to| page::write(self, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(busy_seconds: f64) -> WorkerFigures {
        WorkerFigures {
            index: 0,
            splits: 0,
            bytes: 0,
            rows: 0,
            groups: 0,
            busy_seconds,
            elapsed_seconds: busy_seconds,
            wait_seconds: 0.0,
        }
    }

    #[test]
    fn imbalance_is_the_greatest_over_the_mean() {
        assert!((imbalance(&[worker(3.0), worker(1.0)]) - 1.5).abs() < 1e-9);
        assert!((imbalance(&[worker(0.0), worker(0.0)]) - 1.0).abs() < 1e-9);
    }

    /// The last lines of a run over 1 MB, behind its first one.
    fn remarks(imbalance: f64, run: f64, split_bytes: u64, assignment: SplitAssignment) -> String {
        let report = RunReport {
            query: "q".into(),
            arguments: serde_json::Value::Null,
            decisions: serde_json::Map::new(),
            processes: 1,
            workers: 2,
            assignment,
            input: InputFigures {
                tables: Vec::new(),
                bad_records_policy: String::new(),
                files: 1,
                compressed_files: 0,
                splits: 2,
                bytes: 1_000_000,
                decompressed_bytes: None,
                rows: 1,
                filtered_rows: 0,
                unread_rows: 0,
                passed_pages: 0,
                bad_records: 0,
                rereads: 0,
                warnings: Vec::new(),
                fetched: None,
                largest_split: Some(LargestSplit { file: "data/a".into(), bytes: split_bytes }),
            },
            answer: AnswerFigures::default(),
            seconds: Seconds { connect: 0.0, run, total: run },
            rows_per_second: 1.0,
            bytes_per_second: 1.0,
            peak_rss_bytes: None,
            base_rss_bytes: None,
            exchanged_bytes: 0,
            network_bytes: 0,
            group_bytes: 0,
            memory_limit_bytes: None,
            spilled_bytes: 0,
            spilled_partitions: 0,
            queue_spilled_bytes: 0,
            joins: Vec::new(),
            imbalance,
            workers_detail: Vec::new(),
            cost: None,
            profile: None,
            commit: String::new(),
            version: String::new(),
            machine: Machine::here(),
        };
        report.to_string().split_once('\n').map_or(String::new(), |(_, remarks)| remarks.to_owned())
    }

    #[test]
    fn uneven_work_is_told_with_its_remedy() {
        use SplitAssignment::{Modulo, Shared};
        assert_eq!(
            remarks(1.64, 2.0, 820_000, Shared),
            "uneven work: the busiest worker took 1.6 times the mean; data/a was read in one piece of 820 kB, several \
             files avoid it"
        );
        let uneven = "uneven work: the busiest worker took 1.6 times the mean";
        assert_eq!(remarks(1.64, 2.0, 100_000, Modulo), format!("{uneven}; --assignment shared may help"));
        assert_eq!(remarks(1.64, 2.0, 100_000, Shared), uneven, "keys may be uneven too");
        assert_eq!(remarks(1.4, 2.0, 820_000, Shared), "", "that is not much");
        assert_eq!(remarks(1.64, 0.5, 820_000, Shared), "", "nobody waited long");
    }
}

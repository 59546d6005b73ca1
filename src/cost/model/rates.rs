//! What one run tells about the next: rates read from its report.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What a report may say of processes, workers and cores: more is no machine, and would be predicted for at length.
const COUNTS: std::ops::RangeInclusive<usize> = 1..=1 << 16;

/// The keys of a run report that rates are made of.
#[derive(Deserialize)]
struct Report {
    query: String,
    processes: usize,
    workers: usize,
    input: Input,
    seconds: Seconds,
    peak_rss_bytes: Option<u64>,
    base_rss_bytes: Option<u64>,
    exchanged_bytes: u64,
    /// Reports of older programs do not tell.
    network_bytes: Option<u64>,
    group_bytes: u64,
    spilled_bytes: u64,
    workers_detail: Vec<Worker>,
    machine: Machine,
}

#[derive(Deserialize)]
struct Input {
    rows: u64,
    bytes: u64,
}

#[derive(Deserialize)]
struct Seconds {
    total: f64,
}

#[derive(Deserialize)]
struct Worker {
    groups: u64,
    busy_seconds: f64,
    /// Reports of older programs do not tell.
    elapsed_seconds: Option<f64>,
}

#[derive(Deserialize)]
struct Machine {
    cpu: String,
    cores: usize,
}

/// What a query takes for each row, group and worker, as one run of it was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rates {
    /// The program.
    pub query: String,
    /// Processes of the measured run.
    pub processes: usize,
    /// Workers of each.
    pub workers: usize,
    /// Processor it ran on.
    pub cpu: String,
    /// Cores it could use.
    pub cores: usize,
    /// Rows it read.
    pub rows: u64,
    /// Bytes of input for each row, of compressed files as they are.
    pub bytes_per_row: f64,
    /// Processor time of all workers for each row.
    pub core_seconds_per_row: f64,
    /// Bytes that would be exchanged for each row if every record went to another worker; none where one worker kept
    /// all to itself, so that it was not seen.
    pub exchanged_bytes_per_row: Option<f64>,
    /// Bytes that would leave for each row if all went to another process, merged into groups first where the reducer did so; none
    /// where one process kept all to itself, so that it was not seen.
    pub network_bytes_per_row: Option<f64>,
    /// Groups it held in the end.
    pub groups: u64,
    /// How groups grow with rows: as rows to this power, which is 1 where every row is a group of its own.
    pub group_exponent: f64,
    /// Memory of the tables for each group.
    pub bytes_per_group: f64,
    /// Memory of a process before it has any row; 0 where the report does not tell, and it is then counted by worker.
    pub base_bytes_per_process: f64,
    /// Peak memory apart from both, for each worker; none where the system did not tell.
    pub other_bytes_per_worker: Option<f64>,
    /// Time outside of the dataflow: to start, connect, commit and gather the answer.
    pub startup_seconds: f64,
    /// Part of the time of the dataflow in which the busiest worker had a processor, from 0 to 1.
    pub processor_share: f64,
    /// Processor time of the busiest worker over the mean of all.
    pub imbalance: f64,
}

impl Rates {
    /// Reads the report of a run, as `--report FILE` of any query writes it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
        let report = serde_json::from_str(&text)
            .map_err(|error| Error::Data(format!("{} is no report of a run: {error}", path.display())))?;
        Self::of(report).map_err(|reason| Error::Data(format!("{} {reason}", path.display())))
    }

    fn of(report: Report) -> Result<Self, &'static str> {
        let Report { input, seconds, workers_detail, .. } = report;
        let busy = || workers_detail.iter().map(|worker| worker.busy_seconds);
        let (sum, busiest) = (busy().sum::<f64>(), busy().fold(0.0, f64::max));
        if [report.processes, report.workers, report.machine.cores]
            .iter()
            .any(|count| !COUNTS.contains(count))
        {
            return Err("tells numbers of processes, workers or cores that no machine has: measure again");
        }
        if !seconds.total.is_finite() || seconds.total <= 0.0 || busy().any(|seconds| seconds < 0.0) {
            return Err("tells a time that no run takes: measure again");
        }
        if input.rows == 0 || !sum.is_finite() || sum <= 0.0 {
            return Err(
                "is of a run without rows or work, which gives no rates: measure one with a second of work",
            );
        }
        if report.spilled_bytes > 0 {
            return Err(
                "is of a run that spilled to disk, and rates are those of runs that fit: measure fewer rows or give --memory",
            );
        }
        let (rows, all) = (input.rows as f64, workers_detail.len() as f64);
        let groups = workers_detail.iter().fold(0, |sum: u64, worker| sum.saturating_add(worker.groups));
        let sent_away = |of: f64| (of - 1.0) / of;
        let processes = report.processes as f64;
        // Where each process has but one worker, all that is exchanged leaves its process.
        let left = report.network_bytes.or((report.workers == 1).then_some(report.exchanged_bytes));
        let left = left.filter(|_| report.processes > 1);
        let base = report.base_rss_bytes.unwrap_or(0);
        let other = |peak: u64| peak.saturating_sub(report.group_bytes).saturating_sub(base) as f64 / all;
        // Without it, all that the busiest did not compute is taken for start and end.
        let elapsed =
            workers_detail.iter().filter_map(|worker| worker.elapsed_seconds).fold(busiest, f64::max);
        Ok(Rates {
            query: report.query,
            processes: report.processes,
            workers: report.workers,
            cpu: report.machine.cpu,
            cores: report.machine.cores,
            rows: input.rows,
            bytes_per_row: input.bytes as f64 / rows,
            core_seconds_per_row: sum / rows,
            exchanged_bytes_per_row: (all > 1.0)
                .then(|| report.exchanged_bytes as f64 / rows / sent_away(all)),
            network_bytes_per_row: left.map(|bytes| bytes as f64 / rows / sent_away(processes)),
            groups,
            group_exponent: exponent(rows, groups as f64),
            bytes_per_group: if groups > 0 { report.group_bytes as f64 / groups as f64 } else { 0.0 },
            base_bytes_per_process: base as f64 / processes,
            other_bytes_per_worker: report.peak_rss_bytes.map(other),
            startup_seconds: (seconds.total - elapsed).max(0.0),
            processor_share: busiest / elapsed,
            imbalance: busiest * all / sum,
        })
    }

    /// Bytes that a machine would send if all it reads were to go to others. Where several processes were measured, at the rate at which
    /// theirs left, merged or not, and of fewer rows for each as groups become fewer: they repeat less. Else every record on its own, which
    /// is the most.
    pub fn leaving_bytes(&self, rows: f64) -> f64 {
        let Some(rate) = self.network_bytes_per_row else {
            return self.exchanged_bytes_per_row.unwrap_or(0.0) * rows;
        };
        let measured = self.rows as f64 / self.processes as f64;
        let share = rows / measured;
        rate * measured * share.max(share.powf(self.group_exponent))
    }

    /// Rows for each group of so many rows, where records that leave were not seen to be merged: by so much at most would fewer bytes leave.
    pub fn merging(&self, rows: f64) -> Option<f64> {
        let unseen = self.network_bytes_per_row.is_none() && self.exchanged_bytes_per_row.is_some();
        // Less than one row is no group either.
        (unseen && self.groups > 0).then(|| (rows / self.groups_of(rows)).min(rows).max(1.0))
    }

    /// The groups that so many rows have; of more rows than were measured rather too many than too few.
    pub fn groups_of(&self, rows: f64) -> f64 {
        self.groups as f64 * (rows / self.rows as f64).powf(self.group_exponent)
    }
}

/// The power of `rows` that is `groups`: one row has one group, and that many have these.
fn exponent(rows: f64, groups: f64) -> f64 {
    if groups >= rows || rows <= 1.0 { 1.0 } else { groups.max(1.0).ln() / rows.ln() }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// 1,000,000 rows of 169 bytes by two workers, 3 and 1 seconds of work, in 3.25 s, of which 0.15 s outside of the dataflow; 400,000 groups
    /// of 25 bytes, and 6 MB before the first row.
    pub(crate) fn report(change: impl FnOnce(&mut Value)) -> Result<Rates, &'static str> {
        let mut report = json!({
            "query": "query2", "processes": 1, "workers": 2,
            "input": {"rows": 1_000_000, "bytes": 169_000_000},
            "seconds": {"connect": 0.01, "run": 3.24, "total": 3.25},
            "peak_rss_bytes": 30_000_000, "base_rss_bytes": 6_000_000, "exchanged_bytes": 8_000_000, "group_bytes": 10_000_000, "spilled_bytes": 0,
            "workers_detail": [
                {"groups": 150_000, "busy_seconds": 3.0, "elapsed_seconds": 3.1},
                {"groups": 250_000, "busy_seconds": 1.0, "elapsed_seconds": 3.09},
            ],
            "machine": {"cpu": "a processor", "cores": 2},
        });
        change(&mut report);
        Rates::of(serde_json::from_value(report).unwrap())
    }

    fn near(found: f64, wanted: f64) -> bool {
        (found / wanted - 1.0).abs() < 1e-9
    }

    #[test]
    fn rates_are_the_figures_of_the_report_divided() {
        let rates = report(|_| {}).unwrap();
        assert!(near(rates.bytes_per_row, 169.0), "169 MB over 1 M rows");
        assert!(near(rates.core_seconds_per_row, 4e-6), "3 + 1 seconds over 1 M rows");
        assert!(
            near(rates.exchanged_bytes_per_row.unwrap(), 16.0),
            "half the records stayed where they were"
        );
        assert!(near(rates.bytes_per_group, 25.0), "10 MB over 400,000 groups");
        assert!(near(rates.base_bytes_per_process, 6e6));
        assert!(near(rates.other_bytes_per_worker.unwrap(), 7e6), "30 - 10 - 6 MB over 2 workers");
        assert!(near(rates.startup_seconds, 0.15), "3.25 less the 3.1 of the dataflow");
        assert!(near(rates.processor_share, 3.0 / 3.1));
        assert!(near(rates.imbalance, 1.5), "3 over the mean of 2");
    }

    /// Once, what a process takes before it has any row was counted for each worker.
    #[test]
    fn processes_have_a_part_of_their_own() {
        let two = report(|report| report["processes"] = json!(2)).unwrap();
        assert!(near(two.base_bytes_per_process, 3e6) && near(two.other_bytes_per_worker.unwrap(), 7e6));
    }

    #[test]
    fn reports_of_older_programs_tell_less() {
        let old = report(|report| {
            report.as_object_mut().unwrap().remove("base_rss_bytes");
            for worker in report["workers_detail"].as_array_mut().unwrap() {
                worker.as_object_mut().unwrap().remove("elapsed_seconds");
            }
        });
        let old = old.unwrap();
        assert!(near(old.startup_seconds, 0.25), "3.25 less the 3 of the busiest");
        assert!(near(old.processor_share, 1.0));
        assert!(near(old.other_bytes_per_worker.unwrap(), 10e6), "30 - 10 MB over 2 workers");
        assert!(old.base_bytes_per_process.abs() < 1e-9);
    }

    #[test]
    fn one_worker_tells_nothing_about_exchanges() {
        let alone = report(|report| {
            report["workers_detail"] = json!([{"groups": 400_000, "busy_seconds": 3.0}]);
            report["exchanged_bytes"] = json!(0);
        });
        let alone = alone.unwrap();
        assert_eq!((alone.exchanged_bytes_per_row, alone.imbalance), (None, 1.0));
    }

    /// Once, what threads exchange was taken for what two processes send, which merge their records first: six times too much.
    #[test]
    fn what_leaves_a_process_is_measured_where_there_were_several() {
        let threads = report(|report| report["network_bytes"] = json!(0)).unwrap();
        assert_eq!(threads.network_bytes_per_row, None);
        assert!(near(threads.leaving_bytes(500_000.0), 8e6), "every record of 16 B");
        let processes = |change: fn(&mut Value)| {
            let changed = report(|report| {
                report["processes"] = json!(2);
                (report["workers_detail"][0]["groups"], report["workers_detail"][1]["groups"]) =
                    (json!(400), json!(600));
                change(report);
            });
            changed.unwrap()
        };
        let merged = processes(|report| report["network_bytes"] = json!(1_000_000));
        assert!(near(merged.network_bytes_per_row.unwrap(), 2.0), "1 B for a row, and half did not leave");
        assert!(near(merged.leaving_bytes(500_000.0), 1e6), "as many rows as each process had");
        assert!(near(merged.leaving_bytes(2_000_000.0), 4e6), "more rows, in proportion");
        assert!(
            near(merged.leaving_bytes(125_000.0), 0.5e6),
            "a quarter of the rows, and half of their groups"
        );
        assert_eq!(merged.merging(500_000.0), None);
        let old = |workers: usize| {
            let old = report(|report| (report["processes"], report["workers"]) = (json!(2), json!(workers)));
            old.unwrap().network_bytes_per_row
        };
        assert_eq!((old(1), old(2)), (Some(16.0), None), "without the key, one worker of each process tells");
    }

    /// 1,000 groups of 1,000,000 rows are their square root.
    #[test]
    fn groups_grow_by_the_power_that_was_measured() {
        assert!(near(exponent(1e6, 1e3), 0.5));
        assert!(near(exponent(1e6, 1e6), 1.0) && near(exponent(1.0, 1.0), 1.0), "a group for every row");
        let square_root = report(|report| {
            (report["workers_detail"][0]["groups"], report["workers_detail"][1]["groups"]) =
                (json!(400), json!(600));
        });
        let square_root = square_root.unwrap();
        assert!(near(square_root.groups_of(1e6), 1e3), "what was measured comes out again");
        assert!(near(square_root.groups_of(4e6), 2e3));
        let distinct = report(|report| report["workers_detail"][0]["groups"] = json!(750_000)).unwrap();
        assert!(near(distinct.groups_of(4e6), 4e6));
        let none = report(|report| {
            (report["workers_detail"][0]["groups"], report["workers_detail"][1]["groups"]) =
                (json!(0), json!(0));
        });
        let none = none.unwrap();
        assert!(none.groups_of(4e6).abs() < 1e-9 && none.bytes_per_group.abs() < 1e-9);
    }

    /// Once, less than one row for a machine had bounds the wrong way round, which ended the program.
    #[test]
    fn less_than_a_row_merges_nothing() {
        let rates = report(|_| {}).unwrap();
        assert_eq!([0.0625, 0.5, 1.0].map(|rows| rates.merging(rows)), [Some(1.0); 3]);
        assert!(rates.merging(1e9).unwrap() > 2.0);
    }

    /// Once, cores that no machine has were counted up to for ever, and times of zero gave costs that are no numbers.
    #[test]
    fn figures_of_no_machine_are_refused() {
        for (change, reason) in [
            ((|report| report["machine"]["cores"] = json!(u64::MAX)) as fn(&mut Value), "no machine has"),
            (|report| report["machine"]["cores"] = json!(0), "no machine has"),
            (|report| report["processes"] = json!(0), "no machine has"),
            (|report| report["workers"] = json!(0), "no machine has"),
            (|report| report["seconds"]["total"] = json!(0), "no run takes"),
            (|report| report["seconds"]["total"] = json!(-1), "no run takes"),
            (|report| report["workers_detail"][1]["busy_seconds"] = json!(-1), "no run takes"),
        ] {
            let refused = report(change).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
        let most = report(|report| report["workers_detail"][0]["groups"] = json!(u64::MAX)).unwrap();
        assert_eq!(most.groups, u64::MAX);
    }

    #[test]
    fn runs_that_give_no_rates_are_refused() {
        let empty = report(|report| report["input"]["rows"] = json!(0)).unwrap_err();
        assert!(empty.contains("measure one with a second of work"), "{empty}");
        let spilled = report(|report| report["spilled_bytes"] = json!(1)).unwrap_err();
        assert!(spilled.contains("measure fewer rows or give --memory"), "{spilled}");
    }
}

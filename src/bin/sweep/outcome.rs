//! What a sweep found: answers compared, times summarised, COST.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::time::Duration;

use millrace::Error;
use millrace::report::Machine;
use millrace::units::{Bytes, Count, Elapsed, median};
use serde::Serialize;

use crate::case::{Answer, Case, Run};

/// Everything a sweep tells; `--json` writes it.
#[derive(Serialize)]
pub(crate) struct Outcome {
    /// The query.
    pub(crate) query: String,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Rows that every run read.
    pub(crate) input_rows: u64,
    /// What every run answered.
    pub(crate) answer: Answer,
    /// Every case, in the order in which they were run.
    pub(crate) cases: Vec<CaseOutcome>,
    /// The plain loop, if it was run.
    pub(crate) plain_loop: Option<Times>,
    /// The fewest workers with which the query, on the format of the plain loop, beats it; `None` where it never does, or there was none.
    pub(crate) cost_workers: Option<usize>,
    /// Whether any case read the format of the plain loop.
    pub(crate) cost_comparable: bool,
    /// Commit that the query was built from.
    pub(crate) commit: String,
    /// Where it ran.
    pub(crate) machine: Machine,
}

/// A case and its times.
#[derive(Serialize)]
pub(crate) struct CaseOutcome {
    #[serde(flatten)]
    pub(crate) case: Case,
    #[serde(flatten)]
    pub(crate) times: Times,
    /// The median of the case with the fewest workers, of the same split size and format, over that of this one.
    pub(crate) speed_up: f64,
    /// Speed-up over how many times as many workers there are.
    pub(crate) efficiency: f64,
}

/// The times of equal runs.
#[derive(Serialize)]
pub(crate) struct Times {
    /// All, in the order in which they were taken.
    pub(crate) seconds: Vec<f64>,
    /// The one in the middle; of an even number, the mean of the two.
    pub(crate) median: f64,
    /// Most memory of any.
    pub(crate) peak_rss_bytes: Option<u64>,
}

impl Times {
    fn of<'a>(runs: impl Iterator<Item = &'a Run> + Clone) -> Self {
        let seconds: Vec<_> = runs.clone().map(|run| run.seconds).collect();
        let median = median(seconds.iter().copied()).unwrap_or(0.0);
        Times { seconds, median, peak_rss_bytes: runs.filter_map(|run| run.peak_rss_bytes).max() }
    }

    fn least(&self) -> f64 {
        self.seconds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn greatest(&self) -> f64 {
        self.seconds.iter().copied().fold(0.0, f64::max)
    }
}

impl Outcome {
    /// Compares all answers, and then looks at times. A run belongs to the case with its number, or to the plain loop.
    pub(crate) fn of(
        query: String,
        arguments: &[OsString],
        cases: Vec<Case>,
        runs: &[(Option<usize>, Run)],
    ) -> Result<Self, Error> {
        let name = |case: Option<usize>| match case {
            Some(index) => format!("{query} {}", cases[index].flags().join(" ")),
            None => "the plain loop".to_owned(),
        };
        let Some((first, reference)) = runs.first() else {
            return Err(Error::usage("nothing was run", "--rounds 1"));
        };
        for (case, run) in runs {
            if (&run.answer, run.input_rows) != (&reference.answer, reference.input_rows) {
                let told = |run: &Run| {
                    let (read, rows) = (Count(run.input_rows), Count(run.answer.rows));
                    format!("{read} rows read, {rows} rows of answer with hash {}", run.answer.hash)
                };
                return Err(Error::Data(format!(
                    "answers differ, so times mean nothing\n  {}: {}\n  {}: {}",
                    name(*first),
                    told(reference),
                    name(*case),
                    told(run)
                )));
            }
        }
        let times = |wanted: Option<usize>| {
            Times::of(runs.iter().filter(move |(case, _)| *case == wanted).map(|(_, run)| run))
        };
        let times_of: Vec<_> = (0..cases.len()).map(|index| times(Some(index))).collect();
        let plain_loop = Some(times(None)).filter(|times| !times.seconds.is_empty());
        let base = |case: &Case| {
            let alike = |other: &&(usize, &Case)| {
                (other.1.split_bytes, &other.1.format) == (case.split_bytes, &case.format)
            };
            cases.iter().enumerate().filter(|other| alike(&other)).min_by_key(|(_, other)| other.peers())
        };
        let speeds: Vec<_> = cases
            .iter()
            .zip(&times_of)
            .map(|(case, times)| {
                let (index, base) = base(case).unwrap_or((0, case));
                let speed_up = times_of[index].median / times.median;
                (speed_up, speed_up * base.peers() as f64 / case.peers() as f64)
            })
            .collect();
        // The loop reads text: of another format, its time says nothing.
        let beats = |(case, times): (&Case, &Times)| {
            plain_loop
                .as_ref()
                .filter(|plain| case.reads_as_loop() && times.median < plain.median)
                .map(|_| case.peers())
        };
        let comparable = cases.iter().any(Case::reads_as_loop);
        Ok(Outcome {
            cost_comparable: comparable,
            cost_workers: cases.iter().zip(&times_of).filter_map(beats).min(),
            arguments: arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            input_rows: reference.input_rows,
            answer: reference.answer.clone(),
            commit: reference.commit.clone(),
            machine: Machine::here(),
            plain_loop,
            cases: (cases.into_iter().zip(times_of).zip(speeds))
                .map(|((case, times), (speed_up, efficiency))| CaseOutcome {
                    case,
                    times,
                    speed_up,
                    efficiency,
                })
                .collect(),
            query,
        })
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.cases.iter().map(|case| case.times.seconds.len()).sum::<usize>()
            + self.plain_loop.as_ref().map_or(0, |plain| plain.seconds.len());
        writeln!(
            f,
            "{} {}: {} rows read, {} rows of answer, hash {}; {runs} runs agree\n",
            self.query,
            self.arguments.join(" "),
            Count(self.input_rows),
            Count(self.answer.rows),
            self.answer.hash
        )?;
        let split = self.cases.iter().any(|case| case.case.split_bytes.is_some());
        let format = self.cases.iter().any(|case| case.case.format.is_some());
        let line = |f: &mut fmt::Formatter<'_>, cells: [&str; 10]| {
            let [workers, processes, split_size, form, median, least, greatest, speed_up, efficiency, memory] =
                cells;
            write!(f, "{workers:>10}  {processes:>9}")?;
            if split {
                write!(f, "  {split_size:>9}")?;
            }
            if format {
                write!(f, "  {form:>8}")?;
            }
            writeln!(
                f,
                "  {median:>8}  {least:>8}  {greatest:>8}  {speed_up:>8}  {efficiency:>10}  {memory:>8}"
            )
        };
        line(
            f,
            [
                "workers",
                "processes",
                "split",
                "format",
                "median",
                "least",
                "greatest",
                "speed-up",
                "efficiency",
                "memory",
            ],
        )?;
        let tell = |f: &mut fmt::Formatter<'_>, head: [&str; 4], times: &Times, tail: [&str; 2]| {
            let time = |seconds: f64| Elapsed(Duration::from_secs_f64(seconds)).to_string();
            let memory = times.peak_rss_bytes.map_or(String::new(), |bytes| Bytes(bytes).to_string());
            let [workers, processes, split_size, form] = head;
            let (median, least, greatest) = (time(times.median), time(times.least()), time(times.greatest()));
            line(
                f,
                [workers, processes, split_size, form, &median, &least, &greatest, tail[0], tail[1], &memory],
            )
        };
        if let Some(plain) = &self.plain_loop {
            tell(f, ["plain loop", "1", "", "csv"], plain, ["", ""])?;
        }
        for CaseOutcome { case, times, speed_up, efficiency } in &self.cases {
            let split_size = case.split_bytes.map_or("auto".into(), |bytes| Bytes(bytes).to_string());
            let form = case.format.as_deref().unwrap_or("auto");
            let head = [&case.workers.to_string(), &case.processes.to_string(), &*split_size, form];
            tell(f, head, times, [&format!("{speed_up:.2}"), &format!("{efficiency:.2}")])?;
        }
        match (&self.plain_loop, self.cost_workers) {
            (None, _) => {}
            (Some(_), Some(1)) => writeln!(f, "\nCOST 1: one worker beats the plain loop")?,
            (Some(_), Some(workers)) => {
                writeln!(f, "\nCOST {workers}: it takes {workers} workers to beat the plain loop")?;
            }
            (Some(_), None) if !self.cost_comparable => {
                writeln!(f, "\nNo COST: the plain loop reads CSV, and none of these cases does")?;
            }
            (Some(_), None) => {
                writeln!(f, "\nCOST unbounded here: none of these cases beats the plain loop")?;
            }
        }
        let cores = self.machine.cores;
        if self.cases.iter().any(|case| case.case.peers() > cores) {
            writeln!(
                f,
                "\nThis machine has {cores} cores, which more workers share: they cannot be faster for it."
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: f64, hash: &str) -> Run {
        let answer = Answer { rows: 3, hash: hash.into() };
        Run { seconds, peak_rss_bytes: None, input_rows: 9, answer, commit: "c".into() }
    }

    fn outcome(runs: &[(Option<usize>, Run)]) -> Result<Outcome, Error> {
        let case =
            |workers, processes| Case { workers, processes, split_bytes: None, format: Some("csv".into()) };
        Outcome::of("q".into(), &[], vec![case(2, 1), case(2, 2), case(4, 2)], runs)
    }

    #[test]
    fn speed_ups_are_over_the_fewest_workers_and_cost_is_the_least_that_wins() {
        let times = [
            (None, [3.0, 2.0, 9.0]),
            (Some(0), [4.0, 4.0, 4.5]),
            (Some(1), [2.5, 2.0, 2.9]),
            (Some(2), [1.0, 2.0, 1.0]),
        ];
        let runs: Vec<_> =
            times.iter().flat_map(|(case, times)| times.map(|seconds| (*case, run(seconds, "a")))).collect();
        let outcome = outcome(&runs).unwrap();
        let speeds: Vec<_> = outcome.cases.iter().map(|case| (case.speed_up, case.efficiency)).collect();
        assert_eq!(speeds, [(1.0, 1.0), (1.6, 0.8), (4.0, 1.0)]);
        assert_eq!(outcome.cost_workers, Some(4));
        let text = outcome.to_string();
        assert!(text.contains("\nCOST 4: it takes 4 workers") && text.contains("12 runs agree"), "{text}");
    }

    /// Once, packed files beat the loop over CSV with one worker, and COST was 1.
    #[test]
    fn only_the_format_of_the_plain_loop_counts_for_cost() {
        let case = |workers, format: &str| Case {
            workers,
            processes: 1,
            split_bytes: None,
            format: Some(format.into()),
        };
        let cost = |cases: Vec<Case>| {
            let mut runs = vec![(None, run(2.0, "a"))];
            let seconds = |case: &Case| {
                if case.format.as_deref() == Some("packed") { 1.0 } else { 3.0 / case.workers as f64 }
            };
            runs.extend(cases.iter().enumerate().map(|(index, case)| (Some(index), run(seconds(case), "a"))));
            let outcome = Outcome::of("q".into(), &[], cases, &runs).unwrap();
            (outcome.cost_workers, outcome.to_string())
        };
        assert_eq!(cost(vec![case(1, "csv"), case(2, "csv"), case(1, "packed")]).0, Some(2));
        let (workers, text) = cost(vec![case(1, "packed")]);
        assert!(workers.is_none() && text.contains("\nNo COST: the plain loop reads CSV"), "{text}");
    }

    #[test]
    fn an_answer_that_differs_is_a_failure_and_never_a_time() {
        let runs = [(Some(0), run(1.0, "a")), (Some(1), run(1.0, "a")), (Some(2), run(0.1, "b"))];
        let error = outcome(&runs).err().unwrap().to_string();
        assert!(
            error.starts_with("answers differ, so times mean nothing\n  q -w2 -n1 --format=csv: 9 rows read"),
            "{error}"
        );
        assert!(error.contains("\n  q -w4 -n2 --format=csv: ") && error.ends_with("hash b"), "{error}");
    }

    #[test]
    fn without_a_plain_loop_there_is_no_cost() {
        let runs: Vec<_> = (0..3).map(|index| (Some(index), run(1.0, "a"))).collect();
        assert!(!outcome(&runs).unwrap().to_string().contains("COST"));
        let slow: Vec<_> = runs.into_iter().chain([(None, run(0.5, "a"))]).collect();
        assert!(outcome(&slow).unwrap().to_string().contains("\nCOST unbounded here"));
    }
}

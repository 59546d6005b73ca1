//! Where the work of a run went: what each operator took in, gave and spent, and what each worker did when.
//!
//! Every worker records its own part, a [`WorkerProfile`], in bounded memory: figures of each operator, and a fixed
//! number of [`Buckets`] of time that double their width when a run outlasts them. Process 0 puts the parts together
//! as the [`Profile`] of the report.

use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::{PlannedOperator, tree};
use crate::units::{Bytes, Count, Elapsed};

/// Buckets of a worker at most; between half as many and so many once a run is longer than they are milliseconds.
const MOST_BUCKETS: usize = 120;
/// Width of the first buckets.
const FIRST_WIDTH: Duration = Duration::from_millis(1);

/// What a worker can be seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Reading, decoding and what is fused to it.
    Scan,
    /// Every operator that neither scans nor writes.
    Reduce,
    /// Writing part files.
    Write,
    /// Asleep: nothing to do until another worker sends something, or the window of the scans opens.
    Wait,
}

/// What a worker did in one span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    nanoseconds: [u64; 4],
    /// Records that scans gave.
    pub read: u64,
    /// Records that came over exchanges, from this worker's own share of them, too.
    pub received: u64,
    /// The most resident memory of the process that was seen; 0 where nobody looked.
    pub memory_bytes: u64,
}

impl Bucket {
    fn merge(&mut self, later: &Bucket) {
        for (own, more) in self.nanoseconds.iter_mut().zip(later.nanoseconds) {
            *own += more;
        }
        self.read += later.read;
        self.received += later.received;
        self.memory_bytes = self.memory_bytes.max(later.memory_bytes);
    }

    fn seconds(&self, work: Work) -> f64 {
        self.nanoseconds[work as usize] as f64 / 1e9
    }
}

/// Spans of equal width from the start of a worker on; at most 120, whatever is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    width: Duration,
    buckets: Vec<Bucket>,
}

impl Default for Buckets {
    fn default() -> Self {
        Buckets { width: FIRST_WIDTH, buckets: Vec::with_capacity(MOST_BUCKETS) }
    }
}

impl Buckets {
    /// How long each one is.
    pub fn width(&self) -> Duration {
        self.width
    }

    /// The bucket of a moment.
    pub fn at(&mut self, time: Duration) -> &mut Bucket {
        let index = self.index(time);
        &mut self.buckets[index]
    }

    fn index(&mut self, time: Duration) -> usize {
        let index = |width: Duration| (time.as_nanos() / width.as_nanos()) as usize;
        while index(self.width) >= MOST_BUCKETS {
            self.widen();
        }
        let index = index(self.width);
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, Bucket::default());
        }
        index
    }

    /// Notes work between two moments, each bucket's part in it.
    pub fn spend(&mut self, work: Work, from: Duration, to: Duration) {
        let (mut index, last) = (self.index(from), self.index(to));
        // Making room for the end may have made the buckets wider.
        index = index.min((from.as_nanos() / self.width.as_nanos()) as usize);
        for bucket in index..=last {
            let start = self.width * bucket as u32;
            let part = to.min(start + self.width).saturating_sub(from.max(start));
            self.buckets[bucket].nanoseconds[work as usize] += part.as_nanos() as u64;
        }
    }

    fn widen(&mut self) {
        self.width *= 2;
        for pair in 0..self.buckets.len().div_ceil(2) {
            let mut merged = self.buckets[2 * pair];
            if let Some(later) = self.buckets.get(2 * pair + 1) {
                merged.merge(later);
            }
            self.buckets[pair] = merged;
        }
        self.buckets.truncate(self.buckets.len().div_ceil(2));
    }
}

/// What one worker saw of one operator.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OperatorShare {
    /// The operator, and where its input comes from.
    pub operator: PlannedOperator,
    /// Records taken in.
    pub rows_in: u64,
    /// Records given.
    pub rows_out: u64,
    /// Bytes of records it sent to other workers.
    pub exchanged_bytes: u64,
    /// Time in which it ran.
    pub busy: Duration,
}

/// What one worker recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerProfile {
    /// Index among all workers of the job.
    pub worker: usize,
    /// Its process.
    pub process: usize,
    /// Every operator of the dataflow, in the order in which they were built.
    pub operators: Vec<OperatorShare>,
    /// What it did when.
    pub buckets: Buckets,
    /// Bytes of records for each worker, its own share too.
    pub sent_bytes: Vec<u64>,
}

/// Where the work of a run went, as the report has it.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// Every operator, in the order in which they were built.
    pub operators: Vec<OperatorFigures>,
    /// How long one bucket of the series below is.
    pub bucket_seconds: f64,
    /// What each worker did in each bucket.
    pub timeline: Vec<Timeline>,
    /// Resident memory of each process.
    pub memory: Vec<MemorySeries>,
    /// Bytes of records from each worker, in the order of `timeline`, to each worker of the job; what stayed with its
    /// worker, too.
    pub exchange_bytes: Vec<Vec<u64>>,
}

/// What all workers saw of one operator.
#[derive(Debug, Clone, Serialize)]
pub struct OperatorFigures {
    /// The operator, and where its input comes from.
    #[serde(flatten)]
    pub operator: PlannedOperator,
    /// Records taken in.
    pub rows_in: u64,
    /// Records given.
    pub rows_out: u64,
    /// Bytes of records it sent from one worker to another.
    pub exchanged_bytes: u64,
    /// Time in which it ran, added up over all workers.
    pub busy_seconds: f64,
    /// Records taken in, or given by an operator without input, by the worker with the most of them over the mean of
    /// all: 1 where all had as many.
    pub skew: f64,
    /// The same records, of each worker.
    pub worker_rows: Vec<u64>,
}

/// One worker over time; each list has a value for each bucket.
#[derive(Debug, Clone, Serialize)]
pub struct Timeline {
    /// Index among all workers of the job.
    pub worker: usize,
    /// Seconds of reading.
    pub scan: Vec<f64>,
    /// Seconds in operators that neither scan nor write.
    pub reduce: Vec<f64>,
    /// Seconds of writing part files.
    pub write: Vec<f64>,
    /// Seconds asleep.
    pub wait: Vec<f64>,
    /// Records that scans gave.
    pub read: Vec<u64>,
    /// Records that came over exchanges.
    pub received: Vec<u64>,
}

/// One process over time.
#[derive(Debug, Clone, Serialize)]
pub struct MemorySeries {
    /// Index of the process.
    pub process: usize,
    /// The most resident memory seen in each bucket, or before it where nobody looked in it.
    pub bytes: Vec<u64>,
}

impl Profile {
    /// Puts together what the workers recorded; `None` where none did.
    pub fn of(mut parts: Vec<WorkerProfile>) -> Option<Self> {
        parts.sort_by_key(|part| part.worker);
        let width = parts.iter().map(|part| part.buckets.width).max()?;
        for part in &mut parts {
            while part.buckets.width < width {
                part.buckets.widen();
            }
        }
        let length = parts.iter().map(|part| part.buckets.buckets.len()).max()?;
        parts.iter_mut().for_each(|part| part.buckets.buckets.resize(length, Bucket::default()));
        let operators = parts.first()?.operators.iter().enumerate();
        let operators = operators.map(|(index, share)| {
            let shares = parts.iter().filter_map(|part| part.operators.get(index));
            OperatorFigures::of(share.operator.clone(), &shares.collect::<Vec<_>>())
        });
        Some(Profile {
            operators: operators.collect(),
            bucket_seconds: width.as_secs_f64(),
            timeline: parts.iter().map(Timeline::of).collect(),
            memory: parts.iter().filter_map(MemorySeries::of).collect(),
            exchange_bytes: parts.iter().map(|part| part.sent_bytes.clone()).collect(),
        })
    }

    /// The dataflow as a tree, the last operator on top, each with what it took in, gave and spent.
    pub fn tree(&self) -> String {
        let planned: Vec<_> = self.operators.iter().map(|figures| &figures.operator).collect();
        let lines = tree(&planned);
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0).max(8);
        let mut text = format!(
            "{:<width$}  {:>13}  {:>13}  {:>9}  {:>8}  {:>5}\n",
            "operator", "rows in", "rows out", "exchanged", "busy", "skew"
        );
        for (line, index) in lines {
            let Some(figures) = index.map(|index| &self.operators[index]) else {
                let _ = writeln!(text, "{line}");
                continue;
            };
            let rows = |rows: u64, there: bool| if there { Count(rows).to_string() } else { String::new() };
            let exchanged = Bytes(figures.exchanged_bytes).to_string();
            let _ = writeln!(
                text,
                "{line:<width$}  {:>13}  {:>13}  {:>9}  {:>8}  {:>5.2}",
                rows(figures.rows_in, !figures.operator.inputs.is_empty()),
                rows(figures.rows_out, figures.rows_out > 0),
                if figures.exchanged_bytes > 0 { exchanged } else { String::new() },
                Elapsed(Duration::from_secs_f64(figures.busy_seconds)).to_string(),
                figures.skew
            );
        }
        let lost = self.unattributed_bytes();
        if lost > 0 {
            let _ = writeln!(text, "{} more were exchanged, of which no operator is known", Bytes(lost));
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Bytes that went from worker to worker and are not among those of any operator: none, unless senders and operators could not be
    /// told to belong together.
    fn unattributed_bytes(&self) -> u64 {
        let rows = self.exchange_bytes.iter().enumerate();
        let others = rows.flat_map(|(own, sent)| sent.iter().enumerate().filter(move |(to, _)| *to != own));
        let sent: u64 = others.map(|(_, bytes)| bytes).sum();
        sent.saturating_sub(self.operators.iter().map(|figures| figures.exchanged_bytes).sum())
    }
}

impl OperatorFigures {
    fn of(operator: PlannedOperator, shares: &[&OperatorShare]) -> Self {
        let sum = |figure: fn(&OperatorShare) -> u64| shares.iter().map(|share| figure(share)).sum::<u64>();
        let source = operator.inputs.is_empty();
        let handled = |share: &&OperatorShare| if source { share.rows_out } else { share.rows_in };
        let worker_rows: Vec<_> = shares.iter().map(handled).collect();
        let (all, most) = (worker_rows.iter().sum::<u64>(), worker_rows.iter().max().copied().unwrap_or(0));
        OperatorFigures {
            operator,
            rows_in: sum(|share| share.rows_in),
            rows_out: sum(|share| share.rows_out),
            exchanged_bytes: sum(|share| share.exchanged_bytes),
            busy_seconds: shares.iter().map(|share| share.busy.as_secs_f64()).sum(),
            skew: if all > 0 { most as f64 * shares.len() as f64 / all as f64 } else { 1.0 },
            worker_rows,
        }
    }
}

impl Timeline {
    fn of(part: &WorkerProfile) -> Self {
        let buckets = &part.buckets.buckets;
        let seconds = |work| buckets.iter().map(|bucket| bucket.seconds(work)).collect();
        Timeline {
            worker: part.worker,
            scan: seconds(Work::Scan),
            reduce: seconds(Work::Reduce),
            write: seconds(Work::Write),
            wait: seconds(Work::Wait),
            read: buckets.iter().map(|bucket| bucket.read).collect(),
            received: buckets.iter().map(|bucket| bucket.received).collect(),
        }
    }
}

impl MemorySeries {
    /// Of a worker that looked at its process; the others have none.
    fn of(part: &WorkerProfile) -> Option<Self> {
        let seen = part.buckets.buckets.iter().map(|bucket| bucket.memory_bytes);
        let first = seen.clone().find(|bytes| *bytes > 0)?;
        let bytes = seen.scan(first, |last, bytes| {
            if bytes > 0 {
                *last = bytes;
            }
            Some(*last)
        });
        Some(MemorySeries { process: part.process, bytes: bytes.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::plan::Edge;
    use proptest::prelude::*;

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    proptest! {
        /// Catches time or records that are lost, counted twice or put elsewhere when buckets become wider.
        #[test]
        fn buckets_keep_every_second_and_record(spans in proptest::collection::vec((0_u64..3_000, 0_u64..400, 0_u64..9), 1..40)) {
            let mut buckets = Buckets::default();
            for &(start, length, records) in &spans {
                buckets.spend(Work::Reduce, milliseconds(start), milliseconds(start + length));
                buckets.at(milliseconds(start)).read += records;
            }
            prop_assert!(buckets.buckets.len() <= MOST_BUCKETS);
            let (width, buckets) = (buckets.width(), buckets.buckets);
            for (index, bucket) in buckets.iter().enumerate() {
                let (from, to) = (width * index as u32, width * (index as u32 + 1));
                let inside = |&(start, length, _): &(u64, u64, u64)| {
                    milliseconds(start + length).min(to).saturating_sub(milliseconds(start).max(from))
                };
                let expected: Duration = spans.iter().map(inside).sum();
                prop_assert_eq!(bucket.nanoseconds, [0, expected.as_nanos() as u64, 0, 0]);
                let started = spans.iter().filter(|span| (from..to).contains(&milliseconds(span.0)));
                prop_assert_eq!(bucket.read, started.map(|span| span.2).sum::<u64>());
            }
        }
    }

    fn part(worker: usize, rows: u64, end: u64) -> WorkerProfile {
        let operator = |id, name: &str, inputs: &[usize]| PlannedOperator {
            id,
            name: name.into(),
            inputs: inputs.iter().map(|&from| Edge { from, exchange: from == 1 }).collect(),
        };
        let share = |operator, rows_in, rows_out, exchanged_bytes| OperatorShare {
            operator,
            rows_in,
            rows_out,
            exchanged_bytes,
            busy: milliseconds(5),
        };
        let mut buckets = Buckets::default();
        buckets.spend(Work::Scan, milliseconds(1), milliseconds(end));
        buckets.at(milliseconds(2)).memory_bytes = if worker == 0 { 1 << 20 } else { 0 };
        let operators = vec![
            share(operator(1, "Scan visits", &[]), 0, rows, 0),
            share(operator(3, "Reduce", &[1]), 10 * rows, 2, 1_500),
        ];
        WorkerProfile { worker, process: worker, operators, buckets, sent_bytes: vec![rows, 1] }
    }

    #[test]
    fn parts_are_put_together() {
        let profile = Profile::of(vec![part(1, 300, 50), part(0, 100, 500)]).expect("two parts");
        assert!((profile.bucket_seconds - 0.008).abs() < 1e-9, "the wider of both");
        let seconds: Vec<f64> = profile.timeline.iter().map(|line| line.scan.iter().sum()).collect();
        assert!((seconds[0] - 0.499).abs() < 1e-9 && (seconds[1] - 0.049).abs() < 1e-9, "{seconds:?}");
        assert_eq!(profile.timeline[0].scan.len(), profile.timeline[1].wait.len());
        assert_eq!(profile.exchange_bytes, [[100, 1], [300, 1]]);
        assert_eq!(profile.memory.len(), 1, "only the first worker looked");
        let reduce = &profile.operators[1];
        assert_eq!((reduce.rows_in, reduce.rows_out, reduce.exchanged_bytes), (4_000, 4, 3_000));
        assert!((reduce.skew - 1.5).abs() < 1e-9 && reduce.worker_rows == [1_000, 3_000]);
        assert!(Profile::of(Vec::new()).is_none());
        // Where nobody knows which operator sent what, that is told.
        let mut unknown = profile.clone();
        unknown.operators[1].exchanged_bytes = 100;
        assert!(unknown.tree().ends_with("\n201 B more were exchanged, of which no operator is known"));
        assert_eq!(
            profile.tree(),
            "operator                 rows in       rows out  exchanged      busy   skew\n\
             Reduce ◄ exchange          4,000              4    3.00 kB   10.0 ms   1.50\n\
             └─ Scan visits                              400              10.0 ms   1.50"
        );
    }
}

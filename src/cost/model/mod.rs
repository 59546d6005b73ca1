//! Time and dollars of a query at another size, on machines it never ran on, from the report of one run.
//!
//! [`Rates`] are read from the report, [`Shape::predict`] is the formula, and [`Offers`] applies it to all machines that can
//! be rented and keeps those that no other beats in both time and dollars. `docs/cost-model.md` states every assumption.

mod notes;
mod offers;
mod rates;
mod text;

use serde::Serialize;

use crate::memory::MemoryLimit;

pub use offers::{CoreSpeed, Here, Offer, Offers, Question};
pub use rates::Rates;

/// What several processes need until they are connected, where the report is of one: the median `seconds.connect` of the nine runs of
/// two processes in `benchmarks/runs/2026-11-25-cost-model`.
const CONNECTING_SECONDS: f64 = 0.017;

/// The query at one size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    /// Rows of input.
    pub rows: f64,
    /// Bytes of input.
    pub bytes: f64,
    /// Groups in the end.
    pub groups: f64,
}

/// The machines of a run, all alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// How many.
    pub machines: usize,
    /// Workers of each, in all its processes.
    pub workers: usize,
    /// Processes of each.
    pub processes: usize,
    /// How much faster than where it was measured one of its workers is.
    pub core_speed: f64,
    /// Memory of each; none where it does not matter.
    pub memory_bytes: Option<f64>,
    /// Network of each, in each direction.
    pub network_bytes_per_second: f64,
    /// How fast each reads its input; none where the input is in memory.
    pub read_bytes_per_second: Option<f64>,
}

/// What a run would take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Prediction {
    /// From the start of the program to the answer.
    pub seconds: f64,
    /// Processor time of all workers, on the cores they are predicted for.
    pub core_seconds: f64,
    /// Of the time, computing, on the busiest worker.
    pub processor_seconds: f64,
    /// Reading input, which goes on while others compute: the longer of the two counts.
    pub read_seconds: f64,
    /// Sending records to other machines, after that.
    pub network_seconds: f64,
    /// Peak memory of each machine; none where the report did not tell.
    pub memory_bytes: Option<f64>,
    /// Whether that fits into what a process uses by default, so that nothing is spilled, and the input beside it if that is to be
    /// in memory.
    pub fits: bool,
}

impl Shape {
    /// What `load` would take here.
    pub fn predict(&self, rates: &Rates, load: Load) -> Prediction {
        let (machines, workers) = (self.machines as f64, (self.machines * self.workers) as f64);
        let imbalance = if workers > 1.0 { rates.imbalance } else { 1.0 };
        let core_seconds = rates.core_seconds_per_row * load.rows / self.core_speed;
        let processor_seconds = core_seconds / workers * imbalance;
        let read_seconds = self.read_bytes_per_second.map_or(0.0, |rate| load.bytes / machines / rate);
        // Each machine sends what it read but for the share that belongs to its own workers, and receives as much.
        let sent = rates.leaving_bytes(load.rows / machines) * (machines - 1.0) / machines;
        let network_seconds = sent / self.network_bytes_per_second;
        let memory_bytes = rates
            .other_bytes_per_worker
            .map(|other| other * self.workers as f64 + rates.bytes_per_group * load.groups / machines)
            .map(|workers| workers + rates.base_bytes_per_process * self.processes as f64);
        let cached = if self.read_bytes_per_second.is_some() { 0.0 } else { load.bytes / machines };
        let fits = match (memory_bytes, self.memory_bytes) {
            (Some(needed), Some(there)) => {
                let usable = MemoryLimit::DEFAULT.bytes(Some(there as u64)).unwrap_or(u64::MAX);
                needed <= usable as f64 && needed + cached <= there
            }
            _ => true,
        };
        let connects = rates.processes == 1 && self.machines * self.processes > 1;
        let startup_seconds = rates.startup_seconds + if connects { CONNECTING_SECONDS } else { 0.0 };
        Prediction {
            seconds: startup_seconds + processor_seconds.max(read_seconds) + network_seconds,
            core_seconds,
            processor_seconds,
            read_seconds,
            network_seconds,
            memory_bytes,
            fits,
        }
    }
}

impl Rates {
    /// The query over so many rows like those that were measured.
    pub fn load(&self, rows: u64) -> Load {
        let rows = rows as f64;
        Load { rows, bytes: rows * self.bytes_per_row, groups: self.groups_of(rows) }
    }
}

#[cfg(test)]
mod tests {
    use super::rates::tests::report;
    use super::*;

    fn shape(machines: usize, workers: usize) -> Shape {
        Shape {
            machines,
            workers,
            processes: 1,
            core_speed: 1.0,
            memory_bytes: Some(32e9),
            network_bytes_per_second: 1e6,
            read_bytes_per_second: None,
        }
    }

    fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() <= 1e-9 * wanted.abs()
    }

    /// The report: 4 µs of a core, 169 B and 16 B of exchange for a row, 25 B for a group, 7 MB for a worker and 6 MB for a process, 0.15 s
    /// to start, 1.5 of imbalance.
    #[test]
    fn the_formula_on_paper() {
        let rates = report(|_| {}).unwrap();
        let load = rates.load(2_000_000);
        let one = shape(1, 1).predict(&rates, load);
        assert!(near(one.processor_seconds, 8.0), "4 µs x 2 M rows, and one worker is its own mean");
        assert!(near(one.seconds, 8.15) && near(one.network_seconds, 0.0), "{one:?}");
        assert!(near(one.memory_bytes.unwrap(), 6e6 + 7e6 + 25.0 * load.groups));

        let four = shape(2, 2).predict(&rates, load);
        assert!(near(four.processor_seconds, 3.0), "8 / 4 workers x 1.5");
        assert!(
            near(four.network_seconds, 8.0),
            "2 M x 16 B, half of it from each, half of that away: 8 MB at 1 MB/s"
        );
        assert!(near(four.seconds, 0.15 + 0.017 + 3.0 + 8.0), "and connecting, which one process did not");
        assert!(near(four.memory_bytes.unwrap(), 6e6 + 2.0 * 7e6 + 25.0 * load.groups / 2.0));
        let apart = Shape { processes: 2, ..shape(1, 2) }.predict(&rates, load);
        assert!(near(apart.memory_bytes.unwrap(), 2.0 * (6e6 + 7e6) + 25.0 * load.groups), "two processes");

        let fast = Shape { core_speed: 2.0, ..shape(2, 2) }.predict(&rates, load);
        assert!(near(fast.seconds, 0.167 + 1.5 + 8.0), "twice as fast");
        // 338 MB, half each, at 10 MB/s.
        let read = Shape { read_bytes_per_second: Some(10e6), ..shape(2, 2) }.predict(&rates, load);
        assert!(
            near(read.read_seconds, 16.9) && near(read.seconds, 0.167 + 16.9 + 8.0),
            "reading takes longer"
        );
    }

    #[test]
    fn what_was_measured_is_predicted_for_the_same_run_but_for_waiting() {
        let rates = report(|_| {}).unwrap();
        let same = shape(1, 2).predict(&rates, rates.load(rates.rows));
        assert!(near(same.seconds, 3.15) && near(same.memory_bytes.unwrap(), 30e6), "{same:?}");
    }

    #[test]
    fn the_default_of_memory_is_used_before_spilling() {
        let rates = report(|_| {}).unwrap();
        let load = rates.load(rates.rows);
        let fits = |memory_bytes, read_bytes_per_second| {
            let shape = Shape { memory_bytes: Some(memory_bytes), read_bytes_per_second, ..shape(1, 2) };
            shape.predict(&rates, load).fits
        };
        // 30 MB are needed, which is 70 % of 42.86 MB.
        assert!(fits(42.9e6, Some(1e9)) && !fits(42.8e6, Some(1e9)));
        // And 169 MB of input, where it is in memory.
        assert!(fits(199.1e6, None) && !fits(198.9e6, None));
        let untold = report(|report| report["peak_rss_bytes"] = serde_json::Value::Null).unwrap();
        let untold = Shape { memory_bytes: Some(1.0), ..shape(1, 2) }.predict(&untold, load);
        assert!(untold.fits && untold.memory_bytes.is_none());
    }
}

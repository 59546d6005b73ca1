//! Offers as people read them.

use std::fmt;
use std::time::Duration;

use super::{Here, Load, Offer, Offers, Prediction, Rates};
use crate::cost::InstanceList;
use crate::cost::table::aligned;
use crate::units::{Bytes, BytesPerSecond, Count, Elapsed, Usd, counted};

pub(super) fn elapsed(seconds: f64) -> Elapsed {
    // A year is more than any time worth telling apart.
    Elapsed(Duration::from_secs_f64(seconds.min(31_536_000.0)))
}

impl Offer {
    /// `4 x c8g.4xlarge`
    pub(super) fn name(&self) -> String {
        format!("{} x {}", self.nodes, self.instance.price.instance)
    }

    fn cells(&self) -> [String; 8] {
        let Prediction { seconds, processor_seconds, read_seconds, network_seconds, memory_bytes, .. } =
            self.prediction;
        let memory = memory_bytes.map_or("-".to_owned(), |bytes| Bytes(bytes as u64).to_string());
        [
            self.name(),
            elapsed(seconds).to_string(),
            elapsed(processor_seconds).to_string(),
            elapsed(read_seconds).to_string(),
            elapsed(network_seconds).to_string(),
            memory,
            Usd(self.usd).to_string(),
            Usd(self.usd_kept).to_string(),
        ]
    }
}

impl fmt::Display for Offers {
    /// What was measured, what is predicted, the frontier as a table, the choice, and the notes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rates { query, processes, workers, cpu, rows, .. } = &self.rates;
        let (processes, workers) = (counted(*processes, "process"), counted(*workers, "worker"));
        writeln!(f, "{query} over {} rows, measured in {processes} of {workers} on {cpu}", Count(*rows))?;
        write!(
            f,
            "  scans {} with a core",
            BytesPerSecond(self.rates.bytes_per_row / self.rates.core_seconds_per_row)
        )?;
        if let Some(bytes) = self.rates.exchanged_bytes_per_row {
            write!(f, ", exchanges {bytes:.1} B for a row")?;
        }
        if self.rates.groups > 0 {
            write!(f, ", holds {:.1} B for a group", self.rates.bytes_per_group)?;
        }
        writeln!(f, ", starts and ends in {}", elapsed(self.rates.startup_seconds))?;
        let Load { rows, bytes, groups } = self.load;
        write!(f, "Predicted for {} rows, {}", Count(rows as u64), Bytes(bytes as u64))?;
        if groups > 0.0 {
            write!(f, ", {} groups", Count(groups as u64))?;
        }
        writeln!(f)?;
        for Here { workers, prediction, .. } in self.here.iter().filter(|here| here.processes == 1) {
            writeln!(
                f,
                "  where it was measured, with {}: {}",
                counted(*workers, "worker"),
                elapsed(prediction.seconds)
            )?;
        }
        let head =
            ["machines", "time", "compute", "read", "network", "memory each", "cost", "if kept running"];
        let mut table = vec![head.map(str::to_owned)];
        table.extend(self.frontier.iter().map(Offer::cells));
        write!(f, "\n{}", aligned(&table, &[0]))?;
        let (dominated, too_small) = (self.dominated, self.too_small);
        write!(f, "Not shown: {dominated} that are neither faster nor cheaper than one of these")?;
        if too_small > 0 {
            write!(f, ", {too_small} whose memory would not hold the groups, or the input")?;
        }
        writeln!(f, ".")?;
        if let Some(chosen) = &self.chosen {
            let seconds = elapsed(chosen.prediction.seconds);
            writeln!(f, "Take {}: {seconds}, {}", chosen.name(), Usd(chosen.usd))?;
        }
        let sources: Vec<_> = InstanceList::all().iter().map(|list| list.date.as_str()).collect();
        writeln!(
            f,
            "\nCost: {} prices, by the second, at least a minute of each machine. Machines as of {}. docs/cost-model.md states the model.",
            self.prices,
            sources.join(", ")
        )?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

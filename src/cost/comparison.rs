//! Dollars per query, of what was measured here and of what was published, beside each other.

use std::fmt;

use serde::Serialize;

use super::table::aligned;
use super::{InstancePrice, Measured, PriceList, Published, Query, Unit, usd};
use crate::units::{Bytes, Count, Usd, decimals};

/// The rows, or bytes, that costs are scaled to.
const SCALED_TO: u64 = 1_000_000_000;

/// Where a line of a table is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Run here.
    Measured,
    /// Published by others.
    Published,
}

/// One system's cost of one query.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// Name, version, setting.
    pub system: String,
    /// Where it is from.
    pub origin: Origin,
    /// Machines.
    pub nodes: usize,
    /// Their type.
    pub instance: String,
    /// Date of the prices; none where that list has no price of these machines.
    pub prices: Option<String>,
    /// Size of the input.
    pub size: u64,
    /// Time; none where a run failed.
    pub seconds: Option<f64>,
    /// USD for the run as it was.
    pub usd: Option<f64>,
    /// USD for 10^9 rows or bytes, by the same cost for each.
    pub usd_scaled: Option<f64>,
    /// `usd_scaled` over that of the cheapest Millrace run; above 1 where Millrace is cheaper.
    pub times: Option<f64>,
    /// Numbers of its notes, from 1.
    pub notes: Vec<usize>,
}

/// All systems that answered one query.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Name of the query.
    pub query: String,
    /// What sizes count.
    pub unit: Unit,
    /// Measured here first, in the order given, then published.
    pub lines: Vec<Line>,
}

/// Tables of several queries, with what must be known to read them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Comparison {
    /// One for each query.
    pub queries: Vec<Entry>,
    /// What is uneven, numbered from 1.
    pub notes: Vec<String>,
}

impl Comparison {
    /// Compares `measured` with what was published about the same queries; where nothing was measured, lists all that was
    /// published. `prices` prices every machine by one list in place of that of its own time.
    pub fn new(measured: &[Measured], prices: Option<&'static PriceList>) -> Self {
        let mut comparison = Comparison::default();
        let published = &Published::get().query;
        let is_measured = |query: &&Query| measured.iter().any(|run| run.query == query.name);
        let benchmark = published.iter().filter(|query| measured.is_empty() || is_measured(query));
        let mut names: Vec<_> = benchmark.map(|query| (query.name.as_str(), query.unit)).collect();
        for run in measured {
            if !names.iter().any(|(name, _)| *name == run.query) {
                names.push((&run.query, run.unit));
            }
        }
        for (name, unit) in names {
            let mut lines = Vec::new();
            for run in measured.iter().filter(|run| run.query == name) {
                lines.push(comparison.measured(run, prices));
            }
            if let Some(query) = published.iter().find(|query| query.name == name) {
                lines.extend(comparison.published(query, prices));
            }
            let ours = |line: &&Line| line.origin == Origin::Measured && line.system.starts_with("millrace");
            let least = lines.iter().filter(ours).filter_map(|line| line.usd_scaled).min_by(f64::total_cmp);
            for line in &mut lines {
                line.times = line.usd_scaled.zip(least).map(|(usd, least)| usd / least);
            }
            comparison.queries.push(Entry { query: name.to_owned(), unit, lines });
        }
        comparison
    }

    fn measured(&mut self, run: &Measured, prices: Option<&'static PriceList>) -> Line {
        let Measured { query, system, nodes, price, size, seconds, notes, .. } = run;
        let mut notes = notes.clone();
        if let Some(query) = Published::get().query.iter().find(|known| known.name == *query) {
            let share = *size as f64 / query.size as f64;
            if *size > 0 && !(0.1..10.0).contains(&share) {
                notes.push(format!(
                    "its input is {} times the published one: costs need not grow in proportion so far, least of all \
                     where there are more groups",
                    approximately(share)
                ));
            }
        }
        let price = prices.map_or(Some(*price), |list| list.price(price.instance));
        let line = Line {
            system: system.clone(),
            origin: Origin::Measured,
            nodes: *nodes,
            instance: run.price.instance.to_owned(),
            prices: None,
            size: *size,
            seconds: *seconds,
            usd: None,
            usd_scaled: None,
            times: None,
            notes: notes.into_iter().map(|note| self.number(note)).collect(),
        };
        line.priced(price)
    }

    fn published(&mut self, query: &Query, prices: Option<&'static PriceList>) -> Vec<Line> {
        let Published { system: systems, notes: texts, .. } = Published::get();
        let timed = systems.iter().filter_map(|system| Some((system, *system.seconds.get(&query.name)?)));
        timed
            .map(|(system, seconds)| {
                // A note about query 3 belongs to no other.
                let applies = |note: &&String| *note != "between" || query.name.starts_with('3');
                let notes = system.notes.iter().filter(applies).chain(&query.notes);
                let notes = notes.filter_map(|note| texts.get(note));
                let own = PriceList::all().iter().find(|list| list.date == system.prices);
                let line = Line {
                    system: system.name.clone(),
                    origin: Origin::Published,
                    nodes: system.nodes,
                    instance: system.instance.clone(),
                    prices: None,
                    size: query.size,
                    seconds: Some(seconds),
                    usd: None,
                    usd_scaled: None,
                    times: None,
                    notes: notes.map(|note| self.number(note.clone())).collect(),
                };
                line.priced(prices.or(own).and_then(|list| list.price(&system.instance)))
            })
            .collect()
    }

    /// The number of a note, which is new or was there.
    fn number(&mut self, note: String) -> usize {
        let found = self.notes.iter().position(|known| *known == note);
        1 + found.unwrap_or_else(|| {
            self.notes.push(note);
            self.notes.len() - 1
        })
    }
}

impl Line {
    fn priced(mut self, price: Option<InstancePrice>) -> Self {
        let Some(price) = price else { return self };
        self.prices = Some(price.prices.to_owned());
        self.usd = self.seconds.map(|seconds| usd(seconds, self.nodes, price.usd_per_hour));
        // An empty input has no cost per row.
        let scale = SCALED_TO as f64 / self.size as f64;
        self.usd_scaled = self.usd.map(|usd| usd * scale).filter(|usd| usd.is_finite());
        self
    }

    fn cells(&self, unit: Unit) -> [String; 9] {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let money = |usd: Option<f64>| or_none(usd.map(|usd| Usd(usd).to_string()));
        [
            self.system.clone(),
            format!("{} x {}", self.nodes, self.instance),
            match unit {
                Unit::Rows => Count(self.size).to_string(),
                Unit::Bytes => Bytes(self.size).to_string(),
            },
            self.seconds.map_or("failed".to_owned(), |seconds| format!("{seconds:.2} s")),
            or_none(self.prices.clone()),
            money(self.usd),
            money(self.usd_scaled),
            or_none(self.times.map(approximately)),
            self.notes.iter().map(|note| format!("[{note}]")).collect::<Vec<_>>().concat(),
        ]
    }
}

/// A ratio with at least two digits that tell.
fn approximately(ratio: f64) -> String {
    let decimals = match ratio {
        ..0.0995 => decimals(ratio, 4),
        ..0.995 => 2,
        ..99.5 => 1,
        _ => 0,
    };
    format!("{ratio:.decimals$}")
}

impl fmt::Display for Comparison {
    /// Tables as text, each query's under its name, and the notes below.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { query, unit, lines } in &self.queries {
            let (size, scaled) = match unit {
                Unit::Rows => ("rows", "per 10^9 rows"),
                Unit::Bytes => ("bytes", "per 10^9 bytes"),
            };
            let head = ["system", "machines", size, "time", "prices", "per query", scaled, "times", "notes"];
            let mut table = vec![head.map(str::to_owned)];
            table.extend(lines.iter().map(|line| line.cells(*unit)));
            writeln!(f, "Query {query}\n{}", aligned(&table, &[0, 1, 8]))?;
        }
        writeln!(
            f,
            "Costs are time x machines x price, on demand and by the second, at the prices of the month named. Per 10^9: in proportion \
             to the input. Times: that, over the cheapest Millrace run."
        )?;
        for (index, note) in self.notes.iter().enumerate() {
            writeln!(f, "[{}] {note}", index + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(query: &str, size: u64, seconds: Option<f64>) -> Measured {
        Measured {
            query: query.into(),
            system: "millrace -w 16".into(),
            nodes: 1,
            price: "c8g.4xlarge".parse().unwrap(),
            unit: Unit::Rows,
            size,
            seconds,
            notes: vec!["a note".into()],
        }
    }

    fn line<'a>(comparison: &'a Comparison, system: &str) -> &'a Line {
        comparison.queries[0].lines.iter().find(|line| line.system.starts_with(system)).unwrap()
    }

    #[test]
    fn costs_are_scaled_by_rows_and_compared_with_the_cheapest_of_ours() {
        let runs = [run("2A", 100_000_000, Some(3600.0)), run("2A", 200_000_000, Some(3600.0))];
        let comparison = Comparison::new(&runs, None);
        assert_eq!(comparison.queries.len(), 1, "only what was measured");
        let lines = &comparison.queries[0].lines;
        let near = |found: Option<f64>, wanted: f64| (found.unwrap() / wanted - 1.0).abs() < 1e-9;
        assert!(near(lines[0].usd, 0.6381) && near(lines[0].usd_scaled, 6.381) && near(lines[0].times, 2.0));
        assert!(near(lines[1].usd_scaled, 3.1905) && near(lines[1].times, 1.0));
        // 25.46 s x 10 x 0.85 USD/h, 752.4 M rows.
        let redshift = line(&comparison, "Redshift");
        let dollars = 25.46 * 8.5 / 3600.0;
        assert!(near(redshift.usd, dollars) && near(redshift.usd_scaled, dollars / 0.7524), "{redshift:?}");
        assert!(near(redshift.times, dollars / 0.7524 / 3.1905));
        assert_eq!(redshift.prices.as_deref(), Some("2014-02"));
    }

    #[test]
    fn one_list_of_prices_leaves_those_without_a_price_empty() {
        let list = PriceList::all().iter().find(|list| list.date == "2016-02");
        let comparison = Comparison::new(&[run("2A", 100_000_000, Some(1.0))], list);
        let (ours, redshift, hive) =
            (line(&comparison, "millrace"), line(&comparison, "Redshift"), line(&comparison, "Hive"));
        assert_eq!((ours.usd, redshift.usd), (None, None), "no such machines then");
        assert_eq!((ours.prices.as_deref(), ours.seconds), (None, Some(1.0)));
        assert!((hive.usd.unwrap() - 730.62 * 5.0 * 0.98 / 3600.0).abs() < 1e-9);
        assert_eq!(hive.times, None, "nothing of ours to compare with");
    }

    #[test]
    fn failures_are_shown_and_have_no_cost() {
        let comparison = Comparison::new(&[run("2A", 100_000_000, None)], None);
        let ours = line(&comparison, "millrace");
        assert_eq!((ours.usd, ours.usd_scaled, ours.times), (None, None, None));
        assert!(comparison.to_string().contains("  failed  "), "{comparison}");
        let empty = Comparison::new(&[run("2A", 0, Some(1.0))], None);
        assert_eq!(line(&empty, "millrace").usd_scaled, None, "nothing to divide by");
    }

    #[test]
    fn notes_are_said_once_and_those_of_the_predecessor_are_all_there() {
        let comparison = Comparison::new(&[run("2A", 752_400_000, Some(1.0))], None);
        let all: Vec<_> = comparison.notes.iter().collect();
        assert!(all.iter().enumerate().all(|(at, note)| !all[..at].contains(note)), "{all:?}");
        let ours = line(&comparison, "millrace");
        assert_eq!(ours.notes.len(), 1, "as large as the published input");
        assert_eq!(line(&comparison, "timely 2016").notes.len(), 5);
        let small = Comparison::new(&[run("2A", 7_524_000, Some(1.0))], None);
        assert!(
            small.notes[1].starts_with("its input is 0.0100 times the published one"),
            "{:?}",
            small.notes
        );
        let between = |query| {
            Comparison::new(&[run(query, 1_000_000_000, Some(1.0))], None).to_string().contains("BETWEEN")
        };
        assert!(between("3A") && !between("2A"));
        let days = |query| {
            Comparison::new(&[run(query, 1_000_000_000, Some(1.0))], None).to_string().contains("ten days")
        };
        assert!(days("3A") && !days("3B"));
    }

    /// Once, a small input was said to be 0.0000 times the published one.
    #[test]
    fn the_least_ratios_have_two_digits_that_tell() {
        let ratios = [0.000_013_29, 0.000_5, 0.013_3, 0.05, 0.5, 5.0, 500.0].map(approximately);
        assert_eq!(ratios, ["0.000013", "0.00050", "0.0133", "0.0500", "0.50", "5.0", "500"]);
    }

    #[test]
    fn other_queries_stand_alone_and_without_runs_all_that_was_published_is_listed() {
        let own = Comparison::new(&[run("countries", 1000, Some(1.0))], None);
        assert_eq!((own.queries.len(), own.queries[0].lines.len()), (1, 1));
        let all = Comparison::new(&[], None);
        let names: Vec<_> = all.queries.iter().map(|entry| entry.query.as_str()).collect();
        assert_eq!(names, ["1A", "1B", "1C", "2A", "2B", "2C", "3A", "3B", "3C", "4"]);
        assert_eq!(all.queries[9].lines.len(), 4, "four systems ran query 4");
        assert!(all.queries.iter().flat_map(|entry| &entry.lines).all(|line| line.usd.is_some()));
    }
}

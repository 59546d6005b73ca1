//! What others measured, from `published.toml`: times of the benchmark's queries, and what is uneven about them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

static PUBLISHED: LazyLock<Published> =
    LazyLock::new(|| toml::from_str(include_str!("published.toml")).expect("the tests read published.toml"));

/// All of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The benchmark's queries, in its order.
    pub query: Vec<Query>,
    /// Systems with their times.
    pub system: Vec<System>,
    /// What is uneven about some, by the names that [`System::notes`] uses.
    pub notes: BTreeMap<String, String>,
}

impl Published {
    /// What is compiled in.
    pub fn get() -> &'static Published {
        &PUBLISHED
    }
}

/// What the size of an input is counted in, where costs are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Rows of all tables it reads.
    Rows,
    /// Bytes of text.
    Bytes,
}

/// One query of the benchmark.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// `2A`.
    pub name: String,
    /// What `size` counts.
    pub unit: Unit,
    /// Input of the published runs.
    pub size: u64,
    /// When the figures that the size is from were published: year and month.
    pub date: String,
    /// Where the size is from.
    pub source: String,
    /// The program of ours that answers it, as reports name it.
    pub program: Option<String>,
    /// The arguments with which it does.
    #[serde(default)]
    pub arguments: BTreeMap<String, Value>,
    /// Names of what is uneven about all that was published of it.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Query {
    /// Whether a run of `program` with `arguments` answered this query.
    pub fn is(&self, program: &str, arguments: &Value) -> bool {
        self.program.as_deref() == Some(program)
            && self.arguments.iter().all(|(name, value)| arguments.get(name) == Some(value))
    }
}

/// A system on certain machines, with its times.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Name and version.
    pub name: String,
    /// How many machines.
    pub nodes: usize,
    /// Their type.
    pub instance: String,
    /// Date of the price list that belongs to the run.
    pub prices: String,
    /// When it was measured: year, and month where that is known.
    pub date: String,
    /// Where the times were published.
    pub source: String,
    /// Names of what is uneven about it.
    pub notes: Vec<String>,
    /// Seconds by the name of the query; absent where nothing was published.
    pub seconds: BTreeMap<String, f64>,
}

#[cfg(test)]
mod tests {
    use super::super::{PriceList, usd};
    use super::*;

    #[test]
    fn every_figure_has_a_source_a_date_a_price_and_its_notes() {
        let published = Published::get();
        for Query { name, size, date, source, .. } in &published.query {
            let (year, month) = date.split_once('-').unwrap();
            let is_month = year.len() == 4 && (1..=12).contains(&month.parse::<u32>().unwrap());
            assert!(is_month && source.len() > 20 && *size > 0, "{name}");
        }
        let mut used: Vec<_> = published.query.iter().flat_map(|query| &query.notes).collect();
        assert!(used.iter().all(|note| published.notes.contains_key(*note)), "{used:?}");
        for system in &published.system {
            let System { name, prices, date, source, notes, seconds, .. } = system;
            assert!(source.contains('.') && prices.starts_with(&date[..4]), "{name}");
            let list = PriceList::all().iter().find(|list| list.date == *prices).unwrap();
            assert!(list.price(&system.instance).is_some(), "{name} has no price");
            assert!(
                !notes.is_empty() && notes.iter().all(|note| published.notes.contains_key(note)),
                "{name}"
            );
            used.extend(notes);
            assert!(!seconds.is_empty() && seconds.values().all(|seconds| *seconds > 1.0), "{name}");
            let known = |name: &String| published.query.iter().any(|query| query.name == *name);
            assert!(seconds.keys().all(known), "{name}");
        }
        assert!(published.notes.keys().all(|note| used.contains(&note)), "a note that nothing has");
    }

    /// The publications name the price of a whole cluster: it must come out of our prices of its machines.
    #[test]
    fn an_hour_of_each_cluster_costs_what_was_published() {
        let hour = |name: &str, nodes: usize, instance: &str| {
            let matching = |system: &&System| {
                system.name.starts_with(name) && system.nodes == nodes && system.instance == instance
            };
            let system = Published::get().system.iter().find(matching).unwrap();
            let list = PriceList::all().iter().find(|list| list.date == system.prices).unwrap();
            usd(3600.0, nodes, list.price(instance).unwrap().usd_per_hour)
        };
        for (name, nodes, instance, published) in [
            ("Redshift", 10, "dw.hs1.xlarge", 8.50),
            ("Hive", 5, "m2.4xlarge", 8.20),
            ("timely 2016", 5, "c3.8xlarge", 8.40),
            ("timely 2016", 10, "c3.2xlarge", 4.20),
            ("timely 2016", 10, "m3.2xlarge", 5.32),
            ("timely 2016", 20, "m3.xlarge", 5.32),
            ("timely 2016", 1, "c3.8xlarge", 1.68),
        ] {
            assert!((hour(name, nodes, instance) - published).abs() < 1e-9, "{name} on {nodes} x {instance}");
        }
    }

    #[test]
    fn a_report_says_which_query_it_is_of() {
        let is = |program: &str, arguments: Value| {
            let queries = Published::get().query.iter();
            queries
                .filter(|query| query.is(program, &arguments))
                .map(|query| query.name.as_str())
                .collect::<Vec<_>>()
        };
        assert_eq!(is("query2", serde_json::json!({"prefix": 8, "top": 3})), ["2A"]);
        assert_eq!(is("query2", serde_json::json!({"prefix": 12})), ["2C"]);
        assert!(is("query2", serde_json::json!({"prefix": 9})).is_empty());
        assert_eq!(is("query4", serde_json::json!({"script": null})), ["4"]);
        let days = |to: &str, inclusive: bool| serde_json::json!({"from": "1980-01-01", "to": to, "inclusive": inclusive});
        assert_eq!(is("query3", days("1983-01-01", false)), ["3B"]);
        assert!(is("query3", days("1983-01-01", true)).is_empty(), "other visits");
        assert!(is("countries", Value::Null).is_empty());
    }
}

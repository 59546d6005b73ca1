//! What machines cost, from `prices.toml`, and what a run on them did.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::usd;
use crate::units::Usd;

static LISTS: LazyLock<Vec<PriceList>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        list: Vec<PriceList>,
    }
    let file: File = toml::from_str(include_str!("prices.toml")).expect("the tests read prices.toml");
    file.list
});

/// The prices of one month.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// Year and month, `2026-09`; no two lists have the same.
    pub date: String,
    /// Where the prices were read.
    pub source: String,
    /// USD for an hour of one machine, by its type: on demand, Linux, us-east-1.
    pub usd_per_hour: BTreeMap<String, f64>,
}

impl PriceList {
    /// All lists, oldest first.
    pub fn all() -> &'static [PriceList] {
        &LISTS
    }

    /// The newest list: what `--instance` takes.
    ///
    /// # Panics
    ///
    /// Never: a list is compiled in.
    pub fn newest() -> &'static PriceList {
        LISTS.last().expect("the tests see to a list")
    }

    /// The price of one type of machine, if the list has it.
    pub fn price(&'static self, instance: &str) -> Option<InstancePrice> {
        let (name, usd_per_hour) = self.usd_per_hour.get_key_value(instance)?;
        Some(InstancePrice { instance: name, usd_per_hour: *usd_per_hour, prices: &self.date })
    }
}

/// The dates of all lists, as a message shows them.
fn dates() -> String {
    LISTS.iter().map(|list| list.date.as_str()).collect::<Vec<_>>().join(", ")
}

/// A list as it is named on a command line, by its date.
#[derive(Debug, Clone, Copy)]
pub struct PricesOf(pub &'static PriceList);

impl FromStr for PricesOf {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let found = LISTS.iter().find(|list| list.date == typed);
        found
            .map(PricesOf)
            .ok_or_else(|| format!("there are no prices of that month; type one of {}", dates()))
    }
}

/// A type of machine with what an hour of it costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct InstancePrice {
    /// The type, as `c8g.4xlarge`.
    pub instance: &'static str,
    /// USD for an hour of one machine.
    pub usd_per_hour: f64,
    /// Date of the price list.
    pub prices: &'static str,
}

impl FromStr for InstancePrice {
    type Err = String;

    /// Reads a type of the newest list.
    fn from_str(typed: &str) -> Result<Self, String> {
        let list = PriceList::newest();
        list.price(typed).ok_or_else(|| {
            let known: Vec<_> = list.usd_per_hour.keys().map(String::as_str).collect();
            format!("the prices of {} do not have it; type one of {}", list.date, known.join(", "))
        })
    }
}

/// What a run cost: all its machines, for as long as it took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunCost {
    /// USD.
    pub usd: f64,
    /// Machines.
    pub nodes: usize,
    /// What one of them costs.
    #[serde(flatten)]
    pub price: InstancePrice,
}

impl RunCost {
    /// The cost of `seconds` on `nodes` machines.
    pub fn new(price: InstancePrice, nodes: usize, seconds: f64) -> Self {
        RunCost { usd: usd(seconds, nodes, price.usd_per_hour), nodes, price }
    }
}

impl fmt::Display for RunCost {
    /// `cost 0.00031 USD (c8g.4xlarge, 2026-09 prices)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InstancePrice { instance, prices, .. } = self.price;
        write!(f, "cost {} (", Usd(self.usd))?;
        if self.nodes > 1 {
            write!(f, "{} x ", self.nodes)?;
        }
        write!(f, "{instance}, {prices} prices)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_a_date_a_source_and_prices_of_machines() {
        assert!(LISTS.is_sorted_by(|a, b| a.date < b.date), "oldest first, each date once");
        for list in PriceList::all() {
            let (year, month) = list.date.split_once('-').unwrap();
            assert!(year.len() == 4 && year.parse::<u16>().is_ok(), "{}", list.date);
            assert!(month.len() == 2 && (1..=12).contains(&month.parse::<u8>().unwrap()), "{}", list.date);
            assert!(list.source.contains('.'), "{}: `{}` names no place", list.date, list.source);
            assert!(!list.usd_per_hour.is_empty(), "{}", list.date);
            for (instance, price) in &list.usd_per_hour {
                assert!((0.01..100.0).contains(price), "{instance} {price}");
                assert!(instance.contains('.'), "{instance}");
            }
        }
    }

    /// Sizes of a family are multiples of each other in every list, so a slip of a digit shows.
    #[test]
    fn a_machine_twice_as_large_costs_twice_as_much() {
        for list in PriceList::all() {
            let sizes = |name: &String| {
                let (family, size) = name.split_once('.')?;
                let times = size.strip_suffix("xlarge")?;
                Some((family.to_owned(), if times.is_empty() { 1.0 } else { times.parse().ok()? }))
            };
            let mut per_size = BTreeMap::<String, Vec<f64>>::new();
            for (name, price) in &list.usd_per_hour {
                if let Some((family, size)) = sizes(name) {
                    per_size.entry(family).or_default().push(price / size);
                }
            }
            for (family, prices) in per_size {
                let first = prices[0];
                assert!(
                    prices.iter().all(|price| (price / first - 1.0).abs() < 0.002),
                    "{} {family}: {prices:?}",
                    list.date
                );
            }
        }
    }

    #[test]
    fn a_type_is_read_from_the_newest_list_and_an_unknown_one_is_told_the_others() {
        let price: InstancePrice = "c8g.4xlarge".parse().unwrap();
        assert_eq!(price, InstancePrice { instance: "c8g.4xlarge", usd_per_hour: 0.6381, prices: "2026-09" });
        let old = "m2.4xlarge".parse::<InstancePrice>().unwrap_err();
        assert!(
            old.starts_with("the prices of 2026-09 do not have it; type one of c5n.2xlarge, c6a"),
            "{old}"
        );
        assert!("2016-02".parse::<PricesOf>().is_ok());
        let month = "2016-03".parse::<PricesOf>().unwrap_err();
        assert_eq!(month, "there are no prices of that month; type one of 2014-02, 2016-02, 2026-09");
    }

    #[test]
    fn the_last_line_names_amount_machines_and_prices() {
        let price = "c8g.4xlarge".parse().unwrap();
        // 1.75 s of 0.6381 USD an hour.
        assert_eq!(
            RunCost::new(price, 1, 1.75).to_string(),
            "cost 0.00031 USD (c8g.4xlarge, 2026-09 prices)"
        );
        let four = RunCost::new(price, 4, 1.75);
        assert_eq!(four.to_string(), "cost 0.0012 USD (4 x c8g.4xlarge, 2026-09 prices)");
        let json = serde_json::to_value(&four).unwrap();
        assert_eq!(
            (&json["nodes"], &json["instance"], &json["prices"]),
            (&4.into(), &"c8g.4xlarge".into(), &"2026-09".into())
        );
    }
}

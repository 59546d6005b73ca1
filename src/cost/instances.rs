//! What the machines have that can be rented, from `instances.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{InstancePrice, PriceList};

static LISTS: LazyLock<Vec<InstanceList>> = LazyLock::new(|| {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        list: Vec<InstanceList>,
    }
    let file: File = toml::from_str(include_str!("instances.toml")).expect("the tests read instances.toml");
    file.list
});

/// Types that were read in one place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceList {
    /// Year, month and day on which they were read.
    pub date: String,
    /// Where.
    pub source: String,
    /// What a machine has, by its type.
    pub instance: BTreeMap<String, Machinery>,
}

impl InstanceList {
    /// All lists.
    pub fn all() -> &'static [InstanceList] {
        &LISTS
    }
}

/// What a machine of one type has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machinery {
    /// Threads it runs at once: hyperthreads on Intel's and most of AMD's, cores on Graviton.
    pub vcpus: usize,
    /// Main memory.
    pub memory_gib: f64,
    /// Network in each direction, 10^9 bits a second, that lasts.
    pub network_gbit_per_second: f64,
}

impl Machinery {
    /// Main memory.
    pub fn memory_bytes(&self) -> f64 {
        self.memory_gib * (1_u64 << 30) as f64
    }

    /// Network in each direction.
    pub fn network_bytes_per_second(&self) -> f64 {
        self.network_gbit_per_second * 1e9 / 8.0
    }
}

/// A type that has both a price and known machinery.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Instance {
    /// Name and price.
    #[serde(flatten)]
    pub price: InstancePrice,
    /// What it has.
    #[serde(flatten)]
    pub machinery: Machinery,
}

impl Instance {
    /// All types of the newest price list of which it is known what they have, by name.
    pub fn all() -> impl Iterator<Item = Instance> {
        let known = LISTS.iter().flat_map(|list| &list.instance);
        known.filter_map(|(name, machinery)| {
            Some(Instance { price: PriceList::newest().price(name)?, machinery: *machinery })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_a_source_a_date_and_a_price() {
        for list in LISTS.iter() {
            assert_eq!((list.date.len(), list.date.matches('-').count()), (10, 2), "{}", list.date);
            assert!(list.source.contains('.') && list.source.len() > 20, "{}", list.source);
            for name in list.instance.keys() {
                assert!(PriceList::newest().price(name).is_some(), "{name} could never be chosen");
            }
        }
        // And the other way round: no type that has a price is left out.
        for name in PriceList::newest().usd_per_hour.keys() {
            assert!(
                LISTS.iter().any(|list| list.instance.contains_key(name)),
                "nothing is predicted for {name}"
            );
        }
        let names: Vec<_> = Instance::all().map(|instance| instance.price.instance).collect();
        assert!(names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1));
    }

    /// A letter of the family tells memory for each vCPU, and the size tells vCPUs, so a slip of a digit shows.
    #[test]
    fn sizes_and_families_agree_with_what_machines_have() {
        for Instance { price, machinery } in Instance::all() {
            let (family, size) = price.instance.split_once('.').unwrap();
            let times = size.strip_suffix("xlarge").unwrap();
            let vcpus = 4 * if times.is_empty() { 1 } else { times.parse::<usize>().unwrap() };
            assert_eq!(machinery.vcpus, vcpus, "{}", price.instance);
            let gib = match (family, &family[..1]) {
                ("c5n", _) => 2.625,
                (_, "c") => 2.0,
                (_, "m") => 4.0,
                (_, "r" | "i") => 8.0,
                _ => panic!("{family} is new here"),
            };
            assert!((machinery.memory_gib - gib * vcpus as f64).abs() < 1e-9, "{}", price.instance);
            let share = machinery.network_gbit_per_second / vcpus as f64;
            assert!((0.25..1.3).contains(&share), "{}: {share} Gbit/s for a vCPU", price.instance);
        }
        let machinery =
            Instance::all().find(|found| found.price.instance == "c8g.4xlarge").unwrap().machinery;
        assert!((machinery.memory_bytes() - 34_359_738_368.0).abs() < 1.0);
        assert!((machinery.network_bytes_per_second() - 937.5e6).abs() < 1.0);
    }
}

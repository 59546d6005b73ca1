//! The heavy keys of joins: those whose records were spread over the workers of the process that read them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::Count;

/// A key may be heavy, and is told, from this part of what a worker has on the average on: one record in so many.
pub(crate) const HEAVY_PART: usize = 16;
/// Keys that a line names.
const NAMED: usize = 3;

/// What one worker sent of the probe side of a join.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JoinShare {
    /// Records.
    pub records: u64,
    /// Records that were spread, by the name of their key.
    pub spread: Vec<(String, u64)>,
    /// Workers of the job.
    pub peers: usize,
}

/// The probe side of a hash join that looked for heavy keys.
#[derive(Debug, Clone, Serialize)]
pub struct JoinFigures {
    /// Records of all workers.
    pub probe_rows: u64,
    /// The keys that had so many of them that these were spread, the heaviest first.
    pub heavy_keys: Vec<HeavyKey>,
}

/// A key that many probe records have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeavyKey {
    /// The key: a text as it is, anything else as JSON.
    pub key: String,
    /// Probe records that were spread: all but those that came before the key was known.
    pub rows: u64,
    /// The same, as a part of all probe records: at least so many have the key.
    pub share: f64,
}

impl JoinFigures {
    /// What the workers sent of each join, put together; `shares` has those of one worker after the other.
    pub fn of<'a>(shares: impl Iterator<Item = &'a [JoinShare]>) -> Vec<Self> {
        let mut joins: Vec<(u64, usize, BTreeMap<&str, u64>)> = Vec::new();
        for share in shares {
            joins.resize_with(joins.len().max(share.len()), Default::default);
            for ((records, peers, spread), share) in joins.iter_mut().zip(share) {
                *records += share.records;
                *peers = share.peers;
                share.spread.iter().for_each(|(key, rows)| *spread.entry(key).or_default() += rows);
            }
        }
        joins.into_iter().map(|(records, peers, spread)| JoinFigures::new(records, peers, spread)).collect()
    }

    fn new(probe_rows: u64, peers: usize, spread: BTreeMap<&str, u64>) -> Self {
        let share = |rows: u64| rows as f64 / probe_rows.max(1) as f64;
        // What looked heavy for a while, as where records are in the order of their keys, is no news.
        let least = 1.0 / (HEAVY_PART * peers.max(1)) as f64;
        let heavy = spread.into_iter().filter(|&(_, rows)| share(rows) >= least);
        let heavy = heavy.map(|(key, rows)| HeavyKey { key: key.to_owned(), rows, share: share(rows) });
        let mut heavy_keys: Vec<_> = heavy.collect();
        heavy_keys.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.key.cmp(&b.key)));
        JoinFigures { probe_rows, heavy_keys }
    }
}

impl fmt::Display for JoinFigures {
    /// One line, where there are heavy keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(heaviest) = self.heavy_keys.first() else { return Ok(()) };
        let rows = Count(self.probe_rows);
        write!(
            f,
            "heavy keys of a join, spread over the workers of the process that reads them: {:?} has at least {:.1} %",
            heaviest.key,
            100.0 * heaviest.share
        )?;
        for HeavyKey { key, share, .. } in self.heavy_keys.iter().take(NAMED).skip(1) {
            write!(f, ", {key:?} {:.1} %", 100.0 * share)?;
        }
        if self.heavy_keys.len() > NAMED {
            write!(f, ", {} more", self.heavy_keys.len() - NAMED)?;
        }
        write!(f, " of {rows} rows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(records: u64, spread: &[(&str, u64)]) -> Vec<JoinShare> {
        let spread = spread.iter().map(|&(key, rows)| (key.to_owned(), rows)).collect();
        vec![JoinShare::default(), JoinShare { records, spread, peers: 2 }]
    }

    #[test]
    fn shares_are_put_together_and_the_heaviest_named() {
        let parts =
            [share(600, &[("a", 60), ("b", 100), ("c", 1)]), share(400, &[("a", 140), ("d", 50), ("e", 60)])];
        let joins = JoinFigures::of(parts.iter().map(Vec::as_slice));
        assert!(joins[0].heavy_keys.is_empty() && joins[0].to_string().is_empty());
        assert_eq!(joins[1].heavy_keys[0], HeavyKey { key: "a".into(), rows: 200, share: 0.2 });
        assert_eq!(
            joins[1].to_string(),
            "heavy keys of a join, spread over the workers of the process that reads them: \"a\" has at least 20.0 %, \"b\" 10.0 %, \"e\" 6.0 %, 1 more of 1,000 rows"
        );
    }
}

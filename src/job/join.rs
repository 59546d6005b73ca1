//! How a query's join is done, by what was typed, the sizes of files and their statistics.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use super::Job;
use crate::Error;
use crate::input::{Input, Row, Weight};
use crate::operators::{JoinStrategy, MOST_ROW_BYTES};
use crate::units::{Bytes, Count};

/// Bytes of the table that is held, times the processes that would have a copy, up to which a broadcast join is taken: a choice
/// that bounds what the copies hold in memory, not a measured one.
const BROADCAST_UP_TO_BYTES: u64 = 200_000_000;
/// What is read of a table takes so many times as much in memory at least, for all that is known: it may be compressed, and its rows
/// be long.
const HELD_FOR_EACH_BYTE: u64 = 4;

/// How two tables meet, as it is typed: the flag `--join` of a query.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinChoice {
    /// By the sizes of the files, and their statistics.
    #[default]
    Auto,
    /// With all of the table that is held in every process.
    Broadcast,
    /// By exchanging both tables, but for keys that very many rows have.
    Hash,
    /// By exchanging both tables, whatever the keys.
    StrictHash,
}

/// One of the two tables of a join, in the order in which they were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinSide {
    /// The first one.
    First,
    /// The second one.
    Second,
}

/// How two tables meet, and why.
#[derive(Debug, Clone)]
pub struct ChosenJoin {
    /// What the join is told.
    pub strategy: JoinStrategy,
    /// The table that is to be the build side: it is scanned first, and held.
    pub build: JoinSide,
    held: &'static str,
    reason: String,
}

impl fmt::Display for ChosenJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} join that holds {}: {}", self.strategy, self.held, self.reason)
    }
}

/// What is known of a table before it is read.
struct Size {
    name: &'static str,
    /// Bytes that are read, at most, and that are expected to be kept.
    read: u64,
    expected: u64,
}

impl Size {
    fn of<R: Row>(input: &Input<R>) -> Self {
        Size { name: input.table().name, read: input.bytes_to_read(), expected: input.expected_bytes() }
    }

    /// What [`JoinChoice::Auto`] is where this table, whose rows come to `weight`, is held by so many processes, each with so many bytes
    /// for its reducers; and why.
    fn strategy(
        &self,
        processes: u64,
        reducers_bytes: u64,
        weight: impl FnOnce() -> Result<Option<Weight>, Error>,
    ) -> Result<(JoinStrategy, String), Error> {
        if self.read > reducers_bytes / HELD_FOR_EACH_BYTE {
            return Ok((JoinStrategy::Hash, format!("{} to read may not fit in --memory", Bytes(self.read))));
        }
        let copies = self.expected * processes;
        let why = format!(
            "a copy in each process takes {} (limit {})",
            Bytes(copies),
            Bytes(BROADCAST_UP_TO_BYTES)
        );
        if copies > BROADCAST_UP_TO_BYTES {
            return Ok((JoinStrategy::Hash, why));
        }
        let Some(weight) = weight()? else {
            let why = "its files do not say how long its texts are, so it may not fit in --memory";
            return Ok((JoinStrategy::Hash, why.to_owned()));
        };
        let held = held_bytes(weight);
        if held > reducers_bytes {
            let (rows, held) = (Count(weight.rows), Bytes(held));
            return Ok((
                JoinStrategy::Hash,
                format!("{rows} rows to read, about, may take {held}, more than --memory has"),
            ));
        }
        Ok((JoinStrategy::Broadcast, why))
    }
}

/// What a join holds of such rows, at most.
fn held_bytes(Weight { rows, bytes }: Weight) -> u64 {
    rows.saturating_mul(MOST_ROW_BYTES).saturating_add(bytes).saturating_add(bytes / 8)
}

impl Job {
    /// Chooses which of two tables a join holds, and its strategy, and notes both as the decision `join`. `held` is the name of
    /// one of the tables, as typed, if any.
    ///
    /// Without it that is the table of which fewer bytes are expected to be wanted: of text all, of column files those of the
    /// columns that are read, in so many of the rows as the statistics of blocks say, if values are spread evenly between the limits
    /// of a block, are in the ranges of [`Input::skipping_outside`]. [`JoinChoice::Auto`] is a broadcast while the copies of that in all
    /// processes are expected to have at most 200 MB together, and while all that is read of the table, if the estimate is wrong,
    /// fits into what the reducers of a process may hold: its bytes four times, and its rows, 64 bytes each and their values, as many as
    /// the footers of column files say, or the first rows of some text files make one expect. Where statistics of texts are missing, it is
    /// no broadcast.
    ///
    /// # Errors
    ///
    /// `held` is neither table. `Auto` with `--local-shards`: no process knows how large the tables are; the first one is held there. A
    /// file that is looked into cannot be read.
    pub fn choose_join<A: Row, B: Row>(
        &mut self,
        choice: JoinChoice,
        held: Option<&str>,
        first_input: &Input<A>,
        second_input: &Input<B>,
    ) -> Result<ChosenJoin, Error> {
        let (first, second) = (Size::of(first_input), Size::of(second_input));
        let knows_sizes = !self.settings.local_shards;
        let build = match held {
            Some(name) if name == first.name => JoinSide::First,
            Some(name) if name == second.name => JoinSide::Second,
            Some(name) => {
                let reason = format!("--build {name} is none of the joined tables");
                let remedy = format!("--build {}, or --build {}", first.name, second.name);
                return super::or_decline(&self.settings, Err(Error::usage(reason, remedy)));
            }
            None if knows_sizes && second.expected < first.expected => JoinSide::Second,
            None => JoinSide::First,
        };
        let (build_size, probe_size) = match build {
            JoinSide::First => (&first, &second),
            JoinSide::Second => (&second, &first),
        };
        let name = build_size.name;
        if !knows_sizes && choice == JoinChoice::Auto {
            let reason = format!(
                "--join auto goes by the size of {name}, and with --local-shards each process knows only its own part of it"
            );
            let remedy = format!("--join hash, or --join broadcast if all of {name} is small");
            return super::or_decline(&self.settings, Err(Error::usage(reason, remedy)));
        }
        let why_build = match held {
            Some(_) => "--build says so".to_owned(),
            None if knows_sizes => format!(
                "about {} of it are wanted, and {} of {}",
                Bytes(build_size.expected),
                Bytes(probe_size.expected),
                probe_size.name
            ),
            None => "--local-shards".to_owned(),
        };
        let said = |strategy| (strategy, "--join says so".to_owned());
        let (strategy, why_strategy) = match choice {
            JoinChoice::Hash => said(JoinStrategy::Hash),
            JoinChoice::StrictHash => said(JoinStrategy::StrictHash),
            JoinChoice::Broadcast => said(JoinStrategy::Broadcast),
            JoinChoice::Auto => {
                let (processes, most) = (self.settings.cluster.processes(), self.memory().reducers_bytes());
                let chosen = build_size.strategy(processes as u64, most as u64, || match build {
                    JoinSide::First => first_input.weight(),
                    JoinSide::Second => second_input.weight(),
                });
                super::or_decline(&self.settings, chosen)?
            }
        };
        let reason = format!("{why_build}; {why_strategy}");
        self.decide("join", json!({"strategy": strategy, "build": name, "reason": reason}));
        Ok(ChosenJoin { strategy, build, held: name, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_up_to_the_limit_that_surely_fit_are_broadcast() {
        let weighed = |read, expected, processes, reducers_bytes, weight: Weight| {
            let size = Size { name: "rankings", read, expected };
            size.strategy(processes, reducers_bytes, || Ok(Some(weight))).expect("no error")
        };
        let strategy = |read, expected, processes, reducers_bytes| {
            weighed(read, expected, processes, reducers_bytes, Weight::default())
        };
        let plenty = 1 << 40;
        for (expected, processes, broadcast) in [
            (0, 1, true),
            (200_000_000, 1, true),
            (200_000_001, 1, false),
            (100_000_000, 2, true),
            (100_000_001, 2, false),
            (70_000_000, 3, false),
        ] {
            let (found, why) = strategy(expected, expected, processes, plenty);
            assert_eq!(
                found == JoinStrategy::Broadcast,
                broadcast,
                "{expected} bytes, {processes} processes"
            );
            assert!(why.ends_with("(limit 200 MB)"), "{why}");
        }
        // Little is expected of it, but if that is wrong it does not fit.
        assert_eq!(strategy(1_000, 10, 1, 4_000).0, JoinStrategy::Broadcast);
        let (found, why) = strategy(1_001, 10, 1, 4_000);
        assert_eq!((found, &why[..]), (JoinStrategy::Hash, "1.00 kB to read may not fit in --memory"));
        // Rows that are short, or compressed well, take far more than they take in files.
        let of_rows = |rows| weighed(1_000, 1_000, 1, 8_000, Weight { rows, bytes: 800 });
        assert_eq!(of_rows(110).0, JoinStrategy::Broadcast);
        let (found, why) = of_rows(111);
        let expected = "111 rows to read, about, may take 8.00 kB, more than --memory has";
        assert_eq!((found, &why[..]), (JoinStrategy::Hash, expected));
    }
}

//! How a query's join is done, by what was typed and the sizes of files.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use super::Job;
use crate::Error;
use crate::input::{Input, Row};
use crate::operators::JoinStrategy;
use crate::units::Bytes;

/// Bytes of the smaller table, times the processes that would have a copy, up to which a broadcast join is taken: a choice
/// that bounds what the copies hold in memory, not a measured one.
const BROADCAST_UP_TO_BYTES: u64 = 200_000_000;
/// Rows in a file take so many times as much in memory, about, and are not to take all of it.
const HELD_FOR_EACH_BYTE: u64 = 4;

/// How two tables meet, as it is typed: the flag `--join` of a query.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinChoice {
    /// By the sizes of the files.
    #[default]
    Auto,
    /// With all of the smaller table in every process.
    Broadcast,
    /// By exchanging both tables, but for keys that very many rows have.
    Hash,
    /// By exchanging both tables, whatever the keys.
    StrictHash,
}

/// How two tables meet, and why.
#[derive(Debug, Clone)]
pub struct ChosenJoin {
    /// What the join is told.
    pub strategy: JoinStrategy,
    reason: String,
}

impl fmt::Display for ChosenJoin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} join: {}", self.strategy, self.reason)
    }
}

impl Job {
    /// Chooses the strategy of a join whose build side has the rows of `build`, and notes it as the decision `join`.
    ///
    /// [`JoinChoice::Auto`] is a broadcast while the copies of the table's files in all processes have at most 200 MB together,
    /// and those of a process at most a quarter of what its reducers may hold.
    ///
    /// # Errors
    ///
    /// `Auto` with `--local-shards`: no process knows how large the table is.
    pub fn choose_join<R: Row>(&mut self, choice: JoinChoice, build: &Input<R>) -> Result<ChosenJoin, Error> {
        let name = build.table().name;
        if self.settings.local_shards && choice == JoinChoice::Auto {
            let reason = format!(
                "--join auto goes by the size of {name}, and with --local-shards each process knows only its own part of it"
            );
            let remedy = format!("--join hash, or --join broadcast if all of {name} is small");
            return self.or_decline(Err(Error::usage(reason, remedy)));
        }
        let processes = self.settings.cluster.processes() as u64;
        let copies = build.bytes() * processes;
        let fit = (self.memory().reducers_bytes() as u64 / HELD_FOR_EACH_BYTE).saturating_mul(processes);
        let most = fit.min(BROADCAST_UP_TO_BYTES);
        let strategy = match choice {
            JoinChoice::Hash => JoinStrategy::Hash,
            JoinChoice::StrictHash => JoinStrategy::StrictHash,
            JoinChoice::Broadcast => JoinStrategy::Broadcast,
            JoinChoice::Auto if copies <= most => JoinStrategy::Broadcast,
            JoinChoice::Auto => JoinStrategy::Hash,
        };
        let reason = match choice {
            JoinChoice::Auto => {
                format!("a copy of {name} in each process takes {} (limit {})", Bytes(copies), Bytes(most))
            }
            _ => "--join says so".to_owned(),
        };
        self.decide("join", json!({"strategy": strategy, "reason": reason}));
        Ok(ChosenJoin { strategy, reason })
    }
}

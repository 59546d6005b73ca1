//! The report of a run, from what its workers counted.

use std::ops::Add;
use std::time::Instant;

use super::Job;
use super::worker::{self, Outcome, Planned};
use crate::cli;
use crate::cost::RunCost;
use crate::input::{self, Fetched};
use crate::report::{
    AnswerFigures, InputFigures, JoinFigures, Machine, Profile, RunReport, Seconds, imbalance,
};

impl Job {
    pub(super) fn report<A>(&self, outcome: &Outcome<A>, connected: Instant) -> RunReport {
        let mut details: Vec<_> = outcome.details.iter().collect();
        details.sort_by_key(|detail| detail.figures.index);
        let sum =
            |figure: fn(&worker::Detail) -> u64| details.iter().map(|detail| figure(detail)).sum::<u64>();
        let (rows, bytes) = (sum(|detail| detail.figures.rows), sum(|detail| detail.figures.bytes));
        let planned = |figure: fn(&Planned) -> usize| {
            if self.settings.local_shards {
                details.iter().map(|detail| figure(&detail.planned)).sum()
            } else {
                figure(&self.planned)
            }
        };
        let compressed_files = planned(|planned| planned.compressed_files);
        let run = connected.elapsed().as_secs_f64();
        let total = self.started.elapsed().as_secs_f64();
        let nodes = self.settings.cluster.machines();
        let workers_detail: Vec<_> = details.iter().map(|detail| detail.figures.clone()).collect();
        RunReport {
            query: self.settings.program.clone(),
            arguments: self.arguments.clone(),
            decisions: self.decisions.clone(),
            processes: self.settings.cluster.processes(),
            workers: self.settings.workers,
            assignment: self.settings.assignment,
            input: InputFigures {
                tables: self.tables.clone(),
                bad_records_policy: cli::shown(&self.settings.bad_records).to_string(),
                files: planned(|planned| planned.files),
                compressed_files,
                splits: planned(|planned| planned.splits),
                bytes,
                decompressed_bytes: (compressed_files > 0).then(|| sum(|detail| detail.text_bytes)),
                rows,
                filtered_rows: sum(|detail| detail.filtered_rows),
                unread_rows: sum(|detail| detail.unread_rows),
                passed_pages: sum(|detail| detail.passed_pages),
                bad_records: sum(|detail| detail.bad_records),
                rereads: outcome.rereads,
                warnings: self.warnings.clone(),
                fetched: input::is_remote(&self.settings.data).then(|| Fetched {
                    requests: sum(|detail| detail.fetched.requests),
                    bytes: sum(|detail| detail.fetched.bytes),
                }),
                largest_split: outcome.largest_split.clone(),
            },
            answer: AnswerFigures::default(),
            seconds: Seconds { connect: connected.duration_since(self.started).as_secs_f64(), run, total },
            rows_per_second: rows as f64 / run,
            bytes_per_second: bytes as f64 / run,
            peak_rss_bytes: details.iter().filter_map(|detail| detail.peak_rss_bytes).reduce(u64::add),
            base_rss_bytes: details.iter().filter_map(|detail| detail.base_rss_bytes).reduce(u64::add),
            exchanged_bytes: sum(|detail| detail.exchanged_bytes),
            network_bytes: sum(|detail| detail.network_bytes),
            group_bytes: sum(|detail| detail.group_bytes),
            memory_limit_bytes: self.settings.memory_bytes,
            spilled_bytes: sum(|detail| detail.spilled_bytes),
            spilled_partitions: sum(|detail| detail.spilled_partitions),
            queue_spilled_bytes: sum(|detail| detail.queue_spilled_bytes),
            joins: JoinFigures::of(details.iter().map(|detail| &detail.joins[..])),
            imbalance: imbalance(&workers_detail),
            workers_detail,
            cost: self.settings.instance.map(|price| RunCost::new(price, nodes, total)),
            profile: Profile::of(details.iter().filter_map(|detail| detail.profile.clone()).collect()),
            commit: env!("MILLRACE_COMMIT").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            machine: Machine::here(),
        }
    }
}

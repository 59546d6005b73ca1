//! What a run brought to process 0, and how it is told.

use std::fmt::Display;

use serde::Serialize;

use super::reports::Reports;
use crate::Error;
use crate::cli::{self, JobSettings};
use crate::operators::Ranking;
use crate::report::{AnswerFigures, AnswerHash, AnswerRows, RunReport};
use crate::units::Count;

/// What a run brought to process 0.
#[derive(Debug)]
pub struct Finished<A> {
    /// What the dataflow gathered.
    pub answer: Vec<A>,
    /// What the run says of itself; [`Finished::tell`] adds the answer's figures.
    pub report: RunReport,
    pub(super) settings: JobSettings,
    pub(super) reports: Reports,
}

impl<A> Finished<A> {
    /// Ends the run: prints the answer on stdout, as `text` or as one JSON object with `fields` in it, and on stderr what the run
    /// took; then writes the report if one was asked for, even where the answer could not be printed.
    pub fn tell(
        mut self,
        hash: AnswerHash,
        fields: serde_json::Value,
        text: impl Display,
    ) -> Result<(), Error> {
        self.report.answer = AnswerFigures { rows: hash.rows(), hash: hash.to_string() };
        let printed = if self.settings.json {
            let mut object = serde_json::json!({
                "query": self.report.query,
                "rows": self.report.input.rows,
                "hash": self.report.answer.hash,
            });
            if let (Some(object), serde_json::Value::Object(fields)) = (object.as_object_mut(), fields) {
                object.extend(fields);
            }
            cli::print(format_args!("{object}\n"))
        } else {
            cli::print(text)
        };
        cli::note(&self.report);
        if let Some(profile) = self.report.profile.as_ref().filter(|_| self.settings.verbose) {
            cli::note(format_args!("\n{}", profile.tree()));
        }
        let reported = self.reports.write(&self.report);
        printed.and(reported)
    }
}

impl<A> Finished<A> {
    /// Makes another answer of what was gathered: rows of groups, one total of the workers' parts.
    pub fn map<B>(self, change: impl FnOnce(Vec<A>) -> Vec<B>) -> Finished<B> {
        let Finished { answer, report, settings, reports } = self;
        Finished { answer: change(answer), report, settings, reports }
    }
}

impl<A: Serialize> Finished<A> {
    /// Ends the run of a query whose answer is few rows: prints them in the order of [`Finished::answer`], as a table with
    /// these columns or, with `--json`, as the objects of `answer`; each row is a tuple of as many values.
    pub fn tell_rows(mut self, columns: &[&'static str]) -> Result<(), Error> {
        let rows = AnswerRows::new(columns, &std::mem::take(&mut self.answer))?;
        self.tell(rows.hash, serde_json::json!({ "answer": rows.json() }), rows.text())
    }
}

impl Finished<AnswerHash> {
    /// Ends the run of a query whose answer is what it wrote, of which each worker has the hash of its rows: prints how many there
    /// are, by how many the largest share has, and the hash of all; with `--json` as `answer_rows` and `largest_share`.
    pub fn tell_written(self) -> Result<(), Error> {
        let largest = self.answer.iter().map(AnswerHash::rows).max().unwrap_or(0);
        let hash: AnswerHash = self.answer.iter().copied().sum();
        let (rows, largest_share) = (Count(hash.rows()), Count(largest));
        let text = format!("{rows} rows, at most {largest_share} of one worker, hash {hash}\n");
        self.tell(hash, serde_json::json!({ "answer_rows": hash.rows(), "largest_share": largest }), text)
    }
}

impl<T: Ord> Finished<Ranking<T>> {
    /// Ends the run of a query whose answer is many rows: prints the best of them as [`Finished::tell_rows`] does, each made by `row`
    /// of its score and item, then the number and the hash of all rows; with `--json`, that number is `answer_rows`.
    pub fn tell_ranking<R: Serialize>(
        mut self,
        columns: &[&'static str],
        row: impl Fn((f64, T)) -> R,
    ) -> Result<(), Error> {
        let Ranking { hash, top } = Ranking::of_all(std::mem::take(&mut self.answer));
        let best: Vec<_> = top.into_sorted().into_iter().map(row).collect();
        let rows = AnswerRows::new(columns, &best)?;
        let text = format!("{}{} rows, hash {hash}\n", rows.text(), Count(hash.rows()));
        self.tell(hash, serde_json::json!({ "answer_rows": hash.rows(), "answer": rows.json() }), text)
    }
}

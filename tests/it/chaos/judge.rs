//! Whether a run of chaos went as it should, whatever its fault.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::Fault::{
    BadRecord, CutLink, FullDisk, Kill, MissingFile, None as NoFault, OtherArguments, OtherBinary,
    OtherSecret, Stop, TakenPort, Terminate,
};
use super::stage::{Stage, lines};
use super::{CONNECT, END, Layout, PEER, Plan};
use crate::support::Ran;

/// What a process said last of all: from its own error message on.
pub(super) fn error(ran: &Ran) -> String {
    let at = ran
        .stderr
        .find("\nerror: ")
        .map(|at| at + 1)
        .or_else(|| ran.stderr.starts_with("error: ").then_some(0));
    at.map_or(String::new(), |at| ran.stderr[at..].to_owned())
}

pub(super) struct Judge<'a> {
    pub(super) stage: &'a Stage<'a>,
    pub(super) rans: &'a [Ran],
    pub(super) wrong: Vec<String>,
}

impl Judge<'_> {
    fn check(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.wrong.push(what.into());
        }
    }

    pub(super) fn in_time(
        &mut self,
        times: &[Instant],
        started: Instant,
        struck: Option<Instant>,
        thawed: Option<Instant>,
    ) -> Duration {
        let Plan { fault, victim, layout, .. } = *self.stage.plan;
        let last =
            |from: Instant| times.iter().map(|time| time.duration_since(from)).max().unwrap_or_default();
        let connected = self.rans.iter().all(|ran| ran.stderr.contains(" is connected with all "));
        let (taken, limit) = match fault {
            NoFault => return last(started),
            Stop if thawed.is_some() => {
                // The frozen one has its own clock.
                let survivors =
                    times.iter().enumerate().filter(|&(index, _)| index != victim || layout == Layout::Local);
                let from =
                    if layout == Layout::Local && victim == 0 { thawed } else { struck }.unwrap_or(started);
                let taken = survivors.map(|(_, time)| time.duration_since(from)).max().unwrap_or_default();
                let after = times.get(victim).zip(thawed).map(|(time, thawed)| time.duration_since(thawed));
                // Frozen before it looked for the others, it looks for them now.
                let limit = if connected { END } else { CONNECT + END };
                self.check(
                    after.is_none_or(|after| after < limit),
                    format!("thawed, it ended after {after:?}"),
                );
                (taken, CONNECT.max(PEER) + END)
            }
            Kill | Terminate if connected => (last(struck.unwrap_or(started)), END),
            Kill | Terminate | Stop | CutLink => (last(struck.unwrap_or(started)), CONNECT.max(PEER) + END),
            OtherSecret => (last(started), CONNECT + END),
            _ => (last(times.iter().min().copied().unwrap_or(started)), END),
        };
        self.check(taken < limit, format!("the last process ended after {taken:?}"));
        taken
    }

    /// Whether there is an answer.
    pub(super) fn outcome(&mut self) -> bool {
        let Plan { fault, victim, layout, .. } = *self.stage.plan;
        let zero = &self.rans[0];
        // Killed, it cannot tell, but then the others know, or the output does.
        let first = self.stage.plan.directories().into_iter().next();
        let manifest =
            first.is_some_and(|first| self.stage.home.listing(first).contains(&"_SUCCESS".to_owned()));
        let known = manifest || self.rans.iter().any(|ran| ran.code == Some(0));
        let committed = zero.code == Some(0) || (zero.code.is_none() && known);
        let dynamic = matches!(fault, NoFault | Kill | Stop | Terminate | CutLink);
        self.check(dynamic || !committed, "the fault did not matter");
        self.check(fault != NoFault || committed, "no fault, and no answer");
        for (index, ran) in self.rans.iter().enumerate() {
            let killed = ran.code.is_none() && index == victim && matches!(fault, Kill | Terminate);
            // Without a word from process 0 the others do not know that there is an answer.
            let unsure = committed && victim == 0 && error(ran).contains(" was lost: ");
            let expected = i32::from(!committed || unsure);
            self.check(
                killed || ran.code == Some(expected),
                format!("process {index} ended with {:?}", ran.code),
            );
            self.check(!ran.stderr.contains("panicked"), format!("process {index} panicked"));
            self.check(index == 0 || ran.stdout.is_empty(), format!("process {index} has an answer"));
        }
        if zero.code == Some(0) {
            let answer: serde_json::Value = serde_json::from_str(&zero.stdout).unwrap_or_default();
            self.check(answer["hash"] == self.stage.world.hash, "the answer is wrong");
        } else if !committed {
            self.check(zero.stdout.is_empty(), "an answer of a run that failed");
        }
        if committed {
            self.whole_output();
        } else {
            self.causes();
            self.no_output(layout);
        }
        committed
    }

    fn whole_output(&mut self) {
        let directories = self.stage.plan.directories();
        let Some(first) = directories.first() else { return };
        self.check(self.stage.home.listing(first).contains(&"_SUCCESS".to_owned()), "no _SUCCESS");
        let mut rows: Vec<_> =
            directories.iter().flat_map(|directory| lines(&self.stage.home.path().join(directory))).collect();
        rows.sort();
        self.check(rows == self.stage.world.rows, "the output is not the answer");
        let hidden =
            |directory: &&str| self.stage.home.listing(directory).iter().any(|name| name.starts_with('.'));
        // Who was killed after the end could not remove its marker.
        let clean = self.rans.iter().all(|ran| ran.code == Some(0));
        self.check(!clean || !directories.iter().any(hidden), "hidden files beside the output");
    }

    fn causes(&mut self) {
        let Plan { fault, victim, .. } = *self.stage.plan;
        for (index, ran) in self.rans.iter().enumerate().filter(|(_, ran)| ran.code.is_some()) {
            let said = error(ran);
            let process = format!("process {victim} on ");
            let worker = format!("worker {victim} on ");
            let own = index == victim;
            let died_early = self.rans.get(victim).is_none_or(|ran| ran.code.is_none());
            let holds = match fault {
                NoFault => true,
                // From its own point of view, the others are lost.
                Stop | CutLink if own => said.contains("process "),
                Kill | Stop | CutLink => said.contains(&process),
                Terminate => said.contains("stopped by SIGTERM") || (died_early && said.contains(&process)),
                FullDisk => {
                    said.contains(&worker)
                        && (said.contains("No space left on device") || said.contains("File too large"))
                }
                BadRecord => {
                    said.contains(&worker) && said.contains("bad record in data/csv/t/uservisits/f-")
                }
                OtherSecret => said.contains("different secret"),
                OtherBinary => said.contains(" has executable "),
                OtherArguments => said.contains("--prefix 11"),
                MissingFile => said.contains("table uservisits"),
                TakenPort => {
                    said.contains(&format!("process {victim} cannot listen on "))
                        && said.contains("another program listens there")
                }
            };
            self.check(holds, format!("process {index} does not say the cause"));
        }
    }

    /// No result, and of the files only what a process had no chance to remove, which the next run does.
    fn no_output(&mut self, layout: Layout) {
        let Plan { fault, victim, .. } = *self.stage.plan;
        for directory in self.stage.plan.directories() {
            let left = self.stage.home.listing(directory);
            let nothing = left.is_empty() || left == ["absent"];
            self.check(!left.contains(&"_SUCCESS".to_owned()), format!("{directory} has a _SUCCESS"));
            let excused = matches!(fault, Kill | Stop | Terminate)
                && (layout == Layout::Local || self.rans[victim].code.is_none() || fault == Stop);
            self.check(nothing || excused, format!("left in {directory}: {left:?}"));
            if !nothing && excused {
                let marked = left.contains(&".millrace-run".to_owned());
                let hidden = left.iter().all(|name| name.starts_with('.'));
                self.check(hidden || marked, format!("left in {directory} without a marker: {left:?}"));
                let home = &self.stage.world.home;
                let mut again = home.query("-w 1");
                again.command.arg("--output").arg(self.stage.home.path().join(directory));
                let again = again.run();
                let now = self.stage.home.listing(directory);
                let clean = again.code == Some(0) && now == ["_SUCCESS", "part-00000.csv"];
                self.check(clean, format!("the next run does not clean up: {now:?}\n{again}"));
            }
        }
    }

    pub(super) fn nothing_runs(&mut self) {
        let asked = Instant::now();
        while !self.stage.home.processes().is_empty() && asked.elapsed() < Duration::from_secs(2) {
            thread::sleep(Duration::from_millis(5));
        }
        let left = self.stage.home.processes();
        self.check(left.is_empty(), format!("processes are left behind: {left:?}"));
        for pid in left {
            let _ = kill_process(pid, Signal::KILL);
        }
        if !self.wrong.is_empty() {
            self.wrong.extend(self.rans.iter().map(|ran| format!("\n{ran}")));
        }
    }
}

//! The steps of the job, which all processes confirm to each other; of the last one, process 0 tells how the job ended.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::shared::LastWord;
use super::{Fate, lock};
use crate::Error;
use crate::cluster::frame::Frame;

/// How often a process that waits for others looks whether it has failed itself.
const LOOK_UP: Duration = Duration::from_millis(20);
/// How long a process waits for the word of process 0 once it knows of another failure.
const LONGEST_SUSPENSE: Duration = Duration::from_secs(3);

/// How the job ended, as a process other than the first learns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The job has succeeded.
    Done,
    /// The job has failed, for this reason.
    Failed(String),
    /// Process 0 did not say, for this reason; it may have ended the job either way.
    Unknown(String),
}

impl Fate {
    /// Confirms the next step of the job and waits until every process has confirmed it.
    ///
    /// Steps are counted, so the same sequence of calls must happen in every process: once when all are connected
    /// (done by `connect`), and then as often as the job needs, such as before any of them writes. Without a `timeout`
    /// the wait lasts as long as the others are alive.
    pub fn confirm_and_wait(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.confirm_unless(timeout, || None)
    }

    /// As [`Fate::confirm_and_wait`]; `stopped` is asked now and then whether this process has failed meanwhile, as by
    /// a signal, and of what.
    pub fn confirm_unless(
        &self,
        timeout: Option<Duration>,
        stopped: impl Fn() -> Option<String>,
    ) -> Result<(), Error> {
        self.confirm_looking(timeout, || {
            if let Some(cause) = stopped() {
                self.fail(None, &cause);
            }
        })
    }

    /// As [`Fate::confirm_and_wait`]; meanwhile `look` is called now and then, and may end the wait by failing the job.
    pub(in crate::cluster) fn confirm_looking(
        &self,
        timeout: Option<Duration>,
        mut look: impl FnMut(),
    ) -> Result<(), Error> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let shared = &self.shared;
        let step = shared.confirm();
        shared.outbox.broadcast(&Frame::Confirmed(step));
        loop {
            look();
            let state = lock(&shared.state);
            if let Some(line) = &state.failure {
                return Err(Error::Cluster(line.clone()));
            }
            let Some(late) = state.confirmed.iter().position(|&confirmed| confirmed < step) else {
                return Ok(());
            };
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if state.left[late] || left.is_some_and(|left| left.is_zero()) {
                let why = if state.left[late] {
                    "ended before its part was done"
                } else {
                    "did not confirm in time"
                };
                drop(state);
                self.fail_as(&format!("{} {why}", self.name(late)));
                continue;
            }
            let left = left.unwrap_or(LOOK_UP).min(LOOK_UP);
            drop(shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// In process 0, the last step: waits until every process has confirmed it. From then on the job's end is in
    /// this process's hands alone: the loss of another changes nothing any more. Tell them by [`Fate::finish`] that
    /// the job has succeeded, or by [`Fate::fail`] that it has not.
    pub fn decide_alone(&self, stopped: impl Fn() -> Option<String>) -> Result<(), Error> {
        self.confirm_unless(None, stopped)?;
        let mut state = lock(&self.shared.state);
        // A failure that is being told at this moment has come first.
        state = self
            .shared
            .changed
            .wait_while(state, |state| state.verdict.is_some() && state.failure.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = &state.failure {
            return Err(Error::Cluster(line.clone()));
        }
        state.decided = true;
        Ok(())
    }

    /// In the other processes, the last step: confirms it, and learns from process 0 how the job ended.
    ///
    /// Once this process has confirmed, only process 0 knows whether all have. So nothing but its own word counts: the
    /// loss of a third process may have come too late to matter. Process 0 says it soon after such news, or is lost.
    pub fn confirm_and_obey(&self) -> Verdict {
        let shared = &self.shared;
        let step = shared.confirm();
        shared.outbox.broadcast(&Frame::Confirmed(step));
        let mut state = lock(&shared.state);
        let mut failed_at = None;
        loop {
            let cause = || state.failure.clone().or_else(|| state.verdict.clone());
            if state.left[0] {
                return Verdict::Done;
            }
            match state.last_word[0] {
                Some(LastWord::Failure) => return Verdict::Failed(cause().unwrap_or_default()),
                Some(LastWord::Nothing) => return Verdict::Unknown(cause().unwrap_or_default()),
                None => {}
            }
            let left = cause().map(|_| {
                LONGEST_SUSPENSE.saturating_sub(failed_at.get_or_insert_with(Instant::now).elapsed())
            });
            if left.is_some_and(|left| left.is_zero()) {
                return Verdict::Unknown(cause().unwrap_or_default());
            }
            let left = left.unwrap_or(LONGEST_SUSPENSE);
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

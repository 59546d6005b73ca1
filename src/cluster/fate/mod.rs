//! Shared fate: the processes of a job end together, with one cause.
//!
//! Every pair of processes keeps a control connection. On it they confirm the steps of the job to each other, tell a
//! failure to everyone, and send heartbeats, so that a process that was killed, frozen or cut off is noticed by the
//! others. The first failure a process learns of is the one it keeps.

mod shared;
mod steps;

use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::frame::Frame;
use crate::Error;
pub use shared::LEAST_PEER_TIMEOUT;
use shared::Shared;
pub use steps::Verdict;

/// This process's part in the fate of the job. Dropping it without [`Fate::finish`] is a failure to the others.
pub struct Fate {
    shared: Arc<Shared>,
}

impl Fate {
    /// The fate of process `index` among those on `hosts`; peers join as they connect. A peer silent for `silence`
    /// is lost.
    pub(super) fn start(index: usize, hosts: Vec<String>, silence: Duration) -> Result<Fate, Error> {
        let processes = hosts.len();
        let shared = Arc::new(Shared::new(index, hosts, silence));
        if processes > 1 {
            let shared = Arc::clone(&shared);
            spawn("fate:heartbeat", move || shared.beat())?;
        }
        Ok(Fate { shared })
    }

    /// Takes the control connection to `peer`.
    pub(super) fn join(&self, peer: usize, stream: TcpStream) -> Result<(), Error> {
        let broken =
            |error| Error::Cluster(format!("cannot use the connection to {}: {error}", self.name(peer)));
        stream.set_read_timeout(Some(self.shared.silence)).map_err(broken)?;
        let reader = stream.try_clone().map_err(broken)?;
        self.shared.outbox.open(peer, stream);
        let shared = Arc::clone(&self.shared);
        spawn(&format!("fate:process-{peer}"), move || shared.listen(peer, &reader))?;
        // Who comes late must learn at once that there is nothing left to join.
        let verdict = lock(&self.shared.state).verdict.clone();
        if let Some(line) = verdict {
            self.shared.outbox.send(peer, &Frame::Failed(line));
        }
        Ok(())
    }

    /// How messages call a process: `process 1 on 10.0.0.2:2101`.
    pub fn name(&self, process: usize) -> String {
        self.shared.name(process)
    }

    /// Whether there is no other process.
    pub fn is_alone(&self) -> bool {
        self.shared.hosts.len() == 1
    }

    /// Tells every process that this one failed, unless the job has failed already, and returns the line that all of
    /// them print: `worker 3 on host:port failed: CAUSE` where a worker is to blame, or else `process 1 on …`.
    pub fn fail(&self, worker: Option<usize>, cause: &str) -> String {
        let own = self.shared.index;
        let who = match worker {
            Some(worker) => format!("worker {worker} on {}", self.shared.hosts[own]),
            None => self.name(own),
        };
        let line = format!("{who} failed: {cause}");
        self.fail_as(&line);
        // Another failure may have come first.
        self.failure().unwrap_or(line)
    }

    /// As [`Fate::fail`], with a line that says itself who is to blame.
    pub(super) fn fail_as(&self, line: &str) {
        self.shared.decide(line, false);
    }

    /// The first failure this process knows of, its own or another's.
    pub fn failure(&self) -> Option<String> {
        lock(&self.shared.state).failure.clone()
    }

    /// Waits up to `patience` for another process to say what failed.
    ///
    /// For a symptom that arrives before its cause, as a broken data connection does when a peer fails.
    pub fn failure_within(&self, patience: Duration) -> Option<String> {
        let state = lock(&self.shared.state);
        let waited = self.shared.changed.wait_timeout_while(state, patience, |state| state.failure.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.failure.clone()
    }

    /// Has `action` called once, with the cause, when another process fails or is lost; at once if that has happened.
    ///
    /// It runs on a thread of this module. A failure of this process itself is the business of who called
    /// [`Fate::fail`].
    pub fn on_failure(&self, action: impl FnOnce(&str) + Send + 'static) {
        let mut state = lock(&self.shared.state);
        if let Some(line) = state.failure.clone() {
            drop(state);
            action(&line);
        } else {
            state.on_failure = Some(Box::new(action));
        }
    }

    /// Leaves the job in peace; to be called when it has succeeded.
    pub fn finish(self) {
        lock(&self.shared.state).finished = true;
        self.shared.outbox.broadcast(&Frame::Goodbye);
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        lock(&self.shared.state).finished = true;
        self.shared.changed.notify_all();
        self.shared.outbox.close();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| Error::Cluster(format!("cannot start the thread {name}: {error}")))
}

/// No thread panics while it holds one of these locks; if one did, the state is still whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

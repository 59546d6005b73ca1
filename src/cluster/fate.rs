//! Shared fate: the processes of a job end together, with one cause.
//!
//! Every pair of processes keeps a control connection. On it they confirm the steps of the job to each other, tell a
//! failure to everyone, and send heartbeats, so that a process that was killed, frozen or cut off is noticed by the
//! others. The first failure a process learns of is the one it keeps.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::frame::Frame;
use crate::Error;

/// A peer that does not even take eight bytes is as good as gone; the job's end must not wait for it.
const LONGEST_WRITE: Duration = Duration::from_millis(500);

/// This process's part in the fate of the job. Dropping it without [`Fate::finish`] is a failure to the others.
pub struct Fate {
    shared: Arc<Shared>,
}

struct Shared {
    index: usize,
    /// How to call each process in a message.
    names: Vec<String>,
    silence: Duration,
    writers: Vec<Mutex<Option<TcpStream>>>,
    state: Mutex<State>,
    changed: Condvar,
}

/// What a process does when another has failed.
type Action = Box<dyn FnOnce(&str) + Send>;

#[derive(Default)]
struct State {
    /// The first failure, from the moment this process starts to tell the others.
    verdict: Option<String>,
    /// The same, once all have been told: only now may it end this process.
    failure: Option<String>,
    on_failure: Option<Action>,
    /// The last step this process confirmed.
    step: u32,
    /// The same of every process.
    confirmed: Vec<u32>,
    left: Vec<bool>,
    finished: bool,
}

impl Fate {
    /// The fate of process `index` among `names`; peers join as they connect. A peer silent for `silence` is lost.
    pub(super) fn start(index: usize, names: Vec<String>, silence: Duration) -> Result<Fate, Error> {
        let processes = names.len();
        let state = State { confirmed: vec![0; processes], left: vec![false; processes], ..State::default() };
        let shared = Arc::new(Shared {
            index,
            names,
            silence,
            writers: (0..processes).map(|_| Mutex::new(None)).collect(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
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
        stream.set_write_timeout(Some(LONGEST_WRITE)).map_err(broken)?;
        stream.set_read_timeout(Some(self.shared.silence)).map_err(broken)?;
        let reader = stream.try_clone().map_err(broken)?;
        *lock(&self.shared.writers[peer]) = Some(stream);
        let shared = Arc::clone(&self.shared);
        spawn(&format!("fate:process-{peer}"), move || shared.listen(peer, &reader))?;
        // Who comes late must learn at once that there is nothing left to join.
        let verdict = lock(&self.shared.state).verdict.clone();
        if let Some(line) = verdict {
            self.shared.send(peer, &Frame::Failed(line));
        }
        Ok(())
    }

    /// How messages call a process: `process 1 on 10.0.0.2:2101`.
    pub fn name(&self, process: usize) -> &str {
        &self.shared.names[process]
    }

    /// Tells every process that this one failed, unless the job has failed already.
    ///
    /// The others print `process I on host:port failed: CAUSE`.
    pub fn fail(&self, cause: &str) {
        self.fail_as(&format!("{} failed: {cause}", self.name(self.shared.index)));
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

    /// Confirms the next step of the job and waits until every process has confirmed it.
    ///
    /// Steps are counted, so the same sequence of calls must happen in every process: once when all are connected
    /// (done by `connect`), and then as often as the job needs, such as before and after a commit. Without a `timeout`
    /// the wait lasts as long as the others are alive.
    pub fn confirm_and_wait(&self, timeout: Option<Duration>) -> Result<(), Error> {
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let shared = &self.shared;
        let step = {
            let mut state = lock(&shared.state);
            state.step += 1;
            let (index, step) = (shared.index, state.step);
            state.confirmed[index] = step;
            step
        };
        shared.broadcast(&Frame::Confirmed(step));
        let mut state = lock(&shared.state);
        loop {
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
                state = lock(&shared.state);
                continue;
            }
            state = match left {
                Some(left) => {
                    shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Leaves the job in peace; to be called when the last step is confirmed.
    pub fn finish(self) {
        lock(&self.shared.state).finished = true;
        self.shared.broadcast(&Frame::Goodbye);
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        lock(&self.shared.state).finished = true;
        self.shared.changed.notify_all();
        for writer in &self.shared.writers {
            if let Some(stream) = lock(writer).take() {
                // The far side may still be speaking, and closing both ways could cut off our own last frame. The
                // thread that listens lets go of the connection when the far side has closed its half.
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
    }
}

impl Shared {
    /// Makes `line` the failure of the job, unless it has one.
    fn decide(&self, line: &str, from_outside: bool) {
        let mut state = lock(&self.state);
        if state.verdict.is_some() {
            // Another thread is telling the others, and whoever calls this may end the process next.
            let told = self.changed.wait_while(state, |state| state.failure.is_none());
            return drop(told);
        }
        if state.finished {
            return;
        }
        state.verdict = Some(line.to_owned());
        drop(state);
        // Everyone passes the cause on before ending of it. So on each connection the cause comes before the end,
        // and nobody takes the end of a process that was told for a loss. It also reaches those who are cut off
        // from where it happened.
        self.broadcast(&Frame::Failed(line.to_owned()));
        let mut state = lock(&self.state);
        state.failure = Some(line.to_owned());
        let action = state.on_failure.take().filter(|_| from_outside);
        drop(state);
        self.changed.notify_all();
        if let Some(action) = action {
            action(line);
        }
    }

    fn send(&self, peer: usize, frame: &Frame) {
        if let Some(stream) = lock(&self.writers[peer]).as_mut() {
            // Who cannot be written to is noticed by the thread that reads from it.
            let _ = stream.write_all(&frame.encode());
        }
    }

    fn broadcast(&self, frame: &Frame) {
        (0..self.writers.len()).for_each(|peer| self.send(peer, frame));
    }

    fn beat(&self) {
        // Several beats may be lost to a busy machine before silence means death.
        let pause = (self.silence / 8).clamp(Duration::from_millis(10), Duration::from_secs(2));
        let mut state = lock(&self.state);
        while !state.finished {
            drop(state);
            self.broadcast(&Frame::Heartbeat);
            let locked = lock(&self.state);
            let waited = self.changed.wait_timeout_while(locked, pause, |state| !state.finished);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn listen(&self, peer: usize, stream: &TcpStream) {
        let name = &self.names[peer];
        loop {
            let lost = match Frame::read(stream) {
                Ok(Frame::Heartbeat) => continue,
                Ok(Frame::Confirmed(step)) => {
                    lock(&self.state).confirmed[peer] = step;
                    self.changed.notify_all();
                    continue;
                }
                Ok(Frame::Failed(line)) => return self.decide(&line, true),
                Ok(Frame::Goodbye) => {
                    lock(&self.state).left[peer] = true;
                    self.changed.notify_all();
                    return;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        format!("{name} was lost: silent for {} s", self.silence.as_secs_f64())
                    }
                    io::ErrorKind::InvalidData => format!("{name} was lost: it sent what is no message"),
                    _ => format!("{name} was lost: its connection broke before its work was done"),
                },
            };
            return self.decide(&lost, true);
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| Error::Cluster(format!("cannot start the thread {name}: {error}")))
}

/// No thread panics while it holds one of these locks; if one did, the state is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Shared fate: the processes of a job end together, with one cause.
//!
//! Every pair of processes keeps a control connection. On it they confirm the steps of the job to each other, tell a
//! failure to everyone, and send heartbeats, so that a process that was killed, frozen or cut off is noticed by the
//! others. The first failure a process learns of is the one it keeps.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::frame::Frame;
use super::outbox::Outbox;
use crate::Error;

/// How often a process that waits for others looks whether it has failed itself.
const LOOK_UP: Duration = Duration::from_millis(20);
/// How long a process waits for the word of process 0 once it knows of another failure.
const LONGEST_SUSPENSE: Duration = Duration::from_secs(3);

/// This process's part in the fate of the job. Dropping it without [`Fate::finish`] is a failure to the others.
pub struct Fate {
    shared: Arc<Shared>,
}

struct Shared {
    index: usize,
    /// Where each process is, for messages.
    hosts: Vec<String>,
    silence: Duration,
    outbox: Outbox,
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
    /// Who said goodbye.
    left: Vec<bool>,
    /// How each process that is heard no more was heard last: of a failure, or not at all.
    last_word: Vec<Option<LastWord>>,
    /// Whether this process has taken the end of the job into its own hands.
    decided: bool,
    finished: bool,
}

/// The end of what a process said, where it was no goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LastWord {
    /// It told of a failure.
    Failure,
    /// It was lost.
    Nothing,
}

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
    /// The fate of process `index` among those on `hosts`; peers join as they connect. A peer silent for `silence`
    /// is lost.
    pub(super) fn start(index: usize, hosts: Vec<String>, silence: Duration) -> Result<Fate, Error> {
        let processes = hosts.len();
        let state = State {
            confirmed: vec![0; processes],
            left: vec![false; processes],
            last_word: vec![None; processes],
            ..State::default()
        };
        let shared = Arc::new(Shared {
            index,
            hosts,
            silence,
            outbox: Outbox::new(processes),
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
    pub(super) fn confirm_looking(
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

impl Shared {
    fn name(&self, process: usize) -> String {
        format!("process {process} on {}", self.hosts[process])
    }

    /// Counts this process's own next step.
    fn confirm(&self) -> u32 {
        let mut state = lock(&self.state);
        state.step += 1;
        let step = state.step;
        state.confirmed[self.index] = step;
        step
    }

    /// Makes `line` the failure of the job, unless it has one, or its end is decided.
    fn decide(&self, line: &str, from_outside: bool) {
        let mut state = lock(&self.state);
        if state.decided && from_outside {
            return;
        }
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
        self.outbox.broadcast(&Frame::Failed(line.to_owned()));
        let mut state = lock(&self.state);
        state.failure = Some(line.to_owned());
        let action = state.on_failure.take().filter(|_| from_outside);
        drop(state);
        self.changed.notify_all();
        if let Some(action) = action {
            action(line);
        }
    }

    fn beat(&self) {
        // Several beats may be lost to a busy machine before silence means death.
        let pause = (self.silence / 8).clamp(Duration::from_millis(10), Duration::from_secs(2));
        let mut state = lock(&self.state);
        while !state.finished {
            drop(state);
            self.outbox.beat(|| !lock(&self.state).finished);
            let locked = lock(&self.state);
            let waited = self.changed.wait_timeout_while(locked, pause, |state| !state.finished);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn listen(&self, peer: usize, stream: &TcpStream) {
        let (line, last_word) = match self.hear(peer, stream) {
            Heard::Goodbye => {
                lock(&self.state).left[peer] = true;
                return self.changed.notify_all();
            }
            Heard::Failure(line) => (line, LastWord::Failure),
            Heard::Nothing(why) => (format!("{} was lost: {why}", self.name(peer)), LastWord::Nothing),
        };
        self.decide(&line, true);
        // Only now: who sees it finds the cause as well.
        lock(&self.state).last_word[peer] = Some(last_word);
        self.changed.notify_all();
    }

    /// Listens to a peer until it has nothing more to say.
    fn hear(&self, peer: usize, stream: &TcpStream) -> Heard {
        loop {
            match Frame::read(stream) {
                Ok(Frame::Heartbeat) => {}
                Ok(Frame::Confirmed(step)) => {
                    lock(&self.state).confirmed[peer] = step;
                    self.changed.notify_all();
                }
                Ok(Frame::Failed(line)) => return Heard::Failure(line),
                Ok(Frame::Goodbye) => return Heard::Goodbye,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        return Heard::Nothing(format!("silent for {} s", self.silence.as_secs_f64()));
                    }
                    io::ErrorKind::InvalidData => return Heard::Nothing("it sent what is no message".into()),
                    _ => return Heard::Nothing("its connection broke before its work was done".into()),
                },
            }
        }
    }
}

/// How a peer ended what it had to say.
enum Heard {
    Goodbye,
    Failure(String),
    /// It was lost, in this way.
    Nothing(String),
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| Error::Cluster(format!("cannot start the thread {name}: {error}")))
}

/// No thread panics while it holds one of these locks; if one did, the state is still whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

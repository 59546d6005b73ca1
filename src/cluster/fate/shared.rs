//! What the threads of a process know of the job's fate, and how they learn it: each listens to one other process.

use std::io;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::lock;
use crate::cluster::frame::Frame;
use crate::cluster::outbox::Outbox;

/// Between two heartbeats; what is less is lost among the pauses of any machine.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
/// Of so many heartbeats all but one may be lost to a busy machine before silence means death.
const BEATS: u32 = 8;
/// A round number with room for several heartbeats: in a shorter silence there might not be one.
pub const LEAST_PEER_TIMEOUT: Duration = Duration::from_millis(100);

/// What the threads of this process know of the job, and say to the other processes.
pub(super) struct Shared {
    pub(super) index: usize,
    /// Where each process is, for messages.
    pub(super) hosts: Vec<String>,
    pub(super) silence: Duration,
    pub(super) outbox: Outbox,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

/// What a process does when another has failed.
type Action = Box<dyn FnOnce(&str) + Send>;

/// What has happened so far.
#[derive(Default)]
pub(super) struct State {
    /// The first failure, from the moment this process starts to tell the others.
    pub(super) verdict: Option<String>,
    /// The same, once all have been told: only now may it end this process.
    pub(super) failure: Option<String>,
    pub(super) on_failure: Option<Action>,
    /// The last step this process confirmed.
    step: u32,
    /// The same of every process.
    pub(super) confirmed: Vec<u32>,
    /// Who said goodbye.
    pub(super) left: Vec<bool>,
    /// How each process that is heard no more was heard last: of a failure, or not at all.
    pub(super) last_word: Vec<Option<LastWord>>,
    /// Whether this process has taken the end of the job into its own hands.
    pub(super) decided: bool,
    pub(super) finished: bool,
}

/// The end of what a process said, where it was no goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastWord {
    /// It told of a failure.
    Failure,
    /// It was lost.
    Nothing,
}

impl Shared {
    pub(super) fn new(index: usize, hosts: Vec<String>, silence: Duration) -> Self {
        let processes = hosts.len();
        let state = State {
            confirmed: vec![0; processes],
            left: vec![false; processes],
            last_word: vec![None; processes],
            ..State::default()
        };
        Shared {
            index,
            hosts,
            silence,
            outbox: Outbox::new(processes),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(super) fn name(&self, process: usize) -> String {
        format!("process {process} on {}", self.hosts[process])
    }

    /// Counts this process's own next step.
    pub(super) fn confirm(&self) -> u32 {
        let mut state = lock(&self.state);
        state.step += 1;
        let step = state.step;
        state.confirmed[self.index] = step;
        step
    }

    /// Makes `line` the failure of the job, unless it has one, or its end is decided.
    pub(super) fn decide(&self, line: &str, from_outside: bool) {
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

    pub(super) fn beat(&self) {
        let pause = (self.silence / BEATS).clamp(LEAST_PAUSE, Duration::from_secs(2));
        let mut state = lock(&self.state);
        while !state.finished {
            drop(state);
            self.outbox.beat(|| !lock(&self.state).finished);
            let locked = lock(&self.state);
            let waited = self.changed.wait_timeout_while(locked, pause, |state| !state.finished);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn listen(&self, peer: usize, stream: &TcpStream) {
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

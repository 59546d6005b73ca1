//! How a job ends in its process: the main thread waits for the workers and for the network, looks meanwhile whether
//! the job has failed, and tells the others what failed here.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use timely::communication::WorkerGuards;

use super::worker::Outcome;
use crate::Error;
use crate::cluster::Fate;
use crate::error::Failure;

/// How often the main thread looks whether the job has failed.
const LOOK_UP: Duration = Duration::from_millis(10);
/// How long workers may take to clean up after a failure.
pub(super) const CLEAN_UP: Duration = Duration::from_secs(2);

/// Tells the other processes what failed here, or finds out what failed there: the error that all of them end with.
pub(super) fn told(fate: &Fate, failure: Option<Failure>) -> Error {
    let symptom = match failure {
        Some(Failure { error: Error::Cluster(line), .. }) => line,
        // Alone there is nobody to tell, and nobody to tell apart.
        Some(Failure { error, .. }) if fate.is_alone() => return error,
        // A failure of this process: its cause.
        Some(Failure { worker, error }) => return Error::Cluster(fate.fail(worker, &error.to_string())),
        None => "the job failed".into(),
    };
    // A broken connection is a symptom; the process that failed says what of.
    Error::Cluster(fate.failure_within(CLEAN_UP).unwrap_or_else(|| fate.fail(None, &symptom)))
}

/// Waits for every worker; the outcome of the one that has the answer, if it is here, or `None` when the job failed.
pub(super) fn collect<A>(
    outcomes: &mpsc::Receiver<Option<Outcome<A>>>,
    workers: usize,
    failed: impl Fn() -> bool,
) -> Option<Outcome<A>> {
    let (mut seen, mut kept, mut failed_at) = (0, None::<Outcome<A>>, None);
    while seen < workers {
        match outcomes.recv_timeout(LOOK_UP) {
            Ok(outcome) => {
                seen += 1;
                let better = |outcome: &Outcome<A>| outcome.answer.is_some() || kept.is_none();
                if outcome.as_ref().is_some_and(better) {
                    kept = outcome;
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if failed() && failed_at.get_or_insert_with(Instant::now).elapsed() > CLEAN_UP {
            break;
        }
    }
    kept.filter(|_| !failed())
}

/// Waits, after the last worker, for the threads of the network. False where they ended early, as they do when a peer
/// dies this late, or where the job `failed` meanwhile: a peer that is frozen or cut off keeps them for ever, and they
/// end with the process.
pub(super) fn network_ended(guards: WorkerGuards<()>, failed: impl Fn() -> bool) -> bool {
    let (alive, ended) = mpsc::channel::<()>();
    // The name puts a panic of timely's guard under the job's hook, as that of any thread of timely.
    let waiting = thread::Builder::new().name("timely:network".into()).spawn(move || {
        let _alive = alive;
        drop(guards.join());
    });
    let Ok(waiting) = waiting else { return false };
    while ended.recv_timeout(LOOK_UP) == Err(mpsc::RecvTimeoutError::Timeout) {
        if failed() {
            return false;
        }
    }
    waiting.join().is_ok()
}

#[cfg(test)]
mod tests {
    use timely::communication::Config;

    use super::*;

    /// What timely keeps of the network: its end waits for a peer's.
    struct Network(mpsc::Receiver<()>);

    impl Drop for Network {
        fn drop(&mut self) {
            assert_ne!(self.0.recv(), Ok(()), "the peer died");
        }
    }

    fn guards() -> (mpsc::Sender<()>, WorkerGuards<()>) {
        let (peer, network) = mpsc::channel();
        let (builders, _) = Config::Thread.try_build().unwrap();
        let guards = timely::execute::execute_from(
            builders,
            Box::new(Network(network)),
            timely::WorkerConfig::default(),
            |_| (),
        );
        (peer, guards.unwrap())
    }

    #[test]
    fn a_peer_that_never_ends_does_not_keep_a_job_that_failed() {
        let (peer, guards) = guards();
        let looks = std::cell::Cell::new(0);
        let failed = || looks.replace(looks.get() + 1) == 2;
        assert!(!network_ended(guards, failed));
        assert_eq!(looks.get(), 3);
        drop(peer);
    }

    #[test]
    fn the_network_ends_with_the_peer_in_peace_or_not() {
        let (peer, others) = guards();
        drop(peer);
        assert!(network_ended(others, || false));
        let (peer, others) = guards();
        peer.send(()).unwrap();
        assert!(!network_ended(others, || false));
    }
}

//! Panics and signals: each becomes the job's first failure, so that one place ends the job and tells why.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use signal_hook::iterator::Signals;

use crate::error::{Failure, FirstFailure};
use crate::exchange::MALFORMED;
use crate::{Error, cli, report, signals};

/// The failure that panics of timely's threads are turned into: that of the job that runs. With it, the index of its
/// first worker in this process.
static CURRENT: Mutex<Option<(FirstFailure, usize)>> = Mutex::new(None);
static HOOK: Once = Once::new();
/// Whether that job has ended well, and nothing looks at its failure any more.
static DECIDED: AtomicBool = AtomicBool::new(false);
/// Nobody may be reading stderr when a process must end at once.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// From here on a panic of a worker or of a network thread sets `failure`, and so does a signal; a second signal
/// ends the process at once, and so does the first one once the job is [`decided`]. The workers of this process count from `first_worker`.
pub(super) fn watch(failure: &FirstFailure, first_worker: usize) -> Result<(), Error> {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some((failure.clone(), first_worker));
    DECIDED.store(false, Ordering::SeqCst);
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match (thread.name(), current) {
                (Some(name), Some((failure, first_worker))) if name.starts_with("timely:") => {
                    let worker =
                        name.strip_prefix("timely:work-").and_then(|index| index.parse::<usize>().ok());
                    let failure =
                        worker.map_or(failure.clone(), |index| failure.of_worker(first_worker + index));
                    failure.set(translate(name, panic));
                }
                _ => previous(panic),
            }
        }));
    });
    let failure = failure.clone();
    let mut signals = Signals::new(signals::heeded())
        .map_err(|source| Error::Data(format!("cannot watch for signals: {source}")))?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut cause = None;
            for signal in signals.forever() {
                let name = signals::name(signal).unwrap_or("a signal");
                if let Some(cause) = cause.take() {
                    end(cause);
                }
                failure.set(Error::Interrupted(name));
                // Asked last: from the moment it is so, nobody looks at what was set.
                if DECIDED.load(Ordering::SeqCst) {
                    end(Error::InterruptedAtEnd(name));
                }
                // By the time of a second signal it may have been taken, to be told to others.
                cause = Some(failure.message().map_or(Error::Interrupted(name), Error::Data));
            }
        })
        .map(drop)
        .map_err(|source| Error::Data(format!("cannot start the thread that watches for signals: {source}")))
}

/// Says that the job has ended well, and that there is nothing left to do but to tell: from here on a signal ends the process at once.
///
/// # Errors
///
/// A signal came so late that the job did not heed it.
pub(super) fn decided(failure: &FirstFailure) -> Result<(), Error> {
    DECIDED.store(true, Ordering::SeqCst);
    match failure.take() {
        Some(Failure { error: Error::Interrupted(signal), .. }) => Err(Error::InterruptedAtEnd(signal)),
        // Whatever became of the others, the answer stands.
        _ => Ok(()),
    }
}

/// Ends the process with its cause.
fn end(cause: Error) -> ! {
    let (said, heard) = mpsc::channel();
    let speak = move || {
        // Held until the end, so that no other one begins.
        std::mem::forget(report::abandon());
        cli::report(&cause);
        let _ = said.send(());
    };
    if thread::Builder::new().name("last words".into()).spawn(speak).is_ok() {
        let _ = heard.recv_timeout(LAST_WORDS);
    }
    std::process::exit(1);
}

/// A network thread's panic means that its peer is gone, one about a container that it was damaged on the way; any
/// other is a defect.
fn translate(thread: &str, panic: &PanicHookInfo<'_>) -> Error {
    let message = panic.payload_as_str().unwrap_or("no message");
    let peer = thread.strip_prefix("timely:recv-").or_else(|| thread.strip_prefix("timely:send-"));
    match peer {
        Some(peer) if message.starts_with("timely communication error") => {
            let reason = message.rsplit(": ").next().unwrap_or(message);
            Error::Cluster(format!("the connection to process {peer} was lost: {reason}"))
        }
        // No defect of this program: what came over the network is not what was sent.
        _ if message.starts_with(MALFORMED) => Error::Malformed(message.to_owned()),
        // What timely decodes itself: rounds and progress, answers and counts.
        _ if message.starts_with("bincode::deserialize") => {
            Error::Malformed(format!("{MALFORMED}: {message}"))
        }
        _ => Error::Panicked {
            thread: format!("thread {}", thread.trim_start_matches("timely:")),
            message: panic.location().map_or_else(|| message.into(), |place| format!("{message} at {place}")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure_of_a_thread(name: &str, message: &'static str) -> crate::error::Failure {
        let failure = FirstFailure::default();
        watch(&failure, 4).unwrap();
        let thread = std::thread::Builder::new().name(name.into());
        thread.spawn(move || panic!("{message}")).unwrap().join().unwrap_err();
        failure.take().unwrap()
    }

    #[test]
    fn a_signal_between_the_decision_and_the_answer_was_swallowed() {
        let (late, lost, well) = Default::default();
        FirstFailure::set(&late, Error::Interrupted("SIGTERM"));
        let told = decided(&late).unwrap_err();
        assert!(told.to_string().starts_with("stopped by SIGTERM when the run was over"), "{told}");
        FirstFailure::set(&lost, Error::Cluster("process 1 was lost".into()));
        assert!(decided(&lost).is_ok() && decided(&well).is_ok(), "the answer stands");
    }

    #[test]
    fn a_panic_is_the_failure_of_its_worker_counted_over_all_processes() {
        let failure = failure_of_a_thread("timely:work-1", "boom");
        assert_eq!(failure.worker, Some(5));
        let text = failure.error.to_string();
        assert!(text.starts_with("thread work-1 panicked: boom at ") && text.contains("a defect"), "{text}");
        // The end of a peer, which is no worker's fault.
        let failure = failure_of_a_thread("timely:recv-2", "timely communication error: reading data: gone");
        assert_eq!(failure.worker, None);
        assert_eq!(failure.error.to_string(), "the connection to process 2 was lost: gone");
        // What came over the network is the fault of no worker here, though it is one that decodes it.
        let text = "bincode::deserialize() failed: InvalidBoolEncoding(7)";
        let failure = failure_of_a_thread("timely:work-0", text);
        assert_eq!(failure.error.to_string(), format!("{MALFORMED}: {text}"));
    }
}

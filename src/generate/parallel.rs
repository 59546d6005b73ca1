//! Work on numbered slots by several threads, until it is done, one of them fails, or a signal asks to stop.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread;

use signal_hook::iterator::Signals;

use crate::Error;
use crate::error::FirstFailure;
use crate::signals;

/// Whether a signal has asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    signal: Arc<AtomicI32>,
    failure: FirstFailure,
}

impl Stop {
    /// Watches Ctrl-C, SIGTERM and SIGHUP from now on, but for those that the process was started to ignore.
    pub fn on_signals() -> Result<Self, Error> {
        let stop = Stop::default();
        let failed = |action| move |source| Error::File { action, path: "this process".into(), source };
        let mut signals = Signals::new(signals::heeded()).map_err(failed("watch signals in"))?;
        let watched = stop.clone();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    watched.signal.store(signal, Ordering::Relaxed);
                    if let Err(error) = watched.check() {
                        watched.failure.set(error);
                    }
                }
            })
            .map_err(failed("start a thread of"))?;
        Ok(stop)
    }

    /// What is set once a signal came, for those who wait for a server: `StoreOptions::failure`.
    pub fn failure(&self) -> FirstFailure {
        self.failure.clone()
    }

    /// The signal, if one came, in place of an error that may be its consequence.
    pub(crate) fn before(&self, error: Error) -> Error {
        self.check().err().unwrap_or(error)
    }

    /// An error once a signal came.
    pub fn check(&self) -> Result<(), Error> {
        match signals::name(self.signal.load(Ordering::Relaxed)) {
            Some(name) => Err(Error::Interrupted(name)),
            None => Ok(()),
        }
    }
}

/// Runs `work` once for each slot of `0..slots`, on `threads` threads that each hold a state made by `start`.
///
/// Slots are begun in order, so a slot may wait for what an earlier one does. The first error ends the others at
/// their next slot.
pub(crate) fn for_each_slot<S>(
    threads: usize,
    slots: u64,
    stop: &Stop,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, u64) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let run = || {
        let mut mark = MarkFailure { failed: &failed, succeeded: false };
        let mut state = start();
        while !failed.load(Ordering::Relaxed) {
            let slot = next.fetch_add(1, Ordering::Relaxed);
            if slot >= slots {
                break;
            }
            stop.check()?;
            work(&mut state, slot)?;
        }
        mark.succeeded = true;
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let outcomes: Vec<_> = workers
            .into_iter()
            .enumerate()
            .map(|(index, worker)| worker.join().unwrap_or_else(|panic| Err(panicked(index, panic.as_ref()))))
            .collect();
        outcomes.into_iter().collect()
    })
}

/// Tells the other threads when one ends before its work is done, by an error or a panic.
struct MarkFailure<'a> {
    failed: &'a AtomicBool,
    succeeded: bool,
}

impl Drop for MarkFailure<'_> {
    fn drop(&mut self) {
        if !self.succeeded {
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}

fn panicked(index: usize, panic: &(dyn Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Error::Panicked { thread: format!("thread {index}"), message }
}

#[cfg(test)]
mod tests {
    //! Would catch a slot done twice or not at all, an error that the other threads do not hear of, and a panic that
    //! takes the process down.

    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Stop, for_each_slot};
    use crate::Error;

    #[test]
    fn every_slot_is_done_once() {
        for threads in [1, 2, 3] {
            let sum = AtomicU64::new(0);
            for_each_slot(
                threads,
                1_000,
                &Stop::default(),
                || (),
                |(), slot| {
                    sum.fetch_add(slot, Ordering::Relaxed);
                    Ok(())
                },
            )
            .expect("nothing fails");
            assert_eq!(sum.into_inner(), 499_500);
        }
    }

    #[test]
    fn an_error_or_a_panic_ends_all_threads() {
        let work = |(): &mut (), slot: u64| {
            if slot == 10 {
                return Err(Error::Data("slot ten".into()));
            }
            Ok(())
        };
        let error = for_each_slot(2, u64::MAX, &Stop::default(), || (), work).expect_err("slot ten fails");
        assert_eq!(error.to_string(), "slot ten");

        let work = |(): &mut (), slot: u64| {
            assert_ne!(slot, 10, "slot ten panics");
            Ok(())
        };
        let error = for_each_slot(2, u64::MAX, &Stop::default(), || (), work).expect_err("slot ten panics");
        assert!(matches!(error, Error::Panicked { message, .. } if message.contains("slot ten panics")));
    }
}

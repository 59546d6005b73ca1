//! Panics and signals: each becomes the job's first failure, so that one place ends the job and tells why.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, Once, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Error;
use crate::error::FirstFailure;
use crate::exchange::MALFORMED;
use crate::report::proc_field;

/// The failure that panics of timely's threads are turned into: that of the job that runs.
static CURRENT: Mutex<Option<FirstFailure>> = Mutex::new(None);
static HOOK: Once = Once::new();

/// From here on a panic of a worker or of a network thread sets `failure`, and so does a signal; a second signal
/// ends the process at once.
pub(super) fn watch(failure: &FirstFailure) -> Result<(), Error> {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure.clone());
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match (thread.name(), current) {
                (Some(name), Some(failure)) if name.starts_with("timely:") => {
                    failure.set(translate(name, panic));
                }
                _ => previous(panic),
            }
        }));
    });
    let failure = failure.clone();
    let ignored = ignored_signals();
    let watched = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| ignored & 1 << (signal - 1) == 0);
    let mut signals =
        Signals::new(watched).map_err(|source| Error::Data(format!("cannot watch for signals: {source}")))?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut seen = false;
            for signal in signals.forever() {
                if std::mem::replace(&mut seen, true) {
                    std::process::exit(1);
                }
                failure.set(Error::Interrupted(match signal {
                    SIGINT => "Ctrl-C",
                    SIGTERM => "SIGTERM",
                    _ => "SIGHUP",
                }));
            }
        })
        .map(drop)
        .map_err(|source| Error::Data(format!("cannot start the thread that watches for signals: {source}")))
}

/// The signals this process was started to ignore, as `nohup` and a shell's `&` do, as bits; they stay ignored.
fn ignored_signals() -> u64 {
    // Where the system does not tell, none is.
    proc_field("/proc/self/status", "SigIgn")
        .and_then(|mask| u64::from_str_radix(&mask, 16).ok())
        .unwrap_or(0)
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
        _ if message.starts_with(MALFORMED) => Error::Cluster(message.to_owned()),
        _ => Error::Panicked {
            worker: thread.trim_start_matches("timely:").to_string(),
            message: panic.location().map_or_else(|| message.into(), |place| format!("{message} at {place}")),
        },
    }
}

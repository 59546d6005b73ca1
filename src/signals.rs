//! The signals that ask a program to stop, and what an error calls them; and the one that would hide an error.

use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use crate::report::proc_field;

/// Signals by number, with the name an error gives them.
const ASKING_TO_STOP: [(i32, &str); 3] = [(SIGINT, "Ctrl-C"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];

/// The numbers of those that this process heeds: all but the ones it was started to ignore, as `nohup` and a shell's `&` do.
pub(crate) fn heeded() -> impl Iterator<Item = i32> {
    // Where the system does not tell, none is ignored.
    let ignored = proc_field("/proc/self/status", "SigIgn")
        .and_then(|mask| u64::from_str_radix(&mask, 16).ok())
        .unwrap_or(0);
    let numbers = ASKING_TO_STOP.into_iter().map(|(number, _)| number);
    numbers.filter(move |number| ignored & 1 << (number - 1) == 0)
}

/// What an error calls a signal that asks to stop.
pub(crate) fn name(signal: i32) -> Option<&'static str> {
    ASKING_TO_STOP.into_iter().find(|(number, _)| *number == signal).map(|(_, name)| name)
}

/// Lets a write past the limit for files (`ulimit -f`) fail as one to a full disk does; the signal would end the process without a word.
pub(crate) fn let_long_files_fail() {
    // Whoever handles it is sent on with the error; where it cannot be handled, all is as it was. Programs that this one starts do not
    // inherit a handler, as they would that it is ignored.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

//! The signals that ask a program to stop, and what an error calls them.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

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

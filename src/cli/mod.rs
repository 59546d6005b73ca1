//! The command line of every query: reads what was typed, prints what went wrong, picks the exit code.
//!
//! [`main`] is the body of every binary; [`JobArguments`] are the flags every query shares, and [`JobSettings`] what
//! follows from them. Nothing else in Millrace reads the arguments, and nothing else ends a process but what must not wait: a second
//! signal, and the end of the process that started this one.

mod arguments;
mod settings;

use std::error::Error as _;
use std::ffi::OsString;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

pub use arguments::{JobArguments, OutputArguments, StoreArguments, seconds};
pub use settings::{JobSettings, data_directory, set_name, workers};

use crate::{Error, cluster, signals};

/// Version and commit of this build, as `--version` shows them.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (commit ", env!("MILLRACE_COMMIT"), ")");

/// The commit this was built from, or `unknown`.
pub const COMMIT: &str = env!("MILLRACE_COMMIT");

/// Runs a program: parses the command line into `O` and gives it to `run`.
///
/// The exit code is 0 for success (and for `--help` and `--version`), 1 for a failure, 2 for a command line that
/// asks for something impossible. A failure is printed once, on stderr.
///
/// ```no_run
/// /// Says hello.
/// #[derive(clap::Parser)]
/// struct Options {
///     /// Whom to greet.
///     name: String,
/// }
///
/// fn main() -> std::process::ExitCode {
///     millrace::cli::main(|options: Options| millrace::cli::print(format_args!("hello {}\n", options.name)))
/// }
/// ```
pub fn main<O: Parser>(run: impl FnOnce(O) -> Result<(), Error>) -> ExitCode {
    cluster::end_with_parent();
    signals::let_long_files_fail();
    let options = match parse(std::env::args_os()) {
        Ok(options) => options,
        Err(error) => {
            // Help for a reader that has gone is no failure either.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Parses `arguments`, of which the first is the program's name, as [`main`] does.
pub fn parse<O: Parser>(
    arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<O, clap::Error> {
    let mut command = O::command().version(VERSION);
    let matches = command.try_get_matches_from_mut(arguments)?;
    O::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Prints a failure on stderr, with what lies behind it; for a thread that must end the process, where
/// [`main`] cannot.
pub fn report(error: &Error) {
    // With stderr closed there is no place left to say it.
    let _ = io::stderr().lock().write_all(explained(error).as_bytes());
}

fn explained(error: &Error) -> String {
    let mut text = format!("error: {error}\n");
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors show their cause in their own text already.
        if !text.contains(&cause_text) {
            text.extend(["  because: ", &cause_text, "\n"]);
        }
        source = cause.source();
    }
    text
}

/// Prints to stdout. A reader that has closed the pipe has seen enough, which is success.
pub fn print(text: impl Display) -> Result<(), Error> {
    print_to(io::stdout().lock(), text)
}

/// Prints a line on stderr that is no part of the answer: what the run took, what a user should know.
pub fn note(text: impl Display) {
    // With stderr closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn print_to(mut to: impl Write, text: impl Display) -> Result<(), Error> {
    let done = to.write_fmt(format_args!("{text}")).and_then(|()| to.flush());
    match done {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::File { action: "write to", path: "standard output".into(), source: error })
        }
        _ => Ok(()),
    }
}

/// A value as its flag takes it, for messages, reports and for comparing processes.
pub(crate) fn shown(value: &impl clap::ValueEnum) -> impl Display {
    struct Shown(Option<clap::builder::PossibleValue>);
    impl Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0.as_ref().map_or("", |value| value.get_name()))
        }
    }
    Shown(value.to_possible_value())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refusing(io::ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_success_and_a_full_disk_is_not() {
        assert!(print_to(Refusing(io::ErrorKind::BrokenPipe), "x").is_ok());
        let full = print_to(Refusing(io::ErrorKind::StorageFull), "x").unwrap_err();
        assert!(full.to_string().starts_with("cannot write to standard output: "), "{full}");
        assert_eq!(full.exit_code(), 1);
    }

    #[test]
    fn a_cause_is_printed_once() {
        let error = Error::file("read", "a/b")(io::Error::other("the dog ate it"));
        assert_eq!(explained(&error), "error: cannot read a/b: the dog ate it\n");
        let usage = Error::usage("-w 0 gives the job no thread", "-w 1");
        assert_eq!(explained(&usage), "error: -w 0 gives the job no thread\n  try: -w 1\n");
    }

    #[test]
    fn the_version_names_a_commit() {
        assert!(VERSION.starts_with(env!("CARGO_PKG_VERSION")) && VERSION.contains(COMMIT));
        assert!(COMMIT == "unknown" || COMMIT.chars().all(|c| c.is_ascii_hexdigit()), "{COMMIT}");
    }
}

//! External programs that a query runs: started by the shell, fed and read by threads of their own, ended with this process.
//!
//! ```text
//!  try_write ─► a few pieces ─► writer ─► pipe ─► program ─► pipe ─► reader ─► a few pieces ─► try_read
//!               wait            thread             │                 thread    wait
//!                                                  └─► pipe ─► thread that keeps the end of stderr
//! ```
//!
//! Each arrow is bounded and has a thread that does nothing else, and the caller never waits; so it does not matter in which
//! order a program reads and writes, or whether it does. It has done its part when it has read all of its input and ended with exit
//! code 0: what is left unread in the pipe is an error, as rows lost would be.
//!
//! A program is a process group of its own, which is killed when its [`Program`] is dropped, and when it ends itself, with whatever it has
//! started and left. If this process is killed, the kernel kills the program (on Linux): this takes a process that asks for it between
//! the fork and the shell, so the query's own executable is started, and becomes the shell in [`launch_if_asked`].

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use memchr::memrchr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use crate::{Error, cluster};

/// Pieces that wait for the program, and for the caller.
const PIECES: usize = 4;
/// What a pipe holds on Linux, and so the most that one read gives.
pub(crate) const PIECE_BYTES: usize = 64 << 10;
/// A line of output may be as long as a row of a file.
const MAX_LINE_BYTES: usize = 64 << 20;
/// How much of the end of stderr an error shows; failures are told to other processes in 4 KiB.
const TAIL_BYTES: usize = 2 << 10;
/// Asks a program of ours to become the shell: the id of the process that asks, a blank, and the command.
const COMMAND_VARIABLE: &str = "MILLRACE_PROGRAM";

/// Whether this executable calls [`launch_if_asked`], as those with `cli::main` do.
static LAUNCHES: AtomicBool = AtomicBool::new(false);

/// To be called first of all in a program. Where it was started to become the shell it does so, and returns only if that fails.
pub(crate) fn launch_if_asked() -> Option<ExitCode> {
    let Some(asked) = std::env::var_os(COMMAND_VARIABLE) else {
        LAUNCHES.store(true, Ordering::Relaxed);
        return None;
    };
    let asked = asked.into_encoded_bytes();
    let blank = asked.iter().position(|byte| *byte == b' ')?;
    let parent = std::str::from_utf8(&asked[..blank]).ok()?.parse().ok()?;
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // One that died before the line above is not told of any more.
    if rustix::process::getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Some(ExitCode::FAILURE);
    }
    let command = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&asked[blank + 1..]);
    let error = shell(command.to_owned()).exec();
    crate::cli::note(format_args!("cannot start the shell: {error}"));
    Some(ExitCode::from(127))
}

fn shell(command: OsString) -> Command {
    let mut shell = Command::new("/bin/sh");
    // What is meant for processes of the job is not for programs.
    for variable in [COMMAND_VARIABLE, cluster::LOCAL_PROCESS_VARIABLE, cluster::SECRET_VARIABLE] {
        shell.env_remove(variable);
    }
    shell.arg("-c").arg(command);
    shell
}

/// What a program gave.
#[derive(Debug)]
pub(crate) enum Output {
    /// Whole lines; the last one of all may lack its newline.
    Lines(Vec<u8>),
    /// It has ended, and this comes last: well, or why not.
    Ended(Result<(), Error>),
}

/// A program that runs. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Program {
    input: Option<SyncSender<Vec<u8>>>,
    output: Receiver<Output>,
    group: Arc<Group>,
}

impl Program {
    /// Starts `command`. `wake` is called, from other threads, when there is output or room for input.
    pub(crate) fn start(
        command: &str,
        wake: impl Fn() + Clone + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let refused = |source: io::Error| failed(command, format!("cannot be started: {source}"));
        let (unread, pipe) = io::pipe().map_err(refused)?;
        let stdin = unread.try_clone().map_err(refused)?;
        let (input, pieces) = sync_channel(PIECES);
        let (sender, output) = sync_channel(PIECES);
        let (tell, told) = sync_channel(1);
        let named = || thread::Builder::new().name("program".into());
        let (command_text, woken) = (command.to_owned(), wake.clone());
        // It starts the program as well: to the kernel, it is this thread that a program ends with.
        let supervisor = named().spawn(move || match spawn(&command_text, stdin) {
            Ok(child) => {
                let group = Arc::new(Group(Mutex::new(Some(Pid::from_child(&child)))));
                let _ = tell.send(Ok(Arc::clone(&group)));
                let ended = supervise(child, unread, &group, &sender, &woken);
                let ended = ended.map_err(|failing| failed(&command_text, failing));
                // Without a receiver the job has ended already.
                let _ = sender.send(Output::Ended(ended));
                woken();
            }
            Err(error) => drop(tell.send(Err(error))),
        });
        supervisor.map_err(refused)?;
        let group =
            told.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended"))).map_err(refused)?;
        let program = Program { input: Some(input), output, group };
        named().spawn(move || write_all(&pieces, pipe, &wake)).map_err(refused)?;
        Ok(program)
    }

    /// Hands over pieces of input, until all are gone or the program has enough to read for now.
    pub(crate) fn try_write(&self, pieces: &mut VecDeque<Vec<u8>>) {
        while let (Some(input), Some(piece)) = (&self.input, pieces.pop_front()) {
            // Where the writer has ended, the program has too, or will not read on: its end tells.
            if let Err(TrySendError::Full(piece)) = input.try_send(piece) {
                return pieces.push_front(piece);
            }
        }
    }

    /// Says that there is no more input.
    pub(crate) fn close(&mut self) {
        self.input = None;
    }

    /// What the program has given, if anything waits.
    pub(crate) fn try_read(&self) -> Option<Output> {
        self.output.try_recv().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.group.kill();
    }
}

/// An error about a command.
pub(crate) fn failed(command: &str, failing: String) -> Error {
    Error::Program { command: command.to_owned(), failing }
}

fn spawn(command: &str, stdin: PipeReader) -> io::Result<Child> {
    let mut starter = if cfg!(target_os = "linux") && LAUNCHES.load(Ordering::Relaxed) {
        let mut own = Command::new("/proc/self/exe");
        own.env(COMMAND_VARIABLE, format!("{} {command}", std::process::id()));
        own
    } else {
        shell(command.into())
    };
    starter.process_group(0).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// The process group of a program, while its id cannot be anybody else's.
#[derive(Debug)]
struct Group(Mutex<Option<Pid>>);

impl Group {
    fn kill(&self) {
        if let Some(leader) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }

    /// Waits for the end of the program, and ends what it has left running.
    fn wait(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let leader = Pid::from_child(child);
        // The leader is not yet taken away, so nobody else can have its id.
        while waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            .is_err_and(|error| error == rustix::io::Errno::INTR)
        {}
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = kill_process_group(leader, Signal::KILL);
        *running = None;
        child.wait()
    }
}

/// Passes on what the program gives until it has ended; if it has not done its part, how so.
fn supervise(
    mut child: Child,
    mut unread: PipeReader,
    group: &Group,
    lines: &SyncSender<Output>,
    wake: &(impl Fn() + Sync),
) -> Result<(), String> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (status, passed, tail) = thread::scope(|scope| {
        let tail = scope.spawn(|| stderr.map(tail_of).unwrap_or_default());
        let passed =
            scope.spawn(|| stdout.map_or(Ok(Vec::new()), |stdout| pass_on(stdout, lines, wake, group)));
        let status = group.wait(&mut child);
        (status, passed.join(), tail.join())
    });
    let tail = shown(&tail.unwrap_or_default());
    let status = status.map_err(|error| format!("was lost: {error}"))?;
    let passed = passed.unwrap_or_else(|_| Err("could not be read".into()));
    let last = passed.map_err(|reason| reason + &tail)?;
    if !status.success() {
        return Err(format!("failed with {status}{tail}"));
    }
    if !last.is_empty() {
        let _ = lines.send(Output::Lines(last));
    }
    // Waits until there is something to read, or no writer any more.
    match unread.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(format!("ended with exit code 0, but has not read all of its input{tail}")),
        Err(error) => Err(format!("may not have read all of its input: {error}{tail}")),
    }
}

/// The end of stderr for a message.
fn shown(tail: &[u8]) -> String {
    let text = String::from_utf8_lossy(tail);
    let lines: String = text.lines().flat_map(|line| ["\n  ", line]).collect();
    if lines.is_empty() {
        "; it wrote nothing to stderr".into()
    } else {
        format!("; its stderr ends with{lines}")
    }
}

/// Reads all of stderr and keeps its end.
fn tail_of(mut stderr: impl Read) -> Vec<u8> {
    let (mut tail, mut piece, mut cut) = (Vec::new(), vec![0; PIECE_BYTES], false);
    while let Ok(read) = read(&mut stderr, &mut piece)
        && read > 0
    {
        tail.extend_from_slice(&piece[..read]);
        if let Some(most) = tail.len().checked_sub(TAIL_BYTES).filter(|most| *most > 0) {
            tail.drain(..most);
            cut = true;
        }
    }
    // Not the rest of a line, if there is a whole one.
    if let Some(first) =
        tail.iter().position(|byte| *byte == b'\n').filter(|first| cut && first + 1 < tail.len())
    {
        tail.drain(..=first);
    }
    tail
}

fn read(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Passes on what the program prints, in whole lines. What stands behind the last newline is returned: it is a line only if the
/// program did not die over it.
fn pass_on(
    mut stdout: impl Read,
    lines: &SyncSender<Output>,
    wake: &impl Fn(),
    group: &Group,
) -> Result<Vec<u8>, String> {
    let mut pending = Vec::new();
    let send = |text: Vec<u8>| {
        let sent = lines.send(Output::Lines(text)).is_ok();
        wake();
        sent
    };
    loop {
        let start = pending.len();
        pending.resize(start + PIECE_BYTES, 0);
        let got =
            read(&mut stdout, &mut pending[start..]).map_err(|error| format!("cannot be read: {error}"))?;
        pending.truncate(start + got);
        if got == 0 {
            break;
        }
        if let Some(newline) = memrchr(b'\n', &pending[start..]) {
            let rest = pending.split_off(start + newline + 1);
            if !send(std::mem::replace(&mut pending, rest)) {
                return Ok(Vec::new());
            }
        } else if pending.len() > MAX_LINE_BYTES {
            group.kill();
            return Err(format!("printed a line of more than {} MiB", MAX_LINE_BYTES >> 20));
        }
    }
    Ok(pending)
}

/// Writes what it is given until there is no more, or the program reads no more.
fn write_all(pieces: &Receiver<Vec<u8>>, mut pipe: PipeWriter, wake: &impl Fn()) {
    while let Ok(piece) = pieces.recv() {
        wake();
        // Why it reads no more, its end tells.
        if pipe.write_all(&piece).is_err() {
            return;
        }
    }
}

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
//! A program is in a process group of its own, which is killed when its [`Program`] is dropped, and when it ends itself, with whatever it
//! has started and left there. The group is that of a watcher, a shell that reads a pipe to which this process alone could write: when
//! this process ends, however it does, the watcher comes to the end of the pipe and kills the group. What has left the group lives on, and
//! nobody waits for it; if it still writes to the program's output, that is an error, as rows lost would be.

mod until_ended;

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use memchr::memrchr;
use rustix::process::{Pid, Signal, kill_process_group};

use until_ended::UntilEnded;

use crate::{Error, cluster};

/// Pieces that wait for the program, and for the caller.
const PIECES: usize = 4;
/// What a pipe holds on Linux, and so the most that one read gives.
pub(crate) const PIECE_BYTES: usize = 64 << 10;
/// A line of output may be as long as a row of a file.
const MAX_LINE_BYTES: usize = 64 << 20;
/// How much of the end of stderr an error shows; failures are told to other processes in 4 KiB.
const TAIL_BYTES: usize = 2 << 10;
/// What the watcher does: says that it is ready, waits, whatever signals its group is sent, until nobody can write to its stdin, and ends
/// the group.
const WATCH: &str =
    "trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE TSTP TTIN TTOU; echo; read -r nothing; kill -KILL 0";

fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    // What is meant for processes of the job is not for programs.
    for variable in [cluster::LOCAL_PROCESS_VARIABLE, cluster::SECRET_VARIABLE] {
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
        let named = || thread::Builder::new().name("program".into());
        let started = spawn(command, stdin).map_err(refused)?;
        let group = Arc::clone(&started.watcher.group);
        let program = Program { input: Some(input), output, group };
        let (command_text, woken) = (command.to_owned(), wake.clone());
        let supervisor = named().spawn(move || {
            let ended = supervise(started, unread, &sender, &woken);
            // Without a receiver the job has ended already.
            let _ = sender.send(Output::Ended(ended.map_err(|failing| failed(&command_text, failing))));
            woken();
        });
        supervisor.map_err(refused)?;
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

/// Starts the watcher first: there is no moment in which the program could outlive this process.
fn spawn(command: &str, stdin: PipeReader) -> io::Result<Started> {
    let (end, alive) = io::pipe()?;
    let mut shell_that_waits = shell(WATCH);
    shell_that_waits.stdin(end).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut process = shell_that_waits.process_group(0).spawn()?;
    let leader = Pid::from_child(&process);
    let ready = process.stdout.take();
    let watcher = Watcher { process, _alive: alive, group: Arc::new(Group(Mutex::new(Some(leader)))) };
    // Until then a signal to the group would end it.
    ready.map_or(Ok(()), |mut ready| ready.read_exact(&mut [0]))?;
    let mut program = shell(command);
    program.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = program.process_group(leader.as_raw_pid()).spawn()?;
    Ok(Started { child, watcher })
}

/// A program and its watcher. Dropping it ends both, and what else is in their group.
struct Started {
    child: Child,
    watcher: Watcher,
}

impl Drop for Started {
    fn drop(&mut self) {
        self.watcher.group.kill();
        let _ = self.child.wait();
    }
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
}

/// The leader of the group. Dropping it ends the group.
struct Watcher {
    process: Child,
    /// It waits for the end of this.
    _alive: PipeWriter,
    group: Arc<Group>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.group.kill();
        // Once it is taken away, its id may become that of another group.
        *self.group.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let _ = self.process.wait();
    }
}

/// Passes on what the program gives until it has ended; if it has not done its part, how so.
fn supervise(
    mut started: Started,
    mut unread: PipeReader,
    lines: &SyncSender<Output>,
    wake: &(impl Fn() + Sync),
) -> Result<(), String> {
    let lost = |error: io::Error| format!("was lost: {error}");
    let (ended, running) = io::pipe().map_err(lost)?;
    let group = Arc::clone(&started.watcher.group);
    let stdout = UntilEnded::new(started.child.stdout.take(), &ended).map_err(lost)?;
    let stderr = UntilEnded::new(started.child.stderr.take(), &ended).map_err(lost)?;
    let (status, passed, tail) = thread::scope(|scope| {
        let tail = scope.spawn(|| stderr.map(tail_of).unwrap_or_default());
        let passed =
            scope.spawn(|| stdout.map_or(Ok(Vec::new()), |stdout| pass_on(stdout, lines, wake, &group)));
        let status: io::Result<ExitStatus> = started.child.wait();
        drop((started, running));
        (status, passed.join(), tail.join())
    });
    let tail = shown(&tail.unwrap_or_default());
    let status = status.map_err(lost)?;
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
        let got = read(&mut stdout, &mut pending[start..])
            .map_err(|error| format!("cannot be read to its end: {error}"))?;
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

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use rustix::process::test_kill_process;

    use super::*;

    #[test]
    fn a_reader_that_was_always_behind_waited_without_end_for_what_had_left_the_group() {
        let mut program = Program::start("setsid yes & cat; sleep 0.5", || ()).unwrap();
        program.close();
        let begun = Instant::now();
        let ended = loop {
            assert!(begun.elapsed() < Duration::from_secs(10), "waited for");
            match program.try_read() {
                Some(Output::Ended(ended)) => break ended,
                _ => sleep(Duration::from_millis(20)),
            }
        };
        let told = ended.unwrap_err().to_string();
        assert!(
            told.contains("`setsid yes & cat; sleep 0.5` cannot be read to its end: it left a process"),
            "{told}"
        );
    }

    #[test]
    fn a_program_that_nobody_came_to_supervise_stayed_as_a_zombie() {
        let started = spawn("sleep 1000", io::pipe().unwrap().0).unwrap();
        let processes = [&started.child, &started.watcher.process].map(Pid::from_child);
        drop(started);
        assert!(processes.iter().all(|process| test_kill_process(*process).is_err()));
    }
}

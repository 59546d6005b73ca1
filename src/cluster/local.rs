//! Several processes on this machine: process 0 starts the others and answers for them.
//!
//! Each process binds a loopback port that the system chooses, so there is no port to collide on. Parent and child
//! hold the two ends of a socket pair, which is the child's standard input: the child says where it listens, the
//! parent says where everybody is and what the secret of this run is. The same pair tells a child when its parent
//! ends, whatever ended it, and on Linux the kernel does so too.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::Log;
use super::connect::Roster;
use super::fingerprint::executable;
use super::frame::LONGEST_CAUSE_BYTES;
use super::hosts::{Endpoint, Host};
use super::secret::Secret;
use super::wire::explain;
use crate::Error;

/// Tells a process that it was started by process 0 of its job, and as which one. A query that starts programs of its
/// own must not pass it on.
pub const LOCAL_PROCESS_VARIABLE: &str = "MILLRACE_LOCAL_PROCESS";

/// A line of a child's stderr is passed on whole up to this length.
const LONGEST_LINE_BYTES: u64 = 8192;
/// Marks a line that tells a failure where an introduction is expected.
const FAILED: &str = "failed: ";
/// A cause as JSON may take six bytes for one.
const LONGEST_INTRODUCTION_BYTES: usize = 6 * LONGEST_CAUSE_BYTES + 64;
/// Time for children to print their last words when the job has failed.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// How often to look whether a child has ended.
const TICK: Duration = Duration::from_millis(2);
/// How often whoever waits for a child to start looks whether there is still a reason to.
const LOOK_UP: Duration = Duration::from_millis(50);

/// The index this process was started with by its parent, if it has one.
pub(super) fn started_as() -> Result<Option<usize>, Error> {
    let Some(text) = std::env::var_os(LOCAL_PROCESS_VARIABLE) else { return Ok(None) };
    let index = text.to_str().and_then(|text| text.parse().ok()).filter(|&index| index > 0);
    index.map(Some).ok_or_else(|| {
        Error::usage(
            format!(
                "{LOCAL_PROCESS_VARIABLE} is set to `{}`; only a process that starts another sets it",
                text.display()
            ),
            format!("unset {LOCAL_PROCESS_VARIABLE}"),
        )
    })
}

/// In a process started by another, asks the kernel to end it with its parent; elsewhere does nothing.
///
/// To be called first of all, from `cli::main`: from here to [`super::connect`] nothing else watches the parent.
pub fn end_with_parent() {
    #[cfg(target_os = "linux")]
    if std::env::var_os(LOCAL_PROCESS_VARIABLE).is_some() {
        // Where it fails, the socket pair still tells.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
}

/// The processes that this one started. Dropping them kills those that still run, and waits for their end.
#[derive(Debug)]
pub struct LocalProcesses {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    index: usize,
    child: Child,
    /// Our end of the pair; while it is open, the child knows that we live.
    pair: UnixStream,
    /// Ends when the child's stderr is passed on to its last line.
    spoken: Receiver<()>,
}

impl LocalProcesses {
    pub(super) fn none() -> Self {
        LocalProcesses { members: Vec::new() }
    }

    /// Starts processes 1 up to `processes`, each with this process's own arguments.
    pub(super) fn start(processes: usize, log: &Log) -> Result<Self, Error> {
        let mut all = LocalProcesses::none();
        for index in 1..processes {
            let member = Member::start(index, log).map_err(|error| {
                Error::Cluster(format!("cannot start process {index} on this machine: {error}"))
            })?;
            all.members.push(member);
        }
        Ok(all)
    }

    /// Learns where every child listens and tells all of them, unless `stopped` gives a reason not to.
    pub(super) fn introduce(
        &mut self,
        until: Instant,
        stopped: &impl Fn() -> Option<String>,
    ) -> Result<Roster, Error> {
        let secret = Secret::random()?;
        let (listener, address) = listen()?;
        let mut hosts = vec![Host { endpoints: vec![address.into()] }];
        for member in &mut self.members {
            match member.introduction(until, stopped) {
                Ok(endpoint) => hosts.push(Host { endpoints: vec![endpoint] }),
                Err(line) => {
                    for member in &mut self.members {
                        let _ = member.pair.write_all(failure_line(&line).as_bytes());
                    }
                    return Err(Error::Cluster(line));
                }
            }
        }
        let lines = std::iter::once(secret.to_hex()).chain(hosts.iter().map(Host::to_string));
        let list: String = lines.map(|line| line + "\n").collect();
        for member in &mut self.members {
            // A child that is gone by now is noticed by `ended`.
            let _ = member.pair.write_all(list.as_bytes());
        }
        Ok(Roster { index: 0, hosts, listeners: vec![listener], secret: Some(secret) })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// What became of a child that has ended, if one has.
    pub fn ended(&mut self) -> Option<String> {
        self.members.iter_mut().find_map(|member| {
            let outcome = member.outcome(Duration::ZERO)?;
            Some(format!("process {} on this machine ended early: {outcome}", member.index))
        })
    }

    /// Waits for the children of a job that is done; one that fails now, or stays past `timeout`, is an error.
    pub fn wait(mut self, timeout: Duration) -> Result<(), Error> {
        let until = Instant::now() + timeout;
        for member in &mut self.members {
            let left = until.saturating_duration_since(Instant::now());
            let index = member.index;
            match member.status(left) {
                Some(status) if status.success() => {}
                Some(status) => {
                    return Err(Error::Cluster(format!(
                        "process {index} on this machine ended with {status}"
                    )));
                }
                None => {
                    return Err(Error::Cluster(format!(
                        "process {index} on this machine did not end after its work"
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Drop for LocalProcesses {
    fn drop(&mut self) {
        // A child that failed, or was told of the failure, is about to end by itself and to say why.
        let until = Instant::now() + LAST_WORDS;
        for member in &mut self.members {
            member.status(until.saturating_duration_since(Instant::now()));
        }
        for member in &mut self.members {
            // Both fail only for a child that has ended and been waited for.
            let _ = member.child.kill();
            let _ = member.child.wait();
            // A program the child started may hold its stderr open for ever.
            let _ = member.spoken.recv_timeout(LAST_WORDS);
        }
    }
}

impl Member {
    fn start(index: usize, log: &Log) -> io::Result<Member> {
        let (pair, theirs) = UnixStream::pair()?;
        let mut child = Command::new(executable()?)
            .args(std::env::args_os().skip(1))
            .env(LOCAL_PROCESS_VARIABLE, index.to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let (done, spoken) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            let log = log.clone();
            thread::Builder::new().name(format!("stderr:process-{index}")).spawn(move || {
                pass_on(index, stderr, &log);
                drop(done);
            })?;
        }
        Ok(Member { index, child, pair, spoken })
    }

    /// Where the child listens, or why it never will.
    fn introduction(
        &mut self,
        until: Instant,
        stopped: &impl Fn() -> Option<String>,
    ) -> Result<Endpoint, String> {
        let index = self.index;
        let line = read_line(&self.pair, until, || stopped().is_some());
        if let Some(cause) = stopped() {
            return Err(cause);
        }
        if let Some(cause) = line.as_ref().ok().and_then(|line| told_failure(line)) {
            return Err(format!("process {index} on this machine failed: {cause}"));
        }
        line.and_then(|line| endpoint(&line)).map_err(|error| {
            let end = self.outcome(LAST_WORDS).unwrap_or_else(|| explain(&error));
            format!("process {index} on this machine did not start: {end}")
        })
    }

    /// The exit status, if the child ends within `patience`.
    fn status(&mut self, patience: Duration) -> Option<std::process::ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            // An error means there is no such child, so its end is all there is to say.
            if let Some(status) = self.child.try_wait().unwrap_or_default() {
                return Some(status);
            }
            if Instant::now() >= until {
                return None;
            }
            thread::sleep(TICK);
        }
    }

    fn outcome(&mut self, patience: Duration) -> Option<String> {
        self.status(patience).map(|status| status.to_string())
    }
}

/// Hands the lines of a child's stderr on, each with the child's mark.
fn pass_on(index: usize, stderr: impl Read, log: &Log) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LONGEST_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => log.line(&format!("[p{index}] {}", String::from_utf8_lossy(&line).trim_end())),
        }
    }
}

/// In a child: says where it listens, learns where everybody is, and from then on ends with its parent.
pub(super) fn introduce_to_parent(index: usize, processes: usize, until: Instant) -> Result<Roster, Error> {
    let no_parent = |error: io::Error| {
        Error::Cluster(format!("process {index} lost the process that started it: {}", explain(&error)))
    };
    let mut pair = UnixStream::from(io::stdin().as_fd().try_clone_to_owned().map_err(no_parent)?);
    let (listener, address) = listen()?;
    pair.write_all(format!("{}\n", Endpoint::from(address)).as_bytes()).map_err(no_parent)?;
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "its message cannot be read");
    let secret = read_line(&pair, until, || false).map_err(no_parent)?;
    if let Some(line) = told_failure(&secret) {
        return Err(Error::Cluster(line));
    }
    let secret = Secret::from_hex(&secret).ok_or_else(|| no_parent(broken()))?;
    let mut hosts = Vec::new();
    for _ in 0..processes {
        let endpoint =
            read_line(&pair, until, || false).and_then(|line| endpoint(&line)).map_err(no_parent)?;
        hosts.push(Host { endpoints: vec![endpoint] });
    }
    pair.set_read_timeout(None).map_err(no_parent)?;
    thread::Builder::new()
        .name("parent".to_owned())
        .spawn(move || {
            // The parent says nothing more, so this returns when it is gone.
            let _ = pair.read(&mut [0]);
            std::process::exit(1);
        })
        .map_err(no_parent)?;
    Ok(Roster { index, hosts, listeners: vec![listener], secret: Some(secret) })
}

/// In a child, before it is introduced: says that it will not take part.
pub(super) fn decline(cause: &str) {
    // Without a parent there is nobody to tell.
    if let Ok(pair) = io::stdin().as_fd().try_clone_to_owned() {
        let _ = UnixStream::from(pair).write_all(failure_line(cause).as_bytes());
    }
}

/// A failure in place of an introduction, as one line.
fn failure_line(cause: &str) -> String {
    let cause = &cause[..cause.floor_char_boundary(LONGEST_CAUSE_BYTES)];
    format!("{FAILED}{}\n", serde_json::Value::from(cause))
}

fn told_failure(line: &str) -> Option<String> {
    let cause = line.strip_prefix(FAILED)?;
    // Whatever it says, it is no introduction.
    Some(serde_json::from_str(cause).unwrap_or_else(|_| cause.to_owned()))
}

fn listen() -> Result<(TcpListener, SocketAddr), Error> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| Error::Cluster(format!("cannot listen on loopback: {error}")))
}

fn endpoint(line: &str) -> io::Result<Endpoint> {
    Endpoint::parse(line).map_err(|(message, _)| io::Error::new(io::ErrorKind::InvalidData, message))
}

/// Reads a short line byte by byte: what follows it belongs to the next reader.
///
/// Where `stopped` says so, it gives up.
fn read_line(mut pair: &UnixStream, until: Instant, stopped: impl Fn() -> bool) -> io::Result<String> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    let mut line = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if stopped() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        pair.set_read_timeout(Some(left.clamp(TICK, LOOK_UP)))?;
        let mut byte = [0];
        match pair.read(&mut byte) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if byte == *b"\n" => break,
            Ok(_) if line.len() < LONGEST_INTRODUCTION_BYTES => line.extend(byte),
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(error) if matches!(error.kind(), Interrupted | WouldBlock | TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into())
}

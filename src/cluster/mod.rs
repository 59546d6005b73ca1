//! Who takes part in a job, and how they become one.
//!
//! [`Membership`] says what was asked for; [`connect`] makes it true: it starts local processes where that is asked,
//! connects every process with every other, and lets a job begin only if all of them prove the same secret and agree
//! on everything that must be equal. From then on [`Fate`] holds them together.
//!
//! Records travel unencrypted. Between machines, use a private network, `WireGuard`, or ssh tunnels.

mod connect;
mod decline;
mod dial;
mod fate;
mod fingerprint;
mod frame;
mod handshake;
pub mod hosts;
mod identify;
mod listen;
mod local;
mod outbox;
mod secret;
mod wire;

use std::fmt;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use decline::decline;
pub use fate::{Fate, LEAST_PEER_TIMEOUT, Verdict};
pub use fingerprint::Fingerprint;
pub use hosts::{Endpoint, Host};
pub use identify::identify;
pub use local::{LOCAL_PROCESS_VARIABLE, LocalProcesses, end_with_parent};
pub use secret::{Secret, VARIABLE as SECRET_VARIABLE};

use connect::{Roster, Trouble};

use crate::Error;
use crate::units::Elapsed;

/// Which processes form the job, and which of them this one is.
#[derive(Debug, Clone)]
pub struct Membership {
    processes: usize,
    index: usize,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// The only process.
    Alone,
    /// Process 0 of several on this machine, which starts the others.
    Parent,
    /// Started by process 0 on this machine.
    Child,
    /// A process among machines, each started by somebody else.
    Listed { hosts: Vec<Host>, secret: Option<Secret> },
}

impl Membership {
    /// One process on its own.
    pub fn alone() -> Self {
        Membership { processes: 1, index: 0, place: Place::Alone }
    }

    /// So many processes on this machine: process 0, or, in a process started by it, the one it was started as.
    pub fn local(processes: usize) -> Result<Self, Error> {
        match local::started_as()? {
            _ if processes <= 1 => Ok(Membership::alone()),
            None => Ok(Membership { processes, index: 0, place: Place::Parent }),
            Some(index) if index < processes => Ok(Membership { processes, index, place: Place::Child }),
            Some(index) => Err(Error::Cluster(format!("started as process {index} of {processes}"))),
        }
    }

    /// Process `index` of those that `hosts` lists.
    pub fn listed(hosts: Vec<Host>, index: usize, secret: Option<Secret>) -> Self {
        // A list of one leaves nobody to listen to.
        if hosts.len() <= 1 {
            return Membership::alone();
        }
        Membership { processes: hosts.len(), index, place: Place::Listed { hosts, secret } }
    }

    /// How many processes there are.
    pub fn processes(&self) -> usize {
        self.processes
    }

    /// How many machines they are on: processes whose first address is the same host, but for the port, share one.
    pub fn machines(&self) -> usize {
        let Place::Listed { hosts, .. } = &self.place else { return 1 };
        let names = hosts.iter().filter_map(|host| host.endpoints.first()).map(Endpoint::host);
        names.collect::<std::collections::HashSet<_>>().len()
    }

    /// Which one this is, from 0.
    pub fn index(&self) -> usize {
        self.index
    }
}

/// How long to wait for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until every process must be connected.
    pub connect: Duration,
    /// How long a process may be silent before it counts as lost.
    pub peer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: Duration::from_secs(30), peer: Duration::from_secs(20) }
    }
}

/// Where lines for people go; details only where they are asked for.
#[derive(Clone)]
pub struct Log {
    verbose: bool,
    sink: Arc<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("verbose", &self.verbose).finish_non_exhaustive()
    }
}

impl Log {
    /// To stderr.
    pub fn stderr(verbose: bool) -> Self {
        Log::to(verbose, |line| {
            use std::io::Write;
            // Nothing is left to say it on if stderr is closed.
            let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
        })
    }

    /// To `sink`, which is given lines without their end; for a progress bar that must step aside.
    pub fn to(verbose: bool, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Log { verbose, sink: Arc::new(sink) }
    }

    fn detail(&self, line: &str) {
        if self.verbose {
            (self.sink)(line);
        }
    }

    fn line(&self, line: &str) {
        (self.sink)(line);
    }
}

/// The connected processes of a job.
pub struct Connections {
    /// One blocking stream per process, in order, `None` at this process's own index: what timely's
    /// `initialize_networking_from_sockets` takes. Empty streams only; nothing has been sent on them.
    pub data: Vec<Option<TcpStream>>,
    /// The control connections, already at work. All processes have confirmed one step: that they are connected.
    pub fate: Fate,
    /// The processes this one started; dropping them ends them.
    pub children: LocalProcesses,
}

/// Makes the processes of `membership` one job, or says why they cannot be.
///
/// Within `timeouts.connect` every process is connected with every other and has the same `fingerprint`, or all of
/// those that can be reached fail with the same line. `stopped` is asked now and then whether this process has failed
/// meanwhile, as by a signal, and of what.
///
/// Call it from the program's main thread: on Linux, the processes it starts end with the thread that started them.
pub fn connect(
    membership: &Membership,
    fingerprint: &Fingerprint,
    timeouts: Timeouts,
    log: &Log,
    stopped: impl Fn() -> Option<String>,
) -> Result<Connections, Error> {
    let index = membership.index;
    let started = Instant::now();
    let until = started + timeouts.connect;
    let mut children = LocalProcesses::none();
    let mut fingerprint = fingerprint.clone();
    let roster = match &membership.place {
        Place::Alone => {
            let fate = Fate::start(0, vec!["this machine".to_owned()], timeouts.peer)?;
            return Ok(Connections { data: vec![None], fate, children });
        }
        Place::Parent => {
            children = LocalProcesses::start(membership.processes, log)?;
            children.introduce(until, &stopped)?
        }
        Place::Child => local::introduce_to_parent(index, membership.processes, until)?,
        Place::Listed { hosts, secret } => {
            let told = |error: &Error| decline(membership, &error.to_string(), timeouts, log);
            fingerprint = fingerprint.with_executable().inspect_err(told)?;
            let secret = secret.as_ref();
            let told = |error: &Error| {
                decline::tell(index, hosts, secret, &error.to_string(), timeouts, log);
            };
            let listeners = listen::bind(index, &hosts[index], secret).inspect_err(told)?;
            Roster { index, listeners, hosts: hosts.clone(), secret: secret.cloned() }
        }
    };
    let (data, fate) = connect::gather(roster, &fingerprint, started, timeouts, log, || {
        stopped().map(Trouble::Own).or_else(|| children.ended().map(Trouble::Other))
    })?;
    let taken = Elapsed(started.elapsed());
    log.detail(&format!("process {index} is connected with all {} after {taken}", membership.processes));
    Ok(Connections { data, fate, children })
}

//! Connecting: every process reaches every other, or all learn why not, before one deadline.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::dial;
use super::fate::Fate;
use super::fingerprint::Fingerprint;
use super::handshake::{Identity, Kind};
use super::hosts::Host;
use super::listen::{self, Claims};
use super::secret::Secret;
use super::{Log, Timeouts};
use crate::Error;

/// How long a process that knows the job has failed stays to tell those who have not connected yet.
const FAREWELL: Duration = Duration::from_millis(1500);
/// How often the loop looks for failures that no event brings.
const TICK: Duration = Duration::from_millis(10);
/// Peers give up at about the same time; theirs may be the better reason.
const GRACE: Duration = Duration::from_secs(1);

/// Where everybody is, and who may come.
pub(super) struct Roster {
    pub(super) index: usize,
    pub(super) hosts: Vec<Host>,
    pub(super) listeners: Vec<TcpListener>,
    pub(super) secret: Option<Secret>,
}

/// What the threads of this phase share.
pub(super) struct Gathering {
    pub(super) me: Identity,
    pub(super) hosts: Vec<Host>,
    pub(super) secret: Option<Secret>,
    pub(super) until: Instant,
    over: AtomicBool,
    claims: Mutex<Claims>,
    /// The last failure to reach each process, for the message at the deadline.
    unreached: Mutex<Vec<Option<String>>>,
    /// The last visitor that was sent away, for the same.
    turned_away: Mutex<Option<String>>,
    events: Sender<Event>,
    log: Log,
}

/// What makes the job impossible although nothing is wrong with the connections.
pub(super) enum Trouble {
    /// This process failed, of this cause.
    Own(String),
    /// Another did; the line says which.
    Other(String),
}

impl Trouble {
    fn fail(self, fate: &Fate) {
        match self {
            Trouble::Own(cause) => drop(fate.fail(None, &cause)),
            Trouble::Other(line) => fate.fail_as(&line),
        }
    }
}

/// What a dialling or a handshaking thread has to say.
pub(super) enum Event {
    /// A proven connection that agrees with ours.
    Joined { peer: usize, kind: Kind, stream: TcpStream },
    /// A member that cannot work with us.
    Refused { cause: String },
}

impl Gathering {
    /// Whether the threads should end.
    pub(super) fn over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || Instant::now() >= self.until
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listens any more once the phase is over, and then nothing is left to say.
        let _ = self.events.send(event);
    }

    /// Who has come.
    pub(super) fn claims(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn turned_away(&self, from: SocketAddr, reason: &str) {
        // Late strangers see the end of this phase, which is no fault of theirs.
        if self.over() {
            return;
        }
        let line = format!("a connection from {from} was turned away: {reason}");
        self.log.detail(&line);
        *self.turned_away.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }

    /// Keeps why a process was not reached, and tells it when it is another reason than before.
    pub(super) fn unreached(&self, peer: usize, reason: String) {
        let last = &mut self.unreached.lock().unwrap_or_else(PoisonError::into_inner)[peer];
        if last.as_ref() != Some(&reason) {
            self.log.detail(&format!("process {peer} on {} is not reached yet: {reason}", self.hosts[peer]));
            *last = Some(reason);
        }
    }

    fn missing(&self, waited: Duration, data: &[Option<TcpStream>], control: &[bool]) -> String {
        let own = self.me.index;
        let reasons = self.unreached.lock().unwrap_or_else(PoisonError::into_inner);
        let absent = (0..data.len()).filter(|&peer| peer != own && (data[peer].is_none() || !control[peer]));
        let listed: Vec<_> = absent
            .map(|peer| {
                let reason = reasons[peer].as_deref().unwrap_or("it did not come");
                format!("process {peer} on {} ({reason})", self.hosts[peer])
            })
            .collect();
        let mut line = format!("not connected after {:.1} s: {}", waited.as_secs_f64(), listed.join(", "));
        if let Some(visitor) = &*self.turned_away.lock().unwrap_or_else(PoisonError::into_inner) {
            line.extend(["; ", visitor]);
        }
        line
    }
}

/// Connects this process with all others of the roster.
///
/// The time for it has run since `started`. `watch` is asked now and then whether something else makes the job
/// impossible.
pub(super) fn gather(
    roster: Roster,
    fingerprint: &Fingerprint,
    started: Instant,
    timeouts: Timeouts,
    log: &Log,
    mut watch: impl FnMut() -> Option<Trouble>,
) -> Result<(Vec<Option<TcpStream>>, Fate), Error> {
    let Roster { index, hosts, listeners, secret } = roster;
    let processes = hosts.len();
    let shown: Vec<_> = hosts.iter().map(Host::to_string).collect();
    let fate = Fate::start(index, shown.clone(), timeouts.peer)?;
    let (events, inbox) = mpsc::channel();
    let gathering = Arc::new(Gathering {
        me: Identity::new(
            index,
            secret.as_ref(),
            fingerprint.clone().with("-n", processes).with("the host list", shown.join(", ")),
        )?,
        secret,
        hosts,
        until: started + timeouts.connect,
        over: AtomicBool::new(false),
        claims: Mutex::new(Claims::new(index, processes)),
        unreached: Mutex::new(vec![None; processes]),
        turned_away: Mutex::new(None),
        events,
        log: log.clone(),
    });
    let mut acceptors = Acceptors(Vec::new(), &gathering);
    for listener in listeners {
        acceptors.0.push(listen::accept(listener, &gathering)?);
    }
    // Who connects is called by those above; who comes to say that it failed may have no address to be called at.
    let called = if fingerprint.is_failure() { processes } else { index };
    for peer in (0..called).filter(|&peer| peer != index) {
        dial::dial(peer, Kind::Data, &gathering)?;
        dial::dial(peer, Kind::Control, &gathering)?;
    }

    let mut data: Vec<Option<TcpStream>> = (0..processes).map(|_| None).collect();
    let mut control = vec![false; processes];
    let mut farewell: Option<Instant> = None;
    loop {
        let complete = (0..processes).all(|peer| peer == index || (data[peer].is_some() && control[peer]));
        if complete && fate.failure().is_none() {
            break;
        }
        match inbox.recv_timeout(TICK) {
            Ok(Event::Joined { peer, kind: Kind::Data, stream }) => data[peer] = Some(stream),
            Ok(Event::Joined { peer, kind: Kind::Control, stream }) => {
                fate.join(peer, stream)?;
                control[peer] = true;
            }
            Ok(Event::Refused { cause }) => fate.fail_as(&cause),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let now = Instant::now();
        if fate.failure().is_none() {
            match watch() {
                Some(trouble) => trouble.fail(&fate),
                None if now >= gathering.until => {
                    fate.fail(None, &gathering.missing(started.elapsed(), &data, &control));
                }
                None => {}
            }
        }
        if let Some(line) = fate.failure() {
            let leave = *farewell.get_or_insert(now + FAREWELL);
            if complete || now >= leave || now >= gathering.until {
                return Err(Error::Cluster(line));
            }
        }
    }
    let left = gathering.until.saturating_duration_since(Instant::now());
    // Others may be waiting still, for each other.
    fate.confirm_looking(Some(left + GRACE), || {
        watch().into_iter().for_each(|trouble| trouble.fail(&fate));
    })?;
    drop(acceptors);
    Ok((data, fate))
}

/// Ends the threads of this phase, whichever way it is left; waits for the accepting ones, which hold the
/// listening sockets.
struct Acceptors<'a>(Vec<std::thread::JoinHandle<()>>, &'a Gathering);

impl Drop for Acceptors<'_> {
    fn drop(&mut self) {
        self.1.over.store(true, Ordering::Relaxed);
        for acceptor in self.0.drain(..) {
            let _ = acceptor.join();
        }
    }
}

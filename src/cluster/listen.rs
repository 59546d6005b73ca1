//! The listening half of connecting: binds this process's own addresses and shakes hands with whoever comes.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::connect::{Event, Gathering};
use super::handshake::{self, Door, Kind, Refusal, Visitor};
use super::hosts::Host;
use super::secret::{HOW_TO_MAKE_ONE, Secret};
use crate::Error;

/// A connection that has not proven itself after this long makes room; a member on a slow machine dials again.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(5);
/// So many connections may be unproven at a time; each costs a thread and a descriptor.
const MOST_UNPROVEN: usize = 256;
/// Short against a start of a few milliseconds, long against the cost of asking.
const PAUSE: Duration = Duration::from_micros(500);

/// Binds every address of `host` that belongs to this machine, and no other. Names that cannot be looked up are passed
/// over where another address can be bound: not every network knows every name.
pub(super) fn bind(index: usize, host: &Host, secret: Option<&Secret>) -> Result<Vec<TcpListener>, Error> {
    bind_by(TcpListener::bind, index, host, secret)
}

/// Whether no address of this kind, or not this one, is of this machine: where IPv6 is switched off, names still stand for such addresses.
fn is_foreign(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

fn bind_by(
    listen: impl Fn(SocketAddr) -> io::Result<TcpListener>,
    index: usize,
    host: &Host,
    secret: Option<&Secret>,
) -> Result<Vec<TcpListener>, Error> {
    let mut listeners = Vec::new();
    let mut foreign = Vec::new();
    let mut unknown = None;
    for endpoint in &host.endpoints {
        let refused = |error: &dyn std::fmt::Display| {
            Error::Cluster(format!("process {index} cannot listen on {endpoint}: {error}"))
        };
        let addresses = endpoint.look_up().unwrap_or_else(|error| {
            unknown.get_or_insert(refused(&error));
            Vec::new()
        });
        for address in addresses {
            // Two names may stand for one address, and one name twice for the same.
            if listeners
                .iter()
                .any(|bound: &TcpListener| bound.local_addr().is_ok_and(|bound| bound == address))
            {
                continue;
            }
            if secret.is_none() && !is_loopback(address) {
                return Err(Error::usage(
                    format!(
                        "process {index} would listen on {endpoint}, which other machines reach, without a secret"
                    ),
                    HOW_TO_MAKE_ONE,
                ));
            }
            match listen(address) {
                Ok(listener) => {
                    listener.set_nonblocking(true).map_err(|error| refused(&error))?;
                    listeners.push(listener);
                }
                Err(error) if is_foreign(&error) => foreign.push(address.to_string()),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(refused(
                        &"another program listens there; is a process left from an earlier run, or this index used twice?",
                    ));
                }
                Err(error) => return Err(refused(&error)),
            }
        }
    }
    if listeners.is_empty() {
        if let Some(error) = unknown {
            return Err(error);
        }
        return Err(Error::usage(
            format!(
                "process {index} would listen on {}, which is no address of this machine",
                foreign.join(", ")
            ),
            "-p with the index of this machine's line in the host file",
        ));
    }
    Ok(listeners)
}

/// Whether only this machine can be at the other end.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.to_canonical().is_loopback(),
    }
}

/// Accepts on `listener` until the gathering is over, each connection on a thread of its own.
pub(super) fn accept(
    listener: TcpListener,
    gathering: &Arc<Gathering>,
) -> Result<thread::JoinHandle<()>, Error> {
    let gathering = Arc::clone(gathering);
    let work = move || {
        let mut unproven = VecDeque::new();
        while !gathering.over() {
            match listener.accept() {
                Ok((stream, from)) => meet(stream, from, &gathering, &mut unproven),
                // Also when this process has no more descriptors: strangers let go of theirs in time.
                Err(_) => thread::sleep(PAUSE),
            }
        }
    };
    let spawned = thread::Builder::new().name("connect:accept".to_owned()).spawn(work);
    spawned.map_err(|error| Error::Cluster(format!("cannot start a thread to accept connections: {error}")))
}

/// Gives a new connection its thread, and makes room among the `unproven` where there are too many.
fn meet(
    stream: TcpStream,
    from: SocketAddr,
    gathering: &Arc<Gathering>,
    unproven: &mut VecDeque<Weak<Newcomer>>,
) {
    // Only loopback is bound then, but the kernel lets through what comes from other addresses of this machine and, where
    // it is set up to route loopback, from other machines.
    if gathering.secret.is_none() && !is_loopback(from) {
        gathering.turned_away(from, "it comes from no loopback address, and there is no secret");
        return;
    }
    unproven.retain(|newcomer| newcomer.strong_count() > 0);
    // A member needs a millisecond to prove itself: the longest here are the ones that never will.
    while unproven.len() >= MOST_UNPROVEN
        && let Some(oldest) = unproven.pop_front()
    {
        if let Some(oldest) = oldest.upgrade().filter(|oldest| oldest.settle()) {
            let _ = oldest.stream.shutdown(Shutdown::Both);
        }
    }
    let newcomer = Arc::new(Newcomer { stream, settled: AtomicBool::new(false) });
    unproven.push_back(Arc::downgrade(&newcomer));
    let gathering = Arc::clone(gathering);
    let work = move || shake(newcomer, from, &gathering);
    // Without a thread the connection is dropped; a member dials again.
    drop(thread::Builder::new().name("connect:handshake".to_owned()).spawn(work));
}

/// A connection whose far side may be anyone.
#[derive(Debug)]
struct Newcomer {
    stream: TcpStream,
    /// Whether it is known to be a member's, or is closed to make room: whichever came first.
    settled: AtomicBool,
}

impl Newcomer {
    /// Whether the caller is the first, and its word holds.
    fn settle(&self) -> bool {
        !self.settled.swap(true, Ordering::Relaxed)
    }

    /// The connection, once who else looks at this has let go of it.
    fn into_stream(self: Arc<Self>) -> TcpStream {
        let mut shared = self;
        loop {
            match Arc::try_unwrap(shared) {
                Ok(newcomer) => return newcomer.stream,
                Err(still_shared) => shared = still_shared,
            }
            thread::yield_now();
        }
    }
}

/// How a newcomer gets in.
struct Entrance<'a> {
    newcomer: &'a Newcomer,
    from: SocketAddr,
    gathering: &'a Gathering,
    claimed: Option<Visitor>,
}

impl Door for Entrance<'_> {
    fn is_free(&mut self, visitor: &Visitor) -> Result<(), String> {
        self.gathering.claims().is_free(visitor)
    }

    fn claim(&mut self, visitor: &Visitor) -> Result<(), String> {
        if !self.newcomer.settle() {
            return Err("it was closed to make room for others".to_owned());
        }
        self.gathering.claims().claim(visitor, self.from.ip())?;
        self.claimed = Some(*visitor);
        Ok(())
    }
}

fn shake(newcomer: Arc<Newcomer>, from: SocketAddr, gathering: &Gathering) {
    let until = gathering.until.min(Instant::now() + LONGEST_HANDSHAKE);
    let mut entrance = Entrance { newcomer: &newcomer, from, gathering, claimed: None };
    let stream = &newcomer.stream;
    let done = stream
        .set_nonblocking(false)
        .and_then(|()| stream.set_nodelay(true))
        .map_err(Refusal::from)
        .and_then(|()| handshake::answer(&gathering.me, stream, until, &mut entrance));
    // A member that did not hear that it is welcome dials again.
    if let (Err(_), Some(visitor)) = (&done, &entrance.claimed) {
        gathering.claims().release(visitor);
    }
    match done {
        Ok(Visitor { index: peer, kind, .. }) => {
            gathering.tell(Event::Joined { peer, kind, stream: newcomer.into_stream() });
        }
        Err(Refusal::Stranger(reason)) => gathering.turned_away(from, &reason),
        Err(Refusal::Fatal(cause)) => gathering.tell(Event::Refused { cause }),
    }
}

/// Which instances hold the indices of the other processes, and which connections have come from those above this one's.
#[derive(Debug)]
pub(super) struct Claims {
    own: usize,
    holders: Vec<Option<Holder>>,
}

#[derive(Debug)]
struct Holder {
    instance: [u8; 16],
    from: IpAddr,
    kinds: Vec<Kind>,
}

impl Holder {
    fn holds(&self, index: usize) -> String {
        format!("it calls itself process {index}, which is connected already from {}", self.from)
    }
}

impl Claims {
    pub(super) fn new(own: usize, processes: usize) -> Self {
        Claims { own, holders: (0..processes).map(|_| None).collect() }
    }

    /// Keeps who was found when this process dialled.
    pub(super) fn met(&mut self, member: &Visitor, at: IpAddr) {
        let Visitor { index, instance, .. } = *member;
        self.holders[index].get_or_insert(Holder { instance, from: at, kinds: Vec::new() });
    }

    /// Whether no other instance has the visitor's index.
    pub(super) fn is_free(&self, visitor: &Visitor) -> Result<(), String> {
        match self.holders.get(visitor.index) {
            Some(Some(holder)) if holder.instance != visitor.instance => Err(holder.holds(visitor.index)),
            _ => Ok(()),
        }
    }

    /// Gives the visitor its connection, unless another process has the index or the connection exists.
    pub(super) fn claim(&mut self, visitor: &Visitor, from: IpAddr) -> Result<(), String> {
        let Visitor { index, kind, instance } = *visitor;
        let own = self.own;
        if index <= own || index >= self.holders.len() {
            return Err(format!("it calls itself process {index}, which does not connect to process {own}"));
        }
        let holder = self.holders[index].get_or_insert(Holder { instance, from, kinds: Vec::new() });
        if holder.instance != instance || holder.kinds.contains(&kind) {
            return Err(holder.holds(index));
        }
        holder.kinds.push(kind);
        Ok(())
    }

    /// Takes back a claim of which the visitor may not have heard.
    pub(super) fn release(&mut self, visitor: &Visitor) {
        let Some(holder) = &mut self.holders[visitor.index] else { return };
        holder.kinds.retain(|&kind| kind != visitor.kind);
        if holder.kinds.is_empty() {
            self.holders[visitor.index] = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_that_is_switched_off_did_not_let_a_name_be_bound_to_its_ipv4_address() {
        // As `localhost` stands for both.
        let addresses: [SocketAddr; 2] = ["[::1]:0", "127.0.0.1:0"].map(|address| address.parse().unwrap());
        let host = &Host { endpoints: addresses.map(Into::into).into() };
        let without_ipv6 = |address: SocketAddr| match address {
            SocketAddr::V6(_) => Err(Errno::AFNOSUPPORT.into()),
            SocketAddr::V4(_) => TcpListener::bind(address),
        };
        let bound = bind_by(without_ipv6, 0, host, None).unwrap();
        assert_eq!(bound.len(), 1);
        let nothing = bind_by(|_| Err(Errno::AFNOSUPPORT.into()), 0, host, None).unwrap_err().to_string();
        assert!(nothing.contains("would listen on [::1]:0, 127.0.0.1:0, which is no address"), "{nothing}");
    }

    #[test]
    fn an_index_belongs_to_the_first_instance() {
        let from = IpAddr::from([127, 0, 0, 1]);
        let visitor = |index, kind, instance| Visitor { index, kind, instance: [instance; 16] };
        let mut claims = Claims::new(0, 3);
        assert!(claims.claim(&visitor(1, Kind::Data, 7), from).is_ok());
        assert!(claims.claim(&visitor(1, Kind::Control, 7), from).is_ok());
        let second = claims.claim(&visitor(1, Kind::Data, 7), from).unwrap_err();
        assert_eq!(second, "it calls itself process 1, which is connected already from 127.0.0.1");
        assert!(claims.claim(&visitor(1, Kind::Control, 8), from).is_err(), "two halves of two processes");
        claims.release(&visitor(1, Kind::Data, 7));
        assert!(claims.claim(&visitor(1, Kind::Data, 8), from).is_err(), "its other connection stands");
        assert!(claims.claim(&visitor(1, Kind::Data, 7), from).is_ok(), "it dialled again");
        claims.release(&visitor(1, Kind::Data, 7));
        claims.release(&visitor(1, Kind::Control, 7));
        assert!(claims.claim(&visitor(1, Kind::Data, 8), from).is_ok(), "nobody holds it any more");
        for stray in [0, 3] {
            assert!(claims.claim(&visitor(stray, Kind::Data, 7), from).is_err());
        }
    }

    #[test]
    fn whoever_was_met_first_is_the_one_that_counts() {
        let from = IpAddr::from([127, 0, 0, 1]);
        let visitor = |index, instance| Visitor { index, kind: Kind::Control, instance: [instance; 16] };
        let mut claims = Claims::new(1, 3);
        for index in 0..9 {
            assert!(claims.is_free(&visitor(index, 7)).is_ok(), "nobody has come yet");
        }
        claims.met(&visitor(0, 7), from);
        claims.claim(&visitor(2, 7), from).unwrap();
        for index in [0, 2] {
            assert!(claims.is_free(&visitor(index, 7)).is_ok(), "it is the same");
            let taken = claims.is_free(&visitor(index, 8)).unwrap_err();
            assert!(taken.ends_with("which is connected already from 127.0.0.1"), "{taken}");
        }
    }
}

//! The dialling half of connecting: reaches a process with a lower index, again and again until the deadline.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::connect::{Event, Gathering};
use super::handshake::{self, Identity, Kind, Refusal};
use super::hosts::Host;
use super::listen::is_loopback;
use super::secret::HOW_TO_MAKE_ONE;
use super::wire::explain;
use crate::Error;

/// Processes of one job start within milliseconds of each other, or minutes.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// An address that drops packets must not keep us from the next one.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(3);

/// Starts dialling `peer` for one kind of connection; the outcome is an event.
pub(super) fn dial(peer: usize, kind: Kind, gathering: &Arc<Gathering>) -> Result<(), Error> {
    let gathering = Arc::clone(gathering);
    let work = move || {
        let mut pause = FIRST_PAUSE;
        while !gathering.over() {
            match attempt(peer, kind, &gathering) {
                Ok(stream) => return gathering.tell(Event::Joined { peer, kind, stream }),
                Err(Refusal::Fatal(cause)) => return gathering.tell(Event::Refused { cause }),
                Err(Refusal::Stranger(reason)) => gathering.unreached(peer, reason),
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    let spawned = thread::Builder::new().name(format!("connect:process-{peer}")).spawn(work);
    spawned.map(drop).map_err(|error| Error::Cluster(format!("cannot start a thread to connect: {error}")))
}

/// Tries every address of the peer once.
fn attempt(peer: usize, kind: Kind, gathering: &Gathering) -> Result<TcpStream, Refusal> {
    // Names are looked up each time: a machine that boots may get its name late.
    let addresses = gathering.hosts[peer].endpoints.iter().flat_map(|endpoint| match endpoint.look_up() {
        Ok(addresses) => addresses.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(Refusal::Stranger(format!("cannot look up {endpoint}: {error}")))],
    });
    first_reached(addresses, |address| reach(peer, kind, address, gathering))
}

/// The first that is reached, whatever else answers at the other addresses; or else why none is: what a member says
/// counts for more than that others are no members.
fn first_reached<T>(
    addresses: impl Iterator<Item = Result<SocketAddr, Refusal>>,
    mut reach: impl FnMut(SocketAddr) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let mut why = Refusal::Stranger("it has no address".to_owned());
    for address in addresses {
        match address.and_then(&mut reach) {
            Ok(reached) => return Ok(reached),
            Err(Refusal::Stranger(_)) if matches!(why, Refusal::Fatal(_)) => {}
            Err(refusal) => why = refusal,
        }
    }
    Err(why)
}

fn reach(peer: usize, kind: Kind, address: SocketAddr, gathering: &Gathering) -> Result<TcpStream, Refusal> {
    if gathering.secret.is_none() && !is_loopback(address) {
        return Err(Refusal::Fatal(format!(
            "process {peer} is on another machine ({address}), and there is no secret; {HOW_TO_MAKE_ONE}"
        )));
    }
    let stream = open(address, gathering.until)?;
    let until = gathering.until.min(Instant::now() + LONGEST_ATTEMPT * 2);
    let met = handshake::dial(&gathering.me, peer, kind, &stream, until)?;
    gathering.claims().met(&met, address.ip());
    Ok(stream)
}

/// A connection to whoever listens there.
fn open(address: SocketAddr, until: Instant) -> Result<TcpStream, Refusal> {
    let left = until.saturating_duration_since(Instant::now()).min(LONGEST_ATTEMPT);
    let stream = TcpStream::connect_timeout(&address, left.max(FIRST_PAUSE))
        .map_err(|e| Refusal::Stranger(explain(&e)))?;
    // Dialling a free port of one's own machine can connect a socket to itself.
    if stream.local_addr()? == address {
        return Err(Refusal::Stranger("nobody listens there".to_owned()));
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whether another process has the place of this one: it answers at an address of `host` by the same index, and knows the
/// secret.
pub(super) fn is_taken(me: &Identity, host: &Host, until: Instant) -> bool {
    let addresses = host.endpoints.iter().flat_map(|endpoint| endpoint.look_up().unwrap_or_default());
    addresses.into_iter().any(|address| {
        let found = open(address, until).and_then(|stream| handshake::ask(me, me.index, &stream, until));
        found.is_ok_and(|found| found == me.index)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address of this port, or, of port 0, a name that is unknown.
    fn address(port: u16) -> Result<SocketAddr, Refusal> {
        match port {
            0 => Err(Refusal::Stranger("unknown".to_owned())),
            _ => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        }
    }

    /// At odd ports nobody listens; at those below 10 there is another member than the one that is looked for.
    fn reach(address: SocketAddr) -> Result<u16, Refusal> {
        match address.port() {
            port if port % 2 == 1 => Err(Refusal::Stranger(format!("nobody at {port}"))),
            port if port < 10 => Err(Refusal::Fatal(format!("another at {port}"))),
            port => Ok(port),
        }
    }

    #[test]
    fn a_wrong_answer_at_one_address_does_not_keep_from_the_next() {
        let reached = first_reached([0, 2, 3, 12].into_iter().map(address), reach);
        assert_eq!(reached.unwrap(), 12);
    }

    #[test]
    fn the_reason_of_a_member_is_told_before_those_of_strangers() {
        let told = |ports: &[u16]| match first_reached(ports.iter().copied().map(address), reach).unwrap_err()
        {
            Refusal::Stranger(line) => format!("passing: {line}"),
            Refusal::Fatal(line) => format!("lasting: {line}"),
        };
        assert_eq!(told(&[2, 3, 0]), "lasting: another at 2");
        assert_eq!(told(&[3, 4, 5]), "lasting: another at 4");
        assert_eq!(told(&[0, 3]), "passing: nobody at 3");
        assert_eq!(told(&[]), "passing: it has no address");
    }
}

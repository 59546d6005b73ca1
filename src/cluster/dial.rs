//! The dialling half of connecting: reaches a process with a lower index, again and again until the deadline.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::connect::{Event, Gathering};
use super::handshake::{self, Kind, Refusal};
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
    let host: &Host = &gathering.hosts[peer];
    let mut last = Refusal::Stranger("it has no address".to_owned());
    for endpoint in &host.endpoints {
        // Names are looked up each time: a machine that boots may get its name late.
        let addresses = match endpoint.look_up() {
            Ok(addresses) => addresses,
            Err(error) => {
                last = Refusal::Stranger(format!("cannot look up {endpoint}: {error}"));
                continue;
            }
        };
        for address in addresses {
            match reach(peer, kind, address, gathering) {
                Err(Refusal::Stranger(reason)) => last = Refusal::Stranger(reason),
                done => return done,
            }
        }
    }
    Err(last)
}

fn reach(peer: usize, kind: Kind, address: SocketAddr, gathering: &Gathering) -> Result<TcpStream, Refusal> {
    if gathering.secret.is_none() && !is_loopback(address) {
        return Err(Refusal::Fatal(format!(
            "process {peer} is on another machine ({address}), and there is no secret; {HOW_TO_MAKE_ONE}"
        )));
    }
    let left = gathering.until.saturating_duration_since(Instant::now()).min(LONGEST_ATTEMPT);
    let stream = TcpStream::connect_timeout(&address, left.max(FIRST_PAUSE))
        .map_err(|e| Refusal::Stranger(explain(&e)))?;
    // Dialling a free port of one's own machine can connect a socket to itself.
    if stream.local_addr()? == address {
        return Err(Refusal::Stranger("nobody listens there".to_owned()));
    }
    stream.set_nodelay(true)?;
    let until = gathering.until.min(Instant::now() + LONGEST_ATTEMPT * 2);
    handshake::dial(&gathering.me, peer, kind, &stream, until)?;
    Ok(stream)
}

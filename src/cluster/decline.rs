//! Not taking part: a process that fails before it is connected tells those that wait for it.
//!
//! It calls every process of the job, and can be called where it has its address, and says in the handshake why it will
//! not come. So it is heard only by those who know the secret, and only where nobody else has its index: neither a
//! stranger nor a second process started by mistake can end a job.

use std::time::{Duration, Instant};

use super::connect::{Roster, gather};
use super::fingerprint::Fingerprint;
use super::handshake::Identity;
use super::{Host, Log, Membership, Place, Secret, Timeouts, dial, listen, local};

/// How long a process that cannot take part waits for others to tell them: together with its own end under 5 s.
const LONGEST_DECLINE: Duration = Duration::from_secs(2);
/// How long another process with this index has to show that it is there; it answers within milliseconds.
const LONGEST_QUESTION: Duration = Duration::from_secs(1);

/// Tells the other processes of `membership` that this one will not connect, because of `cause`; for a failure before
/// [`connect`](super::connect) is called. Takes two or three seconds where others may be waiting, as they may only be
/// about to start; who comes later waits in vain, up to its own timeout.
pub fn decline(membership: &Membership, cause: &str, timeouts: Timeouts, log: &Log) {
    match &membership.place {
        Place::Alone | Place::Parent => {}
        Place::Child => local::decline(cause),
        Place::Listed { hosts, secret } => {
            let index = membership.index;
            let line = format!("process {index} on {} failed: {cause}", hosts[index]);
            tell(index, hosts, secret.as_ref(), &line, timeouts, log);
        }
    }
}

/// The same, with a line that says itself who is to blame.
pub(super) fn tell(
    index: usize,
    hosts: &[Host],
    secret: Option<&Secret>,
    line: &str,
    timeouts: Timeouts,
    log: &Log,
) {
    let fingerprint = Fingerprint::of_failure(line);
    let listeners = listen::bind(index, &hosts[index], secret).unwrap_or_default();
    // Where something else has our address, it may be a process with our index at work, which must not suffer.
    let at_work = |me: Identity| dial::is_taken(&me, &hosts[index], Instant::now() + LONGEST_QUESTION);
    if listeners.is_empty() && Identity::new(index, secret, fingerprint.clone()).is_ok_and(at_work) {
        return log.detail(&format!("another process {index} is at work on {}", hosts[index]));
    }
    let roster = Roster { index, listeners, hosts: hosts.to_vec(), secret: secret.cloned() };
    let timeouts = Timeouts { connect: timeouts.connect.min(LONGEST_DECLINE), ..timeouts };
    // It cannot succeed, and how it fails is known.
    drop(gather(roster, &fingerprint, Instant::now(), timeouts, log, || None));
}

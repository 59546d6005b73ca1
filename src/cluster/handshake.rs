//! What two processes say to each other before they trust each other.
//!
//! The dialler is the process with the higher index. All numbers are little-endian.
//!
//! ```text
//! dialler  ─► greeting, 72 bytes: magic, version, kind, from, to, instance, nonce
//! listener ─► greeting                       strangers learn nothing but this
//! dialler  ─► proof, 32 bytes                keyed hash over both greetings
//! listener ─► verdict, 1 byte; proof, 32     refused here: the secret differs
//! dialler  ─► fingerprint, with its length
//! listener ─► fingerprint                    both sides find the same difference, if any
//! listener ─► verdict, 1 byte                refused here: the index is taken, whatever the fingerprint says
//! ```
//! The first twelve bytes of the greeting stay as they are in all versions, so that two versions can tell each other.

use std::io;
use std::net::TcpStream;
use std::time::Instant;

use super::fingerprint::{self, Fingerprint};
use super::secret::{Secret, random_bytes};
use super::wire::{Timed, explain};
use crate::Error;

const MAGIC: [u8; 8] = *b"MILLRACE";
const VERSION: u32 = 1;
const GREETING_BYTES: usize = 72;

const WELCOME: u8 = 0;
const OTHER_SECRET: u8 = 1;
const INDEX_TAKEN: u8 = 2;

const DIALLER: u8 = 0;
const LISTENER: u8 = 1;

/// What a connection is for; each pair of processes has one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records, in timely's hands.
    Data,
    /// Shared fate: failures, confirmations, heartbeats.
    Control,
}

/// This process, as it presents itself on every connection.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) index: usize,
    /// Tells two processes that claim the same index apart.
    instance: [u8; 16],
    secret: Secret,
    fingerprint: Fingerprint,
}

impl Identity {
    pub(super) fn new(
        index: usize,
        secret: Option<&Secret>,
        fingerprint: Fingerprint,
    ) -> Result<Self, Error> {
        let secret = secret.cloned().unwrap_or_else(Secret::open);
        Ok(Identity { index, instance: random_bytes()?, secret, fingerprint })
    }
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The far side is no member, or not yet: forget the connection.
    Stranger(String),
    /// The far side is a member and the two cannot work together: the job must end.
    Fatal(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::Stranger(explain(&error))
    }
}

/// A member's connection, as its listener learns it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visitor {
    pub(super) index: usize,
    pub(super) kind: Kind,
    pub(super) instance: [u8; 16],
}

struct Greeting {
    bytes: [u8; GREETING_BYTES],
}

impl Greeting {
    fn new(me: &Identity, to: usize, kind: Kind) -> Result<Self, Refusal> {
        let nonce: [u8; 32] = random_bytes().map_err(|error| Refusal::Fatal(error.to_string()))?;
        let mut bytes = [0; GREETING_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12] = kind as u8;
        bytes[16..20].copy_from_slice(&(me.index as u32).to_le_bytes());
        bytes[20..24].copy_from_slice(&(to as u32).to_le_bytes());
        bytes[24..40].copy_from_slice(&me.instance);
        bytes[40..].copy_from_slice(&nonce);
        Ok(Greeting { bytes })
    }

    fn receive(wire: &mut Timed<'_>) -> Result<Self, Refusal> {
        let mut bytes = [0; GREETING_BYTES];
        // A stranger is known by its first bytes: no need to wait for the rest.
        wire.read_into(&mut bytes[..8])?;
        if bytes[..8] != MAGIC {
            return Err(Refusal::Stranger("it does not speak Millrace's protocol".to_owned()));
        }
        wire.read_into(&mut bytes[8..])?;
        Ok(Greeting { bytes })
    }

    fn number(&self, at: usize) -> usize {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.bytes[at..at + 4]);
        u32::from_le_bytes(bytes) as usize
    }

    fn version(&self) -> usize {
        self.number(8)
    }

    fn from(&self) -> usize {
        self.number(16)
    }

    fn to(&self) -> usize {
        self.number(20)
    }

    fn kind(&self) -> Option<Kind> {
        [Kind::Data, Kind::Control].into_iter().find(|&kind| kind as u8 == self.bytes[12])
    }

    fn instance(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.bytes[24..40]);
        bytes
    }
}

/// Which process answers on `stream`, where `peer` is expected. It proves itself, and learns nothing but that this one
/// knows the secret, too: to it, this is a connection that was closed.
pub(super) fn ask(me: &Identity, peer: usize, stream: &TcpStream, until: Instant) -> Result<usize, Refusal> {
    let proven = prove(me, peer, Kind::Control, &mut Timed::new(stream, until))?;
    Ok(proven.from())
}

/// The handshake as the process that opened the connection, towards process `peer`.
pub(super) fn dial(
    me: &Identity,
    peer: usize,
    kind: Kind,
    stream: &TcpStream,
    until: Instant,
) -> Result<Visitor, Refusal> {
    let mut wire = Timed::new(stream, until);
    let theirs = prove(me, peer, kind, &mut wire)?;
    wire.write_block(&me.fingerprint.encode())?;
    compare(me, peer, &receive_fingerprint(&mut wire)?)?;
    if theirs.from() != peer {
        let found = theirs.from();
        return Err(Refusal::Fatal(format!(
            "process {found} answers where the host list has process {peer}; check -p on both"
        )));
    }
    if wire.read()? != [WELCOME] {
        return Err(Refusal::Fatal(format!(
            "process {peer} is already connected to another process {}; is one left from an earlier run?",
            me.index
        )));
    }
    settle(stream)?;
    Ok(Visitor { index: peer, kind, instance: theirs.instance() })
}

/// The first half of it, after which both have proven the secret; gives the far side's greeting.
fn prove(me: &Identity, peer: usize, kind: Kind, wire: &mut Timed<'_>) -> Result<Greeting, Refusal> {
    let mine = Greeting::new(me, peer, kind)?;
    wire.write(&mine.bytes)?;
    let theirs = Greeting::receive(wire)?;
    if theirs.version() != VERSION as usize {
        let version = theirs.version();
        return Err(Refusal::Fatal(format!(
            "process {peer} speaks version {version} of the protocol, process {} version {VERSION}; \
             run the same build everywhere",
            me.index
        )));
    }
    wire.write(me.secret.proof(DIALLER, &mine.bytes, &theirs.bytes).as_bytes())?;
    let other_secret = || {
        let own = me.index;
        Refusal::Fatal(format!(
            "process {peer} and process {own} have different secrets; give both the same --secret-file"
        ))
    };
    let [verdict] = wire.read()?;
    if verdict != WELCOME {
        return Err(other_secret());
    }
    let proof = blake3::Hash::from_bytes(wire.read()?);
    if proof != me.secret.proof(LISTENER, &mine.bytes, &theirs.bytes) {
        return Err(other_secret());
    }
    Ok(theirs)
}

/// Who decides whether a visitor may have its index.
pub(super) trait Door {
    /// Whether nobody else has it; asked before anything that the visitor says is believed.
    fn is_free(&mut self, visitor: &Visitor) -> Result<(), String>;
    /// Gives it to the visitor.
    fn claim(&mut self, visitor: &Visitor) -> Result<(), String>;
}

/// The handshake as the process that accepted the connection.
pub(super) fn answer(
    me: &Identity,
    stream: &TcpStream,
    until: Instant,
    door: &mut impl Door,
) -> Result<Visitor, Refusal> {
    let mut wire = Timed::new(stream, until);
    let theirs = Greeting::receive(&mut wire)?;
    let kind =
        theirs.kind().ok_or_else(|| Refusal::Stranger("it asks for no connection known here".to_owned()))?;
    let mine = Greeting::new(me, theirs.from(), kind)?;
    wire.write(&mine.bytes)?;
    let visitor = Visitor { index: theirs.from(), kind, instance: theirs.instance() };
    let claimed = format!("it calls itself process {}", visitor.index);
    if theirs.version() != VERSION as usize {
        let version = theirs.version();
        return Err(Refusal::Stranger(format!(
            "{claimed} and speaks version {version} of the protocol, not {VERSION}"
        )));
    }
    let proof = blake3::Hash::from_bytes(wire.read()?);
    if proof != me.secret.proof(DIALLER, &theirs.bytes, &mine.bytes) {
        // Best effort: a member with the wrong secret should learn why, a stranger need not listen.
        let _ = wire.write(&[OTHER_SECRET]);
        return Err(Refusal::Stranger(format!("{claimed} and has a different secret")));
    }
    let mut welcome = vec![WELCOME];
    welcome.extend(me.secret.proof(LISTENER, &theirs.bytes, &mine.bytes).as_bytes());
    wire.write(&welcome)?;
    // Before the comparison, so that a difference is found on both sides.
    wire.write_block(&me.fingerprint.encode())?;
    let fingerprint = receive_fingerprint(&mut wire)?;
    let claimed = door.is_free(&visitor);
    if claimed.is_ok() {
        compare(me, visitor.index, &fingerprint)?;
    }
    let claimed = claimed.and_then(|()| {
        if theirs.to() == me.index {
            door.claim(&visitor)
        } else {
            Err("it looks for another process".to_owned())
        }
    });
    if let Err(reason) = claimed {
        let _ = wire.write(&[INDEX_TAKEN]);
        return Err(Refusal::Stranger(reason));
    }
    wire.write(&[WELCOME])?;
    settle(stream)?;
    Ok(visitor)
}

fn receive_fingerprint(wire: &mut Timed<'_>) -> Result<Fingerprint, Refusal> {
    let bytes = wire.read_block(fingerprint::LONGEST_BYTES)?;
    Fingerprint::decode(&bytes).ok_or_else(|| Refusal::Stranger("its fingerprint cannot be read".to_owned()))
}

fn compare(me: &Identity, peer: usize, theirs: &Fingerprint) -> Result<(), Refusal> {
    me.fingerprint.difference(me.index, theirs, peer).map_or(Ok(()), |line| Err(Refusal::Fatal(line)))
}

/// Leaves the stream as its users want it: blocking without end, and not collecting small writes.
fn settle(stream: &TcpStream) -> Result<(), Refusal> {
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    stream.set_nodelay(true)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;

    fn identity(index: usize) -> Identity {
        let fingerprint = Fingerprint::new("test");
        Identity { index, instance: [index as u8; 16], secret: Secret::open(), fingerprint }
    }

    /// A door that others have passed, or not: what it says to whoever comes, and to whoever wants to stay.
    struct Answers {
        is_free: Result<(), String>,
        claim: Result<(), String>,
    }

    const OPEN: Answers = Answers { is_free: Ok(()), claim: Ok(()) };

    impl Door for Answers {
        fn is_free(&mut self, _: &Visitor) -> Result<(), String> {
            self.is_free.clone()
        }

        fn claim(&mut self, _: &Visitor) -> Result<(), String> {
            self.claim.clone()
        }
    }

    /// Both halves of one handshake, of which `dialling` is the first.
    fn meet_by<T: Send + 'static>(
        dialling: impl FnOnce(&TcpStream, Instant) -> T + Send + 'static,
        listener: &Identity,
        mut door: Answers,
    ) -> (T, Result<Visitor, Refusal>) {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let dialling = std::thread::spawn(move || dialling(&TcpStream::connect(address).unwrap(), until));
        let stream = socket.accept().unwrap().0;
        let answered = answer(listener, &stream, until, &mut door);
        drop(stream);
        (dialling.join().unwrap(), answered)
    }

    /// The same of `dialler` towards what it believes to be process `peer`.
    fn meet(
        dialler: Identity,
        peer: usize,
        listener: &Identity,
        door: Answers,
    ) -> (Result<Visitor, Refusal>, Result<Visitor, Refusal>) {
        meet_by(move |stream, until| dial(&dialler, peer, Kind::Control, stream, until), listener, door)
    }

    fn line<T: std::fmt::Debug>(refused: Result<T, Refusal>) -> (bool, String) {
        match refused.unwrap_err() {
            Refusal::Stranger(line) => (false, line),
            Refusal::Fatal(line) => (true, line),
        }
    }

    #[test]
    fn equals_meet() {
        let (dialled, answered) = meet(identity(3), 1, &identity(1), OPEN);
        for (visitor, index) in [(dialled, 1), (answered, 3)] {
            let visitor = visitor.unwrap();
            assert_eq!((visitor.index, visitor.kind), (index, Kind::Control));
            assert_eq!(visitor.instance, [index as u8; 16]);
        }
    }

    #[test]
    fn a_taken_index_ends_the_second_and_not_the_job() {
        let (dialled, answered) =
            meet(identity(3), 1, &identity(1), Answers { claim: Err("taken".to_owned()), ..OPEN });
        let expected =
            "process 1 is already connected to another process 3; is one left from an earlier run?";
        assert_eq!(line(dialled), (true, expected.to_owned()));
        assert_eq!(line(answered), (false, "taken".to_owned()));
    }

    #[test]
    fn a_second_process_with_a_taken_index_is_not_believed() {
        let failed = || Identity { fingerprint: Fingerprint::of_failure("no table"), ..identity(3) };
        let (_, answered) =
            meet(failed(), 1, &identity(1), Answers { is_free: Err("taken".to_owned()), ..OPEN });
        assert_eq!(line(answered), (false, "taken".to_owned()));
        // The first one that comes is, also where it would not be the one to call.
        for index in [0, 3] {
            let failed = Identity { index, ..failed() };
            let (dialled, answered) = meet(failed, 1, &identity(1), OPEN);
            assert_eq!(line(dialled), (true, "no table".to_owned()));
            assert_eq!(line(answered), (true, "no table".to_owned()));
        }
    }

    #[test]
    fn who_asks_learns_who_answers_and_counts_for_nothing() {
        let ask_by = |asking: Identity| {
            meet_by(move |stream, until| ask(&asking, 2, stream, until), &identity(2), OPEN)
        };
        let (told, answered) = ask_by(identity(2));
        assert_eq!(told.unwrap(), 2);
        assert_eq!(line(answered), (false, "the connection was closed".to_owned()));
        let secret = Secret::find(None, Some("0123456789abcdef".into())).unwrap().unwrap();
        let (told, answered) = ask_by(Identity { secret, ..identity(2) });
        assert!(line(told).1.contains("have different secrets"));
        assert_eq!(
            line(answered),
            (false, "it calls itself process 2 and has a different secret".to_owned())
        );
    }

    #[test]
    fn another_index_than_the_host_list_says() {
        let (dialled, answered) = meet(identity(3), 1, &identity(2), OPEN);
        let expected = "process 2 answers where the host list has process 1; check -p on both";
        assert_eq!(line(dialled), (true, expected.to_owned()));
        assert_eq!(line(answered), (false, "it looks for another process".to_owned()));
    }
}

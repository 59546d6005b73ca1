//! The routed containers that records travel in, between workers and between processes.
//!
//! The sender sorts records into one buffer per partition of each worker (a [`Router`]); a full buffer becomes a
//! container and moves as a whole: a pointer inside the process, bytes across. timely's own `Exchange` hashes and
//! pushes record by record instead, which costs more than the bytes do (docs/how-a-run-works.md has the figures).
//!
//! There are three kinds, which differ in their [`Body`] only:
//!
//! | container | records | across processes |
//! | --- | --- | --- |
//! | [`Routed`] | plain bytes ([`bytemuck::Pod`]) | one memory copy, viewed in place on arrival |
//! | [`RoutedSerde`] | anything that serde can write and read | encoded, and decoded on arrival |
//! | `Addressed<`[`Rows`]`>` | the same, encoded where they are made, with the hash of their key | one memory copy each way |
//!
//! What comes from another process is checked before it is used: [`Addressed::decode`] returns an error for malformed
//! bytes, and takes no more memory than a fixed multiple of their number, whatever lengths they claim. This folder
//! has no `unsafe` code.

mod encoded;
mod plain;
mod router;
mod rows;

use std::io::{self, Write};

use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::progress::Stamp;

pub use encoded::Encoded;
pub use plain::Plain;
pub use router::{CONTAINER_RECORDS, Full, Router, Spare};
pub use rows::{Head, Row, Rows};

/// Records on their way to one partition of one worker.
#[derive(Debug, Clone, Default)]
pub struct Addressed<B> {
    /// Index of the worker they go to.
    pub worker: u32,
    /// Which of that worker's partitions they belong to.
    pub partition: u32,
    body: B,
}

/// Records that are plain bytes, on their way.
pub type Routed<R> = Addressed<Plain<R>>;

/// Records of any other kind, on their way.
pub type RoutedSerde<R> = Addressed<Encoded<R>>;

/// The records of a container, and their form on the wire.
pub trait Body: Default + Send + 'static {
    /// What it has many of.
    type Record: Send + 'static;

    /// The records, wherever they lie.
    fn records(&self) -> &[Self::Record];

    /// Bytes of the records on the wire.
    fn wire_bytes(&self) -> usize;

    /// Writes so many bytes as [`wire_bytes`](Body::wire_bytes) says.
    fn write(&self, writer: &mut impl Write) -> io::Result<()>;

    /// Reads so many records from the bytes of a container behind its header, or says what is wrong with them.
    fn read(count: usize, bytes: Bytes) -> Result<Self, String>;

    /// Gives back the buffer for another use, empty, if the container owns one.
    fn into_buffer(self) -> Option<Vec<Self::Record>>;
}

/// On the wire: worker and partition (4 bytes each), number of records (8), then the records and zeros up to a
/// multiple of eight. All little-endian, as every machine Millrace runs on is.
const HEADER_BYTES: usize = 16;

/// How the message of the panic begins that malformed bytes from another process end in.
pub(crate) const MALFORMED: &str = "another process sent a malformed container";

impl<B: Body> Addressed<B> {
    /// Addresses a body to one partition of one worker.
    pub fn to(worker: u32, partition: u32, body: B) -> Self {
        Addressed { worker, partition, body }
    }

    /// The records, wherever they lie.
    pub fn records(&self) -> &[B::Record] {
        self.body.records()
    }

    /// Bytes of the records on the wire, without header and padding.
    pub fn wire_bytes(&self) -> usize {
        self.body.wire_bytes()
    }

    /// Gives back the buffer for another use, empty, if this container owns one.
    pub fn into_buffer(self) -> Option<Vec<B::Record>> {
        self.body.into_buffer()
    }

    /// What it was made from, in place.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// What it was made from.
    pub fn into_body(self) -> B {
        self.body
    }

    /// Reads a container from bytes another process sent, or says what is wrong with them.
    ///
    /// ```
    /// use millrace::exchange::{Routed, RoutedSerde};
    /// use timely::bytes::arc::BytesMut;
    /// use timely::dataflow::channels::ContainerBytes;
    ///
    /// let sent = RoutedSerde::new(3, 0, vec![("millrace".to_owned(), 2u64)])?;
    /// let mut bytes = Vec::new();
    /// sent.into_bytes(&mut bytes);
    ///
    /// let received = RoutedSerde::<(String, u64)>::decode(BytesMut::from(bytes.clone()).freeze())?;
    /// assert_eq!((received.worker, received.records()), (3, sent.records()));
    ///
    /// bytes.truncate(20);
    /// let reason = Routed::<u64>::decode(BytesMut::from(bytes).freeze()).unwrap_err();
    /// assert_eq!(reason, "1 records do not fit 4 bytes");
    /// # Ok::<(), String>(())
    /// ```
    pub fn decode(mut bytes: Bytes) -> Result<Self, String> {
        let header =
            bytes.get(..HEADER_BYTES).ok_or_else(|| format!("{} bytes are no header", bytes.len()))?;
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (worker, partition) = (word(0), word(4));
        let count = u64::from(word(8)) | u64::from(word(12)) << 32;
        drop(bytes.extract_to(HEADER_BYTES));
        let length = bytes.len();
        let count = usize::try_from(count).map_err(|_| misfit(count, length))?;
        Ok(Addressed { worker, partition, body: B::read(count, bytes)? })
    }
}

fn misfit(count: impl std::fmt::Display, length: usize) -> String {
    format!("{count} records do not fit {length} bytes")
}

fn padded(length: usize) -> Option<usize> {
    length.checked_next_multiple_of(8)
}

impl<B: Body> Accountable for Addressed<B> {
    fn record_count(&self) -> i64 {
        self.records().len() as i64
    }
}

impl<B: Body> ContainerBytes for Addressed<B> {
    fn from_bytes(bytes: Bytes) -> Self {
        // timely leaves no way to return an error here; a panic ends the job with this message on every process.
        Self::decode(bytes).unwrap_or_else(|reason| panic!("{MALFORMED}: {reason}"))
    }

    fn length_in_bytes(&self) -> usize {
        HEADER_BYTES + self.wire_bytes().next_multiple_of(8)
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        let length = self.wire_bytes();
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&self.worker.to_le_bytes());
        header[4..8].copy_from_slice(&self.partition.to_le_bytes());
        header[8..].copy_from_slice(&(self.records().len() as u64).to_le_bytes());
        let mut body = Exactly { writer: &mut *writer, left: length };
        let written = (body.writer.write_all(&header))
            .and_then(|()| self.body.write(&mut body))
            .and_then(|()| if body.left == 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) })
            .and_then(|()| writer.write_all(&[0; 8][..length.next_multiple_of(8) - length]));
        // timely hands out a memory slice of at least `length_in_bytes`, so this says that a record's own `Serialize`
        // did not write the same twice: a defect of that type, and nothing that may be sent.
        written.unwrap_or_else(|error| panic!("a record changed while it was written: {error}"));
    }
}

/// A writer that takes so many bytes and no more: the memory behind belongs to the next message.
struct Exactly<'a, W> {
    writer: &'a mut W,
    left: usize,
}

impl<W: Write> Write for Exactly<'_, W> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::WriteZero)?;
        self.writer.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Moves whole containers to the worker each one names.
#[derive(Debug, Default)]
pub struct ToNamedWorker;

impl<B: Body> Distributor<Addressed<B>> for ToNamedWorker {
    fn partition<T: Clone, P: Push<Message<T, Addressed<B>>>>(
        &mut self,
        container: &mut Addressed<B>,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let worker = container.worker as usize;
        Message::push_at(container, stamp.clone(), &mut pushers[worker]);
    }

    fn flush<T: Clone, P: Push<Message<T, Addressed<B>>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
}

/// The contract of a reducer's input: every container goes where its sender addressed it.
pub fn routed() -> DistributorPact<fn(usize) -> ToNamedWorker> {
    DistributorPact(|_peers| ToNamedWorker)
}

/// What the tests of both kinds of containers share.
#[cfg(test)]
mod testing {
    use super::*;
    use timely::bytes::arc::BytesMut;

    pub(super) fn freeze(bytes: Vec<u8>) -> Bytes {
        BytesMut::from(bytes).freeze()
    }

    pub(super) fn encode<B: Body>(container: &Addressed<B>) -> Vec<u8> {
        let mut bytes = Vec::new();
        container.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), container.length_in_bytes());
        assert_eq!(bytes.len() % 8, 0);
        bytes
    }

    /// Any bytes, with a count below `most` if asked for: random ones are too large for anything behind them to be looked at.
    pub(super) fn with_small_count(mut bytes: Vec<u8>, small: bool, most: u8) -> Vec<u8> {
        if small && bytes.len() >= 16 {
            bytes[8] %= most;
            bytes[9..16].fill(0);
        }
        bytes
    }

    /// The bytes as they are, each cut short, and each with one byte changed.
    pub(super) fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
        let changed = (0..bytes.len()).map(|at| {
            let mut changed = bytes.to_vec();
            changed[at] ^= 0xa5;
            changed
        });
        cut.chain(changed)
    }
}

//! The routed container that records travel in, between workers and between processes.
//!
//! The sender sorts records into one buffer per partition of each worker; a full buffer becomes a [`Routed`] and
//! moves as a whole: a pointer inside the process, one memory copy across. timely's own `Exchange` hashes and
//! pushes record by record instead, which costs more than the bytes do (docs/how-a-run-works.md has the figures).

use bytemuck::Pod;
use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::communication::Push;
use timely::dataflow::channels::pact::DistributorPact;
use timely::dataflow::channels::pushers::exchange::Distributor;
use timely::dataflow::channels::{ContainerBytes, Message};
use timely::progress::Stamp;

/// Records on their way to one partition of one worker.
#[derive(Debug, Clone)]
pub struct Routed<R> {
    /// Index of the worker they go to.
    pub worker: u32,
    /// Which of that worker's partitions they belong to.
    pub partition: u32,
    records: Records<R>,
}

#[derive(Clone)]
enum Records<R> {
    Owned(Vec<R>),
    /// Bytes as they came from another process, viewed in place.
    Received(Bytes),
}

impl<R> std::fmt::Debug for Records<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Records::Owned(records) => write!(f, "{} records", records.len()),
            Records::Received(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

/// On the wire: worker and partition (4 bytes each), number of records (8), then the records and zeros up to a
/// multiple of eight. All little-endian, as every machine Millrace runs on is.
const HEADER_BYTES: usize = 16;

/// How the message of the panic begins that malformed bytes from another process end in.
pub(crate) const MALFORMED: &str = "another process sent a malformed container";

impl<R: Pod> Routed<R> {
    /// Addresses `records` to one partition of one worker.
    pub fn new(worker: u32, partition: u32, records: Vec<R>) -> Self {
        Routed { worker, partition, records: Records::Owned(records) }
    }

    /// The records, wherever they lie.
    pub fn records(&self) -> &[R] {
        match &self.records {
            Records::Owned(records) => records,
            Records::Received(bytes) => bytemuck::cast_slice(&bytes[..]),
        }
    }

    /// Gives back the buffer for another use, if this container owns one.
    pub fn into_buffer(self) -> Option<Vec<R>> {
        match self.records {
            Records::Owned(mut records) => {
                records.clear();
                Some(records)
            }
            Records::Received(_) => None,
        }
    }

    /// The same container with records of its own: those that lie where they were received are copied to `buffer`.
    #[must_use]
    pub fn into_owned(self, buffer: impl FnOnce() -> Vec<R>) -> Self {
        let Records::Received(_) = self.records else { return self };
        let mut owned = buffer();
        owned.extend_from_slice(self.records());
        Routed { records: Records::Owned(owned), ..self }
    }

    /// Reads a container from bytes another process sent, or says what is wrong with them.
    ///
    /// Records of alignment one (every [`Pair`](crate::keys::Pair)) are viewed in place; others are copied where
    /// the bytes happen to lie unaligned.
    pub fn decode(mut bytes: Bytes) -> Result<Self, String> {
        let header =
            bytes.get(..HEADER_BYTES).ok_or_else(|| format!("{} bytes are no header", bytes.len()))?;
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (worker, partition) = (word(0), word(4));
        let count = u64::from(word(8)) | u64::from(word(12)) << 32;
        let length = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(size_of::<R>()))
            .filter(|length| padded(*length).is_some_and(|padded| padded == bytes.len() - HEADER_BYTES))
            .ok_or_else(|| format!("{count} records do not fit {} bytes", bytes.len()))?;
        drop(bytes.extract_to(HEADER_BYTES));
        let body = bytes.extract_to(length);
        let records = match bytemuck::try_cast_slice::<u8, R>(&body[..]) {
            Ok(_) => Records::Received(body),
            Err(_) => Records::Owned(bytemuck::pod_collect_to_vec(&body[..])),
        };
        Ok(Routed { worker, partition, records })
    }
}

fn padded(length: usize) -> Option<usize> {
    length.checked_next_multiple_of(8)
}

impl<R: Pod> Accountable for Routed<R> {
    fn record_count(&self) -> i64 {
        self.records().len() as i64
    }
}

impl<R> Default for Routed<R> {
    fn default() -> Self {
        Routed { worker: 0, partition: 0, records: Records::Owned(Vec::new()) }
    }
}

impl<R: Pod> ContainerBytes for Routed<R> {
    fn from_bytes(bytes: Bytes) -> Self {
        // timely leaves no way to return an error here; a panic ends the job with this message on every process.
        Self::decode(bytes).unwrap_or_else(|reason| panic!("{MALFORMED}: {reason}"))
    }

    fn length_in_bytes(&self) -> usize {
        HEADER_BYTES + size_of_val(self.records()).next_multiple_of(8)
    }

    fn into_bytes<W: std::io::Write>(&self, writer: &mut W) {
        let body: &[u8] = bytemuck::cast_slice(self.records());
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&self.worker.to_le_bytes());
        header[4..8].copy_from_slice(&self.partition.to_le_bytes());
        header[8..].copy_from_slice(&(self.records().len() as u64).to_le_bytes());
        let padding = body.len().next_multiple_of(8) - body.len();
        // timely hands out a memory slice of exactly `length_in_bytes`, which cannot fail to take these.
        let written = writer
            .write_all(&header)
            .and_then(|()| writer.write_all(body))
            .and_then(|()| writer.write_all(&[0; 8][..padding]));
        debug_assert!(written.is_ok());
    }
}

/// Moves whole containers to the worker each one names.
#[derive(Debug, Default)]
pub struct ToNamedWorker;

impl<R: Pod> Distributor<Routed<R>> for ToNamedWorker {
    fn partition<T: Clone, P: Push<Message<T, Routed<R>>>>(
        &mut self,
        container: &mut Routed<R>,
        stamp: &Stamp<T>,
        pushers: &mut [P],
    ) {
        let worker = container.worker as usize;
        Message::push_at(container, stamp.clone(), &mut pushers[worker]);
    }

    fn flush<T: Clone, P: Push<Message<T, Routed<R>>>>(&mut self, _: &Stamp<T>, _: &mut [P]) {}
}

/// The contract of a reducer's input: every container goes where its sender addressed it.
pub fn routed() -> DistributorPact<fn(usize) -> ToNamedWorker> {
    DistributorPact(|_peers| ToNamedWorker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Pair;
    use proptest::prelude::*;
    use timely::bytes::arc::BytesMut;

    type Record = Pair<[u8; 12], u64>;

    fn freeze(bytes: Vec<u8>) -> Bytes {
        let length = bytes.len();
        BytesMut::from(bytes.into_boxed_slice()).extract_to(length)
    }

    fn encode<R: Pod>(container: &Routed<R>) -> Vec<u8> {
        let mut bytes = Vec::new();
        container.into_bytes(&mut bytes);
        assert_eq!(bytes.len(), container.length_in_bytes());
        assert_eq!(bytes.len() % 8, 0);
        bytes
    }

    proptest! {
        /// Catches a record lost, torn or sent elsewhere on its way through bytes.
        #[test]
        fn decode_undoes_encode(values in proptest::collection::vec(any::<u64>(), 0..50), worker: u32, partition: u32) {
            let records: Vec<Record> = values.iter().map(|&value| Pair { key: [value as u8; 12], value }).collect();
            let sent = Routed::new(worker, partition, records.clone());
            let received = Routed::<Record>::decode(freeze(encode(&sent))).expect("own bytes");
            prop_assert_eq!(received.worker, worker);
            prop_assert_eq!(received.partition, partition);
            prop_assert_eq!(bytemuck::cast_slice::<_, u8>(received.records()), bytemuck::cast_slice::<_, u8>(&records));
            prop_assert_eq!(received.record_count(), records.len() as i64);
            let owned = received.into_owned(Vec::new);
            prop_assert_eq!((owned.worker, owned.partition), (worker, partition));
            prop_assert_eq!(bytemuck::cast_slice::<_, u8>(owned.records()), bytemuck::cast_slice::<_, u8>(&records));
            prop_assert!(owned.into_buffer().is_some());
        }

        /// Catches trust in a length or a count that came from the network.
        #[test]
        fn decode_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let length = bytes.len();
            if let Ok(container) = Routed::<Record>::decode(freeze(bytes)) {
                prop_assert!(HEADER_BYTES + size_of_val(container.records()) <= length);
            }
        }
    }

    #[test]
    fn unaligned_records_are_copied() {
        let sent = Routed::new(1, 2, vec![1u64, 2, 3]);
        let mut bytes = vec![0; 4];
        bytes.extend(encode(&sent));
        let mut shifted = freeze(bytes);
        drop(shifted.extract_to(4));
        let received = Routed::<u64>::decode(shifted).expect("own bytes");
        assert_eq!(received.records(), [1, 2, 3]);
    }

    #[test]
    fn wrong_counts_are_named() {
        let mut bytes = encode(&Routed::new(0, 0, vec![7u64]));
        bytes[8] = 9;
        let reason = Routed::<u64>::decode(freeze(bytes)).expect_err("count does not fit");
        assert_eq!(reason, "9 records do not fit 24 bytes");
    }
}

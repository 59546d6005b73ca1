//! Records that are plain bytes: their memory is their wire format, and what arrives is viewed in place.

use std::io::{self, Write};

use bytemuck::Pod;
use timely::bytes::arc::Bytes;

use super::{Body, Routed, misfit, padded};

/// Plain records, in a buffer of their own or as they came from another process.
#[derive(Clone)]
pub struct Plain<R>(Records<R>);

#[derive(Clone)]
enum Records<R> {
    Owned(Vec<R>),
    /// Bytes as they came from another process, viewed in place.
    Received(Bytes),
}

impl<R> std::fmt::Debug for Plain<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Records::Owned(records) => write!(f, "{} records", records.len()),
            Records::Received(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl<R> Default for Plain<R> {
    fn default() -> Self {
        Plain(Records::Owned(Vec::new()))
    }
}

impl<R: Pod + Send> Routed<R> {
    /// Addresses `records` to one partition of one worker.
    pub fn new(worker: u32, partition: u32, records: Vec<R>) -> Self {
        Routed::to(worker, partition, Plain(Records::Owned(records)))
    }

    /// The same container with records of its own: those that lie where they were received are copied to `buffer`.
    #[must_use]
    pub fn into_owned(self, buffer: impl FnOnce() -> Vec<R>) -> Self {
        let (worker, partition) = (self.worker, self.partition);
        match self.into_body() {
            Plain(Records::Received(bytes)) => {
                let mut owned = buffer();
                owned.extend_from_slice(bytemuck::cast_slice(&bytes[..]));
                Routed::new(worker, partition, owned)
            }
            owned => Routed::to(worker, partition, owned),
        }
    }
}

impl<R: Pod + Send> Body for Plain<R> {
    type Record = R;

    fn records(&self) -> &[R] {
        match &self.0 {
            Records::Owned(records) => records,
            Records::Received(bytes) => bytemuck::cast_slice(&bytes[..]),
        }
    }

    fn wire_bytes(&self) -> usize {
        size_of_val(self.records())
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        writer.write_all(bytemuck::cast_slice(self.records()))
    }

    /// Records of alignment one (every [`Pair`](crate::keys::Pair)) are viewed in place; others are copied where
    /// the bytes happen to lie unaligned.
    fn read(count: usize, mut bytes: Bytes) -> Result<Self, String> {
        const { assert!(size_of::<R>() > 0, "a record of no bytes cannot be viewed in any") };
        let length = count
            .checked_mul(size_of::<R>())
            .filter(|length| padded(*length).is_some_and(|padded| padded == bytes.len()))
            .ok_or_else(|| misfit(count, bytes.len()))?;
        let body = bytes.extract_to(length);
        Ok(Plain(match bytemuck::try_cast_slice::<u8, R>(&body[..]) {
            Ok(_) => Records::Received(body),
            Err(_) => Records::Owned(bytemuck::pod_collect_to_vec(&body[..])),
        }))
    }

    fn into_buffer(self) -> Option<Vec<R>> {
        match self.0 {
            Records::Owned(mut records) => {
                records.clear();
                Some(records)
            }
            Records::Received(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{damaged, encode, freeze};
    use super::*;
    use crate::keys::Pair;
    use proptest::prelude::*;
    use timely::Accountable;

    type Record = Pair<[u8; 12], u64>;

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
                prop_assert!(16 + size_of_val(container.records()) <= length);
            }
        }
    }

    #[test]
    fn decode_survives_damage() {
        let bytes = encode(&Routed::new(1, 2, vec![1u64, 2, 3]));
        for damaged in damaged(&bytes) {
            if let Ok(container) = Routed::<u64>::decode(freeze(damaged)) {
                assert_eq!(container.records().len(), 3);
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
        assert_eq!(reason, "9 records do not fit 8 bytes");
    }
}

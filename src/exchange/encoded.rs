//! Records that are no plain bytes (text, lists, enums): they cross processes through serde.
//!
//! The format is postcard's, one record after the other, without their number, which the header has. It is not
//! self-describing: both ends are the same program, which the handshake made sure of. So what serde can only read
//! where names are written, `#[serde(flatten)]` and untagged enums, does not travel.

use std::io::{self, Write};

use timely::ExchangeData;
use timely::bytes::arc::Bytes;

use super::router::CONTAINER_RECORDS;
use super::{Body, RoutedSerde, misfit, padded};

/// Records that serde can write and read. Inside a process they move as they are.
#[derive(Clone)]
pub struct Encoded<R> {
    records: Vec<R>,
    /// What they take on the wire, measured by their sender: timely asks for it before it has them written. What came
    /// from another process is measured when it is asked, since its bytes may have been longer than they need be.
    wire_bytes: Option<usize>,
}

impl<R> std::fmt::Debug for Encoded<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} records", self.records.len())
    }
}

impl<R> Default for Encoded<R> {
    fn default() -> Self {
        Encoded { records: Vec::new(), wire_bytes: Some(0) }
    }
}

impl<R> Encoded<R> {
    /// The records themselves.
    pub fn into_records(self) -> Vec<R> {
        self.records
    }
}

impl<R: ExchangeData> RoutedSerde<R> {
    /// Addresses `records` to one partition of one worker, or says which cannot be encoded.
    pub fn new(worker: u32, partition: u32, records: Vec<R>) -> Result<Self, String> {
        let wire_bytes = Some(measure(&records).map_err(|error| unencodable::<R>(&error))?);
        Ok(RoutedSerde::to(worker, partition, Encoded { records, wire_bytes }))
    }
}

fn measure<R: ExchangeData>(records: &[R]) -> postcard::Result<usize> {
    let sizes = records.iter().map(postcard::experimental::serialized_size);
    Ok(on_the_wire(sizes.sum::<Result<_, _>>()?, records.len()))
}

impl<R: ExchangeData> Body for Encoded<R> {
    type Record = R;

    fn records(&self) -> &[R] {
        &self.records
    }

    fn wire_bytes(&self) -> usize {
        // What cannot be measured cannot be written either, which says why.
        self.wire_bytes.unwrap_or_else(|| measure(&self.records).unwrap_or(0))
    }

    fn write(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut counted = Counted { writer, bytes: 0 };
        for record in &self.records {
            postcard::to_io(record, &mut counted)
                .map_err(|error| io::Error::other(unencodable::<R>(&error)))?;
        }
        for _ in counted.bytes..self.wire_bytes() {
            counted.writer.write_all(&[0])?;
        }
        Ok(())
    }

    fn read(count: usize, bytes: Bytes) -> Result<Self, String> {
        if count > bytes.len() {
            return Err(misfit(count, bytes.len()));
        }
        // Not `count`: it came from the network. Full containers fit, others grow as their records prove to be there.
        let mut records = Vec::with_capacity(count.min(CONTAINER_RECORDS));
        let mut left = &bytes[..];
        for index in 0..count {
            let (record, rest) = postcard::take_from_bytes(left)
                .map_err(|error| format!("record {index} of {count} cannot be decoded: {error}"))?;
            records.push(record);
            left = rest;
        }
        if padded(on_the_wire(bytes.len() - left.len(), count)) != Some(bytes.len()) {
            return Err(misfit(count, bytes.len()));
        }
        Ok(Encoded { records, wire_bytes: None })
    }

    fn into_buffer(mut self) -> Option<Vec<R>> {
        self.records.clear();
        Some(self.records)
    }
}

/// At least one byte for each record, also where its type needs none: so the number of bytes that came bounds the
/// number of records that are made of them.
fn on_the_wire(encoded: usize, count: usize) -> usize {
    encoded.max(count)
}

fn unencodable<R>(error: &postcard::Error) -> String {
    format!("a record of type {} cannot be encoded: {error}", std::any::type_name::<R>())
}

struct Counted<'a, W> {
    writer: &'a mut W,
    bytes: usize,
}

impl<W: Write> Write for Counted<'_, W> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write_all(bytes)?;
        self.bytes += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{damaged, encode, freeze, with_small_count};
    use super::*;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};
    use timely::Accountable;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum Kind {
        Nothing,
        Text(String),
        Numbers { list: Vec<u64>, last: Option<f64> },
    }

    type Record = (String, Kind);

    /// Not by a pattern: Miri would read it for minutes.
    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter)
    }

    fn record() -> impl Strategy<Value = Record> {
        let kind = prop_oneof![
            Just(Kind::Nothing),
            text().prop_map(Kind::Text),
            (proptest::collection::vec(any::<u64>(), 0..9), any::<Option<i32>>())
                .prop_map(|(list, last)| Kind::Numbers { list, last: last.map(f64::from) }),
        ];
        (text(), kind)
    }

    proptest! {
        /// Catches a record lost, changed or sent elsewhere on its way through bytes.
        #[test]
        fn decode_undoes_encode(records in proptest::collection::vec(record(), 0..30), worker: u32, partition: u32) {
            let sent = RoutedSerde::new(worker, partition, records.clone()).expect("plain data");
            let bytes = encode(&sent);
            prop_assert!(sent.wire_bytes() + 24 > bytes.len());
            let received = RoutedSerde::<Record>::decode(freeze(bytes)).expect("own bytes");
            prop_assert_eq!((received.worker, received.partition), (worker, partition));
            prop_assert_eq!(received.wire_bytes(), sent.wire_bytes());
            prop_assert_eq!(received.record_count(), records.len() as i64);
            prop_assert_eq!(received.into_body().into_records(), records);
        }

        /// Catches trust in a length or a count that came from the network.
        #[test]
        fn decode_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80), small in any::<bool>()) {
            let bytes = with_small_count(bytes, small, 4);
            let length = bytes.len();
            if let Ok(container) = RoutedSerde::<Record>::decode(freeze(bytes)) {
                prop_assert!(16 + container.records().len() <= length);
            }
        }
    }

    #[test]
    fn decode_survives_damage() {
        let records: Vec<Record> = vec![
            ("one".to_owned(), Kind::Text("two".to_owned())),
            ("three".to_owned(), Kind::Numbers { list: vec![4, 1 << 40], last: Some(0.5) }),
        ];
        let bytes = encode(&RoutedSerde::new(1, 2, records).expect("plain data"));
        let (mut read, mut refused) = (0, 0);
        for damaged in damaged(&bytes) {
            match RoutedSerde::<Record>::decode(freeze(damaged)) {
                Ok(container) => {
                    assert_eq!(container.records().len(), 2);
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
        // A changed letter is still text; a missing byte is nothing.
        assert!(read > 0 && refused >= bytes.len(), "{read} read, {refused} refused");
    }

    #[test]
    fn a_length_from_the_network_takes_no_memory() {
        // One text that claims 2^60 bytes.
        let mut bytes = encode(&RoutedSerde::new(0, 0, vec![String::new()]).expect("text"));
        bytes[16..24].fill(0xff);
        bytes.extend([0x0f, 0, 0, 0, 0, 0, 0, 0]);
        let reason = RoutedSerde::<String>::decode(freeze(bytes.clone())).expect_err("no such text");
        assert!(reason.starts_with("record 0 of 1 cannot be decoded"), "{reason}");
        // A list that does: serde reserves a mebibyte at most before the elements come.
        let reason = RoutedSerde::<Vec<u64>>::decode(freeze(bytes.clone())).expect_err("no such list");
        assert!(reason.starts_with("record 0 of 1 cannot be decoded"), "{reason}");
        // As many records as there can be.
        bytes[8..16].fill(0xff);
        let reason = RoutedSerde::<()>::decode(freeze(bytes)).expect_err("no such container");
        assert!(reason.ends_with("records do not fit 16 bytes"), "{reason}");
    }

    #[test]
    fn records_of_no_bytes_are_counted() {
        let sent = RoutedSerde::new(1, 0, vec![(); 11]).expect("nothing");
        assert_eq!(sent.wire_bytes(), 11);
        let received = RoutedSerde::<()>::decode(freeze(encode(&sent))).expect("own bytes");
        assert_eq!(received.records().len(), 11);
    }

    #[test]
    fn bytes_longer_than_they_need_be_are_written_anew() {
        // Catches a length taken from the network: of a number in two bytes where one is enough, found by fuzzing.
        let mut bytes = encode(&RoutedSerde::new(0, 0, vec![0u64; 6]).expect("numbers"));
        bytes[16..24].copy_from_slice(&[0x80, 0, 0x80, 0, 0, 0, 0, 0]);
        let received = RoutedSerde::<u64>::decode(freeze(bytes)).expect("six zeros");
        assert_eq!(received.wire_bytes(), 6);
        let again = RoutedSerde::<u64>::decode(freeze(encode(&received))).expect("own bytes");
        assert_eq!(again.records(), [0; 6]);
    }

    #[test]
    fn what_cannot_be_encoded_is_named() {
        #[derive(Deserialize)]
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no"))
            }
        }
        let reason = RoutedSerde::new(0, 0, vec![Refuses]).expect_err("it refuses");
        assert!(reason.contains("Refuses cannot be encoded"), "{reason}");
    }
}

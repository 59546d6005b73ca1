//! Any bytes as a container from another process: `cargo +nightly fuzz run exchange`.
//!
//! Decoding must end in containers or in errors, whatever the bytes claim; what was read must be written and read
//! back the same. The sanitizer watches the memory, libFuzzer the time and (2 GB at most) how much of it is taken.

#![no_main]

use std::collections::BTreeMap;
use std::fmt::Debug;

use millrace::exchange::{Addressed, Body, Encoded, Plain, Rows};
use millrace::keys::{Pair, Prefix};
use serde::{Deserialize, Serialize};
use timely::bytes::arc::BytesMut;
use timely::dataflow::channels::ContainerBytes;

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Kind {
    Nothing,
    Text(String),
    Numbers { list: Vec<u64>, last: Option<f64>, letter: char },
    Map(BTreeMap<String, (i128, bool)>),
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let [kind, count, rest @ ..] = bytes else { return };
    let container = match count {
        // As it is: random headers seldom let anything behind them be looked at.
        0 => rest.to_vec(),
        count => [&[7, 0, 0, 0, 5, 0, 0, 0, *count, 0, 0, 0, 0, 0, 0, 0], rest].concat(),
    };
    match kind % 7 {
        0 => judge::<Plain<Pair<[u8; 12], u64>>>(&container, 0),
        // At both alignments: records wider than a byte are viewed in place only where they lie right.
        1 => judge::<Plain<u64>>(&container, 0),
        2 => judge::<Plain<u64>>(&container, 4),
        3 => judge::<Encoded<(String, Kind)>>(&container, 0),
        4 => judge::<Encoded<(Prefix<16>, Vec<String>)>>(&container, 0),
        5 => judge::<Rows>(&container, 0),
        _ => judge::<Encoded<()>>(&container, 0),
    }
});

/// Reads `bytes`, which come after `before` others, and what was made of them once more.
fn judge<B: Body<Record: Clone + Debug>>(bytes: &[u8], before: usize) {
    let Ok(read) = decode::<B>(bytes, before) else { return };
    assert!(read.records().len() <= bytes.len(), "more records than bytes");
    let mut written = Vec::new();
    read.into_bytes(&mut written);
    assert_eq!(written.len(), read.length_in_bytes());
    let again = decode::<B>(&written, before).expect("what was written can be read");
    assert_eq!((again.worker, again.partition), (read.worker, read.partition));
    // As text: a NaN is not equal to itself.
    assert_eq!(format!("{:?}", again.records()), format!("{:?}", read.records()));
}

fn decode<B: Body>(bytes: &[u8], before: usize) -> Result<Addressed<B>, String> {
    let mut shifted = BytesMut::from([&vec![0; before], bytes].concat()).freeze();
    drop(shifted.extract_to(before));
    Addressed::decode(shifted)
}

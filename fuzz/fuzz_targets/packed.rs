//! Any bytes as the regions of a packed file with right checksums: `cargo +nightly fuzz run packed`.

#![no_main]

#[path = "../packed.rs"]
mod packed;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| packed::judge_bytes(bytes));

//! Any bytes as a CSV file: `cargo +nightly fuzz run csv`.

#![no_main]

#[path = "../judge.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| judge::judge_bytes(bytes));

//! Any text through every compression, and any bytes as a compressed file: `cargo +nightly fuzz run compression`.

#![no_main]

#[path = "../compression.rs"]
mod compression;
#[path = "../judge.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| compression::judge_bytes(bytes));

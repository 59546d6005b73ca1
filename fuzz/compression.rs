//! The decompressors: the body that the fuzz target and the ordinary tests share.

use std::io::Write;
use std::path::Path;

use millrace::formats::compression::{Compression, Decompressor, Encoder};

use super::judge;

/// Compresses each piece as a stream of its own.
pub(crate) fn compress(compression: Compression, pieces: &[&[u8]]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| stream(compression, piece)).collect()
}

fn stream(compression: Compression, text: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(compression, Vec::new()).expect("an encoder");
    encoder.write_all(text).expect("written");
    encoder.finish().expect("finished")
}

/// A file's name.
pub(crate) fn name(compression: Compression) -> String {
    format!("part-0.{}", compression.extensions()[0])
}

/// The text of a file, read in pieces of this many bytes.
pub(crate) fn text_of(path: &Path, compression: Compression, block_bytes: usize) -> std::io::Result<Vec<u8>> {
    let bytes = std::fs::metadata(path)?.len();
    let mut decompressor = Decompressor::open(path, bytes, compression)?;
    let mut block = vec![0; block_bytes];
    let mut text = Vec::new();
    while !decompressor.ended() {
        let length = decompressor.fill(&mut block)?;
        text.extend_from_slice(&block[..length]);
        // More than any input of this size should take a fuzzer's time.
        if text.len() > 1 << 20 {
            return Err(std::io::Error::other("too long for a test"));
        }
    }
    assert_eq!(decompressor.taken(), bytes, "a text that ends leaves nothing of its file");
    Ok(text)
}

/// Judges with what these bytes make: a text that is compressed and read back, or a file that may be anything.
pub(crate) fn judge_bytes(bytes: &[u8]) {
    let [kind, block, cut, rest @ ..] = bytes else { return };
    let compression = Compression::ALL[usize::from(kind >> 1) % Compression::ALL.len()];
    let block_bytes = usize::from(*block) + 1;
    if kind & 1 == 0 {
        let (first, second) = rest.split_at(usize::from(*cut).min(rest.len()));
        let file = compress(compression, &[first, second]);
        judge::judge_file((&name(compression), &file), rest, 1, block_bytes);
        return;
    }
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), rest).expect("written");
    // Large blocks and small ones must agree, on the text or on that there is none.
    let read = |block_bytes| text_of(file.path(), compression, block_bytes);
    match (read(block_bytes), read(64 << 10)) {
        (Ok(small), Ok(large)) => {
            assert_eq!(small, large, "{compression:?} reads differently in small blocks");
        }
        (Err(_), Err(_)) => {}
        (small, large) => panic!("{compression:?}: {:?} against {:?}", small.err(), large.err()),
    }
}

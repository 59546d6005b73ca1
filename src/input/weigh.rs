//! What the rows of text files come to, before they are read: by the first rows of some of them.

use std::io;

use memchr::memchr_iter;

use super::footers::{at_once, in_order};
use super::{InputFile, Weight};
use crate::Error;
use crate::formats::compression::{Compression, Decompressor};
use crate::formats::file::PlannedFile;

/// So many files are looked into, of those that are compressed and of those that are not.
const FILES: usize = 8;
/// And so much text of each is looked at; of a compressed one, more than a block of any compression.
const PLAIN_BYTES: usize = 64 << 10;
const COMPRESSED_BYTES: usize = 1 << 20;
/// A decoder has gone through up to so many times the bytes of the text that it gave.
const AHEAD: f64 = 2.0;

/// Rows and text for each byte of a file.
struct Sample {
    rows: f64,
    text: f64,
}

/// What the rows of these files come to, if all have as many and as much text for each byte as the densest of those that are looked
/// into.
pub(super) fn text_files(files: &[InputFile]) -> Result<Weight, Error> {
    let (compressed, plain): (Vec<_>, Vec<_>) =
        files.iter().filter(|file| file.bytes > 0).cloned().partition(|file| file.compression.is_some());
    Ok(weighed(&compressed)? + weighed(&plain)?)
}

fn weighed(files: &[InputFile]) -> Result<Weight, Error> {
    let some: Vec<_> = files.iter().step_by(files.len().div_ceil(FILES).max(1)).cloned().collect();
    let samples = in_order(&some, at_once(&some), look_into)?;
    let bytes = files.iter().map(|file| file.bytes).sum::<u64>() as f64;
    let most = |of: fn(&Sample) -> f64| (samples.iter().map(of).fold(0.0, f64::max) * bytes).ceil() as u64;
    Ok(Weight { rows: most(|sample| sample.rows), bytes: most(|sample| sample.text) })
}

fn look_into(file: &InputFile) -> Result<Sample, Error> {
    let mut text = vec![0; if file.compression.is_some() { COMPRESSED_BYTES } else { PLAIN_BYTES }];
    let read = read(file.open()?, file.compression, &mut text);
    let (length, of_bytes) = read.map_err(Error::file("read", &file.path))?;
    let rows = memchr_iter(b'\n', &text[..length]).count().max(1);
    Ok(Sample { rows: rows as f64 / of_bytes, text: length as f64 / of_bytes })
}

/// Fills `text` with the first text of a file, and says how much it is, of how many bytes of the file.
fn read(file: PlannedFile, compression: Option<Compression>, text: &mut [u8]) -> io::Result<(usize, f64)> {
    let start = file.bytes().min(text.len() as u64);
    let Some(compression) = compression else {
        let start = 0..start;
        file.will_read(&[start]);
        let length = file.read_at(text, 0)?;
        return Ok((length, length.max(1) as f64));
    };
    let mut decompressor = Decompressor::of_start(file, start, compression)?;
    let mut length = 0;
    while length < text.len() && !decompressor.ended() && decompressor.taken() < start {
        length += decompressor.fill(&mut text[length..])?;
    }
    let taken = decompressor.taken().max(1) as f64;
    Ok((length, if decompressor.ended() { taken } else { taken / AHEAD }))
}

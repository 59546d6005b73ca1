//! Which encoding a column of a block gets: the smallest, unless one that decodes faster is nearly as small.

use std::hash::Hash;

use super::footer::{Encoding, Region};
use super::ints::{self, HEADER_BYTES};
use crate::formats::checksum::checksum;
use crate::formats::columns::{Dictionary, Filled, Filling, texts};

/// What is compressed to see whether the rest is worth it.
const SAMPLE_BYTES: usize = 64 << 10;
/// snappy has to win this many times: below, reading more bytes is faster than decompressing fewer.
const SNAPPY_WINS: usize = 2;
/// Less than this is not compressed: nothing is won.
const SNAPPY_LEAST_BYTES: usize = 256;

/// Appends the region of a column to `file`, and says what the footer has to say of it.
pub(super) fn encode(filling: &Filling, rows: usize, file: &mut Vec<u8>) -> Region {
    let mut body = Vec::new();
    let nulls = filling.present.contains(&false);
    if nulls {
        let bits = |rows: &[bool]| rows.iter().rev().fold(0, |bits, present| bits << 1 | u8::from(*present));
        body.extend(filling.present.chunks(8).map(bits));
    }
    let encoding = match &filling.values {
        Filled::Ints(values) | Filled::Longs(values) | Filled::Dates(values) => {
            encode_ints(values, &mut body)
        }
        Filled::Floats(values) => encode_floats(values, u32::to_le_bytes, &mut body),
        Filled::Doubles(values) => encode_floats(values, u64::to_le_bytes, &mut body),
        Filled::Texts { bytes, ends } => encode_texts(bytes, ends, &mut body),
    };
    let snappy = match &filling.values {
        // Neither digits nor floats: what they win is less than it costs.
        Filled::Texts { .. } => compressed(&body),
        _ => None,
    };
    let stored = snappy.as_deref().unwrap_or(&body);
    file.extend_from_slice(stored);
    Region {
        bytes: stored.len() as u32,
        checksum: checksum([stored]),
        encoding,
        snappy: snappy.is_some(),
        nulls,
        limits: filling.limits(0..rows),
    }
}

/// Whether `bytes` are so many fewer than `plain` that what decodes slower pays.
fn pays(bytes: usize, plain: usize) -> bool {
    bytes < plain - plain / 8
}

fn encode_ints(values: &[i64], to: &mut Vec<u8>) -> Encoding {
    let own = || values.iter().copied();
    let deltas = || values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    let run_starts = || (0..values.len()).filter(|row| *row == 0 || values[*row] != values[row - 1]);
    let runs = run_starts().count();
    let plain = ints::packed_bytes(own());
    let dictionary = Dictionary::of(own());
    let sizes = [
        (Encoding::Delta, size_of::<i64>() + ints::packed_bytes(deltas())),
        (Encoding::Runs, 4 + 2 * HEADER_BYTES + runs * 4),
        (
            Encoding::Dictionary,
            dictionary.as_ref().map_or(usize::MAX, |(distinct, codes)| {
                4 + ints::packed_bytes(distinct.iter().copied()) + codes_bytes(codes)
            }),
        ),
    ];
    let (encoding, bytes) =
        sizes.into_iter().min_by_key(|(_, bytes)| *bytes).unwrap_or((Encoding::Plain, plain));
    match (encoding, dictionary) {
        (Encoding::Delta, _) if pays(bytes, plain) => {
            // The first difference is like the least, so that it needs no bit of its own.
            let least = deltas().min().unwrap_or_default();
            let before = values.first().copied().unwrap_or_default().wrapping_sub(least);
            to.extend_from_slice(&before.to_le_bytes());
            ints::pack([least].into_iter().chain(deltas()), to);
            Encoding::Delta
        }
        (Encoding::Runs, _) if pays(bytes, plain) => {
            to.extend_from_slice(&(runs as u32).to_le_bytes());
            let starts: Vec<usize> = run_starts().collect();
            let ends = starts.iter().skip(1).copied().chain([values.len()]);
            ints::pack(starts.iter().map(|start| values[*start]), to);
            ints::pack(starts.iter().zip(ends).map(|(start, end)| (end - start) as i64), to);
            Encoding::Runs
        }
        (Encoding::Dictionary, Some((distinct, codes))) if pays(bytes, plain) => {
            to.extend_from_slice(&(distinct.len() as u32).to_le_bytes());
            ints::pack(distinct.iter().copied(), to);
            pack_codes(&codes, to);
            Encoding::Dictionary
        }
        _ => {
            ints::pack(own(), to);
            Encoding::Plain
        }
    }
}

fn encode_floats<B: Copy + Eq + Hash, const WIDTH: usize>(
    values: &[B],
    bytes: fn(B) -> [u8; WIDTH],
    to: &mut Vec<u8>,
) -> Encoding {
    let dictionary = Dictionary::of(values.iter().copied());
    if let Some((distinct, codes)) = dictionary
        && pays(4 + size_of_val(&distinct[..]) + codes_bytes(&codes), size_of_val(values))
    {
        to.extend_from_slice(&(distinct.len() as u32).to_le_bytes());
        to.extend(distinct.iter().flat_map(|bits| bytes(*bits)));
        pack_codes(&codes, to);
        return Encoding::Dictionary;
    }
    to.extend(values.iter().flat_map(|bits| bytes(*bits)));
    Encoding::Plain
}

fn encode_texts(bytes: &[u8], ends: &[u32], to: &mut Vec<u8>) -> Encoding {
    let lengths = || texts(bytes, ends).map(|text| text.len() as i64);
    if let Some((distinct, codes)) = Dictionary::of(texts(bytes, ends)) {
        let lengths_of = || distinct.iter().map(|text| text.len() as i64);
        let dictionary = 4 + ints::packed_bytes(lengths_of()) + distinct.concat().len() + codes_bytes(&codes);
        if pays(dictionary, ints::packed_bytes(lengths()) + bytes.len()) {
            to.extend_from_slice(&(distinct.len() as u32).to_le_bytes());
            ints::pack(lengths_of(), to);
            pack_codes(&codes, to);
            distinct.iter().for_each(|text| to.extend_from_slice(text));
            return Encoding::Dictionary;
        }
    }
    ints::pack(lengths(), to);
    to.extend_from_slice(bytes);
    Encoding::Plain
}

fn codes_bytes(codes: &[u32]) -> usize {
    ints::packed_bytes(codes.iter().map(|code| i64::from(*code)))
}

fn pack_codes(codes: &[u32], to: &mut Vec<u8>) {
    ints::pack(codes.iter().map(|code| i64::from(*code)), to);
}

/// The body compressed, where that wins enough.
fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    let wins = |bytes: &[u8]| {
        let compressed = snap::raw::Encoder::new().compress_vec(bytes).ok()?;
        (compressed.len() * SNAPPY_WINS <= bytes.len()).then_some(compressed)
    };
    if body.len() < SNAPPY_LEAST_BYTES {
        return None;
    }
    // From the middle: the start has lengths and codes.
    let sample = &body[body.len() / 2..][..SAMPLE_BYTES.min(body.len() - body.len() / 2)];
    wins(sample)?;
    wins(body)
}

//! The encodings of values and levels, each decoded for a whole page; `None` where the bytes are none such.

use std::ops::Range;
use std::sync::Arc;

use super::varint;
use crate::formats::columns::Texts;

/// The numbers of encodings, as page headers have them.
pub(super) const PLAIN: i64 = 0;
/// What dictionaries and indices were called in the first version.
pub(super) const PLAIN_DICTIONARY: i64 = 2;
pub(super) const RLE: i64 = 3;
/// Of levels, long ago.
pub(super) const BIT_PACKED: i64 = 4;
pub(super) const DELTA_BINARY_PACKED: i64 = 5;
pub(super) const DELTA_LENGTH_BYTE_ARRAY: i64 = 6;
pub(super) const DELTA_BYTE_ARRAY: i64 = 7;
pub(super) const RLE_DICTIONARY: i64 = 8;
pub(super) const BYTE_STREAM_SPLIT: i64 = 9;

/// What Parquet calls an encoding.
pub(super) fn name(encoding: i64) -> String {
    const NAMES: [(i64, &str); 9] = [
        (PLAIN, "PLAIN"),
        (PLAIN_DICTIONARY, "PLAIN_DICTIONARY"),
        (RLE, "RLE"),
        (BIT_PACKED, "BIT_PACKED"),
        (DELTA_BINARY_PACKED, "DELTA_BINARY_PACKED"),
        (DELTA_LENGTH_BYTE_ARRAY, "DELTA_LENGTH_BYTE_ARRAY"),
        (DELTA_BYTE_ARRAY, "DELTA_BYTE_ARRAY"),
        (RLE_DICTIONARY, "RLE_DICTIONARY"),
        (BYTE_STREAM_SPLIT, "BYTE_STREAM_SPLIT"),
    ];
    let known = NAMES.into_iter().find(|(number, _)| *number == encoding);
    known.map_or_else(|| format!("number {encoding}"), |(_, name)| name.to_owned())
}

/// Where a reader of integers is that come in runs: repeated, or packed eight at a time (`RLE`).
#[derive(Debug)]
pub(super) struct Hybrid {
    width: u32,
    /// Where the next run starts.
    at: usize,
    run: Run,
    /// Integers that are left of the last one.
    left: usize,
}

#[derive(Debug)]
enum Run {
    Repeated(u32),
    /// Bytes from here on, of which so many integers were read.
    Packed(usize, usize),
}

impl Hybrid {
    /// Integers of `width` bits, the first run of which is at `at`; `None` where they cannot be so wide.
    pub(super) fn new(width: u32, at: usize) -> Option<Self> {
        (width <= 32).then_some(Hybrid { width, at, run: Run::Repeated(0), left: 0 })
    }

    /// Appends the next `count` integers.
    pub(super) fn take(&mut self, bytes: &[u8], mut count: usize, into: &mut Vec<u32>) -> Option<()> {
        while count > 0 {
            let some = self.some(bytes, count)?;
            match &mut self.run {
                Run::Repeated(value) => into.resize(into.len() + some, *value),
                Run::Packed(at, read) => {
                    let packed = unpacked(&bytes[*at..], self.width, *read..*read + some);
                    into.extend(packed.map(|value| value as u32));
                    *read += some;
                }
            }
            self.left -= some;
            count -= some;
        }
        Some(())
    }

    /// Leaves out the next `count` integers.
    pub(super) fn skip(&mut self, bytes: &[u8], mut count: usize) -> Option<()> {
        while count > 0 {
            let some = self.some(bytes, count)?;
            if let Run::Packed(_, read) = &mut self.run {
                *read += some;
            }
            self.left -= some;
            count -= some;
        }
        Some(())
    }

    /// Whether the next `count` integers are known to be this one.
    pub(super) fn repeats(&mut self, bytes: &[u8], count: usize, value: u32) -> bool {
        self.some(bytes, count) == Some(count) && matches!(self.run, Run::Repeated(found) if found == value)
    }

    /// How many of the next `count` integers the run has, the next one if it is at its end.
    fn some(&mut self, bytes: &[u8], count: usize) -> Option<usize> {
        if self.left == 0 && count > 0 {
            let mut rest = bytes.get(self.at..)?;
            let head = take_varint(&mut rest)?;
            let run = usize::try_from(head >> 1).ok()?;
            let width = self.width as usize;
            if head & 1 == 0 {
                let value = take(&mut rest, width.div_ceil(8))?;
                let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
                (self.run, self.left) = (Run::Repeated(value), run);
            } else {
                let at = bytes.len() - rest.len();
                // A writer may leave out what pads the last group.
                let packed = take(&mut rest, run.checked_mul(width)?.min(bytes.len() - at))?;
                let there = (packed.len() * 8).checked_div(width).unwrap_or(usize::MAX);
                (self.run, self.left) = (Run::Packed(at, 0), run.checked_mul(8)?.min(there));
            }
            self.at = bytes.len() - rest.len();
            if self.left == 0 {
                return None;
            }
        }
        Some(self.left.min(count))
    }
}

/// Some of the integers of `width` bits, least bits first; there are bytes enough.
fn unpacked(packed: &[u8], width: u32, places: Range<usize>) -> impl Iterator<Item = u64> + '_ {
    let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
    places.map(move |place| {
        let bit = place * width as usize;
        let shift = bit % 8;
        let rest = packed.get(bit / 8..).unwrap_or_default();
        let mut value = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        } >> shift;
        if shift + width as usize > 64 {
            value |= u64::from(rest[8]) << (64 - shift);
        }
        value & mask
    })
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[inline]
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let (value, length) = varint::read(bytes).ok()?;
    *bytes = &bytes[length..];
    Some(value)
}

fn take_zigzag(bytes: &mut &[u8]) -> Option<i64> {
    take_varint(bytes).map(varint::unzigzag)
}

/// `count` integers as packed differences (`DELTA_BINARY_PACKED`); `bytes` is left behind them.
pub(super) fn deltas(bytes: &mut &[u8], count: usize) -> Option<Vec<i64>> {
    let block = usize::try_from(take_varint(bytes)?).ok()?;
    let minis = usize::try_from(take_varint(bytes)?).ok()?;
    let total = usize::try_from(take_varint(bytes)?).ok()?;
    let mut value = take_zigzag(bytes)?;
    let mini = block.checked_div(minis)?;
    if total != count || mini == 0 || mini % 32 != 0 || block > 1 << 20 {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    if count > 0 {
        values.push(value);
    }
    while values.len() < count {
        let least = take_zigzag(bytes)?;
        for width in take(bytes, minis)? {
            // What follows the last value is not there.
            if values.len() == count {
                break;
            }
            if *width > 64 {
                return None;
            }
            let packed = take(bytes, mini / 8 * usize::from(*width))?;
            let deltas = unpacked(packed, (*width).into(), 0..mini.min(count - values.len()));
            values.extend(deltas.map(|delta| {
                value = value.wrapping_add(least).wrapping_add(delta as i64);
                value
            }));
        }
    }
    Some(values)
}

/// Appends the ranges of the `count` texts in `bytes` that come next, from `at` on, each behind its length (`PLAIN`).
pub(super) fn plain_texts(
    bytes: &[u8],
    at: &mut usize,
    count: usize,
    spans: &mut Vec<(u32, u32)>,
) -> Option<()> {
    spans.reserve(count.min(bytes.len() / 4));
    for _ in 0..count {
        let (start, end) = plain_text(bytes, *at)?;
        spans.push((start as u32, end as u32));
        *at = end;
    }
    Some(())
}

/// Leaves out the `count` texts that come next.
pub(super) fn skip_plain_texts(bytes: &[u8], at: &mut usize, count: usize) -> Option<()> {
    for _ in 0..count {
        (_, *at) = plain_text(bytes, *at)?;
    }
    Some(())
}

#[inline]
fn plain_text(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at.checked_add(4)?;
    let length = u32::from_le_bytes(*bytes.get(at..start)?.first_chunk()?);
    let end = start.checked_add(length as usize)?;
    (end <= bytes.len()).then_some((start, end))
}

/// Ranges of `count` texts in `bytes` whose lengths come first (`DELTA_LENGTH_BYTE_ARRAY`).
pub(super) fn delta_length_texts(bytes: &[u8], from: usize, count: usize) -> Option<Vec<(u32, u32)>> {
    let mut rest = bytes.get(from..)?;
    let lengths = deltas(&mut rest, count)?;
    let mut at = bytes.len() - rest.len();
    let mut spans = Vec::with_capacity(count);
    for length in lengths {
        let end = at.checked_add(usize::try_from(length).ok()?)?;
        if end > bytes.len() {
            return None;
        }
        spans.push((at as u32, end as u32));
        at = end;
    }
    Some(spans)
}

/// Texts that share their beginnings with those before them (`DELTA_BYTE_ARRAY`), at most `most` bytes of them.
pub(super) fn delta_texts(bytes: &[u8], from: usize, count: usize, most: usize) -> Option<Texts> {
    let mut rest = bytes.get(from..)?;
    let shared = deltas(&mut rest, count)?;
    let suffixes = delta_length_texts(bytes, bytes.len() - rest.len(), count)?;
    let mut texts: Vec<u8> = Vec::new();
    let mut spans = Vec::with_capacity(count);
    let mut last = 0;
    for (shared, (start, end)) in shared.into_iter().zip(suffixes) {
        let shared = usize::try_from(shared).ok()?;
        let at = texts.len();
        if shared > at - last || at + shared + (end - start) as usize > most {
            return None;
        }
        texts.extend_from_within(last..last + shared);
        texts.extend_from_slice(&bytes[start as usize..end as usize]);
        spans.push((at as u32, texts.len() as u32));
        last = at;
    }
    Some(Texts { bytes: Arc::new(texts), spans })
}

/// Puts the bytes of each value of `width` together again that lie apart (`BYTE_STREAM_SPLIT`).
pub(super) fn byte_streams(bytes: &[u8], width: usize, count: usize) -> Option<Vec<u8>> {
    if bytes.len() != width.checked_mul(count)? {
        return None;
    }
    let mut values = vec![0; bytes.len()];
    for (index, value) in values.chunks_exact_mut(width.max(1)).enumerate() {
        for (place, byte) in value.iter_mut().enumerate() {
            *byte = bytes[place * count + index];
        }
    }
    Some(values)
}

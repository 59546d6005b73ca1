//! The encodings of values and levels, each decoded for a whole page; `None` where the bytes are none such.

use std::sync::Arc;

use crate::formats::columns::Texts;

/// The numbers of encodings, as page headers have them.
pub(super) const PLAIN: i64 = 0;
/// What dictionaries and indices were called in the first version.
pub(super) const PLAIN_DICTIONARY: i64 = 2;
pub(super) const RLE: i64 = 3;
pub(super) const DELTA_BINARY_PACKED: i64 = 5;
pub(super) const DELTA_LENGTH_BYTE_ARRAY: i64 = 6;
pub(super) const DELTA_BYTE_ARRAY: i64 = 7;
pub(super) const RLE_DICTIONARY: i64 = 8;
pub(super) const BYTE_STREAM_SPLIT: i64 = 9;

/// Appends `count` integers of `width` bits, in runs: repeated, or packed eight at a time.
pub(super) fn runs(mut bytes: &[u8], width: u32, count: usize, into: &mut Vec<u32>) -> Option<()> {
    if width > 32 {
        return None;
    }
    let end = into.len() + count;
    while into.len() < end {
        let head = varint(&mut bytes)?;
        let left = end - into.len();
        let run = usize::try_from(head >> 1).ok()?;
        if head & 1 == 0 {
            let value = take(&mut bytes, width.div_ceil(8) as usize)?;
            let value = value.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
            if run == 0 {
                return None;
            }
            into.resize(into.len() + run.min(left), value);
        } else {
            // A writer may leave out what pads the last group.
            let length = run.checked_mul(width as usize)?.min(bytes.len());
            let packed = take(&mut bytes, length)?;
            let values = run.checked_mul(8)?.min(left);
            if values == 0 || (values * width as usize).div_ceil(8) > packed.len() {
                return None;
            }
            unpack(packed, width, values, |value| into.push(value as u32));
        }
    }
    Some(())
}

/// Integers of `width` bits, least bits first; there are bytes enough.
fn unpack(packed: &[u8], width: u32, values: usize, mut push: impl FnMut(u64)) {
    if width == 0 {
        (0..values).for_each(|_| push(0));
        return;
    }
    let mask = u64::MAX >> (64 - width);
    let mut bit = 0_usize;
    for _ in 0..values {
        let rest = &packed[bit / 8..];
        let shift = bit % 8;
        let mut value = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => rest.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        } >> shift;
        if shift + width as usize > 64 {
            value |= u64::from(rest[8]) << (64 - shift);
        }
        push(value & mask);
        bit += width as usize;
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn zigzag(bytes: &mut &[u8]) -> Option<i64> {
    let value = varint(bytes)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// `count` integers as packed differences (`DELTA_BINARY_PACKED`); `bytes` is left behind them.
pub(super) fn deltas(bytes: &mut &[u8], count: usize) -> Option<Vec<i64>> {
    let block = usize::try_from(varint(bytes)?).ok()?;
    let minis = usize::try_from(varint(bytes)?).ok()?;
    let total = usize::try_from(varint(bytes)?).ok()?;
    let mut value = zigzag(bytes)?;
    let mini = block.checked_div(minis)?;
    if total != count || mini == 0 || mini % 32 != 0 || block > 1 << 20 {
        return None;
    }
    let mut values = Vec::with_capacity(count);
    if count > 0 {
        values.push(value);
    }
    while values.len() < count {
        let least = zigzag(bytes)?;
        for width in take(bytes, minis)? {
            // What follows the last value is not there.
            if values.len() == count {
                break;
            }
            if *width > 64 {
                return None;
            }
            let packed = take(bytes, mini / 8 * usize::from(*width))?;
            unpack(packed, (*width).into(), mini.min(count - values.len()), |delta| {
                value = value.wrapping_add(least).wrapping_add(delta as i64);
                values.push(value);
            });
        }
    }
    Some(values)
}

/// Ranges of `count` texts in `bytes`, each behind its length (`PLAIN`).
pub(super) fn plain_texts(bytes: &[u8], from: usize, count: usize) -> Option<Vec<(u32, u32)>> {
    let mut at = from;
    let mut spans = Vec::with_capacity(count.min(bytes.len() / 4));
    for _ in 0..count {
        let start = at.checked_add(4)?;
        let length = u32::from_le_bytes(*bytes.get(at..start)?.first_chunk()?);
        at = start.checked_add(length as usize)?;
        if at > bytes.len() {
            return None;
        }
        spans.push((start as u32, at as u32));
    }
    Some(spans)
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

//! Integers at the width that they need: how far each is above a base, in as many bits as the farthest takes.

use std::ops::Range;

use super::body::Body;

/// Bytes before the bits: the base and the width.
pub(super) const HEADER_BYTES: usize = 9;

/// Appends `values` packed.
pub(super) fn pack(values: impl Iterator<Item = i64> + Clone, to: &mut Vec<u8>) {
    let (base, width) = base_and_width(values.clone());
    to.extend_from_slice(&base.to_le_bytes());
    to.push(width as u8);
    let (mut bits, mut filled) = (0_u128, 0);
    for value in values {
        bits |= u128::from(value.wrapping_sub(base) as u64) << filled;
        filled += width;
        if filled >= 64 {
            to.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= 64;
            filled -= 64;
        }
    }
    to.extend_from_slice(&(bits as u64).to_le_bytes()[..filled.div_ceil(8) as usize]);
}

/// How many bytes [`pack`] makes of so many values.
pub(super) fn packed_bytes(values: impl Iterator<Item = i64>) -> usize {
    let mut count = 0;
    let (_, width) = base_and_width(values.inspect(|_| count += 1));
    HEADER_BYTES + bits_bytes(count, width)
}

fn base_and_width(values: impl Iterator<Item = i64>) -> (i64, u32) {
    let (least, greatest) =
        values.fold((i64::MAX, i64::MIN), |(least, greatest), value| (least.min(value), greatest.max(value)));
    if least > greatest {
        return (0, 0);
    }
    (least, u64::BITS - (greatest.wrapping_sub(least) as u64).leading_zeros())
}

fn bits_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Packed integers of a body.
#[derive(Debug, Clone)]
pub(super) struct Ints {
    base: i64,
    width: usize,
    /// Where the bits start in the body.
    at: usize,
    count: usize,
}

impl Ints {
    /// Finds `count` integers at the place where the body is being read, and moves that behind them.
    pub(super) fn open(body: &mut Body<'_>, count: usize) -> Result<Self, &'static str> {
        let base = i64::from_le_bytes(body.array()?);
        let [width] = body.array()?;
        if u32::from(width) > u64::BITS {
            return Err("integers of more than 64 bits");
        }
        let at = body.at();
        body.take(bits_bytes(count, width.into()))?;
        Ok(Ints { base, width: width.into(), at, count })
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Those of some places, or as many of them as there are.
    #[inline]
    pub(super) fn of<'a>(&self, body: &'a [u8], places: Range<usize>) -> impl Iterator<Item = i64> + use<'a> {
        let Ints { base, width, at, count } = *self;
        let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
        (places.start..places.end.min(count)).map(move |index| {
            let bit = index * width;
            let (byte, shift) = (at + bit / 8, bit % 8);
            let mut bits = word(body, byte) >> shift;
            if shift + width > 64 {
                bits |= u64::from(body[byte + 8]) << (64 - shift);
            }
            base.wrapping_add((bits & mask) as i64)
        })
    }
}

/// The eight bytes from `at` on, zeros where there are fewer.
#[inline]
fn word(body: &[u8], at: usize) -> u64 {
    match body.get(at..at + 8) {
        Some(bytes) => u64::from_le_bytes(bytes.try_into().unwrap_or_default()),
        None => last_word(body, at),
    }
}

#[cold]
fn last_word(body: &[u8], at: usize) -> u64 {
    let bytes = body.get(at..).unwrap_or_default();
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut packed = vec![0xaa];
        pack(values.iter().copied(), &mut packed);
        assert_eq!(packed.len() - 1, packed_bytes(values.iter().copied()));
        for padding in [0, 20] {
            let bytes = [&packed[..], &vec![0xff; padding]].concat();
            let mut body = Body::new(&bytes);
            body.take(1).unwrap();
            let ints = Ints::open(&mut body, values.len()).unwrap();
            assert_eq!(body.at(), packed.len());
            let mut read = Vec::new();
            while read.len() < values.len() {
                read.extend(ints.of(&bytes, read.len()..read.len() + 3));
            }
            assert_eq!(read, values);
        }
        packed.len() - 1 - HEADER_BYTES
    }

    #[test]
    fn every_width_comes_back() {
        assert_eq!(round_trip(&[]), 0);
        assert_eq!(round_trip(&[-7; 1000]), 0);
        assert_eq!(round_trip(&[i64::MIN, i64::MAX, 0, -1, 1]), 40);
        for width in 1..=64_u32 {
            let greatest = (u64::MAX >> (64 - width)) as i64;
            let values = (0..53).map(|index| [0, greatest, greatest / 3][index % 3]);
            let lowest: Vec<i64> = values.clone().map(|value| value.wrapping_add(i64::MIN)).collect();
            assert_eq!(round_trip(&lowest), (53 * width as usize).div_ceil(8));
            round_trip(&values.collect::<Vec<_>>());
        }
    }
}

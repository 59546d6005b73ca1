//! Integers in groups of seven bits, least first, as thrift and the encodings have them; signed ones zigzag.

use super::thrift::Fault;

/// Reads the integer at the start of some bytes, and says how many of them it takes.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Result<(u64, usize), Fault> {
    let mut value = 0;
    for (index, shift) in (0..64).step_by(7).enumerate() {
        let byte = *bytes.get(index).ok_or(Fault::Cut)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok((value, index + 1));
        }
    }
    Err(Fault::Broken)
}

/// Appends an integer.
pub(super) fn write(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// A signed integer as one that is small where that is near to zero.
pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// The signed integer of such a one.
#[inline]
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_and_cut_ones_are_told() {
        for value in [0, -1, 1, 63, -64, 64, 8_191, -8_193, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            write(zigzag(value), &mut bytes);
            let length = bytes.len();
            assert_eq!(read(&[&bytes[..], &[0xff]].concat()), Ok((zigzag(value), length)));
            assert_eq!(unzigzag(zigzag(value)), value);
            (0..length).for_each(|end| assert_eq!(read(&bytes[..end]), Err(Fault::Cut)));
        }
        assert_eq!(read(&[0x80; 11]), Err(Fault::Broken));
    }
}

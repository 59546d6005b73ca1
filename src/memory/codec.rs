//! Records to bytes and back, by abomonation.
//!
//! abomonation trusts what it reads (RUSTSEC-2021-0120). It is therefore given nothing but blocks that this process
//! wrote to a file of its own and whose checksum it has just verified, and nothing but plain records, one at a time:
//! so no pointer and no padding is ever written or read.

use abomonation::{decode, encode};

use super::Spillable;

/// Bytes aligned for any record.
#[derive(Debug, Default)]
pub(super) struct Aligned(Vec<u128>);

impl Aligned {
    /// The first `length` bytes, whatever they were.
    pub(super) fn bytes(&mut self, length: usize) -> &mut [u8] {
        let words = length.div_ceil(size_of::<u128>());
        if self.0.len() < words {
            self.0.resize(words, 0);
        }
        &mut bytemuck::cast_slice_mut(&mut self.0)[..length]
    }
}

/// Appends the records' bytes.
pub(super) fn write<R: Spillable>(records: &[R], bytes: &mut Vec<u8>) -> std::io::Result<()> {
    bytes.reserve(size_of_val(records));
    for record in records {
        // SAFETY: `R` is `Pod`: it has no padding, so all its bytes are initialised, and no pointers, so that they
        // are all there is to write.
        #[expect(unsafe_code, reason = "abomonation's interface; see the top of this file")]
        unsafe {
            encode(record, bytes)?;
        }
    }
    Ok(())
}

/// Appends the records that `bytes` are; false if they are not whole records, or not aligned for them.
pub(super) fn read<R: Spillable>(bytes: &mut [u8], records: &mut Vec<R>) -> bool {
    let size = size_of::<R>();
    if size == 0 || !bytes.len().is_multiple_of(size) || !bytes.as_ptr().cast::<R>().is_aligned() {
        return false;
    }
    records.reserve(bytes.len() / size);
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: `R` is `Pod`, so any bytes are a valid record and it follows no pointer; the start is aligned, and
        // stays so because a type's size is a multiple of its alignment; `decode` checks the length, which is a
        // whole number of records; a record of no size was refused above.
        #[expect(unsafe_code, reason = "abomonation's interface; see the top of this file")]
        let decoded = unsafe { decode::<R>(rest) };
        let Some((record, more)) = decoded else { return false };
        records.push(*record);
        rest = more;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Pair;
    use proptest::prelude::*;

    type Record = Pair<[u8; 5], u64>;

    proptest! {
        /// Catches a record torn, shifted or lost, whatever its size and alignment.
        #[test]
        fn records_come_back(values in proptest::collection::vec(any::<u64>(), 0..40)) {
            let packed: Vec<_> = values.iter().map(|&value| Record { key: [value as u8; 5], value }).collect();
            let mut bytes = Vec::new();
            write(&packed, &mut bytes).expect("to memory");
            prop_assert_eq!(&bytes[..], bytemuck::cast_slice::<_, u8>(&packed));
            let (mut buffer, mut back) = (Aligned::default(), Vec::<Record>::new());
            buffer.bytes(bytes.len()).copy_from_slice(&bytes);
            prop_assert!(read(buffer.bytes(bytes.len()), &mut back));
            prop_assert_eq!(bytemuck::cast_slice::<_, u8>(&back), &bytes[..]);

            bytes.clear();
            write(&values, &mut bytes).expect("to memory");
            buffer.bytes(bytes.len()).copy_from_slice(&bytes);
            let mut back = Vec::<u64>::new();
            prop_assert!(read(buffer.bytes(bytes.len()), &mut back));
            prop_assert_eq!(back, values);
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let mut buffer = Aligned::default();
        assert!(!read(buffer.bytes(13 * 2 + 1), &mut Vec::<Record>::new()));
        assert!(!read(&mut buffer.bytes(12)[4..], &mut Vec::<u64>::new()), "unaligned");
        assert!(!read(buffer.bytes(0), &mut Vec::<()>::new()));
    }
}

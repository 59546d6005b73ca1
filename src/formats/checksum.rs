//! The checksum of column files.

/// CRC-32 as zlib and PNG have it, of all pieces together.
pub(in crate::formats) fn checksum<const N: usize>(pieces: [&[u8]; N]) -> u32 {
    let mut crc = flate2::Crc::new();
    pieces.iter().for_each(|piece| crc.update(piece));
    crc.sum()
}

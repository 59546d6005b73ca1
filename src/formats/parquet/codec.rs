//! The codecs of Parquet's pages.

use std::io::{self, Read};

/// How pages of a column chunk are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Uncompressed,
    Snappy,
    Gzip,
    Brotli,
    /// As Hadoop frames it, or as an lz4 frame, or neither: all three are found under this number.
    Lz4,
    Zstd,
    Lz4Raw,
}

impl Codec {
    /// By its number in a footer.
    pub(super) fn of(number: i64) -> Option<Self> {
        Some(match number {
            0 => Codec::Uncompressed,
            1 => Codec::Snappy,
            2 => Codec::Gzip,
            4 => Codec::Brotli,
            5 => Codec::Lz4,
            6 => Codec::Zstd,
            7 => Codec::Lz4Raw,
            _ => return None,
        })
    }

    /// Decompresses `from` into exactly `into`.
    pub(super) fn decompress(self, from: &[u8], into: &mut [u8]) -> io::Result<()> {
        let length = match self {
            // What has the right length is taken as it is.
            Codec::Uncompressed => return Err(other_length()),
            Codec::Snappy => match snap::raw::decompress_len(from)? {
                length if length == into.len() => snap::raw::Decoder::new().decompress(from, into)?,
                length => length,
            },
            Codec::Gzip => fill(flate2::read::MultiGzDecoder::new(from), into)?,
            Codec::Brotli => fill(brotli_decompressor::Decompressor::new(from, 4096), into)?,
            Codec::Zstd => zstd::bulk::decompress_to_buffer(from, into)?,
            Codec::Lz4Raw => lz4_flex::block::decompress_into(from, into).map_err(io::Error::other)?,
            Codec::Lz4 => {
                if hadoop_lz4(from, into).is_some() {
                    into.len()
                } else if from.starts_with(&[0x04, 0x22, 0x4d, 0x18]) {
                    fill(lz4_flex::frame::FrameDecoder::new(from), into)?
                } else {
                    lz4_flex::block::decompress_into(from, into).map_err(io::Error::other)?
                }
            }
        };
        if length == into.len() { Ok(()) } else { Err(other_length()) }
    }
}

#[cold]
fn other_length() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it decompresses to another length than its header says")
}

/// Reads `into` full, and that there is no more.
fn fill(mut from: impl Read, into: &mut [u8]) -> io::Result<usize> {
    from.read_exact(into)?;
    if from.read(&mut [0])? == 0 { Ok(into.len()) } else { Err(other_length()) }
}

/// Blocks, each behind the length of its text: chunks, each behind its own, until they have that text. `None` where it is not that.
fn hadoop_lz4(mut from: &[u8], mut into: &mut [u8]) -> Option<()> {
    while !from.is_empty() {
        let (mut block, behind) = into.split_at_mut_checked(length(&mut from)?)?;
        into = behind;
        // At its end, Hadoop may have a block of no text in no chunk.
        if block.is_empty() && from.is_empty() {
            break;
        }
        loop {
            let compressed = length(&mut from)?;
            let chunk = from.split_off(..compressed)?;
            let written = lz4_flex::block::decompress_into(chunk, block).ok()?;
            block = &mut block[written..];
            if block.is_empty() {
                break;
            }
        }
    }
    into.is_empty().then_some(())
}

/// Takes a length from the front.
fn length(from: &mut &[u8]) -> Option<usize> {
    from.split_off(..4)?.try_into().ok().map(|length| u32::from_be_bytes(length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Under the number 5, pages are blocks as Hadoop frames them, one or several, of one chunk or several, or one lz4 frame, or a bare block.
    #[test]
    fn every_framing_of_the_old_lz4_is_read() {
        let text: Vec<u8> = (0..9_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        let framed = |blocks: &[&[&[u8]]]| {
            let mut framed = Vec::new();
            for chunks in blocks {
                let whole: usize = chunks.iter().map(|chunk| chunk.len()).sum();
                framed.extend_from_slice(&(whole as u32).to_be_bytes());
                for chunk in *chunks {
                    let chunk = lz4_flex::block::compress(chunk);
                    framed.extend_from_slice(&(chunk.len() as u32).to_be_bytes());
                    framed.extend_from_slice(&chunk);
                }
            }
            framed
        };
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        io::Write::write_all(&mut frame, &text).expect("into memory");
        let (first, second) = text.split_at(10_001);
        for page in [
            framed(&[&[&text]]),
            framed(&[&[first], &[second]]),
            framed(&[&[first, second]]),
            framed(&[&[first, second], &[]]),
            framed(&[&[&text], &[b""]]),
            framed(&[&[&first[..9]], &[&first[9..], second]]),
            frame.finish().expect("into memory"),
            lz4_flex::block::compress(&text),
        ] {
            let mut into = vec![0; text.len()];
            Codec::Lz4.decompress(&page, &mut into).expect("a page");
            assert!(into == text, "another text");
            for length in [text.len() - 1, text.len() + 1] {
                assert!(Codec::Lz4.decompress(&page, &mut vec![0; length]).is_err(), "{length}");
            }
            assert!(Codec::Lz4.decompress(&page[..page.len() / 2], &mut into).is_err(), "a cut page");
        }
    }
}

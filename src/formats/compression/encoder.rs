//! A compressed file being written. The same text, in the same pieces, gives the same bytes.

use std::io::{self, Write};

use flate2::write::{GzEncoder, ZlibEncoder};

use super::{Compression, detect};

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// Writes one stream of compressed text to `W`; with a checksum wherever its format can have one.
pub struct Encoder<W: Write> {
    format: Format<W>,
    /// Whether there is text.
    begun: bool,
}

enum Format<W: Write> {
    Deflate(ZlibEncoder<W>),
    Gzip(GzEncoder<W>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Snappy(Box<snap::write::FrameEncoder<W>>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<W>>),
    Bzip2(bzip2::write::BzEncoder<W>),
}

impl<W: Write> Encoder<W> {
    /// Starts a stream at the usual level of its format.
    pub fn new(compression: Compression, to: W) -> io::Result<Self> {
        let format = match compression {
            Compression::Deflate => Format::Deflate(ZlibEncoder::new(to, flate2::Compression::default())),
            // Its header has neither time nor name.
            Compression::Gzip => Format::Gzip(GzEncoder::new(to, flate2::Compression::default())),
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(to, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Format::Zstd(encoder)
            }
            Compression::Snappy => Format::Snappy(Box::new(snap::write::FrameEncoder::new(to))),
            Compression::Lz4 => {
                let frame = lz4_flex::frame::FrameInfo::new().content_checksum(true);
                Format::Lz4(Box::new(lz4_flex::frame::FrameEncoder::with_frame_info(frame, to)))
            }
            Compression::Bzip2 => {
                Format::Bzip2(bzip2::write::BzEncoder::new(to, bzip2::Compression::default()))
            }
        };
        Ok(Encoder { format, begun: false })
    }

    /// Ends the stream and gives back what it was written to.
    pub fn finish(self) -> io::Result<W> {
        match self.format {
            Format::Deflate(encoder) => encoder.finish(),
            Format::Gzip(encoder) => encoder.finish(),
            Format::Zstd(encoder) => encoder.finish(),
            Format::Snappy(encoder) => {
                let mut to = encoder.into_inner().map_err(snap::write::IntoInnerError::into_error)?;
                if !self.begun {
                    // Of no text the encoder makes an empty file, which looks like one that was cut off.
                    to.write_all(detect::SNAPPY)?;
                }
                Ok(to)
            }
            Format::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
            Format::Bzip2(encoder) => encoder.finish(),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.format {
            Format::Deflate(encoder) => encoder,
            Format::Gzip(encoder) => encoder,
            Format::Zstd(encoder) => encoder,
            Format::Snappy(encoder) => encoder,
            Format::Lz4(encoder) => encoder,
            Format::Bzip2(encoder) => encoder,
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.begun |= !text.is_empty();
        self.writer().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }
}

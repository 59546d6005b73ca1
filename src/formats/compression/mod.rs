//! Compressed files: which compressions there are, how a file tells its own, its text, and writing one.
//!
//! A compressed text cannot be entered in the middle, so a file is read from its first byte to its last by one reader.
//! All formats may hold several streams one after the other, as `cat a.gz b.gz` makes them; their texts are joined.
//! Whatever is not one of them is an error that says where it is: a stream that is cut off, a wrong checksum,
//! bytes behind the last stream, zeros too. Three things no reader can notice, since the formats do not say them: a file cut between
//! two streams, a snappy file cut between two of its chunks, and damage in a zstd or lz4 frame that was written without
//! a checksum.
//!
//! | module | what it is |
//! | --- | --- |
//! | `detect` | names and first bytes |
//! | `bytes` | the compressed file, read in order |
//! | `streams` | zlib, gzip, zstd and bzip2: decoders that fill a given slice |
//! | `frames` | snappy and lz4: decoders that read from a reader |
//! | `decompressor` | any of them as one text, in bounded steps |
//! | `encoder` | a compressed file being written |

mod bytes;
mod decompressor;
mod detect;
mod encoder;
mod frames;
mod streams;

pub use decompressor::Decompressor;
pub(crate) use detect::{HEAD_BYTES, identify};
pub use encoder::Encoder;

/// A compression that can be read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Compression {
    /// zlib streams (RFC 1950), which Hadoop and `AMPLab`'s data call deflate: `.deflate`.
    Deflate,
    /// gzip (RFC 1952), `.gz`.
    Gzip,
    /// Zstandard frames, `.zst`.
    Zstd,
    /// The framing format of snappy, `.sz` or `.snz`; not Hadoop's `.snappy`, which has a format of its own.
    Snappy,
    /// LZ4 frames, `.lz4`.
    Lz4,
    /// bzip2, `.bz2`.
    Bzip2,
}

impl Compression {
    /// All of them.
    pub const ALL: [Compression; 6] = [
        Compression::Deflate,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Bzip2,
    ];

    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Compression::Deflate => "zlib",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Bzip2 => "bzip2",
        }
    }

    /// How names of such files end, the usual way first.
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Compression::Deflate => &["deflate"],
            Compression::Gzip => &["gz", "gzip"],
            Compression::Zstd => &["zst", "zstd"],
            Compression::Snappy => &["sz", "snz"],
            Compression::Lz4 => &["lz4"],
            Compression::Bzip2 => &["bz2"],
        }
    }
}

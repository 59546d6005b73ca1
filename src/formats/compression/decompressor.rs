//! A compressed file as one text, read in bounded steps.

use std::io;
use std::path::Path;

use super::Compression;
use super::bytes::Bytes;
use super::frames::{Lz4Frames, SnappyChunks};
use super::streams::{Bzip2, Inflate, Streams, Zstd};
use crate::formats::file::PlannedFile;

/// A step ends once it has gone through this much of the file, text or not: streams that hold nothing could go on for ever.
pub(super) const STEP_BYTES: u64 = 1 << 20;
/// And once it has called its decoder so often: to begin a stream of bzip2 can take a millisecond, and 14 bytes.
const MOST_CALLS: usize = 1024;

/// Reads the text of a compressed file from its start to its end.
///
/// ```
/// use std::io::Write;
/// use millrace::formats::compression::{Compression, Decompressor, Encoder};
///
/// let file = tempfile::NamedTempFile::new()?;
/// let mut encoder = Encoder::new(Compression::Gzip, file.reopen()?)?;
/// encoder.write_all(b"apple,30,2\n")?;
/// let bytes = encoder.finish()?.metadata()?.len();
///
/// let mut text = Decompressor::open(file.path(), bytes, Compression::Gzip)?;
/// let mut block = [0; 64];
/// let mut read = Vec::new();
/// while !text.ended() {
///     let length = text.fill(&mut block)?;
///     read.extend_from_slice(&block[..length]);
/// }
/// assert_eq!(read, b"apple,30,2\n");
/// assert_eq!(text.taken(), bytes);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Decompressor {
    compression: Compression,
    stream: Box<dyn Stream + Send>,
    ended: bool,
}

/// A decoder with the file it reads. It is called once or a few times a block.
pub(super) trait Stream {
    /// Writes the text that comes next into the start of `into`, which has room. It may write nothing before the end.
    fn step(&mut self, into: &mut [u8]) -> Result<Step, Fault>;
    /// The file.
    fn bytes(&self) -> &Bytes;
}

/// What a step did.
pub(super) enum Step {
    /// Bytes of text written.
    Text(usize),
    /// The last stream ended where the file does.
    End,
}

/// Why there is no more text.
pub(super) enum Fault {
    /// The file cannot be read.
    Io(io::Error),
    /// It ends in the middle of a stream.
    CutOff,
    /// Something in a stream is wrong.
    Damaged(String),
    /// It has something that is not read though nothing is wrong with it; and what to do instead.
    Unsupported(&'static str, &'static str),
    /// What follows a stream is none.
    Garbage,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Io(error)
    }
}

impl Decompressor {
    /// Opens a file that had `bytes` bytes when the job was planned, and reads nothing yet.
    pub fn open(path: &Path, bytes: u64, compression: Compression) -> io::Result<Self> {
        Self::of_file(PlannedFile::open(path, bytes)?, compression)
    }

    /// The text of a file that is open, from its start.
    pub(crate) fn of_file(file: PlannedFile, compression: Compression) -> io::Result<Self> {
        let all = file.bytes();
        Self::of_start(file, all, compression)
    }

    /// The same where no more than so many bytes of the file will be read.
    pub(crate) fn of_start(file: PlannedFile, bytes: u64, compression: Compression) -> io::Result<Self> {
        let start = 0..bytes;
        file.will_read(&[start]);
        Self::new(Bytes::new(file), compression)
    }

    /// The same text for another reader, who starts at its first byte.
    pub fn again(&self) -> io::Result<Self> {
        Self::new(self.stream.bytes().again(), self.compression)
    }

    fn new(bytes: Bytes, compression: Compression) -> io::Result<Self> {
        let stream: Box<dyn Stream + Send> = match compression {
            Compression::Deflate => Box::new(Streams::new(Inflate::zlib(), bytes)),
            Compression::Gzip => Box::new(Streams::new(Inflate::gzip(), bytes)),
            Compression::Zstd => Box::new(Streams::new(Zstd::new()?, bytes)),
            Compression::Bzip2 => Box::new(Streams::new(Bzip2::new(), bytes)),
            Compression::Snappy => Box::new(SnappyChunks::new(bytes)),
            Compression::Lz4 => Box::new(Lz4Frames::new(bytes)),
        };
        Ok(Decompressor { compression, stream, ended: false })
    }

    /// Bytes of the compressed file that have been gone through: all of them at the end.
    pub fn taken(&self) -> u64 {
        self.stream.bytes().taken()
    }

    /// Whether the text is at its end, and was whole.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Writes the text that comes next into `into`, and says how much it wrote. It fills it, except at the end, which
    /// [`Decompressor::ended`] tells, and where much of the file or many streams have little text.
    pub fn fill(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let stop = self.taken().saturating_add(STEP_BYTES);
        let mut filled = 0;
        for _ in 0..MOST_CALLS {
            if filled == into.len() || self.ended || self.taken() >= stop {
                break;
            }
            match self.stream.step(&mut into[filled..]) {
                Ok(Step::Text(bytes)) => filled += bytes,
                Ok(Step::End) => self.ended = true,
                Err(fault) => return Err(self.told(fault)),
            }
        }
        Ok(filled)
    }

    #[cold]
    fn told(&self, fault: Fault) -> io::Error {
        let name = self.compression.name();
        let byte = self.taken();
        let (kind, message) = match fault {
            Fault::Io(error) => return error,
            Fault::CutOff => (
                io::ErrorKind::UnexpectedEof,
                format!("it is cut off: it ends at byte {byte}, in the middle of its {name} data"),
            ),
            Fault::Damaged(reason) => (
                io::ErrorKind::InvalidData,
                format!("its {name} data is damaged, which shows at byte {byte}: {reason}"),
            ),
            Fault::Unsupported(what, remedy) => (
                io::ErrorKind::Unsupported,
                format!("its {name} data has {what}, which is not supported\n  try: {remedy}"),
            ),
            Fault::Garbage => (
                io::ErrorKind::InvalidData,
                format!(
                    "its {name} data ends at byte {byte}, and the {} bytes behind are none",
                    self.stream.bytes().remaining()
                ),
            ),
        };
        io::Error::new(kind, message)
    }
}

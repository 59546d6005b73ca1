//! zlib, gzip, zstd and bzip2: decoders that are given bytes and fill a slice, so that text is written once, where it is parsed.

use std::io;

use flate2::{FlushDecompress, Status};
use zstd::stream::raw::{Decoder, Operation};

use super::bytes::Bytes;
use super::decompressor::{Fault, Step, Stream};
use super::detect;

/// What the decoders have in common.
pub(super) trait Codec {
    /// Whether a stream may begin with these bytes, of which there are four unless the file ends.
    fn starts(&self, head: &[u8]) -> bool;
    /// Prepares for the next stream.
    fn restart(&mut self);
    /// Decodes some of `from` into `into`.
    fn step(&mut self, from: &[u8], into: &mut [u8]) -> Stepped;
}

/// What a codec did; the bytes it took count also where it failed.
pub(super) struct Stepped {
    taken: usize,
    written: usize,
    /// Whether the stream has ended, or what is wrong with it.
    ended: Result<bool, Fault>,
}

/// Streams, one after the other.
pub(super) struct Streams<C> {
    codec: C,
    bytes: Bytes,
    place: Place,
}

#[derive(PartialEq)]
enum Place {
    Start,
    Inside,
    Between,
}

impl<C: Codec> Streams<C> {
    pub(super) fn new(codec: C, bytes: Bytes) -> Self {
        Streams { codec, bytes, place: Place::Start }
    }
}

impl<C: Codec> Stream for Streams<C> {
    fn step(&mut self, into: &mut [u8]) -> Result<Step, Fault> {
        if self.place != Place::Inside {
            let head = self.bytes.peek::<4>()?;
            if head.is_empty() {
                return if self.place == Place::Start { Err(Fault::CutOff) } else { Ok(Step::End) };
            }
            // The first one is the codec's to judge: it says more than that it is none.
            if self.place == Place::Between {
                if !self.codec.starts(head) {
                    return Err(Fault::Garbage);
                }
                self.codec.restart();
            }
            self.place = Place::Inside;
        }
        let from = self.bytes.fill()?;
        let at_end = from.is_empty();
        let Stepped { taken, written, ended } = self.codec.step(from, into);
        self.bytes.take(taken);
        if ended? {
            self.place = Place::Between;
        } else if (taken, written) == (0, 0) {
            return Err(if at_end { Fault::CutOff } else { Fault::Damaged("it does not go on".to_owned()) });
        }
        Ok(Step::Text(written))
    }

    fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// zlib and gzip.
pub(super) struct Inflate {
    decoder: flate2::Decompress,
    gzip: bool,
}

impl Inflate {
    pub(super) fn zlib() -> Self {
        Inflate { decoder: flate2::Decompress::new(true), gzip: false }
    }

    pub(super) fn gzip() -> Self {
        // The largest window there is.
        Inflate { decoder: flate2::Decompress::new_gzip(15), gzip: true }
    }
}

impl Codec for Inflate {
    fn starts(&self, head: &[u8]) -> bool {
        if self.gzip { detect::is_gzip(head) } else { detect::is_zlib(head) }
    }

    fn restart(&mut self) {
        self.decoder.reset(true);
    }

    fn step(&mut self, from: &[u8], into: &mut [u8]) -> Stepped {
        let (taken, written) = (self.decoder.total_in(), self.decoder.total_out());
        let done = self.decoder.decompress(from, into, FlushDecompress::None);
        Stepped {
            taken: (self.decoder.total_in() - taken) as usize,
            written: (self.decoder.total_out() - written) as usize,
            ended: match done {
                Ok(status) => Ok(status == Status::StreamEnd),
                Err(error) if error.needs_dictionary().is_some() => Err("it needs a dictionary".to_owned()),
                // Its library has written this over the reason, in the same call.
                Err(error) if error.message() == Some("repeated call with bad state") => {
                    Err("a code is none, or a distance goes too far back".to_owned())
                }
                Err(error) => Err(error.message().unwrap_or("it cannot be decoded").to_owned()),
            }
            .map_err(Fault::Damaged),
        }
    }
}

/// zstd; frames that are to be skipped are skipped by its library.
pub(super) struct Zstd {
    decoder: Decoder<'static>,
    /// What it is given at most: what is left of a head, a block or a checksum. Given more, it does not tell where in it it failed.
    wanted: usize,
}

/// With so many bytes of a frame its decoder knows what it wants of it.
const LEAST_FRAME_BYTES: usize = 5;
/// Of a block's head. A decoder wants each block with the head of the next one, so as not to be called twice; but in two steps, both
/// have their place.
const BLOCK_HEAD_BYTES: usize = 3;
/// So its library calls a window that is larger than what it takes of a stranger.
const WINDOW_TOO_LARGE: &str = "Frame requires too much memory for decoding";

impl Zstd {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Zstd { decoder: Decoder::new()?, wanted: LEAST_FRAME_BYTES })
    }
}

impl Codec for Zstd {
    fn starts(&self, head: &[u8]) -> bool {
        detect::is_zstd(head)
    }

    fn restart(&mut self) {
        // A frame that has ended leaves its decoder ready for another.
        self.wanted = LEAST_FRAME_BYTES;
    }

    fn step(&mut self, from: &[u8], into: &mut [u8]) -> Stepped {
        let from = &from[..from.len().min(self.wanted)];
        match self.decoder.run_on_buffers(from, into) {
            Ok(done) => {
                self.wanted = match done.remaining {
                    least @ ..=BLOCK_HEAD_BYTES => least,
                    with_head => with_head - BLOCK_HEAD_BYTES,
                };
                Stepped {
                    taken: done.bytes_read,
                    written: done.bytes_written,
                    ended: Ok(done.remaining == 0),
                }
            }
            Err(error) => {
                let fault = match error.to_string() {
                    reason if reason == WINDOW_TOO_LARGE => Fault::Unsupported(
                        "a window of more than 128 MiB",
                        "compress it again with one of 128 MiB at most (zstd --long=27)",
                    ),
                    reason => Fault::Damaged(reason),
                };
                Stepped { taken: 0, written: 0, ended: Err(fault) }
            }
        }
    }
}

/// bzip2.
pub(super) struct Bzip2(bzip2::Decompress);

impl Bzip2 {
    pub(super) fn new() -> Self {
        Bzip2(bzip2::Decompress::new(false))
    }
}

impl Codec for Bzip2 {
    fn starts(&self, head: &[u8]) -> bool {
        detect::is_bzip2(head)
    }

    fn restart(&mut self) {
        *self = Bzip2::new();
    }

    fn step(&mut self, from: &[u8], into: &mut [u8]) -> Stepped {
        let (taken, written) = (self.0.total_in(), self.0.total_out());
        let done = self.0.decompress(from, into);
        Stepped {
            taken: (self.0.total_in() - taken) as usize,
            written: (self.0.total_out() - written) as usize,
            ended: match done {
                Ok(bzip2::Status::MemNeeded) => Err("there is no memory left to decode it".to_owned()),
                Ok(status) => Ok(status == bzip2::Status::StreamEnd),
                Err(bzip2::Error::DataMagic) => Err("it does not start as bzip2 data does".to_owned()),
                Err(_) => Err("a checksum or a block is wrong".to_owned()),
            }
            .map_err(Fault::Damaged),
        }
    }
}

//! snappy and lz4: decoders that read from a reader. They decode into a block of their own, of which the text is copied.

use std::io::{self, Read};

use super::bytes::Bytes;
use super::decompressor::{Fault, STEP_BYTES, Step, Stream};
use super::detect;

/// snappy's framing format: chunks that each have a checksum, without an end mark.
pub(super) struct SnappyChunks(snap::read::FrameDecoder<Chunks>);

impl SnappyChunks {
    pub(super) fn new(bytes: Bytes) -> Self {
        let place = Place::Header { have: [0; 4], length: 0 };
        SnappyChunks(snap::read::FrameDecoder::new(Chunks {
            bytes,
            place,
            paused_at: 0,
            skipped_data: false,
        }))
    }
}

impl Stream for SnappyChunks {
    fn step(&mut self, into: &mut [u8]) -> Result<Step, Fault> {
        match self.0.read(into) {
            // Its decoder ends between chunks only; in one, it wants all of it.
            Ok(0) if self.bytes().remaining() > 0 => Ok(Step::Text(0)),
            Ok(0) if self.bytes().taken() == 0 => Err(Fault::CutOff),
            Ok(0) => Ok(Step::End),
            Ok(written) => Ok(Step::Text(written)),
            Err(error) if self.bytes().failed() => Err(Fault::Io(error)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Fault::CutOff),
            Err(_) if self.0.get_ref().skipped_data => {
                Err(Fault::Damaged("a chunk is neither text nor zeros".to_owned()))
            }
            Err(error) => Err(Fault::Damaged(error.to_string())),
        }
    }

    fn bytes(&self) -> &Bytes {
        &self.0.get_ref().bytes
    }
}

/// The chunks on their way to the decoder, which passes over those of a kind it does not know, as it should. But one changed bit
/// makes such a chunk of one with text, and checksums do not cover the kind: so only zeros may be passed over.
struct Chunks {
    bytes: Bytes,
    place: Place,
    paused_at: u64,
    skipped_data: bool,
}

#[derive(Clone, Copy)]
enum Place {
    Header { have: [u8; 4], length: usize },
    Body { text: bool, left: usize },
}

impl Chunks {
    /// Follows the chunks through the bytes that come next; whether all that is passed over is zeros.
    fn follow(&mut self, mut next: &[u8]) -> bool {
        while let [first, rest @ ..] = next {
            self.place = match self.place {
                Place::Header { mut have, length } => {
                    have[length] = *first;
                    next = rest;
                    let [kind, low, middle, high] = have;
                    match length {
                        3 => Place::Body {
                            text: matches!(kind, 0x00 | 0x01 | 0xff),
                            left: u32::from_le_bytes([low, middle, high, 0]) as usize,
                        },
                        _ => Place::Header { have, length: length + 1 },
                    }
                }
                Place::Body { left: 0, .. } => Place::Header { have: [0; 4], length: 0 },
                Place::Body { text, left } => {
                    let (body, rest) = next.split_at(left.min(next.len()));
                    if !text && body.iter().any(|byte| *byte != 0) {
                        return false;
                    }
                    next = rest;
                    Place::Body { text, left: left - body.len() }
                }
            };
        }
        true
    }
}

impl Read for Chunks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let between = matches!(self.place, Place::Header { length: 0, .. } | Place::Body { left: 0, .. });
        if between && self.bytes.taken() - self.paused_at > STEP_BYTES {
            // The decoder goes through any number of chunks without text, unless it is told now and then that the file ends.
            self.paused_at = self.bytes.taken();
            return Ok(0);
        }
        let read = self.bytes.read(into)?;
        if !self.follow(&into[..read]) {
            self.skipped_data = true;
            return Err(io::Error::other("a chunk is passed over"));
        }
        Ok(read)
    }
}

/// lz4 frames, one after the other.
pub(super) struct Lz4Frames {
    decoder: lz4_flex::frame::FrameDecoder<WholeFrame>,
    inside: bool,
}

impl Lz4Frames {
    pub(super) fn new(bytes: Bytes) -> Self {
        Lz4Frames { decoder: decoder_of_one(bytes), inside: false }
    }
}

fn decoder_of_one(bytes: Bytes) -> lz4_flex::frame::FrameDecoder<WholeFrame> {
    lz4_flex::frame::FrameDecoder::new(WholeFrame { bytes, cut_off: false })
}

impl Stream for Lz4Frames {
    fn step(&mut self, into: &mut [u8]) -> Result<Step, Fault> {
        if !self.inside {
            let bytes = &mut self.decoder.get_mut().bytes;
            let at_start = bytes.taken() == 0;
            let head = bytes.peek::<8>()?;
            if head.is_empty() {
                return if at_start { Err(Fault::CutOff) } else { Ok(Step::End) };
            }
            if let Some(length) = detect::skippable_bytes(head) {
                if length > bytes.remaining() {
                    return Err(Fault::CutOff);
                }
                bytes.skip(length);
                return Ok(Step::Text(0));
            }
            if !detect::is_lz4(head) {
                return Err(match (at_start, head.len()) {
                    (true, ..4) => Fault::CutOff,
                    (true, _) => Fault::Damaged("it does not start as an lz4 frame does".to_owned()),
                    (false, _) => Fault::Garbage,
                });
            }
            // A decoder keeps the block size of its first frame.
            self.decoder = decoder_of_one(bytes.hand_over());
            self.inside = true;
        }
        match self.decoder.read(into) {
            Ok(written) => {
                self.inside = written > 0;
                Ok(Step::Text(written))
            }
            Err(error) if self.bytes().failed() => Err(Fault::Io(error)),
            Err(_) if self.decoder.get_ref().cut_off => Err(Fault::CutOff),
            Err(error) => Err(Fault::Damaged(error.to_string())),
        }
    }

    fn bytes(&self) -> &Bytes {
        &self.decoder.get_ref().bytes
    }
}

/// The file without an end: what its decoder takes the end of the file for, in some places, is the end of a frame.
struct WholeFrame {
    bytes: Bytes,
    cut_off: bool,
}

impl Read for WholeFrame {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(into)?;
        if read == 0 && !into.is_empty() {
            self.cut_off = true;
            return Err(io::Error::other("the file ends"));
        }
        Ok(read)
    }
}

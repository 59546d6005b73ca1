//! What travels on a control connection: frames of eight bytes, one kind with a text behind it.

use std::io::{self, Read};

use super::fingerprint::printable_lines;

const HEADER_BYTES: usize = 8;
/// A cause is a few lines for a person to read.
pub(super) const LONGEST_CAUSE_BYTES: usize = 4096;

const HEARTBEAT: u8 = 1;
const CONFIRMED: u8 = 2;
const FAILED: u8 = 3;
const GOODBYE: u8 = 4;

/// One message between the processes of a running job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// The sender is alive.
    Heartbeat,
    /// The sender has reached this step of the job, counted from 1.
    Confirmed(u32),
    /// The job has failed; the line says where and why.
    Failed(String),
    /// The sender has nothing left to do, and its end is no loss.
    Goodbye,
}

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, value, text) = match self {
            Frame::Heartbeat => (HEARTBEAT, 0, ""),
            Frame::Confirmed(step) => (CONFIRMED, *step, ""),
            Frame::Failed(line) => {
                let text = &line[..line.floor_char_boundary(LONGEST_CAUSE_BYTES)];
                (FAILED, text.len() as u32, text)
            }
            Frame::Goodbye => (GOODBYE, 0, ""),
        };
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(value.to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    }

    /// Reads one frame; anything else is [`io::ErrorKind::InvalidData`].
    pub(super) fn read(mut from: impl Read) -> io::Result<Frame> {
        let mut header = [0; HEADER_BYTES];
        from.read_exact(&mut header)?;
        let [kind, 0, 0, 0, value @ ..] = header else { return Err(io::ErrorKind::InvalidData.into()) };
        let value = u32::from_le_bytes(value);
        match kind {
            HEARTBEAT if value == 0 => Ok(Frame::Heartbeat),
            CONFIRMED => Ok(Frame::Confirmed(value)),
            FAILED if value as usize <= LONGEST_CAUSE_BYTES => {
                let mut text = vec![0; value as usize];
                from.read_exact(&mut text)?;
                // A bad record's message has lines of its own; nothing else that moves a cursor may pass.
                Ok(Frame::Failed(printable_lines(&String::from_utf8_lossy(&text))))
            }
            GOODBYE if value == 0 => Ok(Frame::Goodbye),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let long = "ü".repeat(4000);
        for frame in [
            Frame::Heartbeat,
            Frame::Confirmed(7),
            Frame::Failed("process 1 failed: bad record\n  record: a,b".to_owned()),
            Frame::Goodbye,
        ] {
            assert_eq!(Frame::read(frame.encode().as_slice()).unwrap(), frame);
        }
        let Frame::Failed(cut) = Frame::read(Frame::Failed(long.clone()).encode().as_slice()).unwrap() else {
            panic!("another frame came back")
        };
        assert!(long.starts_with(&cut) && cut.len() == LONGEST_CAUSE_BYTES);
    }

    #[test]
    fn a_cause_cannot_move_the_cursor() {
        let frame = Frame::Failed("a\u{1b}[2Jb\r\nc".to_owned());
        assert_eq!(
            Frame::read(frame.encode().as_slice()).unwrap(),
            Frame::Failed("a\\u{1b}[2Jb\\r\nc".to_owned())
        );
    }

    proptest! {
        /// Bytes of a stranger are a frame or an error, and never a large allocation.
        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Frame::Failed(text)) = Frame::read(bytes.as_slice()) {
                prop_assert!(text.len() <= 10 * LONGEST_CAUSE_BYTES);
            }
        }
    }
}

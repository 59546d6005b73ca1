//! Reading what a program writes, and whoever has its end of the pipe from it, until all have closed it, or little longer than the
//! program lives.
//!
//! What the program has written itself is in the pipe when it ends, and is all read, however late. Others may go on writing to what it has
//! left open: to the end where they close it soon, and else an error, so that no cut looks like the end. Where they have it open and write
//! nothing, what has been read is all there is.

use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;

/// How long others may have open what a program has left open.
const GRACE: Duration = Duration::from_secs(1);
const STILL_WRITTEN: &str = "it left a process outside its group that still writes to its output; it must wait for that process, or \
                             give it another output";

pub(super) struct UntilEnded<R> {
    from: R,
    /// A pipe that nobody writes to, and that has come to its end when the program has.
    ended: PipeReader,
    afterwards: Option<Afterwards>,
    /// Whether the last byte read ends a line.
    whole: bool,
}

/// How it is once the program has ended.
struct Afterwards {
    deadline: Instant,
    /// Bytes to be read that the program may have written.
    own: usize,
    /// Whether others have written since.
    others: bool,
}

impl<R> UntilEnded<R> {
    pub(super) fn new(from: Option<R>, ended: &PipeReader) -> io::Result<Option<Self>> {
        let until = |from| Ok(UntilEnded { from, ended: ended.try_clone()?, afterwards: None, whole: true });
        from.map(until).transpose()
    }
}

impl<R: Read + AsFd> UntilEnded<R> {
    /// Waits for something to read, of which so many bytes may be read; 0 where nothing is to come.
    fn wait(&mut self, wanted: usize) -> io::Result<usize> {
        if self.afterwards.is_none() {
            let mut awaited =
                [PollFd::new(&self.from, PollFlags::IN), PollFd::new(&self.ended, PollFlags::IN)];
            poll(&mut awaited, None)?;
            if awaited[1].revents().is_empty() {
                return Ok(wanted);
            }
        }
        let afterwards = match &mut self.afterwards {
            Some(afterwards) => afterwards,
            none => none.insert(Afterwards {
                deadline: Instant::now() + GRACE,
                own: usize::try_from(ioctl_fionread(&self.from)?).unwrap_or(usize::MAX),
                others: false,
            }),
        };
        if afterwards.own > 0 {
            return Ok(wanted.min(afterwards.own));
        }
        let left = afterwards.deadline.saturating_duration_since(Instant::now());
        let mut awaited = [PollFd::new(&self.from, PollFlags::IN)];
        poll(&mut awaited, Timespec::try_from(left).ok().as_ref())?;
        let found = awaited[0].revents();
        // Without a writer, what is left is the end, however late it is.
        if found.contains(PollFlags::HUP) || !found.is_empty() && !left.is_zero() {
            return Ok(wanted);
        }
        if found.is_empty() && !afterwards.others && self.whole {
            return Ok(0);
        }
        Err(io::Error::other(STILL_WRITTEN))
    }
}

impl<R: Read + AsFd> Read for UntilEnded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = self.wait(into.len())?;
        let got = self.from.read(&mut into[..most])?;
        if let Some(last) = into[..got].last() {
            self.whole = *last == b'\n';
        }
        if let Some(afterwards) = &mut self.afterwards {
            afterwards.others |= got > afterwards.own;
            afterwards.own = afterwards.own.saturating_sub(got);
        }
        Ok(got)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeWriter, Write};
    use std::thread;

    use super::*;

    /// What is read where the program has written `own` before it ended, and another process goes on as `others` does, which has the pipe
    /// open for longer if it gives it back.
    fn read_of(
        own: &'static [u8],
        others: impl FnOnce(PipeWriter) -> Option<PipeWriter> + Send,
    ) -> io::Result<Vec<u8>> {
        let (from, mut written) = io::pipe().unwrap();
        let (ended, running) = io::pipe().unwrap();
        written.write_all(own).unwrap();
        drop(running);
        let mut reader = UntilEnded::new(Some(from), &ended).unwrap().unwrap();
        let mut found = Vec::new();
        thread::scope(|scope| {
            // So much is there when the program has ended.
            let mut first = vec![0; own.len().max(1)];
            if !own.is_empty() {
                let got = reader.read(&mut first)?;
                found.extend_from_slice(&first[..got]);
            }
            let still_open = scope.spawn(move || others(written));
            let begun = Instant::now();
            let read = reader.read_to_end(&mut found).map(drop);
            assert!(begun.elapsed() < 3 * GRACE, "waited for");
            // Whoever still writes has no reader now.
            drop(reader);
            drop(still_open.join());
            read
        })?;
        Ok(found)
    }

    #[test]
    fn a_cut_looked_like_the_end() {
        let cut = |own, others: fn(PipeWriter) -> Option<PipeWriter>| {
            let error = read_of(own, others).expect_err("this was cut");
            assert!(error.to_string().contains("outside its group"), "{error}");
        };
        // Half a line of another process, or of the program, which nobody can tell.
        cut(b"own\nhal", Some);
        cut(b"own\n", |mut writer| {
            writer.write_all(b"hal").unwrap();
            Some(writer)
        });
        // Whole lines, but not the last ones.
        cut(b"own\n", |mut writer| {
            writer.write_all(b"of another\n").unwrap();
            Some(writer)
        });
        // As `setsid yes` does.
        cut(b"own\n", |mut writer| {
            while writer.write_all(&[b'\n'; 4096]).is_ok() {}
            None
        });
    }

    #[test]
    fn what_is_open_and_silent_or_closed_soon_is_read_to_the_end() {
        assert_eq!(read_of(b"own\n", Some).unwrap(), b"own\n");
        assert_eq!(read_of(b"", Some).unwrap(), b"");
        assert_eq!(read_of(b"own\nlast", |_| None).unwrap(), b"own\nlast");
        let soon = read_of(b"own\n", |mut writer| {
            thread::sleep(GRACE / 10);
            writer.write_all(b"soon").unwrap();
            None
        });
        assert_eq!(soon.unwrap(), b"own\nsoon");
    }
}

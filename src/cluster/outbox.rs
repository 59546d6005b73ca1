//! The sending half of the control connections: what this process says to the others, one by one or to all at once.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::fate::lock;
use super::frame::Frame;
use super::wire::Timed;

/// A peer that does not even take a few bytes is as good as gone; the job's end must not wait for it.
const LONGEST_WRITE: Duration = Duration::from_millis(500);

/// The connections to the other processes, of which some are not there yet and some may not be read any more.
pub(super) struct Outbox {
    streams: Vec<Mutex<Option<TcpStream>>>,
}

impl Outbox {
    pub(super) fn new(processes: usize) -> Self {
        Outbox { streams: (0..processes).map(|_| Mutex::new(None)).collect() }
    }

    pub(super) fn open(&self, peer: usize, stream: TcpStream) {
        *lock(&self.streams[peer]) = Some(stream);
    }

    /// Who cannot be written to is noticed by the thread that reads from it.
    pub(super) fn send(&self, peer: usize, frame: &Frame) {
        if let Some(stream) = lock(&self.streams[peer]).as_ref() {
            let _: io::Result<()> = Timed::new(stream, Instant::now() + LONGEST_WRITE).write(&frame.encode());
        }
    }

    /// Sends to all at the same time, so that however many are gone, the others hear of it as soon as of one.
    pub(super) fn broadcast(&self, frame: &Frame) {
        thread::scope(|scope| {
            for peer in 0..self.streams.len() {
                let named = thread::Builder::new().name(format!("fate:tell-{peer}"));
                // Without a thread they have to wait for each other.
                if named.spawn_scoped(scope, move || self.send(peer, frame)).is_err() {
                    self.send(peer, frame);
                }
            }
        });
    }

    /// Tells all, one after the other, that this process is alive, while `goes_on` says that it matters.
    pub(super) fn beat(&self, goes_on: impl Fn() -> bool) {
        (0..self.streams.len()).take_while(|_| goes_on()).for_each(|peer| self.send(peer, &Frame::Heartbeat));
    }

    /// Says nothing more.
    pub(super) fn close(&self) {
        for stream in &self.streams {
            if let Some(stream) = lock(stream).take() {
                // The far side may still be speaking, and closing both ways could cut off our own last frame. The
                // thread that listens lets go of the connection when the far side has closed its half.
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::iter;
    use std::net::TcpListener;

    use super::*;

    /// Peers that read nothing and whose connections are full.
    const GONE: usize = 8;

    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        (TcpStream::connect(listener.local_addr().unwrap()).unwrap(), listener.accept().unwrap().0)
    }

    #[test]
    fn those_who_are_gone_keep_nobody_from_the_news() {
        // They were told one after the other, half a second each.
        let outbox = Outbox::new(GONE + 1);
        let mut far_ends = Vec::new();
        for peer in 0..GONE {
            let (mut near, far) = connection();
            near.set_nonblocking(true).unwrap();
            // Until it stays full: what was written goes on to the far end by and by, whose room may grow.
            let mut fill = || iter::from_fn(|| near.write(&[0; 4096]).ok()).sum::<usize>();
            while fill() > 0 {
                thread::sleep(Duration::from_millis(50));
            }
            near.set_nonblocking(false).unwrap();
            outbox.open(peer, near);
            far_ends.push(far);
        }
        let (near, alive) = connection();
        outbox.open(GONE, near);
        let started = Instant::now();
        let cause = Frame::Failed("process 1 on b:2 failed: the disk is full\n".repeat(90));
        thread::scope(|scope| {
            scope.spawn(|| outbox.broadcast(&cause));
            assert_eq!(Frame::read(&alive).unwrap(), cause);
        });
        let taken = started.elapsed();
        assert!(taken >= LONGEST_WRITE, "the others took it, after {taken:?}");
        assert!(taken < LONGEST_WRITE * 4, "it took {taken:?}");
    }
}

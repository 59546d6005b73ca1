//! A file of a store that is read: requests run ahead of the reader, in a window of bounded size.
//!
//! A reader says what it will read; that becomes requests, started in order as far as the permits of the whole process
//! go, one for each KiB. A permit is given back when what it was for has been read. Whoever waits for bytes that nobody
//! asked for yet asks for them at once, permit or not: so nobody waits for a permit that only the one who waits can give
//! back.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::AbortHandle;

use super::plan::{self, Piece};
use super::remote::{Object, runtime};

/// How often a reader that waits looks whether the job has failed.
const LOOK_UP: Duration = Duration::from_millis(20);

/// One reader of a file; a clone is another one, who has not said yet what it will read.
pub(crate) struct ObjectReader(Arc<Window>);

impl Clone for ObjectReader {
    fn clone(&self) -> Self {
        ObjectReader::new(self.0.object.clone())
    }
}

struct Window {
    object: Object,
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Chunk>,
    next_id: u64,
    ahead: Option<Task>,
}

/// A request, and what it brought and nobody has read.
struct Chunk {
    id: u64,
    range: Range<u64>,
    /// Bytes that somebody wants and has not read.
    unread: u64,
    /// What is there, from `start` to `end`.
    parts: VecDeque<Bytes>,
    start: u64,
    end: u64,
    /// Up to where the reader waits for bytes.
    awaited: u64,
    failed: Option<String>,
    /// The request, once it is made.
    task: Option<Task>,
    /// Held for what the request brings, if it was made ahead.
    permit: Option<OwnedSemaphorePermit>,
}

/// Something that runs until nobody wants it any more.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ObjectReader {
    pub(super) fn new(object: Object) -> Self {
        ObjectReader(Arc::new(Window { object, state: Mutex::default(), arrived: Condvar::new() }))
    }

    /// Says what will be read, instead of what was said before; requests start at once.
    pub(crate) fn will_read(&self, ranges: &[Range<u64>]) {
        let Ok(runtime) = runtime() else { return };
        let mut state = self.0.lock();
        state.chunks.clear();
        for piece in plan::pieces(ranges, self.0.object.bytes()) {
            let chunk = state.chunk(piece);
            state.chunks.push_back(chunk);
        }
        let ahead = runtime.spawn(run_ahead(Arc::downgrade(&self.0), self.0.object.clone()));
        state.ahead = Some(Task(ahead.abort_handle()));
    }

    /// Fills `into` with what stands at `offset`, all of which must be inside the file.
    pub(crate) fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let window = &self.0;
        let mut state = window.lock();
        let mut done = 0;
        while done < into.len() {
            let (at, end) = (offset + done as u64, offset + into.len() as u64);
            let index = match state.holding(at) {
                Some(index) => index,
                None => state.demand(at..end),
            };
            let chunk = &mut state.chunks[index];
            if chunk.task.is_none() {
                window.start(chunk, None)?;
            }
            let wanted = end.min(chunk.range.end);
            if chunk.end < wanted && chunk.failed.is_none() {
                chunk.awaited = wanted;
                let waited = window.arrived.wait_timeout(state, LOOK_UP);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                if window.object.options().failure.is_set() {
                    return Err(io::Error::other("the job failed meanwhile"));
                }
                continue;
            }
            let copied = chunk.copy(at, &mut into[done..]);
            match &chunk.failed {
                Some(reason) if copied == 0 => return Err(io::Error::other(reason.clone())),
                _ => {}
            }
            done += copied;
            chunk.unread = chunk.unread.saturating_sub(copied as u64);
            if chunk.unread == 0 {
                state.chunks.remove(index);
            }
        }
        Ok(())
    }
}

impl Window {
    /// The state is whole between any two of its changes.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the request for a chunk.
    fn start(self: &Arc<Self>, chunk: &mut Chunk, permit: Option<OwnedSemaphorePermit>) -> io::Result<()> {
        let runtime = runtime().map_err(|error| io::Error::other(error.to_string()))?;
        let (window, object) = (Arc::downgrade(self), self.object.clone());
        let (id, range) = (chunk.id, chunk.range.clone());
        let fetched = runtime.spawn(async move {
            let give = |bytes| window.upgrade().is_some_and(|window| window.take_in(id, bytes));
            if let Err(trouble) = object.fetch(range, give).await
                && let Some(window) = window.upgrade()
            {
                window.give_up(id, trouble.told(object.is_s3()));
            }
        });
        chunk.task = Some(Task(fetched.abort_handle()));
        chunk.permit = permit;
        Ok(())
    }

    /// Takes in the next bytes of a request; false when nobody wants them any more.
    fn take_in(&self, id: u64, bytes: Bytes) -> bool {
        let mut state = self.lock();
        let Some(chunk) = state.chunks.iter_mut().find(|chunk| chunk.id == id) else { return false };
        chunk.end += bytes.len() as u64;
        chunk.parts.push_back(bytes);
        if chunk.end >= chunk.awaited {
            self.arrived.notify_all();
        }
        true
    }

    fn give_up(&self, id: u64, reason: String) {
        if let Some(chunk) = self.lock().chunks.iter_mut().find(|chunk| chunk.id == id) {
            chunk.failed = Some(reason);
        }
        self.arrived.notify_all();
    }
}

/// Starts a reader's requests in order, as permits allow.
async fn run_ahead(window: Weak<Window>, object: Object) {
    loop {
        let next = |window: &Window| {
            let state = window.lock();
            let chunk = state.chunks.iter().find(|chunk| chunk.task.is_none());
            chunk.map(|chunk| chunk.range.end - chunk.range.start)
        };
        let Some(bytes) = window.upgrade().and_then(|window| next(&window)) else { return };
        let Ok(permit) = object.permits(bytes).await else { return };
        let Some(window) = window.upgrade() else { return };
        let mut state = window.lock();
        // Whom the permit was for may have been asked for meanwhile; the next one is about as large.
        let Some(chunk) = state.chunks.iter_mut().find(|chunk| chunk.task.is_none()) else { return };
        if window.start(chunk, Some(permit)).is_err() {
            return;
        }
    }
}

impl State {
    fn chunk(&mut self, piece: Piece) -> Chunk {
        self.next_id += 1;
        Chunk {
            id: self.next_id,
            unread: piece.wanted,
            parts: VecDeque::new(),
            start: piece.range.start,
            end: piece.range.start,
            awaited: u64::MAX,
            failed: None,
            task: None,
            permit: None,
            range: piece.range,
        }
    }

    /// The chunk that has a byte or will have it.
    fn holding(&self, at: u64) -> Option<usize> {
        self.chunks.iter().position(|chunk| chunk.start <= at && at < chunk.range.end)
    }

    /// A chunk that nobody has planned, from the start of `range` to its end or to where another one begins.
    fn demand(&mut self, range: Range<u64>) -> usize {
        let next = self.chunks.iter().map(|chunk| chunk.start).filter(|start| *start > range.start).min();
        let range = range.start..range.end.min(next.unwrap_or(u64::MAX));
        let chunk = self.chunk(Piece { wanted: range.end - range.start, range });
        self.chunks.push_front(chunk);
        0
    }
}

impl Chunk {
    /// Copies what is there from `at` on, and lets go of what was read from the front.
    fn copy(&mut self, at: u64, into: &mut [u8]) -> usize {
        let mut copied = 0;
        if at == self.start {
            while let Some(part) = self.parts.front_mut().filter(|_| copied < into.len()) {
                let length = part.len().min(into.len() - copied);
                into[copied..copied + length].copy_from_slice(&part[..length]);
                copied += length;
                if length == part.len() {
                    self.parts.pop_front();
                } else {
                    let _ = part.split_to(length);
                }
            }
            self.start += copied as u64;
            return copied;
        }
        let mut part_start = self.start;
        for part in &self.parts {
            let part_end = part_start + part.len() as u64;
            let from = at + copied as u64;
            if from < part_end && copied < into.len() {
                let inside = &part[(from - part_start) as usize..];
                let length = inside.len().min(into.len() - copied);
                into[copied..copied + length].copy_from_slice(&inside[..length]);
                copied += length;
            }
            part_start = part_end;
        }
        copied
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a reader may announce one range")]
mod tests {
    use super::super::Fetched;
    use super::super::remote::tests::object;
    use super::*;
    use proptest::prelude::*;

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|index| (index * 31 + index / 251) as u8).collect()
    }

    #[test]
    fn only_what_is_wanted_is_fetched_and_each_byte_once() {
        let content = content(3 << 20);
        let (object, stores) = object(&content, 32 << 20);
        let reader = object.open();
        // A footer that nobody announced, and then two columns of several, the second one first.
        let mut footer = [0; 100];
        assert_eq!(object.version(), "", "its list told none");
        reader.read_at(&mut footer, (3 << 20) - 100).expect("read");
        assert_ne!(object.version(), "", "what was read first tells the version");
        assert_eq!(stores.fetched(), Fetched { requests: 1, bytes: 100 });
        reader.will_read(&[500_000..700_000, 2_000_000..2_100_000, 710_000..720_000]);
        let mut column = vec![0; 100_000];
        reader.read_at(&mut column, 2_000_000).expect("read");
        assert!(column == content[2_000_000..2_100_000]);
        for start in (500_000..700_000).step_by(50_000) {
            reader.read_at(&mut column[..50_000], start).expect("read");
            assert!(column[..50_000] == content[start as usize..start as usize + 50_000]);
        }
        reader.read_at(&mut column[..10_000], 710_000).expect("read");
        // One gap of 10,000 bytes.
        let bytes = 100 + 200_000 + 10_000 + 10_000 + 100_000;
        assert_eq!(stores.fetched(), Fetched { requests: 3, bytes });
        assert!(reader.0.lock().chunks.is_empty(), "what was read is let go");
    }

    #[test]
    fn readers_that_hold_all_permits_do_not_stop_each_other() {
        // Room for one request. The first reader has it and leaves it unread while the second one reads.
        let content = content(12 << 20);
        let (object, _) = object(&content, plan::REQUEST_BYTES);
        let (first, second) = (object.open(), object.open());
        let mut block = vec![0; 1 << 20];
        first.will_read(&[0..12 << 20]);
        first.read_at(&mut block, 0).expect("read");
        second.will_read(&[0..12 << 20]);
        for (reader, start) in [(second, 0), (first, 1)] {
            for megabyte in start..12_usize {
                reader.read_at(&mut block, (megabyte << 20) as u64).expect("read");
                assert!(block == content[megabyte << 20..(megabyte + 1) << 20]);
            }
        }
    }

    #[test]
    fn memory_is_bounded_by_the_permits() {
        let content = content(40 << 20);
        let (object, stores) = object(&content, 8 << 20);
        let readers = [object.open(), object.open()];
        readers.iter().for_each(|reader| reader.will_read(&[0..40 << 20]));
        let settled = || {
            let mut before = u64::MAX;
            while stores.fetched().bytes != before {
                before = stores.fetched().bytes;
                std::thread::sleep(Duration::from_millis(100));
            }
            before
        };
        assert_eq!(settled(), 8 << 20);
        drop(readers);
        // The one that went last may have been given what the other gave back.
        let before = settled();
        let reader = object.open();
        reader.will_read(&[0..40 << 20]);
        assert_eq!(settled() - before, 8 << 20, "what was read ahead for nobody gives its room back");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Catches bytes of another place, whatever was announced and in whatever order it is read.
        #[test]
        fn any_reads_give_the_bytes_of_the_file(
            plans in proptest::collection::vec(proptest::collection::vec((0_u64..500_000, 0_u64..200_000), 0..4), 0..3),
            reads in proptest::collection::vec((0_usize..500_000, 0_usize..100_000), 1..12),
        ) {
            let content = content(500_000);
            let (object, _) = object(&content, 64 << 10);
            let reader = object.open();
            for (index, (start, bytes)) in reads.into_iter().enumerate() {
                if let Some(plan) = plans.get(index) {
                    let ranges: Vec<_> = plan.iter().map(|(start, bytes)| *start..start + bytes).collect();
                    reader.will_read(&ranges);
                }
                let end = (start + bytes).min(content.len());
                let mut into = vec![0; end - start];
                reader.read_at(&mut into, start as u64).expect("read");
                prop_assert!(into == content[start..end]);
            }
        }
    }
}

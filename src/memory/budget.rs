//! The budget of a process: what its reducers hold together, and who must give some back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::pages::Pages;

/// What a process takes whatever its reducers hold, and more for each worker: the program, reading, routing, and what
/// the allocator keeps for each thread. Measured with Query 2C, whose peak stays below its limit with this.
const PROCESS_BYTES: u64 = 24_000_000;
const WORKER_BYTES: u64 = 24_000_000;
/// A reducer tells the others of changes of one in 256 of its fair share, but no smaller and no larger ones.
const LEAST_STEP_BYTES: usize = 16 << 10;
const GREATEST_STEP_BYTES: usize = 512 << 10;

/// What the memory of a process may be spent on; shared by its workers.
///
/// Reducers may hold five eighths of it, less what a process takes that holds nothing. An eighth each is for records in
/// flight and, at most, for the routers' buffers. The rest is for what is not counted: groups on
/// their way out, and holes that the allocator has between what is used.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: Option<u64>,
    reducers_bytes: usize,
    directory: PathBuf,
    held: AtomicUsize,
    seats: AtomicUsize,
    in_flight: AtomicUsize,
    queues_spilled: AtomicU64,
    pages: Pages,
}

impl Default for Budget {
    /// Without a limit.
    fn default() -> Self {
        Budget::new(None, std::env::temp_dir(), 1)
    }
}

impl Budget {
    /// A limit for a whole process of so many workers, and where to spill what exceeds it.
    pub fn new(limit: Option<u64>, directory: PathBuf, workers: usize) -> Self {
        let others = PROCESS_BYTES + WORKER_BYTES * workers as u64;
        // A limit that is too small for the others is exceeded by them, whatever the reducers do.
        let reducers = |limit: u64| (limit.saturating_sub(others) / 8 * 5).max(limit / 8);
        let reducers_bytes = limit.map_or(usize::MAX, |limit| clamped(reducers(limit)));
        Self::unused(limit, reducers_bytes, directory)
    }

    /// The same limit, of which so many bytes are for input that is read ahead. For a budget that nobody uses yet.
    #[must_use]
    pub fn with_read_ahead(self, bytes: u64) -> Self {
        let shared = &*self.0;
        let reducers_bytes = match shared.limit {
            // As it is with a limit that is too small for the others.
            Some(limit) => shared.reducers_bytes.saturating_sub(clamped(bytes)).max(clamped(limit / 8)),
            None => usize::MAX,
        };
        Self::unused(shared.limit, reducers_bytes, shared.directory.clone())
    }

    fn unused(limit: Option<u64>, reducers_bytes: usize, directory: PathBuf) -> Self {
        Budget(Arc::new(Shared {
            limit,
            reducers_bytes,
            directory,
            held: AtomicUsize::new(0),
            seats: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            queues_spilled: AtomicU64::new(0),
            pages: Pages::default(),
        }))
    }

    /// Has this process take its memory in small pages from here on: until its reducers hold a mebibyte together, or for
    /// good where the limit leaves less than 256 MiB for each of so many workers. Linux only.
    pub fn begin_with_small_pages(&self, workers: usize) {
        self.0.pages.begin_small(self.0.limit, workers);
    }

    /// Where to spill to.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// Bytes that all reducers of this process may hold.
    pub fn reducers_bytes(&self) -> usize {
        self.0.reducers_bytes
    }

    /// Bytes of records that may be on their way to reducers from this process.
    pub fn in_flight_bytes(&self) -> usize {
        self.0.limit.map_or(usize::MAX, |bytes| clamped(bytes / 8))
    }

    /// Notes that a worker sent another one of this process so many bytes after the scans had ended, when no window
    /// holds back who sends.
    pub fn launch(&self, bytes: usize) {
        self.0.in_flight.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes that they were taken in.
    pub fn land(&self, bytes: usize) {
        let less = |in_flight: usize| Some(in_flight.saturating_sub(bytes));
        // Never refused: there is always a number to put in its place.
        let _ = self.0.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Whether more may be sent before some of it was taken in.
    pub fn may_launch(&self) -> bool {
        self.0.in_flight.load(Ordering::Relaxed) < self.in_flight_bytes()
    }

    /// Bytes that all routers of this process may use for their buffers.
    pub fn router_bytes(&self) -> usize {
        self.in_flight_bytes()
    }

    /// Bytes that all queues between this process and others may hold before they use the disk.
    pub fn queue_bytes(&self) -> usize {
        self.in_flight_bytes()
    }

    /// Notes that a queue wrote so many bytes to disk.
    pub fn queue_spilled(&self, bytes: u64) {
        self.0.queues_spilled.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that queues wrote to disk.
    pub fn queue_spilled_bytes(&self) -> u64 {
        self.0.queues_spilled.load(Ordering::Relaxed)
    }

    /// A place at the table for one reducer of one worker.
    pub fn seat(&self) -> Seat {
        self.0.seats.fetch_add(1, Ordering::Relaxed);
        Seat { budget: self.clone(), held: 0, told: 0 }
    }
}

fn clamped(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// What one reducer of one worker holds of the budget.
#[derive(Debug)]
pub struct Seat {
    budget: Budget,
    held: usize,
    /// What the others know of.
    told: usize,
}

impl Seat {
    /// Says that the reducer now holds `bytes`. Costs a comparison, unless they are many more or fewer than before.
    pub fn hold(&mut self, bytes: usize) {
        self.held = bytes;
        let step = (self.share_bytes() / 256).clamp(LEAST_STEP_BYTES, GREATEST_STEP_BYTES);
        if bytes.abs_diff(self.told) >= step {
            self.tell(bytes);
        }
    }

    fn tell(&mut self, bytes: usize) {
        let held = &self.budget.0.held;
        if bytes > self.told {
            let more = bytes - self.told;
            self.budget.0.pages.note_held(held.fetch_add(more, Ordering::Relaxed) + more);
        } else {
            held.fetch_sub(self.told - bytes, Ordering::Relaxed);
        }
        self.told = bytes;
    }

    /// Bytes this reducer holds.
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    /// Bytes this reducer could hold if all held as much.
    pub fn share_bytes(&self) -> usize {
        self.budget.0.reducers_bytes / self.budget.0.seats.load(Ordering::Relaxed).max(1)
    }

    /// Whether the reducers hold too much together and it is on this one to give some back: who holds more than its
    /// share does so first, and everyone when that one does not get to it.
    pub fn must_spill(&self) -> bool {
        let most = self.budget.0.reducers_bytes;
        let all = self.budget.0.held.load(Ordering::Relaxed);
        all > most && self.held > 0 && (self.held > self.share_bytes() || all - most > most / 8)
    }

    /// Whether all reducers together hold more than half of what they may: from here on, it counts that memory which
    /// is given back can really be used again.
    pub fn is_half_full(&self) -> bool {
        self.budget.0.held.load(Ordering::Relaxed) > self.budget.0.reducers_bytes / 2
    }

    /// The budget of the process.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.tell(0);
        self.budget.0.seats.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1_000_000;

    fn budget(reducers_bytes: u64) -> Budget {
        Budget::new(Some(reducers_bytes / 5 * 8 + PROCESS_BYTES + WORKER_BYTES), PathBuf::new(), 1)
    }

    #[test]
    fn who_holds_most_gives_back_first() {
        let budget = budget(10 * MB as u64);
        let (mut first, mut second) = (budget.seat(), budget.seat());
        assert_eq!(first.share_bytes(), 5 * MB);
        first.hold(8 * MB);
        second.hold(MB);
        assert!(!first.must_spill() && !second.must_spill());
        second.hold(2 * MB);
        second.hold(2 * MB + 64_000);
        assert!(first.must_spill() && !second.must_spill());
        // The first does not get to it: it may not cost more than an eighth.
        second.hold(4 * MB);
        assert!(second.must_spill());
        first.hold(5 * MB);
        assert!(!first.must_spill() && !second.must_spill());
        drop(first);
        assert_eq!(second.share_bytes(), 10 * MB);
        second.hold(9 * MB);
        assert!(!second.must_spill(), "what a reducer held goes with it");
    }

    #[test]
    fn a_small_limit_leaves_something_to_hold() {
        assert_eq!(Budget::new(Some(8_000_000), PathBuf::new(), 4).seat().share_bytes(), 1_000_000);
        let large = Budget::new(Some(1_048_000_000), PathBuf::new(), 1).seat().share_bytes();
        assert_eq!(large, 625_000_000);
    }

    #[test]
    fn what_is_read_ahead_is_not_for_reducers() {
        let share =
            |limit, ahead| Budget::new(limit, PathBuf::new(), 1).with_read_ahead(ahead).seat().share_bytes();
        assert_eq!(share(Some(1_048_000_000), 32 * MB as u64), 593_000_000);
        assert_eq!(share(Some(80_000_000), 40 * MB as u64), 10_000_000);
        assert_eq!(share(None, 1 << 40), usize::MAX);
    }

    #[test]
    fn who_sends_waits_for_who_receives() {
        let budget = Budget::new(Some(8 * MB as u64), PathBuf::new(), 2);
        budget.launch(MB - 1);
        assert!(budget.may_launch());
        budget.clone().launch(1);
        assert!(!budget.may_launch());
        budget.land(MB / 2);
        assert!(budget.may_launch());
    }

    #[test]
    fn without_a_limit_nobody_gives_back() {
        let mut seat = Budget::default().seat();
        seat.hold(usize::MAX / 4);
        assert!(!seat.must_spill() && !seat.is_half_full());
    }
}

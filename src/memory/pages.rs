//! The size of the pages in which this process takes its memory (Linux): small until its reducers hold much.
//!
//! All of a huge page is cleared, and resident, once a byte of it is used. A query that holds little spends more time on
//! that than on its rows: Query 1A on Parquet had 36 MB resident instead of 14 and took a sixth longer. One that holds
//! large tables gains: Query 2C on Parquet takes a fifth less with huge pages, as fewer addresses miss the TLB.

use std::sync::atomic::{AtomicBool, Ordering};

/// A process whose reducers hold as much as this takes huge pages from then on.
const MUCH_BYTES: usize = 1 << 20;
/// With a limit that leaves less than this for each worker, what huge pages round up would no longer be lost in it: 15 to
/// 25 MB for each worker, measured in Query 3 with a spilling join.
const LEAST_LIMIT_BYTES: u64 = 256 << 20;

/// Whether pages are small until much is held. As the system has them unless it is said.
#[derive(Debug, Default)]
pub(super) struct Pages {
    small_for_now: AtomicBool,
}

impl Pages {
    /// Small pages from here on: until much is held, or for good where the limit of the process is small for so many
    /// workers.
    pub(super) fn begin_small(&self, limit: Option<u64>, workers: usize) {
        let for_good = limit.is_some_and(|limit| limit / (workers.max(1) as u64) < LEAST_LIMIT_BYTES);
        self.small_for_now.store(!for_good, Ordering::Relaxed);
        allow_huge(false);
    }

    /// Notes what the reducers of the process hold together.
    pub(super) fn note_held(&self, bytes: usize) {
        if bytes >= MUCH_BYTES && self.small_for_now.swap(false, Ordering::Relaxed) {
            allow_huge(true);
        }
    }
}

/// Where the system cannot, memory or time differ, and the answer does not.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "only Linux has the switch"))]
fn allow_huge(allowed: bool) {
    #[cfg(target_os = "linux")]
    {
        let _ = rustix::thread::disable_transparent_huge_pages(!allowed);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::PathBuf;

    use super::super::Budget;

    /// What the kernel says of this process, where it does.
    fn huge_pages_allowed() -> Option<bool> {
        let status = std::fs::read_to_string("/proc/self/status").expect("a status");
        let line = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"))?;
        Some(line.trim() == "1")
    }

    // One test, as the switch is the whole process's.
    #[test]
    fn pages_are_small_until_much_is_held_and_for_good_under_a_small_limit() {
        let Some(before) = huge_pages_allowed() else { return };
        let hold = |limit, held: usize| {
            let budget = Budget::new(limit, PathBuf::new(), 2);
            budget.begin_with_small_pages(2);
            assert_eq!(huge_pages_allowed(), Some(false));
            let (mut first, mut second) = (budget.seat(), budget.seat());
            first.hold(held / 2);
            second.hold(held / 2);
            huge_pages_allowed()
        };
        assert_eq!(hold(None, 512 << 10), Some(false));
        assert_eq!(hold(None, 2 << 20), Some(true));
        assert_eq!(hold(Some(512 << 20), 2 << 20), Some(true));
        assert_eq!(hold(Some(500 << 20), 2 << 20), Some(false));
        super::allow_huge(before);
    }
}

//! Memory that costs a run no more than it does on a machine of one's own: why, `docs/decisions/0031-benchmarks-touch-memory-first.md` tells.

use memmap2::MmapMut;

/// More than this is not touched: it would take longer than most queries.
const MOST_BYTES: u64 = 2 << 30;
/// Bytes of the smallest pages there are.
const PAGE_BYTES: usize = 4 << 10;

/// Takes so much memory, writes to every page of it, and gives it back to the system, free for who comes next. Where there is not so much,
/// it does nothing: the run that is to come will say so.
pub(crate) fn touch(bytes: u64) {
    if bytes == 0 {
        return;
    }
    let Ok(mut room) = MmapMut::map_anon(bytes.min(MOST_BYTES) as usize) else { return };
    // Large pages, which is what queries take, come from elsewhere than small ones. Where there are none, the small ones do.
    #[cfg(target_os = "linux")]
    let _ = room.advise(memmap2::Advice::HugePage);
    room.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use millrace::report::{peak_rss_bytes, resident_bytes};

    #[test]
    fn what_is_touched_was_there_and_is_given_back() {
        // Catches memory that is asked for and never had, and memory that is kept.
        const BYTES: u64 = 256 << 20;
        touch(0);
        let Some(before) = resident_bytes() else { return };
        touch(BYTES);
        assert!(peak_rss_bytes() > Some(before + BYTES / 4 * 3));
        assert!(resident_bytes() < Some(before + BYTES / 2));
    }
}

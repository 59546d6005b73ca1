//! Counts how often each page is hit, by several threads and in random order.
//!
//! Each hit on its own would wait for memory: at 10 million pages an atomic increment of a random counter takes some
//! 50 ns. So a thread gathers hits by ranges of pages whose counters fit a core's second cache, and adds up
//! a range's hits together.

use std::sync::{Mutex, PoisonError};

/// Counters of a range: 1 MiB.
const RANGE_PAGES_LOG2: u32 = 18;
/// Hits a thread gathers for a range before it adds them up.
const GATHERED_HITS: usize = 512;

/// The number of hits of every page.
#[derive(Debug)]
pub(super) struct Tally {
    ranges: Vec<Vec<u32>>,
}

impl Tally {
    /// Hits of the page.
    #[inline]
    pub(super) fn hits(&self, page: u64) -> u32 {
        let (range, place) = split(page);
        self.ranges[range][place as usize]
    }
}

/// A tally that threads still add to.
#[derive(Debug)]
pub(super) struct SharedTally {
    ranges: Vec<Mutex<Vec<u32>>>,
}

impl SharedTally {
    /// No hits yet for each of `pages` pages.
    pub(super) fn new(pages: u64) -> Self {
        let (full, rest) = split(pages);
        let length_of = |range| if range < full { 1 << RANGE_PAGES_LOG2 } else { rest as usize };
        SharedTally { ranges: (0..=full).map(|range| Mutex::new(vec![0; length_of(range)])).collect() }
    }

    /// One thread's way to add hits; they all count once it is dropped.
    pub(super) fn gatherer(&self) -> Gatherer<'_> {
        let gathered = self.ranges.iter().map(|_| Vec::with_capacity(GATHERED_HITS)).collect();
        Gatherer { tally: self, gathered }
    }

    /// The sum of what all gatherers added.
    pub(super) fn finish(self) -> Tally {
        let unlock = |range: Mutex<Vec<u32>>| range.into_inner().unwrap_or_else(PoisonError::into_inner);
        Tally { ranges: self.ranges.into_iter().map(unlock).collect() }
    }
}

/// Gathers the hits of one thread.
#[derive(Debug)]
pub(super) struct Gatherer<'a> {
    tally: &'a SharedTally,
    gathered: Vec<Vec<u32>>,
}

impl Gatherer<'_> {
    /// Counts one hit.
    #[inline]
    pub(super) fn hit(&mut self, page: u64) {
        let (range, place) = split(page);
        let gathered = &mut self.gathered[range];
        gathered.push(place);
        if gathered.len() == GATHERED_HITS {
            add_up(&self.tally.ranges[range], gathered);
        }
    }
}

impl Drop for Gatherer<'_> {
    fn drop(&mut self) {
        for (range, gathered) in self.tally.ranges.iter().zip(&mut self.gathered) {
            add_up(range, gathered);
        }
    }
}

fn add_up(range: &Mutex<Vec<u32>>, gathered: &mut Vec<u32>) {
    let mut hits = range.lock().unwrap_or_else(PoisonError::into_inner);
    for place in gathered.drain(..) {
        hits[place as usize] += 1;
    }
}

/// The range a page is in, and its place there.
#[inline]
fn split(page: u64) -> (usize, u32) {
    ((page >> RANGE_PAGES_LOG2) as usize, (page & ((1 << RANGE_PAGES_LOG2) - 1)) as u32)
}

#[cfg(test)]
mod tests {
    //! Would catch hits that are lost when a gatherer ends, and ranges that overlap or end early.

    use super::{GATHERED_HITS, RANGE_PAGES_LOG2, SharedTally};

    #[test]
    fn every_hit_counts_once() {
        let range_pages = 1 << RANGE_PAGES_LOG2;
        for pages in [1, 10, range_pages, range_pages + 1, 2 * range_pages - 1] {
            let shared = SharedTally::new(pages);
            let edges = [0, range_pages - 1, range_pages, pages - 1];
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        let mut gatherer = shared.gatherer();
                        for page in edges.into_iter().filter(|page| *page < pages) {
                            for _ in 0..=GATHERED_HITS {
                                gatherer.hit(page);
                            }
                        }
                    });
                }
            });
            let tally = shared.finish();
            for page in edges.into_iter().filter(|page| *page < pages) {
                let times = edges.iter().filter(|edge| **edge == page).count();
                assert_eq!(tally.hits(page) as usize, 2 * times * (GATHERED_HITS + 1), "{page} of {pages}");
            }
        }
    }
}

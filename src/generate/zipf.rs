//! Which page a link points to: Zipf's law with exponent 0.5, in whole-number weights.
//!
//! Page `x` of `1..=N` has weight `round(1.5 * sqrt(N / x))`, halves rounded up, and a link draws a value below the sum of
//! all weights (about `3 N`). Pages of equal weight follow each other, so the law for 90 million pages is a table
//! of about a thousand runs.

use super::java_random::JavaRandom;

/// Pages `first_page..` (from 0) that share one weight, up to where the next run starts.
#[derive(Debug, Clone, Copy)]
struct Run {
    first_value: u64,
    first_page: u64,
    weight: u64,
}

/// The law for one number of pages.
#[derive(Debug)]
pub(super) struct LinkTargets {
    total_weight: u64,
    runs: Vec<Run>,
    /// For each block of `1 << guide_shift` values: the run that holds the block's first value.
    guide: Vec<u32>,
    guide_shift: u32,
}

/// Blocks in the guide: about four for each run at 90 million pages, and still at home in a core's first cache.
const GUIDE_BLOCKS_LOG2: u32 = 12;

impl LinkTargets {
    /// The law for `pages` pages.
    pub(super) fn new(pages: u64) -> Self {
        let mut runs = Vec::new();
        let mut total_weight = 0;
        let mut first_page = 0;
        // round(1.5 sqrt(N/x)) >= w means (2w - 1)^2 x <= 9N: whole numbers only, the same everywhere.
        for weight in (2..=weight_of(pages, 1)).rev() {
            let end = 9 * pages / (2 * weight - 1).pow(2);
            if end > first_page {
                runs.push(Run { first_value: total_weight, first_page, weight });
                total_weight += (end - first_page) * weight;
                first_page = end;
            }
        }
        let guide_shift = total_weight.max(1).ilog2().saturating_sub(GUIDE_BLOCKS_LOG2);
        let mut run = 0;
        let guide = (0..=total_weight >> guide_shift)
            .map(|block| {
                while run + 1 < runs.len() && runs[run + 1].first_value <= block << guide_shift {
                    run += 1;
                }
                run as u32
            })
            .collect();
        LinkTargets { total_weight, runs, guide, guide_shift }
    }

    /// The sum of all weights.
    #[cfg(test)]
    pub(super) fn total_weight(&self) -> u64 {
        self.total_weight
    }

    /// The page (from 0) that the next link points to. There must be at least one page.
    #[inline]
    pub(super) fn draw(&self, random: &mut JavaRandom) -> u64 {
        self.page_of((random.next_double() * self.total_weight as f64) as u64)
    }

    /// The page that a value below the total weight stands for.
    #[inline]
    fn page_of(&self, value: u64) -> u64 {
        let mut index = self.guide[(value >> self.guide_shift) as usize] as usize;
        while self.runs.get(index + 1).is_some_and(|next| next.first_value <= value) {
            index += 1;
        }
        let run = self.runs[index];
        run.first_page + (value - run.first_value) / run.weight
    }
}

/// `round(1.5 * sqrt(pages / x))` for `x` from 1, in whole numbers: the largest `w` with `(2w - 1)^2 x <= 9 pages`.
pub(super) fn weight_of(pages: u64, x: u64) -> u64 {
    (9 * pages / x).isqrt().div_ceil(2)
}

#[cfg(test)]
mod tests {
    //! Would catch a run that starts a page early, a guide that skips a run, and a page no link can reach.

    use super::{LinkTargets, weight_of};

    fn by_floats(pages: u64, x: u64) -> u64 {
        (1.5 * (pages as f64).sqrt() / (x as f64).sqrt() + 0.5).floor() as u64
    }

    #[test]
    fn every_value_finds_the_page_whose_weight_covers_it() {
        for pages in [1, 2, 3, 10, 100, 1_200, 54_321] {
            let targets = LinkTargets::new(pages);
            let mut value = 0;
            for page in 0..pages {
                let weight = weight_of(pages, page + 1);
                assert_eq!(targets.page_of(value), page, "first value of page {page} of {pages}");
                value += weight;
                assert_eq!(targets.page_of(value - 1), page, "last value of page {page} of {pages}");
            }
            assert_eq!(value, targets.total_weight());
        }
    }

    #[test]
    fn whole_number_weights_are_the_rounded_roots() {
        for pages in [10_u64, 1_200, 90_000_000] {
            for x in (1..=pages.min(5_000)).chain([pages / 2, pages - 1, pages]) {
                // A tie is where floating point may fall to either side.
                if (9 * pages).is_multiple_of(x) && ((9 * pages) / x).isqrt().pow(2) == 9 * pages / x {
                    continue;
                }
                assert_eq!(weight_of(pages, x), by_floats(pages, x), "page {x} of {pages}");
            }
        }
    }

    #[test]
    fn tiny_has_the_total_that_made_the_published_ranks() {
        assert_eq!(LinkTargets::new(1_200).total_weight(), 3_649);
    }
}

//! The table `rankings`: every page with the number of links that hit it.
//!
//! `pageRank` is counted, not modelled: all links of all pages are drawn, and each adds one to its target. That
//! takes four bytes and about one microsecond of one core a page, which is little beside writing `uservisits`.

use super::java_random::JavaRandom;
use super::pages::{SlotUrls, Slots, slot_seed};
use super::parallel::{Stop, for_each_slot};
use super::tally::{SharedTally, Tally};
use super::text::append_number;
use super::write::{RowWriter, Source};
use super::zipf::LinkTargets;
use crate::Error;

/// What the rows of `rankings` are made from.
#[derive(Debug)]
pub(super) struct Rankings {
    slots: Slots,
    seed: u64,
    ranks: Tally,
}

impl Rankings {
    /// Counts the links to every page.
    pub(super) fn count_links(pages: u64, seed: u64, threads: usize, stop: &Stop) -> Result<Self, Error> {
        let slots = Slots::new(pages, seed);
        let targets = LinkTargets::new(pages);
        let tally = SharedTally::new(pages);
        for_each_slot(
            threads,
            slots.count(),
            stop,
            || tally.gatherer(),
            |hits, slot| {
                let mut streams = slots.streams(slot);
                for _ in slots.range(slot) {
                    streams.url_length();
                    for _ in 0..streams.links() {
                        hits.hit(targets.draw(&mut streams.targets));
                    }
                }
                Ok(())
            },
        )?;
        Ok(Rankings { slots, seed, ranks: tally.finish() })
    }
}

impl Source for Rankings {
    type Slot = SlotUrls;
    /// Draws `avgDuration`.
    type Stream = JavaRandom;

    fn slots(&self) -> u64 {
        self.slots.count()
    }

    fn open(&self, file: u64) -> JavaRandom {
        JavaRandom::new(slot_seed(self.seed, file + 1))
    }

    fn prepare(&self, slot: u64, urls: &mut SlotUrls) {
        urls.fill(&self.slots, slot);
    }

    fn write_rows(
        &self,
        urls: &SlotUrls,
        (file, files): (u64, u64),
        durations: &mut JavaRandom,
        rows: &mut RowWriter<'_>,
    ) -> Result<(), Error> {
        for (page, url) in urls.of_file(file, files) {
            let out = &mut rows.out;
            out.extend_from_slice(url);
            out.push(b',');
            append_number(self.ranks.hits(page), out);
            out.push(b',');
            append_number(1 + durations.next_int(99), out);
            out.push(b'\n');
            rows.row_done()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! Would catch links that miss their law: the model is the one that predicts the published answers of query 1.

    use super::Rankings;
    use crate::generate::parallel::Stop;
    use crate::generate::zipf::{LinkTargets, weight_of};

    fn ranks(pages: u64, seed: u64) -> Vec<u32> {
        let rankings = Rankings::count_links(pages, seed, 2, &Stop::default()).expect("nothing stops it");
        (0..pages).map(|page| rankings.ranks.hits(page)).collect()
    }

    /// Probability that a Poisson variable of this mean is above `limit`.
    fn poisson_above(mean: f64, limit: u32) -> f64 {
        let mut term = -mean;
        let mut below = 0.0;
        for count in 0..=limit {
            below += term.exp();
            term += mean.ln() - f64::from(count + 1).ln();
        }
        1.0 - below
    }

    #[test]
    fn tiny_has_the_published_ranks() {
        let ranks = ranks(1_200, 0);
        let first_rows: Vec<u32> = (0..100).step_by(10).map(|page| ranks[page]).collect();
        assert_eq!(first_rows, [665, 187, 120, 111, 107, 96, 89, 90, 86, 64]);
    }

    #[test]
    fn links_are_39_and_a_half_a_page_and_follow_the_weights() {
        const PAGES: u32 = 100_000;
        let ranks = ranks(PAGES.into(), 7);
        let links: f64 = ranks.iter().map(|rank| f64::from(*rank)).sum();
        assert!((links / f64::from(PAGES) - 39.52).abs() < 0.05, "{links} links");

        let links_a_weight = links / LinkTargets::new(PAGES.into()).total_weight() as f64;
        for limit in [1_000, 100, 10] {
            let above = ranks.iter().filter(|rank| **rank > limit).count() as f64;
            let (mut expected, mut variance) = (0.0, 0.0);
            for page in 1..=u64::from(PAGES) {
                let probability = poisson_above(weight_of(PAGES.into(), page) as f64 * links_a_weight, limit);
                expected += probability;
                variance += probability * (1.0 - probability);
            }
            let tolerance = 4.0 * f64::sqrt(variance) + 1.0;
            assert!((above - expected).abs() < tolerance, "{above} ranks above {limit}, {expected} expected");
        }
    }

    #[test]
    fn the_model_predicts_the_published_answers_of_query_1() {
        // 90 million pages: all of the same weight at once.
        const PAGES: u64 = 90_000_000;
        let links_a_weight = 39.52 * PAGES as f64 / LinkTargets::new(PAGES).total_weight() as f64;
        for (limit, predicted) in [(1_000, 32_885.0), (100, 3_332_493.0), (10, 89_974_882.0)] {
            let mut expected = 0.0;
            let mut from = 0;
            for weight in (2..=weight_of(PAGES, 1)).rev() {
                let to = 9 * PAGES / (2 * weight - 1).pow(2);
                expected += (to - from) as f64 * poisson_above(weight as f64 * links_a_weight, limit);
                from = to;
            }
            assert!(
                (expected / predicted - 1.0_f64).abs() < 2e-3,
                "{expected} above {limit}, {predicted} expected"
            );
        }
    }
}

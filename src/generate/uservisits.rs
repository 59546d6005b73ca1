//! The table `uservisits`: visits to pages drawn uniformly, written page by page.
//!
//! First every visit draws its page and only the number of visits to each page is kept; then each file walks its
//! pages in order and draws the other columns from one stream, in `HiBench`'s order.

use super::java_random::JavaRandom;
use super::pages::{SlotUrls, Slots, slot_seed};
use super::parallel::{Stop, for_each_slot};
use super::tally::{SharedTally, Tally};
use super::text::{VISIT_DATES, append_fraction, append_number};
use super::words::{COUNTRIES, SEARCH_WORDS, USER_AGENTS};
use super::write::{RowWriter, Source};
use crate::Error;

/// Milliseconds from 1970-01-01 to 2012-05-01, UTC: visits are spread over them.
const VISIT_SPAN_MILLISECONDS: f64 = 1_335_830_400_000.0;
const MILLISECONDS_A_DAY: f64 = 86_400_000.0;

/// A slot may hold many visits, and Ctrl-C should not wait for all of them.
const DRAWS_BETWEEN_CHECKS: usize = 1 << 20;

/// What the rows of `uservisits` are made from.
#[derive(Debug)]
pub(super) struct UserVisits {
    slots: Slots,
    seed: u64,
    visits: Tally,
}

impl UserVisits {
    /// Draws the page of each of `visits` visits to `pages` pages; at least one page where there is a visit.
    pub(super) fn count_visits(
        visits: u64,
        pages: u64,
        seed: u64,
        threads: usize,
        stop: &Stop,
    ) -> Result<Self, Error> {
        let slots = Slots::new(pages, seed);
        let tally = SharedTally::new(pages);
        let count = slots.count();
        for_each_slot(
            threads,
            count,
            stop,
            || tally.gatherer(),
            |hits, slot| {
                let mut random = JavaRandom::new(slot_seed(seed, slot + 1));
                // Slot s of S draws visits s, s + S, s + 2 S, …
                for (drawn, _) in (slot..visits).step_by(count as usize).enumerate() {
                    if drawn % DRAWS_BETWEEN_CHECKS == 0 {
                        stop.check()?;
                    }
                    hits.hit((random.next_double() * pages as f64) as u64);
                }
                Ok(())
            },
        )?;
        Ok(UserVisits { slots, seed, visits: tally.finish() })
    }
}

impl Source for UserVisits {
    type Slot = SlotUrls;
    /// Draws every column but `destURL`.
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
        random: &mut JavaRandom,
        rows: &mut RowWriter<'_>,
    ) -> Result<(), Error> {
        for (page, url) in urls.of_file(file, files) {
            for _ in 0..self.visits.hits(page) {
                append_visit(url, random, &mut rows.out);
                rows.row_done()?;
            }
        }
        Ok(())
    }
}

fn append_visit(url: &[u8], random: &mut JavaRandom, out: &mut Vec<u8>) {
    append_number(1 + random.next_int(254), out);
    out.push(b'.');
    append_number(random.next_int(255), out);
    out.push(b'.');
    append_number(random.next_int(255), out);
    out.push(b'.');
    append_number(1 + random.next_int(254), out);
    out.push(b',');
    out.extend_from_slice(url);
    out.push(b',');
    let milliseconds = (random.next_double() * VISIT_SPAN_MILLISECONDS).floor();
    out.extend_from_slice(&VISIT_DATES[(milliseconds / MILLISECONDS_A_DAY) as usize]);
    out.push(b',');
    append_fraction(random.next_float(), out);
    for list in [&USER_AGENTS, &COUNTRIES, &SEARCH_WORDS] {
        out.push(b',');
        out.extend_from_slice(list[random.next_int(list.len() as u32) as usize].as_bytes());
    }
    out.push(b',');
    append_number(1 + random.next_int(10), out);
    out.push(b'\n');
}

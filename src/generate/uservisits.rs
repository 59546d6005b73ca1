//! The table `uservisits`: visits to pages drawn uniformly, written page by page.
//!
//! First every visit draws its page and only the number of visits to each page is kept; then each file walks its
//! pages in order and draws the other columns from one stream, in `HiBench`'s order.

use std::sync::atomic::{AtomicU32, Ordering};

use super::java_random::JavaRandom;
use super::pages::{SlotUrls, Slots, slot_seed};
use super::parallel::{Stop, for_each_slot};
use super::text::{VISIT_DATES, append_fraction, append_number};
use super::words::{COUNTRIES, SEARCH_WORDS, USER_AGENTS};
use super::write::Source;
use crate::Error;

/// Milliseconds from 1970-01-01 to 2012-05-01, UTC: visits are spread over them.
const VISIT_SPAN_MILLISECONDS: f64 = 1_335_830_400_000.0;
const MILLISECONDS_A_DAY: f64 = 86_400_000.0;

/// What the rows of `uservisits` are made from.
#[derive(Debug)]
pub(super) struct UserVisits {
    slots: Slots,
    seed: u64,
    visits: Vec<u32>,
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
        let counts: Vec<AtomicU32> = (0..pages).map(|_| AtomicU32::new(0)).collect();
        let count = slots.count();
        for_each_slot(
            threads,
            count,
            stop,
            || (),
            |(), slot| {
                let mut random = JavaRandom::new(slot_seed(seed, slot + 1));
                // Slot s of S draws visits s, s + S, s + 2 S, …
                for _ in (slot..visits).step_by(count as usize) {
                    let page = (random.next_double() * pages as f64) as usize;
                    counts[page].fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            },
        )?;
        Ok(UserVisits { slots, seed, visits: counts.into_iter().map(AtomicU32::into_inner).collect() })
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

    fn append(
        &self,
        urls: &SlotUrls,
        (file, files): (u64, u64),
        random: &mut JavaRandom,
        out: &mut Vec<u8>,
    ) -> u64 {
        let mut rows = 0;
        for (page, url) in urls.of_file(file, files) {
            let visits = self.visits[page as usize];
            for _ in 0..visits {
                append_visit(url, random, out);
            }
            rows += u64::from(visits);
        }
        rows
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

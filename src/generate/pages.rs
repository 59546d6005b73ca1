//! Pages: their URLs and how many links they hold, slot by slot, as `HiBench` draws them.
//!
//! Pages are numbered from 0 and cut into slots of consecutive numbers. A slot has seeds of its own, so slots can be
//! made in any order and on any thread; inside a slot the draws depend on each other.

use super::java_random::JavaRandom;

/// Shortest URL in letters; the longest has [`URL_LENGTHS`] - 1 more.
pub(super) const URL_SHORTEST: u32 = 10;
/// How many lengths a URL can have: 10 to 100 letters.
pub(super) const URL_LENGTHS: u32 = 91;

/// Slots of a small set, as in the published `tiny`.
const FEWEST_SLOTS: u64 = 10;
/// Pages of a slot at most, so that a slot's text stays below a megabyte. How many the larger published sets had is
/// not known.
const LARGEST_SLOT: u64 = 16_384;

/// How the pages of a set are cut into slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots {
    /// Pages in all.
    pub(super) pages: u64,
    /// Pages of every slot but the last ones.
    pub(super) slot_pages: u64,
    seed: u64,
}

impl Slots {
    /// Ten slots, or as many more as keep each at 16,384 pages.
    pub(super) fn new(pages: u64, seed: u64) -> Self {
        Slots { pages, slot_pages: pages.div_ceil(FEWEST_SLOTS).clamp(1, LARGEST_SLOT), seed }
    }

    /// Number of slots.
    pub(super) fn count(&self) -> u64 {
        self.pages.div_ceil(self.slot_pages)
    }

    /// The page numbers of a slot (slots count from 0).
    pub(super) fn range(&self, slot: u64) -> std::ops::Range<u64> {
        let first = slot * self.slot_pages;
        first..(first + self.slot_pages).min(self.pages)
    }

    /// The random streams of a slot.
    pub(super) fn streams(&self, slot: u64) -> SlotStreams {
        let mut seeds = JavaRandom::new(slot_seed(self.seed, slot + 1));
        let urls = JavaRandom::new(seeds.next_long());
        // Seeds links to pages outside of the set, which the benchmark's tables do not have.
        let _outside_links = seeds.next_long();
        let targets = JavaRandom::new(seeds.next_long());
        let pages = JavaRandom::new(seeds.next_long());
        SlotStreams { urls, targets, pages }
    }
}

/// The seed of the `number`-th stream (from 1) of a kind under the set's seed: the number itself for seed 0, which
/// is what `HiBench` uses; for other seeds the numbers are moved elsewhere together.
pub(super) fn slot_seed(seed: u64, number: u64) -> i64 {
    let moved = if seed == 0 { 0 } else { scramble(seed) };
    (number ^ moved).cast_signed()
}

/// Spreads neighbouring numbers over all 64 bits (the finaliser of splitmix64).
pub(super) fn scramble(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The three random streams a slot is made of. For each page in turn: its URL's length, then its number of links.
#[derive(Debug)]
pub(super) struct SlotStreams {
    urls: JavaRandom,
    /// Draws the pages that links point to.
    pub(super) targets: JavaRandom,
    pages: JavaRandom,
}

impl SlotStreams {
    /// Length of the next page's URL, in letters. To be followed by [`SlotStreams::links`].
    pub(super) fn url_length(&mut self) -> u32 {
        URL_SHORTEST + self.pages.next_int(URL_LENGTHS)
    }

    /// Appends the letters of a URL of `length`.
    pub(super) fn append_url(&mut self, length: u32, out: &mut Vec<u8>) {
        out.extend((0..length).map(|_| b'a' + self.urls.next_int(26) as u8));
    }

    /// Number of links on the page whose URL length was drawn last.
    pub(super) fn links(&mut self) -> u32 {
        content_links(&mut self.pages)
    }
}

/// Links on a page: five in a hundred of its words, whose number is normal with mean 800 and deviation 80.
pub(super) fn content_links(random: &mut JavaRandom) -> u32 {
    (0.05 * f64::from(content_words(random))).floor() as u32
}

/// Words on a page, links included.
pub(super) fn content_words(random: &mut JavaRandom) -> u32 {
    // Below, a page would have fewer than no words; above, more than a Java short can count.
    const LIMITS: std::ops::RangeInclusive<f64> = -10.0..=(32_767.0 - 800.0) / 80.0;
    loop {
        let gaussian = random.next_gaussian();
        if LIMITS.contains(&gaussian) {
            // Java's Math.round: halves go up.
            return (800.0 + 80.0 * gaussian + 0.5).floor() as u32;
        }
    }
}

/// The URLs of one slot, as one text.
#[derive(Debug, Default)]
pub(super) struct SlotUrls {
    first_page: u64,
    text: Vec<u8>,
    ends: Vec<u32>,
}

impl SlotUrls {
    /// Makes the URLs of `slot`, in the room of an earlier slot's.
    pub(super) fn fill(&mut self, slots: &Slots, slot: u64) {
        let range = slots.range(slot);
        let mut streams = slots.streams(slot);
        self.first_page = range.start;
        self.text.clear();
        self.ends.clear();
        for _ in range {
            let length = streams.url_length();
            streams.append_url(length, &mut self.text);
            self.ends.push(self.text.len() as u32);
            streams.links();
        }
    }

    /// The pages of this slot that file `file` of `files` holds, with their URLs: every `files`-th page of the set.
    pub(super) fn of_file(&self, file: u64, files: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let first = first_in_file(self.first_page, file, files);
        (first..self.first_page + self.ends.len() as u64).step_by(files as usize).map(|page| {
            let index = (page - self.first_page) as usize;
            let start = if index == 0 { 0 } else { self.ends[index - 1] };
            (page, &self.text[start as usize..self.ends[index] as usize])
        })
    }
}

/// The first row from `from` on that file `file` of `files` holds, when row `i` is in file `i % files`.
pub(super) fn first_in_file(from: u64, file: u64, files: u64) -> u64 {
    from + (file + files - from % files) % files
}

#[cfg(test)]
mod tests {
    //! Would catch a slot that loses or repeats a page, and a file that holds another file's page.

    use super::{SlotUrls, Slots, first_in_file, slot_seed};

    #[test]
    fn slot_one_has_the_published_urls() {
        let mut urls = SlotUrls::default();
        urls.fill(&Slots::new(1_200, 0), 0);
        let first_rows: Vec<&str> =
            urls.of_file(0, 10).map(|(_, url)| str::from_utf8(url).expect("letters")).collect();
        assert_eq!(first_rows[0], "nbizrgdziebsaecsecujfjcqtvnpcnxxwiopmddorcxnlijdizgoi");
        let published = [
            (53, "nbizrgdzie"),
            (97, "jakofwkgdcx"),
            (82, "kvhuvcjzcud"),
            (76, "rcajacqehf"),
            (51, "brailztgjg"),
            (64, "oiavraahce"),
            (34, "asesbkwwyb"),
            (64, "sshlgtsaol"),
            (41, "quklyshfdv"),
            (62, "fkxmjzufvk"),
        ];
        for (url, (length, start)) in first_rows.iter().zip(published) {
            assert_eq!((url.len(), &url[..start.len()]), (length, start));
        }
    }

    #[test]
    fn slots_cover_every_page_once() {
        for pages in [0, 1, 9, 10, 1_200, 1_201, 1_000_000] {
            let slots = Slots::new(pages, 0);
            let mut next = 0;
            for slot in 0..slots.count() {
                assert_eq!(slots.range(slot).start, next);
                next = slots.range(slot).end;
                assert!(!slots.range(slot).is_empty());
            }
            assert_eq!(next, pages);
        }
        assert_eq!(Slots::new(1_200, 0).slot_pages, 120);
    }

    #[test]
    fn files_share_out_the_pages_of_a_slot() {
        let slots = Slots::new(500, 3);
        let mut urls = SlotUrls::default();
        urls.fill(&slots, 4);
        let mut pages: Vec<u64> =
            (0..7).flat_map(|file| urls.of_file(file, 7).map(|(page, _)| page)).collect();
        pages.sort_unstable();
        assert!(pages.into_iter().eq(200..250));
        assert!(urls.of_file(3, 7).all(|(page, url)| page % 7 == 3 && (10..=100).contains(&url.len())));
        assert_eq!(first_in_file(14, 0, 7), 14);
        assert_eq!(first_in_file(15, 0, 7), 21);
    }

    #[test]
    fn only_seed_zero_is_hibench() {
        assert_eq!(slot_seed(0, 5), 5);
        assert_ne!(slot_seed(1, 5), 5);
        assert_ne!(slot_seed(1, 5), slot_seed(2, 5));
    }
}

//! The table `documents`: made-up pages of a crawl, as lines of text.
//!
//! A page opens with a header of exactly five fields, `URL IP date type length`, as in a crawl archive: the date is
//! `yyyyMMddHHmmss`, the length is the bytes of the lines that follow. Then come lines of words and links. Of about
//! 800 words five in a hundred are links, and they point to pages under the same Zipf law as `rankings`; what no
//! source tells is the crawl's own text, so words, addresses and the mixture of link forms are ours.

use super::java_random::JavaRandom;
use super::pages::{content_words, first_in_file, scramble};
use super::text::{VISIT_DATES, append_number};
use super::words::SEARCH_WORDS;
use super::write::{RowWriter, Source};
use super::zipf::LinkTargets;
use crate::Error;

/// Pages of a slot: some 2 MB of text.
const SLOT_PAGES: u64 = 256;
/// Pages of one site, which share the host of their address.
const SITE_PAGES: u64 = 8;
/// Fields that make a line starting with `http` a header; no line of text may have as many.
const HEADER_FIELDS: u32 = 5;

/// What the lines of `documents` are made from.
#[derive(Debug)]
pub(super) struct Documents {
    pages: u64,
    seed: u64,
    targets: LinkTargets,
}

impl Documents {
    /// A crawl of `pages` pages.
    pub(super) fn new(pages: u64, seed: u64) -> Self {
        Documents { pages, seed, targets: LinkTargets::new(pages) }
    }

    fn append_page(&self, page: u64, body: &mut Vec<u8>, out: &mut Vec<u8>) {
        let mut random = JavaRandom::new(scramble(scramble(self.seed) ^ page).cast_signed());
        body.clear();
        let mut left = content_words(&mut random);
        while left > 0 {
            // 6 words at least, or what is left of the page.
            let words = (6 + random.next_int(12)).min(left);
            left -= words;
            self.append_line(words, &mut random, body);
        }
        append_url(page, out);
        out.push(b' ');
        for place in 0..4 {
            if place > 0 {
                out.push(b'.');
            }
            append_number(1 + random.next_int(254), out);
        }
        out.push(b' ');
        let date = &VISIT_DATES[random.next_int(VISIT_DATES.len() as u32) as usize];
        out.extend(date.iter().filter(|byte| byte.is_ascii_digit()));
        let second_of_day = random.next_int(86_400);
        for part in [second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60] {
            out.extend_from_slice(&[b'0' + (part / 10) as u8, b'0' + (part % 10) as u8]);
        }
        out.extend_from_slice(b" text/html ");
        append_number(body.len() as u32, out);
        out.push(b'\n');
        out.extend_from_slice(body);
    }

    fn append_line(&self, words: u32, random: &mut JavaRandom, out: &mut Vec<u8>) {
        let start = out.len();
        let mut fields = words;
        for place in 0..words {
            if place > 0 {
                out.push(b' ');
            }
            match random.next_int(400) {
                0..14 => self.append_link(b"", random, out),
                // A secure address is another address.
                14..17 => self.append_link(b"s", random, out),
                17..20 => {
                    // The link runs on to the next blank, mark-up and all.
                    out.extend_from_slice(b"<a href=\"");
                    self.append_link(b"", random, out);
                    out.extend_from_slice(b"\">");
                    append_word(random, out);
                    out.extend_from_slice(b"</a>");
                    fields += 1;
                }
                _ => append_word(random, out),
            }
        }
        if fields == HEADER_FIELDS && out[start..].starts_with(b"http") {
            out.push(b' ');
            append_word(random, out);
        }
        out.push(b'\n');
    }

    fn append_link(&self, secure: &[u8], random: &mut JavaRandom, out: &mut Vec<u8>) {
        let start = out.len();
        append_url(self.targets.draw(random), out);
        let scheme_end = start + b"http".len();
        out.splice(scheme_end..scheme_end, secure.iter().copied());
    }
}

fn append_word(random: &mut JavaRandom, out: &mut Vec<u8>) {
    out.extend_from_slice(SEARCH_WORDS[random.next_int(SEARCH_WORDS.len() as u32) as usize].as_bytes());
}

/// The address of a page follows from its number, so a link needs no look-up.
fn append_url(page: u64, out: &mut Vec<u8>) {
    let word = |number: u64| SEARCH_WORDS[(number % SEARCH_WORDS.len() as u64) as usize].as_bytes();
    let site = page / SITE_PAGES;
    out.extend_from_slice(b"http://www.");
    out.extend_from_slice(word(scramble(site)));
    out.push(b'-');
    append_number(site as u32, out);
    // A domain that is reserved, so that no link leads anywhere.
    out.extend_from_slice(b".example/");
    out.extend_from_slice(word(scramble(page)));
    out.push(b'/');
    append_number((page % SITE_PAGES) as u32, out);
    out.extend_from_slice(b".html");
}

impl Source for Documents {
    /// The pages of the slot.
    type Slot = std::ops::Range<u64>;
    /// Room for a page's text.
    type Stream = Vec<u8>;

    fn slots(&self) -> u64 {
        self.pages.div_ceil(SLOT_PAGES)
    }

    fn open(&self, _file: u64) -> Vec<u8> {
        Vec::new()
    }

    fn prepare(&self, slot: u64, range: &mut Self::Slot) {
        *range = slot * SLOT_PAGES..((slot + 1) * SLOT_PAGES).min(self.pages);
    }

    fn write_rows(
        &self,
        range: &Self::Slot,
        (file, files): (u64, u64),
        body: &mut Vec<u8>,
        rows: &mut RowWriter<'_>,
    ) -> Result<(), Error> {
        for page in (first_in_file(range.start, file, files)..range.end).step_by(files as usize) {
            self.append_page(page, body, &mut rows.out);
            rows.row_done()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a text line that query 4 takes for a header, and addresses that two pages share.

    use std::collections::HashSet;

    use super::{Documents, append_url};

    #[test]
    fn only_headers_have_five_fields() {
        let documents = Documents::new(600, 0);
        let mut out = Vec::new();
        for page in 300..600 {
            documents.append_page(page, &mut Vec::new(), &mut out);
        }
        let text = String::from_utf8(out).expect("pages are ASCII");
        let headers: Vec<&str> =
            text.lines().filter(|line| line.starts_with("http") && line.split(' ').count() == 5).collect();
        assert_eq!(headers.len(), 300);
        assert!(text.lines().any(|line| line.starts_with("http") && line.split(' ').count() != 5));
        // The length in each header is the distance to the next one.
        let mut rest = text.as_str();
        for header in headers {
            let body = rest.strip_prefix(header).expect("pages follow each other").strip_prefix('\n');
            let length: usize =
                header.rsplit(' ').next().and_then(|field| field.parse().ok()).expect("a length");
            rest = &body.expect("a header ends its line")[length..];
        }
        assert_eq!(rest, "");
    }

    #[test]
    fn every_page_has_an_address_of_its_own() {
        let addresses: HashSet<Vec<u8>> = (0..50_000)
            .map(|page| {
                let mut address = Vec::new();
                append_url(page, &mut address);
                address
            })
            .collect();
        assert_eq!(addresses.len(), 50_000);
    }
}

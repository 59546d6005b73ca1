//! Query 4 as a loop: one search for `http`, which begins every link and every header of a page.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::Parser;
use memchr::{memchr, memchr_iter, memmem};
use millrace::cli::JobArguments;
use millrace::keys::PlaceHasher;
use millrace::report::AnswerHash;
use millrace::{Error, tables};

use super::{files, parse, read};

const SCHEME: &[u8] = b"http";
/// Blanks in the header of a page.
const HEADER_BLANKS: usize = 4;

/// The flags of query4, of which none shapes the answer.
#[derive(Parser)]
struct Query4 {
    #[arg(long)]
    top: Option<usize>,
    #[command(flatten)]
    job: JobArguments,
}

pub(super) fn run(arguments: &[OsString]) -> Result<(AnswerHash, u64), Error> {
    let options: Query4 = parse("query4", "--top", arguments)?;
    let mut crawl = Crawl { finder: memmem::Finder::new(SCHEME), targets: HashMap::default(), pages: 0 };
    for path in files(&options.job, "query4", &tables::PAGES)? {
        let mut at_start = true;
        read(&path, |text| {
            // Lines before the first header are a page without one.
            if at_start && !text.is_empty() {
                at_start = false;
                crawl.pages += u64::from(!is_header(text));
            }
            crawl.add(text);
            Some(())
        })?;
    }
    let mut hash = AnswerHash::default();
    crawl.targets.iter().for_each(|(target, links)| hash.add(&[target, &links.to_le_bytes()]));
    Ok((hash, crawl.pages))
}

/// Whether the first line of `text` opens a page.
fn is_header(text: &[u8]) -> bool {
    let line = &text[..memchr(b'\n', text).unwrap_or(text.len())];
    line.starts_with(SCHEME) && memchr_iter(b' ', line).count() == HEADER_BLANKS
}

struct Crawl {
    finder: memmem::Finder<'static>,
    /// Links to each target; a target is copied when it is seen first.
    targets: HashMap<Box<[u8]>, u64, PlaceHasher>,
    pages: u64,
}

impl Crawl {
    /// Counts pages and links of whole lines: neither crosses the end of a line.
    fn add(&mut self, text: &[u8]) {
        let mut at = 0;
        while let Some(found) = self.finder.find(&text[at..]) {
            let start = at + found;
            if start == 0 || text[start - 1] == b'\n' {
                self.pages += u64::from(is_header(&text[start..]));
            }
            let mut end = start + SCHEME.len();
            end += usize::from(text.get(end) == Some(&b's'));
            if !text[end..].starts_with(b"://") {
                at = start + SCHEME.len();
                continue;
            }
            end += 3;
            let space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
            let length = text[end..].iter().position(space).unwrap_or(text.len() - end);
            at = end + length;
            if length > 0 {
                let target = &text[start..at];
                match self.targets.get_mut(target) {
                    Some(links) => *links += 1,
                    None => {
                        self.targets.insert(target.into(), 1);
                    }
                }
            }
        }
    }
}

//! Phase 1: how often each page links to each target, counted here or by a program.

use std::rc::Rc;

use millrace::BadRecord;
use millrace::input::Row;
use millrace::tables::pages::links;
use serde::Deserialize;
use serde_bytes::ByteBuf;

/// The source of links that stand before the first header of a file: an address without a host.
const NO_PAGE: &[u8] = b"http://";

/// A page of the crawl: its address, and all its lines.
#[derive(Deserialize)]
pub(crate) struct Page<'a> {
    pub(crate) url: &'a [u8],
    pub(crate) text: &'a [u8],
}
impl Row for Page<'_> {
    type Of<'a> = Page<'a>;
}

/// How often a page links to a target.
pub(crate) struct Links {
    pub(crate) source: Rc<[u8]>,
    pub(crate) target: ByteBuf,
    pub(crate) count: u64,
}

/// Phase 1 by our own scanner.
pub(crate) fn count_links(page: &Page<'_>) -> Vec<Links> {
    let mut found: Vec<_> = links(page.text).collect();
    found.sort_unstable();
    let source: Rc<[u8]> = if page.url.is_empty() { NO_PAGE } else { page.url }.into();
    let same = found.chunk_by(|a, b| a == b);
    let counted = |same: &[&[u8]]| Links {
        source: Rc::clone(&source),
        target: ByteBuf::from(same[0]),
        count: same.len() as u64,
    };
    same.map(counted).collect()
}

/// A page as a program gets it: one that lacks a header would go on with the page before it.
pub(crate) fn announced(page: &Page<'_>) -> Vec<u8> {
    let header = if page.url.is_empty() { [NO_PAGE, b"    \n"].concat() } else { Vec::new() };
    [&header, page.text].concat()
}

/// A line of the program: source, target and count. Only the source may hold tabs.
pub(crate) fn read_links(line: &[u8]) -> Result<Option<Links>, String> {
    let mut fields = line.rsplitn(3, |byte| *byte == b'\t');
    let (Some(count), Some(target), Some(source)) = (fields.next(), fields.next(), fields.next()) else {
        return Err("expected an address, a target and a count, with tabs between them".into());
    };
    // Of 32 bits, so that no sum of them leaves 64.
    let number = str::from_utf8(count).ok().and_then(|text| text.trim_end().parse::<u32>().ok());
    let count = number.ok_or_else(|| format!("`{}` is no count below 2^32", BadRecord::shorten(count)))?;
    Ok(Some(Links { source: source.into(), target: ByteBuf::from(target), count: count.into() }))
}

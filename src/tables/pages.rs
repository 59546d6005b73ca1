//! The pages of a crawl, by the rules of the Big Data Benchmark's Query 4: which line opens a page, and what is a link.

use memchr::memmem;

/// How every header and every link begins.
pub(crate) const SCHEME: &[u8] = b"http";
/// Blanks in a header: it splits into five fields.
const HEADER_BLANKS: usize = 4;

/// The address of the page that `line` opens, if it is a header: a line that starts with `http` and splits on single spaces into
/// exactly five fields, of which the address is the first. Any bytes will do; the newline may be there or not.
///
/// ```
/// use millrace::tables::pages::page_url;
///
/// assert_eq!(page_url(b"http://a.example/ 10.0.0.1 19990101 text/html 20"), Some(&b"http://a.example/"[..]));
/// assert_eq!(page_url(b"http://a.example/ is a fine page"), Some(&b"http://a.example/"[..]));
/// assert_eq!(page_url(b"http://a.example/ is  a fine page"), None); // a sixth, empty field
/// ```
#[inline]
pub fn page_url(line: &[u8]) -> Option<&[u8]> {
    let header = line.starts_with(SCHEME) && memchr::memchr_iter(b' ', line).count() == HEADER_BLANKS;
    header.then(|| &line[..memchr::memchr(b' ', line).unwrap_or(0)])
}

/// All links of a text, in order: the matches of `(https?://[^\s]+)`, where `\s` is the white space of ASCII. A link runs on to
/// the next white space, whatever stands before it.
///
/// Cost: a vectorised search for `http`, and a byte at a time inside links.
///
/// ```
/// use millrace::tables::pages::links;
///
/// let text = b"see http://a.example/x, <a href=\"https://b.example\">b</a> or https://\nhttp://c";
/// let found: Vec<_> = links(text).map(|link| str::from_utf8(link).unwrap()).collect();
/// assert_eq!(found, ["http://a.example/x,", "https://b.example\">b</a>", "http://c"]);
/// ```
pub fn links(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let finder = memmem::Finder::new(SCHEME);
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(found) = finder.find(&text[at..]) {
            let start = at + found;
            let rest = &text[start..];
            at = start + SCHEME.len();
            let behind = rest[SCHEME.len()..].strip_prefix(b"s").unwrap_or(&rest[SCHEME.len()..]);
            let Some(tail) = behind.strip_prefix(b"://") else { continue };
            let length = tail.iter().position(|byte| is_space(*byte)).unwrap_or(tail.len());
            if length > 0 {
                at = text.len() - tail.len() + length;
                return Some(&text[start..at]);
            }
        }
        None
    })
}

/// White space as `\s` means it for bytes, the vertical tab included.
#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The regular expression, tried at every byte.
    fn plain_links(text: &[u8]) -> Vec<&[u8]> {
        let (mut found, mut start) = (Vec::new(), 0);
        while start < text.len() {
            let rest = &text[start..];
            let prefix =
                ["http://", "https://"].into_iter().find(|prefix| rest.starts_with(prefix.as_bytes()));
            let length = prefix.map_or(0, |prefix| {
                let spaces = [b' ', 9, 10, 11, 12, 13];
                let tail = rest[prefix.len()..].iter().take_while(|byte| !spaces.contains(byte)).count();
                if tail > 0 { prefix.len() + tail } else { 0 }
            });
            if length > 0 {
                found.push(&rest[..length]);
            }
            start += length.max(1);
        }
        found
    }

    proptest! {
        /// Catches a link lost because something like one stands before it, torn, or one too many.
        #[test]
        fn links_are_the_matches_of_the_expression(
            pieces in proptest::collection::vec(
                proptest::sample::select(vec![
                    &b"http"[..], b"s", b"://", b"http://", b"https://", b" ", b"\n", b"\x0b", b"\r", b"x", b"\xff\x00", b"ht", b":",
                ]),
                0..40,
            ),
        ) {
            let text = pieces.concat();
            prop_assert_eq!(links(&text).collect::<Vec<_>>(), plain_links(&text));
        }

        /// Catches a header taken for text, and text for a header.
        #[test]
        fn a_header_has_five_fields(fields in proptest::collection::vec("(http)?[a-z:/]{0,3}", 1..8)) {
            let line = fields.join(" ");
            let header = line.starts_with("http") && line.split(' ').count() == 5;
            prop_assert_eq!(page_url(line.as_bytes()), header.then_some(fields[0].as_bytes()));
        }
    }
}

//! The report as a page: one HTML file with the JSON report inside, which a script in the page draws.
//!
//! Whatever the page shows is read from that JSON, so that both cannot differ, and any report can be put into the same page.

use std::io::{self, Write};

use super::RunReport;

/// The page; `scripts/plot` puts reports into it as well.
const PAGE: &str = include_str!("page.html");
/// What the report takes the place of.
const PLACE: &str = "{\"the report\": \"goes here\"}";

/// Writes the page with `report` in it.
pub(super) fn write(report: &RunReport, to: &mut dyn Write) -> io::Result<()> {
    // Inside a script, `<` could end it; JSON has it in strings only, where this is the same character.
    let json = serde_json::to_string_pretty(report)?.replace('<', "\\u003c");
    let (before, after) = PAGE.split_once(PLACE).unwrap_or((PAGE, ""));
    [before, &json, after].into_iter().try_for_each(|piece| to.write_all(piece.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_place_for_the_report_and_needs_nothing_else() {
        assert_eq!(PAGE.matches(PLACE).count(), 1);
        for reference in ["<link", "src=", "@import", "url(", "fetch(", "import("] {
            assert!(!PAGE.contains(reference), "{reference}");
        }
        let addresses: Vec<_> = PAGE.match_indices("http").map(|(at, _)| &PAGE[at..at + 26]).collect();
        assert!(addresses.iter().all(|address| *address == "http://www.w3.org/2000/svg"), "{addresses:?}");
    }
}

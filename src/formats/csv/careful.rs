//! The way for what is not plain: quoted fields, blank lines, rows with a wrong number of fields, a split's last rows.
//!
//! It walks the same index as the fast way, one row at a time, and leaves where each field lies.

use super::field::FieldDeserializer;
use super::{Dialect, WantedField};
use crate::formats::row::Fields;

/// Where the fields of one row are, all of them; its memory is used again for the next row.
#[derive(Default)]
pub(super) struct CarefulRow {
    spans: Vec<Span>,
    /// Fields whose doubled quotes had to be made single.
    unescaped: Vec<u8>,
    quoted: bool,
    text_after_quote: bool,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As it stands.
    Plain,
    /// With doubled quotes in it.
    Escaped,
    /// In `unescaped`.
    Unescaped,
}

impl CarefulRow {
    /// Finds the fields of the row behind `ends[0]` and says which of `ends` ends it; `None` if none does yet.
    pub(super) fn walk(&mut self, text: &[u8], ends: &[u32], dialect: Dialect) -> Option<usize> {
        self.spans.clear();
        self.quoted = false;
        self.text_after_quote = false;
        let is_quote = |position: usize| dialect.quoted && text[position] == dialect.marks.quote;
        let mut next = 1;
        let mut start = ends[0] as usize + 1;
        loop {
            let mut closed = None;
            if ends.get(next).is_some_and(|at| *at as usize == start) && is_quote(start) {
                next += 1;
                let mut kind = Kind::Plain;
                let close = loop {
                    let at = *ends.get(next)? as usize;
                    next += 1;
                    if !is_quote(at) {
                        continue;
                    }
                    if ends.get(next).is_some_and(|after| *after as usize == at + 1) && is_quote(at + 1) {
                        kind = Kind::Escaped;
                        next += 1;
                    } else {
                        break at;
                    }
                };
                self.quoted = true;
                closed = Some((close, kind));
            }
            let mark = loop {
                let at = *ends.get(next)? as usize;
                next += 1;
                if !is_quote(at) {
                    break at;
                }
            };
            let last = text[mark] == b'\n';
            let end = if last && mark > start && text[mark - 1] == b'\r' { mark - 1 } else { mark };
            self.spans.push(match closed {
                Some((close, kind)) => {
                    self.text_after_quote |= close + 1 != end;
                    Span { start: start + 1, end: close, kind }
                }
                None => Span { start, end, kind: Kind::Plain },
            });
            if last {
                return Some(next - 1);
            }
            start = mark + 1;
        }
    }

    /// Whether the line was entirely empty.
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.spans[..], [span] if span.start == span.end) && !self.quoted
    }

    /// Why the row does not fit a table, if it does not.
    pub(super) fn misfit(&self, dialect: Dialect) -> Option<String> {
        if self.text_after_quote {
            return Some("text follows the closing quote of a field".to_owned());
        }
        let (expected, found) = (dialect.columns, self.spans.len());
        (expected != found).then(|| format!("expected {expected} fields, found {found}"))
    }

    /// Takes the doubled quotes out of the wanted fields.
    pub(super) fn unescape(&mut self, text: &[u8], wanted: &[WantedField]) {
        self.unescaped.clear();
        for &WantedField { column, .. } in wanted {
            let span = &mut self.spans[column];
            if span.kind != Kind::Escaped {
                continue;
            }
            let start = self.unescaped.len();
            let mut left = &text[span.start..span.end];
            while let Some(quote) = left.iter().position(|byte| *byte == b'"') {
                self.unescaped.extend_from_slice(&left[..=quote]);
                left = &left[quote + 2..];
            }
            self.unescaped.extend_from_slice(left);
            *span = Span { start, end: self.unescaped.len(), kind: Kind::Unescaped };
        }
    }

    /// The wanted fields, after [`Self::unescape`].
    pub(super) fn fields<'a>(&'a self, text: &'a [u8], wanted: &'a [WantedField]) -> CarefulFields<'a> {
        CarefulFields { row: self, text, wanted }
    }
}

/// The wanted fields of a row that was walked.
#[derive(Clone, Copy)]
pub(super) struct CarefulFields<'a> {
    row: &'a CarefulRow,
    text: &'a [u8],
    wanted: &'a [WantedField],
}

impl<'a> Fields<'a> for CarefulFields<'a> {
    type Field = FieldDeserializer<'a>;

    #[inline]
    fn count(self) -> usize {
        self.wanted.len()
    }

    #[inline]
    fn field(self, index: usize) -> FieldDeserializer<'a> {
        let WantedField { column, is_wide } = self.wanted[index];
        let span = self.row.spans[column];
        let text = if span.kind == Kind::Unescaped { &self.row.unescaped[..] } else { self.text };
        FieldDeserializer { text: &text[span.start..span.end], is_wide }
    }
}

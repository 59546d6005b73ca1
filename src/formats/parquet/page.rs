//! The values of one data page, decoded for those of its rows that are wanted.
//!
//! Plain values and indices into a dictionary are decoded as they are asked for, and others skipped. Other encodings, and pages with
//! nulls, are decoded whole first.

use std::ops::Range;
use std::sync::Arc;

use super::encodings::{self, Hybrid, PLAIN, PLAIN_DICTIONARY, RLE, RLE_DICTIONARY};
use super::footer::Leaf;
use super::header::{Header, Kind};
use super::memory::PageBytes;
use super::reason::{Reason, Unsupported};
use super::values::{Converted, Misfits, Raw, texts};
use crate::formats::columns::{Column, LONGEST_TEXT, Texts, Values};

/// No page that is read decompresses to more.
pub(super) const MOST_PAGE_BYTES: usize = 512 << 20;
/// Bytes of a page of ours around its one text: two lengths and the levels.
const _: () = assert!(LONGEST_TEXT + 2 * size_of::<u32>() + 16 <= MOST_PAGE_BYTES);

/// What the values of a page are to become.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) leaf: &'a Leaf,
    pub(super) as_text: bool,
    pub(super) dictionary: Option<&'a Converted>,
}

impl Target<'_> {
    /// Decodes a dictionary.
    pub(super) fn dictionary(self, header: &Header, bytes: &PageBytes) -> Result<Converted, Reason> {
        // It is plain under either name.
        if !matches!(header.encoding, PLAIN | PLAIN_DICTIONARY) {
            let what = format!("a dictionary in the encoding {}", encodings::name(header.encoding));
            return Err(Unsupported::new(what, OTHER_ENCODING).into());
        }
        self.whole(PLAIN, bytes, bytes.start, header.values)
    }

    /// Decodes `count` values from `from` on.
    fn whole(self, encoding: i64, bytes: &PageBytes, from: usize, count: usize) -> Result<Converted, Reason> {
        if !self.leaf.physical.is_read_in(encoding) {
            let name = encodings::name(encoding);
            return Err(Unsupported::new(format!("the encoding {name} of its values"), OTHER_ENCODING).into());
        }
        let raw = self.leaf.physical.decode(encoding, bytes, from, count, MOST_PAGE_BYTES);
        self.convert(raw.ok_or_else(|| unreadable(encoding))?)
    }

    fn convert(self, raw: Raw) -> Result<Converted, Reason> {
        let converted = self.leaf.conversion.convert(raw, self.as_text);
        converted.ok_or_else(|| "the values of a page are of another type than its column".into())
    }

    /// The values that indices into the dictionary mean.
    fn look_up(self, indices: &[u32]) -> Result<Converted, Reason> {
        let Some(Converted { values, misfits }) = self.dictionary else {
            return Err("a page has indices into a dictionary that is not there".into());
        };
        let greatest = indices.iter().max().map_or(0, |index| *index as usize + 1);
        let gathered = match values {
            Values::Int(values) => gather(values, indices, greatest).map(Values::Int),
            Values::Float(values) => gather(values, indices, greatest).map(Values::Float),
            Values::Double(values) => gather(values, indices, greatest).map(Values::Double),
            Values::Date(values) => gather(values, indices, greatest).map(Values::Date),
            Values::Text(texts) => gather(&texts.spans, indices, greatest)
                .map(|spans| Values::Text(Texts { bytes: Arc::clone(&texts.bytes), spans })),
        };
        let values = gathered.ok_or("an index of a page lies beyond its dictionary")?;
        let of_dictionary = |index: &u32| {
            let found = misfits.binary_search_by_key(&(*index as usize), |misfit| misfit.0);
            Some(misfits[found.ok()?].1.clone())
        };
        let rows = indices.iter().enumerate().filter(|_| !misfits.is_empty());
        let misfits = rows.filter_map(|(row, index)| Some((row, of_dictionary(index)?))).collect();
        Ok(Converted { values, misfits })
    }
}

/// A data page, decompressed.
pub(super) struct Page {
    /// Whether a row has a value; empty where all have.
    present: Vec<bool>,
    body: Body,
}

enum Body {
    /// Values of one width, from there on.
    Fixed { bytes: PageBytes, from: usize },
    /// Texts: which row is next, and where.
    Texts { bytes: PageBytes, row: usize, at: usize },
    /// The same of indices into the dictionary.
    Indices { bytes: PageBytes, row: usize, indices: Hybrid },
    /// One value a row.
    Whole(Converted),
}

impl Page {
    /// Finds the parts of a page, whose `levels` stand for themselves in its second version.
    pub(super) fn open(
        header: &Header,
        levels: &[u8],
        bytes: &PageBytes,
        target: Target<'_>,
    ) -> Result<Self, Reason> {
        const NO_LEVELS: &str = "the levels of a page cannot be read";
        let rows = header.values;
        let mut from = bytes.start;
        let mut present = Vec::new();
        if target.leaf.optional {
            let levels = if header.kind == Kind::DataV2 {
                levels
            } else {
                if header.level_encoding != RLE {
                    let name = encodings::name(header.level_encoding);
                    return Err(
                        Unsupported::new(format!("the encoding {name} of its levels"), REWRITE).into()
                    );
                }
                let (length, rest) = bytes[from..].split_first_chunk().ok_or(NO_LEVELS)?;
                let length = u32::from_le_bytes(*length) as usize;
                from += 4 + length;
                rest.get(..length).ok_or(NO_LEVELS)?
            };
            let mut read = Hybrid::new(1, 0).ok_or(NO_LEVELS)?;
            if !read.repeats(levels, rows, 1) {
                let mut found = Vec::with_capacity(rows);
                read.take(levels, rows, &mut found).ok_or(NO_LEVELS)?;
                if found.iter().any(|level| *level != 1) {
                    present.extend(found.into_iter().map(|level| level == 1));
                }
            }
        }
        let is_indexed = matches!(header.encoding, RLE_DICTIONARY | PLAIN_DICTIONARY);
        let indices = || {
            // Of a page of nulls alone there may be nothing.
            let width = bytes.get(from).copied().unwrap_or(0);
            Hybrid::new(width.into(), from + 1).ok_or(NO_INDICES)
        };
        let body = match target.leaf.physical.width() {
            _ if !present.is_empty() => {
                let count = present.iter().filter(|present| **present).count();
                let values = if is_indexed {
                    let mut found = Vec::with_capacity(count);
                    indices()?.take(bytes, count, &mut found).ok_or(NO_INDICES)?;
                    target.look_up(&found)?
                } else {
                    target.whole(header.encoding, bytes, from, count)?
                };
                Body::Whole(spread(values, &present))
            }
            _ if is_indexed => Body::Indices { bytes: bytes.clone(), row: 0, indices: indices()? },
            Some(width) if header.encoding == PLAIN => {
                let fits = rows.checked_mul(width).and_then(|length| length.checked_add(from));
                fits.filter(|end| *end <= bytes.len()).ok_or_else(|| unreadable(PLAIN))?;
                Body::Fixed { bytes: bytes.clone(), from }
            }
            None if header.encoding == PLAIN => Body::Texts { bytes: bytes.clone(), row: 0, at: from },
            _ => Body::Whole(target.whole(header.encoding, bytes, from, rows)?),
        };
        Ok(Page { present, body })
    }

    /// Puts some of `rows` in their places in `column`, which becomes as long: those of `runs`, of which the first row is 0. Other
    /// places have any values. Says which have a value that the column cannot have, and why. Earlier rows cannot be had again.
    pub(super) fn take(
        &mut self,
        rows: Range<usize>,
        runs: &[Range<usize>],
        target: Target<'_>,
        column: &mut Column,
    ) -> Result<Misfits, Reason> {
        column.present.clear();
        if !self.present.is_empty() {
            column.present.extend_from_slice(&self.present[rows.clone()]);
        }
        let of_page = runs.iter().map(|run| rows.start + run.start..rows.start + run.end);
        let count = runs.iter().map(ExactSizeIterator::len).sum();
        let Converted { values, misfits } = match &mut self.body {
            Body::Fixed { bytes, from } => {
                let width = target.leaf.physical.width().unwrap_or(0);
                let mut parts = of_page.map(|run| *from + run.start * width..*from + run.end * width);
                let raw = match (parts.next(), runs.len()) {
                    (Some(all), 1) => target.leaf.physical.fixed(bytes, all),
                    (first, _) => {
                        let mut picked = Vec::with_capacity(count * width);
                        first
                            .into_iter()
                            .chain(parts)
                            .for_each(|part| picked.extend_from_slice(&bytes[part]));
                        let all = 0..picked.len();
                        target.leaf.physical.fixed(&PageBytes::whole(Arc::new(picked)), all)
                    }
                };
                target.convert(raw)?
            }
            Body::Texts { bytes, row, at } => {
                let mut spans = Vec::with_capacity(count);
                for run in of_page {
                    encodings::skip_plain_texts(bytes, at, run.start - *row)
                        .and_then(|()| encodings::plain_texts(bytes, at, run.len(), &mut spans))
                        .ok_or_else(|| unreadable(PLAIN))?;
                    *row = run.end;
                }
                target.convert(texts(bytes, spans))?
            }
            Body::Indices { bytes, row, indices } => {
                let mut found = Vec::with_capacity(count);
                for run in of_page {
                    indices
                        .skip(bytes, run.start - *row)
                        .and_then(|()| indices.take(bytes, run.len(), &mut found))
                        .ok_or(NO_INDICES)?;
                    *row = run.end;
                }
                target.look_up(&found)?
            }
            Body::Whole(Converted { values, misfits }) => Converted {
                values: picked(values, of_page.clone()),
                misfits: {
                    let picked = of_page.flatten().enumerate();
                    let mut misfits = misfits.iter().peekable();
                    let of_row = |(index, row)| {
                        while misfits.next_if(|misfit| misfit.0 < row).is_some() {}
                        let (_, reason) = misfits.next_if(|misfit| misfit.0 == row)?;
                        Some((index, reason.clone()))
                    };
                    picked.filter_map(of_row).collect()
                },
            },
        };
        put(values, runs, rows.len(), &mut column.values);
        if misfits.is_empty() {
            return Ok(misfits);
        }
        let places: Vec<usize> = runs.iter().cloned().flatten().collect();
        Ok(misfits.into_iter().map(|(index, reason)| (places[index], reason)).collect())
    }
}

const NO_INDICES: &str = "the indices of a page cannot be read";

const OTHER_ENCODING: &str = "write it with the encodings PLAIN or RLE_DICTIONARY";
const REWRITE: &str = "write it again with a program of these days";

fn unreadable(encoding: i64) -> Reason {
    format!("the values of a page are none of its encoding, {}", encodings::name(encoding)).into()
}

/// The values that have these indices, none of which is as great as `end`.
fn gather<T: Copy>(values: &[T], indices: &[u32], end: usize) -> Option<Vec<T>> {
    (end <= values.len()).then(|| indices.iter().map(|index| values[*index as usize]).collect())
}

/// Gives values of rows that have one to these rows.
fn spread(converted: Converted, present: &[bool]) -> Converted {
    /// Moves values to their rows, from the last on.
    fn each<T: Copy + Default>(values: &mut Vec<T>, present: &[bool]) {
        let mut next = values.len();
        values.resize(present.len(), T::default());
        for row in (0..present.len()).rev() {
            if present[row] {
                next -= 1;
                values[row] = values[next];
            }
        }
    }
    let Converted { mut values, mut misfits } = converted;
    if !misfits.is_empty() {
        let rows: Vec<_> = (0..present.len()).filter(|row| present[*row]).collect();
        misfits.iter_mut().for_each(|(index, _)| *index = rows[*index]);
    }
    match &mut values {
        Values::Int(values) => each(values, present),
        Values::Float(values) => each(values, present),
        Values::Double(values) => each(values, present),
        Values::Date(values) => each(values, present),
        Values::Text(texts) => each(&mut texts.spans, present),
    }
    Converted { values, misfits }
}

/// The values of some rows, one behind the other.
fn picked(values: &Values, runs: impl Iterator<Item = Range<usize>>) -> Values {
    fn each<T: Copy>(values: &[T], runs: impl Iterator<Item = Range<usize>>) -> Vec<T> {
        let mut picked = Vec::new();
        runs.for_each(|run| picked.extend_from_slice(&values[run]));
        picked
    }
    match values {
        Values::Int(values) => Values::Int(each(values, runs)),
        Values::Float(values) => Values::Float(each(values, runs)),
        Values::Double(values) => Values::Double(each(values, runs)),
        Values::Date(values) => Values::Date(each(values, runs)),
        Values::Text(texts) => {
            Values::Text(Texts { bytes: Arc::clone(&texts.bytes), spans: each(&texts.spans, runs) })
        }
    }
}

/// Puts values that lie one behind the other in the places that `runs` has for them, of `count`.
fn put(values: Values, runs: &[Range<usize>], count: usize, into: &mut Values) {
    fn each<T: Copy + Default>(values: Vec<T>, runs: &[Range<usize>], count: usize, into: &mut Vec<T>) {
        if values.len() == count {
            *into = values;
            return;
        }
        into.resize(count, T::default());
        let mut rest = &values[..];
        for run in runs {
            let (some, behind) = rest.split_at(run.len());
            into[run.clone()].copy_from_slice(some);
            rest = behind;
        }
    }
    match (values, &mut *into) {
        (Values::Int(values), Values::Int(into)) => each(values, runs, count, into),
        (Values::Float(values), Values::Float(into)) => each(values, runs, count, into),
        (Values::Double(values), Values::Double(into)) => each(values, runs, count, into),
        (Values::Date(values), Values::Date(into)) => each(values, runs, count, into),
        (Values::Text(texts), Values::Text(into)) => {
            into.bytes = texts.bytes;
            each(texts.spans, runs, count, &mut into.spans);
        }
        (values, into) => {
            *into = match values {
                Values::Int(_) => Values::Int(Vec::new()),
                Values::Float(_) => Values::Float(Vec::new()),
                Values::Double(_) => Values::Double(Vec::new()),
                Values::Date(_) => Values::Date(Vec::new()),
                Values::Text(_) => Values::Text(Texts::default()),
            };
            put(values, runs, count, into);
        }
    }
}

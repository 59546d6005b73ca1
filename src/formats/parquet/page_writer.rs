//! One column of a row group as pages.

use std::ops::Range;

use super::encodings::{PLAIN, RLE, RLE_DICTIONARY};
use super::thrift::{self, Value};
use super::varint;
use crate::formats::checksum::checksum;
use crate::formats::columns::{Dictionary, Filled, Filling, Limits, texts};
use crate::formats::field_error::beyond_int;

/// Rows of a page: two batches of a reader.
const PAGE_ROWS: usize = 16 << 10;

/// An encoding as footers and page headers have it.
pub(super) fn number(encoding: i64) -> Value<'static> {
    Value::I32(encoding as i32)
}

/// A column of a row group as it is in the file.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// How many of them are the page of the dictionary.
    pub(super) dictionary_bytes: u64,
    pub(super) snappy: bool,
    /// Bytes of all pages before compression, headers included.
    pub(super) uncompressed: usize,
    /// The pages of its rows.
    pub(super) pages: Vec<Page>,
    /// Of each page with its header, that of the dictionary first.
    pub(super) checksums: Vec<u32>,
}

/// What the page index tells of a page.
pub(super) struct Page {
    /// Its bytes in the chunk, with its header.
    pub(super) bytes: Range<u64>,
    pub(super) first_row: usize,
    pub(super) rows: usize,
    pub(super) nulls: usize,
    pub(super) limits: Option<Limits>,
}

impl Chunk {
    /// Those of its values and levels.
    pub(super) fn encodings(&self) -> &'static [i64] {
        if self.dictionary_bytes > 0 { &[PLAIN, RLE, RLE_DICTIONARY] } else { &[PLAIN, RLE] }
    }

    /// Rows without a value.
    pub(super) fn nulls(&self) -> usize {
        self.pages.iter().map(|page| page.nulls).sum()
    }

    /// The least and greatest value, where they are known.
    pub(super) fn limits(&self) -> Option<Limits> {
        let mut all: Option<Limits> = None;
        for page in self.pages.iter().filter(|page| page.nulls < page.rows) {
            let Limits { least, greatest } = page.limits.clone()?;
            all = Some(match all {
                Some(all) => Limits {
                    least: if least < all.least { least } else { all.least },
                    greatest: if greatest > all.greatest { greatest } else { all.greatest },
                },
                None => Limits { least, greatest },
            });
        }
        all
    }

    /// Appends a page, of which `header` has what its kind wants; says where it is.
    fn push(&mut self, kind: i32, header: (i16, Value<'static>), body: &[u8]) -> Range<u64> {
        let compressed = self.snappy.then(|| snap::raw::Encoder::new().compress_vec(body).ok()).flatten();
        let stored = compressed.as_deref().unwrap_or(body);
        let mut page = Vec::new();
        let fields = vec![
            (1, Value::I32(kind)),
            (2, Value::I32(body.len() as i32)),
            (3, Value::I32(stored.len() as i32)),
            (4, Value::I32(checksum([stored]) as i32)),
            header,
        ];
        thrift::write(&Value::Struct(fields), &mut page);
        self.uncompressed += page.len() + body.len();
        self.checksums.push(checksum([&page, stored]));
        let start = self.bytes.len() as u64;
        self.bytes.extend_from_slice(&page);
        self.bytes.extend_from_slice(stored);
        start..self.bytes.len() as u64
    }
}

/// Values of rows that have one, as they are written.
enum Body {
    Plain { bytes: Vec<u8>, ends: Vec<usize> },
    Dictionary { distinct: Vec<u8>, count: usize, codes: Vec<u32> },
}

/// Makes the pages of a column. What Parquet's type cannot hold is told by its row and a reason.
pub(super) fn encode(filling: &Filling, rows: usize) -> Result<Chunk, (usize, String)> {
    let present = |row: usize| filling.present.is_empty() || filling.present[row];
    let there: Vec<usize> = (0..rows).filter(|row| present(*row)).collect();
    let body = match &filling.values {
        Filled::Ints(values) | Filled::Dates(values) => {
            let narrow =
                |row: &usize| i32::try_from(values[*row]).map_err(|_| (*row, beyond_int(values[*row])));
            let values = there.iter().map(narrow).collect::<Result<Vec<_>, _>>()?;
            body(&values, |value, to| to.extend_from_slice(&value.to_le_bytes()))
        }
        Filled::Longs(values) => {
            let values: Vec<_> = there.iter().map(|row| values[*row]).collect();
            body(&values, |value, to| to.extend_from_slice(&value.to_le_bytes()))
        }
        Filled::Doubles(values) => {
            let values: Vec<_> = there.iter().map(|row| values[*row]).collect();
            body(&values, |bits, to| to.extend_from_slice(&bits.to_le_bytes()))
        }
        Filled::Floats(values) => {
            let values: Vec<_> = there.iter().map(|row| values[*row]).collect();
            body(&values, |bits, to| to.extend_from_slice(&bits.to_le_bytes()))
        }
        Filled::Texts { bytes, ends } => {
            let all: Vec<_> = texts(bytes, ends).collect();
            if let Some(row) = there.iter().find(|row| str::from_utf8(all[**row]).is_err()) {
                return Err((*row, "the text is no UTF-8, which Parquet's texts are".to_owned()));
            }
            let values: Vec<_> = there.iter().map(|row| all[*row]).collect();
            body(&values, |text, to| {
                to.extend_from_slice(&(text.len() as u32).to_le_bytes());
                to.extend_from_slice(text);
            })
        }
    };
    let mut chunk = Chunk {
        bytes: Vec::new(),
        dictionary_bytes: 0,
        snappy: body.snappy_wins(),
        uncompressed: 0,
        pages: Vec::new(),
        checksums: Vec::new(),
    };
    if let Body::Dictionary { distinct, count, .. } = &body {
        let header = Value::Struct(vec![(1, Value::I32(*count as i32)), (2, number(PLAIN))]);
        chunk.dictionary_bytes = chunk.push(2, (7, header), distinct).end;
    }
    // Values before the page.
    let mut before = 0;
    for from in (0..rows).step_by(PAGE_ROWS) {
        let of_page = from..rows.min(from + PAGE_ROWS);
        let levels: Vec<_> = of_page.clone().map(present).collect();
        let count = levels.iter().filter(|present| **present).count();
        let mut page = vec![0; 4];
        write_levels(&levels, &mut page);
        let length = (page.len() as u32 - 4).to_le_bytes();
        page[..4].copy_from_slice(&length);
        let encoding = body.write(before..before + count, &mut page);
        before += count;
        let header = vec![
            (1, Value::I32(of_page.len() as i32)),
            (2, number(encoding)),
            (3, number(RLE)),
            (4, number(RLE)),
        ];
        let bytes = chunk.push(0, (5, Value::Struct(header)), &page);
        let (first_row, rows, limits) = (of_page.start, of_page.len(), filling.limits(of_page));
        chunk.pages.push(Page { bytes, first_row, rows, nulls: rows - count, limits });
    }
    Ok(chunk)
}

/// Plain, or with a dictionary where that is smaller by an eighth.
fn body<V: Copy + Eq + std::hash::Hash>(values: &[V], write: impl Fn(V, &mut Vec<u8>)) -> Body {
    let plain = |values: &[V]| {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for value in values {
            write(*value, &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    };
    let (bytes, ends) = plain(values);
    if let Some((distinct, codes)) = Dictionary::of(values.iter().copied()) {
        let (dictionary, _) = plain(&distinct);
        let codes_bytes = codes.len() * code_bits(distinct.len()) / 8;
        if dictionary.len() + codes_bytes < bytes.len() - bytes.len() / 8 {
            return Body::Dictionary { distinct: dictionary, count: distinct.len(), codes };
        }
    }
    Body::Plain { bytes, ends }
}

impl Body {
    /// Whether snappy takes a tenth away, which decompressing costs; by the values at the start.
    fn snappy_wins(&self) -> bool {
        const SAMPLE_BYTES: usize = 256 << 10;
        let bytes = match self {
            Body::Plain { bytes, .. } => bytes,
            Body::Dictionary { distinct, .. } => distinct,
        };
        let sample = &bytes[..bytes.len().min(SAMPLE_BYTES)];
        let compressed = snap::raw::Encoder::new().compress_vec(sample);
        compressed.is_ok_and(|compressed| compressed.len() < sample.len() - sample.len() / 10)
    }

    /// Appends some of the values, and says how they are encoded.
    fn write(&self, range: Range<usize>, to: &mut Vec<u8>) -> i64 {
        match self {
            Body::Plain { bytes, ends } => {
                let end_of = |index: usize| index.checked_sub(1).map_or(0, |index| ends[index]);
                to.extend_from_slice(&bytes[end_of(range.start)..end_of(range.end)]);
                PLAIN
            }
            Body::Dictionary { count, codes, .. } => {
                let bits = code_bits(*count);
                to.push(bits as u8);
                pack_bits(codes[range].iter().map(|code| u64::from(*code)), bits, to);
                RLE_DICTIONARY
            }
        }
    }
}

/// Bits of a code of so many; at least one, as readers expect.
fn code_bits(count: usize) -> usize {
    ((usize::BITS - count.saturating_sub(1).leading_zeros()) as usize).max(1)
}

/// Levels of a column that is optional: one run where every row has a value, or else a bit each.
fn write_levels(present: &[bool], to: &mut Vec<u8>) {
    if present.contains(&false) {
        pack_bits(present.iter().map(|present| u64::from(*present)), 1, to);
    } else {
        varint::write((present.len() as u64) << 1, to);
        to.push(1);
    }
}

/// One run of bit-packed values, least bit first, in groups of eight.
fn pack_bits(values: impl ExactSizeIterator<Item = u64>, bits: usize, to: &mut Vec<u8>) {
    let groups = values.len().div_ceil(8);
    varint::write((groups as u64) << 1 | 1, to);
    let end = to.len() + groups * bits;
    let (mut waiting, mut have) = (0u64, 0);
    for value in values {
        waiting |= value << have;
        have += bits;
        while have >= 8 {
            to.push(waiting as u8);
            waiting >>= 8;
            have -= 8;
        }
    }
    if have > 0 {
        to.push(waiting as u8);
    }
    to.resize(end, 0);
}

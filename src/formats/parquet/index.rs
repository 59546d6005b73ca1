//! The page index: which rows of a row group a query may want, by bounds of pages, and the pages that have them.
//!
//! An index that contradicts itself, its row group or its column chunk is as good as none: everything is read. One that has
//! checksums (docs/decisions/0026) is what was written, or an error.

use std::ops::Range;
use std::path::Path;

use super::ParquetFile;
use super::footer::{self, Chunk, INDEX_CHECKSUMS_KEY, Leaf, PAGES_CHECKSUMS_KEY, checksums_of};
use super::index_writer::{COLUMN_INDEX, OFFSET_INDEX, part_of};
use super::reason::damaged;
use super::thrift::{self, Value};
use crate::Error;
use crate::formats::checksum::checksum;
use crate::formats::columns::{ColumnRange, Limits, Value as Bound, Wanted};
use crate::formats::file::PlannedFile;

/// A larger index of one chunk is not looked at: it would have some hundred thousand pages.
const MOST_BYTES: u64 = 16 << 20;

/// Where the index of a column chunk is.
#[derive(Debug, Clone)]
pub(super) struct ChunkIndexPlace {
    /// Parquet's offset index, of where pages are.
    pub(super) places: Part,
    /// Parquet's column index, of bounds.
    pub(super) bounds: Option<Part>,
    /// Of each page with its header, that of the dictionary first; none where the file has none.
    page_checksums: Vec<u32>,
}

/// A structure of the page index, by where it is in the file.
#[derive(Debug, Clone)]
pub(super) struct Part {
    bytes: Range<u64>,
    checksum: Option<u32>,
}

/// A page, or all that is before the first one: the dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Range<u64>,
    /// Rows of the block that it has; none where it is the dictionary.
    pub(super) rows: Range<u64>,
    pub(super) checksum: Option<u32>,
    /// Where the pieces that are read and follow it without a gap end.
    pub(super) run_end: u64,
}

/// What is read of a block.
pub(super) struct Selection {
    /// Ascending, with gaps between them.
    pub(super) rows: Vec<Range<u64>>,
    /// Of each wanted column, the dictionary, if there is one, and the pages that have some of these rows.
    pub(super) pieces: Vec<Vec<Piece>>,
    /// How many others there are.
    pub(super) unread_pages: u64,
}

impl ChunkIndexPlace {
    /// By a footer's column chunk, in a file whose footer starts at `end`.
    pub(super) fn of(chunk: &Value<'_>, end: u64) -> Option<Self> {
        let pairs = chunk.get(3)?.list(8);
        let checksums = checksums_of(pairs, INDEX_CHECKSUMS_KEY).unwrap_or_default();
        let part = |field, checksum: usize| {
            let bytes = part_of(chunk, field)?;
            let fits = !bytes.is_empty() && bytes.end <= end && bytes.end - bytes.start <= MOST_BYTES;
            fits.then(|| Part { bytes, checksum: checksums.get(checksum).copied() })
        };
        Some(ChunkIndexPlace {
            places: part(OFFSET_INDEX, 0)?,
            bounds: part(COLUMN_INDEX, 1),
            page_checksums: checksums_of(pairs, PAGES_CHECKSUMS_KEY).unwrap_or_default(),
        })
    }
}

impl Part {
    /// Reads it, and checks what can be.
    fn read(&self, file: &PlannedFile, path: &Path) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; (self.bytes.end - self.bytes.start) as usize];
        let read = file.read_at(&mut bytes, self.bytes.start).map_err(Error::file("read", path))?;
        if read < bytes.len() || self.checksum.is_some_and(|said| checksum([&bytes]) != said) {
            return Err(damaged(
                path,
                self.bytes.start,
                "the checksum of a page index is not that of its bytes",
            ));
        }
        Ok(bytes)
    }

    /// Reads it for who copies it.
    pub(super) fn value(&self, file: &PlannedFile, path: &Path) -> Result<Value<'static>, Error> {
        let bytes = self.read(file, path)?;
        let (value, _) = thrift::read_struct(&bytes)
            .map_err(|_| damaged(path, self.bytes.start, "a page index cannot be read"))?;
        Ok(value.into_owned())
    }
}

/// Those of the ranges that pages of a block may lie outside of, while the block does not. Pages can be passed over only where all
/// columns that are read have an index, and it can be trusted only for those: others are never compared with what is in the file.
fn useful<'a>(
    footer: &ParquetFile,
    block: usize,
    wanted: &[Wanted],
    ranges: &'a [ColumnRange],
) -> Vec<&'a ColumnRange> {
    let (plan, chunks) = (&footer.blocks[block], &footer.chunks[block]);
    let index = |column: usize| chunks[column].index.as_ref();
    if wanted.iter().any(|wanted| index(wanted.column).is_none()) {
        return Vec::new();
    }
    let useful = |range: &&ColumnRange| {
        wanted.iter().any(|wanted| wanted.column == range.column)
            && index(range.column).is_some_and(|index| index.bounds.is_some())
            && !plan.is_inside(range)
    };
    ranges.iter().filter(useful).collect()
}

/// What [`select`] will read; nothing where there is no use in it.
pub(super) fn bytes_to_select(
    footer: &ParquetFile,
    block: usize,
    wanted: &[Wanted],
    ranges: &[ColumnRange],
) -> Vec<Range<u64>> {
    let useful = useful(footer, block, wanted, ranges);
    let index = |column: usize| footer.chunks[block][column].index.as_ref();
    let bounds = useful.iter().filter_map(|range| index(range.column)?.bounds.as_ref());
    let places = wanted.iter().filter(|_| !useful.is_empty());
    let places = places.filter_map(|wanted| Some(&index(wanted.column)?.places));
    bounds.chain(places).map(|part| part.bytes.clone()).collect()
}

/// Reads the index of a block and says what of it is to be read; `None` where all is.
pub(super) fn select(
    file: &PlannedFile,
    footer: &ParquetFile,
    block: usize,
    wanted: &[Wanted],
    ranges: &[ColumnRange],
) -> Result<Option<Selection>, Error> {
    let (plan, chunks) = (&footer.blocks[block], &footer.chunks[block]);
    let mut pages = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let chunk = &chunks[wanted.column];
        let Some(index) = &chunk.index else { return Ok(None) };
        let Some(found) = all_pieces(&index.places.read(file, &footer.path)?, chunk, index, plan.rows) else {
            return Ok(None);
        };
        pages.push(found);
    }
    let all = 0..plan.rows;
    let mut rows = vec![all.clone(); 1];
    for range in useful(footer, block, wanted, ranges) {
        let of_column = wanted.iter().position(|wanted| wanted.column == range.column);
        let bounds = chunks[range.column].index.as_ref().and_then(|index| index.bounds.as_ref());
        let (Some(of_column), Some(bounds)) = (of_column, bounds) else { continue };
        let pages = || pages[of_column].iter().filter(|piece| !piece.rows.is_empty());
        let limits = plan.limits[range.column].as_ref();
        let bytes = bounds.read(file, &footer.path)?;
        let Some(found) = page_limits(&bytes, pages().count(), &footer.leaves[range.column], limits) else {
            continue;
        };
        let kept = pages()
            .zip(&found)
            .filter(|(_, limits)| !limits.as_ref().is_some_and(|limits| range.excludes(limits)));
        rows = common(&rows, &joined(kept.map(|(page, _)| page.rows.clone())));
    }
    if rows == std::slice::from_ref(&all) {
        return Ok(None);
    }
    let count = |pages: &[Vec<Piece>]| pages.iter().map(Vec::len).sum::<usize>();
    let all = count(&pages);
    pages.iter_mut().for_each(|pieces| keep(pieces, &rows));
    let unread_pages = (all - count(&pages)) as u64;
    Ok(Some(Selection { rows, pieces: pages, unread_pages }))
}

/// The pieces of a chunk by its offset index; `None` where that cannot be.
fn all_pieces(bytes: &[u8], chunk: &Chunk, index: &ChunkIndexPlace, rows: u64) -> Option<Vec<Piece>> {
    let (places, _) = thrift::read_struct(bytes).ok()?;
    let piece = |place: &Value<'_>| {
        let start = place.size(1)?;
        Some((start..start.checked_add(place.size(2)?)?, place.size(3)?))
    };
    let pages = places.list(1).iter().map(piece).collect::<Option<Vec<_>>>()?;
    let mut pieces = Vec::with_capacity(pages.len() + 1);
    let first = pages.first()?.0.start;
    let mut push = |bytes: Range<u64>, rows| {
        pieces.push(Piece { run_end: bytes.end, bytes, rows, checksum: None });
    };
    if first > chunk.start {
        push(chunk.start..first, 0..0);
    }
    let (mut at, mut row) = (chunk.start.max(first), 0);
    for (number, (bytes, first_row)) in pages.iter().enumerate() {
        let end = pages.get(number + 1).map_or(rows, |(_, next)| *next);
        if bytes.start < at || bytes.is_empty() || *first_row != row || end <= row {
            return None;
        }
        push(bytes.clone(), row..end);
        (at, row) = (bytes.end, end);
    }
    let fits = first >= chunk.start && at <= chunk.end && row == rows;
    // Pages that the chunk's checksum would vouch for, if it were read whole, need some of their own.
    let vouched = chunk.checksum.is_none() || index.page_checksums.len() == pieces.len();
    for (piece, checksum) in pieces.iter_mut().zip(&index.page_checksums) {
        piece.checksum = Some(*checksum);
    }
    (fits && vouched).then_some(pieces)
}

/// Bounds of each page by a column index, where they are known; `None` where the index cannot be.
fn page_limits(
    bytes: &[u8],
    pages: usize,
    leaf: &Leaf,
    of_chunk: Option<&Limits>,
) -> Option<Vec<Option<Limits>>> {
    let (index, _) = thrift::read_struct(bytes).ok()?;
    let (empty, least, greatest) = (index.list(1), index.list(2), index.list(3));
    if [empty, least, greatest].iter().any(|list| list.len() != pages) {
        return None;
    }
    let mut found: Vec<Option<Limits>> = Vec::with_capacity(pages);
    for ((empty, least), greatest) in empty.iter().zip(least).zip(greatest) {
        let (Value::Bool(empty), Value::Bytes(least), Value::Bytes(greatest)) = (empty, least, greatest)
        else {
            return None;
        };
        if *empty {
            found.push(None);
            continue;
        }
        found.push(Some(footer::limits(least, greatest, leaf)?));
    }
    let known: Vec<_> = found.iter().flatten().collect();
    let ordered = known.windows(2).all(|pair| match index.int(4) {
        Some(1) => pair[0].least <= pair[1].least && pair[0].greatest <= pair[1].greatest,
        Some(2) => pair[0].least >= pair[1].least && pair[0].greatest >= pair[1].greatest,
        _ => true,
    });
    // Texts may be cut short, here and there to other lengths.
    let inside = |limits: &&Limits| {
        let compared = of_chunk.filter(|all| !matches!(all.least, Bound::Text(_)));
        compared.is_none_or(|all| all.least <= limits.least && limits.greatest <= all.greatest)
    };
    (ordered && known.iter().all(inside)).then_some(found)
}

/// Ranges that are ascending, those that touch made one.
fn joined(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

/// What is in ranges of both kinds, each ascending.
fn common(one: &[Range<u64>], other: &[Range<u64>]) -> Vec<Range<u64>> {
    let (mut common, mut i, mut k) = (Vec::new(), 0, 0);
    while let (Some(a), Some(b)) = (one.get(i), other.get(k)) {
        let both = a.start.max(b.start)..a.end.min(b.end);
        common.extend((!both.is_empty()).then_some(both));
        if a.end < b.end { i += 1 } else { k += 1 }
    }
    common
}

/// Keeps the dictionary and the pages that have some of the rows, and says how far each run of them goes.
fn keep(pieces: &mut Vec<Piece>, rows: &[Range<u64>]) {
    pieces.retain(|piece| {
        let next = rows.partition_point(|rows| rows.end <= piece.rows.start);
        piece.rows.is_empty() || rows.get(next).is_some_and(|rows| rows.start < piece.rows.end)
    });
    for index in (1..pieces.len()).rev() {
        if pieces[index - 1].bytes.end == pieces[index].bytes.start {
            pieces[index - 1].run_end = pieces[index].run_end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Ascending ranges, by whether each row is in one.
    fn ranges(rows: &[bool]) -> Vec<Range<u64>> {
        joined((0..rows.len() as u64).filter(|row| rows[*row as usize]).map(|row| row..row + 1))
    }

    proptest! {
        /// Catches a row that is lost or comes twice, a page that is left out with a wanted row, and one that is read for nothing.
        #[test]
        fn rows_and_their_pages_are_kept(
            one in proptest::collection::vec(any::<bool>(), 30),
            other in proptest::collection::vec(any::<bool>(), 30),
            ends in proptest::collection::btree_set(1_u64..30, 0..8),
            gap_after in 0_usize..9,
        ) {
            let both: Vec<_> = one.iter().zip(&other).map(|(one, other)| *one && *other).collect();
            let rows = common(&ranges(&one), &ranges(&other));
            prop_assert_eq!(&rows, &ranges(&both));
            // A dictionary, and pages of ten bytes a row behind it, in one place with bytes of nobody between them.
            let mut pieces = vec![Piece { bytes: 0..5, rows: 0..0, checksum: None, run_end: 5 }];
            let mut from = 0;
            for (number, to) in ends.into_iter().chain([30]).enumerate() {
                let start = pieces[number].bytes.end + u64::from(number == gap_after);
                let bytes = start..start + 10 * (to - from);
                pieces.push(Piece { run_end: bytes.end, bytes, rows: from..to, checksum: None });
                from = to;
            }
            let all = pieces.clone();
            keep(&mut pieces, &rows);
            let is_wanted = |piece: &&Piece| {
                piece.rows.is_empty() || piece.rows.clone().any(|row| both[row as usize])
            };
            let places = |pieces: &[Piece]| pieces.iter().map(|piece| piece.bytes.clone()).collect::<Vec<_>>();
            let expected: Vec<_> = all.iter().filter(is_wanted).cloned().collect();
            prop_assert_eq!(places(&pieces), places(&expected));
            for (index, piece) in pieces.iter().enumerate() {
                let run = pieces[index..].windows(2).take_while(|pair| pair[0].bytes.end == pair[1].bytes.start);
                prop_assert_eq!(piece.run_end, pieces[index + run.count()].bytes.end);
            }
        }
    }
}

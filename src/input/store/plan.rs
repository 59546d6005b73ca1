//! Which requests bring the bytes that a reader wants.

use std::ops::Range;

/// What a request asks for, about: S3 gives a connection some 80 MB/s, so the time to its first byte is a small part.
pub(super) const REQUEST_BYTES: u64 = 4 << 20;
/// A gap between two wanted ranges is read as well if it is at most this long: less time than another request takes.
pub(super) const GAP_BYTES: u64 = 64 << 10;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// What it asks for.
    pub(super) range: Range<u64>,
    /// How many of its bytes are wanted.
    pub(super) wanted: u64,
}

/// The requests for `ranges` of a file of so many bytes, in the order of the file.
pub(super) fn pieces(ranges: &[Range<u64>], file_bytes: u64) -> Vec<Piece> {
    let mut ranges: Vec<_> = ranges
        .iter()
        .map(|range| range.start..range.end.min(file_bytes))
        .filter(|range| !range.is_empty())
        .collect();
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    // Ranges with small gaps between them.
    let mut runs: Vec<Vec<Range<u64>>> = Vec::new();
    let mut end = 0;
    for range in ranges {
        let start = range.start.max(end);
        let new = start..range.end;
        match runs.last_mut() {
            Some(run) if start - end <= GAP_BYTES => {
                run.extend((!new.is_empty()).then_some(new));
            }
            _ => runs.push(vec![new]),
        }
        end = end.max(range.end);
    }
    runs.iter().flat_map(|run| cut(run)).collect()
}

/// Cuts a run into requests of about the same size.
fn cut(run: &[Range<u64>]) -> Vec<Piece> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Vec::new() };
    let (start, bytes) = (first.start, last.end - first.start);
    let count = ((bytes + REQUEST_BYTES / 2) / REQUEST_BYTES).max(1);
    let cut_at = |index: u64| start + (u128::from(bytes) * u128::from(index) / u128::from(count)) as u64;
    let piece = |index| {
        let range = cut_at(index)..cut_at(index + 1);
        let inside =
            |wanted: &Range<u64>| wanted.end.min(range.end).saturating_sub(wanted.start.max(range.start));
        Piece { wanted: run.iter().map(inside).sum(), range }
    };
    (0..count).map(piece).filter(|piece| piece.wanted > 0).collect()
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "a reader may announce one range")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn large_ranges_are_cut_and_small_gaps_are_read() {
        let piece = |range: Range<u64>, wanted| Piece { range, wanted };
        assert_eq!(pieces(&[0..10], 5), [piece(0..5, 5)]);
        assert_eq!(pieces(&[7..9], 5), []);
        assert_eq!(pieces(&[0..16 * MB + 4096], 1 << 40).len(), 4, "no request for a few bytes");
        assert_eq!(
            pieces(&[200_000..200_010, 0..10, 5..20], 1 << 40),
            [piece(0..20, 20), piece(200_000..200_010, 10)]
        );
        assert_eq!(pieces(&[0..10, 1_010..1_020], 1 << 40), [piece(0..1_020, 20)]);
    }

    proptest! {
        /// Catches a wanted byte that no request brings or that counts twice, and unwanted ones beyond small gaps.
        #[test]
        fn requests_bring_what_is_wanted(
            ranges in proptest::collection::vec((0_u64..40 * MB, 0_u64..9 * MB).prop_map(|(start, bytes)| start..start + bytes), 0..12),
            file_bytes in 0_u64..45 * MB,
        ) {
            let found = pieces(&ranges, file_bytes);
            let mut last = 0;
            for piece in &found {
                prop_assert!(piece.range.start >= last && piece.range.end <= file_bytes);
                prop_assert!(piece.range.end - piece.range.start <= REQUEST_BYTES * 3 / 2);
                last = piece.range.end;
            }
            // At a coarse grain, byte by byte.
            let wanted = |byte: u64| byte < file_bytes && ranges.iter().any(|range| range.contains(&byte));
            let brought = |byte: u64| found.iter().any(|piece| piece.range.contains(&byte));
            let mut edges: Vec<u64> = ranges.iter().flat_map(|range| [range.start, range.end]).collect();
            edges.extend([0, file_bytes]);
            edges.sort_unstable();
            edges.dedup();
            let mut total = 0;
            for edge in edges.windows(2) {
                let (start, end) = (edge[0], edge[1]);
                if wanted(start) {
                    total += end - start;
                    prop_assert!(brought(start) && brought(end - 1));
                } else if end - start > GAP_BYTES {
                    prop_assert!(!brought(start + (end - start) / 2));
                }
            }
            prop_assert_eq!(found.iter().map(|piece| piece.wanted).sum::<u64>(), total);
        }
    }
}

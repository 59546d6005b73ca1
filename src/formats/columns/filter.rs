//! Which rows of a batch a query may want, by the values of the columns that its ranges name.

use std::ops::{Bound, Range};

use super::{Column, ColumnRange, Misfit, Value, Values, Wanted};

/// The ranges of a query that can be compared with what it reads, and the rows of the last batch that are not outside of them.
///
/// A row without a value stays, and one with a value that its column cannot have: the query, or its struct, says what that means.
#[derive(Debug, Default)]
pub(crate) struct RowFilter {
    /// Each with the place of its column among those that are read.
    ranges: Vec<(usize, ColumnRange)>,
    keep: Vec<bool>,
    runs: Vec<Range<usize>>,
    filtered_rows: u64,
}

impl RowFilter {
    /// Of the ranges, those of columns that are read as they are.
    pub(crate) fn new(wanted: &[Wanted], ranges: &[ColumnRange]) -> Self {
        let ranges =
            ranges.iter().filter_map(|range| Some((range.place_in(wanted)?, range.clone()))).collect();
        RowFilter { ranges, ..RowFilter::default() }
    }

    /// Whether the column at this place is compared, and so decoded before others.
    pub(crate) fn compares(&self, place: usize) -> bool {
        self.ranges.iter().any(|(of, _)| *of == place)
    }

    /// Keeps all of so many rows.
    pub(crate) fn keep_all(&mut self, rows: usize) {
        self.runs.clear();
        self.runs.push(0..rows);
    }

    /// Keeps those of the rows that are not outside of a range, all columns of which are decoded; or all, where they are most: to
    /// leave out the others would cost more than to give them to the query.
    pub(crate) fn narrow(&mut self, rows: usize, columns: &[Column], misfits: &[Misfit]) {
        if self.ranges.is_empty() {
            return;
        }
        self.keep.clear();
        self.keep.resize(rows, true);
        for (place, range) in &self.ranges {
            compare(&columns[*place], range, &mut self.keep);
        }
        misfits.iter().for_each(|misfit| self.keep[misfit.row] = true);
        let kept = self.keep.iter().filter(|keep| **keep).count();
        if 2 * kept > rows {
            return;
        }
        self.filtered_rows += (rows - kept) as u64;
        self.runs.clear();
        let flags: &[u8] = bytemuck::cast_slice(&self.keep);
        let mut from = 0;
        while let Some(ahead) = memchr::memchr(1, &flags[from..]) {
            let start = from + ahead;
            from = memchr::memchr(0, &flags[start..]).map_or(rows, |length| start + length);
            self.runs.push(start..from);
        }
    }

    /// The rows that are kept: ascending, with gaps between them.
    pub(crate) fn runs(&self) -> &[Range<usize>] {
        &self.runs
    }

    /// Rows of all batches that were not kept.
    pub(crate) fn filtered_rows(&self) -> u64 {
        self.filtered_rows
    }
}

/// Takes rows out of `keep` whose value is outside of a range. What cannot be compared stays, NaN and nulls included.
fn compare(column: &Column, range: &ColumnRange, keep: &mut [bool]) {
    macro_rules! of_kind {
        ($kind:ident, $values:expr) => {{
            let ends = range.ends(|of| if let Value::$kind(value) = of { Some(value) } else { None });
            retain($values, &column.present, keep, ends);
        }};
    }
    match &column.values {
        Values::Int(values) => of_kind!(Int, values.iter()),
        Values::Float(values) => of_kind!(Float, values.iter()),
        Values::Double(values) => of_kind!(Double, values.iter()),
        Values::Date(values) => of_kind!(Date, values.iter()),
        Values::Text(texts) => {
            let ends = range.ends(|of| if let Value::Text(text) = of { Some(&text[..]) } else { None });
            retain((0..texts.spans.len()).map(|row| texts.get(row)), &column.present, keep, ends);
        }
    }
}

fn retain<'a, T: PartialOrd + ?Sized + 'a>(
    values: impl Iterator<Item = &'a T> + Clone,
    present: &[bool],
    keep: &mut [bool],
    (from, to): (Bound<&T>, Bound<&T>),
) {
    // One comparison a loop: so it is one of many values at a time.
    match from {
        Bound::Included(from) => leave_out(values.clone(), present, keep, |value| value < from),
        Bound::Excluded(from) => leave_out(values.clone(), present, keep, |value| value <= from),
        Bound::Unbounded => {}
    }
    match to {
        Bound::Included(to) => leave_out(values, present, keep, |value| value > to),
        Bound::Excluded(to) => leave_out(values, present, keep, |value| value >= to),
        Bound::Unbounded => {}
    }
}

#[inline]
fn leave_out<'a, T: ?Sized + 'a>(
    values: impl Iterator<Item = &'a T>,
    present: &[bool],
    keep: &mut [bool],
    is_outside: impl Fn(&T) -> bool,
) {
    let rows = keep.iter_mut().zip(values);
    if present.is_empty() {
        rows.for_each(|(keep, value)| *keep &= !is_outside(value));
    } else {
        rows.zip(present).for_each(|((keep, value), present)| *keep &= !(*present && is_outside(value)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{any_batch, any_range, inside};
    use super::*;

    fn wanted() -> [Wanted; 5] {
        [0, 1, 2, 3, 4].map(|column| Wanted { column, as_text: false })
    }

    proptest! {
        /// Catches a row that is lost, one that is kept for nothing, and a wrong count; by ranges of up to two columns.
        #[test]
        fn rows_inside_are_kept_and_others_only_where_they_are_few(
            batch in any_batch(proptest::collection::vec(any::<u8>(), 0..9)),
            ranges in proptest::collection::vec(any_range(), 0..3),
        ) {
            let mut filter = RowFilter::new(&wanted(), &ranges);
            let expected = inside(std::slice::from_ref(&batch), &ranges, true);
            filter.keep_all(batch.rows);
            filter.narrow(batch.rows, &batch.columns, &[]);
            let kept: Vec<_> = filter.runs().iter().cloned().flatten().map(|row| row as u64).collect();
            if 2 * expected.len() > batch.rows || ranges.is_empty() {
                prop_assert_eq!(kept.len(), batch.rows);
                prop_assert_eq!(filter.filtered_rows(), 0);
            } else {
                prop_assert_eq!(&kept, &expected);
                prop_assert_eq!(filter.filtered_rows(), (batch.rows - expected.len()) as u64);
                prop_assert!(filter.runs().windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }
    }

    #[test]
    fn what_cannot_be_compared_stays() {
        let range = ColumnRange { column: 3, from: Bound::Included(Value::Date(7)), to: Bound::Unbounded };
        let mut wanted = wanted();
        assert!(RowFilter::new(&wanted, std::slice::from_ref(&range)).compares(3));
        // A day that is read as text, and a column that is not read.
        wanted[3].as_text = true;
        assert!(!RowFilter::new(&wanted, std::slice::from_ref(&range)).compares(3));
        assert!(!RowFilter::new(&wanted[..3], std::slice::from_ref(&range)).compares(3));

        wanted[3].as_text = false;
        let mut filter = RowFilter::new(&wanted[3..], &[range]);
        let column = Column {
            values: Values::Date(vec![1, 2, 3, 4, 8, 6]),
            present: vec![true, true, false, true, true, true],
        };
        let misfit = Misfit { row: 5, column: 0, reason: String::new() };
        filter.keep_all(6);
        filter.narrow(6, &[column], &[misfit]);
        assert_eq!(filter.runs(), [2..3, 4..6]);
        assert_eq!(filter.filtered_rows(), 3);
    }
}

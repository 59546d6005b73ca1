//! Where a file's blocks lie, and what statistics say of them.

use std::ops;

use super::Wanted;

/// A run of rows whose columns lie together: a row group of Parquet, a block of the packed format.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BlockPlan {
    /// Bytes of the file that it takes, of all columns.
    pub(crate) bytes: ops::Range<u64>,
    /// Rows in it.
    pub(crate) rows: u64,
    /// Least and greatest value of each column of the table, where they are known; both may lie beyond the true ones.
    pub(crate) limits: Vec<Option<Limits>>,
}

/// Bounds of a column's values in a block, nulls aside.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(crate) struct Limits {
    pub(crate) least: Value,
    pub(crate) greatest: Value,
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(crate) enum Value {
    Int(i64),
    Float(f32),
    Double(f64),
    /// Days since 1970-01-01.
    Date(i32),
    Text(Vec<u8>),
}

/// The values of one column among which a query's rows are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnRange {
    /// Index of the column in the table.
    pub(crate) column: usize,
    pub(crate) from: ops::Bound<Value>,
    pub(crate) to: ops::Bound<Value>,
}

impl BlockPlan {
    /// Whether no row of the block can be among the values of all `ranges`. What cannot be compared, NaN included, may be.
    pub(crate) fn is_outside(&self, ranges: &[ColumnRange]) -> bool {
        ranges.iter().any(|range| self.limits_of(range).is_some_and(|limits| range.excludes(limits)))
    }

    /// Which part of its rows is among the values of all `ranges`, about: as if the values of each column were spread evenly between
    /// their limits, and those of one column knew nothing of another's. All of them where limits are not known or are texts.
    pub(crate) fn expected_share(&self, ranges: &[ColumnRange]) -> f64 {
        let share = |range| self.limits_of(range).map_or(1.0, |limits| range.share_of(limits));
        ranges.iter().map(share).product()
    }

    /// Whether each value of a range's column is known to be in it.
    pub(crate) fn is_inside(&self, range: &ColumnRange) -> bool {
        self.limits_of(range).is_some_and(|limits| range.includes(limits))
    }

    fn limits_of(&self, range: &ColumnRange) -> Option<&Limits> {
        self.limits.get(range.column)?.as_ref()
    }
}

impl ColumnRange {
    /// The place of the column among those that are read, if it is one of them and read as it is: no date as text.
    pub(crate) fn place_in(&self, wanted: &[Wanted]) -> Option<usize> {
        wanted.iter().position(|wanted| wanted.column == self.column && !wanted.as_text)
    }

    /// Both ends, for values of one type; none where an end is of another.
    pub(crate) fn ends<T: ?Sized>(
        &self,
        value: fn(&Value) -> Option<&T>,
    ) -> (ops::Bound<&T>, ops::Bound<&T>) {
        let end = |bound| match bound {
            ops::Bound::Included(of) => value(of).map_or(ops::Bound::Unbounded, ops::Bound::Included),
            ops::Bound::Excluded(of) => value(of).map_or(ops::Bound::Unbounded, ops::Bound::Excluded),
            ops::Bound::Unbounded => ops::Bound::Unbounded,
        };
        (end(self.from.as_ref()), end(self.to.as_ref()))
    }

    /// Whether no value between these limits is in the range.
    pub(crate) fn excludes(&self, limits: &Limits) -> bool {
        let Limits { least, greatest } = limits;
        let below = match &self.from {
            ops::Bound::Included(from) => greatest < from,
            ops::Bound::Excluded(from) => greatest <= from,
            ops::Bound::Unbounded => false,
        };
        let above = match &self.to {
            ops::Bound::Included(to) => least > to,
            ops::Bound::Excluded(to) => least >= to,
            ops::Bound::Unbounded => false,
        };
        (below && is_comparable(&self.from, least)) || (above && is_comparable(&self.to, least))
    }

    /// Which part of the values between these limits is in the range, from 0 to 1; 1 of those that are no numbers.
    fn share_of(&self, limits: &Limits) -> f64 {
        if self.excludes(limits) {
            return 0.0;
        }
        let (Some(least), Some(greatest)) = (limits.least.as_number(), limits.greatest.as_number()) else {
            return 1.0;
        };
        // A whole number or a day stands for all up to the next one.
        let step = limits.least.step();
        let place = |bound: &ops::Bound<Value>, included: f64, excluded: f64| match bound {
            ops::Bound::Included(value) => value.as_number().map(|number| number + included),
            ops::Bound::Excluded(value) => value.as_number().map(|number| number + excluded),
            ops::Bound::Unbounded => None,
        };
        let (start, end) = (least, greatest + step);
        let from = place(&self.from, 0.0, step).unwrap_or(start).max(start);
        let to = place(&self.to, step, 0.0).unwrap_or(end).min(end);
        let share = (to - from) / (end - start);
        // One value alone, of floats, or limits that are not finite.
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 1.0 }
    }

    /// Whether each value between these limits is in the range.
    fn includes(&self, limits: &Limits) -> bool {
        let Limits { least, greatest } = limits;
        let above = match &self.from {
            ops::Bound::Included(from) => least >= from,
            ops::Bound::Excluded(from) => least > from,
            ops::Bound::Unbounded => true,
        };
        let below = match &self.to {
            ops::Bound::Included(to) => greatest <= to,
            ops::Bound::Excluded(to) => greatest < to,
            ops::Bound::Unbounded => true,
        };
        above && below && is_comparable(&self.from, least) && is_comparable(&self.to, least)
    }
}

impl Value {
    /// The number that it is, or the day.
    fn as_number(&self) -> Option<f64> {
        Some(match self {
            Value::Int(value) => *value as f64,
            Value::Float(value) => f64::from(*value),
            Value::Double(value) => *value,
            Value::Date(days) => f64::from(*days),
            Value::Text(_) => return None,
        })
    }

    /// How far the next one of its kind is.
    fn step(&self) -> f64 {
        if matches!(self, Value::Int(_) | Value::Date(_)) { 1.0 } else { 0.0 }
    }
}

fn is_comparable(bound: &ops::Bound<Value>, with: &Value) -> bool {
    match bound {
        ops::Bound::Included(value) | ops::Bound::Excluded(value) => {
            std::mem::discriminant(value) == std::mem::discriminant(with)
        }
        ops::Bound::Unbounded => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::Bound::{Excluded, Included, Unbounded};

    #[test]
    fn blocks_are_passed_over_only_when_no_row_can_match() {
        let block = |least: Value, greatest: Value| BlockPlan {
            bytes: 0..1,
            rows: 9,
            limits: vec![None, Some(Limits { least, greatest })],
        };
        let outside = |block: &BlockPlan, from, to| block.is_outside(&[ColumnRange { column: 1, from, to }]);
        let ints = block(Value::Int(10), Value::Int(20));
        assert!(outside(&ints, Excluded(Value::Int(20)), Unbounded));
        assert!(!outside(&ints, Included(Value::Int(20)), Unbounded));
        assert!(outside(&ints, Unbounded, Excluded(Value::Int(10))));
        assert!(!outside(&ints, Unbounded, Included(Value::Int(10))));
        assert!(!outside(&ints, Included(Value::Date(99)), Unbounded), "another type");
        let inside = |from, to| ints.is_inside(&ColumnRange { column: 1, from, to });
        assert!(inside(Included(Value::Int(10)), Included(Value::Int(20))));
        assert!(!inside(Excluded(Value::Int(10)), Unbounded) && !inside(Unbounded, Excluded(Value::Int(20))));
        assert!(!inside(Unbounded, Included(Value::Date(99))), "another type");
        assert!(
            !ints.is_outside(&[ColumnRange { column: 0, from: Included(Value::Int(99)), to: Unbounded }]),
            "unknown"
        );
        assert!(!outside(
            &block(Value::Float(0.0), Value::Float(f32::NAN)),
            Included(Value::Float(7.0)),
            Unbounded
        ));
        let texts = block(Value::Text(b"b".into()), Value::Text(b"bz".into()));
        assert!(outside(&texts, Included(Value::Text(b"c".into())), Unbounded));
        assert!(!outside(&texts, Included(Value::Text(b"b".into())), Unbounded));
    }

    #[test]
    fn shares_of_ranges_are_those_of_values_spread_evenly() {
        let share = |least: Value, greatest: Value, from, to| {
            let limits = vec![Some(Limits { least, greatest })];
            let block = BlockPlan { bytes: 0..1, rows: 9, limits };
            let unknown = ColumnRange { column: 1, from: Unbounded, to: Included(Value::Int(0)) };
            block.expected_share(&[ColumnRange { column: 0, from, to }, unknown])
        };
        // Whole numbers: of ten, so many as there are.
        let of_ten = |from, to| share(Value::Int(1), Value::Int(10), from, to);
        for (from, to, expected) in [
            (Unbounded, Unbounded, 1.0),
            (Included(Value::Int(1)), Included(Value::Int(10)), 1.0),
            (Excluded(Value::Int(7)), Unbounded, 0.3),
            (Included(Value::Int(4)), Excluded(Value::Int(6)), 0.2),
            (Included(Value::Int(4)), Included(Value::Int(4)), 0.1),
            (Excluded(Value::Int(4)), Excluded(Value::Int(5)), 0.0),
            (Included(Value::Int(-9)), Included(Value::Int(2)), 0.2),
            (Included(Value::Int(11)), Unbounded, 0.0),
            (Unbounded, Included(Value::Text(b"x".into())), 1.0),
        ] {
            let found = of_ten(from.clone(), to.clone());
            assert!((found - expected).abs() < 1e-12, "{from:?} to {to:?}: {found}");
        }
        let near =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
        near(share(Value::Date(0), Value::Date(99), Included(Value::Date(90)), Unbounded), 0.1);
        near(share(Value::Float(0.0), Value::Float(2.0), Unbounded, Excluded(Value::Float(0.5))), 0.25);
        // One float alone, limits without end, and texts: nothing is known, so all may be wanted.
        let one = Value::Double(3.0);
        near(share(one.clone(), one.clone(), Included(one.clone()), Included(one)), 1.0);
        near(
            share(Value::Float(0.0), Value::Float(f32::INFINITY), Included(Value::Float(1.0)), Unbounded),
            1.0,
        );
        let text = |text: &str| Value::Text(text.into());
        near(share(text("a"), text("z"), Included(text("c")), Unbounded), 1.0);
        near(share(text("a"), text("b"), Included(text("c")), Unbounded), 0.0);
    }
}

//! Where a file's blocks lie, and what statistics say of them.

use std::ops;

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

    /// Whether each value of a range's column is known to be in it.
    pub(crate) fn is_inside(&self, range: &ColumnRange) -> bool {
        self.limits_of(range).is_some_and(|limits| range.includes(limits))
    }

    fn limits_of(&self, range: &ColumnRange) -> Option<&Limits> {
        self.limits.get(range.column)?.as_ref()
    }
}

impl ColumnRange {
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
}

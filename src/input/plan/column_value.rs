//! Values that a query gives for a column.

use crate::formats::columns::Value;
use crate::tables::Date;

/// A value that a column's values are compared with, of the type that the column has: made of an `i32`, `f32`, `f64`, [`Date`] or text.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnValue(pub(super) Value);

impl From<i32> for ColumnValue {
    fn from(value: i32) -> Self {
        ColumnValue(Value::Int(value.into()))
    }
}

impl From<f32> for ColumnValue {
    fn from(value: f32) -> Self {
        ColumnValue(Value::Float(value))
    }
}

impl From<f64> for ColumnValue {
    fn from(value: f64) -> Self {
        ColumnValue(Value::Double(value))
    }
}

impl From<Date> for ColumnValue {
    fn from(date: Date) -> Self {
        ColumnValue(Value::Date(date.days()))
    }
}

impl From<&str> for ColumnValue {
    fn from(text: &str) -> Self {
        ColumnValue(Value::Text(text.into()))
    }
}

//! Where rows come from: stores, splits and their assignment, row projection.

mod row;

pub use row::Row;

//! File encodings: one room each, readers and writers, no timely.
//!
//! A format turns the bytes of one split into rows of a query's struct. It knows how records lie in a file and
//! nothing of directories, workers or operators.

mod checksum;
pub(crate) mod columns;
pub mod compression;
pub(crate) mod csv;
mod field_error;
pub(crate) mod file;
pub(crate) mod packed;
pub(crate) mod parquet;
pub mod parts;
mod row;
pub mod row_writer;
pub(crate) mod whole;
pub mod writer;

pub use csv::write_field;

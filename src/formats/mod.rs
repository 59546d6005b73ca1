//! File encodings: one room each, readers and writers, no timely.
//!
//! A format turns the bytes of one split into rows of a query's struct. It knows how records lie in a file and
//! nothing of directories, workers or operators.

pub mod compression;
pub(crate) mod csv;
pub(crate) mod file;
pub mod parts;

pub use csv::write_field;

//! Millrace: distributed batch queries on timely dataflow.

pub mod cli;
pub mod cluster;
pub mod error;
pub mod exchange;
pub mod formats;
pub mod generate;
pub mod input;
pub mod job;
pub mod keys;
pub mod operators;
pub mod report;
pub mod tables;
pub mod units;

pub use error::{BadRecord, Error};

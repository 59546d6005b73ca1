//! The dataflow: scan, `reduce_by_key`, `reduce_by_any_key`, `reduce_by_text`, distinct, join, count, `first_by`, fold, gather, `pairs_within_key`, pipe, sort, write; one operator a file, each a trait on timely's
//! streams, so that they compose like iterator adaptors, with timely's own between them.
//!
//! All of them run on one timestamp type, [`Round`]; to their user there is one epoch, over at [`END`].

pub mod aggregates;
mod any_groups;
mod best;
mod buffers;
mod combiner;
mod context;
mod count;
mod distinct;
mod first_by;
mod fold;
mod gather;
mod hashed;
mod join;
mod notify;
mod overflow;
mod pairs_within_key;
mod partial;
mod partition;
mod partitions;
mod pipe;
mod ranking;
mod reduce_by_any_key;
mod reduce_by_key;
mod reduce_by_text;
mod router;
mod scan;
mod sort;
mod sort_within_key;
mod table;
mod top;
mod write;

pub use context::{Counters, END, ProcessShared, Round, WorkerContext};
pub use count::Count;
pub use distinct::Distinct;
pub use first_by::FirstBy;
pub use fold::Fold;
pub use gather::{Gather, Gathered};
pub(crate) use join::MOST_ROW_BYTES;
pub use join::{Join, JoinStrategy};
pub use notify::{Notificator, UnaryNotify};
pub use pairs_within_key::PairsWithinKey;
pub use pipe::Pipe;
pub use ranking::Ranking;
pub use reduce_by_any_key::ReduceByAnyKey;
pub use reduce_by_key::ReduceByKey;
pub use reduce_by_text::ReduceByText;
pub use scan::Scan;
pub use sort::Sort;
pub use sort_within_key::SortWithinKey;
pub use top::Top;
pub use write::WriteParts;

//! Totals that are kept current as files arrive, on differential dataflow.
//!
//! ```text
//!  Follower ─► a new file ─► its splits ─► each worker: rows ─► totals by key ─► arranged collection ─► count_total ─► changes
//!  looks at                  one queue                          of the file       (key, weight), one      old and new    counted,
//!  a directory or store                                         alone             epoch a file            total          printed, kept
//!                                                                                                                        by Checkpoint
//! ```
//!
//! The weight of a key in the collection is its number of rows and its sum, in units of 2^-24: weights of differential
//! dataflow are added up in any order and must therefore be exact, which floats are not. A file is summed up by key before it
//! reaches the collection, so the arrangement sees as many updates as the file has keys. The cost of a file follows its own size, and the logarithm of what
//! was there before it. Memory: the groups, in the arrangement, and those of the file being read; nothing is spilled.
//!
//! All of this is one process; between machines, a full run is the answer.

mod checkpoint;
mod directory;
mod follow;
mod running;
mod store;

pub use checkpoint::{Checkpoint, Mark, TakenFile};
pub use follow::{Arrival, Follower};
pub use running::{Changes, Running, Total, UNITS};

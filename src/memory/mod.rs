//! How much memory a process may use, and the files it uses instead.
//!
//! ```text
//!  --memory ─► limit: bytes ─► Budget, shared by the workers of a process ─► Seat: what one reducer holds
//!                                                                            │ "spill!"
//!  --spill-dir ─► Store: an unlinked file ◄─ SpillFile: runs of records ◄────┘
//!                                                        Sequence: the same for records that are no plain bytes
//! ```
//!
//! Nothing here knows a dataflow: the operators say what they hold, and are told when it is too much.

mod budget;
mod codec;
mod limit;
mod pages;
mod sequence;
mod spill;
mod store;
mod zeroed;

pub use budget::{Budget, Seat};
pub use limit::{MemoryLimit, available_bytes};
pub use sequence::{Sequence, SequenceReader, held_bytes, map_bytes, owned_bytes};
pub use spill::{Run, SpillFile};
pub use store::{Extent, Store};
pub(crate) use zeroed::zeroed_slots;

/// A record that can be spilled: plain bytes, without padding or pointers.
pub trait Spillable: bytemuck::Pod + abomonation::Abomonation {}

impl<R: bytemuck::Pod + abomonation::Abomonation> Spillable for R {}

/// Plain bytes own nothing, so there is nothing to write but their own memory.
impl<K: bytemuck::Pod, V: bytemuck::Pod> abomonation::Abomonation for crate::keys::Pair<K, V> {}

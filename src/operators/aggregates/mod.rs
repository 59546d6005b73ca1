//! Ready-made aggregates: values for `reduce_by_key`, `reduce_by_any_key` and `fold`, each with a `merge` that is associative
//! and commutative.
//!
//! `COUNT`, `SUM`, `MIN` and `MAX` need no types: their merge is `*a += b` or `*a = b.min(*a)`. What is here takes more than that.

mod approximate_distinct;
mod mean;
mod top_per_key;

pub use approximate_distinct::ApproximateDistinct;
pub use mean::Mean;
pub use top_per_key::TopPerKey;

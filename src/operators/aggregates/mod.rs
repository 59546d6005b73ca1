//! Ready-made aggregates: values for `reduce_by_key`, `reduce_by_any_key` and `fold`, each with a `merge` that is associative
//! and commutative.
//!
//! `COUNT`, `SUM`, `MIN` and `MAX` need no types: their merge is `*a += b` or `*a = b.min(*a)`. Several sums at once
//! are [`add_each`]. What else is here takes more than that.

mod add_each;
mod approximate_distinct;
mod mean;
mod top_per_key;

pub use add_each::add_each;
pub use approximate_distinct::ApproximateDistinct;
pub use mean::Mean;
pub use top_per_key::TopPerKey;

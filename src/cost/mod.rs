//! What a query costs: prices of machines, published times of other systems, and dollars per query beside each other.
//!
//! Everything is arithmetic on files: `prices.toml` and `published.toml`, compiled in, each figure with its source and date,
//! and what runs left behind, their reports and the benchmarks' results. How things are compared is in `docs/cost.md`.

mod comparison;
mod measured;
mod prices;
mod published;

pub use comparison::{Comparison, Entry, Line, Origin};
pub use measured::Measured;
pub use prices::{InstancePrice, PriceList, PricesOf, RunCost};
pub use published::{Published, Query, System, Unit};

/// USD for `seconds` on `nodes` machines, billed for exactly that time.
///
/// ```
/// assert_eq!(millrace::cost::usd(1800.0, 10, 0.85), 4.25);
/// ```
pub fn usd(seconds: f64, nodes: usize, usd_per_hour: f64) -> f64 {
    seconds * nodes as f64 * usd_per_hour / 3600.0
}

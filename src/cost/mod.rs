//! What a query costs: prices of machines, published times of other systems, dollars per query beside each other, and what it would
//! cost elsewhere.
//!
//! Everything is arithmetic on files: `prices.toml`, `published.toml` and `instances.toml`, compiled in, each figure with its source and
//! date, and what runs left behind, their reports and the benchmarks' results. How things are compared is in `docs/cost.md`, how
//! other machines are predicted in `docs/cost-model.md`.

mod comparison;
mod instances;
mod measured;
mod model;
mod prices;
mod published;
mod table;

pub use comparison::{Comparison, Entry, Line, Origin};
pub use instances::{Instance, InstanceList, Machinery};
pub use measured::{Measured, Reading};
pub use model::{CoreSpeed, Here, Load, Offer, Offers, Prediction, Question, Rates, Shape};
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

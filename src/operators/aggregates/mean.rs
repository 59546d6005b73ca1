//! `Mean`: the sum and the count that an average is made of.

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

/// An average that can be merged. Plain bytes, 16 for each record and each group.
///
/// The sum is kept in [`f64`]: it is exact while all numbers and sums are multiples of one power of two below 2⁵³ times it, as
/// integers are; otherwise its last digits depend on the order of merging.
///
/// ```
/// use millrace::operators::ReduceByKey;
/// use millrace::operators::aggregates::Mean;
/// use timely::dataflow::operators::vec::{Map, ToStream};
/// use timely::dataflow::operators::Inspect;
///
/// timely::example(|scope| {
///     [(*b"LUX", 1.0), (*b"BEL", 2.0), (*b"LUX", 4.0)]
///         .to_stream(scope)
///         .map(|(country, revenue)| (country, Mean::of(revenue)))
///         .reduce_by_key(Mean::merge)
///         .map(|(country, mean)| (country, mean.value()))
///         .inspect(|group| assert!([(*b"LUX", 2.5), (*b"BEL", 2.0)].contains(group)));
/// });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable, Serialize, Deserialize)]
#[repr(C)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// That of one number.
    #[inline]
    pub fn of(number: impl Into<f64>) -> Self {
        Mean { sum: number.into(), count: 1 }
    }

    /// Takes in the numbers of another.
    #[inline]
    pub fn merge(&mut self, more: Self) {
        self.sum += more.sum;
        self.count += more.count;
    }

    /// The average; not a number if there is none.
    pub fn value(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// The sum of all numbers.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }
}

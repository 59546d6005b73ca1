//! `Top`: the records with the highest scores, for a fold.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::best::Best;

/// Keeps the `limit` items with the highest scores; among equal scores the smaller items. For records of a stream in any order there is
/// [`first_by`](super::FirstBy::first_by), and for the best of each key [`TopPerKey`](super::aggregates::TopPerKey).
///
/// Cost of an item that is not kept: one comparison; of one that is, log₂(`limit`) of them. Each worker sends what it kept, up to
/// `limit` items. Memory: up to `limit` items, with what they own, for each worker, and those of all workers where they are
/// gathered. They are not counted to `--memory` and never spilled, since `limit` bounds them: for a large part of all records, sort.
///
/// ```
/// use millrace::operators::Top;
///
/// let mut top = Top::new(2);
/// for (word, score) in [("a", 1.0), ("c", 3.0), ("b", 3.0)] {
///     top.push(score, word);
/// }
/// assert_eq!(top.into_sorted(), [(3.0, "b"), (3.0, "c")]);
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Top<T: Ord>(Best<(f64, T)>);

/// The order of what is kept.
fn order<T: Ord>(a: &(f64, T), b: &(f64, T)) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1))
}

impl<T: Ord> Top<T> {
    /// Keeps up to `limit` items.
    pub fn new(limit: usize) -> Self {
        Top(Best::new(limit))
    }

    /// Offers an item.
    #[inline]
    pub fn push(&mut self, score: f64, item: T) {
        self.0.offer((score, item), order);
    }

    /// Offers everything another one kept.
    pub fn merge(&mut self, other: Self) {
        self.0.merge(other.0, order);
    }

    /// What was kept, highest score first.
    pub fn into_sorted(mut self) -> Vec<(f64, T)> {
        self.0.take_sorted(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Catches the lowest scores kept in place of the highest, and a tie broken the wrong way, in parts or at once.
        #[test]
        fn is_the_sorted_head(items in proptest::collection::vec((0u8..5, 0u16..50), 0..60), limit in 0usize..8, cut in 0usize..60) {
            let collect = |items: &[(u8, u16)]| {
                let mut top = Top::new(limit);
                items.iter().for_each(|&(score, item)| top.push(f64::from(score), item));
                top
            };
            let (left, right) = items.split_at(cut.min(items.len()));
            let mut merged = collect(left);
            merged.merge(collect(right));
            let mut sorted: Vec<_> = items.iter().map(|&(score, item)| (f64::from(score), item)).collect();
            sorted.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            sorted.truncate(limit);
            prop_assert_eq!(collect(&items).into_sorted(), sorted.clone());
            prop_assert_eq!(merged.into_sorted(), sorted);
        }
    }
}

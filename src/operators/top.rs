//! `Top`: the records with the highest scores, for a fold.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

/// Keeps the `limit` items with the highest scores; among equal scores the smaller items.
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
#[serde(bound = "T: Ord + Serialize + for<'a> Deserialize<'a>")]
pub struct Top<T: Ord> {
    limit: usize,
    /// The lowest kept is on top of the heap.
    kept: BinaryHeap<Reverse<Ranked<T>>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ranked<T> {
    score: f64,
    item: T,
}

impl<T: Ord> Top<T> {
    /// Keeps up to `limit` items.
    pub fn new(limit: usize) -> Self {
        Top { limit, kept: BinaryHeap::new() }
    }

    /// Offers an item.
    #[inline]
    pub fn push(&mut self, score: f64, item: T) {
        if self.kept.len() < self.limit {
            self.kept.push(Reverse(Ranked { score, item }));
        } else if let Some(mut lowest) = self.kept.peek_mut() {
            let offered = Ranked { score, item };
            if offered > lowest.0 {
                lowest.0 = offered;
            }
        }
    }

    /// Offers everything another one kept.
    pub fn merge(&mut self, other: Self) {
        for Reverse(Ranked { score, item }) in other.kept {
            self.push(score, item);
        }
    }

    /// The best of what several kept, as those of all workers, highest score first.
    pub fn best_of(tops: Vec<Self>) -> impl Iterator<Item = (f64, T)> {
        let merged = tops.into_iter().reduce(|mut all, more| {
            all.merge(more);
            all
        });
        merged.map(Self::into_sorted).into_iter().flatten()
    }

    /// What was kept, highest score first.
    pub fn into_sorted(self) -> Vec<(f64, T)> {
        let sorted = self.kept.into_sorted_vec();
        sorted.into_iter().map(|Reverse(Ranked { score, item })| (score, item)).collect()
    }
}

impl<T: Ord> Ord for Ranked<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.item.cmp(&self.item))
    }
}

impl<T: Ord> PartialOrd for Ranked<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Ranked<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Ranked<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Catches an item lost at the limit, a tie broken the wrong way, and parts that merge to another whole.
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
            prop_assert_eq!(merged.into_sorted(), sorted.clone());
            prop_assert!(Top::best_of(vec![collect(left), collect(right)]).eq(sorted));
        }
    }
}

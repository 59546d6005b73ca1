//! The first few of many items in some order: what `first_by` and `Top` keep.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

/// The first `limit` of the items offered, in the order of a comparison. Every call is given it, and it must be the same one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Best<D> {
    limit: usize,
    /// A heap whose items come no later than the one above: the last of them, which is the first to go, is on top. `BinaryHeap` would ask
    /// the items for their order.
    kept: Vec<D>,
}

impl<D> Best<D> {
    pub(super) fn new(limit: usize) -> Self {
        Best { limit, kept: Vec::new() }
    }

    /// Keeps an item if it is among the first so far.
    #[inline]
    pub(super) fn offer(&mut self, item: D, compare: impl Fn(&D, &D) -> Ordering) {
        if self.kept.len() < self.limit {
            self.kept.push(item);
            self.rise(compare);
        } else if let Some(last) = self.kept.first_mut()
            && compare(&item, last).is_lt()
        {
            *last = item;
            self.sink(compare);
        }
    }

    /// Offers everything another one kept.
    pub(super) fn merge(&mut self, other: Self, compare: impl Fn(&D, &D) -> Ordering) {
        other.kept.into_iter().for_each(|item| self.offer(item, &compare));
    }

    /// Gives what was kept, in order.
    pub(super) fn take_sorted(&mut self, compare: impl Fn(&D, &D) -> Ordering) -> Vec<D> {
        let mut kept = std::mem::take(&mut self.kept);
        kept.sort_unstable_by(compare);
        kept
    }

    /// Brings the item at the end to its place.
    fn rise(&mut self, compare: impl Fn(&D, &D) -> Ordering) {
        let mut at = self.kept.len() - 1;
        while at > 0 {
            let above = (at - 1) / 2;
            if compare(&self.kept[at], &self.kept[above]).is_le() {
                return;
            }
            self.kept.swap(at, above);
            at = above;
        }
    }

    /// Brings the item on top to its place.
    fn sink(&mut self, compare: impl Fn(&D, &D) -> Ordering) {
        let (kept, mut at) = (&mut self.kept, 0);
        loop {
            let below = (2 * at + 1..kept.len().min(2 * at + 3)).max_by(|a, b| compare(&kept[*a], &kept[*b]));
            match below {
                Some(below) if compare(&kept[at], &kept[below]).is_lt() => {
                    kept.swap(at, below);
                    at = below;
                }
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Catches an item lost at the limit, one that is kept in place of an earlier one, and parts that merge to another whole.
        #[test]
        fn is_the_sorted_head(
            numbers in proptest::collection::vec(0u16..500, 0..400),
            limit in 0usize..80,
            cut in 0usize..400,
        ) {
            let best = |numbers: &[u16]| {
                let mut best = Best::new(limit);
                numbers.iter().for_each(|&number| best.offer(number, u16::cmp));
                best
            };
            let (left, right) = numbers.split_at(cut.min(numbers.len()));
            let mut merged = best(left);
            merged.merge(best(right), u16::cmp);
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            sorted.truncate(limit);
            prop_assert_eq!(best(&numbers).take_sorted(u16::cmp), sorted.clone());
            prop_assert_eq!(merged.take_sorted(u16::cmp), sorted);
        }
    }
}

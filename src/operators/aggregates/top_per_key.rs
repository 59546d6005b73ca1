//! `TopPerKey`: the largest few items of each key.

use serde::{Deserialize, Serialize};

/// The `N` largest items by [`Ord`], or all there are if they are fewer; equal items are all counted, as SQL's
/// `ROW_NUMBER() OVER (PARTITION BY … ORDER BY … DESC) <= N` does. For the smallest, wrap them in [`std::cmp::Reverse`].
///
/// A value for [`reduce_by_any_key`](crate::operators::ReduceByAnyKey::reduce_by_any_key): each group holds a [`Vec`] of at most `N` items, and each
/// record that is not merged yet one of a single item, which is an allocation. Merging takes up to `N` comparisons, or one where nothing
/// of the other is large enough. [`Top`](crate::operators::Top) is the same for the whole of an answer, where the limit is an option.
///
/// ```
/// use millrace::operators::ReduceByAnyKey;
/// use millrace::operators::aggregates::TopPerKey;
/// use timely::dataflow::operators::vec::{Map, ToStream};
/// use timely::dataflow::operators::Inspect;
///
/// timely::example(|scope| {
///     [("ann", 3u64), ("bob", 5), ("ann", 9), ("ann", 7)]
///         .to_stream(scope)
///         .map(|(user, price)| (user.to_owned(), TopPerKey::<_, 2>::of(price)))
///         .reduce_by_any_key(TopPerKey::merge)
///         .inspect(|(user, top)| assert_eq!(top.items(), if user == "ann" { &[9, 7][..] } else { &[5] }));
/// });
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopPerKey<T, const N: usize>(Vec<T>);

impl<T: Ord, const N: usize> TopPerKey<T, N> {
    /// That of one item.
    pub fn of(item: T) -> Self {
        const { assert!(N > 0, "none of all items are no aggregate") };
        TopPerKey(vec![item])
    }

    /// Takes in the items of another.
    pub fn merge(&mut self, more: Self) {
        for item in more.0 {
            let place = self.0.partition_point(|kept| *kept >= item);
            if place >= N {
                // Those that follow are no larger.
                return;
            }
            self.0.truncate(N - 1);
            self.0.insert(place, item);
        }
    }

    /// The items, largest first.
    pub fn items(&self) -> &[T] {
        &self.0
    }

    /// The items, largest first.
    pub fn into_items(self) -> Vec<T> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn top(items: &[u8]) -> Option<TopPerKey<u8, 3>> {
        items.iter().map(|&item| TopPerKey::of(item)).reduce(merged)
    }

    fn merged(mut a: TopPerKey<u8, 3>, b: TopPerKey<u8, 3>) -> TopPerKey<u8, 3> {
        a.merge(b);
        a
    }

    proptest! {
        /// Catches an item lost or kept twice where lists meet, whatever the order and grouping.
        #[test]
        fn is_the_sorted_head(mut items in proptest::collection::vec(0u8..20, 2..40), cut in 1usize..39) {
            let (left, right) = items.split_at(cut.min(items.len() - 1));
            let (left, right) = (top(left).expect("one"), top(right).expect("one"));
            let whole = top(&items).expect("two");
            prop_assert_eq!(&merged(left.clone(), right.clone()), &whole);
            prop_assert_eq!(&merged(right, left), &whole);
            items.sort_unstable_by(|a, b| b.cmp(a));
            items.truncate(3);
            prop_assert_eq!(whole.items(), items);
        }
    }
}

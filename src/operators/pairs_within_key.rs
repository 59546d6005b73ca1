//! `pairs_within_key`: a join of records with one another.

use std::hash::Hash;

use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::Map;

use super::context::Round;
use super::sort_within_key::SortWithinKey;

/// Joining a stream with itself.
pub trait PairsWithinKey<'scope, K, V> {
    /// Gives what `join` makes of any two values of a key, the lesser one first and each pair once: SQL's
    /// `FROM t AS a JOIN t AS b ON a.key = b.key AND a.value < b.value`, but that equal values make a pair, too.
    ///
    /// Cost and memory: those of [`sort_within_key`](SortWithinKey::sort_within_key), and a call of `join` for each pair, of which a
    /// key of `n` values has `n (n - 1) / 2`. What `join` makes of one key's pairs must fit in memory.
    ///
    /// ```
    /// use millrace::operators::PairsWithinKey;
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     // Team and player.
    ///     [("red", 7), ("blue", 1), ("red", 2)]
    ///         .map(|(team, player)| (team.to_owned(), player))
    ///         .to_stream(scope)
    ///         .pairs_within_key(|team, a, b| Some((team.clone(), *a, *b)))
    ///         .inspect(|pair| assert_eq!(*pair, ("red".to_owned(), 2, 7)));
    /// });
    /// ```
    fn pairs_within_key<R: 'static>(
        self,
        join: impl Fn(&K, &V, &V) -> Option<R> + 'static,
    ) -> StreamVec<'scope, Round, R>;
}

impl<'scope, K, V> PairsWithinKey<'scope, K, V> for StreamVec<'scope, Round, (K, V)>
where
    K: ExchangeData + Hash + Ord,
    V: ExchangeData + Ord,
{
    fn pairs_within_key<R: 'static>(
        self,
        join: impl Fn(&K, &V, &V) -> Option<R> + 'static,
    ) -> StreamVec<'scope, Round, R> {
        self.sort_within_key(V::cmp).flat_map(move |(key, values)| {
            let mut joined = Vec::new();
            for (place, a) in values.iter().enumerate() {
                joined.extend(values[place + 1..].iter().filter_map(|b| join(&key, a, b)));
            }
            joined
        })
    }
}

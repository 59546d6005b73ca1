//! `reduce_by_text`: one value per text, or per key of several texts, for texts that are mostly short.
//!
//! ```text
//!                       ┌► all texts up to 16 bytes: as reduce_by_key by Prefix<16> ─┐
//!  (key, value) ─► Route                                                            ├─► (key, value)
//!                       └► others: reduce_by_any_key by the texts themselves ───────┘
//! ```
//!
//! Which way a key goes depends on nothing but the key, so each comes out once.

use bytemuck::Pod;
use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concat;

use super::ReduceByAnyKey;
use super::context::Round;
use super::reduce_by_key::Reducer;
use super::router::route_some;
use crate::keys::TextKey;

/// Keyed aggregation by texts.
pub trait ReduceByText<'scope, K, V> {
    /// Merges all values of a text into one, with `merge` in any order and grouping: it must be associative and
    /// commutative. Each text comes out once, on the worker that owns it, after all input has been seen. Texts are compared whole.
    /// A key can be several texts and numbers: `(page, user)`, or `(page, (user, day))`.
    ///
    /// Cost, memory and what is spilled: as [`reduce_by_key`](super::ReduceByKey::reduce_by_key) for keys of short texts, which become plain
    /// bytes where they are sent and texts again where they are given, and as [`reduce_by_any_key`](ReduceByAnyKey::reduce_by_any_key) for
    /// others. A short text is 16 bytes in its table and on the wire; what is short, [`TextKey`] tells. Of others each longer text owns its bytes.
    ///
    /// ```
    /// use millrace::keys::ShortText;
    /// use millrace::operators::ReduceByText;
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     ["203.0.113.77", "2001:db8:85a3:8d3:1319:8a2e:370:7348", "203.0.113.77"]
    ///         .map(|address| (ShortText::new(address.as_bytes()), 1u64))
    ///         .to_stream(scope)
    ///         .reduce_by_text(|count, more| *count += more)
    ///         .inspect(|(address, count)| assert_eq!(*count, if address.as_bytes().len() == 12 { 2 } else { 1 }));
    /// });
    /// ```
    fn reduce_by_text(self, merge: impl Fn(&mut V, V) + Clone + 'static) -> StreamVec<'scope, Round, (K, V)>;
}

impl<'scope, K: TextKey, V: Pod + ExchangeData> ReduceByText<'scope, K, V>
    for StreamVec<'scope, Round, (K, V)>
{
    fn reduce_by_text(self, merge: impl Fn(&mut V, V) + Clone + 'static) -> StreamVec<'scope, Round, (K, V)> {
        let reducer = Reducer::new(self.scope(), merge.clone());
        let short = |(key, value): &(K, V)| key.shorten().map(|short| (short, *value));
        let (short, long) = route_some(self, short, reducer.sender());
        reducer
            .reduce(short, |(short, value)| (K::lengthen(short), value))
            .concat(long.reduce_by_any_key(merge))
    }
}

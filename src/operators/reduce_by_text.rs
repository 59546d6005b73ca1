//! `reduce_by_text`: one value per text, for texts that are mostly short.
//!
//! ```text
//!                        ┌► up to 16 bytes: as reduce_by_key by Prefix<16> ─┐
//!  (text, value) ─► Route                                                  ├─► (text, value)
//!                        └► longer ones: reduce_by_any_key by text ────────┘
//! ```
//!
//! Which way a text goes depends on nothing but the text, so each comes out once.

use bytemuck::Pod;
use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concat;

use super::ReduceByAnyKey;
use super::context::Round;
use super::reduce_by_key::Reducer;
use super::router::route_some;
use crate::keys::{InlineText, Prefix};

/// Bytes of a text that is a fixed-width key: those of every IPv4 address.
const SHORT: usize = 16;

/// Keyed aggregation by texts.
pub trait ReduceByText<'scope, T, V> {
    /// Merges all values of a text into one, with `merge` in any order and grouping: it must be associative and
    /// commutative. Each text comes out once, on the worker that owns it, after all input has been seen. Texts are compared whole.
    ///
    /// Cost, memory and what is spilled: as [`reduce_by_key`](super::ReduceByKey::reduce_by_key) for short texts, which become keys where
    /// they are sent and texts again where they are given, and as [`reduce_by_any_key`](ReduceByAnyKey::reduce_by_any_key) for others. A
    /// short text is a fixed-width key, 16 bytes in its table and on the wire; a longer one, or one that ends in a zero byte, which a
    /// [`Prefix`] cannot tell from its padding, owns its bytes.
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
    fn reduce_by_text(self, merge: impl Fn(&mut V, V) + Clone + 'static) -> StreamVec<'scope, Round, (T, V)>;
}

impl<'scope, const N: usize, V: Pod + ExchangeData> ReduceByText<'scope, InlineText<N>, V>
    for StreamVec<'scope, Round, (InlineText<N>, V)>
{
    fn reduce_by_text(
        self,
        merge: impl Fn(&mut V, V) + Clone + 'static,
    ) -> StreamVec<'scope, Round, (InlineText<N>, V)> {
        let reducer = Reducer::new(self.scope(), merge.clone());
        let short = |(text, value): (InlineText<N>, V)| match Prefix::<SHORT>::whole(text.as_bytes()) {
            Some(prefix) => Ok((prefix, value)),
            None => Err((text, value)),
        };
        let (short, long) = route_some(self, short, reducer.sender());
        reducer
            .reduce(short, |(prefix, value)| (InlineText::new(prefix.as_bytes()), value))
            .concat(long.reduce_by_any_key(merge))
    }
}

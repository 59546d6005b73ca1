//! `distinct`, `distinct_text`, `distinct_any`: each key once, over all workers.
//!
//! ```text
//!  key ─► (key, ()) ─► reduce_by_key, reduce_by_text or reduce_by_any_key ─► key
//! ```
//!
//! `distinct_text` does so within the reducer's own operators. What repeats is dropped where a reducer would merge it, so what is true of the reducers is true of these.

use std::hash::Hash;

use timely::ExchangeData;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::Concat;
use timely::dataflow::operators::vec::Map;

use super::context::Round;
use super::reduce_by_key::Reducer;
use super::router::route_some;
use super::{ReduceByAnyKey, ReduceByKey};
use crate::keys::{Key, TextKey};

/// Dropping repetitions.
pub trait Distinct<'scope, K> {
    /// Gives each key once, on the worker that owns it, after all input has been seen.
    ///
    /// Cost: as [`reduce_by_key`](ReduceByKey::reduce_by_key) with a value of no bytes. A key leaves its worker once, as `size_of` key
    /// on the wire, unless it was dropped before, as repetitions are that come close together. Memory: 1.25 to 1.6 times `size_of`
    /// key for each distinct one, and as many that wait; what exceeds `--memory` is spilled.
    ///
    /// ```
    /// use millrace::operators::{Count, Distinct};
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     // SELECT COUNT(DISTINCT number)
    ///     let numbers = (0..100u64).map(|number| number % 7).to_stream(scope);
    ///     numbers.distinct().count().inspect(|count| assert_eq!(*count, 7));
    /// });
    /// ```
    fn distinct(self) -> StreamVec<'scope, Round, K>
    where
        K: Key;

    /// The same for texts that are mostly short, and pairs of them.
    ///
    /// Cost and memory: as [`reduce_by_text`](super::ReduceByText::reduce_by_text), with a value of no bytes.
    ///
    /// ```
    /// use millrace::keys::ShortText;
    /// use millrace::operators::{Count, Distinct};
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     // Page and user of each click.
    ///     let clicks = [("mill", "ann"), ("mill", "bob"), ("race", "ann"), ("mill", "ann")]
    ///         .map(|(page, user)| (ShortText::new(page.as_bytes()), ShortText::new(user.as_bytes())))
    ///         .to_stream(scope);
    ///     clicks.distinct_text().count().inspect(|count| assert_eq!(*count, 3));
    /// });
    /// ```
    fn distinct_text(self) -> StreamVec<'scope, Round, K>
    where
        K: TextKey;

    /// The same for keys of any kind: texts, lists, enums, and tuples of them.
    ///
    /// Cost: as [`reduce_by_any_key`](ReduceByAnyKey::reduce_by_any_key), whose rules for keys these are, too. Memory: the distinct
    /// keys, with what they own; what exceeds `--memory` is spilled.
    ///
    /// ```
    /// use millrace::operators::{Count, Distinct};
    /// use timely::dataflow::operators::vec::ToStream;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// timely::example(|scope| {
    ///     let words = ["to", "be", "or", "not", "to", "be"].map(str::to_owned).to_stream(scope);
    ///     words.distinct_any().count().inspect(|count| assert_eq!(*count, 4));
    /// });
    /// ```
    fn distinct_any(self) -> StreamVec<'scope, Round, K>
    where
        K: ExchangeData + Hash + Eq;
}

impl<'scope, K: 'static> Distinct<'scope, K> for StreamVec<'scope, Round, K> {
    fn distinct(self) -> StreamVec<'scope, Round, K>
    where
        K: Key,
    {
        self.map(|key| (key, ())).reduce_by_key(|(), ()| ()).map(|(key, ())| key)
    }

    fn distinct_text(self) -> StreamVec<'scope, Round, K>
    where
        K: TextKey,
    {
        let reducer = Reducer::new(self.scope(), |(): &mut (), ()| ());
        let short = |key: &K| key.shorten().map(|short| (short, ()));
        let (short, long) = route_some(self, short, reducer.sender());
        reducer.reduce(short, |(short, ())| K::lengthen(short)).concat(long.distinct_any())
    }

    fn distinct_any(self) -> StreamVec<'scope, Round, K>
    where
        K: ExchangeData + Hash + Eq,
    {
        self.map(|key| (key, ())).reduce_by_any_key(|(), ()| ()).map(|(key, ())| key)
    }
}

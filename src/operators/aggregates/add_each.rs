//! `add_each`: several counts and sums of a key at once.

use std::ops::AddAssign;

/// The merge of an array of sums: each takes in its counterpart.
///
/// `COUNT(*), SUM(seconds)` by country:
///
/// ```
/// use millrace::operators::ReduceByKey;
/// use millrace::operators::aggregates::add_each;
/// use timely::dataflow::operators::vec::ToStream;
/// use timely::dataflow::operators::Inspect;
///
/// timely::example(|scope| {
///     [(*b"LUX", [1u64, 7]), (*b"BEL", [1, 5]), (*b"LUX", [1, 2])]
///         .to_stream(scope)
///         .reduce_by_key(add_each)
///         .inspect(|group| assert!([(*b"LUX", [2, 9]), (*b"BEL", [1, 5])].contains(group)));
/// });
/// ```
#[inline]
pub fn add_each<T: AddAssign, const N: usize>(sums: &mut [T; N], more: [T; N]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

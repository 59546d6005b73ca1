//! `Ranking`: the hash of all rows of an answer and the best of them, for a fold.

use serde::{Deserialize, Serialize};

use super::Top;
use crate::report::AnswerHash;

/// What is told of an answer of many rows: how many there are and their hash, and those with the highest scores.
///
/// Each worker folds its rows into one, and [`Ranking::of_all`] makes one of them all. Cost and memory: those of [`Top`], and the
/// hash of each row.
///
/// ```
/// use millrace::operators::Ranking;
///
/// let part = |words: &[(&'static str, f64)]| {
///     words.iter().fold(Ranking::new(1), |mut ranking, (word, score)| {
///         ranking.hash.add(&[word.as_bytes(), &score.to_le_bytes()]);
///         ranking.top.push(*score, *word);
///         ranking
///     })
/// };
/// let all = Ranking::of_all(vec![part(&[("a", 1.0), ("c", 3.0)]), part(&[("b", 2.0)])]);
/// assert_eq!((all.hash.rows(), all.top.into_sorted()), (3, vec![(3.0, "c")]));
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ranking<T: Ord> {
    /// Of all rows: [`AnswerHash::add`] each of them.
    pub hash: AnswerHash,
    /// The best rows: [`Top::push`] each of them.
    pub top: Top<T>,
}

impl<T: Ord> Ranking<T> {
    /// That of no rows; it keeps up to `limit` of those to come.
    pub fn new(limit: usize) -> Self {
        Ranking { hash: AnswerHash::default(), top: Top::new(limit) }
    }

    /// That of the rows of all parts, as of all workers.
    pub fn of_all(parts: impl IntoIterator<Item = Self>) -> Self {
        let merged = parts.into_iter().reduce(|mut all, more| {
            all.hash.merge(more.hash);
            all.top.merge(more.top);
            all
        });
        merged.unwrap_or_else(|| Ranking::new(0))
    }
}

//! The answer's fingerprint: equal for equal answers, whatever the order of their rows and whoever computed them.

use serde::{Deserialize, Serialize};

use crate::keys::hash_bytes;

/// Start of a row's hash (further digits of pi).
const SEED: u64 = 0xA409_3822_299F_31D0;

/// Hash of a multiset of rows.
///
/// Each row is hashed to 64 bits and the hashes are added up, so that order, workers and processes do not matter
/// and a row that comes twice counts twice. It finds differences; it is no protection against someone who wants
/// to hide one.
///
/// ```
/// use millrace::report::AnswerHash;
///
/// let hash = |rows: &[&str]| {
///     let mut hash = AnswerHash::default();
///     rows.iter().for_each(|row| hash.add(&[row.as_bytes(), &row.len().to_le_bytes()]));
///     hash
/// };
/// assert_eq!(hash(&["a", "b"]), hash(&["b", "a"]));
/// assert_ne!(hash(&["a", "b"]), hash(&["a", "b", "b"]));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerHash {
    rows: u64,
    sum: u64,
}

impl AnswerHash {
    /// Adds a row, given as the bytes of its columns; the length of each column is part of the hash.
    #[inline]
    pub fn add(&mut self, columns: &[&[u8]]) {
        self.add_columns(columns);
    }

    /// Adds a row whose columns come one after the other.
    #[inline]
    pub(crate) fn add_columns(&mut self, columns: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        let state = columns.into_iter().fold(SEED, |state, column| {
            let column = column.as_ref();
            hash_bytes(column, (state ^ column.len() as u64).rotate_left(32))
        });
        self.sum = self.sum.wrapping_add(state);
        self.rows += 1;
    }

    /// Takes back a row that was added.
    pub fn remove(&mut self, columns: &[&[u8]]) {
        let mut row = AnswerHash::default();
        row.add(columns);
        self.sum = self.sum.wrapping_sub(row.sum);
        self.rows -= row.rows;
    }

    /// Adds the rows of another part of the answer.
    pub fn merge(&mut self, other: Self) {
        self.sum = self.sum.wrapping_add(other.sum);
        self.rows += other.rows;
    }

    /// Rows added.
    pub fn rows(&self) -> u64 {
        self.rows
    }
}

impl std::iter::Sum for AnswerHash {
    /// That of the rows of all parts.
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(AnswerHash::default(), |mut all, part| {
            all.merge(part);
            all
        })
    }
}

impl std::fmt::Display for AnswerHash {
    /// Sixteen hexadecimal digits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", hash_bytes(&self.rows.to_le_bytes(), self.sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_taken_back_was_never_there() {
        let (mut hash, mut other) = (AnswerHash::default(), AnswerHash::default());
        hash.add(&[b"a"]);
        hash.add(&[b"b"]);
        hash.remove(&[b"a"]);
        other.add(&[b"b"]);
        assert_eq!(hash, other);
    }

    #[test]
    fn columns_do_not_run_together() {
        let hash = |columns: &[&[u8]]| {
            let mut hash = AnswerHash::default();
            hash.add(columns);
            hash.to_string()
        };
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"a"]), hash(&[b"a\0"]));
        assert_ne!(hash(&[b"a"]), hash(&[b"b"]));
        assert_eq!(hash(&[b"a"]).len(), 16);
    }
}

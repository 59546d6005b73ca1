//! Records that are sorted by the hashes of their keys, which are taken once.

use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::keys::route_hash_of;

/// A record, and the hash that its key is routed by, which is not written: what reads the key makes it again.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "(K, V)", bound(deserialize = "K: Deserialize<'de> + Hash, V: Deserialize<'de>"))]
pub(super) struct Hashed<K, V> {
    #[serde(skip_serializing)]
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) value: V,
}

impl<K: Hash, V> From<(K, V)> for Hashed<K, V> {
    #[inline]
    fn from((key, value): (K, V)) -> Self {
        Hashed { hash: route_hash_of(&key), key, value }
    }
}

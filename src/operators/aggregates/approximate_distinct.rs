//! `ApproximateDistinct`: about how many different items there are, in bounded memory, by `HyperLogLog`.
//!
//! Each item is hashed; the first bits choose a register, which keeps the largest number of leading zeros (plus one) that the others have
//! had. The sketch is that of Flajolet, Fusy, Gandouet and Meunier, "`HyperLogLog`: the analysis of a near-optimal
//! cardinality estimation algorithm" (2007), with hashes of 64 bits, so that there is no large range to correct, and a list of the registers
//! in use while they are few, both as in Heule, Nunkesser and Hall, "`HyperLogLog` in Practice" (2013). The estimate is that of Ertl, "New
//! cardinality estimation algorithms for `HyperLogLog` sketches" (2017), which has no bias for small and middling numbers and
//! so needs neither linear counting nor tables of corrections.

use std::f64::consts::LN_2;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::keys::place_hash_of;

/// Counts different items: `COUNT(DISTINCT item)` with a relative standard error of 1.04 / √2ᴾ, by default (`P` of 12)
/// 1.6 %; `P` of 14 has 0.8 %, and four times the memory. `P` is from 4 to 16.
///
/// A value for [`reduce_by_any_key`](crate::operators::ReduceByAnyKey::reduce_by_any_key), or for [`fold`](crate::operators::Fold::fold) where there is one count for
/// all. Merging is commutative, associative and idempotent, and hashes start from constants: the estimate is the same for any number of
/// workers, and does not change if something is counted twice.
///
/// Memory and bytes exchanged: 4 bytes for each register in use, at most about the number of different items, and from a quarter of all registers on 2ᴾ
/// bytes (4,096 by default) for each group. A record that is not merged yet is an allocation of one register. Where groups are many and small, exact counts by
/// [`distinct`](crate::operators::Distinct::distinct) may cost no more.
///
/// ```
/// use millrace::operators::ReduceByAnyKey;
/// use millrace::operators::aggregates::ApproximateDistinct;
/// use timely::dataflow::operators::vec::{Map, ToStream};
/// use timely::dataflow::operators::Inspect;
///
/// timely::example(|scope| {
///     (0..9_000u64)
///         .map(|visit| (visit % 2, visit % 3_000))
///         .to_stream(scope)
///         .map(|(page, user)| (page, ApproximateDistinct::<12>::of(&user)))
///         .reduce_by_any_key(ApproximateDistinct::merge)
///         // Each page has half of the users.
///         .inspect(|(_, users)| assert!((users.estimate() / 1_500.0 - 1.0).abs() < 0.05));
/// });
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproximateDistinct<const P: u32 = 12>(Registers);

/// The registers that are not zero. Which form they have follows from how many they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Registers {
    /// Number and rank, the rank in the lowest byte, in the order of the numbers.
    Few(Vec<u32>),
    /// All ranks.
    All(Vec<u8>),
}

impl Default for Registers {
    fn default() -> Self {
        Registers::Few(Vec::new())
    }
}

impl<const P: u32> ApproximateDistinct<P> {
    const REGISTERS: usize = {
        assert!(P >= 4 && P <= 16, "from 4 to 16 bits of a hash choose a register");
        1 << P
    };
    /// Registers that take no more memory in a list.
    const MOST_LISTED: usize = Self::REGISTERS / 4;

    /// That of one item. Items that are equal must have equal hashes, as [`Hash`] demands.
    pub fn of(item: &(impl Hash + ?Sized)) -> Self {
        let mut one = Self::default();
        one.insert(item);
        one
    }

    /// Takes in an item.
    pub fn insert(&mut self, item: &(impl Hash + ?Sized)) {
        let hash = mixed(place_hash_of(item));
        // The bit ends the zeros where all others are.
        let rank = ((hash << P) | (1 << (P - 1))).leading_zeros() as u8 + 1;
        self.raise((hash >> (64 - P)) as usize, rank);
    }

    /// Takes in the items of another.
    pub fn merge(&mut self, mut more: Self) {
        if let (Registers::Few(_), Registers::All(_)) = (&self.0, &more.0) {
            std::mem::swap(self, &mut more);
        }
        match more.0 {
            Registers::Few(entries) => {
                entries.into_iter().for_each(|entry| self.raise((entry >> 8) as usize, entry as u8));
            }
            Registers::All(ranks) => {
                ranks.into_iter().enumerate().for_each(|(register, rank)| self.raise(register, rank));
            }
        }
    }

    /// Sets a register to a rank if it is lower. Registers that a peer made up are none of ours.
    fn raise(&mut self, register: usize, rank: u8) {
        match &mut self.0 {
            Registers::All(ranks) => {
                if let Some(own) = ranks.get_mut(register) {
                    *own = rank.max(*own);
                }
            }
            Registers::Few(entries) => {
                let entry = (register as u32) << 8 | u32::from(rank);
                match entries.binary_search_by_key(&(register as u32), |entry| entry >> 8) {
                    Ok(place) => entries[place] = entry.max(entries[place]),
                    Err(place) if entries.len() < Self::MOST_LISTED => entries.insert(place, entry),
                    Err(_) => {
                        let listed = std::mem::take(entries);
                        self.0 = Registers::All(vec![0; Self::REGISTERS]);
                        listed.into_iter().for_each(|entry| self.raise((entry >> 8) as usize, entry as u8));
                        self.raise(register, rank);
                    }
                }
            }
        }
    }

    /// About how many different items were taken in.
    pub fn estimate(&self) -> f64 {
        // How many registers have which rank.
        let mut counts = [0u32; 64];
        let mut count = |rank: u8| counts[usize::from(rank & 63)] += 1;
        match &self.0 {
            Registers::Few(entries) => entries.iter().for_each(|entry| count(*entry as u8)),
            Registers::All(ranks) => ranks.iter().filter(|rank| **rank > 0).for_each(|rank| count(*rank)),
        }
        let all = Self::REGISTERS as f64;
        let unused = all - f64::from(counts.iter().sum::<u32>());
        let most = (64 - P) as usize;
        // Ertl's algorithm 6.
        let mut inverse = all * tau(1.0 - f64::from(counts[most + 1]) / all);
        for &registers in counts[1..=most].iter().rev() {
            inverse = f64::midpoint(inverse, f64::from(registers));
        }
        inverse += all * sigma(unused / all);
        all * all / (2.0 * LN_2 * inverse)
    }
}

/// Spreads what differs in a few bits over all 64 (the last step of `SplitMix64`): a product alone leaves the hashes of consecutive numbers evenly
/// spaced, and it is chance that is counted on here.
fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}

/// `x + Σ x^(2^k) · 2^(k-1)`: what the registers without an item stand for; endless if all are.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut sum, mut weight) = (x, 1.0);
    loop {
        x *= x;
        let before = sum;
        sum += x * weight;
        weight *= 2.0;
        if sum <= before {
            return sum;
        }
    }
}

/// `(1 - x - Σ (1 - x^(2^-k))² · 2^-k) / 3`: what the registers stand for whose hashes had nothing but zeros.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut sum, mut weight) = (1.0 - x, 1.0);
    loop {
        x = x.sqrt();
        let before = sum;
        weight /= 2.0;
        sum -= (1.0 - x).powi(2) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Small, so that a few items are many.
    type Sketch = ApproximateDistinct<6>;

    fn sketch(items: &[u16]) -> Sketch {
        let mut sketch = Sketch::default();
        items.iter().for_each(|item| sketch.insert(item));
        sketch
    }

    fn merged(mut a: Sketch, b: &Sketch) -> Sketch {
        a.merge(b.clone());
        a
    }

    fn items() -> impl Strategy<Value = Vec<u16>> {
        proptest::collection::vec(0u16..200, 0..60)
    }

    proptest! {
        /// Catches a merge that depends on order, grouping, repetition, or on which of the two forms either side has.
        #[test]
        fn merging_is_a_union(a in items(), b in items(), c in items()) {
            let whole = sketch(&[&a[..], &b, &c].concat());
            let (a, b, c) = (sketch(&a), sketch(&b), sketch(&c));
            prop_assert_eq!(&merged(merged(a.clone(), &b), &c), &whole);
            prop_assert_eq!(&merged(a.clone(), &merged(b.clone(), &c)), &whole);
            prop_assert_eq!(merged(a.clone(), &b), merged(b, &a));
            prop_assert_eq!(&merged(whole.clone(), &a), &whole);
            prop_assert_eq!(&merged(whole.clone(), &whole), &whole);
            let bytes = postcard::to_stdvec(&whole).expect("bytes");
            prop_assert_eq!(postcard::from_bytes::<Sketch>(&bytes).expect("bytes"), whole);
        }
    }

    /// The mean and the root mean square of relative errors, over as many counts of that many items each.
    fn errors<const P: u32>(count: u64, trials: u64, item: impl Fn(u64) -> String) -> (f64, f64) {
        let (mut sum, mut squares) = (0.0, 0.0);
        for trial in 0..trials {
            let mut sketch = ApproximateDistinct::<P>::default();
            for number in trial * count..(trial + 1) * count {
                if trial % 2 == 0 {
                    sketch.insert(&number);
                } else {
                    sketch.insert(&item(number));
                }
            }
            let error = sketch.estimate() / count as f64 - 1.0;
            sum += error;
            squares += error * error;
        }
        (sum / trials as f64, (squares / trials as f64).sqrt())
    }

    #[test]
    fn the_error_is_what_it_says() {
        // Catches a wrong constant, a biased hash of consecutive numbers or of texts alike, and a range in which the estimate leans.
        let item = |number| format!("user-{number}");
        let stated = 1.04 / 64.0;
        for (count, trials) in [(10, 200), (1_000, 100), (10_000, 40), (100_000, 12)] {
            let (mean, root) = errors::<12>(count, trials, item);
            let most_lean = 4.0 * stated / (trials as f64).sqrt();
            assert!(mean.abs() < most_lean && root < 1.6 * stated, "{count}: mean {mean}, root {root}");
        }
        let (_, few) = errors::<8>(20_000, 20, item);
        assert!((0.5 * 1.04 / 16.0..1.6 * 1.04 / 16.0).contains(&few), "{few}");
    }

    #[test]
    fn nothing_is_none_and_one_is_one() {
        let estimates = [Sketch::default().estimate(), Sketch::of("mill").estimate()];
        assert_eq!(estimates.map(|estimate| estimate.round() as u64), [0, 1]);
    }
}

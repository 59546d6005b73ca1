//! What the TPC-H queries share: the tables they read, as `dbgen` and its successors write them, and exact money.
//!
//! ```sh
//! pip install tpchgen-cli
//! tpchgen-cli tbl --scale-factor 1 --parts 8 --output-dir data/csv/tpch-1
//! cargo run --release --example tpch_q1 -- --set tpch-1
//! ```

// Each query is a program of its own and uses a part of this.
#![allow(dead_code)]

use millrace::cli::JobArguments;
use millrace::tables::{Column, Table};
use serde::de::{Deserialize, Deserializer, Error};

/// One query of TPC-H, on the tables that `tpchgen-cli tbl` writes.
#[derive(clap::Parser, serde::Serialize)]
pub(crate) struct Options {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) job: JobArguments,
}

/// A row ends with a delimiter, so behind it there is one more field, empty and without a name.
const END: Column = Column::text("");

/// Parts of an order: some four for each.
pub(crate) const LINEITEM: Table = Table::delimited(
    "lineitem",
    b'|',
    &[
        Column::long("l_orderkey"),
        Column::long("l_partkey"),
        Column::long("l_suppkey"),
        Column::int("l_linenumber"),
        Column::text("l_quantity"),
        Column::text("l_extendedprice"),
        Column::text("l_discount"),
        Column::text("l_tax"),
        Column::text("l_returnflag"),
        Column::text("l_linestatus"),
        Column::date("l_shipdate"),
        Column::date("l_commitdate"),
        Column::date("l_receiptdate"),
        Column::text("l_shipinstruct"),
        Column::text("l_shipmode"),
        Column::text("l_comment"),
        END,
    ],
);

/// Orders: some ten for each customer who has any.
pub(crate) const ORDERS: Table = Table::delimited(
    "orders",
    b'|',
    &[
        Column::long("o_orderkey"),
        Column::long("o_custkey"),
        Column::text("o_orderstatus"),
        Column::text("o_totalprice"),
        Column::date("o_orderdate"),
        Column::text("o_orderpriority"),
        Column::text("o_clerk"),
        Column::int("o_shippriority"),
        Column::text("o_comment"),
        END,
    ],
);

/// Customers.
pub(crate) const CUSTOMER: Table = Table::delimited(
    "customer",
    b'|',
    &[
        Column::long("c_custkey"),
        Column::text("c_name"),
        Column::text("c_address"),
        Column::int("c_nationkey"),
        Column::text("c_phone"),
        Column::text("c_acctbal"),
        Column::text("c_mktsegment"),
        Column::text("c_comment"),
        END,
    ],
);

/// A number with at most two decimals, in hundredths: money in cents, a discount in percent. Its sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hundredths(pub(crate) i64);

impl<'de> Deserialize<'de> for Hundredths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&[u8]>::deserialize(deserializer)?;
        let refused =
            || format!("cannot read `{}` as a number with two decimals", String::from_utf8_lossy(text));
        parse(text).ok_or_else(|| D::Error::custom(refused()))
    }
}

impl From<Hundredths> for i128 {
    fn from(Hundredths(value): Hundredths) -> Self {
        value.into()
    }
}

fn parse(text: &[u8]) -> Option<Hundredths> {
    let (negative, digits) = text.strip_prefix(b"-").map_or((false, text), |digits| (true, digits));
    let point = digits.iter().position(|&byte| byte == b'.').unwrap_or(digits.len());
    let (whole, decimals) = (&digits[..point], digits.get(point + 1..).unwrap_or_default());
    let zeros = b"00".get(decimals.len()..).filter(|_| !whole.is_empty())?;
    let hundredths = whole.iter().chain(decimals).chain(zeros).try_fold(0i64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    Some(Hundredths(if negative { -hundredths } else { hundredths }))
}

/// Sums, each with its number of places, as [`decimal`] writes them.
pub(crate) fn decimals<const N: usize>(sums: [(i128, usize); N]) -> [String; N] {
    sums.map(|(sum, places)| decimal(sum, places))
}

/// A sum in units of its last place, with all its places.
pub(crate) fn decimal(sum: impl Into<i128>, places: usize) -> String {
    let sum: i128 = sum.into();
    let digits = format!("{:0width$}", sum.unsigned_abs(), width = places + 1);
    let (whole, decimals) = digits.split_at(digits.len() - places);
    format!("{}{whole}.{decimals}", if sum < 0 { "-" } else { "" })
}

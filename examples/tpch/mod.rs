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
use millrace::tables::{Column, ColumnType, Layout, Table};
use serde::de::{Deserialize, Deserializer, Error};

/// One query of TPC-H, on the tables that `tpchgen-cli tbl` writes.
#[derive(clap::Parser, serde::Serialize)]
pub(crate) struct Options {
    #[command(flatten)]
    #[serde(skip)]
    pub(crate) job: JobArguments,
}

const fn text(name: &'static str) -> Column {
    Column::new(name, ColumnType::Text)
}
const fn int(name: &'static str) -> Column {
    Column::new(name, ColumnType::Int)
}
const fn date(name: &'static str) -> Column {
    Column::new(name, ColumnType::Date)
}
/// A row ends with a delimiter, so behind it there is one more field, empty and without a name.
const END: Column = text("");

/// Parts of an order: some four for each.
pub(crate) const LINEITEM: Table = Table {
    name: "lineitem",
    columns: &[
        int("l_orderkey"),
        int("l_partkey"),
        int("l_suppkey"),
        int("l_linenumber"),
        text("l_quantity"),
        text("l_extendedprice"),
        text("l_discount"),
        text("l_tax"),
        text("l_returnflag"),
        text("l_linestatus"),
        date("l_shipdate"),
        date("l_commitdate"),
        date("l_receiptdate"),
        text("l_shipinstruct"),
        text("l_shipmode"),
        text("l_comment"),
        END,
    ],
    layout: Layout::Delimited(b'|'),
};

/// Orders: some ten for each customer who has any.
pub(crate) const ORDERS: Table = Table {
    name: "orders",
    columns: &[
        int("o_orderkey"),
        int("o_custkey"),
        text("o_orderstatus"),
        text("o_totalprice"),
        date("o_orderdate"),
        text("o_orderpriority"),
        text("o_clerk"),
        int("o_shippriority"),
        text("o_comment"),
        END,
    ],
    layout: Layout::Delimited(b'|'),
};

/// Customers.
pub(crate) const CUSTOMER: Table = Table {
    name: "customer",
    columns: &[
        int("c_custkey"),
        text("c_name"),
        text("c_address"),
        int("c_nationkey"),
        text("c_phone"),
        text("c_acctbal"),
        text("c_mktsegment"),
        text("c_comment"),
        END,
    ],
    layout: Layout::Delimited(b'|'),
};

/// A number with at most two decimals, in hundredths: money in cents, a discount in percent. Its sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hundredths(pub(crate) i64);

impl<'de> Deserialize<'de> for Hundredths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        let number = parse(text);
        number.ok_or_else(|| D::Error::custom(format!("cannot read `{text}` as a number with two decimals")))
    }
}

fn parse(text: &str) -> Option<Hundredths> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || decimals.len() > 2 {
        return None;
    }
    let mut hundredths = 0i64;
    for digit in format!("{whole}{decimals:0<2}").bytes() {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        hundredths = hundredths.checked_mul(10)?.checked_add(digit)?;
    }
    Some(Hundredths(if negative { -hundredths } else { hundredths }))
}

/// A sum in units of its last place, with all its places.
pub(crate) fn decimal(sum: i128, places: usize) -> String {
    let digits = format!("{:0width$}", sum.unsigned_abs(), width = places + 1);
    let (whole, decimals) = digits.split_at(digits.len() - places);
    format!("{}{whole}.{decimals}", if sum < 0 { "-" } else { "" })
}

//! TPC-H query 1, the pricing summary: what was shipped until a day, by flag and status.
//!
//! ```sql
//! SELECT l_returnflag, l_linestatus, SUM(l_quantity), SUM(l_extendedprice), SUM(l_extendedprice * (1 - l_discount)),
//!        SUM(l_extendedprice * (1 - l_discount) * (1 + l_tax)), AVG(l_quantity), AVG(l_extendedprice), AVG(l_discount), COUNT(*)
//! FROM lineitem WHERE l_shipdate <= DATE '1998-09-02' GROUP BY ALL ORDER BY ALL
//! ```

mod tpch;

use millrace::operators::{Gather, ReduceByKey, Scan, aggregates::add_each};
use millrace::{cli, job::Job, keys::Prefix, tables::Date};
use timely::dataflow::operators::vec::Map;
use tpch::{Hundredths, Options, decimals};

millrace::row! {
    struct Item {
        l_returnflag: Prefix<1>,
        l_linestatus: Prefix<1>,
        l_quantity: Hundredths,
        l_extendedprice: Hundredths,
        l_discount: Hundredths,
        l_tax: Hundredths,
        l_shipdate: Date,
    }
}

const UNTIL: Date = Date::new(1998, 9, 2);
#[rustfmt::skip]
const COLUMNS: [&str; 10] = [
    "flag", "status", "quantity", "price", "discounted", "charge", "mean quantity", "mean price", "mean discount", "count",
];

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("tpch_q1", &options, &options.job)?;
        let items = job.table::<Item>(&tpch::LINEITEM)?;
        job.answer(&COLUMNS, move |scope| {
            scope
                .scan(&items, |item| {
                    let [quantity, price, discount, tax] =
                        [item.l_quantity, item.l_extendedprice, item.l_discount, item.l_tax].map(i128::from);
                    let discounted = price * (100 - discount);
                    let sums = [quantity, price, discounted, discounted * (100 + tax), discount, 1];
                    (item.l_shipdate <= UNTIL).then_some(([item.l_returnflag, item.l_linestatus], sums))
                })
                .reduce_by_key(add_each)
                .map(|(group, [quantity, price, discounted, charge, discount, count])| {
                    let sums = decimals([(quantity, 2), (price, 2), (discounted, 4), (charge, 6)]);
                    let means = [quantity, price, discount].map(|sum| sum as f64 / 100.0 / count as f64);
                    (group, sums, means, count as u64)
                })
                .gather()
                .sorted_by(|a, b| a.0.cmp(&b.0))
        })
    })
}

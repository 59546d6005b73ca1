//! TPC-H query 1, the pricing summary: what was shipped until a day, by flag and status.
//!
//! ```sql
//! SELECT l_returnflag, l_linestatus, SUM(l_quantity), SUM(l_extendedprice), SUM(l_extendedprice * (1 - l_discount)),
//!        SUM(l_extendedprice * (1 - l_discount) * (1 + l_tax)), AVG(l_quantity), AVG(l_extendedprice), AVG(l_discount), COUNT(*)
//! FROM lineitem WHERE l_shipdate <= DATE '1998-09-02' GROUP BY ALL ORDER BY ALL
//! ```

mod tpch;

use std::process::ExitCode;

use millrace::operators::{Gather, ReduceByKey, Scan};
use millrace::{cli, job::Job, tables::Date};
use timely::dataflow::operators::vec::Map;
use tpch::{Hundredths, Options, decimal};

millrace::row! {
    struct Item {
        l_returnflag: char,
        l_linestatus: char,
        l_quantity: Hundredths,
        l_extendedprice: Hundredths,
        l_discount: Hundredths,
        l_tax: Hundredths,
        l_shipdate: Date,
    }
}

/// Quantity, price, discounted price, charge, discount and count, in units of 2, 2, 4, 6, 2 and 0 decimals.
fn measures(item: &Item) -> [i128; 6] {
    let [quantity, price, discount, tax] =
        [item.l_quantity, item.l_extendedprice, item.l_discount, item.l_tax]
            .map(|Hundredths(value)| i128::from(value));
    let discounted = price * (100 - discount);
    [quantity, price, discounted, discounted * (100 + tax), discount, 1]
}

#[rustfmt::skip]
const COLUMNS: [&str; 10] = [
    "flag", "status", "quantity", "price", "discounted", "charge", "mean quantity", "mean price", "mean discount", "count",
];

fn main() -> ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("tpch_q1", &options, &options.job)?;
        let items = job.table::<Item>(&tpch::LINEITEM)?;
        let until = Date::from_calendar(1998, 9, 2);
        let finished = job.run(move |scope| {
            scope
                .scan(&items, move |item| {
                    let key = [item.l_returnflag, item.l_linestatus].map(u32::from);
                    (Some(item.l_shipdate) <= until).then(|| (key, measures(&item)))
                })
                .reduce_by_key(|sums, more| sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more))
                .map(|(key, [quantity, price, discounted, charge, discount, count])| {
                    let sums = [(quantity, 2), (price, 2), (discounted, 4), (charge, 6)];
                    let means = [quantity, price, discount].map(|sum| sum as f64 / 100.0 / count as f64);
                    (
                        key.map(char::from_u32),
                        sums.map(|(sum, places)| decimal(sum, places)),
                        means,
                        count as u64,
                    )
                })
                .gather()
        })?;
        let Some(mut finished) = finished else { return Ok(()) };
        finished.answer.sort_by_key(|row| row.0);
        finished.tell_rows(&COLUMNS)
    })
}

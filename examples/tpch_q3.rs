//! TPC-H query 3, the shipping priority: the ten orders of a market segment with the most revenue that is not shipped yet.
//!
//! ```sql
//! SELECT l_orderkey, SUM(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
//! FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON l_orderkey = o_orderkey
//! WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'
//! GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10
//! ```
//!
//! Both joins are of one to many, so each is a reduction: what both sides know of a key is merged into one record.

mod tpch;

use std::process::ExitCode;

use millrace::operators::{Fold, Gather, ReduceByAnyKey, Scan, Top};
use millrace::{cli, job::Job, tables::Date};
use timely::dataflow::operators::{Concat, vec::Map};
use tpch::{Hundredths, Options, decimal};

millrace::row! { struct Customer<'a> { c_custkey: u32, c_mktsegment: &'a str } }

millrace::row! { struct Order { o_orderkey: u32, o_custkey: u32, o_orderdate: Date, o_shippriority: u32 } }

millrace::row! {
    struct Item {
        l_orderkey: u32,
        l_extendedprice: Hundredths,
        l_discount: Hundredths,
        l_shipdate: Date,
    }
}

fn main() -> ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("tpch_q3", &options, &options.job)?;
        let customers = job.table::<Customer>(&tpch::CUSTOMER)?;
        let (orders, items) = (job.table::<Order>(&tpch::ORDERS)?, job.table::<Item>(&tpch::LINEITEM)?);
        let day = Date::from_calendar(1995, 3, 15);
        let finished = job.run(move |scope| {
            let customers = scope.scan(&customers, |customer| {
                (customer.c_mktsegment == "BUILDING").then_some((customer.c_custkey, (true, Vec::new())))
            });
            let orders = scope.scan(&orders, move |order| {
                let known = (order.o_orderkey, (order.o_orderdate, order.o_shippriority));
                (Some(order.o_orderdate) < day).then(|| (order.o_custkey, (false, vec![known])))
            });
            let items = scope.scan(&items, move |item| {
                let revenue = item.l_extendedprice.0 * (100 - item.l_discount.0);
                (Some(item.l_shipdate) > day).then_some((item.l_orderkey, (revenue, None)))
            });
            customers
                .concat(orders)
                .reduce_by_any_key(|(wanted, orders), mut more| {
                    *wanted |= more.0;
                    orders.append(&mut more.1);
                })
                .flat_map(|(_, (wanted, orders))| if wanted { orders } else { Vec::new() })
                .map(|(key, order)| (key, (0, Some(order))))
                .concat(items)
                .reduce_by_any_key(|(revenue, order), more| {
                    (*revenue, *order) = (*revenue + more.0, order.or(more.1));
                })
                // No discount is 100 %: what has no revenue has no item.
                .flat_map(|(key, (revenue, order))| {
                    order.filter(|_| revenue > 0).map(|order| (key, revenue, order))
                })
                .fold(Top::new(10), |top, (key, revenue, (day, priority))| {
                    top.push(revenue as f64, (day, key, revenue, priority));
                })
                .gather()
        })?;
        let Some(finished) = finished else { return Ok(()) };
        let row = |(_, (day, key, revenue, priority))| (key, decimal(i128::from(revenue), 4), day, priority);
        finished
            .map(|tops| Top::best_of(tops).map(row).collect())
            .tell_rows(&["order", "revenue", "date", "priority"])
    })
}

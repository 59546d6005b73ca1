//! TPC-H query 3, the shipping priority: the ten orders of a market segment with the most revenue that is not shipped yet.
//!
//! ```sql
//! SELECT l_orderkey, SUM(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
//! FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON l_orderkey = o_orderkey
//! WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'
//! GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate LIMIT 10
//! ```
//!
//! Customers are few, so every worker has all of them and orders stay where they are; orders and their items meet by hash.

mod tpch;

use std::process::ExitCode;

use millrace::operators::{Fold, Gather, Join, JoinStrategy, ReduceByAnyKey, Scan, Top};
use millrace::{cli, job::Job, tables::Date};
use timely::dataflow::operators::vec::Map;
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
                (customer.c_mktsegment == "BUILDING").then_some((customer.c_custkey, ()))
            });
            let orders = scope
                .scan(&orders, move |order| {
                    let known = (order.o_orderkey, (order.o_orderdate, order.o_shippriority));
                    (Some(order.o_orderdate) < day).then_some((order.o_custkey, known))
                })
                .semi_join(customers, JoinStrategy::Broadcast)
                .map(|(_, order)| order);
            scope
                .scan(&items, move |item| {
                    let revenue = item.l_extendedprice.0 * (100 - item.l_discount.0);
                    (Some(item.l_shipdate) > day).then_some((item.l_orderkey, revenue))
                })
                .join(orders, JoinStrategy::Hash, |&key, &revenue, &(day, priority)| {
                    Some(((key, day, priority), revenue))
                })
                .reduce_by_any_key(|revenue, more| *revenue += more)
                .fold(Top::new(10), |top, ((key, day, priority), revenue)| {
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

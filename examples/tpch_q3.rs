//! TPC-H query 3, the shipping priority: the ten orders of a market segment with the most revenue that is not shipped yet.
//!
//! ```sql
//! SELECT l_orderkey, SUM(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate, o_shippriority
//! FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON l_orderkey = o_orderkey
//! WHERE c_mktsegment = 'BUILDING' AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'
//! GROUP BY l_orderkey, o_orderdate, o_shippriority ORDER BY revenue DESC, o_orderdate, l_orderkey LIMIT 10
//! ```
//!
//! Customers are few, so every worker has all of them and orders stay where they are; orders and their items meet by hash.

mod tpch;

use millrace::operators::{FirstBy, Gather, Join, JoinStrategy, ReduceByAnyKey, Scan};
use millrace::{cli, job::Job, tables::Date};
use timely::dataflow::operators::vec::Map;
use tpch::{Hundredths, Options, decimal};

millrace::row! {
    struct Customer<'a> { c_custkey: u64, c_mktsegment: &'a str }
    struct Order { o_orderkey: u64, o_custkey: u64, o_orderdate: Date, o_shippriority: u32 }
    struct Item { l_orderkey: u64, l_extendedprice: Hundredths, l_discount: Hundredths, l_shipdate: Date }
}

const DAY: Date = Date::new(1995, 3, 15);

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("tpch_q3", &options, &options.job)?;
        let customers = job.table::<Customer>(&tpch::CUSTOMER)?;
        let (orders, items) = (job.table::<Order>(&tpch::ORDERS)?, job.table::<Item>(&tpch::LINEITEM)?);
        job.answer(&["order", "revenue", "date", "priority"], move |scope| {
            let customers = scope.scan(&customers, |customer| {
                (customer.c_mktsegment == "BUILDING").then_some((customer.c_custkey, ()))
            });
            let orders = scope
                .scan(&orders, |order| {
                    let known = (order.o_orderkey, (order.o_orderdate, order.o_shippriority));
                    (order.o_orderdate < DAY).then_some((order.o_custkey, known))
                })
                .semi_join(customers, JoinStrategy::Broadcast)
                .map(|(_, order)| order);
            scope
                .scan(&items, |item| {
                    let revenue = item.l_extendedprice.0 * (100 - item.l_discount.0);
                    (item.l_shipdate > DAY).then_some((item.l_orderkey, revenue))
                })
                .join(orders, JoinStrategy::Hash, |&key, &revenue, &(day, priority)| {
                    Some(((day, key, priority), revenue))
                })
                .reduce_by_any_key(|revenue, more| *revenue += more)
                .first_by(10, |a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)))
                .map(|((day, key, priority), revenue)| (key, decimal(revenue, 4), day, priority))
                .gather()
        })
    })
}

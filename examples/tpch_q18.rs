//! TPC-H query 18, large orders: the hundred most expensive orders of more than 300 pieces, and who made them.
//!
//! ```sql
//! SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, SUM(l_quantity)
//! FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON o_orderkey = l_orderkey
//! GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice HAVING SUM(l_quantity) > 300
//! ORDER BY o_totalprice DESC, o_orderdate, o_orderkey LIMIT 100
//! ```
//!
//! Few orders are that large, so they are found first, and what is joined with them need not be sent anywhere.

mod tpch;

use millrace::operators::{FirstBy, Gather, Join, JoinStrategy, ReduceByKey, Scan};
use millrace::{cli, job::Job, tables::Date};
use timely::dataflow::operators::vec::{Filter, Map};
use tpch::{Hundredths, Options, decimals};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

millrace::row! {
    struct Customer { c_custkey: u64, c_name: String }
    struct Order { o_orderkey: u64, o_custkey: u64, o_totalprice: Hundredths, o_orderdate: Date }
    struct Item { l_orderkey: u64, l_quantity: Hundredths }
}

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("tpch_q18", &options, &options.job)?;
        let customers = job.table::<Customer>(&tpch::CUSTOMER)?;
        let (orders, items) = (job.table::<Order>(&tpch::ORDERS)?, job.table::<Item>(&tpch::LINEITEM)?);
        job.answer(&["customer", "number", "order", "date", "price", "pieces"], move |scope| {
            let large = scope
                .scan(&items, |item| Some((item.l_orderkey, item.l_quantity.0)))
                .reduce_by_key(|pieces, more| *pieces += more)
                .filter(|(_, pieces)| *pieces > 30_000);
            let orders = scope
                .scan(&orders, |order| {
                    Some((order.o_orderkey, (order.o_custkey, order.o_totalprice.0, order.o_orderdate)))
                })
                .join(large, JoinStrategy::Broadcast, |&key, &(customer, price, day), &pieces| {
                    Some((customer, (key, price, day, pieces)))
                });
            scope
                .scan(&customers, |customer| Some((customer.c_custkey, customer.c_name)))
                .join(orders, JoinStrategy::Broadcast, |&customer, name, &(key, price, day, pieces)| {
                    Some((name.clone(), customer, key, day, price, pieces))
                })
                .first_by(100, |a, b| b.4.cmp(&a.4).then(a.3.cmp(&b.3)).then(a.2.cmp(&b.2)))
                .map(|(name, customer, key, day, price, pieces)| {
                    (name, customer, key, day, decimals([(price.into(), 2), (pieces.into(), 2)]))
                })
                .gather()
        })
    })
}

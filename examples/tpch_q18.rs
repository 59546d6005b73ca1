//! TPC-H query 18, large orders: the hundred most expensive orders of more than 300 pieces, and who made them.
//!
//! ```sql
//! SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, SUM(l_quantity)
//! FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON o_orderkey = l_orderkey
//! GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice HAVING SUM(l_quantity) > 300
//! ORDER BY o_totalprice DESC, o_orderdate LIMIT 100
//! ```
//!
//! Both joins are of one to many, so each is a reduction: what both sides know of a key is merged into one record.

mod tpch;

use std::process::ExitCode;

use millrace::operators::{Fold, Gather, ReduceByAnyKey, Scan, Top};
use millrace::{cli, job::Job, tables::Date};
use timely::dataflow::operators::{Concat, vec::Map};
use tpch::{Hundredths, Options, decimal};

millrace::row! { struct Customer { c_custkey: u32, c_name: String } }

millrace::row! {
    struct Order {
        o_orderkey: u32,
        o_custkey: u32,
        o_totalprice: Hundredths,
        o_orderdate: Date,
    }
}

millrace::row! { struct Item { l_orderkey: u32, l_quantity: Hundredths } }

fn main() -> ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("tpch_q18", &options, &options.job)?;
        let customers = job.table::<Customer>(&tpch::CUSTOMER)?;
        let (orders, items) = (job.table::<Order>(&tpch::ORDERS)?, job.table::<Item>(&tpch::LINEITEM)?);
        let finished = job.run(move |scope| {
            let items = scope.scan(&items, |item| Some((item.l_orderkey, (item.l_quantity.0, None))));
            let orders = scope.scan(&orders, |order| {
                Some((
                    order.o_orderkey,
                    (0, Some((order.o_custkey, order.o_totalprice.0, order.o_orderdate))),
                ))
            });
            let customers = scope
                .scan(&customers, |customer| Some((customer.c_custkey, (Some(customer.c_name), Vec::new()))));
            items
                .concat(orders)
                .reduce_by_any_key(|(pieces, order), more| {
                    (*pieces, *order) = (*pieces + more.0, order.or(more.1));
                })
                .flat_map(|(key, (pieces, order))| {
                    let (customer, price, day) = order.filter(|_| pieces > 30_000)?;
                    Some((customer, (None, vec![(key, price, day, pieces)])))
                })
                .concat(customers)
                .reduce_by_any_key(|(name, orders), mut more| {
                    *name = name.take().or(more.0);
                    orders.append(&mut more.1);
                })
                .flat_map(|(customer, (name, orders))| {
                    let name = name.unwrap_or_default();
                    orders.into_iter().map(move |(key, price, day, pieces)| {
                        (price, (day, key, customer, name.clone(), pieces))
                    })
                })
                .fold(Top::new(100), |top, (price, order)| top.push(price as f64, (order, price)))
                .gather()
        })?;
        let Some(finished) = finished else { return Ok(()) };
        let row = |(_, ((day, key, customer, name, pieces), price))| {
            (name, customer, key, day, decimal(i128::from(price), 2), decimal(i128::from(pieces), 2))
        };
        let columns = ["customer", "number", "order", "date", "price", "pieces"];
        finished.map(|tops| Top::best_of(tops).map(row).collect()).tell_rows(&columns)
    })
}

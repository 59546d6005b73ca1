//! TPC-H query 6, the forecast of revenue: what small discounts of a year cost.
//!
//! ```sql
//! SELECT SUM(l_extendedprice * l_discount) FROM lineitem
//! WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01' AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24
//! ```

mod tpch;

use millrace::operators::{Fold, Gather, Scan};
use millrace::{cli, job::Job, tables::Date};
use std::ops::Range;
use tpch::{Hundredths, Options, decimal};

millrace::row! {
    struct Item {
        l_quantity: Hundredths,
        l_extendedprice: Hundredths,
        l_discount: Hundredths,
        l_shipdate: Date,
    }
}

const YEAR: Range<Date> = Date::new(1994, 1, 1)..Date::new(1995, 1, 1);

fn main() -> std::process::ExitCode {
    cli::main(|options: Options| {
        let mut job = Job::plan("tpch_q6", &options, &options.job)?;
        let items = job.table::<Item>(&tpch::LINEITEM)?;
        let finished = job.run(move |scope| {
            scope
                .scan(&items, |item| {
                    let wanted = YEAR.contains(&item.l_shipdate)
                        && (5..=7).contains(&item.l_discount.0)
                        && item.l_quantity < Hundredths(2_400);
                    wanted.then(|| i128::from(item.l_extendedprice.0) * i128::from(item.l_discount.0))
                })
                .fold(0, |revenue, more| *revenue += more)
                .gather()
        })?;
        let Some(finished) = finished else { return Ok(()) };
        finished.map(|sums| vec![decimal(sums.iter().sum::<i128>(), 4)]).tell_rows(&["revenue"])
    })
}

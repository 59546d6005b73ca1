#!/usr/bin/env python3
"""Writes small files that are whole and odd.

    odd.py DIR    makes DIR/NAME.parquet for each
"""

import datetime
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

INSTANT = datetime.datetime(1980, 1, 1, 12, 30)
# A crawl between columns of its own.
CRAWL = {"id": [1], "status": [200], "ok": [True], "url": ["http://a/"], "text": ["http://a/ 1 2 3 4\n"]}
TABLES = {
    "empty": pa.table({"id": pa.array([], pa.int32()), "name": pa.array([], pa.string())}),
    "twice": pa.table([pa.array([1, 2]), pa.array(["x", "y"]), pa.array([3, 4])], names=["id", "name", "id"]),
    "unread": pa.table({"truth": [True, None], "instant": pa.array([INSTANT, None], pa.timestamp("ns"))}),
    "lines": pa.table({"two\nlines": [1, 2]}),
    "wide": pa.table({"price": pa.array([Decimal("1.25"), None, Decimal("-3.50")], pa.decimal256(50, 2))}),
    "more-1": pa.table({"id": [1], "name": ["x"]}),
    "more-2": pa.table({"id": [2], "later": [0.5], "name": ["y"]}),
    "crawl-1": pa.table(CRAWL),
    "crawl-2": pa.table({"later": [0.5], **CRAWL}),
}


def main(target):
    Path(target).mkdir()
    for name, table in TABLES.items():
        pq.write_table(table, Path(target) / f"{name}.parquet")


if __name__ == "__main__":
    main(*sys.argv[1:])

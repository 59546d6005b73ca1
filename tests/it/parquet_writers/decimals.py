#!/usr/bin/env python3
"""Writes decimals in every physical type that pyarrow and DuckDB have for them, and prints `WAY value,value,…` of each.

    decimals.py DIR    makes DIR/WAY/parquet/t/numbers/part-0.parquet with the columns id, number and exact
"""

import decimal
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

# Of each precision and scale: the ends of the type, halves between two floats, and digits that no float has.
DIGITS = {(9, 2): ["0.00", "-0.01", "9999999.99", "-9999999.99", "1.10", "167772.17"],
          (18, 9): ["0.100000000", "999999999.999999999", "-999999999.999999999", "16777217.000000000", "0.000000001"],
          (38, 10): ["0.1000000000", "9" * 28 + "." + "9" * 10, "-" + "9" * 28 + "." + "9" * 10, "9007199254740993.0000000001",
                     "16777217.0000000000", "-0.0000000001"]}


def main(target):
    def path(way):
        place = Path(target) / way / "parquet/t/numbers"
        place.mkdir(parents=True)
        return str(place / "part-0.parquet")

    physical = {}
    for (precision, scale), digits in DIGITS.items():
        values = [*map(decimal.Decimal, digits), None] * 3
        shown = ",".join(map(str, values))
        numbers = pa.array(range(len(values)), pa.int32())
        table = pa.table({"id": numbers.cast(pa.int64()), "number": numbers, "exact": pa.array(values, pa.decimal128(precision, scale))})
        for integers in (False, True):
            way = f"pyarrow-{precision}-{'int' if integers else 'fixed'}"
            pq.write_table(table, path(way), store_decimal_as_integer=integers, use_dictionary=integers)
            physical[way] = shown
        way = f"duckdb-{precision}"
        duckdb.sql(f"COPY (SELECT * FROM 'table') TO '{path(way)}' (FORMAT parquet)".replace("'table'", "\"table\""))
        physical[way] = shown
    kinds = set()
    for way, shown in physical.items():
        file = Path(target) / way / "parquet/t/numbers/part-0.parquet"
        kinds.add(pq.ParquetFile(file).schema.column(2).physical_type)
        print(way, shown)
    assert kinds == {"INT32", "INT64", "FIXED_LEN_BYTE_ARRAY"}, kinds


if __name__ == "__main__":
    main(*sys.argv[1:])

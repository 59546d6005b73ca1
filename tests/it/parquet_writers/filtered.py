#!/usr/bin/env python3
"""Parquet of rows in no order, in small pages of every kind, for filters that leave out rows of pages and other pages whole.

    filtered.py CSV TABLE DIR    makes DIR/WAY/parquet/t/TABLE/part-0.parquet of each way, with the rows of a CSV file in its order

The ways that start with `nulls` have no value in every third row of each column but the filter's, and in every eleventh of that.
"""

import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pages import TABLES

FILTERED = {"rankings": "pageRank", "uservisits": "visitDate"}


def main(source, name, target):
    types = TABLES[name]
    table = pa.csv.read_csv(source, read_options=pa.csv.ReadOptions(column_names=list(types)),
                            convert_options=pa.csv.ConvertOptions(column_types=types))

    def path(way):
        place = Path(target) / way / "parquet/t" / name
        place.mkdir(parents=True)
        return str(place / "part-0.parquet")

    # Pages of different columns end at different rows.
    sizes = {"row_group_size": 3_000, "data_page_size": 2_000, "write_batch_size": 100}
    deltas = {column: "DELTA_BINARY_PACKED" if kind in (pa.int32(), pa.date32()) else "BYTE_STREAM_SPLIT" if kind == pa.float32() else "DELTA_BYTE_ARRAY"
              for column, kind in types.items()}
    ways = {
        "dictionary": {},
        "plain": {"use_dictionary": False},
        "small-dictionary": {"dictionary_pagesize_limit": 300},
        "deltas": {"use_dictionary": False, "column_encoding": deltas},
    }
    required = table.cast(pa.schema([pa.field(column, kind, nullable=False) for column, kind in types.items()]))
    holes = table
    for index, (column, kind) in enumerate(types.items()):
        each = 11 if column == FILTERED[name] else 3
        values = [None if row % each == index % each else value for row, value in enumerate(table[column].to_pylist())]
        holes = holes.set_column(index, column, pa.array(values, kind))
    for way, options in ways.items():
        for version in ("1.0", "2.0"):
            for kind, rows in (("all", table), ("required", required), ("nulls", holes)):
                compression = "none" if kind == "required" else "snappy"
                pq.write_table(rows, path(f"{kind}-{way}-{version}"), data_page_version=version, compression=compression,
                               write_page_checksum=kind == "all", **sizes, **options)
    rows = table  # As DuckDB sees it.
    for version in ("V1", "V2"):
        out = path(f"duckdb-{version}")
        duckdb.sql(f"COPY (SELECT * FROM rows) TO '{out}' (FORMAT parquet, PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048)")


if __name__ == "__main__":
    main(*sys.argv[1:])

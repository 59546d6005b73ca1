#!/usr/bin/env python3
"""Writes tables of which every 97th row, from row 5 of 0 on, has a value that its column cannot have.

    misfits.py DIR    makes DIR/KIND/parquet/t/TABLE/part-0.parquet of each kind, 2,000 rows in row groups of 700

Of rankings the kinds are what is wrong with pageRank, which is the row modulo 500 else: `null`, `wide` (2^31 and more), `unsigned` (2^63 and
more), and `both`, which is `unsigned` with nulls in every 89th row, from row 3 on. Of uservisits they are what visitDate is, 1980-01-01 and
up to 99 days more, and an hour after midnight or no day where it is wrong: `timestamp`, `int96`, `text`.
"""

import datetime
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 2_000
BAD = {row for row in range(ROWS) if row % 97 == 5}
HOLES = {row for row in range(ROWS) if row % 89 == 3}


def main(target):
    def write(columns, kind, table, **options):
        for way, more in {"plain": {"use_dictionary": False}, "dictionary": {"data_page_version": "2.0"}}.items():
            place = Path(target) / f"{kind}-{way}" / "parquet/t" / table
            place.mkdir(parents=True)
            pq.write_table(pa.table(columns), place / "part-0.parquet", row_group_size=700, data_page_size=500, write_batch_size=50,
                           **more, **options)

    def replaced(ranks, bad):
        return [bad(row) if row in BAD else rank for row, rank in enumerate(ranks)]

    ranks = [row % 500 for row in range(ROWS)]
    holes = [None if row in HOLES else rank for row, rank in enumerate(ranks)]
    kinds = {
        "null": pa.array(replaced(ranks, lambda row: None), pa.int32()),
        "wide": pa.array(replaced(ranks, lambda row: 2**31 + row), pa.int64()),
        "unsigned": pa.array(replaced(ranks, lambda row: 2**63 + row), pa.uint64()),
        "both": pa.array(replaced(holes, lambda row: 2**63 + row), pa.uint64()),
    }
    for kind, column in kinds.items():
        write({"pageURL": [f"http://page/{row}" for row in range(ROWS)], "pageRank": column,
               "avgDuration": pa.array([row % 60 for row in range(ROWS)], pa.int32())}, kind, "rankings")

    days = [datetime.datetime(1980, 1, 1) + datetime.timedelta(days=row % 100) for row in range(ROWS)]
    hours = pa.array(replaced(days, lambda row: days[row] + datetime.timedelta(hours=1)), pa.timestamp("us"))
    texts = replaced([str(day.date()) for day in days], lambda row: "yesterday")
    text, number = pa.array(["a"] * ROWS), pa.array([0.5] * ROWS, pa.float32())
    for kind, column in {"timestamp": hours, "int96": hours, "text": pa.array(texts)}.items():
        columns = {"sourceIP": [f"10.0.0.{row}" for row in range(ROWS)], "destURL": text, "visitDate": column, "adRevenue": number,
                   "userAgent": text, "countryCode": text, "languageCode": text, "searchWord": text,
                   "duration": pa.array([1] * ROWS, pa.int32())}
        write(columns, kind, "uservisits", use_deprecated_int96_timestamps=kind == "int96")


if __name__ == "__main__":
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""Parquet with a page index, by pyarrow, and what pyarrow, DuckDB and Polars find in that of others.

    pages.py write CSV TABLE DIR    makes DIR/indexed, DIR/plain-indexed (pages of the second version, no dictionary, no compression), and DIR/bare
                                    and DIR/plain, which are the same without an index, each with parquet/t/TABLE/part-0.parquet of the rows of
                                    a CSV file
    pages.py read PATH COLUMN VALUE tells whether each column chunk of the file has a page index, and then how many rows have a COLUMN
                                    above VALUE by each of the three
"""

import sys
from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

TABLES = {
    "rankings": {"pageURL": pa.string(), "pageRank": pa.int32(), "avgDuration": pa.int32()},
    "uservisits": {
        "sourceIP": pa.string(), "destURL": pa.string(), "visitDate": pa.date32(), "adRevenue": pa.float32(), "userAgent": pa.string(),
        "countryCode": pa.string(), "languageCode": pa.string(), "searchWord": pa.string(), "duration": pa.int32(),
    },
}


def write(source, name, target):
    types = TABLES[name]
    table = pa.csv.read_csv(source, read_options=pa.csv.ReadOptions(column_names=list(types)),
                            convert_options=pa.csv.ConvertOptions(column_types=types))
    # Pages of about this size: those of different columns end at different rows.
    sizes = {"row_group_size": 7_000, "data_page_size": 2_000, "write_batch_size": 100}
    plain = {"data_page_version": "2.0", "use_dictionary": False, "compression": "none"}
    index = {"write_page_index": True}
    ways = {"indexed": index, "plain-indexed": plain | index, "bare": {}, "plain": plain}
    for way, options in ways.items():
        place = Path(target) / way / "parquet/t" / name
        place.mkdir(parents=True)
        pq.write_table(table, place / "part-0.parquet", **sizes, **options)


def read(path, column, value):
    footer = pq.ParquetFile(path, page_checksum_verification=True)
    groups = [footer.metadata.row_group(group) for group in range(footer.num_row_groups)]
    chunks = [group.column(index) for group in groups for index in range(group.num_columns)]
    print(all(chunk.has_offset_index and chunk.has_column_index for chunk in chunks))
    table = footer.read()
    limit = pa.scalar(value).cast(table.schema.field(column).type)
    print(pc.sum(pc.greater(table[column], limit)).as_py() or 0)
    print(duckdb.sql(f"SELECT count(*) FROM '{path}' WHERE {column} > '{value}'").fetchall()[0][0])
    limit = polars.lit(value).cast(polars.scan_parquet(path).collect_schema()[column]) if column == "pageRank" else polars.lit(value).str.to_date()
    print(polars.scan_parquet(path).filter(polars.col(column) > limit).select(polars.len()).collect().item())


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])

#!/usr/bin/env python3
"""Writes rows of uservisits as Parquet in every way that other programs have.

    write.py CSV DIR    makes DIR/WAY/parquet/t/uservisits/part-0.parquet of each, with the rows in the order of the CSV file

The way `nulls` has no searchWord and no duration in every third row.
"""

import decimal
import sys
from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

TYPES = {
    "sourceIP": pa.string(), "destURL": pa.string(), "visitDate": pa.date32(), "adRevenue": pa.float32(), "userAgent": pa.string(),
    "countryCode": pa.string(), "languageCode": pa.string(), "searchWord": pa.string(), "duration": pa.int32(),
}
DELTA = {name: "DELTA_BINARY_PACKED" if name in ("visitDate", "duration") else "BYTE_STREAM_SPLIT" if name == "adRevenue" else None for name in TYPES}


def main(source, target):
    table = pa.csv.read_csv(source, read_options=pa.csv.ReadOptions(column_names=list(TYPES)),
                            convert_options=pa.csv.ConvertOptions(column_types=TYPES))

    def path(way):
        place = Path(target) / way / "parquet/t/uservisits"
        place.mkdir(parents=True)
        return str(place / "part-0.parquet")

    for codec in ("none", "snappy", "gzip", "brotli", "lz4", "zstd"):
        for version in ("1.0", "2.0"):
            pq.write_table(table, path(f"pyarrow-{codec}-{version}"), compression=codec, data_page_version=version, row_group_size=700,
                           data_page_size=2000, write_batch_size=100, write_page_checksum=version == "1.0")
            pq.write_table(table, path(f"pyarrow-plain-{codec}-{version}"), compression=codec, data_page_version=version, use_dictionary=False)
            for text in ("DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"):
                encodings = {name: encoding or text for name, encoding in DELTA.items()}
                pq.write_table(table, path(f"pyarrow-{text}-{codec}-{version}"), compression=codec, data_page_version=version,
                               use_dictionary=False, column_encoding=encodings, row_group_size=1000)
    # A dictionary that becomes too large half way, and no column that may be null.
    pq.write_table(table, path("pyarrow-small-dictionary"), dictionary_pagesize_limit=500, data_page_size=500, write_batch_size=50)
    with pq.ParquetWriter(path("pyarrow-groups-without-rows"), table.schema) as groups:
        for rows in (table[:0], table[:700], table[:0], table[700:], table[:0]):
            groups.write_table(rows)
    required = pa.schema([pa.field(name, kind, nullable=False) for name, kind in TYPES.items()])
    pq.write_table(table.cast(required), path("pyarrow-required"))

    def replaced(**columns):
        changed = table
        for name, column in columns.items():
            changed = changed.set_column(changed.schema.get_field_index(name), name, column)
        return changed

    dates, revenue, duration = table["visitDate"], table["adRevenue"], table["duration"]
    exact = [decimal.Decimal(value) for value in revenue.to_pylist()]
    kinds = {
        "wide": replaced(duration=duration.cast(pa.int64()), adRevenue=revenue.cast(pa.float64()), visitDate=dates.cast(pa.timestamp("us"))),
        "narrow": replaced(duration=duration.cast(pa.uint8()), visitDate=dates.cast(pa.timestamp("ms"))),
        "unsigned": replaced(duration=duration.cast(pa.uint64()), visitDate=dates.cast(pa.timestamp("ns"))),
        "texts": replaced(visitDate=dates.cast(pa.string()), searchWord=table["searchWord"].cast(pa.binary())),
        "decimal": replaced(adRevenue=pa.chunked_array([pa.array(exact, pa.decimal128(38, 30))])),
        "shuffled": table.select(list(reversed(TYPES))).append_column("more", pa.array([[1, 2]] * len(table))),
    }
    for way, changed in kinds.items():
        pq.write_table(changed, path(f"pyarrow-{way}"))
        pq.write_table(changed, path(f"pyarrow-{way}-plain"), use_dictionary=False)
    pq.write_table(table, path("pyarrow-96"), use_deprecated_int96_timestamps=True)
    pq.write_table(kinds["wide"], path("pyarrow-wide-96"), use_deprecated_int96_timestamps=True)
    holes = {name: pa.array([None if row % 3 == 0 else value for row, value in enumerate(table[name].to_pylist())], TYPES[name])
             for name in ("searchWord", "duration")}
    for version in ("1.0", "2.0"):
        pq.write_table(replaced(**holes), path(f"nulls-{version}"), data_page_version=version, data_page_size=1000, write_batch_size=64)

    visits = table  # As DuckDB sees it: the other name is a word of SQL.
    for codec in ("uncompressed", "snappy", "gzip", "brotli", "lz4_raw", "zstd"):
        for version in ("V1", "V2"):
            out = path(f"duckdb-{codec}-{version}")
            duckdb.sql(f"COPY (SELECT * FROM visits) TO '{out}' (FORMAT parquet, COMPRESSION {codec}, PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048)")
    for codec in ("uncompressed", "snappy", "gzip", "brotli", "lz4", "zstd"):
        polars.from_arrow(table).write_parquet(path(f"polars-{codec}"), compression=codec, row_group_size=900, data_page_size=4000)


if __name__ == "__main__":
    main(*sys.argv[1:])

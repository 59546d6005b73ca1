#!/usr/bin/env python3
"""Reads Parquet files with pyarrow, DuckDB and Polars, and compares what each finds with the text the files were made of.

    compare.py TEXT PARQUET NAME:TYPE,...    directories with the files part-* of one table, and the columns of the text

All rows are compared in their order, floats by their bits, and, in DuckDB, as sets both ways. Then each reader looks for values
of the text, one after the other, which is where it believes statistics. Ends with the number of rows, or with 1 and which reader
found something else.
"""

import csv
import datetime
import struct
import sys
from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

EPOCH = datetime.date(1970, 1, 1).toordinal()
# How each type is in Arrow, how it is read from text, and what DuckDB calls it.
TYPES = {
    "text": (pa.string(), str, "VARCHAR"),
    "int": (pa.int32(), int, "INTEGER"),
    "long": (pa.int64(), int, "BIGINT"),
    "float": (pa.float32(), lambda text: struct.unpack("f", struct.pack("f", float(text)))[0], "FLOAT"),
    "double": (pa.float64(), float, "DOUBLE"),
    "date": (pa.date32(), lambda text: datetime.date.fromisoformat(text).toordinal() - EPOCH, "DATE"),
}
# Values of each column that are looked for.
LOOKED_FOR = 8


class Wrong(Exception):
    pass


def check(holds, what):
    if not holds:
        raise Wrong(what)


def read_text(files, columns):
    """The rows as they must be: a text that is empty is there, and anything else that is empty is not."""
    rows = []
    for file in files:
        with open(file, newline="", encoding="utf-8") as text:
            rows += csv.reader(text)
    arrays = []
    for index, (_, kind) in enumerate(columns):
        arrow, read, _ = TYPES[kind]
        values = [None if row[index] == "" and kind != "text" else read(row[index]) for row in rows]
        # Days that Python's own dates have, as whole numbers.
        arrays.append(pa.array(values, pa.int32()).cast(arrow) if kind == "date" else pa.array(values, arrow))
    return pa.table(arrays, names=[name for name, _ in columns])


def bits(table):
    """The table with floats as the integers of the same bits, and texts and days in one way of many."""
    plain = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}
    columns = []
    for column in table.columns:
        if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
            column = column.cast(pa.string())
        whole = column.combine_chunks()
        whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
        columns.append(whole.view(plain[whole.type]) if whole.type in plain else whole)
    return pa.table(columns, names=table.column_names)


def compare(expected, found):
    check(found.schema.names == expected.schema.names, f"columns {found.schema.names}")
    check(found.num_rows == expected.num_rows, f"{found.num_rows} rows, not {expected.num_rows}")
    for name in expected.schema.names:
        ours, theirs = expected[name].combine_chunks(), found[name].combine_chunks()
        check(ours.type == theirs.type, f"column {name} is {theirs.type}, not {ours.type}")
        if not ours.equals(theirs):
            row = next(row for row in range(len(ours)) if not ours[row].equals(theirs[row]))
            raise Wrong(f"row {row + 1}, column {name}: {str(theirs[row])[:80]}, not {str(ours[row])[:80]}")


def counted(table):
    """For some values of each column, the least and the greatest among them: name, value, how many there are of it, and how many
    of no less, as which a number counts that is none."""
    found = []
    for name in table.schema.names:
        values = [value for value in table[name].to_pylist() if value is not None]
        several = sorted({value for value in values if value == value})
        for looked_for in several[:: max(1, len(several) // LOOKED_FOR)] + several[-1:]:
            same = sum(value == looked_for for value in values)
            found.append((name, looked_for, same, sum(value >= looked_for or value != value for value in values)))
    return found


def with_pyarrow(files, expected, _, counts):
    def read(file):
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        check(parquet.metadata.num_rows == sum(parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)), "rows of its footer")
        return parquet.read()

    compare(bits(expected), bits(pa.concat_tables(map(read, files))))
    # Not what is no less: pyarrow has a number that is none neither there nor elsewhere.
    for name, value, same, _ in counts:
        value = pa.scalar(value, expected.schema.field(name).type)
        found = pq.read_table(files, columns=[name], filters=[(name, "=", value)], page_checksum_verification=True).num_rows
        check(found == same, f"{found} rows with {name} = {str(value)[:80]}, not {same}")


def with_duckdb(files, expected, columns, counts):
    paths = [str(file) for file in files]
    parquet = duckdb.read_parquet(paths)
    types = [TYPES[kind][2] for _, kind in columns]
    check([str(kind) for kind in parquet.types] == types, f"types {parquet.types}")
    compare(bits(expected), bits(parquet.to_arrow_table()))
    for left, right in (("expected", "parquet"), ("parquet", "expected")):
        more = duckdb.sql(f"SELECT count(*) FROM (SELECT * FROM {left} EXCEPT ALL SELECT * FROM {right})").fetchall()[0][0]
        check(more == 0, f"{more} rows in {left} that are not in {right}")
    for name, value, *wanted in counts:
        asked = f'SELECT count(*) FROM read_parquet($paths) WHERE "{name}" {{}} CAST($value AS {TYPES[dict(columns)[name]][2]})'
        found = [duckdb.execute(asked.format(sign), {"paths": paths, "value": value}).fetchall()[0][0] for sign in ("=", ">=")]
        check(found == wanted, f"{found} rows with {name} =, >= {str(value)[:80]}, not {wanted}")


def with_polars(files, expected, _, counts):
    compare(bits(expected), bits(polars.read_parquet(files).to_arrow()))
    rows = polars.scan_parquet(files)
    for name, value, *wanted in counts:
        value = polars.lit(value).cast(rows.collect_schema()[name])
        conditions = (polars.col(name) == value, polars.col(name) >= value)
        found = [rows.filter(condition).select(polars.len()).collect().item() for condition in conditions]
        check(found == wanted, f"{found} rows with {name} =, >= {str(value)[:80]}, not {wanted}")


def main(text, parquet, columns):
    csv.field_size_limit(1 << 30)
    columns = [tuple(column.split(":")) for column in columns.split(",")]
    expected = read_text(sorted(Path(text).glob("part-*")), columns)
    files = sorted(Path(parquet).glob("part-*.parquet"))
    counts = counted(expected)
    for name, reader in (("pyarrow", with_pyarrow), ("DuckDB", with_duckdb), ("Polars", with_polars)):
        try:
            reader(files, expected, columns, counts)
        except Exception as error:
            sys.exit(f"{name}: {error}")
    print(f"{expected.num_rows} rows in {len(files)} files")


if __name__ == "__main__":
    main(*sys.argv[1:])

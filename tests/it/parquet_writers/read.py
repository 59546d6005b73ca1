#!/usr/bin/env python3
"""Tells what pyarrow finds in Parquet files: `read.py PATH`, a file or a directory of parts.

The first line has names and types, each other one a row: tabs between, floats as the hexadecimal bits of a double.
"""

import struct
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def shown(value):
    return struct.pack(">d", value).hex() if isinstance(value, float) else str(value)


def main(path):
    path = Path(path)
    files = sorted(path.glob("part-*")) if path.is_dir() else [path]
    table = pa.concat_tables(pq.ParquetFile(file, page_checksum_verification=True).read() for file in files)
    kinds = {"float": "float32", "double": "float64"}
    print(",".join(f"{field.name}:{kinds.get(str(field.type), field.type)}" for field in table.schema))
    for row in zip(*(column.to_pylist() for column in table.columns)):
        print("\t".join(map(shown, row)))


if __name__ == "__main__":
    main(*sys.argv[1:])

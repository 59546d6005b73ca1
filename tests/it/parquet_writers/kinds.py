#!/usr/bin/env python3
"""Writes one file with a column of every kind that there is, whether a table can have it or not.

    kinds.py FILE    two rows, of which the second has nothing but nulls
"""

import datetime
import decimal
import sys

import pyarrow as pa
import pyarrow.parquet as pq

INSTANT = datetime.datetime(1980, 1, 1, 12, 30)
KINDS = {
    "truth": (pa.bool_(), True),
    "tiny": (pa.int8(), -1),
    "int": (pa.int32(), -(2**31)),
    "long": (pa.int64(), 2**62),
    "small_unsigned": (pa.uint16(), 65_535),
    "unsigned": (pa.uint32(), 2**32 - 1),
    "list": (pa.list_(pa.int32()), [1, 2]),
    "float": (pa.float32(), 0.5),
    "half": (pa.float16(), 0.5),
    "double": (pa.float64(), 0.1),
    "price": (pa.decimal128(9, 2), decimal.Decimal("1.25")),
    "day": (pa.date32(), INSTANT.date()),
    "instant": (pa.timestamp("us"), INSTANT),
    "hour": (pa.time32("ms"), INSTANT.time()),
    "text": (pa.string(), "Mühle"),
    "bytes": (pa.binary(), b"\x00\xff"),
    "code": (pa.binary(3), b"BEL"),
    "parts": (pa.struct([("one", pa.int32()), ("other", pa.list_(pa.string()))]), {"one": 1, "other": ["x"]}),
    "word": (pa.dictionary(pa.int32(), pa.string()), "mill"),
}


def main(path):
    pq.write_table(pa.table({name: pa.array([value, None], kind) for name, (kind, value) in KINDS.items()}), path)


if __name__ == "__main__":
    main(*sys.argv[1:])

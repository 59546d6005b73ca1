#!/usr/bin/env python3
"""Writes tables of which something is encrypted.

    encrypted.py DIR    makes DIR/KIND/parquet/t/rankings/part-0.parquet of each kind, 900 rows in row groups of 400

`none` is not encrypted. Of `all` the footer and pageURL are, of `rank` pageRank and of `duration` avgDuration, both behind a footer that
everybody can read.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

ROWS = 900


class Kms(pe.KmsClient):
    """Wraps keys in nothing: nobody is to read these files."""

    def __init__(self, config):
        super().__init__()

    def wrap_key(self, key, master):
        return key.hex()

    def unwrap_key(self, wrapped, master):
        return bytes.fromhex(wrapped)


def encryption(columns, plaintext_footer):
    config = pe.EncryptionConfiguration(footer_key="footer", column_keys={"columns": columns}, plaintext_footer=plaintext_footer)
    return pe.CryptoFactory(Kms).file_encryption_properties(pe.KmsConnectionConfig(), config)


def main(target):
    table = pa.table({
        "pageURL": [f"http://page/{row}" for row in range(ROWS)],
        "pageRank": pa.array([row % 500 for row in range(ROWS)], pa.int32()),
        "avgDuration": pa.array([row % 60 for row in range(ROWS)], pa.int32()),
    })
    for kind, properties in {
        "none": None,
        "all": encryption(["pageURL"], False),
        "rank": encryption(["pageRank"], True),
        "duration": encryption(["avgDuration"], True),
    }.items():
        place = Path(target) / kind / "parquet/t/rankings"
        place.mkdir(parents=True)
        pq.write_table(table, place / "part-0.parquet", row_group_size=400, write_page_index=True, encryption_properties=properties)


if __name__ == "__main__":
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""Writes the rows of a Parquet file again: `rewrite.py FROM TO`, with all that pyarrow keeps of the file it read."""

import sys

import pyarrow.parquet as pq


def main(source, target):
    pq.write_table(pq.read_table(source), target)


if __name__ == "__main__":
    main(*sys.argv[1:])

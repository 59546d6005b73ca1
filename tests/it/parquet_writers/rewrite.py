#!/usr/bin/env python3
"""Writes the rows of a Parquet file again, with all that pyarrow keeps of the file it read.

    rewrite.py FROM TO                  with statistics
    rewrite.py FROM TO no-statistics    without
"""

import sys

import pyarrow.parquet as pq


def main(source, target, statistics="statistics"):
    pq.write_table(pq.read_table(source), target, write_statistics=statistics == "statistics")


if __name__ == "__main__":
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""Counts the links of each page of a crawl: phase 1 of the Big Data Benchmark's Query 4, as an external program.

    query4 --script 'python3 scripts/url_count.py'
    scripts/url_count.py < data/csv/tiny/documents/part-00000

Reads lines from standard input. A line that starts with `http` and splits on single spaces into exactly five fields opens a page,
whose address is its first field. Every match of (https?://[^\\s]+) in any line, header lines included, counts for the page that is
open, also for one that its own header opens. When the next page opens, and at the end, it prints for each target of the page

    address of the page <tab> target <tab> count

A target holds no white space and an address no blank. Lines before the first header belong to the page `http://`.
"""

import re
import sys

LINK = re.compile(rb"(https?://[^\s]+)")
NO_PAGE = b"http://"


def main():
    """One pass over standard input, a page in memory."""
    page, counts = NO_PAGE, {}
    out = sys.stdout.buffer

    def tell():
        out.writelines(b"%s\t%s\t%d\n" % (page, target, count) for target, count in counts.items())

    for line in sys.stdin.buffer:
        if line.startswith(b"http"):
            fields = line.removesuffix(b"\n").split(b" ")
            if len(fields) == 5:
                tell()
                page, counts = fields[0], {}
        for target in LINK.findall(line):
            counts[target] = counts.get(target, 0) + 1
    tell()


if __name__ == "__main__":
    main()

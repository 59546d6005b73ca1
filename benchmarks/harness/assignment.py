"""Compares Millrace's two ways to assign splits to workers, on even and on uneven files: `scripts/bench-assignment`.

All sets hold the same rows and so must give the same answer; the four cases of a set take turns.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from harness import dataset, machine
from harness.bench import say, tell
from harness.cases import HELD, Block, Case
from harness.figures import paired_ratios, seconds, spread, table, times
from harness.options import ROOT, positive
from harness.peers import Failure, verb
from harness.rounds import run_block

WAYS = ("modulo", "shared")
COUNTS = ((2, 1), (1, 2))


def sets(even):
    """Name and data of every shape, made from the rows of the even one."""
    yield "16 equal files", even
    yield "one of 16 ten times larger, not cut", dataset.recut(even, "huge", [1] * 5 + [10] + [1] * 10, quoted=True)
    yield "12 files, each half the one before, cut", dataset.recut(even, "halves", [2**power for power in range(11, -1, -1)])
    yield "24 files of 1 to 24 parts, not cut", dataset.recut(even, "stairs", range(1, 25), quoted=True)


def main(arguments):
    """Exit code: 0 when every run gave the right answer, 1 when one did not, whatever the times."""
    options = parse(arguments)
    load_average = machine.load_average()
    try:
        version = verb("millrace", "install")
        even = dataset.prepare(options.data, options.rows)
        lines, rows = [], []
        for name, data in sets(even):
            say(f"\n{name}")
            dataset.warm(data)
            found = run_set(data, options)
            rows += found
            lines += compare(name, found)
    except Failure as failure:
        say(f"bench-assignment: {failure}")
        return 1
    print(f"{version}, {machine.short_name(machine.describe())}, load average before the start {load_average}; "
          f"Query 2A on {options.rows:,} rows, {options.repeat} rounds\n")
    print(table(["files", "processes and workers", "modulo, s", "shared, s", "modulo / shared", "least", "greatest",
                 "imbalance, modulo", "shared"], lines))
    failed = [row["failure"] for row in rows if row["failure"]]
    # Each set has its own judge; this compares the sets, whose rows are the same.
    if not failed and len({row["answer"]["engine_hash"] for row in rows}) != 1:
        failed = ["the sets have different answers"]
    if failed:
        say(f"bench-assignment: {failed[0]}")
    return 1 if failed else 0


def parse(arguments):
    """What was typed; a wrong option ends the program with exit code 2."""
    parser = argparse.ArgumentParser(prog="scripts/bench-assignment", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=positive, default=10_000_000, metavar="N",
                        help="rows of uservisits (default: 10,000,000)")
    parser.add_argument("--repeat", type=positive, default=9, metavar="N",
                        help="timed rounds after the round that checks the answers (default: 9)")
    parser.add_argument("--data", type=lambda text: Path(text).resolve(), default=ROOT / "benchmarks" / "data",
                        metavar="DIR", help="where the input is kept between runs (default: benchmarks/data)")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS",
                        help="a run that takes longer is a failure (default: 600)")
    return parser.parse_args(arguments)


def cases():
    """Both ways side by side, for each number of workers and processes."""
    return tuple(Case("millrace", workers, processes, ("--assignment", way)) for workers, processes in COUNTS for way in WAYS)


def run_set(data, options):
    """All rows of one shape of files."""
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as scratch:
        return run_block(Block(options.rows, "2A", HELD, cases()), data, Path(scratch) / "written", options.repeat,
                         options.timeout, tell)


def compare(name, rows):
    """One line of the table for each number of workers and processes."""
    lines = []
    for counts in COUNTS:
        modulo, shared = ([row for row in rows if row["timed"] and row["setting"] == case.setting]
                          for case in cases() if (case.workers, case.processes) == counts)
        ratios = spread(paired_ratios(*([row["seconds"] for row in of] for of in (modulo, shared))))
        middles = [spread(row[key] for row in of) for key in ("seconds", "imbalance") for of in (modulo, shared)]
        lines.append([
            name, f"`{Case('millrace', *counts).setting}`", *(seconds(found and found.middle) for found in middles[:2]),
            *(times(ratios and getattr(ratios, of)) for of in ("middle", "least", "greatest")),
            *(times(found and found.middle) for found in middles[2:]),
        ])
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

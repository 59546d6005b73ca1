"""What was typed: the options of scripts/bench, checked, and turned into one value."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from peers.examples import EXAMPLES
from peers.queries import QUERIES

ROOT = Path(__file__).resolve().parents[2]
PEERS_DIRECTORY = ROOT / "benchmarks" / "peers"
SMOKE_ROWS = 1_000_000
# Lines of each of the examples' own tables, and orders of TPC-H: its scale factor 1.
EXAMPLE_ROWS = 1_500_000
SMOKE_EXAMPLE_ROWS = 75_000
# What the input is kept in; the first is what the others are made from.
FORMATS = ("csv", "parquet", "packed")
# At 12 characters of the address they have some 20 million groups.
LIMITED_ROWS = 24_000_000


@dataclass(frozen=True)
class Options:
    """One run, fully decided. `out` is None until the run knows its date and machine."""

    rows: int
    repeat: int
    memory_scale: int
    peers: tuple
    queries: tuple
    formats: tuple
    compared_only: bool
    data: Path
    out: Path | None
    smoke: bool
    limited: bool
    examples: bool
    cold: bool
    timeout_seconds: float


def positive(text):
    """A whole number of at least one."""
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def peer_list(text):
    """Names of folders under benchmarks/peers, comma separated, none twice."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    known = sorted(folder.name for folder in PEERS_DIRECTORY.iterdir() if (folder / "query").exists())
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no peer is called '{name}'; there are: {', '.join(known)}")
    if not names or len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"'{text}' should name each peer once, such as duckdb,millrace")
    return names


def query_list(text):
    """Names of queries, comma separated; in the order in which they are run."""
    names = {name.strip().upper() for name in text.split(",") if name.strip()}
    if not names or not names.issubset(QUERIES):
        raise argparse.ArgumentTypeError(f"'{text}' should name some of {', '.join(QUERIES)}")
    return tuple(query for query in QUERIES if query in names)


def format_list(text):
    """Formats of the input, comma separated; in the order in which they are read."""
    names = {name.strip().lower() for name in text.split(",") if name.strip()}
    if not names or not names.issubset(FORMATS):
        raise argparse.ArgumentTypeError(f"'{text}' should name some of {', '.join(FORMATS)}")
    return tuple(name for name in FORMATS if name in names)


def parse(arguments):
    """Options from the command line; a wrong one ends the program with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Runs queries 1 to 4 of the Big Data Benchmark on every peer over the same files, checks the answers, then compares the times.",
    )
    parser.add_argument("--rows", type=positive, metavar="N",
                        help=f"rows of uservisits (default: 10,000,000; with --smoke {SMOKE_ROWS:,})")
    parser.add_argument("--repeat", type=positive, metavar="N",
                        help="timed rounds after the round that checks the answers (default: 5; with --smoke 1)")
    parser.add_argument("--memory-scale", type=int, metavar="N",
                        help="also run Query 2A and 2C on N times the rows, to see how memory grows; "
                             "0 leaves it out (default: 4; with --smoke 0)")
    parser.add_argument("--peers", type=peer_list, default=("duckdb", "millrace"), metavar="LIST",
                        help="folders under benchmarks/peers; the first one's answer is the judge "
                             "(default: duckdb,millrace)")
    parser.add_argument("--queries", type=query_list, default=QUERIES, metavar="LIST",
                        help="such as 1A,4 (default: all ten)")
    parser.add_argument("--formats", type=format_list, default=("csv",), metavar="LIST",
                        help="formats of the input: csv, parquet, packed; only Millrace reads packed files, and DuckDB "
                             "its own tables beside it (default: csv)")
    parser.add_argument("--compared-only", action="store_true",
                        help="only what is compared between engines: two threads, and each query's result once")
    parser.add_argument("--data", type=Path, default=ROOT / "benchmarks" / "data", metavar="DIR",
                        help="where the generated input is kept between runs (default: benchmarks/data)")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="folder for the results (default: benchmarks/runs/DATE-MACHINE; "
                             "with --smoke target/bench-smoke)")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS",
                        help="a run that takes longer is a failure (default: 600)")
    parser.add_argument("--cold", action="store_true",
                        help="drop the input from the page cache before every run, so that all engines wait for the disk; "
                             "a folder of its own (default: the input is read once before the first run, and nobody waits)")
    parser.add_argument("--smoke", action="store_true",
                        help="small and quick: answers matter, times do not")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--limited", action="store_true",
                       help=f"instead of all else: Query 2C on {LIMITED_ROWS:,} rows in 512 and 256 MB of memory "
                            "against as much as it likes; with --smoke only to see that it works")
    kinds.add_argument("--examples", action="store_true",
                       help=f"instead of all else: the examples that have tables of their own, {EXAMPLE_ROWS:,} lines each, "
                            "and queries of TPC-H at as many orders, which is scale factor 1")
    typed = parser.parse_args(arguments)
    if typed.memory_scale is not None and (typed.memory_scale < 0 or typed.memory_scale == 1):
        parser.error("--memory-scale takes 0 (off) or a number from 2 up")

    def or_default(value, usual, smoke):
        return value if value is not None else (smoke if typed.smoke else usual)

    out = typed.out.resolve() if typed.out else (ROOT / "target" / "bench-smoke" if typed.smoke else None)
    return Options(
        rows=or_default(typed.rows, LIMITED_ROWS if typed.limited else EXAMPLE_ROWS if typed.examples else 10_000_000,
                        SMOKE_EXAMPLE_ROWS if typed.examples else SMOKE_ROWS),
        repeat=or_default(typed.repeat, 5, 1),
        memory_scale=0 if typed.examples else or_default(typed.memory_scale, 4, 0),
        peers=typed.peers,
        queries=tuple(EXAMPLES) if typed.examples else typed.queries,
        formats=("csv",) if typed.examples else typed.formats,
        compared_only=typed.compared_only,
        data=typed.data.resolve(),
        out=out,
        smoke=typed.smoke,
        limited=typed.limited,
        examples=typed.examples,
        cold=typed.cold,
        timeout_seconds=typed.timeout,
    )

"""What Millrace is held to, and whether the rows of a run meet it: first Query 2 on CSV and in the column formats, then all queries against all engines."""

import math
from dataclasses import dataclass

from harness.cases import HELD, NATIVE, WRITTEN, Case
from harness.engines import OTHERS
from harness.figures import megabytes, paired_ratios, ratio, spread, times
from peers.queries import LINKS, OF_TABLES, THRESHOLDS

DUCKDB = Case("duckdb", 2)
ONE_WORKER = Case("millrace", 1)
TWO_WORKERS = Case("millrace", 2)
TWO_PROCESSES = Case("millrace", 1, processes=2)

DUCKDB_PARQUET = Case("duckdb", 2, reads="parquet")
DUCKDB_TABLES = Case("duckdb", 2, reads=NATIVE)
# How many times faster than the fastest engine, over all queries of a format, and than Spark in each.
GEOMETRIC_MEAN = {"csv": 4, "parquet": 2}
TIMES_SPARK = 10

MEMORY_BYTES = 200e6
# What the peak may differ between two runs of the same program on the same input.
MEMORY_NOISE_BYTES = 20e6


# Of a target, by whether it is met.
VERDICTS = {True: "met", False: "**missed**", None: "not measured"}


@dataclass(frozen=True)
class Target:
    """One line of the targets' table. `met` is None when there was nothing to judge."""

    name: str
    wanted: str
    measured: str
    met: bool | None


def case_of(row):
    """What is the same for all rounds of a case."""
    return row["query"], row["rows"], row["format"], row["mode"], row["engine"], row["setting"]


class Figures:
    """Looks up the timed rows of a run."""

    def __init__(self, rows):
        self.rows = [row for row in rows if row["timed"]]

    def of(self, query, case, rows, key="seconds", mode=HELD, form="csv"):
        """Values of one case in round order, None where a round failed; empty when it was not run."""
        return self.of_case((query, rows, form, mode, case.engine, case.setting), key)

    def of_case(self, case, key="seconds"):
        """The same of a case as `case_of` names it."""
        return [row[key] for row in self.rows if case_of(row) == case]

    def middle(self, *arguments, **named):
        """Median of one case, or None."""
        found = spread(self.of(*arguments, **named))
        return found and found.middle

    def scaling(self, query, above, below, rows):
        """Spread of the per-round ratios of two cases, or None."""
        first, second = self.of(query, above, rows), self.of(query, below, rows)
        return spread(paired_ratios(first, second)) if first and len(first) == len(second) else None


def at_least(name, wanted, measured):
    """A ratio that must reach a number."""
    return Target(name, f"at least {wanted:g}×", times(measured), None if measured is None else measured >= wanted)


def evaluate(all_rows, options):
    """Every target whose query, formats and engines are in the run, with what was measured for it."""
    figures, rows = Figures(all_rows), options.rows
    found = query_2_on_csv(figures, rows, options) if "csv" in options.formats and "2A" in options.queries else []
    return found + query_2_in_columns(figures, rows, options) + all_engines(figures, rows, options)


def query_2_in_columns(figures, rows, options):
    """Parquet against DuckDB on the same files, packed against that and against DuckDB's own tables."""
    found = []
    if "duckdb" not in options.peers:
        return found
    for query, parquet, packed in (("2A", 2.3, 4), ("2C", 2, 2.5)):
        if query not in options.queries:
            continue
        if "parquet" in options.formats:
            speed = ratio(figures.middle(query, DUCKDB, rows, form="parquet"), figures.middle(query, TWO_WORKERS, rows, form="parquet"))
            found.append(at_least(f"{query} on Parquet: -w 2 against DuckDB on the same files", parquet, speed))
        if "packed" in options.formats:
            ours = figures.middle(query, TWO_WORKERS, rows, form="packed")
            for case, wanted, what in ((DUCKDB_PARQUET, packed, "DuckDB on Parquet"), (DUCKDB_TABLES, 1, "DuckDB on its own tables")):
                speed = ratio(figures.middle(query, case, rows, form="packed"), ours)
                found.append(at_least(f"{query} on packed files: -w 2 against {what}", wanted, speed))
    return found


def all_engines(figures, rows, options):
    """The fastest engine of each query and format, the mean over all, and Spark; for runs of all engines."""
    if not set(OTHERS).issubset(options.peers):
        return []
    found = []
    for form in [form for form in GEOMETRIC_MEAN if form in options.formats]:
        speeds, against_spark = [], []
        for query in [query for query in options.queries if query != LINKS or form == "csv"]:
            mode = WRITTEN if query in THRESHOLDS else HELD
            ours = figures.middle(query, TWO_WORKERS, rows, mode=mode, form=form)
            theirs = {engine: figures.middle(query, Case(engine, 2), rows, mode=mode, form=form) for engine in OTHERS}
            fastest = min((engine for engine in OTHERS if theirs[engine] is not None), key=theirs.get, default=None)
            speed = ratio(fastest and theirs[fastest], ours)
            if query in OF_TABLES:
                speeds.append(speed)
            against_spark.append(ratio(theirs["spark"], ours))
            found.append(at_least(f"{query} on {form}: against the fastest of five ({fastest})", 1, speed))
        if set(OF_TABLES).issubset(options.queries):
            found.append(at_least(f"{form}: geometric mean against the fastest", GEOMETRIC_MEAN[form], geometric_mean(speeds)))
        found.append(at_least(f"{form}: the least against Spark, which has run the query before", TIMES_SPARK, least(against_spark)))
    return found


def geometric_mean(ratios):
    """Of all ratios; None when one is missing."""
    return None if not ratios or None in ratios else math.exp(sum(map(math.log, ratios)) / len(ratios))


def least(ratios):
    """The least ratio; None when one is missing."""
    return None if not ratios or None in ratios else min(ratios)


def query_2_on_csv(figures, rows, options):
    """Query 2 on CSV: against DuckDB, against itself with fewer workers, and its memory."""
    found = []
    for query, wanted in (("2A", 6), ("2C", 4)):
        speed = ratio(figures.middle(query, DUCKDB, rows), figures.middle(query, TWO_WORKERS, rows))
        found.append(at_least(f"{query}: -w 2 against DuckDB with 2 threads", wanted, speed))
    for query in ("2A", "2B", "2C"):
        speed = ratio(figures.middle(query, DUCKDB, rows), figures.middle(query, ONE_WORKER, rows))
        found.append(at_least(f"{query}: -w 1 against DuckDB with 2 threads", 1, speed))
    for query in ("2A", "2B", "2C"):
        scaling = figures.scaling(query, ONE_WORKER, TWO_WORKERS, rows)
        found.append(at_least(f"{query}: -w 2 against -w 1", 1.85, scaling and scaling.middle))
        scaling = figures.scaling(query, TWO_WORKERS, TWO_PROCESSES, rows)
        found.append(at_least(f"{query}: -n 2 -w 1 against -w 2", 0.8, scaling and scaling.middle))
    if options.memory_scale:
        for query in ("2A", "2C"):
            found += memory_targets(figures, query, rows, rows * options.memory_scale)
    return found


def memory_over_tables(figures, query, rows):
    """Peak memory of `-w 2` less what its group tables occupied, or None."""
    peak = figures.middle(query, TWO_WORKERS, rows, key="peak_rss_bytes")
    table = figures.middle(query, TWO_WORKERS, rows, key="table_bytes")
    return None if peak is None or table is None else peak - table


def memory_targets(figures, query, rows, more_rows):
    """Peak over what the groups need: small, and the same for more input."""
    base = memory_over_tables(figures, query, rows)
    more = memory_over_tables(figures, query, more_rows)
    largest = None if base is None or more is None else max(base, more)
    growth = None if largest is None else more - base
    return [
        Target(f"{query}: peak memory over the group tables", f"under {megabytes(MEMORY_BYTES)}", megabytes(largest),
               None if largest is None else largest < MEMORY_BYTES),
        Target(f"{query}: its growth from {rows:,} to {more_rows:,} rows",
               f"none (noise up to {megabytes(MEMORY_NOISE_BYTES)})", megabytes(growth),
               None if growth is None else growth <= MEMORY_NOISE_BYTES),
    ]

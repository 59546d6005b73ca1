"""The targets that Query 2 on CSV is held to, and whether the rows of a run meet them."""

from dataclasses import dataclass

from harness.cases import HELD, Case
from harness.figures import megabytes, paired_ratios, ratio, spread, times

DUCKDB = Case("duckdb", 2)
ONE_WORKER = Case("millrace", 1)
TWO_WORKERS = Case("millrace", 2)
TWO_PROCESSES = Case("millrace", 1, processes=2)

MEMORY_BYTES = 200e6
# What the peak may differ between two runs of the same program on the same input.
MEMORY_NOISE_BYTES = 20e6


@dataclass(frozen=True)
class Target:
    """One line of the targets' table. `met` is None when there was nothing to judge."""

    name: str
    wanted: str
    measured: str
    met: bool | None


class Figures:
    """Looks up the timed rows of a run."""

    def __init__(self, rows):
        self.rows = [row for row in rows if row["timed"]]

    def of(self, query, case, rows, key="seconds", mode=HELD):
        """Values of one case in round order, None where a round failed; empty when it was not run."""
        return [row[key] for row in self.rows
                if (row["query"], row["engine"], row["setting"], row["rows"], row["mode"])
                == (query, case.engine, case.setting, rows, mode)]

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
    """Every target with what was measured for it."""
    figures, rows = Figures(all_rows), options.rows
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

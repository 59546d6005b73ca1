"""The run in limited memory: what it is held to, and its tables."""

from dataclasses import replace

from harness.cases import LIMITS
from harness.figures import megabytes, paired_ratios, seconds, spread, table, times
from harness.targets import DUCKDB, TWO_WORKERS, VERDICTS, Figures, Target

# The peak may be above the limit by this share.
MOST_OVER = 0.15
MOST_TIMES_SLOWER = 4


def limited(case, limit):
    """The same case with so many bytes."""
    return replace(case, memory_bytes=limit)


def evaluate(rows, options):
    """Every target with what was measured for it."""
    figures = Figures(rows)
    found = []
    for limit in LIMITS:
        name, most = f"2C in {megabytes(limit)}", limit * (1 + MOST_OVER)
        peaks = of(figures, limited(TWO_WORKERS, limit), options, "peak_rss_bytes")
        peak = spread(peaks)
        found.append(Target(f"{name}: peak memory", f"under {megabytes(most)}", megabytes(peak and peak.greatest),
                            None if peak is None else peak.greatest < most))
        slower = slowdown(figures, TWO_WORKERS, limit, options)
        found.append(Target(f"{name}: time against as much as it likes", f"at most {MOST_TIMES_SLOWER}×",
                            times(slower and slower.middle),
                            None if slower is None else slower.middle <= MOST_TIMES_SLOWER))
    return found


def of(figures, case, options, key="seconds"):
    """Values of a case in round order."""
    return figures.of("2C", case, options.rows, key=key, mode="folded")


def slowdown(figures, case, limit, options):
    """Spread of the per-round ratios of limited to unlimited time, or None."""
    slow, fast = (of(figures, limited(case, bytes_), options) for bytes_ in (limit, None))
    return spread(paired_ratios(slow, fast)) if slow and len(slow) == len(fast) else None


def summary(rows, options, facts):
    """The tables of a run."""
    figures = Figures(rows)
    targets = [[t.name, t.wanted, t.measured, VERDICTS[t.met]] for t in evaluate(rows, options)]
    lines = []
    for case in (limited(case, limit) for limit in (None, *LIMITS) for case in (TWO_WORKERS, DUCKDB)):
        took, peak = spread(of(figures, case, options)), spread(of(figures, case, options, "peak_rss_bytes"))
        spilled = spread(of(figures, case, options, "spilled_bytes"))
        slower = case.memory_bytes and slowdown(figures, case, case.memory_bytes, options)
        lines.append([
            case.engine, f"`{case.setting}`" if case.setting.startswith("-") else case.setting,
            seconds(took and took.middle), seconds(took and took.least), seconds(took and took.greatest),
            times(slower and slower.middle), megabytes(peak and peak.greatest), megabytes(spilled and spilled.middle),
        ])
    good = next((row["answer"] for row in rows if row["answer"] and not row["failure"]), None)
    failures = "".join(f"- {row['engine']} {row['setting']}, round {row['round']}: {row['failure']}\n"
                       for row in rows if row["failure"])
    header = ["engine", "setting", "median", "least", "greatest", "slower", "most memory", "spilled"]
    return "\n".join([
        f"# Query 2C on {options.rows:,} rows of CSV in limited memory\n\n{facts['date']}, {facts['name']}; "
        f"{options.repeat} timed rounds, cases taking turns. How it was run: [README.md](README.md).\n",
        f"{good['groups']:,} groups, hash {good['digest']}, of every run that has a time.\n" if good else "No run succeeded.\n",
        "## Targets\n\n" + table(["target", "wanted", "measured", ""], targets),
        "## Times and memory\n\nSeconds; how many times slower than the same engine with as much memory as it likes; the most "
        "resident memory of any round. Groups are counted, added up and the ten with the most revenue found, and not "
        "kept. DuckDB does not say how much it wrote.\n\n" + table(header, lines),
        *(["## Failures\n\n" + failures] if failures else []),
    ])

"""Ends a run's folder, where results.jsonl is by then: summary.md (tables), and README.md (how it came about)."""

from harness import limited
from harness.figures import megabytes, ratio, seconds, spread, table, times
from harness.targets import DUCKDB, DUCKDB_PARQUET, ONE_WORKER, TWO_PROCESSES, TWO_WORKERS, VERDICTS, Figures, case_of, evaluate
from peers.queries import PREFIXES

# Rounds of one case on a machine that nobody else uses are within a third of each other, but for the shortest.
UNSTEADY = 1.5


def write(out, rows, options, facts):
    """Both files; `facts` holds command, commit, date, versions, machine and input. The README is last: it says that all is there."""
    of_this_kind = limited.summary if options.limited else summary
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.md").write_text(of_this_kind(rows, options, facts), encoding="utf-8")
    title = "Examples and queries of TPC-H" if options.examples else "Big Data Benchmark"
    cache = "dropped from the page cache before every run" if options.cold else "page cache warm"
    (out / "README.md").write_text(readme(facts, title, cache), encoding="utf-8")


def readme(facts, title, cache="page cache warm"):
    """Command, commit, versions and machine of the run."""
    machine = facts["machine"]
    versions = "\n".join(f"- {version}" for version in facts["versions"])
    inputs = "\n".join(f"- {name}" for name in facts["inputs"])
    return f"""# {title}, {facts['date']}, {facts['name']}

Tables: [summary.md](summary.md). Every single run: [results.jsonl](results.jsonl).
Conditions: [benchmarks/README.md](../../README.md).

```
{facts['command']}
```

- commit {facts['commit']}
{versions}

Machine: {machine['cpu']} ({machine['vectors']}), {machine['cores']} cores,
{machine['memory_bytes'] / 1e9:.0f} GB of memory, {machine['os']}, {machine['distribution']}.
Load average over the minute before the start: {facts['load_average']}.

Input, made as benchmarks/README.md says, {cache}:
{inputs}
"""


def summary(rows, options, facts):
    """The tables of a run."""
    figures = Figures(rows)
    failed = [row for row in rows if row["failure"]]
    lines = "lines or orders" if options.examples else "visits"
    parts = [
        f"# Queries {', '.join(options.queries)} on {options.rows:,} {lines}, {', '.join(options.formats)}\n\n{facts['date']}, {facts['name']}; "
        f"{options.repeat} timed rounds, cases taking turns. How it was run: [README.md](README.md).\n",
        "## Targets\n\n" + targets_table(rows, options),
        "## Where another engine is ahead\n\n" + ahead(figures, rows),
        "## Answers\n\n" + answers_table(rows),
        "## Times\n\nSeconds. `held`: all groups in memory; `written`: also written as CSV. The last column is how "
        "many times faster than DuckDB with 2 threads on the same files; for packed files, on Parquet.\n\n" + times_table(figures, rows),
        "## Where rounds differ\n\nCases whose slowest round took more than half as long again as the fastest: something else had the machine, and what they are "
        "compared with may be off by as much.\n\n" + unsteady(figures, rows),
    ]
    if any(row["setting"] == ONE_WORKER.setting for row in rows):
        parts.append("## Scaling\n\nRatios of times taken back to back: median, least and greatest of the rounds.\n\n"
                     + scaling_table(figures, options.rows))
    if options.memory_scale:
        parts.append(
            "## Memory of `-w 2` as the input grows\n\nTables: what the hash tables of the groups occupy. "
            "Least: groups times the bytes of a key and its sum.\n\n" + memory_table(figures, rows, options))
    if any(row["cannot"] for row in rows):
        parts.append("## What engines cannot do\n\nNot run, and no failure: `–` in the table of times, and null in the results.\n\n" + unable(rows))
    if failed:
        parts.append("## Failures\n\n" + "\n".join(
            f"- {row['query']} {row['mode']}, {row['engine']} {row['setting']}, round {row['round']}: {row['failure']}"
            for row in failed) + "\n")
    return "\n".join(parts)


def targets_table(rows, options):
    """Each target, met or missed."""
    return table(["target", "wanted", "measured", ""],
                 [[t.name, t.wanted, t.measured, VERDICTS[t.met]] for t in evaluate(rows, options)])


def ahead(figures, rows):
    """Each case of two threads in which Millrace with `-w 2` is slower, one line each."""
    lines = []
    for case in dict.fromkeys(case_of(row) for row in rows if row["engine"] != "millrace" and row["workers"] == TWO_WORKERS.workers):
        query, size, form, mode, engine, setting = case
        ours, theirs = figures.middle(query, TWO_WORKERS, size, mode=mode, form=form), spread(figures.of_case(case))
        if ours is not None and theirs and theirs.middle < ours:
            lines.append(f"- {query} on {form}, {mode}: {engine} ({setting}) {seconds(theirs.middle)} s, Millrace {seconds(ours)} s")
    return "\n".join(lines or ["Nowhere."]) + "\n"


def unsteady(figures, rows):
    """Each case whose rounds differ by more than UNSTEADY, one line each."""
    lines = []
    for case in dict.fromkeys(map(case_of, rows)):
        query, size, form, mode, engine, setting = case
        found = spread(figures.of_case(case))
        if found and found.greatest > UNSTEADY * found.least:
            lines.append(f"- {query} on {form}, {size:,} rows, {mode}: {engine} ({setting}), {seconds(found.least)} to {seconds(found.greatest)} s")
    return "\n".join(lines or ["None."]) + "\n"


def unable(rows):
    """What each engine cannot do and why, a line for each reason."""
    by_reason = {}
    for row in rows:
        if row["cannot"]:
            queries, engines = by_reason.setdefault((row["cannot"], row["format"]), ({}, {}))
            queries[row["query"]] = engines[row["engine"]] = True
    return "".join(f"- {', '.join(queries)} on {form}: {', '.join(engines)}: {reason}\n" for (reason, form), (queries, engines) in by_reason.items())


def answers_table(rows):
    """One line for each query and size: the answer all engines gave, or that they did not."""
    lines = []
    for query, size in dict.fromkeys((row["query"], row["rows"]) for row in rows):
        here = [row for row in rows if (row["query"], row["rows"]) == (query, size) and not row["cannot"]]
        good = next((row["answer"] for row in here if row["answer"] and not row["failure"]), None)
        wrong = sum(1 for row in here if row["failure"])
        lines.append([
            query, f"{size:,}", f"{good['groups']:,}" if good else "n/a", f"{good['revenue']!r}" if good and good["revenue"] is not None else "n/a",
            good["digest"] if good else "n/a",
            f"{len(here)} runs agree" if not wrong else f"**{wrong} of {len(here)} runs failed**",
        ])
    return table(["query", "rows", "groups", "total revenue", "hash", ""], lines)


def times_table(figures, rows):
    """Median, least, greatest and peak memory of every case."""
    lines = []
    cannot = {case_of(row) for row in rows if row["cannot"]}
    for case in dict.fromkeys(map(case_of, rows)):
        query, size, form, mode, engine, setting = case
        if case in cannot:
            lines.append([query, f"{size:,}", form, mode, engine, setting, *"–" * 5])
            continue
        found, peak = (spread(figures.of_case(case, key)) for key in ("seconds", "peak_rss_bytes"))
        judge = figures.middle(query, DUCKDB_PARQUET if form == "packed" else DUCKDB, size, mode=mode, form=form)
        lines.append([
            query, f"{size:,}", form, mode, engine, f"`{setting}`" if setting.startswith("-") else setting,
            seconds(found and found.middle), seconds(found and found.least), seconds(found and found.greatest),
            megabytes(peak and peak.middle), times(ratio(judge, found and found.middle)),
        ])
    return table(["query", "rows", "format", "result", "engine", "setting", "median", "least", "greatest", "peak memory", "speed"],
                 lines)


def scaling_table(figures, rows):
    """Workers and processes against each other."""
    lines = []
    for query in [query for query in PREFIXES if figures.of(query, ONE_WORKER, rows)]:
        for name, above, below in (("-w 2 against -w 1", ONE_WORKER, TWO_WORKERS),
                                   ("-n 2 -w 1 against -w 2", TWO_WORKERS, TWO_PROCESSES)):
            found = figures.scaling(query, above, below, rows)
            lines.append([query, f"`{name}`", times(found and found.middle), times(found and found.least),
                          times(found and found.greatest)])
    return table(["query", "ratio", "median", "least", "greatest"], lines)


def memory_table(figures, rows, options):
    """Peak, tables and the rest at both sizes."""
    lines = []
    for query in ("2A", "2C"):
        for size in (options.rows, options.rows * options.memory_scale):
            peak = figures.middle(query, TWO_WORKERS, size, key="peak_rss_bytes")
            tables = figures.middle(query, TWO_WORKERS, size, key="table_bytes")
            least = least_bytes(rows, query, size)
            over = None if peak is None or tables is None else peak - tables
            lines.append([query, f"{size:,}", megabytes(peak), megabytes(tables), megabytes(over), megabytes(least)])
    return table(["query", "rows", "peak", "tables", "peak over tables", "least"], lines)


def least_bytes(rows, query, size):
    """What the groups need whatever the program: a key of 8 or 16 bytes, and a sum of 8."""
    for row in rows:
        if (row["query"], row["rows"]) == (query, size) and row["answer"] and not row["failure"]:
            return row["answer"]["groups"] * (16 if PREFIXES[query] <= 8 else 24)
    return None



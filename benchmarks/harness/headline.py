"""The tables of results in README.md, made from benchmarks/runs and from what `cost` says of them: `scripts/headline`.

Each case, a query on one format, is told by the run with the most engines that has it; of those with as many, by the newest, which is the last in the
list of benchmarks/runs/README.md. What a newer run with fewer engines found is told below the table. A run that was cut off tells nothing. All of a line
is of one run, in which the engines took turns.
"""

import argparse
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.bench import say
from harness.cases import HELD, NATIVE, WRITTEN
from harness.engines import OURS, named
from harness.figures import ratio, spread, table, taken
from harness.options import FORMATS, ROOT
from harness.peers import Failure, verb
from harness.results import AT_THE_END, FILE, read
from harness.targets import GEOMETRIC_MEAN, TIMES_SPARK, TWO_WORKERS, VERDICTS, Figures, case_of, geometric_mean, least
from peers.queries import LINKS, OF_TABLES, PREFIXES, QUERIES, THRESHOLDS

README = ROOT / "README.md"
RUNS = ROOT / "benchmarks" / "runs"
BEGIN, END = "<!-- made by scripts/headline --write; do not edit -->", "<!-- end of what scripts/headline made -->"
SPARK = named("spark")
# The cheapest known type of x86-64 with at least the two threads that were measured; it has four.
PRICED_AS = "c7i.xlarge"
PUBLISHED = "Redshift"
PICTURES = ("overview.svg", "times.svg")


@dataclass(frozen=True)
class Line:
    """A query on one format: the medians of one run, None where an engine failed."""

    run: str
    query: str
    form: str
    rows: int
    ours: float | None
    others: dict
    # Engines of the whole run.
    engines: int

    @property
    def case(self):
        """The query and its format in words."""
        return f"{self.query} on {self.form}"

    @property
    def fastest(self):
        """(name, seconds) of the fastest other engine, or None where none has a time."""
        timed = [(name, taken) for name, taken in self.others.items() if taken is not None]
        return min(timed, key=lambda found: found[1], default=None)

    @property
    def speed(self):
        """How many times as long the fastest other engine takes, or None."""
        return ratio(self.fastest and self.fastest[1], self.ours)

    @property
    def against_spark(self):
        """The same of Spark."""
        return ratio(self.others.get(SPARK), self.ours)


def listed(folder):
    """The names of the runs that the list in a folder has, the oldest first."""
    index = folder / "README.md"
    names = re.findall(r"\]\(([^()/]+)/", index.read_text(encoding="utf-8")) if index.exists() else []
    return list(dict.fromkeys(names))


def runs(folder):
    """{name: rows} of the runs that came to their end, with results; the oldest first, and last those that are not in the list yet."""
    found, order = {}, listed(folder)
    place = lambda results: (order.index(results.parent.name) if results.parent.name in order else len(order), results)
    for results in sorted(folder.glob(f"*/{FILE}"), key=place):
        if all((results.parent / name).exists() for name in AT_THE_END):
            try:
                rows, _ = read(results)
            except ValueError as error:
                raise Failure(str(error)) from error
            # Results before there were several formats do not name theirs.
            # What waits for the disk is no match for what does not.
            rows = [{"format": "csv"} | row for row in rows if "engine" in row and not row.get("cold")]
            if rows:
                found[results.parent.name] = rows
    return found


def lines(folder):
    """Every case that any run has, in the order of formats and queries."""
    return chosen_of(folder)[0]


def chosen_of(folder):
    """The lines of the table, and those that newer runs with fewer engines have of the same cases."""
    chosen, narrower = {}, []
    for name, rows in runs(folder).items():
        for line in lines_of(name, rows):
            known = chosen.get((line.form, line.query))
            if known is None or known.engines <= line.engines:
                chosen[line.form, line.query] = line
                narrower = [other for other in narrower if other.case != line.case]
            elif line.rows == known.rows:
                narrower.append(line)
    found = [chosen[case] for case in ((form, query) for form in FORMATS for query in QUERIES) if case in chosen]
    return found, [line for line in narrower if line.query in QUERIES]


def lines_of(name, rows):
    """The cases of one run, over the smallest input that it has."""
    # What an engine cannot do is no failure of it.
    rows = [row for row in rows if not row.get("cannot")]
    figures, engines = Figures(rows), len({row["engine"] for row in rows})
    for query, form in dict.fromkeys((row["query"], row["format"]) for row in rows):
        mode = WRITTEN if query in THRESHOLDS else HELD
        here = [row for row in rows if (row["query"], row["format"], row["mode"]) == (query, form, mode)]
        size = min((row["rows"] for row in here), default=None)
        ours, others = None, {}
        for case in dict.fromkeys(case_of(row) for row in here if row["rows"] == size and row["workers"] == TWO_WORKERS.workers):
            found = spread(figures.of_case(case))
            if case[4] != OURS:
                others[name_of(case)] = found and found.middle
            elif case[5] == TWO_WORKERS.setting:
                ours = (found and found.middle,)
        if ours and others:
            yield Line(name, query, form, size, ours[0], others, engines)


def name_of(case):
    """An engine as the table names it, with what it reads where that is not what Millrace does."""
    *_, form, _, engine, setting = case
    reads = setting.partition(", ")[2]
    return named(engine) + ({"": "", NATIVE: ", own tables"}.get(reads, f", {reads.capitalize()}"))


def times(value):
    """A ratio in few digits: it is of a noisy machine."""
    return "n/a" if value is None else f"{value:.1f}×" if value < 10 else f"{value:.0f}×"


def speeds(found):
    """The table of times."""
    cells = []
    for line in found:
        failed = [name for name, seconds in line.others.items() if seconds is None and name != SPARK]
        other = f"{line.fastest[0]}, {taken(line.fastest[1])}" if line.fastest else "none"
        other += "".join(f"; {name} failed" for name in failed)
        spark = taken(line.others[SPARK]) if SPARK in line.others else "not run"
        cells.append([f"{line.query}, {line.form}", taken(line.ours), other, times(line.speed), spark, times(line.against_spark),
                      f"[{line.run[:10]}](benchmarks/runs/{line.run}/summary.md)"])
    return table(["query", "Millrace", "fastest other", "times faster", "Spark, warm", "times cheaper", "run"], cells)


def origin(found, narrower, missed):
    """Which runs the table is of, and what newer ones with fewer engines found; `missed` gives the targets that a run missed."""
    by_run = {}
    for line in found:
        by_run.setdefault(line.run, []).append(line)
    most, *others = sorted(by_run, key=lambda run: -len(by_run[run]))
    said = f"The table is of [{most}](benchmarks/runs/{most}/README.md)"
    for run in others:
        said += f"; {', '.join(line.case for line in by_run[run])} of [{run}](benchmarks/runs/{run}/README.md)"
    said = [said + "."]
    for run in dict.fromkeys(line.run for line in narrower):
        here = [line for line in narrower if line.run == run]
        told = "; ".join(f"{line.case} {taken(line.ours)} ({times(line.speed)})" for line in here)
        beside = dict.fromkeys(name.partition(", ")[0] for line in here for name in line.others)
        said.append(f"A newer run, [{run}](benchmarks/runs/{run}/summary.md), has no line there, as it is beside {', '.join(beside)} alone. Its times, and how many times "
                    f"faster than the fastest other: {told}. Targets it missed: {'; '.join(missed(run)) or 'none'}.")
    return "\n".join(said) + "\n"


def missed_in(folder):
    """Looks up the targets that the summary of a run says were missed, with what was measured."""
    def missed(run):
        rows = (folder / run / "summary.md").read_text(encoding="utf-8").splitlines()
        cells = [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows if row.endswith(f"| {VERDICTS[False]} |")]
        return [f"{name} ({measured}, {wanted})" for name, wanted, measured, _ in cells]

    return missed


def sentences(found):
    """What the table says as a whole: where others are ahead first of all, then each mean and Spark."""
    behind = [f"{line.case} ({line.fastest[0]}, {taken(line.fastest[1])} against {taken(line.ours)})"
              for line in found if line.speed is not None and line.speed < 1]
    judged = [line for line in found if line.speed is not None]
    said = [f"Another engine is ahead in {len(behind) or 'none'} of {len(judged)} cases" + (": " + "; ".join(behind) if behind else "") + "."]
    failed = [line.case for line in found if line.ours is None]
    if failed:
        said.append(f"Millrace failed in {', '.join(failed)}.")
    for form in FORMATS:
        speeds_here = [line.speed for line in found if line.form == form and line.query in OF_TABLES]
        if len(speeds_here) == len(OF_TABLES) and form in GEOMETRIC_MEAN:
            said.append(f"On {form}, the geometric mean of times faster is {times(geometric_mean(speeds_here))} "
                        f"(at least {GEOMETRIC_MEAN[form]}× is wanted).")
    spark = [line for line in found if SPARK in line.others]
    if spark:
        missed = [f"{line.case} ({times(line.against_spark)})" for line in spark
                  if line.against_spark is None or line.against_spark < TIMES_SPARK]
        said.append(f"Spark runs each query a second time in a session that is warm; on one machine the ratio of times is that of dollars. At least {TIMES_SPARK} "
                    f"times cheaper is wanted: {'met in all' if not missed else 'missed in ' + ', '.join(missed) + ', met in the other'} "
                    f"{len(spark) - len(missed)} cases; the least is {times(least([line.against_spark for line in spark]))}.")
    else:
        said.append("Spark is in none of these runs.")
    return "\n".join(said) + "\n"


def dollars(found, compare):
    """The table of dollars beside Spark's, measured here, and Redshift's of 2014, and the notes of `cost`; `compare` gives what `cost` says of a run."""
    cells, notes, said = [], [], {}
    for line in (line for line in found if line.form == FORMATS[0]):
        if line.run not in said:
            said[line.run] = compare(line.run)
        entry = next((entry for entry in said[line.run]["queries"] if entry["query"] == line.query), {"lines": []})
        mode = WRITTEN if line.query in THRESHOLDS else HELD
        ours = first(entry, f"millrace {TWO_WORKERS.setting}, {mode}")
        if ours is None:
            continue
        others = [first(entry, f"spark {TWO_WORKERS.workers} threads, {mode}"), first(entry, PUBLISHED)]
        of_line = [said[line.run]["notes"][number - 1] for system in (ours, *others) if system for number in system["notes"]]
        of_line = list(dict.fromkeys(of_line))
        notes += [note for note in of_line if note not in notes]
        scaled = [system and system["usd_scaled"] for system in (ours, *others)]
        cells.append([f"{line.query}, by bytes" if line.query == LINKS else line.query, *map(usd, scaled), *(times(ratio(theirs, scaled[0])) for theirs in scaled[1:]),
                      " ".join(str(notes.index(note) + 1) for note in of_line)])
    if not cells:
        return "Nothing to compare was measured.\n"
    return (table(["query", "Millrace", "Spark, warm", "Redshift, 2014", "cheaper than Spark", "than Redshift", "notes"], cells) + "\n"
            + "\n".join(f"{number}. {note}" for number, note in enumerate(notes, start=1)) + "\n")


def first(entry, system):
    """The first line of a system in what `cost` says, or None."""
    return next((line for line in entry["lines"] if line["system"].startswith(system)), None)


def usd(value):
    """Dollars with three digits that count."""
    return "n/a" if value is None else f"{float(f'{value:.3g}'):.10f}".rstrip("0").rstrip(".") + " USD"


def cost_of(folder):
    """Asks `cost`."""
    program = verb("millrace", "install", "--which", "cost")

    def compare(run):
        command = [program, "--json", "--instance", PRICED_AS, str(folder / run / FILE)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"cost: {done.stderr}")
        return json.loads(done.stdout)

    return compare


def block(folder, compare):
    """All that stands between the markers."""
    found, narrower = chosen_of(folder)
    if not found:
        raise Failure(f"no run under {folder.name} came to its end")
    # Of the run that most lines are of; where it has both pictures, the short one.
    pictures = [f"{line.run}/{name}" for name in PICTURES for line in found if (folder / line.run / name).exists()]
    most = max(dict.fromkeys(pictures), key=pictures.count, default=None)
    picture = [f"![Seconds of each query](benchmarks/runs/{most})\n"] if most else []
    rows = sorted({line.rows for line in found})
    return "\n".join([
        BEGIN,
        f"Seconds on {' and '.join(f'{count:,}' for count in rows)} visits, two threads each; medians.\n",
        speeds(found),
        origin(found, narrower, missed_in(folder)),
        sentences(found),
        *picture,
        f"US dollars for 10^9 rows of CSV, priced as one {PRICED_AS} (four vCPUs, of which two worked), and as published by AMPLab. `cost` computes them and gives the notes:\n",
        dollars(found, compare) + END,
    ])


def replaced(text, new):
    """The text with another block between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Failure(f"README.md lacks the markers `{BEGIN}` and `{END}`")
    return before + new + after


def main(arguments):
    """Exit code: 0 when all is as asked, 1 when README.md has other tables or they cannot be made."""
    parser = argparse.ArgumentParser(prog="scripts/headline", description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="put the tables into README.md")
    what.add_argument("--check", action="store_true", help="fail if README.md has other tables")
    options = parser.parse_args(arguments)
    try:
        new = block(RUNS, cost_of(RUNS))
        if not options.write and not options.check:
            print(new)
            return 0
        text = README.read_text(encoding="utf-8")
        wanted = replaced(text, new)
    except Failure as failure:
        say(f"headline: {failure}")
        return 1
    if options.write:
        README.write_text(wanted, encoding="utf-8")
    elif wanted != text:
        say("headline: README.md has other results than benchmarks/runs; scripts/headline --write makes them anew")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

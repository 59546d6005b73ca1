"""Measures what a new file of 1 % costs `query2_incremental` against a full run of `query2`: `scripts/bench-incremental`.

The visits are 101 files of one size. A state of the first hundred is made once; in each round, by turns, `query2` reads all of them, and `query2_incremental`
starts from a copy of that state, once with nothing new and once with the last file. The difference of these two is what the file costs: who
follows the directory starts once. A run that answers wrongly, or reads an old file again, is a failure.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import dataset, machine
from harness.alone import play
from harness.bench import say
from harness.cases import HELD
from harness.figures import paired_ratios, seconds, spread, table
from harness.memory import touch
from harness.options import ROOT, SMOKE_ROWS, positive
from harness.peers import Failure, verb

# The first hundred are there before; the last is 1 % of them.
FILES = 101
MOST_SHARE = 0.05
FULL, NOTHING, ADDED = "full", "nothing new", "a file added"
NAMES = {FULL: "`query2` over all files", NOTHING: "`query2_incremental --state`, nothing new", ADDED: "`query2_incremental --state`, one file of 1 % added"}
CLOCKS = {"processor_seconds": "processor time", "seconds": "wall time"}


def main(arguments):
    """Exit code: 0 when every answer was right, whatever the times, 1 when one was not, 2 for wrong usage."""
    options, facts = parse(arguments), machine.facts()
    if not options.smoke:
        options.out = options.out or ROOT / "benchmarks" / "runs" / f"{facts['date']}-{facts['name']}-incremental"
    return play("bench-incremental", "Totals kept current", arguments, options, facts, measure, summary)


def parse(arguments):
    """What was typed; a wrong option ends the program with exit code 2."""
    parser = argparse.ArgumentParser(prog="scripts/bench-incremental", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=positive, metavar="N", help=f"rows of uservisits (default: 10,000,000; with --smoke {SMOKE_ROWS:,})")
    parser.add_argument("--repeat", type=positive, metavar="N", help="rounds, after one that is not timed (default: 9; with --smoke 1)")
    parser.add_argument("--workers", type=positive, default=2, metavar="N", help="threads of each program (default: 2)")
    parser.add_argument("--prefix", type=positive, default=8, metavar="X", help="characters of the address: 8, 10 and 12 are 2A, 2B and 2C (default: 8)")
    parser.add_argument("--data", type=lambda text: Path(text).resolve(), default=ROOT / "benchmarks" / "data", metavar="DIR",
                        help="where the input is kept between runs (default: benchmarks/data)")
    parser.add_argument("--out", type=lambda text: Path(text).resolve(), metavar="DIR",
                        help="folder for the tables and every run (default: one in benchmarks/runs; with --smoke none is kept)")
    parser.add_argument("--smoke", action="store_true", help="small and quick: answers matter, times do not")
    options = parser.parse_args(arguments)
    options.rows = options.rows or (SMOKE_ROWS if options.smoke else 10_000_000)
    options.repeat = options.repeat or (1 if options.smoke else 9)
    return options


def measure(options, scratch, keep):
    """What was read; `keep` gets each row of the results as soon as it is there."""
    even = dataset.recut(dataset.prepare(options.data, options.rows), f"{FILES}-files", [1] * FILES)
    size, rows = dataset.warm(even)
    *before, new = even.files()
    # Beside the others, as links to them do not cross file systems.
    arriving = tempfile.TemporaryDirectory(prefix="arriving-", dir=even.table.parent.parent)
    with arriving as directory:
        place = Path(directory) / "uservisits"
        place.mkdir()
        for path in before:
            os.link(path, place / path.name)
        rounds(options, even, Path(directory).name, (place, new), scratch, keep)
    return [f"uservisits, csv: {rows:,} rows, {FILES} files, {size:,} bytes"]


def rounds(options, even, arriving, added, scratch, keep):
    """Makes the state of the first hundred files, and then compares."""
    words = ["-k", str(options.prefix), "-w", str(options.workers), "--top", "0", "--json", "--data", str(even.directory)]
    full = [verb("millrace", "install", "--which", "query2"), *words, "--no-progress", "--set", even.set_name]
    follow = [verb("millrace", "install", "--which", "query2_incremental"), *words, "--set", arriving, "--state"]
    known = scratch / "known"
    *epochs, was = run([*follow, known])["told"]
    expect(len(epochs) == FILES - 1, f"{len(epochs)} epochs of {FILES - 1} files")
    for number in range(options.repeat + 1):
        found = {FULL: run(full)}
        for case in (NOTHING, ADDED):
            shutil.copytree(known, scratch / "state")
            found[case] = with_file(added, lambda: run([*follow, scratch / "state"])) if case == ADDED else run([*follow, scratch / "state"])
            shutil.rmtree(scratch / "state")
        check(found, was, added[1])
        for case, row in found.items():
            say(f"{case:<12} {'round ' + str(number) if number else 'not timed'}  {row['seconds']:.3f} s, {row['processor_seconds']:.3f} s of processors")
            row = {name: row[name] for name in ("seconds", "processor_seconds", "touched_bytes")} | {"hash": row["told"][-1]["hash"]}
            keep(row | {"query": "query2", "prefix": options.prefix, "rows": options.rows, "format": "csv", "mode": HELD, "engine": "millrace",
                        "setting": case, "workers": options.workers, "round": number, "timed": number > 0, "failure": None})


def with_file(added, do):
    """Does something while the new file is there."""
    place, new = added
    os.link(new, place / new.name)
    try:
        return do()
    finally:
        (place / new.name).unlink()


def run(command):
    """Wall and processor seconds of a whole process, and the objects it printed."""
    touched = touch(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
    used = processor_seconds()
    begin = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    wall = time.perf_counter() - begin
    if done.returncode != 0:
        raise Failure(f"exit code {done.returncode}: {done.stderr[-300:]}")
    return {"seconds": wall, "processor_seconds": processor_seconds() - used, "touched_bytes": touched, "told": [json.loads(line) for line in done.stdout.splitlines()]}


def processor_seconds():
    """Of all programs that were run to their end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(found, was, new):
    """Ends the program where an answer is wrong, or more was read than the new file."""
    told = {case: row["told"] for case, row in found.items()}
    expect(told[NOTHING] == [was], "with nothing new, the answer is not that of before")
    expect([epoch.get("file") for epoch in told[ADDED][:-1]] == [new.name], "not one epoch, that of the new file")
    with open(new, "rb") as lines:
        expect(told[ADDED][0]["rows"] == sum(1 for _ in lines), "not the rows of the new file")
    full, added = told[FULL][-1], told[ADDED][-1]
    for key in ("groups", "revenue", "hash"):
        expect(full[key] == added[key], f"{key} is {added[key]!r}, of a full run {full[key]!r}")
    expect(full["hash"] != was["hash"], "the new file changes nothing, which proves nothing")


def expect(right, what):
    """Ends the program unless it is so."""
    if not right:
        raise Failure(what)


def shares(rows, clock):
    """Of a full run in the same round: what the file costs, a start with it, and a start alone."""
    full, nothing, added = ([row[clock] for row in rows if row["timed"] and row["setting"] == case] for case in (FULL, NOTHING, ADDED))
    cost = [both - start for both, start in zip(added, nothing)]
    return {"the file": spread(paired_ratios(cost, full)), ADDED: spread(paired_ratios(added, full)), NOTHING: spread(paired_ratios(nothing, full))}


def percent(value):
    """A share as percent."""
    return f"{100 * value:.1f} %"


def summary(rows, options, facts):
    """The tables of a run."""
    found = {clock: shares(rows, clock) for clock in CLOCKS}
    middle = found["processor_seconds"]["the file"].middle
    verdict = "not judged" if options.smoke else "met" if middle < MOST_SHARE else "**missed**"
    took = [[NAMES[case], words, *map(seconds, (of.middle, of.least, of.greatest))]
            for case in NAMES for clock, words in CLOCKS.items()
            for of in [spread(row[clock] for row in rows if row["timed"] and row["setting"] == case)]]
    names = {"the file": "one file of 1 %: with it, less a start from the state with nothing new", ADDED: NAMES[ADDED], NOTHING: NAMES[NOTHING]}
    ratios = [[names[name], words, *map(percent, (of.middle, of.least, of.greatest))]
              for name in names for clock, words in CLOCKS.items() for of in [found[clock][name]]]
    return "\n".join([
        f"# A new file of 1 %, {options.rows:,} visits, csv, `-k {options.prefix} -w {options.workers}`\n\n{facts['date']}, {facts['name']}; {options.repeat} timed rounds, in which the three take turns; "
        "all answers are right. " + ("Small and quick: the times say nothing." if options.smoke else "Shares are medians of the rounds' shares.") + "\n",
        "## Target\n\n" + table(["target", "wanted", "measured", ""],
                                [["one file of 1 %, of a full run's processor time", f"under {percent(MOST_SHARE)}", percent(middle), verdict]]),
        "## Of a full run\n\n" + table(["run", "clock", "median", "least", "greatest"], ratios),
        "## Times\n\nSeconds of whole processes.\n\n" + table(["run", "clock", "median", "least", "greatest"], took),
    ])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

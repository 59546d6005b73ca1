"""Measures Millrace in several processes on this machine: `scripts/bench-cluster`.

Query 2 in two processes against two threads of one, and its bytes on the wire; the exchange alone against timely's own; the start of three
processes; and what a thousand hostile connections cost. What is compared takes turns, and must give the same answer.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from harness import dataset, machine
from harness.alone import play
from harness.bench import say
from harness.cases import HELD
from harness.figures import paired_ratios, ratio, seconds, spread, table, times
from harness.hostile import CONNECTIONS, Pair
from harness.memory import WarmMemory
from harness.options import ROOT, SMOKE_ROWS, positive
from harness.peers import Failure, verb
from harness.targets import TWO_PROCESSES, TWO_WORKERS, VERDICTS, Target, at_least
from peers import queries

# Query, and how fast two processes must be against two threads.
SPEEDS = {"2A": 0.9, "2C": 0.75}
ONE, TWO = TWO_WORKERS.setting, TWO_PROCESSES.setting
MOST_OVER_RECORDS = 0.05
TIMES_TUPLES = 2
MOST_START_SECONDS = 0.15
STARTS = 21
MOST_TIMES_HOSTILE = 1.1
# What `cargo bench --bench exchange` prints of each way its records go.
CROSSING = re.compile(r"^(all|half of the) records cross")
THROUGHPUT = re.compile(r"routed containers have ([0-9.]+) times the throughput")
PROCESSOR = re.compile(r"processor seconds of one process, medians: ([0-9.]+) times")
WIRE = re.compile(r"^ *([0-9.]+) *[0-9.]+  bytes on the wire")
RECORD_BYTES = 16


def main(arguments):
    """Exit code: 0 when every answer was right, whatever the times, 1 when one was not, 2 for wrong usage."""
    options = parse(arguments)
    return play("bench-cluster", "Several processes", arguments, options, machine.facts(), measure, summary)


def parse(arguments):
    """What was typed; a wrong option ends the program with exit code 2."""
    parser = argparse.ArgumentParser(prog="scripts/bench-cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=positive, metavar="N", help=f"rows of uservisits (default: 10,000,000; with --smoke {SMOKE_ROWS:,})")
    parser.add_argument("--repeat", type=positive, metavar="N", help="rounds of each comparison, after one that is not timed (default: 9; with --smoke 1)")
    parser.add_argument("--format", default="csv", choices=("csv", "parquet", "packed"), help="of the files (default: csv)")
    parser.add_argument("--data", type=lambda text: Path(text).resolve(), default=ROOT / "benchmarks" / "data", metavar="DIR",
                        help="where the input is kept between runs (default: benchmarks/data)")
    parser.add_argument("--out", type=lambda text: Path(text).resolve(), metavar="DIR", help="folder for the tables and every run (default: none is kept)")
    parser.add_argument("--smoke", action="store_true", help="small and quick: answers matter, times do not")
    options = parser.parse_args(arguments)
    options.rows = options.rows or (SMOKE_ROWS if options.smoke else 10_000_000)
    options.repeat = options.repeat or (1 if options.smoke else 9)
    return options


def measure(options, scratch, keep):
    """What was read; `keep` gets each row of the results as soon as it is there."""
    data = dataset.prepare(options.data, options.rows, formats=(options.format,))
    size, _ = dataset.warm(data, form=options.format)
    query = [verb("millrace", "install", "--which", "query2"), "--json", "--no-progress"]
    over = [*query, "--data", str(data.directory), "--set", data.set_name, "--format", options.format]
    peaks = {name: compare(name, [*over, *queries.flags(name)], options, scratch, keep) for name in SPEEDS}
    exchange(options.smoke, keep)
    tiny = [*query, "--data", str(ROOT / "data"), "--set", "tiny"]
    for number in range(3 if options.smoke else STARTS):
        keep(run([*tiny, "-n", "3", "-w", "1"], scratch) | {"part": "start", "round": number})
    attack([*over, *queries.flags("2A")], options.repeat, peaks["2A"], scratch, keep)
    return [f"uservisits, {options.format}: {options.rows:,} rows, {len(data.files(form=options.format))} files, {size:,} bytes"]


def run(command, scratch, inside=()):
    """Whole wall seconds of a query, and what it says of itself. `inside` is a command that runs it and may print more behind it."""
    path = scratch / "report.json"
    begin = time.perf_counter()
    done = subprocess.run([*inside, *command, "--report", str(path)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    wall = time.perf_counter() - begin
    if done.returncode != 0:
        raise Failure(f"exit code {done.returncode}: {done.stderr[-300:]}")
    told, _, rest = done.stdout.partition("\n")
    found = json.loads(path.read_text())
    return {"seconds": wall, "hash": json.loads(told)["hash"], "connect_seconds": found["seconds"]["connect"],
            "run_seconds": found["seconds"]["run"], "exchanged_bytes": found["exchanged_bytes"], "peak_rss_bytes": found["peak_rss_bytes"]} | ({"printed": rest} if inside else {})


def same(hashes, what):
    """Ends the program where answers differ."""
    if len(set(hashes)) != 1:
        raise Failure(f"{what}: the answers differ, {', '.join(sorted(set(hashes)))}")


def compare(name, command, options, scratch, keep):
    """Two threads and two processes by turns, then once more two processes where their bytes can be counted; the most memory that two processes took."""
    hashes, memory = set(), WarmMemory()
    for number in range(options.repeat + 1):
        for case in (TWO_WORKERS, TWO_PROCESSES):
            setting = case.setting
            touched = memory.ready(case)
            row = run([*command, *setting.split()], scratch) | {"touched_bytes": touched}
            memory.note(case, row["peak_rss_bytes"])
            hashes.add(row["hash"])
            same(hashes, name)
            say(f"{name} {setting:<10} {'round ' + str(number) if number else 'not timed'}  {row['seconds']:.3f} s")
            # With what scripts/plot and scripts/headline look for.
            keep(row | {"part": "speed", "query": name, "format": options.format, "rows": options.rows, "mode": HELD, "engine": "millrace",
                        "setting": setting, "workers": case.workers, "processes": case.processes, "round": number, "timed": number > 0, "failure": None})
    # A network of its own, in which nobody else speaks.
    alone = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && "$@" && cat /proc/net/dev', "sh"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode == 0:
        row = run([*command, *TWO.split()], scratch, alone)
        same(hashes | {row["hash"]}, name)
        sent = int(re.search(r"lo: *([0-9]+)", row.pop("printed"))[1])
        keep(row | {"part": "wire", "query": name, "setting": TWO, "wire_bytes": sent})
    else:
        say("NOT RUN: bytes on the wire, which take a network namespace (unshare --map-root-user --net)")
    return memory.peaks[TWO_PROCESSES]


def exchange(smoke, keep):
    """What the benchmark of the exchange prints; it compares what arrived itself."""
    command = ["cargo", "bench", "--quiet", "--locked", "--bench", "exchange"]
    if smoke:
        # The profile of the tests: theirs are the crates that this one needs beside the library, and times do not matter.
        command += ["--profile", "dev", "--", "--smoke"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"cargo bench --bench exchange: {done.stderr[-300:]}")
    say(done.stdout)
    for row in exchanged(done.stdout):
        keep(row)


def exchanged(printed):
    """The figures in what the benchmark of the exchange printed: one row for each choice of records that cross."""
    rows = []
    for line in printed.splitlines():
        if found := CROSSING.match(line):
            rows.append({"part": "exchange", "records": found[0]})
        elif found := THROUGHPUT.search(line):
            rows[-1]["times_tuples"] = float(found[1])
        elif found := PROCESSOR.search(line):
            rows[-1]["times_tuples_processor"] = float(found[1])
        elif found := WIRE.match(line):
            rows[-1]["wire_bytes_per_record"] = float(found[1])
    return rows


def attack(command, repeat, warm_bytes, scratch, keep):
    """Pairs of processes with and without strangers, by turns; so much memory is warm when the second of a pair starts."""
    pair, hashes = Pair(command, scratch), set()
    for number in range(repeat + 1):
        for hostile in (False, True):
            told, figures = pair.run(hostile, warm_bytes)
            hashes.add(json.loads(told)["hash"])
            same(hashes, "with strangers")
            say(f"{'hostile' if hostile else 'alone':<8} {'round ' + str(number) if number else 'not timed'}  {figures['seconds']:.3f} s, {figures['connections']:,} connections")
            if hostile and figures["connections"] < CONNECTIONS:
                raise Failure(f"only {figures['connections']} hostile connections were made")
            keep({"part": "hostile", "hostile": hostile, "round": number, "timed": number > 0, **figures})


def of(rows, part, key="seconds", **where):
    """Values of the timed rows of a part, in round order."""
    return [row[key] for row in rows if row["part"] == part and row.get("timed", True) and all(row.get(name) == value for name, value in where.items())]


def at_most(name, wanted, measured, show=times):
    """A figure that must not be above a number."""
    return Target(name, f"at most {show(wanted)}", show(measured) if measured is not None else "n/a", None if measured is None else measured <= wanted)


def milliseconds(value):
    """Seconds as milliseconds."""
    return f"{value * 1e3:.0f} ms"


def speeds(rows, query):
    """Spread of the rounds' ratios of two threads' time to two processes'."""
    return spread(paired_ratios(*(of(rows, "speed", query=query, setting=setting) for setting in (ONE, TWO))))


def evaluate(rows):
    """Every target with what was measured for it."""
    found = []
    for query, wanted in SPEEDS.items():
        found.append(at_least(f"{query}: speed of `{TWO}` against `{ONE}`", wanted, speeds(rows, query).middle))
        wire, records = (of(rows, "wire", key, query=query) for key in ("wire_bytes", "exchanged_bytes"))
        found.append(at_most(f"{query}: bytes on the wire, over those of the records", 1 + MOST_OVER_RECORDS, ratio(wire[0], records[0]) if wire else None,
                             lambda value: f"{value:.3f}×"))
    for row in [row for row in rows if row["part"] == "exchange"]:
        found.append(at_least(f"exchange, {row['records']}: throughput of routed containers against tuples", TIMES_TUPLES, row["times_tuples"]))
        found.append(at_least(f"exchange, {row['records']}: the same by processor time", TIMES_TUPLES, row["times_tuples_processor"]))
        found.append(at_most(f"exchange, {row['records']}: bytes on the wire for a record of {RECORD_BYTES}",
                             RECORD_BYTES * (1 + MOST_OVER_RECORDS), row["wire_bytes_per_record"], lambda value: f"{value:.2f}"))
    found.append(at_most("three processes: from the start to the first record", MOST_START_SECONDS, median(starts(rows)), milliseconds))
    found.append(at_most(f"{CONNECTIONS:,} hostile connections: time against none", MOST_TIMES_HOSTILE, hostility(rows).middle))
    return found


def starts(rows):
    """All that is not the run: loading the program, planning, starting, connecting, agreeing, and ending."""
    return [whole - ran for whole, ran in zip(of(rows, "start"), of(rows, "start", "run_seconds"))]


def hostility(rows):
    """Spread of the rounds' ratios of time with strangers to time without."""
    return spread(paired_ratios(*(of(rows, "hostile", hostile=hostile) for hostile in (True, False))))


def summary(rows, options, facts):
    """The tables of a run."""
    targets = [[target.name, target.wanted, target.measured, "not judged" if options.smoke else VERDICTS[target.met]] for target in evaluate(rows)]
    lines = []
    for query in SPEEDS:
        for setting in (ONE, TWO):
            took = spread(of(rows, "speed", query=query, setting=setting))
            lines.append([f"{query}, `{setting}`", *map(seconds, (took.middle, took.least, took.greatest))])
    for hostile, name in ((False, "two processes, nobody else"), (True, f"two processes, {CONNECTIONS:,} hostile connections")):
        took = spread(of(rows, "hostile", hostile=hostile))
        lines.append([name, *map(seconds, (took.middle, took.least, took.greatest))])
    took = spread(starts(rows))
    lines.append(["start of three processes", *map(seconds, (took.middle, took.least, took.greatest))])
    ratios = [[f"{query}: `{ONE}` over `{TWO}`", speeds(rows, query)] for query in SPEEDS] + [["hostile over alone", hostility(rows)]]
    return "\n".join([
        f"# Several processes, {options.rows:,} visits, {options.format}\n\n{facts['date']}, {facts['name']}; {options.repeat} timed rounds, what is compared taking turns; "
        "all answers are the same. " + ("Small and quick: the times say nothing." if options.smoke else "The ratios are medians of the rounds' ratios.") + "\n",
        "## Targets\n\n" + table(["target", "wanted", "measured", ""], targets),
        "## Times\n\nSeconds of whole processes. Of three processes on the tiny set: all but the run itself.\n\n" + table(["run", "median", "least", "greatest"], lines),
        "## Ratios\n\n" + table(["ratio", "median", "least", "greatest"], [[name, *map(times, (found.middle, found.least, found.greatest))] for name, found in ratios]),
    ])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

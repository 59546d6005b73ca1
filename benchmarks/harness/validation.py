"""Compares what `cost --instances` predicts with what is measured: `scripts/validate-cost-model`.

All is predicted from one report, of the smallest set. The measured runs are that set and multiples of it, with one worker, two workers and two
processes; the cases of a set take turns.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from harness import dataset, machine, report
from harness.bench import say
from harness.figures import spread, table
from harness.memory import WarmMemory
from harness.options import ROOT, positive
from harness.peers import Failure, neutral, verb
from harness.results import FILE

# Workers and processes.
CASES = ((1, 1), (2, 1), (1, 2))
SCALES = (1, 4, 16)
WANTED = 0.2


def main(arguments):
    """Exit code: 0 when everything was measured, however far off the predictions are."""
    options, begin = parse(arguments), time.monotonic()
    load_before = machine.load_average()
    facts = machine.facts()
    out = options.out or ROOT / "benchmarks" / "runs" / f"{facts['date']}-{facts['name']}-cost-model"
    if out.exists():
        say(f"{neutral(str(out))} exists: a run is never overwritten; name another folder with --out")
        return 2
    try:
        version = verb("millrace", "install")
        with tempfile.TemporaryDirectory(prefix="millrace-validation-") as scratch:
            runs, inputs = measure(options, Path(scratch) / "report.json")
            chosen = least_run(runs, 1, tuple(options.from_case))
            predictions = predict(chosen["report"], Path(scratch) / "chosen.json")
        text = (
            f"Query 2{ {8: 'A', 10: 'B', 12: 'C'}.get(options.prefix, f' -k {options.prefix}') }, {options.repeat} runs of each case in turns, after one that is not timed; "
            f"{version}; {facts['name']}, load average {load_before} before and {machine.load_average()} after.\n"
            f"Predicted from [one report](report.json): {options.rows:,} rows, {setting(tuple(options.from_case))}, the run of least time.\n\n"
        ) + comparison(runs, predictions, options.rows)
    except Failure as failure:
        say(f"validate-cost-model: {failure}")
        return 1
    print(text)
    facts |= {
        "command": neutral(shlex.join(["scripts/validate-cost-model", *arguments])), "commit": machine.commit(),
        "versions": [version], "inputs": inputs, "load_average": load_before,
    }
    keep(out, runs, chosen, text, report.readme(facts, "Predicted against measured"))
    say(f"kept in {neutral(str(out))} after {time.monotonic() - begin:.0f} s")
    return 0


def parse(arguments):
    """What was typed; a wrong option ends the program with exit code 2."""
    parser = argparse.ArgumentParser(prog="scripts/validate-cost-model", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=positive, default=4_000_000, metavar="N",
                        help="rows of the smallest set; 4 and 16 times as many are made, too, of 180 bytes each, and "
                             "should fit in memory (default: 4,000,000)")
    parser.add_argument("--repeat", type=positive, default=7, metavar="N", help="timed runs of each case (default: 7)")
    parser.add_argument("--prefix", type=positive, default=8, metavar="X", help="-k of query2 (default: 8)")
    parser.add_argument("--from-case", type=int, nargs=2, default=(2, 1), metavar=("WORKERS", "PROCESSES"),
                        help="the run whose report all is predicted from (default: 2 1)")
    parser.add_argument("--data", type=lambda text: Path(text).resolve(), default=ROOT / "benchmarks" / "data",
                        metavar="DIR", help="where the input is kept between runs (default: benchmarks/data)")
    parser.add_argument("--out", type=Path, metavar="DIR",
                        help="folder for the table and every run (default: benchmarks/runs/DATE-MACHINE-cost-model)")
    options = parser.parse_args(arguments)
    if tuple(options.from_case) not in CASES:
        parser.error(f"--from-case takes one of those that are measured: {', '.join(f'{w} {p}' for w, p in CASES)}")
    return options


def setting(case):
    """A case as it is typed."""
    workers, processes = case
    return f"-w {workers}" if processes == 1 else f"-n {processes} -w {workers}"


def measure(options, report_path):
    """(runs, each with its report; what they read). The first of each case is not kept: it finds caches as others left them."""
    runs, inputs, query = [], [], verb("millrace", "install", "--which", "query2")
    for scale in SCALES:
        data = dataset.prepare(options.data, options.rows * scale)
        size, rows = dataset.warm(data)
        inputs.append(f"uservisits, csv: {rows:,} rows, {len(data.files())} files, {size:,} bytes")
        say(inputs[-1])
        memory = WarmMemory()
        for number in range(options.repeat + 1):
            for case in CASES:
                command = [query, "-k", str(options.prefix), "--top", "0", "--data", str(data.directory), "--set",
                           data.set_name, "--report", str(report_path), *setting(case).split()]
                touched = memory.ready(case)
                done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
                if done.returncode != 0:
                    raise Failure(f"{shlex.join(command)}: {done.stderr}")
                run = {"scale": scale, "case": case, "report": json.loads(report_path.read_text()),
                       "load_average": machine.load_average(), "touched_bytes": touched}
                memory.note(case, run["report"]["peak_rss_bytes"])
                taken = run["report"]["seconds"]["total"]
                say(f"{rows:,} rows, {setting(case)}, {f'run {number}' if number else 'not timed'}: {taken:.3f} s")
                runs += [run] if number else []
    hashes = {(run["scale"], run["report"]["answer"]["hash"]) for run in runs}
    if len(hashes) != len(SCALES):
        raise Failure("runs over the same rows have different answers")
    return runs, inputs


def of(runs, scale, case):
    """The reports of one case."""
    return [run["report"] for run in runs if (run["scale"], run["case"]) == (scale, case)]


def least_run(runs, scale, case):
    """The quickest run of the case: a disturbed one tells the time of other programs as time to start."""
    same = [run for run in runs if (run["scale"], run["case"]) == (scale, case)]
    return min(same, key=lambda run: run["report"]["seconds"]["total"])


def predict(report, file):
    """What `cost --instances` says, by scale and workers."""
    file.write_text(json.dumps(report))
    found = {}
    for scale in SCALES:
        command = [verb("millrace", "install", "--which", "cost"), "--instances", "--json", "--scale", str(scale), str(file)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"{shlex.join(command)}: {done.stderr}")
        for line in json.loads(done.stdout)["here"]:
            found[scale, line["processes"], line["workers"]] = line
    return found


def comparison(runs, predictions, rows):
    """Predicted beside measured, and how many are within what is wanted."""
    lines, near, count = [], 0, 0
    for scale in SCALES:
        for case in CASES:
            workers, processes = case
            reports = of(runs, scale, case)
            found = spread(report["seconds"]["total"] for report in reports)
            busy = median(sum(worker["busy_seconds"] for worker in report["workers_detail"]) for report in reports)
            prediction = predictions.get((scale, processes, workers))
            peak = median(report["peak_rss_bytes"] for report in reports) / 1e6
            # How much of a processor a worker had: on a busy machine, times tell of other programs, too.
            share = median(max(worker["busy_seconds"] / worker["elapsed_seconds"] for worker in report["workers_detail"]) for report in reports)
            if prediction is None:
                raise Failure(f"nothing is predicted for {setting(case)}: this takes a machine of two cores")
            # From the least run of one case the least of the others: medians have what other programs took.
            error = prediction["seconds"] / found.least - 1
            count, near = count + 1, near + (abs(error) <= WANTED)
            lines.append([
                f"{rows * scale:,}", f"`{setting(case)}`", f"{prediction['seconds']:.3f}", f"{found.least:.3f}",
                f"{found.middle:.3f}, {found.greatest:.3f}", f"{error:+.0%}" if abs(error) <= WANTED else f"**{error:+.0%}**",
                f"{prediction['core_seconds'] / busy - 1:+.0%}", f"{share:.0%}", f"{prediction['memory_bytes'] / 1e6:.0f}", f"{peak:.0f}",
                f"{prediction['memory_bytes'] / 1e6 / peak - 1:+.0%}",
            ])
    head = ["rows", "run", "predicted, s", "measured, s", "median, greatest", "error", "error of processor time", "had a processor",
            "memory predicted, MB", "measured", "error of memory"]
    return table(head, lines) + f"\n{near} of {count} times are within {WANTED:.0%}; the others are in bold.\n"


def without_places(report):
    """A report without what names anyone's machine: where the data lies, and who built the kernel."""
    kept = json.loads(json.dumps(report))
    kept["input"]["largest_split"] = None
    kept["machine"]["os"] = machine.describe()["os"]
    return kept


def keep(out, runs, chosen, text, readme):
    """The table, the report all was predicted from, one line for each run, and how it came about."""
    out.mkdir(parents=True)
    (out / "report.json").write_text(json.dumps(without_places(chosen["report"]), indent=2) + "\n", encoding="utf-8")
    with open(out / FILE, "w", encoding="utf-8") as lines:
        for run in runs:
            found = run["report"]
            figures = {key: found[key] for key in ("peak_rss_bytes", "base_rss_bytes", "group_bytes", "exchanged_bytes", "seconds")}
            workers = {key: [worker[key] for worker in found["workers_detail"]] for key in ("busy_seconds", "elapsed_seconds")}
            lines.write(json.dumps({"rows": found["input"]["rows"], "setting": setting(run["case"]), **figures, **workers,
                                    "hash": found["answer"]["hash"], "load_average": run["load_average"], "touched_bytes": run["touched_bytes"]}) + "\n")
    (out / "summary.md").write_text(text, encoding="utf-8")
    (out / "README.md").write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The frame of a run that measures Millrace alone: what is measured becomes results, a summary, and a folder that keeps both."""

import contextlib
import shlex
import tempfile
from pathlib import Path

from harness import machine, report
from harness.bench import say
from harness.peers import Failure, neutral, verb
from harness.results import Results


def play(script, title, arguments, options, facts, measure, summary):
    """Exit code: 0 when every answer was right, whatever the times, 1 when one was not, 2 where `options.out` exists.

    `measure(options, scratch, keep)` gives each row of the results to `keep` as soon as it is there, and returns what was read;
    `summary(rows, options, facts)` is printed, and kept with the rows in the folder `options.out`, if there is one.
    """
    load_average = machine.load_average()
    if options.out and options.out.exists():
        say(f"{neutral(str(options.out))} exists: a run is never overwritten; name another folder with --out")
        return 2
    with tempfile.TemporaryDirectory(prefix=f"millrace-{script}-") as scratch:
        results = Results(options.out or Path(scratch) / "run")
        with contextlib.closing(results):
            try:
                version = verb("millrace", "install")
                inputs = measure(options, Path(scratch), results.keep)
            except Failure as failure:
                say(f"{script}: {failure}")
                return 1
        text = summary(results.rows, options, facts)
        print(text)
        if options.out:
            facts |= {"command": neutral(shlex.join([f"scripts/{script}", *arguments])), "commit": machine.commit(),
                      "versions": [version], "inputs": inputs, "load_average": load_average}
            (options.out / "summary.md").write_text(text, encoding="utf-8")
            (options.out / "README.md").write_text(report.readme(facts, title), encoding="utf-8")
            say(f"kept in {neutral(str(options.out))}")
    return 0

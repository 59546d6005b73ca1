"""What the `query` verbs written in Python share: options, the loop over rounds, the peak of memory, and how failures are told.

A peer gives `start(options)`, whose time is start-up, and `run(state, options)`, which returns the result of one
run as a dictionary. The loop prints one JSON line when it is ready and one for each line it reads.
"""

import argparse
import json
import resource
import shlex
import sys
import time
from pathlib import Path

from examples import EXAMPLES
from queries import QUERIES


def serve(start, run):
    """Runs a peer's session to the end of standard input."""
    parser = argparse.ArgumentParser(description="One query at one setting; runs once for each line it reads.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds FORMAT/SET/TABLE")
    parser.add_argument("--format", required=True, help="format of the files")
    parser.add_argument("--set", required=True, help="name of the set")
    parser.add_argument("--query", required=True, choices=(*QUERIES, *EXAMPLES), help="the query, such as 2A")
    parser.add_argument("--top", type=int, default=10, help="rows to report; of query 3, the rows of the result")
    parser.add_argument("--workers", type=int, default=2, help="threads of each process")
    parser.add_argument("--processes", type=int, default=1, help="processes")
    parser.add_argument("--flags", type=shlex.split, default=[], help="further flags, for the engine that knows them")
    parser.add_argument("--write", type=Path, help="also write all groups as CSV into this folder")
    parser.add_argument("--fold", action="store_true", help="keep no groups: count them, add them up, find the top")
    parser.add_argument("--memory-bytes", type=int, help="memory a process may use; default: the engine's own")
    parser.add_argument("--spill", type=Path, help="folder for what does not fit in it")
    options = parser.parse_args()

    begin = time.perf_counter()
    state = start(options)
    say({"ready": True, "startup_seconds": time.perf_counter() - begin})
    for _ in sys.stdin:
        try:
            say(run(state, options))
        except Exception as error:  # Whatever the engine throws is that run's failure, not the harness's.
            say({"failure": f"{type(error).__name__}: {error}"})


def say(result):
    """Prints one JSON line."""
    print(json.dumps(result), flush=True)


def table_folder(options, table):
    """Where the files of a table lie."""
    return options.data / options.format / options.set / table


def timed(work, others=()):
    """Runs `work`; (what it returned, what a result says of time and memory). `others` are processes whose memory counts as well."""
    processes = ("self", *others)
    for process in processes:
        reset_peak(process)
    begin = time.perf_counter()
    returned = work()
    seconds = time.perf_counter() - begin
    return returned, {"seconds": seconds, "peak_rss_bytes": sum(map(peak_rss_bytes, processes))}


def reset_peak(process):
    """Forgets the peak of earlier rounds, where the system allows it (Linux)."""
    try:
        Path(f"/proc/{process}/clear_refs").write_text("5")
    except OSError:
        pass


def peak_rss_bytes(process):
    """Most resident memory of a process since reset_peak, or ever."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

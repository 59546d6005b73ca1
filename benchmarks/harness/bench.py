"""The whole run: install, load, generate, all blocks in turn, results; the exit code tells of wrong answers."""

import contextlib
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from harness import dataset, limited, machine, report
from harness.cases import blocks_for, formats_of
from harness.figures import seconds
from harness.options import ROOT, parse
from harness.peers import SETTLE_SECONDS, Failure, neutral, verb
from harness.results import Results
from harness.rounds import Judge, run_block
from harness.targets import evaluate
from peers.examples import EXAMPLES
from peers.queries import PREFIXES


def main(arguments):
    """Exit code: 0 when every run of every case gave the right answer, 1 when one did not, 2 for wrong usage.

    A missed target is reported but is no failure: times depend on the machine.
    """
    options = parse(arguments)
    # As Ctrl-C does: peers and temporary files go, instead of staying behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    load_average = machine.load_average()
    facts = machine.facts()
    out = options.out or ROOT / "benchmarks" / "runs" / (
        f"{facts['date']}-{facts['name']}" + ("-limited" if options.limited else "-examples" if options.examples else "") + ("-cold" if options.cold else ""))
    if out.exists() and not options.smoke:
        say(f"{neutral(str(out))} exists: a run is never overwritten; name another folder with --out")
        return 2
    results = Results(out)
    with contextlib.closing(results):
        try:
            versions, inputs = measure(options, results.keep)
        except Failure as failure:
            say(f"bench: {failure}")
            if results.rows:
                say(f"the {len(results.rows)} runs before that are kept in {neutral(str(out))}")
            return 1
    rows = results.rows
    facts |= {
        "command": neutral(shlex.join(["scripts/bench", *arguments])), "commit": machine.commit(),
        "versions": [*versions, machine.python()], "inputs": inputs, "load_average": load_average,
    }
    report.write(out, rows, options, facts)
    return conclude(rows, options, out)


def measure(options, keep):
    """(versions, inputs) of the whole run; `keep` gets each row as soon as it is there."""
    # Millrace's generator makes the input even where Millrace is not among the peers.
    versions = {"millrace": verb("millrace", "install", *(["--examples"] if options.examples else []))}
    unavailable = {}
    for name in options.peers:
        try:
            versions[name] = versions.get(name) or verb(name, "install")
        except Failure as failure:
            unavailable[name] = str(failure)
            versions[name] = f"{name}: not measured, {failure}"
    blocks = blocks_for(options)
    inputs, warmed, judges = [], None, {}
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as scratch:
        for block in blocks:
            same = [other for other in blocks if other.rows == block.rows]
            formats = formats_of(same)
            if options.examples:
                data = dataset.prepare_examples(options.data, EXAMPLES[block.query].origin, block.rows)
            else:
                data = dataset.prepare(options.data, block.rows, formats=formats, crawl=any(dataset.CRAWL in other.tables for other in same))
            if warmed != data:
                warmed = data
                counts, sizes = {}, {}
                for table in data.tables:
                    _, counts[table] = dataset.warm(data, table)
                    for form in ("csv",) if table == dataset.CRAWL else formats:
                        sizes[table, form], _ = dataset.warm(data, table, form)
                        inputs.append(f"{table}, {form}: {counts[table]:,} rows, {len(data.files(table, form))} files, {sizes[table, form]:,} bytes")
                        say(inputs[-1])
                if counts.get("uservisits", block.rows) != block.rows:
                    raise Failure(f"generate made {counts['uservisits']:,} rows, not {block.rows:,}")
                for peer in [peer for peer in options.peers if peer not in unavailable]:
                    try:
                        verb(peer, "load", str(data.directory), data.set_name, *formats)
                    except Failure as failure:
                        unavailable[peer] = str(failure)
            # The answer does not depend on the format, so all blocks of a query have one judge.
            read = sum(counts[table] for table in block.tables)
            filtered = block.query not in PREFIXES
            judge = judges.setdefault((block.query, block.rows, block.mode), Judge(read, may_pass_over=filtered))
            run_block(block, data, Path(scratch) / "written", options.repeat, options.timeout_seconds, tell, judge,
                      unavailable, keep, settle_seconds=0 if options.smoke else SETTLE_SECONDS, cold=options.cold,
                      read={"read_rows": read, "read_bytes": sum(sizes[table, block.format] for table in block.tables)})
    return list(versions.values()), inputs


def tell(row):
    """One line for a finished run."""
    kind = f"round {row['round']}" if row["timed"] else "answer "
    outcome = row["failure"] or f"{seconds(row['seconds'])} s, {row['answer']['groups']:,} groups"
    say(f"{row['query']} {row['format']:<8}{row['mode']:<8}{row['engine']:<11}{row['setting']:<20} {kind}  {outcome}")


def conclude(rows, options, out):
    """Says how the run ended."""
    say("")
    if not options.smoke:
        for target in (limited.evaluate if options.limited else evaluate)(rows, options):
            outcome = {True: "met", False: "MISSED", None: "not measured"}[target.met]
            say(f"{outcome:<13}{target.name}: {target.measured}, wanted {target.wanted}")
    failed, ran = [row for row in rows if row["failure"]], [row for row in rows if not row["cannot"]]
    say(f"results in {neutral(str(out))}")
    if failed:
        say(f"bench: {len(failed)} of {len(ran)} runs failed; the first: {failed[0]['engine']} "
            f"{failed[0]['setting']} on {failed[0]['query']}: {failed[0]['failure']}")
        return 1
    say(f"bench: all {len(ran)} runs gave the right answer")
    return 0


def say(line):
    """Progress goes to standard error, a line at a time."""
    print(line, file=sys.stderr, flush=True)

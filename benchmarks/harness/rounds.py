"""The rounds of a block: answers first, then times, cases taking turns.

Every run of every case gives one row for results.jsonl. Its `seconds` is None when the run failed or its
answer was wrong, and `failure` says why; a row is never left out. A case that its engine cannot do at all has one row, and `cannot` says why.
"""

import shlex
import shutil

from harness import answers
from harness.cases import FOLDED, WRITTEN
from harness.dataset import cool
from harness.memory import WarmMemory
from harness.peers import SETTLE_SECONDS, Failure, Session, figure

CHECK_ROUND = 0


def run_block(block, dataset, scratch, repeat, timeout_seconds, say, judge=None, unavailable=None,
              keep=lambda row: None, settle_seconds=SETTLE_SECONDS, cold=False, read=None):
    """All rows of a block: one untimed round that compares answers, then `repeat` timed rounds.

    `judge` compares the answers; when absent, one of this block alone. `unavailable` has the reasons of engines that
    could not be installed: each of their runs fails by it. `keep` gets every row once it is complete, `say` those that were run.
    `settle_seconds` is how long a session may run on after its answer. With `cold`, the page cache loses the input before every run.
    Before each turn, as much memory is touched as the case took until then.
    `read` is what every row tells of the tables that the query reads: `read_rows` and `read_bytes`.
    """
    able = [case for case in block.cases if case.cannot is None]
    sessions = {case: _session(block, case, dataset, scratch, timeout_seconds, settle_seconds) for case in able}
    judge = judge or Judge(block.rows)
    common = {"cold": cold, **(read or {})}
    rows = [_row(block, case, CHECK_ROUND) | common for case in block.cases if case.cannot]
    for row in rows:
        keep(row)
    excluded = {case: unavailable[case.engine] for case in able if case.engine in (unavailable or {})}
    scratch.mkdir(parents=True, exist_ok=True)
    memory = WarmMemory()
    try:
        for round_number in range(repeat + 1):
            for case in able:
                row = _row(block, case, round_number) | common
                if case in excluded:
                    row["failure"] = excluded[case]
                else:
                    if cold:
                        cool(dataset)
                    row["touched_bytes"] = memory.ready(case)
                    _run_once(row, sessions[case], judge, case, scratch)
                    memory.note(case, row["peak_rss_bytes"])
                    if row["failure"] and round_number == CHECK_ROUND:
                        excluded[case] = row["failure"]
                    say(row)
                rows.append(row)
                keep(row)
    finally:
        for session in sessions.values():
            session.close()
        shutil.rmtree(scratch, ignore_errors=True)
    return rows


class Judge:
    """Holds the answer that all others must equal: the first one, so the first peer named is the judge of the others."""

    def __init__(self, rows, may_pass_over=False):
        """`rows` are to be read, or fewer where an engine may pass over blocks whose statistics rule them out."""
        self.rows = rows
        self.may_pass_over = may_pass_over
        self.expected = None
        self.hashes = {}
        self.written = None

    def sentence(self, case, answer, written):
        """What is wrong with an answer, or None. The first answer becomes the measure of the later ones."""
        wrong = []
        read = answer.get("rows", self.rows)
        if read > self.rows or read < self.rows and not self.may_pass_over:
            wrong.append(f"read {answer['rows']} rows, expected {self.rows}")
        if self.expected is not None:
            wrong += answers.differences(self.expected, answer)
        # An engine's own hash covers all its groups, and must not depend on threads or rounds.
        own = answer.get("hash")
        if own is not None and self.hashes.setdefault(case.engine, own) != own:
            wrong.append(f"hash is {own}, was {self.hashes[case.engine]} at another setting")
        if written is not None:
            if written[0] != answer["groups"]:
                wrong.append(f"wrote {written[0]} groups, answered {answer['groups']}")
            if self.written is not None and written != self.written:
                wrong.append(f"the written groups hash to {written[1]}, expected {self.written[1]}")
        if wrong:
            return "wrong answer: " + "; ".join(wrong)
        self.expected = self.expected or answer
        self.written = self.written or written
        return None


def _session(block, case, dataset, scratch, timeout_seconds, settle_seconds):
    arguments = ["--data", str(dataset.directory), "--format", case.reads or block.format, "--set", dataset.set_name,
                 "--query", block.query, "--top", str(answers.TOP), "--workers", str(case.workers), "--processes", str(case.processes)]
    if case.flags:
        arguments += ["--flags=" + shlex.join(case.flags)]
    if block.mode == WRITTEN:
        arguments += ["--write", str(_output(scratch, case))]
    if block.mode == FOLDED:
        arguments += ["--fold"]
    if case.memory_bytes is not None:
        spill = scratch / "spill"
        spill.mkdir(parents=True, exist_ok=True)
        arguments += ["--memory-bytes", str(case.memory_bytes), "--spill", str(spill)]
    return Session(case.engine, arguments, timeout_seconds, settle_seconds)


def _output(scratch, case):
    return scratch / f"{case.engine}-{case.reads}-{case.processes}x{case.workers}"


def _run_once(row, session, judge, case, scratch):
    try:
        result = session.run()
        row["startup_seconds"] = session.startup_seconds
        taken = figure(result, "seconds", above=0)
        for key in ("peak_rss_bytes", "table_bytes", "input_bytes", "imbalance", "spilled_bytes"):
            row[key] = figure(result, key)
        answer = result["answer"]
        # Before it is judged: an answer without the shape of one would become the measure of all others.
        groups, digest = answer["groups"], answers.digest(answer)
        written = None
        if row["mode"] == WRITTEN and row["round"] == CHECK_ROUND:
            written = answers.written_digest(_output(scratch, case))
        row["failure"] = judge.sentence(case, answer, written)
        row["answer"] = {
            "groups": groups, "revenue": answer.get("revenue"), "digest": digest,
            "engine_hash": answer.get("hash"), "written_hash": written[1] if written else None,
        }
        if row["failure"] is None:
            row["seconds"] = float(taken)
    except Failure as failure:
        row["failure"] = str(failure)
    except Exception as error:  # Whatever a peer answers, the other cases go on.
        row["failure"] = str(Failure(f"{case.engine} gave a result that cannot be read: {error!r}"))


def _row(block, case, round_number):
    return {
        "query": block.query, "format": block.format, "rows": block.rows, "mode": block.mode,
        "engine": case.engine, "setting": case.setting, "workers": case.workers, "processes": case.processes,
        "round": round_number, "timed": round_number != CHECK_ROUND, "seconds": None, "failure": None, "cannot": case.cannot,
        "memory_bytes": case.memory_bytes, "startup_seconds": None, "peak_rss_bytes": None, "table_bytes": None,
        "input_bytes": None, "imbalance": None, "spilled_bytes": None, "touched_bytes": None, "answer": None,
    }

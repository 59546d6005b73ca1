"""Failures and wrong answers become rows without a time, and never stop the other cases."""

import json
import mmap
import os
import tempfile
import textwrap
import unittest
from pathlib import Path
from unittest import mock

from harness import peers
from harness.cases import HELD, Block, Case
from harness.dataset import Dataset
from harness.rounds import Judge, run_block

real = mmap.mmap
RIGHT = {"groups": 2, "revenue": 1.5, "rows": 10, "top": [{"prefix": "a", "revenue": 1.0}, {"prefix": "b", "revenue": 0.5}]}


def result(**changes):
    """One line of a peer whose answer is right unless changed."""
    return json.dumps({"seconds": 0.5, "peak_rss_bytes": 1000, "answer": RIGHT | changes})


class Rounds(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name)
        patched = mock.patch.object(peers, "PEERS_DIRECTORY", self.root)
        patched.start()
        self.addCleanup(patched.stop)

    def peer(self, name, body):
        """A peer whose query verb is a shell script; `$round` counts its runs from 0."""
        script = self.root / name / "query"
        script.parent.mkdir()
        script.write_text(textwrap.dedent("""\
            #!/bin/sh
            echo '{"ready": true, "startup_seconds": 0.1}'
            round=0
            while read -r line; do
            """) + body + "\nround=$((round + 1))\ndone\n")
        os.chmod(script, 0o755)

    def run_with(self, *names, repeat=2, timeout_seconds=20):
        block = Block(10, "2A", HELD, tuple(Case(name, 2) for name in names))
        rows = run_block(block, Dataset(self.root, "none"), self.root / "scratch", repeat, timeout_seconds, lambda _: None, settle_seconds=0)
        self.assertEqual(len(rows), len(names) * (repeat + 1), "a row is never left out")
        return {name: [row for row in rows if row["engine"] == name] for name in names}

    def test_right_answers_have_times(self):
        self.peer("judge", f"echo '{result()}'")
        self.peer("other", f"echo '{result(hash='ab')}'")
        rows = self.run_with("judge", "other")
        self.assertEqual([row["seconds"] for row in rows["other"]], [0.5, 0.5, 0.5])
        self.assertEqual([row["timed"] for row in rows["other"]], [False, True, True])
        self.assertEqual(rows["judge"][0]["answer"]["digest"], rows["other"][0]["answer"]["digest"])

    def test_what_an_engine_cannot_do_is_one_row_that_is_null_and_no_failure(self):
        self.peer("judge", f"echo '{result()}'")
        block = Block(10, "2A", HELD, (Case("other", 2, cannot="reads no such files"), Case("judge", 2)))
        kept = []
        rows = run_block(block, Dataset(self.root, "none"), self.root / "scratch", 1, 20, lambda _: None, keep=kept.append, settle_seconds=0, read={"read_rows": 9, "read_bytes": 7})
        self.assertEqual(rows, kept)
        found = [(row["engine"], row["round"], row["seconds"], row["failure"], row["cannot"], row["read_bytes"]) for row in rows]
        self.assertEqual(found, [("other", 0, None, None, "reads no such files", 7), ("judge", 0, 0.5, None, None, 7), ("judge", 1, 0.5, None, None, 7)])

    def test_before_each_turn_as_much_memory_is_touched_as_the_engine_took_until_then(self):
        self.peer("judge", f"echo '{result()}' | sed s/1000/$((3 - round))000/")
        touched = []
        with mock.patch.object(mmap, "mmap", side_effect=lambda file, size, **how: touched.append(size) or real(file, size, **how)):
            rows = self.run_with("judge")
        self.assertEqual([row["peak_rss_bytes"] for row in rows["judge"]], [3000, 2000, 1000])
        self.assertEqual([row["touched_bytes"] for row in rows["judge"]], [0, 3000, 3000])
        self.assertEqual(touched, [3000, 3000])

    def test_a_cold_run_drops_every_file_of_its_set_and_no_other_before_each_run(self):
        self.peer("judge", f"echo '{result()}'")
        kept = ["csv/ten/uservisits/part-0", "parquet/ten/rankings/part-0", "native/ten.duckdb", "csv/tenfold/uservisits/part-0"]
        for name in kept:
            (self.root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / "data" / name).write_text("rows")
        block = Block(10, "2A", HELD, (Case("judge", 2),))
        dropped = []
        with mock.patch.object(os, "posix_fadvise", lambda file, *_: dropped.append(os.readlink(f"/proc/self/fd/{file}"))):
            rows = run_block(block, Dataset(self.root / "data", "ten"), self.root / "scratch", 1, 20, lambda _: None, settle_seconds=0, cold=True)
        self.assertEqual([row["cold"] for row in rows], [True, True])
        self.assertEqual(sorted(dropped), sorted(2 * [str((self.root / "data" / name).resolve()) for name in kept[:3]]))

    def test_wrong_answer_has_no_time_and_is_not_run_again(self):
        self.peer("judge", f"echo '{result()}'")
        self.peer("wrong", f"touch {self.root}/ran-$round; echo '{result(groups=3)}'")
        rows = self.run_with("judge", "wrong")
        self.assertEqual([row["seconds"] for row in rows["wrong"]], [None] * 3)
        self.assertEqual({row["failure"] for row in rows["wrong"]}, {"wrong answer: groups is 3, expected 2"})
        self.assertFalse((self.root / "ran-1").exists())
        self.assertTrue(all(row["failure"] is None for row in rows["judge"]))

    def test_an_engine_that_is_not_there_has_rows_with_the_reason(self):
        self.peer("judge", f"echo '{result()}'")
        block = Block(10, "2A", HELD, (Case("absent", 2), Case("judge", 2)))
        rows = run_block(block, Dataset(self.root, "none"), self.root / "scratch", 1, 20, lambda _: None,
                         unavailable={"absent": "no Java"})
        self.assertEqual([(row["engine"], row["seconds"], row["failure"]) for row in rows],
                         [("absent", None, "no Java"), ("judge", 0.5, None)] * 2)

    def test_every_row_is_kept_when_it_is_complete(self):
        self.peer("judge", f"echo '{result()}'")
        block, kept = Block(10, "2A", HELD, (Case("judge", 2), Case("absent", 2))), []
        rows = run_block(block, Dataset(self.root, "none"), self.root / "scratch", 1, 20, lambda _: None,
                         unavailable={"absent": "no Java"}, keep=lambda row: kept.append(dict(row)))
        self.assertEqual(kept, rows)
        self.assertEqual(len(kept), 4)

    def test_wrong_only_once(self):
        self.peer("judge", f"echo '{result()}'")
        self.peer("late", f"if [ $round = 1 ]; then echo '{result(revenue=1.0)}'; else echo '{result()}'; fi")
        rows = self.run_with("judge", "late")
        self.assertEqual([row["seconds"] for row in rows["late"]], [0.5, None, 0.5])

    def test_rows_and_hash_are_checked(self):
        self.peer("few", f"echo '{result(rows=9)}'")
        self.assertIn("read 9 rows, expected 10", self.run_with("few")["few"][0]["failure"])
        self.assertIsNone(Judge(10, may_pass_over=True).sentence(Case("few", 2), json.loads(result(rows=9))["answer"], None))
        more = Judge(10, may_pass_over=True).sentence(Case("many", 2), json.loads(result(rows=11))["answer"], None)
        self.assertEqual(more, "wrong answer: read 11 rows, expected 10")
        self.peer("fickle", f"if [ $round = 0 ]; then echo '{result(hash='a')}'; else echo '{result(hash='b')}'; fi")
        failures = [row["failure"] for row in self.run_with("fickle")["fickle"]]
        self.assertEqual(failures, [None] + ["wrong answer: hash is b, was a at another setting"] * 2)

    def test_crash_silence_and_nonsense(self):
        self.peer("judge", f"echo '{result()}'")
        self.peer("crash", "echo 'out of luck' >&2; exit 3")
        self.peer("silent", "sleep 60")
        self.peer("nonsense", "echo hello")
        self.peer("partial", "echo '{\"seconds\": 1}'")
        self.peer("sorry", "echo '{\"failure\": \"no memory\"}'")
        rows = self.run_with("judge", "crash", "silent", "nonsense", "partial", "sorry", repeat=1, timeout_seconds=1)
        failure = {name: found[0]["failure"] for name, found in rows.items()}
        self.assertEqual(failure["crash"], "crash ended before its work: out of luck")
        self.assertEqual(failure["silent"], "silent gave no result within 1 s")
        self.assertEqual(failure["nonsense"], "nonsense printed no JSON: hello")
        self.assertIn("KeyError('answer')", failure["partial"])
        self.assertEqual(failure["sorry"], "no memory")
        self.assertEqual([row["seconds"] for row in rows["judge"]], [0.5, 0.5])

    def test_an_answer_that_is_none_is_a_failure_of_its_engine_alone(self):
        """Once, each of these ended the whole run, or became the measure of all others."""
        answer = json.dumps(RIGHT)
        lines = {
            "other-rows": result(top=[{"prefix": "a"}]), "texts": result(top=["a"]), "nameless": result(top=[{"revenue": 1.0}]), "topless": result(top=5),
            "null": '{"seconds": 1, "answer": null}', "list": '{"seconds": 1, "answer": [1]}', "word": '{"seconds": 1, "answer": "groups"}',
            "no-object": "[1]", "number": "7", "deep": "[" * 5000, "infinite": result(revenue=1e999), "large": f'{{"seconds": 1{"0" * 400}, "answer": {answer}}}',
            "negative": f'{{"seconds": -1, "answer": {answer}}}', "none": f'{{"seconds": NaN, "answer": {answer}}}', "zero": f'{{"seconds": 0, "answer": {answer}}}',
            "true": f'{{"seconds": true, "answer": {answer}}}', "timeless": f'{{"answer": {answer}}}', "memory": f'{{"seconds": 1, "peak_rss_bytes": "much", "answer": {answer}}}',
        }
        for name, line in lines.items():
            self.peer(name, f"echo '{line}'")
        self.peer("judge", f"echo '{result()}'")
        self.peer("start", "exit")
        start = self.root / "start" / "query"
        start.write_text(start.read_text().replace("0.1", '"soon"'))
        self.peer("far", "exit")
        far = self.root / "far" / "query"
        far.write_text(far.read_text().replace("0.1", "1" + "0" * 400))
        self.peer("bytes", r"printf '\377\n'; printf '\377\n' >&2")
        # Those that answer badly come first, so that they would be the judges.
        rows = self.run_with(*lines, "start", "far", "bytes", "judge", repeat=1)
        self.assertEqual([row["seconds"] for row in rows["judge"]], [0.5, 0.5])
        for name in (*lines, "start", "far", "bytes"):
            self.assertTrue(all(row["failure"] and row["seconds"] is None for row in rows[name]), (name, rows[name]))
        for name in ("start", "far"):
            self.assertIn("gave a start that cannot be read", rows[name][0]["failure"])

    def test_a_crash_after_the_check_costs_one_round(self):
        mark = self.root / "crashed"
        self.peer("once", f"if [ $round = 1 ] && [ ! -e {mark} ]; then touch {mark}; exit 1; fi; echo '{result()}'")
        rows = self.run_with("once", repeat=3)
        self.assertEqual([row["seconds"] for row in rows["once"]], [0.5, None, 0.5, 0.5])


if __name__ == "__main__":
    unittest.main()

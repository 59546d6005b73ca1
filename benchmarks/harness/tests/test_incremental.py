"""The comparison with a full run: would catch a wrong answer or a file read again that passes, and a cost that is not that of the file."""

import tempfile
import unittest
from argparse import Namespace
from pathlib import Path

from harness.incremental import ADDED, FULL, NOTHING, check, run, shares, summary
from harness.peers import Failure


def answer(number):
    return {"groups": number, "revenue": number / 2, "hash": str(number)}


class Run(unittest.TestCase):
    def test_a_run_says_how_much_memory_was_touched_before_it(self):
        self.assertIn("touched_bytes", run(["echo", '{"hash": "ab"}']))


class Check(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.new = Path(folder.name) / "part-00100"
        self.new.write_text("a\nb\nc\n")
        self.epoch = {"file": self.new.name, "rows": 3}

    def found(self, full=answer(2), nothing=(answer(1),), added=None):
        told = {FULL: [full], NOTHING: list(nothing), ADDED: added or [self.epoch, answer(2)]}
        return {case: {"told": objects} for case, objects in told.items()}

    def test_right_answers_pass(self):
        check(self.found(), answer(1), self.new)

    def test_whatever_is_wrong_is_a_failure(self):
        for wrong, reason in (
            ({"full": answer(3)}, "groups is 2, of a full run 3"),
            ({"full": answer(2) | {"hash": "x"}}, "hash is '2', of a full run 'x'"),
            ({"nothing": [answer(2)]}, "not that of before"),
            ({"nothing": [self.epoch, answer(1)]}, "not that of before"),
            ({"added": [answer(2)]}, "not one epoch"),
            ({"added": [{"file": "part-00000", "rows": 3}, self.epoch, answer(2)]}, "not one epoch"),
            ({"added": [self.epoch | {"rows": 2}, answer(2)]}, "not the rows of the new file"),
            ({"full": answer(1), "added": [self.epoch, answer(1)]}, "which proves nothing"),
        ):
            with self.assertRaisesRegex(Failure, reason):
                check(self.found(**wrong), answer(1), self.new)


class Figures(unittest.TestCase):
    def rows(self):
        """Two rounds in which the file costs 2 and 6 % of a full run."""
        times = {0: (9, 9, 9), 1: (1.0, 0.4, 0.42), 2: (2.0, 0.8, 0.92)}
        return [{"setting": case, "timed": number > 0, "round": number, "seconds": 2 * value, "processor_seconds": value}
                for number, values in times.items() for case, value in zip((FULL, NOTHING, ADDED), values)]

    def test_the_file_is_what_a_start_without_it_does_not_take(self):
        found = shares(self.rows(), "processor_seconds")
        self.assertAlmostEqual(found["the file"].middle, 0.04)
        self.assertAlmostEqual(found["the file"].greatest, 0.06)
        self.assertAlmostEqual(found[NOTHING].middle, 0.4)

    def test_the_target_is_judged_unless_small(self):
        facts = {"date": "2026-11-27", "name": "here"}
        for smoke, verdict in ((False, "| under 5.0 % | 4.0 % | met |"), (True, "| not judged |")):
            options = Namespace(rows=1000, prefix=8, workers=2, repeat=2, smoke=smoke)
            self.assertIn(verdict, summary(self.rows(), options, facts))


if __name__ == "__main__":
    unittest.main()

"""The table of predicted beside measured: would catch an error with the wrong sign, a miss that is counted as near, and a folder of a
run that lacks a file or names the machine's places.
"""

import json
import tempfile
import unittest
from pathlib import Path

from harness import validation


def run(scale, case, seconds):
    """A run with two seconds of processor time and 100 MB."""
    report = {"seconds": {"total": seconds}, "workers_detail": [{"busy_seconds": 2.0, "elapsed_seconds": 4.0}], "peak_rss_bytes": 100_000_000}
    return {"scale": scale, "case": case, "report": report}


class Comparison(unittest.TestCase):
    def runs(self, seconds):
        return [run(scale, case, seconds) for scale in validation.SCALES for case in validation.CASES]

    def predictions(self, seconds):
        line = {"seconds": seconds, "core_seconds": 2.2, "memory_bytes": 90e6}
        return {(scale, processes, workers): line for scale in validation.SCALES for workers, processes in validation.CASES}

    def test_errors_are_of_the_prediction_against_the_measured(self):
        text = validation.comparison(self.runs(10.0), self.predictions(11.0), 100)
        self.assertIn("| 1,600 | `-n 2 -w 1` | 11.000 | 10.000 | 10.000, 10.000 | +10% | +10% | 50% | 90 | 100 | -10% |", text)
        self.assertIn("9 of 9 times are within 20%", text)

    def test_misses_are_in_bold_and_not_counted(self):
        text = validation.comparison(self.runs(10.0), self.predictions(7.0), 100)
        self.assertIn("**-30%**", text)
        self.assertIn("0 of 9 times", text)

    def test_all_is_predicted_from_the_quickest_run_of_the_case(self):
        runs = [run(1, (2, 1), 3.0), run(1, (2, 1), 2.0), run(1, (1, 1), 1.0), run(4, (2, 1), 0.5)]
        self.assertIs(validation.least_run(runs, 1, (2, 1)), runs[1])

    def test_the_least_time_is_compared_with_the_median_and_the_greatest_beside(self):
        runs = self.runs(10.0) + [run(1, (1, 1), 9.0), run(1, (1, 1), 12.0)]
        self.assertIn("| `-w 1` | 9.000 | 9.000 | 10.000, 12.000 | +0% |", validation.comparison(runs, self.predictions(9.0), 1))


class Folder(unittest.TestCase):
    def test_a_run_is_kept_whole_and_without_places(self):
        report = {
            "seconds": {"total": 2.0}, "peak_rss_bytes": 5, "base_rss_bytes": 4, "group_bytes": 3, "exchanged_bytes": 2,
            "workers_detail": [{"busy_seconds": 1.0, "elapsed_seconds": 1.5}], "answer": {"hash": "ab"},
            "input": {"rows": 100, "largest_split": "/home/someone/part-0"}, "machine": {"os": "built by someone"},
        }
        run = {"scale": 4, "case": (1, 2), "report": report, "load_average": 0.1, "touched_bytes": 3}
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "runs" / "one"
            validation.keep(out, [run], run, "the table\n", "how it came about\n")
            self.assertEqual(sorted(path.name for path in out.iterdir()), ["README.md", "report.json", "results.jsonl", "summary.md"])
            self.assertEqual((out / "summary.md").read_text(), "the table\n")
            self.assertEqual((out / "README.md").read_text(), "how it came about\n")
            self.assertNotIn("someone", (out / "report.json").read_text())
            self.assertEqual(json.loads((out / "results.jsonl").read_text()), {
                "rows": 100, "setting": "-n 2 -w 1", "peak_rss_bytes": 5, "base_rss_bytes": 4, "group_bytes": 3, "exchanged_bytes": 2,
                "seconds": {"total": 2.0}, "busy_seconds": [1.0], "elapsed_seconds": [1.5], "hash": "ab", "load_average": 0.1, "touched_bytes": 3,
            })

    def test_a_run_is_never_overwritten(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(validation.main(["--out", folder]), 2)


if __name__ == "__main__":
    unittest.main()

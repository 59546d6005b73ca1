"""Rows are on disk as soon as they are made: would catch a run whose crash loses what was measured before, or that looks finished."""

import json
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from harness import bench, machine, report
from harness.options import parse
from harness.peers import Failure
from harness.results import Results, read
from harness.targets import Figures


class Kept(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name) / "run"

    def on_disk(self):
        return [json.loads(line) for line in (self.out / "results.jsonl").read_text().splitlines()]

    def test_each_row_is_on_disk_before_the_next_is_made(self):
        results = Results(self.out)
        self.addCleanup(results.close)
        self.assertFalse(self.out.exists(), "a run that fails before its first row leaves no folder in the way")
        for number in range(3):
            results.keep({"round": number, "seconds": None})
            self.assertEqual([row["round"] for row in self.on_disk()], list(range(number + 1)))

    def test_what_an_earlier_run_left_does_not_vouch_for_this_one(self):
        self.out.mkdir()
        for name in ("README.md", "summary.md", "results.jsonl"):
            (self.out / name).write_text("of the run before\n")
        results = Results(self.out)
        self.addCleanup(results.close)
        results.keep({"round": 0})
        self.assertEqual([file.name for file in self.out.iterdir()], ["results.jsonl"])
        self.assertEqual(self.on_disk(), [{"round": 0}])

    def test_a_last_line_that_was_cut_off_is_left_out_and_another_is_an_error(self):
        self.out.mkdir()
        file = self.out / "results.jsonl"
        for text, found in (("", ([], False)), ('{"a": 1}\n', ([{"a": 1}], False)), ('{"a": 1}', ([{"a": 1}], False)), ('{"a": 1}\n{"a', ([{"a": 1}], True))):
            file.write_text(text)
            self.assertEqual(read(file), found)
        file.write_text('{"a\n{"a": 1}\n')
        with self.assertRaisesRegex(ValueError, "results.jsonl:1: this is no JSON"):
            read(file)

    def bench(self, measure):
        """A whole run whose measuring is `measure`."""
        with mock.patch.object(bench, "measure", measure), mock.patch.object(bench, "say") as say, \
                mock.patch.object(bench.signal, "signal"):
            code = bench.main(["--out", str(self.out), "--rows", "10"])
        return code, [call.args[0] for call in say.call_args_list]

    def test_a_run_that_is_cut_off_keeps_its_rows_and_has_no_readme(self):
        def killed(_, keep):
            keep({"round": 0, "failure": None})
            keep({"round": 1, "failure": None})
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.bench(killed)
        self.assertEqual([row["round"] for row in self.on_disk()], [0, 1])
        self.assertEqual([file.name for file in self.out.iterdir()], ["results.jsonl"])
        code, said = self.bench(killed)
        self.assertEqual(code, 2)
        self.assertIn("a run is never overwritten", said[0])

    def test_a_failure_says_where_the_rows_before_it_are(self):
        def failing(_, keep):
            keep({"round": 0, "failure": None})
            raise Failure("the disk is full")

        code, said = self.bench(failing)
        self.assertEqual(code, 1)
        self.assertIn("the disk is full", said[0])
        self.assertIn("the 1 runs before that are kept in", said[1])
        self.assertEqual(len(self.on_disk()), 1)

    def test_an_engine_that_cannot_load_fails_in_its_cases_and_in_no_other(self):
        def verb(engine, name, *_):
            if (engine, name) == ("polars", "load"):
                raise Failure("the files cannot be brought in")
            return engine

        told = []
        options = parse(["--rows", "10", "--peers", "polars,millrace", "--queries", "2A,2B", "--compared-only"])
        data = SimpleNamespace(tables=("uservisits",), files=lambda *_: [], directory="data", set_name="t")
        with mock.patch.object(bench, "verb", verb), mock.patch.object(bench, "say"), \
                mock.patch.object(bench.dataset, "prepare", return_value=data), \
                mock.patch.object(bench.dataset, "warm", return_value=(100, 10)), \
                mock.patch.object(bench, "run_block", lambda *arguments, **_: told.append(dict(arguments[7]))):
            bench.measure(options, lambda _: None)
        self.assertTrue(told)
        for unavailable in told:
            self.assertEqual(unavailable, {"polars": "the files cannot be brought in"})

    def test_cases_whose_rounds_differ_are_named(self):
        def row(engine, seconds):
            return {"query": "2A", "format": "csv", "rows": 10, "mode": "held", "engine": engine, "setting": "2 threads",
                    "workers": 2, "processes": 1, "timed": True, "seconds": seconds, "failure": None}

        rows = [row("duckdb", 1.0), row("duckdb", 1.4), row("polars", 1.0), row("polars", 1.6)]
        self.assertEqual(report.unsteady(Figures(rows), rows), "- 2A on csv, 10 rows, held: polars (2 threads), 1.000 to 1.600 s\n")
        self.assertEqual(report.unsteady(Figures(rows[:2]), rows[:2]), "None.\n")

    def test_what_cannot_be_is_a_dash_with_its_reason_and_counts_as_no_run(self):
        def row(engine, query, cannot=None):
            return {"query": query, "format": "packed", "rows": 10, "mode": "held", "engine": engine, "setting": "2 threads", "workers": 2, "processes": 1,
                    "timed": not cannot, "seconds": None if cannot else 1.0, "failure": None, "cannot": cannot, "peak_rss_bytes": None,
                    "answer": None if cannot else {"groups": 3, "revenue": None, "digest": "ab"}}

        rows = [row("duckdb", "1A"), *(row(engine, query, "no such files") for query in ("1A", "2A") for engine in ("polars", "spark"))]
        table = report.times_table(Figures(rows), rows)
        self.assertIn("| 1A | 10 | packed | held | polars | 2 threads | – | – | – | – | – |", table)
        self.assertNotIn("failed", table)
        self.assertEqual(report.unable(rows), "- 1A, 2A on packed: polars, spark: no such files\n")
        self.assertIn("| 1 runs agree |", report.answers_table(rows[:3]))

    def test_the_readme_comes_last(self):
        self.out.mkdir()
        facts = {"machine": machine.describe()}
        broken = mock.patch.object(report, "summary", side_effect=ZeroDivisionError)
        with broken, self.assertRaises(ZeroDivisionError):
            report.write(self.out, [], SimpleNamespace(limited=False, examples=False, cold=False), facts)
        self.assertFalse((self.out / "README.md").exists())


if __name__ == "__main__":
    unittest.main()

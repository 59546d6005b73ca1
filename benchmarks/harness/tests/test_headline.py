"""The README's tables: would catch a figure that no run has, a stale or half run that is shown, and a failure that is left out."""

import json
import tempfile
import unittest
from pathlib import Path

from harness import headline
from harness.peers import Failure


def rows(engine, seconds, query="2A", form="csv", setting="2 threads", size=100, mode="held", workers=2):
    """Rounds of one case; None is a failed one."""
    return [{"query": query, "format": form, "rows": size, "mode": mode, "engine": engine, "setting": setting, "workers": workers,
             "timed": True, "seconds": value, "failure": None if value else "why"} for value in seconds]


class Headline(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.runs = Path(folder.name)

    def run_of(self, name, *results, cut_off=False):
        folder = self.runs / name
        folder.mkdir()
        (folder / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for rows_ in results for row in rows_))
        if not cut_off:
            (folder / "README.md").touch()
            (folder / "summary.md").touch()

    def ours(self, seconds, **more):
        return rows("millrace", [seconds], setting="-w 2", **more)

    def found(self):
        return [(line.run, line.query, line.form, line.ours, line.fastest) for line in headline.lines(self.runs)]

    def test_the_newest_run_with_most_engines_tells_a_case(self):
        self.run_of("2026-01-01-b", self.ours(9.0), rows("duckdb", [9.0]), self.ours(8.0, query="2B"), rows("duckdb", [9.0], query="2B"))
        self.run_of("2026-01-02-a", self.ours(1.0), rows("duckdb", [4.0]), rows("spark", [3.0]))
        self.run_of("2026-01-02-b", self.ours(2.0), rows("duckdb", [4.0]))
        self.run_of("2026-01-03-a", self.ours(0.1), rows("duckdb", [4.0]), cut_off=True)
        self.assertEqual(self.found(), [("2026-01-02-a", "2A", "csv", 1.0, ("Spark", 3.0)), ("2026-01-01-b", "2B", "csv", 8.0, ("DuckDB", 9.0))])

    def test_of_runs_with_as_many_engines_the_last_in_the_list_counts_whatever_its_name(self):
        """Once, the alphabet decided, and an older run hid the worse figures of a newer one."""
        self.run_of("2026-01-02-b", self.ours(1.0), rows("duckdb", [4.0]))
        self.run_of("2026-01-02-a", self.ours(2.0), rows("duckdb", [4.0]))
        (self.runs / "README.md").write_text("- [one](2026-01-02-b/README.md): a\n- [two](2026-01-02-a/README.md): b, [tables](2026-01-02-b/summary.md)\n")
        self.assertEqual([line.run for line in headline.lines(self.runs)], ["2026-01-02-a"])
        # Whoever has just made a run sees it at once.
        self.run_of("2026-01-02-0", self.ours(3.0), rows("duckdb", [4.0]))
        self.assertEqual([line.run for line in headline.lines(self.runs)], ["2026-01-02-0"])

    def test_a_newer_run_with_fewer_engines_is_told_with_what_it_missed(self):
        """Once, it was linked from nowhere."""
        self.run_of("2026-01-01-all", self.ours(1.0), rows("duckdb", [4.0]), rows("spark", [9.0]), self.ours(1.0, form="packed"), rows("duckdb", [4.0], form="packed"))
        self.run_of("2026-01-02-few", self.ours(2.0, form="packed"), rows("duckdb", [3.0], form="packed"), self.ours(0.1, size=7), rows("duckdb", [3.0], size=7))
        (self.runs / "2026-01-02-few" / "summary.md").write_text("| target | wanted | measured |  |\n| 2A on packed | at least 4× | 1.50× | **missed** |\n| 2A | at least 1× | 2.00× | met |\n")
        found, narrower = headline.chosen_of(self.runs)
        self.assertEqual([line.run for line in found], ["2026-01-01-all"] * 2)
        told = headline.origin(found, narrower, headline.missed_in(self.runs))
        self.assertIn("The table is of [2026-01-01-all](benchmarks/runs/2026-01-01-all/README.md).", told)
        self.assertIn("(benchmarks/runs/2026-01-02-few/summary.md), has no line there, as it is beside DuckDB alone.", told)
        self.assertIn("fastest other: 2A on packed 2.00 s (1.5×). Targets it missed: 2A on packed (1.50×, at least 4×).", told)
        # And not of what it replaces.
        self.run_of("2026-01-03-all", self.ours(1.0, form="packed"), rows("duckdb", [4.0], form="packed"), rows("spark", [4.0], form="csv"))
        self.assertEqual(headline.chosen_of(self.runs)[1], [])

    def test_every_run_is_in_the_list_and_in_the_order_of_days(self):
        names, folders = headline.listed(headline.RUNS), sorted(path.name for path in headline.RUNS.iterdir() if path.is_dir())
        self.assertEqual(sorted(names), folders, "benchmarks/runs/README.md lists the runs, the oldest first")
        self.assertEqual([name[:10] for name in names], [name[:10] for name in folders])

    def test_figures_are_medians_of_two_threads_over_the_smallest_input(self):
        self.run_of("2026-01-01", rows("millrace", [3.0, 1.0, 2.0], setting="-w 2"), rows("duckdb", [6.0]),
                    rows("millrace", [0.5], setting="-w 1", workers=1), rows("duckdb", [0.5], setting="1 thread", workers=1),
                    self.ours(50.0, size=400), rows("duckdb", [60.0], size=400), self.ours(0.1, mode="written"), rows("duckdb", [0.1], mode="written"))
        self.assertEqual(self.found(), [("2026-01-01", "2A", "csv", 2.0, ("DuckDB", 6.0))])

    def test_lines_are_in_the_order_of_formats_and_queries(self):
        self.run_of("2026-01-01", *(case for form in ("packed", "csv") for query in ("3A", "1A") for case in (
            self.ours(1.0, query=query, form=form, mode="written" if query == "1A" else "held"),
            rows("duckdb", [2.0], query=query, form=form, mode="written" if query == "1A" else "held",
                 setting="2 threads, native" if form == "packed" else "2 threads"))))
        self.assertEqual([(line.form, line.query) for line in headline.lines(self.runs)], [("csv", "1A"), ("csv", "3A"), ("packed", "1A"), ("packed", "3A")])
        self.assertEqual(headline.lines(self.runs)[3].fastest[0], "DuckDB, own tables")

    def test_failures_are_shown_and_targets_told(self):
        self.run_of("2026-01-01", self.ours(1.0), rows("duckdb", [0.5]), rows("polars", [1.0, None]), rows("spark", [11.0]),
                    self.ours(1.0, query="2B"), rows("duckdb", [2.0], query="2B"), rows("spark", [9.0], query="2B"),
                    rows("millrace", [None], setting="-w 2", query="2C"), rows("duckdb", [2.0], query="2C"), rows("spark", [None], query="2C"))
        found = headline.lines(self.runs)
        table = headline.speeds(found).splitlines()
        self.assertTrue(table[2].startswith("| 2A, csv | 1.00 s | DuckDB, 0.50 s; Polars failed | 0.5× | 11.00 s | 11× |"), table[2])
        self.assertTrue(table[4].startswith("| 2C, csv | failed | DuckDB, 2.00 s | n/a | failed | n/a |"), table[4])
        said = headline.sentences(found)
        self.assertIn("Another engine is ahead in 1 of 2 cases: 2A on csv (DuckDB, 0.50 s against 1.00 s).", said)
        self.assertIn("Millrace failed in 2C on csv.", said)
        self.assertIn("missed in 2B on csv (9.0×), 2C on csv (n/a), met in the other 1 cases; the least is n/a", said)
        self.assertIn("met in all 1 cases; the least is 11×", headline.sentences(found[:1]))

    def test_dollars_are_those_of_cost_with_its_notes(self):
        self.run_of("2026-01-01", self.ours(1.0), rows("duckdb", [2.0]), self.ours(0.1, form="packed"), rows("duckdb", [0.2], form="packed"))

        def compare(run):
            self.assertEqual(run, "2026-01-01")
            lines = [("duckdb 2 threads, held", 0.5, [1]), ("millrace -w 2 on packed, held", 0.0001, [1]), ("millrace -w 2, held", 0.001, [3, 2]),
                     ("spark 2 threads, held", 0.0123456, [2]), ("Redshift (HDD)", 0.06, [4])]
            return {"queries": [{"query": "2A", "lines": [{"system": system, "usd_scaled": usd, "notes": notes} for system, usd, notes in lines]}],
                    "notes": ["of others", "of both", "of ours", "of 2014"]}

        told = headline.dollars(headline.lines(self.runs), compare)
        self.assertIn("| 2A | 0.001 USD | 0.0123 USD | 0.06 USD | 12× | 60× | 1 2 3 |", told)
        self.assertTrue(told.endswith("\n1. of ours\n2. of both\n3. of 2014\n"), told)

    def test_only_what_is_between_the_markers_changes(self):
        text = f"before\n{headline.BEGIN}\nold\n{headline.END}\nafter\n"
        self.assertEqual(headline.replaced(text, "new"), "before\nnew\nafter\n")
        for broken in (f"{headline.BEGIN}\nold", f"old\n{headline.END}", ""):
            with self.assertRaises(Failure):
                headline.replaced(broken, "new")

    def test_the_readme_has_the_times_of_the_runs(self):
        """`scripts/headline --check`, of which scripts/check runs all, needs `cost`; the times do not."""
        text = headline.README.read_text(encoding="utf-8")
        found = headline.lines(headline.RUNS)
        origin = headline.origin(*headline.chosen_of(headline.RUNS), headline.missed_in(headline.RUNS))
        for part in (headline.speeds(found), origin, headline.sentences(found)):
            self.assertTrue(part in text, "scripts/headline --write makes the tables anew")


if __name__ == "__main__":
    unittest.main()

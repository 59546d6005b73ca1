"""Medians, ratios and targets: the arithmetic behind every published number."""

import unittest
from types import SimpleNamespace

from harness.figures import megabytes, paired_ratios, ratio, seconds, spread, table, times
from harness.cases import WRITTEN
from harness.report import ahead
from harness.engines import OTHERS
from harness.targets import Figures, evaluate
from peers.queries import QUERIES, THRESHOLDS


class Arithmetic(unittest.TestCase):
    def test_spread(self):
        found = spread([3.0, 1.0, 2.0])
        self.assertEqual((found.middle, found.least, found.greatest), (2.0, 1.0, 3.0))
        self.assertEqual(spread([4.0, 2.0]).middle, 3.0)

    def test_a_failed_round_leaves_no_median(self):
        self.assertIsNone(spread([1.0, None, 2.0]))
        self.assertIsNone(spread([]))

    def test_ratio(self):
        self.assertEqual(ratio(6.0, 2.0), 3.0)
        self.assertIsNone(ratio(None, 2.0))
        self.assertIsNone(ratio(2.0, None))
        self.assertIsNone(ratio(2.0, 0.0))

    def test_paired_ratios_stay_within_their_round(self):
        self.assertEqual(paired_ratios([2.0, 8.0], [1.0, 2.0]), [2.0, 4.0])
        self.assertEqual(paired_ratios([2.0, None], [1.0, 2.0]), [2.0, None])
        with self.assertRaises(ValueError):
            paired_ratios([1.0], [])

    def test_writing(self):
        self.assertEqual((seconds(1.23456), seconds(None)), ("1.235", "failed"))
        self.assertEqual((times(6.0), times(None)), ("6.00×", "n/a"))
        self.assertEqual(megabytes(1_234_567_890), "1,235 MB")
        self.assertEqual(table(["a", "b"], [[1, 2]]), "| a | b |\n| --- | ---: |\n| 1 | 2 |\n")


def rows_for(query, engine, setting, seconds_, size=100, peak=50e6, tables=10e6, form="csv", mode="held"):
    """Timed rows of one case, as rounds.py makes them."""
    return [{"query": query, "engine": engine, "setting": setting, "rows": size, "mode": mode, "format": form, "timed": True,
             "seconds": value, "peak_rss_bytes": peak, "table_bytes": tables, "round": number}
            for number, value in enumerate(seconds_, start=1)]


class Targets(unittest.TestCase):
    def outcomes(self, rows, memory_scale=0, formats=("csv",), peers=("duckdb", "millrace"), queries=QUERIES):
        options = SimpleNamespace(rows=100, memory_scale=memory_scale, formats=formats, peers=peers, queries=queries)
        return {target.name: target for target in evaluate(rows, options)}

    def test_speed_is_judged_by_medians(self):
        name = "2A: -w 2 against DuckDB with 2 threads"
        ours = rows_for("2A", "millrace", "-w 2", [1.0, 1.0, 9.0])
        self.assertTrue(self.outcomes(rows_for("2A", "duckdb", "2 threads", [6.0, 6.0, 1.0]) + ours)[name].met)
        self.assertFalse(self.outcomes(rows_for("2A", "duckdb", "2 threads", [5.9, 5.9, 90.0]) + ours)[name].met)

    def test_scaling_is_judged_round_by_round(self):
        rows = rows_for("2A", "millrace", "-w 1", [2.0, 20.0, 4.0]) + rows_for("2A", "millrace", "-w 2", [1.0, 10.0, 1.0])
        target = self.outcomes(rows)["2A: -w 2 against -w 1"]
        self.assertEqual((target.measured, target.met), ("2.00×", True))

    def test_failed_and_missing_cases_meet_nothing(self):
        self.assertTrue(all(target.met is None for target in self.outcomes([], memory_scale=4).values()))
        rows = rows_for("2A", "duckdb", "2 threads", [6.0]) + rows_for("2A", "millrace", "-w 2", [None])
        self.assertIsNone(self.outcomes(rows)["2A: -w 2 against DuckDB with 2 threads"].met)

    def test_memory_counts_what_is_over_the_tables(self):
        def outcome(more_peak):
            rows = (rows_for("2A", "millrace", "-w 2", [1.0], peak=190e6, tables=10e6)
                    + rows_for("2A", "millrace", "-w 2", [1.0], size=400, peak=more_peak, tables=40e6))
            found = self.outcomes(rows, memory_scale=4)
            return (found["2A: peak memory over the group tables"].met,
                    found["2A: its growth from 100 to 400 rows"].met)

        self.assertEqual(outcome(230e6), (True, True))
        self.assertEqual(outcome(239e6), (True, True))
        self.assertEqual(outcome(241e6), (False, False))

    def test_column_formats_are_judged_on_their_own_files(self):
        rows = (rows_for("2A", "duckdb", "2 threads", [2.3], form="parquet") + rows_for("2A", "millrace", "-w 2", [1.0], form="parquet")
                + rows_for("2A", "duckdb", "2 threads, parquet", [3.9], form="packed") + rows_for("2A", "duckdb", "2 threads, native", [1.1], form="packed")
                + rows_for("2A", "millrace", "-w 2", [1.0], form="packed"))
        found = self.outcomes(rows, formats=("parquet", "packed"), queries=("2A",))
        self.assertEqual({name: target.met for name, target in found.items()}, {
            "2A on Parquet: -w 2 against DuckDB on the same files": True,
            "2A on packed files: -w 2 against DuckDB on Parquet": False,
            "2A on packed files: -w 2 against DuckDB on its own tables": True,
        })

    def matrix(self, **slower):
        """All queries on CSV: others take 10 seconds and Spark 20, Millrace 1, but for what is given."""
        rows = []
        for query in QUERIES:
            mode = WRITTEN if query in THRESHOLDS else "held"
            for engine in OTHERS:
                rows += rows_for(query, engine, "2 threads", [20.0 if engine == "spark" else 10.0], mode=mode)
            rows += rows_for(query, "millrace", "-w 2", [slower.get(query, 1.0)], mode=mode)
        return rows

    def test_all_engines(self):
        def of(**slower):
            found = self.outcomes(self.matrix(**slower), peers=(*OTHERS, "millrace"))
            return (found["3C on csv: against the fastest of five (duckdb)"], found["csv: geometric mean against the fastest"],
                    found["csv: the least against Spark, which has run the query before"])

        self.assertEqual([(target.met, target.measured) for target in of()], [(True, "10.00×"), (True, "10.00×"), (True, "20.00×")])
        self.assertEqual([target.met for target in of(**{"3C": 11.0})], [False, True, False])
        self.assertEqual([target.met for target in of(**{"3C": None})], [None, None, None])
        self.assertFalse(any("five" in name for name in self.outcomes(self.matrix())), "without all engines nothing is said of them")

    def test_who_is_ahead_is_named(self):
        rows = [row | {"workers": 2} for row in self.matrix(**{"1B": 10.5})]
        found = ahead(Figures(rows), rows).splitlines()
        self.assertEqual(len(found), 4)
        self.assertIn("- 1B on csv, written: duckdb (2 threads) 10.000 s, Millrace 10.500 s", found)
        rows = [row | {"workers": 2} for row in self.matrix()]
        self.assertEqual(ahead(Figures(rows), rows), "Nowhere.\n")


if __name__ == "__main__":
    unittest.main()

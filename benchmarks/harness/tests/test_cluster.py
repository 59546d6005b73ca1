"""Figures of several processes are taken from the right rows, and from what the benchmark of the exchange prints."""

import unittest
from argparse import Namespace
from unittest import mock

from harness import cluster
from harness.cluster import ONE, TWO, evaluate, exchanged, summary

PRINTED = """40000000 records of 16 bytes, two processes of one worker, 2 rounds

all records cross; seconds
  routed  tuples
   0.377   0.932
   0.604   0.932  medians: routed containers have 1.54 times the throughput
    66.2    42.9  million records/s
   0.263   0.443  processor seconds of one process, medians: 1.68 times
   16.19   16.18  bytes on the wire for each record that crossed

half of the records cross; seconds
  routed  tuples
   0.303   0.503  medians: routed containers have 1.66 times the throughput
   0.244   0.321  processor seconds of one process, medians: 1.32 times
   16.90   16.19  bytes on the wire for each record that crossed
"""


def rows():
    """Two timed rounds of everything, in which two processes are a tenth slower, and hostility costs a fifth."""
    found = []
    for query in ("2A", "2C"):
        for number, one in ((0, 9.0), (1, 1.0), (2, 2.0)):
            for setting, factor in ((ONE, 1.0), (TWO, 1.25)):
                found.append({"part": "speed", "query": query, "setting": setting, "round": number, "timed": number > 0, "seconds": one * factor})
        found.append({"part": "wire", "query": query, "setting": TWO, "seconds": 1.0, "wire_bytes": 104, "exchanged_bytes": 100})
    found += exchanged(PRINTED)
    found += [{"part": "start", "seconds": 0.050, "run_seconds": run} for run in (0.01, 0.02, 0.04)]
    for number in (1, 2):
        found += [{"part": "hostile", "hostile": hostile, "round": number, "timed": True, "seconds": 1.2 if hostile else 1.0} for hostile in (False, True)]
    return found


class Targets(unittest.TestCase):
    def test_each_is_judged_by_its_own_rows(self):
        found = [(target.measured, target.met) for target in evaluate(rows())]
        self.assertEqual(found, [
            ("0.80×", False), ("1.040×", True), ("0.80×", True), ("1.040×", True),
            ("1.54×", False), ("1.68×", False), ("16.19", True), ("1.66×", False), ("1.32×", False), ("16.90", False),
            ("30 ms", True), ("1.20×", False),
        ])

    def test_bytes_that_could_not_be_counted_are_not_judged(self):
        found = evaluate([row for row in rows() if row["part"] != "wire"])
        self.assertEqual([(target.measured, target.met) for target in found if "2A" in target.name], [("0.80×", False), ("n/a", None)])

    def test_results_say_how_much_memory_was_touched(self):
        """Once, those of `scripts/bench` alone did."""
        kept, ran = [], {"seconds": 1.0, "hash": "ab", "peak_rss_bytes": 4096, "printed": "lo: 7"}
        options = Namespace(format="csv", rows=10, repeat=1)
        with mock.patch.object(cluster, "run", lambda *_: dict(ran)), mock.patch.object(cluster, "say"):
            cluster.compare("2A", ["query2"], options, None, kept.append)
        speeds = [row for row in kept if row["part"] == "speed"]
        self.assertEqual([(row["round"], row["touched_bytes"]) for row in speeds], [(0, 0), (0, 0), (1, 4096), (1, 4096)])

    def test_the_tables_have_every_part(self):
        text = summary(rows(), Namespace(rows=200_000, format="csv", repeat=2, smoke=True), {"date": "2026-01-01", "name": "here"})
        for line in ("| 2C, `-n 2 -w 1` | 1.875 | 1.250 | 2.500 |", "| start of three processes | 0.030 | 0.010 | 0.040 |", "| hostile over alone | 1.20× |"):
            self.assertIn(line, text)


if __name__ == "__main__":
    unittest.main()

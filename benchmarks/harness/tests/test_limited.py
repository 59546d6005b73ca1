"""The run in limited memory: its cases, what it is held to, and that a failure shows."""

import unittest
from types import SimpleNamespace

from harness.cases import LIMITS, blocks_for
from harness.limited import evaluate, summary

OPTIONS = SimpleNamespace(limited=True, rows=10, repeat=2, peers=("duckdb", "millrace"))
FACTS = {"date": "2000-01-01", "name": "here"}


def rows(seconds, peak_bytes):
    """Rows of two rounds; both engines alike."""
    [block] = blocks_for(OPTIONS)
    return [{
        "query": block.query, "rows": block.rows, "mode": block.mode, "format": block.format, "engine": case.engine, "setting": case.setting,
        "round": number, "timed": True, "seconds": seconds(case), "peak_rss_bytes": peak_bytes(case), "spilled_bytes": 7,
        "failure": None if seconds(case) else "too little", "answer": {"groups": 2, "digest": "ab"} if seconds(case) else None,
    } for number in (1, 2) for case in block.cases]


class Limited(unittest.TestCase):
    def test_every_peer_has_every_limit(self):
        [block] = blocks_for(OPTIONS)
        settings = [case.setting for case in block.cases if case.engine == "millrace"]
        self.assertEqual(settings, ["-w 2", "-w 2 --memory 512MB", "-w 2 --memory 256MB"])
        self.assertEqual(len({(case.engine, case.setting) for case in block.cases}), 6)

    def test_limits_are_kept_or_missed(self):
        slow = lambda case: 3.0 if case.memory_bytes == LIMITS[1] else 1.0
        met = evaluate(rows(slow, lambda case: (case.memory_bytes or 10**9) * 1.1), OPTIONS)
        self.assertEqual([target.met for target in met], [True] * 4)
        self.assertEqual(met[3].measured, "3.00×")
        slow = lambda case: 5.0 if case.memory_bytes == LIMITS[0] else 1.0
        missed = evaluate(rows(slow, lambda case: LIMITS[1] * 1.2), OPTIONS)
        self.assertEqual([target.met for target in missed], [True, False, False, True])

    def test_a_failure_stands_in_the_summary(self):
        failing = lambda case: None if case.engine == "duckdb" and case.memory_bytes == LIMITS[1] else 1.0
        text = summary(rows(failing, lambda case: 1e6), OPTIONS, FACTS)
        self.assertIn("| duckdb | 2 threads, 256 MB | failed | failed | failed | n/a |", text)
        self.assertIn("- duckdb 2 threads, 256 MB, round 1: too little", text)
        self.assertIn("2 groups, hash ab", text)

    def test_each_engine_is_compared_with_itself(self):
        slow = lambda case: {None: 1.0, LIMITS[0]: 2.0, LIMITS[1]: 3.5}[case.memory_bytes]
        text = summary(rows(slow, lambda case: 1e6), OPTIONS, FACTS)
        self.assertIn("| duckdb | 2 threads, 512 MB | 2.000 | 2.000 | 2.000 | 2.00× |", text)
        self.assertIn("| millrace | `-w 2 --memory 256MB` | 3.500 | 3.500 | 3.500 | 3.50× |", text)


if __name__ == "__main__":
    unittest.main()

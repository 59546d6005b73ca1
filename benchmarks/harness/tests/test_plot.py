"""Pictures of runs: would catch a run that cannot be drawn."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from harness.options import ROOT

PLOT = ROOT / "scripts" / "plot"


def row(query, engine, seconds):
    """A round of one case."""
    return {"query": query, "format": "csv", "rows": 100, "mode": "held", "engine": engine, "setting": "-w 2" if engine == "millrace" else "2 threads",
            "workers": 2, "timed": True, "seconds": seconds, "failure": None}


class Plot(unittest.TestCase):
    def drawn(self, text, *flags):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "results.jsonl").write_text(text)
            picture = Path(folder) / "picture.svg"
            done = subprocess.run([sys.executable, PLOT, *flags, folder, "-o", picture], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            return picture.read_text(), done.stderr

    def test_an_overview_has_examples_too(self):
        """Once, their names ended the program."""
        rows = [row(query, engine, 1.0) for query in ("tpch_q3", "similar_titles") for engine in ("millrace", "duckdb")]
        picture, said = self.drawn("".join(json.dumps(row) + "\n" for row in rows), "--overview")
        self.assertIn(">similar_titles</text>", picture)
        self.assertIn("csv, 100 lines or orders", picture)
        self.assertEqual(said, "")

    def test_a_run_that_was_cut_off_in_a_line_is_drawn_without_it(self):
        whole = json.dumps(row("2A", "millrace", 1.0)) + "\n"
        picture, said = self.drawn(whole + json.dumps(row("2A", "duckdb", 2.0))[:-9])
        self.assertIn("Query 2A", picture)
        self.assertNotIn("DuckDB", picture)
        self.assertIn("ends within a line, which is left out", said)


if __name__ == "__main__":
    unittest.main()
